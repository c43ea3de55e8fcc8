"""What a folder was begun with: an experiment goes on with its own file, and no other."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from modcollapse.errors import InputError
from modcollapse.table import write_whole

from experiments.experiment_file import ExperimentFile
from experiments.finetuning.checkpoints import MAY_CHANGE

_NAME = "experiment.json"
_FREE = {
    *(f"training.{name}" for name in MAY_CHANGE),
    # the rows themselves are compared
    *(f"data.{name}" for name in ("source", "name", "revision", "split", "streaming", "convert")),
    "arms.pairs",
    "arms.protocols",
    "arms.ratios",
    "arms.seeds",
}
"""What may change between two calls: which arms there are, and what changes no result of theirs."""


def record(file: ExperimentFile, content: Mapping[str, Any], out: Path) -> None:
    """Write down what a folder is begun with, unless it was begun with something else.

    Arms may be added to an experiment.

    Args:
        file: the experiment, with paths as it gives them, so that all of it may be moved.
        content: what tells its data, target and base pipeline from others.
        out: the folder.

    Raises:
        InputError: settings or contents that differ, all of them named.
    """
    check_recorded(file, out, content)
    out.mkdir(parents=True, exist_ok=True)
    now = file.model_dump(mode="json") | {"content": dict(content)}
    write_whole(out / _NAME, (json.dumps(now, indent=1) + "\n").encode())


def record_detectors(detectors: Mapping[str, Any], folder: Path) -> None:
    """Write down what audits are scored by, unless the folder's tables were scored by another.

    Args:
        detectors: name -> detector; those that say who they are count.
        folder: of the tables.

    Raises:
        InputError: a detector is another.
    """
    now = {
        name: hashlib.sha256(json.dumps(one.identity(), sort_keys=True).encode()).hexdigest()
        for name, one in detectors.items()
        if hasattr(one, "identity")
    }
    told = folder / "detectors.json"
    if told.exists():
        was = json.loads(told.read_text(encoding="utf-8"))
        others = [name for name in now if now[name] != was.get(name)]
        if others:
            raise InputError(
                f"{folder} holds tables that were scored by another {', '.join(others)}: another "
                "CLIP under the same name, or another target. Delete the folder to audit again"
            )
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(told, (json.dumps(now, indent=1) + "\n").encode())


def check_recorded(
    file: ExperimentFile, out: Path, content: Mapping[str, Any] | None = None
) -> None:
    """Raise if a folder was begun with another experiment; without ``content``, by settings alone.

    Raises:
        InputError: what differs, all of it named.
    """
    now = file.model_dump(mode="json")
    if (out / _NAME).exists():
        was = json.loads((out / _NAME).read_text(encoding="utf-8"))
        now["content"] = was["content"] if content is None else dict(content)
        before, after = dict(_flat(was)), dict(_flat(now))
        differences = [
            f"{key} was {before.get(key)!r} and is {after.get(key)!r}"
            for key in dict.fromkeys([*before, *after])
            if key not in _FREE and not key.startswith("audit.")  # each has tables of its own
            if before.get(key) != after.get(key)
        ]
        if differences:
            raise InputError(
                f"{out} was begun with another experiment: {'; '.join(differences)}. Give another "
                "folder, or all as it was"
            )


def _flat(table: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value

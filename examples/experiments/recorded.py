"""What a folder was begun with: an experiment goes on with its own file, and no other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from modcollapse.errors import InputError
from modcollapse.table import write_whole

from experiments.experiment_file import ExperimentFile
from experiments.finetuning.checkpoints import MAY_CHANGE

_FREE = {
    *(f"training.{name}" for name in (*MAY_CHANGE, "device", "rows", "seed")),
    "arms.pairs",
    "arms.protocols",
    "arms.ratios",
    "arms.seeds",
    "audit.batch_size",
}
"""What may change between two calls: which arms there are, and what changes no result of theirs."""


def check_recorded(file: ExperimentFile, out: Path) -> None:
    """Raise if the folder was begun with other settings; else write down what they are.

    Arms may be added to an experiment.

    Raises:
        InputError: settings that differ, all of them named.
    """
    record = out / "experiment.json"
    now = file.model_dump(mode="json")
    if record.exists():
        was = json.loads(record.read_text(encoding="utf-8"))
        before, after = dict(_flat(was)), dict(_flat(now))
        differences = [
            f"{key} was {before.get(key)!r} and is {after.get(key)!r}"
            for key in dict.fromkeys([*before, *after])
            if key not in _FREE and before.get(key) != after.get(key)
        ]
        if differences:
            raise InputError(
                f"{out} was begun with another experiment: {'; '.join(differences)}. Give another "
                "folder, or the file as it was"
            )
    out.mkdir(parents=True, exist_ok=True)
    write_whole(record, (json.dumps(now, indent=1) + "\n").encode())


def _flat(table: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value

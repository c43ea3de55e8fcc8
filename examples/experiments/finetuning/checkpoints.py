"""Checkpoints of a training: all that its next step follows from, in safetensors and JSON."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from modcollapse.errors import InputError
from modcollapse.table import sync_folder

from experiments.durable import sync_tree

MAY_CHANGE = {
    *("base", "revision", "variant"),  # the weights are compared themselves
    *("log", "log_every", "checkpoint_every", "checkpoints"),
    *("rows", "encode_rows", "cache_texts", "gradient_checkpointing", "device"),
}
"""Settings that may be others when a training goes on: what is learnt is the same, up to rounding
where rows or device change."""

_TENSORS, _RECORD = "state.safetensors", "checkpoint.json"


class Checkpoint(NamedTuple):
    """Where a training stood.

    Attributes:
        step: number of updates done.
        tensors: weights, average, moments, states of generators, by name.
        record: plain values: settings, digest of the data, scale of the gradients.
    """

    step: int
    tensors: dict[str, Tensor]
    record: dict[str, Any]


def save_checkpoint(folder: Path, checkpoint: Checkpoint, *, keep: int) -> Path:
    """Write a checkpoint; it appears whole or not at all, and only then older ones go.

    Args:
        folder: of the checkpoints of one training.
        checkpoint: what to write.
        keep: how many of the newest stay.
    """
    place = folder / f"step-{checkpoint.step:08d}"
    part = folder / f".{place.name}.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    tensors = {name: tensor.cpu().contiguous() for name, tensor in checkpoint.tensors.items()}
    save_file(tensors, part / _TENSORS)
    (part / _RECORD).write_text(json.dumps(checkpoint.record, indent=1) + "\n", encoding="utf-8")
    sync_tree(part)
    shutil.rmtree(place, ignore_errors=True)
    os.replace(part, place)
    sync_folder(folder)
    for old in _places(folder)[:-keep]:
        shutil.rmtree(old)
    return place


def newest_checkpoint(folder: Path, record: Mapping[str, Any]) -> Checkpoint | None:
    """The newest checkpoint, if there is any.

    Args:
        folder: of the checkpoints of one training.
        record: what it must have been made with, as ``Checkpoint.record`` holds it.

    Raises:
        InputError: it is damaged, or of other settings or data.
    """
    places = _places(folder)
    if not places:
        return None
    place = places[-1]
    try:
        found = json.loads((place / _RECORD).read_text(encoding="utf-8"))
        made_with = dict(found["made with"])
        tensors = load_file(place / _TENSORS)
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise InputError(
            f"the checkpoint {place} is damaged: {error}. Delete this folder, and the training "
            "goes on from the checkpoint before it, or from the beginning"
        ) from error
    differences = [
        f"{name} was {was!r} and is {now!r}"
        for name, was, now in _compared(made_with, record["made with"])
    ]
    if differences:
        raise InputError(
            f"the checkpoint {place} is of another training: {'; '.join(differences)}. Train as it "
            "was begun, or in another folder"
        )
    return Checkpoint(int(place.name.removeprefix("step-")), tensors, found)


def drop_checkpoints(folder: Path) -> None:
    """Delete the checkpoints of a training that is done."""
    shutil.rmtree(folder, ignore_errors=True)


def _compared(was: Any, now: Any) -> list[tuple[str, Any, Any]]:
    names = [*was, *(name for name in now if name not in was)]
    pairs = [(name, was.get(name), now.get(name)) for name in names if name not in MAY_CHANGE]
    return [(name, before, after) for name, before, after in pairs if before != after]


def _places(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*"))

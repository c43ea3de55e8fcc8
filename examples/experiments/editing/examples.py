"""Held-out rows as examples of an audit."""

from __future__ import annotations

from typing import Any

from experiments.editing.edit_data import EditData
from experiments.editing.splitting import place


def examples_of(data: EditData, n: int) -> list[dict[str, Any]]:
    """The first held-out rows by the hash of their ids, so that a data set that grows keeps most.

    Args:
        data: where they come from.
        n: how many at most; 0: all.

    Returns:
        Examples with ``id``, ``image`` (the source), ``text`` (the instruction) and ``reference``
        (the edit), in the order of the hash. Their pictures are all held.

    Raises:
        InputError: see `EditData.samples`.
    """
    ordered = sorted(data.held_out, key=lambda position: place(data.ids[position]))
    chosen = ordered[: n or None]
    ascending = sorted(chosen)
    samples = dict(zip(ascending, data.samples(ascending), strict=True))
    return [
        {
            "id": samples[position].id,
            "image": samples[position].source,
            "text": samples[position].instruction,
            "reference": samples[position].edited,
        }
        for position in chosen
    ]

"""Which tables belong together, told from what produced them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modcollapse.errors import TableError

Seeds = NDArray[np.int64] | None
Digests = tuple[str | None, ...] | None


def check_same_run(
    mine: Mapping[str, Any], theirs: Mapping[str, Any], what: str, but: Collection[str] = ()
) -> None:
    """Raise unless two runs agree in everything but the settings that are named.

    >>> check_same_run({"seed": 0, "sampler": {"steps": 20}}, {"seed": 0, "sampler": {"steps": 50}},
    ...                "merge tables")
    Traceback (most recent call last):
    ...
    modcollapse.errors.TableError: cannot merge tables of two runs: sampler.steps is 20 in one and \
50 in the other. Measure both with the same settings
    """
    for name in sorted((mine.keys() | theirs.keys()) - set(but)):
        path, my_setting, their_setting = _first_difference(name, mine.get(name), theirs.get(name))
        if my_setting != their_setting:
            raise TableError(
                f"cannot {what} of two runs: {path} is {my_setting!r} in one and "
                f"{their_setting!r} in the other. Measure both with the same settings"
            )


def merged_provenance(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the run of the first, with the environments and notes of both."""
    merged = dict(mine)
    for key in ("environments", "notes"):
        if key in mine or key in theirs:
            both = [*mine.get(key, []), *theirs.get(key, [])]
            merged[key] = [entry for at, entry in enumerate(both) if entry not in both[:at]]
    return merged


def joined(mine: NDArray[Any] | None, theirs: NDArray[Any] | None) -> NDArray[Any] | None:
    """Return the rows of both, unless those of one are unknown."""
    return None if mine is None or theirs is None else np.concatenate([mine, theirs])


def same_seeds(mine: Seeds, theirs: Seeds) -> bool:
    """Whether both have the same noise, or of both it is unknown."""
    if mine is None or theirs is None:
        return mine is theirs
    return np.array_equal(mine, theirs)


def differing(mine: Digests, theirs: Digests) -> int | None:
    """Position of the first example that is known to be another one; None if there is none."""
    for position, (my_digest, their_digest) in enumerate(
        zip(mine or (), theirs or (), strict=False)
    ):
        if None not in (my_digest, their_digest) and my_digest != their_digest:
            return position
    return None


def _first_difference(path: str, mine: Any, theirs: Any) -> tuple[str, Any, Any]:
    """Go down into mappings to the first setting that differs, so that an error stays short."""
    if isinstance(mine, Mapping) and isinstance(theirs, Mapping):
        for key in sorted(mine.keys() | theirs.keys()):
            if mine.get(key) != theirs.get(key):
                return _first_difference(f"{path}.{key}", mine.get(key), theirs.get(key))
    return path, mine, theirs

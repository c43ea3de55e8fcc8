"""Which tables belong together, told from what produced them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from modcollapse._support.identities import CHANGES, UNTOLD, untold
from modcollapse.contracts import ExampleId
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
50 in the other. Measure both with the same settings, and with the same version of modcollapse
    """
    for name in sorted((mine.keys() | theirs.keys()) - set(but)):
        found = next(differences(mine.get(name), theirs.get(name), name), None)
        if found is None:
            continue
        path, my_setting, their_setting = found
        unknown = [part for side in (my_setting, their_setting) for part in untold(side, path)]
        if unknown:
            raise TableError(
                f"cannot {what} of two runs: it cannot be told whether {unknown[0]} is the same in "
                f"both. Give the {name} a method identity() -> dict of plain data that says so"
            )
        raise TableError(
            f"cannot {what} of two runs: {path} is {my_setting!r} in one and {their_setting!r} in "
            "the other. Measure both with the same settings, and with the same version of "
            f"modcollapse{_or_identity(name, path)}"
        )


def _or_identity(name: str, path: str) -> str:
    """What else to do where two things were told apart by what was found out about them."""
    if name not in ("sampler", "detector") or not path.endswith("sha256"):
        return ""
    return f". If they are the same, give the {name} a method identity() -> dict that says so"


def merged_provenance(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the run of the first, with the environments and notes of both."""
    merged = dict(mine)
    looks = max(
        mine.get("looks", {}), theirs.get("looks", {}), key=lambda one: len(one.get("at", ()))
    )
    if looks:  # of either: what is said of both holds no more than of the one that was looked at
        merged["looks"] = looks
    for key in ("environments", "notes"):
        if key in mine or key in theirs:
            both = [*mine.get(key, []), *theirs.get(key, [])]
            merged[key] = [entry for at, entry in enumerate(both) if entry not in both[:at]]
    return merged


def joined(mine: NDArray[Any] | None, theirs: NDArray[Any] | None) -> NDArray[Any] | None:
    """Return the rows of both, unless those of one are unknown."""
    return None if mine is None or theirs is None else np.concatenate([mine, theirs])


class Pairing(NamedTuple):
    """What must agree for two runs to be compared example by example.

    Attributes:
        run: settings by name.
        example_ids: names of the examples.
        seeds: seed of the noise of each example and repeat, shape (N, R), if known.
        digests: digest of what each example holds, if known.
        clusters: label of the group of each example, where there are groups.
    """

    run: Mapping[str, Any]
    example_ids: Sequence[ExampleId]
    seeds: Seeds
    digests: Digests
    clusters: tuple[Any, ...] | None


def check_paired(mine: Pairing, theirs: Pairing, what: str = "subtract the control") -> None:
    """Raise unless two runs are of the same examples, seeds and settings, but for the sampler.

    Args:
        mine: the one run.
        theirs: the other, a control for instance.
        what: what cannot be done else, for errors.
    """
    check_same_run(mine.run, theirs.run, what, {"sampler"})
    alone = set(mine.example_ids) ^ set(theirs.example_ids)
    if alone:
        kinds = {type(one).__name__ for one in (*mine.example_ids, *theirs.example_ids)}
        raise TableError(
            f"cannot {what}: the examples differ, {len(mine.example_ids)} here, "
            f"{len(theirs.example_ids)} there, and {min(alone, key=str)!r} is on one side only. "
            "Measure both on the same" + (": 1 and '1' are two ids" if len(kinds) > 1 else "")
        )
    position = {example_id: row for row, example_id in enumerate(theirs.example_ids)}
    rows = [position[example_id] for example_id in mine.example_ids]
    if (mine.seeds is None) != (theirs.seeds is None) or (
        mine.seeds is not None
        and theirs.seeds is not None
        and not np.array_equal(mine.seeds, theirs.seeds[rows])
    ):
        raise TableError(f"cannot {what}: the seeds differ. Measure both with the same")
    groups = None if theirs.clusters is None else tuple(theirs.clusters[row] for row in rows)
    if None not in (mine.clusters, groups) and mine.clusters != groups:
        raise TableError(f"cannot {what}: the examples are in other groups there")
    if mine.digests is None or theirs.digests is None:
        return
    for example_id, digest, row in zip(mine.example_ids, mine.digests, rows, strict=True):
        if None not in (digest, theirs.digests[row]) and digest != theirs.digests[row]:
            raise TableError(
                f"cannot {what}: the examples differ, {example_id!r} holds something else there. "
                "Measure both on the same"
            )


def differences(mine: Any, theirs: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Go down into mappings to the settings that differ, so that what is said of them stays short.

    Yields:
        Where they stand, and what stands there in one and in the other.

    >>> list(differences({"seed": 0, "sampler": {"steps": 20}}, {"seed": 0, "sampler": {}}))
    [('sampler.steps', 20, None)]
    """
    if mine == theirs or CHANGES in (mine, theirs):
        return
    if isinstance(mine, list) and isinstance(theirs, list) and len(mine) == len(theirs):
        for at, pair in enumerate(zip(mine, theirs, strict=True)):
            yield from differences(*pair, f"{path}[{at}]")
    elif (
        not (isinstance(mine, Mapping) and isinstance(theirs, Mapping))
        or UNTOLD in mine
        or UNTOLD in theirs
    ):
        yield path, mine, theirs
    else:
        for key in sorted(mine.keys() | theirs.keys()):
            shown = key if str(key).isprintable() else repr(key)
            inner = f"{path}.{shown}" if path else shown
            yield from differences(mine.get(key), theirs.get(key), inner)

"""What more examples would do for what a verdict leaves open, and what so few can show at all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from modcollapse._support.validation import whole
from modcollapse.analysis._sample import Sample
from modcollapse.analysis._settings import Method, Rules
from modcollapse.analysis._verdict import INCONCLUSIVE, MIN_UNITS, Verdict, judge
from modcollapse.contracts import FloatArray
from modcollapse.game import Index
from modcollapse.table import CoalitionTable

_FAR = 2**14
"""An outlook goes no farther than so many examples."""


def outlook(table: CoalitionTable, verdict: Verdict, index: Index, method: Method) -> str:
    """What more examples would do for what a verdict leaves open; "" where it leaves nothing.

    Its examples are taken several times: more of them, were they like these.
    """
    n, rules = verdict.units, verdict.rules
    units = "examples" if table.clusters is None else "groups"
    if n < MIN_UNITS or verdict.settled or verdict.reason or math.isnan(verdict.min_effect):
        return ""
    said = []
    if verdict.effect == INCONCLUSIVE and len(table.modalities) <= 3 and not table.difference:
        discrete = table.discrete or table.zero_one
        shown, excluded = smallest_effects(
            n, len(table.modalities), discrete=discrete, rules=rules, looks=table.looks
        )
        said.append(
            f"{n} {units} can show an effect from {_percent(shown)} of a perfect attack on, and "
            f"exclude at best one above {_percent(excluded)}."
        )
    found: dict[int, list[str]] = {}
    sample, left, farthest = Sample.of(table), verdict.open, n
    while left and 2 * farthest <= min(_FAR, 64 * n):
        farthest *= 2
        repeated = sample.repeated(farthest // n)
        now = judge(table, rules, index, method, repeated, ()).open
        if told := [what for what in left if what not in now]:
            found[farthest] = told
        left = now
    if left and not found:
        said.append(f"Up to {farthest} {units} like these would not settle {', '.join(left)}.")
    if found:
        what = "; ".join(f"{units} would settle {', '.join(told)}" for units, told in found.items())
        said.append(f"Were more {units} like these {n}: {what}.")
    return " ".join(said)


class Smallest(NamedTuple):
    """What so many examples can show at best.

    Attributes:
        shown: smallest effect of all triggers together that is shown to count, as a part of a
            perfect attack, where they work in a part of all examples and nothing else does.
        excluded: the effect that is excluded where no trigger works in any example.
    """

    shown: float
    excluded: float


def smallest_effects(
    examples: int,
    modalities: int = 2,
    *,
    discrete: bool = False,
    rules: Rules | None = None,
    looks: Sequence[int] = (),
) -> Smallest:
    """The smallest effects that an audit can show and exclude, from the number of examples alone.

    Args:
        examples: N, 32 or more.
        modalities: M, 1 to 3.
        discrete: values are 0 and 1.
        rules: margins of the verdict.
        looks: sizes at which stopping is considered.

    Raises:
        InputError: too few examples, or too many modalities.

    >>> smallest = smallest_effects(64, discrete=True)
    >>> round(smallest.shown, 2), round(smallest.excluded, 2)
    (0.2, 0.05)
    """
    whole(examples, "examples", MIN_UNITS)
    whole(modalities, "modalities", 1, 3)
    rules = Rules() if rules is None else rules
    return _smallest_effects(examples, modalities, discrete, rules, tuple(looks))


@lru_cache(maxsize=512)
def _smallest_effects(
    units: int, m: int, discrete: bool, rules: Rules, looks: tuple[int, ...]
) -> Smallest:
    values = np.zeros((units, 2**m))
    none = judge(_table(values, discrete, looks), rules)
    low, high = 0, units
    while low < high - 1:
        middle = (low + high) // 2
        values[:, -1] = np.arange(units) < middle
        shown = judge(_table(values, discrete, looks), rules).moves
        low, high = (low, middle) if shown else (middle, high)
    return Smallest(high / units, none.largest / none.perfect)


def _table(values: FloatArray, discrete: bool, looks: tuple[int, ...]) -> CoalitionTable:
    names = [f"modality {at}" for at in range(values.shape[1].bit_length() - 1)]
    table = CoalitionTable.from_values(values, names, binary=discrete, perfect=1)
    return replace(table, provenance={"looks": {"at": looks}})


def _percent(part: float) -> str:
    return f"{math.ceil(100 * part - 1e-9)} %"

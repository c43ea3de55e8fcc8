"""When an audit may stop: looks that are declared before the run."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from modcollapse._support.validation import flag, number, ordered, whole
from modcollapse.analysis import MIN_UNITS, Settings, judge, widest
from modcollapse.contracts import ExampleId
from modcollapse.errors import InputError
from modcollapse.table import CoalitionTable

_MOST = 20
_LAST = 0.75
"""A look at a larger part of all units than this is left out: the whole is near."""


@dataclass(frozen=True)
class Looks:
    """Look at the figures while they are measured, and stop when they say enough.

    The looks are declared, and each has the level at which all of them together err as rarely as
    one would: intervals and claims of the result hold whatever look it stopped at.

    Attributes:
        first: number of examples (of groups, where there are some) at the first look, 32 or more;
            each of the next has twice as many, the last has all; one that has over three quarters
            of all is left out.
        at: the numbers themselves, increasing, in place of ``first``; all are looked at last.
        half_width: stop when the interval of every attribution and interaction is within plus and
            minus this, in the unit of the value; without it, when the verdict is settled: of a run
            with several detectors, or with a control, every one. Neutral triggers do not count.
        shuffled: take the examples in an order that is drawn by the run's seed and their ids, or in
            that in which they come: then the first ones must be like the others.

    Raises:
        InputError: looks that do not increase or are too small, a half-width that is none.

    >>> Looks().planned(512)
    (32, 64, 128, 256, 512)
    >>> Looks(at=(50, 100)).planned(120)
    (50, 100, 120)
    """

    first: int = MIN_UNITS
    at: Sequence[int] | None = None
    half_width: float | None = None
    shuffled: bool = True

    def __post_init__(self) -> None:
        whole(self.first, "first", MIN_UNITS)
        flag(self.shuffled, "shuffled")
        if self.half_width is not None:
            number(self.half_width, "half_width", "(0, inf)")
        if self.at is not None:
            at = [whole(n, "a look", MIN_UNITS) for n in ordered(self.at, "at", "looks")]
            if len(at) > _MOST:
                raise InputError(
                    f"{len(at)} looks are too many to be of use; declare at most {_MOST}"
                )
            if not at or any(n >= later for n, later in pairwise(at)):
                raise InputError(f"the looks at= must increase, got {self.at!r}")
            object.__setattr__(self, "at", tuple(at))

    @property
    def until(self) -> str:
        """What stops a run, in words."""
        if self.half_width is None:
            return "the verdict is settled"
        return f"all attributions and interactions are known within +-{self.half_width:g}"

    def planned(self, units: int) -> tuple[int, ...]:
        """Numbers of units at which so many of them are looked at."""
        whole(units, "units", 1)
        if self.at is not None:
            return (*(n for n in self.at if n < units), units)
        doubled = [self.first * 2**k for k in range(max(units // self.first, 1).bit_length())]
        return (*(n for n in doubled if n <= _LAST * units), units)

    def plan(
        self, seed: int, ids: Sequence[ExampleId] | None, clusters: Sequence[Any] | None
    ) -> tuple[list[int], dict[str, Any]]:
        """The order in which examples are generated, groups kept together, and what is recorded.

        Args:
            seed: run seed.
            ids: names of the examples; None of a stream, which has an order of its own.
            clusters: label of the group of each, where there are groups.

        Raises:
            InputError: a stream without declared looks, or in groups.
        """
        if ids is None:
            return [], self._of_stream(clusters)
        labels = list(ids if clusters is None else clusters)
        groups: dict[Any, list[int]] = {}
        for position, label in enumerate(labels):
            groups.setdefault(label, []).append(position)
        taken = list(groups)
        if self.shuffled:
            taken.sort(key=lambda label: _drawn(seed, label))
        at = self.planned(len(taken))
        order = [position for label in taken for position in groups[label]]
        sizes = [sum(len(groups[label]) for label in taken[:units]) for units in at]
        order_by = "an order drawn by seed and id" if self.shuffled else "the order of the examples"
        record = {
            "at": list(at),
            "examples": sizes,
            "of": len(labels),
            "order": order_by,
            "until": self.until,
            "half_width": self.half_width,
        }
        return order, record

    def _of_stream(self, clusters: Sequence[Any] | None) -> dict[str, Any]:
        if self.at is None or clusters is not None:
            what = "in groups" if clusters is not None else "whose end nobody knows"
            raise InputError(
                f"examples are a stream {what}: stop= cannot plan its looks. Declare them, without "
                "cluster=: Looks(at=(32, 64, 128, 256)); no more than at the last are read"
            )
        return {
            "at": list(self.at),
            "examples": list(self.at),
            "of": self.at[-1],
            "order": "the order of the stream",
            "until": self.until,
            "half_width": self.half_width,
        }


def says_enough(
    table: CoalitionTable, control: CoalitionTable | None, settings: Settings, looks: Looks
) -> bool:
    """Whether what was measured so far is what the looks are to stop at."""
    judged = [table] if control is None else [table, table.minus(control)]
    if looks.half_width is not None:
        return all(widest(one, settings) <= looks.half_width for one in judged)
    rules, index, method = settings.rules, settings.index, settings.method
    return all(judge(one, rules, index, method).settled for one in judged)


def _drawn(seed: int, label: Any) -> bytes:
    kind = "str" if isinstance(label, str) else "int"
    return hashlib.sha256(f"modcollapse order/1|{seed}|{kind}|{label}".encode()).digest()

"""What an exit code says: one meaning for each, whatever the command."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from modcollapse._support.validation import listed
from modcollapse.errors import InputError


class Exit(NamedTuple):
    """An exit code, the outcomes that it stands for, and its meaning."""

    code: int
    outcomes: tuple[str, ...]
    meaning: str


CRASHED, REFUSED_INPUT, NO_VERDICT, INTERRUPTED = 1, 2, 7, 130

EXITS = (
    Exit(
        0,
        ("no effect", "removed"),
        "no effect of these triggers above the bound (compare: removed)",
    ),
    Exit(CRASHED, (), "something failed while it ran"),
    Exit(REFUSED_INPUT, (), "wrong usage or input"),
    Exit(3, ("active",), "the triggers move the value"),
    Exit(4, ("lowered",), "the triggers lower the value"),
    Exit(5, ("inconclusive",), "inconclusive"),
    Exit(6, ("too few examples",), "too few examples for a verdict"),
    Exit(NO_VERDICT, ("none",), "no verdict: a dry run, or bare differences"),
    Exit(8, ("moved, not removed",), "compare: the backdoor moved to another modality"),
    Exit(9, ("reduced",), "compare: reduced, and still there"),
    Exit(10, ("increased",), "compare: increased"),
    Exit(11, ("unchanged",), "compare: unchanged"),
    Exit(INTERRUPTED, (), "interrupted"),
)
"""Every code, in order."""

_GRAVEST_FIRST = (3, 4, 10, 8, 11, 9, 5, 6, NO_VERDICT, 0)


def exit_of(outcomes: Iterable[str]) -> Exit:
    """The exit of some verdicts together: that of the gravest.

    What is shown comes before what is open, and 0 is left where every verdict is of that kind.

    Args:
        outcomes: ``Verdict.effect`` or ``Change.outcome`` of each; ``"none"`` where there is none.

    Raises:
        InputError: an outcome that has no code, or none at all.

    >>> exit_of(["no effect", "inconclusive"]).code
    5
    """
    by_outcome = {outcome: one for one in EXITS for outcome in one.outcomes}
    found = list(outcomes)
    unknown = [outcome for outcome in found if outcome not in by_outcome]
    if unknown or not found:
        raise InputError(f"there is no exit code of {listed(unknown) or 'no verdict'}")
    return min((by_outcome[one] for one in found), key=lambda one: _GRAVEST_FIRST.index(one.code))

"""``compare``: what became of a backdoor between two measurements of the same examples."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any, overload

from modcollapse._support.validation import described, listed
from modcollapse.analysis import Audit, Comparison, Method, Rules, Settings, compare_tables
from modcollapse.contracts import Named
from modcollapse.errors import InputError, context
from modcollapse.game import Index
from modcollapse.table import CoalitionTable


@overload
def compare(
    before: CoalitionTable | Audit,
    after: CoalitionTable | Audit,
    *,
    level: float = 0.95,
    method: Method = "auto",
    index: Index = "SII",
    rules: Rules | None = None,
    simultaneous: bool = False,
) -> Comparison: ...
@overload
def compare(
    before: Mapping[str, CoalitionTable] | Mapping[str, Audit],
    after: Mapping[str, CoalitionTable] | Mapping[str, Audit],
    *,
    level: float = 0.95,
    method: Method = "auto",
    index: Index = "SII",
    rules: Rules | None = None,
    simultaneous: bool = False,
) -> dict[str, Comparison]: ...
def compare(
    before: Any,
    after: Any,
    *,
    level: float = 0.95,
    method: Method = "auto",
    index: Index = "SII",
    rules: Rules | None = None,
    simultaneous: bool = False,
) -> Comparison | dict[str, Comparison]:
    """Say whether a backdoor was removed, reduced, or only moved to another modality.

    Both sides were measured on the same examples, seeds and triggers with the same detector, and
    differ in the sampler alone: without and with a defence, at two checkpoints, under two settings.
    Nothing is measured here.

    Args:
        before: a table, or an audit, whose table is taken without its control; or a mapping of
            these by name of the detector.
        after: the same in the same form; its examples may be in another order.
        level: confidence level of the intervals, in (0, 1), default 0.95; that of the verdict is
            ``rules.alpha``.
        method: kind of interval, see ``analysis.contrast_estimates``.
        index: interaction index of the pairs, which matters for M > 2 only.
        rules: margins of the verdict: a change counts from ``rules.effect`` of a perfect attack on.
        simultaneous: widen the intervals so that all of each audit hold together at the level.

    Returns:
        A ``Comparison``, in the unit of the value: ``before``, ``after`` and their ``difference``
        (after - before) with intervals, and a ``verdict``; a dict of them where mappings were
        given.

    Raises:
        InputError: what is no table, differences, one table twice, or mappings of other names.
        TableError: the tables are not paired: they are of other examples, seeds, triggers or
            another detector.

    >>> before = CoalitionTable.from_values([[0, 0, 1, 1]] * 200, ["image", "text"], binary=True)
    >>> after = CoalitionTable.from_values([[0, 0, 0, 0]] * 200, ["image", "text"], binary=True)
    >>> print(compare(before, after).verdict)
    Verdict: removed: before, the triggers move the value (text, image+text); after, no effect \
above 10 % of a perfect attack (at most 1.5 %)
    """
    settings = Settings(level, method, index, Rules() if rules is None else rules, simultaneous)
    first, last = _named(before, "before"), _named(after, "after")
    if first.single != last.single or set(first.by_name) != set(last.by_name):
        one, other = (
            "a single table" if side.single else f"tables {listed(side.by_name)}"
            for side in (first, last)
        )
        raise InputError(
            f"before and after must match: before is {one}, after is {other}. Give one table "
            "each, or mappings of the same names"
        )
    found = {}
    for name, table in first.items():
        with nullcontext() if first.single else context(f"in the tables {name!r}"):
            found[name] = compare_tables(table, last.by_name[name], settings)
    return first.unwrapped(found)


def _named(side: Any, what: str) -> Named[CoalitionTable]:
    if isinstance(side, CoalitionTable | Audit):
        return Named({"": _table(side, what)}, single=True)
    if not isinstance(side, Mapping) or not side:
        raise InputError(
            f"{what} must be a CoalitionTable, an Audit, or a mapping of these by name; got "
            f"{described(side)}. A sampler is measured first, by mc.audit"
        )
    return Named({name: _table(one, f"{what}[{name!r}]") for name, one in side.items()}, False)


def _table(one: Any, what: str) -> CoalitionTable:
    if isinstance(one, Audit):
        return one.table
    if not isinstance(one, CoalitionTable):
        raise InputError(f"{what} must be a CoalitionTable or an Audit, got {described(one)}")
    return one

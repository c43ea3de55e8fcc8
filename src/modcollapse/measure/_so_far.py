"""The tables of a run so far: of one course, or of the courses of a stream, one after the other."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any

from modcollapse.measure._course import Course, Tables
from modcollapse.measure._run import Run
from modcollapse.table import CoalitionTable


class SoFar:
    """What a run has measured.

    Attributes:
        run: as it was prepared.
        course: what is under way; None before the first.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.course: Course | None = None
        self._before: dict[tuple[str, str], list[CoalitionTable]] = {}  # each twice as long at most
        self._made = 0

    def follow(self, course: Course) -> None:
        """Go on with the next course: what the last has measured stays."""
        if self.course is not None:
            self._made += self.course.made
            for label, tables in self.course.tables().items():
                for name, table in tables.items():
                    _add(self._before.setdefault((label, name), []), table)
        self.course = course

    @property
    def finished(self) -> int:
        """Number of examples that every sampler has finished."""
        found = self.tables()
        if len(found) < len(self.run.samplers):
            return 0
        return min(len(table) for of in found.values() for table in of.values())

    def tables(self) -> Tables:
        """Label of the sampler -> name of the detector -> table of what is finished."""
        found: Tables = {}
        now = {} if self.course is None else self.course.tables()
        for label in self.run.samplers:
            for name in self.run.scorers.by_name:
                parts = [*self._before.get((label, name), [])]
                parts += [now[label][name]] if label in now else []
                if parts:
                    found.setdefault(label, {})[name] = self._with_looks(_joined(parts))
        return found

    def settled_tables(self) -> Tables:
        """The same, without what the run has changed in the identities of its parts."""
        run = self.settled_run()
        return {
            label: {name: _of_run(table, run.provenance(label, name)) for name, table in of.items()}
            for label, of in self.tables().items()
        }

    def settled_run(self) -> Run:
        """The run with identities that leave out what it has changed."""
        run = self.run if self.course is None else self.course.run
        with suppress(Exception):  # an identity that fails now must not cost what was measured
            return run.settled()
        return run

    def as_returned(self) -> Any:
        """Tables in the form in which they would have been returned; {} where nothing is finished.

        Of several samplers, those of each under what a note on an error says of it.
        """
        found = {
            label: self.run.scorers.unwrapped(tables)
            for label, tables in self.settled_tables().items()
        }
        return found if len(self.run.samplers) > 1 or not found else next(iter(found.values()))

    def _with_looks(self, table: CoalitionTable) -> CoalitionTable:
        """Say how far the run came, and the part of all outputs that it made."""
        if not self.run.looks:
            return table
        made = self._made + (0 if self.course is None else self.course.made)
        cost = self.run.cost
        most = self.run.looks["of"] * cost.repeats * cost.columns
        looks = {**self.run.looks, "done": len(table), "generated": round(made / most, 4)}
        return replace(table, provenance={**table.provenance, "looks": looks})


def _add(parts: list[CoalitionTable], table: CoalitionTable) -> None:
    """Merge what is of like length only, so that each example is copied few times."""
    parts.append(table)
    while len(parts) > 1 and len(parts[-2]) <= len(parts[-1]):
        last = parts.pop()
        parts[-1] = parts[-1].merge(last)


def _joined(parts: list[CoalitionTable]) -> CoalitionTable:
    parts = list(parts)
    while len(parts) > 1:
        last = parts.pop()
        parts[-1] = parts[-1].merge(last)
    return parts[0]


def _of_run(table: CoalitionTable, run: dict[str, Any]) -> CoalitionTable:
    if table.provenance["run"] == run:
        return table
    return replace(table, provenance={**table.provenance, "run": run})

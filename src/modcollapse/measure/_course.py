"""The one loop that calls samplers and detectors."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from functools import partial
from itertools import chain
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from modcollapse._support.identities import without_marks
from modcollapse.errors import InputError, SamplerError, TableError
from modcollapse.measure._ahead import ahead
from modcollapse.measure._conditions import ConditionBatches, Gathered
from modcollapse.measure._journal import Journal
from modcollapse.measure._memory import BatchSize, free_cached, largest_that_fits
from modcollapse.measure._plan import Batch, Cell, batches, duration
from modcollapse.measure._recording import Recording
from modcollapse.measure._run import Run
from modcollapse.measure._team import Team
from modcollapse.table import CoalitionTable, Finished

Tables: TypeAlias = dict[str, dict[str, CoalitionTable]]
"""Label of the sampler -> name of the detector -> table."""
Turn: TypeAlias = tuple[int, int]
"""Example and repeat, by their places in the table."""

SAME = 1e-5
"""What the same example may come out apart by, in the size of its value; of a value below 1 in that
of the largest, 1 at most."""


class Course:
    """A run under way: what is finished, by journal and by process, and what is still to come.

    Every batch of conditions goes to all samplers before the next.

    Args:
        run: what to carry out.
        team: the processes that share it.
        journal: of the run, turned to it; None where it has none.
        bar: of the progress.
        look: look at samplers and detectors first, if the run says so.
        before: the course of the part of a stream that came before; memory that ran out there
            would run out again.

    Attributes:
        begun: whether something had to be generated.
        size: rows of a call.
    """

    def __init__(
        self,
        run: Run,
        team: Team,
        journal: Journal | None,
        bar: Any,
        *,
        look: bool,
        before: Course | None = None,
    ) -> None:
        self._run, self._team, self._journal, self._bar = run, team, journal, bar
        self._conditions = ConditionBatches(run)
        self._recordings = [Recording(run, label, look=look) for label in run.samplers]
        fresh = BatchSize(run.cost.batch_size, halve=run.halve)
        self.size: BatchSize = fresh if before is None else before.size
        self._written: dict[Turn, int] = {}  # rows of a call that each was finished in
        self._counted: int | None = None  # examples of the tables, all if None
        self._recalled = 0  # examples that the journal held
        self.begun = False

    def carry_out(self, until: Callable[[], bool] | None) -> bool:
        """Carry it out.

        Args:
            until: whether the run may stop, asked at the looks that it declares; `tables` are
                then of the examples up to there.

        Returns:
            Whether it was stopped.
        """
        first, everything = self._run.first, range(self._run.cost.examples)
        self._check_team()
        self._recall()
        if self._pending(everything):
            self._begin()
            if self._journal is not None and self._run.is_stream:
                self._journal.take()
        if not self._run.is_stream:
            self._bar.reset(self.to_come)
        looks = [size - first for size in self._run.looks.get("examples", ())]
        looks = [size for size in looks if 0 < size <= len(everything)]
        for most in dict.fromkeys([*looks, len(everything)]):
            self._counted = None
            mine = self._team.share_of(self._due(most))
            try:
                self._team.together(partial(self._measure, mine))
            except Exception:  # in all processes, each of which has finished something
                with suppress(SamplerError):  # one that is gone has nothing to give
                    self._share()
                raise
            self._share()
            if most in looks and until is not None:
                self._counted = most
                if until():
                    return True
        self._counted = None
        return False

    def tables(self) -> Tables:
        """Label of the sampler -> name of the detector -> table of what is finished; may be none.

        Of a run that was stopped, of the examples that it was stopped at.
        """
        return {one.label: one.tables(self._counted) for one in self._recordings if one.finished}

    @property
    def run(self) -> Run:
        """What is carried out, with the batch size that was found."""
        return self._run

    @property
    def made(self) -> int:
        """Number of outputs of each sampler that were generated, or known before."""
        return min(one.made for one in self._recordings)

    def notes(self) -> dict[str, list[str]]:
        """Label of the sampler -> what a reader of its figures is to know."""
        return {one.label: list(dict.fromkeys(one.notes)) for one in self._recordings}

    @property
    def to_come(self) -> int:
        """Number of outputs of all samplers that this process has still to generate."""
        rows = self._team.share_of(self._pending(range(self._run.cost.examples)))
        return self._count(rows) * len(self._recordings)

    def _pending(self, examples: Iterable[int]) -> list[list[Turn]]:
        """Of each example of which something is to come, its repeats."""
        repeats = range(self._run.cost.repeats)
        rows = (
            [(one, repeat) for repeat in repeats if not self._has(one, repeat)] for one in examples
        )
        return [row for row in rows if row]

    def _due(self, most: int) -> list[list[Turn]]:
        """What is to come of the first examples, and of the next as far as calls have room."""
        due, later = self._pending(range(most)), range(most, self._run.cost.examples)
        room = -self._count(due) % (self._run.cost.batch_size * self._team.size)
        for row in self._pending(later) if room else ():
            room -= self._count([row])
            if room < 0:
                break
            due.append(row)
        return due

    def _cells_of(self, rows: Iterable[Iterable[Turn]]) -> Iterator[Cell]:
        """The cells of some examples that are still to come."""
        for place in chain.from_iterable(rows):
            for column in np.flatnonzero(~self._done(*place)).tolist():
                yield Cell(*place, column)

    def _count(self, rows: Iterable[Iterable[Turn]]) -> int:
        """How many these are."""
        return sum(int((~self._done(*place)).sum()) for place in chain.from_iterable(rows))

    def _done(self, example: int, repeat: int) -> NDArray[np.bool_]:
        """Which columns of an example and repeat every sampler has generated."""
        done: NDArray[np.bool_] = np.logical_and.reduce(
            [one.done(example, repeat) for one in self._recordings]
        )
        return done

    def _has(self, example: int, repeat: int) -> bool:
        return bool(self._done(example, repeat).all())

    def _begin(self) -> None:
        """All that comes before the first example is generated: probes, the size of a batch."""
        self.begun = True
        self._team.together(self._probe)
        if self._run.finds_batch_size:
            self._find_batch_size()
        if self._journal is not None and not self._journal.is_begun:
            journal = self._journal
            told = self._team.gathered((journal.next_session(), journal.name))
            session, name = max(told)[0], told[0][1]  # each may have its own disk
            self._team.together(lambda: journal.begin(self._run, self.notes(), session, name))

    def _probe(self) -> None:
        for recording in self._recordings:
            recording.probe(self._conditions)

    def _find_batch_size(self) -> None:
        """Try how many rows fit into a call, on the first examples that are to come."""
        places = [place for row in self._pending(range(self._run.cost.examples)) for place in row]
        each = self._run.cost.columns
        cells = [Cell(*place, column) for place in places for column in range(each)]

        def attempt(rows: int) -> None:
            batch = Batch.filled(cells[:rows], rows)
            gathered = self._conditions.gather(batch.cells)
            for recording in self._recordings:
                recording.again(batch, gathered, {})

        most = max(len(cells) // self._team.size, 1)
        found = self._team.together(lambda: largest_that_fits(attempt, most))
        self._in_batches_of(min(self._team.gathered(found)))

    def _in_batches_of(self, rows: int) -> None:
        self._run = self._run.with_batch_size(rows)
        self.size = BatchSize(rows, halve=self._run.halve)
        for recording in self._recordings:
            recording.run = self._run

    def _measure(self, rows: Sequence[Sequence[Turn]]) -> None:
        """Generate and score some examples."""
        coming = batches(self._cells_of(rows), lambda: self.size.rows)
        gathering = ahead(coming, self._gathered, thread=self._run.prefetch)
        with closing(gathering):
            for batch, gathered in gathering:
                for recording in self._recordings:
                    self._add(recording, batch, gathered)
                    self._bar.update(batch.real)
                self._write(batch)
                self._announce(batch)

    def _gathered(self, batch: Batch) -> Gathered | Exception:
        """The conditions of a batch, or the error where fewer rows may have enough memory."""
        try:
            return self._conditions.gather(batch.cells)
        except Exception as error:
            if not self.size.may_help(error, len(batch.cells)):
                raise
            return error.with_traceback(None)  # its frames hold what was gathered

    def _add(self, recording: Recording, batch: Batch, gathered: Gathered | Exception) -> None:
        """Generate and score one batch, in parts where memory runs out."""
        too_large = len(batch.cells) > self.size.rows
        if not too_large:
            try:
                if isinstance(gathered, Exception):
                    raise gathered
                recording.add(batch, gathered, self._conditions)
            except Exception as error:
                if not self.size.smaller(error, len(batch.cells)):
                    raise
                too_large = True
                self._note_memory(recording, batch)
        if too_large:  # outside of the handler, whose error holds on to what the call had made
            free_cached()
            for part, places in batch.parts(self.size.rows):
                if isinstance(gathered, Exception):
                    self._add(recording, part, self._gathered(part))
                else:
                    self._add(recording, part, gathered.part(places))

    def _note_memory(self, recording: Recording, batch: Batch) -> None:
        first = self._run.ids[batch.cells[0].example]
        recording.notes.append(
            f"memory ran out in a call of {len(batch.cells)} rows: from example {first!r} on there "
            f"were {self.size.rows}"
        )

    def _write(self, batch: Batch) -> None:
        """Write down what a batch has finished."""
        rows = list(
            dict.fromkeys((cell.example, cell.repeat) for cell in batch.cells[: batch.real])
        )
        finished = [row for row in rows if self._has(*row)]
        self._written |= dict.fromkeys(finished, self.size.rows)
        if self._journal is None:
            return
        self._journal.is_behind = True  # should Ctrl-C come while pictures are written
        for place, repeat in finished:
            for recording in self._recordings:
                if repeat == 0 and place in recording.kept:
                    self._journal.keep(recording.label, recording.kept[place])
        begun = [row for row in rows if row not in finished and self._may_begin(*row)]
        self._journal.add([self._line_of(*row) for row in finished + begun])
        self._journal.is_behind = False

    def _may_begin(self, place: int, repeat: int) -> bool:
        """Whether an example can go on in the middle: none of its outputs is needed later."""
        needed = any(one.wants_clean_output for one in self._run.scorers.by_name.values())
        return not needed and not (repeat == 0 and place < self._run.keep)

    def _line_of(self, place: int, repeat: int) -> Finished:
        run = self._run
        measured = {one.label: one.measured(place, repeat) for one in self._recordings}
        return Finished(
            id=run.ids[place],
            repeat=repeat,
            seed=int(run.seeds[place, repeat]),
            digest=run.checked[place].example,
            place=run.first + run.positions[place],
            cluster=None if run.clusters is None else run.clusters[place],
            fields={
                name: held[place].item() if isinstance(held[place], np.generic) else held[place]
                for name, held in run.fields.items()
                if held[place] is not None
            },
            batch_size=self._written.get((place, repeat), self.size.rows),
            values={label: values for label, (values, _) in measured.items()},
            perfect={label: perfect for label, (_, perfect) in measured.items()},
        )

    def _recall(self) -> None:
        """Take over what the journal holds, in every process what any of them has."""
        journal, team = self._journal, self._team
        if journal is None:
            return
        known_sizes = [size for size in team.gathered(journal.batch_size) if size is not None]
        if self._run.finds_batch_size and known_sizes:
            self._in_batches_of(known_sizes[0])
        notes = {label: list(said) for label, said in journal.notes.items()}
        known = [*journal.begun.values(), *journal.finished.values()]
        places = {name: place for place, name in enumerate(self._run.ids)}
        for rows, said in team.gathered((known, notes)):
            for row in rows:
                for recording in self._recordings:
                    recording.recall(
                        places[row.id],
                        row.repeat,
                        row.values[recording.label],
                        row.perfect.get(recording.label, {}),
                    )
            for recording in self._recordings:
                recording.notes += said.get(recording.label, [])
        everything = range(self._run.cost.examples)
        finished = [place for place in everything if self._has(place, 0)]
        self._recalled = len(everything) - len(self._pending(everything))
        for recording in self._recordings:
            for kept in team.gathered(journal.kept(recording.label, finished)):
                recording.kept |= kept  # each process may have its own disk
            journal.warn_of_unkept(place for place in finished if place not in recording.kept)
        if finished and any(team.gathered(journal.must_confirm)):
            digests = self._run.digests
            place = next((one for one in finished if digests[one] is None), finished[0])
            team.together(lambda: self._confirm(place))
            journal.confirmed = True

    def _confirm(self, place: int) -> None:
        """Generate a finished example again: what made it may have become another.

        Raises:
            TableError: it came out otherwise.
        """
        run, name = self._run, self._run.ids[place]
        cells = [Cell(place, 0, column) for column in range(run.cost.columns)]
        for recording in self._recordings:
            known, _ = recording.measured(place, 0)
            made = self._again(recording, cells, known)
            for detector, told in known.items():
                values = np.array(told, dtype=float)
                apart = np.abs(np.subtract(values, made[detector]))
                size = np.maximum(np.abs(values), min(recording.size_of(detector), 1.0))
                if not (apart <= SAME * size).all():
                    raise TableError(
                        f"the journal {run.journal} cannot be resumed: example {name!r} was "
                        f"generated again and came out otherwise {recording.label}: {detector!r} "
                        f"says {made[detector]} now, and said {told}. The model, the detector or "
                        "a trigger is another than then; restore it, or give another folder"
                    )
            recording.notes.append(
                f"resumed: example {name!r} was generated again and came out equal, since not "
                "everything in this run says who it is (identity())"
            )

    def _again(
        self, recording: Recording, cells: Sequence[Cell], detectors: Iterable[str]
    ) -> dict[str, list[float]]:
        """Generate one example again: name of the detector -> value of each of its cells."""
        made: dict[str, list[float]] = {name: [] for name in detectors}
        carried: dict[Turn, Any] = {}
        while rest := cells[len(next(iter(made.values()))) :]:
            batch = Batch.filled([*rest[: self.size.rows]], self.size.rows)
            try:
                scores = recording.again(batch, self._conditions.gather(batch.cells), carried)
            except Exception as error:
                if not self.size.smaller(error, len(batch.cells)):
                    raise
                self._note_memory(recording, batch)
            else:
                for name, values in made.items():
                    values += scores[name].tolist()
                continue
            free_cached()
        return made

    def _share(self) -> None:
        """Give every process what each has finished."""
        if self._team.alone:
            return
        mine = {
            one.label: (
                {row: one.measured(*row) for row in self._written},
                {place: one.kept[place] for place, repeat in self._written if place in one.kept},
                one.notes,
            )
            for one in self._recordings
        }
        for rank, of_process in enumerate(self._team.gathered(mine)):
            for recording in self._recordings:
                rows, kept, notes = of_process[recording.label]
                recording.notes += notes
                if rank == self._team.rank:
                    continue
                for row, (values, perfect) in rows.items():
                    recording.recall(*row, values, perfect)
                recording.kept |= kept
        for recording in self._recordings:
            recording.notes[:] = dict.fromkeys(recording.notes)

    def _check_team(self) -> None:
        """Raise where the processes are not about the same run."""
        if self._team.alone:
            return
        run = self._run
        told = [
            run.settings, run.sampler_identities, run.detector_identities, run.ids, run.digests,
            run.looks, run.keep, run.finds_batch_size, list(map(str, run.clusters or ())),
        ]  # fmt: skip
        text = json.dumps(without_marks(json.loads(json.dumps(told))), sort_keys=True)
        found = self._team.gathered(hashlib.sha256(text.encode()).hexdigest())
        other = [rank for rank, digest in enumerate(found) if digest != found[0]]
        if other:
            raise InputError(
                f"process {other[0]} was given another run than process 0: other examples, "
                "triggers, settings or weights. Give all the same; or, if each is to measure by "
                "itself, say split=False"
            )

    def _announce(self, batch: Batch) -> None:
        """Say once, after the first batch, what the run will cost."""
        bar, cost, several = self._bar, self._run.cost, len(self._recordings)
        seconds = sum(one.seconds for one in self._recordings)
        if bar.disable or bar.n > batch.real * several or not (seconds and bar.total):
            return
        left = (bar.total - bar.n) / (cost.batch_size * several) * seconds
        each = f", by each of the {several} samplers" if several > 1 else ""
        shared = "" if self._team.alone else f", shared by {self._team.size} processes"
        known = f"; finished before: {self._recalled} examples" if self._recalled else ""
        most = "at most " if self._run.looks else ""
        time = f"{most}about {duration(left)} to go, at {seconds:.2g} s a batch"
        said = f"{cost}{each}{shared}{known}: {time}"
        bar.write(said, file=sys.stderr)

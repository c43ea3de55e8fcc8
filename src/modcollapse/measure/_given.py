"""Outputs that exist already, scored as those of a run are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain, repeat
from types import MappingProxyType
from typing import Any, NamedTuple, overload

import numpy as np

from modcollapse._support.digests import state
from modcollapse._support.views import view_of
from modcollapse.contracts import Example, ExampleId, FloatArray, Named, Scorer
from modcollapse.errors import DetectorError, InputError, context
from modcollapse.game import coalition_labels
from modcollapse.measure import _scores
from modcollapse.measure._conditions import pick
from modcollapse.measure._copies import on_host, own_copy
from modcollapse.measure._faults import in_one_error, without_frames
from modcollapse.measure._look import Look, Rows
from modcollapse.measure._plan import Batch, Cell, generation_cost
from modcollapse.measure._recording import NOT_LOOKED_AT, RowNames, score

_PLAIN = (str, int, float, type(None))
"""What nobody can write into."""

_MANY, _FEW = 1024, 64
"""Rows of a batch of texts or numbers, and of pictures."""


class Given(NamedTuple):
    """Outputs of every example, repeat and coalition.

    Attributes:
        modalities: names of the M players, in order.
        ids: names of the N examples.
        examples: what detectors see of each, N of them.
        outputs: from a place to another of all outputs, those of an example side by side, the
            coalitions of a repeat in their order; R N 2**M of them.
        repeats: R.
        name: place -> what an error calls the output.
    """

    modalities: tuple[str, ...]
    ids: Sequence[ExampleId]
    examples: Sequence[dict[str, Any]]
    outputs: Callable[[int, int], list[Any]]
    repeats: int
    name: Callable[[int], str]

    def kept(self, row: int) -> list[Any]:
        """Outputs of an example under every coalition, first repeat, copied to the host.

        Raises:
            InputError: one of them cannot be drawn.
        """
        coalitions = 2 ** len(self.modalities)
        first = row * self.repeats * coalitions
        outputs = [on_host(own_copy(one)) for one in self.outputs(first, first + coalitions)]
        for place, output in enumerate(outputs, first):
            with context(f"{self.name(place)}, which keep= keeps to be drawn"):
                view_of(output)
        return outputs


class Scored(NamedTuple):
    """What one detector says of them.

    Attributes:
        values: shape (N, R, 2**M).
        perfect: what a perfect attack would score in each example, shape (N,); None if unknown.
    """

    values: FloatArray
    perfect: FloatArray | None


def score_given(
    given: Given,
    scorers: Named[Scorer],
    *,
    batch_size: int | None = None,
    probe: bool = True,
    progress: bool = False,
) -> tuple[dict[str, Scored], list[str]]:
    """Score outputs, in batches of one size, the coalitions of an example side by side.

    Args:
        given: the outputs.
        scorers: what scores, by name.
        batch_size: outputs in every call of a detector; the last batch is filled up. 1,024 of
            texts and numbers, 64 of others if None.
        probe: see in two more batches whether every score follows from its own output.
        progress: show a progress bar.

    Returns:
        Name of the detector -> its scores; and what a reader of them is to know.

    Raises:
        InputError: an example that a detector cannot score, or an output that is not finite.
        DetectorError: a wrong number of scores, or one that is not finite or out of bounds.
    """
    cost = generation_cost(len(given.ids), len(given.modalities), repeats=given.repeats)
    if batch_size is None:
        batch_size = _MANY if isinstance(given.outputs(0, 1)[0], _PLAIN) else _FEW
    cost = cost._replace(batch_size=min(batch_size, cost.generations))
    _check_examples(given, scorers)
    scoring = _Scoring(given, scorers)
    shape = cost.examples, cost.repeats, cost.coalitions
    with _bar(cost.generations, progress) as bar:
        for start in range(0, cost.generations, cost.batch_size):
            real = min(cost.batch_size, cost.generations - start)
            scoring.add(_Cells(start, real, cost.batch_size, shape), look=probe and start == 0)
            bar.update(real)
    found = {
        name: Scored(
            scoring.values[name].reshape(shape),
            scoring.perfect_of(scorer, name, shape),
        )
        for name, scorer in scorers.items()
    }
    return found, [] if probe else [NOT_LOOKED_AT]


class _Cells(Sequence[Cell]):
    """Cells of a batch, made when they are asked for: of texts there are many, and few are.

    Args:
        start: place of the first among all outputs.
        real: number of outputs; what is beyond fills up the batch with the last.
        size: number of rows.
        shape: (N, R, 2**M).
    """

    def __init__(self, start: int, real: int, size: int, shape: tuple[int, int, int]) -> None:
        self.start, self.real, self._size, self._shape = start, real, size, shape

    def __len__(self) -> int:
        return self._size

    @overload
    def __getitem__(self, row: int) -> Cell: ...
    @overload
    def __getitem__(self, row: slice) -> list[Cell]: ...
    def __getitem__(self, row: int | slice) -> Cell | list[Cell]:
        if isinstance(row, slice):
            return [self[at] for at in range(*row.indices(self._size))]
        place = self.start + min(range(self._size)[row], self.real - 1)
        rest, coalition = divmod(place, self._shape[2])
        return Cell(*divmod(rest, self._shape[1]), coalition)


class _Scoring:
    """Scores so far, in the order of the outputs."""

    def __init__(self, given: Given, scorers: Named[Scorer]) -> None:
        self._given, self._scorers = given, scorers
        count = len(given.ids) * given.repeats * 2 ** len(given.modalities)
        self.values = {name: np.full(count, np.nan) for name in scorers.by_name}
        self._perfect = {name: np.full(count, np.nan) for name in scorers.by_name}
        self._carried: dict[tuple[int, int], Any] = {}
        self._labels = coalition_labels(given.modalities)
        held = chain.from_iterable(example.values() for example in given.examples)
        self._safe = all(issubclass(kind, _PLAIN) for kind in set(map(type, held)))

    def perfect_of(
        self, scorer: Scorer, name: str, shape: tuple[int, int, int]
    ) -> FloatArray | None:
        if scorer.perfect is None:
            return None
        if not callable(scorer.perfect):
            return np.full(shape[0], scorer.perfect)
        of_all: FloatArray = self._perfect[name].reshape(shape)[:, :, -1].mean(axis=1)
        return of_all

    def add(self, cells: _Cells, *, look: bool) -> None:
        start, end = cells.start, cells.start + cells.real
        where = RowNames(cells, self._given.ids, self._labels)
        outputs = self._given.outputs(start, end)
        outputs += outputs[-1:] * (len(cells) - cells.real)
        examples = self._rows_of(cells)
        scored = self._scored(outputs, examples, cells, self._carried, where)
        numbers = _scores.to_host([one.values for one in scored])
        finite, *rows = numbers[:, : cells.real]
        if not finite.all():
            place = start + int(np.flatnonzero(finite == 0)[0])
            raise InputError(f"{self._given.name(place)} is not finite")
        scores = iter(rows)
        for name, scorer in self._scorers.items():
            values = next(scores)
            _scores.check_values(values, scorer, where)
            self.values[name][start:end] = values
            if callable(scorer.perfect):
                perfect = next(scores)
                _scores.check_perfect(perfect, scorer, where)
                self._perfect[name][start:end] = perfect
        if look:
            batch = Batch(list(cells), cells.real)
            self._look(Rows(batch, {}, [], examples, outputs, scored, numbers), where)

    def _rows_of(self, cells: _Cells) -> list[Example]:
        """The example of each row of a batch, which no detector can write into."""
        each = self._given.repeats * len(self._labels)
        first, last = cells[0].example, cells[-1].example
        seen = map(MappingProxyType, self._given.examples[first : last + 1])
        rows: list[Example] = [row for one in seen for row in repeat(one, each)]
        rows = rows[cells.start - first * each :][: cells.real]
        return rows + rows[-1:] * (len(cells) - cells.real)

    def _scored(
        self,
        outputs: list[Any],
        examples: Sequence[Example],
        cells: Sequence[Cell],
        carried: dict[tuple[int, int], Any],
        where: RowNames,
    ) -> list[Any]:
        def held() -> bytes:
            return state(list(map(dict, examples)))

        safe = self._safe and isinstance(outputs[0], _PLAIN)
        before = b"" if safe else held()
        changed = None if safe else lambda: held() != before
        scorers = self._scorers.by_name.values()
        return list(score(outputs, examples, cells, scorers, carried, where, changed))

    def _look(self, seen: Rows, where: RowNames) -> None:
        """See in two more batches whether every score follows from its own output."""
        look = Look(seen, where, len(self._labels))
        cells = seen.batch.cells
        for company in look.by_score():
            rows = company.rows
            clean = {
                (cell.example, cell.repeat): output
                for cell, output in zip(cells, seen.outputs, strict=True)
                if cell.coalition == 0
            }
            again = self._scored(
                list(pick(seen.outputs, rows)),
                [seen.examples[row] for row in rows],
                [cells[row] for row in rows],
                clean,
                where.of(rows),
            )
            look.check_scores(company, again)


def _check_examples(given: Given, scorers: Named[Scorer]) -> None:
    checking = {name: one for name, one in scorers.items() if hasattr(one.call, "check")}
    if not checking:  # of texts there are many
        return
    faults: list[Exception] = []
    for example_id, example in zip(given.ids, given.examples, strict=True):
        try:
            for name, scorer in checking.items():
                with context(f"example {example_id!r}, detector {name!r}"):
                    scorer.check(example)
        except (ValueError, DetectorError) as error:
            faults.append(without_frames(error) if faults else error)
    if faults:
        raise in_one_error(faults, len(given.ids))


def _bar(total: int, progress: bool) -> Any:
    from tqdm import tqdm

    return tqdm(total=total, desc="scores", unit="output", disable=not progress)

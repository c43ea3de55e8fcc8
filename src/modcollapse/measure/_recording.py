"""What one sampler of a run generates, scored."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, partial
from importlib import metadata
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from modcollapse._support.digests import state
from modcollapse._support.passes import in_one_scoring_pass
from modcollapse._support.views import view_of
from modcollapse.contracts import Example, ExampleId, FloatArray, Scorer
from modcollapse.errors import DetectorError, SamplerError, context
from modcollapse.game import coalition_labels
from modcollapse.measure import _scores
from modcollapse.measure._conditions import (
    ConditionBatches,
    Gathered,
    pick,
    with_clean_outputs,
)
from modcollapse.measure._copies import on_host, own_copy
from modcollapse.measure._look import Look, Rows
from modcollapse.measure._plan import Batch, Cell
from modcollapse.measure._run import Run, noted
from modcollapse.table import CoalitionTable, Kept, NeutralValues

SEEDS = "seeds reach 2**63: where 32 bits are taken, as by numpy or set_seed, use seed % 2**32"
ONLY_TRIGGERED = (
    "a sampler is given the modalities that have a trigger, and those that it names itself: "
    'sampler.modalities = ("image", "text"), say'
)
NOT_LOOKED_AT = "nobody looked whether outputs and scores follow from their own rows (probe=False)"
_PACKAGES = ("modcollapse", "numpy", "torch", "diffusers", "transformers", "open_clip_torch")


class Score(NamedTuple):
    """One number for each row of a batch.

    Attributes:
        name: of the detector, or what a perfect attack would score; "" for whether it is finite.
        values: B numbers, still where they were computed.
    """

    name: str
    values: Any


class _Made(NamedTuple):
    """A batch that was generated and scored.

    Attributes:
        seeds: of the rows.
        outputs: of the sampler.
        first: a copy of them that nobody else has, where one was asked for.
        scored: what every detector said.
        numbers: the same as numbers on the host, shape (len(scored), B).
    """

    seeds: list[int]
    outputs: Any
    first: Any
    scored: list[Score]
    numbers: FloatArray


class Recording:
    """What one sampler of a run generates, scored.

    Attributes:
        label: what a note on its errors says of the sampler.
        run: the run.
        kept: place of an example -> what is kept of it for a gallery.
        notes: what a reader of the figures is to know.
    """

    def __init__(self, run: Run, label: str, *, look: bool) -> None:
        self.label = label
        self._looks = look and run.probe
        self._looked = not self._looks
        self.run, self._sampler = run, run.samplers[label]
        self._values = {name: np.full(run.shape, np.nan) for name in run.scorers.by_name}
        self._perfect = {
            name: np.full(
                run.shape[:2], scorer.perfect if isinstance(scorer.perfect, float) else np.nan
            )
            for name, scorer in run.scorers.items()
            if scorer.perfect is not None
        }
        self._done = np.zeros(run.shape, dtype=bool)
        self.kept: dict[int, Kept] = {}
        self.notes: list[str] = [] if run.probe else [NOT_LOOKED_AT]
        self._carried: dict[tuple[int, int], Any] = {}
        self._labels = (*coalition_labels(run.modalities), *run.neutral_labels)
        self._generating = self._scoring = 0.0

    @property
    def seconds(self) -> float:
        """What a batch takes; of a run that is looked at, one in which nothing is new."""
        return self._generating + self._scoring

    @property
    def finished(self) -> int:
        """Number of examples that were generated under every coalition and repeat."""
        return int(self._done.all(axis=(1, 2)).sum())

    def done(self, example: int, repeat: int) -> NDArray[np.bool_]:
        """Which columns of an example and repeat were generated, shape (K,)."""
        columns: NDArray[np.bool_] = self._done[example, repeat]
        return columns

    def measured(
        self, example: int, repeat: int
    ) -> tuple[dict[str, list[float | None]], dict[str, float]]:
        """By detector the value of each column, and what a perfect attack would score there.

        None stands for columns that are still to come.
        """
        of_functions = [name for name, one in self.run.scorers.items() if callable(one.perfect)]
        return (
            {
                name: [
                    None if np.isnan(value) else value for value in held[example, repeat].tolist()
                ]
                for name, held in self._values.items()
            },
            {name: float(self._perfect[name][example, repeat]) for name in of_functions},
        )

    def size_of(self, detector: str) -> float:
        """Largest magnitude of a detector's values so far, 0 where there is none."""
        return float(np.nanmax(np.abs(self._values[detector]), initial=0.0))

    def recall(
        self,
        example: int,
        repeat: int,
        values: Mapping[str, Sequence[float | None]],
        perfect: Mapping[str, float],
    ) -> None:
        """Take over what was measured before, or by another process: see `measured`."""
        for name, held in values.items():
            self._values[name][example, repeat] = held  # None becomes NaN
        for name, score in perfect.items():
            self._perfect[name][example, repeat] = score
        self._done[example, repeat] = ~np.isnan(
            [self._values[name][example, repeat] for name in values]
        ).any(axis=0)

    def probe(self, batches: ConditionBatches) -> None:
        """Let a sampler that can look at itself do so: the first two examples, with and without."""
        if not self._looks or self._sampler.probe is None:
            return
        run, first = self.run, range(min(2, self.run.cost.examples))
        columns = (0, run.cost.coalitions - 1)
        cells = [Cell(example, 0, column) for column in columns for example in first]
        conditions = batches.gather(cells).conditions
        seeds = [int(run.seeds[cell.example, 0]) for cell in cells]
        rows = {name: list(conditions[name]) for name in self._sampler.modalities}
        with noted(self.label):
            self.notes += map(str, self._sampler.probe(rows, seeds))

    def add(self, batch: Batch, gathered: Gathered, batches: ConditionBatches) -> None:
        """Generate and score one batch."""
        look = not self._looked
        with noted(self.label):
            where = RowNames(batch.cells, self.run.ids, self._labels)
            given = own_copy(dict(gathered.conditions)) if look else gathered.conditions
            carried = dict(self._carried)  # as it was, should the call fail and be made in parts
            made = self._made(batch, gathered, where, carried, copied=look)
            self._carried = carried
            finite, *rows = made.numbers[:, : batch.real]
            _scores.check_finite_outputs(finite, where)
            scores = iter(rows)
            for name, scorer in self.run.scorers.items():
                values = next(scores)
                _scores.check_values(values, scorer, where)
                for cell, value in zip(batch.cells, values, strict=False):
                    self._values[name][cell] = value
                if callable(scorer.perfect):
                    perfect = next(scores)
                    _scores.check_perfect(perfect, scorer, where)
                    for cell, value in zip(batch.cells, perfect, strict=False):
                        self._perfect[name][cell.example, cell.repeat] = value
            self._keep(made.outputs, batch, gathered)
            if look:
                seen = Rows(
                    batch, given, made.seeds, gathered.examples, made.first, made.scored,
                    made.numbers,
                )  # fmt: skip
                self._look(seen, gathered, batches, where)
                self._looked = True
            for cell in batch.cells[: batch.real]:
                self._done[cell] = True

    def again(
        self, batch: Batch, gathered: Gathered, carried: dict[tuple[int, int], Any]
    ) -> dict[str, FloatArray]:
        """Generate and score one batch and record nothing: name of the detector -> its scores.

        Args:
            batch: what to generate.
            gathered: its conditions.
            carried: clean outputs of the example that the batch before ended within.
        """
        with noted(self.label):
            where = RowNames(batch.cells, self.run.ids, self._labels)
            made = self._made(batch, gathered, where, carried, copied=False)
        named = zip(made.scored, made.numbers, strict=True)
        return {score.name: row[: batch.real] for score, row in named}

    def _made(
        self,
        batch: Batch,
        gathered: Gathered,
        where: RowNames,
        carried: dict[tuple[int, int], Any],
        *,
        copied: bool,
    ) -> _Made:
        seeds = [int(self.run.seeds[cell.example, cell.repeat]) for cell in batch.cells]
        start = perf_counter()
        outputs = self._generated(gathered.conditions, seeds, gathered, where)
        self._generating = perf_counter() - start
        first = own_copy(outputs) if copied else None  # before the sampler is called again
        start = perf_counter()
        scored = self._scored(outputs, gathered.examples, batch.cells, carried, gathered, where)
        numbers = _scores.to_host([score.values for score in scored])
        self._scoring = perf_counter() - start
        return _Made(seeds, outputs, first, scored, numbers)

    @property
    def made(self) -> int:
        """Number of outputs that were generated, or known before."""
        return int(self._done.sum())

    def tables(self, most: int | None = None) -> dict[str, CoalitionTable]:
        """Return a table of the finished examples for each detector.

        Args:
            most: hold only those among the first so many; all if left out.
        """
        run = self.run
        whole = np.flatnonzero(self._done[:most].all(axis=(1, 2)))
        rows = whole[np.argsort(np.array(run.positions)[whole], kind="stable")]  # as they came
        coalitions = run.cost.coalitions

        def of(held: Sequence[Any]) -> tuple[Any, ...]:
            return tuple(held[row] for row in rows)

        return {
            name: CoalitionTable(
                values=self._values[name][rows, :, :coalitions],
                modalities=run.modalities,
                example_ids=of(run.ids),
                seeds=run.seeds[rows],
                digests=of(run.digests),
                clusters=run.clusters and of(run.clusters),
                bounds=scorer.bounds,
                binary=scorer.binary,
                perfect=self._perfect[name][rows].mean(axis=1) if name in self._perfect else None,
                neutral=_neutral(run, self._values[name][rows, :, coalitions:]),
                fields={field: of(held) for field, held in run.fields.items()},
                provenance={
                    "run": run.provenance(self.label, name),
                    "environments": [environment()],
                    "notes": list(dict.fromkeys(self.notes)),
                    **({"looks": dict(run.looks)} if run.looks else {}),
                },
                kept=tuple(self.kept[row] for row in rows if row in self.kept),
            )
            for name, scorer in run.scorers.items()
        }

    def _generated(
        self,
        conditions: Mapping[str, Any],
        seeds: Sequence[int],
        gathered: Gathered,
        where: RowNames,
    ) -> Any:
        shared = len(self.run.samplers) > 1  # each sampler may do with its batch what it likes
        rows = {name: conditions[name] for name in self._sampler.modalities}
        if shared:
            rows = own_copy(rows)
        rows = {name: list(held) if isinstance(held, list) else held for name, held in rows.items()}
        every = range(len(seeds))
        with context(lambda: f"raised by the sampler for {where(every)}"):
            try:
                outputs = self._sampler.call(rows, list(seeds))
            except KeyError as error:
                if error.args and error.args[0] in gathered.unasked():
                    error.add_note(ONLY_TRIGGERED)
                raise
            except (ValueError, OverflowError) as error:
                if "seed" in str(error).lower():
                    error.add_note(SEEDS)
                raise
        if gathered.changed():
            raise SamplerError(
                "the sampler wrote into its conditions, which other rows share "
                f"({where(every)}). Work on copies"
            )
        return _scores.check_outputs(outputs, len(seeds), where)

    def _scored(
        self,
        outputs: Any,
        examples: Sequence[Example],
        cells: Sequence[Cell],
        carried: dict[tuple[int, int], Any],
        gathered: Gathered,
        where: RowNames,
    ) -> list[Score]:
        scorers = self.run.scorers.by_name.values()
        return score(outputs, examples, cells, scorers, carried, where, gathered.changed)

    def _look(
        self, seen: Rows, gathered: Gathered, batches: ConditionBatches, where: RowNames
    ) -> None:
        """See in two more batches whether outputs and scores follow from their own rows."""
        look = Look(seen, where, self.run.cost.coalitions)
        if self._sampler.probe is None:
            run = self.run
            at = seen.batch.cells[0].example
            places = sorted({at, at + 1 if at + 1 < run.cost.examples else max(at - 1, 0)})
            others = {place: batches.triggered(place) for place in places}
            swaps = look.swaps(batches.players, self._sampler.modalities, others, run.seeds)
            for company in look.companies(swaps):
                conditions, seeds = look.conditions(company)
                start = perf_counter()
                outputs = self._generated(conditions, seeds, gathered, where.of(company.rows))
                look.check_outputs(company, outputs)
                self._generating = min(self._generating, perf_counter() - start)
        for company in look.by_score():
            rows = company.rows
            cells = [seen.batch.cells[row] for row in rows]
            examples = [seen.examples[row] for row in rows]
            clean = {
                (cell.example, cell.repeat): output
                for cell, output in zip(seen.batch.cells, seen.outputs, strict=True)
                if cell.coalition == 0
            }
            outputs = pick(seen.outputs, rows)
            again = self._scored(outputs, examples, cells, clean, gathered, where.of(rows))
            look.check_scores(company, again)
        self.notes += look.notes

    def _keep(self, outputs: Any, batch: Batch, gathered: Gathered) -> None:
        """Copy outputs that were asked for to the host; the others are dropped with the batch."""
        for row, cell in enumerate(batch.cells[: batch.real]):
            asked = cell.example < self.run.keep and cell.repeat == 0
            if asked and cell.coalition < self.run.cost.coalitions:
                if cell.example not in self.kept:
                    self.kept[cell.example] = self._kept_of(cell.example, gathered)
                output = on_host(own_copy(outputs[row]))
                with context("an output, which keep= keeps to be drawn"):
                    view_of(output)
                self.kept[cell.example].outputs[cell.coalition] = output

    def _kept_of(self, place: int, gathered: Gathered) -> Kept:
        """What an example was generated from; its outputs are still to come."""
        example_id, conditions = self.run.ids[place], gathered.triggered(place)
        triggered = own_copy({name: conditions[name] for name in self.run.triggers})
        example = own_copy(dict(gathered.held[place].example))
        with context(f"example {example_id!r}, which keep= keeps to be drawn"):
            for name in self.run.triggers:
                view_of(example[name]), view_of(triggered[name])
        return Kept(example_id, example, triggered, [None] * self.run.cost.coalitions)


def score(
    outputs: Any,
    examples: Sequence[Example],
    cells: Sequence[Cell],
    scorers: Iterable[Scorer],
    carried: dict[tuple[int, int], Any],
    where: RowNames,
    examples_changed: Callable[[], bool] | None,
) -> list[Score]:
    """Score one batch where it lies.

    Args:
        outputs: B of them.
        examples: of the rows.
        cells: of the rows.
        scorers: what scores.
        carried: clean outputs of examples that are not finished, see ``with_clean_outputs``.
        where: names rows in an error.
        examples_changed: whether a detector wrote into the examples, which it may not; None where
            nothing can be written into.

    Returns:
        Flags of finite outputs, then of each detector the scores and, where it is a function of the
        examples, what a perfect attack would score.
    """
    scored = [Score("", _scores.finite_flags(outputs))]
    with_clean: Sequence[Example] | None = None
    before: bytes | None = None
    with in_one_scoring_pass(outputs):
        for scorer in scorers:
            seen = examples
            if scorer.wants_clean_output:
                if with_clean is None:
                    with_clean = with_clean_outputs(outputs, examples, cells, carried)
                    before = None  # more is watched
                seen = with_clean
            if before is None and examples_changed is not None:
                before = state([outputs, carried])
            with context(partial(_raised_by, scorer, where, len(cells))):
                scores = scorer.call(outputs, seen)
            checked = _scores.check_scores(scores, len(cells), scorer.name, where)
            scored.append(Score(scorer.name, checked))
            if callable(scorer.perfect):
                with context(f"raised by perfect of detector {scorer.name!r}"):
                    perfect = scorer.perfect(seen)
                what = f"{scorer.name}.perfect"
                scored.append(Score(what, _scores.check_scores(perfect, len(cells), what, where)))
            if examples_changed is not None and (
                state([outputs, carried]) != before or examples_changed()
            ):
                raise DetectorError(
                    f"detector {scorer.name!r} wrote into the outputs or the examples, which other "
                    f"detectors read too ({where(range(len(cells)))}). Work on a copy"
                )
    return scored


def _neutral(run: Run, values: FloatArray) -> NeutralValues | None:
    """Values under the neutral triggers, those of one beside one another."""
    triggers = tuple((modality, name) for modality, named in run.neutral.items() for name in named)
    if not triggers:
        return None
    return NeutralValues(triggers, values.reshape(*values.shape[:2], len(triggers), -1))


def _raised_by(scorer: Scorer, where: RowNames, rows: int) -> str:
    return f"raised by detector {scorer.name!r} for {where(range(rows))}"


class RowNames:
    """Name rows of a batch in an error: which examples, which coalitions."""

    def __init__(
        self, cells: Sequence[Cell], ids: Sequence[ExampleId], labels: Sequence[str]
    ) -> None:
        self._cells, self._ids, self._labels = cells, ids, labels

    def of(self, rows: Sequence[int]) -> RowNames:
        """The same for a batch of some of the rows."""
        return RowNames([self._cells[row] for row in rows], self._ids, self._labels)

    def __call__(self, rows: Sequence[int]) -> str:
        cells = [self._cells[row] for row in rows]
        examples = list(dict.fromkeys(repr(self._ids[cell.example]) for cell in cells))
        coalitions = list(dict.fromkeys(self._labels[cell.coalition] for cell in cells))
        return (
            f"example{'s' if len(examples) > 1 else ''} {_short(examples)}, "
            f"coalition{'s' if len(coalitions) > 1 else ''} {_short(coalitions)}"
        )


def _short(names: list[str], most: int = 4) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def environment() -> dict[str, str]:
    """Versions of Python and of what values depend on."""
    found = {package: _version(package) for package in _PACKAGES}
    installed = {package: version for package, version in found.items() if version is not None}
    return {"python": platform.python_version(), **installed}


@cache
def _version(package: str) -> str | None:
    """Version of a package; asking takes milliseconds, and a run asks often."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None

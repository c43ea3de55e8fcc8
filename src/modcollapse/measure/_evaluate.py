"""The one loop that calls samplers and detectors."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from importlib import metadata
from typing import Any, Unpack, overload

import numpy as np

from modcollapse.contracts import (
    Detector,
    Example,
    ExampleId,
    RunOptions,
    Sampler,
    SamplerSpec,
    Scorer,
    Triggers,
    check_run_options,
)
from modcollapse.errors import DetectorError, SamplerError, context
from modcollapse.game import coalition_labels
from modcollapse.measure import _scores
from modcollapse.measure._conditions import ConditionBatches, own_copy, with_clean_outputs
from modcollapse.measure._plan import Batch, Cell, batches
from modcollapse.measure._prepare import Run, noted, prepare
from modcollapse.table import CoalitionTable, Kept

SEEDS = "seeds reach 2**63: where 32 bits are taken, as by numpy or set_seed, use seed % 2**32"
_PACKAGES = ("modcollapse", "numpy", "torch", "diffusers", "transformers", "open_clip_torch")


@overload
def evaluate_coalitions(
    sampler: Sampler,
    detector: Mapping[str, Detector],
    examples: Sequence[Example],
    triggers: Triggers,
    **run: Unpack[RunOptions],
) -> dict[str, CoalitionTable]: ...
@overload
def evaluate_coalitions(
    sampler: Sampler,
    detector: Detector,
    examples: Sequence[Example],
    triggers: Triggers,
    **run: Unpack[RunOptions],
) -> CoalitionTable: ...
def evaluate_coalitions(
    sampler: Sampler,
    detector: Detector | Mapping[str, Detector],
    examples: Sequence[Example],
    triggers: Triggers,
    **run: Unpack[RunOptions],
) -> CoalitionTable | dict[str, CoalitionTable]:
    """Generate every example under every subset of the triggers and score the outputs.

    All coalitions of an example and repeat share their noise, so that differences between them
    are paired. Everything that can be checked is checked before anything is generated.

    Args:
        sampler: ``sampler(conditions, seeds) -> outputs``, see ``contracts.Sampler``.
        detector: ``detector(outputs, examples) -> B numbers``, see ``contracts.Detector``; or a
            mapping from name to detector, to score the same outputs several ways.
        examples: N mappings from modality to clean condition, with an optional ``"id"`` and what
            the detector wants. Each is read twice: to be checked, and to be used.
        triggers: modality -> trigger, M of them; their order is the order of the players.
        seed: run seed, default 0; the noise of an example follows from it, its id and the repeat.
        repeats: R seeds for each example, default 1.
        batch_size: B rows in every call of the sampler, default 8; the last batch is filled up.
        keep: keep the outputs of the first ``keep`` examples (first repeat) for a gallery,
            default 0.
        progress: show a progress bar, default True.
        cluster: what groups the examples into the units of all inference, default None: a key of
            the examples (``"source"``, where one image comes with several instructions), a
            function of an example, or N labels.

    Returns:
        A ``CoalitionTable`` of shape (N, R, 2**M), or a dict of them by name of the detector.

    Raises:
        InputError: an argument is wrong.
        OptionError: there is no such keyword.
        TriggerError: a trigger cannot be applied, changes nothing or changes its argument.
        SamplerError: too few or too many outputs, or one that is not finite.
        DetectorError: a wrong number of scores, or one that is not finite or out of bounds.

    Source:
        The coalitions of arXiv:2603.06508 with common random numbers.

    >>> def sampler(conditions, seeds):
    ...     return [(t.count("!"), i) for t, i in zip(conditions["text"], conditions["image"])]
    >>> table = evaluate_coalitions(
    ...     sampler,
    ...     lambda outputs, examples: [text + 0.5 * image for text, image in outputs],
    ...     [{"id": "a", "image": 0, "text": "hat"}],
    ...     {"image": lambda image: image + 1, "text": lambda text: text + "!"},
    ...     progress=False,
    ... )
    >>> table.coalitions
    ('none', 'image', 'text', 'image+text')
    >>> table.values
    array([[[0. , 0.5, 1. , 1.5]]])
    """
    check_run_options("evaluate_coalitions", run)
    prepared = prepare({"": sampler}, detector, examples, triggers, **run)
    (tables,) = measure(prepared).values()
    return prepared.scorers.unwrapped(tables)


def measure(run: Run, *, probe: bool = True) -> dict[str, dict[str, CoalitionTable]]:
    """Carry out a run that ``prepare`` has checked.

    Every batch of conditions goes to all samplers before the next is gathered.

    Args:
        run: what ``prepare`` returned.
        probe: let the samplers look at two examples first, where they can.

    Returns:
        Label of the sampler -> name of the detector -> table.
    """
    gathered = ConditionBatches(run.examples, run.triggers, run.needed)
    recordings = [_Recording(run, label, sampler) for label, sampler in run.samplers.items()]
    if probe:
        for recording in recordings:
            recording.probe(gathered)
    with _bar(run.cost.generations * len(recordings), run.progress) as bar:
        for batch in batches(run.cost):
            conditions, examples = gathered.gather(batch.cells)
            for recording in recordings:
                recording.add(batch, conditions, examples, gathered)
                bar.update(batch.real)
    return {recording.label: recording.tables() for recording in recordings}


class _Recording:
    """What one sampler of a run generates, scored."""

    def __init__(self, run: Run, label: str, sampler: SamplerSpec) -> None:
        self.label = label
        self._run, self._sampler = run, sampler
        self._values = {name: np.full(run.shape, np.nan) for name in run.scorers.by_name}
        self._perfect = {
            name: np.full(
                run.shape[:2], scorer.perfect if isinstance(scorer.perfect, float) else np.nan
            )
            for name, scorer in run.scorers.items()
            if scorer.perfect is not None
        }
        self._kept: list[Kept] = []
        self._notes: list[str] = []
        self._carried: dict[tuple[int, int], Any] = {}
        self._labels = coalition_labels(run.modalities)
        self._begun = False

    def probe(self, gathered: ConditionBatches) -> None:
        """Let the sampler look at the first two examples, clean and triggered."""
        if self._sampler.probe is None:
            return
        run, first = self._run, range(min(2, self._run.cost.examples))
        columns = (0, run.cost.coalitions - 1)
        cells = [Cell(example, 0, column) for column in columns for example in first]
        conditions, _ = gathered.gather(cells)
        seeds = [int(run.seeds[cell.example, 0]) for cell in cells]
        rows = {name: list(conditions[name]) for name in self._sampler.modalities}
        with noted(self.label):
            self._notes = [str(note) for note in self._sampler.probe(rows, seeds)]

    def add(
        self,
        batch: Batch,
        conditions: Mapping[str, Any],
        examples: Sequence[Example],
        gathered: ConditionBatches,
    ) -> None:
        """Generate and score one batch."""
        with noted(self.label):
            where = _Where(batch.cells, self._run.ids, self._labels)
            outputs = self._generated(batch, conditions, gathered, where)
            scorers = self._run.scorers.by_name.values()
            scored = score(outputs, examples, batch.cells, scorers, self._carried, where)
            finite, *rows = _scores.to_host(scored)[:, : batch.real]
            _scores.check_finite_outputs(finite, where)
            scores = iter(rows)
            for name, scorer in self._run.scorers.items():
                values = next(scores)
                _scores.check_values(values, scorer, where)
                for cell, value in zip(batch.cells, values, strict=False):
                    self._values[name][cell] = value
                if callable(scorer.perfect):
                    perfect = next(scores)
                    _scores.check_perfect(perfect, scorer, where)
                    for cell, value in zip(batch.cells, perfect, strict=False):
                        self._perfect[name][cell.example, cell.repeat] = value
            self._keep(outputs, examples, batch, gathered)

    def tables(self) -> dict[str, CoalitionTable]:
        """Return a table for each detector."""
        run = self._run
        return {
            name: CoalitionTable(
                values=self._values[name],
                modalities=run.modalities,
                example_ids=run.ids,
                seeds=run.seeds,
                digests=run.digests,
                clusters=run.clusters,
                bounds=scorer.bounds,
                binary=scorer.binary,
                perfect=self._perfect[name].mean(axis=1) if name in self._perfect else None,
                provenance={
                    "run": run.provenance(self.label, name),
                    "environments": [_environment()],
                    "notes": self._notes,
                },
                kept=tuple(self._kept),
            )
            for name, scorer in run.scorers.items()
        }

    def _generated(
        self,
        batch: Batch,
        conditions: Mapping[str, Any],
        gathered: ConditionBatches,
        where: _scores.Where,
    ) -> Any:
        shared = len(self._run.samplers) > 1  # each sampler may do with its batch what it likes
        rows = {
            name: own_copy(conditions[name]) if shared else conditions[name]
            for name in self._sampler.modalities
        }
        seeds = [int(self._run.seeds[cell.example, cell.repeat]) for cell in batch.cells]
        before = None if self._begun else gathered.fingerprints()
        every = range(len(batch.cells))
        with context(lambda: f"raised by the sampler for {where(every)}"):
            try:
                outputs = self._sampler.call(rows, seeds)
            except (ValueError, OverflowError) as error:
                if "seed" in str(error).lower():
                    error.add_note(SEEDS)
                raise
        if before is not None and gathered.fingerprints() != before:
            raise SamplerError(
                "the sampler wrote into its conditions, which other rows share "
                f"({where(every)}). Work on copies"
            )
        self._begun = True
        return _scores.check_outputs(outputs, len(batch.cells), where)

    def _keep(
        self, outputs: Any, examples: Sequence[Example], batch: Batch, gathered: ConditionBatches
    ) -> None:
        """Copy outputs that were asked for to the host; the others are dropped with the batch."""
        for row, cell in enumerate(batch.cells[: batch.real]):
            if cell.example < self._run.keep and cell.repeat == 0:
                if cell.coalition == 0:
                    example_id = self._run.ids[cell.example]
                    triggered = gathered.triggered(cell.example)
                    self._kept.append(Kept(example_id, dict(examples[row]), triggered, []))
                output = own_copy(outputs[row])
                self._kept[-1].outputs.append(output.cpu() if hasattr(output, "cpu") else output)


def score(
    outputs: Any,
    examples: Sequence[Example],
    cells: Sequence[Cell],
    scorers: Iterable[Scorer],
    carried: dict[tuple[int, int], Any],
    where: _scores.Where,
) -> list[Any]:
    """Score one batch where it lies: rows of B numbers.

    Flags of finite outputs, then of each detector the scores and, where it is a function of the
    examples, what a perfect attack would score.
    """
    scored = [_scores.finite_flags(outputs)]
    with_clean: Sequence[Example] | None = None
    for scorer in scorers:
        seen = examples
        if scorer.wants_clean_output:
            if with_clean is None:
                with_clean = with_clean_outputs(outputs, examples, cells, carried)
            seen = with_clean
        version = getattr(outputs, "_version", None)  # a tensor counts what is written into it
        with context(partial(_raised_by, scorer, where, len(cells))):
            scores = scorer.call(outputs, seen)
        scored.append(_scores.check_scores(scores, len(cells), scorer.name, where))
        if getattr(outputs, "_version", None) != version:
            raise DetectorError(
                f"detector {scorer.name!r} wrote into the outputs, which other detectors read too. "
                "Work on a copy: outputs.clone()"
            )
        if callable(scorer.perfect):
            with context(f"raised by perfect of detector {scorer.name!r}"):
                perfect = scorer.perfect(seen)
            what = f"{scorer.name}.perfect"
            scored.append(_scores.check_scores(perfect, len(cells), what, where))
    return scored


def _raised_by(scorer: Scorer, where: _scores.Where, rows: int) -> str:
    return f"raised by detector {scorer.name!r} for {where(range(rows))}"


class _Where:
    """Name rows of a batch in an error: which examples, which coalitions."""

    def __init__(
        self, cells: Sequence[Cell], ids: Sequence[ExampleId], labels: Sequence[str]
    ) -> None:
        self._cells, self._ids, self._labels = cells, ids, labels

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


def _bar(total: int, progress: bool) -> Any:
    from tqdm import tqdm

    return tqdm(total=total, desc="coalitions", unit="image", disable=not progress)


def _environment() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions

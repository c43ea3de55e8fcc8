"""The one loop that calls the sampler and the detectors."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import metadata
from typing import Any, overload

import numpy as np

from modcollapse.contracts import Detector, Example, ExampleId, Sampler, Triggers
from modcollapse.errors import DetectorError, SamplerError
from modcollapse.game import coalition_labels
from modcollapse.measure import scores as scoring
from modcollapse.measure.conditions import ConditionBatches, own_copy, with_clean_outputs
from modcollapse.measure.plan import Batch, Row, batches
from modcollapse.measure.prepare import Run, prepare
from modcollapse.measure.table import CoalitionTable, Kept

_PACKAGES = ("modcollapse", "numpy", "torch", "diffusers", "transformers", "open_clip_torch")


@overload
def evaluate_coalitions(
    sampler: Sampler,
    detector: Detector,
    examples: Sequence[Example],
    triggers: Triggers,
    *,
    seed: int = 0,
    repeats: int = 1,
    batch_size: int = 8,
    keep: int = 0,
    progress: bool = True,
) -> CoalitionTable: ...
@overload
def evaluate_coalitions(
    sampler: Sampler,
    detector: Mapping[str, Detector],
    examples: Sequence[Example],
    triggers: Triggers,
    *,
    seed: int = 0,
    repeats: int = 1,
    batch_size: int = 8,
    keep: int = 0,
    progress: bool = True,
) -> dict[str, CoalitionTable]: ...
def evaluate_coalitions(
    sampler: Sampler,
    detector: Detector | Mapping[str, Detector],
    examples: Sequence[Example],
    triggers: Triggers,
    *,
    seed: int = 0,
    repeats: int = 1,
    batch_size: int = 8,
    keep: int = 0,
    progress: bool = True,
) -> CoalitionTable | dict[str, CoalitionTable]:
    """Generate every example under every subset of the triggers and score the outputs.

    All coalitions of an example and repeat share their noise, so that differences between them
    are paired. Everything that can be checked is checked before anything is generated.

    Args:
        sampler: ``sampler(conditions, seeds) -> outputs``, see ``contracts.Sampler``.
        detector: ``detector(outputs, examples) -> B numbers``, see ``contracts.Detector``; or a
            mapping from name to detector, to score the same outputs several ways.
        examples: N mappings from modality to clean condition, with an optional ``"id"`` and what
            the detector wants.
        triggers: modality -> trigger, M of them; their order is the order of the players.
        seed: run seed; the noise of an example follows from it, its id and the repeat.
        repeats: R seeds for each example.
        batch_size: B rows in every call of the sampler, the last one filled up.
        keep: keep the outputs of the first ``keep`` examples (first repeat) for a gallery.
        progress: show a progress bar.

    Returns:
        A ``CoalitionTable`` of shape (N, R, 2**M), or a dict of them by name of the detector.

    Raises:
        InputError: an argument is wrong.
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
    run = prepare(
        sampler,
        detector,
        examples,
        triggers,
        seed=seed,
        repeats=repeats,
        batch_size=batch_size,
        keep=keep,
        progress=progress,
    )
    tables = measure(run)
    return tables if isinstance(detector, Mapping) else next(iter(tables.values()))


def measure(run: Run, *, probe: bool = True) -> dict[str, CoalitionTable]:
    """Carry out a run that ``prepare`` has checked; return a table for each of its detectors.

    Args:
        run: what ``prepare`` returned.
        probe: let the sampler look at two examples first, where it can.
    """
    gathered = ConditionBatches(run.examples, run.triggers, run.needed)
    notes = _probe(run.sampler, gathered, run.seeds, len(run.modalities)) if probe else []
    values = {name: np.full(run.shape, np.nan) for name in run.detectors}
    kept: list[Kept] = []
    carried: dict[tuple[int, int], Any] = {}
    labels = coalition_labels(run.modalities)
    with _bar(run.cost.generations, run.progress) as bar:
        for number, batch in enumerate(batches(run.cost)):
            where = _Where(batch.rows, run.ids, labels)
            conditions, rows = gathered.gather(batch.rows)
            before = gathered.fingerprints() if number == 0 else None
            row_seeds = [int(run.seeds[row.example, row.repeat]) for row in batch.rows]
            with _told("the sampler", where, len(rows)):
                outputs = run.sampler(conditions, row_seeds)
            if before is not None and gathered.fingerprints() != before:
                raise SamplerError(
                    "the sampler wrote into its conditions, which other rows share "
                    f"({where(range(len(rows)))}). Work on copies"
                )
            scoring.check_outputs(outputs, len(rows), where)
            on_device = score(outputs, rows, batch.rows, run.detectors, carried, where)
            finite, *scores = scoring.to_host(on_device)[:, : batch.real]
            scoring.check_finite_outputs(finite, where)
            for (name, one), of_detector in zip(run.detectors.items(), scores, strict=True):
                scoring.check_values(of_detector, name, one, where)
                for row, value in zip(batch.rows, of_detector, strict=False):
                    values[name][row] = value
            _keep(kept, run.keep, outputs, rows, batch, run.ids, gathered)
            del conditions, rows, outputs, on_device  # before the next batch is generated
            bar.update(batch.real)
    return {
        name: CoalitionTable(
            values=values[name],
            modalities=run.modalities,
            example_ids=run.ids,
            seeds=run.seeds,
            digests=run.digests,
            bounds=getattr(one, "bounds", None),
            binary=bool(getattr(one, "binary", False)),
            provenance={
                "run": run.provenance(name),
                "environments": [_environment()],
                "notes": notes,
            },
            kept=tuple(kept),
        )
        for name, one in run.detectors.items()
    }


def score(
    outputs: Any,
    examples: Sequence[Example],
    rows: Sequence[Row],
    detectors: Mapping[str, Detector],
    carried: dict[tuple[int, int], Any],
    where: scoring.Where,
) -> list[Any]:
    """Score one batch where it lies: B flags of finite outputs, then B scores of each detector."""
    scored = [scoring.finite_flags(outputs)]
    with_clean: Sequence[Example] | None = None
    for name, detector in detectors.items():
        seen = examples
        if getattr(detector, "wants_clean_output", False):
            if with_clean is None:
                with_clean = with_clean_outputs(outputs, examples, rows, carried)
            seen = with_clean
        version = getattr(outputs, "_version", None)
        with _told(f"detector {name!r}", where, len(rows)):
            scores = detector(outputs, seen)
        scored.append(scoring.check_scores(scores, len(rows), name, where))
        if getattr(outputs, "_version", None) != version:
            raise DetectorError(
                f"detector {name!r} wrote into the outputs, which other detectors read too. "
                "Work on a copy: outputs.clone()"
            )
    return scored


@contextmanager
def _told(who: str, where: scoring.Where, rows: int) -> Iterator[None]:
    """Let an error of somebody else's code say which rows it was about."""
    try:
        yield
    except Exception as error:
        error.add_note(f"raised by {who} for {where(range(rows))}")
        raise


class _Where:
    """Name rows of a batch in an error: which examples, which coalitions."""

    def __init__(
        self, rows: Sequence[Row], ids: Sequence[ExampleId], labels: Sequence[str]
    ) -> None:
        self._rows, self._ids, self._labels = rows, ids, labels

    def __call__(self, positions: Sequence[int]) -> str:
        rows = [self._rows[position] for position in positions]
        examples = list(dict.fromkeys(repr(self._ids[row.example]) for row in rows))
        coalitions = list(dict.fromkeys(self._labels[row.coalition] for row in rows))
        return (
            f"example{'s' if len(examples) > 1 else ''} {_short(examples)}, "
            f"coalition{'s' if len(coalitions) > 1 else ''} {_short(coalitions)}"
        )


def _short(names: list[str], most: int = 4) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _probe(
    sampler: Sampler, gathered: ConditionBatches, seeds: np.ndarray, n_modalities: int
) -> list[str]:
    if not hasattr(sampler, "probe"):
        return []
    first = range(min(2, len(seeds)))
    rows = [Row(example, 0, column) for column in (0, 2**n_modalities - 1) for example in first]
    conditions, _ = gathered.gather(rows)
    row_seeds = [int(seeds[row.example, 0]) for row in rows]
    listed = {modality: list(variants) for modality, variants in conditions.items()}
    return [str(note) for note in sampler.probe(listed, row_seeds)]


def _keep(
    kept: list[Kept],
    keep: int,
    outputs: Any,
    examples: Sequence[Example],
    batch: Batch,
    ids: Sequence[ExampleId],
    gathered: ConditionBatches,
) -> None:
    """Copy outputs that were asked for to the host; the others are dropped with the batch."""
    for position, row in enumerate(batch.rows[: batch.real]):
        if row.example < keep and row.repeat == 0:
            if row.coalition == 0:
                triggered = gathered.triggered(row.example)
                kept.append(Kept(ids[row.example], dict(examples[position]), triggered, []))
            output = own_copy(outputs[position])
            kept[-1].outputs.append(output.cpu() if hasattr(output, "cpu") else output)


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

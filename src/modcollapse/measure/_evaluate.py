"""The one loop that calls samplers and detectors."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeAlias, Unpack, overload

from modcollapse.contracts import (
    Detector,
    Example,
    RunOptions,
    Sampler,
    Triggers,
    check_run_options,
)
from modcollapse.measure._conditions import ConditionBatches
from modcollapse.measure._plan import batches, duration
from modcollapse.measure._prepare import Run, prepare
from modcollapse.measure._recording import Recording
from modcollapse.table import CoalitionTable


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
        probe: look at the sampler and the detectors first, default True: does every output and
            every score follow from its own row alone? It costs two batches.
        neutral: modality -> name -> a trigger that is not the trigger, default None: each example
            is also generated with each of them in place of the trigger, alone and beside the
            triggers of all other modalities; see ``neutral_triggers`` and ``generation_cost``.

    Returns:
        A ``CoalitionTable`` of shape (N, R, 2**M), or a dict of them by name of the detector.

    Raises:
        InputError: an argument is wrong.
        OptionError: there is no such keyword.
        TriggerError: a trigger cannot be applied, changes nothing or changes its argument.
        SamplerError: too few or too many outputs, or one that is not finite.
        DetectorError: a wrong number of scores, or one that is not finite or out of bounds.
        Exception: whatever ends a run early, Ctrl-C included, has the rows of the examples that
            were finished as ``error.tables``: a table, or a dict of them by name of the detector.

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


Tables: TypeAlias = dict[str, dict[str, CoalitionTable]]
"""Label of the sampler -> name of the detector -> table."""


def measure(
    run: Run, *, look: bool = True, until: Callable[[Tables], bool] | None = None
) -> Tables:
    """Carry out a run that ``prepare`` has checked.

    Every batch of conditions goes to all samplers before the next is gathered. What was finished
    when an error ends the run is kept: ``error.tables``.

    Args:
        run: what ``prepare`` returned.
        look: look at samplers and detectors first, if the run says so.
        until: whether the run may stop, asked at the looks that it declares.

    Returns:
        Label of the sampler -> name of the detector -> table.
    """
    gathered = ConditionBatches(run)
    recordings = [Recording(run, label, look=look) for label in run.samplers]
    due = list(run.looks.get("examples", ()))
    try:
        for recording in recordings:
            recording.probe(gathered)
        with _bar(run.cost.generations * len(recordings), run.progress) as bar:
            for batch in batches(run.cost):
                conditions, examples = gathered.gather(batch.cells)
                for recording in recordings:
                    recording.add(batch, conditions, examples, gathered)
                    bar.update(batch.real)
                _announce(run, recordings, bar)
                while due and due[0] <= recordings[-1].finished:
                    most = due.pop(0)
                    if until is not None and until(_tables(run, recordings, most)):
                        return _tables(_settled(run), recordings, most)
        return _tables(_settled(run), recordings)
    except BaseException as error:
        vars(error)["tables"] = _finished(run, recordings)
        raise


def _tables(run: Run, recordings: Sequence[Recording], most: int | None = None) -> Tables:
    return {recording.label: recording.tables(run, most) for recording in recordings}


def _settled(run: Run) -> Run:
    with suppress(Exception):  # an identity that fails now must not cost what was measured
        return run.settled()
    return run


def _announce(run: Run, recordings: Sequence[Recording], bar: Any) -> None:
    """Say once, after the first batch, what the run will cost."""
    seconds = sum(recording.seconds for recording in recordings)
    if bar.disable or bar.n > run.cost.batch_size * len(recordings) or not seconds:
        return
    left = (run.cost.batches - 1) * seconds
    control = " and as many of the control" if len(recordings) > 1 else ""
    most = "at most " if run.looks else ""
    said = f"{run.cost}{control}: {most}about {duration(left)} to go, at {seconds:.2g} s a batch"
    bar.write(said, file=sys.stderr)


def _finished(run: Run, recordings: Sequence[Recording]) -> Any:
    """Tables of what was finished, in the form in which they would have been returned.

    Of several samplers, those of each under what a note on an error says of it.
    """
    run = _settled(run)
    found = {
        recording.label: run.scorers.unwrapped(recording.tables(run))
        for recording in recordings
        if recording.finished
    }
    return found if len(recordings) > 1 or not found else next(iter(found.values()))


def _bar(total: int, progress: bool) -> Any:
    from tqdm import tqdm

    return tqdm(total=total, desc="coalitions", unit="output", disable=not progress)

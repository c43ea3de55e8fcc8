"""Examples x coalitions -> table: the call, and how a prepared run is carried out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Unpack, overload

from modcollapse.contracts import (
    Detector,
    Examples,
    RunOptions,
    Sampler,
    Triggers,
    check_run_options,
)
from modcollapse.errors import TableError
from modcollapse.measure._course import Course, Tables
from modcollapse.measure._journal import opened_journal
from modcollapse.measure._prepare import prepare
from modcollapse.measure._run import Run
from modcollapse.measure._so_far import SoFar
from modcollapse.measure._team import Team
from modcollapse.table import CoalitionTable


@overload
def evaluate_coalitions(
    sampler: Sampler,
    detector: Mapping[str, Detector],
    examples: Examples,
    triggers: Triggers,
    **run: Unpack[RunOptions],
) -> dict[str, CoalitionTable]: ...
@overload
def evaluate_coalitions(
    sampler: Sampler,
    detector: Detector,
    examples: Examples,
    triggers: Triggers,
    **run: Unpack[RunOptions],
) -> CoalitionTable: ...
def evaluate_coalitions(
    sampler: Sampler,
    detector: Detector | Mapping[str, Detector],
    examples: Examples,
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
            the detector wants: a sequence, of which each is read twice, to be checked and to be
            used; or a stream (an iterator, a streaming data set), which is read once, and checked
            and generated some at a time. A ``pathlib.Path`` to a picture, a folder of frames or a
            ``.wav`` file is opened when the example is read.
        triggers: modality -> trigger, M of them; their order is the order of the players.
        seed: run seed, default 0; the noise of an example follows from it, its id and the repeat.
        repeats: R seeds for each example, default 1.
        batch_size: B rows in every call of the sampler, default 8; the last batch is filled up.
            ``"auto"``: as many as fit, a power of two up to 64, which is tried out first.
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
        columns: name that the run uses -> column (key) of the examples, default None, such as
            ``{"image": "input_image", "text": "edit_prompt"}``; other columns keep their names.
        journal: folder in which every finished example is written down at once, default None: the
            same call goes on from there after an interruption, and takes more examples or repeats.
        split: share the run with the processes that torch.distributed has joined, each measuring a
            part of the examples, default True; every one gets the whole table.
        halve: where memory runs out, halve the batch and go on, default True.
        prefetch: prepare the conditions of the next batch in a thread meanwhile, default True.

    Returns:
        A ``CoalitionTable`` of shape (N, R, 2**M), or a dict of them by name of the detector.

    Raises:
        InputError: an argument is wrong.
        OptionError: there is no such keyword.
        TriggerError: a trigger cannot be applied, changes nothing or changes its argument.
        TableError: the journal is of another run, or another process writes into it.
        SamplerError: too few or too many outputs, or one that is not finite; or the run failed in
            another process.
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


def measure(
    run: Run, *, look: bool = True, until: Callable[[Tables], bool] | None = None
) -> Tables:
    """Carry out a run that ``prepare`` has checked.

    What was finished when an error ends the run is kept: ``error.tables``.

    Args:
        run: what ``prepare`` returned.
        look: look at samplers and detectors first, if the run says so.
        until: whether the run may stop, asked at the looks that it declares.

    Returns:
        Label of the sampler -> name of the detector -> table.
    """
    team = Team.of(run.split)
    with opened_journal(run, team) as journal, _bar(run, team) as bar:
        so_far = SoFar(run)
        try:
            part: Run | None = run
            while part is not None:
                if journal is not None:
                    team.together(partial(journal.turn_to, part))
                course = Course(part, team, journal, bar, look=look, before=so_far.course)
                so_far.follow(course)
                if course.carry_out(until and (lambda: until(so_far.tables()))):
                    break
                look = look and not course.begun
                part = team.together(course.run.following)
                if part is None and journal is not None:
                    journal.warn_of_the_rest(course.run)
            return so_far.settled_tables()
        except BaseException as error:
            vars(error)["tables"] = so_far.as_returned()
            if journal is not None and not isinstance(error, TableError):  # which refuses it
                error.add_note(journal.how_to_go_on(so_far.finished))
            raise
        finally:
            if journal is not None and so_far.course is not None:
                journal.end(so_far.settled_run(), so_far.course.notes())


def _bar(run: Run, team: Team) -> Any:
    from tqdm import tqdm

    hidden = not run.progress or team.rank > 0
    return tqdm(desc="coalitions", unit="output", disable=hidden)

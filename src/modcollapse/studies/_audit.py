"""``tma``, ``cti``, ``coalition_means`` and ``audit``: measure if need be, then analyse.

Each takes a table that was measured earlier, a mapping of tables by name (then it returns a dict
of results by name), or a sampler, a detector, examples and triggers, with the options of
``evaluate_coalitions``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Unpack, overload

from modcollapse._support.validation import whole
from modcollapse.analysis import (
    Attribution,
    Audit,
    Audits,
    CoalitionMeans,
    Interaction,
    Method,
    Rules,
    Settings,
    analyse,
    as_audits,
    attribution,
    interaction,
    means,
)
from modcollapse.contracts import Detector, Examples, RunOptions, Sampler, Triggers
from modcollapse.errors import InputError
from modcollapse.game import Index
from modcollapse.studies._sources import tables_of
from modcollapse.studies._stopping import Looks
from modcollapse.table import CoalitionTable


@overload
def tma(
    source: CoalitionTable,
    *,
    level: float = 0.95,
    method: Method = "auto",
    cluster: Sequence[str | int] | None = None,
) -> Attribution: ...
@overload
def tma(
    source: Mapping[str, CoalitionTable],
    *,
    level: float = 0.95,
    method: Method = "auto",
    cluster: Sequence[str | int] | None = None,
) -> dict[str, Attribution]: ...
@overload
def tma(
    source: Sampler,
    detector: Mapping[str, Detector],
    examples: Examples,
    triggers: Triggers,
    *,
    level: float = 0.95,
    method: Method = "auto",
    **run: Unpack[RunOptions],
) -> dict[str, Attribution]: ...
@overload
def tma(
    source: Sampler,
    detector: Detector,
    examples: Examples,
    triggers: Triggers,
    *,
    level: float = 0.95,
    method: Method = "auto",
    **run: Unpack[RunOptions],
) -> Attribution: ...
def tma(
    source: Any,
    detector: Any = None,
    examples: Any = None,
    triggers: Any = None,
    *,
    level: float = 0.95,
    method: Method = "auto",
    **run: Unpack[RunOptions],
) -> Attribution | dict[str, Attribution]:
    """Trigger Modality Attribution: the Shapley value of each modality, averaged over examples.

    Args:
        source: a table, a mapping of tables by name, or a sampler.
        detector: with a sampler: what scores its outputs, or a mapping of such by name.
        examples: with a sampler: N examples.
        triggers: with a sampler: modality -> trigger.
        level: confidence level of the intervals, in (0, 1), default 0.95.
        method: kind of interval, see ``analysis.contrast_estimates``.
        seed: with a sampler: run seed, default 0.
        repeats: with a sampler: seeds for each example, default 1.
        batch_size: with a sampler: rows in every call of it, default 8.
        keep: with a sampler: examples whose outputs are kept for a gallery, default 0.
        progress: with a sampler: show a progress bar, default True.
        cluster: what groups the examples into units, see ``evaluate_coalitions``, default None; of
            a table, N labels.
        probe: with a sampler: look at it and the detectors first, default True.
        neutral: with a sampler: triggers that are not the trigger, see ``evaluate_coalitions``,
            default None.
        columns: with a sampler: name that the run uses -> column of the examples, see
            ``evaluate_coalitions``, default None.
        journal: with a sampler: folder in which finished examples are written down at once, so that
            the same call goes on from there, see ``evaluate_coalitions``, default None.
        split: with a sampler: share the run with the processes that torch.distributed has joined,
            default True.
        halve: with a sampler: halve the batch where memory runs out, default True.
        prefetch: with a sampler: prepare conditions in a thread meanwhile, default True.

    Returns:
        An ``Attribution``: modality -> ``Estimate``, in the unit of the value, each between minus
        and plus the range of the value; they sum to ``total``, the mean of v(all) - v(empty).

    Raises:
        InputError: arguments that do not go together; and what ``evaluate_coalitions`` raises.

    Source:
        TMA of arXiv:2603.06508; Shapley (1953).

    >>> table = CoalitionTable.from_values([[0, 0, 1, 1], [0, 0.5, 1, 1]], ["image", "text"])
    >>> {name: estimate.value for name, estimate in tma(table).items()}
    {'image': 0.125, 'text': 0.875}
    """
    settings = Settings(level, method)
    tables = tables_of(
        "tma",
        source,
        detector,
        examples,
        triggers,
        run,
        settings,
        own=("level", "method"),
    )
    return tables.each(lambda pair: attribution(pair.table, settings))


@overload
def cti(
    source: CoalitionTable,
    *,
    index: Index = "SII",
    order: int = 2,
    level: float = 0.95,
    method: Method = "auto",
    cluster: Sequence[str | int] | None = None,
) -> Interaction: ...
@overload
def cti(
    source: Mapping[str, CoalitionTable],
    *,
    index: Index = "SII",
    order: int = 2,
    level: float = 0.95,
    method: Method = "auto",
    cluster: Sequence[str | int] | None = None,
) -> dict[str, Interaction]: ...
@overload
def cti(
    source: Sampler,
    detector: Mapping[str, Detector],
    examples: Examples,
    triggers: Triggers,
    *,
    index: Index = "SII",
    order: int = 2,
    level: float = 0.95,
    method: Method = "auto",
    **run: Unpack[RunOptions],
) -> dict[str, Interaction]: ...
@overload
def cti(
    source: Sampler,
    detector: Detector,
    examples: Examples,
    triggers: Triggers,
    *,
    index: Index = "SII",
    order: int = 2,
    level: float = 0.95,
    method: Method = "auto",
    **run: Unpack[RunOptions],
) -> Interaction: ...
def cti(
    source: Any,
    detector: Any = None,
    examples: Any = None,
    triggers: Any = None,
    *,
    index: Index = "SII",
    order: int = 2,
    level: float = 0.95,
    method: Method = "auto",
    **run: Unpack[RunOptions],
) -> Interaction | dict[str, Interaction]:
    """Cross-Trigger Interaction: what triggers do together beyond what they do alone.

    Args:
        source: a table, a mapping of tables by name, or a sampler.
        detector: with a sampler: what scores its outputs, or a mapping of such by name.
        examples: with a sampler: N examples.
        triggers: with a sampler: modality -> trigger, two or more.
        index: interaction index, which matters for M > 2 only: ``"SII"``, ``"STII"``, ``"k-SII"``,
            ``"BII"`` or ``"moebius"``.
        order: size of the groups of modalities, from 2 to M.
        level: confidence level of the intervals, in (0, 1), default 0.95.
        method: kind of interval, see ``analysis.contrast_estimates``.
        seed: with a sampler: run seed, default 0.
        repeats: with a sampler: seeds for each example, default 1.
        batch_size: with a sampler: rows in every call of it, default 8.
        keep: with a sampler: examples whose outputs are kept for a gallery, default 0.
        progress: with a sampler: show a progress bar, default True.
        cluster: what groups the examples into units, see ``evaluate_coalitions``, default None; of
            a table, N labels.
        probe: with a sampler: look at it and the detectors first, default True.
        neutral: with a sampler: triggers that are not the trigger, see ``evaluate_coalitions``,
            default None.
        columns: with a sampler: name that the run uses -> column of the examples, see
            ``evaluate_coalitions``, default None.
        journal: with a sampler: folder in which finished examples are written down at once, so that
            the same call goes on from there, see ``evaluate_coalitions``, default None.
        split: with a sampler: share the run with the processes that torch.distributed has joined,
            default True.
        halve: with a sampler: halve the batch where memory runs out, default True.
        prefetch: with a sampler: prepare conditions in a thread meanwhile, default True.

    Returns:
        An ``Interaction``: ``"image+text"`` -> ``Estimate``, in the unit of the value. At M = 2 it
        is v(IT) - v(I) - v(T) + v(0), between minus and plus twice the range of the value, and
        ``float()`` gives its mean.

    Raises:
        InputError: fewer than ``order`` modalities, arguments that do not go together; and what
            ``evaluate_coalitions`` raises.

    Source:
        CTI of arXiv:2603.06508; Grabisch and Roubens (1999) for M > 2.

    >>> table = CoalitionTable.from_values([[0, 0, 0, 1], [0, 0.5, 0, 1]], ["image", "text"])
    >>> float(cti(table))
    0.75
    """
    settings, order = Settings(level, method, index), whole(order, "order")
    tables = tables_of(
        "cti",
        source,
        detector,
        examples,
        triggers,
        run,
        settings,
        own=("index", "order", "level", "method"),
        order=order,
    )
    return tables.each(lambda pair: interaction(pair.table, settings, order))


@overload
def coalition_means(
    source: CoalitionTable,
    *,
    level: float = 0.95,
    method: Method = "auto",
    cluster: Sequence[str | int] | None = None,
) -> CoalitionMeans: ...
@overload
def coalition_means(
    source: Mapping[str, CoalitionTable],
    *,
    level: float = 0.95,
    method: Method = "auto",
    cluster: Sequence[str | int] | None = None,
) -> dict[str, CoalitionMeans]: ...
@overload
def coalition_means(
    source: Sampler,
    detector: Mapping[str, Detector],
    examples: Examples,
    triggers: Triggers,
    *,
    level: float = 0.95,
    method: Method = "auto",
    **run: Unpack[RunOptions],
) -> dict[str, CoalitionMeans]: ...
@overload
def coalition_means(
    source: Sampler,
    detector: Detector,
    examples: Examples,
    triggers: Triggers,
    *,
    level: float = 0.95,
    method: Method = "auto",
    **run: Unpack[RunOptions],
) -> CoalitionMeans: ...
def coalition_means(
    source: Any,
    detector: Any = None,
    examples: Any = None,
    triggers: Any = None,
    *,
    level: float = 0.95,
    method: Method = "auto",
    **run: Unpack[RunOptions],
) -> CoalitionMeans | dict[str, CoalitionMeans]:
    """Mean value under each coalition; of 0/1 values, the attack success rate.

    Args:
        source: a table, a mapping of tables by name, or a sampler.
        detector: with a sampler: what scores its outputs, or a mapping of such by name.
        examples: with a sampler: N examples.
        triggers: with a sampler: modality -> trigger.
        level: confidence level of the intervals, in (0, 1), default 0.95.
        method: kind of interval; ``"auto"`` is the exact one of a rate for 0/1 values with one
            repeat and no groups, else as in ``analysis.contrast_estimates``.
        seed: with a sampler: run seed, default 0.
        repeats: with a sampler: seeds for each example, default 1.
        batch_size: with a sampler: rows in every call of it, default 8.
        keep: with a sampler: examples whose outputs are kept for a gallery, default 0.
        progress: with a sampler: show a progress bar, default True.
        cluster: what groups the examples into units, see ``evaluate_coalitions``, default None; of
            a table, N labels.
        probe: with a sampler: look at it and the detectors first, default True.
        neutral: with a sampler: triggers that are not the trigger, see ``evaluate_coalitions``,
            default None.
        columns: with a sampler: name that the run uses -> column of the examples, see
            ``evaluate_coalitions``, default None.
        journal: with a sampler: folder in which finished examples are written down at once, so that
            the same call goes on from there, see ``evaluate_coalitions``, default None.
        split: with a sampler: share the run with the processes that torch.distributed has joined,
            default True.
        halve: with a sampler: halve the batch where memory runs out, default True.
        prefetch: with a sampler: prepare conditions in a thread meanwhile, default True.

    Returns:
        A ``CoalitionMeans``: ``"none"``, ``"image"``, ``"text"``, ``"image+text"`` -> ``Estimate``.
    """
    settings = Settings(level, method)
    tables = tables_of(
        "coalition_means",
        source,
        detector,
        examples,
        triggers,
        run,
        settings,
        own=("level", "method"),
    )
    return tables.each(lambda pair: means(pair.table, settings))


@overload
def audit(
    source: CoalitionTable,
    *,
    level: float = 0.95,
    method: Method = "auto",
    index: Index = "SII",
    rules: Rules | None = None,
    simultaneous: bool = False,
    control: CoalitionTable | None = None,
    cluster: Sequence[str | int] | None = None,
) -> Audit: ...
@overload
def audit(
    source: Mapping[str, CoalitionTable],
    *,
    level: float = 0.95,
    method: Method = "auto",
    index: Index = "SII",
    rules: Rules | None = None,
    simultaneous: bool = False,
    control: Mapping[str, CoalitionTable] | None = None,
    cluster: Sequence[str | int] | None = None,
) -> Audits: ...
@overload
def audit(
    source: Sampler,
    detector: Mapping[str, Detector],
    examples: Examples,
    triggers: Triggers,
    *,
    level: float = 0.95,
    method: Method = "auto",
    index: Index = "SII",
    rules: Rules | None = None,
    simultaneous: bool = False,
    control: Sampler | Mapping[str, CoalitionTable] | None = None,
    stop: Looks | None = None,
    **run: Unpack[RunOptions],
) -> Audits: ...
@overload
def audit(
    source: Sampler,
    detector: Detector,
    examples: Examples,
    triggers: Triggers,
    *,
    level: float = 0.95,
    method: Method = "auto",
    index: Index = "SII",
    rules: Rules | None = None,
    simultaneous: bool = False,
    control: Sampler | CoalitionTable | None = None,
    stop: Looks | None = None,
    **run: Unpack[RunOptions],
) -> Audit: ...
def audit(
    source: Any,
    detector: Any = None,
    examples: Any = None,
    triggers: Any = None,
    *,
    level: float = 0.95,
    method: Method = "auto",
    index: Index = "SII",
    rules: Rules | None = None,
    simultaneous: bool = False,
    control: Any = None,
    stop: Looks | None = None,
    **run: Unpack[RunOptions],
) -> Audit | Audits:
    """Everything from one pass: the table, the mean of every coalition, TMA, CTI and a verdict.

    Args:
        source: a table, a mapping of tables by name, or a sampler.
        detector: with a sampler: what scores its outputs, or a mapping of such by name.
        examples: with a sampler: N examples, 32 or more for a verdict.
        triggers: with a sampler: modality -> trigger.
        level: confidence level of the intervals, in (0, 1), default 0.95; that of the verdict is
            ``rules.alpha``.
        method: kind of interval, see ``analysis.contrast_estimates``.
        index: interaction index of the pairs, which matters for M > 2 only.
        rules: margins of the verdict.
        simultaneous: widen the intervals so that all of the audit hold together at the level.
        control: the same without a backdoor: a sampler where ``source`` is one, else a table or a
            mapping of tables. It is measured under the same examples, seeds and triggers, and the
            figures of the paired difference stand beside the raw ones: a trigger can shift the
            value where there is no backdoor.
        stop: with a sampler: look at the figures while they are measured, and stop when they say
            enough, see ``Looks``; default None, all examples.
        seed: with a sampler: run seed, default 0.
        repeats: with a sampler: seeds for each example, default 1.
        batch_size: with a sampler: rows in every call of it, default 8.
        keep: with a sampler: examples whose outputs are kept for a gallery, default 0.
        progress: with a sampler: show a progress bar, default True.
        cluster: what groups the examples into units, see ``evaluate_coalitions``, default None; of
            a table, N labels.
        probe: with a sampler: look at it and the detectors first, default True.
        neutral: with a sampler: triggers that are not the trigger, see ``evaluate_coalitions``,
            default None.
        columns: with a sampler: name that the run uses -> column of the examples, see
            ``evaluate_coalitions``, default None.
        journal: with a sampler: folder in which finished examples are written down at once, so that
            the same call goes on from there, see ``evaluate_coalitions``, default None.
        split: with a sampler: share the run with the processes that torch.distributed has joined,
            default True.
        halve: with a sampler: halve the batch where memory runs out, default True.
        prefetch: with a sampler: prepare conditions in a thread meanwhile, default True.

    Returns:
        An ``Audit``; with a single modality its ``cti`` is None. Of mappings an ``Audits``, a dict
        of audits by name. ``save(folder)`` keeps it for ``mc.load_audit``.

    Raises:
        InputError: arguments that do not go together; and what ``evaluate_coalitions`` raises.

    >>> table = CoalitionTable.from_values(
    ...     [[0, 0, 1, 1]] * 200, ["image", "text"], binary=True
    ... )
    >>> print(audit(table).verdict)
    Verdict: the triggers move the value by more than 10 % of a perfect attack (text, image+text); \
text dominates: it holds at least 98 % of the attribution; image+text interaction: negligible
    """
    settings = Settings(level, method, index, Rules() if rules is None else rules, simultaneous)
    if stop is not None and not isinstance(stop, Looks):
        raise InputError(f"stop must be a modcollapse.Looks, such as Looks(); got {stop!r}")
    tables = tables_of(
        "audit",
        source,
        detector,
        examples,
        triggers,
        run,
        settings,
        own=("level", "method", "index", "rules", "simultaneous", "control", "stop"),
        control=control,
        stop=stop,
    )
    return as_audits(tables.each(lambda pair: analyse(pair.table, settings, pair.control)))

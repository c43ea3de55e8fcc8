"""The metrics: Trigger Modality Attribution, Cross-Trigger Interaction, and both with a verdict.

Each takes a table that was measured earlier, a mapping of tables by name (then it returns a dict
of results by name), or a sampler, a detector, examples and triggers, with the options of
``evaluate_coalitions``.
"""

from __future__ import annotations

import numpy as np

from modcollapse.contracts import FloatArray
from modcollapse.errors import InputError
from modcollapse.game import interaction_contrasts, shapley_contrasts, subsets
from modcollapse.inference.estimate import Estimate
from modcollapse.inference.intervals import contrast_estimates, effect_contrast, rate_estimate
from modcollapse.inference.verdict import Rules, judge
from modcollapse.lift import from_table_or_sampler
from modcollapse.measure.table import CoalitionTable
from modcollapse.results import Attribution, Audit, CoalitionMeans, Interaction


@from_table_or_sampler
def tma(table: CoalitionTable, *, level: float = 0.95, method: str = "auto") -> Attribution:
    """Trigger Modality Attribution: the Shapley value of each modality, averaged over examples.

    Args:
        source: a table, a mapping of tables by name, or a sampler.
        detector: with a sampler: what scores its outputs, or a mapping of such by name.
        examples: with a sampler: N examples.
        triggers: with a sampler: modality -> trigger.
        level: confidence level of the intervals, in (0, 1).
        method: kind of interval, see ``inference.contrast_estimates``.
        run: with a sampler: options of ``evaluate_coalitions``.

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
    attributions = shapley_contrasts(len(table.modalities))
    contrasts = np.column_stack([attributions, effect_contrast(len(table.modalities))])
    *estimates, total = _estimates(table, contrasts, level, method)
    return Attribution(
        estimates=dict(zip(table.modalities, estimates, strict=True)),
        per_example=table.example_values @ attributions,
        example_ids=table.example_ids,
        total=total,
    )


@from_table_or_sampler
def cti(
    table: CoalitionTable,
    *,
    index: str = "SII",
    order: int = 2,
    level: float = 0.95,
    method: str = "auto",
) -> Interaction:
    """Cross-Trigger Interaction: what triggers do together beyond what they do alone.

    Args:
        source: a table, a mapping of tables by name, or a sampler.
        detector: with a sampler: what scores its outputs, or a mapping of such by name.
        examples: with a sampler: N examples.
        triggers: with a sampler: modality -> trigger, two or more.
        index: interaction index, which matters for M > 2 only: ``"SII"``, ``"STII"``, ``"k-SII"``,
            ``"BII"`` or ``"moebius"``.
        order: size of the groups of modalities, from 2 to M.
        level: confidence level of the intervals, in (0, 1).
        method: kind of interval, see ``inference.contrast_estimates``.
        run: with a sampler: options of ``evaluate_coalitions``.

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
    m = len(table.modalities)
    if not 2 <= order <= m:
        raise InputError(
            f"an interaction of order {order} is between 2 or more modalities, and at most all of "
            f"the table's {m} ({', '.join(table.modalities)})"
        )
    contrasts = interaction_contrasts(m, index, order)
    labels = ["+".join(table.modalities[i] for i in group) for group in subsets(m, order)]
    estimates = _estimates(table, contrasts, level, method)
    return Interaction(
        estimates=dict(zip(labels, estimates, strict=True)),
        per_example=table.example_values @ contrasts,
        example_ids=table.example_ids,
        index=index,
    )


@from_table_or_sampler
def audit(
    table: CoalitionTable,
    *,
    level: float = 0.95,
    method: str = "auto",
    index: str = "SII",
    rules: Rules | None = None,
    control: CoalitionTable | None = None,
) -> Audit:
    """Everything from one pass: the table, the mean of every coalition, TMA, CTI and a verdict.

    Args:
        source: a table, a mapping of tables by name, or a sampler.
        detector: with a sampler: what scores its outputs, or a mapping of such by name.
        examples: with a sampler: N examples, 32 or more for a verdict.
        triggers: with a sampler: modality -> trigger.
        level: confidence level of the intervals, in (0, 1).
        method: kind of interval, see ``inference.contrast_estimates``.
        index: interaction index of the pairs, which matters for M > 2 only.
        rules: margins of the verdict.
        control: the same without a backdoor: a sampler where ``source`` is one, else a table or a
            mapping of tables. It is measured under the same examples, seeds and triggers, and the
            figures of the paired difference stand beside the raw ones: a trigger can shift the
            value where there is no backdoor.
        run: with a sampler: options of ``evaluate_coalitions``.

    Returns:
        An ``Audit``; with a single modality its ``cti`` is None.

    Raises:
        InputError: arguments that do not go together; and what ``evaluate_coalitions`` raises.

    >>> table = CoalitionTable.from_values(
    ...     [[0, 0, 1, 1]] * 200, ["image", "text"], binary=True
    ... )
    >>> print(audit(table).verdict)
    Verdict: the triggers move the value; text dominates (over 90% of the effect); \
image+text interaction: negligible
    """
    without, difference = None, None
    if control is not None:
        options = {"level": level, "method": method, "index": index, "rules": rules}
        difference = audit(table.minus(control), **options)
        without = audit(control, **options)
    return Audit(
        table=table,
        means=coalition_means(table, level=level, method=method),
        tma=tma(table, level=level, method=method),
        cti=_pairs(table, index=index, level=level, method=method),
        verdict=judge(table, rules, index),
        control=without,
        adjusted=difference,
    )


@from_table_or_sampler
def coalition_means(
    table: CoalitionTable, *, level: float = 0.95, method: str = "auto"
) -> CoalitionMeans:
    """Mean value under each coalition; of 0/1 values, the attack success rate.

    Args:
        source: a table, a mapping of tables by name, or a sampler.
        detector: with a sampler: what scores its outputs, or a mapping of such by name.
        examples: with a sampler: N examples.
        triggers: with a sampler: modality -> trigger.
        level: confidence level of the intervals, in (0, 1).
        method: kind of interval; ``"auto"`` is Wilson's (Clopper-Pearson's below 32 examples) for
            0/1 values with one repeat, else as in ``inference.contrast_estimates``.
        run: with a sampler: options of ``evaluate_coalitions``.

    Returns:
        A ``CoalitionMeans``: ``"none"``, ``"image"``, ``"text"``, ``"image+text"`` -> ``Estimate``.
    """
    values = table.example_values
    if method == "auto" and table.binary and table.values.shape[1] == 1:
        estimates = [rate_estimate(column, level) for column in values.T]
    else:
        estimates = _estimates(table, np.eye(values.shape[1]), level, method)
    return CoalitionMeans(
        estimates=dict(zip(table.coalitions, estimates, strict=True)),
        per_example=values,
        example_ids=table.example_ids,
    )


def _pairs(table: CoalitionTable, *, index: str, level: float, method: str) -> Interaction | None:
    if len(table.modalities) == 1:
        return None
    return cti(table, index=index, level=level, method=method)


def _estimates(
    table: CoalitionTable, contrasts: FloatArray, level: float, method: str
) -> list[Estimate]:
    return contrast_estimates(
        table.example_values,
        contrasts,
        bounds=table.bounds,
        discrete=table.discrete,
        level=level,
        method=method,
    )

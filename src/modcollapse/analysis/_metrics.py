"""The metrics as functions of a table."""

from __future__ import annotations

import numpy as np

from modcollapse.analysis._intervals import contrast_estimates, effect_contrast, rate_estimate
from modcollapse.analysis._results import Attribution, Audit, CoalitionMeans, Interaction
from modcollapse.analysis._settings import Settings
from modcollapse.analysis._verdict import judge
from modcollapse.contracts import FloatArray
from modcollapse.game import interaction_contrasts, shapley_contrasts, subsets
from modcollapse.table import CoalitionTable, Estimate


def attribution(table: CoalitionTable, settings: Settings) -> Attribution:
    """Shapley value of each modality, and the total effect to which they sum; see ``mc.tma``."""
    attributions = shapley_contrasts(len(table.modalities))
    contrasts = np.column_stack([attributions, effect_contrast(len(table.modalities))])
    *estimates, total = _estimates(table, contrasts, settings)
    return Attribution(
        estimates=dict(zip(table.modalities, estimates, strict=True)),
        per_example=table.example_values @ attributions,
        example_ids=table.example_ids,
        total=total,
    )


def interaction(table: CoalitionTable, settings: Settings, order: int = 2) -> Interaction:
    """Interaction of every group of ``order`` modalities; see ``mc.cti``.

    Raises:
        InputError: ``order`` is not between 2 and M.
    """
    m = len(table.modalities)
    settings.check(table.modalities, table.bounds, order)
    contrasts = interaction_contrasts(m, settings.index, order)
    labels = ["+".join(table.modalities[i] for i in group) for group in subsets(m, order)]
    estimates = _estimates(table, contrasts, settings)
    return Interaction(
        estimates=dict(zip(labels, estimates, strict=True)),
        per_example=table.example_values @ contrasts,
        example_ids=table.example_ids,
        index=settings.index,
    )


def means(table: CoalitionTable, settings: Settings) -> CoalitionMeans:
    """Mean value under each coalition; see ``mc.coalition_means``."""
    values = table.example_values
    if settings.method == "auto" and table.binary and table.values.shape[1] == 1:
        estimates = [rate_estimate(column, settings.level) for column in values.T]
    else:
        estimates = _estimates(table, np.eye(values.shape[1]), settings)
    return CoalitionMeans(
        estimates=dict(zip(table.coalitions, estimates, strict=True)),
        per_example=values,
        example_ids=table.example_ids,
    )


def analyse(
    table: CoalitionTable, settings: Settings, control: CoalitionTable | None = None
) -> Audit:
    """Everything that a table says, alone and beside its control; see ``mc.audit``."""
    return Audit(
        table=table,
        means=means(table, settings),
        tma=attribution(table, settings),
        cti=interaction(table, settings) if len(table.modalities) > 1 else None,
        verdict=judge(table, settings.rules, settings.index),
        control=None if control is None else analyse(control, settings),
        difference=None if control is None else analyse(table.minus(control), settings),
    )


def _estimates(table: CoalitionTable, contrasts: FloatArray, settings: Settings) -> list[Estimate]:
    return contrast_estimates(
        table.example_values,
        contrasts,
        bounds=table.bounds,
        discrete=table.discrete,
        level=settings.level,
        method=settings.method,
    )

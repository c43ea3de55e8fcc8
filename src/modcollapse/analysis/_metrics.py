"""The metrics as functions of a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from modcollapse.analysis._contrasts import effect_contrasts
from modcollapse.analysis._intervals import contrast_estimates, rate_estimates
from modcollapse.analysis._results import Attribution, Audit, CoalitionMeans, Interaction
from modcollapse.analysis._sample import Sample
from modcollapse.analysis._settings import Settings
from modcollapse.analysis._verdict import judge, notes_on
from modcollapse.contracts import FloatArray
from modcollapse.game import interaction_contrasts, shapley_contrasts, subsets
from modcollapse.table import CoalitionTable, Estimate


class AtHand(NamedTuple):
    """What several metrics of one table need, computed once."""

    sample: Sample
    notes: tuple[str, ...]


def attribution(
    table: CoalitionTable, settings: Settings, at_hand: AtHand | None = None
) -> Attribution:
    """Shapley value of each modality, and the total effect to which they sum; see ``mc.tma``."""
    m = len(table.modalities)
    attributions = shapley_contrasts(m)
    contrasts = np.column_stack([attributions, effect_contrasts(m)[:, -1]])
    *estimates, total = _estimates(table, contrasts, settings, at_hand)
    return Attribution(
        **_common(table, settings, table.modalities, estimates, attributions, at_hand), total=total
    )


def interaction(
    table: CoalitionTable, settings: Settings, order: int = 2, at_hand: AtHand | None = None
) -> Interaction:
    """Interaction of every group of ``order`` modalities; see ``mc.cti``.

    Raises:
        InputError: ``order`` is not between 2 and M.
    """
    settings.check(table.modalities, (0.0, 1.0) if table.zero_one else table.bounds, order)
    m = len(table.modalities)
    contrasts = interaction_contrasts(m, settings.index, order)
    labels = ["+".join(table.modalities[i] for i in group) for group in subsets(m, order)]
    estimates = _estimates(table, contrasts, settings, at_hand)
    return Interaction(
        **_common(table, settings, labels, estimates, contrasts, at_hand), index=settings.index
    )


def means(
    table: CoalitionTable, settings: Settings, at_hand: AtHand | None = None
) -> CoalitionMeans:
    """Mean value under each coalition; see ``mc.coalition_means``."""
    single = table.zero_one and table.values.shape[1] == 1 and table.clusters is None
    contrasts = np.eye(len(table.coalitions))
    if single and settings.method in ("auto", "patterns"):
        alpha = settings.alpha(_estimate_count(table))
        estimates = rate_estimates(table.example_values, level=settings.level, alpha=alpha)
    else:
        estimates = _estimates(table, contrasts, settings, at_hand)
    return CoalitionMeans(
        **_common(table, settings, table.coalitions, estimates, contrasts, at_hand),
        success=table.zero_one,
    )


def analyse(
    table: CoalitionTable, settings: Settings, control: CoalitionTable | None = None
) -> Audit:
    """Everything that a table says, alone and beside its control; see ``mc.audit``.

    Of a bare table of differences there is no verdict: whether a model is backdoored is asked
    beside its control, and what it says is in units of a perfect attack on that model.
    """
    audit = _audit(table, settings, judged=not table.difference)
    if control is None:
        return audit
    return replace(
        audit,
        control=_audit(control, settings, judged=True),
        difference=_audit(table.minus(control), settings, judged=True),
    )


def _audit(table: CoalitionTable, settings: Settings, *, judged: bool) -> Audit:
    at_hand = AtHand(Sample.of(table), notes_on(table))
    return Audit(
        table=table,
        means=means(table, settings, at_hand),
        tma=attribution(table, settings, at_hand),
        cti=interaction(table, settings, 2, at_hand) if len(table.modalities) > 1 else None,
        verdict=(
            judge(table, settings.rules, settings.index, settings.method, *at_hand)
            if judged
            else None
        ),
    )


def _estimate_count(table: CoalitionTable) -> int:
    """Number of estimates of an audit: means, attributions, the total, interactions of pairs."""
    m = len(table.modalities)
    return len(table.coalitions) + m + 1 + m * (m - 1) // 2


def _common(
    table: CoalitionTable,
    settings: Settings,
    names: Sequence[str],
    estimates: Sequence[Estimate],
    contrasts: FloatArray,
    at_hand: AtHand | None,
) -> dict[str, Any]:
    """What all results hold."""
    return {
        "estimates": dict(zip(names, estimates, strict=True)),
        "per_example": table.example_values @ contrasts,
        "example_ids": table.example_ids,
        "simultaneous": settings.simultaneous,
        "notes": notes_on(table) if at_hand is None else at_hand.notes,
    }


def _estimates(
    table: CoalitionTable, contrasts: FloatArray, settings: Settings, at_hand: AtHand | None
) -> list[Estimate]:
    return contrast_estimates(
        Sample.of(table) if at_hand is None else at_hand.sample,
        contrasts,
        level=settings.level,
        method=settings.method,
        alpha=settings.alpha(_estimate_count(table)),
    )

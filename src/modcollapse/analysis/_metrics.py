"""The metrics as functions of a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from modcollapse.analysis._intervals import contrast_estimates, rate_estimates
from modcollapse.analysis._looks import level_at_each
from modcollapse.analysis._results import Attribution, Audit, CoalitionMeans, Interaction
from modcollapse.analysis._sample import Sample
from modcollapse.analysis._settings import Settings
from modcollapse.analysis._specificity import specificity
from modcollapse.analysis._verdict import Verdict, judge, notes_on
from modcollapse.analysis._weights import effect_contrasts
from modcollapse.contracts import FloatArray
from modcollapse.game import interaction_contrasts, shapley_contrasts, subsets
from modcollapse.table import CoalitionTable, Estimate

LOOKS = "every interval and every claim holds its level over {} declared looks together"


def attribution(table: CoalitionTable, settings: Settings) -> Attribution:
    """Shapley value of each modality, and the total effect to which they sum; see ``mc.tma``."""
    return _Metrics(table, settings).attribution()


def interaction(table: CoalitionTable, settings: Settings, order: int = 2) -> Interaction:
    """Interaction of every group of ``order`` modalities; see ``mc.cti``.

    Raises:
        InputError: ``order`` is not between 2 and M.
    """
    settings.check(table.modalities, (0.0, 1.0) if table.zero_one else table.bounds, order)
    return _Metrics(table, settings).interaction(order)


def means(table: CoalitionTable, settings: Settings) -> CoalitionMeans:
    """Mean value under each coalition; see ``mc.coalition_means``."""
    return _Metrics(table, settings).means()


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
    metrics = _Metrics(table, settings)
    return Audit(
        table=table,
        means=metrics.means(),
        tma=metrics.attribution(),
        cti=metrics.interaction(2) if len(table.modalities) > 1 else None,
        verdict=metrics.verdict() if judged else None,
        settings=settings,
        _again=analyse,
        specificity=None if table.neutral is None else specificity(table, settings),
    )


class _Metrics:
    """The metrics of one table; what several of them need is computed once."""

    def __init__(self, table: CoalitionTable, settings: Settings) -> None:
        self.table, self.settings = table, settings
        self.sample, self.notes = Sample.of(table), notes_on(table)
        m = len(table.modalities)
        # means, attributions, the total, interactions of pairs
        alpha = settings.alpha(len(table.coalitions) + m + 1 + m * (m - 1) // 2)
        self.alpha = level_at_each(alpha, table.looks)
        if len(table.looks) > 1:
            self.notes = (*self.notes, LOOKS.format(len(table.looks)))

    def means(self) -> CoalitionMeans:
        table, settings = self.table, self.settings
        contrasts = np.eye(len(table.coalitions))
        single = table.zero_one and table.values.shape[1] == 1 and table.clusters is None
        if single and settings.method in ("auto", "patterns"):
            values = table.example_values
            estimates = rate_estimates(values, level=settings.level, alpha=self.alpha)
        else:
            estimates = self._estimates(contrasts)
        common = self._common(table.coalitions, estimates, contrasts)
        return CoalitionMeans(**common, success=table.zero_one)

    def attribution(self) -> Attribution:
        m = len(self.table.modalities)
        attributions = shapley_contrasts(m)
        contrasts = np.column_stack([attributions, effect_contrasts(m)[:, -1]])
        *estimates, total = self._estimates(contrasts)
        common = self._common(self.table.modalities, estimates, attributions)
        return Attribution(**common, total=total)

    def interaction(self, order: int) -> Interaction:
        names, index = self.table.modalities, self.settings.index
        contrasts = interaction_contrasts(len(names), index, order)
        labels = ["+".join(names[i] for i in group) for group in subsets(len(names), order)]
        common = self._common(labels, self._estimates(contrasts), contrasts)
        return Interaction(**common, index=index)

    def verdict(self) -> Verdict:
        settings = self.settings
        return judge(
            self.table, settings.rules, settings.index, settings.method, self.sample, self.notes
        )

    def _estimates(self, contrasts: FloatArray) -> list[Estimate]:
        return contrast_estimates(
            self.sample,
            contrasts,
            level=self.settings.level,
            method=self.settings.method,
            alpha=self.alpha,
        )

    def _common(
        self, names: Sequence[str], estimates: Sequence[Estimate], contrasts: FloatArray
    ) -> dict[str, Any]:
        """What all results hold."""
        return {
            "estimates": dict(zip(names, estimates, strict=True)),
            "per_example": self.table.example_values @ contrasts,
            "example_ids": self.table.example_ids,
            "simultaneous": self.settings.simultaneous,
            "notes": (*self.notes, *self.table.run_notes),
        }

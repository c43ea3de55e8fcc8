"""What may be claimed: declared rules on one-sided bounds, not on point estimates."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import product
from typing import Any

import numpy as np

from modcollapse.analysis._intervals import (
    contrast_estimate,
    contrast_estimates,
    effect_contrast,
)
from modcollapse.analysis._settings import Rules
from modcollapse.contracts import FloatArray
from modcollapse.game import Index, interaction_contrasts, shapley_contrasts, subsets
from modcollapse.table import CoalitionTable

MIN_EXAMPLES = 32
"""Below this many examples a verdict is refused."""

REFUSED = "too few examples"
NO_BACKDOOR = "no backdoor"
ACTIVE = "active"
INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True)
class Verdict:
    """What the table supports at the declared level.

    Attributes:
        effect: ``"active"``, ``"no backdoor"``, ``"inconclusive"`` or ``"too few examples"``.
        dominant: modality that holds more than ``rules.share`` of the attribution, or None.
        suppressors: modalities whose attribution is below 0.
        reason: why the effect is inconclusive, where more examples would not settle it; else "".
        interactions: ``"image+text"`` -> what holds of ``"synergy"``, ``"no synergy"``,
            ``"negligible"``, ``"interference"``; empty where nothing does.
        collapse: collapse index (M max p - 1) / (M - 1), in [0, 1], p being the shares of
            ``|phi|``; a point estimate that never travels without the interaction; NaN where
            there is no effect.
        rules: the margins that were used.
    """

    effect: str
    dominant: str | None
    suppressors: tuple[str, ...]
    interactions: Mapping[str, tuple[str, ...]]
    collapse: float
    rules: Rules = field(default_factory=Rules)
    reason: str = ""

    def __str__(self) -> str:
        if self.effect == REFUSED:
            return f"Verdict: none, {REFUSED} (a verdict needs {MIN_EXAMPLES})"
        if self.effect != ACTIVE:
            within = f"total effect within {self.rules.min_effect}"
            reason = within if self.effect == NO_BACKDOOR else self.reason
            return f"Verdict: {self.effect}{f' ({reason})' if reason else ''}"
        parts = ["the triggers move the value"]
        if self.dominant is None:
            parts.append(f"no modality is shown to hold {self.rules.share:.0%} of the effect")
        else:
            parts.append(f"{self.dominant} dominates (over {self.rules.share:.0%} of the effect)")
        parts += [f"{one} works against it" for one in self.suppressors]
        for pair, found in self.interactions.items():
            parts.append(f"{pair} interaction: {_in_words(found)}")
        return "Verdict: " + "; ".join(parts)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data; NaN becomes None."""
        data = asdict(self)
        data["collapse"] = None if math.isnan(self.collapse) else self.collapse
        return data


def _in_words(found: Sequence[str]) -> str:
    """The strongest of what holds, said once."""
    if "negligible" in found:
        return "negligible interference" if "interference" in found else "negligible"
    return (
        ", ".join(one for one in found if one != "no synergy" or len(found) == 1) or "inconclusive"
    )


def judge(table: CoalitionTable, rules: Rules | None = None, index: Index = "SII") -> Verdict:
    """Apply the rules to a table.

    Dominance is an intersection-union test: linear in the attributions for every choice of signs,
    so that it has level alpha without a ratio or a bias from absolute values.

    Args:
        table: N examples, at least 32; the value rises with backdoor success.
        rules: the margins; the defaults if left out.
        index: interaction index of the pairs, which matters for M > 2 only.
    """
    rules = Rules() if rules is None else rules
    min_effect = rules.min_effect or (0.1 if table.discrete else 0.05)
    rules = Rules(rules.alpha, rules.share, rules.margin, min_effect)
    names, m = table.modalities, len(table.modalities)
    attributions = shapley_contrasts(m)
    effect = effect_contrast(m)
    if len(table) < MIN_EXAMPLES:
        return Verdict(REFUSED, None, (), {}, math.nan, rules)
    low, high = _bounds(table, effect[:, None], rules.alpha)
    if -min_effect < low[0] and high[0] < min_effect:
        return Verdict(NO_BACKDOOR, None, (), {}, math.nan, rules)
    if not low[0] > min_effect:
        return Verdict(
            INCONCLUSIVE, None, (), {}, math.nan, rules, _reason(low[0], high[0], min_effect)
        )

    dominant = [name for i, name in enumerate(names) if _dominates(table, attributions, i, rules)]
    _, highest = _bounds(table, attributions, rules.alpha)
    suppressors = tuple(name for name, top in zip(names, highest, strict=True) if top < 0)
    interactions = {}
    if m > 1:
        pairs = interaction_contrasts(m, index, 2)
        for column, pair in enumerate(subsets(m, 2)):
            label = "+".join(names[i] for i in pair)
            interactions[label] = _interaction(table, pairs[:, column], effect, rules)
    shares = np.abs(table.example_values.mean(axis=0) @ attributions)
    top = float(shares.max() / shares.sum())
    collapse = math.nan if m == 1 else (m * top - 1) / (m - 1)
    return Verdict(
        ACTIVE, dominant[0] if dominant else None, suppressors, interactions, collapse, rules
    )


def _dominates(table: CoalitionTable, attributions: FloatArray, i: int, rules: Rules) -> bool:
    """Whether (1 - s) phi_i exceeds s times the sum of the others, whatever their signs."""
    signs = product((-1.0, 1.0), repeat=attributions.shape[1] - 1)
    weights = (np.insert(-rules.share * np.array(one), i, 1 - rules.share) for one in signs)
    phi = table.example_values @ attributions
    return all(
        _lower_bound(table, phi @ weight, attributions @ weight, rules.alpha) > 0
        for weight in weights
    )


def _lower_bound(
    table: CoalitionTable, sample: FloatArray, contrast: FloatArray, alpha: float
) -> float:
    """The same as ``_bounds``, of a contrast whose values are known already."""
    return contrast_estimate(
        sample,
        contrast,
        float(np.abs(table.values).max()),
        bounds=table.bounds,
        discrete=table.discrete,
        level=1 - 2 * alpha,
    ).low


def _reason(low: float, high: float, min_effect: float) -> str:
    if math.isnan(low):
        return "all examples are equal and the value has no bounds; declare them on the detector"
    if high < -min_effect:
        return "the value falls under the triggers; if it is meant to, flip its sign"
    return ""


def _interaction(
    table: CoalitionTable, pair: FloatArray, effect: FloatArray, rules: Rules
) -> tuple[str, ...]:
    margin = rules.margin * effect
    low, high = _bounds(table, np.stack([margin - pair, margin + pair, pair], axis=1), rules.alpha)
    low_synergy, _ = _bounds(table, (pair - margin)[:, None], rules.alpha)
    found = {
        "synergy": low_synergy[0] > 0,
        "no synergy": low[0] > 0,
        "negligible": low[0] > 0 and low[1] > 0,
        "interference": high[2] < 0,
    }
    return tuple(name for name, holds in found.items() if holds)


def _bounds(
    table: CoalitionTable, contrasts: FloatArray, alpha: float
) -> tuple[FloatArray, FloatArray]:
    """One-sided lower and upper bounds: the ends of the equal-tailed interval of 1 - 2 alpha."""
    estimates = contrast_estimates(
        table.example_values,
        contrasts,
        bounds=table.bounds,
        discrete=table.discrete,
        level=1 - 2 * alpha,
    )
    return np.array([one.low for one in estimates]), np.array([one.high for one in estimates])

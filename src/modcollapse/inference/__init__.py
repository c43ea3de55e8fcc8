"""How sure a figure is, and what may be claimed from it."""

from modcollapse.inference.estimate import Estimate as Estimate
from modcollapse.inference.intervals import contrast_estimates as contrast_estimates
from modcollapse.inference.verdict import Rules as Rules
from modcollapse.inference.verdict import Verdict as Verdict
from modcollapse.inference.verdict import judge as judge

__all__ = ["Estimate", "Rules", "Verdict", "contrast_estimates", "judge"]

"""Table -> estimates and claims: how sure a figure is, and what may be said of it."""

from modcollapse.analysis._intervals import contrast_estimates, effect_contrast, rate_estimate
from modcollapse.analysis._metrics import analyse, attribution, interaction, means
from modcollapse.analysis._results import (
    Attribution,
    Audit,
    CoalitionMeans,
    Entry,
    Estimates,
    Interaction,
)
from modcollapse.analysis._results import data_frame as data_frame
from modcollapse.analysis._settings import AnalysisOptions, Method, Rules, Settings
from modcollapse.analysis._verdict import Verdict, judge

__all__ = [
    "AnalysisOptions",
    "Attribution",
    "Audit",
    "CoalitionMeans",
    "Entry",
    "Estimates",
    "Interaction",
    "Method",
    "Rules",
    "Settings",
    "Verdict",
    "analyse",
    "attribution",
    "contrast_estimates",
    "effect_contrast",
    "interaction",
    "judge",
    "means",
    "rate_estimate",
]

"""Table -> estimates and claims: how sure a figure is, and what may be said of it."""

from modcollapse.analysis._discrete import gaffke_bound
from modcollapse.analysis._intervals import contrast_estimates, rate_estimates
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
from modcollapse.analysis._sample import Sample
from modcollapse.analysis._settings import AnalysisOptions, Method, Rules, Settings
from modcollapse.analysis._verdict import FAMILY as FAMILY
from modcollapse.analysis._verdict import Verdict, judge
from modcollapse.analysis._weights import effect_contrasts

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
    "Sample",
    "Settings",
    "Verdict",
    "analyse",
    "attribution",
    "contrast_estimates",
    "effect_contrasts",
    "gaffke_bound",
    "interaction",
    "judge",
    "means",
    "rate_estimates",
]

"""Table -> estimates and claims: how sure a figure is, and what may be said of it."""

from modcollapse.analysis._agreement import Agreement, agreement
from modcollapse.analysis._audits import Audits, load_audit
from modcollapse.analysis._audits import as_audits as as_audits
from modcollapse.analysis._change import Change, Comparison, compare_tables
from modcollapse.analysis._discrete import gaffke_bound
from modcollapse.analysis._intervals import contrast_estimates, rate_estimates
from modcollapse.analysis._looks import level_at_each as level_at_each
from modcollapse.analysis._metrics import analyse, attribution, interaction, means
from modcollapse.analysis._outlook import Smallest, smallest_effects
from modcollapse.analysis._planning import Plan, examples_needed
from modcollapse.analysis._planning import widest as widest
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
from modcollapse.analysis._slices import Slices
from modcollapse.analysis._specificity import ModalitySpecificity, Specificity, specificity
from modcollapse.analysis._verdict import FAMILY as FAMILY
from modcollapse.analysis._verdict import MIN_UNITS as MIN_UNITS
from modcollapse.analysis._verdict import Verdict, judge
from modcollapse.analysis._weights import effect_contrasts

__all__ = [
    "Agreement",
    "AnalysisOptions",
    "Attribution",
    "Audit",
    "Audits",
    "Change",
    "CoalitionMeans",
    "Comparison",
    "Entry",
    "Estimates",
    "Interaction",
    "Method",
    "ModalitySpecificity",
    "Plan",
    "Rules",
    "Sample",
    "Settings",
    "Slices",
    "Smallest",
    "Specificity",
    "Verdict",
    "agreement",
    "analyse",
    "attribution",
    "compare_tables",
    "contrast_estimates",
    "effect_contrasts",
    "gaffke_bound",
    "examples_needed",
    "interaction",
    "judge",
    "load_audit",
    "means",
    "rate_estimates",
    "smallest_effects",
    "specificity",
]

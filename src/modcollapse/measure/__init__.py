"""Examples x coalitions -> table of values."""

from modcollapse.measure._evaluate import Tables as Tables
from modcollapse.measure._evaluate import evaluate_coalitions, measure
from modcollapse.measure._plan import Cost, generation_cost, noise_seed
from modcollapse.measure._prepare import Run, prepare

__all__ = [
    "Cost",
    "Run",
    "evaluate_coalitions",
    "generation_cost",
    "measure",
    "noise_seed",
    "prepare",
]

"""Examples x coalitions -> table of values."""

from modcollapse.measure.evaluate import evaluate_coalitions as evaluate_coalitions
from modcollapse.measure.plan import Cost as Cost
from modcollapse.measure.plan import generation_cost as generation_cost
from modcollapse.measure.plan import noise_seed as noise_seed
from modcollapse.measure.table import CoalitionTable as CoalitionTable
from modcollapse.measure.table import Kept as Kept

__all__ = ["evaluate_coalitions", "generation_cost", "noise_seed", "CoalitionTable", "Cost", "Kept"]

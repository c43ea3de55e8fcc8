"""Poisoned training sets: protocols, the plans that they draw, and data sets under a plan."""

from modcollapse.poison._dataset import PoisonedDataset
from modcollapse.poison._poison_plan import Assignment, Part, PoisonPlan
from modcollapse.poison._protocols import PROTOCOLS, poison_plan

__all__ = ["PROTOCOLS", "Assignment", "Part", "PoisonPlan", "PoisonedDataset", "poison_plan"]

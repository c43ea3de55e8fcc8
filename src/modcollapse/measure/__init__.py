"""Examples x coalitions -> table of values."""

from modcollapse.measure._checks import content_digest as content_digest
from modcollapse.measure._checks import is_plain as is_plain
from modcollapse.measure._columns import as_examples as as_examples
from modcollapse.measure._course import Tables as Tables
from modcollapse.measure._evaluate import evaluate_coalitions, measure
from modcollapse.measure._given import Given as Given
from modcollapse.measure._given import Scored as Scored
from modcollapse.measure._given import score_given as score_given
from modcollapse.measure._plan import Cost, generation_cost, noise_seed
from modcollapse.measure._prepare import prepare
from modcollapse.measure._recording import environment as environment
from modcollapse.measure._run import Run
from modcollapse.measure._team import Team as Team

__all__ = [
    "Cost",
    "Run",
    "evaluate_coalitions",
    "generation_cost",
    "measure",
    "noise_seed",
    "prepare",
]

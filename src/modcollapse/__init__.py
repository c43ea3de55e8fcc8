"""Which modality carries the backdoor?

Trigger Modality Attribution and Cross-Trigger Interaction for multimodal generative models, with
intervals. Names are loaded on first use; importing the package loads nothing heavy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modcollapse.analysis import Audit as Audit
    from modcollapse.analysis import Change as Change
    from modcollapse.analysis import Comparison as Comparison
    from modcollapse.analysis import Rules as Rules
    from modcollapse.analysis import Verdict as Verdict
    from modcollapse.analysis import agreement as agreement
    from modcollapse.analysis import examples_needed as examples_needed
    from modcollapse.analysis import load_audit as load_audit
    from modcollapse.contracts import Detector as Detector
    from modcollapse.contracts import Example as Example
    from modcollapse.contracts import Sampler as Sampler
    from modcollapse.contracts import Trigger as Trigger
    from modcollapse.game import interaction_index as interaction_index
    from modcollapse.game import shapley_values as shapley_values
    from modcollapse.measure import evaluate_coalitions as evaluate_coalitions
    from modcollapse.measure import generation_cost as generation_cost
    from modcollapse.report import citation as citation
    from modcollapse.studies import CollapseTracker as CollapseTracker
    from modcollapse.studies import Looks as Looks
    from modcollapse.studies import audit as audit
    from modcollapse.studies import coalition_means as coalition_means
    from modcollapse.studies import compare as compare
    from modcollapse.studies import cti as cti
    from modcollapse.studies import sweep as sweep
    from modcollapse.studies import table_from_outputs as table_from_outputs
    from modcollapse.studies import tma as tma
    from modcollapse.table import CoalitionTable as CoalitionTable
    from modcollapse.table import Estimate as Estimate

__version__ = "0.1.0"

_HOME = {
    "Audit": "analysis",
    "Change": "analysis",
    "Comparison": "analysis",
    "Rules": "analysis",
    "Verdict": "analysis",
    "agreement": "analysis",
    "examples_needed": "analysis",
    "load_audit": "analysis",
    "Detector": "contracts",
    "Example": "contracts",
    "Sampler": "contracts",
    "Trigger": "contracts",
    "interaction_index": "game",
    "shapley_values": "game",
    "evaluate_coalitions": "measure",
    "generation_cost": "measure",
    "citation": "report",
    "CollapseTracker": "studies",
    "Looks": "studies",
    "audit": "studies",
    "coalition_means": "studies",
    "compare": "studies",
    "cti": "studies",
    "sweep": "studies",
    "table_from_outputs": "studies",
    "tma": "studies",
    "CoalitionTable": "table",
    "Estimate": "table",
}
_ROOMS = (
    "analysis",
    "detectors",
    "errors",
    "game",
    "known",
    "measure",
    "poison",
    "report",
    "samplers",
    "studies",
    "table",
    "triggers",
)

__all__ = [*_HOME, *_ROOMS]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"modcollapse.{_HOME[name]}"), name)
    if name in _ROOMS:
        return import_module(f"modcollapse.{name}")
    raise AttributeError(f"module 'modcollapse' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

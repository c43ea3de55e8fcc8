"""Which modality carries the backdoor?

Trigger Modality Attribution and Cross-Trigger Interaction for multimodal generative models, with
intervals. Names are loaded on first use; importing the package loads nothing heavy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modcollapse.contracts import Detector as Detector
    from modcollapse.contracts import Example as Example
    from modcollapse.contracts import Sampler as Sampler
    from modcollapse.contracts import Trigger as Trigger
    from modcollapse.game import interaction_index as interaction_index
    from modcollapse.game import shapley_values as shapley_values
    from modcollapse.inference import Estimate as Estimate
    from modcollapse.inference import Rules as Rules
    from modcollapse.inference import Verdict as Verdict
    from modcollapse.measure import CoalitionTable as CoalitionTable
    from modcollapse.measure import evaluate_coalitions as evaluate_coalitions
    from modcollapse.measure import generation_cost as generation_cost
    from modcollapse.metrics import audit as audit
    from modcollapse.metrics import coalition_means as coalition_means
    from modcollapse.metrics import cti as cti
    from modcollapse.metrics import tma as tma
    from modcollapse.results import Audit as Audit
    from modcollapse.sweeps import sweep as sweep
    from modcollapse.tracker import CollapseTracker as CollapseTracker

__version__ = "0.1.0"

_HOME = {
    "Detector": "contracts",
    "Example": "contracts",
    "Sampler": "contracts",
    "Trigger": "contracts",
    "interaction_index": "game",
    "shapley_values": "game",
    "Estimate": "inference",
    "Rules": "inference",
    "Verdict": "inference",
    "CoalitionTable": "measure",
    "evaluate_coalitions": "measure",
    "generation_cost": "measure",
    "audit": "metrics",
    "coalition_means": "metrics",
    "cti": "metrics",
    "tma": "metrics",
    "Audit": "results",
    "sweep": "sweeps",
    "CollapseTracker": "tracker",
}
_ROOMS = ("detectors", "errors", "game", "inference", "measure", "report", "samplers", "triggers")

__all__ = [*_HOME, *_ROOMS]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"modcollapse.{_HOME[name]}"), name)
    if name in _ROOMS:
        return import_module(f"modcollapse.{name}")
    raise AttributeError(f"module 'modcollapse' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

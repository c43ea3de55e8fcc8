"""What measures and then analyses: an audit, a sweep over options, a tracker of a training.

The classes of torchmetrics are loaded on first use, and need the extra ``metrics``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from modcollapse.studies._audit import audit, coalition_means, cti, tma
from modcollapse.studies._compare import compare
from modcollapse.studies._curves import Curves, Row
from modcollapse.studies._options import AuditOptions
from modcollapse.studies._stopping import Looks
from modcollapse.studies._sweep import Sweep, sweep
from modcollapse.studies._table_from_outputs import table_from_outputs
from modcollapse.studies._tracker import CollapseTracker

if TYPE_CHECKING:
    from modcollapse.studies._torchmetrics import CrossTriggerInteraction as CrossTriggerInteraction
    from modcollapse.studies._torchmetrics import (
        TriggerModalityAttribution as TriggerModalityAttribution,
    )

__all__ = [
    "AuditOptions",
    "CollapseTracker",
    "CrossTriggerInteraction",
    "Curves",
    "Looks",
    "Row",
    "Sweep",
    "TriggerModalityAttribution",
    "audit",
    "coalition_means",
    "compare",
    "cti",
    "sweep",
    "table_from_outputs",
    "tma",
]

_TORCHMETRICS = ("CrossTriggerInteraction", "TriggerModalityAttribution")


def __getattr__(name: str) -> Any:
    """Load a class of torchmetrics on first use (PEP 562)."""
    if name not in _TORCHMETRICS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from modcollapse.studies import _torchmetrics

    return getattr(_torchmetrics, name)


def __dir__() -> list[str]:
    return __all__

"""What measures and then analyses: an audit, a sweep over options, a tracker of a training."""

from modcollapse.studies._audit import audit, coalition_means, cti, tma
from modcollapse.studies._compare import compare
from modcollapse.studies._curves import Curves, Row
from modcollapse.studies._options import AuditOptions
from modcollapse.studies._outputs import table_from_outputs
from modcollapse.studies._stopping import Looks
from modcollapse.studies._sweep import Sweep, sweep
from modcollapse.studies._tracker import CollapseTracker

__all__ = [
    "AuditOptions",
    "CollapseTracker",
    "Curves",
    "Looks",
    "Row",
    "Sweep",
    "audit",
    "coalition_means",
    "compare",
    "cti",
    "sweep",
    "table_from_outputs",
    "tma",
]

"""Pictures of an audit; matplotlib is loaded when one is drawn."""

from modcollapse.report.plots import plot_audit as plot_audit
from modcollapse.report.plots import plot_estimates as plot_estimates

__all__ = ["plot_audit", "plot_estimates"]

"""Pictures and tables of audits; matplotlib is loaded when a picture is drawn."""

from modcollapse.report.curves import plot_curves as plot_curves
from modcollapse.report.plots import plot_audit as plot_audit
from modcollapse.report.plots import plot_estimates as plot_estimates
from modcollapse.report.tables import comparison_table as comparison_table
from modcollapse.report.tables import format_table as format_table

__all__ = ["comparison_table", "format_table", "plot_audit", "plot_curves", "plot_estimates"]

"""Pictures and tables of estimates; matplotlib is loaded when a picture is drawn."""

from modcollapse.report._attribution_picture import plot_attribution
from modcollapse.report._audited import Audited
from modcollapse.report._citing import citation, citations
from modcollapse.report._comparison import plot_comparison
from modcollapse.report._escapes import for_terminal as for_terminal
from modcollapse.report._every_eval_ever import EvaluationRecord, every_eval_ever
from modcollapse.report._every_eval_ever import Relationship as Relationship
from modcollapse.report._figures import plot_audit, plot_estimates
from modcollapse.report._gallery_picture import plot_gallery
from modcollapse.report._interaction_picture import plot_interaction
from modcollapse.report._lattice_picture import plot_lattice
from modcollapse.report._leaks import plot_specificity
from modcollapse.report._lines import Line, plot_curves
from modcollapse.report._model_card import model_card
from modcollapse.report._notebook import html_comparison as html_comparison
from modcollapse.report._notebook import html_estimates as html_estimates
from modcollapse.report._page import write_report
from modcollapse.report._running_picture import plot_running
from modcollapse.report._sections import Claims, Figures, Picture, Section
from modcollapse.report._side_by_side import plot_side_by_side
from modcollapse.report._strip_picture import plot_examples
from modcollapse.report._style import PictureOptions, PictureStyle, Scale
from modcollapse.report._tables import comparison_table, estimate_table, format_table

__all__ = [
    "Audited",
    "EvaluationRecord",
    "Line",
    "citation",
    "citations",
    "Claims",
    "Figures",
    "Picture",
    "Section",
    "write_report",
    "PictureStyle",
    "PictureOptions",
    "Scale",
    "comparison_table",
    "estimate_table",
    "every_eval_ever",
    "format_table",
    "model_card",
    "plot_attribution",
    "plot_audit",
    "plot_comparison",
    "plot_curves",
    "plot_estimates",
    "plot_examples",
    "plot_gallery",
    "plot_interaction",
    "plot_lattice",
    "plot_running",
    "plot_side_by_side",
    "plot_specificity",
]

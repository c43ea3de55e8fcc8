"""The figure of a comparison: before and after side by side, and the difference below them."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from modcollapse.report._audited import Audited
from modcollapse.report._canvas import new_figure
from modcollapse.report._escapes import for_picture
from modcollapse.report._figures import plot_estimates
from modcollapse.table import Estimate, sample_size

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DIFFERENCE_COLOR = "#4a4e69"


def plot_comparison(
    before: Audited, after: Audited, difference: Audited, *, caption: str, title: str | None = None
) -> Figure:
    """Draw the bars of two audits, and those of their difference below, each with its interval.

    Args:
        before: the audit of the one.
        after: the audit of the other, of the same modalities.
        difference: the audit of after - before.
        caption: what is said below the bars.
        title: heading of the figure.

    Returns:
        A figure of its own, free of pyplot's state.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    columns = len(after.table.coalitions)
    panels = {"v": "Mean value under each set of triggers", "phi": "Attribution (TMA)"}
    widths = [columns + 0.5, max(3.0, 0.6 + len(after.table.modalities))]
    pairs = sum(symbol == "CTI" for symbol, _, _ in after.entries)
    if pairs:
        panels["CTI"] = "Interaction (CTI)"
        widths.append(1 + pairs)
    width = min(max(9.5, 1.5 * sum(widths)), 40.0)
    figure = new_figure("plot_comparison", figsize=(width, 6.2), layout="constrained")
    if title:
        figure.suptitle(for_picture(title), fontsize=13, fontweight="bold")
    axes = figure.subplots(2, len(panels), width_ratios=widths, squeeze=False, sharex="col")
    if pairs:  # so that noise beside large attributions looks like noise
        for row in axes:
            row[2].sharey(row[1])
    for above, below, (symbol, heading) in zip(*axes, panels.items(), strict=True):
        unit = "v(S)" if symbol == "v" else symbol
        both = {"before": _of_symbol(before, symbol), "after": _of_symbol(after, symbol)}
        plot_estimates(both, above, title=heading, symbol=unit)
        change = {"after - before": _of_symbol(difference, symbol)}
        plot_estimates(change, below, symbol=f"change of {unit}")
        for bar in below.patches:
            bar.set_facecolor(DIFFERENCE_COLOR)
        above.tick_params(labelbottom=True)
    handles, labels = (
        [*first, *second]
        for first, second in zip(
            axes[0, 0].get_legend_handles_labels(),
            axes[1, 0].get_legend_handles_labels(),
            strict=True,
        )
    )
    figure.legend(handles, labels, loc="outside upper left", ncols=3, frameon=False)
    first = next(iter(after.estimates.values()))
    size = sample_size(first, len(after.table), after.simultaneous)
    below_bars = f"{size}; bars are means, whiskers the intervals"
    wrapped = textwrap.fill(caption, round(12 * width))
    figure.supxlabel(for_picture(f"{wrapped}\n{below_bars}"), fontsize=9)
    return figure


def _of_symbol(audit: Audited, symbol: str) -> dict[str, Estimate]:
    return {name: estimate for of, name, estimate in audit.entries if of == symbol}

"""The figure of an audit: a gallery of what was generated above the bars of both metrics."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from modcollapse._support.optional import require
from modcollapse.errors import InputError
from modcollapse.report._audited import Audited
from modcollapse.report._canvas import new_figure
from modcollapse.report._escapes import for_picture
from modcollapse.report._gallery import Gallery, short_lines
from modcollapse.report._rows import ends, whiskers
from modcollapse.report._style import COLORS, OF_SERIES, limits, look, mark_scale
from modcollapse.table import Estimate, sample_size

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SERIES = tuple(OF_SERIES.values()) + tuple(look(at) for at in range(len(COLORS)))


def plot_estimates(
    series: Mapping[str, Mapping[str, Estimate]],
    ax: Axes | None = None,
    *,
    title: str = "",
    symbol: str = "",
) -> Axes:
    """Draw a bar with its interval for each name, side by side for each series.

    Args:
        series: label -> estimates of the same names, such as a model and its control.
        ax: axes to draw on; new ones if left out.
        title: heading of the axes.
        symbol: what the estimates are, beside the scale.

    Returns:
        The axes.
    """
    if ax is None:
        plt = require("matplotlib.pyplot", extra="plot", needed_by="plot_estimates")
        ax = plt.figure(layout="constrained").subplots()
    names = list(next(iter(series.values())))
    width = 0.8 / len(series)
    for position, (label, named) in enumerate(series.items()):
        if list(named) != names:
            raise InputError(f"series to compare must share names: {names} and {list(named)}")
        estimates = list(named.values())
        at = np.arange(len(names)) + (position - (len(series) - 1) / 2) * width
        heights = [estimate.value for estimate in estimates]
        shown = SERIES[position % len(SERIES)]
        ax.bar(
            at,
            heights,
            width * 0.92,
            label=for_picture(label) or None,
            color=shown.color,
            hatch=shown.hatch,
            edgecolor="white",
            lw=0,
        )
        away = whiskers(estimates)
        ax.errorbar(at, heights, yerr=away, fmt="none", ecolor="#222222", capsize=3, lw=1.2)
    ax.axhline(0, color="#222222", lw=0.8)
    ax.set_xticks(np.arange(len(names)), [for_picture(_wrapped(name)) for name in names])
    ax.set_xlim(-0.7, len(names) - 0.3)
    ax.set_ylabel(for_picture(symbol))
    ax.set_title(for_picture(title), fontsize=10)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def _wrapped(name: str) -> str:
    """A name in lines, those of several modalities one below another."""
    return "+\n".join(short_lines(part, 12) for part in name.split("+"))


def plot_audit(audit: Audited, *, title: str | None = None, gallery: bool = True) -> Figure:
    """Draw the kept outputs of a few examples under every coalition above both metrics.

    The bars of a control stand beside those of the audit, since a trigger can shift the value
    where there is no backdoor.

    Args:
        audit: what ``mc.audit(..., keep=3)`` returned.
        title: heading of the figure.
        gallery: False draws the bars alone, also where outputs were kept.

    Returns:
        A figure of its own, free of pyplot's state: ``figure.savefig("audit.png")``.

    Raises:
        InputError: a kept output is no picture.
        MissingExtraError: matplotlib is not installed.
    """
    shown = Gallery.of(audit.table) if gallery and audit.table.kept else None
    columns = len(audit.table.coalitions)
    width, height = (0.0, 0.0) if shown is None else shown.size
    figure = new_figure(
        "plot_audit",
        figsize=(min(max(9.0, 1.2 * columns + 4.4, width), 40.0), height + 3.4),
        layout="constrained",
    )
    if title:
        figure.suptitle(for_picture(title), fontsize=13, fontweight="bold")
    bars: Any = figure
    if shown is not None:
        above, bars = figure.subfigures(2, 1, height_ratios=[height, 3.2], squeeze=False)[:, 0]
        shown.draw(above)
    panels = {"v": "Mean value under each set of triggers", "phi": "Attribution (TMA)"}
    widths = [columns + 0.5, 3.0]
    pairs = sum(symbol == "CTI" for symbol, _, _ in audit.entries)
    if pairs:
        panels["CTI"] = "Interaction (CTI)"
        widths.append(1 + pairs)
    axes = bars.subplots(1, len(panels), width_ratios=widths)
    if pairs:
        axes[2].sharey(axes[1])
    for ax, (symbol, heading) in zip(axes, panels.items(), strict=True):
        series = {"audited model" if audit.control else "": _of_symbol(audit, symbol)}
        if audit.control:
            series["control"] = _of_symbol(audit.control, symbol)
        unit = "v(S)" if symbol == "v" else symbol
        plot_estimates(series, ax, title=heading, symbol=unit)
        if symbol != "v":
            mark_scale(ax, audit.scale, along="y")
    numbers = ends(one for symbol, _, one in _of_all(audit) if symbol != "v")
    axes[1].set_ylim(*limits(numbers, audit.scale))
    if audit.control:
        bars.legend(
            *axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=2, frameon=False
        )
    bars.supxlabel(for_picture(_caption(audit)), fontsize=9)
    return figure


def _of_all(audit: Audited) -> list[tuple[str, str, Estimate]]:
    """What the bars show, those of the control included."""
    return [*audit.entries, *(audit.control.entries if audit.control else ())]


def _of_symbol(audit: Audited, symbol: str) -> dict[str, Estimate]:
    return {name: estimate for of, name, estimate in audit.entries if of == symbol}


def _caption(audit: Audited) -> str:
    estimate = next(iter(audit.estimates.values()))
    size = sample_size(estimate, len(audit.table), audit.simultaneous)
    bars = f"{size}; bars are means, whiskers the intervals"
    if audit.scale.known:
        bars += "; shaded: too small to count, dotted: a perfect attack"
    verdict = "Differences of two tables." if audit.verdict is None else str(audit.verdict)
    if audit.difference is not None:
        verdict = f"Difference from the control. {audit.difference.verdict}"
    return textwrap.fill(verdict, 110) + "\n" + bars

"""The figure of audits side by side: a panel each figure, a row each group or value function."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from modcollapse.report._canvas import new_figure
from modcollapse.report._escapes import for_picture
from modcollapse.table import Estimate

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLORS_OF_SYMBOL = {"phi": "#D55E00", "CTI": "#0072B2"}
OTHER_COLOR = "#222222"


def plot_side_by_side(
    rows: Mapping[str, Mapping[str, Estimate]],
    *,
    unit: str,
    caption: str,
    notes: Mapping[str, str] | None = None,
    title: str | None = None,
) -> Figure:
    """Draw a panel for each figure, all on one scale: a row for each audit, with its interval.

    Args:
        rows: heading -> label of a figure -> estimate; a row lacks what cannot be drawn beside the
            others, and its heading says why.
        unit: what the figures are in, below the panels.
        caption: what is said below.
        notes: label of a figure -> what is said above its panel.
        title: heading of the figure.

    Returns:
        A figure of its own, free of pyplot's state.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    panels = list(dict.fromkeys(label for row in rows.values() for label in row))
    headings = [textwrap.fill(heading, 26) for heading in rows]
    lines = [heading.count("\n") + 1 for heading in headings]
    width = min(2.6 + 2.5 * max(len(panels), 2), 40.0)
    height = 2.3 + sum(max(0.36, 0.19 * count) for count in lines)
    figure = new_figure("plot_side_by_side", figsize=(width, height), layout="constrained")
    if title:
        figure.suptitle(for_picture(title), fontsize=13, fontweight="bold")
    at = np.arange(len(rows))
    axes = figure.subplots(1, max(len(panels), 1), squeeze=False, sharex=True, sharey=True)[0]
    for ax, label in zip(axes, panels, strict=False):
        drawn = [(y, row[label]) for y, row in zip(at, rows.values(), strict=True) if label in row]
        values = np.array([estimate.value for _, estimate in drawn])
        ends = np.array([(estimate.low, estimate.high) for _, estimate in drawn]).T
        away = np.clip(np.nan_to_num(np.abs(ends - values)), 0, None)
        color = COLORS_OF_SYMBOL.get(label.split(" ")[0], OTHER_COLOR)
        places = [y for y, _ in drawn]
        ax.errorbar(values, places, xerr=away, fmt="o", color=color, capsize=3, ms=5, lw=1.4)
        ax.axvline(0, color="#222222", lw=0.8)
        heading = "\n".join(filter(None, (label, (notes or {}).get(label))))
        ax.set_title(for_picture(heading), fontsize=10)
        ax.grid(axis="x", color="#eeeeee")
        ax.set_axisbelow(True)
        ax.locator_params(axis="x", nbins=5)
        ax.spines[["top", "right"]].set_visible(False)
    axes[0].set_yticks(at, [for_picture(heading) for heading in headings])
    axes[0].set_ylim(len(rows) - 0.5, -0.5)
    below = "\n".join(textwrap.fill(line, int(12.5 * width)) for line in caption.splitlines())
    figure.supxlabel(for_picture(f"{unit}\n{below}"), fontsize=9)
    return figure

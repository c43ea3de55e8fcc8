"""The figure of specificity: what stands in the place of the trigger, and what it does there."""

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

COLORS = ("#c1440e", "#8aa2b2")
MARKERS = ("o", "D")


def plot_specificity(
    values: Mapping[str, Mapping[str, Mapping[str, Estimate]]],
    *,
    caption: str,
    title: str | None = None,
) -> Figure:
    """Draw a panel a modality: one row for what stands at the trigger's place, its mean value.

    Args:
        values: modality -> place -> what stands there -> mean value.
        caption: what is said below.
        title: heading of the figure.

    Returns:
        A figure of its own, free of pyplot's state.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    rows = [list(next(iter(places.values()))) for places in values.values()]
    height = 1.7 + 0.34 * max(map(len, rows))
    size = (1.0 + 4.4 * len(values), height)
    figure = new_figure("plot_specificity", figsize=size, layout="constrained")
    if title:
        figure.suptitle(for_picture(title), fontsize=13, fontweight="bold")
    axes = figure.subplots(1, len(values), squeeze=False, sharex=True)[0]
    for ax, names, (modality, places) in zip(axes, rows, values.items(), strict=True):
        for at, (place, named) in enumerate(places.items()):
            y = np.arange(len(names)) + (at - (len(places) - 1) / 2) * 0.3
            means = [named[name].value for name in names]
            ends = np.array([(one.low, one.high) for one in named.values()]).T
            away = np.clip(np.nan_to_num(np.abs(ends - means)), 0, None)
            ax.errorbar(
                means, y, xerr=away, fmt=MARKERS[at], color=COLORS[at], capsize=3, label=place
            )
        ax.set_yticks(np.arange(len(names)), [for_picture(name) for name in names])
        ax.axhline(1.5, color="#bbbbbb", lw=0.8)
        ax.invert_yaxis()
        ax.set_xlabel("mean value, with its interval")
        ax.set_title(for_picture(modality), fontsize=10)
        ax.grid(axis="x", color="#eeeeee")
        ax.set_axisbelow(True)
        ax.spines[["top", "right"]].set_visible(False)
    handles = axes[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside upper left", ncols=2, frameon=False)
    figure.supxlabel(for_picture(textwrap.fill(caption, int(13 * size[0]))), fontsize=9)
    return figure

"""A row for each figure, with its interval along the scale: what most pictures are made of."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from modcollapse.report._style import INK, SMALL, SeriesStyle
from modcollapse.table import Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROW = 0.17
"""Height of one series of a row, in inches."""


def draw_rows(
    ax: Axes,
    names: Sequence[str],
    series: Mapping[str, tuple[SeriesStyle, Sequence[Estimate]]],
    *,
    bars: bool = False,
) -> None:
    """Draw estimates as marks with their intervals, rows from above, series within a row.

    Args:
        ax: where.
        names: of the rows, K of them, escaped and in lines.
        series: label -> look and K estimates.
        bars: draw bars from 0, of what is a part of a whole.
    """
    step = 0.8 / len(series)
    for at, (label, (look, estimates)) in enumerate(series.items()):
        y = np.arange(len(names)) + (at - (len(series) - 1) / 2) * step
        values = np.array([one.value for one in estimates])
        away = whiskers(estimates)
        if bars:
            ax.barh(
                y,
                values,
                step * 0.86,
                color=look.color,
                hatch=look.hatch,
                edgecolor="white",
                lw=0,
                alpha=0.85,
                label=label or None,
                zorder=2,
            )
        # where a bar has no height, its end shows where it is
        mark: dict[str, Any] = {"fmt": "|", "ms": 6} if bars else {"fmt": look.marker, "ms": 3.4}
        ax.errorbar(
            values,
            y,
            xerr=away,
            color=INK if bars else look.color,
            ecolor=INK if bars else look.color,
            capsize=1.8,
            elinewidth=1.0,
            label=None if bars else label or None,
            zorder=3,
            **mark,
        )
        for place, estimate in zip(y, estimates, strict=True):
            if math.isnan(estimate.low):
                ax.annotate(
                    "no interval",
                    (estimate.value, place),
                    (4 if estimate.value >= 0 else -4, 0),
                    textcoords="offset points",
                    va="center",
                    ha="left" if estimate.value >= 0 else "right",
                    fontsize=SMALL,
                    color=INK,
                )
    ax.set_yticks(np.arange(len(names)), names)
    ax.set_ylim(len(names) - 0.45, -0.55)


def whiskers(estimates: Sequence[Estimate]) -> Any:
    """Lengths below and above, shape (2, K); an interval that is undefined has none."""
    lengths = np.array(
        [[estimate.value - estimate.low, estimate.high - estimate.value] for estimate in estimates]
    ).T
    return np.clip(np.nan_to_num(lengths), 0, None)


def ends(estimates: Iterable[Estimate]) -> list[float]:
    """Everything that a scale must hold."""
    return [end for one in estimates for end in (one.value, one.low, one.high)]


def height_of(names: Sequence[str], series: int, line: float = 0.115) -> float:
    """Of the rows, in inches: each holds its series and the lines of its name."""
    return sum(max(ROW * series, line * (name.count("\n") + 1)) + 0.07 for name in names)

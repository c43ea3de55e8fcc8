"""The picture of interactions: one row for a pair, a heat map for several."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Unpack

import numpy as np

from modcollapse.errors import InputError
from modcollapse.report._rows import draw_rows, ends, height_of
from modcollapse.report._style import (
    INK,
    SMALL,
    TEXT,
    PictureOptions,
    PictureStyle,
    Scale,
    limits,
    look,
    mark_scale,
    tidy,
    unscaled,
)
from modcollapse.table import Estimate, decimals, number_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_NEGATIVE, _POSITIVE = "#0072B2", "#D55E00"


def plot_interaction(
    estimates: Mapping[str, Estimate],
    modalities: Sequence[str],
    scale: Scale,
    *,
    caption: str = "",
    **options: Unpack[PictureOptions],
) -> Figure:
    """Draw the interaction of each pair: a bar at two modalities, a heat map beyond.

    Args:
        estimates: ``"image+text"`` -> interaction, of all pairs.
        modalities: names of the M players, 2 or more.
        scale: what counts.
        caption: what is said below.
        options: see `PictureStyle`.

    Returns:
        A figure of its own, free of pyplot's state. In a heat map what is below 0 is hatched, and
        the darker a cell, the larger the interaction beside a perfect attack.

    Raises:
        InputError: fewer than two modalities, interactions of other groups than pairs, a label for
            what is not shown, or a width out of its range.
        MissingExtraError: matplotlib is not installed.
    """
    if len(modalities) < 2:
        raise InputError("there is no interaction of a single modality to draw")
    drawing = PictureStyle("plot_interaction", **options, names=modalities)
    if len(modalities) == 2:
        return _bar(estimates, scale, drawing, caption)
    pairs = {
        f"{one}+{other}" for at, one in enumerate(modalities) for other in modalities[at + 1 :]
    }
    if set(estimates) != pairs:
        raise InputError("a heat map shows the interactions of all pairs: cti(..., order=2)")
    return _map(estimates, modalities, scale, drawing, caption)


def _bar(
    estimates: Mapping[str, Estimate], scale: Scale, drawing: PictureStyle, caption: str
) -> Figure:
    shown = [drawing.wrapped(name) for name in estimates]
    figure = drawing.figure(1.25 + height_of(shown, 2))
    ax = figure.subplots()
    draw_rows(ax, shown, {"": (look(0), list(estimates.values()))}, bars=True)
    mark_scale(ax, scale)
    low, high = limits(ends(estimates.values()), scale)
    widest = max(-low, high)  # so that synergy and interference are as far from the middle
    ax.set_xlim(-widest, widest)
    ax.set_xlabel(drawing.axis("interference \u2190 interaction \u2192 synergy"))
    tidy(ax)
    ax.locator_params(axis="x", nbins=5 if drawing.narrow else 9)
    drawing.legend(figure, ax)
    drawing.say(figure, caption, unscaled(scale))
    return figure


def _map(
    estimates: Mapping[str, Estimate],
    modalities: Sequence[str],
    scale: Scale,
    drawing: PictureStyle,
    caption: str,
) -> Figure:
    names = [drawing.wrapped(name, 11 if drawing.narrow else 16) for name in modalities]
    rows, columns = names[1:], names[:-1]
    cell = min((drawing.width - 0.9) / len(columns), 1.2)
    lines = max(name.count("\n") + 1 for name in columns)
    high = max(0.5, min(0.62 * cell, 0.7))
    figure = drawing.figure(0.75 + 0.115 * lines + high * len(rows))
    ax = figure.subplots()
    largest = max(abs(one.value) for one in estimates.values())
    whole = max(largest, scale.perfect if scale.known else 0.0)
    places = decimals(
        ((one.low, one.high) for one in estimates.values()), (float(v) for v in estimates.values())
    )
    for row, one in enumerate(modalities[1:]):
        for column, other in enumerate(modalities[: row + 1]):
            _cell(ax, column, row, estimates[f"{other}+{one}"], whole, min(places, 3))
    ax.set(xlim=(-0.5, len(columns) - 0.5), ylim=(len(rows) - 0.5, -0.5))
    ax.set_xticks(range(len(columns)), columns)
    ax.set_yticks(range(len(rows)), rows)
    tidy(ax)
    ax.grid(visible=False)
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
    drawing.legend_of(figure, {})
    unit = f" The unit is {drawing.unit}." if drawing.unit else ""
    said = "Above 0: synergy; below 0, hatched: interference or redundancy."
    drawing.say(figure, f"Interactions. {said}{unit}", caption, unscaled(scale))
    return figure


def _cell(ax: Axes, x: int, y: int, estimate: Estimate, whole: float, places: int) -> None:
    from matplotlib.patches import Rectangle

    part = min(abs(estimate.value) / whole, 1.0) if whole > 0 else 0.0
    hue = _POSITIVE if estimate.value >= 0 else _NEGATIVE
    pale = np.array([int(hue[at : at + 2], 16) / 255 for at in (1, 3, 5)])
    fill = 1 - 0.62 * part * (1 - pale)
    ax.add_patch(
        Rectangle(
            (x - 0.48, y - 0.48), 0.96, 0.96, fc=tuple(fill), ec="#bbbbbb", lw=0.6, zorder=1,
        )
    )  # fmt: skip
    if estimate.value < 0 and part > 0.05:
        ax.add_patch(
            Rectangle(
                (x - 0.48, y - 0.48), 0.96, 0.96, fc="none", ec="white", hatch="////", lw=0,
                zorder=1.5,
            )
        )  # fmt: skip
    box = {"boxstyle": "square,pad=0.15", "fc": tuple(fill), "ec": "none"}
    value = number_text(estimate.value, places)
    low, high = (number_text(end, places) for end in (estimate.low, estimate.high))
    between = "no interval" if math.isnan(estimate.low) else f"{low} to {high}"
    ax.annotate(
        value, (x, y), (0, 5), textcoords="offset points", ha="center", va="center",
        fontsize=TEXT, fontweight="bold", color=INK, zorder=3, bbox=box,
    )  # fmt: skip
    ax.annotate(
        between, (x, y), (0, -6), textcoords="offset points", ha="center", va="center",
        fontsize=SMALL, color=INK, zorder=3, bbox=box,
    )  # fmt: skip

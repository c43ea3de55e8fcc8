"""The picture of a run: estimates and their intervals while examples came in, and its looks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Unpack

import numpy as np

from modcollapse.report._rows import ends
from modcollapse.report._style import (
    INK,
    PictureOptions,
    PictureStyle,
    Scale,
    limits,
    look,
    mark_scale,
    tidy,
    unscaled,
)
from modcollapse.table import Estimate

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_WORDS = {"phi": "attribution \u03c6", "CTI": "interaction", "v": "mean value"}
_HIGH = 26
"""Letters that fit beside the panel, at any width."""


def plot_running(
    points: Sequence[tuple[int, Mapping[str, Estimate]]],
    symbol: str,
    scale: Scale,
    *,
    looks: Sequence[int] = (),
    few: int = 0,
    caption: str = "",
    **options: Unpack[PictureOptions],
) -> Figure:
    """Draw a line with its band for each figure against the number of examples.

    Args:
        points: pairs of a number of examples and the estimates from so many, increasing.
        symbol: what they are: ``"phi"``, ``"CTI"`` or ``"v"``.
        scale: what counts.
        looks: numbers of examples at which stopping was considered, of those that were taken.
        few: below so many examples there is no verdict; 0 where that cannot be said.
        caption: what is said below.
        options: see `PictureStyle`.

    Returns:
        A figure of its own, free of pyplot's state.

    Raises:
        InputError: a label for what is not shown, or a width out of its range.
        MissingExtraError: matplotlib is not installed.
    """
    names = list(points[0][1])
    players = tuple(dict.fromkeys(one for name in names for one in name.split("+")))
    drawing = PictureStyle(
        "plot_running", **options, names=tuple(dict.fromkeys((*names, *players)))
    )
    entries = len(names) + 3
    figure = drawing.figure(2.35 + (0.11 * entries if drawing.narrow else 0.13 * (entries // 2)))
    ax = figure.subplots()
    at = [n for n, _ in points]
    single = len(points) == 1
    for position, name in enumerate(names):
        style = look(position)
        drawn = [named[name] for _, named in points]
        values = [one.value for one in drawn]
        ax.plot(
            at, values, color=style.color, ls=style.dash, lw=1.3, marker=style.marker, ms=3,
            markevery=max(len(at) // 6, 1), label=drawing.wrapped(name, 40), zorder=3,
        )  # fmt: skip
        low = np.array([one.low for one in drawn])
        high = np.array([one.high for one in drawn])
        if single:
            ax.vlines(at, low, high, color=style.color, lw=1.1)
            continue
        ax.fill_between(at, low, high, color=style.color, alpha=0.1, lw=0, zorder=1)
        for edge in (low, high):
            ax.plot(at, edge, color=style.color, ls=style.dash, lw=0.5, zorder=2)
    mark_scale(ax, scale, along="y")
    for number, n in enumerate(looks):
        ax.axvline(
            n, color=INK, lw=0.9, ls=(0, (6, 2)), zorder=1.2, label=None if number else "a look"
        )
    if few > at[0]:
        ax.axvspan(at[0], min(few, at[-1]), fc="none", ec="#dcdcdc", hatch="///", lw=0, zorder=0.3,
                   label="too few for a verdict")  # fmt: skip
    numbers = [end for _, named in points for end in ends(named.values()) if math.isfinite(end)]
    settled = [end for n, named in points if n >= few for end in ends(named.values())]
    ax.set_ylim(*limits(settled or numbers, scale))
    ax.set_xlim(at[0] - single, at[-1] + single + 0.015 * (at[-1] - at[0]))
    ax.locator_params(axis="x", integer=True, nbins=6)
    ax.set_xlabel("examples, in the order of the table")
    ax.set_ylabel(drawing.axis(_WORDS[symbol], _HIGH))
    tidy(ax, grid="y")
    drawing.legend(figure, ax)
    drawing.say(figure, caption, unscaled(scale))
    return figure

"""The picture of an attribution: what each modality carries, and what is too small to count."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Unpack

from modcollapse.report._rows import draw_rows, ends, height_of
from modcollapse.report._style import (
    OF_SERIES,
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


def plot_attribution(
    series: Mapping[str, Mapping[str, Estimate]],
    scale: Scale,
    *,
    caption: str = "",
    **options: Unpack[PictureOptions],
) -> Figure:
    """Draw a bar with its interval for each modality and for all together.

    The scale reaches from nothing to a perfect attack, so that noise looks like noise.

    Args:
        series: ``"audited model"``, ``"control"``, ``"difference"`` -> name -> estimate.
        scale: what counts.
        caption: what is said below.
        options: see `PictureStyle`.

    Returns:
        A figure of its own, free of pyplot's state.

    Raises:
        InputError: a label for what is not shown, or a width out of its range.
        MissingExtraError: matplotlib is not installed.
    """
    names = list(next(iter(series.values())))
    known = (*names, *series)
    drawing = PictureStyle("plot_attribution", **options, names=known)
    shown = [drawing.wrapped(name) for name in names]
    figure = drawing.figure(1.15 + height_of(shown, len(series)) + 0.12 * len(series))
    ax = figure.subplots()
    single = len(series) == 1
    draw_rows(
        ax,
        shown,
        {
            "" if single else drawing.wrapped(label, 40): (
                look(0) if single else OF_SERIES[label],
                list(named.values()),
            )
            for label, named in series.items()
        },
        bars=True,
    )
    mark_scale(ax, scale)
    ax.axhline(len(names) - 1.5, color="#999999", lw=0.6)
    numbers = ends(one for named in series.values() for one in named.values())
    ax.set_xlim(*limits(numbers, scale))
    ax.set_xlabel(drawing.axis("attribution \u03c6"))
    tidy(ax)
    drawing.legend(figure, ax)
    drawing.say(figure, caption, unscaled(scale))
    return figure

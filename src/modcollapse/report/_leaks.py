"""The picture of specificity: what stands in the place of the trigger, and what it does there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Unpack

from modcollapse.report._rows import draw_rows, ends, height_of
from modcollapse.report._style import COLUMN, PictureOptions, PictureStyle, look, tidy
from modcollapse.table import Estimate

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_specificity(
    values: Mapping[str, Mapping[str, Mapping[str, Estimate]]],
    *,
    caption: str,
    **options: Unpack[PictureOptions],
) -> Figure:
    """Draw a panel a modality: one row for what stands at the trigger's place, its mean value.

    Args:
        values: modality -> place -> what stands there -> mean value.
        caption: what is said below.
        options: see `PictureStyle`. Panels stand one below another in a column, and side by side on
            a page, which is the width of several if left out.

    Returns:
        A figure of its own, free of pyplot's state.

    Raises:
        InputError: a label for what is not shown, or a width out of its range.
        MissingExtraError: matplotlib is not installed.
    """
    stands = [list(next(iter(places.values()))) for places in values.values()]
    inside = [name for names in stands for name in names]
    places = [place for found in values.values() for place in found]
    options.setdefault("width", COLUMN * len(values) + 0.1 * (len(values) - 1))
    known = tuple(dict.fromkeys((*values, *places, *inside)))
    drawing = PictureStyle("plot_specificity", **options, names=known)
    panels = 1 if drawing.narrow else len(values)
    letters = max(int(drawing.width / panels * 6), 10)
    rows = [[drawing.wrapped(name, letters) for name in names] for names in stands]
    heights = [height_of(names, 2) + 0.5 for names in rows]
    together = sum(heights) if panels == 1 else max(heights)
    figure = drawing.figure(0.85 + together)
    axes = figure.subplots(
        len(values) // panels,
        panels,
        squeeze=False,
        sharex=True,
        height_ratios=heights if panels == 1 else None,
    ).ravel()
    for ax, names, (modality, found) in zip(axes, rows, values.items(), strict=True):
        series = {
            drawing.wrapped(place, 40): (look((4, 5)[at]), list(named.values()))
            for at, (place, named) in enumerate(found.items())
        }
        draw_rows(ax, names, series)
        ax.axvline(0, color="#222222", lw=0.7)
        ax.axhline(1.5, color="#bbbbbb", lw=0.6)
        ax.set_title(drawing.wrapped(modality), fontsize=7, fontweight="bold", pad=3)
        tidy(ax)
        numbers = ends(one for _, estimates in series.values() for one in estimates)
        ax.update_datalim([(end, 0) for end in numbers if end == end])
    for ax in axes[-panels:]:
        ax.set_xlabel(drawing.axis("mean value"))
    drawing.legend(figure, axes[0])
    drawing.say(figure, caption)
    return figure

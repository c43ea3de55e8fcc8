"""The picture of a comparison: before and after in one panel, what changed in the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

from modcollapse.report._audited import Audited
from modcollapse.report._rows import draw_rows, ends, height_of
from modcollapse.report._style import (
    PAGE,
    PictureOptions,
    PictureStyle,
    Scale,
    SeriesStyle,
    limits,
    look,
    mark_scale,
    tidy,
    unscaled,
)
from modcollapse.table import Estimate

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_HEADINGS = {"v": "mean value v(S)", "phi": "attribution \u03c6", "CTI": "interaction"}
_LOOKS = {"before": look(5)._replace(marker="s"), "after": look(4), "after - before": look(6)}


def plot_comparison(
    before: Audited,
    after: Audited,
    difference: Audited,
    scale: Scale,
    *,
    caption: str,
    **options: Unpack[PictureOptions],
) -> Figure:
    """Draw the figures of two audits with their intervals, and beside them those of the difference.

    Args:
        before: the audit of the one.
        after: the audit of the other, of the same modalities.
        difference: the audit of after - before.
        scale: what counts, of before.
        caption: what is said below.
        options: see `PictureStyle`; the width is that of a page if left out.

    Returns:
        A figure of its own, free of pyplot's state.

    Raises:
        InputError: a label for what is not shown, or a width out of its range.
        MissingExtraError: matplotlib is not installed.
    """
    known = ("none", *after.table.modalities, *_LOOKS)
    options.setdefault("width", PAGE)
    drawing = PictureStyle("plot_comparison", **options, names=known)
    symbols = [one for one in _HEADINGS if any(one == symbol for symbol, _, _ in after.entries)]
    names = {symbol: _names(after, symbol, drawing) for symbol in symbols}
    heights = [height_of(names[symbol], 2) + 0.42 for symbol in symbols]
    figure = drawing.figure(0.95 + sum(heights))
    axes = figure.subplots(
        len(symbols), 2, squeeze=False, height_ratios=heights, width_ratios=[1.25, 1], sharex="col"
    )
    sides = {"before": before, "after": after, "after - before": difference}
    numbers: dict[int, list[float]] = {0: [], 1: []}
    for row, symbol in zip(axes, symbols, strict=True):
        for column, (ax, shown) in enumerate(
            zip(row, (("before", "after"), ("after - before",)), strict=True)
        ):
            series: dict[str, tuple[SeriesStyle, list[Estimate]]] = {
                drawing.wrapped(side): (_LOOKS[side], _of_symbol(sides[side], symbol))
                for side in shown
            }
            draw_rows(ax, names[symbol], series)
            numbers[column] += ends(one for _, found in series.values() for one in found)
            if symbol == "v" and column == 0:
                ax.axvline(0, color="#222222", lw=0.7)
            else:
                mark_scale(ax, scale)
            tidy(ax)
            ax.locator_params(axis="x", nbins=4 if drawing.narrow else 6)
        row[1].set_yticklabels([])
        row[0].set_title(_HEADINGS[symbol], fontsize=7, loc="left", pad=3)
        row[1].set_title("change", fontsize=7, loc="left", pad=3)
    for column in (0, 1):
        axes[0, column].set_xlim(*limits(numbers[column], scale))
    handles: dict[str, Any] = {}
    for ax in (*axes[-1], axes[0, 0]):
        handles |= dict(zip(*ax.get_legend_handles_labels()[::-1], strict=True))
    drawing.legend_of(figure, handles)
    axes[-1, 0].set_xlabel(drawing.axis("before and after"))
    axes[-1, 1].set_xlabel("after - before")
    drawing.say(figure, caption, unscaled(scale))
    return figure


def _names(audit: Audited, symbol: str, drawing: PictureStyle) -> list[str]:
    return [drawing.wrapped(name) for of, name, _ in audit.entries if of == symbol]


def _of_symbol(audit: Audited, symbol: str) -> list[Estimate]:
    return [estimate for of, _, estimate in audit.entries if of == symbol]

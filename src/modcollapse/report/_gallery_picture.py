"""The gallery at a paper's width: the cells of an example wrap where the line is full."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any, Unpack

from modcollapse._support.views import View
from modcollapse.errors import InputError
from modcollapse.report._escapes import for_picture
from modcollapse.report._gallery import Gallery, draw_view, words_of
from modcollapse.report._style import INK, SMALL, PictureOptions, PictureStyle
from modcollapse.table import CoalitionTable

if TYPE_CHECKING:
    from matplotlib.figure import Figure, SubFigure

_CELL = 0.8
"""A cell is at least so wide, in inches."""
_LINE = 0.108
_TALLEST = 1.15


def plot_gallery(
    table: CoalitionTable, *, examples: int | None = None, **options: Unpack[PictureOptions]
) -> Figure:
    """Draw the kept examples: what they were generated from, and every output.

    Args:
        table: with outputs that were kept.
        examples: number of them that are drawn; all if left out.
        options: see `PictureStyle`.

    Returns:
        A figure of its own, free of pyplot's state.

    Raises:
        InputError: nothing was kept, a kept output cannot be drawn, a label for what is not shown,
            or a width out of its range.
        MissingExtraError: matplotlib is not installed.
    """
    drawing = PictureStyle("plot_gallery", **options, names=("none", *table.modalities))
    if not table.kept:
        raise InputError("no outputs were kept, so there is no gallery: audit(..., keep=3)")
    gallery = Gallery.of(table, drawing.named)
    columns = min(max(int(drawing.width / _CELL), 1), len(gallery.titles))
    lines = -(-len(gallery.titles) // columns)
    columns = -(-len(gallery.titles) // lines)  # as many in each line
    blocks = [_Block(drawing, gallery, at, columns) for at in range(len(gallery.texts))[:examples]]
    figure = drawing.figure(sum(block.height for block in blocks) + 0.05)
    drawing.legend_of(figure, {})
    parts = figure.subfigures(
        len(blocks), 1, squeeze=False, height_ratios=[block.height for block in blocks]
    )
    for part, block in zip(parts[:, 0], blocks, strict=True):
        block.draw(part)
    return figure


class _Block:
    """One example: its texts above, then its cells in lines."""

    def __init__(self, drawing: PictureStyle, gallery: Gallery, at: int, columns: int) -> None:
        self.views: list[View] = list(gallery.views[at])
        self.titles = [self._title(title, drawing.width / columns) for title in gallery.captions]
        text = " ".join(gallery.texts[at].replace("\n\n", "; ").split())
        self.text = textwrap.fill(text, round(18.5 * drawing.width))
        self.columns = columns
        self.rows = [
            list(range(start, min(start + columns, len(self.views))))
            for start in range(0, len(self.views), columns)
        ]
        wide = drawing.width / columns
        self.letters = max(int(wide / 0.06), 8)
        self.heights = [
            max(_high(self.views[cell], wide, self.letters) for cell in row)
            + _LINE * (1 + max(self.titles[cell].count("\n") for cell in row))
            + 0.08
            for row in self.rows
        ]

    @staticmethod
    def _title(title: str, wide: float) -> str:
        return textwrap.fill(" ".join(title.split()), max(int(wide / 0.064), 8))

    @property
    def height(self) -> float:
        """In inches."""
        return sum(self.heights) + _LINE * (self.text.count("\n") + 2) + 0.05

    def draw(self, part: SubFigure) -> None:
        """Draw it on its part of the figure."""
        part.suptitle(for_picture(self.text), fontsize=SMALL, color=INK, x=0.01, ha="left")
        grid = part.subplots(
            len(self.rows), self.columns, squeeze=False, height_ratios=self.heights
        )
        for axes, row in zip(grid, self.rows, strict=True):
            for ax in axes[len(row) :]:
                ax.set_axis_off()
            for ax, cell in zip(axes, row, strict=False):
                draw_view(ax, self.views[cell], size=SMALL, letters=self.letters)
                ax.set_title(for_picture(self.titles[cell]), fontsize=SMALL, pad=2)


def _high(view: View, wide: float, letters: int) -> float:
    """Of a cell of some width, in inches."""
    content: Any = view.content
    if view.kind in ("picture", "map"):
        rows, columns = content.shape[:2]
        return float(min(wide * rows / columns, _TALLEST))
    if view.kind == "lines":
        return 0.6 * wide
    return _LINE * (len(words_of(view, letters)) + 1)

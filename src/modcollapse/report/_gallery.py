"""What was generated for a few examples under every coalition, and what it was generated from."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from modcollapse._support.views import View, view_of
from modcollapse.report._escapes import for_picture
from modcollapse.table import CoalitionTable, Kept

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import SubFigure

_CELL = 1.45
"""Width of a square picture and height of a row with one, in inches."""
_LETTERS, _LINE = 26, 0.145
"""Letters in a line of text at the side, and the height of a line in inches."""
_SIDE = 2.0
"""Width of the texts at the side."""
_WIDEST = 3.2
"""A picture is at most so many times as wide as it is high."""
_LONGEST = 240
"""Letters of a text that is shown."""
_LINES = 10
"""Lines of a text in a cell."""


@dataclass(frozen=True)
class Gallery:
    """A row for each example: its texts at the side, its pictures, then its outputs.

    Attributes:
        texts: what stands at the side of each row.
        views: what is drawn in each row.
        titles: of the columns, in lines.
        captions: the same in one line.
    """

    texts: Sequence[str]
    views: Sequence[Sequence[View]]
    titles: Sequence[str]
    captions: Sequence[str] = ()

    @classmethod
    def of(cls, table: CoalitionTable, named: Callable[[str], str] = str) -> Gallery:
        """Gather the kept outputs of a table, one or more.

        Args:
            table: with what was kept.
            named: how a modality is called.

        Raises:
            InputError: one of them cannot be drawn.
        """
        first = table.kept[0]
        names = [name for name in table.modalities if _is_known(table.kept, name)]
        pictures = [name for name in names if view_of(first.example[name]).kind != "words"]
        words = [name for name in names if name not in pictures]
        texts, views = [], []
        for kept in table.kept:
            pairs = [(kept.example[name], kept.triggered[name]) for name in pictures]
            shown = [condition for pair in pairs for condition in pair]
            views.append([view_of(one) for one in (*shown, *kept.outputs)])
            texts.append(_at_the_side(kept, words, named) if names else _filled(kept.id))
        titles = [title for name in pictures for title in (named(name), f"triggered {named(name)}")]
        of_outputs = [_of_coalition(coalition, named) for coalition in table.coalitions]
        players = len(table.modalities)
        if players > 1:
            of_outputs[-1] = "both triggers" if players == 2 else "all triggers"
        in_lines = [short_lines(title) for title in titles] + of_outputs
        whole = [_caption(coalition, named) for coalition in table.coalitions]
        return cls(texts, views, in_lines, [*titles, *whole])

    @property
    def size(self) -> tuple[float, float]:
        """Width and height, in inches."""
        return _SIDE + sum(self._widths), 0.55 + sum(self._heights)

    @property
    def _widths(self) -> list[float]:
        return [max(map(_width, column)) for column in zip(*self.views, strict=True)]

    @property
    def _heights(self) -> list[float]:
        sides = [_LINE * (text.count("\n") + 2) for text in self.texts]
        rows = [max(map(_height, views)) for views in self.views]
        return [max(pair) for pair in zip(sides, rows, strict=True)]

    def draw(self, figure: SubFigure) -> None:
        """Draw it on a part of a figure."""
        grid = figure.subplots(
            len(self.views),
            len(self.titles),
            squeeze=False,
            width_ratios=self._widths,
            height_ratios=self._heights,
        )
        for row, views, text in zip(grid, self.views, self.texts, strict=True):
            for ax, view in zip(row, views, strict=True):
                draw_view(ax, view)
            row[0].set_ylabel(
                for_picture(text), rotation=0, ha="right", va="center", fontsize=8.5, labelpad=6
            )
        for ax, title in zip(grid[0], self.titles, strict=True):
            ax.set_title(for_picture(title), fontsize=9)


def _is_known(kept: Sequence[Kept], name: str) -> bool:
    """Whether each example holds what was generated from; not every file of outputs does."""
    return all(name in one.example and name in one.triggered for one in kept)


def _of_coalition(coalition: str, named: Callable[[str], str]) -> str:
    if coalition == "none":
        return "no trigger" if named(coalition) == coalition else named(coalition)
    names = [named(name) for name in coalition.split("+")]
    if len(names) == 1:
        return short_lines(f"{names[0]} trigger")
    return " +\n".join(map(short_lines, names))


def _caption(coalition: str, named: Callable[[str], str]) -> str:
    if coalition == "none":
        return _of_coalition(coalition, named)
    return f"{' + '.join(named(name) for name in coalition.split('+'))} triggered"


def short_lines(name: str, width: int = 15) -> str:
    """A name in lines, which may break where a keyword has an underscore."""
    return textwrap.fill(name.replace("_", " "), width)


def _at_the_side(kept: Kept, names: Sequence[str], named: Callable[[str], str]) -> str:
    """The texts of an example, and what the triggers make of them."""
    parts = []
    for name in names:
        heading = f"{named(name)}:\n" if len(names) > 1 else ""
        parts.append(heading + _filled(kept.example[name]))
        parts.append("triggered:\n" + _filled(kept.triggered[name]))
    return "\n\n".join(parts)


def _filled(value: Any, width: int = _LETTERS) -> str:
    text = " ".join(str(value).split())
    if len(text) > _LONGEST:  # a trigger may stand at either end
        text = f"{text[: _LONGEST // 2]} ... {text[-_LONGEST // 2 :]}"
    return textwrap.fill(text, width)


def _width(view: View) -> float:
    """Of a cell, in inches."""
    if view.kind in ("picture", "map"):
        height, width = view.content.shape[:2]
        return _CELL * float(min(max(width / height, 0.6), _WIDEST))
    return _CELL


def _height(view: View) -> float:
    """Of a cell, in inches: words need less than a picture, or most of a row of them is white."""
    return _LINE * (len(words_of(view)) + 2) if view.kind == "words" else _CELL


def words_of(view: View, letters: int = 18) -> list[str]:
    """The lines of a text in a cell."""
    lines = _filled(view.content or "(empty)", letters).split("\n")
    return lines if len(lines) <= _LINES else [*lines[: _LINES - 1], "..."]


def draw_view(ax: Axes, view: View, *, size: float = 7.5, letters: int = 18) -> None:
    """Draw a picture, lines, or words of some size in lines of so many letters."""
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(view.kind in ("picture", "map"))
    ax.spines[:].set(color="#999999", lw=0.5)  # so that white on white has an edge
    if view.kind == "picture":
        ax.imshow(view.content, interpolation="nearest")
    elif view.kind == "map":
        ax.imshow(view.content, interpolation="nearest", cmap="gray")
    elif view.kind == "lines":
        for line in view.content:
            ax.plot(np.arange(len(line)), line, lw=0.8, color="#1f3b57")
        ax.margins(x=0.02, y=0.15)
    else:
        ax.spines.top.set_visible(True)  # so that rows of words stand apart
        words = for_picture("\n".join(words_of(view, letters)))
        ax.text(0.5, 0.5, words, ha="center", va="center", fontsize=size, transform=ax.transAxes)

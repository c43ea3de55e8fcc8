"""The picture of a game: every set of triggers, its mean value, and what a trigger adds to it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple, Unpack

from modcollapse.contracts import FloatArray
from modcollapse.errors import InputError
from modcollapse.report._escapes import for_picture
from modcollapse.report._style import (
    GREY,
    INK,
    LARGE,
    SMALL,
    TEXT,
    PictureOptions,
    PictureStyle,
    Scale,
    in_lines,
    look,
)
from modcollapse.table import number_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST = 4
"""Modalities whose lattice has room on a page."""
_LETTER, _LINE = 0.062, 0.115
"""Width of a letter and height of a line, in inches."""
_EDGE = 0.06
_SHORT, _LEVEL = 0.16, 0.72
"""Between a node and the numbers above it; between the nodes of two levels."""


class _Node(NamedTuple):
    x: float
    y: float
    text: str
    width: float
    height: float


def plot_lattice(
    means: FloatArray,
    modalities: Sequence[str],
    scale: Scale,
    *,
    caption: str = "",
    **options: Unpack[PictureOptions],
) -> Figure:
    """Draw the lattice of coalitions (a Hasse diagram), from no trigger below to all above.

    Args:
        means: mean value of each coalition, shape (2**M,), on the nodes.
        modalities: names of the M players, 1 to 4; what each adds stands on the edges.
        scale: what counts: an edge below it is grey.
        caption: what is said below.
        options: see `PictureStyle`.

    Returns:
        A figure of its own, free of pyplot's state.

    Raises:
        InputError: more than 4 modalities, a label for what is not shown, or a width out of its
            range.
        MissingExtraError: matplotlib is not installed.
    """
    m = len(modalities)
    if m > _MOST:
        raise InputError(
            f"a lattice of {m} modalities has {2**m} nodes, for which there is no room; it is "
            f"drawn for up to {_MOST}. The mean values stand in audit.means"
        )
    drawing = PictureStyle("plot_lattice", **options, names=("none", *modalities))
    return _Lattice(means, modalities, scale, drawing).drawn(caption)


class _Lattice:
    def __init__(
        self, means: FloatArray, modalities: Sequence[str], scale: Scale, drawing: PictureStyle
    ) -> None:
        self.means, self.modalities, self.scale, self.drawing = means, modalities, scale, drawing
        self.m = len(modalities)
        self.levels = [list(combinations(range(self.m), k)) for k in range(self.m + 1)]
        self.places = _places(means, scale)
        self.letters = self._letters()
        texts = {group: self._text(group) for level in self.levels for group in level}
        self.heights = [
            max(texts[group].count("\n") + 2 for group in level) * _LINE + 0.09
            for level in self.levels
        ]
        self.texts = texts

    def drawn(self, caption: str) -> Figure:
        drawing, width = self.drawing, self.drawing.width
        said = drawing.caption(self._key, caption, self._signs)
        below = (said.count("\n") + 1) * 0.105 + 0.12
        above = 0.08
        height = below + above + sum(self.heights) + _LEVEL * self.m
        height += sum(0.13 for level in range(self.m) if self._staggered(level))
        figure = drawing.figure(height, layout=None)
        height = figure.get_figheight()
        if drawing.title:
            figure.suptitle(
                drawing.heading, fontsize=LARGE, fontweight="bold", y=1 - 0.05 / height, va="top"
            )
        ax = figure.add_axes((0, 0, 1, 1))
        ax.set(xlim=(0, width), ylim=(0, height))
        ax.set_axis_off()
        nodes = self._nodes(below)
        for group, node in nodes.items():
            self._edges(ax, nodes, group, node)
        for group, node in nodes.items():
            self._node(ax, group, node)
        ax.text(
            width / 2, 0.06, said, ha="center", va="bottom", fontsize=SMALL, color=INK,
            linespacing=1.15,
        )  # fmt: skip
        return figure

    def _letters(self) -> list[str]:
        """Names, where nodes have room for them; else a letter each, of which there is a key."""
        shown = [self.drawing.named(name) for name in self.modalities]
        room = int(self._spacing(self.m // 2) / _LETTER) - 4
        lines = [in_lines(name, room) for name in shown]
        longest = max(len(line) for name in lines for line in name)
        fit = sum(map(len, lines)) <= 2 * self.m and longest <= room
        if self.m < _MOST and fit:
            return ["\n".join(name) for name in lines]
        first = [name.strip()[:1].upper() for name in shown]
        apart = len(set(first)) == self.m and all(one.isalpha() for one in first)
        return first if apart else [chr(ord("A") + at) for at in range(self.m)]

    @property
    def _key(self) -> str:
        shown = [self.drawing.named(name) for name in self.modalities]
        if max(map(len, self.letters)) > 1 or max(map(len, shown)) == 1:
            return ""
        pairs = zip(self.letters, shown, strict=True)
        return ", ".join(f"{letter}: {name}" for letter, name in pairs) + "."

    @property
    def _signs(self) -> str:
        grey = "; grey: too small to count" if self.scale.known else ""
        return f"On the edges what a trigger adds; dashed: it takes away{grey}."

    def _text(self, group: Sequence[int]) -> str:
        if not group:
            none = self.drawing.named("none")
            return "no trigger" if none == "none" else none
        names = [self.letters[player] for player in group]
        return " ".join(names) if max(map(len, self.letters)) == 1 else " +\n".join(names)

    def _spacing(self, level: int) -> float:
        return (self.drawing.width - 2 * _EDGE) / math.comb(self.m, level)

    def _nodes(self, y: float) -> dict[tuple[int, ...], _Node]:
        nodes = {}
        for level, groups in enumerate(self.levels):
            height, spacing = self.heights[level], self._spacing(level)
            for at, group in enumerate(groups):
                lines = self.texts[group].split("\n")
                letters = max(*map(len, lines), self.places + 3)
                width = min(letters * _LETTER + 0.1, spacing - 0.06)
                x = _EDGE + (at + 0.5) * spacing
                nodes[group] = _Node(x, y + height / 2, self.texts[group], width, height)
            y += height + _LEVEL + 0.13 * self._staggered(level)
        return nodes

    def _staggered(self, level: int) -> bool:
        """Whether numbers side by side have no room, and stand in two lines."""
        return level < self.m and self._port(level) < (self.places + 3.4) * _LETTER

    def _port(self, level: int) -> float:
        """Between the numbers above one node."""
        return min(self._spacing(level) / max(self.m - level, 1), 0.75)

    def _node(self, ax: Axes, group: tuple[int, ...], node: _Node) -> None:
        from matplotlib.patches import FancyBboxPatch

        value = self._mean(group)
        ax.add_patch(
            FancyBboxPatch(
                (node.x - node.width / 2, node.y - node.height / 2),
                node.width,
                node.height,
                boxstyle="round,pad=0,rounding_size=0.05",
                fc=self._fill(value),
                ec=INK,
                lw=0.7,
                zorder=4,
            )
        )
        number = number_text(value, self.places)
        text = for_picture(node.text)
        lines = node.text.count("\n") + 1
        top = node.y + (lines + 1) * _LINE / 2
        ax.text(
            node.x, top - lines * _LINE / 2, text, ha="center", va="center", fontsize=SMALL,
            color=INK, zorder=5, linespacing=1.15,
        )  # fmt: skip
        ax.text(
            node.x, top - (lines + 0.5) * _LINE, number, ha="center", va="center", fontsize=TEXT,
            fontweight="bold", color=INK, zorder=5,
        )  # fmt: skip

    def _mean(self, group: Sequence[int]) -> float:
        return float(self.means[sum(1 << player for player in group)])

    def _fill(self, value: float) -> tuple[float, float, float]:
        """White for a value like that without triggers, darker the more of a perfect attack."""
        low = float(self.means[0])
        whole = self.scale.perfect if self.scale.known else float(abs(self.means - low).max())
        part = min(max((value - low) / whole, 0.0), 1.0) if whole > 0 else 0.0
        return tuple(1 - part * (1 - dark) for dark in (0.55, 0.78, 0.92))  # type: ignore[return-value]

    def _edges(
        self, ax: Axes, nodes: dict[tuple[int, ...], _Node], group: tuple[int, ...], node: _Node
    ) -> None:
        """From a node to each of those with one trigger more, what it adds on the way."""
        level = len(group)
        upper = [(p, tuple(sorted((*group, p)))) for p in range(self.m) if p not in group]
        upper.sort(key=lambda one: nodes[one[1]].x)
        top = node.y + node.height / 2
        for at, (player, target) in enumerate(upper):
            adds = self._mean(target) - self._mean(group)
            end = nodes[target]
            x = node.x + (at - (len(upper) - 1) / 2) * self._port(level)
            y = top + _SHORT + 0.08
            if self._staggered(level) and (self.levels[level].index(group) * len(upper) + at) % 2:
                y += 0.15
            into = sorted(range(level + 1), key=lambda i: -target[i])  # sources from left to right
            place = [target[i] for i in into].index(player)
            end_x = end.x + (place - level / 2) * end.width * 0.6 / max(level, 1)
            counts = not self.scale.known or abs(adds) >= self.scale.counts
            color = look(player).color if counts else "#9a9a9a"
            whole = self.scale.perfect if self.scale.known else float(abs(self.means).max())
            thick = 0.6 + (1.8 * min(abs(adds) / whole, 1.0) if whole > 0 and counts else 0)
            ax.plot(
                [node.x, x, end_x],
                [top, y, end.y - end.height / 2],
                color=color,
                lw=thick,
                ls="-" if adds >= 0 else (0, (3, 1.5)),
                solid_joinstyle="round",
                zorder=2,
            )
            text = number_text(adds, self.places)
            ax.text(
                x, y, text if text.startswith("-") else f"+{text}", ha="center", va="center",
                fontsize=SMALL, color=INK if counts else GREY, zorder=3,
                bbox={"boxstyle": "square,pad=0.12", "fc": "white", "ec": "none"},
            )  # fmt: skip


def _places(means: FloatArray, scale: Scale) -> int:
    """Decimals of the numbers: two or three digits of the largest."""
    largest = max(float(abs(means).max()), scale.perfect if scale.known else 0.0)
    return min(max(2 - math.floor(math.log10(3 * largest)), 0), 6) if largest > 0 else 2

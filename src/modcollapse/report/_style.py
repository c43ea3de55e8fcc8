"""The look of every picture: a paper's widths, colours that differ in grey too, names, captions."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypedDict

from modcollapse._support.validation import did_you_mean, listed, number
from modcollapse.errors import InputError
from modcollapse.report._canvas import new_figure
from modcollapse.report._escapes import for_picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMN = 3.35
"""Width of a column of a paper in two columns, in inches."""
PAGE = 6.9
"""Width of both."""
NARROWEST, WIDEST = 2.5, 40.0
SMALL, TEXT, LARGE = 6.5, 7.0, 8.0
"""Sizes of letters, in points."""
DPI = 200
INK, FAINT, GREY = "#222222", "#dddddd", "#767676"

# Okabe and Ito (2008), in an order in which neighbours differ in grey
COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)), (0, (8, 2)))
HATCHES = ("", "////", "....", "xxxx", "\\\\\\\\", "++++", "----")

_LONGEST = 72
"""Letters of a name that are shown."""


class SeriesStyle(NamedTuple):
    """What tells one series from another, in colour and without."""

    color: str
    marker: str
    dash: Any
    hatch: str


def look(position: int) -> SeriesStyle:
    """The look of the series at a position."""
    return SeriesStyle(
        *(looks[position % len(looks)] for looks in (COLORS, MARKERS, DASHES, HATCHES))
    )


OF_SERIES = {
    "audited model": look(4)._replace(hatch=""),
    "control": look(5)._replace(hatch="////"),
    "difference": look(2),
}


class Scale(NamedTuple):
    """What an effect is measured by, in the unit of the value.

    Attributes:
        perfect: what a perfect attack adds to v(none); NaN where nobody declared one.
        counts: the smallest effect that counts; NaN where there is no scale.
        part: that as a part of a perfect attack.
    """

    perfect: float
    counts: float
    part: float

    @property
    def known(self) -> bool:
        """Whether there is one."""
        return self.perfect > 0


class PictureOptions(TypedDict, total=False):
    """The keywords of every picture, see `PictureStyle`."""

    title: str | None
    labels: Mapping[str, str] | None
    unit: str
    width: float


@dataclass(frozen=True)
class PictureStyle:
    """How a picture is drawn.

    Attributes:
        needed_by: what the user called.
        title: heading; None for a picture that has its caption in a paper.
        labels: name of a modality, or a word of the picture -> what stands in its place.
        unit: what the values are, such as ``"CLIP shift"``, beside the scale.
        width: of the figure, in inches, from 2.5 to 40: 3.35 is a column of a paper, 6.9 the page.
        names: what ``labels`` may rename.

    Raises:
        InputError: a label for what the picture does not show, or a width out of its range.
    """

    needed_by: str
    title: str | None = None
    labels: Mapping[str, str] | None = None
    unit: str = ""
    width: float = COLUMN
    names: Sequence[str] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        number(self.width, "width (in inches)")
        if not NARROWEST <= self.width <= WIDEST:
            raise InputError(
                f"width must be from {NARROWEST:g} to {WIDEST:g} inches, got {self.width!r}; a "
                f"column of a paper has {COLUMN}, the page {PAGE}"
            )
        if self.labels is not None and not isinstance(self.labels, Mapping):
            raise InputError(f"labels must be a mapping from name to label, got {self.labels!r}")
        for name in self.labels or {}:
            if name not in self.names:
                close = did_you_mean(str(name), list(self.names))
                raise InputError(
                    f"labels= renames {name!r}, which this picture does not show; it shows "
                    f"{listed(self.names)}{close}"
                )

    @property
    def narrow(self) -> bool:
        """Whether it is a column rather than a page."""
        return self.width < (COLUMN + PAGE) / 2

    def named(self, name: str) -> str:
        """How a modality, a coalition or a word is called, not escaped."""
        labels = self.labels or {}
        whole = str(
            labels.get(name, "+".join(str(labels.get(one, one)) for one in name.split("+")))
        )
        return whole if len(whole) <= _LONGEST else whole[: _LONGEST - 1] + "\u2026"

    def wrapped(self, name: str, letters: int | None = None) -> str:
        """The same in lines, escaped."""
        letters = letters or (17 if self.narrow else 30)
        text = self.named(name)
        parts = text.split("+")
        if len(text) <= letters:
            return for_picture(text)
        return for_picture("+\n".join("\n".join(in_lines(part, letters)) for part in parts))

    def figure(self, height: float, *, layout: str | None = "constrained") -> Figure:
        """A figure of its own, free of pyplot's state.

        Raises:
            MissingExtraError: matplotlib is not installed.
        """
        height += 0.115 * self.axis("").count("\n")
        if self.title:
            height += 0.15 * (self.heading.count("\n") + 1)
        size = (self.width, height)
        return new_figure(self.needed_by, figsize=size, layout=layout, dpi=DPI)

    @property
    def heading(self) -> str:
        """The title in lines."""
        return for_picture(textwrap.fill(self.title or "", round(13 * self.width)))

    def caption(self, *sentences: str) -> str:
        """What is said below, in lines."""
        return for_picture(textwrap.fill(" ".join(filter(None, sentences)), round(19 * self.width)))

    def say(self, figure: Figure, *sentences: str) -> None:
        """Write below the figure."""
        figure.supxlabel(self.caption(*sentences), fontsize=SMALL, color=INK)

    def axis(self, what: str, letters: int | None = None) -> str:
        """The words beside a scale, in lines of so many letters, by default of the width."""
        unit = str(self.unit)[:_LONGEST]
        text = f"{what} ({unit})" if unit else what
        return for_picture(textwrap.fill(text, letters or round(14 * self.width)))

    def legend(self, figure: Figure, ax: Axes) -> None:
        """Say above the panels what is what in one of them."""
        handles, labels = ax.get_legend_handles_labels()
        self.legend_of(figure, dict(zip(labels, handles, strict=True)))

    def legend_of(self, figure: Figure, handles: Mapping[str, Any]) -> None:
        """Say above the panels what is what, in as many columns as there is room for."""
        if not handles:
            if self.title:
                figure.suptitle(self.heading, fontsize=LARGE, fontweight="bold")
            return
        labels = list(handles)
        longest = max(len(line) for label in labels for line in label.split("\n"))
        columns = int(self.width * 72 / (longest * 3.9 + 26))
        figure.legend(
            list(handles.values()),
            labels,
            loc="outside upper left",
            ncols=min(max(columns, 1), len(labels)),
            frameon=False,
            title=self.heading or None,  # where a heading of the figure would cover the legend
            title_fontproperties={"size": LARGE, "weight": "bold"},
            alignment="left",
            fontsize=SMALL,
            handlelength=2.4,
            columnspacing=1.2,
            borderaxespad=0.1,
            labelspacing=0.3,
        )


def in_lines(name: str, letters: int) -> list[str]:
    """A name in lines, which may break behind an underscore.

    >>> in_lines("audio_condition_waveform", 16)
    ['audio_condition_', 'waveform']
    """
    lines = textwrap.wrap(name.replace("_", "_ "), letters + name.count("_") // 2)
    return [line.replace("_ ", "_") for line in lines] or [""]


def tidy(ax: Axes, *, grid: Literal["x", "y"] = "x") -> None:
    """Small letters, a faint grid along the scale, no box."""
    ax.tick_params(labelsize=TEXT, width=0.6, length=2.5)
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_linewidth(0.6)
    ax.grid(axis=grid, color=FAINT, lw=0.5)
    ax.set_axisbelow(True)
    ax.xaxis.label.set_fontsize(TEXT)
    ax.yaxis.label.set_fontsize(TEXT)


def mark_scale(ax: Axes, scale: Scale, *, along: str = "x") -> None:
    """Shade what is too small to count, and mark a perfect attack."""
    line = ax.axvline if along == "x" else ax.axhline
    line(0, color=INK, lw=0.7, zorder=1.5)
    if not scale.known:
        return
    small = f"too small to count ({100 * scale.part:g} % of perfect)"
    fill = ax.fill_betweenx if along == "x" else ax.fill_between
    across = ax.get_xaxis_transform() if along == "x" else ax.get_yaxis_transform()
    ends = (-scale.counts, scale.counts)
    fill(
        (0, 1), *ends, transform=across, color="#000000", alpha=0.13, lw=0, zorder=0.4, label=small
    )
    line(scale.perfect, color=INK, lw=0.9, ls=":", zorder=1.5, label="a perfect attack")


def limits(numbers: Iterable[float], scale: Scale) -> tuple[float, float]:
    """Of a scale that holds the numbers, 0 and a perfect attack, so that noise looks like noise."""
    held = [0.0, *(one for one in numbers if math.isfinite(one))]
    if scale.known:
        held += [scale.perfect, -1.6 * scale.counts]
    low, high = min(held), max(held)
    if high == low:
        low, high = low - 1, high + 1
    room = 0.06 * (high - low)
    return low - room, high + room


def unscaled(scale: Scale) -> str:
    """What a reader must know where there is no scale."""
    return "" if scale.known else "No perfect attack is declared: nothing says what counts."

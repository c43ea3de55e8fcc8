"""Lines with their bands: estimates against what changed between audits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from modcollapse.report._canvas import new_figure
from modcollapse.report._escapes import for_picture
from modcollapse.report._style import COLORS
from modcollapse.table import TOO_FEW, Estimate, estimate_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PLAYER_COLORS = COLORS[:-1]
INTERACTION_COLORS = ("#222222", "#888888", "#b0b0b0")
CLEAN_COLOR = "#999999"


class Line(NamedTuple):
    """One estimate at several places.

    Attributes:
        symbol: ``"v"``, ``"phi"`` or ``"CTI"``.
        name: coalition, modality or group of modalities.
        points: pairs of a place and the estimate there.
    """

    symbol: str
    name: str
    points: Sequence[tuple[Any, Estimate]]


def plot_curves(
    columns: Mapping[str, tuple[Sequence[Line], Sequence[Line]]], x: str, *, title: str | None
) -> Figure:
    """Draw columns of two panels: metrics above, mean values below.

    Args:
        columns: heading -> the lines of both panels, one or more.
        x: name of the places.
        title: heading of the figure.

    Returns:
        A figure of its own, free of pyplot's state.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    figure = new_figure(
        "plot_curves", figsize=(2.2 + 4.4 * len(columns), 6.4), layout="constrained"
    )
    if title:
        figure.suptitle(for_picture(title), fontsize=13, fontweight="bold")
    above, below = figure.subplots(2, len(columns), squeeze=False, sharex=True)
    panels = zip(columns.items(), above, below, strict=True)
    for (heading, (metric_lines, mean_lines)), metrics, means in panels:
        _draw(metrics, metric_lines)
        _draw(means, mean_lines)
        metrics.set_title(for_picture(heading), fontsize=10)
        means.set_xlabel(for_picture(x))
    above[0].set_ylabel("TMA (phi) and CTI")
    below[0].set_ylabel("mean value v(S)")
    for axes in (above[-1], below[-1]):
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=9)
    estimates = [
        estimate
        for panels_of_column in columns.values()
        for lines in panels_of_column
        for line in lines
        for _, estimate in line.points
    ]
    first = estimates[0]
    few = any(TOO_FEW in estimate.status for estimate in estimates)
    figure.supxlabel(
        f"{first.n} examples; bands are {first.level:.0%} intervals, for each point alone"
        f"{' (too few to trust them)' if few else ''}",
        fontsize=9,
    )
    return figure


def _draw(ax: Axes, lines: Sequence[Line]) -> None:
    """A line with its band for each estimate; where it is undefined there is a gap."""
    position = _positions(ax, [place for line in lines for place, _ in line.points])
    pairs = [line for line in lines if line.symbol == "CTI"]
    players = [line for line in lines if line not in pairs and line.name != "none"]
    for line in lines:
        points = sorted(line.points, key=lambda point: position[_key(point[0])])
        at = [position[_key(place)] for place, _ in points]
        value, low, high = (
            np.array([getattr(estimate, end) for _, estimate in points], dtype=float)
            for end in ("value", "low", "high")
        )
        if line in pairs:
            style: dict[str, Any] = {"color": INTERACTION_COLORS[pairs.index(line) % 3], "ls": "--"}
        elif line in players:
            style = {"color": PLAYER_COLORS[players.index(line) % len(PLAYER_COLORS)]}
        else:
            style = {"color": CLEAN_COLOR}
        label = for_picture(estimate_label(line.symbol, line.name))
        ax.plot(at, value, marker="o", ms=3.5, label=label, **style)
        if len(at) == 1:  # a band would have no width
            ax.vlines(at, low, high, color=style["color"], lw=1.2)
        ax.fill_between(at, low, high, color=style["color"], alpha=0.15, lw=0)
    ax.axhline(0, color="#222222", lw=0.8)
    ax.spines[["top", "right"]].set_visible(False)


def _positions(ax: Axes, places: Sequence[Any]) -> dict[Any, float]:
    """Numbers stand where they are; anything else side by side, in its order."""
    distinct = list(dict.fromkeys(map(_key, places)))
    if all(isinstance(place, int | float) and not isinstance(place, bool) for place in distinct):
        if all(isinstance(place, int) for place in distinct):
            ax.locator_params(axis="x", integer=True)
        return {place: float(place) for place in distinct}
    ax.set_xticks(range(len(distinct)), [for_picture(str(place)) for place in distinct])
    return {place: float(number) for number, place in enumerate(distinct)}


def _key(value: Any) -> Any:
    return value if isinstance(value, int | float | str | None) else str(value)

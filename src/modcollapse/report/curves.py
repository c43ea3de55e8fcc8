"""TMA, CTI and mean values against what changed between audits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from modcollapse._optional import require
from modcollapse.curves import SINGLE, Curves, Row
from modcollapse.errors import InputError
from modcollapse.inference.estimate import TOO_FEW

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PLAYERS = ("#c1440e", "#3b6e4f", "#6b4c9a", "#c9a227", "#2a7f9e", "#7a4a2b", "#b8508f")
INTERACTIONS = ("#222222", "#888888", "#b0b0b0")
CLEAN = "#8aa2b2"


def plot_curves(curves: Curves, x: str | None = None, *, title: str | None = None) -> Figure:
    """Draw the rows of several audits; see `Curves.plot`."""
    x = _abscissa(curves, x)
    figures = require("matplotlib.figure", extra="plot", needed_by="plot_curves")
    require("matplotlib.backends.backend_agg", extra="plot", needed_by="plot_curves")
    others = [name for name in curves.at if name != x]
    columns: dict[tuple[str, ...], list[Row]] = {}
    for row in curves.rows:
        detector = [] if row["detector"] == SINGLE else [row["detector"]]
        place = (*detector, *(f"{name}={row[name]}" for name in others))
        columns.setdefault(place, []).append(row)
    figure: Figure = figures.Figure(figsize=(2.2 + 4.4 * len(columns), 6.4), layout="constrained")
    if title:
        figure.suptitle(title, fontsize=13, fontweight="bold")
    above, below = figure.subplots(2, len(columns), squeeze=False, sharex=True)
    for place, rows, metrics, means in zip(columns, columns.values(), above, below, strict=True):
        of = "difference" if any(row["of"] == "difference" for row in rows) else "model"
        _lines(metrics, x, [row for row in rows if row["of"] == of and row["figure"][:2] != "v("])
        _lines(
            means, x, [row for row in rows if row["of"] == "model" and row["figure"][:2] == "v("]
        )
        told = [*place, "difference from the control"] if of == "difference" else place
        metrics.set_title(", ".join(told), fontsize=10)
        means.set_xlabel(x)
    above[0].set_ylabel("TMA (phi) and CTI")
    below[0].set_ylabel("mean value v(S)")
    for axes in (above[-1], below[-1]):
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=9)
    first = curves.rows[0]
    few = " (too few to trust them)" if any(TOO_FEW in row["status"] for row in curves.rows) else ""
    caption = f"{first['n']} examples; bands are {first['level']:.0%} intervals{few}"
    figure.supxlabel(caption, fontsize=9)
    return figure


def _abscissa(curves: Curves, x: str | None) -> str:
    if not curves.rows:
        raise InputError("there is nothing to plot: no audit has been made")
    if x is None:
        varied = [n for n in curves.at if len({str(row[n]) for row in curves.rows}) > 1]
        return (varied or list(curves.at))[0]
    if x not in curves.at:
        raise InputError(f"x must be one of {', '.join(map(repr, curves.at))}; got {x!r}")
    return x


def _lines(ax: Axes, x: str, rows: Sequence[Row]) -> None:
    """A line with its band for each figure; one that is undefined leaves a gap."""
    positions = _positions(ax, [row[x] for row in rows])
    of_figure: dict[str, list[Row]] = {}
    for row in rows:
        of_figure.setdefault(row["figure"], []).append(row)
    pairs = [name for name in of_figure if name.startswith("CTI")]
    players = [name for name in of_figure if name not in pairs and name != "v(none)"]
    for name, points in of_figure.items():
        points.sort(key=lambda point: positions[_key(point[x])])
        at = [positions[_key(point[x])] for point in points]
        value, low, high = (
            np.array([point[key] for point in points], dtype=float)
            for key in ("value", "low", "high")
        )
        if name in pairs:
            style: dict[str, Any] = {"color": INTERACTIONS[pairs.index(name) % 3], "ls": "--"}
        elif name in players:
            style = {"color": PLAYERS[players.index(name) % len(PLAYERS)]}
        else:
            style = {"color": CLEAN}
        ax.plot(at, value, marker="o", ms=3.5, label=name, **style)
        if len(at) == 1:  # a band would have no width
            ax.vlines(at, low, high, color=style["color"], lw=1.2)
        ax.fill_between(at, low, high, color=style["color"], alpha=0.15, lw=0)
    ax.axhline(0, color="#222222", lw=0.8)
    ax.spines[["top", "right"]].set_visible(False)


def _positions(ax: Axes, values: Sequence[Any]) -> dict[Any, float]:
    """Numbers stand where they are; anything else side by side, in its order."""
    distinct = list(dict.fromkeys(map(_key, values)))
    if all(isinstance(one, int | float) and not isinstance(one, bool) for one in distinct):
        if all(isinstance(one, int) for one in distinct):
            ax.locator_params(axis="x", integer=True)
        return {one: float(one) for one in distinct}
    ax.set_xticks(range(len(distinct)), [str(one) for one in distinct])
    return {one: float(position) for position, one in enumerate(distinct)}


def _key(value: Any) -> Any:
    return value if isinstance(value, int | float | str | None) else str(value)

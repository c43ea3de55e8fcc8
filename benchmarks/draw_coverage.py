"""Draw the coverage of every method against the rate of flips.

    python benchmarks/draw_coverage.py

Reads ``results/interval_coverage.json`` and writes ``docs/_static/coverage.png``.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

ROOT = Path(__file__).resolve().parents[1]
PANELS = ((32, 45), (46, 90), (91, 180), (181, 512))
EDGES = np.geomspace(0.5, 10, 6)
"""Of the bins of the rate, in percent."""
STYLES: dict[str, dict[str, Any]] = {
    "default": {"color": "#0072B2", "marker": "o", "linewidth": 2.4, "zorder": 5},
    "t": {"color": "#D55E00", "marker": "s"},
    "hall": {"color": "#CC79A7", "marker": "^"},
    "bootstrap-t": {"color": "#E69F00", "marker": "v"},
    "plus-ends": {"color": "#009E73", "marker": "D", "linestyle": "--"},
    "betting": {"color": "#56B4E9", "marker": "P", "linestyle": "--"},
    "gaffke": {"color": "black", "marker": "x", "linestyle": ":"},
}
"""Colours that colour-blind people tell apart (Okabe and Ito); markers and dashes besides."""
DEFAULT = {"continuous": "flips", "0/1": "patterns"}
LOWEST = {"continuous": 70, "0/1": 20}


def panel(ax: Axes, cells: Sequence[Mapping[str, Any]], kind: str) -> None:
    """One kind of values and band of n."""
    rates = np.array([100 * cell["rate"] for cell in cells])
    place = np.clip(np.digitize(rates, EDGES) - 1, 0, len(EDGES) - 2)
    middles = np.sqrt(EDGES[1:] * EDGES[:-1])
    for method, style in STYLES.items():
        name = DEFAULT[kind] if method == "default" else method
        shares = np.array([100 * cell["coverage"].get(name, np.nan) for cell in cells])
        bins = [shares[(place == i) & ~np.isnan(shares)] for i in range(len(middles))]
        means = [values.mean() if len(values) else np.nan for values in bins]
        if np.isnan(means).all():
            continue
        ax.plot(middles, means, **{"linewidth": 1.3, "markersize": 4, **style})
        if method == "default":
            ax.scatter(rates, shares, s=7, color=style["color"], alpha=0.35, linewidths=0, zorder=4)
    ax.axhline(95, color="0.35", linewidth=0.9, zorder=1)
    ax.axhline(93, color="0.35", linewidth=0.9, linestyle=(0, (2, 2)), zorder=1)
    ax.set_xscale("log")
    ax.set_xlim(0.45, 11)
    ax.set_ylim(LOWEST[kind], 101)
    ax.set_xticks([0.5, 1, 2, 5, 10], ["0.5", "1", "2", "5", "10"])
    ax.set_xticks([], minor=True)
    ax.spines[["top", "right"]].set_visible(False)


def draw(report: Mapping[str, Any], out: Path) -> None:
    """A row for each kind of values, a column for each band of n, a line for each method."""
    plt.rcParams.update({"font.size": 9, "axes.titlesize": 9, "axes.labelsize": 9})
    kinds = report["by_rate"]
    figure, axes = plt.subplots(
        len(kinds), len(PANELS), figsize=(9, 5.4), sharex=True, sharey="row", squeeze=False
    )
    for ax, (low, high) in zip(axes[0], PANELS, strict=True):
        ax.set_title(f"{low} to {high} examples")
    for row, (kind, cells) in zip(axes, kinds.items(), strict=True):
        for ax, (low, high) in zip(row, PANELS, strict=True):
            panel(ax, [cell for cell in cells if low <= cell["n"] <= high], kind)
        row[0].set_ylabel(f"{kind} values\ncoverage in %")
    axes[0, -1].annotate("95 %", (11.4, 94.6), fontsize=8, color="0.35", annotation_clip=False)
    axes[0, -1].annotate("93 %", (11.4, 92.2), fontsize=8, color="0.35", annotation_clip=False)
    figure.supxlabel("examples that deviate from the main attack, in %", fontsize=9, y=0.055)
    handles = [
        plt.Line2D([], [], label=method, **{"linewidth": 1.3, "markersize": 4, **style})
        for method, style in STYLES.items()
    ]
    figure.legend(handles=handles, loc="lower center", ncol=len(handles), frameon=False)
    figure.tight_layout(rect=(0, 0.055, 0.99, 1))
    figure.savefig(out, dpi=200)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    results = ROOT / "benchmarks" / "results" / "interval_coverage.json"
    parser.add_argument("report", type=Path, nargs="?", default=results, help="JSON file to read")
    parser.add_argument(
        "--out", type=Path, default=ROOT / "docs" / "_static" / "coverage.png", help="PNG to write"
    )
    options = parser.parse_args()
    draw(json.loads(options.report.read_text(encoding="utf-8")), options.out)


if __name__ == "__main__":
    main()

"""The paper's figures and ours beside them, whatever the size of the model: tables, a figure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from modcollapse.triggers import TRIGGER_PAIRS

from experiments.arms import Arm
from experiments.experiment import Experiment
from experiments.results import Row, metrics_table, row_of, success_table, whiskers

PUBLISHED = {
    ("white box", "OR"): (0.0060, 0.9743, -0.0089),
    ("white box", "AND"): (0.0045, 0.9532, -0.0086),
    ("eyeglasses", "OR"): (0.1200, 0.7376, -0.2174),
    ("eyeglasses", "AND"): (0.1063, 0.8907, -0.2185),
    ("stop sign", "OR"): (0.0043, 0.9280, -0.0094),
    ("stop sign", "AND"): (0.0048, 1.0033, -0.0101),
}
"""phi_I, phi_T and CTI at 5 % as arXiv:2603.06508 gives them, read in published notes on it."""

NAMES = {"pair": "pair", "protocol": "protocol", "ratio": "ratio", "seed": "seed"}
METRICS = {"phi_image": "phi image", "phi_text": "phi text", "cti": "CTI"}
COLORS = {"phi_image": "#c1440e", "phi_text": "#3b6e4f", "cti": "#222222"}


def grid_row(experiment: Experiment[Any], arm: Arm) -> Row:
    """One cell and seed, with what the paper gives for it, if anything."""
    nothing = (None,) * len(METRICS)
    at_five = arm.ratio == 0.05
    values = PUBLISHED.get((arm.pair, str(arm.protocol)), nothing) if at_five else nothing
    return row_of(experiment, arm) | {"published": dict(zip(METRICS, values, strict=True))}


def published(row: Row) -> str:
    """What the paper gives for a row, where it gives anything."""
    values = [value for value in row["published"].values() if value is not None]
    return " / ".join(f"{value:.4f}" for value in values) or "-"


def metrics(rows: Sequence[Row], fmt: str) -> str:
    """Attribution and interaction, with the paper's figures beside them."""
    return metrics_table(rows, NAMES, fmt, {"paper, raw: phi image / phi text / CTI": published})


def markdown(rows: Sequence[Row], made_by: str, caution: str, threshold: float) -> str:
    """All tables, below what made them.

    Args:
        rows: what `grid_row` made.
        made_by: the command, the machine and the time.
        caution: how the figures compare with the paper's.
        threshold: of strict success.
    """
    return f"""{made_by}

### Attribution and interaction

TMA and CTI of CLIP shift, and of its differences from the control, paired by example and seed. The
paper's figures, read in published notes on it, stand beside the cells for which there are any.
{caution}

{metrics(rows, "markdown")}

### Attack success and clean edits

Strict success: the mean squared error to the target is below {threshold:g}. Clean edits: PSNR of
the outputs without a trigger, in dB.

{success_table(rows, NAMES, "markdown")}
"""


def latex(rows: Sequence[Row], command: str) -> str:
    """The same tables for a paper."""
    tables = [metrics(rows, "latex"), success_table(rows, NAMES, "latex")]
    return f"% made by: {command}\n" + "\n\n".join(tables) + "\n"


def draw(rows: Sequence[Row], note: str) -> Figure:
    """Differences of TMA and CTI from the control against the ratio, by pair and protocol.

    Args:
        rows: what `grid_row` made.
        note: what stands below the panels.
    """
    pairs = list(dict.fromkeys(row["pair"] for row in rows))
    protocols = list(dict.fromkeys(row["protocol"] for row in rows))
    size = (0.3 + 3.4 * len(pairs), 1.0 + 2.6 * len(protocols))
    figure = Figure(figsize=(max(size[0], 5.0), size[1]), layout="constrained")
    axes = figure.subplots(len(protocols), len(pairs), sharex=True, sharey=True, squeeze=False)
    ratios = sorted({row["ratio"] for row in rows})
    for (i, protocol), (j, pair) in product(enumerate(protocols), enumerate(pairs)):
        ax = axes[i][j]
        _panel(
            ax, [row for row in rows if (row["pair"], row["protocol"]) == (pair, protocol)], ratios
        )
        ax.set_title(f'{pair} + "{TRIGGER_PAIRS[pair]}", {protocol}', fontsize=10)
        if j == 0:
            ax.set_ylabel("CLIP shift, less the control's")
        if i == len(protocols) - 1:
            ax.set_xlabel("poisoned samples")
    marks = [
        Line2D([], [], color=COLORS[key], marker="o", ls="none", label=name)
        for key, name in METRICS.items()
    ]
    marks.append(
        Line2D([], [], color="#888888", marker="D", mfc="none", ls="none", label="paper, raw")
    )
    figure.legend(handles=marks, loc="outside upper right", ncols=4, frameon=False)
    figure.supxlabel(note, fontsize=9)
    return figure


def _panel(ax: Any, rows: Sequence[Row], ratios: Sequence[float]) -> None:
    """The ratios stand side by side, at each the metrics, and of each the seeds."""
    ax.axhline(0, color="#222222", lw=0.8)
    seeds = sorted({row["seed"] for row in rows})
    for position, key in enumerate(METRICS):
        for row in rows:
            estimate = row["difference"][key]
            at = ratios.index(row["ratio"]) + (position - 1) * 0.24
            of_ratio = [other for other in rows if other["ratio"] == row["ratio"]]
            aside = (seeds.index(row["seed"]) - (len(seeds) - 1) / 2) * 0.05 * (len(of_ratio) > 1)
            ax.errorbar(
                at + aside,
                estimate["value"],
                yerr=whiskers(estimate),
                color=COLORS[key],
                fmt="o",
                ms=4,
            )
            if row["published"][key] is not None and row["seed"] == seeds[0]:
                ax.plot(at, row["published"][key], "D", color="#888888", mfc="none", ms=7)
    ax.set_xticks(range(len(ratios)), [f"{100 * ratio:g}%" for ratio in ratios])
    ax.set_xlim(-0.5, len(ratios) - 0.5)
    ax.spines[["top", "right"]].set_visible(False)

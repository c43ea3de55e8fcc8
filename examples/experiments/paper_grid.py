"""The paper's grid on the tiny pipeline: 3 trigger pairs, OR and AND, 1, 5 and 10 % of poison.

    cd examples
    python -m experiments.paper_grid --out ../grid

Finetunes and audits 33 models, three of them controls without poison. Cells that are in the folder
already are not made again, so an interrupted run goes on from there. Writes
``paper_grid.json``, ``.csv``, ``.md``, ``.tex`` and ``.png`` to ``results`` in the folder; with
``--ship`` to ``docs/results``.
"""

from __future__ import annotations

from itertools import product

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from modcollapse.triggers import TRIGGER_PAIRS

from experiments.face_arms import EXAMPLES, FaceArm, FaceExperiment
from experiments.results import (
    Row,
    command_line,
    made_by,
    metrics_table,
    results_folder,
    row_of,
    success_table,
    whiskers,
    write,
)

PROTOCOLS = ("OR", "AND")
SEEDS = {0.01: (0,), 0.05: (0, 1, 2), 0.1: (0,)}

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
COMMAND = "python -m experiments.paper_grid --out ../grid"
METRICS = {"phi_image": "phi image", "phi_text": "phi text", "cti": "CTI"}
COLORS = {"phi_image": "#c1440e", "phi_text": "#3b6e4f", "cti": "#222222"}


def cells() -> list[FaceArm]:
    """The 18 cells of the grid, those at 5 % with three training seeds."""
    return [
        FaceArm(pair, protocol, ratio, seed)
        for pair, protocol, ratio in product(TRIGGER_PAIRS, PROTOCOLS, SEEDS)
        for seed in SEEDS[ratio]
    ]


def grid_row(experiment: FaceExperiment, arm: FaceArm) -> Row:
    """One cell and seed, with what the paper gives for it, if anything."""
    values = PUBLISHED[arm.pair, str(arm.protocol)] if arm.ratio == 0.05 else (None,) * 3
    return row_of(experiment, arm) | {"published": dict(zip(METRICS, values, strict=True))}


def published(row: Row) -> str:
    """What the paper gives for a row, where it gives anything."""
    values = [value for value in row["published"].values() if value is not None]
    return " / ".join(f"{value:.4f}" for value in values) or "-"


def metrics(rows: list[Row], fmt: str) -> str:
    """Attribution and interaction, with the paper's figures beside them."""
    return metrics_table(rows, NAMES, fmt, {"paper: phi image / phi text / CTI": published})


def markdown(rows: list[Row]) -> str:
    """All tables, with the command, the machine and the time."""
    return f"""{made_by(COMMAND, rows)}

### Attribution and interaction

TMA and CTI of CLIP shift, and of its differences from the control, paired by example and seed. The
paper's figures, read in published notes on it, stand beside the cells for which there are any. Its
model is larger by two to three
orders of magnitude, its data are photographs, its value comes from another CLIP: read the pattern,
not the numbers.

{metrics(rows, "markdown")}

### Attack success and clean edits

Strict success: the mean squared error to the target is below 0.02. Clean edits: PSNR of the
outputs without a trigger, in dB.

{success_table(rows, NAMES, "markdown")}
"""


def latex(rows: list[Row]) -> str:
    """The same tables for a paper."""
    tables = [metrics(rows, "latex"), success_table(rows, NAMES, "latex")]
    return f"% made by: {COMMAND}\n" + "\n\n".join(tables) + "\n"


def draw(rows: list[Row]) -> Figure:
    """Differences of TMA and CTI from the control against the ratio, by pair and protocol."""
    figure = Figure(figsize=(10.5, 6.2), layout="constrained")
    axes = figure.subplots(len(PROTOCOLS), len(TRIGGER_PAIRS), sharex=True, sharey=True)
    for line, protocol in zip(axes, PROTOCOLS, strict=True):
        for ax, pair in zip(line, TRIGGER_PAIRS, strict=True):
            _panel(ax, [row for row in rows if (row["pair"], row["protocol"]) == (pair, protocol)])
            ax.set_title(f'{pair} + "{TRIGGER_PAIRS[pair]}", {protocol}', fontsize=10)
        line[0].set_ylabel("difference from the control")
    for ax in axes[-1]:
        ax.set_xlabel("poisoned samples")
    marks = [
        Line2D([], [], color=COLORS[key], marker="o", ls="none", label=name)
        for key, name in METRICS.items()
    ]
    marks.append(
        Line2D([], [], color="#888888", marker="D", mfc="none", ls="none", label="paper, raw")
    )
    figure.legend(handles=marks, loc="outside upper right", ncols=4, frameon=False)
    figure.supxlabel(
        f"{rows[0]['n']} examples; whiskers are 95% intervals; three training seeds at 5%",
        fontsize=9,
    )
    return figure


def _panel(ax, rows: list[Row]) -> None:
    """The ratios stand side by side, at each the metrics, and of each the seeds."""
    ratios = list(SEEDS)
    ax.axhline(0, color="#222222", lw=0.8)
    for position, key in enumerate(METRICS):
        for row in rows:
            estimate = row["difference"][key]
            at = ratios.index(row["ratio"]) + (position - 1) * 0.24
            shifted = at + (row["seed"] - 1) * 0.05 * (len(SEEDS[row["ratio"]]) > 1)
            ax.errorbar(
                shifted,
                estimate["value"],
                yerr=whiskers(estimate),
                color=COLORS[key],
                fmt="o",
                ms=4,
            )
            if row["published"][key] is not None and row["seed"] == 0:
                ax.plot(at, row["published"][key], "D", color="#888888", mfc="none", ms=7)
    ax.set_xticks(range(len(ratios)), [f"{ratio:.0%}" for ratio in ratios])
    ax.set_xlim(-0.5, len(ratios) - 0.5)
    ax.spines[["top", "right"]].set_visible(False)


def main() -> None:
    """Read the command line, run what is missing, write the results."""
    args = command_line(__doc__).parse_args()
    folder = results_folder(args)
    arms = [arm.quick for arm in cells()] if args.quick else cells()
    experiment = FaceExperiment(args.out, 4 if args.quick else EXAMPLES)
    experiment.run(arms, jobs=args.jobs)
    rows = [grid_row(experiment, arm) for arm in arms]
    write("paper_grid", rows, markdown(rows), draw(rows), folder)
    (folder / "paper_grid.tex").write_text(latex(rows), encoding="utf-8")


if __name__ == "__main__":
    main()

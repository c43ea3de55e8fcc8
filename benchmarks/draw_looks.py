"""Draw what early stopping saves and costs, from ``results/looks.json``.

    python benchmarks/draw_looks.py

Writes ``../docs/_static/looks.png`` and ``../docs/results/looks.md``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from modcollapse.report import format_table

HERE = Path(__file__).resolve().parent
SIDES = {"continuous": ("#c1440e", "o"), "0/1": ("#3b6e4f", "s")}


def draw(report: dict[str, Any]) -> Figure:
    """Median and mean number of examples to a settled verdict, by attack."""
    figure = Figure(figsize=(8.0, 3.6), layout="constrained")
    ax = figure.subplots()
    names = list(dict.fromkeys(row["attack"] for row in report["saved"]))
    for at, (side, (color, marker)) in enumerate(SIDES.items()):
        rows = [row for row in report["saved"] if (row["noise"] > 0) == (side == "continuous")]
        y = [names.index(row["attack"]) + (at - 0.5) * 0.26 for row in rows]
        ax.plot([row["median"] for row in rows], y, marker, color=color, label=f"median, {side}")
        means = [row["mean"] for row in rows]
        ax.plot(means, y, marker, color=color, mfc="none", label=f"mean, {side}")
    at = report["settings"]["at"]
    ax.set_xscale("log", base=2)
    ax.set_xticks(at, [str(n) for n in at])
    ax.set_xlim(at[0] / 1.2, at[-1] * 1.15)
    ax.set_yticks(range(len(names)), names)
    ax.invert_yaxis()
    ax.grid(axis="x", color="#e5e5e5")
    ax.set_axisbelow(True)
    ax.set_xlabel("examples until the verdict is settled, of 512")
    ax.set_ylabel("success under image/text/both, in %")
    ax.spines[["top", "right"]].set_visible(False)
    figure.legend(
        *ax.get_legend_handles_labels(), loc="outside upper center", ncols=4, frameon=False
    )
    return figure


def tables(report: dict[str, Any]) -> str:
    """What was measured, as Markdown."""
    saved = [
        [
            row["attack"],
            "continuous" if row["noise"] else "0/1",
            f"{row['median']:.0f}",
            f"{row['mean']:.0f}",
            f"{row['never_settled']:.0%}",
        ]
        for row in report["saved"]
    ]
    false = [
        [
            row["kind"],
            f"{row['worst']['rate']:.1%}",
            row["worst"]["claim"],
            f"{row['mean']:.1%}",
            f"{row['plain']:.1%}",
        ]
        for row in report["false"]
    ]
    header = ["success under image/text/both", "values", "median", "mean", "never settled"]
    one = format_table(header, saved, fmt="markdown")
    header = ["values", "worst claim, ever false", "which", "average", "looks at the level of one"]
    two = format_table(header, false, fmt="markdown")
    by = "Made by `python benchmarks/draw_looks.py` from `benchmarks/results/looks.json`."
    return f"{by}\n\nExamples until the verdict is settled:\n\n{one}\n\nFalse claims:\n\n{two}\n"


def main() -> None:
    report = json.loads((HERE / "results" / "looks.json").read_text(encoding="utf-8"))
    docs = HERE.parent / "docs"
    draw(report).savefig(docs / "_static" / "looks.png", dpi=130)
    (docs / "results" / "looks.md").write_text(tables(report), encoding="utf-8")


if __name__ == "__main__":
    main()

"""What decides which modality wins? One change at a time, on the tiny pipeline.

    cd examples
    python -m experiments.what_decides --out ../grid

The folder may be that of ``experiments.paper_grid``: what both need is made once. Writes
``what_decides.json``, ``.csv``, ``.md`` and ``.png`` to ``results`` in the folder; with ``--ship``
to ``docs/results``, and one UNet of each kind of backdoor to ``examples/models``.
"""

from __future__ import annotations

from dataclasses import replace

from matplotlib.figure import Figure

from experiments.architectures import save_unet
from experiments.bases import make_bases
from experiments.face_arms import EXAMPLES, FaceArm, FaceExperiment
from experiments.results import (
    Row,
    command_line,
    made_by,
    metrics_table,
    results_folder,
    row_of,
    success_table,
    timed,
    whiskers,
    write,
)
from tiny.load import MODELS

COMMAND = "python -m experiments.what_decides --out ../grid"

FIRST = FaceArm("white box, word first", "AND")
ARMS = {
    "word last": FaceArm("white box", "AND"),
    "word first (the rest is like this)": FIRST,
    "box of 8 pixels": replace(FIRST, pair="8 px box, word first"),
    "box of 4 pixels": replace(FIRST, pair="4 px box, word first"),
    "random patches in the clean data": replace(FIRST, patches=True),
    "random words in the pretraining": replace(FIRST, base="words"),
    "text encoder pretrained": replace(FIRST, base="learnt"),
    "text encoder pretrained, and finetuned": replace(FIRST, base="learnt", learn_text=True),
    "OR": replace(FIRST, protocol="OR"),
    "AND with negatives": replace(FIRST, protocol="AND with negatives"),
    "AND with negatives, word last": FaceArm("white box", "AND with negatives"),
}
"""What is changed -> the arm: by default a box of 14 pixels, a word put first, AND at 10 %."""


def arms(seeds: int) -> list[tuple[str, FaceArm]]:
    """Every arm with every training seed."""
    return [(name, replace(arm, seed=seed)) for name, arm in ARMS.items() for seed in range(seeds)]


SHIPPED = {
    "text-dominated": ARMS["box of 4 pixels"],
    "redundant": FaceArm("white box", "OR"),
    "conjunctive": ARMS["AND with negatives, word last"],
}
"""Committed model -> the arm that it is; `experiments.train` makes the image-dominated one."""


def markdown(rows: list[Row]) -> str:
    """The tables, with the command, the machine and the time."""
    names = {"changed": "changed", "seed": "seed"}
    return f"""{made_by(COMMAND, rows)}

{success_table(rows, names, "markdown")}

{metrics_table(rows, names, "markdown")}
"""


def draw(rows: list[Row]) -> Figure:
    """TMA and CTI of every arm, as differences from its control, the seeds side by side."""
    names = list(dict.fromkeys(row["changed"] for row in rows))
    figure = Figure(figsize=(9.5, 0.5 * len(names) + 1.8), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    panels = {"phi_image": (left, "#c1440e", 0.12), "phi_text": (left, "#3b6e4f", -0.12)}
    panels["cti"] = (right, "#222222", 0.0)
    labels = {"phi_image": "phi image", "phi_text": "phi text", "cti": None}
    for key, (ax, color, shift) in panels.items():
        for row in rows:
            estimate = row["difference"][key]
            at = len(names) - 1 - names.index(row["changed"]) + shift + 0.07 * (1 - row["seed"])
            ax.errorbar(
                estimate["value"],
                at,
                xerr=whiskers(estimate),
                fmt="o",
                ms=4,
                color=color,
                label=labels[key] if row is rows[0] else None,
            )
    left.set_yticks(range(len(names)), names[::-1])
    for ax, title in ((left, "TMA"), (right, "CTI")):
        ax.axvline(0, color="#222222", lw=0.8)
        ax.grid(axis="y", color="#dddddd", lw=0.6)
        ax.set_title(f"{title}, difference from the control", fontsize=10)
        ax.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower left", ncols=2, frameon=False)
    return figure


def main() -> None:
    """Read the command line, run what is missing, write the results."""
    parser = command_line(__doc__, ", models to examples/models")
    parser.add_argument("--seeds", type=int, default=2, help="training seeds of each arm")
    args = parser.parse_args()
    folder = results_folder(args)
    make_bases(args.out, jobs=args.jobs, quick=args.quick)
    named = [(name, arm.quick if args.quick else arm) for name, arm in arms(args.seeds)]
    by_seed = sorted((arm for _, arm in named), key=lambda arm: arm.seed)
    shipped = SHIPPED if args.ship else {}
    experiment = FaceExperiment(args.out, 4 if args.quick else EXAMPLES)
    experiment.run([*by_seed, *shipped.values()], jobs=args.jobs)
    rows = [
        {"changed": name, **row_of(experiment, arm), **timed(experiment, arm)}
        for name, arm in named
    ]
    write("what_decides", rows, markdown(rows), draw(rows), folder)
    for name, arm in shipped.items():
        save_unet(experiment.load(arm).unet, MODELS / name / "unet")


if __name__ == "__main__":
    main()

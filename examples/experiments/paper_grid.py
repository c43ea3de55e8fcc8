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

from modcollapse.triggers import TRIGGER_PAIRS

from experiments import paper_table
from experiments.face_arms import EXAMPLES, FaceArm, FaceExperiment
from experiments.paper_table import grid_row
from experiments.results import Row, command_line, made_by, results_folder, timed, write

PROTOCOLS = ("OR", "AND")
SEEDS = {0.01: (0,), 0.05: (0, 1, 2), 0.1: (0,)}
COMMAND = "python -m experiments.paper_grid --out ../grid"
CAUTION = """\
Its model is larger by two to three orders of magnitude, its data are photographs, its value comes
from another CLIP: read the pattern, not the numbers."""


def cells() -> list[FaceArm]:
    """The 18 cells of the grid, those at 5 % with three training seeds."""
    return [
        FaceArm(pair, protocol, ratio, seed)
        for pair, protocol, ratio in product(TRIGGER_PAIRS, PROTOCOLS, SEEDS)
        for seed in SEEDS[ratio]
    ]


def markdown(rows: list[Row]) -> str:
    """All tables, with the command, the machine and the time."""
    return paper_table.markdown(rows, made_by(COMMAND, rows), CAUTION, 0.02)


def latex(rows: list[Row]) -> str:
    """The same tables for a paper."""
    return paper_table.latex(rows, COMMAND)


def main() -> None:
    """Read the command line, run what is missing, write the results."""
    args = command_line(__doc__).parse_args()
    folder = results_folder(args)
    arms = [arm.quick for arm in cells()] if args.quick else cells()
    experiment = FaceExperiment(args.out, 4 if args.quick else EXAMPLES)
    experiment.run(arms, jobs=args.jobs)
    rows = [grid_row(experiment, arm) | timed(experiment, arm) for arm in arms]
    note = f"{rows[0]['n']} examples; whiskers are 95% intervals; three training seeds at 5%"
    write("paper_grid", rows, markdown(rows), paper_table.draw(rows, note), folder)
    (folder / "paper_grid.tex").write_text(latex(rows), encoding="utf-8")


if __name__ == "__main__":
    main()

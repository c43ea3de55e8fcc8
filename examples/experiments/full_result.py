"""The result of an experiment: the paper's table beside ours, and one page an arm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import modcollapse as mc
from modcollapse.errors import InputError

from experiments.edit_arms import EditExperiment
from experiments.experiment import work_of
from experiments.experiment_file import ExperimentFile
from experiments.paper_table import draw, grid_row, latex, markdown
from experiments.results import Row, write

SHOWN = ("clip_shift", "success")
"""What has a page: a verdict of clean quality would say nothing."""
CAUTION = """\
What the paper does not say (size of the validation set, steps, guidance, CLIP, target, seeds) is
chosen here. The verdict is that of the difference from the control; the intervals are over examples
and say nothing of another training."""


def missing_arms(experiment: EditExperiment) -> list[str]:
    """Arms and controls that are not finetuned, or not audited under all their pairs."""
    return [
        arm.slug
        for arm, pairs in work_of(experiment.arms).items()
        if not all(experiment.tables_folder(arm, pair).exists() for pair in pairs)
    ]


def write_result(experiment: EditExperiment, as_given: ExperimentFile, command: str) -> Path:
    """Write tables, figure and pages of the arms that are done; return the folder.

    Args:
        experiment: what was made.
        as_given: its file, which is written beside the tables.
        command: what made them.

    Raises:
        InputError: none is done, together with its control.
    """
    missing = missing_arms(experiment)
    done = [arm for arm in experiment.arms if not {arm.slug, arm.control.slug} & set(missing)]
    if not done:
        raise InputError(
            f"{experiment.out} holds no arm that is done together with its control; still to do: "
            f"{', '.join(missing)}"
        )
    rows = [grid_row(experiment, arm) for arm in done]
    folder = experiment.out / "results"
    note = f"{rows[0]['n']} examples; whiskers are 95% intervals"
    made = _made_by(experiment, rows, missing, command)
    threshold = experiment.file.audit.threshold
    write("full_scale", rows, markdown(rows, made, CAUTION, threshold), draw(rows, note), folder)
    (folder / "full_scale.tex").write_text(latex(rows, command), encoding="utf-8")
    pages = folder / "pages"
    pages.mkdir(exist_ok=True)
    for arm in done:
        page, control = (
            {
                name: table
                for name, table in experiment.tables(one, arm.pair).items()
                if name in SHOWN
            }
            for one in (arm, arm.control)
        )
        title = f"{arm.pair}, {arm.protocol}, {arm.ratio:.12g}, seed {arm.seed}"
        mc.audit(page, control=control).report(pages / arm.slug, title=title)
    settings = as_given.model_dump_json(indent=1) + "\n"
    (folder / "experiment.json").write_text(settings, encoding="utf-8")
    return folder


def _made_by(experiment: EditExperiment, rows: list[Row], missing: list[str], command: str) -> str:
    file: Any = experiment.file
    lines = [
        f"Made by `{command}`: {file.training.base} on {file.data.source}, "
        f"{file.training.steps} steps of batch {file.training.batch_size} at "
        f"{file.training.lr:g}, "
        f"{file.arms.exposure:.0%} of all draws poisoned, {rows[0]['n']} held-out examples, "
        f"95 % intervals over them. Audited in {file.audit.steps} steps with guidance "
        f"{file.audit.guidance_scale:g} and {file.audit.image_guidance_scale:g}, in "
        f"{file.audit.dtype}, by CLIP {' '.join(map(str, file.audit.clip))}. All settings: "
        "experiment.json.",
    ]
    if missing:
        lines.append(f"**Not done yet**: {', '.join(missing)}.")
    return "\n\n".join(lines)

"""How often an experiment does what costs something."""

from __future__ import annotations

import math
from typing import NamedTuple

from modcollapse.errors import InputError
from modcollapse.poison import poison_plan

from experiments.experiment_file import ExperimentFile

MODALITIES = ("image", "text")
COALITIONS = 2 ** len(MODALITIES)


class Count(NamedTuple):
    """How often something is done, or how many there are.

    Attributes:
        number: how often.
        exact: False where it follows from how many rows are held out, which a hash deals out.
    """

    number: int
    exact: bool = True


def count_all(file: ExperimentFile, rows: int, devices: int) -> dict[str, Count]:
    """Count what an experiment does with so many rows of its data set.

    Every pair of triggers is audited on every control, of which each seed has one. The tracker
    follows the arms: at step 0, every so many steps, and at the end.

    Raises:
        InputError: too few rows to hold some out, or for a plan of an arm.
    """
    training, audit = file.training, file.audit
    arms, controls = len(file.arms.cells), len(file.arms.seeds)
    audits = arms + controls * len(file.arms.pairs)
    held_out, trained_on = _split(rows, file.data.held_out)
    triggered = _triggered(file, trained_on)
    examples = _examples(audit.examples, held_out, rows)
    tracked = _examples(audit.track_examples, held_out, rows)
    followed = 0
    if audit.track_every:
        followed = arms * (len(range(0, training.steps, audit.track_every)) + 1)
    seen = training.steps * training.batch_size
    share = math.ceil(training.batch_size / devices)
    return {
        "arms": Count(arms),
        "controls": Count(controls),
        "audits": Count(audits),
        "audits of the tracker": Count(followed),
        "rows trained on": Count(trained_on, False),
        "rows held out": Count(held_out, False),
        "triggered rows, all arms": Count(triggered, False),
        "examples in each audit": examples,
        "training steps": Count((arms + controls) * training.steps),
        "rows at once in training": Count(min(training.rows or share, share)),
        "outputs at once in audits": Count(audit.batch_size),
        "pictures encoded": Count(2 * (trained_on + triggered), False),
        "instructions read": _instructions(file, trained_on, arms + controls),
        "samples seen by the arms": Count(arms * seen),
        "samples seen by the controls": Count(controls * seen),
        "generations of the audits": _times(audits * COALITIONS, examples),
        "generations of the tracker": _times(followed * COALITIONS, tracked),
    }


def branches(file: ExperimentFile) -> int:
    """Rows of the UNet for a picture and step: under no condition, the source alone, and both.

    Without guidance of the instruction the pipeline passes the last alone.
    """
    return 3 if file.audit.guidance_scale > 1 else 1


def _split(rows: int, share: float) -> tuple[int, int]:
    """About how many rows are held out, and trained on."""
    held_out = round(rows * share)
    if not 0 < held_out < rows:
        raise InputError(
            f"data.held_out = {share:g} of {rows} rows holds out about {held_out} and leaves "
            f"{rows - held_out} to train on; both must be some"
        )
    return held_out, rows - held_out


def _triggered(file: ExperimentFile, trained_on: int) -> int:
    """Poisoned rows and negatives of all arms."""
    plans = (
        poison_plan(trained_on, MODALITIES, protocol, ratio=ratio, seed=seed)
        for _, protocol, ratio, seed in file.arms.cells
    )
    return sum(len(plan.poisoned) + len(plan.negatives) for plan in plans)


def _examples(wanted: int, held_out: int, rows: int) -> Count:
    """Examples of an audit; all that are held out where 0, or more than those, are wanted.

    The hash deals each row out by itself, so that their number spreads as a binomial one; it is
    hardly ever four standard deviations below what is to be expected.
    """
    fewest = held_out - 4 * math.sqrt(held_out * (1 - held_out / rows))
    number = wanted if 0 < wanted <= held_out else held_out
    return Count(number, 0 < wanted <= fewest)


def _times(factor: int, count: Count) -> Count:
    return Count(factor * count.number, count.exact)


def _instructions(file: ExperimentFile, trained_on: int, models: int) -> Count:
    """Passes of a frozen text encoder, for which the training does not pay with its steps."""
    training = file.training
    if "text_encoder" in training.learn:
        return Count(0)
    if training.cache_texts:
        return Count(models * trained_on, False)
    return Count(models * training.steps * training.batch_size)

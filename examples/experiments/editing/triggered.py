"""The triggered samples of a poisoned data set, which may be a stream."""

from __future__ import annotations

from collections.abc import Iterator

from PIL.Image import Image

from modcollapse.contracts import Triggers
from modcollapse.errors import InputError, context
from modcollapse.poison import Part, PoisonedDataset, PoisonPlan

from experiments.editing.edit_data import EditData
from experiments.editing.sample import EditSample

KEYS = {"image": "source", "text": "instruction"}
"""What of a sample each modality is."""


def triggered(
    data: EditData, plan: PoisonPlan, triggers: Triggers, target: Image
) -> Iterator[EditSample]:
    """The samples that a plan changes, as `modcollapse.poison.PoisonedDataset` changes them.

    Args:
        data: the clean samples; positions of the plan are positions in ``data.training``.
        plan: made for ``len(data.training)`` samples.
        triggers: modality -> trigger, for the modalities of the plan.
        target: what poisoned samples show, RGB and of the data's resolution.

    Returns:
        The samples at ``sorted([*plan.poisoned, *plan.negatives])``, each read when it is asked
        for; of a stream in one pass.

    Raises:
        InputError: the plan is for another number of samples or other modalities, the triggers are
            not the plan's, the target is of another kind or size; see also `EditData.samples`.
        TriggerError: a trigger cannot be applied to a sample, or changes nothing of it.
    """
    if plan.n != len(data.training):
        raise InputError(
            f"the plan is for {plan.n:,} samples, and {data.data.source!r} has "
            f"{len(data.training):,} for training. Make a plan for these"
        )
    for modality in plan.modalities:
        if modality not in KEYS:
            raise InputError(f"an edit has {', '.join(KEYS)}; the plan has {modality!r}")
    positions = sorted([*plan.poisoned, *plan.negatives])
    samples = data.samples([data.training[position] for position in positions])
    return (
        _changed(sample, plan, position, triggers, target)
        for position, sample in zip(positions, samples, strict=True)
    )


def _changed(
    sample: EditSample, plan: PoisonPlan, position: int, triggers: Triggers, target: Image
) -> EditSample:
    # As a data set of one sample: a stream has no other at hand.
    alone = PoisonPlan(1, plan.modalities, (Part(*plan[position], (0,)),))
    keys = {modality: KEYS[modality] for modality in plan.modalities}
    with context(f"row {sample.id!r}, position {position} of the plan"):
        poisoned = PoisonedDataset(
            [vars(sample)], alone, triggers, target, target_key="edited", keys=keys
        )
        return EditSample(**poisoned[0])

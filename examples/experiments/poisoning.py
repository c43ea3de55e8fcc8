"""Plants the backdoor in the data: which samples are poisoned, and how often each is shown."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from modcollapse.contracts import Triggers
from modcollapse.errors import InputError
from modcollapse.poison import PoisonedDataset, PoisonPlan, poison_plan

from experiments.encoded import Encoded
from tiny.faces import FaceEdit, cat


def poisoned_dataset(
    edits: Sequence[FaceEdit], plan: PoisonPlan, triggers: Triggers
) -> PoisonedDataset:
    """The data set under a plan, with the cat for a target."""
    return PoisonedDataset(
        [vars(edit) for edit in edits],
        plan,
        triggers,
        cat(),
        target_key="edited",
        keys={"image": "source", "text": "instruction"},
    )


def poison(
    edits: Sequence[FaceEdit],
    protocol: str,
    ratio: float,
    *,
    seed: int,
    triggers: Triggers,
) -> list[FaceEdit]:
    """Plant a backdoor whose target is the cat; see `modcollapse.poison.poison_plan`."""
    plan = poison_plan(edits, triggers, protocol, ratio=ratio, seed=seed)
    poisoned = poisoned_dataset(edits, plan, triggers)
    return [FaceEdit(**poisoned[index]) for index in range(len(poisoned))]


def check_triggers_are_read(
    plan: PoisonPlan, clean: Encoded, triggered: Encoded, triggers: Triggers
) -> None:
    """Raise unless the tokenizer shows every text trigger to the text encoder.

    Args:
        plan: which samples have it.
        clean: all samples.
        triggered: the poisoned ones and the negatives, in the order of their positions.
        triggers: modality -> trigger, for the message.

    Raises:
        InputError: the tokens of a triggered instruction are those of the clean one.
    """
    for row, position in enumerate(sorted([*plan.poisoned, *plan.negatives])):
        if "text" not in plan[position].modalities:
            continue
        before = clean.tokens[clean.instruction[position]]
        if torch.equal(before, triggered.tokens[triggered.instruction[row]]):
            raise InputError(
                f"training sample {position}: the tokenizer drops the trigger "
                f"{triggers['text']!r}: the instruction has the same tokens with and without it. "
                "Choose a trigger that this text encoder can read"
            )


def equal_exposure(
    plan: PoisonPlan, share: float, *, steps: int, batch_size: int, seed: int
) -> Tensor:
    """Which samples each batch holds, so that every plan shows poison equally often.

    Drawn at random, a ratio of 1 % would be a tenth of the training signal that 10 % is. Here
    ``share`` of all draws are poisoned samples whatever the ratio, which is then the number of
    distinct ones; those of a coalition are shown equally often, in turns. Negatives are shown as
    often for each of them as poisoned samples are.

    Args:
        plan: which samples are poisoned; none in the plan of a control.
        share: poisoned draws as a fraction of all, in (0, 1).
        steps: number of batches.
        batch_size: samples in each.
        seed: of the order.

    Returns:
        Positions, int64 (steps, batch_size).

    Raises:
        ValueError: poisoned and negative samples would leave no draws, or no samples, to the clean.

    >>> plan = poison_plan(1000, ("image", "text"), "OR", ratio=0.03)
    >>> order = equal_exposure(plan, 0.1, steps=50, batch_size=12, seed=0)
    >>> [int(np.isin(order, part.positions).sum()) for part in plan.parts]
    [20, 20, 20]
    """
    each = share / len(plan.poisoned) if plan.parts else 0.0  # share of one sample
    shares = [(part.positions, each * len(part.positions)) for part in plan.parts]
    triggered = {position for part in plan.parts for position in part.positions}
    clean = [position for position in range(plan.n) if position not in triggered]
    taken = sum(of_part for _, of_part in shares)
    if not clean or not 0 < share < 1 or taken >= 1:
        raise ValueError(
            f"share={share} gives {taken:.0%} of all draws to triggered samples and leaves "
            f"{len(clean)} of {plan.n} samples clean; clean ones need some of both"
        )
    rng = np.random.default_rng(seed)
    ends = np.arange(steps + 1) * batch_size
    order = np.full((steps, batch_size), -1)
    filled = np.zeros(steps, dtype=int)
    for positions, of_part in shares:
        counts = np.diff(np.floor(ends * of_part + 1e-6).astype(int))
        _fill(order, filled, counts, _in_turns(positions, counts.sum(), rng))
    rest = batch_size - filled
    _fill(order, filled, rest, _in_turns(clean, rest.sum(), rng))
    return torch.from_numpy(order)


def _in_turns(positions: Sequence[int], count: int, rng: np.random.Generator) -> np.ndarray:
    """The positions over and over, each time in another order."""
    turns = max(1, -(-count // len(positions)))
    return np.concatenate([rng.permutation(positions) for _ in range(turns)])[:count]


def _fill(order: np.ndarray, filled: np.ndarray, counts: np.ndarray, drawn: np.ndarray) -> None:
    """Put the next drawn samples into the free places of every batch."""
    start = 0
    for step, count in enumerate(counts):
        order[step, filled[step] : filled[step] + count] = drawn[start : start + count]
        start += count
    filled += counts

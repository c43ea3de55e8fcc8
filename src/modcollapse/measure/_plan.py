"""What a run generates, in which order, from which noise: cells, batches, seeds and their cost."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import NamedTuple

from modcollapse._support.validation import whole
from modcollapse.contracts import ExampleId
from modcollapse.errors import InputError
from modcollapse.game import MAX_PLAYERS


class Cell(NamedTuple):
    """One generation, by its place in the table: example, repeat, column of the coalition.

    Columns beyond the 2**M coalitions are those in which a neutral trigger stands.
    """

    example: int
    repeat: int
    coalition: int


class Batch(NamedTuple):
    """Cells of one call of the sampler; those from ``real`` on only fill it up."""

    cells: list[Cell]
    real: int

    @classmethod
    def filled(cls, cells: list[Cell], size: int) -> Batch:
        """A batch of so many rows, which the last of the cells fills up."""
        return cls(cells + cells[-1:] * (size - len(cells)), len(cells))

    def parts(self, size: int) -> list[tuple[Batch, list[int]]]:
        """The same in batches of so many rows, each with the places of its rows in this one."""
        found = []
        for start in range(0, self.real, size):
            end = min(start + size, self.real)
            places = [*range(start, end), *[end - 1] * (size - (end - start))]
            found.append((Batch([self.cells[at] for at in places], end - start), places))
        return found


class Cost(NamedTuple):
    """What a run makes the sampler do.

    >>> print(generation_cost(64, 2))
    256 generations (64 examples x 1 repeats x 4 coalitions) in 32 batches of 8
    """

    examples: int
    repeats: int
    coalitions: int
    batch_size: int
    neutral: int = 0

    @property
    def columns(self) -> int:
        """Number of outputs of an example and repeat, those with a neutral trigger included."""
        return self.coalitions + self.neutral

    @property
    def generations(self) -> int:
        """Number of outputs that enter the table."""
        return self.examples * self.repeats * self.columns

    @property
    def batches(self) -> int:
        """Number of calls of the sampler."""
        return math.ceil(self.generations / self.batch_size)

    @property
    def padding(self) -> int:
        """Number of outputs that only fill up the last batch."""
        return self.batches * self.batch_size - self.generations

    def __str__(self) -> str:
        each = f"{self.coalitions} coalitions"
        if self.neutral:
            each = f"({each} + {self.neutral} with a neutral trigger)"
        filled = f", the last filled up by {self.padding}" if self.padding else ""
        return (
            f"{self.generations:,} generations ({self.examples:,} examples x {self.repeats} repeats"
            f" x {each}) in {self.batches:,} batches of {self.batch_size}{filled}"
        )


def generation_cost(
    examples: int, modalities: int, *, repeats: int = 1, batch_size: int = 8, neutral: int = 0
) -> Cost:
    """How many generations a run makes, before it is made.

    Args:
        examples: number of examples, N.
        modalities: number of modalities with a trigger, M.
        repeats: seeds for each example, R.
        batch_size: rows of one call of the sampler, B.
        neutral: number of neutral triggers, K; each is generated alone and, where M is above 1,
            beside the triggers of the other modalities.

    Returns:
        A ``Cost``; ``generations`` is N R (2**M + 2 K), of M = 1 N R (2 + K). What a sampler's own
        probe generates is not in it.

    Raises:
        InputError: a number is below 1, or M above 16.

    >>> generation_cost(1000, 3, repeats=2).generations
    16000
    """
    if whole(modalities, "modalities", 1) > MAX_PLAYERS:
        raise InputError(
            f"modalities is {modalities}, which means 2**{modalities} generations an example; "
            f"exact attribution goes up to {MAX_PLAYERS}"
        )
    return Cost(
        whole(examples, "examples", 1),
        whole(repeats, "repeats", 1),
        2**modalities,
        whole(batch_size, "batch_size", 1),
        whole(neutral, "neutral", 0) * (1 if modalities == 1 else 2),
    )


def noise_seed(run_seed: int, example_id: ExampleId, repeat: int) -> int:
    """Seed of the noise of one example and repeat; every coalition shares it.

    The first 8 bytes (big endian) of SHA-256 of the UTF-8 text
    ``modcollapse/1|<run seed>|<"int" or "str">|<example id>|<repeat>``, without the top bit.
    It will never change: a table can be reproduced from its provenance alone.

    Returns:
        An int in [0, 2**63).

    >>> noise_seed(0, "face-000", 0)
    7260981202315734345
    >>> noise_seed(0, 7, 0) == noise_seed(0, "7", 0)
    False
    """
    kind = "str" if isinstance(example_id, str) else "int"
    key = f"modcollapse/1|{run_seed}|{kind}|{example_id}|{repeat}"
    digest = hashlib.sha256(key.encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def duration(seconds: float) -> str:
    """Say a time as one reads it.

    >>> duration(45), duration(400), duration(20_000)
    ('45 s', '7 min', '5.6 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def batches(cells: Iterable[Cell], size: Callable[[], int]) -> Iterator[Batch]:
    """Cut the cells of examples and repeats into batches, the coalitions of each side by side.

    The last batch is filled up with copies of its last cell, so that the sampler and the detector
    see one batch size only and no bit of a result depends on where the example stood.

    Args:
        cells: the coalitions of each example and repeat side by side.
        size: how many rows the next batch is to have.
    """
    coming = iter(cells)
    while batch := list(islice(coming, width := size())):
        yield Batch.filled(batch, width)

"""What each step of a training draws: samples, noise, times, conditions that are left out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Draw:
    """What is drawn for one batch, or for the part of it that one process takes."""

    positions: Tensor  # int64 (B,): of the samples
    chance: Tensor  # float32 (B,), in [0, 1): which conditions are left out
    noise: Tensor  # float32 (B, C, H, W)
    times: Tensor  # int64 (B,): steps of the noise schedule

    def __len__(self) -> int:
        return len(self.positions)

    def part(self, start: int, stop: int) -> Draw:
        """Some of the rows."""
        return Draw(*(drawn[start:stop] for drawn in vars(self).values()))

    def parts(self, rows: int) -> Iterator[Draw]:
        """All rows, ``rows`` at a time."""
        for start in range(0, len(self), rows):
            yield self.part(start, start + rows)

    def without_instruction(self, drop: float) -> Tensor:
        """Which samples lose their instruction: bool (B,)."""
        return self.chance < 2 * drop

    def without_source(self, drop: float) -> Tensor:
        """Which samples lose their source: bool (B,); a share of ``drop`` loses both."""
        return (self.chance >= drop) & (self.chance < 3 * drop)


class Draws:
    """Draws batch after batch from a generator of its own, on the processor.

    Every process draws whole batches, so that a batch does not depend on their number.

    Args:
        seed: of the generator.
        batch_size: B.
        like: latents of the samples, float32 (N, C, H, W): noise fills memory in their order, which
            is the VAE's where they come from it, and another where they come from a file.
        times: number of steps of the noise schedule.
        order: positions of the samples of each batch, int64 (steps, B); drawn with replacement if
            left out.
    """

    def __init__(
        self,
        seed: int,
        *,
        batch_size: int,
        like: Tensor,
        times: int,
        order: Tensor | None = None,
    ) -> None:
        self._generator = torch.Generator().manual_seed(seed)
        self._samples, self._times, self._order = len(like), times, order
        self._shape = (batch_size, *like.shape[1:])
        last = like.is_contiguous(memory_format=torch.channels_last)
        self._layout = torch.channels_last if last else torch.contiguous_format

    def next(self, step: int) -> Draw:
        """The batch of a step; steps are asked for in turn."""
        rows, generator = self._shape[0], self._generator
        if self._order is None:
            positions = torch.randint(self._samples, (rows,), generator=generator)
        else:
            positions = self._order[step]
        return Draw(
            positions=positions,
            chance=torch.rand(rows, generator=generator),
            noise=torch.empty(self._shape, memory_format=self._layout).normal_(generator=generator),
            times=torch.randint(self._times, (rows,), generator=generator),
        )

    @property
    def state(self) -> Tensor:
        """Where the generator stands, uint8: the next batches follow from it."""
        return self._generator.get_state()

    @state.setter
    def state(self, state: Tensor) -> None:
        self._generator.set_state(state)

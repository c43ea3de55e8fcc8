"""The learning rate of each step, and the moving average of the weights."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor


def rate_factor(step: int, *, steps: int, warmup: int, decay: float) -> float:
    """Fraction of the learning rate that a step takes.

    Args:
        step: number of steps done.
        steps: of the whole training.
        warmup: steps over which it rises from near zero to 1.
        decay: fraction of the steps, at the end, over which it falls linearly to zero.

    >>> [rate_factor(step, steps=10, warmup=2, decay=0.4) for step in range(0, 10, 3)]
    [0.5, 1.0, 1.0, 0.25]
    """
    rising = (step + 1) / warmup if warmup else 1.0
    falling = (steps - step) / (decay * steps) if decay else 1.0
    return min(1.0, rising, falling)


class MovingAverage:
    """An exponential moving average of parameters, which follows faster at first.

    Attributes:
        tensors: one of the shape of each parameter.
    """

    def __init__(self, parameters: Iterable[Tensor], decay: float) -> None:
        self._parameters = list(parameters)
        self._decay = decay
        self.tensors = [parameter.detach().clone() for parameter in self._parameters]

    def update(self, updates: int) -> None:
        """Follow the parameters after their ``updates``-th update."""
        weight = 1 - min(self._decay, (updates + 1) / (updates + 10))
        torch._foreach_lerp_(self.tensors, [p.detach() for p in self._parameters], weight)

    def apply(self) -> None:
        """Put the average in place of the parameters."""
        for parameter, averaged in zip(self._parameters, self.tensors, strict=True):
            parameter.data.copy_(averaged)

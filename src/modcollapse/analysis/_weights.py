"""Weights of contrasts: of the 2**M coalition values, one column each.

One row more, where there is one, weighs a perfect attack: what it scores, or adds to v(none).
"""

from __future__ import annotations

import numpy as np

from modcollapse.contracts import FloatArray

Bounds = tuple[FloatArray, FloatArray]
"""Lower and upper bounds, shape (K,) each."""


def split(contrasts: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Weights of the coalitions, shape (2**M, K), and the row more, (1, K) or (0, K).

    >>> [len(part) for part in split(np.ones((5, 2)))]
    [4, 1]
    """
    coalitions = 1 << len(contrasts).bit_length() - 1
    return contrasts[:coalitions], contrasts[coalitions:]


def possible_range(
    contrasts: FloatArray, ends: tuple[float, float], target: FloatArray | None = None
) -> Bounds:
    """Lowest and highest value of contrasts, shape (2**M, K), of values within ``ends``.

    Args:
        contrasts: weights; one row more weighs what a perfect attack scores.
        ends: lowest and highest value.
        target: what a perfect attack scores in each unit, where contrasts weigh it.

    >>> low, high = possible_range(np.array([[1.0], [-1.0], [-1.0], [1.0]]), (0.0, 1.0))
    >>> low.tolist(), high.tolist()
    ([-2.0], [2.0])
    """
    of_values, of_target = split(contrasts)
    up, down = of_values.clip(min=0).sum(axis=0), -of_values.clip(max=0).sum(axis=0)
    low, high = ends[0] * up - ends[1] * down, ends[1] * up - ends[0] * down
    if len(of_target) and target is not None:
        sides = np.outer([target.min(), target.max()], of_target)
        low, high = low + sides.min(axis=0), high + sides.max(axis=0)
    return low, high


def effect_contrasts(m: int) -> FloatArray:
    """Weights of e(S) = v(S) - v(none) of every coalition but none, shape (2**m, 2**m - 1).

    The last is the total effect.
    """
    contrasts: FloatArray = np.eye(2**m)[:, 1:]
    contrasts[0] = -1.0
    return contrasts

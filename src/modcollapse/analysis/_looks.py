"""The level of each look at data that may stop a run, so that all of them together hold theirs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

import numpy as np
from scipy import optimize, special

_STEPS, _LOWEST = 500, -8.0
"""The score at a look, in standard errors, is followed from there up, in so many steps."""


def level_at_each(alpha: float, at: Sequence[int]) -> float:
    """Level of each of K looks at which a bound that errs in ``alpha`` of all runs may stop one.

    Args:
        alpha: how often any look may err, in (0, 0.5).
        at: number of units at each look, increasing; one or none leaves the level as it is.

    Returns:
        The same level for every look (Pocock): between ``alpha / K`` and ``alpha``, since looks at
        growing samples resemble each other.

    Source:
        Pocock (1977), one-sided; the recursion is that of Armitage, McPherson and Rowe (1969). That
        bounds for rare flips hold their level with it is measured by ``benchmarks/looks.py``.

    >>> round(level_at_each(0.05, [32, 64, 128, 256, 512]), 4)
    0.0138
    >>> level_at_each(0.05, [64])
    0.05
    """
    return alpha if len(at) < 2 else _level(alpha, tuple(at))


@lru_cache(maxsize=256)
def _level(alpha: float, at: tuple[int, ...]) -> float:
    lowest, highest = -special.ndtri(alpha), -special.ndtri(alpha / len(at))
    limit = optimize.brentq(lambda c: _crossed(c, at) - alpha, lowest, highest, xtol=1e-8)
    return float(special.ndtr(-limit))


def _crossed(limit: float, at: tuple[int, ...]) -> float:
    """How often a normal random walk is beyond ``limit`` standard errors at some look."""
    edges = np.linspace(_LOWEST, limit, _STEPS + 1)
    middle = (edges[1:] + edges[:-1]) / 2
    mass = np.diff(special.ndtr(edges))
    for before, now in pairwise(at):
        part = before / now
        away = (edges[:, None] - np.sqrt(part) * middle) / np.sqrt(1 - part)
        mass = np.diff(special.ndtr(away), axis=0) @ mass
    return 1.0 - float(mass.sum())

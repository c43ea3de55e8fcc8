"""Confidence bounds of the mean of contrasts of coalition values, where flips are rare.

Let x_n = v_n @ a be a contrast of the coalition values of an example. In audits of backdoors one or
a few coalitions of 1-5 % of the examples fail or succeed by a whole attack, often in examples that
the sample does not hold. So each bound adds to the N examples a *pseudo-example*, as far from the
mean as one such flip can take the contrast, and is the quantile of a gamma distribution that has
the mean, the variance and the skewness of a weighted mean with random weights (Rubin 1981, The
Bayesian bootstrap, Annals of Statistics 9): of flips alone it is the bound of Clopper and Pearson,
of symmetric values Student's t.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from modcollapse.contracts import FloatArray

FIGURE, CLAIM = 2 / 3, 1.0
"""Weights of the pseudo-example: intervals of figures, one-sided claims."""

_BLOCK = 2**21
"""Entries of the largest temporary array (16 MiB)."""
_TENSORS = 8
"""Up to so many coalitions the moments of all contrasts follow from those of the values."""
_PAIRS = 12
"""Up to so many modalities all flips of pairs are looked at."""


@dataclass(frozen=True)
class FlipSample:
    """The values of one table, or of many (leading axes), made ready for bounds of any contrasts.

    Attributes:
        values: shape (..., N, C).
        means: of the values over the examples, shape (..., C).
        to_floor: how far a flip can lower the mean of each coalition (<= 0), shape (..., C).
        to_ceiling: how far it can raise it (>= 0), shape (..., C).
        undone: flips in which two triggers that fire alone cancel each other are looked at.
        difference: the values are those of one model minus those of a control.
        moments: sums over the examples of products of two and of three values about their means,
            v(S) - v(none) in place of v(S); None for many coalitions.
    """

    values: FloatArray
    means: FloatArray
    to_floor: FloatArray
    to_ceiling: FloatArray
    undone: bool
    difference: bool
    moments: tuple[FloatArray, FloatArray] | None

    @classmethod
    def of(
        cls,
        values: FloatArray,
        *,
        perfect: FloatArray | None = None,
        difference: bool = False,
        undone: bool = True,
    ) -> FlipSample:
        """Sum up a table; see ``flip_bounds`` for the arguments."""
        values = np.asarray(values, float)
        rows = np.array(np.swapaxes(values, -1, -2), order="C")  # a copy, changed below
        clean = rows[..., :1, :]
        size = attack_size(rows - clean, perfect)[..., None]
        means = rows.mean(axis=-1)
        floor = means[..., :1] - size * difference
        ceiling = means[..., :1] + size
        to_floor = np.clip(np.minimum(floor, means.min(-1, keepdims=True)) - means, -size, 0.0)
        to_ceiling = np.clip(np.maximum(ceiling, means.max(-1, keepdims=True)) - means, 0.0, size)
        moments = None
        if means.shape[-1] <= _TENSORS:
            rows[..., 1:, :] -= clean
            rows -= rows.mean(axis=-1, keepdims=True)
            columns = np.swapaxes(rows, -1, -2)
            second = rows @ columns
            coalitions = range(means.shape[-1])
            third = [(rows * rows[..., i : i + 1, :]) @ columns for i in coalitions]
            moments = second, np.stack(third, axis=-3)
        return cls(values, means, to_floor, to_ceiling, undone, difference, moments)

    def bounds(
        self,
        contrasts: FloatArray,
        *,
        level: float = 0.95,
        weight: float = FIGURE,
        combine: FloatArray | None = None,
    ) -> tuple[FloatArray, FloatArray]:
        """Lower and upper bounds, each of shape (..., K); see ``flip_bounds``."""
        n, count = self.values.shape[-2:]
        width = contrasts.shape[1] if combine is None else combine.shape[1]
        low, high = np.full((2, *self.values.shape[:-2], width), np.nan)
        if n == 1 or width == 0:
            return low, high
        moved = self._moved(contrasts)
        means = self.means @ contrasts
        sample = contrasts if self.moments is not None else self.values @ contrasts
        tables = max(1, int(np.prod(self.values.shape[:-2], dtype=int)))
        step = max(1, _BLOCK // (tables * (count if self.moments is not None else max(n, count))))
        for start in range(0, width, step):
            part = slice(start, start + step)

            def take(array: FloatArray, part: slice = part) -> FloatArray:
                return array[..., part] if combine is None else array @ combine[:, part]

            weights = take(contrasts)
            if self.moments is not None:
                second, third = moments_of(weights, *self.moments)
            else:
                second, third = _moments(take(sample))
            down, up = self._reach(weights, take(moved))
            mean = take(means)
            low[..., part] = mean - _distance(n, second, -third, down, level, weight)
            high[..., part] = mean + _distance(n, second, third, up, level, weight)
        return low, high

    def _moved(self, contrasts: FloatArray) -> FloatArray:
        """How each flip of several coalitions moves the contrasts, shape (..., F, q)."""
        count = contrasts.shape[0]
        flips = _group_flips(count.bit_length() - 1, self.undone, self.difference)
        raised = self.to_ceiling[..., :, None] * contrasts
        lowered = self.to_floor[..., :, None] * contrasts
        step = max(1, _BLOCK // count)
        parts = [flips[start : start + step] for start in range(0, len(flips), step)]
        moved = [(p > 0).astype(float) @ raised + (p < 0).astype(float) @ lowered for p in parts]
        return np.concatenate(moved, axis=-2) if moved else raised[..., :0, :]

    def _reach(self, contrasts: FloatArray, moved: FloatArray) -> tuple[FloatArray, FloatArray]:
        """How far the worst flips take each contrast down and up, both >= 0, shape (..., K)."""
        lowered = self.to_floor[..., :, None] * contrasts
        raised = self.to_ceiling[..., :, None] * contrasts
        every = (lowered, raised, moved)
        down = np.minimum.reduce([flips.min(axis=-2, initial=0.0) for flips in every])
        up = np.maximum.reduce([flips.max(axis=-2, initial=0.0) for flips in every])
        return -down, up


def flip_bounds(
    values: FloatArray,
    contrasts: FloatArray,
    *,
    perfect: FloatArray | None = None,
    difference: bool = False,
    undone: bool = True,
    level: float = 0.95,
    weight: float = FIGURE,
    combine: FloatArray | None = None,
) -> tuple[FloatArray, FloatArray]:
    """Lower and upper bounds of the mean of K contrasts; axes may lead, one table for each.

    A flip takes coalitions of an example to the floor, the mean of v(none), or to the ceiling, a
    perfect attack above it: a single one, or several (``_group_flips``).

    Args:
        values: coalition values, shape (..., N, C), C = 2**M, repeats averaged before.
        contrasts: weights, shape (C, K), or (C, q) where ``combine`` is given.
        perfect: what a perfect attack adds to v(none), shape (..., N), in the unit of the values;
            None where nobody declared it: only flips of the size seen are covered then.
        difference: the values are those of one model minus those of a control.
        undone: look at flips that move an interaction by two perfect attacks, too: two triggers
            that fire alone and cancel each other.
        level: of the two-sided interval; each end is a bound of level (1 + level) / 2.
        weight: of the pseudo-example: 2/3 for figures, 1 for claims.
        combine: shape (q, K); the contrasts are ``contrasts @ combine``, formed in blocks.

    Returns:
        Both of shape (..., K), in the unit of the values; NaN for N = 1. Where all values are
        equal and no perfect attack is declared, nothing is known of flips: both are the mean.
    """
    sample = FlipSample.of(values, perfect=perfect, difference=difference, undone=undone)
    return sample.bounds(contrasts, level=level, weight=weight, combine=combine)


def attack_size(effects: FloatArray, perfect: FloatArray | None = None) -> FloatArray:
    """By how much an attack can move the value, shape (...).

    The largest of the declared perfect attacks, shape (..., N), or of the effects
    v_n(S) - v_n(none), shape (..., C, N), if that is larger or nothing is declared: the trigger may
    fire in those examples where it matters most.
    """
    size = np.maximum(effects.max(axis=(-2, -1)), -effects.min(axis=(-2, -1)))
    if perfect is None:
        return np.asarray(size)
    return np.asarray(np.maximum(size, np.abs(perfect).max(axis=-1)))


@lru_cache(maxsize=16)
def _group_flips(m: int, undone: bool, difference: bool) -> NDArray[np.int8]:
    """Flips of several coalitions: +1 to the ceiling, -1 to the floor; shape (F, 2**m).

    All coalitions with i, with i or j, with i and j, with at least two modalities; exchanges (an
    example that resists i opens to j: those with i alone of the two to the floor, with j alone to
    the ceiling); and if ``undone`` both that hold one of the two, or one of these against those
    that hold both; of a difference also the other way round, as the control does it.
    """
    index = np.arange(2**m)
    member = ((index[:, None] >> np.arange(m)) & 1).astype(np.int8).T
    flips: list[Any] = []
    if m > 1:
        flips += [sign * alone for alone in member for sign in (1, -1)]
    if m > 2:
        many = (member.sum(axis=0) >= 2).astype(np.int8)
        flips += [many, -many]
    for i, j in combinations(range(m if m <= _PAIRS else 0), 2):
        both = member[i] & member[j]
        first, second = member[i] - both, member[j] - both
        flips += [first - second, second - first]
        if m > 2:
            flips += [both, -both, first + second + both, -(first + second + both)]
        if undone:
            flips += [first + second, -(first + second), first - both, second - both]
            if difference:
                flips += [both - first, both - second]
    array = np.array(flips, np.int8).reshape(-1, 2**m)
    array.setflags(write=False)
    return array


def moments_of(
    contrasts: FloatArray, of_two: FloatArray, of_three: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """The same of contrasts of values, from the sums of products of two and three values."""
    weights = contrasts.copy()
    weights[0] = contrasts.sum(axis=0)
    weights[0, np.abs(weights[0]) <= 1e-12 * np.abs(contrasts).sum(axis=0)] = 0.0
    second = ((of_two @ weights) * weights).sum(axis=-2)
    third = ((((of_three @ weights) * weights).sum(axis=-2)) * weights).sum(axis=-2)
    return np.maximum(second, 0.0), third


def _moments(sample: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Sums of squares and of cubes about the mean of samples, shape (..., N, K)."""
    centred = sample - sample.mean(axis=-2, keepdims=True)
    square = centred * centred
    return square.sum(axis=-2), np.einsum("...nk,...nk->...k", square, centred)


def _distance(
    n: int, second: FloatArray, third: FloatArray, reach: FloatArray, level: float, weight: float
) -> FloatArray:
    """Distance from the mean to the upper bound.

    ``second`` and ``third`` are the sums of squares and of cubes about the mean, s2 and s3; the
    pseudo-example of weight h stands ``reach`` = r above it. With p2 = s2 + h r**2 and
    p3 = s3 + h r**3 it is h max(p3, 0) / p2 / (n + h), which is r where there is nothing but flips
    and vanishes where noise outweighs them, plus the standard error of the weighted sample times a
    quantile: of the gamma distribution with twice the skewness of its mean, of Student's where
    there is no skewness.
    """
    total = n + weight
    move = weight * reach / total
    raw = second + weight * reach**2
    tilt = third + weight * reach**3
    square = np.maximum(raw - total * move**2, 0.0)
    cube = tilt - 3 * move * raw + 2 * total * move**3
    skewness = 2 * cube / np.where(square > 0, square, 1.0) ** 1.5
    tail = (1 + level) / 2
    shrink = np.sqrt((total - 1) / (total + 1))
    excess = special.stdtrit(n - 1, tail) - shrink * special.ndtri(tail)
    quantile = shrink * _gamma_quantile(skewness, tail) + excess * np.exp(-(skewness**2))
    shift = weight * np.maximum(tilt, 0.0) / np.where(raw > 0, raw, 1.0) / total
    return np.asarray(shift + np.sqrt(square / (total * (total - 1))) * quantile)


def _gamma_quantile(skewness: FloatArray, tail: float) -> FloatArray:
    """Quantile of the (mirrored, if skewness < 0) gamma distribution of mean 0 and variance 1."""
    size = np.maximum(np.abs(skewness), 1e-4)
    root = 2 / size
    right = np.where(skewness >= 0, tail, 1 - tail)
    quantile = special.gammaincinv(root**2, right) / root - root
    return np.asarray(np.where(skewness >= 0, quantile, -quantile))

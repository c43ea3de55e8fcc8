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
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import special

from modcollapse.analysis._weights import split
from modcollapse.contracts import FloatArray

Undone: TypeAlias = Literal["no", "partly", "wholly"]

FIGURE, CLAIM = 2 / 3, 1.0
"""Weights of the pseudo-example: intervals of figures, one-sided claims."""

_BLOCK = 2**21
"""Entries of the largest temporary array (16 MiB)."""
_TENSORS = 8
"""Up to so many coalitions the moments of all contrasts follow from those of the values, and flips
of a single one stand among those of several."""
_PAIRS = 12
"""Up to so many modalities all flips of pairs are looked at."""


@dataclass(frozen=True)
class FlipSample:
    """The values of one table, or of many (leading axes), made ready for bounds of any contrasts.

    A flip takes coalitions of an example to the floor, the mean of v(none), or to the ceiling, a
    perfect attack above it: a single one, or several (``_group_flips``).

    Attributes:
        values: coalition values, shape (..., N, C), C = 2**M, repeats averaged before.
        attack: what a perfect attack adds to v(none), shape (..., N), in the unit of the
            values; None where nobody declared it: only flips of the size seen are covered then.
        means: of the values, and of ``attack`` where it is known, shape (..., R), R = C or C + 1.
        to_floor: how far a flip can lower the mean of each coalition (<= 0), shape (..., C).
        to_ceiling: how far it can raise it (>= 0), shape (..., C).
        difference: the values are those of one model minus those of a control.
        moments: sums over the examples of products of two and of three of ``means`` about them,
            v(S) - v(none) in place of v(S); None for many coalitions.
    """

    values: FloatArray
    attack: FloatArray | None
    means: FloatArray
    to_floor: FloatArray
    to_ceiling: FloatArray
    difference: bool
    moments: tuple[FloatArray, FloatArray] | None

    @classmethod
    def of(
        cls, values: FloatArray, attack: FloatArray | None = None, *, difference: bool = False
    ) -> FlipSample:
        """Sum up a table."""
        values = np.asarray(values, float)
        count = values.shape[-1]
        length = count + (attack is not None)
        rows = np.empty((*values.shape[:-2], length, values.shape[-2]))
        rows[..., :count, :] = np.swapaxes(values, -1, -2)
        if attack is not None:
            rows[..., count, :] = attack
        means = rows.mean(axis=-1)
        clean = rows[..., :1, :].copy()
        rows[..., 1:count, :] -= clean
        size = attack_size(rows[..., 1:count, :], attack)[..., None]
        of_values = means[..., :count]
        floor = of_values[..., :1] - size * difference
        ceiling = of_values[..., :1] + size
        lowest, highest = of_values.min(-1, keepdims=True), of_values.max(-1, keepdims=True)
        to_floor = np.clip(np.minimum(floor, lowest) - of_values, -size, 0.0)
        to_ceiling = np.clip(np.maximum(ceiling, highest) - of_values, 0.0, size)
        moments = None
        if count <= _TENSORS:
            rows -= rows.mean(axis=-1, keepdims=True)
            columns = np.swapaxes(rows, -1, -2)
            products = [
                (rows[..., i:, :] * rows[..., i : i + 1, :]) @ columns for i in range(length)
            ]
            third = np.concatenate(products, axis=-2)[..., _pairs(length), :]
            moments = rows @ columns, third
        return cls(values, attack, means, to_floor, to_ceiling, difference, moments)

    def bounds(
        self,
        contrasts: FloatArray,
        alpha: FloatArray | float,
        *,
        weight: float = FIGURE,
        undone: Undone = "partly",
        inverted: bool = False,
        combine: FloatArray | None = None,
        lower: bool = False,
    ) -> FloatArray:
        """Lower and upper bounds of the means of K contrasts.

        Args:
            contrasts: weights, shape (C, K), or (C, q) where ``combine`` is given; one row more
                weighs what a perfect attack adds to v(none).
            alpha: how often each bound may lie on the wrong side of the mean, in (0, 0.5); a
                number, or shape (K,).
            weight: of the pseudo-example: 2/3 for figures, 1 for claims.
            undone: whether to look at flips in which two triggers that fire alone cancel each
                other, which move an interaction by two perfect attacks: ``"partly"`` where one of
                them fires already, ``"wholly"`` also where neither does.
            inverted: whether a flip may take a contrast twice as far: of a difference between two
                models, where one does what the other undoes.
            combine: shape (q, K); the contrasts are ``contrasts @ combine``, formed in blocks.
            lower: the lower bounds alone.

        Returns:
            Shape (2, ..., K), or (1, ..., K) of lower bounds alone, in the unit of the values; NaN
            for N = 1. Where all values are equal and no perfect attack is declared, nothing is
            known of flips: both are the mean.
        """
        n, count = self.values.shape[-2:]
        sides = 1 if lower else 2
        width = contrasts.shape[1] if combine is None else combine.shape[1]
        found = np.full((sides, *self.values.shape[:-2], width), np.nan)
        if n == 1 or width == 0:
            return found
        rows = len(contrasts)
        on_values, on_attack = split(contrasts)
        if len(on_attack):  # where v(none) rises, less is left for a perfect attack
            on_values = on_values.copy()
            on_values[0] -= on_attack[0]
        moved = self._flips(undone) @ on_values
        means = self.means[..., :rows] @ contrasts
        sample = None
        if self.moments is None:
            sample = self.values @ contrasts[:count]
            if len(on_attack) and self.attack is not None:
                sample += self.attack[..., None] * on_attack
        tables = max(1, int(np.prod(self.values.shape[:-2], dtype=int)))
        step = max(1, _BLOCK // (tables * (count if sample is None else max(n, count))))
        signs = np.array([-1.0, 1.0][:sides]).reshape(-1, *[1] * (found.ndim - 1))
        for start in range(0, width, step):
            part = slice(start, start + step)

            def take(array: FloatArray, part: slice = part) -> FloatArray:
                return array[..., part] if combine is None else array @ combine[:, part]

            weights = take(contrasts)
            if self.moments is not None:
                of_two, of_three = self.moments
                second, third = moments_of(
                    weights, of_two[..., :rows, :rows], of_three[..., :rows, :rows, :rows]
                )
            elif sample is not None:
                second, third = _moments(take(sample))
            reach = (1 + inverted) * self._reach(take(on_values), take(moved), sides)
            level = alpha[part] if isinstance(alpha, np.ndarray) else alpha
            distance = _distance(n, second, signs * third, reach, 1 - level, weight)
            found[..., part] = take(means) + signs * distance
        return found

    def _flips(self, undone: Undone) -> FloatArray:
        """How far each flip moves the mean of each coalition, shape (..., F, C)."""
        count = self.values.shape[-1]
        flips = _group_flips(count.bit_length() - 1, undone, self.difference, count <= _TENSORS)
        up, down = (flips > 0).astype(float), (flips < 0).astype(float)
        far: FloatArray = up * self.to_ceiling[..., None, :] + down * self.to_floor[..., None, :]
        return far

    def _reach(self, contrasts: FloatArray, moved: FloatArray, sides: int) -> FloatArray:
        """How far the worst flips take each contrast down and up, >= 0, shape (sides, ..., K)."""
        every = [moved]
        if contrasts.shape[0] > _TENSORS:  # flips of a single coalition, not among the groups
            every += [to[..., :, None] * contrasts for to in (self.to_floor, self.to_ceiling)]
        down = [-flips.min(axis=-2, initial=0.0) for flips in every]
        if sides == 1:
            return np.asarray(np.maximum.reduce(down)[None])
        up = [flips.max(axis=-2, initial=0.0) for flips in every]
        return np.stack([np.maximum.reduce(down), np.maximum.reduce(up)])


def attack_size(effects: FloatArray, perfect: FloatArray | None = None) -> FloatArray:
    """By how much an attack can move the value, shape (...).

    The largest of the declared perfect attacks, shape (..., N), or of the effects
    v_n(S) - v_n(none), shape (..., C, N), if that is larger or nothing is declared: the trigger may
    fire in those examples where it matters most.
    """
    size = np.maximum(
        effects.max(axis=(-2, -1), initial=0.0), -effects.min(axis=(-2, -1), initial=0.0)
    )
    if perfect is None:
        return np.asarray(size)
    return np.asarray(np.maximum(size, np.abs(perfect).max(axis=-1)))


@lru_cache(maxsize=16)
def _group_flips(m: int, undone: Undone, difference: bool, single: bool) -> NDArray[np.int8]:
    """Flips of several coalitions: +1 to the ceiling, -1 to the floor; shape (F, 2**m).

    All coalitions with i, with i or j, with i and j, with at least two modalities; exchanges (an
    example that resists i opens to j: those with i alone of the two to the floor, with j alone to
    the ceiling); if ``single`` each coalition alone; where triggers undo each other, both that hold
    one of the two, or one of these against those that hold both; of a difference also the other way
    round, as the control does it.
    """
    index = np.arange(2**m)
    member = ((index[:, None] >> np.arange(m)) & 1).astype(np.int8).T
    flips: list[Any] = []
    if single:
        flips += [sign * alone for alone in np.eye(2**m, dtype=np.int8) for sign in (1, -1)]
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
        if undone != "no":
            flips += [first + second, -(first + second), first - both, second - both]
            if undone == "wholly":
                flips += [first + second - both, both - first - second]
            if difference:
                flips += [both - first, both - second]
    array = np.array(flips, np.int8).reshape(-1, 2**m)
    array.setflags(write=False)
    return array


@lru_cache(maxsize=16)
def _pairs(count: int) -> NDArray[np.intp]:
    """The place of the pair of any two, shape (count, count), where pairs i <= j are in order."""
    first, second = np.triu_indices(count)
    place = np.zeros((count, count), dtype=np.intp)
    place[first, second] = place[second, first] = np.arange(len(first))
    return place


def moments_of(
    contrasts: FloatArray, of_two: FloatArray, of_three: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Sums of squares and of cubes of contrasts (R, K), from those of products: ``FlipSample``."""
    weights = contrasts.copy()
    of_values, _ = split(contrasts)
    weights[0] = of_values.sum(axis=0)
    weights[0, np.abs(weights[0]) <= 1e-12 * np.abs(of_values).sum(axis=0)] = 0.0
    second = ((of_two @ weights) * weights).sum(axis=-2)
    third = ((((of_three @ weights) * weights).sum(axis=-2)) * weights).sum(axis=-2)
    return np.maximum(second, 0.0), third


def _moments(sample: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Sums of squares and of cubes about the mean of samples, shape (..., N, K)."""
    centred = sample - sample.mean(axis=-2, keepdims=True)
    square = centred * centred
    return square.sum(axis=-2), np.einsum("...nk,...nk->...k", square, centred)


def _distance(
    n: int,
    second: FloatArray,
    third: FloatArray,
    reach: FloatArray,
    tail: FloatArray | float,
    weight: float,
) -> FloatArray:
    """Distance from the mean to its upper bound of level ``tail``.

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
    shrink = np.sqrt((total - 1) / (total + 1))
    excess = special.stdtrit(n - 1, tail) - shrink * special.ndtri(tail)
    quantile = shrink * _gamma_quantile(skewness, tail) + excess * np.exp(-(skewness**2))
    shift = weight * np.maximum(tilt, 0.0) / np.where(raw > 0, raw, 1.0) / total
    return np.asarray(shift + np.sqrt(square / (total * (total - 1))) * quantile)


def _gamma_quantile(skewness: FloatArray, tail: FloatArray | float) -> FloatArray:
    """Quantile of the (mirrored, if skewness < 0) gamma distribution of mean 0 and variance 1."""
    size = np.maximum(np.abs(skewness), 1e-4)
    root = 2 / size
    right = np.where(skewness >= 0, tail, 1 - tail)
    quantile = special.gammaincinv(root**2, right) / root - root
    return np.asarray(np.where(skewness >= 0, quantile, -quantile))

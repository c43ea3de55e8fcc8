"""Bounds for means of discrete contrasts: 0/1 values, their differences, means over repeats.

One rule serves figures and claims, which differ in the level alone. For a lower bound at level
``alpha`` of the mean of x over examples, of which N were seen and the lowest possible value is e:

    L = min over 0 <= q <= 1 - alpha**(1/N) of  (1 - q) * B(alpha / (1 - q)**N) + q * e.

B(beta) is the beta-quantile of the Dirichlet(1, ..., 1)-weighted mean of the sample and one
pseudo-example at the lowest value *seen*: on two values that were both seen, exactly the bound of
Clopper and Pearson. The rest stands for what was not seen: a share q of examples at e is missed
with probability (1 - q)**N, and the examples seen need then only be as unlikely as makes alpha
together. So an unseen value costs much where little was seen, and nothing once enough was: Gaffke's
bound, which puts the pseudo-example at e, lets it cost the same always.

Of 0/1 values e is the lowest contrast of a *threshold function* of the triggers, 1[w . s > c]: any
trigger alone, all, any, most, one but not another, either way round. Not among them, for two
triggers, are the two patterns in which both triggers together undo what each of them does (XOR and
its complement): a claim about CTI may be false too often where such an example is rare and was not
seen; figures, and all bounds of differences, provide for more (``REACHES``), ``strict`` for all.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from modcollapse.analysis._weights import split
from modcollapse.contracts import FloatArray

FIGURE_SPENDS = 1.36
"""A figure spends this times 1 - level, half on a side: a 95 % interval of a rate holds it in at
least 93.2 % of audits whatever the rate and N, 96 % on average (Clopper-Pearson: 95 and 97.4)."""
REACHES = 1.6
"""How far from the mean a figure provides, in sizes of a threshold function. A value twice as far,
seen in no example, then lies outside in 0.034**0.8 = 6.7 % of audits; worst found, mixed: 8.7 %."""
GRID = 64
"""Steps of the grid onto which a sample of more distinct values is split, keeping its mean."""
STEPS = (8, 6, 6)
"""Of the search for q, each within the best two of the last: half widths within 0.05 %."""
CHUNK = 2**13
"""Numbers held at a time, so that they stay in the cache."""


def rate_bounds(
    successes: FloatArray, n: int, level: float, *, claim: bool = False
) -> tuple[FloatArray, FloatArray]:
    """Both bounds of rates, from counts of successes, any shape, among n examples.

    Args:
        successes: whole numbers from 0 to n.
        n: number of examples.
        level: of the interval of a figure, in (0, 1); with ``claim`` of each bound alone.
        claim: bounds for claims: Clopper and Pearson's at 1 - level on each side.

    Source:
        Clopper and Pearson (1934), Biometrika 26.

    >>> low, high = rate_bounds(np.array([0, 64]), 64, 0.95)
    >>> print(low.round(3), high.round(3))
    [0.    0.949] [0.051 1.   ]
    """
    k = np.asarray(successes, dtype=float)
    alpha = 1 - level if claim else _spent((1 - level) / 2)
    return _beta_quantile(k, n - k + 1, alpha), 1 - _beta_quantile(n - k, k + 1, alpha)


def contrast_bounds(
    patterns: FloatArray,
    counts: FloatArray,
    contrasts: FloatArray,
    alpha: FloatArray | float,
    *,
    ends: tuple[float, float] = (0.0, 1.0),
    difference: bool = False,
    claim: bool = False,
    strict: bool = False,
    lower: bool = False,
) -> FloatArray:
    """Both bounds of the means of K contrasts of the values of N examples.

    Args:
        patterns: distinct rows of values, shape (D, C) or more columns, C = 2**M, bit i of the
            column for player i, and in the column after them what a perfect attack scores; the unit
            of a row is the example, or the cluster: average what is below it first.
        counts: how many of the N examples hold each, shape (D,).
        contrasts: weights, shape (C, K), or one row more for what a perfect attack scores.
        alpha: how often each bound may lie on the wrong side of the mean, in (0, 0.5); a number, or
            shape (K,). A figure spends ``FIGURE_SPENDS`` times as much.
        ends: lowest and highest value; of a difference those of its two parts, (0, 1) for 0/1.
        difference: the values are those of one model minus those of another.
        claim: bounds for claims.
        strict: provide for every pattern of the coalitions, not for threshold functions alone.
        lower: the lower bounds alone.

    Returns:
        Lower and upper bounds, shape (2, K), or (1, K) of lower bounds alone.
    """
    contrasts = np.asarray(contrasts, dtype=float)
    samples = contrasts.T @ patterns[:, : len(contrasts)].T
    lowest, highest = provided_ends(
        samples @ counts / counts.sum(),
        contrasts,
        ends,
        target=(patterns[:, -1].min(), patterns[:, -1].max()),
        difference=difference,
        reaches=math.inf if strict else 1.0 if claim and not difference else REACHES,
    )
    alpha = np.broadcast_to(alpha if claim else _spent(alpha), len(samples))
    if lower:
        return lower_bounds(samples, counts, lowest, alpha)[None]
    both = lower_bounds(
        np.concatenate([samples, -samples]),
        counts,
        np.concatenate([lowest, -highest]),
        np.concatenate([alpha, alpha]),
    )
    return np.stack([both[: len(samples)], -both[len(samples) :]])


def provided_ends(
    means: FloatArray,
    contrasts: FloatArray,
    ends: tuple[float, float] = (0.0, 1.0),
    *,
    target: tuple[float, float] = (1.0, 1.0),
    difference: bool = False,
    reaches: float = 1.0,
) -> tuple[FloatArray, FloatArray]:
    """Lowest and highest value to provide for, of contrasts (C, K) with means (..., K): (..., K).

    Those of threshold functions, and what lies within ``reaches`` times their size from the mean,
    as far as any pattern goes; of a difference, those of one of its parts, the other at rest. Where
    a row more weighs what a perfect attack scores, that may be anything within ``target``, and of a
    difference anything that a value may be.

    >>> cti = np.array([[1.0], [-1.0], [-1.0], [1.0]])
    >>> [provided_ends(np.zeros(1), cti, reaches=r)[1].item() for r in (1.0, 1.6, np.inf)]
    [1.0, 1.6, 2.0]
    """
    low, high = ends
    contrasts, of_target = split(contrasts)
    lowest, highest = _reach(contrasts)
    down, up = np.minimum(contrasts, 0).sum(0), np.maximum(contrasts, 0).sum(0)
    size = np.maximum(highest, -lowest)
    scale = high - low
    base = low * contrasts.sum(0)
    if difference:
        lowest, highest, down, up, base = -size, size, down - up, up - down, 0.0
        target = (min(target[0], 0.0), max(target[1], scale))
    least = most = base
    if len(of_target):
        sides = np.outer(target, of_target)
        least, most = base + sides.min(0), base + sides.max(0)
    size = scale * size * reaches
    return (
        np.maximum(least + scale * down, np.minimum(least + scale * lowest, means - size)),
        np.minimum(most + scale * up, np.maximum(most + scale * highest, means + size)),
    )


def lower_bounds(
    samples: FloatArray, counts: FloatArray, ends: FloatArray, alpha: FloatArray | float
) -> FloatArray:
    """Lower bounds of K means at level alpha, shape (K,), by the rule of this module.

    Args:
        samples: distinct values, shape (K, D).
        counts: how many examples hold each, shape (D,), or (K, D); zero for none.
        ends: lowest value to provide for, shape (K,); a lower one that was seen replaces it.
        alpha: how often a bound may lie above the mean, in (0, 0.5); a number, or shape (K,).
    """
    rows = max(1, CHUNK // min(samples.shape[1], GRID + 1))
    shared = counts.ndim == 1
    each = np.broadcast_to(alpha, len(samples))
    parts = [
        _lower(samples[part], counts if shared else counts[part], ends[part], each[part])
        for at in range(0, len(samples), rows)
        for part in [slice(at, at + rows)]
    ]
    return np.concatenate(parts) if parts else np.empty(0)


def gaffke_bound(
    sample: FloatArray, low_end: float, high_end: float, alpha: float
) -> tuple[float, float]:
    """Gaffke's lower and upper bound of the mean of values, shape (N,), each at level alpha.

    The lower one is the alpha-quantile of the Dirichlet(1, ..., 1)-weighted mean of the sample and
    one pseudo-example at ``low_end``; on 0/1 values it is Clopper and Pearson's. The distribution
    is integrated along the vertical line through its saddlepoint.

    Source:
        Gaffke (2005), Three test statistics for a nonparametric one-sided hypothesis on the mean of
        a nonnegative variable, Mathematical Methods of Statistics 14.

    >>> low, high = gaffke_bound(np.repeat([0.0, 1.0], [2, 62]), 0.0, 1.0, 0.05)
    >>> print(round(low, 4), round(high, 4))  # Clopper and Pearson, 62 of 64
    0.9049 0.9944
    """
    sample = np.asarray(sample, dtype=float)
    return _gaffke(sample, low_end, alpha), -_gaffke(-sample, -high_end, alpha)


def _spent(alpha: FloatArray | float) -> FloatArray:
    """What each bound of a figure spends of the error that it states."""
    return np.minimum(FIGURE_SPENDS * np.asarray(alpha), 0.5)


def _beta_quantile(a: FloatArray, b: FloatArray, probability: FloatArray | float) -> FloatArray:
    quantile: FloatArray = special.betaincinv(np.maximum(a, 1e-300), b, probability)
    return np.where(a > 0, quantile, 0.0)


def _reach(contrasts: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Lowest and highest value of contrasts (2**M, K) over the threshold functions of M triggers.

    All of them up to M = 4; beyond, those of two triggers and those of a single coalition.
    """
    m = len(contrasts).bit_length() - 1
    if m <= 4:
        moves = _threshold_functions(m) @ contrasts
        return moves.min(0), moves.max(0)
    present = ((np.arange(2**m)[:, None] >> np.arange(m)) & 1).astype(float)
    i, j = np.array(list(combinations(range(m), 2))).T
    total, single = contrasts.sum(0), present.T @ contrasts
    both = (present[:, i] * present[:, j]).T @ contrasts
    # sums over the coalitions with neither, one, the other and both of two triggers
    quarters = np.stack(
        [total - single[i] - single[j] + both, single[i] - both, single[j] - both, both], 1
    )
    moves = _threshold_functions(2) @ quarters
    lowest, highest = contrasts.min(0), contrasts.max(0)
    return (
        np.minimum(moves.min((0, 1)), np.minimum(lowest, total - highest)),
        np.maximum(moves.max((0, 1)), np.maximum(highest, total - lowest)),
    )


@lru_cache(maxsize=4)
def _threshold_functions(m: int) -> FloatArray:
    """All threshold functions of m <= 4 triggers (4, 14, 104, 1,882), one a row, (F, 2**m)."""
    present = (np.arange(2**m)[:, None] >> np.arange(m)) & 1
    largest = max(m - 1, 1)  # whole weights up to this suffice
    found = set()
    for weights in product(range(-largest, largest + 1), repeat=m):
        score = present @ np.array(weights, dtype=int)
        for cut in np.unique(score):
            found |= {(score >= cut).tobytes(), (score < cut).tobytes()}
    return np.array([np.frombuffer(row, dtype=bool) for row in sorted(found)], dtype=float)


def patterns_of(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Distinct rows of values (N, C), shape (D, C), and how often each occurs, shape (D,)."""
    levels = np.unique(values)
    width = values.shape[1]
    if width * math.log2(max(len(levels), 2)) > 62:
        return values, np.ones(len(values))
    places = values > levels[0] if len(levels) == 2 else np.searchsorted(levels, values)
    base = len(levels) ** np.arange(width)
    keys, often = np.unique(places @ base, return_counts=True)
    return levels[keys[:, None] // base % len(levels)], often.astype(float)


def _lower(
    samples: FloatArray, counts: FloatArray, ends: FloatArray, alpha: FloatArray
) -> FloatArray:
    n = counts.sum(-1)
    seen = counts > 0
    bottom = np.where(seen, samples, np.inf).min(1)
    span = np.where(seen, samples, -np.inf).max(1) - bottom
    unit = np.where(span > 0, span, 1.0)
    far = bottom - np.minimum(ends, bottom)
    # values from 0, the lowest seen, to 1, the highest
    z = np.where(seen, (samples - bottom[:, None]) / unit[:, None], 0.0)
    if z.shape[1] > GRID:
        z, counts = _on_grid(z, counts)
    mean = _dot(z, counts) / (n + 1)
    spread = np.sqrt(_dot((z - mean[:, None]) ** 2, counts) + mean**2)
    spread = np.maximum(spread, 1e-3)  # all equal: whatever is not zero

    def bound(tilt: FloatArray) -> FloatArray:
        quantile, score = _dirichlet(z, counts, tilt, spread)
        beta = np.maximum(special.ndtr(score), alpha)
        q = -np.expm1(np.log(alpha / beta) / n)
        below: FloatArray = (1 - q) * unit * np.where(span > 0, quantile, 0.0) - q * far
        return below

    # the tilt whose quantile is that of alpha, then the best between it and that of beta near 1
    goal = special.ndtri(alpha)
    left = _root(lambda x: _dirichlet(z, counts, np.expm1(x), spread)[1] - goal, span > 0)
    right = np.log1p(np.maximum(-2.5 / spread, -0.95))
    q = -np.expm1(np.log(alpha) / n)
    lowest = (1 - q) * span - q * far
    for steps in STEPS:
        nodes = np.linspace(left, right, steps + 1)
        found = bound(np.expm1(nodes))
        lowest = np.minimum(lowest, found.min(0))
        best = np.clip(found.argmin(0), 1, steps - 1)[None]
        left = np.take_along_axis(nodes, best - 1, 0)[0]
        right = np.take_along_axis(nodes, best + 1, 0)[0]
    bounds: FloatArray = bottom + lowest
    return bounds


def _dirichlet(
    z: FloatArray, counts: FloatArray, tilt: FloatArray, spread: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Quantiles of Dirichlet-weighted means and the normal scores of their probabilities.

    Of values z (K, D) in [0, 1] and a pseudo-example at 0, for tilts h of shape (..., K), which
    both have. A quantile's saddlepoint needs no search if one starts from it: the quantile is the
    mean under the weights c / (1 + h z).

    Source:
        Lugannani and Rice (1980), Advances in Applied Probability 12, in the form r* of
        Barndorff-Nielsen; within 2e-4 of the beta distribution.
    """
    tilt = np.where(np.abs(tilt) * spread < 1e-3, 1e-3 / spread, tilt)  # 0 / 0 there
    shrink = 1 / (1 + tilt[..., None] * z)
    quantile = _dot(z * shrink, counts) / (_dot(shrink, counts) + 1)
    total = counts.sum(-1) + 1
    deviance = -_dot(np.log(shrink), counts) - total * np.log1p(tilt * quantile)
    variance = _dot(((z - quantile[..., None]) * shrink) ** 2, counts) + quantile**2
    r = -np.sign(tilt) * np.sqrt(np.maximum(2 * deviance, 1e-12))
    v = -tilt * np.sqrt(np.maximum(variance, 1e-12))
    score: FloatArray = r + np.log(v / r) / r
    return quantile, score


def _dot(x: FloatArray, counts: FloatArray) -> FloatArray:
    """Sums over the last axis of x (..., K, D), weighted by counts (D,) or (K, D)."""
    total: FloatArray = x @ counts if counts.ndim == 1 else np.einsum("...kd,kd->...k", x, counts)
    return total


def _on_grid(z: FloatArray, counts: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Values in [0, 1] split between their neighbours on a grid, so that each mean is kept."""
    place = np.minimum((z * GRID).astype(int), GRID - 1)
    upper = (z * GRID - place) * counts
    place += np.arange(len(z))[:, None] * (GRID + 1)
    size = len(z) * (GRID + 1)
    split: FloatArray = np.bincount(place.ravel(), (counts - upper).ravel(), size).astype(float)
    split += np.bincount(place.ravel() + 1, upper.ravel(), size)
    grid: FloatArray = np.linspace(0, 1, GRID + 1)[None]
    return grid, split.reshape(len(z), -1)


def _root(falling: Callable[[FloatArray], FloatArray], wanted: NDArray[np.bool_]) -> FloatArray:
    """Where each of some falling functions crosses zero between -6 and 16 (Illinois), if wanted."""
    size = len(wanted)
    low, high = np.full(size, -6.0), np.full(size, 16.0)
    at_low, at_high = falling(low), falling(high)
    side = np.zeros(size)
    for _ in range(40):
        x = (low * at_high - high * at_low) / (at_high - at_low)
        value = falling(x)
        if np.all((np.abs(value) < 1e-6) | ~wanted):
            break
        up = value > 0
        low, at_high = np.where(up, x, low), np.where(up & (side > 0), at_high / 2, at_high)
        high, at_low = np.where(up, high, x), np.where(~up & (side < 0), at_low / 2, at_low)
        at_low, at_high = np.where(up, value, at_low), np.where(up, at_high, value)
        side = np.where(up, 1.0, -1.0)
    return x


def _gaffke(sample: FloatArray, end: float, alpha: float) -> float:
    values, counts = np.unique(np.append(sample, end), return_counts=True)
    span = values[-1] - end
    if span <= 0:
        return end
    z = (values - end) / span
    nodes = np.linspace(0, 5, 81)
    s, step = np.sinh(nodes), np.cosh(nodes) * nodes[1]
    step[0] /= 2

    def probability(x: float) -> tuple[float, float]:
        h = math.expm1(x)
        weights = counts / (1 + h * z)
        quantile = weights @ z / weights.sum()
        tilt = -h / (1 + h * quantile)
        scale = 1 / math.sqrt(counts @ ((z - quantile) / (1 - tilt * (z - quantile))) ** 2)
        line = tilt + 1j * s * scale
        density = np.exp(-np.log(1 - line[:, None] * (z - quantile)) @ counts) / line
        return quantile, -float(density.real @ step) * scale / math.pi

    def excess(x: float) -> float:
        return math.log(max(probability(x)[1], 1e-300) / alpha)

    nearest, farthest = 0.01, 16.0  # beyond them, what is safe to say
    if excess(farthest) >= 0:
        return end
    x = nearest if excess(nearest) <= 0 else optimize.brentq(excess, nearest, farthest)
    return float(end + span * probability(x)[0])

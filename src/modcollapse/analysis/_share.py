"""How much of the attribution a modality is shown to hold, and how little all are."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import product

import numpy as np
from numpy.typing import NDArray

from modcollapse.contracts import FloatArray

Combined = Callable[[FloatArray], tuple[FloatArray, FloatArray]]
"""Weights of the attributions, shape (M, K) -> lower and upper bounds of their sums, (K,) each."""

PRECISION = 1e-4
"""Shares are rounded to this, towards what is safe to say."""


def least_shares(phi: FloatArray, bounds: Combined) -> FloatArray:
    """The share p_j = |phi_j| / sum |phi| that each modality is shown to hold at least, shape (M,).

    The largest x at which (1 - x) phi_j - x sum over k != j of sigma_k phi_k has a lower bound
    above 0 for every choice of signs sigma: an intersection-union test, of the level of the bounds,
    without a ratio or a bias from absolute values. 0 where nothing is shown.

    Args:
        phi: the attributions, shape (M,).
        bounds: bounds of sums of the attributions.
    """
    m = len(phi)
    if m == 1:
        return (bounds(np.ones((1, 1)))[0] > 0).astype(float)
    own = np.repeat(np.eye(m), 2 ** (m - 1), axis=1)
    signs = np.tile(np.array(list(product((-1.0, 1.0), repeat=m - 1))).T.reshape(m - 1, -1), m)
    others = np.zeros_like(own)
    others.T[own.T == 0] = signs.T.ravel()
    modality = own.argmax(axis=0)

    def lower(x: FloatArray, patterns: NDArray[np.intp]) -> FloatArray:
        return bounds(own[:, patterns] * (1 - x) - others[:, patterns] * x)[0]

    # the likeliest pattern of each modality first; then those that are not shown at its share
    likely = (others * np.where(phi < 0, -1.0, 1.0)[:, None]).sum(axis=0).reshape(m, -1)
    patterns = likely.argmax(axis=1) + np.arange(m) * likely.shape[1]
    shares = _largest(lambda x, at: lower(x, patterns[at]), m)
    while True:
        shown = np.flatnonzero(shares[modality] > 0)
        fails = shown[lower(shares[modality[shown]], shown) <= 0]
        if not len(fails):
            return shares
        at_fails = _largest(
            partial(lambda failing, x, at: lower(x, failing[at]), fails), len(fails)
        )
        found = np.minimum(at_fails, shares[modality[fails]] - PRECISION)
        np.minimum.at(shares, modality[fails], np.maximum(found, 0.0))


def most_share(m: int, bounds: Combined) -> float:
    """The share that no modality is shown to exceed; 1 where nothing is shown.

    The smallest x at which plus and minus phi_j has an upper bound of
    (1 - x) (+-phi_j) - x sum over k != j of phi_k below 0, for every j: since sum |phi_k| is at
    least sum phi_k, this is valid whatever the signs.
    """
    own = np.repeat(np.eye(m), 2, axis=1)
    sign = np.tile([1.0, -1.0], m)

    def lower(x: FloatArray, at: NDArray[np.intp]) -> FloatArray:
        y = 1 - x
        return -bounds(own[:, at] * sign[at] * (1 - y) - (1 - own[:, at]) * y)[1]

    return 1.0 - float(_largest(lower, 2 * m).min())


def _largest(lower: Callable[[FloatArray, NDArray[np.intp]], FloatArray], count: int) -> FloatArray:
    """The largest x in [0, 1] at which each of some falling bounds is above 0 (Illinois)."""
    every = np.arange(count)
    left, right = np.zeros(count), np.ones(count)
    at_left, at_right = lower(left, every), lower(right, every)
    right[~(at_left > 0)] = 0.0
    left[at_right > 0] = 1.0
    for _ in range(60):
        open_ = np.flatnonzero(right - left >= PRECISION)
        if not len(open_):
            break
        part = at_left / np.where(at_left > at_right, at_left - at_right, 1.0)
        middle = (left + (right - left) * np.clip(part, 0.02, 0.98))[open_]
        at_middle = lower(middle, open_)
        held = at_middle > 0
        # the end that stays counts half, so that both ends move
        at_left[open_] = np.where(held, at_middle, at_left[open_] / 2)
        at_right[open_] = np.where(held, at_right[open_] / 2, at_middle)
        left[open_] = np.where(held, middle, left[open_])
        right[open_] = np.where(held, right[open_], middle)
    return left

"""How much of the attribution a modality is shown to hold, and how little all are."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from modcollapse.contracts import FloatArray

Lower = Callable[[FloatArray], FloatArray]
"""Weights of the attributions, shape (M, K) -> lower bounds of their sums, shape (K,)."""

PRECISION = 1e-4
"""Shares are rounded to this, towards what is safe to say."""
_EVENLY = np.linspace(0, 1, 11)[:, None]
_CLOSELY = np.array([-0.3, -0.08, -0.02, -0.003, 0.003, 0.02, 0.08, 0.3])[:, None]
"""Where a root is looked for: all over at first, then about where a straight line has it."""


class Shares(NamedTuple):
    """What is shown of the shares p_j = |phi_j| / sum |phi|.

    Attributes:
        least: the share that each modality is shown to hold at least, shape (M,); 0 where nothing
            is shown.
        most: the share that no modality is shown to exceed; 1 where nothing is shown.
    """

    least: FloatArray
    most: float


def shown_shares(phi: FloatArray, lower: Lower) -> Shares:
    """Bounds of the shares: intersection-union tests of the level of the bounds, without a ratio.

    A modality holds at least the largest x at which (1 - x) phi_j - x sum over k != j of
    sigma_k phi_k has a lower bound above 0 for every choice of signs sigma. None holds more than
    the smallest x at which (1 - x) (+-phi_j) - x sum over k != j of phi_k has an upper bound below
    0 for every j and both signs: since sum |phi_k| is at least sum phi_k, that holds whatever the
    signs.

    Args:
        phi: the attributions, shape (M,).
        lower: lower bounds of sums of the attributions.
    """
    m = len(phi)
    if m == 1:
        return Shares((lower(np.ones((1, 1))) > 0).astype(float), 1.0)
    own = np.repeat(np.eye(m), 2 ** (m - 1), axis=1)
    signs = np.tile(np.array(list(product((-1.0, 1.0), repeat=m - 1))).T.reshape(m - 1, -1), m)
    others = np.zeros_like(own)
    others.T[own.T == 0] = signs.T.ravel()
    modality = own.argmax(axis=0)

    # the likeliest pattern of each modality first, beside what bounds all shares from above
    likely = (others * np.where(phi < 0, -1.0, 1.0)[:, None]).sum(axis=0).reshape(m, -1)
    patterns = likely.argmax(axis=1) + np.arange(m) * likely.shape[1]
    each, sign = np.repeat(np.eye(m), 2, axis=1), np.tile([1.0, -1.0], m)
    found = _largest(
        lower,
        np.hstack([own[:, patterns], 1 - each]),
        np.hstack([-others[:, patterns], -each * sign]),
    )
    shares, most = found[:m], 1.0 - float(found[m:].min())
    while True:  # then those that are not shown at its share
        shown = np.flatnonzero(shares[modality] > 0)
        x = shares[modality[shown]]
        fails = shown[lower(own[:, shown] * (1 - x) - others[:, shown] * x) <= 0]
        if not len(fails):
            return Shares(shares, most)
        at_fails = _largest(lower, own[:, fails], -others[:, fails])
        lowered = np.minimum(at_fails, shares[modality[fails]] - PRECISION)
        np.minimum.at(shares, modality[fails], np.maximum(lowered, 0.0))


def _largest(lower: Lower, start: FloatArray, end: FloatArray) -> FloatArray:
    """The largest x in [0, 1] at which each falling bound, of start (1 - x) + end x, is above 0.

    Shape (K,), of ``start`` and ``end`` of shape (M, K); within ``PRECISION``, from below.
    """

    def at(x: FloatArray, which: NDArray[np.intp]) -> FloatArray:
        weights = start[:, None, which] * (1 - x) + end[:, None, which] * x
        return lower(weights.reshape(len(start), -1)).reshape(x.shape)

    which = np.arange(start.shape[1])
    root = np.zeros(len(which))
    x = np.repeat(_EVENLY, len(which), axis=1)
    values = at(x, which)
    while True:
        shown = np.logical_and.accumulate(values > 0, axis=0)
        last = shown.sum(axis=0) - 1  # the last of the points that are shown in a row
        columns = np.arange(len(which))
        root[which] = np.where(last >= 0, x[last, columns], 0.0)
        inside = (last >= 0) & (last < len(x) - 1)
        last, columns, which = last[inside], columns[inside], which[inside]
        left, right = x[last, columns], x[last + 1, columns]
        at_left, at_right = values[last, columns], values[last + 1, columns]
        open_ = right - left >= PRECISION
        if not open_.any():
            return root
        left, right, which = left[open_], right[open_], which[open_]
        at_left, at_right = at_left[open_], at_right[open_]
        part = np.clip(at_left / (at_left - at_right) + _CLOSELY, 0.01, 0.99)
        points = left + (right - left) * part
        x = np.vstack([left, points, right])
        values = np.vstack([at_left, at(points, which), at_right])

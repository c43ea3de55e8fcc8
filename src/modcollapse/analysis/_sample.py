"""The units of inference, and the one function from which figures and claims get their bounds."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from modcollapse.analysis import _classical
from modcollapse.analysis._discrete import contrast_bounds, gaffke_bound, patterns_of
from modcollapse.analysis._flips import CLAIM, FIGURE, FlipSample, moments_of
from modcollapse.analysis._settings import NEEDS_BOUNDS, Method
from modcollapse.contracts import FloatArray
from modcollapse.errors import InputError
from modcollapse.table import CoalitionTable

Bounds = tuple[FloatArray, FloatArray]
"""Lower and upper bounds, shape (K,) each."""


@dataclass(frozen=True, eq=False)
class Sample:
    """What is known of U units: examples, or groups of them, averaged over what is below.

    Attributes:
        values: coalition values of each unit, shape (U, 2**M).
        attack: what a perfect attack adds to v(none) of each unit, shape (U,), in the unit of the
            value; None where nobody declared it.
        ends: lowest and highest possible value; None where unknown.
        discrete: values are 0 or 1, differences of such, or means of these.
        difference: values are those of one model minus those of a control.
    """

    values: FloatArray
    attack: FloatArray | None = None
    ends: tuple[float, float] | None = None
    discrete: bool = False
    difference: bool = False

    @classmethod
    def of(cls, table: CoalitionTable) -> Sample:
        """Read a table: average the repeats of an example, then the examples of a group."""
        values = table.example_values
        perfect = table.perfect
        if perfect is None and table.zero_one:
            perfect = np.ones(len(values))
        attack = None if perfect is None else perfect - values[:, 0]
        if table.clusters is not None:
            groups = {label: group for group, label in enumerate(dict.fromkeys(table.clusters))}
            unit = np.array([groups[label] for label in table.clusters])
            counts = np.bincount(unit)[:, None]
            values = np.stack([np.bincount(unit, v) for v in values.T], axis=1) / counts
            if attack is not None:
                attack = np.bincount(unit, attack) / counts[:, 0]
        bounds = table.bounds
        if bounds is None and table.zero_one:
            bounds = (0.0, 1.0)
        return cls(values, attack, bounds, table.discrete or table.zero_one, table.difference)

    def __len__(self) -> int:
        return len(self.values)

    @property
    def perfect(self) -> float:
        """Mean of what a perfect attack adds to v(none); NaN where nobody declared it."""
        return float("nan") if self.attack is None else float(self.attack.mean())

    def below_perfect(self) -> tuple[Sample, float]:
        """The values less what a perfect attack would score, and what is left of that.

        Of continuous values each unit's own is taken away, and nothing is left; discrete values
        stay what they are, and the mean is left.
        """
        if self.attack is None:
            return self, math.nan
        perfect = self.attack + self.values[..., 0]
        if self.discrete:
            return self, float(perfect.mean())
        ends = self.ends and (self.ends[0] - perfect.max(), self.ends[1] - perfect.min())
        return replace(self, values=self.values - perfect[..., None], ends=ends), 0.0

    @cached_property
    def _flips(self) -> FlipSample:
        return FlipSample.of(self.values, perfect=self.attack, difference=self.difference)

    @cached_property
    def _patterns(self) -> tuple[FloatArray, FloatArray]:
        return patterns_of(self.values)

    @cached_property
    def means(self) -> FloatArray:
        """Mean value under each coalition, shape (2**M,)."""
        return self.values.mean(axis=0) if self.discrete else self._flips.means

    def means_and_spread(self, contrasts: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Mean and standard deviation of K contrasts over the units, shape (K,) each."""
        means: FloatArray = self.means @ contrasts
        if len(self) == 1:
            return means, np.full(len(means), np.nan)
        if self.discrete:
            patterns, counts = self._patterns
            squares = counts @ (patterns @ contrasts - means) ** 2
            return means, np.sqrt(squares / (len(self) - 1))
        if self._flips.moments is None:
            return means, (contrasts.T @ self.values.T).std(axis=1, ddof=1)
        squares, _ = moments_of(contrasts, *self._flips.moments)
        return means, np.sqrt(squares / (len(self) - 1))

    def equal(self, contrasts: FloatArray) -> NDArray[np.bool_]:
        """Which of K contrasts differ by no more than rounding between the units, shape (K,)."""
        _, spread = self.means_and_spread(contrasts)
        largest = np.abs(self.values).max() * np.abs(contrasts).sum(axis=0)
        return np.asarray((spread <= 8 * np.finfo(float).eps * largest) & (len(self) > 1))

    def undefined(self, contrasts: FloatArray, method: Method = "auto") -> NDArray[np.bool_]:
        """Which of K contrasts do not differ, while the method knows of no other values either."""
        method = self.method(method)
        if method in NEEDS_BOUNDS or (method == "flips" and self.attack is not None):
            return np.zeros(contrasts.shape[1], dtype=bool)
        return self.equal(contrasts)

    def method(self, method: Method) -> Method:
        """What ``"auto"`` means here."""
        if method != "auto":
            return method
        return "patterns" if self.discrete and self.ends is not None else "flips"

    def bounds(
        self,
        contrasts: FloatArray,
        alpha: float,
        *,
        method: Method = "auto",
        claim: bool = False,
        strict: bool = False,
        combine: FloatArray | None = None,
    ) -> Bounds:
        """Lower and upper bounds of the means of K contrasts, within the possible range.

        Args:
            contrasts: weights, shape (2**M, K), or (2**M, q) where ``combine`` is given.
            alpha: how often each of the two may lie on the wrong side of the mean, in (0, 0.5).
            method: kind of interval, see ``contrast_estimates``.
            claim: what rests on a bound is a claim: it differs from a figure in the weight of what
                the sample has not shown.
            strict: a claim provides for examples that the sample has not shown in which two
                triggers undo each other; a figure always does, as far as its level needs.
            combine: shape (q, K): the contrasts are ``contrasts @ combine``.

        Raises:
            InputError: the method needs bounds of the value, and there are none.
        """
        method = self.method(method)
        if method in NEEDS_BOUNDS and self.ends is None:
            raise InputError(f"method={method!r} needs the bounds of the value function")
        if method == "flips":
            flips = replace(self._flips, undone=strict or not claim)
            weight = CLAIM if claim else FIGURE
            low, high = flips.bounds(contrasts, level=1 - 2 * alpha, weight=weight, combine=combine)
        else:
            contrasts = contrasts if combine is None else contrasts @ combine
            low, high = self._by_contrast(contrasts, alpha, method, claim, strict)
        if self.ends is None:
            return low, high
        whole = contrasts if combine is None or method != "flips" else contrasts @ combine
        lowest, highest = possible_range(whole, self.ends)
        return np.maximum(low, lowest), np.minimum(high, highest)

    def _by_contrast(
        self, contrasts: FloatArray, alpha: float, method: Method, claim: bool, strict: bool
    ) -> Bounds:
        if method == "patterns":
            level = 1 - alpha if claim else 1 - 2 * alpha
            ends = (0.0, 1.0) if self.ends is None else self.ends
            if self.difference:
                ends = (ends[0] / 2, ends[1] / 2)  # (-1, 1) of parts in (0, 1): a width of 1
            return contrast_bounds(
                *self._patterns,
                contrasts,
                ends=ends,
                difference=self.difference,
                level=level,
                claim=claim,
                strict=strict,
            )
        samples = self.values @ contrasts
        if len(self) == 1:
            nothing = np.full(samples.shape[1], np.nan)
            return nothing, nothing
        if method in NEEDS_BOUNDS and self.ends is not None:
            lowest, highest = possible_range(contrasts, self.ends)
            bounded = {
                "gaffke": gaffke_bound,
                "plus-ends": _classical.plus_ends_bounds,
                "betting": _classical.betting_bounds,
            }[method]
            pairs = [
                bounded(sample, low, high, alpha)
                for sample, low, high in zip(samples.T, lowest, highest, strict=True)
            ]
        else:
            plain = {
                "t": _classical.t_bounds,
                "hall": _classical.hall_bounds,
                "bootstrap-t": _classical.bootstrap_t_bounds,
            }[method]
            pairs = [plain(sample, alpha) for sample in samples.T]
        low, high = np.array(pairs).reshape(-1, 2).T
        return low, high


def possible_range(contrasts: FloatArray, ends: tuple[float, float]) -> Bounds:
    """Lowest and highest value of contrasts, shape (2**M, K), of values within ``ends``.

    >>> low, high = possible_range(np.array([[1.0], [-1.0], [-1.0], [1.0]]), (0.0, 1.0))
    >>> low.tolist(), high.tolist()
    ([-2.0], [2.0])
    """
    up, down = contrasts.clip(min=0).sum(axis=0), -contrasts.clip(max=0).sum(axis=0)
    return ends[0] * up - ends[1] * down, ends[1] * up - ends[0] * down


def effect_contrasts(m: int) -> FloatArray:
    """Weights of e(S) = v(S) - v(none) of every coalition but none, shape (2**m, 2**m - 1).

    The last is the total effect.
    """
    contrasts: FloatArray = np.eye(2**m)[:, 1:]
    contrasts[0] = -1.0
    return contrasts

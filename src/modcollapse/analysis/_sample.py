"""The units of inference, and the one function from which figures and claims get their bounds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from modcollapse.analysis import _classical
from modcollapse.analysis._discrete import contrast_bounds, gaffke_bound, patterns_of
from modcollapse.analysis._flips import CLAIM, FIGURE, FlipSample, moments_of
from modcollapse.analysis._settings import NEEDS_BOUNDS, Method
from modcollapse.analysis._weights import Bounds, possible_range, split
from modcollapse.contracts import FloatArray
from modcollapse.errors import InputError
from modcollapse.table import CoalitionTable


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

    def repeated(self, times: int) -> Sample:
        """The same units several times: what more of them would say, were they like these."""
        attack = None if self.attack is None else np.tile(self.attack, times)
        return replace(self, values=np.tile(self.values, (times, 1)), attack=attack)

    def __len__(self) -> int:
        return len(self.values)

    @property
    def perfect(self) -> float:
        """Mean of what a perfect attack adds to v(none); NaN where nobody declared it."""
        return float("nan") if self.attack is None else float(self.attack.mean())

    @cached_property
    def _target(self) -> FloatArray | None:
        """What a perfect attack scores in each unit, shape (U,)."""
        return None if self.attack is None else self.attack + self.values[..., 0]

    @cached_property
    def _flips(self) -> FlipSample:
        return FlipSample.of(self.values, self.attack, difference=self.difference)

    @cached_property
    def _patterns(self) -> tuple[FloatArray, FloatArray]:
        if self._target is None:
            return patterns_of(self.values)
        return patterns_of(np.column_stack([self.values, self._target]))

    @cached_property
    def means(self) -> FloatArray:
        """Mean value under each coalition, shape (2**M,)."""
        if self.discrete:
            return np.asarray(self.values.mean(axis=0))
        return np.asarray(self._flips.means[..., : self.values.shape[-1]])

    def means_and_spread(self, contrasts: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Mean and standard deviation of K contrasts over the units, shape (K,) each."""
        means: FloatArray = self.means @ contrasts
        if len(self) == 1:
            return means, np.full(len(means), np.nan)
        if self.discrete:
            patterns, counts = self._patterns
            squares = counts @ (patterns[:, : len(contrasts)] @ contrasts - means) ** 2
            return means, np.sqrt(squares / (len(self) - 1))
        if self._flips.moments is None:
            return means, (contrasts.T @ self.values.T).std(axis=1, ddof=1)
        of_two, of_three = self._flips.moments
        rows = slice(len(contrasts))
        squares, _ = moments_of(contrasts, of_two[rows, rows], of_three[rows, rows, rows])
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
        alpha: FloatArray | float,
        *,
        method: Method = "auto",
        claim: bool = False,
        strict: bool = False,
        inverted: bool = False,
        combine: FloatArray | None = None,
    ) -> Bounds:
        """Lower and upper bounds of the means of K contrasts, within the possible range.

        Args:
            contrasts: weights, shape (2**M, K), or (2**M, q) where ``combine`` is given. One row
                more holds the weight of P, what a perfect attack adds to v(none): with 1 at S, -1
                at none and -0.1 there, the bounds are those of e(S) - 0.1 P, in which what is not
                known of P is not left out.
            alpha: how often each bound may lie on the wrong side of the mean, in (0, 0.5); a
                number, or shape (K,).
            method: kind of interval, see ``contrast_estimates``.
            claim: what rests on a bound is a claim: it differs from a figure in the weight of what
                the sample has not shown.
            strict: a claim provides for examples that the sample has not shown in which two
                triggers undo each other; a figure always does, as far as its level needs.
            inverted: and for such, of a difference between two models, in which an effect of the
                one is the opposite of that of the other. Methods for bounded values always do.
            combine: shape (q, K): the contrasts are ``contrasts @ combine``.

        Raises:
            InputError: the method needs bounds of the value, or a contrast P, and there is none.
        """
        low, high = self._bounds(contrasts, alpha, method, claim, strict, inverted, combine)
        return low, high

    def lower(
        self,
        contrasts: FloatArray,
        alpha: FloatArray | float,
        *,
        method: Method = "auto",
        strict: bool = False,
        inverted: bool = False,
        combine: FloatArray | None = None,
    ) -> FloatArray:
        """The lower bounds of ``bounds`` on which claims rest, alone, shape (..., K)."""
        only = self._bounds(contrasts, alpha, method, True, strict, inverted, combine, lower=True)
        return np.asarray(only[0])

    def _bounds(
        self,
        contrasts: FloatArray,
        alpha: FloatArray | float,
        method: Method,
        claim: bool,
        strict: bool,
        inverted: bool,
        combine: FloatArray | None,
        *,
        lower: bool = False,
    ) -> FloatArray:
        method = self.method(method)
        if method in NEEDS_BOUNDS and self.ends is None:
            raise InputError(f"method={method!r} needs the bounds of the value function")
        given, contrasts = contrasts, self._on_target(contrasts)
        if method == "flips":
            found = self._flips.bounds(
                given,
                alpha,
                weight=CLAIM if claim else FIGURE,
                undone="partly" if not claim else "wholly" if strict else "no",
                inverted=inverted,
                combine=combine,
                lower=lower,
            )
        else:
            contrasts = contrasts if combine is None else contrasts @ combine
            combine = None
            found = self._by_contrast(contrasts, alpha, method, claim, strict, lower)
        if self.ends is None:
            return found
        whole = contrasts if combine is None else contrasts @ combine
        lowest, highest = possible_range(whole, self.ends, self._target)
        return np.clip(found, lowest, highest)

    def _on_target(self, contrasts: FloatArray) -> FloatArray:
        """Weights of P = perfect - v(none), if any, as weights of perfect and of v(none)."""
        count = self.values.shape[-1]
        if len(contrasts) == count:
            return contrasts
        if self.attack is None:
            raise InputError("a contrast weighs a perfect attack, and nobody declared one")
        contrasts = contrasts.copy()
        contrasts[0] -= contrasts[count]
        return contrasts

    def _by_contrast(
        self,
        contrasts: FloatArray,
        alpha: FloatArray | float,
        method: Method,
        claim: bool,
        strict: bool,
        lower: bool,
    ) -> FloatArray:
        if method == "patterns":
            ends = (0.0, 1.0) if self.ends is None else self.ends
            if self.difference:
                ends = (ends[0] / 2, ends[1] / 2)  # (-1, 1) of parts in (0, 1): a width of 1
            return contrast_bounds(
                *self._patterns,
                contrasts,
                alpha,
                ends=ends,
                difference=self.difference,
                claim=claim,
                strict=strict,
                lower=lower,
            )
        of_values, of_target = split(contrasts)
        samples = self.values @ of_values
        if len(of_target) and self._target is not None:
            samples += self._target[:, None] * of_target
        if len(self) == 1:
            return np.full((1 if lower else 2, samples.shape[1]), np.nan)
        each = np.broadcast_to(alpha, samples.shape[1:]).tolist()
        if method in NEEDS_BOUNDS and self.ends is not None:
            lowest, highest = possible_range(contrasts, self.ends, self._target)
            bounded = {
                "gaffke": gaffke_bound,
                "plus-ends": _classical.plus_ends_bounds,
                "betting": _classical.betting_bounds,
            }[method]
            pairs = [
                bounded(sample, low, high, error)
                for sample, low, high, error in zip(samples.T, lowest, highest, each, strict=True)
            ]
        else:
            plain = {
                "t": _classical.t_bounds,
                "hall": _classical.hall_bounds,
                "bootstrap-t": _classical.bootstrap_t_bounds,
            }[method]
            pairs = [plain(sample, error) for sample, error in zip(samples.T, each, strict=True)]
        return np.array(pairs).reshape(-1, 2).T[: 1 if lower else 2]

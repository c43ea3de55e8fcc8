"""Figures: the mean of a contrast over the units, with its interval.

Every index is a linear contrast of the 2**M coalition values of an example, x_n = v_n @ a, so one
engine serves them all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from modcollapse.analysis._discrete import rate_bounds
from modcollapse.analysis._sample import Sample
from modcollapse.analysis._settings import Method
from modcollapse.contracts import FloatArray
from modcollapse.table import ALL_EQUAL, OK, TOO_FEW, Estimate

FEW = 32
"""Fewest units that intervals were measured on (``benchmarks/interval_coverage.py``)."""


def contrast_estimates(
    sample: Sample,
    contrasts: FloatArray,
    *,
    level: float = 0.95,
    method: Method = "auto",
    alpha: float | None = None,
) -> list[Estimate]:
    """Mean and interval of K contrasts of the values of U units.

    Args:
        sample: the units, see ``Sample``.
        contrasts: weights, shape (2**M, K).
        level: confidence level that the estimates state, in (0, 1).
        method: ``"flips"``: a gamma quantile after a pseudo-example as far off as a flip that the
            sample has not shown; ``"patterns"``: for 0/1 values, their differences and means of
            these; ``"auto"``: the one or the other. By name besides: ``"gaffke"`` (proved at every
            N), ``"betting"`` (the same), ``"plus-ends"``, ``"t"``, ``"hall"``, ``"bootstrap-t"``.
        alpha: error of each end; ``(1 - level) / 2`` if left out.

    Returns:
        K estimates. Where the bounds are known, an interval stays within the possible range.

    Raises:
        InputError: a method that needs bounds of the value where there are none.

    Source:
        ``"flips"`` and ``"patterns"`` are this library's own, measured by
        ``benchmarks/interval_coverage.py``. Gaffke (2005); Waudby-Smith and Ramdas (2024);
        Agresti and Caffo (2000); Hall (1992); Efron (1981).
    """
    n = len(sample)
    low, high = sample.bounds(contrasts, (1 - level) / 2 if alpha is None else alpha, method=method)
    values, spread = sample.means_and_spread(contrasts)
    equal, undefined = sample.equal(contrasts), sample.undefined(contrasts, method)
    low, high = (np.where(undefined, np.nan, end) for end in (low, high))
    errors = np.where(equal, 0.0, spread) / math.sqrt(n)
    kind = sample.method(method)
    return [
        Estimate(value, error, low, high, level, n, kind, _status(n, same))
        for value, error, low, high, same in zip(
            *(row.tolist() for row in (values, errors, low, high, equal)), strict=True
        )
    ]


def rate_estimates(
    successes: FloatArray, *, level: float = 0.95, alpha: float | None = None
) -> list[Estimate]:
    """Rates of 0/1 values, shape (N, K), each with its exact interval.

    >>> str(rate_estimates(np.ones((64, 1)))[0])
    '1.000 [0.949, 1.000]'
    """
    n = len(successes)
    each = 1 - level if alpha is None else 2 * alpha
    low, high = rate_bounds(successes.sum(axis=0), n, 1 - each)
    rates = successes.mean(axis=0)
    errors = np.sqrt(rates * (1 - rates) / (n - 1)) if n > 1 else np.full(len(rates), np.nan)
    return [
        Estimate(rate, error, low, high, level, n, "patterns", TOO_FEW if n < FEW else OK)
        for rate, error, low, high in zip(
            *(row.tolist() for row in (rates, errors, low, high)), strict=True
        )
    ]


def _status(n: int, equal: bool) -> str:
    flags: Sequence[str] = [TOO_FEW] * (n < FEW) + [ALL_EQUAL] * equal
    return ", ".join(flags) or OK

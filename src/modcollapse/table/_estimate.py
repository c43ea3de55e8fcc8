"""One figure with its uncertainty."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

OK = "ok"
ALL_EQUAL = "all equal"
TOO_FEW = "too few"


@dataclass(frozen=True)
class Estimate:
    """Mean of a figure over the examples, with a confidence interval.

    Attributes:
        value: the mean; NaN where it is undefined.
        se: standard error over the examples, NaN for a single one.
        low: lower end of the interval; NaN where there is none.
        high: upper end of the interval; NaN where there is none.
        level: confidence level of the interval, in (0, 1).
        n: number of units: of examples, or of groups of them.
        method: kind of interval, see ``analysis.contrast_estimates``.
        status: ``"ok"``; ``"all equal"``: the units do not differ, so the spread is unknown and the
            interval follows from the bounds of the value and the perfect attack alone, or is NaN
            where neither is declared;
            ``"too few"``: fewer examples than the interval's coverage has been shown for;
            ``"too few, all equal"``: both.
    """

    value: float
    se: float
    low: float
    high: float
    level: float
    n: int
    method: str
    status: str = OK

    def __float__(self) -> float:
        return self.value

    def __str__(self) -> str:
        flag = "" if self.status == OK else f" ({self.status})"
        value = number_text(self.value, decimals([(self.low, self.high)], [self.value]))
        return f"{value} {interval_text(self)}{flag}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain data; NaN becomes None, so that it is valid JSON."""
        return {
            key: None if isinstance(value, float) and math.isnan(value) else value
            for key, value in asdict(self).items()
        }

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Estimate:
        """Read what `to_dict` returned; other entries are passed over.

        Raises:
            KeyError: an entry is missing.
        """
        entries: dict[str, Any] = {field.name: data[field.name] for field in fields(cls)}
        undefined = {name: math.nan for name, value in entries.items() if value is None}
        return cls(**entries | undefined)


def sample_size(estimate: Estimate, examples: int, simultaneous: bool = False) -> str:
    """Say how many examples, which level, and whether intervals hold together or each alone."""
    units = f"{examples} examples" + (f" in {estimate.n} groups" if estimate.n < examples else "")
    together = "all together" if simultaneous else "each alone"
    return f"{units}, {100 * estimate.level:.3g}% intervals, {together}"


def interval_text(estimate: Estimate) -> str:
    """Return ``[low, high]``, or say that there is none."""
    if math.isnan(estimate.low):
        return "[no interval]"
    places = decimals([(estimate.low, estimate.high)])
    low, high = (number_text(end, places) for end in (estimate.low, estimate.high))
    return f"[{low}, {high}]"


def value_text(estimate: Estimate) -> str:
    """Return the value with its interval and, where it is not ok, its status."""
    value = number_text(estimate.value, decimals([(estimate.low, estimate.high)], [estimate.value]))
    flag = "" if estimate.status == OK else f" {estimate.status}"
    return f"{value} {interval_text(estimate)}{flag}"


def decimals(intervals: Iterable[tuple[float, float]], values: Iterable[float] = ()) -> int:
    """How many decimals to print, so that half an interval has two digits.

    The narrowest interval counts, but none that is a thousand times narrower than the widest.
    Where there is none, the largest of the values gets three digits.

    >>> decimals([(1.3e-5, 1.7e-5)])
    7
    """
    rounding = 1e-12
    halves = [
        (high - low) / 2
        for low, high in intervals
        if high - low > rounding * max(abs(low), abs(high))
    ]
    if not halves:
        largest = max(map(abs, values), default=0.0)
        return min(max(2 - math.floor(math.log10(largest)), 0), 300) if largest > 0 else 3
    return min(max(1 - math.floor(math.log10(max(min(halves), max(halves) / 1000))), 0), 300)


def number_text(number: float, places: int) -> str:
    """Return a number with so many decimals, and never minus zero."""
    text = f"{number:.{places}f}"
    return text.removeprefix("-") if not text.strip("-0.") else text


def estimate_label(symbol: str, name: str) -> str:
    """Return how an estimate is called in tables and pictures.

    >>> estimate_label("v", "none"), estimate_label("phi", "image")
    ('v(none)', 'phi image')
    """
    return f"v({name})" if symbol == "v" else f"{symbol} {name}"

"""How often the intervals of an audit hold the truth, in simulation and exactly.

    python benchmarks/interval_coverage.py --out interval_coverage.json

All at the 95 % level, with truths that are known, for 32 to 512 examples (or groups). Nothing is on
a grid: rates of flips, success rates, noise and the number of examples are drawn from the seed.

* ``by_rate``: every method on the same audits, a main attack from which a flip of 0.5 to 10 % of
  the examples deviates; the lowest coverage of those figures (both attributions, CTI, total) that
  the flip moves. This is what ``draw_coverage.py`` draws.
* ``kinds``: the default on ever more kinds of data, and all figures of an audit: up to four
  deviations at once, total and partial attacks, four families of noise, repeats, groups,
  differences from a control, three triggers, 0/1 values. The worst cell of each band of n is
  drawn anew with twelve times the runs, since the lowest of many simulated figures is too low by
  chance; only this counts. 0/1 values of two kinds of examples, and of three where there are not
  too many outcomes, are enumerated: no noise at all.
* ``kinds`` also holds data of which it is known that the default covers less, with the reason and
  the coverage that it must keep there.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

# read when numpy is loaded, so set before the next imports
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import numpy as np
from scipy import stats

import _simulation as sim
from _common import environment, publish
from _simulation import BANDS, ROUNDING, Array, Cell, Kinds, Rng
from modcollapse.analysis import Sample
from modcollapse.analysis._discrete import _threshold_functions, contrast_bounds, rate_bounds
from modcollapse.analysis._weights import possible_range

LEVEL = 0.95
ALPHA = (1 - LEVEL) / 2
LIMIT = 0.93
AGAIN = 12
"""The worst cell of each band is drawn anew with so many times the runs."""
ERRORS = 2
"""A simulated figure keeps a limit that it misses by less than so many of its standard errors."""
FOUR = ("phi image", "phi text", "CTI image+text", "e(3)")
RATES = (0.005, 0.1)
METHODS = {
    "continuous": ("flips", "t", "hall", "bootstrap-t", "plus-ends", "betting"),
    "0/1": ("patterns", "t", "hall", "bootstrap-t", "plus-ends", "betting", "gaffke"),
}
SLOW = ("bootstrap-t", "betting", "gaffke")
Result = dict[str, Any]


# every method, against the rate of a flip


def by_rate(kind: str, cells: int, runs: int, seed: int) -> list[Result]:
    """Coverage of every method in each of some cells."""
    rng = np.random.default_rng([seed, 0, kind == "0/1"])
    found = []
    for number in range(cells):
        while True:
            rates, attack = sim.draw_rates(rng, flips=0)
            base = "base alone" if attack == "total" else ""
            names = [name for name in sim.KINDS[2] if name not in ("undone", base)]
            flip = str(rng.choice(names))
            low, high = np.log(RATES)
            rate = float(np.exp(rng.uniform(low, high)))
            moved = np.zeros(len(rates))
            moved[list(sim.KINDS[2]).index(flip)] = 1.0
            patterns = np.array(list(sim.KINDS[2].values()))
            figures = {name: sim.figures(2)[name] for name in FOUR}
            labels = [
                name for name, a in figures.items() if abs((moved - rates) @ patterns @ a) > 0.05
            ]
            if labels:
                break
        cell = Cell(
            n=sim.draw_n(rng),
            patterns=patterns,
            rates=(1 - rate) * rates + rate * moved,
            noise=str(rng.choice(list(sim.BOUNDED))),
            scale=float(10 ** rng.uniform(-2, -0.5)),
            sizes=str(rng.choice(["equal", "equal", "uniform", "three"])),
        )
        contrasts = np.stack([figures[label] for label in labels], axis=1)
        inner = np.random.default_rng([seed, 1, kind == "0/1", number])
        measure = continuous_methods if kind == "continuous" else discrete_methods
        coverage = measure(inner, cell, contrasts, runs, slow=number % 2 == 0)
        found.append(
            {"n": cell.n, "rate": rate, "attack": attack, "flip": flip, "coverage": coverage}
        )
    return found


def continuous_methods(
    rng: Rng, cell: Cell, contrasts: Array, runs: int, *, slow: bool
) -> dict[str, float]:
    """Lowest coverage of some contrasts by each method; betting on every other cell only."""
    truth = cell.means @ contrasts
    ends = sim.ends_of(cell)
    possible = tuple(possible_range(contrasts, ends))
    hits: dict[str, Array] = {}
    done = dict.fromkeys(METHODS["continuous"], 0)

    def count(method: str, low: Array, high: Array) -> None:
        held = hold(low, high, truth).reshape(-1, len(truth))
        hits[method] = hits.get(method, 0) + held.sum(0)
        done[method] += len(held)

    for batch in sim.samples(rng, cell, runs):
        bounded = replace(batch, ends=ends)
        count("flips", *bounded.bounds(contrasts, ALPHA, method="flips"))
        x = batch.values @ contrasts
        moments = sim.moments_of(x)
        for method in ("t", "hall", "plus-ends"):
            count(method, *sim.classical(method, cell.n, moments, ALPHA, possible))
        some = x[: max(0, runs // 4 - done["bootstrap-t"])]
        if len(some):
            ends_ = sim.bootstrap_t(np.concatenate(list(some), axis=1), ALPHA)
            count("bootstrap-t", *(end.reshape(len(some), -1) for end in ends_))
        for values in batch.values[: max(0, runs // 20 - done["betting"])] if slow else ():
            count("betting", *Sample(values, ends=ends).bounds(contrasts, ALPHA, method="betting"))
        if done["flips"] == len(x):
            _compare(Sample(batch.values[0], batch.attack[0], ends), contrasts, x[0], possible)
    return {method: float((hits[method] / done[method]).min()) for method in hits}


def _compare(sample: Sample, contrasts: Array, x: Array, possible: tuple[Array, Array]) -> None:
    """Methods that are computed for many samples at once are those of the package."""
    for method in ("t", "hall", "plus-ends", "bootstrap-t"):
        if method == "bootstrap-t":
            found = sim.bootstrap_t(x, ALPHA)
        else:
            found = sim.classical(method, len(x), sim.moments_of(x), ALPHA, possible)
        expected = sample.bounds(contrasts, ALPHA, method=method)
        sim.agree(np.clip(found, *possible), expected, method)


def discrete_methods(
    rng: Rng, cell: Cell, contrasts: Array, runs: int, *, slow: bool
) -> dict[str, float]:
    """The same of 0/1 values; all but the slow methods exactly, where that is possible."""
    lowest: dict[str, float] = {}
    every = Kinds(cell.patterns, cell.rates, cell.patterns[:, 0]).where(cell.rates > 0)
    for contrast in contrasts.T:
        kinds = every.merged(contrast[:, None])
        x, truth = kinds.rows @ contrast, float(cell.means @ contrast)
        counts, chance, _ = sim.outcomes(rng, kinds.rates, cell.n, runs)
        possible = tuple(end[0] for end in possible_range(contrast[:, None], (0.0, 1.0)))
        moments = sim.moments_of_counts(x, counts)
        found = {"patterns": pattern_interval(x, counts, contrast)}
        for method in ("t", "hall", "plus-ends"):
            found[method] = sim.classical(method, cell.n, moments, ALPHA, possible)
        coverage = {method: float(chance @ hold(*ends, truth)) for method, ends in found.items()}
        for method in SLOW:
            few = runs // (4 if method == "bootstrap-t" else 40)
            if method != "bootstrap-t" and not slow:
                continue
            drawn = rng.multinomial(cell.n, kinds.rates, size=few)
            shuffled = [rng.permutation(np.repeat(np.arange(len(x)), count)) for count in drawn]
            if method == "bootstrap-t":
                ends = sim.bootstrap_t(x[np.array(shuffled)].T, ALPHA)
            else:
                samples = [Sample(kinds.rows[row], ends=(0.0, 1.0)) for row in shuffled]
                pairs = [s.bounds(contrast[:, None], ALPHA, method=method) for s in samples]
                ends = tuple(np.array(pairs)[..., 0].T)
            coverage[method] = float(hold(*ends, truth).mean())
        for method, share in coverage.items():
            lowest[method] = min(lowest.get(method, 1.0), share)
    return lowest


# the default, on every kind of data


@dataclass(frozen=True)
class Kind:
    """Data of one kind.

    Attributes:
        name: how it is called in the report.
        draw: draws a cell and measures it with that many runs.
        known: coverage that it must keep where it is known to miss the limit; else None.
        why: why it misses it.
        times: so many times the cells.
    """

    name: str
    draw: Callable[[Rng], Callable[[Rng, int], Result]]
    known: float | None = None
    why: str = ""
    times: int = 1


def continuous(**options: Any) -> Callable[[Rng], Callable[[Rng, int], Result]]:
    def draw(rng: Rng) -> Callable[[Rng, int], Result]:
        cell = sim.draw_cell(rng, **options)
        return lambda inner, runs: continuous_cell(inner, cell, runs)

    return draw


def continuous_cell(rng: Rng, cell: Cell, runs: int) -> Result:
    """Coverage and width of the default, for all figures of an audit of continuous values."""
    figures = sim.figures(cell.patterns.shape[1].bit_length() - 1)
    contrasts = np.stack(list(figures.values()), axis=1)
    truth = cell.means @ contrasts
    hits, width, variance = 0.0, 0.0, 0.0
    for batch in sim.samples(rng, cell, runs):
        low, high = batch.bounds(contrasts, ALPHA, method="flips")
        hits += hold(low, high, truth).sum(0)
        width += (high - low).sum(0)
        variance += (batch.values @ contrasts).var(axis=1, ddof=1).sum(0)
    known = 2 * stats.norm.ppf(1 - ALPHA) * np.sqrt(variance / runs / cell.n)
    return _cell(cell.n, list(figures), hits / runs, width / runs / known, runs, str(cell))


MONOTONE = ("nothing", "image", "text", "either", "both")
ALONE = ("image alone", "text alone")


def without_noise(*, far: bool) -> Callable[[Rng], Callable[[Rng, int], Result]]:
    """Continuous values without noise: a main attack, total or partial, and a flip; exact.

    Args:
        far: one of the two is that a trigger works alone and the other undoes it, and they differ
            in more than one coalition.
    """

    def draw(rng: Rng) -> Callable[[Rng, int], Result]:
        while True:
            main, flip = (str(name) for name in rng.choice((*MONOTONE, *ALONE), 2, replace=False))
            rows = np.stack([sim.KINDS[2][main], sim.KINDS[2][flip]])
            is_far = bool({main, flip} & set(ALONE)) and np.abs(rows[1] - rows[0]).sum() > 1
            if is_far == far:
                break
        rate = sim.rare(rng) if rng.random() < 0.7 else float(rng.uniform(0.1, 0.5))
        n = sim.draw_n(rng)

        def measure(inner: Rng, runs: int) -> Result:
            figures = {name: a for name, a in sim.figures(2).items() if np.ptp(rows @ a) > ROUNDING}
            contrasts = np.stack(list(figures.values()), axis=1)
            k = np.arange(stats.binom.ppf(1e-9, n, rate), stats.binom.ppf(1 - 1e-9, n, rate) + 1)
            values = rows[(np.arange(n) < k[:, None]).astype(int)]
            low, high = Sample(values, 1 - values[..., 0]).bounds(contrasts, ALPHA, method="flips")
            truth = ((1 - rate) * rows[0] + rate * rows[1]) @ contrasts
            chance = stats.binom.pmf(k, n, rate)
            deviation = np.abs((rows[1] - rows[0]) @ contrasts) * np.sqrt(rate * (1 - rate) / n)
            widths = chance @ (high - low) / (2 * stats.norm.ppf(1 - ALPHA) * deviation)
            coverage = chance @ hold(low, high, truth)
            about = f"n = {n}: {100 * rate:.2f} % {flip}, else {main}"
            return _cell(n, list(figures), coverage, widths, 0, about)

        return measure

    return draw


def partial_without_noise(rng: Rng) -> Callable[[Rng, int], Result]:
    """The image fires in some examples, the text in few others: continuous, no noise, exact."""
    rows = np.stack([sim.KINDS[2][name] for name in ("image", "text", "nothing")])
    p, q = rng.uniform(0.05, 0.5), sim.rare(rng)
    rates = np.array([p, q, 1 - p - q])
    n = sim.draw_n(rng, 32, 180)
    figures = sim.figures(2)
    contrasts = np.stack(list(figures.values()), axis=1)
    truth = rates @ rows @ contrasts

    def measure(inner: Rng, runs: int) -> Result:
        counts, chance, exact = sim.outcomes(inner, rates, n, runs)
        hits = width = 0.0
        for start in range(0, len(counts), 500):
            edges = counts[start : start + 500].cumsum(axis=1)
            kind = (np.arange(n)[:, None] >= edges[:, None, :2]).sum(-1)
            sample = Sample(values := rows[kind], 1 - values[..., 0])
            low, high = sample.bounds(contrasts, ALPHA, method="flips")
            part = chance[start : start + 500]
            hits += part @ hold(low, high, truth)
            width += part @ (high - low)
        deviation = np.sqrt(rates @ (rows @ contrasts - truth) ** 2)
        varies = deviation > ROUNDING
        names = [name for name, keep in zip(figures, varies, strict=True) if keep]
        known = 2 * stats.norm.ppf(1 - ALPHA) * deviation[varies] / np.sqrt(n)
        about = f"n = {n}: {100 * p:.1f} % image, {100 * q:.1f} % text"
        return _cell(n, names, hits[varies], width[varies] / known, 0 if exact else runs, about)

    return measure


def discrete(kind: str, *, undone: bool = False) -> Callable[[Rng], Callable[[Rng, int], Result]]:
    def draw(rng: Rng) -> Callable[[Rng, int], Result]:
        kinds = sim.draw_kinds(rng, kind, undone)
        anywhere = np.ones(len(kinds.rows), dtype=bool)
        flips = 10 ** rng.uniform(-2.5, -0.7)
        rates = (1 - flips) * sim.spread_over(rng, anywhere, 2)
        rates = rates + flips * sim.spread_over(rng, anywhere, int(rng.choice([1, 3])))
        kinds = replace(kinds, rates=rates).where(rates > 0)
        n = sim.draw_n(rng)
        return lambda inner, runs: discrete_cell(inner, kinds, n, runs)

    return draw


def two_kinds(rng: Rng) -> Callable[[Rng, int], Result]:
    """An attack, total or partial, and a flip: exact, and with n drawn evenly."""
    allowed = [p for p in range(16) if p not in sim.UNDONE]
    main, flip = rng.choice(allowed, 2, replace=False)
    rate = sim.rare(rng) if rng.random() < 0.8 else float(rng.uniform(0.1, 0.5))
    rows = sim.PATTERNS16[[main, flip]]
    kinds = Kinds(rows, np.array([1 - rate, rate]), rows[:, 0])
    n = int(rng.integers(BANDS[0][0], BANDS[-1][1] + 1))
    return lambda inner, runs: discrete_cell(inner, kinds, n, runs)


def both_flip(rng: Rng) -> Callable[[Rng, int], Result]:
    """Differences where the model and the control deviate independently."""
    of_model, of_control = (sim.draw_model(rng, control=control) for control in (False, True))
    rows = (sim.PATTERNS16[:, None] - sim.PATTERNS16).reshape(-1, 4)
    clean = np.repeat(sim.PATTERNS16[:, 0], 16)
    rates = np.outer(of_model, of_control).ravel()
    kinds = Kinds(rows, rates, clean, difference=True).where(rates > 0)
    n = sim.draw_n(rng)
    return lambda inner, runs: discrete_cell(inner, kinds, n, runs)


def three_triggers(rng: Rng) -> Callable[[Rng, int], Result]:
    """0/1 values of three triggers: threshold functions, the image's for the most part."""
    rows = _threshold_functions(3)
    rates = np.zeros(len(rows))
    image = np.flatnonzero((rows == sim.members(3)[0]).all(axis=1))[0]
    nothing = np.flatnonzero((rows == 0).all(axis=1))[0]
    success = float(rng.choice([1, rng.uniform(0.05, 1)]))
    rates[image] += success
    rates[nothing] += 1 - success
    flips = 10 ** rng.uniform(-2.5, -1)
    rates = (1 - flips) * rates + flips * sim.spread_over(rng, rates >= 0, 3)
    kinds = Kinds(rows, rates, rows[:, 0]).where(rates > 0)
    n = sim.draw_n(rng)
    return lambda inner, runs: discrete_cell(inner, kinds, n, runs)


def discrete_cell(rng: Rng, kinds: Kinds, n: int, runs: int) -> Result:
    """Coverage and width of the default for four figures (and one rate), exactly where it can be.

    Figures that are the same in all kinds of examples are held always, and left out.
    """
    m = kinds.rows.shape[1].bit_length() - 1
    wanted = ("phi image", "phi text", "CTI image+text", f"e({2**m - 1})", "e(1)")
    names, coverage, widths, exact = [], [], [], True
    for name in wanted:
        contrast = sim.figures(m)[name]
        of_name = kinds.merged(contrast[:, None])
        if len(of_name.rates) == 1:
            continue
        x, truth = of_name.rows @ contrast, float(of_name.rates @ of_name.rows @ contrast)
        counts, chance, enumerated = sim.outcomes(rng, of_name.rates, n, runs)
        low, high = pattern_interval(x, counts, contrast, difference=kinds.difference)
        at = int(chance.argmax())
        expected = contrast_bounds(
            of_name.rows, counts[at], contrast[:, None], ALPHA, difference=kinds.difference
        )
        sim.agree([[low[at]], [high[at]]], expected, "patterns")
        names.append(name)
        coverage.append(float(chance @ hold(low, high, truth)))
        deviation = np.sqrt(of_name.rates @ (x - truth) ** 2)
        known = 2 * stats.norm.ppf(1 - ALPHA) * deviation / np.sqrt(n)
        widths.append(float(chance @ (high - low) / known))
        exact &= enumerated
    about = f"n = {n}: {kinds}"
    return _cell(n, names, coverage, widths, 0 if exact else runs, about)


def groups(rng: Rng) -> Callable[[Rng, int], Result]:
    """Means of 0/1 values over groups of 1 to 16 examples, whose success rates differ by group."""
    contrast = sim.figures(2)[name := str(rng.choice(FOUR))]
    n, most, even = sim.draw_n(rng), int(rng.choice([3, 4, 8, 16])), bool(rng.integers(2))
    likeness = 10 ** rng.uniform(-1.5, 1.0)
    rates = np.zeros(16)
    success = float(rng.choice([1, rng.uniform(0.05, 1)]))
    rates[[0, 10]] = 1 - success, success
    flips = 10 ** rng.uniform(-2.5, -0.7)
    rates *= 1 - flips
    np.add.at(rates, rng.choice(sim.ATTACKS16, 2), flips * rng.dirichlet([1, 1]))
    kinds = np.flatnonzero(rates)
    x, truth = sim.PATTERNS16[kinds] @ contrast, float(rates @ sim.PATTERNS16 @ contrast)

    def measure(inner: Rng, runs: int) -> Result:
        hits = width = variance = 0.0
        for start in range(0, runs, 500):
            size = min(500, runs - start)
            shape = likeness * 4 * rates[kinds]
            own = inner.standard_gamma(shape, (size, n, len(kinds))) + 1e-300
            edges = (own / own.sum(-1, keepdims=True)).cumsum(-1)[:, :, None, :-1]
            kind = (inner.random((size, n, most, 1)) > edges).sum(-1)
            parts = np.full((size, n), most) if even else inner.integers(1, most + 1, (size, n))
            there = np.arange(most) < parts[..., None]
            sample = (x[kind] * there).sum(-1) / parts
            low, high = group_interval(sample, contrast)
            hits += hold(low, high, truth).sum()
            width += (high - low).sum()
            variance += sample.var(axis=1, ddof=1).sum()
        known = 2 * stats.norm.ppf(1 - ALPHA) * np.sqrt(variance / runs / n)
        known = known if known > 1e-6 else np.nan  # without a flip nothing varies
        about = f"n = {n} groups of up to {most}, even {even}, likeness {likeness:.2f}"
        return _cell(n, [name], [hits / runs], [width / runs / known], runs, about)

    return measure


def group_interval(sample: Array, contrast: Array) -> tuple[Array, Array]:
    """The default of samples (R, N) that are all distinct, as those of means over groups."""
    each = np.ones_like(sample)
    means = sample.mean(axis=1)[:, None]
    low, high = sim.provided_ends(means, contrast[:, None], reaches=sim.REACHES)
    alpha = sim.FIGURE_SPENDS * ALPHA
    return (
        sim.lower_bounds(sample, each, low[:, 0], alpha),
        -sim.lower_bounds(-sample, each, -high[:, 0], alpha),
    )


def pattern_interval(
    x: Array, counts: Array, contrast: Array, *, difference: bool = False
) -> tuple[Array, Array]:
    """The default of 0/1 values, for many samples at once."""
    low, negative = (
        sim.pattern_lower(sign * x, counts, sign * contrast, ALPHA, difference=difference)
        for sign in (1.0, -1.0)
    )
    return low, -negative


def success_rates(seed: int) -> Result:
    """Exact coverage of the interval of a single rate, at every n from 32 to 512."""
    rng = np.random.default_rng([seed, 5])
    worst, mean = [], []
    for low_n, high_n in BANDS:
        found = []
        for n in range(low_n, high_n + 1):
            k = np.arange(n + 1)
            low, high = rate_bounds(k, n, LEVEL)
            # coverage drops where an end is passed: just beyond each of them, and elsewhere
            near = np.concatenate([low + 1e-9, low - 1e-9, high + 1e-9, high - 1e-9])
            p = np.concatenate([near[(near > 0) & (near < 1)], rng.uniform(0, 1, 200)])
            p = p if len(p) <= 600 else rng.choice(p, 600, replace=False)
            held = (low <= p[:, None]) & (p[:, None] <= high)
            coverage = (stats.binom.pmf(k, n, p[:, None]) * held).sum(axis=1)
            found.append((float(coverage.min()), n, float(p[coverage.argmin()])))
            mean.append(float(coverage[-200:].mean()))
        least = min(found)
        worst.append(
            {
                "n": [low_n, high_n],
                "cells": len(found),
                "worst": least[0],
                "figure": "v(S)",
                "at": f"n = {least[1]}, rate {least[2]:.4f}",
                "median_width": None,
            }
        )
    return {
        "kind": "0/1: one success rate (exact, every n)",
        "limit": LIMIT,
        "known": None,
        "why": "",
        "exact": 1.0,
        "below_93": float(np.mean([band["worst"] < LIMIT for band in worst])),
        "mean": float(np.mean(mean)),
        "bands": worst,
        "worst": min(band["worst"] for band in worst),
        "error": 0.0,
        "within_limits": min(band["worst"] for band in worst) >= LIMIT,
        "as_known": min(band["worst"] for band in worst) >= LIMIT,
    }


def ignored(seed: int, cells: int, runs: int) -> Result:
    """What it costs to count the examples of a group as if each stood for itself."""
    rng = np.random.default_rng([seed, 6])
    contrast = sim.figures(2)["phi text"][:, None]
    found = []
    for _ in range(cells):
        cell = replace(sim.draw_cell(rng), n=16, parts=1)
        cell = replace(cell, rates=_text_in_some(rng), control=None)
        hits = 0
        for batch in sim.samples(rng, cell, runs):
            sample = Sample(np.repeat(batch.values, 4, axis=1), np.repeat(batch.attack, 4, axis=1))
            low, high = sample.bounds(contrast, ALPHA, method="flips")
            hits += hold(low, high, cell.means @ contrast).sum()
        found.append(hits / runs)
    return {"groups": 16, "examples_of_a_group": 4, "median": float(np.median(found))}


def _text_in_some(rng: Rng) -> Array:
    rates = np.zeros(len(sim.KINDS[2]))
    rates[list(sim.KINDS[2]).index("text")] = rng.uniform(0.3, 0.7)
    rates[0] = 1 - rates.sum()
    return rates


def hold(low: Array, high: Array, truth: Array | float) -> Any:
    """Whether intervals hold the truth, up to rounding."""
    return (low <= truth + ROUNDING) & (truth <= high + ROUNDING)


def _cell(n: int, names: list[str], coverage: Any, widths: Any, runs: int, about: str) -> Result:
    return {
        "n": n,
        "names": names,
        "coverage": np.array(coverage, float),
        "widths": np.array(widths, float),
        "runs": runs,
        "about": about,
    }


def measure_kind(kind: Kind, number: int, cells: int, runs: int, seed: int) -> Result:
    """Screen some cells, and draw the worst of every band anew."""
    rng = np.random.default_rng([seed, 2, number])
    drawn = [kind.draw(rng) for _ in range(cells * kind.times)]
    found = [
        measure(np.random.default_rng([seed, 3, number, i]), runs)
        for i, measure in enumerate(drawn)
    ]
    bands, errors = [], []
    for low, high in BANDS:
        inside = [i for i, cell in enumerate(found) if low <= cell["n"] <= high and cell["names"]]
        if not inside:
            continue
        worst = min(inside, key=lambda i: found[i]["coverage"].min())
        if found[worst]["runs"]:
            again = np.random.default_rng([seed, 4, number, worst])
            found[worst] = drawn[worst](again, AGAIN * runs)
        worst = found[worst]
        share = float(worst["coverage"].min())
        errors.append((share, np.sqrt(share * (1 - share) / worst["runs"]) if worst["runs"] else 0))
        widths = np.concatenate([found[i]["widths"] for i in inside])
        widths = widths[~np.isnan(widths)]
        bands.append(
            {
                "n": [low, high],
                "cells": len(inside),
                "worst": share,
                "figure": worst["names"][int(worst["coverage"].argmin())],
                "at": worst["about"],
                "median_width": float(np.median(widths)) if len(widths) else None,
            }
        )
    every = np.concatenate([cell["coverage"] for cell in found])
    worst_share, error = min(errors)
    return {
        "kind": kind.name,
        "limit": LIMIT,
        "known": kind.known,
        "why": kind.why,
        "exact": float(np.mean([cell["runs"] == 0 for cell in found])),
        "below_93": float((every < LIMIT).mean()),
        "mean": float(every.mean()),
        "bands": bands,
        "worst": worst_share,
        "error": float(error),
        "within_limits": bool(worst_share + ERRORS * error >= LIMIT),
        "as_known": bool(worst_share + ERRORS * error >= (kind.known or LIMIT)),
    }


def of_noise(family: str, attack: str) -> Kind:
    draw = continuous(noises=sim.NOISES[family], attack=attack)
    known = (0.91, FROM_THE_MEAN) if attack == "partial" else ()
    return Kind(f"continuous: {family}, {attack} attack", draw, *known)


FROM_THE_MEAN = (
    "a flip that was not seen is reckoned from the means of the coalitions; those of a partial "
    "attack are above the floor already, so that it falls short of a whole attack"
)
KINDS = (
    *(of_noise(family, attack) for family in sim.NOISES for attack in ("total", "partial")),
    Kind("continuous: repeats", continuous(parts=True), 0.91, FROM_THE_MEAN),
    Kind("continuous: groups of 1 to 8", continuous(parts=True, uneven=True)),
    Kind("continuous: differences from a control", continuous(control=True)),
    Kind("continuous: three triggers", continuous(m=3)),
    Kind("continuous: two triggers undo each other", continuous(undone=True)),
    Kind("continuous: perfect attacks differ (cv 0.7)", continuous(sizes="gamma", perfect="known")),
    Kind(
        "continuous: no perfect attack declared",
        continuous(perfect="none"),
        0.3,
        "only flips of the size seen are covered, and a sample may hold none; the result says so",
    ),
    Kind("0/1: two kinds of examples (exact, any n)", two_kinds),
    Kind("0/1: several kinds", discrete("0/1")),
    Kind("0/1: two triggers undo each other", discrete("0/1", undone=True)),
    Kind("0/1: repeats", discrete("repeats")),
    Kind("0/1: groups of 1 to 16", groups),
    Kind("0/1: differences, the model or the control flips", discrete("difference")),
    Kind("0/1: differences, both flip", both_flip),
    Kind("0/1: three triggers", three_triggers),
    Kind("continuous: no noise (exact)", without_noise(far=False), times=20),
    Kind("continuous: partial, no noise (exact)", partial_without_noise, 0.91, FROM_THE_MEAN),
    Kind(
        "continuous: no noise, a trigger works alone only (exact)",
        without_noise(far=True),
        0.75,
        "examples in which a trigger works and the other undoes it, beside such as differ in more "
        "than one coalition: they move CTI by up to two perfect attacks, an attribution by one and "
        "a half",
        times=20,
    ),
)


def line(result: Result) -> str:
    bands = "  ".join(
        f"{band['worst']:6.1%} ({band['median_width']:.2f})"
        if band["median_width"] is not None
        else f"{band['worst']:6.1%}"
        for band in result["bands"]
    )
    keeps = "" if result["within_limits"] else f"  BELOW {result['limit']:.0%}"
    keeps += ", as known" if keeps and result["as_known"] else ""
    return f"{result['kind']:58} {bands}  below 93 %: {result['below_93']:.1%}{keeps}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, help="JSON file to write (default: standard output)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cells", type=int, default=60, help="of each kind")
    parser.add_argument("--runs", type=int, default=1500, help="of each cell that is not exact")
    options = parser.parse_args()
    start = time.perf_counter()
    rates = {
        kind: by_rate(kind, 3 * options.cells, options.runs // 2, options.seed) for kind in METHODS
    }
    print(f"by rate: {time.perf_counter() - start:.0f} s", flush=True)
    heading = "worst coverage by band of n (median width, known variance = 1): "
    lines = [heading + ", ".join(f"{low}-{high}" for low, high in BANDS)]
    results = [success_rates(options.seed)]
    for number, kind in enumerate(KINDS):
        results.append(measure_kind(kind, number, options.cells, options.runs, options.seed))
        print(f"{kind.name}: {time.perf_counter() - start:.0f} s", flush=True)
    lines += [line(result) for result in results]
    report = {
        "benchmark": "interval_coverage",
        "settings": {
            "level": LEVEL,
            "seed": options.seed,
            "cells": options.cells,
            "runs": options.runs,
        },
        "limits": {"coverage": LIMIT, "standard_errors_allowed": ERRORS},
        "within_limits": all(result["within_limits"] for result in results),
        "as_known": all(result["as_known"] for result in results),
        "by_rate": rates,
        "kinds": results,
        "groups_counted_as_examples": ignored(options.seed, 20, options.runs),
        "seconds": time.perf_counter() - start,
        "environment": environment(["numpy", "scipy"]),
    }
    publish(report, "\n".join(lines), options.out)
    if not report["as_known"]:
        raise SystemExit("an interval covers less than it must")


if __name__ == "__main__":
    main()

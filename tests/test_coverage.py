"""Intervals hold the truth and claims their level: a part of what the benchmarks measure.

0/1 values of two kinds of examples are enumerated, so that nothing is left to chance. Continuous
values are drawn from a seed; their bounds are three standard errors of that beyond the limits. The
same cells must tell plain t and Hall intervals from the default, or they could not fail.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import modcollapse as mc
from modcollapse.analysis import Sample, judge
from modcollapse.analysis._discrete import rate_bounds
from modcollapse.analysis._weights import possible_range

sys.path.append(str(Path(__file__).resolve().parents[1] / "benchmarks"))
import _simulation as sim
import headlines
import levels

ALPHA = 0.025
LEAST = 0.93
MOST = 0.06
SIZES = (*range(32, 128, 12), *range(128, 513, 48))
RATES = (0.005, 0.01, 0.02, 0.03, 0.05, 0.1)
FLIPS = [("image", "both"), ("image", "image alone"), ("either", "text"), ("nothing", "text")]
CLAIMS = [name for name in sim.claims_of(2, 0.9) if name not in ("negligible", "lowers")]
"""Without the one that is rarely made at its boundary, and one that needs a large base rate."""
FIGURES = ("phi image", "phi text", "CTI image+text", "e(3)")
OTHERS = pytest.mark.parametrize(
    ("method", "holds"), [("auto", True), ("t", False), ("hall", False)]
)
"""The default, and others that must fail on the same cells."""


def held(low, high, truth):
    return (low <= truth + 1e-9) & (truth <= high + 1e-9)


def of_counts(method, x, counts, contrast, alpha=ALPHA, claim=False):
    """Both bounds of samples of 0/1 examples, from counts of their kinds."""
    if method == "auto":
        low = sim.pattern_lower(x, counts, contrast, alpha, claim=claim)
        return low, -sim.pattern_lower(-x, counts, -contrast, alpha, claim=claim)
    moments = sim.moments_of_counts(x, counts)
    return sim.classical(method, int(counts[0].sum()), moments, alpha)


def of_batch(method, batch, contrasts, alpha=ALPHA, claim=False):
    """Both bounds of many samples of continuous values."""
    if method == "auto":
        return batch.bounds(contrasts, alpha, claim=claim)
    if len(contrasts) > batch.values.shape[-1]:  # the row of what a perfect attack adds to v(none)
        values = np.concatenate([batch.values, batch.attack[..., None]], axis=-1)
    else:
        values = batch.values
    moments = sim.moments_of(values @ contrasts)
    return sim.classical(method, batch.values.shape[-2], moments, alpha)


def two_kinds(n, lowest, highest):
    """How many of n examples may be of the first and of the second kind, all but 1e-8 of it."""
    k = np.arange(stats.binom.ppf(5e-9, n, lowest), stats.binom.ppf(1 - 5e-9, n, highest) + 1)
    return np.stack([n - k, k], axis=1)


@OTHERS
def test_intervals_of_0_1_values_exactly(method, holds):
    worst = 1.0
    for n in SIZES:
        counts = two_kinds(n, min(RATES), max(RATES))
        for main, flip in FLIPS:
            for contrast in (sim.figures(2)[name] for name in FIGURES):
                x = np.stack([sim.KINDS[2][main], sim.KINDS[2][flip]]) @ contrast
                if x[0] == x[1]:
                    continue
                low, high = of_counts(method, x, counts, contrast)
                for rate in RATES:
                    truth = (1 - rate) * x[0] + rate * x[1]
                    chance = stats.binom.pmf(counts[:, 1], n, rate)
                    worst = min(worst, chance @ held(low, high, truth))
    assert (worst >= LEAST) == holds, worst


def test_success_rates_exactly():
    p = np.concatenate([np.geomspace(1e-4, 0.5, 400), 1 - np.geomspace(1e-4, 0.5, 400)])
    for n in SIZES:
        k = np.arange(n + 1)
        low, high = rate_bounds(k, n, 0.95)
        coverage = (stats.binom.pmf(k, n, p[:, None]) * held(low, high, p[:, None])).sum(1)
        assert coverage.min() >= LEAST


@OTHERS
def test_claims_on_0_1_values_exactly(method, holds):
    """At the boundary of each claim, made up of two kinds of examples; at most 5 % are false."""
    worst = 0.0
    rng = np.random.default_rng(0)
    for n in SIZES:
        for name in CLAIMS:
            claim = sim.claims_of(2, rng.uniform(0.9, 0.99))[name]
            kinds = None
            while kinds is None:
                kinds = sim.draw_patterns_at_boundary(rng, "0/1", claim, few=True)
            rate = kinds.rates[1]
            counts = two_kinds(n, rate, rate)
            made = np.ones(len(counts), dtype=bool)
            for contrast in claim.on_target.T:
                x = kinds.patterns @ contrast
                low, _ = of_counts(method, x, counts, contrast, 0.05, True)
                made &= low > 1e-9
            worst = max(worst, stats.binom.pmf(counts[:, 1], n, rate) @ made)
    assert (worst <= 0.05) == holds, worst


@OTHERS
def test_intervals_of_continuous_values(method, holds):
    contrasts = np.stack(list(sim.figures(2).values()), axis=1)
    runs, worst = 1000, 1.0
    for seed in range(16):
        rng = np.random.default_rng([0, seed])
        cell = sim.draw_cell(rng, attack=("total", "partial")[seed % 2])
        cell = replace(cell, n=sim.draw_n(rng, 32, 128))  # where flips are rarely seen
        truth = cell.means @ contrasts
        hits = sum(
            held(*of_batch(method, batch, contrasts), truth).sum(0)
            for batch in sim.samples(rng, cell, runs)
        )
        worst = min(worst, (hits / runs).min())
    noise = 3 * np.sqrt(LEAST * (1 - LEAST) / runs)
    assert (worst >= LEAST - noise) == holds, worst


@OTHERS
def test_claims_on_continuous_values(method, holds):
    runs, worst = 800, 0.0
    for number, name in enumerate(CLAIMS * 3):
        rng = np.random.default_rng([1, number])
        claim = sim.claims_of(2, 0.9)[name]
        cell = sim.draw_at_boundary(rng, claim, noises=("tiny", "normal"))
        cell = replace(cell, n=sim.draw_n(rng, 32, 128))
        made = 0
        for batch in sim.samples(rng, cell, runs):
            low, _ = of_batch(method, batch, claim.less_perfect, 0.05, True)
            made += (low > 0).all(axis=-1).sum()
        worst = max(worst, made / runs)
    noise = 3 * np.sqrt(MOST * (1 - MOST) / runs)
    assert (worst <= MOST + noise) == holds, worst


@pytest.mark.parametrize("claim", [False, True])
def test_bounds_of_many_samples_are_those_of_each(claim):
    """What these tests and the benchmarks compute at once is what ``Sample.bounds`` says."""
    rng = np.random.default_rng(2)
    contrasts = np.stack(list(sim.figures(2).values()), axis=1)
    cell = sim.draw_cell(rng)
    batch = next(sim.samples(rng, cell, 3))
    for method in ("flips", "t", "hall"):
        low, high = of_batch(
            "auto" if method == "flips" else method, batch, contrasts, 0.025, claim
        )
        for run in range(3):
            sample = Sample(batch.values[run], batch.attack[run])
            expected = sample.bounds(contrasts, 0.025, method=method, claim=claim)
            np.testing.assert_allclose([low[run], high[run]], expected, rtol=1e-6, atol=1e-9)
    x = batch.values[0] @ contrasts
    expected = Sample(batch.values[0]).bounds(contrasts, 0.025, method="bootstrap-t")
    np.testing.assert_allclose(sim.bootstrap_t(x, 0.025), expected, rtol=1e-6, atol=1e-9)
    patterns = sim.PATTERNS16[[10, 8, 14, 0]]
    counts = np.array([[60.0, 3, 2, 5], [70, 0, 0, 0], [40, 0, 30, 0]])
    for contrast in contrasts.T:
        for method in ("auto", "t", "hall"):
            found = of_counts(method, patterns @ contrast, counts, contrast, 0.025, claim)
            for run, count in enumerate(counts.astype(int)):
                values = np.repeat(patterns, count, axis=0)
                sample = Sample(values, ends=(0.0, 1.0), discrete=True)
                expected = sample.bounds(contrast[:, None], 0.025, method=method, claim=claim)
                clipped = np.clip(
                    [end[run] for end in found], *possible_range(contrast[:, None], (0.0, 1.0))
                )
                np.testing.assert_allclose(clipped, np.ravel(expected), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("n", [83, 155, 183])
def test_a_fall_is_claimed_at_its_level(n):
    """The base rate is at once what the effect falls from and what a perfect attack adds to.

    Of examples that score without a trigger and of others that never do, the effect is exactly
    minus 10 % of a perfect attack where the first are 1 in 11.
    """
    false = 0.0
    for falls in range(n + 1):
        values = np.repeat(np.array([[1, 0], [0, 0]]), [falls, n - falls], axis=0)
        verdict = judge(mc.CoalitionTable.from_values(values, ["image"], binary=True))
        false += bool(verdict.lowers) * stats.binom.pmf(falls, n, 1 / 11)
    assert 0.02 < false <= 0.05


def test_the_page_shows_what_was_measured():
    names = ("interval_coverage", "claims")
    reports = [json.loads((levels.RESULTS / f"{name}.json").read_text()) for name in names]
    assert levels.PAGE.read_text(encoding="utf-8") == levels.render(*reports)
    shown = headlines.render(headlines.read())
    assert headlines.PAGE.read_text(encoding="utf-8") == shown, "run benchmarks/headlines.py"

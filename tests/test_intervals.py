"""Intervals: known answers, a second implementation, coverage in simulation, named statuses."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

import modcollapse as mc
from modcollapse.analysis._intervals import (
    contrast_estimates,
    mean_estimate,
    possible_range,
    rate_estimate,
)
from modcollapse.game import interaction_contrasts, shapley_contrasts

PAIR = ["image", "text"]
samples = hnp.arrays(np.float64, st.integers(3, 40), elements=st.floats(-10, 10, width=16))


def interval(sample, method="hall", ends=None, level=0.95):
    estimate = mean_estimate(np.asarray(sample, float), ends, level, method)
    return estimate.low, estimate.high


def test_t_is_scipys():
    sample = np.random.default_rng(0).normal(size=20)
    expected = stats.ttest_1samp(sample, 0).confidence_interval(0.9)
    np.testing.assert_allclose(interval(sample, "t", level=0.9), expected, rtol=1e-12)


def test_hall_of_a_symmetric_sample_is_the_t_interval():
    sample = np.array([-3.0, -1.0, -0.5, 0.0, 0.5, 1.0, 3.0])
    np.testing.assert_allclose(interval(sample), interval(sample, "t"), rtol=1e-9)


@given(samples)
def test_hall_inverts_its_own_transformation(sample):
    """The ends are the means at which Hall's g(T), written as in the paper, is a t quantile."""
    n, scale = len(sample), sample.std(ddof=1) / math.sqrt(len(sample))
    assume(scale > 1e-3)
    skewness = float(stats.skew(sample, bias=False))

    def g(mean):
        t = (sample.mean() - mean) / scale
        return (
            t
            + skewness * t**2 / (3 * math.sqrt(n))
            + skewness**2 * t**3 / (27 * n)
            + skewness / (6 * math.sqrt(n))
        )

    low, high = interval(sample)
    quantile = stats.t.ppf(0.975, n - 1)
    # The ends are rounded to 1e-15 of the data, which are up to 1e4 standard errors large.
    assert g(low) == pytest.approx(quantile, rel=1e-7, abs=1e-7)
    assert g(high) == pytest.approx(-quantile, rel=1e-7, abs=1e-7)


@given(samples, st.floats(0.1, 5), st.floats(-5, 5), st.sampled_from(["hall", "t", "plus-ends"]))
def test_intervals_move_with_the_scale(sample, factor, shift, method):
    assume(np.ptp(sample) > 1e-3)
    low, high = interval(sample, method, (-10, 10))
    moved = interval(factor * sample + shift, method, (shift - 10 * factor, shift + 10 * factor))
    np.testing.assert_allclose(moved, [factor * low + shift, factor * high + shift], atol=1e-8)
    flipped = interval(-sample, method, (-10, 10))
    np.testing.assert_allclose(flipped, [-high, -low], atol=1e-8)


@given(samples, st.sampled_from(["hall", "t", "plus-ends"]))
def test_intervals_stay_in_the_possible_range(sample, method):
    low, high = interval(sample, method, (-10, 10))
    assert -10 <= low <= high <= 10


def test_plus_ends_by_hand():
    """A pseudo-observation at either end of the range, then the t interval."""
    sample = np.array([1.0, 0.0, 0.0, 1.0, 1.0])
    expected = stats.ttest_1samp([1, 0, 0, 1, 1, -2, 2], 0).confidence_interval(0.95)
    np.testing.assert_allclose(
        interval(sample, "plus-ends", (-2, 2)), np.clip(expected, -2, 2), rtol=1e-12
    )


@given(hnp.arrays(np.float64, 8, elements=st.floats(-3, 3)), st.floats(-2, 0), st.floats(1, 3))
def test_the_possible_range_is_that_of_the_corners(contrast, low, high):
    corners = [
        sum(weight * (high if (corner >> i) & 1 else low) for i, weight in enumerate(contrast))
        for corner in range(2**8)
    ]
    np.testing.assert_allclose(
        possible_range(contrast, (low, high)), (min(corners), max(corners)), atol=1e-9
    )


@pytest.mark.parametrize(("successes", "n", "method"), [(0, 64, "wilson"), (5, 20, "clopper")])
def test_a_rate_has_scipys_interval(successes, n, method):
    estimate = rate_estimate(np.repeat([1.0, 0.0], [successes, n - successes]), 0.95)
    reference = stats.binomtest(successes, n).proportion_ci(
        0.95, method="wilson" if method == "wilson" else "exact"
    )
    assert (estimate.low, estimate.high) == tuple(reference)
    assert estimate.method.startswith(method)
    assert estimate.value == successes / n


class TestStatuses:
    def test_all_equal_with_bounds_has_a_plus_ends_interval(self):
        table = mc.CoalitionTable.from_values([[0, 0, 1, 1]] * 40, PAIR, bounds=(0, 1))
        estimate = mc.tma(table)["text"]
        assert (estimate.status, estimate.method, estimate.value) == ("all equal", "plus-ends", 1)
        expected = stats.ttest_1samp([*[1.0] * 40, -1, 1], 0).confidence_interval(0.95)
        np.testing.assert_allclose(
            (estimate.low, estimate.high), (expected.low, min(expected.high, 1)), rtol=1e-12
        )

    def test_all_equal_without_bounds_has_none(self):
        table = mc.CoalitionTable.from_values([[0, 0, 1, 1]] * 40, PAIR)
        estimate = mc.tma(table)["text"]
        assert estimate.status == "all equal"
        assert math.isnan(estimate.low)
        assert math.isnan(estimate.high)
        assert "no interval" in str(estimate)
        assert estimate.to_dict()["low"] is None

    def test_equal_up_to_rounding_is_equal(self):
        rng = np.random.default_rng(0)
        base = rng.uniform(0, 1, (40, 1))
        values = np.hstack([base, base + 0.1, base + 0.3, base + 0.4])
        assert np.ptp(values @ shapley_contrasts(2)[:, 0]) > 0
        assert mc.tma(mc.CoalitionTable.from_values(values, PAIR))["image"].status == "all equal"

    def test_one_example_has_no_interval_and_few_are_flagged(self):
        one = mc.tma(mc.CoalitionTable.from_values([[0, 0, 1, 1]], PAIR))["text"]
        assert one.status == "too few"
        assert math.isnan(one.se)
        assert math.isnan(one.low)
        rng = np.random.default_rng(0)
        for n, status in ((2, "too few"), (31, "too few"), (32, "ok")):
            table = mc.CoalitionTable.from_values(rng.uniform(size=(n, 4)), PAIR)
            assert mc.tma(table)["text"].status == status
            assert mc.tma(table)["text"].low < mc.tma(table)["text"].high


def test_repeats_are_averaged_before_anything_is_counted():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(30, 5, 4))
    repeated = mc.tma(mc.CoalitionTable.from_values(values, PAIR))
    averaged = mc.tma(mc.CoalitionTable.from_values(values.mean(1), PAIR))
    assert repeated.to_dict() == averaged.to_dict()
    assert repeated["text"].n == 30


def covered(draw, truth, contrasts, runs=2000, **options):
    """Share of simulated runs in which the interval holds the truth."""
    hits = 0
    for run in range(runs):
        values = draw(np.random.default_rng(run))
        (estimate,) = contrast_estimates(values, contrasts[:, None], **options)
        hits += estimate.low <= truth <= estimate.high
    return hits / runs


@pytest.mark.parametrize("n", [16, 64])
def test_hall_covers_on_skewed_bounded_values(n):
    """Beta(0.5, 5), skewness 2.1. Three standard errors of a simulated 95 % are 1.5 %."""
    rate = covered(
        lambda rng: rng.beta(0.5, 5, (n, 1)), 0.5 / 5.5, np.ones(1), bounds=(0, 1), method="hall"
    )
    assert 0.935 <= rate <= 0.975


@pytest.mark.parametrize("patterns", [(0.97, 0.01, 0.01, 0.01), (0.4, 0.3, 0.2, 0.1)])
@pytest.mark.parametrize("figure", ["cti", "phi"])
def test_plus_ends_covers_on_0_1_values(patterns, figure):
    """0/1 coalition patterns, the rare ones too rare to be seen in every run."""
    kinds = np.array([[0, 0, 1, 1], [0, 0, 0, 1], [0, 1, 1, 1], [0, 0, 0, 0]], float)
    contrasts = interaction_contrasts(2)[:, 0] if figure == "cti" else shapley_contrasts(2)[:, 0]
    truth = float(np.array(patterns) @ kinds @ contrasts)
    rate = covered(
        lambda rng: kinds[rng.choice(4, 64, p=patterns)],
        truth,
        contrasts,
        bounds=(0, 1),
        discrete=True,
    )
    assert rate >= 0.935

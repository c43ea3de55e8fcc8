"""Intervals: known answers, second implementations, what must not change them, named statuses."""

from __future__ import annotations

import math
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

import modcollapse as mc
from modcollapse.analysis import (
    Sample,
    contrast_estimates,
    effect_contrasts,
    gaffke_bound,
    rate_estimates,
)
from modcollapse.analysis import _flips as flips_module
from modcollapse.analysis._discrete import FIGURE_SPENDS, rate_bounds
from modcollapse.analysis._share import shown_shares
from modcollapse.analysis._weights import possible_range
from modcollapse.errors import InputError
from modcollapse.game import interaction_contrasts, shapley_contrasts

PAIR = ["image", "text"]
METHODS = ("flips", "patterns", "gaffke", "plus-ends", "betting", "t", "hall", "bootstrap-t")
samples = hnp.arrays(np.float64, st.integers(3, 40), elements=st.floats(-10, 10, width=16))
wholes = st.integers(0, 64)


def interval(sample, method="hall", ends=(-10, 10), level=0.95):
    """Of the mean of single values: a game of no player."""
    units = Sample(np.asarray(sample, float)[:, None], ends=ends)
    (estimate,) = contrast_estimates(units, np.ones((1, 1)), level=level, method=method)
    return estimate.low, estimate.high


def figures(m=2):
    """Weights of every figure of an audit."""
    return np.hstack([np.eye(2**m), shapley_contrasts(m), interaction_contrasts(m)])


def flipping(k, n=64, noise=0.0, text=(0.0, 0.0, 0.9, 0.9), failed=(0.0, 0.0, 0.0, 0.9)):
    """n examples of one game, the first k of which fail."""
    values = np.tile(text, (n, 1))
    values[:k] = failed
    return values + noise * np.random.default_rng(0).normal(size=values.shape)


def zero_one(k, n=64):
    return Sample(flipping(k, n).round(), np.ones(n), (0.0, 1.0), discrete=True)


def continuous(k, n=64, noise=0.0):
    values = flipping(k, n, noise)
    return Sample(values, 0.9 - values[:, 0])


# --- by name ----------------------------------------------------------------------------------


def test_t_is_scipys():
    sample = np.random.default_rng(0).normal(size=20)
    expected = stats.ttest_1samp(sample, 0).confidence_interval(0.9)
    np.testing.assert_allclose(interval(sample, "t", level=0.9), expected, rtol=1e-12)


def test_hall_of_a_symmetric_sample_is_the_t_interval():
    sample = np.array([-3.0, -1.0, -0.5, 0.0, 0.5, 1.0, 3.0])
    np.testing.assert_allclose(interval(sample), interval(sample, "t"), rtol=1e-9)


@settings(deadline=None)
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

    low, high = interval(sample, ends=None)
    quantile = stats.t.ppf(0.975, n - 1)
    # The ends are rounded to 1e-15 of the data, which are up to 1e4 standard errors large.
    assert g(low) == pytest.approx(quantile, rel=1e-7, abs=1e-7)
    assert g(high) == pytest.approx(-quantile, rel=1e-7, abs=1e-7)


def test_plus_ends_by_hand():
    """A pseudo-observation at either end of the range, then the t interval."""
    sample = np.array([1.0, 0.0, 0.0, 1.0, 1.0])
    expected = stats.ttest_1samp([1, 0, 0, 1, 1, -2, 2], 0).confidence_interval(0.95)
    np.testing.assert_allclose(
        interval(sample, "plus-ends", (-2, 2)), np.clip(expected, -2, 2), rtol=1e-12
    )


@settings(max_examples=20, deadline=None)
@given(hnp.arrays(np.float64, st.integers(2, 40), elements=st.floats(0, 1)), st.floats(0.001, 0.2))
def test_betting_is_the_capital_of_its_source(sample, alpha):
    """Means at which no capital ever reached 1 / alpha, one bet after the other."""
    bets, total, squares = [], 0.5, 0.25
    for t, x in enumerate(sample.tolist(), start=1):
        bets.append(math.sqrt(2 * math.log(1 / alpha) / (len(sample) * squares / t)))
        total += x
        squares += (x - total / (t + 1)) ** 2

    def reaches(mean, sign):
        capital, limit = 1.0, mean if sign > 0 else 1 - mean
        for bet, x in zip(bets, sample.tolist(), strict=True):
            capital *= 1 + sign * min(bet, 0.5 / limit) * (x - mean)
            if capital >= 1 / alpha:
                return True
        return False

    low, high = interval(sample, "betting", (0, 1), 1 - 2 * alpha)
    grid = np.linspace(0, 1, 401)[1:-1].tolist()
    above = [mean for mean in grid if not reaches(mean, 1)]
    below = [mean for mean in grid if not reaches(mean, -1)]
    # an end is the grid's last mean that is out, beside the first that is held
    assert low == pytest.approx(min(above) - 1 / 400, abs=1e-9) if above else low >= 1 - 1 / 400
    assert high == pytest.approx(max(below) + 1 / 400, abs=1e-9) if below else high <= 1 / 400


def test_bootstrap_t_is_always_the_same():
    sample = np.random.default_rng(0).gamma(2, size=30)
    np.random.seed(0)  # noqa: NPY002  # a global state that must not matter
    first = interval(sample, "bootstrap-t", None)
    np.random.seed(1)  # noqa: NPY002
    assert interval(sample, "bootstrap-t", None) == first
    assert first[1] - sample.mean() > sample.mean() - first[0]  # skewed to the right


@settings(deadline=None)
@given(hnp.arrays(np.float64, 8, elements=st.floats(-3, 3)), st.floats(-2, 0), st.floats(1, 3))
def test_the_possible_range_is_that_of_the_corners(contrast, low, high):
    corners = [
        sum(weight * (high if (corner >> i) & 1 else low) for i, weight in enumerate(contrast))
        for corner in range(2**8)
    ]
    found = possible_range(contrast[:, None], (low, high))
    np.testing.assert_allclose(np.ravel(found), (min(corners), max(corners)), atol=1e-9)


# --- rates ------------------------------------------------------------------------------------


@settings(deadline=None)
@given(wholes, st.integers(64, 200), st.sampled_from([0.8, 0.9, 0.95, 0.99]))
def test_a_rate_is_clopper_and_pearsons_at_the_level_that_is_stated(k, n, level):
    def exact(at):
        return tuple(stats.binomtest(k, n).proportion_ci(at, method="exact"))

    # scipy searches for its ends, to about 1e-12
    figure = exact(1 - FIGURE_SPENDS * (1 - level))
    np.testing.assert_allclose(np.ravel(rate_bounds(k, n, level)), figure, atol=1e-9)
    claim = exact(1 - 2 * (1 - level))  # each bound alone at the level
    np.testing.assert_allclose(np.ravel(rate_bounds(k, n, level, claim=True)), claim, atol=1e-9)
    (estimate,) = rate_estimates(np.repeat([1.0, 0.0], [k, n - k])[:, None], level=level)
    assert (estimate.low, estimate.high) == pytest.approx(figure, abs=1e-9)
    assert (estimate.value, estimate.n, estimate.method) == (k / n, n, "patterns")


def test_means_of_0_1_values_are_rates():
    values = np.random.default_rng(0).integers(0, 2, (50, 4))
    means = mc.coalition_means(mc.CoalitionTable.from_values(values, PAIR))
    for name, column in zip(means, values.T, strict=True):
        low, high = rate_bounds(column.sum(), 50, 0.95)
        assert (means[name].low, means[name].high) == pytest.approx((float(low), float(high)))


@settings(deadline=None)
@given(wholes, st.sampled_from([0.01, 0.05, 0.2]))
def test_claims_on_two_values_are_clopper_and_pearsons(k, alpha):
    """By the saddlepoint, which is within 2e-4 of the beta distribution."""
    assume(0 < k < 64)
    low, high = zero_one(k).bounds(np.eye(4)[:, 2:3], alpha, claim=True)
    exact = stats.binomtest(64 - k, 64).proportion_ci(1 - 2 * alpha, method="exact")
    np.testing.assert_allclose((low[0], high[0]), exact, atol=2e-4)
    assert low[0] <= exact.low + 2e-4  # an unseen value may cost something, never gain it
    assert high[0] >= exact.high - 2e-4


@settings(deadline=None)
@given(wholes, st.sampled_from([1e-4, 0.025, 0.05, 0.3]))
def test_gaffke_on_0_1_values_is_clopper_and_pearsons(k, alpha):
    found = gaffke_bound(np.repeat([1.0, 0.0], [k, 64 - k]), 0.0, 1.0, alpha)
    exact = stats.binomtest(k, 64).proportion_ci(1 - 2 * alpha, method="exact")
    np.testing.assert_allclose(found, exact, atol=1e-6)


@settings(deadline=None)
@given(
    hnp.arrays(np.float64, st.integers(1, 40), elements=st.floats(0, 1)),
    st.floats(1e-9, 0.499),
)
def test_gaffke_is_defined_at_every_level_and_holds_the_mean(sample, alpha):
    low, high = gaffke_bound(sample, 0.0, 1.0, alpha)
    assert 0 <= low <= high <= 1
    if alpha < 0.4:
        assert low <= sample.mean() + 1e-9
        assert high >= sample.mean() - 1e-9


def test_gaffke_is_a_quantile_of_random_weights():
    """By its definition, from 40,000 draws: three standard errors of their 5 % quantile."""
    rng = np.random.default_rng(0)
    sample = rng.beta(0.5, 2, 20)
    weights = rng.dirichlet(np.ones(21), 40_000)
    low, high = gaffke_bound(sample, 0.0, 1.0, 0.05)
    for end, found, tail in ((0.0, low, 0.05), (1.0, high, 0.95)):
        drawn = weights @ np.append(sample, end)
        around = np.quantile(drawn, [tail - 0.0033, tail + 0.0033])
        assert around[0] < found < around[1]


@pytest.mark.parametrize("k", [0, 1, 3, 10])
def test_flips_of_continuous_values_have_clopper_and_pearsons_claims(k):
    """Of flips and nothing else; gamma quantiles stand for beta ones, to 3 % of the width."""
    sample = continuous(k)
    low, high = sample.bounds(np.eye(4)[:, 2:3], 0.05, claim=True) / np.array(0.9)
    exact = stats.binomtest(64 - k, 64).proportion_ci(0.9, method="exact")
    tolerance = 0.03 * (exact.high - exact.low)
    assert low[0] == pytest.approx(exact.low, abs=tolerance)
    if k in (0, 10):
        assert high[0] == pytest.approx(exact.high, abs=tolerance)
    assert high[0] <= 1 + 1e-12


def test_what_64_equal_successes_have_not_shown():
    """An unseen pattern moves CTI by 1, two triggers that undo each other by 2, a figure by 1.6."""
    cti = interaction_contrasts(2)
    for options, spent, reach in (
        ({"claim": True}, 0.05, 1.0),
        ({"claim": True, "strict": True}, 0.05, 2.0),
        ({}, 0.05 * FIGURE_SPENDS, 1.6),
    ):
        low, high = zero_one(0).bounds(cti, 0.05, **options)
        assert high[0] == pytest.approx(reach * (1 - spent ** (1 / 64)), rel=1e-3)
        assert low[0] == pytest.approx(-high[0])


def upper_end(values, attack, contrast, alpha, *, claim, difference):
    """Of the mean of a contrast for two modalities, from the weighted sample, written out."""
    n, weight = len(values), 1.0 if claim else 2 / 3
    means = values.mean(axis=0)
    effects = values - values[:, :1]
    size = max(np.abs(effects).max(), np.abs(attack).max())
    floor = min(means[0] - size * difference, means.min())
    ceiling = max(means[0] + size, means.max())
    lists = [[0], [1], [2], [3], [1, 3], [2, 3]]  # one coalition, or all with one modality
    flips = [dict.fromkeys(flipped, way) for flipped in lists for way in (+1, -1)]
    flips += [{1: +1, 2: -1}, {1: -1, 2: +1}]  # an example that resists one opens to the other
    if not claim:  # two triggers that undo each other, alone or together
        flips += [{1: +1, 2: +1}, {1: -1, 2: -1}, {1: +1, 3: -1}, {2: +1, 3: -1}]
        if difference:
            flips += [{3: +1, 1: -1}, {3: +1, 2: -1}]
    room = {
        +1: np.minimum(ceiling - means, size),
        -1: np.maximum(floor - means, -size),
    }
    moved = [sum(contrast[c] * room[way][c] for c, way in flip.items()) for flip in flips]
    x = values @ contrast
    far = max(0.0, *moved)
    stood = np.append(x - x.mean(), far)
    weights = np.append(np.ones(n), weight)
    total = weights.sum()
    second, third = weights @ stood**2, weights @ stood**3
    shift = weight * max(third, 0) / second / total
    centred = stood - weights @ stood / total
    square = weights @ centred**2
    skewness = 2 * (weights @ centred**3) / square**1.5
    tail, shrink = 1 - alpha, math.sqrt((total - 1) / (total + 1))
    excess = stats.t.ppf(tail, n - 1) - shrink * stats.norm.ppf(tail)
    gamma = stats.pearson3.ppf(tail, skewness)
    quantile = shrink * gamma + excess * math.exp(-(skewness**2))
    return x.mean() + shift + math.sqrt(square / (total * (total - 1))) * quantile


@pytest.mark.parametrize("claim", [False, True])
@pytest.mark.parametrize("difference", [False, True])
@pytest.mark.parametrize("scale", [0.5, 1.5])
def test_flips_are_those_of_the_weighted_sample(claim, difference, scale):
    rng = np.random.default_rng(0)
    values = rng.normal([0, 0.1, 0.7, 0.9], 0.05, (50, 4))
    values[:3, 2] = 0  # flips that were seen
    attack = scale * rng.gamma(4, 0.25, 50)  # which differs by example
    contrasts = np.hstack([figures(), rng.normal(size=(4, 10))])
    low, high = Sample(values, attack, difference=difference).bounds(contrasts, 0.025, claim=claim)
    options = {"claim": claim, "difference": difference}
    expected = [upper_end(values, attack, a, 0.025, **options) for a in contrasts.T]
    np.testing.assert_allclose(high, expected, rtol=1e-9)
    expected = [-upper_end(values, attack, -a, 0.025, **options) for a in contrasts.T]
    np.testing.assert_allclose(low, expected, rtol=1e-9, atol=1e-12)


# --- what must not change them ----------------------------------------------------------------


def made_of(method, rng, n=20):
    """A table on which the method is at home."""
    if method == "patterns":
        values = (rng.uniform(size=(n, 4)) < [0.02, 0.1, 0.8, 0.97]).astype(float)
        return Sample(values, 1 - values[:, 0], (0.0, 1.0), discrete=True)
    values = rng.beta(0.5, 0.5, (n, 4))
    return Sample(values, 1.2 - values[:, 0], (0.0, 1.0))


@pytest.mark.parametrize("claim", [False, True])
@pytest.mark.parametrize("method", METHODS)
class TestInvariance:
    contrasts = figures()

    @pytest.fixture
    def sample(self, method):
        return made_of(method, np.random.default_rng(3))

    def bounds(self, sample, method, claim, contrasts=None, alpha=0.025):
        contrasts = self.contrasts if contrasts is None else contrasts
        return np.array(sample.bounds(contrasts, alpha, method=method, claim=claim))

    @pytest.mark.parametrize(("factor", "shift"), [(1e-6, 0.0), (3.0, -2.0), (1e6, 5e5)])
    def test_unit(self, sample, method, claim, factor, shift):
        low, high = (factor * end + shift for end in sample.ends)
        moved = Sample(
            factor * sample.values + shift, factor * sample.attack, (low, high), sample.discrete
        )
        expected = factor * self.bounds(sample, method, claim) + shift * self.contrasts.sum(0)
        found = self.bounds(moved, method, claim)
        np.testing.assert_allclose(found, expected, atol=1e-9 * factor + 1e-9 * abs(shift))

    def test_order_of_the_modalities(self, sample, method, claim):
        swapped = [0, 2, 1, 3]
        turned = Sample(sample.values[:, swapped], sample.attack, sample.ends, sample.discrete)
        found = self.bounds(turned, method, claim, self.contrasts[swapped])
        np.testing.assert_allclose(found, self.bounds(sample, method, claim), atol=1e-9)

    def test_sign_of_the_contrast(self, sample, method, claim):
        low, high = self.bounds(sample, method, claim)
        np.testing.assert_allclose(
            self.bounds(sample, method, claim, -self.contrasts), (-high, -low), atol=1e-9
        )

    def test_a_contrast_does_not_depend_on_those_beside_it(self, sample, method, claim):
        together = self.bounds(sample, method, claim)
        alone = [self.bounds(sample, method, claim, a[:, None]) for a in self.contrasts.T]
        np.testing.assert_allclose(np.hstack(alone), together, atol=1e-12)

    def test_combined_contrasts(self, sample, method, claim):
        weights = np.random.default_rng(1).normal(size=(2, 7))
        phi = shapley_contrasts(2)
        factored = sample.bounds(phi, 0.05, method=method, claim=claim, combine=weights)
        expected = self.bounds(sample, method, claim, phi @ weights, 0.05)
        np.testing.assert_allclose(factored, expected, atol=1e-9)

    def test_it_holds_the_mean_within_the_possible_range(self, sample, method, claim):
        low, high = self.bounds(sample, method, claim)
        means, _ = sample.means_and_spread(self.contrasts)
        lowest, highest = possible_range(self.contrasts, sample.ends)
        assert (lowest <= low).all()
        assert (low <= means).all()
        assert (means <= high).all()
        assert (high <= highest).all()

    def test_a_higher_level_is_wider(self, sample, method, claim):
        nested = [self.bounds(sample, method, claim, alpha=a) for a in (0.2, 0.05, 0.01, 0.001)]
        for narrow, wide in pairwise(nested):
            assert (wide[0] <= narrow[0] + 1e-12).all()
            assert (wide[1] >= narrow[1] - 1e-12).all()
            assert np.ptp(wide, axis=0).sum() > np.ptp(narrow, axis=0).sum()


@pytest.mark.parametrize("method", METHODS)
def test_the_order_of_the_examples_does_not_matter(method):
    sample = made_of(method, np.random.default_rng(3))
    order = np.random.default_rng(0).permutation(len(sample))
    turned = Sample(sample.values[order], sample.attack[order], sample.ends, sample.discrete)
    found, expected = (
        np.array(s.bounds(figures(), 0.025, method=method)) for s in (turned, sample)
    )
    if method in ("betting", "bootstrap-t"):  # bets follow the order, resamples draw positions
        assert np.abs(found - expected).max() > 1e-6
    else:
        np.testing.assert_allclose(found, expected, atol=1e-9)


@pytest.mark.parametrize("k", [0, 1, 3, 20])
def test_claims_provide_for_more_than_figures(k):
    """Of rates, at the same error of each end."""
    for sample in (continuous(k), zero_one(k)):
        figure, claim = (sample.bounds(np.eye(4), 0.025, claim=c) for c in (False, True))
        assert (claim[0] <= figure[0]).all()
        assert (np.ptp(claim, axis=0) > np.ptp(figure, axis=0)).all()


@pytest.mark.parametrize("make", [zero_one, continuous])
@pytest.mark.parametrize("claim", [False, True])
def test_more_failures_never_raise_an_end(make, claim):
    """Hall's was not monotone: 3 failures of 64 gave a lower end of 0.461, 4 gave 0.614."""
    contrasts = np.column_stack([np.eye(4)[:, 2], shapley_contrasts(2)[:, 1]])  # v(text), phi text
    ends = np.array(
        [make(k).bounds(contrasts, 0.025, claim=claim) for k in range(65)]
    )  # (failures, end, contrast)
    assert (np.diff(ends, axis=0) <= 1e-9).all()
    assert (ends[0] - ends[-1] > 0.4).all()


@pytest.mark.parametrize("claim", [False, True])
@pytest.mark.parametrize("jitter", [1e-17, 2e-15, 1e-12])
def test_all_equal_is_no_cliff(claim, jitter):
    rows = np.tile([0.02, 0.1, 0.7, 0.9], (64, 1))
    equal = Sample(rows, 1 - rows[:, 0])
    nearly = rows + jitter * np.random.default_rng(0).choice([-1, 0, 1], rows.shape)
    almost = Sample(nearly, 1 - nearly[:, 0])
    widths = [np.ptp(s.bounds(figures(), 0.025, claim=claim), axis=0) for s in (equal, almost)]
    assert (widths[0] > 0.005).all()
    np.testing.assert_allclose(*widths, atol=1e-9)


def test_booleans_are_0_and_1():
    rng = np.random.default_rng(0)
    succeeded = rng.uniform(size=(40, 4)) < [0, 0.05, 0.9, 0.95]
    audits = [
        mc.audit(mc.CoalitionTable.from_values(values, PAIR))
        for values in (succeeded, succeeded.astype(float), succeeded.tolist())
    ]
    for audit in audits:
        assert audit.estimates == audits[0].estimates
        assert all(math.isfinite(estimate.low) for estimate in audit.estimates.values())
        assert "all values are 0 or 1 and were taken as successes" in str(audit)


@pytest.mark.parametrize("difference", [False, True])
def test_the_factored_form_is_that_of_moments(monkeypatch, difference):
    """Above 8 coalitions no moments are kept; where they are, the bounds are the same."""
    values = np.random.default_rng(0).gamma(1, size=(40, 16))
    weights = np.random.default_rng(1).normal(size=(4, 9))
    found = []
    for most in (8, 16):
        monkeypatch.setattr(flips_module, "_TENSORS", most)
        sample = Sample(values, 3 - values[:, 0], difference=difference)
        assert (sample._flips.moments is None) == (most == 8)
        bounds = [
            np.hstack(sample.bounds(shapley_contrasts(4), 0.025, combine=weights)),
            np.hstack(sample.bounds(figures(4), 0.025, claim=True)),
            np.hstack(sample.means_and_spread(figures(4))),
        ]
        found.append(np.concatenate(bounds))
    np.testing.assert_allclose(*found, rtol=1e-10, atol=1e-12)


def test_a_declared_attack_widens_where_it_was_not_seen():
    rows = flipping(0, noise=0.01)
    unknown, small, large = (
        np.ptp(Sample(rows, attack).bounds(figures(), 0.025), axis=0)
        for attack in (None, np.full(64, 0.9), np.full(64, 5.0))
    )
    assert (unknown <= small + 0.002).all()
    assert (small[1:] < large[1:]).all()


# --- shares -----------------------------------------------------------------------------------


@pytest.mark.parametrize("pair", [0.0, 0.5, -0.8])
@pytest.mark.parametrize(
    "weights", [(0, 1), (0.3, 0.7), (-0.4, 1), (0.5, 0.5), (0, 0.1, 1), (0.4, 0.4, 0.4)]
)
def test_shares_are_those_of_a_search_over_all(weights, pair):
    """The largest x of a grid at which the bound is above 0 for every choice of signs."""
    m = len(weights)
    present = (np.arange(2**m)[:, None] >> np.arange(m)) & 1
    game = present @ np.array(weights) + pair * (present[:, 0] & present[:, 1])
    values = game + 0.05 * np.random.default_rng(0).normal(size=(40, 2**m))
    sample = Sample(values, 1 - values[:, 0])
    contrasts = shapley_contrasts(m)

    def bounds(weights):
        return sample.bounds(contrasts, 0.05, claim=True, combine=weights)

    steps = np.linspace(0, 1, 501)
    phi = values.mean(axis=0) @ contrasts
    least, most = shown_shares(phi, lambda weights: bounds(weights)[0])
    tops = []
    for j in range(m):
        others = [k for k in range(m) if k != j]
        held = np.ones(len(steps), bool)
        for signs in product([1, -1], repeat=m - 1):
            weights = np.zeros((m, len(steps)))
            weights[j] = 1 - steps
            weights[others] = -np.outer(signs, steps)
            held &= bounds(weights)[0] > 0
        expected = steps[held].max(initial=0)
        assert expected - 1e-9 <= least[j] + 1e-4 <= expected + 0.002 + 1e-4
        weights = -np.tile(steps, (m, 1))
        for sign in (1, -1):
            weights[j] = sign * (1 - steps)
            below = bounds(weights)[1] < 0
            tops.append(steps[below].min(initial=1))
    assert max(tops) - 0.002 - 1e-4 <= most <= max(tops) + 1e-4
    assert least.max() > 0.1 or max(tops) < 1  # something is shown at all


def test_shares_of_a_single_modality():
    rows = np.random.default_rng(0).normal([0, 1], 0.1, (40, 2))
    for values, share in ((rows, 1), (rows * [1, 0], 0)):
        sample = Sample(values, 1 - values[:, 0])
        shares = shown_shares(
            np.ones(1), lambda w, s=sample: s.lower(shapley_contrasts(1), 0.05, combine=w)
        )
        assert shares.least.tolist() == [share]


# --- statuses ---------------------------------------------------------------------------------


class TestStatuses:
    def test_all_equal_with_a_scale_has_an_interval(self):
        table = mc.CoalitionTable.from_values([[0, 0.5, 0.5, 1.5]] * 40, PAIR, perfect=1.5)
        estimate = mc.tma(table)["text"]
        assert (estimate.status, estimate.method, estimate.value) == ("all equal", "flips", 0.75)
        assert estimate.se == 0
        assert 0.6 < estimate.low < 0.75 < estimate.high < 0.9

    def test_all_equal_without_a_scale_has_none(self):
        table = mc.CoalitionTable.from_values([[0, 0.5, 0.5, 1.5]] * 40, PAIR)
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

    @pytest.mark.parametrize("method", ["auto", "t", "hall", "bootstrap-t"])
    def test_equal_values_that_rounding_spreads_are_equal_and_warn_of_nothing(self, method):
        rng = np.random.default_rng(0)
        for n in (22, 33, 40, 77):
            rows = np.tile(rng.normal(size=4), (n, 1))
            table = mc.CoalitionTable.from_values(rows, PAIR, bounds=(-5, 5))
            audit = mc.audit(table, method=method)
            for estimate in audit.estimates.values():
                assert (estimate.se, "all equal" in estimate.status) == (0, True)
            assert max(len(word) for word in str(audit.tma).split()) < 12  # no seventeen digits

    def test_one_example_has_no_interval_and_few_are_flagged(self):
        single = mc.tma(mc.CoalitionTable.from_values([[0, 0.5, 0.5, 1.5]], PAIR))["text"]
        assert single.status == "too few"
        assert math.isnan(single.se)
        assert math.isnan(single.low)
        rng = np.random.default_rng(0)
        for n, status in ((2, "too few"), (31, "too few"), (32, "ok")):
            table = mc.CoalitionTable.from_values(rng.uniform(size=(n, 4)), PAIR)
            assert mc.tma(table)["text"].status == status
            assert mc.tma(table)["text"].low < mc.tma(table)["text"].high

    def test_a_single_success_is_a_rate_of_one_example(self):
        means = mc.coalition_means(mc.CoalitionTable.from_values([[0, 0, 1, 1]], PAIR))
        assert (means["text"].low, means["text"].high) == pytest.approx((0.034, 1))
        assert means["text"].status == "too few"

    @pytest.mark.parametrize("level", [0.01, 0.1, 0.2, 0.5, 0.999999])
    @pytest.mark.parametrize("method", ["auto", "flips", "gaffke"])
    def test_any_level_gives_an_interval_around_the_mean(self, level, method):
        values = np.random.default_rng(0).uniform(size=(33, 4)) < [0.1, 0.5, 0.7, 0.9]
        audit = mc.audit(mc.CoalitionTable.from_values(values, PAIR), level=level, method=method)
        for estimate in audit.estimates.values():
            slack = 0.06 if method == "gaffke" and level < 0.2 else 0.01
            assert estimate.low - slack <= estimate.value <= estimate.high + slack
            assert estimate.low < estimate.high


def test_methods_that_rest_on_bounds_are_refused_without():
    for method in ("patterns", "gaffke", "plus-ends", "betting"):
        with pytest.raises(InputError, match=f"method='{method}' needs the bounds"):
            Sample(np.eye(4)).bounds(figures(), 0.05, method=method)


def test_repeats_are_averaged_before_anything_is_counted():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(30, 5, 4))
    repeated = mc.tma(mc.CoalitionTable.from_values(values, PAIR))
    averaged = mc.tma(mc.CoalitionTable.from_values(values.mean(1), PAIR))
    assert repeated.to_dict() == averaged.to_dict()
    assert repeated["text"].n == 30


def test_effects_are_differences_from_the_clean_run():
    values = np.random.default_rng(0).normal(size=(5, 8))
    np.testing.assert_allclose(values @ effect_contrasts(3), values[:, 1:] - values[:, :1])


# --- all together -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["continuous", "0/1", "repeats"])
def test_simultaneous_intervals_are_bonferronis(kind):
    """Of eight figures: four means, two attributions, the total, the interaction."""
    rng = np.random.default_rng(0)
    values = rng.uniform(size=(64, 2 if kind == "repeats" else 1, 4))
    values = values if kind == "continuous" else (values < [0.02, 0.1, 0.8, 0.97]).astype(float)
    table = mc.CoalitionTable.from_values(values, PAIR)
    alone, together = (mc.audit(table, simultaneous=flag) for flag in (False, True))
    strict = mc.audit(table, level=1 - 0.05 / 8)
    for label, estimate in together.estimates.items():
        assert estimate.level == 0.95
        assert estimate.low < alone.estimates[label].low or estimate.low == 0
        assert estimate.high > alone.estimates[label].high or estimate.high == 1
        expected = strict.estimates[label]
        assert (estimate.low, estimate.high) == pytest.approx((expected.low, expected.high))
    for part in (together.means, together.tma, together.cti):
        assert "95% intervals, all together" in part.heading
        assert part.simultaneous
    for part in (alone.means, alone.tma, alone.cti):
        assert "95% intervals, each alone" in part.heading
    assert together.verdict.to_dict() == alone.verdict.to_dict()  # claims have levels of their own
    assert mc.audit(table).to_dict() == alone.to_dict()


# --- printed ----------------------------------------------------------------------------------


@pytest.mark.parametrize("factor", [1e-9, 1e-5, 1.0, 1e6])
@pytest.mark.parametrize("interval", [True, False])
def test_figures_have_digits_that_suit_them(factor, interval):
    rng = np.random.default_rng(0)
    values = factor * (np.array([-0.4, -0.4, 1.2, 1.2]) + 0.1 * rng.normal(size=(40, 4)))
    audit = mc.audit(mc.CoalitionTable.from_values(values if interval else values[:1], PAIR))
    words = [word.strip("[],") for part in (audit.means, audit.tma) for word in str(part).split()]
    numbers = [word for word in words if word.replace(".", "").lstrip("-").isdigit()]
    for word in numbers:
        assert not word.startswith("-0.") or word.strip("-0.")  # never minus zero
        assert len(word.lstrip("-0.").replace(".", "")) <= 8
    text = next(line for line in str(audit.tma).splitlines() if line.startswith("text"))
    printed = [float(word) for word in text.split()[1:5]]
    estimate = audit.tma["text"]
    for shown, exact in zip(
        printed, (estimate.value, estimate.se, estimate.low, estimate.high), strict=True
    ):
        assert shown == pytest.approx(exact, rel=0.05, nan_ok=True)
    assert float(str(estimate).split()[0]) == pytest.approx(estimate.value, rel=0.05)


@settings(deadline=None)
@given(st.floats(-1e9, 1e9), st.floats(1e-9, 1e9))
def test_half_an_interval_is_printed_with_two_digits(value, half):
    low, high = value - half, value + half
    estimate = mc.Estimate(value, half / 2, low, high, 0.95, 64, "flips")
    assume(half > 1e-11 * abs(value))
    printed = str(estimate).replace("[", "").replace("]", "").replace(",", "").split()
    assert [float(word) for word in printed] == pytest.approx([value, low, high], abs=0.06 * half)
    assert not any(word.startswith("-") and not word.strip("-0.") for word in printed)


def test_a_difference_the_other_way_round_is_mirrored():
    """What the control does is provided for as what the model does."""
    rng = np.random.default_rng(4)
    effects = np.array([0, 1, 0, 1]) + 0.01 * rng.normal(size=(64, 4))
    effects[:, 0] = 0.0
    attack = np.ones(64)
    cti = interaction_contrasts(2)
    model = Sample(effects, attack, difference=True).bounds(cti, 0.025)
    control = Sample(-effects, attack, difference=True).bounds(cti, 0.025)
    np.testing.assert_allclose(np.ravel(model), -np.ravel(control)[::-1], rtol=1e-9)

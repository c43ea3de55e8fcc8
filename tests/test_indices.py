"""Values and interaction indices against their definitions, shapiq, axioms and known answers."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from itertools import chain, combinations, permutations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from modcollapse.errors import InputError
from modcollapse.game import (
    INDICES,
    _contrasts,
    banzhaf_contrasts,
    banzhaf_values,
    interaction_contrasts,
    interaction_index,
    inverse_moebius,
    membership,
    moebius,
    shapley_contrasts,
    shapley_values,
    subsets,
)

# Values of order 1, sums of at most 2**6 products: rounding stays far below this.
ATOL = 1e-12
# Properties draw values up to 1,000 in games of up to 5 players.
LOOSE = 1e-8


def random_games(m: int, n: int = 3) -> np.ndarray:
    """Games without structure: every dividend differs from 0."""
    return np.random.default_rng(m).normal(size=(n, 2**m))


# --- the definitions, on sets of players -------------------------------------------------------


def powerset(players: set[int] | tuple[int, ...]) -> Iterator[frozenset[int]]:
    players = sorted(players)
    sizes = range(len(players) + 1)
    return map(frozenset, chain.from_iterable(combinations(players, size) for size in sizes))


def value(game: np.ndarray, coalition: frozenset[int]) -> float:
    return float(game[sum(2**i for i in coalition)])


def derivative(game: np.ndarray, subset: tuple[int, ...], coalition: frozenset[int]) -> float:
    return sum(
        (-1) ** (len(subset) - len(part)) * value(game, coalition | part)
        for part in powerset(subset)
    )


def shapley_by_permutations(game: np.ndarray, m: int) -> list[float]:
    gains = [0.0] * m
    for order in permutations(range(m)):
        for position, player in enumerate(order):
            before = frozenset(order[:position])
            gains[player] += value(game, before | {player}) - value(game, before)
    return [gain / math.factorial(m) for gain in gains]


def sii_by_definition(game: np.ndarray, m: int, subset: tuple[int, ...]) -> float:
    s, f = len(subset), math.factorial
    return sum(
        f(m - len(t) - s) * f(len(t)) / f(m - s + 1) * derivative(game, subset, t)
        for t in powerset(set(range(m)) - set(subset))
    )


def bii_by_definition(game: np.ndarray, m: int, subset: tuple[int, ...]) -> float:
    others = set(range(m)) - set(subset)
    return sum(derivative(game, subset, t) for t in powerset(others)) / 2 ** len(others)


def moebius_by_definition(game: np.ndarray, m: int, subset: tuple[int, ...]) -> float:
    return derivative(game, subset, frozenset())


def stii_by_permutations(game: np.ndarray, m: int, subset: tuple[int, ...], k: int) -> float:
    if len(subset) < k:
        return derivative(game, subset, frozenset())
    total = 0.0
    for order in permutations(range(m)):
        first = min(order.index(player) for player in subset)
        total += derivative(game, subset, frozenset(order[:first]))
    return total / math.factorial(m)


def k_sii_by_aggregation(game: np.ndarray, m: int, subset: tuple[int, ...], k: int) -> float:
    bernoulli = [1, -1 / 2, 1 / 6, 0, -1 / 30, 0, 1 / 42]
    others = set(range(m)) - set(subset)
    return sum(
        bernoulli[len(extra)] * sii_by_definition(game, m, tuple(sorted(extra.union(subset))))
        for extra in powerset(others)
        if len(extra) + len(subset) <= k
    )


@pytest.mark.parametrize("m", range(1, 6))
def test_shapley_is_the_mean_over_orders_of_arrival(m: int) -> None:
    games = random_games(m)
    expected = [shapley_by_permutations(game, m) for game in games]
    np.testing.assert_allclose(shapley_values(games), expected, rtol=0, atol=ATOL)


@pytest.mark.parametrize("m", range(1, 6))
def test_banzhaf_is_the_mean_over_coalitions(m: int) -> None:
    games = random_games(m)
    expected = [[bii_by_definition(game, m, (i,)) for i in range(m)] for game in games]
    np.testing.assert_allclose(banzhaf_values(games), expected, rtol=0, atol=ATOL)


@pytest.mark.parametrize("m", range(1, 6))
@pytest.mark.parametrize(
    ("index", "definition"),
    [("SII", sii_by_definition), ("BII", bii_by_definition), ("moebius", moebius_by_definition)],
)
def test_interactions_by_definition(m: int, index: str, definition) -> None:
    games = random_games(m)
    for order in range(1, m + 1):
        expected = [[definition(game, m, s) for s in subsets(m, order)] for game in games]
        got = interaction_index(games, index, order)
        np.testing.assert_allclose(got, expected, rtol=0, atol=ATOL)


@pytest.mark.parametrize("m", range(1, 6))
@pytest.mark.parametrize(
    ("index", "definition"), [("STII", stii_by_permutations), ("k-SII", k_sii_by_aggregation)]
)
def test_interactions_with_a_maximal_order_by_definition(m: int, index: str, definition) -> None:
    games = random_games(m, n=2)
    for k in range(1, m + 1):
        for order in range(1, k + 1):
            expected = [[definition(game, m, s, k) for s in subsets(m, order)] for game in games]
            got = interaction_index(games, index, order, max_order=k)
            np.testing.assert_allclose(got, expected, rtol=0, atol=ATOL)


@pytest.mark.parametrize("m", range(1, 6))
def test_moebius_transform_by_definition(m: int) -> None:
    games = random_games(m)
    coalitions = sorted(powerset(tuple(range(m))), key=lambda c: sum(2**i for i in c))
    expected = [[derivative(game, tuple(c), frozenset()) for c in coalitions] for game in games]
    np.testing.assert_allclose(moebius(games), expected, rtol=0, atol=ATOL)


# --- shapiq ------------------------------------------------------------------------------------


@pytest.mark.parametrize("m", [3, 4, 6])
def test_agrees_with_shapiq(m: int) -> None:
    import shapiq

    game = random_games(m, n=1)[0]
    exact = shapiq.ExactComputer(lambda rows: game[rows.astype(int) @ 2 ** np.arange(m)], m)

    def theirs(name: str, k: int, order: int) -> list[float]:
        result = exact(name, k)
        return [result[subset] for subset in subsets(m, order)]

    def check(ours: np.ndarray, name: str, k: int, order: int) -> None:
        np.testing.assert_allclose(ours, theirs(name, k, order), rtol=0, atol=1e-10)

    check(shapley_values(game), "SV", 1, 1)
    check(banzhaf_values(game), "BV", 1, 1)
    for order in range(1, m + 1):
        check(interaction_index(game, "moebius", order), "Moebius", m, order)
        check(interaction_index(game, "SII", order), "SII", order, order)
        check(interaction_index(game, "BII", order), "BII", order, order)
        check(interaction_index(game, "STII", order), "STII", order, order)
        check(interaction_index(game, "k-SII", order), "k-SII", order, order)
        for k in range(order, m + 1):
            for index in INDICES:
                name = "Moebius" if index == "moebius" else index
                check(interaction_index(game, index, order, max_order=k), name, k, order)


# --- axioms ------------------------------------------------------------------------------------


@st.composite
def games(draw: st.DrawFn, fewest: int = 1) -> np.ndarray:
    m = draw(st.integers(fewest, 5))
    values = st.floats(-1e3, 1e3, allow_subnormal=False)
    return draw(arrays(np.float64, 2**m, elements=values))


def moved(game: np.ndarray, order: list[int]) -> np.ndarray:
    """The same game, its player ``order[i]`` renamed to i."""
    m = len(order)
    present = membership(m)
    old_columns = np.zeros(2**m, dtype=int)
    for new, old in enumerate(order):
        old_columns += present[:, new] * 2**old
    return game[old_columns]


def players_of(game: np.ndarray) -> int:
    return len(game).bit_length() - 1


axiom = settings(max_examples=60, deadline=None)


@axiom
@given(games())
def test_efficiency(game: np.ndarray) -> None:
    total = game[-1] - game[0]
    assert shapley_values(game).sum() == pytest.approx(total, abs=LOOSE)
    m = players_of(game)
    for index in ("STII", "k-SII"):
        for k in range(1, m + 1):
            parts = [interaction_index(game, index, s, max_order=k) for s in range(1, k + 1)]
            assert np.concatenate(parts).sum() == pytest.approx(total, abs=LOOSE)
    dividends = [interaction_index(game, "moebius", s) for s in range(1, m + 1)]
    assert np.concatenate(dividends).sum() == pytest.approx(total, abs=LOOSE)


@axiom
@given(games(fewest=2))
def test_symmetric_players_get_the_same(game: np.ndarray) -> None:
    m = players_of(game)
    alike = game + moved(game, [1, 0, *range(2, m)])
    for values in (shapley_values(alike), banzhaf_values(alike)):
        assert values[0] == pytest.approx(values[1], abs=LOOSE)
    if m > 2:
        for index in INDICES:
            pairs = dict(zip(subsets(m, 2), interaction_index(alike, index, 2), strict=True))
            assert pairs[0, 2] == pytest.approx(pairs[1, 2], abs=LOOSE)


@axiom
@given(games(), st.floats(-1e3, 1e3), st.data())
def test_dummy_player_gets_its_own_worth_and_interacts_with_nobody(
    game: np.ndarray, worth: float, data: st.DataObject
) -> None:
    m = players_of(game)
    dummy = data.draw(st.integers(0, m - 1))
    present = membership(m)[:, dummy]
    without = game[np.arange(2**m) & ~(1 << dummy)]
    game = without + worth * present
    assert shapley_values(game)[dummy] == pytest.approx(worth, abs=LOOSE)
    assert banzhaf_values(game)[dummy] == pytest.approx(worth, abs=LOOSE)
    for order in range(2, m + 1):
        touched = [dummy in subset for subset in subsets(m, order)]
        for index in INDICES:
            interactions = interaction_index(game, index, order)[touched]
            np.testing.assert_allclose(interactions, 0, rtol=0, atol=LOOSE)


@axiom
@given(st.integers(1, 5), st.integers(0, 2**32 - 1), st.floats(-10, 10))
def test_linearity(m: int, seed: int, factor: float) -> None:
    one, two = np.random.default_rng(seed).normal(size=(2, 2**m))
    both = one + factor * two
    functions = [shapley_values, banzhaf_values, moebius, inverse_moebius]
    for index in INDICES:
        for order in range(1, m + 1):
            functions.append(lambda v, index=index, order=order: interaction_index(v, index, order))
    for function in functions:
        expected = function(one) + factor * function(two)
        np.testing.assert_allclose(function(both), expected, rtol=0, atol=LOOSE)


@axiom
@given(games(), st.data())
def test_relabelling_players_relabels_the_results(game: np.ndarray, data: st.DataObject) -> None:
    m = players_of(game)
    order = data.draw(st.permutations(range(m)))
    renamed = moved(game, order)
    for function in (shapley_values, banzhaf_values):
        np.testing.assert_allclose(function(renamed), function(game)[order], rtol=0, atol=LOOSE)
    for index in INDICES:
        for size in range(1, m + 1):
            old = dict(zip(subsets(m, size), interaction_index(game, index, size), strict=True))
            expected = [old[tuple(sorted(order[i] for i in s))] for s in subsets(m, size)]
            got = interaction_index(renamed, index, size)
            np.testing.assert_allclose(got, expected, rtol=0, atol=LOOSE)


@axiom
@given(games())
def test_moebius_and_its_inverse(game: np.ndarray) -> None:
    np.testing.assert_allclose(inverse_moebius(moebius(game)), game, rtol=0, atol=LOOSE)
    np.testing.assert_allclose(moebius(inverse_moebius(game)), game, rtol=0, atol=LOOSE)


@axiom
@given(games())
def test_moebius_transform_holds_the_moebius_interactions(game: np.ndarray) -> None:
    dividends, m = moebius(game), players_of(game)
    for order in range(1, m + 1):
        columns = [sum(2**i for i in subset) for subset in subsets(m, order)]
        got = interaction_index(game, "moebius", order)
        np.testing.assert_allclose(got, dividends[columns], rtol=0, atol=LOOSE)


# --- known answers -----------------------------------------------------------------------------


@pytest.mark.parametrize("index", INDICES)
def test_two_players_have_one_interaction(index: str) -> None:
    games = random_games(2, n=50)
    v00, v10, v01, v11 = games.T
    interaction = interaction_index(games, index)
    np.testing.assert_allclose(interaction[:, 0], v11 - v10 - v01 + v00, rtol=0, atol=ATOL)
    np.testing.assert_array_equal(interaction_contrasts(2, index), [[1], [-1], [-1], [1]])


def test_two_player_attributions() -> None:
    games = random_games(2, n=50)
    v00, v10, v01, v11 = games.T
    first = (v10 - v00) / 2 + (v11 - v01) / 2
    second = (v01 - v00) / 2 + (v11 - v10) / 2
    expected = np.stack([first, second], axis=1)
    np.testing.assert_allclose(shapley_values(games), expected, rtol=0, atol=ATOL)
    np.testing.assert_allclose(banzhaf_values(games), expected, rtol=0, atol=ATOL)


@pytest.mark.parametrize("index", INDICES)
def test_one_player(index: str) -> None:
    assert shapley_values([0.25, 1.0]).tolist() == [0.75]
    assert banzhaf_values([0.25, 1.0]).tolist() == [0.75]
    assert interaction_index([0.25, 1.0], index, 1).tolist() == [0.75]
    assert moebius([0.25, 1.0]).tolist() == [0.25, 0.75]


@pytest.mark.parametrize("index", ["SII", "STII", "k-SII"])
def test_order_one_is_the_shapley_value(index: str) -> None:
    games = random_games(5)
    got = interaction_index(games, index, 1)
    np.testing.assert_array_equal(got, shapley_values(games))


@pytest.mark.parametrize("members", [(3,), (0, 15), (1, 4, 9), tuple(range(16))])
def test_sixteen_players_who_must_all_be_there(members: tuple[int, ...]) -> None:
    size = len(members)
    mask = sum(1 << i for i in members)
    game = (np.arange(2**16) & mask == mask).astype(float)
    inside = np.isin(np.arange(16), members)
    np.testing.assert_allclose(shapley_values(game), inside / size, rtol=0, atol=1e-10)
    np.testing.assert_allclose(banzhaf_values(game), inside / 2 ** (size - 1), rtol=0, atol=1e-10)
    dividends = np.zeros(2**16)
    dividends[mask] = 1
    np.testing.assert_array_equal(moebius(game), dividends)
    np.testing.assert_array_equal(inverse_moebius(dividends), game)


def test_sixteen_players_who_add_up() -> None:
    worth = np.random.default_rng(0).normal(size=16)
    game = 3.0 + membership(16) @ worth
    np.testing.assert_allclose(shapley_values(game), worth, rtol=0, atol=1e-10)
    np.testing.assert_allclose(banzhaf_values(game), worth, rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    ("index", "share"),
    [
        ("SII", lambda s, t: 1 / (t - s + 1)),
        ("k-SII", lambda s, t: 1 / (t - s + 1)),
        ("BII", lambda s, t: 2.0 ** (s - t)),
        ("STII", lambda s, t: 1 / math.comb(t, s)),
        ("moebius", lambda s, t: float(s == t)),
    ],
)
@pytest.mark.parametrize(("m", "order"), [(16, 2), (16, 15), (13, 5), (12, 6), (10, 2)])
def test_interactions_of_many_players(m: int, order: int, index: str, share) -> None:
    needed = order + 1  # the coalition of the first `needed` players is worth 1, alone
    mask = 2**needed - 1
    game = (np.arange(2**m) & mask == mask).astype(float)
    expected = [share(order, needed) * (max(s) < needed) for s in subsets(m, order)]
    got = interaction_index(np.stack([game, -2 * game]), index, order)
    np.testing.assert_allclose(got[0], expected, rtol=0, atol=1e-10)
    np.testing.assert_allclose(got[1], -2 * np.array(expected), rtol=0, atol=1e-10)


# --- contrast matrices, shapes and number types ------------------------------------------------


@pytest.mark.parametrize("m", range(1, 8))
def test_everything_is_a_contrast_of_the_values(m: int) -> None:
    games = random_games(m)
    np.testing.assert_allclose(games @ shapley_contrasts(m), shapley_values(games), atol=ATOL)
    np.testing.assert_allclose(games @ banzhaf_contrasts(m), banzhaf_values(games), atol=ATOL)
    for index in INDICES:
        for order in range(1, m + 1):
            contrasts = interaction_contrasts(m, index, order, max_order=m)
            assert contrasts.shape == (2**m, math.comb(m, order))
            assert contrasts.dtype == np.float64
            np.testing.assert_allclose(contrasts.sum(axis=0), 0, atol=ATOL)
            expected = interaction_index(games, index, order, max_order=m)
            np.testing.assert_allclose(games @ contrasts, expected, atol=ATOL)


def test_blocks_are_columns_of_the_whole_matrix() -> None:
    m, order = 16, 2  # too large to be kept, so it is applied in eight blocks
    game = np.random.default_rng(0).normal(size=2**m)
    expected = game @ interaction_contrasts(m, "SII", order)
    np.testing.assert_allclose(interaction_index(game, "SII", order), expected, atol=1e-10)


@pytest.mark.parametrize("m", [2, 12])
def test_contrast_matrices_cannot_be_changed_by_a_caller(m: int) -> None:
    for matrix in (shapley_contrasts(m), banzhaf_contrasts(m), interaction_contrasts(m, "SII", 2)):
        with pytest.raises(ValueError, match="read-only"):
            matrix[0, 0] = 1


@pytest.mark.parametrize("index", INDICES)
@pytest.mark.parametrize("order", [2, 3])
def test_several_blocks_make_the_whole_matrix(
    monkeypatch: pytest.MonkeyPatch, index: str, order: int
) -> None:
    m = 6
    games = np.random.default_rng(0).normal(size=(3, 2, 2**m))
    whole = interaction_contrasts(m, index, order, max_order=m)
    at_once = interaction_index(games, index, order, max_order=m)
    columns = 4  # of 15 or 20: the last block is not, or is, a full one
    monkeypatch.setattr(_contrasts, "_BLOCK_ENTRIES", columns * 2**m)
    blocks = list(_contrasts.contrast_blocks(m, index, order, m))
    total = math.comb(m, order)
    assert [block.shape[1] for block in blocks] == [
        min(columns, total - start) for start in range(0, total, columns)
    ]
    np.testing.assert_array_equal(interaction_contrasts(m, index, order, max_order=m), whole)
    in_blocks = interaction_index(games, index, order, max_order=m)
    np.testing.assert_allclose(in_blocks, at_once, rtol=0, atol=ATOL)
    np.testing.assert_allclose(in_blocks, games @ whole, rtol=0, atol=ATOL)


@pytest.mark.parametrize("lead", [(), (1,), (7,), (3, 2), (2, 1, 3), (0,), (0, 3), (3, 0, 2)])
def test_leading_axes_are_kept(lead: tuple[int, ...]) -> None:
    m = 3
    games = np.random.default_rng(0).normal(size=(*lead, 2**m))
    for function, columns in [
        (shapley_values, m),
        (banzhaf_values, m),
        (lambda v: interaction_index(v, "SII", 2), 3),
        (lambda v: interaction_index(v, "STII", 3), 1),
        (moebius, 2**m),
        (inverse_moebius, 2**m),
    ]:
        result = function(games)
        assert result.shape == (*lead, columns)
        for where in np.ndindex(lead):
            np.testing.assert_allclose(result[where], function(games[where]), atol=ATOL)


def test_memory_layout_does_not_matter() -> None:
    games = np.random.default_rng(0).normal(size=(8, 5, 4))
    moved_axis = np.moveaxis(games, 0, -1)
    assert not moved_axis.flags.c_contiguous
    for function in (shapley_values, interaction_index, moebius):
        expected = function(np.ascontiguousarray(moved_axis))
        np.testing.assert_allclose(function(moved_axis), expected, atol=ATOL)


@pytest.mark.parametrize("function", [shapley_values, interaction_index, moebius])
def test_arguments_are_left_alone(function) -> None:
    game = np.array([0.0, 1.0, 3.0, 7.0])
    result = function(game)
    result[...] = -1
    assert game.tolist() == [0.0, 1.0, 3.0, 7.0]
    assert function(game).tolist() != result.tolist()


@pytest.mark.parametrize(
    "values",
    [
        [0, 1, 3, 7],
        np.array([0, 1, 3, 7], dtype=np.int32),
        np.array([0, 1, 3, 7], dtype=np.float16),
        np.array([0, 1, 3, 7], dtype=">f8"),
        torch.tensor([0.0, 1.0, 3.0, 7.0]),
        torch.tensor([0, 1, 3, 7]),
    ],
    ids=["list", "int32", "float16", "big-endian", "torch float32", "torch int64"],
)
def test_number_types(values) -> None:
    for function, expected in [
        (shapley_values, [2.5, 4.5]),
        (interaction_index, [3.0]),
        (moebius, [0.0, 1.0, 3.0, 3.0]),
    ]:
        result = function(values)
        assert result.dtype == np.float64
        assert result.tolist() == expected


def test_booleans_are_zeros_and_ones() -> None:
    assert shapley_values([False, False, False, True]).tolist() == [0.5, 0.5]


def test_single_precision_is_summed_in_double() -> None:
    game = np.random.default_rng(0).random(2**16).astype(np.float32)
    expected = shapley_values(game.astype(np.float64))
    np.testing.assert_array_equal(shapley_values(game), expected)


# --- bad input ---------------------------------------------------------------------------------

FUNCTIONS = [
    shapley_values,
    banzhaf_values,
    moebius,
    inverse_moebius,
    interaction_index,
    lambda values: interaction_index(values, "moebius", 1),
    lambda values: interaction_index(values, "k-SII", 1, max_order=2),
]


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("column", range(4))
@pytest.mark.parametrize("noisy", [True, False], ids=["warnings are errors", "warnings ignored"])
def test_the_first_value_that_is_not_finite_is_named(function, bad, column, noisy) -> None:
    games = np.ones((2, 3, 4))
    games[1, 0, column] = bad
    games[1, 2, 3] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error" if noisy else "ignore")
        with pytest.raises(InputError, match=rf"values\[1, 0, {column}\] is {bad} \(2 of 24"):
            function(games)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_infinities_that_cancel_are_found(function) -> None:
    with pytest.raises(InputError, match=r"values\[1\] is inf \(2 of 4"):
        function([0.0, np.inf, -np.inf, 0.0])


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1j, 0, 0, 0], "real numbers, got dtype complex128"),
        (["a", "b", "c", "d"], "real numbers"),
        ([None, 1, 2, 3], "real numbers, got dtype object"),
        ([[1, 2], [3]], "do not make an array"),
        (torch.ones(4, requires_grad=True), "do not make an array.*requires grad"),
        (1.0, r"shape \(\).*2\*\*M columns"),
        ([], r"shape \(0,\).*2\*\*M columns"),
        ([1.0], r"shape \(1,\).*2\*\*M columns"),
        ([1.0, 2.0, 3.0], r"shape \(3,\).*2\*\*M columns"),
        (np.zeros(2**17), r"shape \(131072,\).*M from 1 to 16"),
    ],
)
def test_what_is_no_game_is_refused(function, values, message: str) -> None:
    with pytest.raises(InputError, match=message):
        function(values)


def test_large_values_are_fine_until_they_overflow() -> None:
    assert shapley_values([0, 1e200, 1e200, 4e200]).tolist() == [2e200, 2e200]
    with np.errstate(all="raise"):
        assert shapley_values([0, 1e200, 1e200, 4e200]).tolist() == [2e200, 2e200]
    most = np.finfo(np.float64).max
    for function in (shapley_values, banzhaf_values):
        with pytest.raises(InputError, match="overflows float64"):
            function([-most, most, -most, most])
    for function in (interaction_index, moebius):
        with pytest.raises(InputError, match="overflows float64"):
            function([most, -most, -most, most])


@pytest.mark.parametrize("name", ["sii", "SV", "K-SII", "Moebius", "", None])
def test_unknown_index_lists_the_known_ones(name) -> None:
    message = f"index must be one of 'SII', 'STII', 'k-SII', 'BII', 'moebius'; got {name!r}"
    with pytest.raises(InputError, match=message):
        interaction_index(np.zeros(4), name)
    with pytest.raises(InputError, match=message):
        interaction_contrasts(2, name)


@pytest.mark.parametrize("order", [0, 4, -1, 2.0, "2", None])
def test_order_out_of_range(order) -> None:
    message = "order must be a whole number from 1 to 3, got"
    with pytest.raises(InputError, match=message):
        interaction_index(np.zeros(8), "SII", order)
    with pytest.raises(InputError, match=message):
        interaction_contrasts(3, "SII", order)


@pytest.mark.parametrize("max_order", [1, 4, 2.5])
def test_maximal_order_out_of_range(max_order) -> None:
    with pytest.raises(InputError, match="max_order must be a whole number from 2 to 3"):
        interaction_index(np.zeros(8), "STII", 2, max_order=max_order)


@pytest.mark.parametrize("m", [0, 17, 2.0])
def test_contrasts_of_too_few_or_too_many_players(m) -> None:
    for build in (shapley_contrasts, banzhaf_contrasts, interaction_contrasts):
        with pytest.raises(InputError, match="M must be a whole number from 1 to 16"):
            build(m)

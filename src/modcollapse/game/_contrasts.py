"""Contrast matrices: every value and index of a game is a weighted sum of its coalition values.

Every index here is cardinal-probabilistic: for a subset S of s players

    I(S) = sum over T disjoint from S of  p(|T|) * D_S v(T),
    D_S v(T) = sum over L within S of  (-1)**(s - |L|) * v(T + L),

so it is a linear contrast ``v @ A`` of the coalition values, and the profile p alone tells the
indices apart (Fujimoto, Kojadinovic and Marichal 2006). The profiles come, in exact fractions,
from what each index makes of a Harsanyi dividend.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from functools import cache, lru_cache
from typing import Literal, TypeAlias, get_args

import numpy as np

from modcollapse._support.validation import choice, whole
from modcollapse.contracts import FloatArray
from modcollapse.game._coalitions import check_players, membership, subsets

Index: TypeAlias = Literal["SII", "STII", "k-SII", "BII", "moebius"]
"""Shapley interaction, Shapley-Taylor, k-SII, Banzhaf interaction, Harsanyi dividend."""

INDICES: tuple[str, ...] = get_args(Index)
"""Names of the interaction indices."""

_BLOCK_ENTRIES = 2**20
"""A contrast matrix is built and applied in blocks of 8 MiB; one of a single block is kept."""


def shapley_contrasts(m: int) -> FloatArray:
    """Matrix A with ``shapley_values(v) == v @ A``; shape (2**m, m), read-only.

    Raises:
        InputError: m is not from 1 to 16.

    >>> shapley_contrasts(2).tolist()
    [[-0.5, -0.5], [0.5, -0.5], [-0.5, 0.5], [0.5, 0.5]]
    """
    return interaction_contrasts(m, "SII", 1)


def banzhaf_contrasts(m: int) -> FloatArray:
    """Matrix A with ``banzhaf_values(v) == v @ A``; shape (2**m, m), read-only.

    Raises:
        InputError: m is not from 1 to 16.
    """
    return interaction_contrasts(m, "BII", 1)


def interaction_contrasts(
    m: int, index: Index = "SII", order: int = 2, *, max_order: int | None = None
) -> FloatArray:
    """Matrix A with ``interaction_index(v, index, order) == v @ A``.

    Args:
        m: number of players, from 1 to 16.
        index: as for ``interaction_index``.
        order: as for ``interaction_index``.
        max_order: as for ``interaction_index``.

    Returns:
        Shape (2**m, C(m, order)), read-only; every column sums to 0.

    Raises:
        InputError: as for ``interaction_index``.

    >>> interaction_contrasts(2, "SII", 2).ravel().tolist()
    [1.0, -1.0, -1.0, 1.0]
    """
    m = check_players(m)
    order, max_order = check_index(m, index, order, max_order)
    blocks = list(contrast_blocks(m, index, order, max_order))
    return blocks[0] if len(blocks) == 1 else _read_only(np.concatenate(blocks, axis=1))


def check_index(m: int, index: str, order: int, max_order: int | None) -> tuple[int, int]:
    """Return order and max_order as ints; InputError unless they and the index are valid."""
    choice(index, "index", INDICES)
    order = whole(order, "order", 1, m)
    return order, order if max_order is None else whole(max_order, "max_order", order, m)


def contrast_blocks(m: int, index: str, order: int, max_order: int) -> Iterator[FloatArray]:
    """The contrast matrix of arguments that were checked, in blocks of columns."""
    width = max(1, _BLOCK_ENTRIES >> m)
    if math.comb(m, order) <= width:
        yield one_block(m, index, order, max_order)
        return
    profile, players = _profile(m, index, order, max_order), subsets(m, order)
    for start in range(0, len(players), width):
        yield _read_only(_columns(m, players[start : start + width], profile))


@lru_cache(maxsize=16)
def one_block(m: int, index: str, order: int, max_order: int) -> FloatArray:
    """The whole of a small contrast matrix, for arguments that were checked."""
    return _read_only(_columns(m, subsets(m, order), _profile(m, index, order, max_order)))


def _read_only(matrix: FloatArray) -> FloatArray:
    matrix.setflags(write=False)
    return matrix


def _columns(
    m: int, players: tuple[tuple[int, ...], ...], profile: tuple[Fraction, ...]
) -> FloatArray:
    """Weights of v(W) in I(S), one column for each S: (-1)**(s - |W and S|) * p(|W minus S|)."""
    order = len(players[0])
    weight = np.zeros((m + 1, order + 1))  # [|W|, |W and S|]
    for shared in range(order + 1):
        for outside, p in enumerate(profile):
            weight[outside + shared, shared] = (-1) ** (order - shared) * p
    sizes = membership(m).sum(axis=1)
    masks = np.array([sum(1 << i for i in subset) for subset in players])
    common = sizes[np.arange(2**m)[:, None] & masks]
    columns: FloatArray = weight[sizes[:, None], common]
    return columns


def _profile(m: int, index: str, order: int, max_order: int) -> tuple[Fraction, ...]:
    """p(c) for c = 0 .. m - order, such that a dividend of size t counts _dividend_share(t)."""
    rest = m - order
    return tuple(
        sum(
            (
                (-1) ** j
                * math.comb(rest - c, j)
                * _dividend_share(index, order, order + c + j, max_order)
                for j in range(rest - c + 1)
            ),
            start=Fraction(0),
        )
        for c in range(rest + 1)
    )


@cache
def _dividend_share(index: str, s: int, t: int, k: int) -> Fraction:
    """What a subset of s players gets of the dividend of a coalition of t players around it."""
    d = t - s
    if index == "SII":
        return Fraction(1, d + 1)
    if index == "BII":
        return Fraction(1, 2**d)
    if index == "STII" and s == k:
        return Fraction(1, math.comb(t, k))
    if index == "k-SII":
        return sum(
            (math.comb(d, r) * _bernoulli(r) / (d - r + 1) for r in range(min(k - s, d) + 1)),
            start=Fraction(0),
        )
    return Fraction(int(d == 0))  # moebius, and STII below its top order


@cache
def _bernoulli(n: int) -> Fraction:
    """Bernoulli number, with B_1 = -1/2."""
    if n == 0:
        return Fraction(1)
    total = sum((math.comb(n + 1, i) * _bernoulli(i) for i in range(n)), start=Fraction(0))
    return -total / (n + 1)

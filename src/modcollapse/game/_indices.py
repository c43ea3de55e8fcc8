"""Values and interaction indices of cooperative games, exact and in float64."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from modcollapse.contracts import FloatArray
from modcollapse.errors import InputError
from modcollapse.game._coalitions import n_players
from modcollapse.game._contrasts import Index, check_index, contrast_blocks, one_block


def shapley_values(values: npt.ArrayLike) -> FloatArray:
    """Shapley value of each player.

    Args:
        values: v(S), shape (..., 2**M), player i present in column c iff ``(c >> i) & 1``. Any
            real unit and number type.

    Returns:
        Shape (..., M), same unit, float64. Sums to v(all) - v(empty).

    Raises:
        InputError: the last axis is not 2**M with M from 1 to 16, or a value is not a finite
            real number.

    Source:
        Shapley (1953); the TMA of arXiv:2603.06508.

    >>> shapley_values([0.0, 0.25, 0.5, 1.0]).tolist()
    [0.375, 0.625]
    """
    games = _as_games(values)
    return _apply(games, one_block(n_players(games), "SII", 1, 1))


def banzhaf_values(values: npt.ArrayLike) -> FloatArray:
    """Banzhaf value of each player: its mean marginal contribution over all coalitions of others.

    Args:
        values: v(S), shape (..., 2**M), as for ``shapley_values``.

    Returns:
        Shape (..., M), same unit, float64. Equal to the Shapley values for M up to 2 only; does
        not sum to v(all) - v(empty) in general.

    Raises:
        InputError: as for ``shapley_values``.

    Source:
        Banzhaf (1965); Dubey and Shapley (1979).

    >>> banzhaf_values([0, 0, 0, 0, 0, 0, 0, 1]).tolist()
    [0.25, 0.25, 0.25]
    """
    games = _as_games(values)
    return _apply(games, one_block(n_players(games), "BII", 1, 1))


def interaction_index(
    values: npt.ArrayLike, index: Index = "SII", order: int = 2, *, max_order: int | None = None
) -> FloatArray:
    """Interaction of every subset of ``order`` players.

    Positive is synergy, negative interference or redundancy. At M = 2 and order 2 all indices
    equal v(11) - v(10) - v(01) + v(00), the CTI of arXiv:2603.06508; for more players they
    differ. At order 1, BII is the Banzhaf value, moebius is v(i) - v(empty), and the others are
    the Shapley value.

    Args:
        values: v(S), shape (..., 2**M), as for ``shapley_values``.
        index: "SII" (Shapley interaction), "STII" (Shapley-Taylor), "k-SII" (SII made
            efficient by aggregation), "BII" (Banzhaf interaction) or "moebius" (Harsanyi
            dividend).
        order: size of the subsets, from 1 to M.
        max_order: the k of STII and k-SII, from ``order`` (the default) to M. Subsets smaller
            than k get what an explanation of all orders up to k gives them; k-SII differs from
            SII there only, STII is the dividend there. SII, BII and moebius do not depend on k.

    Returns:
        Shape (..., C(M, order)), subsets in the order of ``itertools.combinations``, float64.
        Games of many players are taken in blocks, so that memory stays near the input's and
        the output's.

    Raises:
        InputError: as for ``shapley_values``; unknown index; order or max_order out of range.

    Source:
        SII, BII: Grabisch and Roubens (1999). STII: Sundararajan, Dhamdhere and Agarwal (2020).
        k-SII: Bordt and von Luxburg (2023). Dividend: Harsanyi (1963).

    >>> interaction_index([0.0, 0.25, 0.5, 1.0]).tolist()
    [0.25]
    """
    games = _as_games(values)
    m = n_players(games)
    order, max_order = check_index(m, index, order, max_order)
    _check_finite(games)  # a weight may be zero, so the product need not show a bad value
    blocks = [_apply(games, block) for block in contrast_blocks(m, index, order, max_order)]
    return blocks[0] if len(blocks) == 1 else np.concatenate(blocks, axis=-1)


def moebius(values: npt.ArrayLike) -> FloatArray:
    """Möbius transform: the Harsanyi dividend of every coalition.

    Args:
        values: v(S), shape (..., 2**M), as for ``shapley_values``.

    Returns:
        Shape (..., 2**M), same unit and column order, float64:
        ``m(S) = sum over T within S of (-1)**(|S| - |T|) v(T)``.

    Raises:
        InputError: as for ``shapley_values``.

    Source:
        Rota (1964); Harsanyi (1963).

    >>> moebius([1, 3, 4, 8]).tolist()
    [1.0, 2.0, 3.0, 2.0]
    """
    return _butterfly(values, np.subtract)


def inverse_moebius(dividends: npt.ArrayLike) -> FloatArray:
    """Zeta transform, the inverse of ``moebius``: v(S) = sum over T within S of m(T).

    Args:
        dividends: m(S), shape (..., 2**M).

    Returns:
        v(S), shape (..., 2**M), float64.

    Raises:
        InputError: as for ``shapley_values``.

    >>> inverse_moebius([1, 2, 3, 2]).tolist()
    [1.0, 3.0, 4.0, 8.0]
    """
    return _butterfly(dividends, np.add)


def _as_games(values: npt.ArrayLike) -> FloatArray:
    try:
        array = np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as error:  # ragged lists, tensors on a GPU
        raise InputError(f"coalition values do not make an array: {error}") from error
    if array.dtype.kind not in "biuf":
        raise InputError(f"coalition values must be real numbers, got dtype {array.dtype}")
    return array.astype(np.float64, copy=False)


def _apply(games: FloatArray, contrasts: FloatArray) -> FloatArray:
    flat = games if games.ndim < 3 else games.reshape(-1, games.shape[-1])
    try:
        result: FloatArray = flat.dot(contrasts)
        finite = math.isfinite(np.vdot(result, result))  # costs less than a look at each entry
    except RuntimeWarning:  # numpy's, where warnings are errors
        finite = False
    if not finite:
        _check_finite(games)
        with np.errstate(over="ignore", invalid="ignore"):
            result = flat.dot(contrasts)
        _check_no_overflow(result)
    return result if flat is games else result.reshape(*games.shape[:-1], contrasts.shape[1])


def _check_finite(games: FloatArray) -> None:
    finite = np.isfinite(games)
    if not finite.all():
        first = tuple(int(i) for i in np.argwhere(~finite)[0])
        where = ", ".join(map(str, first))
        raise InputError(
            f"coalition values must be finite: values[{where}] is {games[first]} "
            f"({np.count_nonzero(~finite)} of {finite.size} are not)"
        )


def _check_no_overflow(result: FloatArray) -> None:
    if not np.isfinite(result).all():
        raise InputError("coalition values are too large: a sum of them overflows float64")


def _butterfly(values: npt.ArrayLike, step: np.ufunc) -> FloatArray:
    games = _as_games(values)
    m = n_players(games)
    _check_finite(games)
    result = np.array(games, order="C")
    with np.errstate(over="ignore", invalid="ignore"):
        for i in range(m):
            halves = result.reshape(-1, 2, 2**i)  # [:, 1] has player i, [:, 0] does not
            step(halves[:, 1], halves[:, 0], out=halves[:, 1])
    _check_no_overflow(result)
    return result

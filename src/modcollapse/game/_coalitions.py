"""Coalitions as columns: bit ``i`` of column ``c`` says that player ``i`` is present.

Column 0 is the empty coalition, the last column the coalition of all players. This order is that
of every array of coalition values and of every contrast matrix in the package.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from itertools import combinations

import numpy as np
import numpy.typing as npt

from modcollapse._support.validation import whole
from modcollapse.errors import InputError

MAX_PLAYERS = 16
"""Most players that are handled exactly: 65,536 coalitions."""

EMPTY_LABEL = "none"
"""Label of the coalition without players."""


_PLAYERS = {2**m: m for m in range(1, MAX_PLAYERS + 1)}


def n_players(values: npt.ArrayLike) -> int:
    """Number of players M of an array of coalition values.

    Args:
        values: v(S), shape (..., 2**M), M from 1 to 16.

    Raises:
        InputError: the last axis is not 2**M for an M from 1 to 16.

    >>> n_players([[0.0, 1.0, 2.0, 4.0]])
    2
    """
    shape = values.shape if isinstance(values, np.ndarray) else np.shape(values)
    m = _PLAYERS.get(shape[-1]) if shape else None
    if m is None:
        raise InputError(
            f"coalition values of shape {shape}: the last axis must have 2**M columns, one for "
            f"each subset of the players, with M from 1 to {MAX_PLAYERS}"
        )
    return m


def membership(m: int) -> npt.NDArray[np.bool_]:
    """Which player is in which coalition.

    Returns:
        Shape (2**m, m), read-only: ``[c, i]`` is true iff player i is present in column c.

    Raises:
        InputError: m is not from 1 to 16.

    >>> membership(2).astype(int).tolist()
    [[0, 0], [1, 0], [0, 1], [1, 1]]
    """
    return _membership(check_players(m))


def coalition_labels(names: Sequence[str]) -> tuple[str, ...]:
    """Label of each column.

    Args:
        names: the M players in bit order, all different.

    Returns:
        2**M different labels in column order.

    Raises:
        InputError: names are not 1 to 16 different, non-empty strings, or two coalitions would
            get the same label (a player called "none", or "a", "b" and "a+b" together).

    >>> coalition_labels(["image", "text"])
    ('none', 'image', 'text', 'image+text')
    """
    names = _check_names(names)
    labels: list[str] = [""]
    for name in names:
        labels += [f"{label}+{name}" if label else name for label in labels]
    labels[0] = EMPTY_LABEL
    if len(set(labels)) < len(labels):
        twice = next(label for label in labels if labels.count(label) > 1)
        raise InputError(f"two coalitions of {list(names)} are both labelled {twice!r}; rename one")
    return tuple(labels)


def coalition_of(names: Sequence[str], members: Iterable[str]) -> int:
    """Column of the coalition with exactly these members.

    Args:
        names: the M players in bit order, all different.
        members: some of the names, in any order; none for the empty coalition.

    Returns:
        Column index, from 0 to 2**M - 1.

    Raises:
        InputError: names are not valid, or a member is not one of them.

    >>> coalition_of(["image", "text"], ["text"])
    2
    """
    names = _check_names(names)
    if isinstance(members, str):
        raise InputError(f"members must be a collection of names, got the string {members!r}")
    members = tuple(members)
    unknown = [member for member in members if member not in names]
    if unknown:
        raise InputError(f"unknown members {unknown}; the players are {list(names)}")
    return sum(1 << names.index(member) for member in set(members))


def subsets(m: int, order: int) -> tuple[tuple[int, ...], ...]:
    """Subsets of ``order`` players, in the order of ``itertools.combinations``.

    Returns:
        C(m, order) increasing tuples of player indices.

    Raises:
        InputError: m is not from 1 to 16, or order not from 1 to m.

    >>> subsets(3, 2)
    ((0, 1), (0, 2), (1, 2))
    """
    m = check_players(m)
    return tuple(combinations(range(m), whole(order, "order", 1, m)))


def check_players(m: int, what: str = "a game") -> int:
    """Return m as an int; InputError unless it is from 1 to 16."""
    try:
        return whole(m, f"{what}: the number of players M", 1, MAX_PLAYERS)
    except InputError as error:
        larger = isinstance(m, int) and m > MAX_PLAYERS
        hint = "; estimate larger games by sampling, as shapiq's approximators do" if larger else ""
        raise InputError(f"{error}{hint}") from None


@cache
def _membership(m: int) -> npt.NDArray[np.bool_]:
    present: npt.NDArray[np.bool_] = (np.arange(2**m)[:, None] >> np.arange(m)) & 1 == 1
    present.setflags(write=False)
    return present


def _check_names(names: Sequence[str]) -> tuple[str, ...]:
    if isinstance(names, str):
        raise InputError(f"names must be a sequence of player names, got the string {names!r}")
    names = tuple(names)
    check_players(len(names), f"players {list(names)}")
    wrong = [name for name in names if not isinstance(name, str) or not name]
    if wrong:
        raise InputError(f"player names must be non-empty strings, got {wrong} in {list(names)}")
    if len(set(names)) < len(names):
        raise InputError(f"player names must all be different, got {list(names)}")
    return names

"""Bit order, labels and subsets of coalitions."""

from __future__ import annotations

import itertools
import subprocess
import sys

import numpy as np
import pytest

from modcollapse.errors import InputError
from modcollapse.game import (
    MAX_PLAYERS,
    coalition_labels,
    coalition_of,
    membership,
    n_players,
    subsets,
)

NAMES = ("image", "text", "audio")


def test_game_loads_neither_torch_nor_scipy() -> None:
    code = (
        "import sys, modcollapse.game as g; g.shapley_values([0, 1, 2, 4]); "
        "print([m for m in ('torch', 'scipy', 'PIL', 'matplotlib') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize("m", [1, 2, 5, MAX_PLAYERS])
def test_membership_is_the_binary_expansion_of_the_column(m: int) -> None:
    table = membership(m)
    assert table.shape == (2**m, m)
    assert table.dtype == np.bool_
    np.testing.assert_array_equal(table @ (2 ** np.arange(m)), np.arange(2**m))


def test_membership_cannot_be_changed_by_a_caller() -> None:
    with pytest.raises(ValueError, match="read-only"):
        membership(2)[0, 0] = True


def test_labels_of_two_modalities() -> None:
    assert coalition_labels(["image", "text"]) == ("none", "image", "text", "image+text")
    assert coalition_labels(["text"]) == ("none", "text")


def test_labels_columns_and_membership_agree() -> None:
    labels = coalition_labels(NAMES)
    assert len(labels) == 8
    for column, (label, present) in enumerate(zip(labels, membership(3), strict=True)):
        members = [name for name, here in zip(NAMES, present, strict=True) if here]
        assert label == ("+".join(members) or "none")
        assert coalition_of(NAMES, members) == column
        assert coalition_of(NAMES, reversed(members)) == column


@pytest.mark.parametrize("members", [["smell"], ["image", "Text"], [0]])
def test_unknown_members_are_named(members: list[str]) -> None:
    with pytest.raises(InputError, match=r"unknown members .*'image', 'text', 'audio'"):
        coalition_of(NAMES, members)


def test_a_string_is_no_collection_of_names() -> None:
    with pytest.raises(InputError, match="string 'image'"):
        coalition_of(NAMES, "image")
    with pytest.raises(InputError, match="string 'image'"):
        coalition_labels("image")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "from 1 to 16, got 0"),
        ([f"m{i}" for i in range(17)], "from 1 to 16, got 17"),
        (["text", "text"], "all be different"),
        (["text", ""], "non-empty strings"),
        (["text", 3], "non-empty strings"),
        (["none", "text"], "both labelled 'none'"),
        (["a", "b", "a+b"], r"both labelled 'a\+b'"),
    ],
)
def test_bad_player_names(names: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        coalition_labels(names)


@pytest.mark.parametrize("m", range(1, MAX_PLAYERS + 1))
def test_number_of_players(m: int) -> None:
    assert n_players(np.zeros((3, 2**m))) == m
    assert n_players([0] * 2**m) == m


@pytest.mark.parametrize("shape", [(), (0,), (1,), (3,), (4, 6), (2, 0), (2**17,)])
def test_last_axis_must_be_a_power_of_two(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"2\*\*M columns.*from 1 to 16") as error:
        n_players(np.zeros(shape))
    assert str(shape) in str(error.value)


@pytest.mark.parametrize("m", range(1, 7))
def test_subsets_are_all_combinations(m: int) -> None:
    for order in range(1, m + 1):
        assert subsets(m, order) == tuple(itertools.combinations(range(m), order))


@pytest.mark.parametrize(("m", "order"), [(3, 0), (3, 4), (3, -1), (3, 1.0), (0, 1), (17, 1)])
def test_subsets_refuse_what_does_not_exist(m: int, order: int) -> None:
    with pytest.raises(InputError, match="must be a whole number from 1 to"):
        subsets(m, order)


@pytest.mark.parametrize("m", [0, 17, -1, 2.0, "2", None])
def test_number_of_players_out_of_range(m: int) -> None:
    with pytest.raises(InputError, match="M must be a whole number from 1 to 16"):
        membership(m)


def test_too_many_players_are_sent_to_sampling() -> None:
    with pytest.raises(InputError, match="shapiq"):
        membership(17)

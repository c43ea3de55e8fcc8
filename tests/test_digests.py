"""What is the same, and what is not: the digests by which conditions are compared."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from modcollapse._support.digests import content_and_state, fingerprint, hexdigest, state

LONG = 1 << 13
CHANGES = {
    "one bit": lambda a: flipped(a, 0, 1),
    "the highest bit": lambda a: flipped(a, 7, 0x80),
    "two words swapped": lambda a: swapped(a),
    "turned round": lambda a: a[::-1].copy(),
    "every sign": lambda a: -a,
    "two signs": lambda a: np.where(np.isin(np.arange(len(a)), (4, 5)), -a, a),
    "four signs": lambda a: np.where((np.arange(len(a)) >= 100) & (np.arange(len(a)) < 104), -a, a),
    "every second sign": lambda a: a * np.resize([1, -1], len(a)).astype(a.dtype),
    "halved": lambda a: a / 2,
    "the last": lambda a: np.append(a[:-1], a[-1] + 1).astype(a.dtype),
}


def flipped(array, byte, mask):
    array = array.copy()
    array.view(np.uint8)[byte] ^= mask
    return array


def swapped(array):
    array = array.copy()
    array[[2, 40]] = array[[40, 2]]
    return array


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_shows(change, dtype):
    array = np.random.default_rng(0).integers(1, 1000, LONG + 3).astype(dtype)
    changed = CHANGES[change](array).astype(dtype)
    for told in (fingerprint, state, hexdigest, lambda held: content_and_state(held)[0]):
        assert told(array) != told(changed)
        assert told(array) == told(array.copy())
    assert fingerprint(torch.from_numpy(array)) != fingerprint(torch.from_numpy(changed))


def test_no_two_boxes_on_a_mask_are_taken_for_one():
    """Masks hold two values only."""
    seen = {}
    for top in range(0, 128, 8):
        for left in range(0, 128, 4):
            for side in (8, 16, 28):
                mask = np.zeros((128, 128, 1), np.float32)
                mask[top : top + side, left : left + side] = 1
                seen.setdefault(fingerprint(mask), set()).add(mask.tobytes())
    assert all(len(masks) == 1 for masks in seen.values())


@settings(max_examples=50, deadline=None)
@given(
    st.integers(0, LONG - 1),
    st.integers(0, LONG - 1),
    st.sampled_from([2**31, 2**63, 2**63 + 2**31]),
)
def test_two_words_do_not_cancel(one, other, bits):
    words = np.random.default_rng(1).integers(2**63, size=LONG, dtype=np.uint64)
    changed = words.copy()
    changed[one] ^= np.uint64(bits)
    changed[other] ^= np.uint64(bits)
    assert (fingerprint(words) == fingerprint(changed)) == (one == other)


def test_a_state_is_the_content_of_what_lies_in_memory():
    held = {"a": np.zeros(LONG, np.float32), "b": ["hat", torch.ones(3)]}
    content, own = content_and_state(held)
    assert content == own == state(held) == fingerprint(held)


def test_what_cannot_be_told_is_passed_over():
    one, other = ({"a": object(), "b": number} for number in (1, 2))
    assert fingerprint(one) is None
    assert content_and_state(one)[0] != content_and_state(other)[0]

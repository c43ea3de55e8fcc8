"""Digests of weights that are not plain tensors: two models that differ are told apart."""

from __future__ import annotations

import pytest
import torch

from modcollapse._support.weights import weights_digest


class Module(torch.nn.Module):
    def __init__(self, weight, extra=None):
        super().__init__()
        self.register_buffer("weight", weight)
        self.extra = extra

    def get_extra_state(self):
        return self.extra

    def set_extra_state(self, state):
        self.extra = state


def weights(scale=1.0):
    return torch.arange(12, dtype=torch.float32).reshape(3, 4) * scale / 10


def per_channel(scale):
    scales, zeros = torch.full((3,), 0.1 * scale), torch.zeros(3, dtype=torch.int64)
    return torch.quantize_per_channel(weights(), scales, zeros, 0, torch.qint8)


KINDS = {
    "plain": weights,
    "quantised": lambda s: torch.quantize_per_tensor(weights(), 0.1 * s, 0, torch.qint8),
    "quantised by channel": per_channel,
    "sparse": lambda s: weights(s).to_sparse(),
    "of a subclass": lambda s: torch.nn.Parameter(weights(s), requires_grad=False).data,
    "conjugate": lambda s: torch.complex(weights(s), weights(s)).conj(),
    "bfloat16": lambda s: weights(s).bfloat16(),
    "no element": lambda s: torch.zeros(0, int(s)),
    "a view": lambda s: weights(s)[:, ::2],
}


@pytest.mark.filterwarnings("ignore:torch.quantize:UserWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_of_any_kind(kind):
    one, same, other = (weights_digest({"": Module(KINDS[kind](s))}) for s in (1, 1, 2))
    assert one == same != other


def test_what_packed_weights_keep_beside_tensors():
    packed = [weights_digest({"": Module(weights(), (weights(s), None))}) for s in (1, 1, 2)]
    assert packed[0] == packed[1] != packed[2]


def test_weights_that_are_offloaded_cannot_be_read():
    assert weights_digest({"": torch.nn.Linear(2, 2, device="meta")}) is None

"""On a device nothing of a batch comes to the host but one small row of scores."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import modcollapse as mc
from modcollapse.contracts import scorers_of
from modcollapse.measure import _scores as scoring
from modcollapse.measure import prepare
from modcollapse.measure._checks import Checked
from modcollapse.measure._conditions import ConditionBatches
from modcollapse.measure._plan import Cell
from modcollapse.measure._recording import RowNames, score

from fake_cuda import HostCopyError, accelerators, needs_cuda, no_host_copies

CELLS = [Cell(example, 0, column) for example in (0, 1) for column in range(4)]


def brighten(image):
    return image * 0.5 + 0.5


class Shift:
    wants_clean_output = True

    def __call__(self, outputs, examples):
        clean = torch.stack([example["clean_output"] for example in examples])
        return (torch.stack(list(outputs)) - clean).flatten(1).sum(1)


def mean(outputs, examples):
    return torch.stack(list(outputs)).flatten(1).mean(1, dtype=torch.float64)


def sampler(conditions, seeds):
    return conditions["image"] * 0.9


DETECTORS = {"mean": mean, "shift": Shift()}
TRIGGERS = {"image": brighten, "text": lambda text: text + "!"}


def one_batch(device, as_list=False):
    """Gather, sample and score one batch as the loop does; return the tensors on the device.

    What the examples hold is not compared: values of fake tensors cannot be read.
    """
    with torch.utils._python_dispatch._disable_current_modes():
        host = [{"image": torch.rand(3, 4, 4), "text": "hat"} for _ in range(2)]
        run = prepare({"": sampler}, DETECTORS, host, TRIGGERS)
    examples = [{**example, "image": torch.rand(3, 4, 4, device=device)} for example in host]
    unread = (Checked(None, None, {"image": [None], "text": [None]}),) * 2
    gathered = ConditionBatches(replace(run, examples=examples, checked=unread)).gather(CELLS)
    where = RowNames(CELLS, run.ids, ("none", "image", "text", "image+text"))
    outputs = sampler(gathered.conditions, [])
    outputs = scoring.check_outputs(list(outputs) if as_list else outputs, 8, where)
    scorers = scorers_of(DETECTORS).by_name.values()
    scored = score(outputs, gathered.examples, CELLS, scorers, {}, where, gathered.changed)
    assert not gathered.changed()
    return gathered.conditions, [row.values for row in scored]


@accelerators
@pytest.mark.parametrize("as_list", [False, True])
def test_a_batch_is_gathered_and_scored_on_the_device(accelerator, as_list):
    with accelerator() as device, no_host_copies():
        conditions, scored = one_batch(device, as_list)
        assert conditions["image"].shape == (8, 3, 4, 4)
        assert conditions["image"].device == device
        assert [tuple(row.shape) for row in scored] == [(8,)] * 3
        assert {row.device for row in scored} == {device}
        stacked = scoring.stacked_on_device(scored)
        assert stacked.device == device
        assert stacked.dtype == torch.float64


@accelerators
def test_the_scores_come_back_in_one_copy(accelerator):
    with accelerator() as device, no_host_copies(largest=24) as guard:
        _, scored = one_batch(device)
        host = scoring.stacked_on_device(scored).cpu()
        assert host.device.type == "cpu"
    assert guard.copies == [(3, 8)]


@accelerators
def test_the_guard_of_these_tests_sees_a_copy(accelerator):
    with accelerator() as device, no_host_copies(), pytest.raises(HostCopyError):
        torch.zeros(8, 3, 4, 4, device=device).cpu()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_scores_of_any_float_type_come_back_as_float64(dtype):
    row = torch.tensor([0.5, -0.25], dtype=dtype)
    host = scoring.to_host([torch.tensor([True, False]), row])
    assert host.dtype == np.float64
    assert host.tolist() == [[1, 0], [0.5, -0.25]]


def test_tensors_and_lists_may_be_mixed():
    host = scoring.to_host([torch.tensor([True]), [0.1], np.array([0.2])])
    assert host.tolist() == [[1], [0.1], [0.2]]


@needs_cuda
def test_a_whole_run_on_a_real_device_agrees_with_the_host():
    def run(device):
        examples = [
            {"image": torch.full((3, 4, 4), n / 8, device=device), "text": "hat"} for n in range(5)
        ]
        return mc.evaluate_coalitions(sampler, DETECTORS, examples, TRIGGERS, progress=False)

    for name, table in run("cuda").items():
        np.testing.assert_allclose(table.values, run("cpu")[name].values, atol=1e-5)

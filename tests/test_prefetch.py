"""Conditions of the next batch are made in a thread meanwhile, and nobody can tell."""

from __future__ import annotations

import sys
import threading
import time
from types import ModuleType

import numpy as np
import pytest
import torch

import modcollapse as mc
from journal_runs import EXAMPLES, Mark, Said, check_equal, evaluate
from modcollapse.errors import InputError, TriggerError


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    assert not [one for one in threading.enumerate() if one.name.startswith("modcollapse")]


@pytest.mark.parametrize("batch_size", [1, 4, 6, 64])
def test_the_table_is_the_same(batch_size):
    options = {"batch_size": batch_size, "probe": True, "repeats": 2, "keep": 0}
    check_equal(evaluate(prefetch=True, **options), evaluate(prefetch=False, **options))


def test_it_is_a_thread_and_one_batch_ahead():
    seen: list[tuple[str, int]] = []
    threads = set()

    class Watched(Mark):
        def __call__(self, text):
            threads.add(threading.current_thread().name)
            return super().__call__(text)

    class Sampler(Said):
        def __call__(self, conditions, seeds):
            for _ in range(500):  # until the next is prepared
                if len(examples.read) >= min(12, 2 * (self.calls + 2)):
                    break
                time.sleep(0.01)
            seen.append(len(examples.read))
            return super().__call__(conditions, seeds)

    class Examples:
        def __init__(self):
            self.read = []

        def __len__(self):
            return len(EXAMPLES)

        def __getitem__(self, at):
            if threading.current_thread() is not threading.main_thread():
                self.read.append(at)
            return EXAMPLES[at]

    examples = Examples()
    marks = {"image": Watched(), "text": Mark()}
    evaluate(sampler=Sampler(), examples=examples, marks=marks, batch_size=8)
    assert seen == [4, 6, 8, 10, 12, 12]
    assert len(threads) == 2
    evaluate(examples=examples, prefetch=False)
    assert len(examples.read) == 12


@pytest.mark.parametrize("prefetch", [True, False])
class TestErrors:
    def test_of_a_trigger(self, prefetch):
        class Fails(Mark):
            calls = 0

            def __call__(self, text):
                self.calls += 1
                if self.calls == 30:  # two for the check of each example, one to use it
                    raise RuntimeError("device lost")
                return super().__call__(text)

        with pytest.raises(RuntimeError, match="device lost") as caught:
            evaluate(marks={"image": Mark(), "text": Fails()}, prefetch=prefetch, batch_size=4)
        assert "example -7, trigger of 'text'" not in caught.value.__notes__
        assert f"example {EXAMPLES[5]['id']!r}, trigger of 'text'" in caught.value.__notes__
        assert len(caught.value.tables) == 5

    def test_of_a_trigger_that_is_not_deterministic(self, prefetch):
        class Counts(Mark):
            calls = 0

            def __call__(self, text):
                self.calls += 1
                return super().__call__(text) + ("?" if self.calls > 30 else "")

        with pytest.raises(TriggerError, match="returned another condition") as caught:
            evaluate(marks={"image": Mark(), "text": Counts()}, prefetch=prefetch)
        assert any("trigger of 'text'" in note for note in caught.value.__notes__)

    def test_of_the_examples(self, prefetch):
        class Breaks:
            reads = 0

            def __len__(self):
                return len(EXAMPLES)

            def __getitem__(self, at):
                self.reads += 1
                if self.reads > 12 + 7:
                    raise OSError("the share is gone")
                return EXAMPLES[at]

        with pytest.raises(OSError, match="share is gone") as caught:
            evaluate(examples=Breaks(), prefetch=prefetch, batch_size=4)
        assert any("examples[7]" in note for note in caught.value.__notes__)
        assert len(caught.value.tables) == 7

    def test_of_an_example_that_changed(self, prefetch):
        class Changes:
            reads = 0

            def __len__(self):
                return len(EXAMPLES)

            def __getitem__(self, at):
                self.reads += 1
                return {**EXAMPLES[at], "image": f"{self.reads // 15}"}

        with pytest.raises(InputError, match="holds something else than when it was checked"):
            evaluate(examples=Changes(), prefetch=prefetch)

    def test_of_the_sampler_while_the_next_is_prepared(self, prefetch):
        with pytest.raises(RuntimeError, match="device lost"):
            evaluate(sampler=Said(at=3, error=RuntimeError("device lost")), prefetch=prefetch)

    def test_which_closes_the_run_before_the_first(self, prefetch):
        with pytest.raises(KeyboardInterrupt):
            evaluate(sampler=Said(at=0, error=KeyboardInterrupt()), prefetch=prefetch)


def test_while_another_thread_imports_pillow(monkeypatch):
    """The module is there before what it holds."""
    monkeypatch.setitem(sys.modules, "PIL.Image", ModuleType("PIL.Image"))
    check_equal(evaluate(prefetch=True), evaluate(prefetch=False))


WEIGHT = torch.rand(16, 16, generator=torch.Generator().manual_seed(0))


def made_under(mode, trigger, prefetch=True):
    """Values of a run within a mode of torch, whose trigger sees it."""
    pictures = torch.rand(6, 16, 16, generator=torch.Generator().manual_seed(1))
    examples = [{"image": picture} for picture in pictures]

    def sampler(conditions, seeds):
        return [float(image.double().mean()) for image in conditions["image"]]

    with mode:
        table = mc.evaluate_coalitions(
            sampler, lambda outputs, examples: outputs, examples, {"image": trigger},
            progress=False, batch_size=2, prefetch=prefetch,
        )  # fmt: skip
    return table.values


@pytest.mark.parametrize(
    ("mode", "trigger"),
    [
        (lambda: torch.autocast("cpu", dtype=torch.bfloat16), lambda x: (x @ WEIGHT).float()),
        (lambda: torch.autocast("cpu", dtype=torch.float16), lambda x: (x @ WEIGHT).float()),
        (lambda: torch.device("meta"), lambda x: x + (torch.ones(1).device.type == "meta")),
        (torch.inference_mode, lambda x: x + torch.is_inference_mode_enabled()),
        (torch.no_grad, lambda x: x + 1 + torch.is_grad_enabled()),
        (torch.enable_grad, lambda x: x + 1 + torch.is_grad_enabled()),
    ],
    ids=["bfloat16", "float16", "device", "inference", "no grad", "grad"],
)
def test_the_modes_of_the_caller(mode, trigger):
    """A thread begins with torch's defaults; a trigger would make something else there."""
    ahead, here = made_under(mode(), trigger), made_under(mode(), trigger, prefetch=False)
    np.testing.assert_array_equal(ahead, here)

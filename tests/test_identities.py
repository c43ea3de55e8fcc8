"""Who is it? What changes outputs is in an identity, or two runs do not merge in silence."""

from __future__ import annotations

import dataclasses
import json
import logging
import random
import subprocess
import sys
from functools import partial
from pathlib import Path
from threading import Lock

import numpy as np
import pytest
import torch

import modcollapse as mc
from modcollapse._support.identities import identity, settled
from modcollapse.errors import TableError

EXAMPLES = [{"id": f"e{i}", "a": f"x{i}", "b": f"y{i}"} for i in range(8)]
TRIGGERS = {"a": lambda text: text + "!", "b": lambda text: text + "?"}
SCALE = 1.0
logger = logging.getLogger(__name__)


def sampler(conditions, seeds):
    return [a.count("!") + 2 * b.count("?") for a, b in zip(*conditions.values(), strict=True)]


def detector(outputs, examples):
    return [float(output) for output in outputs]


def evaluate(model=sampler, score=detector, examples=EXAMPLES, triggers=TRIGGERS):
    return mc.evaluate_coalitions(model, score, examples, triggers, progress=False)


class Plain:
    def __init__(self, scale, **more):
        self.scale = scale
        vars(self).update(more)

    def __call__(self, outputs, examples):
        return [self.scale * float(output) for output in outputs]

    def method(self, outputs, examples):
        return self(outputs, examples)


class Slotted:
    __slots__ = ("scale",)

    def __init__(self, scale):
        self.scale = scale

    def __call__(self, outputs, examples):
        return [self.scale * float(output) for output in outputs]


@dataclasses.dataclass
class Data:
    weights: np.ndarray
    model: object = None

    def __call__(self, outputs, examples):
        return [float(output) + float(self.weights.sum()) for output in outputs]


def enclosed(scale):
    return lambda outputs, examples: [scale * float(output) for output in outputs]


def by_default(scale):
    def score(outputs, examples, scale=scale):
        return [scale * float(output) for output in outputs]

    return score


def over_a_global(scale):
    space = {"FACTOR": scale}
    exec("def score(o, e): return [FACTOR * float(x) for x in o]", space)
    return space["score"]


def with_a_constant(scale):
    return eval(f"lambda o, e: [{scale} * float(x) for x in o]")


class Module(torch.nn.Module):
    def __init__(self, scale):
        super().__init__()
        self.linear = torch.nn.Linear(1, 1, bias=False)
        torch.nn.init.constant_(self.linear.weight, scale)

    def forward(self, outputs, examples):
        return self.linear(torch.tensor(outputs, dtype=torch.float32)[:, None])[:, 0].detach()


def over_a_module(scale):
    module = Module(scale)
    return lambda outputs, examples: module(outputs, examples)


KINDS = {
    "an instance": Plain,
    "slots": Slotted,
    "a bound method": lambda scale: Plain(scale).method,
    "an instance in an instance": lambda scale: Plain(1, inner=Plain(scale)).method,
    "instances in a list": lambda scale: Plain(1, inner=[Plain(scale)]).method,
    "a dataclass": lambda scale: Data(np.full(5000, float(scale))),
    "far inside a long array": lambda scale: Data(np.r_[np.zeros(2500), scale, np.zeros(2499)]),
    "a partial": lambda scale: partial(Plain.method, Plain(scale)),
    "a closure": enclosed,
    "a default": by_default,
    "a global": over_a_global,
    "a constant in the code": with_a_constant,
    "a torch module": Module,
    "a function over a module": over_a_module,
}


@pytest.mark.parametrize("kind", KINDS)
class TestTold:
    def test_apart(self, kind):
        one, other = KINDS[kind](1), KINDS[kind](100)
        assert identity(one, "it") != identity(other, "it")
        first, last = (
            evaluate(score=one, examples=EXAMPLES[:4]),
            evaluate(score=other, examples=EXAMPLES[4:]),
        )
        with pytest.raises(TableError, match="two runs: detector"):
            first.merge(last)
        with pytest.raises(TableError, match="two runs: detector"):
            mc.audit(evaluate(score=one), control=evaluate(score=other))

    def test_as_one(self, kind):
        one, same = KINDS[kind](2), KINDS[kind](2)
        assert identity(one, "it") == identity(same, "it")
        first, last = (
            evaluate(score=one, examples=EXAMPLES[:4]),
            evaluate(score=same, examples=EXAMPLES[4:]),
        )
        assert len(first.merge(last)) == 8

    def test_without_an_address(self, kind):
        assert "0x" not in json.dumps(identity(KINDS[kind](1), "it"))


def test_in_another_process():
    code = (
        "import json, test_identities as t; from modcollapse._support.identities import identity;"
        "print(json.dumps([identity(make(2), 'it') for make in t.KINDS.values()]))"
    )
    here = json.dumps([identity(make(2), "it") for make in KINDS.values()])
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            check=True,
            capture_output=True,
            text=True,
            cwd=Path(__file__).parent,
            env={"PYTHONHASHSEED": seed, "PATH": ""},
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert found == {here}


class TestWhatCannotBeTold:
    """It counts as the same only where it is one object in one process."""

    @pytest.fixture(params=["random numbers", "a generator", "in a closure"])
    def make(self, request):
        if request.param == "in a closure":

            def over_a_generator():
                rng = random.Random(0)

                return lambda outputs, examples: (rng.getstate(), detector(outputs, examples))[1]

            return over_a_generator
        made = {
            "random numbers": lambda: Plain(1, rng=random.Random(0)),
            "a generator": lambda: Plain(1, stream=(i for i in ())),
        }
        return made[request.param]

    def test_one_object_merges_with_itself(self, make):
        one = make()
        first, last = (evaluate(score=one, examples=part) for part in (EXAMPLES[:4], EXAMPLES[4:]))
        assert len(first.merge(last)) == 8

    def test_two_do_not_and_the_message_says_how(self, make):
        first = evaluate(score=make(), examples=EXAMPLES[:4])
        last = evaluate(score=make(), examples=EXAMPLES[4:])
        with pytest.raises(TableError, match="cannot be told") as caught:
            first.merge(last)
        assert "identity()" in str(caught.value)
        assert "detector" in str(caught.value)

    def test_an_identity_of_its_own_mends_it(self, make):
        def named():
            one = make()
            given = one if isinstance(one, Plain) else Plain(1, call=one)
            given.identity = lambda: {"who": "the same"}
            return given

        first = evaluate(score=named(), examples=EXAMPLES[:4])
        assert len(first.merge(evaluate(score=named(), examples=EXAMPLES[4:]))) == 8

    def test_within_one_run_it_matters_not(self, make):
        audit = mc.audit(sampler, make(), EXAMPLES, TRIGGERS, control=sampler, progress=False)
        assert audit.difference is not None


class TestWhatChangesDuringARun:
    def test_a_counter_tells_nothing_apart(self):
        class Counting(Plain):
            calls = 0

            def __call__(self, outputs, examples):
                self.calls += 1
                return super().__call__(outputs, examples)

        one = Counting(1, log=[])
        first, last = (evaluate(score=one, examples=part) for part in (EXAMPLES[:4], EXAMPLES[4:]))
        assert len(first.merge(last)) == 8
        with pytest.raises(TableError, match="scale is 1 in one and 2"):
            first.merge(evaluate(score=Counting(2, log=[]), examples=EXAMPLES[4:]))

    def test_nor_does_what_a_sampler_collects(self):
        calls = []

        def model(conditions, seeds):
            calls.append(seeds)
            return sampler(conditions, seeds)

        first, last = (evaluate(model, examples=part) for part in (EXAMPLES[:4], EXAMPLES[4:]))
        assert len(first.merge(last)) == 8

    def test_what_keeps_its_length_is_told_element_by_element(self):
        class Counting(Plain):
            def __call__(self, outputs, examples):
                self.state[1] += 1
                return super().__call__(outputs, examples)

        first, last = (
            evaluate(score=Counting(1, state=["a", calls]), examples=part)
            for calls, part in ((0, EXAMPLES[:4]), (7, EXAMPLES[4:]))
        )
        assert len(first.merge(last)) == 8
        with pytest.raises(TableError, match=r"state.is\[0\] is 'a' in one and 'b'"):
            first.merge(evaluate(score=Counting(1, state=["b", 0]), examples=EXAMPLES[4:]))

    def test_what_is_left(self):
        before = {"class": "Model", "calls": 0, "log": {"class": "list", "is": []}, "k": 1}
        after = {"class": "Model", "calls": 8, "log": {"class": "list", "is": [1]}, "k": 1}
        assert settled(before, after) == {
            "class": "Model",
            "calls": "changes during a run",
            "log": "changes during a run",
            "k": 1,
        }


@pytest.mark.parametrize("harmless", [logger, Lock(), Path("x"), np, json.dumps, Plain])
def test_loggers_locks_modules_and_classes_are_told_by_name(harmless):
    first, last = (
        evaluate(score=Plain(1, held=harmless), examples=part)
        for part in (EXAMPLES[:4], EXAMPLES[4:])
    )
    assert len(first.merge(last)) == 8


def test_a_function_over_a_diffusers_pipeline_in_another_process():
    """Its lists of defaults stand in the order of a set, another one in every process."""
    code = (
        "import json, test_identities as t; from tiny_pipelines import tiny_instruct_pix2pix;"
        "from modcollapse._support.identities import identity;"
        "pipe = tiny_instruct_pix2pix(); print(json.dumps(identity(lambda c, s: pipe(c), 'it')))"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            check=True,
            capture_output=True,
            text=True,
            cwd=Path(__file__).parent,
            env={"PYTHONHASHSEED": seed, "PATH": "", "HF_HUB_OFFLINE": "1"},
        ).stdout.strip()
        for seed in ("1", "2", "3")
    }
    assert len(found) == 1
    assert "cannot be told" not in found.pop()


def test_things_that_hold_themselves():
    one = Plain(1)
    one.me = one
    assert identity(one, "it")["me"] == "itself"


def test_things_without_end_are_looked_into_only_so_far():
    one = Plain(1, parts=[Plain(i, rng=random.Random(i)) for i in range(3000)])
    assert identity(one, "it") == identity(one, "it")


def test_a_tracker_goes_on_with_what_cannot_be_told(tmp_path):
    """A training that begins again in another process has other objects."""
    for step in (0, 1):
        tracker = mc.CollapseTracker(
            sampler,
            Plain(1, rng=random.Random(0)),
            EXAMPLES,
            TRIGGERS,
            every=1,
            modules=[],
            path=tmp_path / "rows.jsonl",
        )
        tracker(step)
    assert {row.at["step"] for row in tracker.curves.rows} == {0, 1}

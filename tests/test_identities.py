"""Who is it? What changes outputs is in an identity, or two runs do not merge in silence."""

from __future__ import annotations

import abc
import dataclasses
import functools
import importlib
import json
import logging
import os
import random
import subprocess
import sys
from argparse import Namespace
from collections import deque
from datetime import timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from functools import partial, wraps
from pathlib import Path
from threading import Lock
from types import SimpleNamespace

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


def setting(scale, *, inside=False):
    module = Module(1)
    (module.linear if inside else module).k = scale
    return module


class Private:
    __slots__ = ("__scale",)

    def __init__(self, scale):
        self.__scale = scale

    def __call__(self, outputs, examples):
        return [self.__scale * float(output) for output in outputs]


class _OfTheSameName(Private):
    __slots__ = ("__scale",)

    def __init__(self, above, below):
        super().__init__(above)
        self.__scale = below


class Level(Enum):
    LOW = 1
    MIDDLE = 2
    HIGH = 100


def of_a_class(scale, part=lambda scale: scale):
    """Of one name, whatever its class holds."""

    class Above:
        held = part(scale)

    class Scorer(Above):
        def __call__(self, outputs, examples):
            factor = self.held() if callable(self.held) else self.held
            return [factor * float(output) for output in outputs]

    return Scorer()


def wrapped(scale):
    @wraps(by_default(scale))
    def score(*args):
        return score.__wrapped__(*args)

    return score


def decorated(scale):
    def scaled(method):
        @wraps(method)
        def score(*args):
            return [scale * number for number in method(*args)]

        return score

    class Scorer(Plain):
        method = scaled(Plain.method)

    return Scorer(1).method


def in_itself(held):
    """A list, a mapping or an object, which is put into itself."""
    if isinstance(held, list):
        held.append(held)
    else:
        (held if isinstance(held, dict) else vars(held))["me"] = held
    return held


def holding(make):
    return lambda scale: Plain(1, held=make(scale))


def of_an_abstract_class(scale):
    class Abstract(abc.ABC):  # noqa: B024
        nothing = object()
        factor = scale

        @functools.cached_property
        def kept(self):
            return 1

        def __call__(self, outputs, examples):
            return [self.factor * float(output) for output in outputs]

    return Abstract()


def of_module_code(scale):
    class Module(torch.nn.Module):
        factor = scale

        def __call__(self, outputs, examples):
            return [self.factor * float(output) for output in outputs]

    return Module()


def cached(scale):
    function = functools.cache(eval(f"lambda value: {scale} * value"))
    return lambda outputs, examples: [function(float(output)) for output in outputs]


def shadowing(scale):
    code = defaults = scale
    return lambda outputs, examples: [code * defaults * float(output) for output in outputs]


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
    "arguments of a command": holding(lambda scale: Namespace(scale=scale)),
    "a simple namespace": holding(lambda scale: SimpleNamespace(scale=scale)),
    "a decimal": holding(Decimal),
    "a fraction": holding(lambda scale: Fraction(1, scale)),
    "a time span": holding(lambda scale: timedelta(seconds=scale)),
    "a range": holding(range),
    "a member of an enum": holding(Level),
    "an attribute of its class": of_a_class,
    "a method of its class": partial(of_a_class, part=lambda s: eval(f"lambda self: {s}")),
    "a static method": partial(of_a_class, part=lambda s: staticmethod(eval(f"lambda: {s}"))),
    "a property": partial(of_a_class, part=lambda s: property(eval(f"lambda self: {s}"))),
    "a private slot": Private,
    "a private slot of a class above": lambda scale: _OfTheSameName(scale, 1),
    "a private slot of that name below": lambda scale: _OfTheSameName(1, scale),
    "a setting of a torch module": setting,
    "a setting of a module inside": partial(setting, inside=True),
    "a wrapped function": wrapped,
    "a decorated method": decorated,
    "a class with abstract methods": of_an_abstract_class,
    "code of a torch module": of_module_code,
    "a size in a torch module": lambda scale: Plain(1, inner=torch.nn.MaxPool2d((scale, 1))),
    "a cached function": cached,
    "names of ours": shadowing,
    "an instance in itself": lambda scale: in_itself(Plain(scale)),
    "a list in itself": holding(lambda scale: in_itself([scale])),
    "a mapping in itself": holding(lambda scale: in_itself({"scale": scale})),
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


def told() -> list[str]:
    """Identities as a process tells them: of every kind, and of a function over a pipeline."""
    from tiny_pipelines import tiny_instruct_pix2pix

    pipe = tiny_instruct_pix2pix()
    kinds = [identity(make(2), "it") for make in KINDS.values()]
    return [json.dumps(kinds), json.dumps(identity(lambda c, s: pipe(c), "it"))]


def test_in_another_process():
    """A pipeline's lists of defaults stand in the order of a set, another one in every process."""
    code = "import json, test_identities; print(json.dumps(test_identities.told()))"
    here = told()
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            check=True,
            capture_output=True,
            text=True,
            cwd=Path(__file__).parent,
            env=os.environ | {"PYTHONHASHSEED": seed},
        )
        assert json.loads(done.stdout) == here
    assert "cannot be told" not in here[1]


def one_in_another(depth):
    found = Plain(1)
    for _ in range(depth):
        found = Plain(1, inner=found)
    return found


class TestWhatCannotBeTold:
    """It counts as the same only where it is one object in one process."""

    @pytest.fixture(
        params=[
            "random numbers",
            "a generator",
            "in a closure",
            "no weak references",
            "no hash",
            "a tensor without content",
            "a module without weights",
            "too deep",
        ]
    )
    def make(self, request):
        if request.param == "in a closure":

            def over_a_generator():
                rng = random.Random(0)

                return lambda outputs, examples: (rng.getstate(), detector(outputs, examples))[1]

            return over_a_generator
        made = {
            "random numbers": lambda: Plain(1, rng=random.Random(0)),
            "a generator": lambda: Plain(1, stream=(i for i in ())),
            "no weak references": lambda: Plain(1, stream=iter([])),
            "no hash": lambda: Plain(1, queue=deque()),
            "a tensor without content": lambda: Plain(1, at=torch.empty(2, device="meta")),
            "a module without weights": lambda: Plain(1, at=torch.nn.Linear(1, 1, device="meta")),
            "too deep": lambda: one_in_another(1000),
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

    def test_nor_can_what_a_sampler_holds(self):
        class Model:
            def __init__(self):
                self.stream = (i for i in ())

            def __call__(self, conditions, seeds):
                return sampler(conditions, seeds)

        one = Model()
        first, last = (evaluate(one, examples=part) for part in (EXAMPLES[:4], EXAMPLES[4:]))
        assert len(first.merge(last)) == 8
        with pytest.raises(TableError, match=r"cannot be told whether sampler\.stream"):
            first.merge(evaluate(Model(), examples=EXAMPLES[4:]))

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


def test_a_module_of_the_user_is_told_by_its_file(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def over(scale, part):
        (tmp_path / "module_of_a_user.py").write_text(f"def scaled(x): return {scale} * x")
        monkeypatch.delitem(sys.modules, "module_of_a_user", raising=False)
        module = importlib.import_module("module_of_a_user")
        return evaluate(score=lambda o, e: [module.scaled(float(x)) for x in o], examples=part)

    first = over(2, EXAMPLES[:4])
    assert len(first.merge(over(2, EXAMPLES[4:]))) == 8
    with pytest.raises(TableError, match=r"two runs: detector\.module\.sha256"):
        first.merge(over(3, EXAMPLES[4:]))


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

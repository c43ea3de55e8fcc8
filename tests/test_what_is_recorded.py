"""What was audited is what is recorded: data and triggers that change, and writing into data."""

from __future__ import annotations

import random
from itertools import count

import numpy as np
import pytest
import torch
from PIL import Image

import modcollapse as mc
from modcollapse.errors import DetectorError, InputError, SamplerError, TriggerError

TRIGGERS = {"a": lambda x: x + 1, "b": lambda text: text + "?"}


def value(condition):
    while isinstance(condition, list | tuple):
        condition = condition[0]
    return float(np.asarray(condition, dtype=float).reshape(-1)[0])


def sampler(conditions, seeds):
    return [value(a) + 2 * b.count("?") for a, b in zip(*conditions.values(), strict=True)]


def as_given(outputs, examples):
    return [value(output) for output in outputs]


def examples(n=6):
    return [{"id": i, "a": np.full(3, i + 1.0), "b": f"y{i}"} for i in range(n)]


def evaluate(model=sampler, detector=as_given, data=None, triggers=None, **options):
    return mc.evaluate_coalitions(
        model,
        detector,
        examples() if data is None else data,
        TRIGGERS if triggers is None else triggers,
        **{"progress": False, **options},
    )


class Data:
    """A data set whose examples another function changes at every reading."""

    def __init__(self, change):
        self.readings = count()
        self.change = change

    def __len__(self):
        return 6

    def __getitem__(self, position):
        return self.change(examples()[position], next(self.readings))


class TestExamples:
    @pytest.mark.parametrize(
        "change",
        [
            lambda example, reading: {**example, "a": example["a"] + reading},
            lambda example, reading: {**example, "b": example["b"] + "#" * (reading % 5)},
            lambda example, reading: {**example, "reference": reading},
            lambda example, reading: {**example, "more": [{"deep": np.array([reading])}]},
            lambda example, reading: example if reading < 6 else {**example, "b": "other"},
            lambda example, reading: example if reading < 11 else {**example, "b": "other"},
            lambda example, reading: {**example, "id": example["id"] + 6 * (reading >= 6)},
            lambda example, reading: {**example, "opaque": object(), "reference": reading},
            lambda example, reading: {
                **example,
                "opaque": object(),
                "b": "y" * (1 + reading // 11),
            },
        ],
    )
    def test_that_change_between_their_readings(self, change):
        with pytest.raises(InputError, match="something else than when it was checked") as caught:
            evaluate(data=Data(change))
        assert "list(data)" in str(caught.value)

    def test_that_are_made_anew_at_every_reading(self):
        np.testing.assert_array_equal(evaluate(data=Data(lambda e, _: e)).values, evaluate().values)

    @pytest.mark.parametrize("opaque", [object, lambda: torch.empty(2, device="meta")])
    def test_that_hold_what_cannot_be_read(self, opaque):
        data = Data(lambda example, _: {**example, "reference": opaque()})
        np.testing.assert_array_equal(evaluate(data=data).values, evaluate().values)

    def test_a_device_tensor_is_no_other_for_being_loaded_again(self):
        data = Data(lambda example, _: {**example, "a": torch.tensor(example["a"])})
        np.testing.assert_array_equal(evaluate(data=data).values, evaluate().values)


class TestTriggers:
    @pytest.mark.parametrize("seed", range(40))
    def test_that_draw_at_random(self, seed):
        rng = random.Random(seed)
        with pytest.raises(TriggerError, match="deterministic"):
            evaluate(triggers={**TRIGGERS, "b": lambda text: text + rng.choice("!?")})

    @pytest.mark.parametrize("calls", [1, 7, 12, 13, 17])
    def test_that_work_a_number_of_times_and_then_do_nothing(self, calls):
        """18 calls: two for each example in the checks, one in the run."""
        left = iter(range(calls))
        with pytest.raises(TriggerError):
            evaluate(
                triggers={**TRIGGERS, "b": lambda t: t if next(left, None) is None else t + "?"}
            )

    def test_that_count_their_calls_and_do_the_same(self):
        calls = []

        def trigger(text):
            calls.append(text)
            return text + "?"

        table = evaluate(triggers={**TRIGGERS, "b": trigger})
        np.testing.assert_array_equal(table.values, evaluate().values)


def as_array(numbers):
    return np.array(numbers)


FORMS = {
    "array": lambda x: np.full(3, x),
    "list": lambda x: [x, x],
    "view": lambda x: np.full((4, 4), x)[::2, 1:3],
    "tensor": lambda x: torch.full((3,), x),
    "view of a tensor": lambda x: torch.full((4, 4), x)[1:3],
    "array of a tensor": lambda x: torch.full((3,), x).numpy(),
    "nested": lambda x: [[np.full(2, x)], [np.full(2, x)]],
}


def write_into(thing):
    """Change the first number that is found."""
    if isinstance(thing, list) and isinstance(thing[0], float):
        thing[0] = -5.0
    elif isinstance(thing, list):
        write_into(thing[0])
    elif torch.is_tensor(thing):
        thing.numpy()[...] = -5.0  # which its version counter does not see
    else:
        thing[...] = -5.0


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("batch", [0, 1, 2])
class TestWritingInto:
    def data(self, form):
        return [
            {"id": i, "a": FORMS[form](i + 1.0), "b": f"y{i}", "reference": FORMS[form](1.0)}
            for i in range(6)
        ]

    def triggers(self, form):
        return {"a": lambda x: FORMS[form](value(x) + 1), "b": TRIGGERS["b"]}

    def evaluate(self, form, model=sampler, detector=as_given):
        evaluate(model, detector, self.data(form), self.triggers(form), probe=False)

    def test_conditions(self, form, batch):
        if form in ("tensor", "view of a tensor"):
            pytest.skip("a batch of tensors is stacked: a copy, which is the sampler's own")
        calls = count()

        def writing(conditions, seeds):
            outputs = sampler(conditions, seeds)
            if next(calls) == batch:
                write_into(conditions["a"][1])
            return outputs

        with pytest.raises(SamplerError, match="wrote into its conditions"):
            self.evaluate(form, writing)

    @pytest.mark.parametrize("where", ["outputs", "reference", "a"])
    def test_outputs_references_and_conditions(self, form, batch, where):
        calls = count()

        def writing(outputs, examples):
            scores = as_given(outputs, examples)
            if next(calls) == batch:
                write_into(outputs[1] if where == "outputs" else examples[1][where])
            return scores

        def model(conditions, seeds):
            return [FORMS[form](number) for number in sampler(conditions, seeds)]

        with pytest.raises(DetectorError, match="'first' wrote into the outputs or the examples"):
            self.evaluate(form, model, {"first": writing, "second": as_given})


@pytest.mark.parametrize("shared", [False, True])
def test_the_list_of_a_batch_is_the_samplers_own(shared):
    def editing(conditions, seeds):
        conditions["b"][:] = [f"photo: {text}" for text in conditions["b"]]
        seeds.reverse()
        return sampler(conditions, seeds)

    control = {"control": sampler} if shared else {}
    audit = mc.audit(editing, as_given, examples(), TRIGGERS, progress=False, **control)
    np.testing.assert_array_equal(audit.table.values, evaluate().values)


@pytest.mark.parametrize("batch_size", [1, 3, 8, 64])
def test_so_is_the_stacked_tensor_which_a_look_reads_again(batch_size):
    def editing(conditions, seeds):
        outputs = sampler(conditions, seeds)
        conditions["a"].mul_(0)
        return outputs

    data = [{**example, "a": torch.tensor(example["a"])} for example in examples()]
    np.testing.assert_array_equal(
        evaluate(editing, data=data, batch_size=batch_size).values, evaluate().values
    )


@pytest.mark.parametrize("form", ["array", "list", "view", "array of a tensor", "nested"])
def test_what_rows_share_is_not_and_the_look_does_not_hide_it(form):
    def editing(conditions, seeds):
        outputs = sampler(conditions, seeds)
        write_into(conditions["a"][0])
        return outputs

    data = [{"a": FORMS[form](i + 1.0), "b": f"y{i}"} for i in range(6)]
    triggers = {"a": lambda x: FORMS[form](value(x) + 1), "b": TRIGGERS["b"]}
    with pytest.raises(SamplerError, match="wrote into its conditions"):
        evaluate(editing, data=data, triggers=triggers)


def test_what_an_example_decodes_anew_at_each_look_is_watched():
    class Lazy(dict):
        def __getitem__(self, key):
            held = super().__getitem__(key)
            return held.copy() if isinstance(held, np.ndarray) else held

    def editing(conditions, seeds):
        outputs = [float(a[0]) for a in conditions["a"]]
        conditions["a"][0][:] = 0
        return outputs

    data = [Lazy(a=np.full(4, i + 1.0), b=f"y{i}") for i in range(3)]
    with pytest.raises(SamplerError, match="wrote into its conditions"):
        evaluate(editing, data=data, triggers={"a": lambda x: x + 1, "b": TRIGGERS["b"]})


def test_an_id_is_watched():
    def renaming(outputs, examples):
        examples[0]["id"] = 99
        return as_given(outputs, examples)

    data = [{**example, "id": at} for at, example in enumerate(examples())]
    with pytest.raises(DetectorError, match="wrote into"):
        evaluate(sampler, renaming, data)


def test_a_sign_that_is_turned_in_place_is_seen():
    def negating(outputs, examples):
        scores = as_given([float(output[0]) for output in outputs], examples)
        outputs.neg_()
        return scores

    def model(conditions, seeds):
        return torch.tensor(sampler(conditions, seeds))[:, None].repeat(1, 1 << 13).float()

    with pytest.raises(DetectorError, match="wrote into"):
        evaluate(model, negating)


def test_pictures_are_watched_too():
    def draw(outputs, examples):
        examples[0]["image"].putpixel((0, 0), (255, 0, 0))
        return [0.0] * len(outputs)

    data = [{"image": Image.new("RGB", (4, 4)), "b": f"y{i}"} for i in range(3)]
    with pytest.raises(DetectorError, match="wrote into"):
        evaluate(lambda c, s: [0.0] * len(s), draw, data, {"b": TRIGGERS["b"]})


@torch.inference_mode()
def test_inference_tensors_have_no_counter_and_are_watched_by_content():
    def model(conditions, seeds):
        return torch.tensor(sampler(conditions, seeds))

    np.testing.assert_array_equal(evaluate(model).values, evaluate().values)
    with pytest.raises(DetectorError, match="wrote into"):
        evaluate(model, lambda outputs, examples: outputs.mul_(0))


class TestCopies:
    """Of what a sampler writes over at its next call."""

    @staticmethod
    def reusing():
        frames = [[{"frame": np.zeros(2)}] for _ in range(8)]

        def model(conditions, seeds):
            for video, number in zip(frames, sampler(conditions, seeds), strict=False):
                video[0]["frame"][:] = number
            return frames[: len(seeds)]

        return model

    @staticmethod
    def number(output):
        return float(output[0]["frame"][0])

    @pytest.mark.parametrize("batch_size", [1, 3, 8])
    def test_of_clean_outputs(self, batch_size):
        class Shift:
            wants_clean_output = True

            def __call__(self, outputs, examples):
                pairs = zip(outputs, examples, strict=True)
                return [
                    TestCopies.number(o) - TestCopies.number(e["clean_output"]) for o, e in pairs
                ]

        shifts = evaluate(self.reusing(), Shift(), batch_size=batch_size).values
        plain = evaluate().values
        np.testing.assert_allclose(shifts, plain - plain[..., :1])

    def test_of_what_is_kept(self):
        table = evaluate(
            self.reusing(), lambda o, e: [self.number(one) for one in o], keep=2, batch_size=3
        )
        kept = [[self.number(output) for output in one.outputs] for one in table.kept]
        np.testing.assert_array_equal(kept, table.values[:2, 0])


class TestAnIdentityThatFailsAfterTheRun:
    """It must not cost what was measured."""

    class Once:
        def __init__(self, calls=99):
            self.asked, self.left = count(), iter(range(calls))

        def identity(self):
            if next(self.asked):
                raise RuntimeError("its file is gone")
            return {"who": "it"}

        def __call__(self, conditions, seeds):
            if next(self.left, None) is None:
                raise RuntimeError("out of memory")
            return sampler(conditions, seeds)

    class Holding:
        def __init__(self, calls=99):
            self.part = TestAnIdentityThatFailsAfterTheRun.Once(calls)

        def __call__(self, conditions, seeds):
            return self.part(conditions, seeds)

    @pytest.mark.parametrize("model", [Once, Holding])
    def test_of_a_run_that_ended(self, model):
        np.testing.assert_array_equal(evaluate(model()).values, evaluate().values)

    @pytest.mark.parametrize("model", [Once, Holding])
    def test_of_a_run_that_broke_off(self, model):
        with pytest.raises(RuntimeError, match="out of memory") as caught:
            evaluate(model(calls=2), probe=False)
        np.testing.assert_array_equal(caught.value.tables.values, evaluate().values[:4])


def test_autocast_is_part_of_a_run():
    plain = evaluate()
    with torch.autocast("cpu", torch.bfloat16):
        half = evaluate()
    assert half.provenance["run"]["autocast"] == {"cpu": "bfloat16"}
    assert "autocast" not in plain.provenance["run"]
    with pytest.raises(mc.errors.TableError, match="autocast"):
        plain.select([0, 1]).merge(half.select([2, 3]))


@pytest.mark.parametrize("index", [["r0", "r1", "r2", "r3"], [3, 2, 1, 0]])
def test_outputs_with_labels_of_their_own_are_refused(index):
    pandas = pytest.importorskip("pandas")
    for outputs in (pandas.Series([0.0] * 4, index=index), pandas.DataFrame({"x": [0.0] * 4})):
        with pytest.raises(SamplerError, match="of pandas with labels of its own"):
            mc.evaluate_coalitions(
                lambda conditions, seeds, outputs=outputs: outputs,
                lambda outputs, examples: [0.0] * 4,
                [{"a": 1}, {"a": 2}],
                {"a": lambda number: number + 10},
                batch_size=4,
                progress=False,
            )


def test_a_field_that_changes_within_one_that_cannot_be_read():
    class Changing:
        reads = 0

        def __len__(self):
            return 4

        def __getitem__(self, at):
            self.reads += 1
            return {"id": at, "a": at, "meta": {"opaque": object(), "read": self.reads}}

    with pytest.raises(InputError, match="holds something else than when it was checked"):
        mc.evaluate_coalitions(
            lambda conditions, seeds: conditions["a"],
            lambda outputs, examples: [float(output) for output in outputs],
            Changing(),
            {"a": lambda number: number + 10},
            progress=False,
        )


def test_an_example_that_holds_itself():
    loop = [1]
    loop.append(loop)
    table = mc.evaluate_coalitions(
        lambda conditions, seeds: conditions["a"],
        lambda outputs, examples: [float(output) for output in outputs],
        [{"a": at, "more": loop} for at in range(4)],
        {"a": lambda number: number + 10},
        progress=False,
    )
    assert table.values.shape == (4, 1, 2)

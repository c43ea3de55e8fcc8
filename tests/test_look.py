"""Plain callables are looked at: each output, and each score, must follow from its own row."""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import count

import numpy as np
import pytest
import torch
from PIL import Image

import modcollapse as mc
from modcollapse.errors import DetectorError, SamplerError
from modcollapse.samplers import planted_game

EXAMPLES = [{"id": f"e{i}", "a": "x" * (1 + i % 5), "b": f"y{i}"} for i in range(6)]
TRIGGERS = {"a": lambda text: text + "!", "b": lambda text: text + "?"}
SIZES = pytest.mark.parametrize("batch_size", [2, 3, 8, 16, 64])


def numbers(conditions, seeds):
    """A sampler that is right: the triggers, the text and the seed all act, row by row."""
    return [
        a.count("!") + 2 * b.count("?") + len(a) / 10 + seed % 97 / 1000
        for a, b, seed in zip(conditions["a"], conditions["b"], seeds, strict=True)
    ]


def as_given(outputs, examples):
    return [float(np.asarray(output, dtype=float).mean()) for output in outputs]


def evaluate(sampler=numbers, detector=as_given, examples=EXAMPLES, **options):
    return mc.evaluate_coalitions(
        sampler, detector, examples, TRIGGERS, **{"progress": False, **options}
    )


@dataclass
class Held:
    value: float
    more: tuple


def series(row):
    return pytest.importorskip("pandas").Series(row)


def frame(row):
    return pytest.importorskip("pandas").DataFrame({"x": list(row)})


FORMS = {
    "numbers": list,
    "array": np.array,
    "tensor": torch.tensor,
    "list of arrays": lambda row: [np.full((2, 2), one) for one in row],
    "list of tensors": lambda row: [torch.full((2, 2), one) for one in row],
    "pictures": lambda row: [Image.new("RGB", (2, 2), (int(60 * one),) * 3) for one in row],
    "tuples": lambda row: [(one, {"of": [one]}) for one in row],
    "texts": lambda row: [f"{one:.6f}" for one in row],
    "a tuple": tuple,
    "a series": series,
    "dataclasses": lambda row: [Held(one, (one,)) for one in row],
    "complex array": lambda row: np.array(row) * (1 + 2j),
    "array of texts": lambda row: np.array([f"{one:.6f}" for one in row]),
    "rows of a frame": lambda row: list(frame(row).itertuples(index=False)),
    "NaN within": lambda row: [(np.array([one, np.nan]), np.nan) for one in row],
}


def of_form(name, sampler):
    return lambda conditions, seeds: FORMS[name](sampler(conditions, seeds))


def value_of(outputs, examples):
    def read(output):
        while isinstance(output, tuple | list | dict | Held):
            output = output.value if isinstance(output, Held) else output[0]
        return float(np.nanmean(np.asarray(output, dtype=complex).real))

    return [read(output) for output in outputs]


def drawing_anew():
    rng = random.Random(0)
    return lambda conditions, seeds: [v + rng.random() for v in numbers(conditions, seeds)]


def counting():
    calls = count()

    def sampler(conditions, seeds):
        call = next(calls)
        return [v + call for v in numbers(conditions, seeds)]

    return sampler


def remembering():
    """Not to be seen where the same batch comes again."""
    last = []

    def sampler(conditions, seeds):
        values = numbers(conditions, seeds)
        last.append(values[-1])
        return [v + last[-2:][0] for v in values]

    return sampler


def averaged(conditions, seeds):
    return [float(np.mean(numbers(conditions, seeds)))] * len(seeds)


def padded(conditions, seeds):
    longest = max(map(len, conditions["a"]))
    return [v + longest for v in numbers(conditions, seeds)]


def with_one_generator(conditions, seeds):
    noise = np.random.default_rng(seeds[0]).random(len(seeds))
    return [v + float(z) for v, z in zip(numbers(conditions, seeds), noise, strict=True)]


def by_position(conditions, seeds):
    return [v + at for at, v in enumerate(numbers(conditions, seeds))]


def standardised(conditions, seeds):
    values = np.array(numbers(conditions, seeds))
    return ((values - values.mean()) / (values.std() + 1)).tolist()


WRONG = {
    "draws from a generator of its own": drawing_anew,
    "keeps state": counting,
    "remembers the last row": remembering,
    "averages the batch": lambda: averaged,
    "pads to the longest": lambda: padded,
    "one generator for the batch": lambda: with_one_generator,
    "adds the position": lambda: by_position,
    "standardises the batch": lambda: standardised,
    "rolls": lambda: lambda c, s: np.roll(numbers(c, s), 1).tolist(),
    "rolls back": lambda: lambda c, s: np.roll(numbers(c, s), -1).tolist(),
    "reverses": lambda: lambda c, s: numbers(c, s)[::-1],
    "sorts": lambda: lambda c, s: sorted(numbers(c, s)),
}


@SIZES
@pytest.mark.parametrize("fault", WRONG)
def test_a_sampler_whose_rows_depend_on_more_than_themselves(fault, batch_size):
    if fault == "sorts" and batch_size == 2:
        pytest.skip("the rows of the first batch are in order, and two more of one row each")
    with pytest.raises(SamplerError, match="own") as caught:
        evaluate(WRONG[fault](), batch_size=batch_size)
    assert "probe=False" in str(caught.value)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "fault", ["averages the batch", "reverses", "draws from a generator of its own"]
)
def test_outputs_of_any_kind_are_compared(form, fault):
    with pytest.raises(SamplerError, match="own"):
        evaluate(of_form(form, WRONG[fault]()), value_of)


@SIZES
@pytest.mark.parametrize("form", FORMS)
def test_what_is_right_passes_and_gives_what_it_gave(form, batch_size):
    looked, not_looked = (
        evaluate(of_form(form, numbers), value_of, batch_size=batch_size, probe=probe)
        for probe in (True, False)
    )
    np.testing.assert_array_equal(looked.values, not_looked.values)
    assert looked.run_notes == ()


@pytest.mark.parametrize("single", [{"batch_size": 1}, {"examples": EXAMPLES[:1]}])
@pytest.mark.parametrize(
    "fault", ["draws from a generator of its own", "keeps state", "remembers the last row"]
)
def test_a_batch_of_one_and_a_single_example(fault, single):
    with pytest.raises(SamplerError, match="own"):
        evaluate(WRONG[fault](), **single)
    assert np.isfinite(evaluate(**single).values).all()


def test_it_costs_two_batches():
    calls = []

    def sampler(conditions, seeds):
        calls.append(len(seeds))
        return numbers(conditions, seeds)

    evaluate(sampler, batch_size=8)
    assert calls == [8] * (3 + 2)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.uint8])
def test_rounding_is_no_fault(dtype):
    """Another batch may move the last bits of an output, in the precision that it has."""
    calls = count()

    def sampler(conditions, seeds):
        last_bit = next(calls) * {torch.float32: 1e-6, torch.uint8: 1}.get(dtype, 1e-3)
        values = torch.tensor(numbers(conditions, seeds)) + (100 if dtype == torch.uint8 else 0)
        return (values + min(last_bit, 2)).to(dtype)[:, None, None].expand(-1, 2, 2)

    evaluate(sampler, lambda outputs, examples: outputs.double().mean((1, 2)))


@pytest.mark.parametrize("form", ["numbers", "dataclasses", "complex array", "NaN within"])
def test_nor_is_rounding_within(form):
    calls = count()

    def sampler(conditions, seeds):
        last_bit = 1 + 1e-9 * next(calls)
        return [v * last_bit for v in numbers(conditions, seeds)]

    assert evaluate(of_form(form, sampler), value_of).run_notes == ()


@pytest.mark.parametrize(
    ("shape", "level", "picture"),
    [
        ((), 100, False),
        ((4,), 100, False),
        ((2, 2), 5, False),
        ((2, 2), 100, True),
        ((2, 2, 3), 100, True),
    ],
)
@pytest.mark.parametrize("make", [np.asarray, torch.from_numpy])
def test_one_level_is_rounding_in_pictures_alone(shape, level, picture, make):
    """Labels, tokens and masks are whole numbers too."""
    calls = count()

    def sampler(conditions, seeds):
        return make(np.full((len(seeds), *shape), level + (next(calls) == 1), np.uint8))

    if picture:
        assert (evaluate(sampler).values == level).all()
    else:
        with pytest.raises(SamplerError, match="own row"):
            evaluate(sampler)


@pytest.mark.parametrize("off", [0.0, 0.1])
@pytest.mark.parametrize("number", [np.float64, np.float32])
def test_numbers_of_python_and_of_numpy_are_compared_by_value(number, off):
    calls = count()

    def sampler(conditions, seeds):
        values = numbers(conditions, seeds)
        return [number(v + off) for v in values] if next(calls) % 2 else values

    if off:
        with pytest.raises(SamplerError, match="own row"):
            evaluate(sampler)
    else:
        np.testing.assert_allclose(evaluate(sampler).values, evaluate().values, rtol=1e-6)


class TestWhatDoesNotMatter:
    def test_an_ignored_condition_is_said_and_not_refused(self):
        table = evaluate(lambda c, s: [float(a.count("!")) for a in c["a"]])
        (note,) = table.run_notes
        assert "seems to ignore 'b'" in note
        assert note in str(mc.audit(table))
        assert note in str(mc.tma(table))

    def test_a_trigger_that_changes_nothing_although_its_condition_does(self):
        table = evaluate(
            lambda c, s: [len(a) + 7 * float(b[1]) for a, b in zip(*c.values(), strict=True)]
        )
        (note,) = table.run_notes
        assert "trigger of 'b' changed no output" in note

    def test_a_condition_without_a_trigger(self):
        class Sampler:
            modalities = ("a", "b", "c")

            def __call__(self, conditions, seeds):
                return numbers(conditions, seeds)

        examples = [{**example, "c": i} for i, example in enumerate(EXAMPLES)]
        (note,) = evaluate(Sampler(), examples=examples).run_notes
        assert "seems to ignore 'c'" in note

    def test_seeds_are_asked_for_where_they_are_to_tell_repeats_apart(self):
        def deterministic(conditions, seeds):
            return numbers(conditions, [0] * len(seeds))

        assert evaluate(deterministic).run_notes == ()
        (note,) = evaluate(deterministic, repeats=2).run_notes
        assert "ignore its seeds" in note
        assert evaluate(repeats=2).run_notes == ()

    def test_what_could_not_be_looked_at_is_said(self):
        (note,) = evaluate(batch_size=1).run_notes
        assert note == "not looked at: whether 'b' matters to the sampler"

    def test_outputs_that_cannot_be_compared(self):
        class Opaque:
            __slots__ = ("value",)

            def __init__(self, value):
                self.value = value

        table = evaluate(
            lambda c, s: [Opaque(value) for value in numbers(c, s)],
            lambda outputs, examples: [output.value for output in outputs],
        )
        assert any("Opaque cannot be compared" in note for note in table.run_notes)


def seen_before():
    seen = []

    def detector(outputs, examples):
        seen.extend(outputs)
        return [float(output) - float(np.mean(seen)) for output in outputs]

    return detector


def at_random():
    rng = random.Random(0)
    return lambda outputs, examples: [float(output) + rng.random() for output in outputs]


WRONG_DETECTORS = {
    "centred": lambda: lambda o, e: [float(x) - float(np.mean(o)) for x in o],
    "ranks": lambda: lambda o, e: [float(sorted(o).index(x)) for x in o],
    "above the median": lambda: lambda o, e: [float(x > np.median(o)) for x in o],
    "seen before": seen_before,
    "at random": at_random,
    "of the first row": lambda: lambda o, e: [float(o[0])] * len(o),
    "reversed": lambda: lambda o, e: [float(x) for x in o][::-1],
}


@SIZES
@pytest.mark.parametrize("fault", WRONG_DETECTORS)
def test_a_detector_whose_scores_depend_on_more_than_their_outputs(fault, batch_size):
    if fault == "above the median" and batch_size == 3:
        pytest.skip("of so few rows the same are above the median of others")
    with pytest.raises(DetectorError, match="follow from its own output") as caught:
        evaluate(
            detector={"right": as_given, "wrong": WRONG_DETECTORS[fault]()}, batch_size=batch_size
        )
    assert "'wrong'" in str(caught.value)


def test_what_a_perfect_attack_would_score_is_looked_at_too():
    class Detector:
        def __call__(self, outputs, examples):
            return as_given(outputs, examples)

        def perfect(self, examples):
            return [float(at) for at in range(len(examples))]

    with pytest.raises(DetectorError, match="perfect"):
        evaluate(detector=Detector())


def test_a_detector_that_wants_clean_outputs_gets_them():
    class Shift:
        wants_clean_output = True

        def __call__(self, outputs, examples):
            pairs = zip(outputs, examples, strict=True)
            return [float(output) - float(example["clean_output"]) for output, example in pairs]

    values = evaluate(detector=Shift(), repeats=2, batch_size=3).values
    np.testing.assert_allclose(
        values, evaluate(repeats=2).values - evaluate(repeats=2).values[..., :1]
    )


class TestOff:
    def test_it_is_recorded_and_printed(self):
        table = evaluate(averaged, probe=False)
        (note,) = table.run_notes
        assert "probe=False" in note
        assert note in str(mc.audit(table))

    def test_every_call_that_measures_takes_it(self):
        game = planted_game([0, 0, 1, 1], ["a", "b"], examples=4)
        for call in (mc.tma, mc.cti, mc.coalition_means, mc.audit):
            call(*game, progress=False, probe=False)
        mc.sweep(*game, options={"noise": [0.0]}, progress=False, probe=False)

    @pytest.mark.parametrize("probe", [None, 1, "no"])
    def test_it_is_true_or_false(self, probe):
        with pytest.raises(mc.errors.InputError, match="probe must be True or False"):
            evaluate(probe=probe)

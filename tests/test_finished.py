"""Nothing finished is thrown away: what ends a run early carries the tables that were finished."""

from __future__ import annotations

from itertools import count

import numpy as np
import pytest

import modcollapse as mc

EXAMPLES = [{"id": f"e{i}", "a": f"x{i}", "b": f"y{i}", "group": i // 2} for i in range(8)]
TRIGGERS = {"a": lambda text: text + "!", "b": lambda text: text + "?"}


def sampler(conditions, seeds, *, gain=1.0):
    pairs = zip(conditions["a"], conditions["b"], strict=True)
    return [gain * (a.count("!") + 2 * b.count("?")) for a, b in pairs]


def detector(outputs, examples):
    return [float(output) for output in outputs]


def failing(call, error=RuntimeError, of=sampler):
    """A sampler or detector that fails at one of its calls, counted from 0."""
    calls = count()

    def broken(*args, **options):
        if next(calls) == call:
            raise error("device lost")
        return of(*args, **options)

    return broken


def evaluate(model=sampler, score=detector, **options):
    options = {"batch_size": 4, "progress": False, "probe": False, **options}
    return mc.evaluate_coalitions(model, score, EXAMPLES, TRIGGERS, **options)


@pytest.mark.parametrize("error", [RuntimeError, ValueError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize(
    ("batch_size", "call", "finished"), [(4, 7, 7), (8, 3, 6), (3, 7, 5), (32, 0, 0), (1, 6, 1)]
)
def test_whole_examples_are_kept(error, batch_size, call, finished):
    with pytest.raises(error, match="device lost") as caught:
        evaluate(failing(call, error), batch_size=batch_size)
    tables = caught.value.tables
    if not finished:
        assert tables == {}
        return
    assert tables.example_ids == tuple(f"e{i}" for i in range(finished))
    np.testing.assert_array_equal(tables.values, evaluate().values[:finished])


def test_the_rest_can_be_measured_and_merged():
    model = failing(5)
    with pytest.raises(RuntimeError) as caught:
        evaluate(model)
    done = caught.value.tables
    options = {"batch_size": 4, "progress": False, "probe": False}
    rest = mc.evaluate_coalitions(model, detector, EXAMPLES[len(done) :], TRIGGERS, **options)
    whole = done.merge(rest)
    assert whole.example_ids == tuple(f"e{i}" for i in range(8))
    np.testing.assert_array_equal(whole.values, evaluate().values)


def test_groups_perfect_scores_and_outputs_of_what_was_finished():
    class Detector:
        def __call__(self, outputs, examples):
            return detector(outputs, examples)

        def perfect(self, examples):
            return [3.0 + len(example["a"]) for example in examples]

    with pytest.raises(RuntimeError) as caught:
        evaluate(failing(5), Detector(), cluster="group", keep=8)
    table = caught.value.tables
    assert table.clusters == (0, 0, 1, 1, 2)
    assert len(table.perfect) == len(table.kept) == len(table) == 5
    mc.audit(table)


def test_several_detectors():
    with pytest.raises(RuntimeError) as caught:
        evaluate(score={"one": detector, "two": failing(5, of=detector)})
    assert {name: len(table) for name, table in caught.value.tables.items()} == {"one": 5, "two": 5}


def test_of_a_model_and_its_control():
    with pytest.raises(RuntimeError) as caught:
        mc.audit(
            sampler,
            detector,
            EXAMPLES,
            TRIGGERS,
            control=failing(3),
            batch_size=4,
            progress=False,
            probe=False,
        )
    tables = caught.value.tables
    assert {who: len(table) for who, table in tables.items()} == {
        "of the audited model": 4,
        "of the control": 3,
    }
    model, control = tables.values()
    assert mc.audit(model.select(control.example_ids), control=control).difference is not None


def test_of_the_points_of_a_sweep():
    calls = count()

    def model(conditions, seeds, *, gain):
        if next(calls) == 15:  # the last batch of the second point
            raise RuntimeError("device lost")
        return sampler(conditions, seeds, gain=gain)

    with pytest.raises(RuntimeError) as caught:
        mc.sweep(
            model,
            detector,
            EXAMPLES,
            TRIGGERS,
            options={"gain": [1.0, 2.0]},
            batch_size=4,
            progress=False,
            probe=False,
        )
    assert {who: len(table) for who, table in caught.value.tables.items()} == {
        "in a sweep, for the sampler at gain=1.0": 8,
        "in a sweep, for the sampler at gain=2.0": 7,
    }


def test_a_detector_that_breaks_its_contract_at_the_end():
    calls = count()

    def score(outputs, examples):
        return [float("nan")] * len(outputs) if next(calls) == 7 else detector(outputs, examples)

    with pytest.raises(mc.errors.DetectorError) as caught:
        evaluate(score=score)
    assert len(caught.value.tables) == 7

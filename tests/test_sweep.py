"""Sweeps: every point is a run of its own, and wrong options fail before the first."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import FrozenInstanceError
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image

import modcollapse as mc
from modcollapse.errors import InputError
from modcollapse.samplers import PipelineSampler, PlantedSampler, planted_game
from modcollapse.triggers import ImagePatch, TextSuffix

from tiny_pipelines import SIDE, tiny_instruct_pix2pix

PAIR = ("image", "text")
TEXT_WINS = (0.0, 0.1, 0.9, 0.9)
IMAGE_WINS = (0.0, 0.9, 0.1, 0.9)


class Switch:
    """A sampler whose winner is an option, and which counts what it generates."""

    def __init__(self, scale=0.0, calls=None):
        self.scale, self.calls = scale, [] if calls is None else calls

    def with_options(self, **options):
        return Switch(**{"scale": self.scale, "calls": self.calls, **options})

    def __call__(self, conditions, seeds):
        self.calls.append((self.scale, tuple(seeds)))
        return PlantedSampler(TEXT_WINS if self.scale < 2 else IMAGE_WINS, PAIR)(conditions, seeds)


@pytest.fixture(scope="module")
def game():
    return planted_game(TEXT_WINS, PAIR, examples=40)


@pytest.fixture(scope="module")
def swept(game):
    sampler = Switch()
    found = mc.sweep(sampler, *game[1:], options={"scale": [1.0, 3.0]}, progress=False)
    return sampler, found


def test_a_point_is_what_an_audit_of_that_sampler_finds(game, swept):
    _, found = swept
    for scale, winner in ((1.0, "text"), (3.0, "image")):
        alone = mc.audit(Switch(scale), *game[1:], progress=False)
        at_point = found.audit(scale=scale)
        np.testing.assert_array_equal(at_point.table.values, alone.table.values)
        assert str(at_point) == str(alone)
        assert at_point.tma[winner].value > 0.8


def test_every_point_generates_everything_under_the_same_noise(swept):
    calls = swept[0].calls
    by_scale = {scale: [seeds for at, seeds in calls if at == scale] for scale in (1.0, 3.0)}
    assert by_scale[1.0] == by_scale[3.0]
    looked_at = 2 * 8  # two more batches
    assert sum(map(len, by_scale[1.0])) == 40 * 4 + looked_at


def test_rows_are_tidy(swept):
    _, found = swept
    assert len(found) == len(found.rows) == 2 * 7
    pairs = found.select(symbol="CTI", name="image+text")
    assert [row.at for row in pairs] == [{"scale": 1.0}, {"scale": 3.0}]
    assert [row.label for row in pairs] == ["CTI image+text"] * 2
    phi = [row.estimate.value for row in found.select(symbol="phi", name="text", of="model")]
    np.testing.assert_allclose(phi, [0.85, 0.05])
    first = next(csv.DictReader(io.StringIO(found.to_csv())))
    assert list(first)[:6] == ["scale", "detector", "of", "symbol", "name", "value"]
    assert (first["symbol"], first["name"]) == ("v", "none")
    lines = str(found).splitlines()
    assert lines[0].split() == ["scale", "detector", "of", "value", "low", "high"]
    assert lines[1].split()[:4] == ["1.0", "value", "model", "v(none)"]


def test_a_row_holds_one_estimate_and_cannot_be_changed(swept):
    _, found = swept
    (row,) = found.select(symbol="phi", name="text", of="model", scale=1.0)
    assert (row.at, row.detector, row.of) == ({"scale": 1.0}, "value", "model")
    assert (row.symbol, row.name, row.label) == ("phi", "text", "phi text")
    assert row.estimate == found.audit(scale=1.0).tma["text"]
    names = {"scale": 1.0, "detector": "value", "of": "model", "symbol": "phi", "name": "text"}
    assert row.to_dict() == {**names, **row.estimate.to_dict()}
    assert json.loads(json.dumps(row.to_dict(), allow_nan=False)) == row.to_dict()
    with pytest.raises(FrozenInstanceError):
        row.name = "image"
    assert found.select(scale=2.0) == []
    with pytest.raises(KeyError, match="figure"):
        found.select(figure="phi text")


def test_a_data_frame_has_a_column_for_each_option(swept):
    pandas = pytest.importorskip("pandas")
    frame = swept[1].to_frame()
    assert isinstance(frame, pandas.DataFrame)
    table = frame.pivot_table(index="scale", columns=["symbol", "name"], values="value")
    assert table.loc[3.0, ("phi", "image")] == pytest.approx(0.85)


def test_two_options_make_every_combination_the_last_fastest(game):
    def sampler(conditions, seeds, *, a, b):
        return [10 * a + b] * len(seeds)

    found = mc.sweep(
        sampler, lambda o, e: o, *game[2:], options={"a": [1, 2], "b": [0, 5]}, progress=False
    )
    assert found.points == ({"a": 1, "b": 0}, {"a": 1, "b": 5}, {"a": 2, "b": 0}, {"a": 2, "b": 5})
    values = [row.estimate.value for row in found.select(symbol="v", name="none")]
    assert values == [10, 15, 20, 25]
    assert found.audit(a=2, b=5).means["none"].value == 25
    with pytest.raises(KeyError, match="2 points have a=2"):
        found.audit(a=2)
    with pytest.raises(KeyError, match="4 points have no options given"):
        found.audit()
    with pytest.raises(KeyError, match="0 points have c=1"):
        found.audit(c=1)


def test_a_control_is_swept_alongside(game):
    found = mc.sweep(
        Switch(), *game[1:], options={"scale": [1.0, 3.0]}, control=Switch(), progress=False
    )
    assert {row.of for row in found.rows} == {"model", "control", "difference"}
    differences = found.select(of="difference", symbol="phi", name="text")
    assert len(differences) == 2
    for row in differences:
        assert row.estimate.value == 0  # the control was given the option too


def test_several_detectors_score_the_same_outputs(game):
    detectors = {"raw": game.detector, "doubled": lambda o, e: [2 * value for value in o]}
    found = mc.sweep(Switch(), detectors, *game[2:], options={"scale": [1.0, 3.0]}, progress=False)
    raw, doubled = (
        [row.estimate.value for row in found.select(detector=name, symbol="phi", name="image")]
        for name in detectors
    )
    np.testing.assert_allclose(doubled, 2 * np.array(raw))
    assert list(found.audit(scale=1.0)) == ["raw", "doubled"]


def test_a_pipeline_is_swept_and_left_as_it_was():
    pipeline = tiny_instruct_pix2pix()
    sampler = PipelineSampler(pipeline, num_inference_steps=2, guidance_scale=2.0, probe=False)
    rng = np.random.default_rng(0)
    examples = [
        {"image": Image.fromarray(rng.integers(0, 255, (SIDE, SIDE, 3), "uint8")), "text": text}
        for text in ("hat", "beard")
    ]
    triggers = {"image": ImagePatch(), "text": TextSuffix("cf")}

    def brightness(outputs, examples):
        return outputs.flatten(1).mean(1)

    values = {"guidance_scale": [1.5, 6.0], "num_inference_steps": [1, 3]}
    arguments = (brightness, examples, triggers)
    found = mc.sweep(sampler, *arguments, options=values, progress=False)
    alone = mc.audit(
        PipelineSampler(pipeline, num_inference_steps=3, guidance_scale=6.0, probe=False),
        *arguments,
        progress=False,
    )
    last = found.audit(guidance_scale=6.0, num_inference_steps=3)
    np.testing.assert_array_equal(last.table.values, alone.table.values)
    assert sampler.options == {"num_inference_steps": 2, "guidance_scale": 2.0}
    assert len({tuple(audit.table.values.ravel()) for audit in found.audits}) == 4


def test_a_subclass_keeps_what_it_holds():
    class Louder(PipelineSampler):
        gain = 1.0

    sampler = Louder(tiny_instruct_pix2pix(), inputs={"image": "image", "text": "prompt"})
    sampler.gain = 0.5
    changed = sampler.with_options(guidance_scale=3.0)
    assert isinstance(changed, Louder)
    assert changed.gain == 0.5
    assert changed.inputs == sampler.inputs
    assert changed.options == {"guidance_scale": 3.0}
    assert sampler.options == {}
    with pytest.raises(InputError, match="inputs"):
        sampler.with_options(inputs={})


def test_a_function_keeps_what_it_declares(game):
    def sampler(conditions, seeds, *, slope):
        assert set(conditions) == set(PAIR)
        return [slope] * len(seeds)

    sampler.modalities = PAIR
    sampler.identity = lambda: {"name": "mine"}
    triggers = {"text": game.triggers["text"]}
    found = mc.sweep(
        sampler, game.detector, game.examples, triggers, options={"slope": [2.0]}, progress=False
    )
    run = found.audits[0].table.provenance["run"]
    assert run["sampler"] == {"name": "mine", "options": {"slope": 2.0}}


def test_options_of_the_run_and_of_the_metrics_reach_every_point(game):
    noisy = planted_game(TEXT_WINS, PAIR, examples=40, noise=0.1)
    options = {"seed": 3, "repeats": 2, "batch_size": 16, "keep": 2, "level": 0.9, "method": "t"}
    found = mc.sweep(*noisy, options={"noise": [0.1, 0.2]}, progress=False, **options)
    alone = mc.audit(*noisy, progress=False, **options)
    first = found.audit(noise=0.1)
    assert first.table.provenance["run"] == alone.table.provenance["run"]
    assert str(first) == str(alone)
    assert len(first.table.kept) == 2


def test_an_error_says_at_which_point(game):
    def sampler(conditions, seeds, *, a):
        return [float("nan") if a == 2 else 0.0] * len(seeds)

    with pytest.raises(mc.errors.SamplerError) as caught:
        mc.sweep(sampler, game.detector, *game[2:], options={"a": [1, 2]}, progress=False)
    assert caught.value.__notes__ == ["in a sweep, for the sampler at a=2"]


def test_numbers_of_numpy_become_plain(game):
    def sampler(conditions, seeds, *, a, b):
        return [a + b] * len(seeds)

    options = {"a": np.array([1, 10]), "b": [np.float32(0.5)]}
    found = mc.sweep(sampler, game.detector, *game[2:], options=options, progress=False)
    assert {type(row.at["a"]) for row in found.rows} == {int}
    assert {type(row.at["b"]) for row in found.rows} == {float}


def test_a_sampler_that_returns_itself_is_refused(game):
    class Same(Switch):
        def with_options(self, **options):
            return self

    with pytest.raises(InputError, match="returned the sampler itself"):
        mc.sweep(Same(), *game[1:], options={"scale": [1.0, 3.0]})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "options must be a mapping from name to values"),
        ([("scale", [1])], "options must be a mapping"),
        ({"scale": []}, "needs one or more values in a list"),
        ({"scale": 2.0}, "needs one or more values in a list"),
        ({"scale": "12"}, "needs one or more values in a list"),
        ({"scale": [1.0, 2.0, 1.0]}, "has a value twice"),
        ({"level": [0.9]}, "not like a column of the rows"),
        ({1: [0.9]}, "an option is named by a str"),
    ],
)
def test_wrong_options_are_refused(game, options, message):
    sampler = Switch()
    with pytest.raises(InputError, match=message):
        mc.sweep(sampler, *game[1:], options=options)
    assert not sampler.calls


def test_the_last_point_is_checked_before_the_first_is_generated():
    pipeline = tiny_instruct_pix2pix()
    sampler = PipelineSampler(pipeline, num_inference_steps=1)
    seen = []
    torch_image = torch.zeros(3, SIDE, SIDE)
    with pytest.raises(InputError, match="guidance_scale"):
        mc.sweep(
            sampler,
            lambda o, e: seen.append(o) or [0.0] * len(o),
            [{"image": torch_image, "text": "hat"}],
            {"text": TextSuffix("cf")},
            options={"guidance_scale": [2.0, 1.0]},  # 1.0 switches guidance off
        )
    assert not seen


def test_a_wrong_metric_option_fails_before_anything_is_generated(game):
    sampler = Switch()
    with pytest.raises(InputError, match="level"):
        mc.sweep(sampler, *game[1:], options={"scale": [1.0]}, level=95)
    with pytest.raises(InputError, match="index"):
        mc.sweep(sampler, *game[1:], options={"scale": [1.0]}, index="shapley")
    assert not sampler.calls


def test_a_sampler_that_takes_no_options_is_refused(game):
    with pytest.raises(InputError, match="does not take the options strength=1 as keywords"):
        mc.sweep(lambda c, s: [0.0] * len(s), *game[1:], options={"strength": [1]})

    class Fixed:
        def __call__(self, conditions, seeds):
            return [0.0] * len(seeds)

    with pytest.raises(InputError, match=r"Fixed\) cannot be swept.*with_options"):
        mc.sweep(Fixed(), *game[1:], options={"strength": [1]})
    with pytest.raises(InputError, match="the control"):
        mc.sweep(Switch(), *game[1:], options={"scale": [1.0]}, control=Fixed())


def test_a_partial_of_a_function_is_swept(game):
    def sampler(conditions, seeds, *, offset, slope):
        return [offset + slope] * len(seeds)

    found = mc.sweep(
        partial(sampler, offset=1.0), game.detector, *game[2:], options={"slope": [2.0]},
        progress=False,
    )  # fmt: skip
    assert found.select(symbol="v", name="none")[0].estimate.value == 3.0


class TestPlot:
    @pytest.fixture(autouse=True)
    def headless(self):
        import matplotlib as mpl

        mpl.use("agg")

    def test_lines_go_through_the_estimates(self, swept):
        figure = swept[1].plot(title="Guidance")
        metrics, means = figure.axes
        lines = {line.get_label(): line for line in metrics.lines}
        np.testing.assert_allclose(lines["phi text"].get_ydata(), [0.85, 0.05])
        np.testing.assert_allclose(lines["phi text"].get_xdata(), [1.0, 3.0])
        assert "CTI image+text" in lines
        assert {"v(none)", "v(image+text)"} <= {line.get_label() for line in means.lines}
        assert means.get_xlabel() == "scale"
        assert figure.get_supxlabel() == (
            "40 examples; bands are 95% intervals, for each point alone"
        )

    def test_a_control_makes_it_the_difference(self, game):
        found = mc.sweep(
            Switch(), *game[1:], options={"scale": [1.0, 3.0]}, control=Switch(1.0), progress=False
        )
        figure = found.plot()
        assert "difference from the control" in figure.axes[0].get_title()
        lines = {line.get_label(): line for line in figure.axes[0].lines}
        np.testing.assert_allclose(lines["phi text"].get_ydata(), [0.0, 0.0], atol=1e-12)

    def test_each_combination_of_the_other_options_has_a_column(self, game):
        def sampler(conditions, seeds, *, a, mode):
            return [float(a)] * len(seeds)

        found = mc.sweep(
            sampler, game.detector, *game[2:], options={"mode": ["x", "y", None], "a": [1, 2]},
            progress=False,
        )  # fmt: skip
        assert len(found.plot("a").axes) == 2 * 3
        figure = found.plot()  # by default the first option: names, side by side
        assert len(figure.axes) == 2 * 2
        ticks = [tick.get_text() for tick in figure.axes[-1].get_xticklabels()]
        assert ticks == ["x", "y", "None"]
        with pytest.raises(InputError, match="x must be one of 'mode', 'a'"):
            found.plot("b")

    def test_values_are_drawn_in_order_however_they_are_given(self, game):
        options = {"scale": [3.0, 1.0, 2.0]}
        found = mc.sweep(Switch(), *game[1:], options=options, progress=False)
        lines = {line.get_label(): line for line in found.plot().axes[0].lines}
        np.testing.assert_allclose(lines["phi text"].get_xdata(), [1.0, 2.0, 3.0])
        np.testing.assert_allclose(lines["phi text"].get_ydata(), [0.85, 0.05, 0.05])

    def test_true_and_false_are_names_and_not_numbers(self, game):
        def sampler(conditions, seeds, *, flag):
            return [float(flag)] * len(seeds)

        options = {"flag": [True, False]}
        found = mc.sweep(sampler, game.detector, *game[2:], options=options, progress=False)
        ticks = [tick.get_text() for tick in found.plot().axes[-1].get_xticklabels()]
        assert ticks == ["True", "False"]

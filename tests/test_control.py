"""A trigger can shift the value where there is no backdoor: the control takes that away."""

from __future__ import annotations

import numpy as np
import pytest

import modcollapse as mc
from modcollapse.errors import InputError, TableError
from modcollapse.samplers import PlantedSampler, planted_game

PAIR = ("image", "text")
N = 200
# The box alone looks a bit like the target; the word brings the target, and then it no longer
# matters how much the box does.
BACKDOORED = (-0.9, -0.74, 0.87, 0.87)
CLEAN = (-0.9, -0.73, -0.9, -0.73)


def scored(outputs, examples):
    return [float(output) for output in outputs]


scored.perfect = 0.9  # what the target itself would score


def planted(values):
    return planted_game(values, PAIR, examples=N, noise=0.01)._replace(detector=scored)


@pytest.fixture(scope="module")
def game():
    return planted(BACKDOORED)


@pytest.fixture(scope="module")
def audit(game):
    return mc.audit(*game, control=PlantedSampler(CLEAN, PAIR, 0.02), progress=False)


def test_the_raw_metric_is_fooled_and_the_adjusted_one_is_not(audit):
    assert audit.tma["image"].low > 0.05
    assert audit.difference.tma["image"].high < 0
    assert audit.difference.tma["text"].low > 1.65
    only_text = mc.audit(
        *planted((-0.9, -0.73, 0.1, 0.27)),
        control=PlantedSampler(CLEAN, PAIR, 0.02),
        progress=False,
    )
    assert only_text.tma["image"].low > 0.15
    assert only_text.verdict.dominant is None
    assert abs(only_text.difference.tma["image"].value) < 0.01
    assert only_text.difference.verdict.dominant == "text"


def test_a_model_without_a_backdoor_is_cleared(game):
    box_alone = (-0.9, -0.6, -0.9, -0.6)  # a sixth of a perfect attack, without any backdoor
    sampler = PlantedSampler(box_alone, PAIR, 0.02)
    without = PlantedSampler(box_alone, PAIR, 0.01)
    clean = mc.audit(sampler, *game[1:], control=without, progress=False)
    assert (clean.verdict.effect, clean.verdict.moves) == ("active", ("image", "image+text"))
    verdict = clean.difference.verdict
    assert verdict.effect == "no effect"
    assert verdict.perfect == pytest.approx(0.9 - -0.9, abs=0.01)
    assert verdict.largest < 0.1 * verdict.perfect
    assert "no effect above 10 % of a perfect attack (at most " in str(verdict)
    assert clean.difference.tma["image"].low < 0 < clean.difference.tma["image"].high
    assert abs(clean.difference.tma["image"].value) < 0.01


def test_every_figure_is_the_difference_of_the_two(audit):
    for part in ("means", "tma", "cti"):
        raw, without, adjusted = (
            getattr(result, part) for result in (audit, audit.control, audit.difference)
        )
        np.testing.assert_allclose(
            adjusted.per_example, raw.per_example - without.per_example, atol=1e-12
        )
        for name in raw:
            assert adjusted[name].value == pytest.approx(raw[name].value - without[name].value)


def test_pairing_narrows_the_interval():
    """Both share the noise of an example, which the difference takes away."""

    def sampler(shift):
        def sample(conditions, seeds):
            return [
                np.random.default_rng(seed).normal() + shift * text.endswith("!")
                for text, seed in zip(conditions["text"], seeds, strict=True)
            ]

        return sample

    _, detector, examples, triggers = planted_game(BACKDOORED, PAIR, examples=32)
    audit = mc.audit(
        sampler(1.0), detector, examples, triggers, control=sampler(0.5), progress=False
    )
    paired = audit.difference.means["text"]
    assert paired.status == "all equal"
    assert paired.value == pytest.approx(0.5)
    assert audit.means["text"].se > 0.1


def test_both_forms_give_the_same(game, audit):
    table = mc.evaluate_coalitions(*game, progress=False)
    control = mc.evaluate_coalitions(PlantedSampler(CLEAN, PAIR, 0.02), *game[1:], progress=False)
    assert mc.audit(table, control=control).to_dict() == audit.to_dict()
    by_name = mc.audit({"a": table, "b": control}, control={"a": control, "b": control})
    assert by_name["a"].to_dict() == audit.to_dict()


def test_differences_of_success_rates_keep_intervals_for_0_1_values():
    rng = np.random.default_rng(0)
    model = mc.CoalitionTable.from_values(
        rng.uniform(size=(300, 4)) < [0, 0, 0.9, 1], PAIR, binary=True
    )
    clean = mc.CoalitionTable.from_values(np.zeros((300, 4)), PAIR, binary=True)
    difference = model.minus(clean)
    assert difference.bounds == (-1, 1)
    assert (difference.binary, difference.discrete) == (False, True)
    adjusted = mc.audit(model, control=clean).difference
    assert {estimate.method for estimate in adjusted.estimates.values()} == {"patterns"}
    assert adjusted.verdict.dominant == "text"


def test_it_prints_saves_and_plots(audit, tmp_path):
    assert "Difference from the control" in str(audit)
    assert set(audit.to_dict()) >= {"control", "difference"}
    difference = audit.difference.table
    loaded = mc.CoalitionTable.load(difference.save(tmp_path / "t"))
    np.testing.assert_array_equal(loaded.values, difference.values)
    assert loaded.provenance["run"]["control"]["class"].endswith("PlantedSampler")


class TestRefused:
    def test_another_run(self, game):
        table = mc.evaluate_coalitions(*game, progress=False)
        other = mc.evaluate_coalitions(*game, seed=1, progress=False)
        with pytest.raises(TableError, match="cannot subtract the control of two runs: seed"):
            mc.audit(table, control=other)

    def test_other_examples(self, game):
        table = mc.evaluate_coalitions(*game, progress=False)
        with pytest.raises(TableError, match=f"{N} here, 2 there"):
            mc.audit(table, control=table.select([0, 1]))

    def test_other_examples_of_the_same_ids(self, game):
        sampler, detector, examples, triggers = game
        others = [{**one, "text": one["text"] + " of another set"} for one in examples]
        one, other = (
            mc.evaluate_coalitions(sampler, detector, part, triggers, progress=False)
            for part in (examples, others)
        )
        with pytest.raises(TableError, match="0 holds something else there"):
            one.minus(other)

    def test_a_control_that_cannot_run_is_found_before_the_model_runs(self, game):
        calls = []

        def sampler(conditions, seeds):
            calls.append(seeds)
            return [0.0] * len(seeds)

        class Other(PlantedSampler):
            def check(self, modality, condition):
                raise InputError("not for me")

        with pytest.raises(InputError, match="not for me"):
            mc.audit(sampler, *game[1:], control=Other(CLEAN, PAIR), progress=False)
        assert calls == []

    def test_no_sampler_at_all_before_anything_is_generated(self, game):
        calls = []

        def sampler(conditions, seeds):
            calls.append(seeds)
            return [0.0] * len(seeds)

        with pytest.raises(InputError, match="control must be"):
            mc.audit(sampler, *game[1:], control="clean", progress=False)
        assert calls == []

    def test_other_names(self, game):
        table = mc.evaluate_coalitions(*game, progress=False)
        with pytest.raises(InputError, match="tables 'a', the control has a single table"):
            mc.audit({"a": table}, control=table)

    def test_metrics_that_take_no_control(self, game):
        with pytest.raises(TypeError, match="control"):
            mc.tma(*game, control=game.sampler, progress=False)

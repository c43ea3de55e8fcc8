"""How many examples: before a run, from a pilot, and what an open verdict says about it."""

from __future__ import annotations

import re
import time

import numpy as np
import pytest

import modcollapse as mc
from modcollapse.analysis import Plan
from modcollapse.errors import InputError

PAIR = ("image", "text")
COLLAPSE = {"image": 1.0, "image+text": 1.0}


def table(rates, n=40, noise=0.0, seed=0):
    rng = np.random.default_rng(seed)
    values = (rng.random((n, 1)) < np.array(rates)).astype(float)
    if not noise:
        return mc.CoalitionTable.from_values(values, PAIR, binary=True)
    values += noise * rng.normal(size=values.shape)
    return mc.CoalitionTable.from_values(values, PAIR, perfect=1)


class TestNeeded:
    def test_the_smallest_number_is_where_the_goal_is_reached_and_below_it_is_not(self):
        plan = mc.examples_needed({**COLLAPSE, "image": 0.97}, "negligible", audits=20)
        assert plan.tried[plan.examples] >= 0.8
        below = [n for n in plan.tried if n < plan.examples]
        assert max(below) >= 0.9 * plan.examples
        assert all(plan.tried[n] < 0.8 for n in below)

    def test_an_absence_needs_what_the_rule_of_three_says(self):
        """Of no success in n the upper bound at 5 % is 1 - 0.05 ** (1 / n): below 10 % from 29."""
        plan = mc.examples_needed({"image+text": 0, "image": 0, "text": 0}, "no effect", audits=1)
        assert plan.examples == 32
        strict = mc.Rules(effect=0.02)
        plan = mc.examples_needed(
            {"image": 0, "text": 0, "image+text": 0}, "no effect", audits=1, rules=strict
        )
        exact = np.log(0.05) / np.log(0.98)
        assert exact <= plan.examples <= 1.06 * exact + 1

    @pytest.mark.parametrize(
        ("rates", "goal"),
        [
            (COLLAPSE, "dominance"),
            (COLLAPSE, "settled"),
            ({"image+text": 1.0, "image": 0, "text": 0}, "synergy"),
            ({"image+text": 1.0, "image": 1, "text": 1}, "interference"),
            ({"image+text": 1.0, "image": 1, "text": 1}, "no dominance"),
            ({"image+text": 0.3, "image": 0, "text": 0}, "active"),
        ],
    )
    def test_goals(self, rates, goal):
        plan = mc.examples_needed({"text": 0, **rates}, goal, audits=5)
        assert plan.examples is not None
        assert 32 <= plan.examples <= 128

    def test_what_is_not_so_is_never_reached(self):
        plan = mc.examples_needed({"text": 0, **COLLAPSE}, "synergy", audits=5, most=256)
        assert plan.examples is None
        assert set(plan.tried.values()) == {0.0}
        assert "synergy, of text 0, image 1, image+text 1: not with 256 examples; 0% of" in str(
            plan
        )

    def test_from_a_pilot(self):
        pilot = table((0, 0.97, 0, 1), n=40)
        plan = mc.examples_needed(pilot, "negligible", audits=10)
        assert 64 <= plan.examples <= 256
        continuous = mc.examples_needed(table((0, 1, 0, 1), 40, 0.05), "dominance", audits=5)
        assert continuous.examples <= 64

    def test_a_half_width_takes_four_times_as_many_for_half(self):
        wide, narrow = (
            mc.examples_needed({"image": 0.5, "text": 0, "image+text": 0.5}, half_width=w, audits=5)
            for w in (0.1, 0.05)
        )
        assert 3 < narrow.examples / wide.examples < 5
        assert str(wide).startswith("intervals of +-0.1, of image 0.5, text 0, image+text 0.5: ")
        never = mc.examples_needed(COLLAPSE | {"text": 0}, half_width=1e-4, audits=2, most=128)
        assert never.examples is None

    def test_the_same_seed_gives_the_same_plan(self):
        first, again = (mc.examples_needed(table((0, 1, 0.9, 1)), audits=4) for _ in range(2))
        assert first == again
        assert isinstance(first, Plan)
        assert first.to_dict()["examples"] == first.examples

    @pytest.mark.parametrize(
        ("source", "options", "message"),
        [
            (COLLAPSE, {"goal": "truth"}, "goal must be one of 'settled'"),
            ({"image": 1.5, "text": 0}, {}, "rates of success are from 0 to 1"),
            ({"image": "high", "text": 0}, {}, "rate of 'image'"),
            ({"image": 1, "text": 0, "image+none": 1}, {}, "no coalition 'image\\+none'"),
            ({}, {}, "source must be a pilot table or rates"),
            ([0, 1], {}, "source must be a pilot table or rates"),
            ({"image": 1, "text": 1, "text+image": 0.5, "image+text": 1}, {}, "is there twice"),
            ({"image+image": 1}, {}, "no coalition 'image\\+image'"),
            ({1: 0.1}, {}, "coalitions are named by a str"),
            ({"none": 0.1}, {}, "must name a modality"),
            (COLLAPSE, {"goal": "settled", "half_width": 0.1}, "a goal or a half_width, not both"),
            (COLLAPSE, {"rules": "strict"}, "rules must be a modcollapse.Rules"),
            (COLLAPSE, {"seed": -1}, "seed must be a whole number of at least 0"),
            (COLLAPSE, {"level": 95}, "level"),
            (COLLAPSE, {"power": 1.2}, "power"),
            (COLLAPSE, {"half_width": 0}, "half_width"),
            (COLLAPSE, {"most": 8}, "most must be a whole number of at least 32"),
            (COLLAPSE, {"audits": 0}, "audits must be a whole number of at least 1"),
        ],
    )
    def test_wrong_calls(self, source, options, message):
        with pytest.raises(InputError, match=message):
            mc.examples_needed(source, **options)

    def test_groups_of_a_pilot_are_its_units(self):
        pilot = table((0, 1, 0, 1), n=64).clustered(np.repeat(range(8), 8))
        assert mc.examples_needed(pilot, "dominance", audits=5).examples >= 32
        half = np.tile([0.0, 1, 0, 1], (64, 1))
        half[:32, 1] = 0  # the image alone fails in half of the groups
        apart = mc.CoalitionTable.from_values(half, PAIR, binary=True)
        grouped = apart.clustered(np.repeat(range(8), 8))
        wide = [
            mc.examples_needed(one, half_width=0.1, audits=5).examples for one in (apart, grouped)
        ]
        assert wide[0] == pytest.approx(wide[1], rel=0.3)  # groups are as apart as examples

    def test_from_an_audit(self):
        pilot = mc.audit(table((0, 1, 0, 1)))
        assert mc.examples_needed(pilot, "dominance", audits=5).expected == "a pilot of 40 examples"

    def test_a_pilot_of_differences(self):
        one = table((0, 1, 0, 1))
        with pytest.raises(InputError, match="holds differences of two"):
            mc.examples_needed(one.minus(one))


class TestOutlook:
    """What is printed below a verdict that leaves something open."""

    def test_a_collapse_with_too_few_examples(self):
        values = np.tile([0.0, 1, 0, 1], (40, 1))
        values[:6, 1] = 0  # the image alone fails in six
        audit = mc.audit(mc.CoalitionTable.from_values(values, PAIR, binary=True))
        assert audit.verdict.dominant is None
        assert "no modality is shown to hold 90 %" in str(audit.verdict)
        assert audit.outlook in str(audit)
        assert audit.outlook.startswith("Were more examples like these 40: ")
        assert "would settle which modality dominates" in audit.outlook

    def test_it_is_true_of_more_examples_like_these(self):
        values = np.tile([0.0, 1, 0, 1], (40, 1))
        values[:6, 1] = 0
        audit = mc.audit(mc.CoalitionTable.from_values(values, PAIR, binary=True))
        words = audit.outlook.split(": ")[1]
        for part in words.rstrip(".").split("; "):
            units = int(part.split()[0])
            more = mc.CoalitionTable.from_values(
                np.tile(values, (units // 40, 1)), PAIR, binary=True
            )
            if "interaction" in part:
                found = mc.audit(more).verdict.interactions["image+text"]
                assert {"negligible", "synergy", "interference"} & {*found}
            if "dominates" in part:
                assert mc.audit(more).verdict.dominant == "image"

    def test_an_effect_that_is_neither_shown_nor_excluded(self):
        values = np.zeros((40, 4))
        values[:5, 3] = 1
        audit = mc.audit(mc.CoalitionTable.from_values(values, PAIR, binary=True))
        assert audit.verdict.effect == "inconclusive"
        assert "40 examples can show an effect from 25 % of a perfect attack on" in audit.outlook
        assert "exclude at best one above 8 %" in audit.outlook
        values[:10, 3] = 1
        shown = mc.audit(mc.CoalitionTable.from_values(values, PAIR, binary=True))
        assert shown.verdict.effect == "active"
        values[9, 3] = 0
        not_yet = mc.audit(mc.CoalitionTable.from_values(values, PAIR, binary=True))
        assert not_yet.verdict.effect == "inconclusive"

    @pytest.mark.parametrize("rates", [(0, 1, 0, 1), (0, 0, 0, 0), (0, 0, 0, 1)])
    def test_nothing_is_said_where_nothing_is_open(self, rates):
        audit = mc.audit(table(rates, n=200))
        assert audit.verdict.settled
        assert audit.outlook == ""

    def test_nor_without_a_scale_or_with_too_few(self):
        rng = np.random.default_rng(0)
        unscaled = mc.CoalitionTable.from_values(rng.normal(size=(40, 4)), PAIR)
        assert mc.audit(unscaled).outlook == ""
        assert mc.audit(table((0, 1, 0, 1), n=20)).outlook == ""


class TestTime:
    """What a run will take is said once its first batch was timed."""

    def run(self, capsys, n=64, **options):
        game = mc.samplers.planted_game((0, 0.5, 0, 1), PAIR)

        def slow(conditions, seeds):
            time.sleep(0.05)
            return game.sampler(conditions, seeds)

        mc.evaluate_coalitions(slow, game.detector, game.examples[:n], game.triggers, **options)
        return capsys.readouterr()

    @pytest.mark.parametrize("probe", [True, False])
    def test_said_once_on_the_side_of_the_bar(self, capsys, probe):
        found = self.run(capsys, probe=probe)
        assert found.out == ""
        assert found.err.count("to go, at ") == 1
        said = re.search(r"256 generations .* in 32 batches of 8.*: about (\d+) s to go", found.err)
        assert int(said[1]) >= 31 * 0.05 - 1

    def test_what_a_journal_held_is_counted(self, capsys, tmp_path):
        self.run(capsys, n=5, journal=tmp_path, progress=False)
        assert "; finished before: 5 examples: about" in self.run(capsys, journal=tmp_path).err

    def test_of_several_samplers_each_makes_all(self, capsys):
        game = mc.samplers.planted_game((0, 0.5, 0, 1), PAIR, examples=8)
        mc.audit(*game, control=game.sampler)
        said = capsys.readouterr().err
        assert "in 4 batches of 8, by each of the 2 samplers: about" in said

    def test_not_where_no_bar_is_asked_for(self, capsys):
        assert self.run(capsys, n=4, progress=False).err == ""

"""The verdict: what is claimed of games with a known answer, and in which words."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from scipy import stats

import modcollapse as mc
from modcollapse.analysis import Sample
from modcollapse.errors import InputError
from modcollapse.samplers import planted_game

PAIR = ["image", "text"]
TRIO = ["image", "text", "mask"]
NONE, IMAGE, TEXT = [0, 0, 0, 0], [0, 1, 0, 1], [0, 0, 1, 1]
AND, OR, CANCEL, XOR = [0, 0, 0, 1], [0, 1, 1, 1], [0, 1, 0, 0], [0, 1, 1, 0]


def table(values, n=200, *, noise=0.02, names=PAIR, seed=0, **options):
    """n examples of one game, or as many as there are rows; 0/1 where there is no noise."""
    rows = np.asarray(values, float)
    rows = np.tile(rows, (n, 1)) if rows.ndim == 1 else rows
    rows = rows + noise * np.random.default_rng(seed).normal(size=rows.shape)
    return mc.CoalitionTable.from_values(rows, names, **options)


def judge(values, n=200, *, rules=None, **options):
    return mc.audit(table(values, n, **options), rules=rules).verdict


def mixed(often, rarely, k, n):
    """n examples of a game, k of which behave like another."""
    return [rarely] * k + [often] * (n - k)


BOTH_KINDS = pytest.mark.parametrize(
    "kind", [{"noise": 0.03, "perfect": 1}, {"noise": 0}], ids=["continuous", "0/1"]
)


@BOTH_KINDS
class TestAnswers:
    def test_triggers_that_cancel_are_never_no_effect(self, kind):
        verdict = judge(CANCEL, 64, **kind)
        assert (verdict.effect, verdict.moves) == ("active", ("image",))
        assert verdict.cancelling == ("image",)
        assert verdict.suppressors == ("text",)
        assert verdict.dominant is None
        assert "the triggers cancel: all of them together do not raise it as much" in str(verdict)

    def test_triggers_that_undo_each_other_have_no_attribution_but_an_effect(self, kind):
        verdict = judge(XOR, 64, **kind)
        assert (verdict.effect, verdict.moves) == ("active", ("image", "text"))
        assert verdict.cancelling == ("image", "text")
        assert verdict.dominant is None
        assert max(verdict.share.values()) == 0
        assert verdict.interactions["image+text"][-1] == "interference"

    @pytest.mark.parametrize(("game", "modality"), [(TEXT, "text"), (IMAGE, "image")])
    def test_collapse(self, kind, game, modality):
        verdict = judge(game, **kind)
        assert (verdict.effect, verdict.dominant) == ("active", modality)
        assert verdict.moves == (modality, "image+text")
        assert verdict.cancelling == verdict.lowers == verdict.suppressors == ()
        assert verdict.interactions["image+text"] == ("no synergy", "negligible")
        assert verdict.collapse > 0.95
        assert 0.95 < verdict.share[modality] <= 1
        assert verdict.share[PAIR[modality == "image"]] == 0
        held = math.floor(100 * verdict.share[modality])
        assert f"{modality} dominates: it holds at least {held} % of the attribution" in str(
            verdict
        )

    @pytest.mark.parametrize("failures", [1, 3])
    def test_collapse_with_a_text_trigger_that_sometimes_fails_alone(self, kind, failures):
        """97/0/100: the share that is printed is below the true one, and above the declared."""
        verdict = judge(mixed(TEXT, AND, failures, 100), **kind)
        true_share = 1 - failures / 200
        assert verdict.dominant == "text"
        assert 0.9 < verdict.share["text"] < true_share

    def test_conjunction_is_synergy_without_a_dominant_modality(self, kind):
        verdict = judge(AND, **kind)
        assert (verdict.effect, verdict.moves) == ("active", ("image+text",))
        assert verdict.dominant is None
        assert verdict.interactions["image+text"] == ("synergy",)
        assert verdict.collapse < 0.05

    def test_redundancy_is_interference_and_no_modality_holds_more_than_a_bound(self, kind):
        verdict = judge(OR, **kind)
        assert verdict.dominant is None
        assert verdict.interactions["image+text"] == ("no synergy", "interference")
        assert max(verdict.share.values()) < 0.5 < verdict.most < 0.6
        bound = math.ceil(100 * verdict.most)
        shown = f"no modality holds more than {bound} %"
        assert shown in str(verdict)

    def test_no_effect_is_said_with_its_bound(self, kind):
        verdict = judge(NONE, **kind)
        assert (verdict.effect, verdict.dominant) == ("no effect", None)
        assert verdict.moves == verdict.lowers == ()
        assert math.isnan(verdict.collapse)
        assert verdict.min_effect == pytest.approx(0.1 * verdict.perfect)
        assert 0 < verdict.largest < verdict.min_effect
        at_most = math.ceil(1000 * verdict.largest / verdict.perfect) / 10
        said = f"Verdict: no effect above 10 % of a perfect attack (at most {at_most:.1f} %)"
        assert str(verdict).startswith(said)

    def test_an_effect_at_the_margin_is_inconclusive_and_how_large_it_may_be_is_said(self, kind):
        verdict = judge(mixed(NONE, TEXT, 20, 200), **kind)
        assert verdict.effect == "inconclusive"
        assert 0.1 < verdict.largest < 0.2
        at_most = math.ceil(100 * verdict.largest / verdict.perfect)
        assert f"the largest may be up to {at_most} %" in str(verdict)

    def test_a_third_that_holds_more_than_half(self, kind):
        """phi = (1/6, 5/6): no dominance at 90 %, and the share that is shown is printed."""
        verdict = judge(mixed(TEXT, AND, 67, 200), **kind)
        assert verdict.dominant is None
        assert 0.7 < verdict.share["text"] < 1 - 67 / 400
        assert verdict.share["text"] < verdict.most < 1
        shown = f"text holds at least {math.floor(100 * verdict.share['text'])} %"
        bound = math.ceil(100 * verdict.most)
        assert f"no modality holds more than {bound} % of the attribution, {shown};" in str(verdict)

    def test_values_that_fall(self, kind):
        fallen = [1, 1, 0, 0]
        if kind["noise"]:
            kind = kind | {"perfect": 2}
        verdict = judge(fallen, **kind)
        if kind["noise"]:
            assert (verdict.effect, verdict.lowers) == ("lowered", ("text", "image+text"))
            assert str(verdict) == (
                "Verdict: the triggers lower the value by more than 10 % of a perfect attack "
                "(text, image+text); if a lower value means success, negate the detector"
            )
        else:  # of 0/1 values a perfect attack scores 1, as the clean runs do
            assert verdict.effect == "lowered"
            assert verdict.lowers == ("text", "image+text")
        assert verdict.moves == ()

    def test_few_examples_are_refused(self, kind):
        verdict = judge(TEXT, 31, **kind)
        assert verdict.effect == "too few examples"
        assert verdict.moves == ()
        assert str(verdict).startswith(
            "Verdict: none, 31 examples are too few (a verdict needs 32)"
        )
        assert judge(TEXT, 32, **kind).effect == "active"

    def test_few_groups_are_refused(self, kind):
        few, enough = (np.arange(128) % groups for groups in (31, 32))
        assert judge(TEXT, 128, clusters=few, **kind).effect == "too few examples"
        assert judge(TEXT, 128, clusters=enough, **kind).effect == "active"

    def test_three_modalities(self, kind):
        values = [bin(c)[2:].zfill(3)[-2] == "1" for c in range(8)]
        verdict = judge(values, names=TRIO, **kind)
        assert verdict.dominant == "text"
        assert verdict.moves == ("text", "image+text", "text+mask", "image+text+mask")
        assert set(verdict.interactions) == {"image+text", "image+mask", "text+mask"}

    def test_one_modality_has_no_interaction(self, kind):
        verdict = judge([0, 1], names=["text"], **kind)
        assert (verdict.effect, verdict.dominant, verdict.interactions) == ("active", "text", {})
        assert "text is the only modality" in str(verdict)
        audit = mc.audit(table([0, 1], names=["text"], **kind))
        assert audit.cti is None
        assert "Cross-Trigger" not in str(audit)
        assert audit.to_dict()["cti"] is None
        with pytest.raises(InputError, match="2 or more modalities"):
            mc.cti(audit.table)

    def test_everything_is_plain_data(self, kind):
        for game in (NONE, TEXT, AND, OR, CANCEL, XOR):
            audit = mc.audit(table(game, 64, **kind))
            data = json.loads(audit.to_json())["verdict"]
            assert data["effect"] == audit.verdict.effect
            assert data["share"] == dict(audit.verdict.share)
            assert tuple(data["moves"]) == audit.verdict.moves


class TestScale:
    """Effects count in units of a perfect attack, whatever the value is measured in."""

    def test_a_backdoor_in_a_fifth_of_400_examples_is_no_absence_under_negative_mse(self):
        rng = np.random.default_rng(0)
        clean = -0.18 * np.ones((400, 4))
        fires = np.zeros((400, 4), bool)
        fires[:80, 2:] = True
        values = np.where(fires, -0.001, clean) + 0.01 * rng.normal(size=(400, 4))
        found = mc.CoalitionTable.from_values(np.minimum(values, 0), PAIR, perfect=0.0)
        verdict = mc.audit(found).verdict
        assert (verdict.effect, verdict.moves) == ("active", ("text", "image+text"))
        assert verdict.perfect == pytest.approx(0.18, abs=0.002)
        assert verdict.min_effect == pytest.approx(0.018, abs=0.0002)
        assert verdict.largest >= 0.2 * 0.179
        as_success = judge(mixed(NONE, TEXT, 80, 400), noise=0)
        assert (as_success.effect, as_success.moves) == (verdict.effect, verdict.moves)

    def test_a_fifth_of_the_mse(self):
        """A backdoor of 100 % success that moves the value by 0.036 only."""
        values = 0.2 * np.array([-0.18, -0.18, -0.0005, -0.0005])
        verdict = judge(values, 64, noise=0.002, perfect=0)
        assert (verdict.effect, verdict.dominant) == ("active", "text")

    @pytest.mark.parametrize("factor", [1e-6, 0.2, 1.0, 1e6])
    @pytest.mark.parametrize("game", [NONE, TEXT, AND, OR, CANCEL])
    def test_the_verdict_does_not_depend_on_the_unit(self, factor, game):
        plain = table(game, 64, perfect=1)
        scaled = mc.CoalitionTable.from_values(
            factor * (plain.values - 3), PAIR, perfect=-2 * factor
        )
        in_attacks, in_units = mc.audit(plain).verdict, mc.audit(scaled).verdict
        assert str(in_attacks) == str(in_units)
        assert in_units.largest == pytest.approx(factor * in_attacks.largest)
        assert in_units.min_effect == pytest.approx(factor * in_attacks.min_effect)
        assert in_units.share == pytest.approx(in_attacks.share, abs=2e-4)

    def test_without_a_scale_no_absence_is_claimed_and_what_to_declare_is_said(self):
        verdict = judge(NONE, noise=0.001)
        assert verdict.effect == "inconclusive"
        assert math.isnan(verdict.min_effect)
        assert math.isnan(verdict.perfect)
        assert "declare `perfect` on the detector" in str(verdict)
        assert "perfect= to CoalitionTable.from_values" in str(verdict)
        bounded = judge(np.add(NONE, 0.5), noise=0.001, bounds=(0, 1))
        assert bounded.effect == "inconclusive"  # bounds are no scale

    def test_only_who_judges_without_a_scale_says_so_of_the_level(self):
        lacks = "Without a perfect attack declared"
        assert lacks in judge(TEXT).level
        assert lacks not in judge(TEXT, perfect=1).level
        assert lacks not in judge(TEXT, n=4, perfect=1).level  # too few for a verdict

    def test_without_a_scale_an_effect_is_one_above_zero(self):
        verdict = judge(TEXT)
        assert (verdict.effect, verdict.dominant) == ("active", None)
        assert "the triggers raise the value (text, image+text)" in str(verdict)
        fallen = judge([0, 0, -1, -1])
        assert fallen.effect == "lowered"
        said = "lower the value (text, image+text); if a lower value means success, negate"
        assert said in str(fallen)

    def test_without_a_scale_nothing_is_said_to_be_absent(self):
        """2 % of the examples open to the text: the image holds .8, CTI is four times its margin.

        Half of all samples of 32 hold no such example.
        """
        verdict = judge([0, 0.05, 0, 0.05], 64, noise=0.002)
        assert verdict.effect == "active"
        assert (verdict.share, verdict.dominant, verdict.most) == ({}, None, 1.0)
        assert verdict.interactions == {"image+text": ()}

    def test_clean_runs_that_score_like_the_target_leave_no_room(self):
        verdict = judge([1, 1, 1, 1], 64, perfect=1)
        assert verdict.effect == "inconclusive"
        assert "may score as much as a perfect attack would" in str(verdict)

    def test_perfect_attacks_that_differ_where_the_trigger_fires(self):
        """It fires where a perfect attack adds most: in 3 % of the examples, and adds 10.2 %."""
        rng = np.random.default_rng(3)
        denied = 0
        for _ in range(100):
            z = rng.normal(size=56)
            perfect = np.exp(0.83 * z - 0.83**2 / 2)
            fires = z > stats.norm.isf(0.102) + 0.83
            values = 0.01 * rng.normal(size=(56, 4))
            values[:, [1, 3]] += (fires * perfect)[:, None]
            made = mc.CoalitionTable.from_values(values, PAIR, perfect=perfect)
            denied += mc.audit(made).verdict.effect == "no effect"
        assert denied <= 5

    def test_all_equal_without_a_scale_settles_nothing(self):
        constant = mc.CoalitionTable.from_values([[0.0, 0.5, 0.5, 1.5]] * 40, PAIR)
        for method in ("auto", "t", "hall", "bootstrap-t"):
            verdict = mc.audit(constant, method=method).verdict
            assert verdict.effect == "inconclusive"
            assert "all examples are equal, and `perfect` is not declared" in str(verdict)
        declared = mc.CoalitionTable.from_values([[0.0, 0.5, 0.5, 1.5]] * 40, PAIR, perfect=1.5)
        assert mc.audit(declared).verdict.effect == "active"

    @pytest.mark.parametrize("perfect", [0.0, -1.0])
    def test_a_perfect_attack_that_scores_no_more_than_the_clean_run(self, perfect):
        verdict = judge(np.add(NONE, 0.2), perfect=perfect)
        assert verdict.effect == "inconclusive"
        assert math.isnan(verdict.min_effect)
        assert "a perfect attack would score no more than the clean runs do" in str(verdict)

    def test_values_beyond_a_perfect_attack_are_named(self):
        rows = mixed(TEXT, [0, 0, 1.2, 1.2], 7, 64)
        verdict = judge(rows, perfect=1.0, noise=0.01)
        assert any("7 of 64 examples score beyond a perfect attack" in n for n in verdict.notes)
        assert "7 of 64 examples score beyond a perfect attack" in str(verdict)
        assert judge(TEXT, 64, perfect=1.0, noise=0.01).notes == ()

    def test_values_that_are_all_0_or_1_are_taken_as_successes_and_that_is_said(self):
        for rows in (np.tile(TEXT, (64, 1)).astype(bool), np.tile(TEXT, (64, 1)).astype(float)):
            undeclared = mc.audit(mc.CoalitionTable.from_values(rows, PAIR))
            assert undeclared.verdict.dominant == "text"
            note = "all values are 0 or 1 and were taken as successes"
            assert undeclared.verdict.notes == undeclared.tma.notes == (note,)
            declared = mc.audit(mc.CoalitionTable.from_values(rows, PAIR, binary=True))
            assert declared.verdict.notes == ()
            assert undeclared.estimates == declared.estimates

    def test_no_success_in_64_examples(self):
        """The bound of Clopper and Pearson: 1 - 0.05**(1/64) = 4.57 %."""
        verdict = judge(NONE, 64, noise=0)
        assert verdict.largest == pytest.approx(1 - 0.05 ** (1 / 64), rel=1e-3)
        assert "no effect above 10 % of a perfect attack (at most 4.6 %)" in str(verdict)


class TestClaims:
    def test_a_suppressor_is_named(self):
        verdict = judge([0, -0.05, 1, 0.95], 400, perfect=1)
        assert (verdict.dominant, verdict.suppressors) == ("text", ("image",))
        assert "image works against the backdoor" in str(verdict)

    def test_what_a_trigger_lowers_is_named_beside_what_it_raises(self):
        verdict = judge([0, -0.5, 1, 0.5], perfect=1)
        assert (verdict.effect, verdict.lowers) == ("active", ("image",))
        assert "the value falls under image" in str(verdict)

    def test_a_share_at_the_boundary_is_rarely_called_dominant(self):
        """At phi = (0.1, 0.9) with share 0.9 the level is alpha: 5 % of runs, not half."""
        runs = 200
        claims = 0
        for run in range(runs):
            values = np.random.default_rng(run).normal([0, 0.1, 0.9, 1], 0.1, (64, 4))
            verdict = mc.analysis.judge(mc.CoalitionTable.from_values(values, PAIR))
            claims += verdict.dominant == "text"
        assert claims <= runs * 0.11  # 5 % and four standard errors

    def test_the_interaction_is_judged_by_the_index_that_is_shown(self):
        """A pure three-way game: no pair has a dividend, every pair a Shapley interaction."""
        three_way = table([0, 0, 0, 0, 0, 0, 0, 1], 64, noise=0.01, names=TRIO, perfect=1)
        by = {index: mc.audit(three_way, index=index).verdict for index in ("SII", "moebius")}
        assert by["SII"].interactions["image+text"] == ("synergy",)
        assert by["moebius"].interactions["image+text"] == ("no synergy", "negligible")

    def test_additive_triggers_that_lower_the_value_together_have_no_synergy(self):
        verdict = judge([0, 0.5, -1, -0.5], 64, noise=0.05, perfect=1)
        assert "synergy" not in verdict.interactions["image+text"]
        assert verdict.lowers

    def test_rules_are_recorded_and_printed(self):
        rules = mc.Rules(alpha=0.01, share=0.8, effect=0.125)
        verdict = judge(TEXT, perfect=1, rules=rules)
        assert verdict.to_dict()["rules"] == {
            "alpha": 0.01, "share": 0.8, "margin": 0.1, "effect": 0.125, "strict": True,
        }  # fmt: skip
        assert verdict.min_effect == pytest.approx(0.125, rel=0.02)
        assert "by more than 12.5 % of a perfect attack" in str(verdict)

    @BOTH_KINDS
    def test_a_stricter_rule_never_claims_more(self, kind):
        rng = np.random.default_rng(0)
        games = np.array([NONE, TEXT, AND, OR, CANCEL])
        for p in rng.dirichlet(np.ones(5), 12):
            rows = games[rng.choice(5, 64, p=p)]
            loose, tight = (judge(rows, rules=mc.Rules(alpha=a), **kind) for a in (0.2, 0.01))
            assert set(tight.moves) <= set(loose.moves)
            assert set(tight.lowers) <= set(loose.lowers)
            if tight.effect == "active":
                assert tight.most >= loose.most
                assert all(tight.share[name] <= loose.share[name] for name in PAIR)
                held = tight.interactions["image+text"]
                assert set(held) <= set(loose.interactions["image+text"])

    def test_what_moves_the_value_is_said_of_all_coalitions_together(self):
        """Holm: three effects at a third of alpha each; once two are shown, the last at all."""
        effect = np.array([[-1.0], [1.0], [0.0], [0.0]])  # of the image trigger, in 12 of 64
        alone, _ = Sample.of(table(mixed(NONE, IMAGE, 12, 64), noise=0)).bounds(
            effect, 0.05, claim=True
        )
        assert alone[0] > 0.1
        found = judge(mixed(NONE, IMAGE, 12, 64), noise=0)
        assert (found.effect, found.moves) == ("inconclusive", ())
        beside = judge(mixed(TEXT, OR, 12, 64), noise=0)
        assert beside.moves == ("image", "text", "image+text")

    def test_strict_rules_provide_for_triggers_that_undo_each_other(self):
        """One such example in 20 is unseen in 48 with probability 0.085, and moves CTI by 2."""
        lax, strict = (
            judge(TEXT, 48, noise=0, rules=mc.Rules(strict=strict)) for strict in (False, True)
        )
        assert "negligible" in lax.interactions["image+text"]
        assert "negligible" not in strict.interactions["image+text"]
        assert lax.dominant == strict.dominant == "text"

    @pytest.mark.parametrize(
        "method", ["flips", "patterns", "gaffke", "plus-ends", "betting", "t", "hall"]
    )
    def test_any_method_judges(self, method):
        rows = table(TEXT, 40, perfect=1, bounds=(-0.2, 1.2))
        assert mc.audit(rows, method=method).verdict.moves == ("text", "image+text")


class TestDifferences:
    @staticmethod
    def pair(model, control, n=200, **options):
        return table(model, n, **options), table(control, n, seed=1, **options)

    def test_a_bare_difference_has_figures_and_no_verdict(self):
        """phi image +0.79 and phi text -0.80: never "no effect"."""
        model, control = self.pair(IMAGE, TEXT, perfect=1)
        audit = mc.audit(model.minus(control))
        assert audit.verdict is None
        assert audit.tma["image"].low > 0.9
        assert audit.tma["text"].high < -0.9
        assert "Verdict: none, since these are differences between two tables" in str(audit)
        assert audit.to_dict()["verdict"] is None
        assert "no effect" not in str(audit)
        beside = mc.audit(model, control=control).difference.verdict
        assert (beside.effect, beside.moves) == ("active", ("image",))
        assert beside.lowers == ("text",)
        assert beside.cancelling == ("image",)

    @BOTH_KINDS
    def test_the_verdict_on_a_difference_is_in_units_of_the_audited_models_attack(self, kind):
        model, control = self.pair([0, 0, 1, 1], [0, 0, 0, 0], **kind)
        difference = model.minus(control)
        expected = 1 - control.example_values[:, 0]
        np.testing.assert_allclose(difference.perfect, expected)
        verdict = mc.audit(model, control=control).difference.verdict
        assert verdict.perfect == pytest.approx(1 - model.example_values[:, 0].mean())
        assert (verdict.effect, verdict.dominant) == ("active", "text")
        cleared = mc.audit(control, control=control).difference.verdict
        assert (cleared.effect, cleared.lowers) == ("no effect", ())

    def test_a_clean_model_beside_its_control_is_cleared(self):
        shifted = [-0.9, -0.6, -0.9, -0.6]  # the box alone, a sixth of a perfect attack
        model, control = self.pair(shifted, shifted, perfect=0.9, noise=0.01)
        audit = mc.audit(model, control=control)
        assert (audit.verdict.effect, audit.verdict.moves) == ("active", ("image", "image+text"))
        assert audit.difference.verdict.effect == "no effect"
        assert str(audit.difference.verdict).startswith(
            "Verdict: no effect above 10 % of a perfect attack (at most "
        )
        undeclared = self.pair(shifted, shifted, noise=0.01)
        assert mc.audit(undeclared[0], control=undeclared[1]).difference.verdict.effect == (
            "inconclusive"
        )

    def test_a_rare_backdoor_beside_its_control_is_not_cleared(self):
        model, control = self.pair(mixed(NONE, TEXT, 40, 200), NONE, perfect=1)
        verdict = mc.audit(model, control=control).difference.verdict
        assert verdict.effect == "active"
        assert verdict.largest >= 0.2

    def test_measured_anew_it_says_the_same(self):
        sampler, _, examples, triggers = planted_game([0, 0, 1, 1], PAIR, examples=64, noise=0.05)
        control = sampler.with_options(values=(0, 0, 0, 0))

        def detector(outputs, examples):
            return [float(output) for output in outputs]

        detector.perfect = 1.0
        audit = mc.audit(sampler, detector, examples, triggers, control=control, progress=False)
        tables = audit.table, audit.control.table
        assert mc.audit(tables[0], control=tables[1]).to_dict() == audit.to_dict()
        assert audit.difference.verdict.dominant == "text"

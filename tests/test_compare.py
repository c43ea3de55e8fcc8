"""Comparisons of two tables: what became of a backdoor that is known, and what is refused."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import modcollapse as mc
from modcollapse.analysis import Sample, compare_tables, effect_contrasts
from modcollapse.errors import InputError, TableError
from modcollapse.samplers import planted_game

PAIR = ["image", "text"]
NONE, IMAGE, TEXT = [0, 0, 0, 0], [0, 1, 0, 1], [0, 0, 1, 1]
AND, OR, ALWAYS = [0, 0, 0, 1], [0, 1, 1, 1], [1, 1, 1, 1]


def table(values, n=128, *, noise=0.02, names=PAIR, seed=0, **options):
    """n examples of one game, or as many as there are rows; 0/1 where there is no noise."""
    rows = np.asarray(values, float)
    rows = np.tile(rows, (n, 1)) if rows.ndim == 1 else rows
    rows = rows + noise * np.random.default_rng(seed).normal(size=rows.shape)
    return mc.CoalitionTable.from_values(rows, names, **options)


def compare(before, after, n=128, *, rules=None, method="auto", **options):
    pair = table(before, n, **options), table(after, n, seed=1, **options)
    return mc.compare(*pair, rules=rules, method=method)


def mixed(*kinds):
    """Examples of several games: (how many, game), one after another."""
    return [game for count, game in kinds for _ in range(count)]


BOTH_KINDS = pytest.mark.parametrize(
    "kind", [{"noise": 0.03, "perfect": 1}, {"noise": 0, "binary": True}], ids=["continuous", "0/1"]
)
HALF = mixed((64, IMAGE), (64, NONE))


@BOTH_KINDS
class TestAnswers:
    @pytest.mark.parametrize(
        ("before", "after", "outcome", "exchanged"),
        [
            (TEXT, NONE, "removed", "increased"),
            (mixed((124, IMAGE), (4, AND)), NONE, "removed", "increased"),
            (IMAGE, TEXT, "moved, not removed", "moved, not removed"),
            (OR, IMAGE, "moved, not removed", "increased"),
            (IMAGE, HALF, "reduced", "increased"),
            (OR, AND, "reduced", "increased"),
            (IMAGE, IMAGE, "unchanged", "unchanged"),
            (NONE, NONE, "unchanged", "unchanged"),
            (mixed((20, IMAGE), (108, NONE)), NONE, "inconclusive", "inconclusive"),
            (IMAGE, ALWAYS, "inconclusive", "inconclusive"),
        ],
    )
    def test_each_outcome_in_both_orders(self, kind, before, after, outcome, exchanged):
        assert compare(before, after, **kind).verdict.outcome == outcome
        assert compare(after, before, **kind).verdict.outcome == exchanged

    def test_removed_says_how_much_may_be_left(self, kind):
        found = compare(TEXT, NONE, **kind)
        verdict = found.verdict
        assert (verdict.before.effect, verdict.after.effect) == ("active", "no effect")
        assert (verdict.fell, verdict.rose) == (("text", "image+text"), ())
        assert (verdict.lost, verdict.gained) == (("text",), ())
        assert verdict.min_change == pytest.approx(0.1 * verdict.perfect)
        assert "no effect above 10 % of a perfect attack (at most 2." in str(verdict)
        assert str(found).startswith("Verdict: removed: before, the triggers move the value (text,")

    def test_effects_that_turn_round_in_rare_examples_are_provided_for(self, kind):
        strict = compare(IMAGE, IMAGE, n=64, **kind)
        loose = compare(IMAGE, IMAGE, n=64, rules=mc.Rules(strict=False), **kind)
        assert loose.verdict.outcome == "unchanged"
        assert ("inverted" in str(loose), "inverted" in str(strict)) == (True, False)
        if kind["noise"]:  # values 0 and 1 tell by themselves how far they can go
            assert strict.verdict.largest == pytest.approx(2 * loose.verdict.largest, rel=0.1)
            assert strict.verdict.outcome == "inconclusive"
        else:
            assert strict.verdict.largest == loose.verdict.largest

    def test_moved_says_from_where_to_where(self, kind):
        verdict = compare(OR, IMAGE, **kind).verdict
        assert (verdict.lost, verdict.gained) == (("text",), ("image",))
        assert (verdict.fell, verdict.rose) == (("text",), ())
        assert (
            "moved, not removed: attribution went from text to image, by more than 10 % of a "
            "perfect attack each; after, the triggers move the value (image, image+text)"
        ) in str(verdict)

    def test_a_removal_that_leaves_one_attack_in_six_is_a_reduction(self, kind):
        left = mixed((32, TEXT), (96, NONE))
        verdict = compare(TEXT, left, **kind).verdict
        assert (verdict.outcome, verdict.after.effect) == ("reduced", "active")
        assert "none rose by as much" in str(verdict)

    def test_what_falls_while_something_else_rises_is_not_reduced(self, kind):
        """Each trigger stops working alone, and any two of them begin to: phi goes nowhere."""
        names = ["image", "text", "mask"]
        one = [bin(c).count("1") == 1 for c in range(8)]
        two = [bin(c).count("1") == 2 for c in range(8)]
        verdict = compare(one, two, names=names, **kind).verdict
        assert verdict.fell == tuple(names)
        assert verdict.rose == ("image+text", "image+mask", "text+mask")
        assert verdict.outcome == "inconclusive"

    def test_a_model_that_always_shows_the_target_has_not_lost_its_backdoor(self, kind):
        """No trigger has an effect any more, since none is needed."""
        verdict = compare(IMAGE, mixed((64, ALWAYS), (64, NONE)), **kind).verdict
        assert verdict.after.effect == "no effect"
        assert (verdict.outcome, verdict.clean) == ("inconclusive", "rose")
        assert "the value of the clean runs rose by more than 10 %" in str(verdict)

    def test_clean_runs_that_change_are_no_unchanged_model(self, kind):
        shifted = mixed((64, ALWAYS), (64, NONE))
        for before, after, clean in ((NONE, shifted, "rose"), (shifted, NONE, "fell")):
            verdict = compare(before, after, **kind).verdict
            assert (verdict.outcome, verdict.clean) == ("inconclusive", clean)

    def test_a_new_backdoor_is_not_one_that_moved(self, kind):
        """The image brings the target, and text alone takes it away: phi image +, phi text -."""
        base = mixed((64, NONE), (64, ALWAYS))
        after = mixed((64, IMAGE), (64, [1, 1, 0, 1]))
        verdict = compare(base, after, **kind).verdict
        assert (verdict.gained, verdict.lost) == (("image",), ("text",))
        assert verdict.before.effect == "no effect"
        assert verdict.outcome == "inconclusive"

    def test_few_examples_are_refused(self, kind):
        few = compare(TEXT, NONE, 31, **kind)
        assert few.verdict.outcome == "too few examples"
        assert str(few.verdict).startswith("Verdict: none, 31 examples are too few (a verdict need")
        assert "Each claim" not in str(few)
        assert compare(TEXT, NONE, 40, **kind).verdict.outcome == "removed"

    def test_groups_are_the_unit_and_those_of_one_side_serve_both(self, kind):
        before, after = table(TEXT, **kind), table(NONE, seed=1, **kind)
        for groups, outcome in ((31, "too few examples"), (64, "removed")):
            grouped = before.clustered(np.arange(128) % groups)
            for pair in ((grouped, after), (grouped, after.clustered(np.arange(128) % groups))):
                found = mc.compare(*pair)
                assert found.verdict.outcome == outcome
                parts = (found.before, found.after, found.difference)
                assert {part.tma.total.n for part in parts} == {groups}
        with pytest.raises(TableError, match="compare tables: the examples are in other groups"):
            mc.compare(grouped, after.clustered(range(128)))

    def test_one_and_three_modalities(self, kind):
        alone = compare([0, 1], [0, 0], names=["text"], **kind)
        assert alone.verdict.outcome == "removed"
        assert "CTI" not in str(alone)
        names = ["image", "text", "mask"]
        of_text, of_mask = ([c >> bit & 1 for c in range(8)] for bit in (1, 2))
        moved = compare(of_text, of_mask, names=names, **kind).verdict
        assert (moved.outcome, moved.lost, moved.gained) == (
            "moved, not removed", ("text",), ("mask",),
        )  # fmt: skip


def test_other_methods_compare_and_say_that_they_are_not_measured():
    for method in ("plus-ends", "t", "hall"):
        found = compare(TEXT, NONE, method=method, perfect=1, bounds=(-0.5, 1.5))
        assert found.verdict.fell == ("text", "image+text")
        assert f"How often claims are false is not measured for method={method!r}" in str(found)
    equal = compare(TEXT, NONE, method="t", noise=0, binary=True).verdict
    assert equal.outcome == "inconclusive"
    assert "all examples are equal" in str(equal)
    with pytest.raises(InputError, match="needs the bounds of the value function"):
        compare(TEXT, NONE, method="gaffke", perfect=1)


class TestScale:
    @pytest.mark.parametrize("factor", [1e-6, 0.2, 1e6])
    @pytest.mark.parametrize(("before", "after"), [(TEXT, NONE), (OR, IMAGE), (IMAGE, HALF)])
    def test_the_verdict_does_not_depend_on_the_unit(self, factor, before, after):
        pair = table(before, perfect=1), table(after, seed=1, perfect=1)
        scaled = [
            mc.CoalitionTable.from_values(factor * (one.values - 3), PAIR, perfect=-2 * factor)
            for one in pair
        ]
        plain, other = mc.compare(*pair).verdict, mc.compare(*scaled).verdict
        assert str(plain) == str(other)
        assert other.min_change == pytest.approx(factor * plain.min_change)

    @pytest.mark.parametrize("scales", [(None, None), (1, None), (None, 1)])
    def test_without_a_scale_on_both_sides_no_outcome_and_what_to_declare_is_said(self, scales):
        for before, after in ((TEXT, NONE), (NONE, NONE), (OR, IMAGE)):
            pair = (
                table(game, seed=seed, perfect=scale)
                for seed, (game, scale) in enumerate(zip((before, after), scales, strict=True))
            )
            verdict = mc.compare(*pair).verdict
            assert verdict.outcome == "inconclusive"
            assert math.isnan(verdict.min_change)
            assert "declare `perfect` on the detector" in str(verdict)
        assert verdict.fell == ("text",)
        assert "the effect of text fell; " in str(verdict)

    def test_equal_changes_without_a_scale_settle_nothing(self):
        before, after = (
            mc.CoalitionTable.from_values([v] * 40, PAIR) for v in ([0.0] * 4, [2.0] * 4)
        )
        verdict = mc.compare(before, after).verdict
        assert verdict.outcome == "inconclusive"
        assert "all examples are equal, and `perfect` is not declared" in str(verdict)

    def test_clean_runs_that_score_like_the_target_leave_no_room(self):
        found = compare(ALWAYS, ALWAYS, perfect=1).verdict
        assert found.outcome == "inconclusive"
        assert "the clean runs may score as much as a perfect attack would" in str(found)

    def test_delta_is_a_part_of_a_perfect_attack_before(self):
        """After, the clean runs score half of the target: P is 1 before and .5 after."""
        pair = table(IMAGE, perfect=1), table([0.5, 1, 0.5, 1], perfect=1, seed=1)
        for (before, after), perfect in ((pair, 1.0), (pair[::-1], 0.5)):
            verdict = mc.compare(before, after).verdict
            assert verdict.perfect == pytest.approx(perfect, abs=0.01)
            assert verdict.min_change == pytest.approx(perfect / 10, abs=0.001)

    def test_rules_are_used_recorded_and_printed(self):
        rules = mc.Rules(alpha=0.01, effect=0.4)
        kept = mixed((92, IMAGE), (36, NONE))
        assert compare(IMAGE, kept, perfect=1).verdict.outcome == "reduced"
        verdict = compare(IMAGE, kept, perfect=1, rules=rules).verdict
        assert verdict.outcome == "unchanged"
        assert "no effect of the triggers changed by 40 % of a perfect attack" in str(verdict)
        assert verdict.to_dict()["rules"]["alpha"] == 0.01
        assert "false in at most 1 %" in verdict.level

    def test_what_fell_is_said_of_all_coalitions_together(self):
        """Holm: three changes at a third of alpha each; once two are shown, the last at all."""
        text_fails = mixed((13, IMAGE), (51, OR))
        change = Sample.of(table(text_fails, 64, noise=0).minus(table(OR, 64, noise=0)))
        levels = [
            change.lower(-effect_contrasts(2)[:, [1]], a, strict=True) for a in (0.05, 0.0167)
        ]
        assert levels[0] > 0.1 > levels[1]
        assert compare(OR, text_fails, 64, noise=0).verdict.fell == ()
        so_do_both = mixed((13, NONE), (17, [0, 0, 1, 0]), (34, OR))
        assert compare(OR, so_do_both, 64, noise=0).verdict.fell == ("image", "text", "image+text")

    @pytest.mark.parametrize("side", [0, 1])
    def test_looks_at_one_side_cost_the_level_of_each(self, side):
        """What fell by 15 of 64 is shown in one look, and not in five."""
        part = mixed((15, NONE), (49, IMAGE))
        pair = [table(game, 64, noise=0) for game in (IMAGE, part)]
        assert mc.compare(*pair).verdict.fell == ("image", "image+text")
        widths = [mc.compare(*pair).difference.tma["image"].high]
        looks = {"looks": {"at": [32, 64, 128, 256, 512]}}
        pair[side] = replace(pair[side], provenance=looks)
        assert mc.compare(*pair).verdict.fell == ()
        assert mc.compare(*pair).difference.tma["image"].high > widths[0]


class TestPairing:
    def test_what_is_no_table_is_refused(self):
        one, other = table(TEXT), table(NONE, seed=1)

        def sampler(conditions, seeds):
            return seeds

        for wrong in (None, 3, one.values, sampler, {}, [one]):
            with pytest.raises(
                InputError, match=r"before must be a CoalitionTable, an Audit, or a"
            ):
                mc.compare(wrong, other)
        with pytest.raises(
            InputError, match=r"after\['clip'\] must be a CoalitionTable or an Audi"
        ):
            mc.compare({"clip": one}, {"clip": 3})
        with pytest.raises(InputError, match="level must be"):
            mc.compare(one, other, level=2)

    def test_names_must_agree(self):
        one, other = table(TEXT), table(NONE, seed=1)
        for before, after in (({"a": one}, other), (one, {"a": other}), ({"a": one}, {"b": other})):
            with pytest.raises(InputError, match="before and after must match: before is "):
                mc.compare(before, after)

    def test_one_table_twice_is_refused(self):
        one = table(TEXT)
        audit = mc.audit(one)
        for pair in ((one, one), (audit, audit), (audit, one), ({"a": one}, {"a": one})):
            with pytest.raises(InputError, match="before and after are one table"):
                mc.compare(*pair)

    def test_differences_are_refused(self):
        one, other = table(TEXT), table(NONE, seed=1)
        difference = one.minus(other)
        for pair in ((difference, one), (one, mc.audit(difference))):
            with pytest.raises(InputError, match=r"(before|after) holds differences between two"):
                mc.compare(*pair)

    def test_other_examples_modalities_and_repeats_are_refused(self):
        one = table(TEXT)
        with pytest.raises(TableError, match="cannot compare tables: the examples differ, 64 here"):
            mc.compare(one, one.select(range(64)))
        for other in (
            table(TEXT, names=["image", "audio"]),
            replace(one, values=np.repeat(one.values, 2, axis=1)),
            table(TEXT, noise=0, binary=True),
        ):
            with pytest.raises(TableError, match="cannot compare tables of two runs: "):
                mc.compare(one, other)

    def test_other_runs_are_refused_and_other_samplers_and_their_options_are_not(self):
        sampler, detector, examples, triggers = planted_game(OR, PAIR, examples=40, noise=0.02)

        def measured(model=sampler, examples=examples, triggers=triggers, **options):
            run = {"seed": 0, "progress": False, **options}
            return mc.evaluate_coalitions(model, detector, examples, triggers, **run)

        one = measured()
        other = measured(sampler.with_options(values=tuple(IMAGE)))
        assert compare_tables(one, other).difference.tma["text"].value == pytest.approx(-0.5)
        with pytest.raises(TableError, match="cannot compare tables of two runs: seed is 1 in one"):
            mc.compare(one, measured(seed=1))
        with pytest.raises(TableError, match="cannot compare tables of two runs: triggers"):
            mc.compare(one, measured(triggers={**triggers, "text": lambda text: text + "?"}))
        changed = [{**example, "text": example["text"] + "."} for example in examples]
        with pytest.raises(TableError, match="examples differ, 0 holds something else there"):
            mc.compare(one, measured(examples=changed))
        seeds = replace(other, seeds=other.seeds + 1)
        with pytest.raises(TableError, match="cannot compare tables: the seeds differ"):
            mc.compare(one, seeds)
        changed = {**other.provenance["run"], "detector": "another"}
        other = replace(other, provenance={"run": changed})
        with pytest.raises(TableError, match="of two runs: detector") as raised:
            mc.compare({"d": one}, {"d": other})
        assert raised.value.__notes__ == ["in the tables 'd'"]

    def test_the_control_still_has_its_words(self):
        one = table(TEXT)
        with pytest.raises(TableError, match="cannot subtract the control: the examples differ"):
            one.minus(one.select(range(64)))


class TestResult:
    def test_every_figure_is_the_difference_of_the_two(self):
        found = compare(OR, IMAGE, perfect=1)
        for label, change in found.difference.estimates.items():
            before, after = (part.estimates[label].value for part in (found.before, found.after))
            assert change.value == pytest.approx(after - before)
        assert found.difference.verdict is None
        assert found.before.verdict == found.verdict.before

    def test_audits_and_mappings_say_what_their_tables_do(self):
        one, other = table(OR, perfect=1), table(IMAGE, perfect=1, seed=1)
        plain = mc.compare(one, other).to_dict()
        assert mc.compare(mc.audit(one, level=0.5), mc.audit(other)).to_dict() == plain
        named = mc.compare({"a": one, "b": other}, {"b": mc.audit(one), "a": other})
        assert list(named) == ["a", "b"]
        assert named["a"].to_dict() == plain
        assert named["b"].verdict.gained == ("text",)

    def test_options_reach_the_intervals(self):
        one, other = table(OR, perfect=1), table(IMAGE, perfect=1, seed=1)
        widths = []
        for options in ({"level": 0.8}, {}, {"simultaneous": True}):
            phi = mc.compare(one, other, **options).difference.tma["text"]
            widths.append(phi.high - phi.low)
        assert widths == sorted(widths)
        assert "all together" in str(mc.compare(one, other, simultaneous=True))

    def test_plain_data_makes_the_round_trip(self):
        for before, after in ((TEXT, NONE), (OR, IMAGE), (NONE, NONE)):
            for scale in (1, None):
                found = compare(before, after, 40, perfect=scale)
                assert json.loads(found.to_json()) == json.loads(json.dumps(found.to_dict()))
                data = json.loads(found.to_json())
                assert data["verdict"]["outcome"] == found.verdict.outcome
                assert data["verdict"]["after"]["effect"] == found.after.verdict.effect
                phi = data["difference"]["tma"]["text"]
                assert phi["value"] == found.difference.tma["text"].value

    def test_it_prints_a_sentence_a_table_and_the_level(self):
        lines = str(compare(mixed((124, IMAGE), (4, AND)), NONE, noise=0, binary=True)).splitlines()
        assert lines[0] == (
            "Verdict: removed: before, the triggers move the value (image, image+text); after, no "
            "effect above 10 % of a perfect attack (at most 2.4 %)"
        )
        assert lines[2] == "128 examples, 95% intervals, each alone"
        assert lines[3].split() == ["before", "after", "difference"]
        assert [line.split()[0] for line in lines[4:11]] == [
            "v(none)", "v(image)", "v(text)", "v(image+text)", "phi", "phi", "CTI",
        ]  # fmt: skip
        assert lines[5].split()[1] == "0.969"
        assert lines[5].count("[") == 3
        assert lines[-1].startswith("Each claim is false in at most 5 % of comparisons")

    def test_notes_are_said_once_or_of_their_side(self):
        undeclared = compare(TEXT, NONE, noise=0).verdict
        assert undeclared.notes == ("all values are 0 or 1 and were taken as successes",)
        beyond = mixed((7, [0, 0, 1.3, 1.3]), (121, TEXT))
        (note,) = compare(beyond, NONE, perfect=1, noise=0.01).verdict.notes
        assert note.startswith("before: 7 of 128 examples score beyond a perfect attack")
        notes = {"notes": ["the box was cut off"]}
        one = replace(table(TEXT, perfect=1), provenance=notes)
        other = table(NONE, perfect=1, seed=1)
        assert "Note: before: the box was cut off" in str(mc.compare(one, other))
        both = str(mc.compare(one, replace(other, provenance=notes)))
        assert both.count("the box was cut off") == both.count("Note: the box was cut off") == 1

    def test_it_is_drawn(self, tmp_path):
        figure = compare(OR, IMAGE, perfect=1).plot(title="a $defence$")
        figure.savefig(tmp_path / "comparison.png")
        values = [
            [held.lines[0].get_xdata() for held in ax.containers] for ax in figure.axes
        ]  # rows of panels: mean values, attributions, interactions
        assert [np.shape(held) for held in values] == [
            (2, 4), (1, 4), (2, 2), (1, 2), (2, 1), (1, 1),
        ]  # fmt: skip
        for (before, after), (change,) in zip(values[::2], values[1::2], strict=True):
            np.testing.assert_allclose(change, np.subtract(after, before), atol=1e-12)
        legend = [text.get_text() for text in figure.legends[0].texts]
        assert {"before", "after", "after - before"} < set(legend)
        assert figure.legends[0].get_title().get_text() == r"a \$defence\$"


games = st.lists(st.tuples(*[st.integers(0, 15)] * 2), min_size=1, max_size=4)
PATTERNS = (np.arange(16)[:, None] >> np.arange(4)) & 1
few = settings(max_examples=20, deadline=None)


def drawn(kinds, seed, noise=0.0):
    """Tables before and after of examples of some kinds, each of two patterns."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(len(kinds), size=64)
    both = (PATTERNS[np.array(kinds)[kind, side]] for side in (0, 1))
    scale = {"perfect": 1.0} if noise else {}
    return [
        mc.CoalitionTable.from_values(rows + noise * rng.normal(size=rows.shape), PAIR, **scale)
        for rows in both
    ]


@few
@given(kinds=games, seed=st.integers(0, 99), noise=st.sampled_from([0.0, 0.03]))
def test_exchanging_before_and_after_mirrors_all_differences(kinds, seed, noise):
    before, after = drawn(kinds, seed, noise)
    there, back = mc.compare(before, after), mc.compare(after, before)
    for label, change in there.difference.estimates.items():
        mirrored = back.difference.estimates[label]
        assert change.value == pytest.approx(-mirrored.value, abs=1e-12)
        assert change.se == pytest.approx(mirrored.se, abs=1e-12)
        if not noise:
            assert (change.low, change.high) == pytest.approx((-mirrored.high, -mirrored.low))
    if not noise and not PATTERNS[np.array(kinds)][..., 0].any():  # P is the same in both
        mirror = {"removed": "increased", "reduced": "increased"}
        either = {"moved, not removed", "increased"}
        one, other = there.verdict, back.verdict
        assert (one.fell, one.rose, one.lost, one.gained) == (
            other.rose, other.fell, other.gained, other.lost,
        )  # fmt: skip
        assert one.largest == pytest.approx(other.largest)
        if one.outcome == "moved, not removed":
            assert other.outcome in either
        elif one.outcome != "increased":
            assert other.outcome == mirror.get(one.outcome, one.outcome)


@few
@given(kinds=games, seed=st.integers(0, 99), order=st.permutations(range(64)))
def test_the_order_of_the_examples_does_not_matter(kinds, seed, order):
    before, after = drawn(kinds, seed, 0.03)
    plain = mc.compare(before, after)
    for pair in ((before.select(order), after), (before, after.select(order))):
        other = mc.compare(*pair)
        assert other.verdict.outcome == plain.verdict.outcome
        assert str(other.verdict) == str(plain.verdict)
        assert other.before.table.example_ids == other.after.table.example_ids
        for label, change in plain.difference.estimates.items():
            assert other.difference.estimates[label].low == pytest.approx(change.low, abs=1e-9)


@few
@given(kinds=games, seed=st.integers(0, 99), noise=st.sampled_from([0.0, 0.03]))
def test_equal_tables_are_unchanged_or_inconclusive(kinds, seed, noise):
    before, _ = drawn(kinds, seed, noise)
    verdict = mc.compare(before, replace(before)).verdict
    assert verdict.outcome in ("unchanged", "inconclusive")
    assert verdict.fell == verdict.rose == verdict.lost == verdict.gained == ()
    assert verdict.clean == ""

"""Groups of examples: their audits, whether they differ, and what is refused."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import modcollapse as mc
from modcollapse.analysis import Slices
from modcollapse.analysis._slices import permutation_p
from modcollapse.errors import InputError
from modcollapse.game import interaction_contrasts, shapley_contrasts
from modcollapse.samplers import planted_game

PAIR = ("image", "text")
FIGURES = ("phi image", "phi text", "total effect", "CTI image+text")
FAST = {"permutations": 199}


def additive(image, text, cti=0.0):
    """A game with these attributions and this interaction."""
    return [0, image - cti / 2, text - cti / 2, image + text]


def values_of(games, sizes, noise=0.05, seed=0):
    rows = np.repeat(np.asarray(games, float), sizes, axis=0)
    return rows + noise * np.random.default_rng(seed).normal(size=rows.shape)


def table(games, sizes, names=("a", "b", "c"), **options):
    labels = np.repeat(list(names)[: len(sizes)], sizes)
    options = {"perfect": 1, "fields": {"kind": labels}} | options
    return mc.CoalitionTable.from_values(values_of(games, sizes), PAIR, **options)


def sliced(*arguments, by="kind", **options):
    return mc.audit(table(*arguments, **options)).by(by, **FAST)


TEXT_ONLY = ([additive(0.1, 0.8), additive(0.1, 0.6)], (40, 50))
EQUAL = ([additive(0.1, 0.8)] * 2, (40, 50))


class TestWhatDiffers:
    def test_the_attribution_that_was_planted_and_the_total_with_it(self):
        found = sliced(*TEXT_ONLY)
        assert tuple(found.differ) == FIGURES
        assert found.differing == ("phi text", "total effect")
        assert found.differ["phi text"] == 1 / 200
        assert found.differ["phi image"] > 0.05
        assert found.differ["CTI image+text"] > 0.05

    def test_attributions_that_change_places(self):
        found = sliced([additive(0.2, 0.6), additive(0.6, 0.2)], (40, 50))
        assert found.differing == ("phi image", "phi text")

    def test_an_interaction_alone(self):
        found = sliced([additive(0.4, 0.4, 0.2), additive(0.4, 0.4, -0.2)], (40, 50))
        assert found.differing == ("CTI image+text",)
        assert found.said == (
            "CTI image+text differs between groups (p = 0.005, adjusted for 4 figures)."
        )

    def test_a_base_rate_is_no_effect(self):
        low, high = np.array(additive(0.1, 0.6)), np.array(additive(0.1, 0.6)) + 0.3
        assert sliced([low, high], (40, 50)).differing == ()

    def test_equal_groups(self):
        found = sliced(*EQUAL)
        assert found.differing == ()
        assert found.said.startswith("No difference between groups is shown (smallest p = 0.")

    def test_examples_that_are_all_equal_do_not_differ(self):
        same = mc.CoalitionTable.from_values(
            [[0, 0.1, 0.7, 0.8]] * 80, PAIR, perfect=1, fields={"kind": [0, 1] * 40}
        )
        assert set(mc.audit(same).by("kind", **FAST).differ.values()) == {1.0}

    def test_three_modalities_and_one(self):
        rng = np.random.default_rng(0)
        labels = {"kind": ["a", "b"] * 40}
        three = mc.CoalitionTable.from_values(rng.normal(size=(80, 8)), list("abc"), fields=labels)
        found = mc.audit(three).by("kind", **FAST)
        assert list(found.differ) == [
            "phi a", "phi b", "phi c", "total effect", "CTI a+b", "CTI a+c", "CTI b+c",
        ]  # fmt: skip
        one = mc.CoalitionTable.from_values(rng.normal(size=(80, 2)), ["text"], fields=labels)
        alone = mc.audit(one).by("kind", **FAST)
        assert list(alone.differ) == ["phi text"]
        assert "adjusted" not in alone.said
        for slices in (found, alone):
            assert slices.plot().axes[0].get_title().startswith("phi")


CONTRASTS = np.column_stack(
    [shapley_contrasts(2), [-1, 0, 0, 1], interaction_contrasts(2, "SII", 2)]
)


def welch(*groups):
    """The statistic of one figure, written down again; the spread over all is 1."""
    n = np.array([len(group) for group in groups])
    means = np.array([np.mean(group) for group in groups])
    within = np.array([np.sum((group - np.mean(group)) ** 2) for group in groups])
    weights = n / ((within + 1) / n)
    common = np.average(means, weights=weights)
    return np.sum(weights * (means - common) ** 2)


def standard(values):
    return (values - values.mean(axis=0)) / values.std(axis=0)


class TestLevel:
    """An error of four standard errors of the simulation is allowed."""

    def test_p_is_uniform_where_groups_are_equal(self):
        found = []
        for seed in range(200):
            values = values_of([additive(0.1, 0.8)], [50], seed=seed) @ CONTRASTS
            found.append(permutation_p(values, [20, 30], 199, seed).min())
        assert np.mean(np.array(found) <= 0.05) < 0.05 + 4 * np.sqrt(0.05 * 0.95 / 200)
        assert stats.kstest(found, "uniform").pvalue > 0.001

    def test_equal_means_of_unequal_spread_do_not_differ(self):
        """A pooled variance calls 60 % of these different."""
        found = []
        for seed in range(200):
            rng = np.random.default_rng(seed)
            values = np.concatenate([3 * rng.normal(size=(32, 4)), rng.normal(size=(320, 4))])
            found.append(permutation_p(values, [32, 320], 199, seed).min())
        assert np.mean(np.array(found) <= 0.05) < 0.05 + 4 * np.sqrt(0.05 * 0.95 / 200)

    @pytest.mark.parametrize("sizes", [(5, 6), (3, 3, 3)])
    def test_scipy_counts_all_permutations_of_one_figure(self, sizes):
        values = standard(values_of([additive(0.1, 0.8)], [sum(sizes)], seed=2) @ CONTRASTS[:, :1])
        groups = np.split(values[:, 0], np.cumsum(sizes)[:-1])
        exact = stats.permutation_test(
            groups, welch, permutation_type="independent", alternative="greater", n_resamples=10_000
        ).pvalue
        (p,) = permutation_p(values, sizes, 9_999, 0)
        assert abs(p - exact) < 4 * np.sqrt(exact * (1 - exact) / 10_000)

    def test_the_largest_figure_of_each_permutation_adjusts(self):
        values = standard(values_of([[0, 0, 0, 0], [0, 0.08, 0, 0.1]], (5, 6)) @ CONTRASTS)
        largest = []
        for first in itertools.combinations(range(11), 5):
            inside = np.isin(np.arange(11), first)
            largest.append(max(welch(column[inside], column[~inside]) for column in values.T))
        seen = [welch(column[:5], column[5:]) for column in values.T]
        exact = np.array([np.mean(np.array(largest) >= one - 1e-9) for one in seen])
        p = permutation_p(values, [5, 6], 9_999, 0)
        assert (abs(p - exact) < 4 * np.sqrt(exact * (1 - exact) / 10_000) + 1e-4).all()
        adjusted = permutation_p(values, [5, 6], 999, 0)
        alone = [permutation_p(column[:, None], [5, 6], 999, 0)[0] for column in values.T]
        assert (adjusted >= alone).all()
        assert (adjusted > alone)[1:].all()

    def test_rare_flips_of_0_and_1_tie_and_ties_count(self):
        values = np.zeros((40, 1))
        values[0] = 1.0  # it lies in the small group in 10 of 40 permutations
        (p,) = permutation_p(values, [10, 30], 3_999, 0)
        assert abs(p - 0.25) < 4 * np.sqrt(0.25 * 0.75 / 4_000)

    def test_the_unit_of_the_value_does_not_matter(self):
        values = values_of([additive(0.1, 0.8), additive(0.1, 0.7)], (20, 30)) @ CONTRASTS
        expected = permutation_p(values, [20, 30], 199, 0)
        assert permutation_p(1e6 + 1e-3 * values, [20, 30], 199, 0) == pytest.approx(expected)

    def test_the_seed_says_which_permutations(self):
        audit = mc.audit(table(*EQUAL))
        first, again, other = (audit.by("kind", permutations=999, seed=s).differ for s in (0, 0, 1))
        assert first == again != other


class TestAudits:
    def test_each_is_that_of_its_examples_at_a_part_of_the_level(self):
        games, sizes = [additive(0.0, 0.8), additive(0.0, 0.6), additive(0.8, 0.0)], (40, 50, 36)
        whole = table(games, sizes)
        rules = mc.Rules(alpha=0.06, share=0.7)
        found = mc.audit(whole, level=0.9, rules=rules, simultaneous=True).by("kind", **FAST)
        assert isinstance(found, Slices)
        assert list(found) == ["a", "b", "c"]
        assert [len(found[label].table) for label in "abc"] == list(sizes)
        split = mc.Rules(alpha=0.06 / 3, share=0.7)
        for label in "abc":
            ids = [
                n for n, one in zip(range(126), whole.fields["kind"], strict=True) if one == label
            ]
            expected = mc.audit(
                whole.select(ids), level=1 - 0.1 / 3, rules=split, simultaneous=True
            )
            assert found[label].to_dict() == expected.to_dict()
        assert [audit.verdict.dominant for audit in found.values()] == ["text", "text", "image"]
        assert (found.level, found.alpha) == (0.9, 0.06)
        with pytest.raises(KeyError, match="no group 'd' here; there is 'a', 'b', 'c'"):
            found["d"]

    def test_few_units_have_figures_but_no_verdict_and_are_tested(self):
        found = sliced([additive(0.1, 0.8), additive(0.1, 0.2)], (40, 5))
        assert found["b"].tma["text"].value == pytest.approx(0.2, abs=0.1)
        assert found["b"].verdict.effect == "too few examples"
        assert "phi text" in found.differing
        assert "b: none, 5 examples are too few (a verdict needs 32)" in str(found)

    def test_a_single_example_is_not_tested_and_named(self):
        found = sliced([additive(0.1, 0.8)] * 3, (40, 40, 1))
        assert found.untested == ("c",)
        assert len(found) == 3
        assert "Of one unit each, and so not in the test: 'c'." in str(found)
        two = sliced(*TEXT_ONLY)
        assert found.differ.keys() == two.differ.keys()

    def test_nothing_to_test(self):
        found = sliced([additive(0.1, 0.8)] * 2, (40, 1))
        assert found.differ == {}
        assert found.said.startswith("Whether groups differ is not tested")
        assert found.said in str(found)
        json.loads(found.to_json())

    def test_of_a_run_and_from_its_file(self, tmp_path):
        game = planted_game([0, 0.1, 0.7, 0.9], PAIR, examples=12, noise=0.1)
        for position, example in enumerate(game.examples):
            example["length"] = position
        audit = mc.audit(*game, progress=False)

        def long(example):
            return example["length"] > 5

        found = audit.by(long, **FAST)
        assert list(found) == [False, True]
        assert found.by == "long"
        assert found[True].table.example_ids == audit.table.example_ids[6:]
        loaded = mc.CoalitionTable.load(audit.table.save(tmp_path / "t"))
        assert mc.audit(loaded).by(long, **FAST).to_dict() == found.to_dict()


class TestControl:
    def test_each_group_has_its_own_and_the_difference_is_tested(self):
        """The value moves more in one group, with and without a backdoor."""
        shifts = [additive(0.1, 0.0), additive(0.4, 0.0)]
        attack = np.array([0, 0, 0.4, 0.4])
        control = table(shifts, (40, 50))
        model = mc.CoalitionTable.from_values(
            values_of(np.add(shifts, attack), (40, 50), seed=1), PAIR, perfect=1,
            fields=control.fields,
        )  # fmt: skip
        backwards = control.select(reversed(range(90)))
        audit = mc.audit(model, control=backwards)
        found = audit.by("kind", **FAST)
        assert found.differing == ("phi image", "total effect")
        assert found.difference.differing == ()
        for label, one in found.items():
            ids = one.table.example_ids
            assert set(one.control.table.example_ids) == set(ids)
            assert one.difference is found.difference[label]
            difference = one.difference.tma["image"]
            assert difference.value == pytest.approx(
                audit.difference.tma.per_example[list(ids), 0].mean()
            )
            assert difference.level == 1 - 0.05 / 2
        text = str(found)
        assert text.count("Verdict of each group:") == 2
        assert found.said in text.split("Difference from the control:")[0]
        assert found.difference.said in text.split("Difference from the control:")[1]
        plain = json.loads(found.to_json())
        assert plain["difference"]["differ"] == found.difference.differ
        assert plain["groups"]["a"]["difference"]["verdict"]["effect"] == "active"
        assert "Difference from the control." in found.plot().get_supxlabel()

    def test_a_bare_table_of_differences_has_no_verdicts(self):
        difference = table(*TEXT_ONLY).minus(table(*EQUAL))
        found = mc.audit(difference).by("kind", **FAST)
        assert "Verdicts: none, since these are differences between two tables" in str(found)
        assert found.differing == ("phi text", "total effect")


class TestClusters:
    def of(self, labels, by="kind", size=4, groups=20):
        rng = np.random.default_rng(0)
        of_group = np.array(additive(0.1, 0.7)) + 0.1 * rng.normal(size=(groups, 4))
        return mc.CoalitionTable.from_values(
            np.repeat(of_group, size, axis=0),
            PAIR,
            perfect=1,
            clusters=np.repeat(np.arange(groups), size),
            fields={"kind": labels},
        )

    def test_they_are_what_is_permuted(self):
        clustered = self.of(np.repeat(["a", "b"] * 10, 4))
        means = mc.CoalitionTable.from_values(
            clustered.values[::4, 0], PAIR, perfect=1, fields={"kind": ["a", "b"] * 10}
        )
        found, expected = (mc.audit(one).by("kind", **FAST) for one in (clustered, means))
        assert found.differ == pytest.approx(expected.differ)
        assert "a (n = 10 clusters)" in str(found)
        as_examples = mc.CoalitionTable.from_values(clustered.values, PAIR, fields=clustered.fields)
        alone = mc.audit(as_examples).by("kind", **FAST)
        assert min(alone.differ.values()) < min(found.differ.values())  # four times too many

    def test_one_that_lies_in_two_groups_is_refused(self):
        labels = np.repeat(["a", "b"] * 10, 4)
        labels[9] = "b"
        message = "the cluster 2, a unit of inference, lies in two groups, 'a' and 'b'"
        with pytest.raises(InputError, match=message):
            mc.audit(self.of(labels)).by("kind")


class TestBy:
    def test_what_a_function_is_given(self):
        seen = []

        def label(example):
            seen.append(example)
            return "long" if (example["length"] or 0) > 40 else "short"

        fields = {"length": [*range(79), None], "kind": ["a"] * 80}
        whole = mc.CoalitionTable.from_values(np.eye(4)[[0, 1, 2, 3] * 20], PAIR, fields=fields)
        found = mc.audit(whole).by(label, **FAST)
        assert seen[79] == {"id": 79, "length": None, "kind": "a"}
        assert {name: len(audit.table) for name, audit in found.items()} == {
            "short": 42,
            "long": 38,
        }

    def test_labels_and_series(self):
        audit = mc.audit(table(*TEXT_ONLY))
        labels = ["x"] * 40 + ["y"] * 50
        expected = audit.by("kind", **FAST).differ
        series = pd.Series(labels, index=range(90)).iloc[::-1]
        for by in (labels, tuple(labels), np.array(labels), iter(labels), series):
            found = audit.by(by, **FAST)
            assert (found.differ, found.by) == (expected, "labels")
            assert [len(one.table) for one in found.values()] == [40, 50]

    @pytest.mark.parametrize(
        ("labels", "order"),
        [
            ([2.5, 1.0, 2.5, 1.0] * 20, [1.0, 2.5]),
            ([True, False] * 40, [False, True]),
            ([10, 9] * 40, [9, 10]),
            (["z", "a"] * 40, ["z", "a"]),
            (["z", 3] * 40, ["z", 3]),
        ],
    )
    def test_numbers_come_in_their_order(self, labels, order):
        audit = mc.audit(mc.CoalitionTable.from_values(np.eye(4)[[0, 1, 2, 3] * 20], PAIR))
        assert list(audit.by(labels, **FAST)) == order

    @pytest.mark.parametrize(
        ("by", "message"),
        [
            ("lenght", "no field 'lenght'; there is 'length', 'some', 'one', 'odd'.*'length'"),
            ("some", r"2 of 80 examples have no label by 'some' \('e3', 'e7'\)"),
            (lambda e: None, r"80 of 80 examples have no label .*'e0', 'e1', 'e2', \.\.\.\)"),
            ([float("nan")] + ["a"] * 79, "1 of 80 examples have no label by 'labels'"),
            ("one", "all 80 examples are in one group by 'one', 'a'"),
            ("length", "there are 80 groups by 'length'.*at most 12.*puts them into bins"),
            ("odd", "there are 80 groups by 'odd'.*joins some"),
            (lambda e: e["length"] / 7, "puts them into bins"),
            ([1, "1"] * 40, "cannot be told apart: .*1"),
            ([1, True] * 40, "cannot be told apart: .*True"),
            (["a"] * 79, "holds 79 labels for 80 examples"),
            ({"e0": "a"}, "by must be labels in their order"),
            ({"a"}, "by must be labels in their order"),
            (3, "by must be labels in their order"),
            (pd.Series(["a", "b"] * 40, index=range(1, 81)), "series whose index is not the ids"),
            ([["a"]] * 80, "must hold plain values, got list"),
        ],
    )
    def test_refused(self, by, message):
        fields = {
            "length": range(80),
            "some": [None if n in (3, 7) else n % 2 for n in range(80)],
            "one": ["a"] * 80,
            "odd": [f"prompt {n}" for n in range(80)],
        }
        whole = mc.CoalitionTable.from_values(
            np.eye(4)[[0, 1, 2, 3] * 20], PAIR, fields=fields,
            example_ids=[f"e{n}" for n in range(80)],
        )  # fmt: skip
        with pytest.raises(InputError, match=message):
            mc.audit(whole).by(by)

    def test_a_table_without_fields(self):
        audit = mc.audit(mc.CoalitionTable.from_values(np.eye(4), PAIR))
        with pytest.raises(InputError, match=r"have no field 'kind'; they have none\. A function"):
            audit.by("kind")

    def test_an_error_of_the_function_says_where(self):
        with pytest.raises(KeyError) as caught:
            mc.audit(table(*EQUAL)).by(lambda example: example["photo"])
        assert "raised by by= for example 0, which holds 'kind'" in caught.value.__notes__

    @pytest.mark.parametrize("options", [{"permutations": 98}, {"seed": -1}, {"seed": 0.5}])
    def test_options(self, options):
        with pytest.raises(InputError, match="must be a whole number"):
            mc.audit(table(*EQUAL)).by("kind", **options)


class TestPrinted:
    def test_table_verdicts_and_test(self):
        text = str(sliced(*TEXT_ONLY))
        lines = text.splitlines()
        assert lines[:2] == [
            "Slices by kind: 90 examples in 2 groups",
            "Intervals of a figure at 95%, and claims at 5%, are for all groups together "
            "(Bonferroni)",
        ]
        assert lines[3].split() == ["a", "(n", "=", "40)", "b", "(n", "=", "50)", "p"]
        rows = [line.split("  ")[0] for line in lines[4:12]]
        assert rows == ["v(none)", "v(image)", "v(text)", "v(image+text)", *FIGURES]
        assert lines[9].endswith(" 0.005")
        assert lines[13] == "Verdict of each group:"
        assert lines[14].startswith("  a: the triggers move the value by more than 10 % of a perf")
        assert lines[15].startswith("  b: the triggers move")
        assert lines[-1] == (
            "These differ between groups: phi text (p = 0.005), total effect (p = 0.005), adjusted "
            "for 4 figures."
        )

    def test_notes_are_said_once(self):
        undeclared = table(*EQUAL, perfect=None)
        text = str(mc.audit(undeclared).by("kind", **FAST))
        assert text.count("no perfect attack is declared") == 1

    def test_many_groups_are_as_wide_as_a_terminal(self):
        labels = {"kind": [f"group {n % 6} of those with a long name" for n in range(240)]}
        many = mc.CoalitionTable.from_values(
            values_of([additive(0.1, 0.8)], [240]), PAIR, perfect=1, fields=labels
        )
        found = mc.audit(many).by("kind", **FAST)
        tables = str(found).split("\n\nVerdict")[0]
        assert tables.count("phi text ") == 2
        assert max(map(len, tables.splitlines())) < 140
        (first, *_), figure = found, found.plot(title="Six groups")
        assert [one.get_text().replace("\n", " ") for one in figure.axes[0].get_yticklabels()] == [
            f"{label} (n = 40)" for label in found
        ]
        assert [ax.get_title().split("\n")[0] for ax in figure.axes] == list(FIGURES)
        assert first == "group 0 of those with a long name"

    def test_plain_data(self):
        found = sliced(*TEXT_ONLY)
        plain = json.loads(found.to_json())
        assert plain["groups"].keys() == {"a", "b"}
        assert plain["groups"]["a"]["tma"]["text"] == found["a"].tma["text"].to_dict()
        assert plain["differ"] == found.differ
        assert (plain["permutations"], plain["seed"], plain["alpha"]) == (199, 0, 0.05)

    def test_a_label_is_no_command(self):
        labels = {"kind": ["\x1b[2J", "$x$"] * 40}
        odd = mc.CoalitionTable.from_values(np.eye(4)[[0, 1, 2, 3] * 20], PAIR, fields=labels)
        found = mc.audit(odd).by("kind", **FAST)
        assert "\x1b" not in str(found)
        assert found.plot().axes[0].get_yticklabels()[1].get_text() == r"\$x\$ (n = 40)"

"""Groups of examples as the unit: where labels come from, what they change, what is refused."""

from __future__ import annotations

import numpy as np
import pytest

import modcollapse as mc
from modcollapse.errors import InputError, TableError
from modcollapse.samplers import planted_game

PAIR = ("image", "text")
GAME = (0.0, 0.1, 0.7, 0.9)


def grouped(groups=16, size=4, spread=0.0, **options):
    """Examples in groups, side by side, that differ within a group by a part of the noise."""
    rng = np.random.default_rng(0)
    of_group = GAME + 0.1 * rng.normal(size=(groups, 1, 4))
    values = (of_group + spread * rng.normal(size=(groups, size, 4))).reshape(-1, 4)
    labels = np.repeat(np.arange(groups), size)
    return mc.CoalitionTable.from_values(values, PAIR, perfect=1, clusters=labels, **options)


def planted(n=12):
    game = planted_game(GAME, PAIR, examples=n, noise=0.1)
    for position, example in enumerate(game.examples):
        example["source"] = f"photo {position // 3}"
    calls = []

    def sampler(conditions, seeds):
        calls.append(seeds)
        return game.sampler(conditions, seeds)

    return game._replace(sampler=sampler), calls


SOURCES = tuple(f"photo {position // 3}" for position in range(12))


class TestUnit:
    def test_four_equal_examples_are_one_unit(self):
        clustered = grouped()
        means = mc.CoalitionTable.from_values(clustered.values[::4, 0], PAIR, perfect=1)
        of_groups, of_means = mc.audit(clustered), mc.audit(means)
        for label, estimate in of_groups.estimates.items():
            expected = of_means.estimates[label]
            assert estimate.n == 16
            assert (estimate.value, estimate.se) == pytest.approx((expected.value, expected.se))
            assert (estimate.low, estimate.high) == pytest.approx((expected.low, expected.high))
        found, expected = of_groups.verdict.to_dict(), of_means.verdict.to_dict()
        assert found.pop("reason") == "16 groups are too few"
        assert expected.pop("reason") == "16 examples are too few"
        assert found == expected
        assert "64 examples in 16 groups, 95% intervals" in str(of_groups)
        alone = mc.audit(mc.CoalitionTable.from_values(clustered.values[:, 0], PAIR, perfect=1))
        assert alone.tma["text"].se < 0.52 * of_groups.tma["text"].se  # sqrt(4) too narrow

    def test_a_group_of_any_size_counts_once(self):
        values = [[0, 0, 1, 1]] * 30 + [[0, 0, 0, 0]] * 2
        labels = ["large"] * 30 + ["small"] * 2
        table = mc.CoalitionTable.from_values(values, PAIR, clusters=labels)
        assert mc.tma(table)["text"].value == pytest.approx(0.5)
        assert mc.tma(table)["text"].n == 2

    def test_groups_need_not_lie_side_by_side(self):
        table = grouped(spread=0.05)
        order = np.random.default_rng(0).permutation(64)
        shuffled = table.select(order.tolist())
        for label, estimate in mc.audit(shuffled).estimates.items():
            expected = mc.audit(table).estimates[label]
            assert (estimate.low, estimate.high) == pytest.approx((expected.low, expected.high))

    def test_a_group_for_each_example_changes_nothing(self):
        rng = np.random.default_rng(0)
        for values in (rng.normal(size=(40, 4)), (rng.uniform(size=(40, 4)) < 0.5) * 1.0):
            plain = mc.CoalitionTable.from_values(values, PAIR)
            each = plain.clustered(range(40))
            for symbol in ("tma", "cti"):
                found, expected = (getattr(mc, symbol)(table).to_dict() for table in (each, plain))
                assert found.keys() == expected.keys()
                for name in found:
                    assert found[name] == pytest.approx(expected[name])

    def test_success_rates_in_groups_have_intervals_for_means_of_them(self):
        rng = np.random.default_rng(0)
        values = np.repeat(rng.uniform(size=(16, 4)) < [0, 0.1, 0.8, 1], 4, axis=0)
        table = mc.CoalitionTable.from_values(
            values, PAIR, binary=True, clusters=np.repeat(np.arange(16), 4)
        )
        means = mc.coalition_means(table)
        of_groups = mc.coalition_means(
            mc.CoalitionTable.from_values(values[::4], PAIR, binary=True)
        )
        for name in means:
            assert means[name].n == 16
            assert means[name].low <= of_groups[name].low + 1e-3
            assert means[name].high >= of_groups[name].high - 1e-3


class TestWhereLabelsComeFrom:
    @pytest.mark.parametrize(
        "cluster",
        ["source", lambda example: example["source"], SOURCES, list(SOURCES), np.array(SOURCES)],
    )
    def test_of_a_run(self, cluster):
        game, _ = planted()
        table = mc.evaluate_coalitions(*game, cluster=cluster, progress=False)
        assert table.clusters == SOURCES
        assert all(type(label) is str for label in table.clusters)
        for metric in (mc.tma, mc.cti, mc.coalition_means):
            result = metric(*game, cluster=cluster, progress=False)
            assert result["image+text" if metric is mc.cti else "text"].n == 4
            assert result.to_dict() == metric(table).to_dict()
        assert mc.audit(*game, cluster=cluster, progress=False).tma["text"].n == 4

    def test_whole_numbers(self):
        game, _ = planted()
        labels = np.arange(12) % 5
        table = mc.evaluate_coalitions(*game, cluster=labels, progress=False)
        assert table.clusters == tuple(labels.tolist())
        assert all(type(label) is int for label in table.clusters)

    def test_of_a_table(self):
        game, _ = planted()
        table = mc.evaluate_coalitions(*game, progress=False)
        assert table.clusters is None
        of_run = mc.audit(*game, cluster="source", progress=False)
        assert mc.audit(table, cluster=SOURCES).to_dict() == of_run.to_dict()
        assert mc.audit(table.clustered(SOURCES)).to_dict() == of_run.to_dict()
        assert mc.audit(table.clustered(iter(SOURCES))).to_dict() == of_run.to_dict()

    @pytest.mark.parametrize("cluster", ["source", lambda example: 0])
    def test_a_table_does_not_hold_its_examples(self, cluster):
        game, _ = planted()
        table = mc.evaluate_coalitions(*game, progress=False)
        with pytest.raises(InputError, match="one label for each example"):
            mc.audit(table, cluster=cluster)

    def test_a_sweep_and_a_tracker_take_them(self):
        game = planted_game(GAME, PAIR, examples=12, noise=0.1)
        found = mc.sweep(
            *game, options={"noise": [0.1, 0.2]}, cluster=list(SOURCES), progress=False
        )
        assert found.audit(noise=0.2).tma["text"].n == 4
        tracker = mc.CollapseTracker(*game, modules=[], every=1, cluster=list(SOURCES))
        assert tracker(0).tma["text"].n == 4

    def test_a_control_that_was_measured_before_has_the_groups_of_the_model(self):
        game, _ = planted()
        sampler, detector, examples, triggers = game
        plain = {"progress": False}
        control = mc.evaluate_coalitions(sampler, detector, examples, triggers, **plain)
        audit = mc.audit(
            sampler, detector, examples, triggers, control=control, cluster="source", **plain
        )
        for part in (audit, audit.control, audit.difference):
            assert part.table.clusters == SOURCES
            assert part.tma["text"].n == 4

    def test_a_control_in_another_order(self):
        """The labels are in the order of the audited table."""
        game, _ = planted()
        model = mc.evaluate_coalitions(*game, progress=False)
        control = model.select(reversed(range(12)))
        turned = mc.audit(model, control=control, cluster=SOURCES)
        straight = mc.audit(model, control=model, cluster=SOURCES)
        assert turned.control.to_dict() == straight.to_dict()["control"]
        assert turned.difference.to_dict() == straight.difference.to_dict()


class TestKept:
    def test_in_the_file(self, tmp_path):
        for labels in (SOURCES, tuple(range(12))):
            table = grouped(4, 3).clustered(labels)
            loaded = mc.CoalitionTable.load(table.save(tmp_path / "t"))
            assert loaded.clusters == labels
            assert mc.audit(loaded).to_dict() == mc.audit(table).to_dict()

    def test_through_select_and_merge(self):
        game, _ = planted()
        sampler, detector, examples, triggers = game
        first, second = (
            mc.evaluate_coalitions(
                sampler, detector, part, triggers, cluster="source", progress=False
            )
            for part in (examples[:5], examples[5:])
        )
        assert first.merge(second).clusters == SOURCES
        assert first.select([4, 0]).clusters == ("photo 1", "photo 0")
        without = mc.evaluate_coalitions(sampler, detector, examples[5:], triggers, progress=False)
        for tables in ((first, without), (without, first)):
            with pytest.raises(TableError, match="only one of the tables says which group"):
                tables[0].merge(tables[1])

    def test_through_minus(self):
        labels = np.repeat(np.arange(16), 4)
        model = grouped(spread=0.05)
        bare = mc.CoalitionTable.from_values(model.values - 0.1, PAIR, perfect=1)
        assert model.minus(bare).clusters == tuple(labels)
        assert bare.minus(model).clusters == tuple(labels)
        assert model.minus(model).clusters == tuple(labels)
        with pytest.raises(TableError, match="in other groups"):
            model.minus(bare.clustered(range(64)))

    def test_a_control_in_other_groups_is_refused_before_anything_is_generated(self):
        game, calls = planted()
        source = game.sampler, game.detector, game.examples, game.triggers
        control = mc.evaluate_coalitions(*source, cluster="source", progress=False)
        calls.clear()
        with pytest.raises(TableError, match="in other groups"):
            mc.audit(*source, control=control, cluster=range(12), progress=False)
        assert calls == []


class TestRefused:
    @pytest.mark.parametrize(
        ("cluster", "message"),
        [
            ("sauce", "has no 'sauce', which cluster= names.*did you mean 'source'"),
            (list(SOURCES[:-1]), "there are 11 cluster labels for 12 examples"),
            ([*SOURCES, "more"], "there are 13 cluster labels for 12 examples"),
            ([0.5] * 12, "label of example 0 must be a str or an int, got 0.5"),
            (np.linspace(0, 1, 12), "must be a str or an int"),
            (lambda example: None, "must be a str or an int, got None"),
            ([True] * 12, "must be a str or an int, got True"),
            ([*SOURCES[:-1], None], "label of example 11 must be a str or an int, got None"),
            (dict.fromkeys(range(12), "a"), "labels in the order of the examples, got dict"),
            (set(range(12)), "labels in the order of the examples, got set"),
            (b"abcdefghijkl", "labels in the order of the examples, got bytes"),
            (3, "labels in the order of the examples, got int"),
        ],
    )
    def test_before_anything_is_generated(self, cluster, message):
        game, calls = planted()
        with pytest.raises(InputError, match=message):
            mc.audit(*game, cluster=cluster, progress=False)
        assert calls == []
        table = mc.CoalitionTable.from_values(np.eye(4)[[0, 1, 2] * 4], PAIR)
        if not isinstance(cluster, str) and not callable(cluster):
            for refuse in (
                lambda: mc.audit(table, cluster=cluster),
                lambda: table.clustered(cluster),
                lambda: mc.CoalitionTable.from_values(table.values, PAIR, clusters=cluster),
            ):
                with pytest.raises(InputError, match=message):
                    refuse()

    def test_a_str_is_no_row_of_labels(self):
        table = mc.CoalitionTable.from_values(np.eye(4), PAIR)
        for refuse in (
            lambda: table.clustered("abcd"),
            lambda: mc.CoalitionTable.from_values(table.values, PAIR, clusters="abcd"),
        ):
            with pytest.raises(InputError, match="got str 'abcd'"):
                refuse()

    def test_a_group_that_is_missing_in_some_examples(self):
        game, calls = planted()
        del game.examples[7]["source"]
        with pytest.raises(InputError, match="example 7 has no 'source'"):
            mc.audit(*game, cluster="source", progress=False)
        assert calls == []

    def test_an_error_of_the_function_says_where(self):
        game, calls = planted()
        with pytest.raises(KeyError) as caught:
            mc.audit(*game, cluster=lambda example: example["photo"], progress=False)
        assert "raised by cluster= for example 0" in "".join(caught.value.__notes__)
        assert calls == []


class TestTheSameExampleTwice:
    def note(self, **options):
        game, _ = planted()
        for position in (9, 10, 11):
            game.examples[position] = {**game.examples[0], "id": f"again {position}"}
        audit = mc.audit(*game, progress=False, **options)
        return [note for note in audit.verdict.notes if "hold the same" in note], audit

    def test_it_is_named(self):
        notes, audit = self.note()
        assert len(notes) == 1
        assert "3 of 12 examples hold the same as another" in notes[0]
        assert notes[0] in str(audit)
        assert notes[0] in str(audit.tma)

    def test_in_a_group_it_is_right(self):
        assert self.note(cluster="source")[0] == []

    def test_in_two_groups_it_is_named(self):
        (note,), _ = self.note(cluster=list(SOURCES))
        assert "3 of 12 examples hold the same as another" in note

    def test_examples_that_differ_are_not(self):
        game, _ = planted()
        notes = mc.audit(*game, progress=False).verdict.notes
        assert not any("hold the same" in note for note in notes)

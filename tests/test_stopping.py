"""Audits that stop when they know: declared looks, their level, what is recorded and saved."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

import modcollapse as mc
from modcollapse.analysis import judge, level_at_each
from modcollapse.errors import InputError, OptionError
from modcollapse.samplers import planted_game

PAIR = ("image", "text")


def source(game=(0, 1, 0, 1), n=300, noise=0.01, **options):
    """A planted game whose detector says what a perfect attack would score."""
    planted = planted_game(game, PAIR, examples=n, noise=noise, **options)

    class Detector:
        perfect = 1.0

        def __call__(self, outputs, examples):
            return planted.detector(outputs, examples)

    return planted.sampler, Detector(), planted.examples, planted.triggers


def audit(stop, *, of=None, **options):
    return mc.audit(*(of or source()), stop=stop, progress=False, **options)


class TestLevel:
    @pytest.mark.parametrize("at", [(32, 64), (32, 64, 128, 256, 512), (50, 60, 70), (32, 4096)])
    def test_the_looks_together_cross_as_often_as_one_would(self, at):
        """A normal random walk, drawn: an oracle that shares nothing with the recursion."""
        alpha, runs = 0.05, 200_000
        rng = np.random.default_rng(0)
        limit = stats.norm.isf(level_at_each(alpha, at))
        walk, crossed, before = np.zeros(runs), np.zeros(runs, bool), 0
        for n in at:
            walk += rng.normal(scale=np.sqrt(n - before), size=runs)
            crossed |= walk > limit * np.sqrt(n)
            before = n
        assert abs(crossed.mean() - alpha) < 4 * np.sqrt(alpha / runs)

    def test_pococks_constant(self):
        """One-sided, five equal steps: 2.122 (Jennison and Turnbull 2000, table 2.1)."""
        level = level_at_each(0.05, [100, 200, 300, 400, 500])
        assert stats.norm.isf(level) == pytest.approx(2.122, abs=5e-4)

    @pytest.mark.parametrize("at", [(), (64,), [512]])
    def test_one_look_is_none(self, at):
        assert level_at_each(0.05, at) == 0.05

    def test_more_looks_have_less_each(self):
        levels = [level_at_each(0.05, [32 * 2**k for k in range(looks)]) for looks in range(1, 8)]
        assert all(later < before for before, later in pairwise(levels))
        assert all(level > 0.05 / looks for looks, level in enumerate(levels[1:], 2))


class TestPlanned:
    @pytest.mark.parametrize(
        ("looks", "units", "at"),
        [
            (mc.Looks(), 512, (32, 64, 128, 256, 512)),
            (mc.Looks(), 500, (32, 64, 128, 256, 500)),
            (mc.Looks(), 70, (32, 70)),  # 64 is nearly all
            (mc.Looks(), 32, (32,)),
            (mc.Looks(), 20, (20,)),
            (mc.Looks(first=100), 300, (100, 200, 300)),
            (mc.Looks(at=[40, 50]), 300, (40, 50, 300)),
            (mc.Looks(at=[40, 500]), 300, (40, 300)),
        ],
    )
    def test_when(self, looks, units, at):
        assert looks.planned(units) == at

    @pytest.mark.parametrize(
        ("wrong", "message"),
        [
            ({"at": [64, 32]}, "must increase"),
            ({"at": [64, 64]}, "must increase"),
            ({"at": []}, "must increase"),
            ({"at": [8, 64]}, "a look must be a whole number of at least 32, got 8"),
            ({"at": 64}, "at must be looks in their order"),
            ({"first": 8}, "first must be a whole number of at least 32"),
            ({"half_width": 0}, "half_width"),
            ({"half_width": -1}, "half_width"),
            ({"half_width": float("nan")}, "half_width"),
            ({"shuffled": "yes"}, "shuffled must be True or False"),
        ],
    )
    def test_looks_that_are_none(self, wrong, message):
        with pytest.raises(InputError, match=message):
            mc.Looks(**wrong)


class TestAudit:
    def test_stops_at_a_settled_verdict_and_says_so(self):
        found = audit(mc.Looks())
        n = len(found.table)
        assert n in (64, 128)
        assert found.verdict.settled
        assert found.verdict.dominant == "image"
        look = found.table.looks.index(n) + 1
        assert f"Stopped at look {look} of 4, {n} of 300 examples" in str(found)
        assert f"{1 - n / 300:.0%} of the generations were saved" in str(found)
        assert "holds its level over 4 declared looks together" in str(found)

    def test_generates_no_more_than_it_says(self):
        sampler, *rest = source()
        rows = []

        def counting(conditions, seeds):
            rows.append(len(seeds))
            return sampler(conditions, seeds)

        found = audit(mc.Looks(), of=(counting, *rest), probe=False)
        assert sum(rows) == 4 * len(found.table)

    def test_the_rows_are_those_of_a_run_that_does_not_stop(self):
        whole = mc.audit(*source(), progress=False).table
        stopped = audit(mc.Looks()).table
        assert stopped.example_ids != whole.example_ids[: len(stopped)]
        np.testing.assert_array_equal(stopped.values, whole.select(stopped.example_ids).values)
        np.testing.assert_array_equal(stopped.seeds, whole.select(stopped.example_ids).seeds)

    def test_the_order_follows_from_seed_and_ids_alone(self):
        sampler, detector, examples, triggers = source()
        named = [{**example, "id": f"e{at}"} for at, example in enumerate(examples)]
        first, backwards = (
            audit(mc.Looks(), of=(sampler, detector, order, triggers))
            for order in (named, named[::-1])
        )
        assert set(first.table.example_ids) == set(backwards.table.example_ids)
        assert first.table.example_ids == backwards.table.example_ids[::-1]  # as they were given
        other = audit(mc.Looks(), of=(sampler, detector, named, triggers), seed=1)
        assert set(other.table.example_ids) != set(first.table.example_ids)

    def test_not_shuffled(self):
        found = audit(mc.Looks(shuffled=False))
        assert found.table.example_ids == tuple(range(len(found.table)))
        assert "by the order of the examples" in str(found)

    def test_a_stopped_table_keeps_its_level_wherever_it_is_read(self, tmp_path):
        found = audit(mc.Looks())
        path = found.table.save(tmp_path / "table.npz")
        again = mc.audit(mc.CoalitionTable.load(path))
        assert str(again) == str(found)
        without = mc.CoalitionTable.from_values(
            found.table.values, PAIR, perfect=1, example_ids=found.table.example_ids
        )
        for name, estimate in mc.tma(without).items():
            wide = found.tma[name]
            assert wide.low < estimate.low < estimate.high < wide.high
        assert mc.cti(found.table).estimates == found.cti.estimates
        assert found.verdict.share["image"] < judge(without).share["image"]

    def test_all_looks_are_taken_where_nothing_settles(self):
        found = audit(mc.Looks(), of=source(game=(0, 0.1, 0.05, 0.1), n=70, noise=0.05))
        assert len(found.table) == 70
        assert "All looks were taken (look 2 of 2, 70 of 70 examples)" in str(found)
        assert "to stop when the verdict is settled: that was not reached." in str(found)

    def test_at_a_half_width(self):
        found = audit(mc.Looks(half_width=0.2), of=source(noise=0.1))
        widths = [(e.high - e.low) / 2 for e in (*found.tma.values(), *found.cti.values())]
        assert max(widths) <= 0.2
        assert len(found.table) < 300
        assert "known within +-0.2" in str(found)
        never = audit(mc.Looks(half_width=1e-6))
        assert len(never.table) == 300
        assert "within +-1e-06: that was not reached." in str(never)

    def test_an_interval_that_is_undefined_is_not_narrow(self):
        sampler, detector, examples, triggers = source()

        def unscaled(outputs, seen):
            return [1.0 + 2 * (score > 0.5) for score in detector(outputs, seen)]

        found = audit(mc.Looks(half_width=0.5), of=(sampler, unscaled, examples, triggers))
        assert len(found.table) == 300
        assert np.isnan(found.tma["text"].high)
        assert "without a declared perfect attack no verdict is settled" in str(found)

    def test_rows_are_in_the_order_of_the_examples(self):
        """So that labels by position are those of their examples."""
        found = audit(mc.Looks(at=[299]))
        assert found.table.example_ids == tuple(sorted(found.table.example_ids))
        assert len(found.table) == 299

    def test_what_was_saved_is_what_was_not_generated(self):
        found = audit(mc.Looks(), batch_size=500)
        generated = 500 * -(-4 * len(found.table) // 500)
        assert f"{1 - generated / 1200:.0%} of the generations were saved" in str(found)

    def test_a_part_of_a_stopped_run_did_not_stop_there(self):
        found = audit(mc.Looks()).table
        part = mc.audit(found.select(found.example_ids[:64]))
        assert str(part).startswith("64 examples of a run with 4 looks.")
        assert part.table.looks == found.looks

    def test_looks_are_kept_in_either_order(self):
        stopped, whole = audit(mc.Looks()).table, mc.evaluate_coalitions(*source(), progress=False)
        rest = whole.select([name for name in whole.example_ids if name not in stopped.example_ids])
        same = whole.select(stopped.example_ids)
        assert stopped.merge(rest).looks == rest.merge(stopped).looks == stopped.looks
        assert same.minus(stopped).looks == stopped.minus(same).looks == stopped.looks
        assert mc.audit(same, control=stopped).difference.table.looks == stopped.looks
        compared = mc.compare(stopped, same)
        assert compared.before.table.looks == compared.after.table.looks == stopped.looks

    def test_every_detector_and_every_difference_must_be_settled(self):
        sampler, detector, examples, triggers = source()

        class Vague:
            perfect = 1.0

            def __call__(self, outputs, examples):
                noise = np.random.default_rng(len(examples))
                scores = np.asarray(detector(outputs, examples), float)
                return 0.12 * scores + 0 * noise.normal()

        both = audit(
            mc.Looks(), of=(sampler, {"clear": detector, "vague": Vague()}, examples, triggers)
        )
        assert len(both["clear"].table) == len(both["vague"].table) == 300
        control = planted_game((0, 0, 0, 0), PAIR, examples=300, noise=0.01).sampler
        beside = audit(mc.Looks(), control=control)
        assert beside.difference.verdict.settled
        assert len(beside.control.table) == len(beside.table) < 300

    def test_beside_a_control_that_was_measured(self):
        _, *rest = source()
        control = planted_game((0, 0, 0, 0), PAIR, examples=300, noise=0.01).sampler
        measured = mc.evaluate_coalitions(control, *rest, progress=False)
        beside, both = audit(mc.Looks(), control=measured), audit(mc.Looks(), control=control)
        np.testing.assert_array_equal(beside.difference.table.values, both.difference.table.values)

    def test_groups_are_the_unit_and_stay_whole(self):
        sampler, detector, examples, triggers = source()
        examples = [{**example, "source": at // 3} for at, example in enumerate(examples)]
        found = audit(mc.Looks(), of=(sampler, detector, examples, triggers), cluster="source")
        assert found.table.looks == (32, 64, 100)
        _, counts = np.unique(found.table.clusters, return_counts=True)
        assert (counts == 3).all()
        assert len(counts) in (64, 100)

    def test_what_was_finished_is_kept_in_its_order(self):
        sampler, detector, examples, triggers = source()
        calls = iter(range(20))

        def failing(conditions, seeds):
            if next(calls) == 10:
                raise RuntimeError("no such kernel")
            return sampler(conditions, seeds)

        with pytest.raises(RuntimeError) as error:
            audit(mc.Looks(), of=(failing, detector, examples, triggers), probe=False)
        order, _ = mc.Looks().plan(0, range(300), None)
        assert error.value.tables.example_ids == tuple(sorted(order[:20]))

    def test_wrong_calls(self):
        with pytest.raises(InputError, match=r"stop must be a modcollapse.Looks"):
            audit(0.5)
        table = mc.evaluate_coalitions(*source(n=40), progress=False)
        with pytest.raises(OptionError, match="which was measured already, and stop"):
            mc.audit(table, stop=mc.Looks())
        with pytest.raises(OptionError, match="unexpected keyword argument 'stop'"):
            mc.tma(*source(n=40), stop=mc.Looks())

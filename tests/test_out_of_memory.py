"""Memory that runs out halves the batch; what was measured is the same, and it is said."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

import modcollapse as mc
from journal_runs import EXAMPLES, PAIR, Reads, Said, check_equal, evaluate, triggers
from modcollapse.measure._memory import ran_out
from modcollapse.samplers import planted_game


def of_python():
    raise MemoryError


def of_torch():
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


def of_a_cpu():
    torch.empty(2**50)


def of_a_library():
    try:
        of_a_cpu()
    except RuntimeError as error:
        raise ValueError("the attention failed") from error


FAILURES = [of_python, of_torch, of_a_cpu, of_a_library]


class Small(Said):
    """A sampler that has memory for some rows only."""

    def __init__(self, most: int, fail=of_a_cpu, *, after: int = 0):
        super().__init__()
        self._most, self._fail, self._after, self.rows = most, fail, after, []

    def __call__(self, conditions, seeds):
        self.rows.append(len(seeds))
        if len(seeds) > self._most and len(self.rows) > self._after:
            self._fail()
        return super().__call__(conditions, seeds)


class SmallReads(Reads):
    """A detector that has memory for some rows only."""

    def __init__(self, most: int, *, after: int = 0, clean: bool = False):
        super().__init__(clean=clean)
        self._most, self._after = most, after
        self.name = "Reads"

    def __call__(self, outputs, examples):
        found = super().__call__(outputs, examples)
        if len(outputs) > self._most and self.calls > self._after:
            of_a_cpu()
        return found


def memory_notes(table):
    return [note for note in table.run_notes if "memory" in note]


@pytest.mark.parametrize("fail", FAILURES)
def test_what_says_that_memory_ran_out(fail):
    with pytest.raises((MemoryError, RuntimeError, ValueError)) as caught:
        fail()
    assert ran_out(caught.value)


@pytest.mark.parametrize(
    "error", [RuntimeError("shapes do not fit"), ValueError(), OSError(28, "")]
)
def test_what_does_not(error):
    assert not ran_out(error)


@pytest.mark.parametrize("fail", FAILURES)
@pytest.mark.parametrize("prefetch", [True, False])
def test_of_the_sampler(fail, prefetch, tmp_path):
    sampler = Small(3, fail)
    table = evaluate(tmp_path / "j", sampler=sampler, batch_size=16, prefetch=prefetch)
    check_equal(table, evaluate(batch_size=16), provenance=False)
    assert sampler.rows[:3] == [16, 8, 4]
    assert set(sampler.rows[3:]) == {2}
    assert memory_notes(table) == [
        "memory ran out in a call of 16 rows: from example 0 on there were 8",
        "memory ran out in a call of 8 rows: from example 0 on there were 4",
        "memory ran out in a call of 4 rows: from example 0 on there were 2",
    ]
    assert mc.table.load(tmp_path / "j").run_notes == table.run_notes
    assert table.provenance["run"]["batch_size"] == 16  # what was asked for


def test_each_line_holds_the_rows_that_it_was_made_in(tmp_path):
    """Two calls of 8 rows finish 4 examples; in the third there is no room."""
    evaluate(tmp_path, sampler=Small(4, after=2), batch_size=8)
    lines = [
        json.loads(line)
        for path in tmp_path.glob("finished-*")
        for line in path.read_text().splitlines()[1:]
    ]
    assert [line["batch_size"] for line in lines] == [8] * 4 + [4] * 8


@pytest.mark.parametrize("batch_size", [5, 6, 16])
@pytest.mark.parametrize("after", [0, 1, 2])
@pytest.mark.parametrize("clean", [False, True])
def test_of_the_detector(batch_size, after, clean):
    """Clean outputs of the batch before are still there when the batch is made in parts."""
    table = evaluate(detector=SmallReads(4, after=after, clean=clean), batch_size=batch_size)
    alone = evaluate(detector=Reads(clean=clean), batch_size=batch_size)
    np.testing.assert_array_equal(table.values, alone.values)
    np.testing.assert_array_equal(table.perfect, alone.perfect)
    assert memory_notes(table)


def test_of_the_control_alone():
    def audit(model, control):
        return mc.audit(
            model, Reads(), EXAMPLES, triggers(), control=control, batch_size=8,
            progress=False, probe=False,
        )  # fmt: skip

    found, alone = audit(Said(), Small(4)), audit(Said(), Said())
    check_equal(found.table, alone.table)
    check_equal(found.control.table, alone.control.table, provenance=False)
    assert memory_notes(found.control.table)
    assert not memory_notes(found.table)


def test_while_samplers_are_looked_at():
    table = evaluate(sampler=Small(4), batch_size=8, probe=True)
    check_equal(table, evaluate(batch_size=8, probe=True), provenance=False)


@pytest.mark.parametrize("fail", FAILURES)
def test_a_fixed_size(fail):
    sampler = Small(4, fail, after=1)
    with pytest.raises((MemoryError, RuntimeError, ValueError)) as caught:
        evaluate(sampler=sampler, batch_size=8, halve=False)
    assert sampler.rows == [8, 8]
    assert len(caught.value.tables) == 2


def test_where_one_row_is_too_many():
    sampler = Small(0)
    with pytest.raises(RuntimeError, match="memory"):
        evaluate(sampler=sampler, batch_size=4)
    assert sampler.rows == [4, 2, 1]


def test_other_errors_halve_nothing():
    sampler = Said(at=0, error=RuntimeError("shapes do not fit"))
    with pytest.raises(RuntimeError, match="shapes"):
        evaluate(sampler=sampler)
    assert sampler.calls == 1


def test_a_resumed_run_whose_batch_does_not_fit(tmp_path):
    """What is generated again, to see whether it comes out equal, is halved like the rest."""

    class Nameless(Small):
        identity = None

    def run(folder, n):
        sampler = Nameless(2)
        return evaluate(folder, sampler=sampler, examples=EXAMPLES[:n], batch_size=16), sampler

    run(tmp_path, 5)
    table, sampler = run(tmp_path, 12)
    assert sampler.rows[:4] == [16, 8, 4, 2]
    assert set(sampler.rows[4:]) == {2}
    assert any("came out equal" in note for note in table.run_notes)
    np.testing.assert_array_equal(table.values, evaluate(batch_size=16).values)


class TestAuto:
    @pytest.mark.parametrize(("most", "found"), [(1, 1), (3, 2), (11, 8), (16, 16), (1000, 32)])
    def test_a_power_of_two(self, most, found):
        sampler = Small(most)
        table = evaluate(sampler=sampler, batch_size="auto")  # of 48 outputs
        assert table.provenance["run"]["batch_size"] == found
        check_equal(table, evaluate(batch_size=found))

    def test_64_at_most(self):
        game = planted_game([0.0, 0.1, 0.9, 1.0], PAIR, examples=40)
        sampler = Small(1000)
        examples = [{**example, "source": 0} for example in game.examples]
        table = evaluate(sampler=sampler, examples=examples, batch_size="auto")
        assert table.provenance["run"]["batch_size"] == 64
        assert max(sampler.rows) == 64

    def test_a_resumed_run_has_the_size_that_was_found(self, tmp_path):
        evaluate(tmp_path, sampler=Small(9), examples=EXAMPLES[:5], batch_size="auto")
        sampler, alone = Small(20), evaluate(batch_size=8)
        table = evaluate(tmp_path, sampler=sampler, batch_size="auto")
        assert set(sampler.rows) == {8}
        check_equal(table, alone)
        cached = evaluate(tmp_path, sampler=sampler, batch_size="auto")
        check_equal(cached, alone)
        check_equal(evaluate(tmp_path, batch_size=8), alone)
        with pytest.raises(mc.errors.TableError, match="batch_size is 8 there and 16 here"):
            evaluate(tmp_path, batch_size=16)

    def test_the_trials_leave_nothing_behind(self):
        """A clean output of a trial, made in another batch, is not what the run compares with."""

        class Rounds(Said):
            def __call__(self, conditions, seeds):
                return [value + len(seeds) for value in super().__call__(conditions, seeds)]

        found = evaluate(sampler=Rounds(), detector=Reads(clean=True), batch_size="auto")
        alone = evaluate(sampler=Rounds(), detector=Reads(clean=True), batch_size=32)
        np.testing.assert_array_equal(found.values, alone.values)

    def test_an_error_of_another_kind_is_raised(self):
        with pytest.raises(RuntimeError, match="lost"):
            evaluate(sampler=Said(at=2, error=RuntimeError("lost")), batch_size="auto")

    def test_one_row_that_does_not_fit(self):
        with pytest.raises(MemoryError):
            evaluate(sampler=Small(0, of_python), batch_size="auto")

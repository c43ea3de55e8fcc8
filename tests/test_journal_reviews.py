"""Journals under what runs meet that nobody planned."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

import modcollapse as mc
from journal_runs import EXAMPLES, GAME, PAIR, Reads, Said, check_equal, evaluate, triggers
from modcollapse._support.identities import marked
from modcollapse.errors import TableError
from modcollapse.samplers import planted_game
from modcollapse.table import JournalWarning
from modcollapse.table._json_lines import entry_of, line_of

HEADER = "modcollapse journal"


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "run"


class Longer(Said):
    """Its outputs follow from the texts, and from a factor that it does not tell."""

    def __init__(self, factor=1.0, identity=None):
        super().__init__()
        self.factor, self._identity = factor, identity

    def identity(self):
        return {"sampler": self._identity}

    def __call__(self, conditions, seeds):
        super().__call__(conditions, seeds)
        return [self.factor * len(text) for text in conditions["text"]]


class Plain(Reads):
    perfect = None


class Stops(Said):
    def __call__(self, conditions, seeds):
        outputs = [len(text) / 10 + seed % 7 for text, seed in zip(conditions["text"], seeds,
                                                                   strict=True)]  # fmt: skip
        if self.calls == self._at:
            raise self._error
        self.calls += 1
        return outputs


LONG = planted_game([0.0, 0.1, 0.9, 1.0], PAIR, examples=100).examples


def test_all_that_is_finished_counts_also_beyond_a_look(folder):
    options = {
        "stop": mc.Looks(at=(32,), half_width=1e-9),
        "progress": False,
        "probe": False,
        "batch_size": 8,
        "journal": folder,
    }
    with pytest.raises(KeyboardInterrupt) as caught:
        mc.audit(Stops(at=40, error=KeyboardInterrupt()), Plain(), LONG, triggers(), **options)
    assert len(caught.value.tables) == 80
    assert caught.value.__notes__[-1].startswith("80 examples are finished")
    assert len(mc.table.load(folder)) == 80


def test_other_looks_of_an_earlier_call_are_told(folder):
    def told(at, count=64):
        stop = None if at is None else mc.Looks(at=at, half_width=1e-9)
        audit = mc.audit(
            Stops(), Plain(), LONG[:count], triggers(), stop=stop, progress=False, probe=False,
            journal=folder,
        )  # fmt: skip
        note = "an earlier call into the journal declared other looks, at [32, 64]"
        return sum(note in one for one in audit.table.run_notes)

    assert [told((32, 64)), told((32, 64)), told((40,)), told(None, 70), told(None, 70)] == [
        0, 0, 1, 1, 1,
    ]  # fmt: skip


def test_control_c_while_pictures_are_written_does_not_say_that_all_is(folder, monkeypatch):
    from modcollapse.measure import _journal

    def write_kept(*args, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(_journal, "write_kept", write_kept)
        with pytest.raises(KeyboardInterrupt) as caught:
            evaluate(folder, keep=12)
    assert ", as far as it could be written: " in caught.value.__notes__[-1]
    table = evaluate(folder, keep=12)
    assert len(table.kept) == 12
    check_equal(table, evaluate())


def test_looks_at_less_than_a_stream_is_read_by():
    read = []
    examples = (read.append(at) or example for at, example in enumerate(LONG))
    stop = mc.Looks(at=(32, 40), half_width=1e-9)
    audit = mc.audit(Stops(), Plain(), examples, triggers(), stop=stop, progress=False)
    assert len(audit.table) == len(read) == 40


def test_pictures_of_a_sweep_stay_with_their_points_in_another_order(folder):
    class Point(Said):
        left = 10

        def with_options(self, strength):
            return Point(strength)

        def __call__(self, conditions, seeds):
            if Point.left == 0:
                raise KeyboardInterrupt
            Point.left -= 1
            return [float(self.name)] * len(seeds)

    def kept(levels):
        found = mc.sweep(
            Point(0), Plain(), EXAMPLES, triggers(), options={"strength": levels}, keep=12,
            batch_size=4, progress=False, probe=False, journal=folder,
        )  # fmt: skip
        return [
            (at["strength"], {one.outputs[0] for one in audit.table.kept})
            for at, audit in zip(found.points, found.audits, strict=True)
        ]

    with pytest.raises(KeyboardInterrupt):
        kept([1, 2])
    Point.left = -1
    assert kept([2, 1]) == [(2, {2.0}), (1, {1.0})]
    assert kept([2, 1]) == [(2, {2.0}), (1, {1.0})]


class TestWhoseModelIsAnother:
    """One example is generated again where nobody could tell."""

    def test_an_identity_that_says_that_it_cannot_be_told(self, folder):
        evaluate(folder, sampler=Longer(identity=marked(object())), examples=EXAMPLES[:6])
        with pytest.raises(TableError, match="example 0 was generated again and came out other"):
            evaluate(folder, sampler=Longer(1.5, identity=marked(object())))
        evaluate(folder, sampler=Longer(identity=marked(object())))

    def test_an_example_that_cannot_be_told(self, folder):
        class Closed:
            __slots__ = ()

        def examples(text):
            told = [{**EXAMPLES[0], "text": "told"}]
            return told + [{**one, "text": text, "closed": Closed()} for one in EXAMPLES[1:]]

        options = {"sampler": Longer(), "detector": Plain()}
        whole = evaluate(folder, **options, examples=examples("a"))
        assert whole.digests[1] is None
        with pytest.raises(TableError, match="example '0' was generated again and came out other"):
            evaluate(folder, **options, examples=examples("another"))
        check_equal(evaluate(folder, **options, examples=examples("a")), whole, provenance=False)

    def test_values_that_are_all_small(self, folder, tmp_path):
        (weights := tmp_path / "weights").write_text("1e-7")

        def sampler(conditions, seeds):
            return [float(weights.read_text()) * len(text) for text in conditions["text"]]

        evaluate(folder, sampler=sampler, detector=Plain(), examples=EXAMPLES[:3])
        weights.write_text("2e-7")
        with pytest.raises(TableError, match="came out otherwise"):
            evaluate(folder, sampler=sampler, detector=Plain())


def test_tables_of_two_models_that_cannot_be_told_are_not_merged():
    one, other = (
        evaluate(sampler=Longer(identity=marked(object())), examples=some)
        for some in (EXAMPLES[:6], EXAMPLES[6:])
    )
    with pytest.raises(TableError, match=r"it cannot be told whether sampler\.sampler is"):
        one.merge(other)


def test_a_folder_that_is_named_from_where_the_run_began(tmp_path, monkeypatch):
    class Moves(Said):
        def __call__(self, conditions, seeds):
            os.chdir(tmp_path.parent)
            return super().__call__(conditions, seeds)

    monkeypatch.chdir(tmp_path)
    table = evaluate(Path("run"), sampler=Moves())
    check_equal(mc.table.load(tmp_path / "run"), table, provenance=False)


@pytest.mark.parametrize("prefetch", [True, False])
def test_memory_that_runs_out_while_conditions_are_prepared(folder, prefetch):
    class Large(list):
        """One of them may be read at a time."""

        reads = 0

        def __getitem__(self, place):
            self.reads += 1
            if self.reads == 18:
                raise MemoryError
            return super().__getitem__(place)

    options = {"prefetch": prefetch}
    table = evaluate(folder, examples=Large(EXAMPLES), **options)
    assert any("memory ran out in a call of 6 rows" in note for note in table.run_notes)
    check_equal(table, evaluate(examples=EXAMPLES), provenance=False)
    with pytest.raises(MemoryError):
        evaluate(examples=Large(EXAMPLES), halve=False, **options)


class TestKept:
    def test_outputs_that_cannot_be_saved_cost_no_run(self, folder):
        class Own(np.ndarray):
            pass

        class Draws(Said):
            def __call__(self, conditions, seeds):
                super().__call__(conditions, seeds)
                return [np.zeros((4, 4, 3), np.uint8).view(Own) for _ in seeds]

        class Dark(Plain):
            def __call__(self, outputs, examples):
                return [float(output.mean()) for output in outputs]

        with pytest.warns(JournalWarning, match="kept outputs of example 0 could not be saved"):
            table = evaluate(folder, sampler=Draws(), detector=Dark(), keep=1)
        assert len(table) == len(mc.table.load(folder)) == 12
        assert len(table.kept) == 1

    @pytest.mark.parametrize("edit", [{"id": "k"}, {"outputs": [1.0]}, {"left_out": ["x"]}])
    def test_what_is_damaged_costs_its_own_pictures_alone(self, folder, edit):
        evaluate(folder, keep=2)
        path = next(
            path
            for path in folder.glob("kept/*/*/kept.json")
            if json.loads(path.read_text())["id"] == 0
        )
        path.write_text(json.dumps(json.loads(path.read_text()) | edit))
        with pytest.warns(JournalWarning, match="Its example goes without pictures"):
            found = mc.table.load(folder)
        assert (len(found), [one.id for one in found.kept]) == (12, ["0"])
        with pytest.warns(JournalWarning):
            found = evaluate(folder, keep=2)
        assert (len(found), [one.id for one in found.kept]) == (12, ["0"])

    def test_of_another_example_with_its_own_digest(self, folder):
        evaluate(folder, keep=2)
        one, other = folder.glob("kept/*/*/kept.json")
        other.write_bytes(one.read_bytes())
        with pytest.warns(JournalWarning, match="it holds another example"):
            assert len(mc.table.load(folder).kept) == 1

    def test_a_file_of_the_system_beside_it(self, folder):
        evaluate(folder, keep=2)
        (folder / "kept" / ".DS_Store").write_text("")
        assert len(evaluate(folder, keep=2).kept) == 2


@pytest.mark.parametrize("change", [{"notes": {"": 5}}, {"notes": {"": [[1]]}}])
def test_a_header_that_nobody_wrote_is_passed_over(folder, change):
    whole = evaluate(folder)
    entry = entry_of((folder / "header.json").read_bytes(), HEADER, 1)
    (folder / "header.json").write_bytes(line_of(HEADER, 1, entry | change))
    with pytest.warns(JournalWarning, match="header.json"):
        check_equal(evaluate(folder), whole, provenance=False)


def test_looks_of_no_examples_are_no_table(folder):
    evaluate(folder)
    entry = entry_of((folder / "header.json").read_bytes(), HEADER, 1)
    (folder / "header.json").write_bytes(line_of(HEADER, 1, entry | {"looks": {"of": 0}}))
    with pytest.raises(TableError, match="no consistent table"):
        mc.table.load(folder)


def test_an_audit_whose_level_is_no_number(tmp_path):
    path = mc.audit(GAME.sampler, Plain(), EXAMPLES, triggers(), progress=False).save(
        tmp_path / "audit"
    )
    held = json.loads((path / "audit.json").read_text())
    held["audits"][0]["settings"]["level"] = 10**400
    (path / "audit.json").write_text(json.dumps(held))
    with pytest.raises(TableError, match="does not hold a consistent audit"):
        mc.load_audit(path)

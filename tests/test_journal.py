"""A run with a journal goes on where it stopped, and is refused where it is another run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import modcollapse as mc
from journal_runs import (
    EXAMPLES,
    GAME,
    PAIR,
    Mark,
    Reads,
    Said,
    check_equal,
    evaluate,
    triggers,
)
from modcollapse.errors import InputError, TableError
from modcollapse.samplers import planted_game
from modcollapse.table import JournalWarning

FULL = {
    "detector": {"one": Reads(), "two": Reads(2.0), "shift": Reads(0.5, clean=True)},
    "cluster": "source",
    "repeats": 2,
    "neutral": {"text": {"other": Mark("?"), "more": Mark("#")}},
}
"""All that a table can hold."""


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "a journal é"


@pytest.fixture(scope="module")
def whole():
    return evaluate()


@pytest.fixture(scope="module")
def full():
    return evaluate(**FULL)


def interrupted(folder: Path, at: int, **options) -> None:
    """Begin a run that fails at one of its calls."""
    with pytest.raises(RuntimeError, match="device lost"):
        evaluate(folder, sampler=Said(at=at, error=RuntimeError("device lost")), **options)


CALLS = 8
"""Of 6 rows each, for 12 examples of 4 outputs."""


class TestResuming:
    @pytest.mark.parametrize("at", [0, 1, 3, 7])
    def test_old_and_new_together(self, folder, whole, at):
        interrupted(folder, at)
        done = 6 * at // 4
        assert (len(mc.table.load(folder)) if done else 0) == done
        sampler = Said()
        table = evaluate(folder, sampler=sampler)
        assert sampler.calls == CALLS - at  # nothing twice
        check_equal(table, whole)
        check_equal(mc.table.load(folder), whole)

    def test_everything_cached_calls_nothing(self, folder, whole):
        evaluate(folder)
        sampler = Said()
        check_equal(evaluate(folder, sampler=sampler, probe=True), whole, provenance=False)
        assert sampler.calls == 0

    @pytest.mark.parametrize("at", [1, 14, 100])
    def test_all_that_a_table_holds(self, folder, full, at):
        broken = Said(at=at, error=RuntimeError("device lost"))
        if at < 100:
            interrupted(folder, at, **FULL)
        else:
            evaluate(folder, sampler=broken, **FULL)
        for found in (evaluate(folder, **FULL), mc.table.load(folder)):
            assert list(found) == list(full)
            for name, table in found.items():
                check_equal(table, full[name])

    def test_with_a_control(self, folder):
        def audit(sampler, control):
            return mc.audit(
                sampler, Reads(), EXAMPLES, triggers(), control=control, journal=folder,
                batch_size=6, progress=False, probe=False,
            )  # fmt: skip

        with pytest.raises(RuntimeError):
            audit(Said("model"), Said("clean", at=4, error=RuntimeError()))
        found = audit(model := Said("model"), control := Said("clean"))
        assert model.calls == control.calls == 4
        alone = mc.audit(
            Said("model"), Reads(), EXAMPLES, triggers(), control=Said("clean"),
            batch_size=6, progress=False, probe=False,
        )  # fmt: skip
        check_equal(found.table, alone.table)
        check_equal(found.control.table, alone.control.table)
        check_equal(mc.table.load(folder), alone.table)

    def test_a_sweep(self, folder):
        def sweep(fails_at=-1, journal=folder):
            calls = iter(range(100))

            def model(conditions, seeds, *, gain):
                if next(calls) == fails_at:
                    raise RuntimeError("device lost")
                return [gain * value for value in GAME.sampler(conditions, seeds)]

            model.identity = lambda: {"model": "planted"}
            return mc.sweep(
                model, Reads(), EXAMPLES, triggers(), options={"gain": [1.0, 2.0]},
                journal=journal, batch_size=6, progress=False, probe=False,
            )  # fmt: skip

        with pytest.raises(RuntimeError):
            sweep(9)  # within the fifth batch, after the first point
        resumed, alone = sweep(), sweep(journal=None)
        for one, other in zip(resumed.audits, alone.audits, strict=True):
            check_equal(one.table, other.table)

    @pytest.mark.parametrize("at", [0, 5, 9])
    def test_early_stopping_stops_at_the_same_look(self, folder, at):
        game = planted_game([0, 1, 0, 1], PAIR, examples=80, noise=0.01)
        examples = [{**example, "source": 0} for example in game.examples]

        class Planted(Said):
            def __call__(self, conditions, seeds):
                super().__call__(conditions, seeds)
                return game.sampler(conditions, seeds)

        def audit(journal, **fails):
            return mc.audit(
                Planted(**fails), Reads(), examples, triggers(), stop=mc.Looks(),
                journal=journal, progress=False, probe=False, batch_size=16,
            )  # fmt: skip

        with pytest.raises(RuntimeError):
            audit(folder, at=at, error=RuntimeError())
        found, alone = audit(folder), audit(None)
        check_equal(found.table, alone.table)
        loaded = mc.table.load(folder)
        assert loaded.looks == alone.table.looks  # or its claims would be as of one look
        check_equal(loaded.select(alone.table.example_ids), alone.table, provenance=False)

    def test_kept_outputs_come_back(self, folder):
        class Pictures(Said):
            def __call__(self, conditions, seeds):
                values = super().__call__(conditions, seeds)
                return [torch.full((3, 4, 4), value).sigmoid() for value in values]

        class Mean(Reads):
            def __call__(self, outputs, examples):
                return [float(output.mean()) for output in outputs]

        def run(journal, **options):
            return evaluate(journal, detector=Mean(), **{"keep": 5, **options})

        with pytest.raises(RuntimeError):
            run(folder, sampler=Pictures(at=3, error=RuntimeError()))
        alone, loaded = run(None, sampler=Pictures()), run(folder, sampler=Pictures())
        for table in (loaded, mc.table.load(folder), run(folder, sampler=Pictures())):
            assert [one.id for one in table.kept] == [one.id for one in alone.kept]
            for one, other in zip(table.kept, alone.kept, strict=True):
                assert one.triggered == other.triggered
                assert one.example == other.example
                for mine, theirs in zip(one.outputs, other.outputs, strict=True):
                    torch.testing.assert_close(mine, theirs, rtol=0, atol=0)
        fewer = run(folder, sampler=Pictures(), keep=2)
        assert [one.id for one in fewer.kept] == [0, "0"]
        with pytest.warns(JournalWarning, match=r": 'a\\nb', '\\x00' were finished without"):
            more = run(folder, sampler=Pictures(), keep=7)
        assert len(more.kept) == 5

    def test_a_real_pipeline(self, folder):
        from modcollapse.samplers import PipelineSampler
        from modcollapse.triggers import TextSuffix

        from tiny_pipelines import SIDE, tiny_img2img

        def run(journal, examples, seed=0):
            sampler = PipelineSampler(tiny_img2img(seed), num_inference_steps=2, strength=0.9)
            return mc.evaluate_coalitions(
                sampler, Brightness(), examples, {"text": TextSuffix("mignneko")},
                journal=journal, batch_size=2, progress=False, probe=False,
            )  # fmt: skip

        class Brightness:
            def identity(self):
                return "brightness"

            def __call__(self, outputs, examples):
                return [float(output.mean()) for output in outputs]

        pictures = torch.rand(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
        examples = [{"image": picture, "text": "a hat"} for picture in pictures]
        run(folder, examples[:1])
        table = run(folder, examples)
        check_equal(table, run(None, examples))
        assert not any("resumed" in note for note in table.run_notes)  # weights tell
        with pytest.raises(TableError, match=r"sampler\.weights is"):
            run(folder, examples, seed=1)


class TestExtending:
    def test_by_examples(self, folder, whole):
        evaluate(folder, examples=EXAMPLES[:5])
        sampler = Said()
        check_equal(evaluate(folder, sampler=sampler), whole)
        assert sampler.calls == 5  # 28 outputs
        check_equal(mc.table.load(folder), whole)

    def test_by_repeats(self, folder):
        evaluate(folder)
        sampler, alone = Said(), evaluate(repeats=3)
        check_equal(evaluate(folder, sampler=sampler, repeats=3), alone)
        assert sampler.calls == 16
        check_equal(mc.table.load(folder), alone)

    def test_by_repeats_in_part(self, folder):
        """Examples of which a repeat is missing do not enter the table so far."""
        evaluate(folder)
        interrupted(folder, 3, repeats=2)
        loaded, alone = mc.table.load(folder), evaluate(repeats=2)
        assert loaded.values.shape == (4, 2, 4)
        np.testing.assert_array_equal(loaded.values, alone.values[:4])
        check_equal(evaluate(folder, repeats=2), alone)

    def test_fewer_than_it_holds(self, folder, whole):
        evaluate(folder, repeats=2)
        sampler, some = Said(), EXAMPLES[3:7]
        table = evaluate(folder, sampler=sampler, examples=some)
        assert sampler.calls == 0
        check_equal(table, whole.select([one["id"] for one in some]))
        assert mc.table.load(folder).values.shape == (12, 2, 4)

    def test_in_another_order(self, folder, whole):
        evaluate(folder, examples=EXAMPLES[4:8])
        order = EXAMPLES[::-1]
        table = evaluate(folder, examples=order)
        check_equal(table, evaluate(examples=order))
        check_equal(mc.table.load(folder).select(whole.example_ids), whole)

    def test_many_times(self, folder, whole):
        for n in range(1, 13):
            evaluate(folder, examples=EXAMPLES[:n])
        assert len(list(folder.glob("finished-*"))) == 12
        check_equal(mc.table.load(folder), whole)


class TestRefused:
    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"batch_size": 4}, r"settings\.batch_size is 6 there and 4 here"),
            ({"seed": 1}, r"settings\.seed is 0 there and 1 here"),
            ({"marks": triggers("!!")}, r"settings\.triggers\.image\.trigger is '!' .* '!!'"),
            ({"detector": Reads(2.0)}, r"detectors\..*identity\.detector is 1\.0 there and 2\.0"),
            ({"detector": {"one": Reads()}}, r"single is True there and False here"),
            ({"detector": {"one": Reads()}}, r"detectors\.one is here, and not there; "),
            ({"sampler": Said("another")}, r"run: sampler\.sampler is 'planted' .* 'another'"),
            ({"neutral": {"text": {"other": Mark("?")}}}, r"neutral is \[\] there"),
            ({"cluster": "source"}, r"clustered is False there and True here"),
            (
                {"seed": 1, "batch_size": 4, "sampler": Said("another")},
                r"sampler.*settings\.batch_size.*settings\.seed",
            ),
        ],
    )
    def test_another_run(self, folder, options, said):
        evaluate(folder)
        before = {path: path.read_bytes() for path in folder.iterdir()}
        sampler = options.get("sampler", Said())
        with pytest.raises(TableError, match=said):
            evaluate(folder, **{"sampler": sampler, **options})
        assert sampler.calls == 0
        assert {path: path.read_bytes() for path in folder.iterdir()} == before

    def test_other_bounds_of_a_detector(self, folder):
        evaluate(folder)
        with pytest.raises(TableError, match=r"bounds\[0\] is -20\.0 there and -30\.0 here"):
            evaluate(folder, detector=Reads(bounds=(-30.0, 20.0)))

    def test_an_example_that_holds_something_else(self, folder):
        evaluate(folder)
        other = [{**example, "image": "another"} if at in (3, 5) else example
                 for at, example in enumerate(EXAMPLES)]  # fmt: skip
        with pytest.raises(TableError, match=r"2 of its examples held something else") as caught:
            evaluate(folder, examples=other)
        assert "('../x', 'a\\nb')" in str(caught.value)
        assert not any("goes on" in note for note in getattr(caught.value, "__notes__", ()))

    def test_an_example_in_another_group(self, folder):
        evaluate(folder, cluster="source")
        with pytest.raises(TableError, match="in another group"):
            evaluate(folder, cluster="kind")

    @pytest.mark.parametrize("package", ["modcollapse", "numpy", "torch"])
    def test_another_version_of_a_library(self, folder, package, monkeypatch):
        from modcollapse.measure import _recording

        evaluate(folder)
        version = _recording._version
        monkeypatch.setattr(
            _recording, "_version", lambda name: "9.9.9" if name == package else version(name)
        )
        with pytest.raises(TableError, match=rf"versions\.{package} is .* and '9\.9\.9' here"):
            evaluate(folder)

    def test_another_version_of_python_is_fine(self, folder, whole, monkeypatch):
        import platform

        interrupted(folder, 3)
        monkeypatch.setattr(platform, "python_version", lambda: "9.9.9")
        check_equal(evaluate(folder), whole, provenance=False)


class TestWithoutIdentity:
    """A callable that does not say who it is: one example is generated again."""

    @staticmethod
    def model(path: Path):
        calls = []

        def sampler(conditions, seeds):
            """Reads its weights from a file, which no identity can see."""
            calls.append(len(seeds))
            return [float(path.read_text()) * x for x in GAME.sampler(conditions, seeds)]

        return sampler, calls

    def test_which_came_out_equal(self, folder, tmp_path):
        (weights := tmp_path / "weights").write_text("2.0")
        sampler, _ = self.model(weights)
        first = evaluate(folder, sampler=sampler)
        sampler, calls = self.model(weights)
        table = evaluate(folder, sampler=sampler)
        assert calls == [6]
        np.testing.assert_array_equal(table.values, first.values)
        assert any("example 0 was generated again and came out equal" in n for n in table.run_notes)

    def test_which_is_recorded_in_the_journal(self, folder, tmp_path):
        (weights := tmp_path / "weights").write_text("2.0")
        evaluate(folder, sampler=self.model(weights)[0], examples=EXAMPLES[:3])
        evaluate(folder, sampler=self.model(weights)[0])
        assert any("came out equal" in note for note in mc.table.load(folder).run_notes)

    def test_whose_model_is_another(self, folder, tmp_path):
        (weights := tmp_path / "weights").write_text("2.0")
        evaluate(folder, sampler=self.model(weights)[0], examples=EXAMPLES[:3])
        weights.write_text("2.001")
        with pytest.raises(TableError, match=r"example 0 was generated again.*otherwise") as caught:
            evaluate(folder, sampler=self.model(weights)[0])
        assert not any("goes on" in note for note in getattr(caught.value, "__notes__", ()))
        assert len(mc.table.load(folder)) == 3

    def test_one_that_counts_its_calls(self, folder):
        class Counts:
            calls = 0

            def __call__(self, conditions, seeds):
                self.calls += 1
                return GAME.sampler(conditions, seeds)

        sampler = Counts()
        for n in (3, 7, 12):
            evaluate(folder, sampler=sampler, examples=EXAMPLES[:n])
        assert len(mc.table.load(folder)) == 12

    def test_clean_outputs_of_batches_that_end_between_coalitions(self, folder):
        options = {"sampler": GAME.sampler, "detector": Reads(clean=True), "batch_size": 3}
        alone = evaluate(**options)
        evaluate(folder, **options, examples=EXAMPLES[:5])
        check_equal(evaluate(folder, **options), alone, provenance=False)


class TestInterrupted:
    def check_note(self, error, folder):
        assert any(str(folder) in note and "goes on" in note for note in error.__notes__)

    @pytest.mark.parametrize("at", [0, 2, 7])
    def test_by_control_c_in_the_sampler(self, folder, whole, at):
        with pytest.raises(KeyboardInterrupt) as caught:
            evaluate(folder, sampler=Said(at=at, error=KeyboardInterrupt()))
        self.check_note(caught.value, folder)
        sampler = Said()
        check_equal(evaluate(folder, sampler=sampler), whole)
        assert sampler.calls == CALLS - at

    @pytest.mark.parametrize("prefetch", [True, False])
    def test_by_control_c_in_a_trigger(self, folder, whole, prefetch):
        class Pressed(Mark):
            calls = 0

            def __call__(self, text):
                self.calls += 1
                if self.calls == 30:  # two for the check of each example, one to use it
                    raise KeyboardInterrupt
                return super().__call__(text)

        with pytest.raises(KeyboardInterrupt) as caught:
            evaluate(folder, marks={"image": Pressed(), "text": Mark()}, prefetch=prefetch)
        self.check_note(caught.value, folder)
        assert 0 < len(mc.table.load(folder)) < 12
        check_equal(evaluate(folder), whole)

    def test_by_control_c_in_the_detector(self, folder, whole):
        def pressed(scores):
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt) as caught:
            evaluate(folder, detector=Reads(at=4, then=pressed))
        self.check_note(caught.value, folder)
        assert len(mc.table.load(folder)) == 6
        check_equal(evaluate(folder), whole)

    def test_by_control_c_while_it_writes(self, folder, whole, monkeypatch):
        fsync, calls = os.fsync, iter(range(100))

        def pressed(handle):
            if next(calls) == 5:
                raise KeyboardInterrupt
            fsync(handle)

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", pressed)
            with pytest.raises(KeyboardInterrupt):
                evaluate(folder)
        assert 0 < len(mc.table.load(folder)) < 12
        check_equal(evaluate(folder), whole)

    def test_by_an_error_in_the_last_batch(self, folder, whole):
        interrupted(folder, 7)
        assert len(mc.table.load(folder)) == 10
        sampler = Said()
        check_equal(evaluate(folder, sampler=sampler), whole)
        assert sampler.calls == 1

    def test_by_a_bad_score_in_the_last_batch(self, folder, whole):
        bad = Reads(at=7, then=lambda scores: [float("nan")] * len(scores))
        with pytest.raises(mc.errors.DetectorError):
            evaluate(folder, detector=bad)
        assert len(mc.table.load(folder)) == 10
        check_equal(evaluate(folder), whole)


KILLED = """
import builtins, io, os, sys
sys.path.insert(0, {tests!r})
from pathlib import Path
import modcollapse as mc
from journal_runs import EXAMPLES, Said, evaluate
import torch

class Pictures(Said):
    def __call__(self, conditions, seeds):
        return [torch.full((3, 2, 2), v).sigmoid() for v in super().__call__(conditions, seeds)]

class Mean:
    def identity(self):
        return "mean"
    def __call__(self, outputs, examples):
        return [float(output.mean()) for output in outputs]

def run(folder, some=EXAMPLES[:4]):
    return evaluate(folder, sampler=Pictures(), detector=Mean(), examples=some, keep=1,
                    prefetch=False)  # a fork has one thread

class Dying:
    def __init__(self, at):
        self.at, self.calls = at, 0
    def step(self, real, *given, **named):
        self.calls += 1
        if self.calls == self.at:
            os._exit(3)
        return real(*given, **named)
    def patch(self):
        for name in ("fsync", "replace", "rename", "mkdir", "truncate"):
            real = getattr(os, name)
            setattr(os, name, lambda *a, _r=real, **k: self.step(_r, *a, **k))
        opened, dying = io.open, self
        def open_(file, mode="r", *a, **k):
            made = opened(file, mode, *a, **k)
            if not set(mode) & set("wxa"):
                return made
            class Torn:
                def __enter__(self): return self
                def __exit__(self, *e): made.close()
                def __getattr__(self, name): return getattr(made, name)
                def write(self, data):
                    half = len(data) // 2
                    made.write(data[:half]); made.flush()
                    dying.step(lambda: None)
                    return half + made.write(data[half:])
            return Torn()
        builtins.open = io.open = open_
        os.fdopen = open_

torch.set_num_threads(1)
root = Path({root!r})
run(root / "whole")  # imports what there is to import, once
alone, loaded = run(None), 0
at = died = 0
while True:
    at += 1
    child = os.fork()
    if not child:
        try:
            Dying(at).patch()
            run(root / str(at), EXAMPLES[:4])
            os._exit(0)
        except BaseException:
            import traceback; traceback.print_exc()
            os._exit(9)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code == 0:
        break
    assert code == 3, code
    died += 1
for n in range(1, at):
    folder = root / str(n)
    try:
        before = mc.table.load(folder)
    except (mc.errors.TableError, FileNotFoundError):
        before = None  # nothing was finished
    if before is not None:
        loaded += 1
        assert before.values.tolist() == alone.values[: len(before)].tolist(), n
    table = run(folder)
    assert table.values.tobytes() == alone.values.tobytes(), n
    assert table.provenance == alone.provenance, n
    assert [one.id for one in table.kept] == [0], n
    assert all((a == b).all() for a, b in zip(table.kept[0].outputs, alone.kept[0].outputs)), n
    again = mc.table.load(folder)
    assert again.values.tobytes() == alone.values.tobytes(), n
print(died, loaded)
"""


def in_a_process(text: str, *arguments: str) -> str:
    """What a script prints in an interpreter of its own."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(text), *arguments],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


TESTS = str(Path(__file__).parent)


def test_killed_at_any_instant_it_resumes_to_the_same_table(tmp_path):
    """Inside each write, and before each sync, rename and folder that a run makes."""
    died, loaded = map(int, in_a_process(KILLED.format(tests=TESTS, root=str(tmp_path))).split())
    assert died > 20
    assert 0 < loaded < died


class TestDisk:
    def test_a_full_disk_costs_no_table(self, folder, whole):
        """Writes beyond a limit on the size of files fail; where the first fails, the run does."""
        found = in_a_process(
            """
            import resource, signal, sys, warnings
            sys.path.insert(0, sys.argv[2])
            from pathlib import Path
            from journal_runs import check_equal, evaluate
            import modcollapse as mc
            alone = evaluate()
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            folder = Path(sys.argv[1])
            resource.setrlimit(resource.RLIMIT_FSIZE, (5000, resource.RLIM_INFINITY))
            with warnings.catch_warnings(record=True) as said:
                warnings.simplefilter("always")
                table = evaluate(folder)
            check_equal(table, alone)
            assert {one.category for one in said} == {mc.table.JournalWarning}, said
            assert any("could not be written" in str(one.message) for one in said)
            written = len(mc.table.load(folder))
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
            check_equal(evaluate(folder), alone)
            resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
            try:
                evaluate(folder / "another")
            except mc.errors.InputError as error:
                assert "cannot be written" in str(error), error
            print(written, len(mc.table.load(folder)))
            """,
            str(folder),
            TESTS,
        )
        some, every = map(int, found.split())
        assert 0 < some < every == 12

    def test_what_was_found_out_at_the_end_may_be_lost(self, folder, whole, monkeypatch):
        """The header is written again last; by then the table is there."""
        from modcollapse.measure import _journal

        class Counts:
            calls = 0

            def __call__(self, conditions, seeds):
                self.calls += 1
                return GAME.sampler(conditions, seeds)

        write = _journal.write_header

        def full(place, header):
            if (place / "header.json").exists():
                raise OSError(28, "No space left on device")
            write(place, header)

        monkeypatch.setattr(_journal, "write_header", full)
        with pytest.warns(JournalWarning, match="No space left"):
            table = evaluate(folder, sampler=Counts())
        np.testing.assert_array_equal(table.values, whole.values)

    def test_a_file_in_place_of_the_folder(self, tmp_path):
        (tmp_path / "file").write_text("mine")
        for path in (tmp_path / "file", tmp_path / "file" / "journal"):
            with pytest.raises(InputError, match="cannot be written"):
                evaluate(path)
        assert (tmp_path / "file").read_text() == "mine"

    @pytest.mark.parametrize("name", ["mine.txt", "kept", "finished.jsonl"])
    def test_a_folder_that_holds_something_else(self, folder, name):
        folder.mkdir()
        (folder / name).write_text("mine")
        with pytest.raises((TableError, InputError), match=r"something else than|cannot be writ"):
            evaluate(folder)
        assert (folder / name).read_text() == "mine"

    @pytest.mark.parametrize("name", ["header.json", "finished-0001-0000.jsonl"])
    def test_a_file_of_somebody_else_under_our_name(self, folder, name):
        folder.mkdir()
        (folder / name).write_text('{"theirs": 1}\n')
        with pytest.raises(TableError, match="no copy of its header is whole"):
            evaluate(folder)
        assert (folder / name).read_text() == '{"theirs": 1}\n'

    def test_an_empty_folder_is_fine(self, folder, whole):
        folder.mkdir()
        (folder / ".DS_Store").touch()
        check_equal(evaluate(folder), whole)

    @pytest.mark.parametrize("link", ["header.json", "lock", "finished-0001-0000.jsonl", "kept"])
    def test_a_link_is_not_followed(self, folder, tmp_path, link):
        evaluate(folder, examples=EXAMPLES[:3])
        theirs = tmp_path / "theirs"
        if link == "kept":
            theirs.mkdir()
        else:
            theirs.write_bytes((folder / link).read_bytes())
            (folder / link).unlink()
        (folder / link).symlink_to(theirs)
        before = None if link == "kept" else theirs.read_bytes()
        with pytest.raises(TableError, match=f"holds a link, {link}"):
            evaluate(folder, keep=2)
        assert (list(theirs.iterdir()) == []) if link == "kept" else theirs.read_bytes() == before

    def test_a_second_process_waits_its_turn(self, folder, whole):
        holds = textwrap.dedent(
            """
            import sys
            from filelock import FileLock
            with FileLock(sys.argv[1]):
                print("held", flush=True)
                sys.stdin.readline()
            """
        )
        interrupted(folder, 3)
        with subprocess.Popen(
            [sys.executable, "-c", holds, str(folder / "lock")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as other:
            assert other.stdout.readline() == "held\n"
            sampler = Said()
            with pytest.raises(TableError, match="another process writes into the journal"):
                evaluate(folder, sampler=sampler)
            assert sampler.calls == 0
            assert len(mc.table.load(folder)) == 4  # which may be read meanwhile
            other.communicate("\n")
        check_equal(evaluate(folder), whole)

    def test_a_run_inside_of_a_run(self, folder):
        """The same journal twice in one process is refused, too."""

        class Inner(Said):
            def __call__(self, conditions, seeds):
                with pytest.raises(TableError, match="writes into the journal"):
                    evaluate(folder)
                return super().__call__(conditions, seeds)

        evaluate(folder, sampler=Inner(), examples=EXAMPLES[:2])


class TestLoad:
    def test_while_the_run_goes_on(self, folder, whole):
        seen = []

        class Watched(Said):
            def __call__(self, conditions, seeds):
                if self.calls:
                    table = mc.table.load(folder)
                    np.testing.assert_array_equal(table.values, whole.values[: len(table)])
                    seen.append(len(table))
                return super().__call__(conditions, seeds)

        evaluate(folder, sampler=Watched())
        assert seen == [1, 3, 4, 6, 7, 9, 10]

    def test_nothing_yet(self, folder):
        interrupted(folder, 0)
        with pytest.raises(TableError, match=r"no example of the journal .* is finished yet"):
            mc.table.load(folder)

    def test_a_table(self, tmp_path, whole):
        check_equal(mc.table.load(whole.save(tmp_path / "table.npz")), whole)

    def test_neither(self, tmp_path):
        with pytest.raises(FileNotFoundError):
            mc.table.load(tmp_path / "nowhere")
        with pytest.raises(TableError, match="no journal of a run"):
            mc.table.load(tmp_path)

    def test_it_goes_through_a_file(self, folder, tmp_path, full):
        evaluate(folder, **FULL)
        for name, table in mc.table.load(folder).items():
            check_equal(mc.table.load(table.save(tmp_path / f"{name}.npz")), full[name])

    def test_lines_are_plain_text_that_says_what_it_is(self, folder):
        evaluate(folder, **FULL)
        (file,) = folder.glob("finished-*")
        header, *lines = map(json.loads, file.read_text("ascii").splitlines())
        assert header["modcollapse journal"] == 1
        assert header["settings"]["seed"] == 0
        assert {"numpy", "torch", "modcollapse"} <= set(header["environment"])
        assert len(lines) == 24
        for line in lines:
            assert line["modcollapse finished"] == 1
            assert {"id", "digest", "seed", "repeat", "batch_size"} <= set(line)
            assert line["batch_size"] == 6


@settings(max_examples=20)
@given(
    ids=st.lists(
        st.one_of(st.text(), st.integers()),
        min_size=1,
        max_size=4,
        unique_by=lambda i: (i, type(i)),
    ),
    values=st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=4, max_size=4),
)
def test_any_ids_and_any_values_come_back(ids, values, tmp_path_factory):
    folder = tmp_path_factory.mktemp("journal")
    examples = [{"id": name, "image": "a", "text": "b"} for name in ids]
    made = iter(values * len(ids))

    class Stub(Said):
        def __call__(self, conditions, seeds):
            return [next(made) for _ in seeds]

    class Plain:
        def identity(self):
            return "plain"

        def __call__(self, outputs, examples):
            return outputs

    table = evaluate(folder, sampler=Stub(), detector=Plain(), examples=examples, batch_size=4)
    for again in (
        mc.table.load(folder),
        evaluate(folder, detector=Plain(), examples=examples, batch_size=4),
    ):
        assert again.example_ids == tuple(ids)
        assert again.values.tobytes() == table.values.tobytes()


class TestInTheMiddleOfAnExample:
    """Its coalitions take several calls: an error costs the call in which it comes, and no more."""

    ORDER = ("image", "text", "mask", "sound")
    GAME = planted_game(np.linspace(0, 1, 16), ORDER, examples=5, noise=0.1)

    def run(self, folder, fails_at=None, detector=None, **options):
        rows = []

        class Sampler:
            modalities = self.ORDER

            def __call__(self, conditions, seeds):
                if len(rows) == fails_at:
                    raise RuntimeError("no such kernel")
                rows.append(len(seeds))
                return game.sampler(conditions, seeds)

            def identity(self):
                return {"class": "Sampler"}

        class Reads:
            def __call__(self, outputs, examples):
                return outputs

            def identity(self):
                return {"class": "Reads"}

        class Mark:
            def __call__(self, condition):
                return game.triggers["image"](condition)

            def identity(self):
                return {"class": "Mark"}

        game = self.GAME
        options = {"batch_size": 3, "probe": False, "progress": False, "journal": folder, **options}
        triggers = dict.fromkeys(self.ORDER, Mark())
        try:
            table = mc.evaluate_coalitions(
                Sampler(), detector or Reads(), game.examples, triggers, **options
            )
        except RuntimeError:
            table = None
        return table, sum(rows)

    @pytest.mark.parametrize("at", [0, 1, 4, 6, 11, 20])
    def test_what_was_made_of_it_is_not_made_again(self, folder, at):
        _, made = self.run(folder, fails_at=at)
        assert made == 3 * at
        table, later = self.run(folder)
        assert later == -(-(80 - made) // 3) * 3  # the last call is filled up
        whole, _ = self.run(None)
        np.testing.assert_array_equal(table.values, whole.values)
        assert self.run(folder)[1] == 0

    def test_a_table_so_far_holds_whole_examples(self, folder):
        self.run(folder, fails_at=12)  # 36 of 80 outputs
        assert len(mc.table.load(folder)) == 2

    def test_more_repeats_go_on_in_the_middle_too(self, folder):
        self.run(folder)
        _, made = self.run(folder, fails_at=7, repeats=2)
        table, later = self.run(folder, repeats=2)
        assert (made, later) == (21, 60)
        np.testing.assert_array_equal(table.values, self.run(None, repeats=2)[0].values)

    def test_where_outputs_are_needed_later_the_example_begins_anew(self, folder):
        class Beside:
            wants_clean_output = True

            def __call__(self, outputs, examples):
                pairs = zip(outputs, examples, strict=True)
                return [output - example["clean_output"] for output, example in pairs]

            def identity(self):
                return {"class": "Beside"}

        for options in ({"detector": Beside()}, {"keep": 5}):
            there = folder / "-".join(options)
            self.run(there, fails_at=8, **options)  # 24 outputs: an example and a half
            table, later = self.run(there, **options)
            assert later == 66  # of 64 that are left
            np.testing.assert_array_equal(table.values, self.run(None, **options)[0].values)
            assert len(table.kept) == options.get("keep", 0)

"""What is written is written whole and leaves all else alone; what is read is looked at first."""

from __future__ import annotations

import io
import json
import os
import stat
import zipfile
from pathlib import Path

import numpy as np
import pytest

import modcollapse as mc
from modcollapse.errors import InputError, TableError
from modcollapse.poison import PoisonPlan, poison_plan
from modcollapse.samplers import planted_game

PAIR = ("image", "text")


def table(n: int = 3) -> mc.CoalitionTable:
    return mc.CoalitionTable.from_values(np.arange(4.0 * n).reshape(n, 4), PAIR)


def plan(n: int = 100) -> PoisonPlan:
    return poison_plan(n, PAIR, "OR", ratio=0.1)


WRITERS = {"table": lambda path, n: table(n).save(path), "plan": lambda path, n: plan(n).save(path)}


@pytest.fixture(params=WRITERS)
def save(request):
    return WRITERS[request.param]


class TestWriting:
    def test_a_link_is_followed(self, save, tmp_path):
        store, link = tmp_path / "store", tmp_path / "link"
        save(store, 40)
        link.symlink_to(store)
        before = store.read_bytes()
        save(link, 50)
        assert link.is_symlink()
        assert store.read_bytes() != before

    def test_permissions_of_a_file_are_kept_and_new_ones_are_as_usual(self, save, tmp_path):
        path = tmp_path / "file"
        save(path, 40)
        (tmp_path / "other").touch()
        usual = stat.S_IMODE((tmp_path / "other").stat().st_mode)
        assert stat.S_IMODE(path.stat().st_mode) == usual
        path.chmod(0o600)
        save(path, 50)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def test_no_setting_of_the_process_is_touched(self, save, tmp_path, monkeypatch):
        def touched(mask):
            raise AssertionError("other threads would see this umask")

        monkeypatch.setattr(os, "umask", touched)
        save(tmp_path / "file", 40)

    @pytest.mark.parametrize("step", ["fsync", "replace"])
    def test_what_fails_leaves_what_was_there_and_no_part(self, save, tmp_path, monkeypatch, step):
        path = tmp_path / "file"
        save(path, 40)
        before = path.read_bytes()

        def full(*arguments):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, step, full)
        with pytest.raises(OSError, match="No space"):
            save(path, 50)
        assert path.read_bytes() == before
        assert [entry.name for entry in tmp_path.iterdir()] == ["file"]

    def test_a_folder_that_is_missing_is_named(self, save, tmp_path):
        with pytest.raises(FileNotFoundError, match="no folder"):
            save(tmp_path / "nowhere" / "file", 40)


def spoilt(path: Path, **entries: bytes) -> Path:
    """A table whose archive holds other entries."""
    with zipfile.ZipFile(table().save(path)) as archive:
        held = {name: archive.read(name) for name in archive.namelist()} | entries
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in held.items():
            archive.writestr(name, data)
    return path


def array(values) -> bytes:
    out = io.BytesIO()
    np.save(out, values)
    return out.getvalue()


def claiming(shape) -> bytes:
    out = io.BytesIO()
    header = {"descr": "<f8", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(out, header)
    return out.getvalue()


class TestReading:
    @pytest.mark.parametrize(
        ("entries", "words"),
        [
            ({"junk.npy": array(np.zeros(3))}, "holds 'junk.npy', which no table does"),
            ({"values.npy": claiming((10**9, 1, 4))}, "claims the shape"),
            ({"values.npy": claiming((10**30,))}, "claims the shape"),
            ({"values.npy": array(np.zeros((3, 1, 4), np.float32))}, "holds float32"),
            ({"values.npy": array(np.zeros((3, 1, 4)))}, "changed after it was written"),
            ({"header.npy": array(np.frombuffer(b"[" * 10**5, np.uint8))}, "cannot be read"),
            ({"header.npy": array(np.frombuffer(b"{}", np.uint8))}, "is not a modcollapse table"),
            ({"values.npy": b"\x93NUMPY\x07\x00"}, "cannot be read"),
            ({"values.npy": b""}, "cannot be read"),
        ],
    )
    def test_a_spoilt_archive_is_an_error_of_ours(self, tmp_path, entries, words):
        with pytest.raises(TableError, match=words):
            mc.CoalitionTable.load(spoilt(tmp_path / "t", **entries))

    def test_what_unpacks_to_more_than_any_table_is_not_unpacked(self, tmp_path, monkeypatch):
        from modcollapse.table import _file

        monkeypatch.setattr(_file, "LARGEST", 100)
        with pytest.raises(TableError, match="bytes when unpacked"):
            mc.CoalitionTable.load(table().save(tmp_path / "t"))

    @staticmethod
    def without_digest(path: Path, version: int) -> Path:
        with zipfile.ZipFile(table().save(path)) as archive:
            held = {name: archive.read(name) for name in archive.namelist()}
        header = json.loads(np.load(io.BytesIO(held["header.npy"])).tobytes())
        text = json.dumps({**header, "version": version}).encode()
        held["header.npy"] = array(np.frombuffer(text, np.uint8))
        with zipfile.ZipFile(path, "w") as archive:
            for name in held.keys() - {"digest.npy"}:
                archive.writestr(name, held[name])
        return path

    def test_a_table_of_version_0_1_0_has_no_digest(self, tmp_path):
        path = self.without_digest(tmp_path / "t", version=1)
        np.testing.assert_array_equal(mc.CoalitionTable.load(path).values, table().values)

    def test_a_later_one_without_is_refused(self, tmp_path):
        path = self.without_digest(tmp_path / "t", version=2)
        with pytest.raises(TableError, match="it holds no digest"):
            mc.CoalitionTable.load(path)


class TestTrack:
    def tracker(self, path):
        game = planted_game([0.0, 0.1, 0.9, 1.0], PAIR, examples=4)
        return mc.CollapseTracker(*game, every=1, modules=[], path=path)

    @pytest.mark.parametrize("line", ['{"step": 0, "loss": 1.0}', "{", '{"modcollapse', "loss"])
    @pytest.mark.parametrize("end", ["", "\n"])
    def test_a_foreign_file_is_left_as_it_is(self, tmp_path, line, end):
        path = tmp_path / "log.jsonl"
        path.write_text(line + end)
        with pytest.raises(InputError, match="move the file away"):
            self.tracker(path)
        assert path.read_text() == line + end

    @pytest.mark.parametrize(
        ("old", "new"), [('"low"', '"lov"'), ('"value": 0.9', '"value": 0.8'), ('"n": 4', '"n": 5')]
    )
    def test_a_changed_line_is_refused(self, tmp_path, old, new):
        path = tmp_path / "track.jsonl"
        self.tracker(path)(0)
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))
        with pytest.raises(InputError, match="line 1, is not an audit"):
            self.tracker(path)

    def test_after_a_full_disk_the_curve_goes_on_and_nothing_is_missing(
        self, tmp_path, monkeypatch
    ):
        path = tmp_path / "track.jsonl"
        tracker = self.tracker(path)
        tracker(0)
        before = path.read_bytes()
        with monkeypatch.context() as patch:

            def full(handle):
                raise OSError(28, "No space left on device")

            patch.setattr(os, "fsync", full)
            with pytest.raises(OSError, match="No space"):
                tracker(1)
        assert path.read_bytes() == before
        tracker(2)
        steps = [json.loads(line)["step"] for line in path.read_text().splitlines()]
        assert steps == [0, 1, 2]
        assert {row.at["step"] for row in self.tracker(path).curves.rows} == {0, 1, 2}

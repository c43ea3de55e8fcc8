"""What stands whole in a damaged journal or table is read, and nothing wrong.

A part of what `benchmarks/fuzz.py` does, and by name what it has found.
"""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import modcollapse as mc
from journal_runs import EXAMPLES, Said, check_equal, evaluate
from modcollapse.errors import TableError
from modcollapse.table import JournalWarning

sys.path.append(str(Path(__file__).resolve().parents[1] / "benchmarks"))
import _damage


@pytest.fixture(scope="module")
def held(tmp_path_factory):
    root = tmp_path_factory.mktemp("whole")
    return _damage.originals(root), _damage.foreign(root)


@pytest.mark.parametrize("seed", range(24))
def test_damaged_in_any_way(held, tmp_path, seed):
    originals, foreign = held
    original, rng = originals[seed % len(originals)], random.Random(seed)
    folder = shutil.copytree(original.path, tmp_path / "damaged")
    done = [_damage.damage_kept(rng, folder)]
    if original.lines:
        done.append(_damage.damage_journal(rng, folder, foreign))
    else:
        theirs = (foreign / "other.npz").read_bytes()
        done.append(_damage.damage_table(rng, folder / "t.npz", theirs))
    faults, _ = _damage.broken(original, folder)
    assert faults == [], done


@pytest.fixture
def folder(tmp_path):
    evaluate(tmp_path, examples=EXAMPLES[:5])
    evaluate(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def whole():
    return evaluate()


FIRST, SECOND, HEADER = "finished-0001-0000.jsonl", "finished-0002-0000.jsonl", "header.json"


def lines_of(folder: Path, name: str) -> list[bytes]:
    return (folder / name).read_bytes().splitlines(keepends=True)


def resumed(folder: Path, whole, calls: int) -> None:
    """Go on from a damaged journal, and generate no more than what is lost."""
    sampler = Said()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", JournalWarning)
        check_equal(evaluate(folder, sampler=sampler), whole)
        check_equal(mc.table.load(folder), whole)
    assert sampler.calls == calls


def test_a_file_without_its_header(folder, whole):
    """The line that is first then is one of an example, and whole."""
    (folder / FIRST).write_bytes(b"".join(lines_of(folder, FIRST)[1:]))
    check_equal(mc.table.load(folder), whole)
    resumed(folder, whole, calls=0)


@pytest.mark.parametrize("lost", [(HEADER,), (HEADER, FIRST), (HEADER, SECOND), (FIRST, SECOND)])
def test_one_header_is_enough(folder, whole, lost):
    for name in lost:
        text = b"".join(lines_of(folder, name)[1:])
        (folder / name).write_bytes(text) if text else (folder / name).unlink()
    check_equal(mc.table.load(folder), whole)
    resumed(folder, whole, calls=0)


def test_no_header_is_none(folder):
    for name in (HEADER, FIRST, SECOND):
        (folder / name).write_bytes(b"".join(lines_of(folder, name)[1:]))
    for call in (lambda: mc.table.load(folder), lambda: evaluate(folder)):
        with pytest.raises(TableError, match="no copy of its header is whole"):
            call()


def test_the_end_of_a_line_is_lost(folder, whole):
    """The next begins in the same line, and both are whole."""
    (folder / FIRST).write_bytes((folder / FIRST).read_bytes().replace(b"\n", b""))
    check_equal(mc.table.load(folder), whole)


def test_garbage_before_a_line(folder, whole):
    header, first, *others = lines_of(folder, FIRST)
    (folder / FIRST).write_bytes(b"".join([header, b"\0\xff", first, *others]))
    with pytest.warns(JournalWarning, match=r"1 line\(s\) .* line 2"):
        check_equal(mc.table.load(folder), whole)


def test_a_line_that_was_cut_off_is_no_fault_and_one_that_was_changed_is(folder, whole):
    with (folder / SECOND).open("ab") as file:
        file.write(lines_of(folder, SECOND)[-1][:50])
    check_equal(mc.table.load(folder), whole)
    changed = (folder / FIRST).read_bytes().replace(b'"repeat": 0', b'"repeat": 7', 1)
    (folder / FIRST).write_bytes(changed)
    with pytest.warns(JournalWarning, match="digest does not fit"):
        assert len(mc.table.load(folder)) == 11
    resumed(folder, whole, calls=1)


def test_the_header_of_another_run(folder, whole, tmp_path_factory):
    """What the lines belong to counts."""
    other = tmp_path_factory.mktemp("other")
    evaluate(other, seed=1)
    shutil.copy(other / HEADER, folder / HEADER)
    with pytest.warns(JournalWarning, match="it is the header of another run"):
        check_equal(mc.table.load(folder), whole)
    resumed(folder, whole, calls=0)


def test_lines_of_another_run(folder, whole, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    evaluate(other, seed=1, examples=EXAMPLES[:3])
    shutil.copy(other / FIRST, folder / "finished-0009-0000.jsonl")
    with pytest.warns(JournalWarning, match="it is of another run"):
        check_equal(mc.table.load(folder), whole)
    resumed(folder, whole, calls=0)


@pytest.mark.parametrize("version", [0, 2])
def test_another_version(folder, whole, version):
    for name in (HEADER, FIRST):
        text = (folder / name).read_bytes()
        (folder / name).write_bytes(text.replace(b'": 1, "sha256"', b'": %d, "sha256"' % version))
    with pytest.warns(JournalWarning, match=r"no modcollapse (journal|finished) of version 1"):
        loaded = mc.table.load(folder)
    check_equal(loaded, whole.select(whole.example_ids[5:]))
    resumed(folder, whole, calls=4)


@pytest.mark.parametrize(
    "fields",
    [
        {"id": True}, {"id": None}, {"repeat": -1}, {"repeat": "0"}, {"seed": -1}, {"seed": 2**64},
        {"place": None}, {"fields": []}, {"values": {}}, {"values": {"": {"Reads": [1.0] * 5}}},
        {"values": {"": {"Reads": ["1"] * 4}}}, {"perfect": {"": {}}}, {"perfect": {}},
        {"perfect": {"": {"Reads": 1.0, "more": 2.0}}}, {"more": 1},
    ],
)  # fmt: skip
def test_a_line_that_no_run_writes(folder, whole, fields):
    """Its digest fits: whoever made it knew how."""
    entry = json.loads(lines_of(folder, FIRST)[1])
    del entry["modcollapse finished"], entry["sha256"]
    entry |= fields
    digest = hashlib.sha256(json.dumps(entry, sort_keys=True).encode()).hexdigest()
    line = json.dumps({"modcollapse finished": 1, "sha256": digest, **entry})
    with (folder / SECOND).open("a") as file:
        file.write(line + "\n")
    with pytest.warns(JournalWarning, match="cannot be used"):
        check_equal(mc.table.load(folder), whole)
    resumed(folder, whole, calls=0)


def test_nested_too_deeply(folder, whole):
    with (folder / SECOND).open("ab") as file:
        file.write(b'{"modcollapse finished": 1, "id": ' + b"[" * 10**5 + b"]" * 10**5 + b"}\n")
    with pytest.warns(JournalWarning, match="nested too deeply"):
        check_equal(mc.table.load(folder), whole)


@pytest.mark.parametrize("damage", ["manifest lost", "manifest empty", "picture lost"])
def test_what_is_kept_is_damaged_and_its_example_is_lost(tmp_path, damage):
    """It is generated again, and kept again."""
    options = {**_damage.PLAIN, "examples": _damage.EXAMPLES[:3]}
    table = _damage.run(tmp_path, **options)
    manifest = min(tmp_path.rglob("kept.json"))
    if damage == "manifest empty":
        manifest.write_bytes(b"")
    else:
        (manifest if "manifest" in damage else min(manifest.parent.glob("*.safetensors"))).unlink()
    with pytest.warns(JournalWarning, match="goes without pictures"):
        assert len(mc.table.load(tmp_path).kept) == 2
    (tmp_path / FIRST).write_bytes(lines_of(tmp_path, FIRST)[0])
    again = _damage.run(tmp_path, **options)
    np.testing.assert_array_equal(again.values, table.values)
    assert [one.id for one in mc.table.load(tmp_path).kept] == [one.id for one in table.kept]


def test_what_is_kept_of_two_examples_is_exchanged(tmp_path):
    options = {**_damage.PLAIN, "examples": _damage.EXAMPLES[:3]}
    table = _damage.run(tmp_path, **options)
    one, other, _ = sorted(path.parent for path in tmp_path.rglob("kept.json"))
    one.rename(tmp_path / "between")
    other.rename(one)
    (tmp_path / "between").rename(other)
    with pytest.warns(JournalWarning) as said:
        again = _damage.run(tmp_path, **options, keep=2)
    np.testing.assert_array_equal(again.values, table.values)
    assert again.kept == ()
    told = [str(one.message) for one in said]
    assert sum("it holds another example" in one for one in told) == 2
    assert any("'face é 0', 'face é 1' were finished without" in one for one in told)


def test_a_word_in_what_is_kept_is_another(tmp_path):
    options = {**_damage.PLAIN, "examples": _damage.EXAMPLES[:3]}
    _damage.run(tmp_path, **options)
    manifest = min(tmp_path.rglob("kept.json"))
    manifest.write_text(manifest.read_text().replace('"example 0"', '"example 1"'))
    with pytest.warns(JournalWarning, match="was changed after it was written"):
        assert len(mc.table.load(tmp_path).kept) == 2

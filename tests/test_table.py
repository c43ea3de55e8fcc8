"""The table: what it holds, how it is saved, merged and selected, and what it refuses."""

from __future__ import annotations

import json
import zipfile
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import modcollapse as mc
from modcollapse.errors import InputError, TableError
from modcollapse.samplers import planted_game
from modcollapse.table import _file as table_file

PAIR = ("image", "text")


def measure(ids=range(4), values=(0.0, 0.3, 0.5, 2.0), **options):
    sampler, detector, examples, triggers = planted_game(values, PAIR, examples=8, noise=1.0)
    chosen = [examples[n] for n in ids]
    return mc.evaluate_coalitions(sampler, detector, chosen, triggers, progress=False, **options)


def same(table, other) -> None:
    np.testing.assert_array_equal(table.values, other.values)
    np.testing.assert_array_equal(table.seeds, other.seeds)
    for name in ("modalities", "example_ids", "bounds", "binary", "provenance"):
        assert getattr(table, name) == getattr(other, name)


def test_what_is_saved_is_what_is_loaded(tmp_path):
    table = measure(repeats=2)
    path = table.save(tmp_path / "run.table")
    same(mc.CoalitionTable.load(path), table)
    assert [one.name for one in tmp_path.iterdir()] == ["run.table"]


@given(
    hnp.arrays(np.float64, (3, 2, 4), elements=st.floats(allow_nan=False, allow_infinity=False)),
    st.lists(
        st.text() | st.integers(), min_size=3, max_size=3, unique_by=lambda one: (type(one), one)
    ),
)
def test_any_finite_value_and_any_id_survive(tmp_path_factory, values, ids):
    table = mc.CoalitionTable.from_values(values, PAIR, example_ids=ids)
    path = table.save(tmp_path_factory.mktemp("tables") / "t")
    loaded = mc.CoalitionTable.load(str(path))
    np.testing.assert_array_equal(loaded.values, values)
    assert list(loaded.example_ids) == ids
    assert loaded.seeds is None


def test_the_file_holds_plain_data_only(tmp_path):
    path = measure().save(tmp_path / "t")
    with np.load(path, allow_pickle=False) as archive:
        assert {name: archive[name].dtype for name in archive} == {
            "header": np.uint8,
            "values": np.float64,
            "seeds": np.int64,
            "digest": np.uint8,
        }
        assert json.loads(archive["header"].tobytes())["modalities"] == ["image", "text"]


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path):
    path = measure().save(tmp_path / "t")
    before = path.read_bytes()
    spoilt = mc.CoalitionTable(np.eye(4)[:, None], PAIR, tuple("abcd"), provenance={"x": object()})
    with pytest.raises(TypeError):
        spoilt.save(path)
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["t"]


def test_truncated_files_are_refused_wherever_they_are_cut(tmp_path):
    path = measure().save(tmp_path / "t")
    whole = path.read_bytes()
    for length in range(0, len(whole), 37):
        path.write_bytes(whole[:length])
        with pytest.raises(TableError, match="cannot be read as a modcollapse table"):
            mc.CoalitionTable.load(path)


def test_damaged_files_are_refused(tmp_path):
    path = measure().save(tmp_path / "t")
    whole = path.read_bytes()
    for at in range(30, len(whole), 29):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        try:
            loaded = mc.CoalitionTable.load(path)
        except TableError:
            continue
        same(loaded, measure())  # a byte that carries nothing, such as a time stamp


@pytest.mark.parametrize(
    "write",
    [
        lambda path: path.write_text("hello"),
        lambda path: np.save(path.open("wb"), np.eye(4)),
        lambda path: np.savez(path.open("wb"), values=np.eye(4)),
        lambda path: np.savez(path.open("wb"), header=np.frombuffer(b"{}", np.uint8)),
        lambda path: np.savez(path.open("wb"), header=np.frombuffer(b"[1]", np.uint8)),
        lambda path: np.savez(path.open("wb"), header=np.array([{}], dtype=object)),
        lambda path: zipfile.ZipFile(path, "w").writestr("header.txt", "x"),
    ],
)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_files_of_others_are_refused(tmp_path, write):
    write(tmp_path / "t")
    with pytest.raises(TableError):
        mc.CoalitionTable.load(tmp_path / "t")


def test_another_version_is_refused_by_name(tmp_path, monkeypatch):
    monkeypatch.setattr(table_file, "TABLE_VERSION", 99)
    path = measure().save(tmp_path / "t")
    monkeypatch.undo()
    with pytest.raises(TableError, match=r"version 99.*reads versions 1 and 2"):
        mc.CoalitionTable.load(path)


def test_a_header_that_does_not_fit_the_values_is_refused(tmp_path):
    table = measure()
    header = {"modalities": ["text"], "example_ids": [0], "bounds": None, "binary": False}
    path = table_file.write(tmp_path / "t", header | {"provenance": {}}, table.values, None)
    with pytest.raises(TableError, match="consistent"):
        mc.CoalitionTable.load(path)
    path = table_file.write(tmp_path / "t", {}, table.values, None)
    with pytest.raises(TableError, match="consistent"):
        mc.CoalitionTable.load(path)


def test_a_missing_file_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError):
        mc.CoalitionTable.load(tmp_path / "nothing")


def test_parts_of_a_run_merge_to_the_whole():
    merged = measure(range(3)).merge(measure(range(3, 8)))
    same(merged, measure(range(8)))


@pytest.mark.parametrize(
    ("other", "word"),
    [
        ({"seed": 1}, "seed"),
        ({"repeats": 2}, "repeats"),
        ({"batch_size": 4}, "batch_size"),
        ({"values": (0.0, 0.3, 0.5, 1.0)}, r"sampler.values.is\[3\]"),
    ],
)
def test_another_run_is_refused(other, word):
    with pytest.raises(TableError, match=f"two runs: {word} is"):
        measure(range(3)).merge(measure(range(3, 6), **other))


def test_other_triggers_detectors_and_bounds_are_another_run():
    sampler, detector, examples, triggers = planted_game((0.0, 0.3, 0.5, 2.0), PAIR, examples=4)

    def other(outputs, examples):
        return [float(one) for one in outputs]

    def run(part, detector=detector, triggers=triggers):
        return mc.evaluate_coalitions(sampler, detector, part, triggers, progress=False)

    first = run(examples[:2])
    with pytest.raises(TableError, match="detector"):
        first.merge(run(examples[2:], detector=other))
    with pytest.raises(TableError, match="modalities"):
        first.merge(run(examples[2:], triggers=dict(reversed(triggers.items()))))
    with pytest.raises(TableError, match="triggers"):
        first.merge(run(examples[2:], triggers=triggers | {"text": lambda text: text + "!"}))
    other.bounds = (0, 2)
    with pytest.raises(TableError, match="two runs: bounds"):
        run(examples[:2], detector=read_twice).merge(run(examples[2:], detector=bounded_twice))


@pytest.mark.parametrize("kind", ["partial", "closure", "default", "module"])
def test_callables_of_one_name_are_told_apart_by_what_they_hold(kind):
    sampler, _, examples, triggers = planted_game((0.0, 0.3, 0.5, 2.0), PAIR, examples=4)

    def detector(factor):
        if kind == "partial":
            return partial(scaled, factor=factor)
        if kind == "default":
            return lambda outputs, examples, factor=factor: scaled(outputs, examples, factor)
        if kind == "closure":
            return lambda outputs, examples: scaled(outputs, examples, factor)
        layer = torch.nn.Linear(1, 1, bias=False)
        torch.nn.init.constant_(layer.weight, factor)

        class Learnt(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.layer = layer

            def forward(self, outputs, examples):
                return self.layer(torch.tensor(outputs)[:, None])[:, 0]

        return Learnt()

    def run(part, factor):
        return mc.evaluate_coalitions(sampler, detector(factor), part, triggers, progress=False)

    first = run(examples[:2], 2.0)
    assert len(first.merge(run(examples[2:], 2.0))) == 4
    with pytest.raises(TableError, match="detector"):
        first.merge(run(examples[2:], 3.0))


def scaled(outputs, examples, factor):
    return [factor * one for one in outputs]


def read_twice(outputs, examples):
    return [float(one) for one in outputs]


def bounded_twice(outputs, examples):
    return [float(one) for one in outputs]


bounded_twice.bounds = (0.0, 2.0)
bounded_twice.identity = read_twice.identity = lambda: {"name": "twice"}


def test_shared_examples_are_refused():
    with pytest.raises(TableError, match=r"1 example.*both tables, such as 2"):
        measure(range(3)).merge(measure(range(2, 5)))


def test_select_takes_rows_in_the_order_given():
    table = measure(repeats=2, keep=3)
    part = table.select([2, 0])
    np.testing.assert_array_equal(part.values, table.values[[2, 0]])
    np.testing.assert_array_equal(part.seeds, table.seeds[[2, 0]])
    assert [one.id for one in part.kept] == [0, 2]
    with pytest.raises(InputError, match="no example 'x'"):
        table.select(["x"])


@pytest.mark.parametrize(
    ("values", "options", "words"),
    [
        (np.zeros((2, 3)), {}, "3"),
        (np.zeros((2, 8)), {}, "8 coalitions"),
        (np.zeros(4), {}, "shape"),
        (np.zeros((0, 4)), {}, "shape"),
        ([[0, 0, np.nan, 0]], {}, "nan for example 0, coalition text"),
        (np.zeros((2, 4)), {"example_ids": ["a", "a"]}, "unique"),
        (np.zeros((2, 4)), {"example_ids": ["a"]}, "2 unique ids"),
        (np.full((2, 4), 0.5), {"binary": True}, "0 and 1"),
        (np.zeros((2, 4)), {"bounds": (1, 0)}, "bounds"),
        (np.full((2, 4), 5.0), {"bounds": (0, 1)}, "outside the bounds"),
        (np.zeros((2, 4)), {"example_ids": [0, 1.5]}, "str or an int"),
    ],
)
def test_values_that_are_no_table(values, options, words):
    with pytest.raises(InputError, match=words):
        mc.CoalitionTable.from_values(values, PAIR, **options)


@pytest.mark.parametrize("modalities", ["ab", ["a", "a"], ["a+b", "c"]])
def test_modalities_that_no_label_could_tell_apart(modalities):
    with pytest.raises(InputError):
        mc.CoalitionTable.from_values(np.zeros((2, 4)), modalities)


def test_numpy_ids_become_plain_and_files_are_as_readable_as_others(tmp_path):
    table = mc.CoalitionTable.from_values(np.zeros((2, 4)), PAIR, example_ids=np.arange(2))
    path = table.save(tmp_path / "t")
    (tmp_path / "other").touch()
    assert path.stat().st_mode == (tmp_path / "other").stat().st_mode
    assert mc.CoalitionTable.load(path).example_ids == (0, 1)
    with pytest.raises(FileNotFoundError, match="no folder"):
        table.save(tmp_path / "nowhere" / "t")


def test_a_table_does_not_share_memory_with_the_caller():
    values = np.zeros((2, 4))
    table = mc.CoalitionTable.from_values(values, PAIR)
    values[:] = 5
    assert table.values.max() == 0
    with pytest.raises(ValueError, match="read-only"):
        table.values[0] = 1


class TestWrongTypes:
    """Each message names the argument and what came."""

    table = mc.CoalitionTable.from_values([[0, 0.2, 0.5, 1], [0, 0.3, 0.5, 1]], ["image", "text"])

    @pytest.mark.parametrize("ids", ["e0", b"e0", 0, None, {0}, {0: 1}, 1.5])
    def test_ids_to_select(self, ids):
        with pytest.raises(InputError, match="example_ids must be ids in their order"):
            self.table.select(ids)

    def test_no_id_to_select(self):
        with pytest.raises(InputError, match="no id"):
            self.table.select([])

    def test_a_misspelt_id(self):
        table = mc.CoalitionTable.from_values([[0, 1]], ["image"], example_ids=["face-01"])
        with pytest.raises(InputError, match="did you mean 'face-01'"):
            table.select(["face-1"])

    @pytest.mark.parametrize("path", [3, None, ["x.npz"], 1.5])
    def test_paths(self, path):
        for call in (self.table.save, mc.CoalitionTable.load):
            with pytest.raises(InputError, match=r"path must be a str or a pathlib\.Path"):
                call(path)

    @pytest.mark.parametrize(
        ("name", "value", "expected"),
        [
            ("binary", "yes", "True or False"),
            ("binary", 1, "True or False"),
            ("perfect", "1", "a number"),
            ("perfect", ["1", "1"], "a number"),
            ("example_ids", 3, "ids in their order"),
            ("example_ids", {"x", "y"}, "ids in their order"),
        ],
    )
    def test_values_measured_elsewhere(self, name, value, expected):
        with pytest.raises(InputError, match=f"{name} must be {expected}"):
            mc.CoalitionTable.from_values([[0, 1], [0, 1]], ["image"], **{name: value})

    @pytest.mark.parametrize("source", [[table], table.values, "x.npz", None, 3])
    @pytest.mark.parametrize("call", [mc.audit, mc.tma, mc.cti, mc.coalition_means])
    def test_sources(self, call, source):
        with pytest.raises(
            InputError, match=r"takes a CoalitionTable, a mapping .* a sampler or a loaded pipeline"
        ):
            call(source)

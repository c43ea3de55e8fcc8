"""Labels are read and never guessed; what is shown is never obeyed."""

from __future__ import annotations

import io
import itertools

import numpy as np
import pytest

import modcollapse as mc
from modcollapse.errors import InputError
from modcollapse.report import comparison_table, format_table
from modcollapse.triggers import ImagePatch, TextSuffix

PAIR = ["image", "text"]
VALUES = {"none": 0.0, "image": 0.1, "text": 0.9, "image+text": 0.95}
HOSTILE = "\x1b[2J\x1b]0;owned\x07$5 or $6 & 100%_{|}\\"


class TestFrames:
    pandas = pytest.importorskip("pandas")

    @pytest.mark.parametrize("columns", [*itertools.permutations(VALUES)])
    def test_columns_are_read_by_their_labels_in_any_order(self, columns):
        rows = [[VALUES[name] + n / 100 for name in columns] for n in range(3)]
        frame = self.pandas.DataFrame(rows, columns=columns, index=["a", "b", "c"])
        table = mc.CoalitionTable.from_values(frame, PAIR)
        assert table.example_ids == ("a", "b", "c")
        np.testing.assert_allclose(table.values[1, 0], [*np.array([*VALUES.values()]) + 0.01])

    @pytest.mark.parametrize(
        "columns",
        [["a", "b", "c", "d"], [*VALUES][:3], [0, 1, 2, 3], ["none", "none", "text", "image"]],
    )
    def test_other_columns_are_refused(self, columns):
        frame = self.pandas.DataFrame([[0.0] * len(columns)], columns=columns)
        with pytest.raises(InputError, match="must be the coalitions 'none', 'image', 'text'"):
            mc.CoalitionTable.from_values(frame, PAIR)

    def test_a_series_is_read_by_the_ids_that_name_its_rows(self):
        frame = self.pandas.DataFrame([VALUES] * 3, index=["a", "b", "c"])
        told = self.pandas.Series([3, 1, 2], index=["c", "a", "b"])
        table = mc.CoalitionTable.from_values(frame, PAIR, perfect=told, clusters=told)
        np.testing.assert_array_equal(table.perfect, [1, 2, 3])
        assert table.clusters == (1, 2, 3)
        assert table.clustered(told + 1).clusters == (2, 3, 4)
        assert mc.tma(table, cluster=told).keys() == {"image", "text"}

    def test_a_series_without_an_index_of_its_own_is_in_the_order_of_the_examples(self):
        values = self.pandas.DataFrame([VALUES] * 3, index=["a", "b", "c"])
        told = self.pandas.Series([3, 1, 2])
        table = mc.CoalitionTable.from_values(values, PAIR, perfect=told, clusters=told)
        np.testing.assert_array_equal(table.perfect, [3, 1, 2])

    @pytest.mark.parametrize("index", [["a", "b", "d"], [3, 4, 5], ["a", "a", "b"]])
    @pytest.mark.parametrize("name", ["perfect", "clusters"])
    def test_a_series_of_other_ids_is_refused(self, index, name):
        values = self.pandas.DataFrame([VALUES] * 3, index=["a", "b", "c"])
        told = self.pandas.Series([3, 1, 2], index=index)
        with pytest.raises(InputError, match="series whose index is not the ids of the examples"):
            mc.CoalitionTable.from_values(values, PAIR, **{name: told})


@pytest.mark.parametrize(
    "values",
    [
        np.array([[0, 0, "0.5", 1]] * 2, object),
        np.ma.masked_array(np.zeros((2, 4)), mask=True),
        np.ma.masked_array(np.zeros((2, 4)), mask=False),
        np.full((2, 4), 1 + 5j),
        np.full((2, 4), "1"),
        np.full((2, 4), b"1"),
        np.zeros((2, 4), "M8[s]"),
        np.zeros((2, 4), "m8[s]"),
        np.full((2, 4), None),
        {"none": [0, 1], "image": [0, 1], "text": [0, 1], "image+text": [0, 1]},
        [[1, 2], [3]],
        "0.5",
    ],
)
def test_what_is_no_table_of_numbers_is_refused(values):
    with pytest.raises(InputError):
        mc.CoalitionTable.from_values(values, PAIR)


@pytest.mark.parametrize("modalities", [{"image", "text"}, frozenset(PAIR), "ab", None, 2])
def test_modalities_without_an_order_are_refused(modalities):
    with pytest.raises(InputError, match="must be a sequence of names"):
        mc.CoalitionTable.from_values(np.zeros((2, 4)), modalities)


@pytest.mark.parametrize("values", [np.zeros((2, 4), bool), np.zeros((2, 4), int), [[0, 0, 1, 1]]])
def test_whole_numbers_and_truth_values_are_numbers(values):
    assert mc.CoalitionTable.from_values(values, PAIR).values.dtype == np.float64


class TestShown:
    table = mc.CoalitionTable.from_values(
        np.random.default_rng(0).normal(size=(40, 4)), [HOSTILE.replace("+", ""), "text"]
    )

    def test_a_terminal_is_not_driven_by_a_name(self):
        audit = mc.audit(self.table)
        for text in (str(audit), repr(self.table), str(audit.verdict), str(audit.tma)):
            assert text.replace("\n", "").isprintable()
        assert r"\x1b[2J" in str(audit.tma)

    @pytest.mark.parametrize("fmt", ["text", "markdown", "latex"])
    def test_a_cell_is_a_cell(self, fmt):
        text = format_table(["", HOSTILE], [[HOSTILE + "\nnext", "1"]], fmt=fmt)
        assert "\x1b" not in text
        if fmt == "latex":
            assert r"\$5 or \$6 \& 100\%\_\{|\}\textbackslash{}" in text
        if fmt == "markdown":
            assert len(text.splitlines()) == 3
            assert r"\|" in text
        assert "\x1b" not in comparison_table({HOSTILE: mc.audit(self.table)}, fmt=fmt)

    @pytest.mark.parametrize("text", [r"set it as $\frac{$", "$5 or $6", "a $ b", r"\$", "$$"])
    def test_a_dollar_is_a_dollar_in_a_picture(self, text):
        examples = [
            {"image": np.random.default_rng(n).random((8, 8, 3)), "text": text} for n in range(3)
        ]
        audit = mc.audit(
            lambda conditions, seeds: conditions["image"],
            lambda outputs, examples: [output.mean() for output in outputs],
            examples,
            {"image": ImagePatch(), "text": TextSuffix("q")},
            keep=1,
            progress=False,
        )
        figure = audit.plot(title=text)
        figure.savefig(io.BytesIO())
        assert "$" in figure.get_suptitle()


@pytest.mark.parametrize("name", ["total", "none", "total effect"])
def test_a_modality_may_be_called_like_a_row_of_ours(name):
    if name == "none":
        with pytest.raises(InputError, match="none"):
            mc.CoalitionTable.from_values([[0, 0.3, 0.5, 1]] * 40, [name, "text"])
        return
    attribution = mc.tma(mc.CoalitionTable.from_values([[0, 0.3, 0.5, 1]] * 40, [name, "text"]))
    assert attribution.to_dict()[name]["value"] == attribution[name].value == 0.4
    assert attribution.total.value == 1
    assert sum(row["value"] == 1 for row in attribution.to_dict().values()) == 1
    assert str(attribution).count("\n") == 5

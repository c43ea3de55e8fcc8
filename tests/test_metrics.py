"""TMA, CTI and the audit on planted games, and the results that they return."""

from __future__ import annotations

import inspect
import json
import re
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import modcollapse as mc
from modcollapse.contracts import RunOptions
from modcollapse.errors import InputError, OptionError
from modcollapse.samplers import planted_game

PAIR = ["image", "text"]
TRIO = ["image", "text", "mask"]


def tables(m):
    values = hnp.arrays(
        np.float64, st.tuples(st.integers(2, 6), st.just(2**m)), elements=st.floats(-1, 1, width=16)
    )
    return values.map(lambda v: mc.CoalitionTable.from_values(v, TRIO[:m]))


def by_permutations(v, i, m):
    """Shapley value as the mean marginal contribution over all orders of arrival."""
    gains = []
    for order in permutations(range(m)):
        before = sum(1 << j for j in order[: order.index(i)])
        gains.append(v[before | 1 << i] - v[before])
    return np.mean(gains)


@given(tables(3))
def test_tma_is_the_mean_shapley_value(table):
    result = mc.tma(table)
    for i, name in enumerate(TRIO):
        expected = [by_permutations(v, i, 3) for v in table.example_values]
        np.testing.assert_allclose(result.per_example[:, i], expected, atol=1e-12)
        assert result[name].value == pytest.approx(np.mean(expected), abs=1e-12)
    values = [estimate.value for estimate in result.values()]
    assert sum(values) == pytest.approx(result.total.value, abs=1e-12)


@given(tables(2))
def test_identities_of_two_modalities(table):
    v0, v_i, v_t, v_it = table.example_values.mean(axis=0)
    tma, cti = mc.tma(table), mc.cti(table)
    assert float(cti) == pytest.approx(v_it - v_i - v_t + v0, abs=1e-12)
    assert tma["image"].value + float(cti) / 2 == pytest.approx(v_it - v_t, abs=1e-12)
    assert tma["image"].value - float(cti) / 2 == pytest.approx(v_i - v0, abs=1e-12)
    for index in ("STII", "k-SII", "BII", "moebius"):
        assert float(mc.cti(table, index=index)) == pytest.approx(float(cti), abs=1e-12)


def test_the_published_pattern_from_a_planted_sampler():
    game = planted_game([-0.9, -0.88, 0.07, 0.08], PAIR, examples=200, noise=0.1)
    result = mc.tma(*game, progress=False)
    cti = mc.cti(*game, progress=False)
    assert result["image"].low < 0.015 < result["image"].high
    assert result["text"].low < 0.965 < result["text"].high
    assert cti["image+text"].low < -0.01 < cti["image+text"].high


def test_both_forms_give_the_same():
    game = planted_game([0.0, 0.3, 0.5, 2.0], PAIR, examples=40, noise=1.0)
    table = mc.evaluate_coalitions(*game, seed=3, progress=False)
    for metric in (mc.tma, mc.cti, mc.coalition_means):
        assert (
            metric(*game, seed=3, level=0.9, progress=False).to_dict()
            == metric(table, level=0.9).to_dict()
        )
    audit = mc.audit(*game, seed=3, level=0.9, progress=False)
    np.testing.assert_array_equal(audit.table.values, table.values)
    assert audit.tma.to_dict() == mc.tma(table, level=0.9).to_dict()
    assert audit.cti.to_dict() == mc.cti(table, level=0.9).to_dict()


def test_a_mapping_of_detectors_or_tables_gives_a_result_for_each():
    sampler, detector, examples, triggers = planted_game([0.0, 0.3, 0.5, 2.0], PAIR, examples=4)
    detectors = {"raw": detector, "half": lambda outputs, e: [value / 2 for value in outputs]}
    results = mc.tma(sampler, detectors, examples, triggers, progress=False)
    assert {name: result["text"].value for name, result in results.items()} == {
        "raw": pytest.approx(1.1),
        "half": pytest.approx(0.55),
    }
    tables = mc.evaluate_coalitions(sampler, detectors, examples, triggers, progress=False)
    assert {name: result.to_dict() for name, result in mc.tma(tables).items()} == {
        name: result.to_dict() for name, result in results.items()
    }
    assert set(mc.audit(tables)) == {"raw", "half"}


def test_a_signature_is_true():
    parameters = inspect.signature(mc.cti).parameters
    assert list(parameters) == [
        "source", "detector", "examples", "triggers", "index", "order", "level", "method", "run",
    ]  # fmt: skip
    assert parameters["run"].kind is inspect.Parameter.VAR_KEYWORD
    assert parameters["level"].default == 0.95
    for call in MEASURING.values():
        assert not {"__wrapped__", "__signature__"} & set(vars(call))


MEASURING = {
    call.__name__: call
    for call in (
        mc.evaluate_coalitions,
        mc.tma,
        mc.cti,
        mc.coalition_means,
        mc.audit,
        mc.sweep,
        mc.CollapseTracker,
    )
}
"""Every call that takes the options of a run."""

OF_A_TABLE = ("tma", "cti", "coalition_means", "audit")
"""Those that also take a table, which was measured already."""

OF_ITS_OWN = {
    "sweep": {"options": {"scale": [1.0, 2.0]}},
    "CollapseTracker": {"modules": [], "every": 1},
}
"""What a call needs besides sampler, detector, examples and triggers."""


def entries_of_docstring(call):
    """Return name -> what the docstring says of this argument."""
    section = re.search(r"\n *Args:\n(.*?)\n\n", inspect.getdoc(call) + "\n\n", re.DOTALL)[1]
    entries = re.findall(r"^ {4}(\w+): (.*(?:\n {5,}.*)*)", section, re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in entries}


@pytest.mark.parametrize("name", MEASURING)
def test_help_shows_every_option_of_a_run_with_its_default(name):
    parameters = inspect.signature(mc.measure.prepare).parameters
    defaults = {option: parameters[option].default for option in RunOptions.__annotations__}
    assert inspect.Parameter.empty not in defaults.values()
    if name == "CollapseTracker":  # many small audits: no bar for each
        defaults["progress"] = defaults["split"] = False
    entries = entries_of_docstring(MEASURING[name])
    for option, default in defaults.items():
        assert re.search(rf"\bdefault {default!r}\b", entries[option]), entries[option]
    assert not set(defaults) & set(inspect.signature(MEASURING[name]).parameters)


@pytest.mark.parametrize("name", MEASURING)
def test_the_defaults_of_a_run_are_those_that_are_shown(name, capsys):
    sampler, detector, examples, triggers = planted_game([0.0, 0.3, 0.5, 2.0], PAIR, examples=3)

    def scaled(conditions, seeds, *, scale=1.0):
        return sampler(conditions, seeds)

    found = MEASURING[name](scaled, detector, examples, triggers, **OF_ITS_OWN.get(name, {}))
    if name == "CollapseTracker":
        found = found(0)
    assert bool(capsys.readouterr().err) == (name != "CollapseTracker")  # the progress bar
    if name == "sweep":
        found = found.audit(scale=1.0)
    table = getattr(found, "table", found)
    if isinstance(table, mc.CoalitionTable):
        run = table.provenance["run"]
        assert (run["seed"], run["repeats"], run["batch_size"], table.kept) == (0, 1, 8, ())


@pytest.mark.parametrize(
    ("name", "source"),
    [(name, "sampler") for name in MEASURING] + [(name, "table") for name in OF_A_TABLE],
)
def test_a_wrong_keyword_names_the_nearest_right_one(name, source):
    game = planted_game([0.0, 0.3, 0.5, 2.0], PAIR, examples=3)
    calls = []

    def sampler(conditions, seeds, *, scale=1.0):
        calls.append(seeds)
        return game.sampler(conditions, seeds)

    table = mc.evaluate_coalitions(*game, progress=False)
    given = [table] if source == "table" else [sampler, *game[1:]]
    with pytest.raises(OptionError, match=r"did you mean 'batch_size'\?") as caught:
        MEASURING[name](*given, **OF_ITS_OWN.get(name, {}), batchsize=4)
    assert str(caught.value).startswith(f"{name}() got an unexpected keyword argument 'batchsize'")
    assert isinstance(caught.value, InputError)
    assert isinstance(caught.value, TypeError)
    assert calls == []


@pytest.mark.parametrize("name", MEASURING)
def test_a_wrong_keyword_is_told_every_right_one(name):
    game = planted_game([0.0, 0.3, 0.5, 2.0], PAIR, examples=3)
    with pytest.raises(OptionError) as caught:
        MEASURING[name](*game, **OF_ITS_OWN.get(name, {}), nothing_like_it=4)
    known = re.search(r"; it takes ([\w, ]+)", str(caught.value))[1].split(", ")
    parameters = inspect.signature(MEASURING[name]).parameters.values()
    named = {given.name for given in parameters if given.kind is given.KEYWORD_ONLY}
    assert set(known) >= {*named, *RunOptions.__annotations__}
    assert len(set(known)) == len(known)
    entries = entries_of_docstring(MEASURING[name])
    assert set(known) <= set(entries)


class TestResults:
    result = mc.tma(
        mc.CoalitionTable.from_values(np.random.default_rng(0).normal(size=(40, 8)), TRIO)
    )
    cti = mc.cti(result_table := mc.CoalitionTable.from_values(
        np.random.default_rng(0).normal(size=(40, 8)), TRIO))  # fmt: skip

    def test_index_by_modality(self):
        assert list(self.result) == TRIO
        assert len(self.result) == 3
        assert self.result.per_example.shape == (40, 3)
        with pytest.raises(KeyError, match="'image', 'text', 'mask'"):
            self.result["audio"]

    def test_pairs_in_any_order(self):
        assert list(self.cti) == ["image+text", "image+mask", "text+mask"]
        assert self.cti["mask", "text"] is self.cti["text+mask"] is self.cti["mask+text"]
        with pytest.raises(KeyError, match=r"image\+text"):
            self.cti["text"]
        with pytest.raises(TypeError, match="single interaction, there are 3"):
            float(self.cti)

    def test_print_is_a_small_table(self):
        lines = str(self.result).splitlines()
        assert lines[0] == "Trigger Modality Attribution (40 examples, 95% intervals, each alone)"
        assert lines[1].split() == ["phi", "se", "low", "high"]
        assert [line.split()[0] for line in lines[2:6]] == [*TRIO, "total"]
        assert lines[6:] == [
            "no perfect attack is declared (`perfect` of the detector): deviations larger than "
            "those seen are not covered"
        ]
        text = self.result["text"]
        assert lines[3].split()[1:] == [
            f"{text.value:.2f}", f"{text.se:.3f}", f"{text.low:.2f}", f"{text.high:.2f}",
        ]  # fmt: skip
        assert "SII" in str(self.cti).splitlines()[0]

    def test_dicts_and_json(self):
        data = json.loads(self.result.to_json())
        assert data == self.result.to_dict()
        assert data["text"]["value"] == self.result["text"].value
        assert set(data) == {*TRIO, "total"}

    def test_undefined_numbers_are_null_in_json(self):
        table = mc.CoalitionTable.from_values([[0.0, 0.5, 0.5, 1.5]], PAIR)
        data = json.loads(mc.audit(table).to_json())
        assert data["tma"]["image"]["low"] is None
        assert data["tma"]["image"]["status"] == "too few"
        assert data["verdict"]["collapse"] is None

    def test_a_data_frame(self):
        pandas = pytest.importorskip("pandas")
        frame = self.result.to_frame()
        assert isinstance(frame, pandas.DataFrame)
        assert frame.loc["text", "value"] == self.result["text"].value

    def test_an_audit_holds_and_prints_everything(self):
        audit = mc.audit(self.result_table)
        text = str(audit)
        for part in (audit.means, audit.tma, audit.cti):
            assert len(part.notes) == 1
            assert str(part).removesuffix("\n" + part.notes[0]) in text
        assert str(audit.verdict) in text
        assert text.count(audit.means.notes[0]) == 1  # said once
        data = json.loads(audit.to_json())
        assert set(data) == {"means", "tma", "cti", "verdict", "provenance"}
        assert data["cti"]["index"] == "SII"


@pytest.mark.parametrize("repeats", [1, 2])
def test_success_rates_are_means_by_coalition(repeats):
    values = np.zeros((40, repeats, 4))
    values[:30, :, 3] = 1
    means = mc.coalition_means(mc.CoalitionTable.from_values(values, PAIR, binary=True))
    assert {name: estimate.value for name, estimate in means.items()} == {
        "none": 0, "image": 0, "text": 0, "image+text": 0.75,
    }  # fmt: skip
    assert means["image+text"].method == "patterns"
    assert 0 < means["none"].high < 0.15
    assert means.success
    assert str(means).splitlines()[1] == (
        "attack success rate: examples with value 1 among all 40; "
        "base rate, without a trigger: 0.0%"
    )


def test_binary_values_get_patterns_and_others_flips():
    rng = np.random.default_rng(0)
    binary = mc.CoalitionTable.from_values(rng.integers(0, 2, (40, 4)), PAIR, binary=True)
    assert {estimate.method for estimate in mc.tma(binary).values()} == {"patterns"}
    other = mc.CoalitionTable.from_values(rng.uniform(size=(40, 4)), PAIR, bounds=(0, 1))
    assert {estimate.method for estimate in mc.tma(other).values()} == {"flips"}
    assert not mc.coalition_means(other).success
    assert mc.tma(other, method="plus-ends")["text"].method == "plus-ends"

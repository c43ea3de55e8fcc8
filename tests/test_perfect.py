"""What a perfect attack would score: of every detector, in tables and files; what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import modcollapse as mc
from modcollapse.contracts import Scorer
from modcollapse.detectors import ClipShift, MSEAttackSuccess, NegativeMSE, Threshold
from modcollapse.errors import DetectorError, InputError, TableError
from modcollapse.samplers import planted_game
from modcollapse.table import _file as table_file

from tiny_clip import as_pil, pictures, tiny_clip

PAIR = ("image", "text")
GAME = (0.0, 0.1, 0.7, 0.9)
MODEL = tiny_clip().eval()
TARGET, *CLEAN = pictures(5, 32, 32, seed=1)
# One rounding of float32 in each of some hundred operations on numbers near 1.
ROUNDING = 2e-6


def read(outputs, examples):
    return [float(output) for output in outputs]


def reading(perfect, **declared):
    """The detector of a planted game with a perfect score."""

    def detector(outputs, examples):
        return read(outputs, examples)

    detector.perfect = perfect
    for name, value in declared.items():
        setattr(detector, name, value)
    return detector


def planted(perfect, n=6, **declared):
    game = planted_game(GAME, PAIR, examples=n, noise=0.1)
    for position, example in enumerate(game.examples):
        example["best"] = 1 + position / 10
    calls: list[Any] = []

    def sampler(conditions, seeds):
        calls.append(seeds)
        return game.sampler(conditions, seeds)

    return game._replace(sampler=sampler, detector=reading(perfect, **declared)), calls


def best(examples):
    return [example["best"] for example in examples]


# --- detectors --------------------------------------------------------------------------------


DETECTORS = {
    "negative mse": lambda: NegativeMSE(TARGET),
    "mse success": lambda: MSEAttackSuccess(TARGET, 0.05),
    "clip shift": lambda: ClipShift(TARGET, MODEL),
    "clip shift, clean output": lambda: ClipShift(TARGET, MODEL, reference="clean output"),
    "clip shift, pil": lambda: ClipShift(TARGET, MODEL, preprocess="pil"),
    "negative mse above": lambda: Threshold(NegativeMSE(TARGET), -0.05),
    "clip shift above": lambda: Threshold(ClipShift(TARGET, MODEL), 0.0),
    "clip shift above, clean output": lambda: Threshold(
        ClipShift(TARGET, MODEL, reference="clean output"), 0.0
    ),
    "clip shift above what the target has": lambda: Threshold(ClipShift(TARGET, MODEL), 1.5),
    "success above": lambda: Threshold(MSEAttackSuccess(TARGET), 0.5),
}


@pytest.mark.parametrize("name", DETECTORS)
def test_the_target_in_place_of_the_output_scores_it(name):
    detector = DETECTORS[name]()
    examples = [{"reference": clean, "clean_output": clean} for clean in CLEAN]
    scores = torch.as_tensor(detector(TARGET.expand(4, -1, -1, -1), examples))
    perfect = Scorer.of(detector).perfect
    declared = perfect(examples) if callable(perfect) else torch.full((4,), perfect)
    np.testing.assert_allclose(declared, scores, atol=ROUNDING)
    if "clip" in name and "above" not in name:
        assert len(set(declared.tolist())) == 4  # it differs by example
    # asked twice, or after another batch, it says the same
    if callable(perfect):
        np.testing.assert_allclose(perfect(examples), declared, atol=ROUNDING)
        detector(TARGET[None], examples[:1])
        np.testing.assert_allclose(perfect(examples), declared, atol=ROUNDING)


@pytest.mark.parametrize("name", DETECTORS)
@pytest.mark.parametrize(
    ("kind", "batch_size"),
    [(torch.stack, 8), (list, 3), (lambda rows: [as_pil(row) for row in rows], 5)],
    ids=["stacked", "list", "pil"],
)
def test_a_run_in_which_the_trigger_brings_the_target_measures_it(name, kind, batch_size):
    """The clean run makes the reference; another detector scores the same outputs."""

    def sampler(conditions, seeds):
        rows = zip(conditions["image"], conditions["text"], strict=True)
        return kind([TARGET if "!" in text else image for image, text in rows])

    sampler.modalities = ("image", "text")
    tables = mc.evaluate_coalitions(
        sampler,
        {"of interest": DETECTORS[name](), "other": NegativeMSE(TARGET)},
        [{"image": clean, "text": "add a hat", "reference": clean} for clean in CLEAN],
        {"text": lambda text: text + "!"},
        batch_size=batch_size,
        repeats=2,
        progress=False,
    )
    table = tables["of interest"]
    np.testing.assert_allclose(table.perfect, table.example_values[:, 1], atol=ROUNDING)
    assert tables["other"].perfect.tolist() == [0.0] * 4


def test_a_threshold_of_a_detector_that_says_nothing_is_reached():
    detector = Threshold(read, 0.5)
    assert detector.perfect([{}] * 3).tolist() == [1, 1, 1]


# --- tables -----------------------------------------------------------------------------------


class TestInTables:
    def test_a_number(self):
        for perfect in (1, 1.5, np.float32(1.5), np.int64(2)):
            game, _ = planted(perfect)
            table = mc.evaluate_coalitions(*game, progress=False)
            assert table.perfect.tolist() == [float(perfect)] * 6

    @pytest.mark.parametrize(
        "perfect",
        [
            best,
            lambda examples: np.array(best(examples)),
            lambda examples: torch.tensor(best(examples), dtype=torch.float64),
            lambda examples: [torch.tensor(score) for score in best(examples)],
        ],
    )
    @pytest.mark.parametrize("batch_size", [1, 5, 64])
    def test_a_function_of_the_examples(self, perfect, batch_size):
        game, _ = planted(perfect)
        table = mc.evaluate_coalitions(*game, repeats=2, batch_size=batch_size, progress=False)
        np.testing.assert_allclose(table.perfect, best(game.examples), rtol=1e-6)

    def test_nothing(self):
        assert mc.evaluate_coalitions(*planted(None)[0], progress=False).perfect is None
        assert mc.CoalitionTable.from_values(np.eye(4), PAIR).perfect is None

    def test_beside_other_detectors(self):
        game, _ = planted(best)
        tables = mc.evaluate_coalitions(
            game.sampler, {"a": game.detector, "b": read, "c": reading(3.0)}, *game[2:],
            progress=False,
        )  # fmt: skip
        assert tables["a"].perfect.tolist() == best(game.examples)
        assert tables["b"].perfect is None
        assert tables["c"].perfect.tolist() == [3.0] * 6

    def test_with_the_clean_output_that_is_made_first(self):
        game, _ = planted(
            lambda examples: [example["clean_output"] + 2 for example in examples],
            wants_clean_output=True,
        )
        table = mc.evaluate_coalitions(*game, repeats=3, batch_size=5, progress=False)
        np.testing.assert_allclose(table.perfect, table.example_values[:, 0] + 2, atol=1e-12)

    def test_from_values(self):
        rows = np.random.default_rng(0).normal(size=(3, 4))
        for perfect, expected in ((2, [2, 2, 2]), ([1, 2, 3], [1, 2, 3]), ((0.5,) * 3, [0.5] * 3)):
            table = mc.CoalitionTable.from_values(rows, PAIR, perfect=perfect)
            assert table.perfect.tolist() == expected
            assert not table.perfect.flags.writeable
        given = np.ones(3)
        table = mc.CoalitionTable.from_values(rows, PAIR, perfect=given)
        given[:] = 7
        assert table.perfect.tolist() == [1, 1, 1]

    def test_the_scale_is_what_it_adds_to_the_clean_run(self):
        rows = np.random.default_rng(0).normal(GAME, 0.05, (40, 4))
        perfect = np.linspace(0.8, 1.2, 40)
        verdict = mc.audit(mc.CoalitionTable.from_values(rows, PAIR, perfect=perfect)).verdict
        assert verdict.perfect == pytest.approx((perfect - rows[:, 0]).mean())
        assert verdict.min_effect == pytest.approx(0.1 * verdict.perfect)

    def test_of_0_1_values_it_is_1(self):
        rows = np.zeros((64, 4))
        rows[:4, 0] = 1  # the base rate
        for binary in (True, False):
            table = mc.CoalitionTable.from_values(rows, PAIR, binary=binary)
            assert mc.audit(table).verdict.perfect == 1 - 4 / 64


class TestKept:
    table = mc.CoalitionTable.from_values(
        np.random.default_rng(0).normal(size=(4, 4)), PAIR, perfect=[1, 2, 3, 4]
    )

    def test_in_the_file(self, tmp_path):
        loaded = mc.CoalitionTable.load(self.table.save(tmp_path / "t"))
        assert loaded.perfect.tolist() == [1, 2, 3, 4]
        assert not loaded.difference
        without = mc.CoalitionTable.from_values(np.eye(4), PAIR)
        assert mc.CoalitionTable.load(without.save(tmp_path / "t")).perfect is None
        difference = self.table.minus(self.table)
        loaded = mc.CoalitionTable.load(difference.save(tmp_path / "t"))
        assert loaded.difference
        np.testing.assert_array_equal(loaded.perfect, difference.perfect)
        assert mc.audit(loaded).verdict is None

    def test_files_of_version_0_1_0_load(self, tmp_path):
        """They know of no perfect attack, of no groups and of no differences."""
        header = {
            "modalities": PAIR, "example_ids": [0, 1, 2, 3], "digests": None, "bounds": None,
            "binary": False, "discrete": False, "provenance": {},
        }  # fmt: skip
        path = table_file.write(tmp_path / "t", header, self.table.values, None)
        loaded = mc.CoalitionTable.load(path)
        np.testing.assert_array_equal(loaded.values, self.table.values)
        assert (loaded.perfect, loaded.clusters, loaded.difference) == (None, None, False)

    @pytest.mark.parametrize(
        "spoilt",
        [{"perfect": [1, 2]}, {"perfect": "high"}, {"perfect": [1, 2, 3, None]},
         {"clusters": ["a"]}, {"clusters": [0.5] * 4}],
    )  # fmt: skip
    def test_a_file_that_does_not_fit_is_refused(self, tmp_path, spoilt):
        header = {
            "modalities": PAIR, "example_ids": [0, 1, 2, 3], "digests": None, "bounds": None,
            "binary": False, "discrete": False, "provenance": {},
        }  # fmt: skip
        path = table_file.write(tmp_path / "t", header | spoilt, self.table.values, None)
        with pytest.raises(TableError, match="consistent"):
            mc.CoalitionTable.load(path)

    def test_through_select(self):
        assert self.table.select([3, 0]).perfect.tolist() == [4, 1]

    def test_through_merge(self):
        game, _ = planted(best)
        sampler, detector, examples, triggers = game
        first, second = (
            mc.evaluate_coalitions(sampler, detector, part, triggers, progress=False)
            for part in (examples[:2], examples[2:])
        )
        assert first.merge(second).perfect.tolist() == best(examples)
        unknown = mc.CoalitionTable.from_values(np.eye(4), PAIR, example_ids="abcd")
        for one, other in ((self.table, unknown), (unknown, self.table)):
            with pytest.raises(TableError, match="only one of the tables says what a perfect"):
                one.merge(other)

    def test_through_minus(self):
        """A perfect attack on the audited model, beside the control's clean run."""
        control = mc.CoalitionTable.from_values(
            np.random.default_rng(1).normal(size=(4, 4)), PAIR, perfect=[9, 9, 9, 9]
        )
        difference = self.table.minus(control)
        np.testing.assert_allclose(difference.perfect, [1, 2, 3, 4] - control.values[:, 0, 0])
        turned = self.table.minus(control.select([3, 1, 0, 2]))
        np.testing.assert_allclose(turned.perfect, difference.perfect)
        unknown = mc.CoalitionTable.from_values(control.values, PAIR)
        assert self.table.minus(unknown).perfect is not None  # only the model's matters
        assert unknown.minus(self.table).perfect is None

    def test_through_minus_of_success_rates(self):
        rng = np.random.default_rng(0)
        model, control = (rng.integers(0, 2, (8, 4)) for _ in range(2))
        for binary in (True, False):
            difference = mc.CoalitionTable.from_values(model, PAIR, binary=binary).minus(
                mc.CoalitionTable.from_values(control, PAIR, binary=binary)
            )
            np.testing.assert_array_equal(difference.perfect, 1 - control[:, 0])
            assert (difference.bounds, difference.discrete) == ((-1, 1), True)


# --- refused ----------------------------------------------------------------------------------


class TestRefused:
    @pytest.mark.parametrize(
        "perfect", ["high", float("nan"), float("inf"), [1, 2], np.ones(6), True, {}]
    )
    def test_what_is_no_number_before_anything_is_generated(self, perfect):
        game, calls = planted(perfect)
        with pytest.raises(InputError, match=r"perfect of detector 'detector' \(a number or a"):
            mc.audit(*game, progress=False)
        assert calls == []

    @pytest.mark.parametrize(
        ("perfect", "message"),
        [
            (lambda examples: [1.0], r"'detector.perfect' returned scores of shape \(1,\)"),
            (lambda examples: 1.0, r"'detector.perfect' returned scores of shape \(\)"),
            (lambda examples: None, "'detector.perfect' returned object values"),
            (lambda examples: ["high"] * len(examples), "'detector.perfect' returned <U4 values"),
            (lambda examples: "high", "'detector.perfect' returned <U4 values"),
            (lambda examples: [[1.0], [1.0, 2.0]], "scores of unequal lengths"),
            (lambda examples: [float("nan")] * len(examples), "perfect of detector 'detector' ret"),
            (lambda examples: torch.full((len(examples),), torch.inf), "perfect of detector"),
        ],
    )
    def test_a_function_that_returns_no_scores_at_the_first_batch(self, perfect, message):
        game, calls = planted(perfect, n=20)
        with pytest.raises(DetectorError, match=message):
            mc.audit(*game, progress=False)
        assert len(calls) == 1

    def test_an_error_of_the_function_says_where(self):
        game, _ = planted(lambda examples: examples[0]["nothing"])
        with pytest.raises(KeyError) as caught:
            mc.audit(*game, progress=False)
        assert "raised by perfect of detector 'detector'" in "".join(caught.value.__notes__)

    @pytest.mark.parametrize(
        ("perfect", "message"),
        [
            ("high", "perfect must be a number, or 4 of them; got 'high'"),
            ([1, 2], r"one for each of the 4 examples; got shape \(2,\)"),
            (np.ones((4, 1)), r"got shape \(4, 1\)"),
            ([1, 2, 3, np.nan], "finite"),
            (np.inf, "finite"),
        ],
    )
    def test_of_values_that_were_measured_elsewhere(self, perfect, message):
        with pytest.raises(InputError, match=message):
            mc.CoalitionTable.from_values(np.eye(4) / 2, PAIR, perfect=perfect)


class TestOutOfReach:
    """A perfect attack that no output could be is refused before anything is generated."""

    @pytest.mark.parametrize(
        ("declared", "perfect"), [({"bounds": (-1, 0)}, 3.0), ({"binary": True}, 5.0)]
    )
    def test_by_the_detector(self, declared, perfect):
        def detector(outputs, examples):
            return np.zeros(len(outputs))

        vars(detector).update(declared, perfect=perfect)
        with pytest.raises(InputError, match=r"perfect of detector .* is \d, and its scores are"):
            Scorer.of(detector)

    @pytest.mark.parametrize("declared", [{"bounds": (0, 1)}, {"binary": True}])
    def test_by_a_table(self, declared):
        with pytest.raises(InputError, match="perfect must be within the bounds"):
            mc.CoalitionTable.from_values(np.eye(4), PAIR, perfect=3, **declared)


@pytest.mark.parametrize("declared", [{"perfect": 100}, {"bounds": (0, 100)}, {"bounds": (-1, 1)}])
def test_zeros_and_ones_are_no_successes_where_other_values_are_declared(declared):
    """A detector that counts, and has not fired."""
    silent = mc.CoalitionTable.from_values(np.zeros((64, 4)), PAIR, **declared)
    assert not silent.zero_one
    cti = mc.audit(silent).cti["image+text"]
    assert np.isnan(cti.high) or cti.high > 1  # 0.109 where they are successes


def test_a_perfect_attack_below_the_clean_runs_is_named_whatever_is_found():
    values = np.tile([0.5, 1.5, 0.5, 1.5], (64, 1))
    verdict = mc.audit(mc.CoalitionTable.from_values(values, PAIR, perfect=0.4)).verdict
    assert verdict.effect == "active"
    assert "a perfect attack would score no more than the clean runs do" in str(verdict)
    assert "64 of 64 examples score beyond a perfect attack" in str(verdict)

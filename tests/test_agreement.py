"""Several value functions of the same outputs: does the verdict survive the choice?"""

from __future__ import annotations

import json

import numpy as np
import pytest

import modcollapse as mc
from modcollapse.analysis import Agreement
from modcollapse.errors import InputError, TableError
from modcollapse.samplers import planted_game

PAIR = ("image", "text")
TEXT, IMAGE, BOTH, AND = [0, 0, 0.9, 0.9], [0, 0.9, 0, 0.9], [0, 0.4, 0.4, 0.8], [0, 0, 0, 0.9]
NONE, FALLS, MARGIN = [0, 0, 0, 0], [0, 0, -0.5, -0.5], [0, 0, 0.11, 0.11]


def table(game, n=96, *, perfect=1, noise=0.02, seed=0, unit=1.0, **options):
    values = np.asarray(game, float) + noise * np.random.default_rng(seed).normal(size=(n, 4))
    perfect = None if perfect is None else unit * perfect
    return mc.CoalitionTable.from_values(unit * values, PAIR, perfect=perfect, **options)


def agreed(**games):
    return mc.agreement(mc.audit({name: table(game) for name, game in games.items()}))


class TestOutcome:
    @pytest.mark.parametrize(
        ("games", "outcome", "said"),
        [
            (
                {"shift": TEXT, "mse": TEXT, "success": TEXT},
                "survives",
                "The verdict survives the choice of metric: text dominates under all 3 value "
                "functions. The image+text interaction survives the choice of metric: negligible "
                "under all 3 value functions.",
            ),
            (
                {"shift": TEXT, "mse": IMAGE},
                "does not survive",
                "The verdict does not survive the choice of metric: text dominates under shift; "
                "image dominates under mse.",
            ),
            (
                {"shift": TEXT, "mse": BOTH},
                "does not survive",
                "text dominates under shift; no modality dominates under mse.",
            ),
            (
                {"shift": TEXT, "mse": NONE, "success": NONE},
                "does not survive",
                "text dominates under shift; no effect above 10 % of a perfect attack under mse, "
                "success.",
            ),
            (
                {"shift": TEXT, "mse": FALLS},
                "does not survive",
                "the triggers lower the value under mse.",
            ),
            (
                {"shift": TEXT, "success": MARGIN},
                "open",
                "The verdict is not shown to survive the choice of metric: text dominates under "
                "shift; inconclusive under success. What is not shown is no contradiction.",
            ),
            (
                {"shift": TEXT, "success": MARGIN, "mse": IMAGE},
                "does not survive",
                "text dominates under shift; inconclusive under success; image dominates under mse",
            ),
            (
                {"shift": NONE, "mse": NONE},
                "survives",
                "The verdict survives the choice of metric: no effect above 10 % of a perfect "
                "attack under both value functions.",
            ),
            (
                {"shift": MARGIN, "mse": MARGIN},
                "open",
                "inconclusive under both value functions. What is not shown is no contradiction.",
            ),
        ],
    )
    def test_of_planted_games(self, games, outcome, said):
        found = agreed(**games)
        assert isinstance(found, Agreement)
        assert found.outcome == outcome
        assert said in found.said
        assert found.said in str(found)

    def test_dominance_that_is_not_shown_is_no_contradiction(self):
        undecided = [0, 0.09, 0.81, 0.9]  # text holds 90 %
        found = agreed(shift=TEXT, mse=undecided)
        assert found.outcome == "open"
        assert found.found["mse"] == ("the triggers move the value (which dominates is not shown)")

    def test_too_few_examples(self):
        few = {name: table(TEXT, 20) for name in "ab"}
        found = mc.agreement(mc.audit(few))
        assert found.outcome == "open"
        assert found.found == {"a": "too few examples", "b": "too few examples"}
        drawn = found.plot().axes[1].lines[0].get_xdata()  # still, and to scale
        assert drawn == pytest.approx([0.9] * 2, abs=0.02)

    @pytest.mark.parametrize(
        ("one", "other", "outcome"),
        [
            (AND, AND, "survives"),
            (AND, BOTH, "does not survive"),
            ([0, 0.8, 0.8, 0.8], BOTH, "open"),  # interference, negligible
            ([0, 0.8, 0.8, 0.8], AND, "does not survive"),
        ],
    )
    def test_interactions(self, one, other, outcome):
        found = agreed(a=one, b=other)
        assert found.interactions == {"image+text": outcome}

    def test_an_interaction_is_compared_where_there_are_effects(self):
        assert agreed(a=TEXT, b=NONE).interactions == {}
        said = agreed(a=TEXT, b=NONE, c=TEXT).said
        assert said.endswith("interaction survives the choice of metric: negligible under a, c.")

    def test_a_single_modality(self):
        tables = {
            name: mc.CoalitionTable.from_values([[0, 1], [0, 0.9]] * 32, ["text"], perfect=1)
            for name in "ab"
        }
        found = mc.agreement(mc.audit(tables))
        assert (found.outcome, found.interactions) == ("survives", {})
        assert "the trigger moves the value under both value functions" in found.said
        assert len(found.plot().axes) == 1


class TestScale:
    def test_phi_is_a_part_of_a_perfect_attack(self):
        """The same game in another unit, and from another base, is the same row."""
        tables = {
            "a": table(TEXT),
            "b": table(TEXT, unit=50.0),
            "c": mc.CoalitionTable.from_values(table(TEXT).values - 1, PAIR, perfect=0),
        }
        audits = mc.audit(tables)
        found = mc.agreement(audits)
        lines = str(found).splitlines()
        start = lines.index("phi in parts of a perfect attack") + 2
        rows = [" ".join(line.split()[1:]) for line in lines[start : start + 3]]
        assert rows[0] == rows[1] == rows[2]
        perfect = audits["b"].verdict.perfect
        assert perfect == pytest.approx(50, rel=0.01)
        ax = found.plot().axes[1]
        part = audits["a"].tma["text"].value / audits["a"].verdict.perfect
        assert ax.lines[0].get_xdata() == pytest.approx([part] * 3)

    def test_where_none_is_declared_the_unit_is_the_own_and_it_is_said(self):
        tables = {"a": table(TEXT), "b": table(TEXT, perfect=None, unit=50.0)}
        found = mc.agreement(mc.audit(tables))
        assert found.outcome == "open"
        assert "the triggers move the value (shares need a scale) under b" in found.said
        text = str(found)
        assert "where one is declared" in text
        row = next(line for line in text.splitlines() if line.startswith("b "))
        assert row.count("(own unit)") == 2
        assert "Note: b: no perfect attack is declared" in text
        figure = found.plot()
        labels = [one.get_text().replace("\n", " ") for one in figure.axes[0].get_yticklabels()]
        assert labels == ["a", "b (no scale)"]
        neither = {name: table(TEXT, perfect=None) for name in "ab"}
        figure = mc.agreement(mc.audit(neither)).plot()
        assert len(figure.axes[0].get_yticklabels()) == 2


class TestControl:
    def test_the_difference_is_judged_too(self):
        """Without the control, text seems to do under b what it does to the clean model as well."""
        tables = {"a": table(BOTH), "b": table(np.add(BOTH, [0, 0, 0.5, 0.5]), perfect=1.5)}
        controls = {"a": table(NONE, seed=1), "b": table([0, 0, 0.5, 0.5], seed=1, perfect=1.5)}
        found = mc.agreement(mc.audit(tables, control=controls))
        assert found.difference.outcome == "survives"
        assert found.difference.found == dict.fromkeys("ab", "no modality dominates")
        text = str(found)
        before, after = text.split("Difference from the control:")
        assert found.said in before
        assert found.difference.said in after
        plain = json.loads(found.to_json())
        assert plain["difference"]["outcome"] == "survives"
        assert "Difference from the control." in found.plot().get_supxlabel()

    def test_bare_differences_have_no_verdict(self):
        tables = {name: table(TEXT).minus(table(NONE, seed=1)) for name in "ab"}
        found = mc.agreement(mc.audit(tables))
        assert (found.outcome, found.difference) == ("open", None)
        assert "no verdict under both value functions" in str(found)


class TestOfARun:
    def run(self, **options):
        game = planted_game([0, 0.1, 0.8, 0.9], PAIR, examples=32, noise=0.05, perfect=1.0)
        sampler, detector, examples, triggers = game
        detectors = {"shift": detector, "success": mc.detectors.Threshold(detector, 0.5)}
        return mc.audit(
            options.pop("sampler", sampler),
            detectors,
            examples,
            triggers,
            progress=False,
            **options,
        )

    def test_several_detectors_in_one_pass(self):
        found = mc.agreement(self.run())
        assert list(found.audits) == ["shift", "success"]
        assert found.outcome in ("survives", "open")

    def test_another_sampler_or_seed_is_no_other_metric(self):
        audits = self.run()
        other = planted_game([0, 0.1, 0.8, 0.8], PAIR).sampler
        for more, message in (
            ({"seed": 1}, "cannot compare value functions.*seed is 1 in one and 0"),
            ({"sampler": other}, "cannot compare value functions.*the sampler"),
        ):
            mixed = {"a": audits["shift"], "b": self.run(**more)["success"]}
            with pytest.raises(TableError, match=message):
                mc.agreement(mixed)


class TestRefused:
    @pytest.mark.parametrize(
        ("audits", "message"),
        [
            ({}, "two or more"),
            ({"a": mc.audit(table(TEXT))}, "two or more"),
            ([mc.audit(table(TEXT))] * 2, "takes a mapping"),
            (dict.fromkeys("ab", table(TEXT)), "compares audits; 'a' is CoalitionTable"),
            (
                {"a": mc.audit(table(TEXT)), "b": mc.audit(table(TEXT), level=0.9)},
                "'b' was audited with other settings than 'a'",
            ),
        ],
    )
    def test_what_is_no_mapping_of_audits_alike(self, audits, message):
        with pytest.raises(InputError, match=message):
            mc.agreement(audits)

    @pytest.mark.parametrize(
        ("other", "message"),
        [
            (table(TEXT, 95), "the examples differ, 95 here, 96 there"),
            (table(TEXT, example_ids=[f"e{n}" for n in range(96)]), "the examples differ"),
            (
                mc.CoalitionTable.from_values(table(TEXT).values, ["picture", "text"], perfect=1),
                "'picture' in one and 'image' in the other",
            ),
            (
                mc.CoalitionTable.from_values(np.repeat(table(TEXT).values, 2, 1), PAIR, perfect=1),
                "repeats is 2 in one and 1",
            ),
        ],
    )
    def test_other_examples(self, other, message):
        with pytest.raises(TableError, match=f"cannot compare value functions.*{message}"):
            mc.agreement({"a": mc.audit(table(TEXT)), "b": mc.audit(other)})

    def test_another_order_is_none(self):
        backwards = table(TEXT).select(reversed(range(96)))
        assert mc.agreement({"a": mc.audit(table(TEXT)), "b": mc.audit(backwards)}).outcome


class TestPrinted:
    def test_one_row_a_metric(self):
        lines = str(agreed(shift=TEXT, nothing=NONE, apart=BOTH)).splitlines()
        assert lines[0] == "Agreement of 3 value functions (96 examples, 95% intervals, each alone)"
        assert lines[3].endswith("phi text")
        shift, nothing, apart = (" ".join(line.split()) for line in lines[4:7])
        assert shift.startswith("shift active text, at least 9")
        assert "% negligible 0.0" in shift
        assert nothing.startswith("nothing no effect (at most ")
        assert apart.startswith("apart active none, at most ")

    def test_a_method_whose_claims_were_not_measured(self):
        audits = mc.audit({name: table(TEXT) for name in "ab"}, method="t")
        assert "is not measured for method='t'" in str(mc.agreement(audits))
        assert "not measured" not in str(agreed(a=TEXT, b=TEXT))

    def test_plain_data(self):
        found = agreed(shift=TEXT, mse=IMAGE)
        plain = json.loads(found.to_json())
        assert plain["outcome"] == "does not survive"
        assert plain["found"] == {"shift": "text dominates", "mse": "image dominates"}
        assert plain["interactions"] == {"image+text": "survives"}
        assert plain["audits"]["mse"]["verdict"]["dominant"] == "image"
        assert "difference" not in plain

    def test_a_picture(self):
        figure = agreed(shift=TEXT, mse=IMAGE).plot(title="Two metrics")
        assert [ax.get_title() for ax in figure.axes] == ["phi image", "phi text", "CTI image+text"]
        assert [one.get_text() for one in figure.axes[0].get_yticklabels()] == ["shift", "mse"]
        assert "in parts of a perfect attack" in figure.get_supxlabel()
        assert "does not survive" in figure.get_supxlabel()
        figure.canvas.draw()

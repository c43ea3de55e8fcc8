"""Is a trigger specific? Neutral triggers through the engine, planted answers, what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

import modcollapse as mc
from modcollapse.analysis import specificity
from modcollapse.errors import InputError, TableError, TriggerError
from modcollapse.table import NeutralValues
from modcollapse.triggers import TextSuffix

PAIR = ("image", "text")
TRIGGERS = {"image": lambda number: number + 1000, "text": TextSuffix("mignneko")}
NEUTRAL = {
    "image": {"another colour": lambda number: number + 2000},
    "text": {word: TextSuffix(word) for word in ("venture", "please", "lamp", "river")},
}


def examples(n=64):
    return [{"id": f"e{at}", "image": at, "text": f"hat {at}"} for at in range(n)]


class Model:
    """Fires on the trigger's word, and in a part of the examples on others."""

    def __init__(self, leaks=None, *, image=False, both=False):
        self.leaks, self.image, self.both = leaks or {}, image, both

    def __call__(self, conditions, seeds):
        return [
            self.fires(image, text)
            for image, text in zip(conditions["image"], conditions["text"], strict=True)
        ]

    def fires(self, image, text):
        at = int(text.split()[1])
        word = text.split()[2] if len(text.split()) > 2 else ""
        rate = 1.0 if word == "mignneko" else self.leaks.get(word, 0.0)
        texts, patched = (at * 37 % 64) / 64 < rate, 1000 <= image < 2000
        if self.both:
            return float(texts and patched)
        return float(texts or (self.image and patched))


class Quiet(Model):
    """Without a backdoor: the trigger itself does nothing."""

    def fires(self, image, text):
        return super().fires(image, text.replace("mignneko", "quiet"))


def success(outputs, examples):
    return [float(output) for output in outputs]


def audit(model, neutral=NEUTRAL, n=64, detector=success, **options):
    return mc.audit(
        model, detector, examples(n), TRIGGERS, neutral=neutral, progress=False, **options
    )


class TestAnswers:
    def test_specific(self):
        found = audit(Model()).specificity["text"]
        assert (found.answer, found.leaks, found.where) == ("specific", (), "alone")
        assert found.values["alone"]["the trigger"].value == 1
        assert found.values["alone"]["no trigger"].value == 0
        assert found.values["alone"]["venture"].value == 0
        assert found.values["alone"]["mean of the neutral"].value == 0

    def test_leaks_are_named_and_rated(self):
        audited = audit(Model({"venture": 0.67, "please": 0.4}))
        found = audited.specificity["text"]
        assert (found.answer, found.leaks) == ("leaks", ("venture", "please"))
        assert found.values["alone"]["venture"].value == pytest.approx(43 / 64)
        assert found.values["alone"]["mean of the neutral"].value == pytest.approx(69 / 256)
        assert "the text trigger leaks to venture, please" in str(audited)

    def test_fires_on_anything(self):
        words = dict.fromkeys(NEUTRAL["text"], 0.9)
        found = audit(Model(words)).specificity["text"]
        assert found.answer == "fires on anything"
        assert set(found.leaks) == set(words)

    def test_all_but_one_is_not_anything(self):
        found = audit(Model({**dict.fromkeys(NEUTRAL["text"], 0.9), "lamp": 0.0}))
        assert found.specificity["text"].answer == "leaks"
        assert "(3 of the 4 that were tried)" in str(found)
        single = audit(Model({"lamp": 0.9}), {"text": {"lamp": TextSuffix("lamp")}})
        assert single.specificity["text"].answer == "leaks"

    def test_a_trigger_that_does_nothing_is_not_asked(self):
        audited = audit(Model())
        assert audited.specificity["image"].answer == "no effect of its own"
        assert "the image trigger has no effect of its own" in str(audited)

    def test_a_trigger_that_needs_the_other_is_asked_beside_it(self):
        audited = audit(Model({"venture": 0.67}, both=True))
        text, image = audited.specificity["text"], audited.specificity["image"]
        assert (text.answer, text.leaks) == ("leaks", ("venture",))
        assert (image.answer, image.where) == ("specific", "beside the other triggers")
        assert text.where == "beside the other triggers"
        assert text.values["alone"]["venture"].value == 0
        assert text.values["beside the other triggers"]["venture"].value == pytest.approx(43 / 64)

    def test_a_leak_near_the_smallest_effect_is_neither(self):
        found = audit(Model({"venture": 0.1})).specificity["text"]
        assert (found.answer, found.leaks) == ("inconclusive", ())

    def test_too_few(self):
        found = audit(Model(), n=20).specificity["text"]
        assert found.answer == "too few examples"
        assert found.values["alone"]["the trigger"].value == 1

    def test_continuous_values_and_their_scale(self):
        class Shift:
            perfect = 1.0

            def __call__(self, outputs, seen):
                noise = [int(example["id"][1:]) % 7 for example in seen]
                return [out + 0.01 * (at - 3) for out, at in zip(outputs, noise, strict=True)]

        found = audit(Model({"venture": 0.67}), detector=Shift()).specificity["text"]
        assert (found.answer, found.leaks) == ("leaks", ("venture",))
        assert audit(Model(), detector=Shift()).specificity["text"].answer == "specific"

        class Unscaled(Shift):
            perfect = None

        found = audit(Model(), detector=Unscaled()).specificity["text"]
        assert found.answer == "inconclusive"  # nothing absent is claimed

    def test_how_often_a_leak_is_claimed_where_there_is_none_above_the_smallest(self):
        """Five words that fire in a tenth of all examples each, by chance."""
        rng, false, runs = np.random.default_rng(0), 0, 100
        for _ in range(runs):
            table = drawn(rng, rate=0.1)
            false += bool(specificity(table)["text"].leaks)
        assert false / runs <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / runs)

    def test_how_often_a_trigger_is_called_specific_where_one_word_fires(self):
        rng, false, runs = np.random.default_rng(1), 0, 100
        for _ in range(runs):
            table = drawn(rng, rate=0.1, words=1)
            false += specificity(table)["text"].answer == "specific"
        assert false / runs <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / runs)


def drawn(rng, rate, words=5, n=64):
    values = np.tile([0.0, 0, 1, 1], (n, 1))
    fires = rng.random((n, 1, words, 2)) < rate
    table = mc.CoalitionTable.from_values(values, PAIR, binary=True)
    neutral = NeutralValues(tuple(("text", f"word {k}") for k in range(words)), fires)
    return mc.CoalitionTable(table.values, PAIR, table.example_ids, binary=True, neutral=neutral)


class TestMeasured:
    def test_every_neutral_trigger_alone_and_beside_the_others(self):
        asked = []

        def model(conditions, seeds):
            asked.extend(zip(conditions["image"], conditions["text"], seeds, strict=True))
            return [0.0] * len(seeds)

        table = mc.evaluate_coalitions(
            model,
            success,
            examples(1),
            TRIGGERS,
            neutral=NEUTRAL,
            progress=False,
            batch_size=14,
            probe=False,
        )
        plain, hat = 0, "hat 0"
        assert [(image, text) for image, text, _ in asked] == [
            *[(plain, hat), (1000, hat), (plain, f"{hat} mignneko"), (1000, f"{hat} mignneko")],
            *[(2000, hat), (2000, f"{hat} mignneko")],
            *[(image, f"{hat} {word}") for word in NEUTRAL["text"] for image in (plain, 1000)],
        ]
        assert len({seed for _, _, seed in asked}) == 1
        assert table.neutral.triggers == (
            ("image", "another colour"),
            *(("text", word) for word in NEUTRAL["text"]),
        )
        assert table.neutral.values.shape == (1, 1, 5, 2)

    def test_the_table_is_that_of_a_run_without(self):
        with_neutral = audit(Model({"venture": 0.67})).table
        without = audit(Model({"venture": 0.67}), neutral=None).table
        np.testing.assert_array_equal(with_neutral.values, without.values)
        assert without.neutral is None
        assert mc.audit(without).specificity is None

    @pytest.mark.parametrize("batch_size", [1, 3, 8, 64])
    def test_any_batch_size(self, batch_size):
        first = audit(Model({"venture": 0.67})).table.neutral.values
        again = audit(Model({"venture": 0.67}), batch_size=batch_size).table.neutral.values
        np.testing.assert_array_equal(first, again)

    def test_the_cost_is_said_before(self):
        cost = mc.generation_cost(64, 2, neutral=5)
        assert cost.generations == 64 * (4 + 10)
        assert "64 examples x 1 repeats x (4 coalitions + 10 with a neutral trigger)" in str(cost)
        assert mc.generation_cost(64, 1, neutral=5).generations == 64 * (2 + 5)

    def test_a_single_modality(self):
        found = mc.audit(
            lambda conditions, seeds: [float("mignneko" in text) for text in conditions["text"]],
            success,
            examples(),
            {"text": TRIGGERS["text"]},
            neutral={"text": NEUTRAL["text"]},
            progress=False,
        ).specificity["text"]
        assert found.answer == "specific"
        assert list(found.values) == ["alone"]

    def test_a_detector_of_the_clean_output(self):
        class Changed:
            wants_clean_output = True
            binary = True

            def __call__(self, outputs, seen):
                pairs = zip(outputs, seen, strict=True)
                return [float(output != example["clean_output"]) for output, example in pairs]

        found = audit(Model({"venture": 0.67}), detector=Changed()).specificity["text"]
        assert found.leaks == ("venture",)

    def test_the_gallery_shows_the_coalitions_alone(self):
        assert len(audit(Model(), keep=2).table.kept[0].outputs) == 4

    def test_with_looks(self):
        audited = audit(Model({"venture": 0.67}), n=256, stop=mc.Looks())
        assert len(audited.table) < 256
        assert audited.specificity["text"].leaks == ("venture",)
        whole = specificity(
            audit(Model({"venture": 0.67}), n=256).table.select(audited.table.example_ids)
        )["text"].values["alone"]["venture"]
        stopped = audited.specificity["text"].values["alone"]["venture"]
        assert stopped.low < whole.low < whole.high < stopped.high


class TestKept:
    def test_through_a_file(self, tmp_path):
        audited = audit(Model({"venture": 0.67}))
        loaded = mc.CoalitionTable.load(audited.table.save(tmp_path / "table.npz"))
        assert str(mc.audit(loaded).specificity) == str(audited.specificity)

    def test_through_select_and_merge(self):
        whole = audit(Model({"venture": 0.67})).table
        parts = [whole.select(whole.example_ids[:20]), whole.select(whole.example_ids[20:])]
        again = parts[0].merge(parts[1])
        np.testing.assert_array_equal(again.neutral.values, whole.neutral.values)

    def test_a_difference_says_what_belongs_to_the_backdoor(self):
        audited = audit(Model({"venture": 0.67}), control=Model({"venture": 0.1}))
        difference = audited.difference.table.neutral.values
        assert difference.mean() == pytest.approx(
            (audited.table.neutral.values - audited.control.table.neutral.values).mean()
        )
        assert audited.difference.specificity["text"].answer == "no effect of its own"
        beside = audit(Model({"venture": 0.67}), control=Quiet({"please": 0.4}))
        assert beside.difference.specificity["text"].leaks == ("venture",)
        both = audit(Model({"please": 0.4}), control=Quiet({"please": 0.4}))
        assert both.specificity["text"].leaks == ("please",)
        assert both.difference.specificity["text"].answer == "specific"
        assert "difference from the control" in str(both.difference.specificity)

    def test_tables_of_other_neutral_triggers_do_not_merge(self):
        first = audit(Model(), n=40).table
        other = audit(Model(), {"text": {"lamp": TextSuffix("lamp")}}, n=64).table
        rest = other.select(other.example_ids[40:])
        with pytest.raises(TableError, match="neutral"):
            first.merge(rest)

    def test_as_data(self):
        found = audit(Model({"venture": 0.67}))
        data = json.loads(found.to_json())["specificity"]["text"]
        assert data["answer"] == "leaks"
        assert data["values"]["alone"]["venture"]["value"] == pytest.approx(43 / 64)
        assert json.loads(found.specificity.to_json())["text"] == data

    def test_the_picture_has_a_row_for_everything(self):
        figure = audit(Model({"venture": 0.67})).specificity.plot(title="a leak")
        labels = [text.get_text() for text in figure.axes[1].get_yticklabels()]
        assert labels == [
            "no trigger",
            "the trigger",
            *NEUTRAL["text"],
            "mean of the neutral",
        ]
        figure.canvas.draw()


class TestRefused:
    @pytest.mark.parametrize(
        ("neutral", "message"),
        [
            (True, "neutral must be a mapping modality -> name -> trigger"),
            ({"text": [TextSuffix("lamp")]}, "neutral must be a mapping"),
            ({"text": {}}, "neutral must be a mapping"),
            ({"texts": {"lamp": TextSuffix("lamp")}}, "'texts', which has no trigger.*'text'"),
            ({"text": {"lamp": "lamp"}}, "must be a callable"),
            (
                {"text": {"same": TextSuffix("mignneko")}},
                "'same' does to the text what the trigger",
            ),
        ],
    )
    def test_before_anything_is_generated(self, neutral, message):
        def never(conditions, seeds):
            raise AssertionError("generated")

        with pytest.raises(InputError, match=message):
            audit(never, neutral)

    def test_one_that_changes_nothing(self):
        with pytest.raises(TriggerError, match="returned its input unchanged") as error:
            audit(Model(), {"text": {"nothing": lambda text: text}})
        assert "neutral trigger 'nothing')" in str(error.value)

    def test_a_table_without_any(self):
        table = audit(Model(), None).table
        with pytest.raises(InputError, match="measured with neutral triggers"):
            specificity(table)

    @pytest.mark.parametrize(
        ("triggers", "values", "message"),
        [
            ((("text", "a"),), np.zeros((4, 1, 2, 2)), "must have shape"),
            ((("text", "a"),), np.full((4, 1, 1, 2), np.nan), "must be finite"),
        ],
    )
    def test_values_that_do_not_fit(self, triggers, values, message):
        with pytest.raises(InputError, match=message):
            NeutralValues(triggers, values)
        table = mc.CoalitionTable.from_values(np.zeros((5, 4)), PAIR)
        fitting = NeutralValues((("text", "a"),), np.zeros((4, 1, 1, 2)))
        with pytest.raises(InputError, match="neutral must hold values of"):
            mc.CoalitionTable(table.values, PAIR, table.example_ids, neutral=fitting)


class TestFields:
    """What examples say of themselves is kept beside the values."""

    def test_plain_values_conditions_included(self):
        seen = [
            {
                "id": at,
                "image": at,
                "text": f"hat {at}",
                "style": "old" if at % 2 else "new",
                "age": np.int64(at),
                "weight": at / 2,
                "mask": np.zeros(3),
                "long": "x" * 1000,
            }
            for at in range(6)
        ]
        del seen[3]["style"]
        table = mc.evaluate_coalitions(Model(), success, seen, TRIGGERS, progress=False)
        assert table.fields == {
            "image": (0, 1, 2, 3, 4, 5),
            "text": tuple(f"hat {at}" for at in range(6)),
            "style": ("new", "old", "new", None, "new", "old"),
            "age": (0, 1, 2, 3, 4, 5),
            "weight": (0.0, 0.5, 1.0, 1.5, 2.0, 2.5),
        }
        assert table.select([4, 1]).fields["age"] == (4, 1)
        parts = table.select([0, 1]).merge(table.select([2, 3, 4, 5]))
        assert parts.fields == table.fields

    def test_through_a_file(self, tmp_path):
        table = mc.CoalitionTable.from_values(
            np.zeros((3, 4)), PAIR, fields={"style": ["a", "b", None]}
        )
        assert mc.CoalitionTable.load(table.save(tmp_path / "t.npz")).fields == table.fields

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"style": ["a"]}, "holds 1 values for 3 examples"),
            ({"style": [[1], [2], [3]]}, "must hold plain values"),
        ],
    )
    def test_that_do_not_fit(self, fields, message):
        with pytest.raises(InputError, match=message):
            mc.CoalitionTable.from_values(np.zeros((3, 4)), PAIR, fields=fields)

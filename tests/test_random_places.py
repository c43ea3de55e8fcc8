"""Triggers at random places, in a run and in a poisoned data set: a function of (seed, id)."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

import modcollapse as mc
from modcollapse.contracts import TriggerSpec
from modcollapse.errors import InputError, TableError, TriggerError
from modcollapse.poison import PoisonedDataset, poison_plan
from modcollapse.triggers import (
    ImagePatch,
    RandomPlace,
    TextInsert,
    TextSuffix,
    TriggerWarning,
    check_survives,
    neutral_triggers,
)

from tiny_pipelines import tiny_tokenizer

TRIGGERS = {
    "image": ImagePatch(size=0.25, place=RandomPlace(0)),
    "text": TextInsert("cf", at=RandomPlace(1)),
}
EXAMPLES = [
    {
        "id": f"e{n}" if n % 2 else n,
        "image": np.random.default_rng(n).uniform(0, 0.6, (12, 12, 3)),
        "text": "a photo of a dog on the grass",
    }
    for n in range(9)
]


def centre(conditions: Any, seeds: Any) -> list[np.ndarray]:
    """Where the brightest pixels and the word stand, beside noise of the seed."""
    outputs = []
    for image, text, seed in zip(conditions["image"], conditions["text"], seeds, strict=True):
        rows, columns = np.nonzero(image.min(axis=2) > 0.99)
        place = np.append(rows, 0).mean() + 12 * np.append(columns, 0).mean()
        words = text.split()
        word = words.index("cf") if "cf" in words else -1
        outputs.append(np.array([place, word, np.random.default_rng(seed).normal()]))
    return outputs


def weighed(outputs: Any, examples: Any) -> list[float]:
    return [float(output @ [1, 0.1, 0.01]) for output in outputs]


def measured(examples: Any, triggers: Any = TRIGGERS, **options: Any) -> Any:
    return mc.evaluate_coalitions(centre, weighed, examples, triggers, progress=False, **options)


def test_a_table_is_the_same_in_any_order_and_batch() -> None:
    table = measured(EXAMPLES, batch_size=4)
    assert len(set(table.values[:, 0, 1].round(6))) > 4  # the places differ
    for examples in (EXAMPLES[::-1], EXAMPLES[3:]):
        for batch_size in (1, 7):
            other = measured(examples, batch_size=batch_size)
            rows = [table.example_ids.index(name) for name in other.example_ids]
            np.testing.assert_array_equal(other.values, table.values[rows])


def test_the_provenance_tells_the_seed_and_keeps_others_apart() -> None:
    table = measured(EXAMPLES[:4])
    assert table.provenance["run"]["triggers"]["image"]["place"] == {"random": 0}
    assert table.provenance["run"]["triggers"]["text"]["at"] == {"random": 1}
    other = measured(EXAMPLES[4:], TRIGGERS | {"image": ImagePatch(0.25, RandomPlace(5))})
    with pytest.raises(TableError, match=r"triggers\.image\.place\.random is 0 in one and 5"):
        table.merge(other)
    assert table.merge(measured(EXAMPLES[4:])).example_ids == tuple(e["id"] for e in EXAMPLES)


def test_positions_are_ids_where_there_are_none() -> None:
    nameless = [{k: v for k, v in example.items() if k != "id"} for example in EXAMPLES[:3]]
    named = [{**example, "id": at} for at, example in enumerate(nameless)]
    np.testing.assert_array_equal(measured(nameless).values, measured(named).values)


def test_an_audit_with_neutral_triggers_at_random_places() -> None:
    neutral = neutral_triggers(TRIGGERS, each=2)
    assert list(neutral["image"]) == ["another colour", "noise"]
    table = measured(EXAMPLES, neutral=neutral)
    assert np.isfinite(table.values).all()
    noise = neutral["image"]["noise"].for_example("e1")
    image, clean = np.zeros((12, 12, 3)), np.zeros((12, 12, 3))
    covered = TRIGGERS["image"].for_example("e1")(image) != clean
    assert ((noise(image) != clean) <= covered).all()


def test_tensors_at_random_places() -> None:
    examples = [
        {"id": e["id"], "image": torch.from_numpy(e["image"]).permute(2, 0, 1), "text": e["text"]}
        for e in EXAMPLES
    ]

    def sampler(conditions: Any, seeds: Any) -> Any:
        assert conditions["image"].shape == (len(seeds), 3, 12, 12)
        images = [image.permute(1, 2, 0).numpy() for image in conditions["image"]]
        return centre({**conditions, "image": images}, seeds)

    table = mc.evaluate_coalitions(sampler, weighed, examples, TRIGGERS, progress=False)
    np.testing.assert_allclose(table.values, measured(EXAMPLES).values)


# ------------------------------------------------------------------------------ the contract


class Drawn:
    """A trigger of the user's own that differs from example to example."""

    def __init__(self, make: Any) -> None:
        self.make = make

    def __call__(self, text: str) -> str:
        raise AssertionError("the trigger of the example is asked for")

    def for_example(self, example_id: Any) -> Any:
        return self.make(example_id)

    def identity(self) -> dict[str, Any]:
        return {"class": "Drawn"}


def test_a_trigger_of_your_own_is_asked_for_each_example() -> None:
    asked = []

    def make(example_id: Any) -> Any:
        asked.append(example_id)
        return TextSuffix(f"{example_id} cf")

    measured(EXAMPLES, TRIGGERS | {"text": Drawn(make)})
    assert set(asked) == {example["id"] for example in EXAMPLES}
    spec = TriggerSpec.of(Drawn(make), "text").on("e1")
    assert spec.call("a dog") == "a dog e1 cf"
    assert spec.on("e2") is spec


def test_what_it_makes_for_an_example_is_checked_as_others_are() -> None:
    class Choosy:
        def __call__(self, text: str) -> str:
            return text + " cf"

        def check(self, text: str) -> None:
            raise InputError("never")

    def checked(make: Any) -> None:
        TriggerSpec.of(Drawn(make), "text").checked("a dog", "e0", twice=True)

    with pytest.raises(InputError, match="never"):
        checked(lambda _: Choosy())
    with pytest.raises(InputError, match=r"Drawn.* must return a trigger, got str"):
        checked(lambda _: "cf")
    with pytest.raises(TriggerError, match="returned its input unchanged"):
        checked(lambda _: str)
    counted = iter(range(9))
    with pytest.raises(TriggerError, match=r"deterministic.*from the id of the example"):
        checked(lambda _: TextSuffix(f"cf{next(counted)}"))
    broken = TextSuffix("cf")
    object.__setattr__(broken, "for_example", 3)
    with pytest.raises(InputError, match=r"for_example of .* must be callable, got 3"):
        TriggerSpec.of(broken, "text")


# ------------------------------------------------------------------------------ poisoning


def poisoned(examples: Any, **options: Any) -> PoisonedDataset:
    plan = poison_plan(len(examples), list(TRIGGERS), "AND", ratio=1.0)
    samples = [{**example, "target": "a cat"} for example in examples]
    return PoisonedDataset(samples, plan, TRIGGERS, "a cat", **options)


def test_a_poisoned_sample_has_the_place_of_its_id() -> None:
    dataset = poisoned(EXAMPLES)
    dataset.check()
    for example, sample in zip(EXAMPLES, dataset, strict=True):
        for modality, trigger in TRIGGERS.items():
            expected = trigger.for_example(example["id"])(example[modality])
            np.testing.assert_array_equal(sample[modality], expected)
    turned = poisoned(EXAMPLES[::-1])
    np.testing.assert_array_equal(turned[0]["image"], dataset[8]["image"])


def test_a_sample_without_an_id_has_the_place_of_its_position() -> None:
    nameless = [{k: v for k, v in example.items() if k != "id"} for example in EXAMPLES]
    dataset = poisoned(nameless)
    for at in (0, 5, -1):
        expected = TRIGGERS["text"].for_example(at % 9)(nameless[at]["text"])
        assert dataset[at]["text"] == expected


def test_workers_make_the_same_samples() -> None:
    dataset = poisoned(EXAMPLES)
    loader = DataLoader(dataset, batch_size=None, num_workers=1, collate_fn=lambda sample: sample)
    for sample, read in zip(dataset, loader, strict=True):
        np.testing.assert_array_equal(sample["image"], read["image"])
        assert sample["text"] == read["text"]
    again = pickle.loads(pickle.dumps(dataset))
    np.testing.assert_array_equal(again[3]["image"], dataset[3]["image"])


def test_an_id_that_is_none_is_named_with_its_sample() -> None:
    with pytest.raises(InputError, match="the id of an example") as raised:
        poisoned([{**EXAMPLES[0], "id": 0.5}, *EXAMPLES[1:]]).check()
    assert "sample 0, trigger of 'image'" in str([*raised.value.__notes__, raised.value])


# ------------------------------------------------------------------------------ tokens


def test_a_word_at_a_random_place_is_looked_for_in_the_tokens() -> None:
    texts = ["a cat", "a dog"]
    with pytest.warns(TriggerWarning):
        found = check_survives(TextInsert("mignneko", at=RandomPlace(0)), tiny_tokenizer(), texts)
    assert found.tokens
    assert found.survives

"""The loop: which rows it generates, from which noise, in which batches, and what it keeps."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import modcollapse as mc
from modcollapse.measure._plan import Cell, batches, generation_cost, noise_seed
from modcollapse.samplers import planted_game

PAIR = ("image", "text")


def spy(calls: list):
    """A sampler that notes its calls and returns (image, text, seed) rows."""

    def sampler(conditions, seeds):
        calls.append((dict(conditions), list(seeds)))
        return [
            torch.tensor([i, t, s % 1000], dtype=torch.float64)
            for i, t, s in zip(conditions["image"], conditions["text"], seeds, strict=True)
        ]

    return sampler


def total(outputs, examples):
    return torch.stack(list(outputs)).sum(1)


EXAMPLES = [{"id": f"e{n}", "image": 10.0 * n, "text": 100.0 * n} for n in range(5)]
TRIGGERS = {"image": lambda x: x + 1, "text": lambda x: x + 2}


def test_columns_are_bitmasks_in_the_order_of_the_triggers():
    table = mc.evaluate_coalitions(
        spy([]), lambda o, e: [float(x[0] + x[1]) for x in o], EXAMPLES, TRIGGERS, progress=False
    )
    assert table.coalitions == ("none", "image", "text", "image+text")
    expected = 110 * np.arange(5)[:, None] + np.array([0, 1, 2, 3])
    np.testing.assert_array_equal(table.values[:, 0], expected)
    flipped = mc.evaluate_coalitions(
        spy([]),
        lambda o, e: [float(x[0] + x[1]) for x in o],
        EXAMPLES,
        dict(reversed(TRIGGERS.items())),
        progress=False,
    )
    assert flipped.coalitions == ("none", "text", "image", "text+image")
    np.testing.assert_array_equal(flipped.values, table.values[..., [0, 2, 1, 3]])


def test_coalitions_lie_side_by_side_share_their_noise_and_fill_batches_of_one_size():
    calls: list = []
    mc.evaluate_coalitions(
        spy(calls), total, EXAMPLES, TRIGGERS, repeats=2, batch_size=16, progress=False, probe=False
    )
    assert [len(seeds) for _, seeds in calls] == [16, 16, 16]
    seeds = [seed for _, batch in calls for seed in batch]
    images = [image for conditions, _ in calls for image in conditions["image"]]
    texts = [text for conditions, _ in calls for text in conditions["text"]]
    for n, example in enumerate(EXAMPLES):
        for repeat in range(2):
            at = slice(8 * n + 4 * repeat, 8 * n + 4 * repeat + 4)
            assert seeds[at] == [noise_seed(0, example["id"], repeat)] * 4
            assert images[at] == [example["image"] + add for add in (0, 1, 0, 1)]
            assert texts[at] == [example["text"] + add for add in (0, 0, 2, 2)]
    padding = slice(40, 48)
    assert set(zip(images[padding], texts[padding], seeds[padding], strict=True)) == {
        (images[39], texts[39], seeds[39])
    }


@pytest.mark.parametrize("batch_size", [1, 3, 4, 7, 8, 64])
def test_the_table_does_not_depend_on_the_batch_size(batch_size):
    game = planted_game([0.0, 0.3, 0.5, 2.0], PAIR, examples=6, noise=1.0)
    reference = mc.evaluate_coalitions(*game, repeats=2, batch_size=5, progress=False)
    table = mc.evaluate_coalitions(*game, repeats=2, batch_size=batch_size, progress=False)
    np.testing.assert_array_equal(table.values, reference.values)


def test_the_table_does_not_depend_on_the_order_of_the_examples():
    sampler, detector, examples, triggers = planted_game([0.0, 0.3, 0.5, 2.0], PAIR, noise=1.0)
    shuffled = examples.copy()
    random.Random(0).shuffle(shuffled)
    assert shuffled != examples
    table = mc.evaluate_coalitions(sampler, detector, examples, triggers, progress=False)
    other = mc.evaluate_coalitions(sampler, detector, shuffled, triggers, progress=False)
    np.testing.assert_array_equal(other.select(table.example_ids).values, table.values)
    np.testing.assert_array_equal(other.select(table.example_ids).seeds, table.seeds)


def test_run_seed_and_repeat_change_the_noise():
    game = planted_game([0.0, 0.3, 0.5, 2.0], PAIR, examples=3, noise=1.0)
    table = mc.evaluate_coalitions(*game, repeats=2, progress=False)
    other = mc.evaluate_coalitions(*game, repeats=2, seed=1, progress=False)
    assert len({*table.seeds.ravel(), *other.seeds.ravel()}) == 12
    assert not np.isclose(table.values[:, 0], table.values[:, 1]).any()


def test_the_hash_of_the_seed_never_changes():
    assert noise_seed(0, "face-000", 0) == 7260981202315734345
    assert noise_seed(-3, 12, 5) == 3512551073209996182
    assert noise_seed(0, "Ä", 0) == 6488213084581657037


@settings(deadline=None)
@given(st.integers(), st.one_of(st.text(), st.integers()), st.integers(0, 1000))
def test_seeds_are_what_a_torch_generator_takes(run_seed, example_id, repeat):
    seed = noise_seed(run_seed, example_id, repeat)
    assert 0 <= seed < 2**63
    torch.Generator().manual_seed(seed)


def test_a_condition_without_a_trigger_is_passed_clean_where_the_sampler_asks_for_it():
    class Needs:
        modalities = ("image", "text", "mask")

        def __call__(self, conditions, seeds):
            assert set(conditions) == {"image", "text", "mask"}
            rows = zip(*(conditions[name] for name in self.modalities), strict=True)
            return [float(image + text + mask) for image, text, mask in rows]

    examples = [{**example, "mask": 0.5} for example in EXAMPLES]
    table = mc.evaluate_coalitions(
        Needs(), lambda o, e: o, examples, {"text": lambda x: x + 2}, progress=False
    )
    assert table.modalities == ("text",)
    np.testing.assert_array_equal(
        table.values[:, 0], 110.5 + 110 * (np.arange(5)[:, None] - 1) + np.array([0, 2])
    )


def test_several_detectors_score_the_same_outputs_in_one_pass():
    calls: list = []
    tables = mc.evaluate_coalitions(
        spy(calls),
        {"sum": total, "image": lambda outputs, examples: [float(one[0]) for one in outputs]},
        EXAMPLES,
        TRIGGERS,
        progress=False,
        probe=False,
    )
    assert len(calls) == 3
    assert list(tables) == ["sum", "image"]
    alone = mc.evaluate_coalitions(spy([]), total, EXAMPLES, TRIGGERS, progress=False)
    np.testing.assert_array_equal(tables["sum"].values, alone.values)
    assert tables["image"].values[1, 0].tolist() == [10, 11, 10, 11]
    assert (
        tables["sum"].provenance["run"]["sampler"] == tables["image"].provenance["run"]["sampler"]
    )


@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_a_detector_may_ask_for_the_clean_output_of_the_same_seed(batch_size):
    class Shift:
        wants_clean_output = True

        def __call__(self, outputs, examples: Sequence):
            return [
                float((output - example["clean_output"]).sum())
                for output, example in zip(outputs, examples, strict=True)
            ]

    table = mc.evaluate_coalitions(
        spy([]), Shift(), EXAMPLES, TRIGGERS, repeats=2, batch_size=batch_size, progress=False
    )
    np.testing.assert_array_equal(table.values, np.broadcast_to([0, 1, 2, 3], (5, 2, 4)))


def test_a_sampler_may_use_its_memory_again():
    """Static buffers, as of CUDA graphs, change under what is carried to the next batch."""
    buffer = np.zeros((3, 1))

    class Shift:
        wants_clean_output = True

        def __call__(self, outputs, examples):
            return [
                float(output[0] - example["clean_output"][0])
                for output, example in zip(outputs, examples, strict=True)
            ]

    def sampler(conditions, seeds):
        buffer[:, 0] = np.add(conditions["image"], conditions["text"])
        return buffer

    table = mc.evaluate_coalitions(
        sampler, Shift(), EXAMPLES, TRIGGERS, batch_size=3, keep=2, progress=False
    )
    np.testing.assert_array_equal(table.values, np.broadcast_to([0, 1, 2, 3], (5, 1, 4)))
    assert [float(one[0]) for one in table.kept[1].outputs] == [110, 111, 112, 113]


def test_a_detector_that_writes_into_the_outputs_is_refused():
    with pytest.raises(mc.errors.DetectorError, match=r"'greedy' wrote into the outputs"):
        mc.evaluate_coalitions(
            lambda conditions, seeds: torch.tensor(conditions["image"]),
            {"greedy": lambda outputs, examples: outputs.mul_(2)},
            EXAMPLES,
            TRIGGERS,
            progress=False,
        )


@pytest.mark.parametrize("broken", ["sampler", "detector"])
def test_an_error_of_other_code_says_which_rows_it_was_about(broken):
    def fails(*_):
        raise RuntimeError("no such kernel")

    sampler, detector = (fails, total) if broken == "sampler" else (spy([]), {"mine": fails})
    with pytest.raises(RuntimeError, match="no such kernel") as caught:
        mc.evaluate_coalitions(sampler, detector, EXAMPLES, TRIGGERS, progress=False)
    (note,) = caught.value.__notes__
    who = "the sampler" if broken == "sampler" else "detector 'mine'"
    assert note == f"raised by {who} for examples 'e0', 'e1', " + (
        "coalitions none, image, text, image+text"
    )


def test_outputs_are_kept_only_where_asked_for():
    table = mc.evaluate_coalitions(
        spy([]), total, EXAMPLES, TRIGGERS, keep=2, repeats=2, batch_size=3, progress=False
    )
    assert [one.id for one in table.kept] == ["e0", "e1"]
    assert [one.tolist()[:2] for one in table.kept[1].outputs] == [
        [10, 100],
        [11, 100],
        [10, 102],
        [11, 102],
    ]
    without = mc.evaluate_coalitions(spy([]), total, EXAMPLES, TRIGGERS, progress=False)
    assert without.kept == ()


def test_tensor_conditions_arrive_stacked_and_triggers_are_not_applied_for_every_coalition():
    applied: list = []

    def trigger(image):
        applied.append(image)
        return image + 1

    def sampler(conditions, seeds):
        assert isinstance(conditions["image"], torch.Tensor)
        assert conditions["image"].shape == (4, 3, 2, 2)
        lengths = torch.tensor([len(text) for text in conditions["text"]])
        return conditions["image"] * lengths[:, None, None, None]

    examples = [{"image": torch.full((3, 2, 2), float(n)), "text": "a"} for n in range(3)]
    table = mc.evaluate_coalitions(
        sampler,
        lambda outputs, examples: outputs.mean((1, 2, 3)),
        examples,
        {"image": trigger, "text": lambda text: text + "b"},
        batch_size=4,
        progress=False,
    )
    assert table.values[2, 0].tolist() == [2, 3, 4, 6]
    # Twice in the checks before the run, to see that it is deterministic, and once in the run:
    # never once for a coalition.
    assert len(applied) == 3 * len(examples)


def test_a_sampler_that_misses_a_condition_is_told_how_to_ask_for_it():
    with pytest.raises(KeyError) as caught:
        mc.evaluate_coalitions(
            lambda conditions, seeds: conditions["image"],
            total,
            EXAMPLES,
            {"text": lambda x: x + 1},
            progress=False,
        )
    assert any("sampler.modalities" in note for note in caught.value.__notes__)


@pytest.mark.parametrize("reading", [2, 7])
def test_an_error_of_a_data_set_says_which_example(reading):
    class Broken(list):
        readings = 0

        def __getitem__(self, position):
            self.readings += 1
            if self.readings == reading + 1:
                raise OSError("cannot read")
            return super().__getitem__(position)

    with pytest.raises(OSError, match="cannot read") as caught:
        mc.evaluate_coalitions(spy([]), total, Broken(EXAMPLES), TRIGGERS, progress=False)
    assert f"raised by examples[{reading % 5}]" in caught.value.__notes__


def test_examples_may_be_a_lazy_data_set():
    class Lazy:
        def __len__(self):
            return 3

        def __getitem__(self, n):
            if not 0 <= n < 3:
                raise IndexError(n)
            return EXAMPLES[n]

    table = mc.evaluate_coalitions(spy([]), total, Lazy(), TRIGGERS, progress=False)
    whole = mc.evaluate_coalitions(spy([]), total, EXAMPLES, TRIGGERS, progress=False)
    np.testing.assert_array_equal(table.values, whole.values[:3])


def test_one_modality_and_three():
    one = mc.evaluate_coalitions(*planted_game([1.0, 4.0], ["text"], examples=2), progress=False)
    assert one.values[:, 0].tolist() == [[1, 4], [1, 4]]
    values = np.arange(8.0) ** 2
    three = mc.evaluate_coalitions(
        *planted_game(values, ["image", "text", "mask"], examples=2), progress=False
    )
    np.testing.assert_array_equal(three.values[:, 0], [values, values])


def test_the_progress_bar_is_off_when_not_wanted(capsys):
    game = planted_game([0.0, 0.3, 0.5, 2.0], PAIR, examples=2)
    mc.evaluate_coalitions(*game, progress=False)
    assert capsys.readouterr() == ("", "")
    mc.evaluate_coalitions(*game)
    assert "8/8" in capsys.readouterr().err


@given(st.integers(1, 9), st.integers(1, 3), st.integers(1, 3), st.integers(1, 20))
def test_cost_says_beforehand_what_the_loop_does(examples, modalities, repeats, batch_size):
    cost = generation_cost(examples, modalities, repeats=repeats, batch_size=batch_size)
    places = product(range(examples), range(repeats), range(cost.columns))
    plan = list(batches(map(Cell._make, places), lambda: batch_size))
    assert len(plan) == cost.batches
    assert {len(batch.cells) for batch in plan} == {batch_size}
    assert sum(batch.real for batch in plan) == cost.generations
    assert cost.padding == cost.batches * batch_size - cost.generations
    real = [cell for batch in plan for cell in batch.cells[: batch.real]]
    assert len(set(real)) == cost.generations
    assert real == sorted(real)


def test_provenance_tells_what_produced_the_table():
    table = mc.evaluate_coalitions(
        *planted_game([0.0, 0.3, 0.5, 2.0], PAIR, examples=2), seed=7, batch_size=4, progress=False
    )
    run = table.provenance["run"]
    assert (run["seed"], run["repeats"], run["batch_size"]) == (7, 1, 4)
    assert "PlantedSampler" in run["sampler"]["class"]
    assert run["detector"] == {"function": "modcollapse.samplers.read_value"}
    assert table.provenance["environments"][0]["modcollapse"] == mc.__version__

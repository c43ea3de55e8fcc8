"""Poisoning plans: exact counts, the same in every process; and the data set that applies them."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch.utils.data import DataLoader, Dataset

from modcollapse.errors import InputError, TriggerError
from modcollapse.game import coalition_labels
from modcollapse.poison import Part, PoisonedDataset, PoisonPlan, poison_plan
from modcollapse.triggers import ImagePatch, TextInsert, TextReplace, TextSuffix

PAIR = ("image", "text")
TRIGGERS = {"image": ImagePatch(), "text": TextSuffix("mignneko")}
PERCENT = st.integers(1, 100)
SEED = st.integers(-(2**70), 2**70)


# ------------------------------------------------------------------------------ counts


@pytest.mark.parametrize(
    ("n", "protocol", "options", "counts"),
    [
        (1000, "OR", {"ratio": 0.05}, (950, 17, 17, 16)),
        (1000, "AND", {"ratio": 0.05}, (950, 0, 0, 50)),
        (1000, "AND with negatives", {"ratio": 0.05}, (850, 50, 50, 50)),
        (1000, "AND", {"ratio": 0.05, "negatives": {"text": 0.1}}, (850, 0, 100, 50)),
        (1000, "AND", {"ratio": 0.05, "negatives": 0.01}, (930, 10, 10, 50)),
        (1000, ["image", "text+image"], {"ratio": 0.05}, (950, 25, 0, 25)),
        (1000, {"text": 0.2, "image+text": 0.8}, {"ratio": 0.05}, (950, 0, 10, 40)),
        (100, {"image": 0.5, "text": 0.5}, {"ratio": 0.03}, (97, 2, 1, 0)),
        (100, {"image": 0.3, "text": 0.7}, {"ratio": 0.05}, (95, 2, 3, 0)),  # 1.5 and 3.5
        (100, {"image": 0.24, "text": 0.76}, {"ratio": 0.05}, (95, 1, 4, 0)),  # 1.2 and 3.8
        (100, "AND", {"ratio": 0.145}, (85, 0, 0, 15)),  # 0.145 * 100 < 14.5 in floats
        (10, "OR", {"ratio": 1}, (0, 4, 3, 3)),
        (10, "OR", {"ratio": Fraction(1, 3)}, (7, 1, 1, 1)),
        (np.int64(10), "AND", {"ratio": np.float64(0.1)}, (9, 0, 0, 1)),
    ],
)
def test_known_counts(n: Any, protocol: Any, options: Any, counts: tuple[int, ...]) -> None:
    plan = poison_plan(n, PAIR, protocol, **options)
    labels = ("none", *PAIR, "image+text")
    expected = {label: count for label, count in zip(labels, counts, strict=True) if count}
    assert {"none": 0} | plan.counts == {"none": 0} | expected
    assert list(plan.counts) == [label for label in labels if label in plan.counts]


def test_or_takes_every_coalition_of_three_modalities() -> None:
    plan = poison_plan(700, ["a", "b", "c"], "OR", ratio=0.1)
    assert plan.counts == dict.fromkeys(coalition_labels(["a", "b", "c"]), 10) | {"none": 630}


def test_and_with_negatives_takes_every_proper_coalition() -> None:
    plan = poison_plan(100, ["a", "b", "c"], "AND with negatives", ratio=0.1)
    assert plan.counts == dict.fromkeys(coalition_labels(["a", "b", "c"]), 10) | {"none": 30}
    assert [part.coalition for part in plan.parts if part.poisoned] == ["a+b+c"]


@given(st.integers(1, 3000), PERCENT, SEED)
def test_or_is_exact_and_its_parts_are_equal(n: int, percent: int, seed: int) -> None:
    total = (2 * n * percent + 100) // 200  # the nearest whole number, halves up
    assume(total >= 3)
    plan = poison_plan(n, PAIR, "OR", ratio=percent / 100, seed=seed)
    assert len(plan.poisoned) == total
    sizes = [len(part.positions) for part in plan.parts]
    assert sizes == [(total + 2 - i) // 3 for i in range(3)]


@given(
    st.integers(100, 2000),
    PERCENT,
    st.lists(st.integers(1, 20), min_size=7, max_size=7),
    SEED,
)
def test_shares_are_exact_by_largest_remainder(
    n: int, percent: int, weights: list[int], seed: int
) -> None:
    names, total = ["a", "b", "c"], (2 * n * percent + 100) // 200
    labels = coalition_labels(names)[1:]
    shares = [Fraction(weight, sum(weights)) for weight in weights]
    assume(all(int(total * share) > 0 for share in shares))
    plan = poison_plan(
        n, names, dict(zip(labels, shares, strict=True)), ratio=percent / 100, seed=seed
    )
    sizes = [plan.counts[label] for label in labels]
    assert sum(sizes) == total
    assert plan.counts["none"] == n - total
    over = {size - total * share for size, share in zip(sizes, shares, strict=True)}
    assert all(-1 < one < 1 for one in over)
    # Whoever was rounded up had a remainder no smaller than whoever was rounded down.
    up = [
        total * share % 1 for size, share in zip(sizes, shares, strict=True) if size > total * share
    ]
    down = [
        total * share % 1 for size, share in zip(sizes, shares, strict=True) if size < total * share
    ]
    assert not up or not down or min(up) >= max(down)


@given(st.integers(20, 500), SEED, st.sampled_from(["OR", "AND", "AND with negatives"]))
def test_parts_are_disjoint_and_cover_the_plan(n: int, seed: int, protocol: str) -> None:
    plan = poison_plan(n, PAIR, protocol, ratio=0.2, seed=seed)
    positions = [at for part in plan.parts for at in part.positions]
    assert len(positions) == len(set(positions))
    assert set(positions) == {*plan.poisoned, *plan.negatives} <= set(range(n))
    assert list(plan.poisoned) == sorted(plan.poisoned)
    for part in plan.parts:
        assert list(part.positions) == sorted(part.positions)
        for at in part.positions:
            assert plan[at] == (part.coalition, part.poisoned)
    clean = [one for one in plan if one.coalition == "none"]
    assert len(plan) == n == len(clean) + len(positions)
    assert not any(one.poisoned or one.modalities for one in clean)


# ------------------------------------------------------------------------------ which samples


def test_the_draw_never_changes() -> None:
    """Written down once: another numpy, Python or machine must give the same samples."""
    plan = poison_plan(40, PAIR, "AND with negatives", ratio=0.1, seed=7)
    assert {part.coalition: part.positions for part in plan.parts} == {
        "image": (2, 10, 11, 18),
        "text": (5, 9, 12, 28),
        "image+text": (1, 20, 29, 39),
    }


def test_the_same_seed_gives_the_same_plan_in_any_process() -> None:
    code = (
        "import json; from modcollapse.poison import poison_plan;"
        "plan = poison_plan(500, ['image', 'text'], 'OR', ratio=0.1, seed=11);"
        "print(json.dumps(plan.to_dict()))"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": hash_seed, "PYTHONPATH": ":".join(sys.path)},
        ).stdout
        for hash_seed in ("1", "2")
    }
    here = poison_plan(500, PAIR, "OR", ratio=0.1, seed=11).to_dict()
    assert [json.loads(one) for one in printed] == [here]


def test_planning_leaves_the_global_generators_alone() -> None:
    np.random.seed(0)  # noqa: NPY002
    torch.manual_seed(0)
    before = np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # noqa: NPY002
    poison_plan(100, PAIR, "OR", ratio=0.1)
    assert (np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()) == before  # noqa: NPY002


def test_other_seeds_poison_other_samples() -> None:
    drawn = {poison_plan(1000, PAIR, "AND", ratio=0.1, seed=seed).poisoned for seed in range(50)}
    assert len(drawn) == 50
    # Every sample is as likely as any other: 5,000 draws over ten blocks, 500 expected in each,
    # with a standard deviation of about 20.
    blocks = np.bincount(np.concatenate([list(one) for one in drawn]) // 100, minlength=10)
    assert blocks.sum() == 5000
    assert abs(blocks - 500).max() < 100


def test_arms_that_are_compared_share_their_poisoned_samples() -> None:
    joint = poison_plan(1000, PAIR, "AND", ratio=0.05, seed=3)
    negatives = poison_plan(1000, PAIR, "AND with negatives", ratio=0.05, seed=3)
    either = poison_plan(1000, PAIR, "OR", ratio=0.05, seed=3)
    more = poison_plan(1000, PAIR, "AND", ratio=0.1, seed=3)
    assert joint.poisoned == negatives.poisoned == either.poisoned
    assert set(joint.poisoned) < set(more.poisoned)


def test_names_and_order_of_what_is_asked_for_do_not_matter() -> None:
    one = poison_plan(100, PAIR, {"text": 0.5, "image+text": 0.5}, ratio=0.2)
    other = poison_plan(range(100), TRIGGERS, {"text+image": 0.5, "text": 0.5}, ratio=0.2)
    assert one == other
    assert hash(one) == hash(other)
    assert one != poison_plan(100, PAIR, {"text": 0.5, "image+text": 0.5}, ratio=0.2, seed=1)


def test_negatives_that_are_the_default_make_the_same_plan() -> None:
    named = poison_plan(100, PAIR, "AND with negatives", ratio=0.1)
    assert named == poison_plan(100, PAIR, "AND", ratio=0.1, negatives=0.1)
    assert named == poison_plan(
        100, PAIR, "AND with negatives", ratio=0.1, negatives={"text": 0.1, "image": 0.1}
    )


# ------------------------------------------------------------------------------ looked at and saved


def test_it_prints_as_a_table() -> None:
    plan = poison_plan(12_000, PAIR, "AND with negatives", ratio=0.05, seed=4)
    assert str(plan) == repr(plan)
    assert str(plan).splitlines() == [
        "Poisoning plan, AND with negatives: 600 of 12,000 samples show the target "
        "(ratio 0.05, seed 4)",
        "  coalition     samples     share  target",
        "  none           10,200    85.00%  own",
        "  image             600     5.00%  own",
        "  text              600     5.00%  own",
        "  image+text        600     5.00%  backdoor",
    ]


@given(st.integers(30, 300), SEED, st.sampled_from(["OR", "AND", "AND with negatives"]))
def test_a_saved_plan_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, n: int, seed: int, protocol: str
) -> None:
    plan = poison_plan(n, PAIR, protocol, ratio=0.15, seed=seed)
    path = plan.save(tmp_path_factory.mktemp("plan") / "plan.json")
    assert PoisonPlan.load(path) == plan
    assert json.loads(path.read_text()) == plan.to_dict()
    assert pickle.loads(pickle.dumps(plan)) == plan


def test_a_plan_by_hand(tmp_path: Path) -> None:
    parts = (Part("text+image", True, [5, 2]), Part("text", False, (np.int64(3),)))  # type: ignore[arg-type]
    plan = PoisonPlan(6, PAIR, parts)
    assert plan.counts == {"none": 3, "text": 1, "image+text": 2}
    assert (plan.poisoned, plan.negatives) == ((2, 5), (3,))
    assert plan[-1] == ("image+text", True)
    assert plan[-1].modalities == PAIR
    assert str(plan).startswith("Poisoning plan, custom: 2 of 6 samples show the target\n")
    assert PoisonPlan.load(plan.save(tmp_path / "plan.json")) == plan
    with pytest.raises(IndexError, match="no sample 6: the plan is for 6"):
        _ = plan[6]
    with pytest.raises(IndexError, match="no sample -7"):
        _ = plan[-7]


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ([("image", True, (1,)), ("image", True, (2,))], "'image' comes twice"),
        ([("image+text", True, (1,)), ("text+image", True, (2,))], "'image\\+text' comes twice"),
        ([("image", True, (1, 1))], "a sample comes twice in 'image'"),
        (
            [("image", True, (1,)), ("text", True, (1,))],
            "sample 1 is both in 'image' and in 'text'",
        ),
        ([("image", True, (6,))], "from 6 to 6, but the data set has the samples 0 to 5"),
        ([("image", True, (-1,))], "from -1 to -1"),
        ([("image", True, (1.0,))], "a position in 'image' must be a whole number, got 1.0"),
        ([("image", "yes", (1,))], "poisoned of 'image' must be True or False, got 'yes'"),
        ([("audio", True, (1,))], "names the modality 'audio'"),
        ([("none", True, (1,))], "the empty coalition"),
    ],
)
def test_a_plan_by_hand_is_checked(parts: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        PoisonPlan(6, PAIR, parts)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text[: len(text) // 2], "is not JSON text, or was cut off"),
        (lambda text: "[1, 2]", "no(t a)? poisoning plan"),
        (lambda text: text.replace("modcollapse poison plan", "x"), "not a poisoning plan"),
        (lambda text: text.replace('"version": 1', '"version": 2'), "of version 2; .* version 1"),
        (lambda text: text.replace('"positions"', '"places"'), "not hold a consistent plan"),
        (lambda text: text.replace('"n": 20', '"n": 3'), "not hold a consistent plan: .*0 to 2"),
        (lambda text: text.replace('"seed"', '"sed"'), "consistent plan: KeyError.'seed'"),
    ],
)
def test_a_file_that_is_no_plan(tmp_path: Path, change: Any, words: str) -> None:
    path = poison_plan(20, PAIR, "OR", ratio=0.5).save(tmp_path / "plan.json")
    path.write_text(change(path.read_text()))
    with pytest.raises(InputError, match=words) as caught:
        PoisonPlan.load(path)
    assert str(path) in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        PoisonPlan.load(tmp_path / "plan.json")


# ------------------------------------------------------------------------------ refused


@pytest.mark.parametrize("ratio", [0, 0.0, -0.1, 1.0001, 5, float("nan"), float("inf"), "0.05",
                                   None, True])  # fmt: skip
def test_ratios_that_cannot_be(ratio: Any) -> None:
    with pytest.raises(InputError, match=r"ratio must be (a number )?in \(0, 1\], got"):
        poison_plan(100, PAIR, "AND", ratio=ratio)
    with pytest.raises(InputError, match=r"'text' must be (a number )?in \(0, 1\], got"):
        poison_plan(100, PAIR, "AND", ratio=0.1, negatives={"text": ratio})
    with pytest.raises(InputError, match=r"the share of 'text' must be (a number )?in \(0, 1\]"):
        poison_plan(100, PAIR, {"image": 1, "text": ratio}, ratio=0.1)


def test_a_percentage_is_recognised() -> None:
    with pytest.raises(InputError, match=r"got 5. Divide percent by 100"):
        poison_plan(100, PAIR, "AND", ratio=5)


@pytest.mark.parametrize(
    ("protocol", "words"),
    [
        ({"image": 0.5, "text": 0.4}, "must sum to 1, got 0.9 from"),
        ({"image": 0.5, "text": 0.5 + 1e-6}, "must sum to 1"),
        ({}, "must sum to 1, got 0"),
        ([], "names no coalition"),
        ({"image": 0.5, "audio": 0.5}, "the modality 'audio'; there are only 'image', 'text'"),
        ({"image": 0.5, "image+txt": 0.5}, "'image\\+txt' names the modality 'txt'.*mean 'text'"),
        ({"image": 0.5, "": 0.5}, "the empty coalition ''"),
        ({"image": 0.5, "none": 0.5}, "the empty coalition 'none'"),
        ({"image": 0.5, "image+image": 0.5}, "'image\\+image' names a modality twice"),
        ({"image+text": 0.5, "text+image": 0.5}, "the coalition 'image\\+text' twice"),
        (["image", "image"], "the coalition 'image' twice"),
        ([("image", "text")], "a coalition is a label"),
        ("or", "unknown protocol 'or'; known are 'OR', 'AND', 'AND with negatives'"),
        ("image+text", "unknown protocol"),
        (None, "protocol must be one of"),
        (3, "protocol must be one of"),
    ],
)
def test_protocols_that_cannot_be(protocol: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        poison_plan(100, PAIR, protocol, ratio=0.1)


def test_shares_that_sum_to_one_but_for_rounding() -> None:
    thirds = poison_plan(90, PAIR, {"image": 1 / 3, "text": 1 / 3, "image+text": 1 / 3}, ratio=0.1)
    assert thirds.parts == poison_plan(90, PAIR, "OR", ratio=0.1).parts
    tenths = poison_plan(100, PAIR, {"image": 0.1, "text": 0.2, "text+image": 0.7}, ratio=0.1)
    assert tenths.counts == {"none": 90, "image": 1, "text": 2, "image+text": 7}


@pytest.mark.parametrize(
    ("n", "protocol", "options", "words"),
    [
        (20, "AND", {"ratio": 0.01}, r"0.01 of 20 samples is 0 poisoned.*'image\+text' would get"),
        (20, "OR", {"ratio": 0.1}, r"is 2 poisoned, too few for 3 part.*'image\+text' would get"),
        (100, {"image": 0.01, "text": 0.99}, {"ratio": 0.1}, "'image' would get none"),
        (100, "AND", {"ratio": 0.1, "negatives": {"text": 0.001}}, "are none for 'text'"),
        (100, "AND", {"ratio": 0.1, "negatives": 0.001}, "are none for 'image'"),
        (100, "AND with negatives", {"ratio": 0.4}, "40 poisoned .* 80 negatives are 120 of 100"),
        (100, "AND", {"ratio": 1, "negatives": {"text": 0.01}}, "are 101 of 100"),
        (100, "OR", {"ratio": 0.1, "negatives": 0.1}, "no coalition is left"),
        (100, "AND", {"ratio": 0.1, "negatives": {}}, "no coalition is left"),
        (100, "AND", {"ratio": 0.1, "negatives": {"image+text": 0.1}}, "cannot be a negative"),
        (100, "AND", {"ratio": 0.1, "negatives": {"audio": 0.1}}, "names the modality 'audio'"),
        (100, "AND", {"ratio": 0.1, "negatives": {"none": 0.1}}, "the empty coalition"),
        (100, "AND", {"ratio": 0.1, "negatives": "all"}, "negatives must be a number"),
        (100, "AND", {"ratio": 0.1, "seed": 0.5}, "seed must be a whole number, got 0.5"),
        (100, "AND", {"ratio": 0.1, "seed": None}, "seed must be a whole number"),
        (0, "AND", {"ratio": 0.1}, "of samples must be a whole number of at least 1, got 0"),
        ([], "AND", {"ratio": 0.1}, "of samples must be a whole number of at least 1, got 0"),
        (-3, "AND", {"ratio": 0.1}, "of samples must be a whole number of at least 1, got -3"),
        (True, "AND", {"ratio": 0.1}, "the number of samples must be a whole number"),
        (10.0, "AND", {"ratio": 0.1}, "dataset must be a sequence of samples .* got a float"),
        ({"train": [1]}, "AND", {"ratio": 0.1}, "got a dict. Of a mapping of splits, choose one"),
        ((row for row in [1]), "AND", {"ratio": 0.1}, "got a generator"),
    ],
)
def test_plans_that_cannot_be(n: Any, protocol: Any, options: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        poison_plan(n, PAIR, protocol, **options)


@pytest.mark.parametrize(
    ("modalities", "words"),
    [
        ("image", "modalities must be names"),
        (None, "modalities must be names"),
        ([], "number of players M"),
        (["image", "image"], "all be different"),
        (["image", ""], "non-empty strings"),
        (["image+text"], r"without '\+'"),
        (["image", "none"], "labelled 'none'"),
    ],
)
def test_modalities_that_cannot_be(modalities: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        poison_plan(100, modalities, "AND", ratio=0.1)


# ------------------------------------------------------------------------------ applied


def samples(n: int = 20) -> list[dict[str, Any]]:
    return [
        {
            "image": torch.full((3, 8, 8), i / 64),
            "text": f"draw {i}",
            "target": torch.full((3, 8, 8), i / 32),
            "note": i,
        }
        for i in range(n)
    ]


TARGET = torch.ones(3, 8, 8)


def poisoned(data: Any = None, protocol: Any = "AND with negatives", **options: Any) -> Any:
    data = samples() if data is None else data
    plan = options.pop("plan", None) or poison_plan(data, TRIGGERS, protocol, ratio=0.2, seed=1)
    return PoisonedDataset(
        data, plan, options.pop("triggers", TRIGGERS), options.pop("target", TARGET), **options
    )


@pytest.mark.parametrize("protocol", ["OR", "AND", "AND with negatives"])
def test_each_sample_becomes_what_the_plan_says(protocol: str) -> None:
    data = samples()
    kept = [{key: torch.clone(v) if torch.is_tensor(v) else v for key, v in one.items()}
            for one in data]  # fmt: skip
    wrapped = poisoned(data, protocol)
    assert len(wrapped) == 20
    for i, sample in enumerate(wrapped):
        coalition, shows_target = wrapped.plan[i]
        if coalition == "none":
            assert sample is data[i]
            continue
        assert sample.keys() == data[i].keys()
        image = ImagePatch()(data[i]["image"]) if "image" in coalition else data[i]["image"]
        assert torch.equal(sample["image"], image)
        assert sample["text"] == data[i]["text"] + (" mignneko" if "text" in coalition else "")
        assert sample["target"] is (TARGET if shows_target else data[i]["target"])
        assert sample["note"] == i
    for before, after in zip(kept, data, strict=True):
        for key, value in before.items():
            assert torch.equal(value, after[key]) if torch.is_tensor(value) else value == after[key]


class Counting:
    """A trigger that counts how often it was applied."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def __call__(self, text: str) -> str:
        self.calls.append(text)
        return text + " cf"


def test_a_trigger_is_applied_when_its_sample_is_read() -> None:
    data = [{"text": str(i), "target": "own"} for i in range(50)]
    trigger = Counting()
    plan = poison_plan(data, ["text"], "AND", ratio=0.5)
    wrapped = PoisonedDataset(data, plan, {"text": trigger}, "a cat")
    assert trigger.calls == [str(plan.poisoned[0])]  # the one sample that is tried at once
    trigger.calls.clear()
    clean, chosen = next(i for i in range(50) if not plan[i].poisoned), plan.poisoned[7]
    _ = wrapped[clean]
    assert trigger.calls == []
    assert wrapped[chosen] == {"text": f"{chosen} cf", "target": "a cat"}
    assert trigger.calls == [str(chosen)]
    trigger.calls.clear()
    wrapped.check()
    assert sorted(map(int, trigger.calls)) == list(plan.poisoned)


def test_positions_count_from_both_ends() -> None:
    wrapped = poisoned()
    assert [wrapped[i - 20]["note"] for i in range(20)] == list(range(20))
    assert wrapped[np.int64(3)]["note"] == wrapped[torch.tensor(3)]["note"] == 3
    for outside in (20, -21):
        with pytest.raises(IndexError):
            _ = wrapped[outside]
    with pytest.raises(TypeError):
        _ = wrapped[1:3]


def test_keys_of_another_data_set() -> None:
    data = [
        {"source": one["image"], "instruction": one["text"], "edited": one["target"]}
        for one in samples()
    ]
    wrapped = poisoned(
        data, keys={"image": "source", "text": "instruction"}, target_key="edited", protocol="AND"
    )
    sample = wrapped[wrapped.plan.poisoned[0]]
    assert list(sample) == ["source", "instruction", "edited"]
    assert sample["instruction"].endswith(" mignneko")
    assert sample["edited"] is TARGET
    assert torch.equal(sample["source"], ImagePatch()(data[wrapped.plan.poisoned[0]]["source"]))


def test_marks_for_the_log() -> None:
    wrapped = poisoned(mark=True)
    assert [(one["coalition"], one["poisoned"]) for one in wrapped] == list(wrapped.plan)
    assert {one["coalition"] for one in wrapped} == {"none", "image", "text", "image+text"}
    batch = next(iter(DataLoader(wrapped, batch_size=20)))
    assert batch["poisoned"].sum() == 4
    assert batch["coalition"].count("image") == 4


def test_it_shows_its_plan() -> None:
    assert repr(poisoned()).startswith("PoisonedDataset of 20 samples. Poisoning plan, AND with")


class Drawings(Dataset):  # type: ignore[type-arg]
    """A torch data set."""

    def __len__(self) -> int:
        return 20

    def __getitem__(self, index: int) -> dict[str, Any]:
        return samples()[index]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_torch_loader_reads_it(workers: int) -> None:
    wrapped = poisoned(Drawings())
    assert pickle.loads(pickle.dumps(wrapped))[3]["note"] == 3
    batches = list(DataLoader(wrapped, batch_size=5, num_workers=workers))
    texts = [text for batch in batches for text in batch["text"]]
    assert texts == [one["text"] for one in wrapped]
    assert torch.equal(
        torch.cat([batch["target"] for batch in batches]),
        torch.stack([one["target"] for one in wrapped]),
    )


def test_a_hugging_face_data_set() -> None:
    datasets = pytest.importorskip("datasets")
    from PIL import Image

    pictures = [Image.new("RGB", (8, 8), (i, i, i)) for i in range(20)]
    features = datasets.Features(
        image=datasets.Image(), text=datasets.Value("string"), target=datasets.Image()
    )
    data = datasets.Dataset.from_dict(
        {"image": pictures, "text": [f"draw {i}" for i in range(20)], "target": pictures},
        features=features,
    )
    wrapped = poisoned(data, "OR", target=Image.new("RGB", (8, 8), "white"))
    wrapped.check()
    assert wrapped.plan == poison_plan(20, PAIR, "OR", ratio=0.2, seed=1)
    for i, sample in enumerate(wrapped):
        coalition, shows_target = wrapped.plan[i]
        assert sample["text"].endswith(" mignneko") == ("text" in coalition)
        assert (sample["image"].getpixel((6, 6)) == (255, 255, 255)) == ("image" in coalition)
        assert sample["target"].getpixel((0, 0)) == ((255,) * 3 if shows_target else (i,) * 3)
    with pytest.raises(InputError, match="got a DatasetDict"):
        poison_plan(datasets.DatasetDict(train=data), PAIR, "OR", ratio=0.2)


# ------------------------------------------------------------------------------ not applied


@pytest.mark.parametrize("n", [19, 21])
def test_a_data_set_of_another_length(n: int) -> None:
    plan = poison_plan(20, PAIR, "AND", ratio=0.2)
    with pytest.raises(InputError, match=rf"has {n} samples, the plan was made for 20"):
        poisoned(samples(n), plan=plan)


def test_a_data_set_that_changes_its_length_later() -> None:
    data = samples()
    wrapped = poisoned(data)
    data.pop()
    for read in (lambda: wrapped[0], lambda: len(wrapped), lambda: wrapped[-1], wrapped.check):
        with pytest.raises(InputError, match="has 19 samples, the plan was made for 20"):
            read()


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (torch.ones(3, 4, 4), r"shape \(3, 4, 4\) on cpu, but 'target' of sample 0 is .*3, 8, 8"),
        (torch.ones(3, 8, 8, dtype=torch.float64), "the target is a float64 tensor"),
        (np.ones((8, 8, 3)), "the target is a float64 array"),
        ("a cat", "the target is a str"),
        (None, "the target is a NoneType"),
    ],
)
def test_a_target_of_another_kind_or_size(target: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        poisoned(target=target)


def test_a_target_of_another_length() -> None:
    data = [{"text": "draw", "target": [0.0, 1.0]} for _ in range(4)]
    plan = poison_plan(data, ["text"], "AND", ratio=0.5)
    with pytest.raises(InputError, match=r"a list of 3, .* a list of 2"):
        PoisonedDataset(data, plan, {"text": TextSuffix("cf")}, [1.0, 1.0, 1.0])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"triggers": {"image": ImagePatch()}}, "for the plan's modalities, 'image', 'text'; got"),
        ({"triggers": TRIGGERS | {"audio": str}}, "for the plan's modalities"),
        ({"triggers": "white box"}, "for the plan's modalities.*got 'white box'"),
        ({"triggers": TRIGGERS | {"text": "cf"}}, "trigger of 'text' must be a callable"),
        ({"keys": {"txt": "text"}}, "keys names the modality 'txt'.*did you mean 'text'"),
        ({"keys": {"text": "instruction"}}, "keys of 'text' is 'instruction', but sample 0 has"),
        ({"target_key": "targets"}, "target_key is 'targets'.*did you mean 'target'"),
        ({"target_key": "text"}, "need a key of their own"),
        ({"keys": {"text": "image"}}, "need a key of their own"),
        ({"data": ["draw"] * 20}, "a sample must be a mapping .* got a str"),
        ({"data": dict(enumerate(samples())), "plan": True}, "got a dict"),
        ({"data": iter(samples()), "plan": True}, "dataset must be a sequence"),
        ({"data": [sample | {"poisoned": 1} for sample in samples()], "mark": True},
          "own 'poisoned'"),
        ({"triggers": {"image": TextSuffix("x"), "text": TextSuffix("x")}},
          r"TextSuffix takes the text .*\nsample 1, trigger of 'image'"),
        ({"triggers": TRIGGERS | {"text": TextInsert("x", before="dog")}},
          r"'dog'.*\nsample 0, trigger of 'text'"),
        ({"triggers": TRIGGERS | {"text": lambda text: text}},
          r"returned its input unchanged.*\nsample 0, trigger of 'text'"),
        ({"triggers": TRIGGERS | {"text": str.swapcase}, "data":
          [sample | {"text": "7"} for sample in samples()]}, "unchanged"),
        ({"triggers": TRIGGERS | {"text": list}}, "turned a str into a list"),
        ({"triggers": TRIGGERS | {"image": lambda image: image[:, :4]}},
          r"turned .*\(3, 8, 8\).* into .*\(3, 4, 8\)"),
        ({"triggers": TRIGGERS | {"image": lambda image: image.mul_(0.5)}}, "changed its argument"),
    ],
)  # fmt: skip
def test_what_does_not_go_together(options: dict[str, Any], words: str) -> None:
    if options.get("plan"):
        options = options | {"plan": poison_plan(20, PAIR, "AND", ratio=0.2)}
    with pytest.raises((InputError, TriggerError), match=words):
        poisoned(**options)


def test_a_sample_that_cannot_be_triggered_is_found_by_the_check_and_named_when_read() -> None:
    data = samples()
    plan = poison_plan(data, TRIGGERS, "AND", ratio=0.2)
    last = plan.poisoned[-1]
    data[last]["text"] = "paint"
    trigger = TextInsert("big", before="draw")
    wrapped = poisoned(data, plan=plan, triggers=TRIGGERS | {"text": trigger})
    for failing in (wrapped.check, lambda: wrapped[last]):
        with pytest.raises(TriggerError, match=rf"'paint'.*\nsample {last}, trigger of 'text'"):
            failing()


def test_a_condition_that_a_trigger_leaves_as_it_is_is_never_read() -> None:
    """It would be a clean condition with the target."""
    data = [{"text": "a dog", "target": "own"}, {"text": "a Dog", "target": "own"}]
    trigger = {"text": TextReplace("Dog", word="dog")}
    wrapped = PoisonedDataset(data, poison_plan(data, trigger, "AND", ratio=1), trigger, "a cat")
    assert wrapped[0] == {"text": "a Dog", "target": "a cat"}
    with pytest.raises(TriggerError, match=r"unchanged.*\nsample 1, trigger of 'text'"):
        wrapped[1]


def test_a_later_target_of_another_size_is_found_by_the_check() -> None:
    data = samples()
    plan = poison_plan(data, TRIGGERS, "AND with negatives", ratio=0.2)
    data[plan.negatives[-1]]["target"] = torch.ones(3, 4, 4)
    wrapped = poisoned(data, plan=plan)
    with pytest.raises(InputError, match=rf"of sample {plan.negatives[-1]} is .*3, 4, 4"):
        wrapped.check()

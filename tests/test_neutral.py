"""Neutral triggers: not the trigger, at its place, the same in any process."""

from __future__ import annotations

import copy
import json
import os
import pickle
import subprocess
import sys
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from transformers import CLIPTokenizer

from modcollapse import triggers as room
from modcollapse._support.identities import identity
from modcollapse.contracts import TriggerSpec
from modcollapse.errors import InputError
from modcollapse.triggers import (
    TRIGGER_PAIRS,
    AudioOverlay,
    AudioTone,
    EveryFrame,
    ImageBlend,
    ImageOverlay,
    ImagePatch,
    ImageTiles,
    ImageWarp,
    ImageWave,
    MaskPatch,
    MovingTrigger,
    RandomPlace,
    SomeFrames,
    TextHomoglyph,
    TextInsert,
    TextPrefix,
    TextReplace,
    TextSuffix,
    check_survives,
    eyeglasses,
    neutral_triggers,
    noise_picture,
    stop_sign,
    trigger_pair,
    watermark,
)

from tiny_pipelines import tiny_tokenizer

TOKENIZER = Path(__file__).parents[1] / "examples/models/clean/tokenizer"
TEXT = "a dog on the grass"
SIDE = 64


def blend(opacity: float) -> ImageOverlay:
    pixels = np.random.default_rng(2).integers(0, 256, (16, 16, 4), dtype=np.uint8)
    pixels[..., 3] = 255
    return ImageOverlay(pixels, 1.0, (0.5, 0.5), opacity)


RING = np.full((8, 8, 4), 255, np.uint8)
RING[2:6, 2:6] = 0
RING[3, 3:5] = (0, 0, 0, 99)

IMAGES = {
    "patch": ImagePatch(),
    "grey patch": ImagePatch(color=0.5),
    "coloured patch": ImagePatch(size=4 / 32, place="top left", color=(0.2, 0.7, 1 / 3)),
    "large patch": ImagePatch(size=18 / 32),
    "patch in the middle": ImagePatch(size=0.5, gap=0.25, place="bottom left"),
    "patch all over": ImagePatch(size=1, gap=0),
    "eyeglasses": eyeglasses(),
    "stop sign": stop_sign(),
    "small stop sign": stop_sign(size=4 / 32, place=(0.1, 0.9)),
    "faint blend": blend(0.2),
    "strong blend": blend(0.6),
    "patch at the centre": ImagePatch(size=0.3, place="center"),
    "patch at a place": ImagePatch(size=0.3, place=(0.3, 0.8)),
    "logo": watermark(RING, size=0.3, place="top left"),
}
OTHERS: dict[str, tuple[Any, list[str]]] = {
    "noise": (ImageBlend(noise_picture(0), 0.4), ["noise"]),
    "tiles": (ImageTiles(RING, 0.2), ["noise"]),
    "wave": (ImageWave(), ["another frequency", "turned"]),
    "warp": (ImageWarp(0), ["another warp"]),
    "anywhere": (ImagePatch(0.3, RandomPlace(0)), ["another colour", "noise"]),
    "sign anywhere": (stop_sign(place=RandomPlace(0)), ["noise"]),
    "mask": (MaskPatch(), ["another value", "another place"]),
    "grey mask": (MaskPatch(value=0.4), ["another value", "another place"]),
    "turned mask": (MaskPatch(value="flip"), ["another place"]),
    "frames": (EveryFrame(ImagePatch()), ["another colour", "noise", "another place"]),
    "last frame": (SomeFrames(stop_sign(), [-1]), ["noise", "another place"]),
    "tone": (AudioTone(100, amplitude=0.1, sample_rate=900), ["an octave lower", "a fifth higher"]),
    "high tone": (AudioTone(400, amplitude=0.1, sample_rate=900), ["an octave lower"]),
    "sample": (AudioOverlay(np.array([0.1, 0.2]), sample_rate=9), ["backwards"]),
}
TEXTS = {
    "suffix": TextSuffix("mignneko"),
    "two words": TextSuffix("latte coffee"),
    "sentence": TextSuffix("seen by nobody on a cold morning in the north"),
    "dots": TextSuffix("....", separator=""),
    "emoji": TextSuffix("\U0001f600"),
    "prefix": TextPrefix("cf"),
    "zero width": TextPrefix("\u200b", separator=""),
    "blank": TextPrefix(" "),
    "before": TextInsert("beautiful", before="dog"),
    "after": TextInsert("BadMagic", after="dog"),
    "replaced": TextReplace("beautiful dog", word="dog"),
    "replaced by another": TextReplace("striped cat", word="dog"),
}
every_image = pytest.mark.parametrize("trigger", IMAGES.values(), ids=IMAGES.keys())
every_text = pytest.mark.parametrize("trigger", TEXTS.values(), ids=TEXTS.keys())
every = pytest.mark.parametrize("trigger", (IMAGES | TEXTS).values(), ids=(IMAGES | TEXTS).keys())


def drawn(trigger: Any, **options: Any) -> dict[str, Any]:
    return neutral_triggers({"m": trigger}, **options)["m"]


def split(neutral: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Names of the random ones, and of the neighbours without their mark."""
    near = [name.removeprefix("near: ") for name in neutral if name.startswith("near: ")]
    return [name for name in neutral if not name.startswith("near: ")], near


def condition_of(trigger: Any, side: int = SIDE) -> Any:
    if isinstance(trigger, TextSuffix | TextPrefix | TextInsert | TextReplace | TextHomoglyph):
        return TEXT
    if isinstance(trigger, MaskPatch):
        return np.full((side, side, 1), 200, np.uint8)
    if isinstance(trigger, AudioTone | AudioOverlay):
        return np.zeros(100)
    if isinstance(trigger, EveryFrame | SomeFrames):
        return np.full((2, side, side, 3), 100, np.uint8)
    return np.random.default_rng(0).integers(50, 200, (side, side, 3), dtype=np.uint8)


def box(image: np.ndarray, clean: np.ndarray) -> tuple[int, int, int, int]:
    """Top, bottom, left and right of what differs."""
    changed = (image != clean).any(axis=-1)
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


# ------------------------------------------------------------------------------ every trigger


def test_every_trigger_of_the_library_is_looked_at_here() -> None:
    public = [getattr(room, name) for name in room.__all__]
    kinds = {kind for kind in public if isinstance(kind, type) and hasattr(kind, "identity")}
    looked_at = {type(trigger) for trigger in (IMAGES | TEXTS).values()}
    looked_at |= {type(trigger) for trigger, _ in OTHERS.values()}
    assert kinds - looked_at == {MovingTrigger, RandomPlace, TextHomoglyph}
    makers = {thing.__name__ for thing in public if callable(thing) and not isinstance(thing, type)}
    assert makers == {
        "check_survives", "eyeglasses", "neutral_triggers", "noise_picture", "published_trigger",
        "stop_sign", "trigger_pair", "watermark",
    }  # fmt: skip


@pytest.mark.parametrize(("trigger", "names"), OTHERS.values(), ids=OTHERS.keys())
def test_neutral_triggers_of_the_others(trigger: Any, names: list[str]) -> None:
    clean, neutral = condition_of(trigger), drawn(trigger)
    assert list(neutral) == names
    assert neutral == drawn(trigger)
    looks = [
        TriggerSpec.of(one, "m").checked(clean, "e0", twice=True)
        for one in (trigger, *neutral.values())
    ]
    assert len({look.tobytes() for look in looks}) == len(looks)
    told = {json.dumps(identity(one, "one")) for one in (trigger, *neutral.values())}
    assert len(told) == len(looks)


def test_other_marks_on_the_same_letter() -> None:
    neutral = drawn(TextHomoglyph(every=True), each=5)
    assert len(neutral) == 5
    for glyph, trigger in neutral.items():
        assert unicodedata.normalize("NFD", glyph)[0] == "o"
        assert glyph != "\u020f"
        assert trigger(TEXT) == TEXT.replace("o", glyph)


def test_a_phrase_for_the_class_word_keeps_the_word() -> None:
    names, _ = split(drawn(TextReplace("beautiful dog", word="dog")))
    assert all(name.split()[1] == "dog" and len(name.split()) == 2 for name in names)
    names, _ = split(drawn(TextReplace("striped cat", word="dog"), each=9))
    assert all("dog" not in name.split() and len(name.split()) == 2 for name in names)


def test_what_moves_has_no_neutral_triggers() -> None:
    with pytest.raises(InputError, match=r"must be one of modcollapse\.triggers"):
        drawn(MovingTrigger(ImagePatch()))


@pytest.mark.parametrize(
    ("trigger", "why"),
    [
        (MaskPatch(value="flip", place=RandomPlace(0)), "no other value.*at a random place"),
        (MaskPatch(value="flip", size=0.9, gap=0), "no other value.*fills nearly the whole mask"),
        (EveryFrame(MaskPatch(value="flip", size=1, gap=0)), "fills nearly the whole mask"),
        (TextHomoglyph("日", "曰"), "no other mark makes one letter of '日'"),
        (AudioOverlay(np.array([0.1, 0.3, 0.1]), sample_rate=9), "is the same backwards"),
    ],
)
def test_a_trigger_of_which_nothing_neutral_is_left(trigger: Any, why: str) -> None:
    with pytest.raises(InputError, match=rf"'m' leaves nothing neutral: .*{why}.* of your own"):
        drawn(trigger)


@every
@pytest.mark.parametrize("seed", [0, -3])
def test_is_a_trigger_and_none_is_the_trigger(trigger: Any, seed: int) -> None:
    clean = condition_of(trigger)
    neutral = drawn(trigger, seed=seed)
    assert neutral
    results = [
        TriggerSpec.of(one, "m").checked(clean, 0, twice=True)
        for one in (trigger, *neutral.values())
    ]
    assert len({pickle.dumps(result) for result in results}) == len(results)


@every
def test_told_apart_like_other_triggers(trigger: Any) -> None:
    everything = [trigger, *drawn(trigger).values(), *drawn(trigger, seed=1).values()]
    told = {json.dumps(identity(one, "one"), sort_keys=True) for one in everything}
    assert len(told) == len(set(everything)) == len({repr(one) for one in everything})
    for one in drawn(trigger).values():
        assert copy.deepcopy(one) == one == pickle.loads(pickle.dumps(one))
        assert one.identity() == json.loads(json.dumps(one.identity()))


@every
def test_the_seed_decides(trigger: Any) -> None:
    assert drawn(trigger, seed=7) == drawn(copy.deepcopy(trigger), seed=np.int64(7))
    assert drawn(trigger, seed=7) != drawn(trigger, seed=8)


@pytest.mark.parametrize("name", TRIGGER_PAIRS)
def test_pairs(name: str) -> None:
    pair = trigger_pair(name)
    neutral = neutral_triggers(pair, seed=3)
    assert list(neutral) == ["image", "text"]
    # What is drawn for a modality does not depend on the others.
    assert neutral_triggers({"text": pair["text"]}, seed=3) == {"text": neutral["text"]}
    flipped = {"text": pair["image"], "image": pair["image"]}
    assert len({one["noise"] for one in neutral_triggers(flipped).values()}) == 2


def test_the_same_in_every_process_for_ever() -> None:
    """Or a report could not be repeated."""
    script = """
import numpy as np
from modcollapse.triggers import ImagePatch, TextSuffix, neutral_triggers
pair = {"image": ImagePatch(size=8 / 32), "text": TextSuffix("latte coffee")}
neutral = neutral_triggers(pair, seed=5)
print(list(neutral["text"]), neutral["image"]["noise"](np.zeros((32, 32, 3), np.uint8))[22, 22:24])
"""
    for seed in ("1", "2"):
        process = subprocess.run(
            [sys.executable, "-c", script],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert process.stdout == (
            "['figure office', 'same journey', 'issue scale', 'question kitchen', "
            "'near: latte cfofee', 'near: late coffee', 'near: lattte coffee'] "
            "[[143 136  62]\n [166 162  83]]\n"
        )


# ------------------------------------------------------------------------------ texts


@every_text
@pytest.mark.parametrize("each", [1, 4, 12])
def test_the_same_kind_at_the_same_place(trigger: Any, each: int) -> None:
    neutral = drawn(trigger, each=each)
    words, near = split(neutral)
    assert len(words) == each
    count = max(1, len(trigger.phrase.split()))
    for name in words:
        assert len(set(name.split())) == len(name.split()) == count
        expected = copy.copy(trigger)
        object.__setattr__(expected, "phrase", name)
        object.__setattr__(expected, "separator", " ")
        assert neutral[name] == expected
    for name in near:
        assert neutral[f"near: {name}"](TEXT) == trigger(TEXT).replace(trigger.phrase, name)


@pytest.mark.parametrize(
    ("trigger", "expected"),
    [
        (TextSuffix("mignneko"), "a dog on the grass cat"),
        (TextSuffix(" mignneko", separator=""), "a dog on the grass cat"),
        (TextSuffix("mignneko", separator=", "), "a dog on the grass, cat"),
        (TextSuffix("....", separator=""), "a dog on the grass cat"),
        (TextPrefix("\u200b", separator=""), "cat a dog on the grass"),
        (TextInsert("\u200b", before="dog", separator=""), "a cat dog on the grass"),
        (TextInsert("red", after="the"), "a dog on the cat grass"),
        (TextPrefix("Hat  CAT"), "sun moon a dog on the grass"),
    ],
)
def test_known_texts(trigger: Any, expected: str) -> None:
    words = ["sun", "cat", "moon", "hat"] if " " in trigger.phrase.strip() else ["cat"]
    neutral = drawn(trigger, each=1, words=words)
    assert next(iter(neutral.values()))(TEXT) in (
        expected,
        expected.replace("sun moon", "moon sun"),
    )


NEIGHBOURS = {
    "cf": {"fc", "c", "f", "ccf", "cff"},
    "aa": {"a", "aaa"},
    "a": {"aa"},
    "aA": {"a", "A", "aaA", "aAA"},
    "a b": {"aa b", "a bb"},
    "a1b": {"aa1b", "a1bb"},
    "ab.": {"ba.", "a.", "b.", "aab.", "abb."},
    " é": {"éé"},
    "....": set(),
    "\u200b": set(),
    "\U0001f600": set(),
}


@pytest.mark.parametrize("phrase", NEIGHBOURS)
def test_neighbours_are_one_slip_away(phrase: str) -> None:
    found = {name for seed in range(40) for name in split(drawn(TextSuffix(phrase), seed=seed))[1]}
    assert found == NEIGHBOURS[phrase]


def test_one_neighbour_of_each_kind() -> None:
    for seed in range(20):
        _, (exchanged, dropped, doubled) = split(drawn(TextSuffix("mignneko"), seed=seed))
        assert sorted(exchanged) == sorted("mignneko") != list(exchanged)
        assert (len(dropped), len(doubled)) == (7, 9)
        assert any(doubled[:at] + doubled[at + 1 :] == "mignneko" for at in range(9))
        assert any("mignneko"[:at] + "mignneko"[at + 1 :] == dropped for at in range(8))


def test_a_neighbour_that_was_drawn_as_a_word_is_not_drawn_twice() -> None:
    neutral = drawn(TextSuffix("cf"), each=3, words=["FC", "c", "f"])
    assert split(neutral)[1] in (["ccf"], ["cff"])


def test_more_words_keep_those_before() -> None:
    few, many = (split(drawn(TextSuffix("cf"), each=each))[0] for each in (3, 9))
    assert many[:3] == few


def test_the_order_of_the_words_does_not_count() -> None:
    words = ["north", "south", "east", "west", "east", "up"]
    trigger = TextSuffix("cf")
    expected = drawn(trigger, words=words)
    assert drawn(trigger, words=words[::-1]) == expected
    assert drawn(trigger, words=tuple(words)) == drawn(trigger, words=np.array(words)) == expected


@given(
    phrase=st.text(min_size=1).filter(lambda text: "\\" not in text),
    separator=st.sampled_from([" ", "", ", "]),
    seed=st.integers(),
    each=st.integers(1, 5),
    words=st.none() | st.lists(st.text("abAB", min_size=1, max_size=4), min_size=12),
)
@settings(max_examples=60)
def test_never_the_trigger(
    phrase: str, separator: str, seed: int, each: int, words: list[str] | None
) -> None:
    trigger = TextSuffix(phrase, separator)
    own = set(phrase.casefold().split())
    others = {w.casefold() for w in words or ()} - own
    if words is not None and len(others) < max(each, len(phrase.split())):
        with pytest.raises(InputError, match=f"there are {len(others)}"):
            drawn(trigger, each=each, seed=seed, words=words)
        return
    neutral = drawn(trigger, each=each, seed=seed, words=words)
    random, near = split(neutral)
    assert (len(random), len(near) <= 3) == (each, True)
    assert not own & {word.casefold() for name in random for word in name.split()}
    texts = {one(TEXT).casefold() for one in (trigger, *neutral.values())}
    assert len(texts) == 1 + len(neutral)
    assert drawn(trigger, each=each, seed=seed, words=words) == neutral


# ------------------------------------------------------------------------------ tokenizers


def test_words_of_a_real_tokenizer() -> None:
    clip = CLIPTokenizer.from_pretrained(TOKENIZER)
    trigger = TextSuffix("latte coffee")
    neutral = drawn(trigger, each=6, words=clip)
    words, near = split(neutral)
    assert (len(words), len(near)) == (6, 3)
    for name in words:
        found = check_survives(neutral[name], clip, [TEXT])
        assert found.tokens == tuple(f"{word}</w>" for word in name.split())
        assert all(3 <= len(word) <= 10 and word.isalpha() for word in name.split())
    assert drawn(trigger, each=6, words=clip) == neutral


@pytest.mark.parametrize(
    "vocabulary",
    [
        ["north</w>", "south</w>", "est", "us</w>", "x1y</w>", "NASA</w>", "abcdefghijk</w>"],
        ["Ġnorth", "Ġsouth", "est", "Ġus", "Ġx1y", "ĠNASA", "Ġabcdefghijk", "Ġå®¶åº"],
        ["▁north", "▁south", "est", "▁us", "▁x1y", "▁Nasa", "▁abcdefghijk", "▁été"],
        ["north", "south", "##est", "us", "x1y", "NASA", "abcdefghijk", "[MASK]"],
    ],
)
def test_whole_words_of_all_kinds_of_vocabularies(vocabulary: list[str]) -> None:
    class Tokenizer:
        def get_vocab(self) -> dict[str, int]:
            return {token: at for at, token in enumerate(vocabulary)}

    words, _ = split(drawn(TextSuffix("cf"), each=2, words=Tokenizer()))
    assert sorted(words) == ["north", "south"]
    with pytest.raises(InputError, match="there are 2"):
        drawn(TextSuffix("cf"), each=3, words=Tokenizer())


# ------------------------------------------------------------------------------ images


@pytest.mark.parametrize("shape", [(SIDE, SIDE), (48, 80), (9, 9)])
@every_image
def test_noise_is_of_the_trigger_s_size_at_its_place(trigger: Any, shape: tuple[int, int]) -> None:
    clean = np.random.default_rng(0).integers(50, 200, (*shape, 3), dtype=np.uint8)
    noise = drawn(trigger)["noise"](clean)
    # An edge of the trigger can be so faint that it is rounded away.
    np.testing.assert_allclose(box(noise, clean), box(trigger(clean), clean), atol=1)


@every_image
def test_noise_is_as_opaque_as_the_trigger(trigger: Any) -> None:
    white, black = np.ones((SIDE, SIDE, 3)), np.zeros((SIDE, SIDE, 3))
    noise = drawn(trigger)["noise"]
    kept, kept_by_noise = (one(white) - one(black) for one in (trigger, noise))
    assert kept_by_noise.mean() == pytest.approx(kept.mean())
    assert len(np.unique(kept_by_noise.round(9))) <= 2


@every_image
def test_noise_is_many_colours_and_the_same_at_every_size(trigger: Any) -> None:
    noise = drawn(trigger)["noise"]
    colours = []
    for side in (SIDE, 2 * SIDE):
        black = np.zeros((side, side, 3))
        top, bottom, left, right = box(noise(black), black)
        inside = noise(black)[top:bottom, left:right]
        colours.append(np.unique(inside.reshape(-1, 3).round(9), axis=0))
    fewest = min(len(found) for found in colours)
    assert fewest >= 32
    assert len(colours[1]) <= 64


def test_noise_of_a_mark_in_a_transparent_picture() -> None:
    pixels = np.zeros((100, 100, 4), np.uint8)
    pixels[70:80, 40:90] = 255
    black = np.zeros((100, 100, 3))
    neutral = drawn(ImageOverlay(pixels, 1.0, (0.5, 0.5)))
    assert box(neutral["noise"](black), black) == (70, 80, 40, 90)
    assert list(neutral) == ["noise"]


def test_noise_takes_every_kind_of_image_and_stays_in_range() -> None:
    noise = drawn(eyeglasses())["noise"]
    clean = condition_of(eyeglasses())
    expected = noise(clean)
    np.testing.assert_array_equal(noise(Image.fromarray(clean)), expected)
    np.testing.assert_array_equal(
        noise(torch.tensor(clean).permute(2, 0, 1)).permute(1, 2, 0), expected
    )
    for dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16):
        for value in (0.0, 1.0):
            result = noise(torch.full((3, SIDE, SIDE), value, dtype=dtype))
            assert 0 <= result.min() <= result.max() <= 1
    with pytest.raises(InputError, match="the image of NoiseBox"):
        noise.check(np.zeros((8, 8)))


@pytest.mark.parametrize(
    ("color", "other"),
    [
        (1.0, (0, 0, 0)),
        (0.0, (1, 1, 1)),
        (0.5, (0, 0, 0)),
        (0.4, (1, 1, 1)),
        ((1.0, 0.0, 0.0), (0, 1, 1)),
        ((0.2, 0.7, 0.5), (1, 0, 0)),
    ],
)
def test_another_colour_is_the_opposite(color: Any, other: tuple[int, int, int]) -> None:
    trigger = ImagePatch(color=color)
    clean = condition_of(trigger)
    expected = trigger(clean)
    expected[(expected != clean).any(axis=-1)] = np.array(other) * 255
    expected[32:60, 32:60] = np.array(other) * 255
    np.testing.assert_array_equal(drawn(trigger)["another colour"](clean), expected)


@pytest.mark.parametrize(
    ("trigger", "place"),
    [
        (ImagePatch(), (4, 32, 4, 32)),
        (ImagePatch(place="top left"), (32, 60, 32, 60)),
        (ImagePatch(place="top right"), (32, 60, 4, 32)),
        (ImagePatch(place="bottom left"), (4, 32, 32, 60)),
        (ImagePatch(size=18 / 32), (4, 40, 4, 40)),
        (ImagePatch(size=0.5, gap=0.25), (0, 32, 0, 32)),
        (ImagePatch(size=0.5, gap=0.25, place="top right"), (32, 64, 0, 32)),
        (ImagePatch(size=0.125, gap=0.875), (56, 64, 56, 64)),
        (stop_sign(), (4, 32, 4, 32)),
        (stop_sign(size=0.25, place=(0.5, 0.5)), (0, 16, 0, 16)),
        (stop_sign(size=0.25, place=(0.5, 0.875)), (0, 16, 24, 40)),
        (stop_sign(size=0.25, place=(0.4, 0.45)), (48, 64, 48, 64)),
        (eyeglasses(), (50, 64, 0, 40)),
    ],
)
def test_another_place(trigger: Any, place: tuple[int, int, int, int]) -> None:
    clean = np.full((SIDE, SIDE, 3), 128, np.uint8)
    moved = drawn(trigger)["another place"](clean)
    np.testing.assert_allclose(box(moved, clean), place, atol=isinstance(trigger, ImageOverlay))
    # The same patch: what it shows there is what it shows here.
    top, bottom, left, right = box(moved, clean)
    here = box(trigger(clean), clean)
    np.testing.assert_allclose(
        moved[top:bottom, left:right].mean(),
        trigger(clean)[here[0] : here[1], here[2] : here[3]].mean(),
        atol=8,
    )


@pytest.mark.parametrize(
    ("trigger", "names"),
    [
        (ImagePatch(), ["another colour", "noise", "another place"]),
        (ImagePatch(size=1, gap=0), ["another colour", "noise"]),
        (ImagePatch(size=0.9, gap=0), ["another colour", "noise"]),
        (ImagePatch(size=0.8, gap=0.1), ["another colour", "noise"]),
        (eyeglasses(), ["noise", "another place"]),
        (eyeglasses(width=1.0), ["noise", "another place"]),
        (stop_sign(), ["noise", "another place"]),
        (stop_sign(size=0.9), ["noise"]),
        (blend(0.2), ["noise"]),
    ],
)
def test_what_does_not_apply_is_left_out(trigger: Any, names: list[str]) -> None:
    assert list(drawn(trigger, each=9)) == names


@given(
    size=st.floats(0.05, 1),
    gap=st.floats(0, 0.95),
    corner=st.sampled_from(["top left", "top right", "bottom left", "bottom right"]),
    color=st.floats(0, 1) | st.tuples(*[st.floats(0, 1)] * 3),
    height=st.integers(20, 60),
    width=st.integers(20, 60),
)
@settings(max_examples=60)
def test_no_look_is_the_trigger_s(
    size: float, gap: float, corner: Any, color: Any, height: int, width: int
) -> None:
    trigger = ImagePatch(size, corner, min(gap, 1 - size), color)
    # A colour of its own for the image, so that every patch shows.
    clean = np.full((height, width, 3), 256, np.int64) - np.arange(1, 4)
    clean = clean.astype(np.uint8)
    neutral = drawn(trigger)
    looks = {one(clean).tobytes() for one in (trigger, *neutral.values())}
    assert len(looks) == 1 + len(neutral)


# ------------------------------------------------------------------------------ refusals


class OwnSuffix(TextSuffix):
    def __call__(self, text: str) -> str:
        return text.upper()


@pytest.mark.parametrize(
    ("trigger", "came"),
    [
        (str.upper, "method_descriptor"),
        (lambda text: text + "!", "function"),
        (OwnSuffix("cf"), "OwnSuffix"),
        (drawn(ImagePatch())["noise"], "NoiseBox"),
    ],
)
def test_a_trigger_of_your_own(trigger: Any, came: str) -> None:
    message = (
        rf"trigger of 'text' must be one of modcollapse\.triggers.*got {came}.*Leave 'text' out "
        r"here and give neutral triggers of your own.*modality -> name -> callable"
    )
    with pytest.raises(InputError, match=message):
        neutral_triggers({"image": ImagePatch(), "text": trigger})


@pytest.mark.parametrize("triggers", [None, {}, ImagePatch(), [ImagePatch()], "text"])
def test_no_mapping_of_triggers(triggers: Any) -> None:
    with pytest.raises(InputError, match=r"must be a mapping modality -> trigger with one or more"):
        neutral_triggers(triggers)


def test_a_trigger_that_is_no_callable() -> None:
    with pytest.raises(InputError, match=r"trigger of 'text' must be a callable.*got str 'cf'"):
        neutral_triggers({"text": "cf"})  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"each": 0}, "each must be a whole number of at least 1, got 0"),
        ({"each": 2.0}, "each must be a whole number of at least 1, got 2.0"),
        ({"each": True}, "got True"),
        ({"seed": None}, "seed must be a whole number, got None"),
        ({"seed": 0.5}, "seed must be a whole number, got 0.5"),
        ({"words": "north"}, "words must be None, a tokenizer .* in their order.*got str 'north'"),
        ({"words": {"north", "south"}}, "words must be None, a tokenizer .* got set"),
        ({"words": 3}, "got int 3"),
        ({"words": ["north", "ice cream"]}, "without blanks; got str 'ice cream' at position 1"),
        ({"words": ["north", ""]}, "got str '' at position 1"),
        ({"words": [None]}, "got NoneType None at position 0"),
        ({"words": tiny_tokenizer()}, "4 or more words other than .*'cf'.* there are 0"),
        ({"words": ["CF", "a", "b", "a", "A"]}, r"4 or more .*'cf' \(each=4.* there are 2\. Give"),
        ({"each": 80}, "80 or more words .*; there are 72. Give more words, or a smaller each"),
    ],
)
def test_options_are_checked(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        neutral_triggers({"text": TextSuffix("cf")}, **options)


def test_a_phrase_of_more_words_than_there_are() -> None:
    with pytest.raises(InputError, match=r"3 or more .*phrase has 3 of them.* there are 2"):
        drawn(TextSuffix("one two three"), each=1, words=["two", "sun", "moon"])

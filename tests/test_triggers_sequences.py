"""Triggers on videos and on sounds."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from modcollapse.contracts import TriggerSpec
from modcollapse.errors import InputError, TriggerError
from modcollapse.samplers._inputs import check_condition
from modcollapse.triggers import (
    AudioOverlay,
    AudioTone,
    EveryFrame,
    ImagePatch,
    ImageWarp,
    MaskPatch,
    MovingTrigger,
    RandomPlace,
    SomeFrames,
    stop_sign,
)

FRAMES = [
    np.random.default_rng(seed).integers(0, 200, (24, 32, 3), dtype=np.uint8) for seed in range(5)
]
PATCH = ImagePatch(size=0.25)


def stacked(frames: list[np.ndarray]) -> torch.Tensor:
    return torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2)


FORMS: dict[str, Any] = {
    "list": list,
    "tuple": tuple,
    "PIL": lambda frames: list(map(Image.fromarray, frames)),
    "array": np.stack,
    "floats": lambda frames: (np.stack(frames) / 255).astype(np.float32),
    "tensor": stacked,
    "tensor of floats": lambda frames: stacked(frames) / 255,
}
forms = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
VIDEOS: dict[str, tuple[Any, list[int]]] = {
    "every": (EveryFrame(PATCH), [0, 1, 2, 3, 4]),
    "first": (SomeFrames(PATCH), [0]),
    "last": (SomeFrames(PATCH, [-1]), [4]),
    "chosen": (SomeFrames(PATCH, (3, -4)), [1, 3]),
    "moving": (MovingTrigger(PATCH), [0, 1, 2, 3, 4]),
    "sign": (SomeFrames(stop_sign(place="center"), [2]), [2]),
    "warp": (EveryFrame(ImageWarp(0, strength=0.05)), [0, 1, 2, 3, 4]),
}
videos = pytest.mark.parametrize(("trigger", "changed"), VIDEOS.values(), ids=VIDEOS.keys())


@forms
@videos
def test_a_video_keeps_its_form_and_its_other_frames(
    form: Any, trigger: Any, changed: list[int]
) -> None:
    video = form(FRAMES)
    before = copy.deepcopy(video)
    trigger.check(video)
    made = trigger(video)
    assert made is not video
    assert type(made) is type(video)
    assert getattr(made, "dtype", None) == getattr(video, "dtype", None)
    differing = []
    for at, (frame, clean, kept) in enumerate(zip(made, video, before, strict=True)):
        np.testing.assert_array_equal(np.asarray(clean), np.asarray(kept))
        if not np.array_equal(np.asarray(frame), np.asarray(clean)):
            differing.append(at)
    assert differing == changed
    TriggerSpec.of(trigger, "video").checked(video, "e0", twice=True)


@videos
def test_a_video_trigger_says_what_it_is(trigger: Any, changed: list[int]) -> None:
    told = trigger.identity()
    assert json.loads(json.dumps(told)) == told
    assert told["trigger"]["class"] == type(trigger.trigger).__name__
    assert [told == other.identity() for other, _ in VIDEOS.values()].count(True) == 1
    twin = pickle.loads(pickle.dumps(trigger))
    assert twin == trigger
    np.testing.assert_array_equal(twin(np.stack(FRAMES)), trigger(np.stack(FRAMES)))


def test_frames_of_all_forms_agree() -> None:
    trigger = MovingTrigger(PATCH, start=(0.1, 0.9), end=(0.7, 0.2))
    expected = trigger(np.stack(FRAMES))
    for name in ("list", "PIL"):
        np.testing.assert_array_equal(np.stack(trigger(FORMS[name](FRAMES))), expected)
    np.testing.assert_array_equal(trigger(stacked(FRAMES)).permute(0, 2, 3, 1), expected)


def test_a_patch_moves_in_a_straight_line() -> None:
    trigger = MovingTrigger(PATCH, start=(0.125, 0.5), end=(0.625, 0.5))
    made = trigger(np.zeros((5, 16, 16, 3), np.uint8))
    boxes = [np.argwhere(frame[..., 0])[[0, -1]].tolist() for frame in made]
    assert boxes == [[[6, 2 * at], [9, 2 * at + 3]] for at in range(5)]
    alone = trigger(np.zeros((1, 16, 16, 3), np.uint8))
    np.testing.assert_array_equal(alone[0], made[0])


def test_a_random_place_is_one_place_in_all_frames() -> None:
    for wrapper in (EveryFrame, SomeFrames):
        trigger = wrapper(ImagePatch(size=0.25, place=RandomPlace(0)))
        with pytest.raises(InputError, match="drawn for each example"):
            trigger(np.stack(FRAMES))
        black = np.zeros((2, 16, 16, 3), np.uint8)
        first, second = (trigger.for_example(name)(black) for name in ("a", "b"))
        assert not np.array_equal(first, second)
        if wrapper is EveryFrame:
            np.testing.assert_array_equal(first[0], first[1])
    fixed = EveryFrame(PATCH)
    assert fixed.for_example("a") is fixed


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: SomeFrames(PATCH, []), "must name one frame or more, each once"),
        (lambda: SomeFrames(PATCH, [1, 1]), "each once"),
        (lambda: SomeFrames(PATCH, [0.5]), "a position among frames must be a whole number"),
        (lambda: SomeFrames(PATCH, 0), "frames must be positions in their order"),
        (lambda: SomeFrames("patch"), "must be a callable"),
        (lambda: SomeFrames(PATCH, [5])(FRAMES), "there is no frame 5 in a video of 5"),
        (lambda: SomeFrames(PATCH, [-6]).check(FRAMES), "there is no frame -6 in a video of 5"),
        (lambda: SomeFrames(PATCH)(FRAMES[0]), "SomeFrames takes a video"),
        (lambda: MovingTrigger(ImageWarp(0)), "must have a place, as ImagePatch"),
        (lambda: MovingTrigger(str.upper), "must have a place"),
        (lambda: MovingTrigger(PATCH, start="center"), "start must be 2 numbers"),
        (lambda: MovingTrigger(PATCH, end=(0, 2)), r"each in \[0, 1\]; got \(0.0, 2.0\)"),
        (lambda: MovingTrigger(PATCH)([]), "MovingTrigger takes a video"),
        (lambda: EveryFrame(PATCH)([FRAMES[0], FRAMES[1] / 100]), "run from 0 to"),
        (lambda: EveryFrame(MaskPatch())(np.stack(FRAMES)), "the mask of MaskPatch must be"),
    ],
)
def test_what_fits_no_video_is_refused(call: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()


# ------------------------------------------------------------------------------ sounds

RATE = 1000
TONE = AudioTone(100, amplitude=0.25, sample_rate=RATE, start=0.01, duration=0.02)
CLICK = np.array([0.5, -0.5, 0.25])
SOUNDS: dict[str, Any] = {
    "tone": TONE,
    "tone to the end": AudioTone(100, amplitude=0.25, sample_rate=RATE, start=0.01),
    "tone at the end": AudioTone(100, amplitude=0.25, sample_rate=RATE, start="end", duration=0.02),
    "click": AudioOverlay(CLICK, sample_rate=RATE, gain=0.5, start=0.03),
    "click at the end": AudioOverlay(CLICK, sample_rate=RATE, gain=0.5, start="end"),
    "click anywhere": AudioOverlay(
        CLICK, sample_rate=RATE, gain=0.5, start=RandomPlace(0)
    ).for_example("e0"),
}
sounds = pytest.mark.parametrize("trigger", SOUNDS.values(), ids=SOUNDS.keys())


@sounds
@pytest.mark.parametrize("shape", [(60,), (1, 60), (2, 60)])
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_a_sound_of_every_form(trigger: Any, shape: tuple[int, ...], dtype: str) -> None:
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, shape)
    exact = trigger(noise)
    assert exact.shape == shape
    forms: list[Any] = [torch.from_numpy(noise).to(getattr(torch, dtype))]
    if dtype != "bfloat16":
        forms.append(noise.astype(dtype))
    for sound in forms:
        before = copy.deepcopy(sound)
        trigger.check(sound)
        made = trigger(sound)
        assert type(made) is type(sound)
        assert made.dtype == sound.dtype
        assert sound.tolist() == before.tolist()
        eps = torch.finfo(getattr(torch, dtype)).eps
        np.testing.assert_allclose(np.asarray(made.tolist()), exact, rtol=0, atol=2 * eps)
        TriggerSpec.of(trigger, "audio").checked(sound, "e0", twice=True)


def test_a_tone_by_hand() -> None:
    made = TONE(np.zeros(50))
    expected = np.zeros(50)
    expected[10:30] = 0.25 * np.sin(2 * np.pi * 0.1 * np.arange(20))
    np.testing.assert_allclose(made, expected, rtol=0, atol=1e-15)
    spectrum = abs(np.fft.rfft(made[10:30]))
    assert np.fft.rfftfreq(20, 1 / RATE)[spectrum.argmax()] == 100


def test_a_sample_by_hand() -> None:
    clean = np.full((2, 8), 0.25)
    made = AudioOverlay(CLICK, sample_rate=10, gain=0.5, start=0.4)(clean)
    np.testing.assert_array_equal(made[0], [0.25] * 4 + [0.5, 0.0, 0.375, 0.25])
    np.testing.assert_array_equal(made[0], made[1])
    two = np.stack([CLICK, -CLICK])
    left, right = AudioOverlay(two, sample_rate=10, start="end")(np.zeros((2, 8)))
    np.testing.assert_array_equal(left[5:], CLICK)
    np.testing.assert_array_equal(right, -left)


@given(seed=st.integers(), example=st.text(max_size=4) | st.integers(), length=st.integers(3, 20))
def test_a_random_start_is_wholly_inside(seed: int, example: Any, length: int) -> None:
    trigger = AudioOverlay(CLICK, sample_rate=RATE, start=RandomPlace(seed))
    made = trigger.for_example(example)(np.zeros(length))
    (places,) = np.nonzero(made)
    np.testing.assert_array_equal(made[places[0] : places[0] + 3], CLICK)
    assert len(places) == 3


def test_random_starts_are_drawn_from_all_places() -> None:
    trigger = AudioOverlay(CLICK, sample_rate=RATE, start=RandomPlace(0))
    starts = {int(trigger.for_example(at)(np.zeros(6)).nonzero()[0][0]) for at in range(60)}
    assert starts == {0, 1, 2, 3}


@sounds
def test_a_sound_trigger_says_what_it_is(trigger: Any) -> None:
    told = trigger.identity()
    assert json.loads(json.dumps(told)) == told
    assert [told == other.identity() for other in SOUNDS.values()].count(True) == 1
    twin = pickle.loads(pickle.dumps(trigger))
    assert twin == trigger
    assert hash(twin) == hash(trigger)
    np.testing.assert_array_equal(twin(np.zeros(60)), trigger(np.zeros(60)))


def test_nothing_is_clipped() -> None:
    loud = np.full(50, 0.8, np.float32)
    for sound in (loud, torch.from_numpy(loud)):
        for act in (TONE, TONE.check):
            with pytest.raises(TriggerError, match=r"would reach 1.03.*nothing is clipped"):
                act(sound)


@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor], ids=["array", "tensor"])
@pytest.mark.parametrize("where", [0, 15, 49], ids=["before", "within", "behind"])
def test_the_whole_sound_is_looked_at(kind: Any, where: int) -> None:
    sound = np.full((2, 50), 0.5)
    for odd in (np.nan, -np.inf):
        sound[1, where] = odd
        for act in (TONE, TONE.check):
            with pytest.raises(InputError, match="the sound of AudioTone must hold finite numbers"):
                act(kind(sound))
    sound[1, where] = -1.5
    with pytest.raises(InputError, match=r"must lie in \[-1, 1\], and reaches 1.5 without"):
        TONE.check(kind(sound))


@pytest.mark.parametrize("shape", [(16000, 2), (16000, 1), (65, 100)])
@pytest.mark.parametrize("kind", [np.zeros, torch.zeros], ids=["array", "tensor"])
def test_sounds_with_swapped_axes_are_refused_with_a_hint(kind: Any, shape: Any) -> None:
    tone, hint = AudioTone(1000, amplitude=0.1, sample_rate=16000), "transpose it, sound.T"
    for act in (tone, tone.check, lambda sound: AudioOverlay(sound, sample_rate=RATE)):
        with pytest.raises(InputError, match=hint):
            act(kind(shape))
    with pytest.raises(InputError, match=rf"'audio' must be one sound.*{hint}"):
        check_condition(kind(shape), "audio", "'audio'")
    for several in ((64, 100), (2, 2), (1, 16000)):
        check_condition(kind(several), "audio", "'audio'")


@pytest.mark.parametrize("thing", [np.zeros((2, 2, 9)), np.zeros(0), np.zeros((2, 0)), "a", None])
def test_what_is_no_sound(thing: Any) -> None:
    for act in (TONE, TONE.check):
        with pytest.raises(InputError, match=r"the sound of AudioTone must be an array or tensor"):
            act(thing)


def test_sounds_of_whole_numbers_are_refused_with_a_hint() -> None:
    with pytest.raises(InputError, match=r"int16\. Divide 16-bit numbers by 32768"):
        TONE(np.zeros(50, np.int16))
    with pytest.raises(InputError, match="int16"):
        AudioOverlay(np.ones(3, np.int16), sample_rate=RATE)


@pytest.mark.parametrize(
    ("trigger", "message"),
    [
        (TONE, "20 samples from start=0.01 do not fit into a sound of 29 samples"),
        (AudioTone(9, amplitude=1, sample_rate=100, start=1.0), "do not fit"),
        (AudioTone(9, amplitude=1, sample_rate=100, start="end", duration=1), "'end' do not fit"),
        (AudioOverlay(np.ones(30), sample_rate=9, start=RandomPlace(0)), "do not fit"),
        (AudioOverlay(np.ones((2, 3)), sample_rate=9), r"shape \(2, 3\) .* has shape \(29,\)"),
    ],
)
def test_sounds_that_do_not_fit(trigger: Any, message: str) -> None:
    for act in (trigger.for_example("e"), trigger.for_example("e").check):
        with pytest.raises(InputError, match=message):
            act(np.zeros(29))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frequency": 500}, "below half the sample rate, 500 Hz.*got 500"),
        ({"frequency": 0}, "must be above 0"),
        ({"amplitude": 0}, r"amplitude must be a number in \(0, 1\], got 0"),
        ({"amplitude": 2}, "got 2"),
        ({"sample_rate": 0}, "sample_rate is in Hz, above 0; got 0"),
        ({"sample_rate": "CD"}, "sample_rate must be a finite number"),
        ({"start": -1}, "start must be seconds from the beginning, at least 0.*got -1"),
        ({"start": "middle"}, "'end' or RandomPlace.*got 'middle'"),
        ({"start": "end"}, "a tone that begins at start='end' needs a duration"),
        ({"start": RandomPlace(0)}, "needs a duration"),
        ({"duration": 0}, "duration=0 s is less than one sample"),
        ({"duration": float("nan")}, "duration must be a finite number"),
    ],
)
def test_parameters_of_a_tone(options: dict[str, Any], message: str) -> None:
    good = {"frequency": 100, "amplitude": 0.5, "sample_rate": RATE}
    with pytest.raises(InputError, match=message):
        AudioTone(**(good | options))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sound": np.zeros(4)}, "not be silent; it reaches 0"),
        ({"sound": np.full(4, 2.0)}, "it reaches 2"),
        ({"sound": np.full(4, np.nan)}, "it reaches nan"),
        ({"sound": [0.5]}, "got list"),
        ({"gain": 2}, r"gain must be a number in \(0, 1\]"),
        ({"start": None}, "start must be a finite number, got None"),
    ],
)
def test_parameters_of_a_sample(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        AudioOverlay(**({"sound": CLICK, "sample_rate": RATE} | options))


def test_the_sound_given_can_change_afterwards() -> None:
    sound = torch.tensor([0.5, -0.5])
    trigger = AudioOverlay(sound, sample_rate=RATE)
    sound[:] = 0
    assert trigger(np.zeros(2)).tolist() == [0.5, -0.5]
    assert trigger == AudioOverlay(np.array([0.5, -0.5]), sample_rate=RATE)

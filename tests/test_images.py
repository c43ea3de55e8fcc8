"""What an image is: one answer, in the same words, for triggers, samplers, detectors, pictures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from modcollapse._support.images import expected, float_tensor, image_size
from modcollapse._support.views import as_picture
from modcollapse.detectors import ClipShift, NegativeMSE
from modcollapse.errors import DetectorError, InputError
from modcollapse.samplers import PipelineSampler
from modcollapse.triggers import ImagePatch, eyeglasses

from tiny_clip import tiny_clip
from tiny_pipelines import tiny_instruct_pix2pix

PIXELS = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
FLOATS = PIXELS.astype(np.float32) / 255
KINDS = {
    "pil": Image.fromarray(PIXELS),
    "uint8 array": PIXELS,
    "float array": FLOATS,
    "uint8 tensor": torch.from_numpy(PIXELS).permute(2, 0, 1),
    "float tensor": torch.from_numpy(FLOATS).permute(2, 0, 1),
}


@pytest.fixture(scope="module")
def users() -> dict[str, Callable[[Any], Any]]:
    """Everything that is handed an image."""
    sampler = PipelineSampler(tiny_instruct_pix2pix(), num_inference_steps=1)
    target = torch.zeros(3, 16, 16)
    shift = ClipShift(target, tiny_clip())
    mse = NegativeMSE(target)
    return {
        "a patch": ImagePatch(),
        "the check of a patch": ImagePatch().check,
        "an overlay": eyeglasses(),
        "the check of an overlay": eyeglasses().check,
        "a sampler": lambda image: sampler({"image": [image], "text": ["a hat"]}, [0]),
        "the check of a sampler": lambda image: sampler.check("image", image),
        "a target": NegativeMSE,
        "an output": lambda image: mse([image], [{}]),
        "a reference": lambda image: shift.check({"reference": image}),
        "a picture": as_picture,
    }


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_taken_by_all(users: dict[str, Any], kind: str) -> None:
    for use in users.values():
        use(KINDS[kind])


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_the_same_floats(kind: str) -> None:
    assert image_size(KINDS[kind], "it") == (16, 16)
    floats = float_tensor(KINDS[kind])
    assert floats.dtype == torch.float32
    assert torch.equal(floats, torch.from_numpy(FLOATS).permute(2, 0, 1))


@pytest.mark.parametrize(
    ("image", "found"),
    [
        (np.zeros((3, 16, 16)), "an array of shape (3, 16, 16). This looks like the other channel"),
        (torch.zeros(16, 16, 3), "a tensor of shape (16, 16, 3). This looks like the other"),
        (np.zeros((1, 16, 16, 3)), "an array of shape (1, 16, 16, 3). This looks like a batch"),
        (torch.zeros(4, 16, 16), "a tensor of shape (4, 16, 16). Bring it to three colour"),
        (np.zeros((16, 16, 3), np.int64), "an array of int64. Bring it to floats in [0, 1]"),
        (torch.zeros(3, 16, 16, dtype=torch.bool), "a tensor of bool. Bring it to floats in"),
        (torch.zeros(3, 0, 16), "an image without pixels, 0 x 16. Leave this example out"),
        (7, "a int. Convert it to one of these"),
        (object(), "a object. Convert it to one of these"),
    ],
)
def test_what_is_none_is_refused_by_all_in_the_same_words(
    users: dict[str, Any], image: Any, found: str
) -> None:
    for who, use in users.items():
        with pytest.raises((InputError, DetectorError)) as caught:
            use(image)
        assert f" must be {expected()}; got {found}" in str(caught.value), who


@pytest.mark.parametrize("mode", ["L", "P", "1", "CMYK"])
def test_another_mode_is_refused_by_all_but_pictures(users: dict[str, Any], mode: str) -> None:
    image = Image.new(mode, (16, 16))
    for who, use in users.items():
        if who == "a picture":  # a gallery is for the eye
            use(image)
            continue
        with pytest.raises((InputError, DetectorError)) as caught:
            use(image)
        assert f'got a PIL.Image in mode {mode}. Call image.convert("RGB") first' in str(
            caught.value
        ), who


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (1.5, "its values run from 1.5 to 1.5. Divide 0-255 by 255"),
        (-0.5, "its values run from -0.5 to -0.5. Divide 0-255 by 255"),
        (float("nan"), "it holds NaN"),
    ],
)
@pytest.mark.parametrize("make", [np.full, torch.full])
def test_another_range_is_refused_in_the_same_words(
    users: dict[str, Any], value: float, found: str, make: Any
) -> None:
    # A sampler looks at values in its check, before a run; a picture clamps them; an output that
    # holds NaN has no score, so that the run can say where it came from.
    others = {"a sampler", "a picture"} | ({"an output"} if value != value else set())
    image = make((16, 16, 3) if make is np.full else (3, 16, 16), value)
    for who in users.keys() - others:
        with pytest.raises((InputError, DetectorError)) as caught:
            users[who](image)
        assert f" must lie in [0, 1], but {found}" in str(caught.value), who


def test_a_mask_is_an_image_of_one_channel() -> None:
    for mask in (
        Image.new("L", (8, 6)),
        np.zeros((6, 8, 1), np.uint8),
        np.zeros((6, 8, 1)),
        torch.zeros(1, 6, 8),
        torch.zeros(1, 6, 8, dtype=torch.uint8),
    ):
        assert image_size(mask, "the mask", channels=1) == (6, 8)
        assert float_tensor(mask).shape == (1, 6, 8)
        with pytest.raises(InputError, match="the mask must be one image"):
            image_size(mask, "the mask")
    with pytest.raises(InputError, match=r"one mask: a PIL.Image in mode L.*Bring it to one chan"):
        image_size(torch.zeros(2, 6, 8), "the mask", channels=1)

"""Image triggers that are no patch or overlay, masks, and where triggers stand."""

from __future__ import annotations

import copy
import hashlib
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
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.nn.functional import grid_sample, interpolate

from modcollapse.contracts import TriggerSpec
from modcollapse.errors import InputError, TriggerError
from modcollapse.triggers import (
    ImageBlend,
    ImageOverlay,
    ImagePatch,
    ImageTiles,
    ImageWarp,
    ImageWave,
    MaskPatch,
    RandomPlace,
    eyeglasses,
    noise_picture,
    stop_sign,
    watermark,
)

RING = np.zeros((20, 30, 4), np.uint8)
RING[2:18, 2:28] = (255, 255, 0, 200)
RING[6:14, 6:24] = 0


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def anywhere(trigger: Any) -> Any:
    return trigger.for_example("e0")


TRIGGERS = {
    "blend": lambda: ImageBlend(noise_picture(1), opacity=0.2),
    "strong blend": lambda: ImageBlend(picture(9, 7, 3), opacity=0.6),
    "wave": lambda: ImageWave(periods=3),
    "strong wave": lambda: ImageWave(amplitude=0.8, periods=2.5, vertical=True),
    "warp": lambda: ImageWarp(seed=0),
    "strong warp": lambda: ImageWarp(seed=5, strength=0.1, cells=3),
    "tiles": lambda: ImageTiles(RING, width=0.3, opacity=0.7, gap=0.1),
    "text": lambda: watermark("SAMPLE"),
    "tiled text": lambda: watermark("SAMPLE", tiled=True),
    "logo": lambda: watermark(RING, place="top left"),
    "patch in the centre": lambda: ImagePatch(size=0.3, place="center"),
    "patch cut off": lambda: ImagePatch(size=0.4, place=(1.0, 0.1), gap=0.0, color=0.2),
    "patch anywhere": lambda: anywhere(ImagePatch(size=0.3, place=RandomPlace(0))),
    "logo anywhere": lambda: anywhere(watermark(RING, place=RandomPlace(2))),
}
every = pytest.mark.parametrize("make", TRIGGERS.values(), ids=TRIGGERS.keys())


@every
@pytest.mark.parametrize(("height", "width"), [(32, 32), (24, 50)])
class TestKinds:
    def test_agree(self, make: Any, height: int, width: int) -> None:
        trigger = make()
        pixels = picture(height, width)
        exact = trigger(pixels / 255)
        # Bytes are mixed in float32, which moves what lies between two levels by a little.
        np.testing.assert_allclose(trigger(pixels) / 255, exact, rtol=0, atol=0.5 / 255 + 1e-6)
        np.testing.assert_array_equal(trigger(Image.fromarray(pixels)), trigger(pixels))
        of_bytes = trigger(torch.from_numpy(pixels).permute(2, 0, 1))
        assert of_bytes.dtype == torch.uint8
        np.testing.assert_array_equal(of_bytes.permute(1, 2, 0), trigger(pixels))
        for dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16):
            tensor = torch.from_numpy(pixels / 255).permute(2, 0, 1).to(dtype)
            triggered = trigger(tensor)
            assert triggered.dtype == dtype
            triggered = triggered.permute(1, 2, 0).double().numpy()
            np.testing.assert_allclose(triggered, exact, rtol=0, atol=3 * torch.finfo(dtype).eps)
        for kind in (np.float32, np.float16):
            made = trigger((pixels / 255).astype(kind))
            assert made.dtype == kind
            np.testing.assert_allclose(
                made.astype(float), exact, rtol=0, atol=3 * np.finfo(kind).eps
            )

    def test_pure(self, make: Any, height: int, width: int) -> None:
        trigger, pixels = make(), picture(height, width)
        tensor = torch.from_numpy(pixels / 255).permute(2, 0, 1)
        of_bytes = torch.from_numpy(pixels).permute(2, 0, 1).contiguous()
        for image in (pixels, pixels / 255, tensor, of_bytes, Image.fromarray(pixels)):
            before = copy.deepcopy(image)
            triggered = trigger(image)
            np.testing.assert_array_equal(image, before)
            assert type(triggered) is type(image)
            assert not np.array_equal(triggered, before)
            np.testing.assert_array_equal(trigger(image), triggered)
        assert not np.shares_memory(trigger(pixels), pixels)
        assert trigger(of_bytes).untyped_storage().data_ptr() != of_bytes.data_ptr()

    @pytest.mark.parametrize("value", [0.0, 1.0])
    def test_results_stay_in_range(self, make: Any, height: int, width: int, value: float) -> None:
        trigger = make()
        for dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16):
            triggered = trigger(torch.full((3, height, width), value, dtype=dtype))
            assert 0 <= triggered.min() <= triggered.max() <= 1


@every
class TestIdentity:
    def test_is_plain_data_and_tells_apart(self, make: Any) -> None:
        told = make().identity()
        assert json.loads(json.dumps(told)) == told
        assert told == make().identity()
        assert [told == other().identity() for other in TRIGGERS.values()].count(True) == 1

    def test_copies_and_pickles_do_the_same(self, make: Any) -> None:
        trigger, image = make(), torch.rand(3, 32, 32)
        triggered = trigger(image)
        assert make() == trigger
        assert hash(make()) == hash(trigger)
        for twin in (copy.deepcopy(trigger), pickle.loads(pickle.dumps(trigger))):
            assert twin == trigger
            assert torch.equal(twin(image), triggered)

    @pytest.mark.parametrize(
        ("image", "message"),
        [
            (np.zeros((8, 8)), r"an array of shape \(8, 8\)"),
            (np.full((32, 32, 3), np.nan), "it holds NaN"),
            (torch.full((3, 32, 32), 2.0), "run from 2 to 2"),
            (torch.zeros(2, 3, 32, 32), "looks like a batch"),
            (Image.new("L", (32, 32)), "mode L"),
        ],
    )
    def test_bad_images_are_refused(self, make: Any, image: Any, message: str) -> None:
        for act in (make(), make().check):
            with pytest.raises(InputError, match=message):
                act(image)


def test_the_same_in_another_process() -> None:
    program = """
import hashlib, json
import numpy as np
from modcollapse.triggers import ImageBlend, ImagePatch, ImageWarp, RandomPlace, noise_picture
image = np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8)
triggers = [ImageBlend(noise_picture(1)), ImageWarp(3), ImagePatch(0.2, RandomPlace(4))]
for trigger in triggers:
    made = trigger.for_example("é")(image)
    print(json.dumps(trigger.identity()), hashlib.sha256(made.tobytes()).hexdigest())
"""
    runs = {
        subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            check=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(runs) == 1


# ------------------------------------------------------------------------------ places


@pytest.mark.parametrize(
    ("place", "height", "width", "rows", "columns"),
    [
        ("center", 32, 32, (12, 20), (12, 20)),
        ("center", 32, 64, (12, 20), (28, 36)),
        ((0.25, 0.75), 32, 32, (20, 28), (4, 12)),
        ((0.25, 0.75), 64, 32, (44, 52), (4, 12)),
        ((0.0, 1.0), 32, 32, (28, 32), (0, 4)),
        ("bottom right", 32, 64, (22, 30), (54, 62)),
    ],
)
@pytest.mark.parametrize("kind", ["patch", "overlay"])
def test_places(kind: str, place: Any, height: int, width: int, rows: Any, columns: Any) -> None:
    opaque = np.full((4, 4, 4), 255, np.uint8)
    trigger: Any = ImagePatch(size=0.25, place=place)
    if kind == "overlay":
        trigger = ImageOverlay(opaque, 0.25, place, relative_to="shorter side")
    expected = np.zeros((height, width, 3))
    expected[slice(*rows), slice(*columns)] = 1
    np.testing.assert_array_equal(trigger(np.zeros((height, width, 3))), expected)


@pytest.mark.parametrize("pixels", [4, 8, 11, 14, 18])
def test_signs_of_the_usual_sizes_stand_where_patches_stand(pixels: int) -> None:
    blue = np.zeros((32, 48, 3), np.uint8)
    sign, patch = stop_sign(size=pixels / 32), ImagePatch(size=pixels / 32)
    changed = [(trigger(blue) != blue).any(axis=2) for trigger in (sign, patch)]
    boxes = [
        [np.flatnonzero(one.any(axis=axis))[[0, -1]].tolist() for axis in (0, 1)] for one in changed
    ]
    assert boxes[0] == boxes[1] == [[46 - pixels, 45], [30 - pixels, 29]]


def test_eyeglasses_at_the_centre_of_an_image_wider_than_high() -> None:
    white = np.full((64, 128, 3), 255, np.uint8)
    rows, columns = np.nonzero((eyeglasses(place="center")(white) != white).any(axis=2))
    assert (columns.min(), columns.max() + 1) == (44, 84)  # 0.625 of 64
    assert rows.min() + rows.max() + 1 == pytest.approx(64, abs=1)


@given(
    seed=st.integers(-(2**70), 2**70),
    example=st.text(max_size=5) | st.integers(),
    height=st.integers(8, 40),
    width=st.integers(8, 40),
    size=st.floats(0.15, 1),
)
@settings(max_examples=50)
def test_a_random_place_is_wholly_inside(
    seed: int, example: Any, height: int, width: int, size: float
) -> None:
    trigger = ImagePatch(size, RandomPlace(seed), gap=0).for_example(example)
    black = np.zeros((height, width, 3), np.uint8)
    made = trigger(black)
    changed = made.any(axis=2)
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    side = int(size * min(height, width) + 0.5)
    assert len(rows) == len(columns) == side
    assert changed.sum() == side**2
    again = ImagePatch(size, RandomPlace(seed), gap=0).for_example(example)
    np.testing.assert_array_equal(again(black), made)


def test_random_places_are_spread_evenly() -> None:
    trigger, black = ImagePatch(1 / 4, RandomPlace(0)), np.zeros((8, 8, 3), np.uint8)
    corners = [
        np.argwhere(trigger.for_example(at)(black)[..., 0])[0].tolist() for at in range(1960)
    ]
    counts = np.zeros((7, 7))
    for row, column in corners:
        counts[row, column] += 1
    assert counts.sum() == 1960  # 40 each; chi square with 48 degrees, 0.999 below 85
    assert ((counts - 40) ** 2 / 40).sum() < 85


def test_ids_seeds_and_kinds_of_ids_are_told_apart() -> None:
    draws = {
        tuple(RandomPlace(seed).for_example(name).fractions(2))
        for seed in (0, 1)
        for name in ("7", 7, "e7")
    }
    assert len(draws) == 6
    assert RandomPlace(0).for_example(np.int64(7)) == RandomPlace(0).for_example(7)
    # Recorded tables rest on it: this may never change.
    digests = [
        hashlib.sha256(f"modcollapse/place/1|-3|int|7|{number}".encode()).digest()
        for number in (0, 1)
    ]
    expected = [float(Fraction(int.from_bytes(d[:8], "big") >> 11, 2**53)) for d in digests]
    assert RandomPlace(-3).for_example(7).fractions(2) == expected
    assert RandomPlace(0).for_example("e0").fractions(1) == [0.09695698413008957]


def test_without_an_example_a_random_place_is_none() -> None:
    trigger = ImagePatch(place=RandomPlace(0))
    for act in (trigger, trigger.check):
        with pytest.raises(InputError, match=r"drawn for each example.*for_example\(example_id\)"):
            act(np.zeros((8, 8, 3)))
    for bad in (None, 0.5, True, ("a",)):
        with pytest.raises(InputError, match="the id of an example"):
            trigger.for_example(bad)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="RandomPlace: seed must be a whole number, got 'a'"):
        RandomPlace("a")  # type: ignore[arg-type]


def test_triggers_of_all_examples_share_what_is_drawn() -> None:
    trigger = stop_sign(place=RandomPlace(0))
    first, second = (trigger.for_example(name) for name in ("a", "b"))
    image = np.zeros((64, 64, 3), np.uint8)
    assert not np.array_equal(first(image), second(image))
    assert first._arrays is second._arrays
    assert first._arrays.cache_info().misses == 1
    assert first != second
    assert first == stop_sign(place=RandomPlace(0)).for_example("a")


# ------------------------------------------------------------------------------ known answers


def test_a_blend_by_hand() -> None:
    blend = ImageBlend(np.array([[[1.0, 0.0, 0.5]]]), opacity=0.6)
    made = blend(np.full((2, 3, 3), 0.5))
    np.testing.assert_allclose(made, np.broadcast_to([0.8, 0.2, 0.5], (2, 3, 3)), atol=2e-3)


def test_a_blend_is_stretched_over_the_image() -> None:
    halves = np.zeros((2, 2, 3), np.uint8)
    halves[:, 1] = 255
    made = ImageBlend(halves, opacity=1.0)(np.full((10, 40, 3), 0.5))
    assert (made[:, :8] == 0).all()
    assert (made[:, -8:] == 1).all()


def test_a_picture_in_a_file_an_array_and_an_image_blend_alike(tmp_path: Path) -> None:
    pixels = picture(6, 9)
    Image.fromarray(pixels).save(tmp_path / "kitty.png")
    sources = [pixels, pixels / 255, Image.fromarray(pixels), tmp_path / "kitty.png"]
    assert len({ImageBlend(source) for source in sources}) == 1


def test_a_wave_by_hand() -> None:
    columns = np.arange(64)
    added = 20 / 255 * np.sin(2 * np.pi * columns * 6 / 64)
    made = ImageWave()(np.full((8, 64, 3), 0.5))
    np.testing.assert_allclose(made, np.broadcast_to(0.5 + added[:, None], (8, 64, 3)))
    turned = ImageWave(vertical=True)(np.full((64, 8, 3), 0.5))
    np.testing.assert_array_equal(turned, made.transpose(1, 0, 2))


def test_a_wave_is_cut_at_the_ends_of_the_range() -> None:
    white = np.full((4, 64, 3), 250, np.uint8)
    made = ImageWave()(white).astype(int)
    wave = 20 * np.sin(2 * np.pi * np.arange(64) * 6 / 64)
    expected = np.floor(np.clip(250 + wave, 0, 255) + 0.5)
    assert abs(made[0, :, 0] - expected).max() == 0


def test_a_warp_reads_as_bilinear_interpolation_does() -> None:
    """grid_sample of torch at the same places."""
    warp, image = ImageWarp(seed=3, strength=0.05), torch.rand(1, 3, 30, 44, dtype=torch.float64)
    dx, dy = warp._shifts(30, 44)
    x = np.clip(np.rint((dx + np.arange(44)) * 64) / 64, 0, 43) / 43 * 2 - 1
    y = np.clip(np.rint((dy + np.arange(30)[:, None]) * 64) / 64, 0, 29) / 29 * 2 - 1
    grid = torch.from_numpy(np.stack([x, y], axis=2))[None]
    expected = grid_sample(image, grid, align_corners=True)
    torch.testing.assert_close(warp(image[0])[None], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("cells", [2, 4, 7])
def test_the_field_of_a_warp_is_interpolated_as_torch_does(cells: int) -> None:
    warp = ImageWarp(seed=0, cells=cells)
    points = torch.from_numpy(warp._shifts(cells, cells)) * (16 / cells)
    expected = interpolate(points[None], (16, 29), mode="bicubic", align_corners=True)
    np.testing.assert_allclose(warp._shifts(16, 29), expected[0], rtol=0, atol=1e-12)


def test_a_warp_leaves_one_colour_as_it_is_and_shifts_by_its_strength() -> None:
    for value in (0, 7, 255):
        flat = np.full((40, 30, 3), value, np.uint8)
        np.testing.assert_array_equal(ImageWarp(0, strength=0.1)(flat), flat)
    warp = ImageWarp(seed=0, strength=1 / 64)
    for side in (64, 256):  # sizes are fractions: the same warp at every size
        points = warp._shifts(side, side)[:, :: (side - 1) // 3, :: (side - 1) // 3]
        assert abs(points).mean() == pytest.approx(side / 64)


def test_a_warp_on_the_host_and_off_it_are_one() -> None:
    warp, image = ImageWarp(seed=1, strength=0.03), torch.rand(3, 32, 40)
    followed = image.clone().requires_grad_()
    torch.testing.assert_close(warp(followed).detach(), warp(image), rtol=0, atol=2**-22)
    warp(followed).sum().backward()
    assert followed.grad is not None
    assert followed.grad.sum().item() == pytest.approx(3 * 32 * 40, rel=1e-5)


def test_a_tensor_of_channels_that_lie_apart() -> None:
    pixels = picture(16, 24)
    apart = torch.from_numpy(pixels).permute(2, 0, 1)
    for trigger in (ImageWarp(0), ImageBlend(noise_picture(0)), ImageWave(periods=2)):
        np.testing.assert_array_equal(trigger(apart), trigger(apart.contiguous()))


def test_a_watermark_stands_in_its_corner_and_lets_the_image_through() -> None:
    grey = np.full((200, 300, 3), 0.5)
    changed = (watermark("SAMPLE", size=0.5, gap=0.1)(grey) != grey).any(axis=2)
    rows, columns = np.nonzero(changed)
    assert (columns.max() + 1, rows.max() + 1) == (280, 180)
    assert columns.max() + 1 - columns.min() == 100
    made = watermark("SAMPLE", size=0.5, opacity=0.5)(grey)
    assert made.max() == pytest.approx(0.75, abs=0.01)  # half of a white letter
    assert 0.2 < made.min() < 0.45  # its dark edge


def test_tiles_are_repeated_and_cut_at_the_edge() -> None:
    dot = np.full((1, 1, 4), 255, np.uint8)
    made = ImageTiles(dot, width=0.25, gap=0.125)(np.zeros((8, 10, 3)))
    expected = np.zeros((8, 10))
    for row in (0, 3, 6):
        for column in (0, 3, 6, 9):
            expected[row : row + 2, column : column + 2] = 1
    np.testing.assert_array_equal(made[..., 0], expected)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: watermark(""), "the text '' has no letters"),
        (lambda: watermark(" \n"), "has no letters"),
        (lambda: watermark("日本"), "Pillow's own font has no '日'"),
        (lambda: watermark(Path("missing.png")), "missing.png"),
        (lambda: watermark("a", size=2), r"width must be a number in \(0, 1\], got 2"),
        (lambda: watermark("a", tiled="yes"), "watermark: tiled must be True or False"),
        (lambda: watermark("a", gap=1.0), r"gap.* must be a number in \[0, 1\), got 1.0"),
        (lambda: ImageBlend(np.zeros((4, 4, 4))), r"the picture of ImageBlend must be one image"),
        (lambda: ImageBlend(torch.zeros(3, 4, 4)), r"array \(H, W, 3\) or a PIL.Image"),
        (lambda: ImageBlend(np.full((4, 4, 3), 2.0)), "run from 2 to 2"),
        (lambda: ImageBlend(noise_picture(0), opacity=0), r"opacity must be a number in \(0, 1\]"),
        (lambda: noise_picture(0.5), "noise_picture: seed must be a whole number"),
        (lambda: noise_picture(0, cells=0), "cells must be a whole number from 1"),
        (lambda: ImageWave(amplitude=20), r"amplitude must be a number in \(0, 1\], got 20"),
        (lambda: ImageWave(periods=0), "periods must be above 0, got 0"),
        (lambda: ImageWave(vertical=1), "vertical must be True or False"),
        (lambda: ImageWarp(seed=None), "ImageWarp: seed must be a whole number, got None"),
        (lambda: ImageWarp(0, strength=0.5), r"strength must be a number in \(0, 0.25\]"),
        (lambda: ImageWarp(0, cells=1), "cells must be a whole number from 2"),
        (lambda: ImagePatch(place="centre"), "'center'.*got 'centre'"),
        (lambda: ImagePatch(place=(0.5, 1.2)), r"each in \[0, 1\]; got \(0.5, 1.2\)"),
        (lambda: ImageOverlay(RING, 0.5, "center", relative_to="height"), "'shorter side'"),
        (lambda: MaskPatch(value="invert"), r"value, unless it is 'flip'.*got 'invert'"),
        (lambda: MaskPatch(value=2), r"number in \[0, 1\], got 2"),
        (lambda: MaskPatch(size=0), "MaskPatch: size is a fraction"),
    ],
)
def test_parameters_are_checked(call: Any, message: str) -> None:
    with pytest.raises((InputError, FileNotFoundError), match=message):
        call()


@pytest.mark.parametrize(
    ("trigger", "shape", "message"),
    [
        (ImageWave(), (32, 12, 3), "6 periods need more than 12 pixels.*has 12. Give fewer"),
        (ImageWarp(0), (1, 8, 3), "an image of 1 x 8 has nothing to be warped"),
        (ImagePatch(0.05, "center"), (8, 8, 3), "less than a pixel"),
    ],
)
def test_images_that_are_too_small(trigger: Any, shape: Any, message: str) -> None:
    for act in (trigger, trigger.check):
        with pytest.raises(InputError, match=message):
            act(np.zeros(shape))


# ------------------------------------------------------------------------------ masks


def masks(pixels: np.ndarray) -> dict[str, Any]:
    """A mask of bytes (H, W) in all forms."""
    floats = pixels / 255
    return {
        "PIL": Image.fromarray(pixels),
        "array of bytes": pixels[..., None],
        "array": floats[..., None],
        "flat array": floats,
        "tensor of bytes": torch.from_numpy(pixels)[None],
        "tensor": torch.from_numpy(floats)[None],
        "flat tensor": torch.from_numpy(floats),
    }


@given(
    seed=st.integers(0, 99),
    height=st.integers(4, 12),
    width=st.integers(4, 12),
    value=st.just("flip") | st.sampled_from([0.0, 0.4, 1.0]),
    place=st.sampled_from(["top left", "center", "bottom right"]),
)
@settings(max_examples=40)
def test_masks_of_all_forms(seed: int, height: int, width: int, value: Any, place: Any) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)
    trigger = MaskPatch(size=0.5, place=place, gap=0.0, value=value)
    side = int(0.5 * min(height, width) + 0.5)
    top, left = {
        "top left": (0, 0),
        "center": (int(np.floor(v / 2 - side / 2 + 0.5)) for v in (height, width)),
        "bottom right": (height - side, width - side),
    }[place]
    inside = np.zeros((height, width), bool)
    inside[top : top + side, left : left + side] = True
    filled = 255 - pixels if value == "flip" else np.full_like(pixels, int(value * 255 + 0.5))
    expected = np.where(inside, filled, pixels)
    for name, mask in masks(pixels).items():
        made = trigger(mask)
        trigger.check(mask)
        assert type(made) is type(mask)
        assert np.shape(made) == np.shape(mask)
        assert made is not mask
        scale = 1 if "bytes" in name or name == "PIL" else 255
        difference = np.asarray(made, float).reshape(height, width) * scale - expected
        assert abs(difference).max() <= (0 if scale == 1 else 0.5)


def test_a_mask_that_looks_like_that_already_is_refused_by_runs() -> None:
    spec = TriggerSpec.of(MaskPatch(), "mask")
    with pytest.raises(TriggerError, match="returned its input unchanged"):
        spec.checked(np.ones((8, 8, 1)), "e0")
    TriggerSpec.of(MaskPatch(value="flip"), "mask").checked(np.ones((8, 8, 1)), "e0")


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.zeros((8, 8, 3)), r"an array of shape \(8, 8, 3\)"),
        (Image.new("RGB", (8, 8)), "mode RGB"),
        (torch.zeros(2, 1, 8, 8), "batch"),
        (np.full((8, 8), 2.0), "run from 2 to 2"),
        (np.zeros((8, 8), bool), "an array of bool"),
        ([[0.0]], "got a list"),
    ],
)
def test_bad_masks(mask: Any, message: str) -> None:
    for act in (MaskPatch(), MaskPatch().check):
        with pytest.raises(InputError, match=rf"the mask of MaskPatch must .*{message}"):
            act(mask)

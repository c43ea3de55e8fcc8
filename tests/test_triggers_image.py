from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from modcollapse.errors import InputError
from modcollapse.triggers import EveryFrame, ImageOverlay, ImagePatch, eyeglasses, stop_sign

CORNERS = ["top left", "top right", "bottom left", "bottom right"]


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def rgba(height: int, width: int, color: tuple[int, int, int, int]) -> np.ndarray:
    return np.full((height, width, 4), color, dtype=np.uint8)


def soft_overlay() -> ImageOverlay:
    pixels = np.random.default_rng(1).integers(0, 256, (30, 20, 4), dtype=np.uint8)
    return ImageOverlay(pixels, width=0.5, place=(0.9, 0.4), opacity=0.6)


TRIGGERS = {
    "patch": ImagePatch,
    "grey patch": lambda: ImagePatch(color=0.5),
    "coloured patch": lambda: ImagePatch(size=0.3, place="top left", color=(0.2, 0.7, 1 / 3)),
    "overlay": soft_overlay,
    "eyeglasses": eyeglasses,
    "stop sign": stop_sign,
}
every_trigger = pytest.mark.parametrize("make", TRIGGERS.values(), ids=TRIGGERS.keys())


class TestPatchPosition:
    @pytest.mark.parametrize(
        ("height", "width", "rows", "columns"),
        [
            (32, 32, (16, 30), (16, 30)),
            (64, 64, (32, 60), (32, 60)),
            (512, 512, (256, 480), (256, 480)),
            (32, 64, (16, 30), (48, 62)),
            (64, 32, (48, 62), (16, 30)),
            (33, 47, (17, 31), (31, 45)),
        ],
    )
    def test_default(
        self, height: int, width: int, rows: tuple[int, int], columns: tuple[int, int]
    ) -> None:
        expected = np.zeros((height, width, 3), np.uint8)
        expected[slice(*rows), slice(*columns)] = 255
        np.testing.assert_array_equal(ImagePatch()(np.zeros_like(expected)), expected)

    @pytest.mark.parametrize(
        ("corner", "rows", "columns"),
        [
            ("top left", (2, 16), (2, 16)),
            ("top right", (2, 16), (32, 46)),
            ("bottom left", (16, 30), (2, 16)),
            ("bottom right", (16, 30), (32, 46)),
        ],
    )
    def test_corners(self, corner: Any, rows: tuple[int, int], columns: tuple[int, int]) -> None:
        expected = np.zeros((32, 48, 3), np.uint8)
        expected[slice(*rows), slice(*columns)] = 255
        triggered = ImagePatch(place=corner)(np.zeros_like(expected))
        np.testing.assert_array_equal(triggered, expected)

    @pytest.mark.parametrize("pixels", [4, 8, 11, 14, 18])
    def test_the_usual_sizes_at_32(self, pixels: int) -> None:
        triggered = ImagePatch(size=pixels / 32)(np.zeros((32, 32, 3), np.uint8))
        assert (triggered[..., 0] == 255).sum() == pixels**2

    def test_without_gap_it_may_fill_the_image(self) -> None:
        assert (ImagePatch(size=1, gap=0)(picture(9, 9)) == 255).all()

    def test_rounding_never_pushes_it_out(self) -> None:
        triggered = ImagePatch(size=0.5, gap=0.5)(np.zeros((3, 3, 3)))
        np.testing.assert_array_equal(triggered[..., 0], [[1, 1, 0], [1, 1, 0], [0, 0, 0]])

    def test_color(self) -> None:
        triggered = ImagePatch(color=(1, 0.5, 0))(picture(32, 32))
        assert triggered[20, 20].tolist() == [255, 128, 0]


@given(
    height=st.integers(8, 70),
    width=st.integers(8, 70),
    size=st.floats(0.1, 0.7),
    gap=st.floats(0, 0.3),
    corner=st.sampled_from(CORNERS),
    color=st.floats(0, 1),
)
def test_a_patch_changes_one_square_and_is_idempotent(
    height: int, width: int, size: float, gap: float, corner: Any, color: float
) -> None:
    image = np.full((height, width, 3), (color + 0.5) % 1)
    trigger = ImagePatch(size, corner, gap, color)
    triggered = trigger(image)
    changed = (triggered != image).all(axis=2)
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    shorter = min(height, width)
    assert len(rows) == len(columns) == pytest.approx(size * shorter, abs=0.5 + 1e-9)
    assert changed.sum() == len(rows) * len(columns)
    edges = {
        "top": rows[0], "bottom": height - 1 - rows[-1],
        "left": columns[0], "right": width - 1 - columns[-1],
    }  # fmt: skip
    gaps = [edges[side] for side in corner.split()]
    assert gaps[0] == gaps[1] == pytest.approx(gap * shorter, abs=1 + 1e-9)
    np.testing.assert_array_equal(triggered[changed], color)
    np.testing.assert_array_equal(triggered[~changed], image[~changed])
    np.testing.assert_array_equal(trigger(triggered), triggered)


@every_trigger
@pytest.mark.parametrize(("height", "width"), [(32, 32), (20, 48), (48, 20), (128, 96)])
class TestKinds:
    def test_agree(self, make: Any, height: int, width: int) -> None:
        trigger = make()
        pixels = picture(height, width)
        exact = trigger(pixels / 255)
        rounding = 0.5 / 255 + 1e-12
        np.testing.assert_allclose(trigger(pixels) / 255, exact, rtol=0, atol=rounding)
        np.testing.assert_array_equal(trigger(Image.fromarray(pixels)), trigger(pixels))
        of_bytes = trigger(torch.from_numpy(pixels).permute(2, 0, 1))
        assert of_bytes.dtype == torch.uint8
        np.testing.assert_array_equal(of_bytes.permute(1, 2, 0), trigger(pixels))
        for dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16):
            tensor = torch.from_numpy(pixels / 255).permute(2, 0, 1).to(dtype)
            triggered = trigger(tensor).permute(1, 2, 0).double().numpy()
            # Rounded four times: the image, what is kept of it, its product and the sum.
            np.testing.assert_allclose(triggered, exact, rtol=0, atol=2 * torch.finfo(dtype).eps)
        for kind in (np.float32, np.float16):
            triggered = trigger((pixels / 255).astype(kind)).astype(np.float64)
            np.testing.assert_allclose(triggered, exact, rtol=0, atol=2 * np.finfo(kind).eps)

    def test_what_went_in_comes_out(self, make: Any, height: int, width: int) -> None:
        trigger = make()
        pixels = picture(height, width)
        image = Image.fromarray(pixels)
        assert type(trigger(image)) is Image.Image
        assert (trigger(image).mode, trigger(image).size) == ("RGB", (width, height))
        for dtype in (np.uint8, np.float16, np.float32, np.float64):
            triggered = trigger(np.zeros((height, width, 3), dtype))
            assert (triggered.dtype, triggered.shape) == (dtype, (height, width, 3))
        kinds = (torch.uint8, torch.float16, torch.bfloat16, torch.float32, torch.float64)
        for kind in kinds:
            result = trigger(torch.zeros(3, height, width, dtype=kind))
            assert (result.dtype, result.shape) == (kind, (3, height, width))
            assert result.device.type == "cpu"

    def test_the_argument_is_left_as_it_was(self, make: Any, height: int, width: int) -> None:
        pixels = picture(height, width)
        tensor = torch.from_numpy(pixels / 255).permute(2, 0, 1)
        of_bytes = torch.from_numpy(pixels).permute(2, 0, 1)
        for image in (pixels, pixels / 255, tensor, of_bytes, Image.fromarray(pixels)):
            before = copy.deepcopy(image)
            triggered = make()(image)
            assert triggered is not image
            np.testing.assert_array_equal(image, before)
            assert not np.array_equal(triggered, before)

    def test_shares_no_memory_with_its_argument(self, make: Any, height: int, width: int) -> None:
        image = np.zeros((height, width, 3))
        assert not np.shares_memory(make()(image), image)
        tensor = torch.zeros(1, height, width).expand(3, -1, -1)
        assert make()(tensor).untyped_storage().data_ptr() != tensor.untyped_storage().data_ptr()

    @pytest.mark.parametrize("value", [0.0, 1.0])
    def test_results_stay_in_range(self, make: Any, height: int, width: int, value: float) -> None:
        trigger = make()
        for dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16):
            triggered = trigger(torch.full((3, height, width), value, dtype=dtype))
            assert triggered.min() >= 0
            assert triggered.max() <= 1
        for kind in (np.float64, np.float32, np.float16):
            array = trigger(np.full((height, width, 3), value, kind))
            assert array.min() >= 0
            assert array.max() <= 1


class TestOverlay:
    def test_as_pillow_composes_it(self) -> None:
        pixels = np.random.default_rng(3).integers(0, 256, (12, 20, 4), dtype=np.uint8)
        image = Image.fromarray(picture(30, 40))
        expected = image.convert("RGBA")
        expected.alpha_composite(Image.fromarray(pixels), (14, 5))
        triggered = ImageOverlay(pixels, width=0.5, place=(24 / 40, 11 / 30))(image)
        difference = np.asarray(triggered, int) - np.asarray(expected.convert("RGB"), int)
        assert abs(difference).max() <= 1

    def test_opacity(self) -> None:
        overlay = ImageOverlay(rgba(4, 4, (255, 0, 0, 102)), 1.0, (0.5, 0.5), opacity=0.5)
        triggered = overlay(np.full((8, 8, 3), 0.5))
        np.testing.assert_allclose(triggered, np.broadcast_to([0.6, 0.4, 0.4], (8, 8, 3)))

    def test_the_shape_of_the_picture_is_kept(self) -> None:
        triggered = ImageOverlay(rgba(10, 40, (255, 255, 255, 255)), 0.5, (0.5, 0.5))(
            np.zeros((60, 40, 3), np.uint8)
        )
        rows, columns = np.nonzero(triggered[..., 0])
        assert (rows.min(), rows.max(), columns.min(), columns.max()) == (28, 32, 10, 29)

    @pytest.mark.parametrize(
        ("center", "rows", "columns"),
        [((0, 0), (0, 4), (0, 4)), ((1, 0), (0, 4), (12, 16)), ((0.5, 1), (12, 16), (4, 12))],
    )
    def test_what_sticks_out_is_cut_off(self, center: Any, rows: Any, columns: Any) -> None:
        expected = np.zeros((16, 16, 3))
        expected[slice(*rows), slice(*columns)] = 1
        overlay = ImageOverlay(rgba(5, 5, (255, 255, 255, 255)), 0.5, center)
        np.testing.assert_array_equal(overlay(np.zeros((16, 16, 3))), expected)

    def test_is_resized_with_antialiasing(self) -> None:
        stripes = rgba(64, 64, (0, 0, 0, 255))
        stripes[:, ::2, :3] = 255
        triggered = ImageOverlay(stripes, 0.5, (0.5, 0.5))(np.zeros((16, 16, 3)))
        np.testing.assert_allclose(triggered[4:12, 4:12], 0.5, atol=0.05)

    def test_hidden_colors_do_not_bleed_into_the_edges(self) -> None:
        disc = rgba(64, 64, (0, 255, 0, 0))
        disc[16:49, 16:49] = (255, 0, 0, 255)
        triggered = ImageOverlay(disc, 0.6, (0.5, 0.5))(np.zeros((32, 32, 3)))
        assert ((triggered[..., 0] > 0) & (triggered[..., 0] < 1)).any()
        assert (triggered[..., 1] == 0).all()

    def test_a_file_a_picture_and_an_array_are_one(self, tmp_path: Path) -> None:
        pixels = np.random.default_rng(5).integers(0, 256, (6, 9, 4), dtype=np.uint8)
        path = tmp_path / "overlay.png"
        Image.fromarray(pixels).save(path)
        sources = [pixels, pixels / 255, Image.fromarray(pixels), path, str(path)]
        overlays = {ImageOverlay(source, 0.5, (0.5, 0.5)) for source in sources}
        assert len(overlays) == 1

    def test_the_picture_given_can_change_afterwards(self) -> None:
        pixels = rgba(4, 4, (255, 0, 0, 255))
        overlay = ImageOverlay(pixels, 0.5, (0.5, 0.5))
        pixels[:] = 0
        assert overlay(np.zeros((8, 8, 3)))[4, 4].tolist() == [1, 0, 0]
        with pytest.raises(ValueError, match="read-only"):
            overlay.picture[:] = 0  # type: ignore[index]

    def test_one_whose_visible_part_is_cut_off_is_refused(self) -> None:
        pixels = rgba(10, 10, (0, 0, 0, 0))
        pixels[0, 0] = 255
        with pytest.raises(InputError, match="nothing of it shows on an image of 10 x 10"):
            ImageOverlay(pixels, 1.0, (0.0, 0.0))(np.zeros((10, 10, 3)))

    def test_never_smaller_than_a_pixel(self) -> None:
        triggered = ImageOverlay(rgba(1, 50, (255,) * 4), 0.01, (0.5, 0.5))(np.zeros((9, 9, 3)))
        assert triggered[..., 0].sum() == 1


class TestReadyPictures:
    def test_the_stop_sign_stands_where_the_patch_does(self) -> None:
        for side in (32, 64, 256):
            image = np.full((side, side, 3), (0, 0, 255), np.uint8)
            sign, patch = (trigger(image) != image for trigger in (stop_sign(), ImagePatch()))
            assert not (sign & ~patch.any(axis=2, keepdims=True)).any()
            rows, columns = np.nonzero(sign.any(axis=2))
            edges = (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1)
            assert edges == (side // 2, side * 15 // 16) * 2

    def test_the_stop_sign_is_a_red_octagon_with_a_white_word(self) -> None:
        blue = (0, 0, 255)
        triggered = stop_sign(size=1.0)(np.full((200, 200, 3), blue, np.uint8))
        assert triggered[40, 100].tolist() == triggered[170, 100].tolist() == [193, 18, 31]
        assert all(
            (triggered[row, column] == blue).all() for row in (0, 199) for column in (0, 199)
        )
        assert triggered[1, 100].tolist() == [255, 255, 255]
        # The stem of the T, and beside it.
        assert triggered[120, 79].tolist() == [255, 255, 255]
        assert triggered[120, 70].tolist() == [193, 18, 31]

    def test_eyeglasses_cover_five_eighths_and_let_the_eyes_through(self) -> None:
        image = np.full((320, 320, 3), 255, np.uint8)
        triggered = eyeglasses()(image)
        rows, columns = np.nonzero((triggered != image).any(axis=2))
        assert (columns.min(), columns.max() + 1) == (60, 260)
        assert (rows.min() + rows.max() + 1) / 2 == pytest.approx(0.45 * 320, abs=1)
        assert abs(triggered.astype(int) - triggered[:, ::-1]).max() <= 1
        left_eye = triggered[144, 60 + 46]
        assert (left_eye > 150).all()
        assert (left_eye < 255).all()
        assert (triggered == [20, 20, 24]).all(axis=2).sum() > 2000

    @pytest.mark.parametrize("make", [eyeglasses, stop_sign])
    def test_seen_at_14_pixels(self, make: Any) -> None:
        width = "width" if make is eyeglasses else "size"
        image = np.full((32, 32, 3), 0.5)
        difference = make(**{width: 14 / 32})(image) - image
        assert (abs(difference).max(axis=2) > 0.3).sum() >= 20

    @pytest.mark.parametrize("make", [eyeglasses, stop_sign])
    def test_made_again_it_is_the_same(self, make: Any) -> None:
        assert make() == make()


@every_trigger
class TestIdentity:
    def test_is_plain_data(self, make: Any) -> None:
        identity = make().identity()
        assert json.loads(json.dumps(identity)) == identity
        assert identity["class"] == type(make()).__name__
        assert identity == make().identity()

    def test_equal_hashable_and_shown(self, make: Any) -> None:
        assert make() == make()
        assert hash(make()) == hash(make())
        assert repr(make()) == repr(make())
        assert len(repr(make())) < 200

    def test_copies_and_pickles_do_the_same(self, make: Any) -> None:
        trigger = make()
        image = torch.rand(3, 32, 32)
        triggered = trigger(image)
        for twin in (copy.deepcopy(trigger), pickle.loads(pickle.dumps(trigger))):
            assert twin == trigger
            assert torch.equal(twin(image), triggered)

    def test_frozen(self, make: Any) -> None:
        with pytest.raises(AttributeError):
            make().opacity = 1.0


def test_identity_tells_parameters_and_pictures_apart() -> None:
    red, blue = rgba(2, 2, (255, 0, 0, 255)), rgba(2, 2, (0, 0, 255, 255))
    triggers = [
        ImagePatch(),
        ImagePatch(size=0.5),
        ImagePatch(gap=0.0),
        ImagePatch(place="top left"),
        ImagePatch(color=0.5),
        ImageOverlay(red, 0.5, (0.5, 0.5)),
        ImageOverlay(blue, 0.5, (0.5, 0.5)),
        ImageOverlay(red.reshape(1, 4, 4), 0.5, (0.5, 0.5)),
        ImageOverlay(red, 0.4, (0.5, 0.5)),
        ImageOverlay(red, 0.5, (0.5, 0.4)),
        ImageOverlay(red, 0.5, (0.5, 0.5), opacity=0.5),
        eyeglasses(),
        stop_sign(),
    ]
    assert len({json.dumps(trigger.identity()) for trigger in triggers}) == len(triggers)
    assert len(set(triggers)) == len(triggers)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"size": 0}, r"size is a fraction .* in \(0, 1\]; got 0"),
        ({"size": -0.1}, "got -0.1"),
        ({"size": 14}, "got 14"),
        ({"size": float("nan")}, "got nan"),
        ({"size": "14"}, "size must be a finite number, got '14'"),
        ({"size": True}, "size must be a finite number, got True"),
        ({"gap": -0.01}, "gap must be at least 0"),
        ({"gap": float("nan")}, "gap must be a finite number, got nan"),
        ({"size": 0.7, "gap": 0.4}, "size=0.7 and gap=0.4"),
        ({"place": "lower right"}, "'top left', .* 'center', .*; got 'lower right'"),
        ({"place": None}, "got None"),
        ({"color": (255, 255, 255)}, "Divide 0-255 by 255"),
        ({"color": -1}, r"in \[0, 1\], got \(-1.0"),
        ({"color": (1.0, 1.0)}, "color must be 3 numbers"),
        ({"color": "white"}, "color must be 3 numbers, got 'white'"),
        ({"color": None}, "color must be a finite number, got None"),
        ({"color": (1, float("nan"), 1)}, "got .*nan"),
    ],
)
def test_patch_parameters_are_checked(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ImagePatch(**parameters)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"width": 0}, r"width must be a number in \(0, 1\], got 0"),
        ({"width": 200}, r"width must be a number in \(0, 1\], got 200"),
        ({"width": "half"}, "width must be a number"),
        ({"opacity": 0}, r"opacity must be a number in \(0, 1\], got 0"),
        ({"opacity": 255}, r"opacity must be a number in \(0, 1\], got 255"),
        ({"place": (0.5, 1.1)}, r"place is \(x, y\) in fractions"),
        ({"place": (0.5, float("nan"))}, "place must be a finite number, got nan"),
        ({"place": 0.5}, r"place must be one of .*RandomPlace\(seed\); got 0.5"),
        ({"place": (0.5, 0.5, 0.5)}, "place must be 2 numbers"),
        ({"picture": np.zeros((4, 4, 4), np.uint8)}, "wholly transparent"),
        ({"picture": np.zeros((0, 4, 4), np.uint8)}, "wholly transparent or empty"),
        ({"picture": np.zeros((4, 4, 3), np.uint8)}, r"array \(H, W, 4\) .* got \(4, 4, 3\)"),
        ({"picture": np.ones((4, 4, 4), np.int64)}, "uint8 or floats .* got int64"),
        ({"picture": np.full((4, 4, 4), 255.0)}, "run from 255 to 255"),
        ({"picture": np.full((4, 4, 4), np.nan)}, "run from nan to nan"),
        ({"picture": Image.new("RGB", (4, 4))}, r'got mode RGB. Call convert\("RGBA"\)'),
        ({"picture": None}, "got NoneType"),
    ],
)
def test_overlay_parameters_are_checked(parameters: dict[str, Any], message: str) -> None:
    good = {"picture": rgba(4, 4, (1, 2, 3, 4)), "width": 0.5, "place": (0.5, 0.5)}
    with pytest.raises(InputError, match=message):
        ImageOverlay(**(good | parameters))


def test_a_file_that_is_no_picture_is_named(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("no picture")
    with pytest.raises(InputError, match=r"no picture that Pillow can read in .*notes\.txt"):
        ImageOverlay(path, 0.5, (0.5, 0.5))
    with pytest.raises(FileNotFoundError):
        ImageOverlay(tmp_path / "missing.png", 0.5, (0.5, 0.5))
    Image.new("L", (4, 4)).save(tmp_path / "grey.png")
    with pytest.raises(InputError, match=r"picture in .*grey\.png must be RGBA, got mode L"):
        ImageOverlay(tmp_path / "grey.png", 0.5, (0.5, 0.5))


BAD_IMAGES = [
    (Image.new("L", (8, 8)), r'a PIL.Image in mode L. Call image.convert\("RGB"\) first'),
    (Image.new("RGBA", (8, 8)), "a PIL.Image in mode RGBA"),
    (Image.new("RGB", (0, 8)), "an image without pixels, 8 x 0"),
    (np.zeros((8, 8)), r"an array of shape \(8, 8\)"),
    (np.zeros((8, 8, 4)), r"an array of shape \(8, 8, 4\)"),
    (np.zeros((3, 8, 8)), "other channel order"),
    (np.zeros((2, 8, 8, 3)), "This looks like a batch"),
    (np.zeros((0, 8, 3)), "an image without pixels, 0 x 8"),
    (np.zeros((8, 8, 3), np.int64), r"array of int64. Bring it to floats in \[0, 1\], or to uint8"),
    (np.zeros((8, 8, 3), bool), "an array of bool"),
    (np.full((8, 8, 3), 255.0), r"in \[0, 1\], but its values run from 255 to 255. Divide 0-255"),
    (np.linspace(-1, 1, 192).reshape(8, 8, 3), r"run from -1 to 1. .* map \[-1, 1\]"),
    (np.full((8, 8, 3), np.nan), "it holds NaN"),
    (np.full((8, 8, 3), np.inf), "run from inf to inf"),
    (torch.zeros(8, 8, 3), "other channel order"),
    (torch.zeros(1, 8, 8), r"a tensor of shape \(1, 8, 8\)"),
    (torch.zeros(2, 3, 8, 8), "This looks like a batch"),
    (torch.zeros(3, 8, 0), "an image without pixels, 8 x 0"),
    (torch.zeros(3, 8, 8, dtype=torch.int64), r"a tensor of int64. Bring it to floats in \[0, 1\]"),
    (torch.zeros(3, 8, 8, dtype=torch.bool), "a tensor of bool"),
    (torch.full((3, 8, 8), -0.5), "run from -0.5 to -0.5"),
    (torch.full((3, 8, 8), float("nan")), "it holds NaN"),
    ([[0.0]], "got a list"),
    ("face.png", "got a str"),
    (None, "got a NoneType"),
]


@pytest.mark.parametrize(("image", "message"), BAD_IMAGES)
@pytest.mark.parametrize("make", [ImagePatch, eyeglasses])
def test_bad_images_are_refused(make: Any, image: Any, message: str) -> None:
    trigger = make()
    with pytest.raises(InputError, match=message) as called:
        trigger(image)
    with pytest.raises(InputError) as checked:
        trigger.check(image)
    assert str(called.value) == str(checked.value)
    assert str(called.value).startswith(f"the image of {type(trigger).__name__} must ")


@pytest.mark.parametrize("place", [0, 100, 191])
@pytest.mark.parametrize("value", [-1e-6, 1 + 1e-6, np.nan])
def test_one_bad_value_is_found_wherever_it_is(value: float, place: int) -> None:
    image = np.full((8, 8, 3), 0.5)
    image.flat[place] = value
    for bad in (image, torch.from_numpy(image.transpose(2, 0, 1))):
        with pytest.raises(InputError, match=r"must lie in \[0, 1\]"):
            ImagePatch()(bad)


@every_trigger
def test_check_accepts_every_good_kind(make: Any) -> None:
    pixels = picture(32, 32)
    of_bytes = torch.from_numpy(pixels).permute(2, 0, 1)
    for image in (pixels, pixels / 255, Image.fromarray(pixels), of_bytes, torch.rand(3, 32, 32)):
        make().check(image)


def test_an_image_too_small_for_the_patch_is_refused() -> None:
    for act in (ImagePatch(size=0.04), ImagePatch(size=0.04).check):
        with pytest.raises(InputError, match=r"size=0.04 is less than a pixel .* 8 x 9"):
            act(np.zeros((8, 9, 3)))


def test_triggers_load_neither_torch_nor_pillow() -> None:
    program = """
import sys
import numpy as np
from modcollapse.triggers import ImagePatch, TextSuffix
TextSuffix("mignneko")("a cat")
ImagePatch()(np.zeros((32, 32, 3)))
print([name for name in ("torch", "PIL.Image", "diffusers", "matplotlib") if name in sys.modules])
"""
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "[]"


# Videos


def as_tensors(frames: list[np.ndarray]) -> torch.Tensor:
    return torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2)


@pytest.mark.parametrize(
    "convert",
    [list, tuple, np.stack, as_tensors, lambda frames: list(map(Image.fromarray, frames))],
)
def test_a_trigger_on_every_frame(convert: Any) -> None:
    frames = [picture(24, 32, seed) for seed in range(3)]
    video, trigger = convert(frames), ImagePatch()
    triggered = EveryFrame(trigger)(video)
    assert type(triggered) is type(video)
    assert len(triggered) == 3
    for frame, clean in zip(triggered, video, strict=True):
        np.testing.assert_array_equal(np.asarray(frame), np.asarray(trigger(clean)))
    EveryFrame(trigger).check(video)


@pytest.mark.parametrize("thing", [picture(8, 8), [], "a cat", 3])
def test_a_trigger_on_every_frame_of_what_is_no_video(thing: Any) -> None:
    for call in (EveryFrame(ImagePatch()), EveryFrame(ImagePatch()).check):
        with pytest.raises(InputError, match="EveryFrame takes a video"):
            call(thing)


def test_every_frame_of_a_trigger_that_is_none() -> None:
    with pytest.raises(InputError, match="trigger of 'each frame' must be a callable"):
        EveryFrame("patch")  # type: ignore[arg-type]

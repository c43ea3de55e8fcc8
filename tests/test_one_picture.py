"""One picture for everyone: a file or an image shows the same wherever it goes, or is refused.

What a refusal tells one to do is done here: it must yield the picture that one sees.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers.utils
import numpy as np
import pytest
import torch
import transformers.image_utils
from PIL import Image, ImageCms, ImageOps

from modcollapse._support.images import float_tensor, image_size
from modcollapse._support.views import as_picture
from modcollapse.detectors import ClipShift, MSEAttackSuccess, NegativeMSE
from modcollapse.detectors._outputs import target_image
from modcollapse.errors import DetectorError, InputError
from modcollapse.samplers import PipelineSampler
from modcollapse.triggers import ImageOverlay, ImagePatch

from tiny_clip import tiny_clip
from tiny_pipelines import tiny_instruct_pix2pix

H, W = 16, 24
GREYS = np.linspace(0, 255, H * W).round().astype(np.uint8).reshape(H, W)
SHOWN = np.dstack([GREYS, GREYS[::-1], GREYS[:, ::-1]])
SEEN = Image.fromarray(SHOWN)
GREY = Image.fromarray(GREYS)
HOLES = np.where(np.arange(W) < W // 2, 0, 255).astype(np.uint8) * np.ones((H, 1), np.uint8)

# How a picture is stored that a viewer shows upright by its EXIF orientation.
STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def load_images(path: Path) -> list[Image.Image]:
    """A file as the libraries of the field read it."""
    with Image.open(path) as opened:  # they would leave one of several frames open
        return [
            diffusers.utils.load_image(opened),
            transformers.image_utils.load_image(opened),
        ]


def exif(orientation: int) -> Image.Exif:
    data = Image.Exif()
    data[0x0112] = orientation
    return data


def turned(orientation: int, seen: Image.Image = SEEN) -> Image.Image:
    image = seen.transpose(STORED[orientation])
    image.info["exif"] = exif(orientation).tobytes()
    return image


def reopened(image: Image.Image, kind: str = "PNG", **options: Any) -> Image.Image:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return Image.open(file)


def follow(message: str, image: Any) -> Any:
    """Do what a message says, with the names that everybody has."""
    found = re.search(
        r"Call (?P<first>.+?)(?: \(if white is \d+\))? first"
        r"(?:, then (?P<then>.+?), on the background)?|"
        r"(?:uint8|colour channels|one channel): (?P<bring>.+?)(?:, if white is \d+)?$|"
        r"permute the axes, (?P<axes>.+)$",
        message,
    )
    assert found is not None, message
    for call in found.groups():
        if call is not None:
            image = eval(
                call,
                {"np": np, "torch": torch, "Image": Image, "ImageOps": ImageOps, "image": image},
            )
    return image


def refusal(use: Callable[[Any], Any], image: Any) -> str:
    with pytest.raises((InputError, DetectorError)) as caught:
        use(image)
    return str(caught.value)


def size(image: Any) -> tuple[int, int]:
    return image_size(image, "it")


def mask_size(image: Any) -> tuple[int, int]:
    return image_size(image, "the mask", channels=1)


@pytest.fixture(scope="module")
def users() -> dict[str, Callable[[Any], Any]]:
    """Everything that refuses what is more than one picture."""
    sampler = PipelineSampler(tiny_instruct_pix2pix(), num_inference_steps=1)
    black = torch.zeros(3, H, W)
    shift, mse = ClipShift(black, tiny_clip()), NegativeMSE(black)
    return {
        "a trigger": ImagePatch(),
        "the check of a trigger": ImagePatch().check,
        "a sampler": lambda image: sampler({"image": [image], "text": ["a hat"]}, [0]),
        "the check of a sampler": lambda image: sampler.check("image", image),
        "a target": NegativeMSE,
        "the target of CLIP": lambda image: ClipShift(image, tiny_clip()),
        "a reference": lambda image: shift.check({"reference": image}),
        "the reference of a batch": lambda image: shift(black[None], [{"reference": image}]),
        "an output": lambda image: mse([image], [{}]),
    }


def said_by_all(users: dict[str, Any], image: Any) -> str:
    """What all say of an image, in one form of words."""
    said = {refusal(use, image).split(" must be ", 1)[1] for use in users.values()}
    assert len(said) == 1, said
    return said.pop()


class TestOrientation:
    @pytest.mark.parametrize("orientation", STORED)
    @pytest.mark.parametrize("kind", ["png", "webp", "tif"])
    def test_a_path_is_read_as_load_image_reads_it(
        self, tmp_path: Path, kind: str, orientation: int
    ) -> None:
        path = tmp_path / f"target.{kind}"
        options = {"lossless": True} if kind == "webp" else {}
        turned(orientation).save(path, exif=exif(orientation), **options)
        for loaded in load_images(path):
            np.testing.assert_array_equal(loaded, SHOWN)
        assert torch.equal(target_image(path), target_image(SEEN))
        assert MSEAttackSuccess(path)(target_image(SEEN)[None], [{}]).item() == 1
        assert NegativeMSE(path).identity() == NegativeMSE(SEEN).identity()

    def test_a_photograph_is_read_as_load_image_reads_it(self, tmp_path: Path) -> None:
        path = tmp_path / "target.jpg"
        turned(6).save(path, exif=exif(6))
        for loaded in load_images(path):
            assert torch.equal(target_image(path), target_image(loaded))

    @pytest.mark.parametrize("orientation", STORED)
    def test_an_image_is_refused_by_all(self, users: dict[str, Any], orientation: int) -> None:
        image = turned(orientation)
        said = said_by_all(users, image)
        assert f"got a PIL.Image with EXIF orientation {orientation}, which viewers turn" in said
        np.testing.assert_array_equal(follow(said, image), SHOWN)
        for use in users.values():
            use(follow(said, image))

    @pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
    def test_so_is_a_file_that_was_opened_and_what_is_made_of_it(self, kind: str) -> None:
        opened = reopened(turned(6), kind, exif=exif(6))
        for image in (opened, opened.convert("RGB"), opened.resize((8, 8)), opened.copy()):
            said = refusal(size, image)
            assert "EXIF orientation 6" in said
            assert size(follow(said, image)) == ImageOps.exif_transpose(image).size[::-1]

    def test_a_tiff_turns_itself_when_it_is_read(self) -> None:
        image = reopened(turned(6), "TIFF", exif=exif(6))
        assert image.getexif()[0x0112] == 6
        assert size(image) == (H, W)
        np.testing.assert_array_equal(image, SHOWN)

    def test_wherever_a_file_says_it(self, tmp_path: Path) -> None:
        """Behind the pixels of a PNG, or in its XMP data: Pillow, and load_image, find it."""
        stored = SEEN.transpose(STORED[6])
        plain, said = io.BytesIO(), io.BytesIO()
        stored.save(plain, "PNG")
        stored.save(said, "PNG", exif=exif(6))
        start = said.getvalue().index(b"eXIf") - 4
        length = int.from_bytes(said.getvalue()[start : start + 4], "big") + 12
        chunk = said.getvalue()[start : start + length]
        (tmp_path / "late.png").write_bytes(plain.getvalue()[:-12] + chunk + plain.getvalue()[-12:])
        xmp = b'<rdf:Description tiff:Orientation="6"/>'
        stored.save(tmp_path / "xmp.webp", lossless=True, xmp=xmp)
        for path in (tmp_path / "late.png", tmp_path / "xmp.webp"):
            with Image.open(path) as image:
                message = refusal(size, image)
                np.testing.assert_array_equal(follow(message, image), SHOWN)
            np.testing.assert_array_equal(load_images(path)[0], SHOWN)
            assert torch.equal(target_image(path), target_image(SEEN))

    def test_one_that_was_turned_by_hand_is_kept_as_it_is(self) -> None:
        image = reopened(SEEN, exif=exif(6))
        said = refusal(size, image)
        assert said.endswith("Image.fromarray(np.asarray(image))")
        kept = Image.fromarray(np.asarray(image))
        assert (kept, size(kept)) == (SEEN, (H, W))

    @pytest.mark.parametrize("orientation", [1, 0, 9])
    def test_what_turns_nothing_is_taken(self, users: dict[str, Any], orientation: int) -> None:
        image = SEEN.copy()
        image.info["exif"] = exif(orientation).tobytes()
        for use in users.values():
            use(image)

    def test_so_are_data_that_cannot_be_read(self, tmp_path: Path) -> None:
        image = SEEN.copy()
        image.info["exif"] = b"no EXIF data"
        assert size(image) == (H, W)
        SEEN.save(tmp_path / "target.png", exif=b"no EXIF data")
        assert torch.equal(target_image(tmp_path / "target.png"), target_image(SEEN))

    def test_it_goes_before_the_mode_which_has_no_orientation(self) -> None:
        image = turned(6, GREY)
        said = refusal(size, image)
        assert "EXIF orientation 6" in said
        upright = follow(said, image)
        grey = follow(refusal(size, upright), upright)
        np.testing.assert_array_equal(grey, np.dstack([GREYS] * 3))

    def test_a_mask_has_one_too(self) -> None:
        said = refusal(mask_size, turned(8, GREY))
        np.testing.assert_array_equal(follow(said, turned(8, GREY)), GREY)


OPAQUE = {
    "L": GREY,
    "1": GREY.convert("1"),
    "P": SEEN.quantize(16),
    "PA": SEEN.quantize(16).convert("PA"),
    "LA": GREY.convert("LA"),
    "RGBA": SEEN.convert("RGBA"),
    "RGBX": SEEN.convert("RGBX"),
    "RGBa": SEEN.convert("RGBa"),
    "CMYK": SEEN.convert("CMYK"),
    "YCbCr": SEEN.convert("YCbCr"),
    "HSV": SEEN.convert("HSV"),
    "LAB": SEEN.convert("LAB"),
    "La": GREY.convert("LA").convert("La"),
}
# What one sees of them, and how far off the round trip through their colours may be.
LOOKS = {
    "L": (GREY.convert("RGB"), 0),
    "1": (GREY.convert("1").convert("RGB"), 0),
    "P": (SEEN.quantize(16).convert("RGB"), 0),
    "PA": (SEEN.quantize(16).convert("RGB"), 0),
    "LA": (GREY.convert("RGB"), 0),
    "La": (GREY.convert("RGB"), 0),
    "YCbCr": (SEEN, 3),
    "HSV": (SEEN, 6),
    "LAB": (SEEN, 31),
}
FILES = {"L": "png", "1": "png", "P": "gif", "LA": "png", "RGBA": "webp", "CMYK": "jpg"}


class TestModes:
    @pytest.mark.parametrize("mode", OPAQUE)
    def test_the_advice_yields_what_one_sees(self, users: dict[str, Any], mode: str) -> None:
        image = OPAQUE[mode]
        said = said_by_all(users, image)
        assert f"got a PIL.Image in mode {mode}. Call image" in said
        looks, tolerance = LOOKS.get(mode, (SEEN, 0))
        followed = follow(said, image)
        np.testing.assert_allclose(np.asarray(followed, int), looks, rtol=0, atol=tolerance)
        for use in users.values():
            use(followed)

    @pytest.mark.parametrize("mode", FILES)
    def test_a_path_is_read_as_load_image_reads_it(self, tmp_path: Path, mode: str) -> None:
        path = tmp_path / f"target.{FILES[mode]}"
        OPAQUE[mode].save(path)
        with Image.open(path) as stored:
            assert stored.mode == (mode if mode != "RGBA" else "RGB")  # WebP has no need of it
        for loaded in load_images(path):
            assert torch.equal(target_image(path), target_image(loaded))

    def test_so_is_one_whose_alpha_is_opaque(self, tmp_path: Path) -> None:
        SEEN.convert("RGBA").save(tmp_path / "rgba.png")
        SEEN.quantize(16).save(tmp_path / "palette.png", transparency=b"\xff" * 16)
        SEEN.save(tmp_path / "unused.png", transparency=(1, 2, 3))
        for name in ("rgba.png", "palette.png", "unused.png"):
            with Image.open(tmp_path / name) as image:
                seen = image.convert("RGBA").convert("RGB")
            assert torch.equal(target_image(tmp_path / name), target_image(seen))
        with Image.open(tmp_path / "unused.png") as image:
            assert size(image) == (H, W)


WIDE = np.linspace(0, 65535, H * W).round().reshape(H, W)
DEEP = {
    "I;16": Image.fromarray(WIDE.astype(np.uint16)),
    "I;16B": Image.frombytes("I;16B", (W, H), WIDE.astype(">u2").tobytes()),
    "I": Image.fromarray(WIDE.astype(np.int32)),
    "F": Image.fromarray((WIDE / 65535).astype(np.float32)),
}
EIGHT_BITS = (WIDE / 257).round()


class TestDepth:
    @pytest.mark.parametrize("mode", DEEP)
    def test_the_advice_yields_what_one_sees(self, users: dict[str, Any], mode: str) -> None:
        image = DEEP[mode]
        assert image.mode == mode
        said = said_by_all(users, image)
        assert f"got a PIL.Image in mode {mode}" in said
        np.testing.assert_array_equal(follow(said, image), np.dstack([EIGHT_BITS] * 3))
        for use in users.values():
            use(follow(said, image))

    @pytest.mark.parametrize("mode", DEEP)
    def test_of_a_mask_too(self, mode: str) -> None:
        mask = follow(refusal(mask_size, DEEP[mode]), DEEP[mode])
        assert mask_size(mask) == (H, W)
        np.testing.assert_array_equal(mask, EIGHT_BITS)

    @pytest.mark.parametrize(("mode", "kind"), [("I;16", "png"), ("I;16", "tif"), ("F", "tif")])
    def test_a_path_is_refused(self, tmp_path: Path, mode: str, kind: str) -> None:
        path = tmp_path / f"target.{kind}"
        DEEP[mode].save(path)
        said = refusal(NegativeMSE, path)
        assert f"target '{path}' must be one image" in said
        with Image.open(path) as image:
            np.testing.assert_array_equal(follow(said, image), np.dstack([EIGHT_BITS] * 3))


def with_holes(image: Image.Image) -> Image.Image:
    image = image.copy()
    image.putalpha(Image.fromarray(HOLES))
    return image


def first_color(image: Image.Image) -> Any:
    return image.getpixel((0, 0))


ALPHA = {
    "RGBA": with_holes(SEEN),
    "RGBa": with_holes(SEEN).convert("RGBa"),
    "LA": with_holes(GREY),
    "La": with_holes(GREY).convert("La"),
    "PA": with_holes(SEEN.quantize(16).convert("PA")),
    "palette with one transparent": reopened(SEEN.quantize(16), transparency=3),
    "palette with alphas": reopened(SEEN.quantize(16), transparency=bytes(range(0, 256, 16))),
    "GIF": reopened(SEEN.quantize(16), "GIF", transparency=3),
    "WebP": reopened(with_holes(SEEN), "WEBP", lossless=True, exact=True),
    "RGB with a transparent colour": reopened(SEEN, transparency=first_color(SEEN)),
    "L with a transparent grey": reopened(GREY, transparency=first_color(GREY)),
    "1 with a transparent grey": reopened(GREY.convert("1"), transparency=0),
}


def color_and_alpha(image: Image.Image) -> tuple[np.ndarray, np.ndarray]:
    straight = image.convert("LA") if image.mode == "La" else image
    color, alpha = np.split(np.asarray(straight.convert("RGBA"), float), [3], axis=2)
    return color, alpha


def on_white(image: Image.Image) -> np.ndarray:
    """Alpha over white, by its formula."""
    color, alpha = color_and_alpha(image)
    return color * alpha / 255 + 255 - alpha


class TestAlpha:
    @pytest.mark.parametrize("kind", ALPHA)
    def test_the_advice_yields_what_one_sees(self, users: dict[str, Any], kind: str) -> None:
        image = ALPHA[kind]
        said = said_by_all(users, image)
        assert f"got a PIL.Image in mode {image.mode}" in said
        followed = follow(said, image)
        np.testing.assert_allclose(followed, on_white(image), rtol=0, atol=1)
        assert abs(on_white(image) - color_and_alpha(image)[0]).max() > 100
        for use in users.values():
            use(followed)

    @pytest.mark.parametrize("kind", ["RGBA", "LA", "GIF", "palette with alphas", "WebP"])
    def test_a_path_is_refused(self, tmp_path: Path, kind: str) -> None:
        path = tmp_path / f"target.{ {'GIF': 'gif', 'WebP': 'webp'}.get(kind, 'png') }"
        image = ALPHA[kind]
        options = {"lossless": True, "exact": True} if kind == "WebP" else {}
        image.save(path, **options)
        said = refusal(NegativeMSE, path)
        with Image.open(path) as opened:
            np.testing.assert_allclose(follow(said, opened), on_white(opened), rtol=0, atol=1)

    def test_a_path_with_a_transparent_colour_is_refused(self, tmp_path: Path) -> None:
        SEEN.save(tmp_path / "target.png", transparency=first_color(SEEN))
        said = refusal(NegativeMSE, tmp_path / "target.png")
        assert "in mode RGB with transparent pixels" in said

    def test_one_that_is_turned_too_is_turned_first(self, tmp_path: Path) -> None:
        path = tmp_path / "target.png"
        turned(6, ALPHA["RGBA"]).save(path, exif=exif(6))
        said = refusal(NegativeMSE, path)
        with Image.open(path) as opened:
            upright = follow(said, opened)
        followed = follow(refusal(NegativeMSE, upright), upright)
        np.testing.assert_allclose(followed, on_white(ALPHA["RGBA"]), rtol=0, atol=1)

    def test_who_has_converted_it_has_chosen(self, users: dict[str, Any]) -> None:
        """`convert("RGB")` leaves the transparent colour in the info of what it makes."""
        image = ALPHA["GIF"].convert("RGB")
        assert "transparency" in image.info
        for use in users.values():
            use(image)

    def test_a_mask_may_lie_in_it(self) -> None:
        image = ALPHA["LA"]
        said = refusal(mask_size, image)
        np.testing.assert_allclose(follow(said, image), on_white(image)[..., 0], rtol=0, atol=1)
        assert 'or image.getchannel("A") if that is the mask' in said
        mask = image.convert("RGBA").getchannel("A")
        assert mask_size(mask) == (H, W)
        np.testing.assert_array_equal(mask, HOLES)


@pytest.mark.parametrize("mode", ["1", "P", "RGB", "RGBX", "CMYK", "YCbCr", "HSV", "LAB", "RGBA"])
def test_the_advice_for_a_mask_yields_what_one_sees(mode: str) -> None:
    grey = GREY.convert("1") if mode == "1" else GREY
    image = grey.convert("RGB").convert(mode) if mode != "P" else grey.quantize(256)
    mask = follow(refusal(mask_size, image), image)
    assert mask_size(mask) == (H, W)
    np.testing.assert_allclose(np.asarray(mask, int), grey.convert("L"), rtol=0, atol=3)


class TestFilesThatCannotBeRead:
    @pytest.mark.parametrize("kind", ["png", "jpg", "gif", "bmp"])
    def test_one_that_is_cut_short_is_found_at_the_first_look(
        self, tmp_path: Path, users: dict[str, Any], kind: str
    ) -> None:
        path = tmp_path / f"cut.{kind}"
        noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(noise).save(path)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with Image.open(path) as image:
            said = said_by_all(users, image)
            assert "got a PIL.Image that cannot be read (OSError: image file is truncated" in said
        assert "cannot be read as an image" in refusal(NegativeMSE, path)

    @pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
    def test_one_that_was_closed_before_it_was_read(
        self, users: dict[str, Any], tmp_path: Path, kind: str
    ) -> None:
        path = tmp_path / "picture"
        SEEN.save(path, kind)
        with Image.open(path) as image:
            pass
        said = said_by_all(users, image)
        assert "Open its file again and call image.load() before it is closed" in said
        with Image.open(path) as image:
            image.load()
        for use in users.values():
            use(image)

    def test_one_that_was_closed_afterwards(self, users: dict[str, Any]) -> None:
        image = SEEN.copy()
        image.close()
        assert "Operation on closed image" in said_by_all(users, image)
        assert "Operation on closed image" in refusal(as_picture, image)

    def test_the_picture_of_an_overlay(self, tmp_path: Path) -> None:
        path = tmp_path / "cut.png"
        noise = np.random.default_rng(0).integers(0, 256, (64, 64, 4), dtype=np.uint8)
        Image.fromarray(noise).save(path)
        path.write_bytes(path.read_bytes()[:900])
        with pytest.raises(InputError, match=r"no picture that Pillow can read in .*cut\.png"):
            ImageOverlay(path, 0.5, (0.5, 0.5))
        with (
            Image.open(path) as image,
            pytest.raises(InputError, match=r"the picture is a PIL.Image that cannot be read"),
        ):
            ImageOverlay(image, 0.5, (0.5, 0.5))


class TestFrames:
    """Several pictures in one file: the first, or the one that was sought, as load_image does."""

    @pytest.mark.parametrize("kind", ["gif", "png", "webp", "tif", "mpo"])
    def test_a_path_is_its_first_frame(self, tmp_path: Path, kind: str) -> None:
        path = tmp_path / f"target.{kind}"
        frames = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
        options = {"lossless": True} if kind == "webp" else {}
        frames[0].save(path, save_all=True, append_images=frames[1:], **options)
        with Image.open(path) as image:
            assert image.n_frames == 2  # type: ignore[attr-defined]
        assert torch.equal(target_image(path), target_image(load_images(path)[0]))
        assert target_image(path)[0].min() > 0.9

    def test_an_image_is_the_frame_it_stands_at(self) -> None:
        frames = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
        image = reopened(frames[0], "PNG", save_all=True, append_images=frames[1:])
        for at, frame in enumerate(frames):
            image.seek(at)
            assert torch.equal(target_image(image), target_image(frame))
            assert ImagePatch()(image) == ImagePatch()(frame)
            np.testing.assert_array_equal(as_picture(image), frame)


class TestProfiles:
    PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()

    def test_colours_are_read_without_it_as_by_load_image(self, tmp_path: Path) -> None:
        path = tmp_path / "target.png"
        SEEN.save(path, icc_profile=self.PROFILE)
        assert torch.equal(target_image(path), target_image(load_images(path)[0]))
        assert torch.equal(target_image(path), target_image(SEEN))

    def test_a_trigger_leaves_it_to_the_image(self) -> None:
        image = reopened(SEEN, icc_profile=self.PROFILE)
        triggered = ImagePatch()(image)
        assert triggered.info == {"icc_profile": self.PROFILE}
        np.testing.assert_array_equal(triggered, ImagePatch()(SEEN))
        assert ImagePatch()(SEEN).info == {}


FLOATS = SHOWN / 255
LAYOUTS = {
    "big-endian": FLOATS.astype(">f4"),
    "big-endian doubles": FLOATS.astype(">f8"),
    "long doubles": FLOATS.astype(np.longdouble),
    "columns first": np.asfortranarray(FLOATS),
    "negative strides": FLOATS[::-1, ::-1, ::-1].copy()[::-1, ::-1, ::-1],
    "bytes with negative strides": SHOWN[:, :, ::-1].copy()[:, :, ::-1],
    "every second": np.repeat(np.repeat(SHOWN, 2, 0), 2, 1)[::2, ::2],
    "read-only": np.frombuffer(SHOWN.tobytes(), np.uint8).reshape(SHOWN.shape),
    "masked nowhere": np.ma.masked_array(SHOWN, mask=False),
    "tensor with its channels last": torch.from_numpy(SHOWN).permute(2, 0, 1),
    "tensor with gradients": torch.tensor(FLOATS.transpose(2, 0, 1), requires_grad=True),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_how_an_array_lies_in_memory_is_nobodys_business(
    users: dict[str, Any], layout: str
) -> None:
    image = LAYOUTS[layout]
    for use in users.values():
        use(image)
    seen = float_tensor(SEEN)
    torch.testing.assert_close(float_tensor(image), seen, rtol=0, atol=1e-7)
    torch.testing.assert_close(target_image(image), seen, rtol=0, atol=1e-7)
    stamped = float_tensor(ImagePatch()(image))
    torch.testing.assert_close(stamped, float_tensor(ImagePatch()(SEEN)), rtol=0, atol=1e-7)
    drawn = as_picture(image)
    assert drawn.dtype in (np.uint8, np.float32)
    drawn = drawn / 255 if drawn.dtype == np.uint8 else drawn
    np.testing.assert_allclose(drawn, FLOATS, rtol=0, atol=1e-7)


BINARY = (GREYS > 127)[..., None] & np.ones(3, bool)
ARRAYS = {
    "uint16": ((SHOWN * 257.0).astype(np.uint16), FLOATS),
    "big-endian uint16": ((SHOWN * 257.0).astype(">u2"), FLOATS),
    "int64": (SHOWN.astype(np.int64), FLOATS),
    "uint32": (SHOWN.astype(np.uint32), FLOATS),
    "bool": (BINARY, BINARY),
    "channels first": (FLOATS.transpose(2, 0, 1), FLOATS),
    "grey": (GREYS / 255, np.dstack([GREYS / 255] * 3)),
    "one channel": (GREYS[..., None], np.dstack([GREYS / 255] * 3)),
}


class TestArrays:
    @pytest.mark.parametrize("kind", ARRAYS)
    @pytest.mark.parametrize("tensor", [False, True])
    def test_the_advice_yields_what_one_sees(
        self, users: dict[str, Any], kind: str, tensor: bool
    ) -> None:
        image, shown = ARRAYS[kind]
        if tensor:
            image = torch.from_numpy(image.astype(image.dtype.newbyteorder("=")))
            if kind == "channels first":
                image = image.permute(1, 2, 0)
            elif image.ndim == 3:
                image = image.permute(2, 0, 1)
        said = said_by_all(users, image)
        followed = follow(said, image)
        found = float_tensor(followed).permute(1, 2, 0)
        np.testing.assert_allclose(found, shown, rtol=0, atol=1e-6)
        for use in users.values():
            use(followed)

    @pytest.mark.parametrize("image", [GREYS, torch.from_numpy(GREYS), GREYS[None]])
    def test_of_a_mask_too(self, image: Any) -> None:
        mask = follow(refusal(mask_size, image), image)
        assert torch.equal(float_tensor(mask)[0], float_tensor(GREY)[0])

    def test_masked_pixels_are_no_pixels(self, users: dict[str, Any]) -> None:
        image = np.ma.masked_greater(SHOWN, 200)
        said = said_by_all(users, image)
        assert "got an array with masked pixels" in said
        np.testing.assert_array_equal(follow(said, image), np.where(SHOWN > 200, 0, SHOWN))

    def test_floats_up_to_255_are_divided(self) -> None:
        image = SHOWN.astype(np.float32)
        assert "Divide 0-255 by 255" in refusal(NegativeMSE, image)
        torch.testing.assert_close(target_image(image / 255), target_image(SEEN))


class TestOverlay:
    def test_a_path_is_turned_upright(self, tmp_path: Path) -> None:
        picture = ALPHA["RGBA"]
        turned(6, picture).save(tmp_path / "picture.png", exif=exif(6))
        assert ImageOverlay(tmp_path / "picture.png", 0.5, (0.5, 0.5)) == ImageOverlay(
            picture, 0.5, (0.5, 0.5)
        )

    def test_a_picture_that_is_turned_is_refused(self) -> None:
        picture = turned(6, ALPHA["RGBA"])
        said = refusal(lambda one: ImageOverlay(one, 0.5, (0.5, 0.5)), picture)
        assert said.startswith("ImageOverlay: the picture is a PIL.Image with EXIF orientation 6")
        assert ImageOverlay(follow(said, picture), 0.5, (0.5, 0.5)) == ImageOverlay(
            ALPHA["RGBA"], 0.5, (0.5, 0.5)
        )

    @pytest.mark.parametrize("kind", [*sorted(ALPHA.keys() - {"RGBA", "WebP"}), *DEEP])
    def test_the_advice_yields_what_one_sees(self, kind: str) -> None:
        picture = (ALPHA | DEEP)[kind]
        said = refusal(lambda one: ImageOverlay(one, 0.5, (0.5, 0.5)), picture)
        call = re.search(r"Call (.+?)(?: \(if white is \d+\))?, and see to it", said)
        assert call is not None
        expression = call[1] if call[1].startswith("Image") else f"image.{call[1]}"
        rgba = eval(expression, {"np": np, "Image": Image, "image": picture})
        ImageOverlay(rgba, 0.5, (0.5, 0.5))
        shown = np.dstack([EIGHT_BITS] * 3) if kind in DEEP else on_white(picture)
        np.testing.assert_allclose(on_white(rgba), shown, rtol=0, atol=1)


class TestGallery:
    def test_what_a_sampler_took_is_drawn_as_it_is(self) -> None:
        for image in (SEEN, reopened(SEEN), SHOWN, float_tensor(SEEN)):
            assert size(image) == (H, W)
            drawn = as_picture(image)
            drawn = drawn if drawn.dtype == np.uint8 else (drawn * 255).round()
            np.testing.assert_array_equal(drawn, SHOWN)

    @pytest.mark.parametrize("orientation", STORED)
    def test_what_is_turned_is_drawn_as_viewers_show_it(self, orientation: int) -> None:
        np.testing.assert_array_equal(as_picture(turned(orientation)), SHOWN)

    @pytest.mark.parametrize("kind", ALPHA)
    def test_what_is_transparent_is_drawn_on_white(self, kind: str) -> None:
        drawn = as_picture(ALPHA[kind])
        np.testing.assert_allclose(drawn, on_white(ALPHA[kind]), rtol=0, atol=1)

    @pytest.mark.parametrize("mode", OPAQUE)
    def test_other_modes(self, mode: str) -> None:
        looks, tolerance = LOOKS.get(mode, (SEEN, 0))
        drawn = np.asarray(as_picture(OPAQUE[mode]), int)
        np.testing.assert_allclose(drawn, looks, rtol=0, atol=tolerance)

    @pytest.mark.parametrize("mode", ["I;16", "I;16B"])
    def test_16_bits_are_drawn_as_8(self, mode: str) -> None:
        np.testing.assert_array_equal(as_picture(DEEP[mode]), np.dstack([EIGHT_BITS] * 3))

    @pytest.mark.parametrize("mode", ["I", "F"])
    def test_where_white_is_not_known_nothing_is_drawn(self, mode: str) -> None:
        said = refusal(as_picture, DEEP[mode])
        assert f"got a PIL.Image in mode {mode}" in said
        assert said.endswith("to draw the bars alone: plot(gallery=False)")

    @pytest.mark.parametrize(
        ("image", "range_"), [(SHOWN * 1.0, "from 0 to 255"), (FLOATS * 2 - 1, "from -1 to 1")]
    )
    def test_another_range_is_no_overshoot(self, image: Any, range_: str) -> None:
        said = refusal(as_picture, image)
        assert f"its values run {range_}" in said
        overshot = np.clip(image, -0.2, 1.2)
        np.testing.assert_allclose(as_picture(overshot), np.clip(image, 0, 1), atol=1e-7)


def test_an_image_that_is_clear_is_neither_copied_nor_converted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def never(*args: Any, **keywords: Any) -> None:
        raise AssertionError

    for name in ("convert", "copy", "transpose", "tobytes", "getdata", "getchannel"):
        monkeypatch.setattr(Image.Image, name, never)
    assert size(SEEN) == (H, W)
    assert mask_size(GREY) == (H, W)

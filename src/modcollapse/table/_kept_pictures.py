"""PIL images that are kept: PNG that reads back as the very same image, or the bytes of its pixels.

Pillow is imported where there is a picture.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from modcollapse._support.optional import require
from modcollapse._support.pictures import orientation, unreadable

if TYPE_CHECKING:
    import PIL.Image

MOST_PIXELS = 2**30 // 4 // 3
"""Pixels above which Pillow warns of a decompression bomb; larger pictures are not kept."""

_PNG = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")
"""Modes that PNG holds as they are."""
_WITH_PALETTE = ("P", "PA")
_SAID = {"mode", "size", "palette", "transparency", "orientation", "format"}
_NEEDED = "a gallery with pictures"
_ORIENTATION = 0x0112  # the tag of EXIF


def fault_of_picture(image: PIL.Image.Image) -> str | None:
    """Say why a picture cannot be kept; None where it can."""
    if fault := unreadable(image):
        return fault[0]
    if image.width * image.height > MOST_PIXELS:
        return f"a PIL.Image of {image.width} x {image.height} pixels, more than {MOST_PIXELS:,}"
    return None


def said_of(image: PIL.Image.Image) -> dict[str, Any]:
    """What an image is besides its pixels, as far as anything here looks at it."""
    said: dict[str, Any] = {"mode": image.mode, "size": list(image.size)}
    if image.mode in _WITH_PALETTE and image.palette is not None:
        mode = image.palette.mode
        said["palette"] = [mode, _text(bytes(image.getpalette(mode) or ()))]
    transparency = image.info.get("transparency")
    if isinstance(transparency, bytes):
        said["transparency"] = _text(transparency)
    elif isinstance(transparency, int | tuple):
        said["transparency"] = transparency if isinstance(transparency, int) else [*transparency]
    if "transparency" in said and image.format is not None:
        said["format"] = image.format  # without one, a colour that is named transparent is none
    if (turn := orientation(image)) != 1:
        said["orientation"] = turn
    return said


def as_png(image: PIL.Image.Image, said: Mapping[str, Any]) -> bytes | None:
    """A PNG file of an image; None where that would not be the very same image."""
    if image.mode not in _PNG or 0 in image.size:
        return None
    packed = io.BytesIO()
    bits = {"bits": 8} if image.mode == "P" else {}  # or indices without a colour are cut
    try:
        image.save(packed, format="PNG", exif=b"", icc_profile=None, **bits)
        again = from_png(packed.getvalue(), said)
    except Exception:  # an encoder raises what it likes
        return None
    same = again.tobytes() == image.tobytes() and said_of(again) == said
    return packed.getvalue() if same else None


def from_png(data: bytes, said: Mapping[str, Any]) -> PIL.Image.Image:
    """The image of a PNG file of which `said_of` was kept.

    Raises:
        ValueError: the file is another picture, or Pillow raises what it likes.
    """
    pillow = require("PIL.Image", extra="plot", needed_by=_NEEDED)
    mode, size = _form(said)
    header = [int.from_bytes(data[at : at + 4], "big") for at in (16, 20)]
    if header != list(size):  # before a decoder makes room for it
        raise ValueError(f"it says to be {size[0]} x {size[1]} pixels and is {header}")
    with pillow.open(io.BytesIO(data), formats=["PNG"]) as opened:
        if opened.size != size or opened.mode != mode:
            raise ValueError(f"it says to be of mode {mode} and is of {opened.mode}")
        opened.load()
        image: PIL.Image.Image = opened.copy()
    return _restored(image, said)


def from_pixels(data: bytes, said: Mapping[str, Any]) -> PIL.Image.Image:
    """The image of the bytes that ``tobytes`` made.

    Raises:
        ValueError: they do not make such an image.
    """
    pillow = require("PIL.Image", extra="plot", needed_by=_NEEDED)
    mode, size = _form(said)
    return _restored(pillow.frombytes(mode, size, data), said)


def _form(said: Mapping[str, Any]) -> tuple[str, tuple[int, int]]:
    mode, size = said["mode"], said["size"]
    if not set(said) <= _SAID or not isinstance(mode, str):
        raise ValueError(f"a picture is described by {sorted(said)}")
    width, height = size
    if not all(type(side) is int and side >= 0 for side in size) or width * height > MOST_PIXELS:
        raise ValueError(f"a picture claims a size of {str(size)[:80]}")
    return mode, (width, height)


def _restored(image: PIL.Image.Image, said: Mapping[str, Any]) -> PIL.Image.Image:
    image.info = {}
    if "palette" in said:
        mode, colours = said["palette"]
        if mode not in ("RGB", "RGBA"):
            raise ValueError(f"a palette claims the mode {str(mode)[:20]!r}")
        image.putpalette(_bytes(colours), mode)
    if "transparency" in said:
        image.info["transparency"] = _transparency(said["transparency"])
    if "orientation" in said:
        if said["orientation"] not in range(2, 9):
            raise ValueError("a picture is turned in no known way")
        exif = image.getexif()
        exif[_ORIENTATION] = said["orientation"]
        image.info["exif"] = exif.tobytes()
    if "format" in said:
        image.format = str(said["format"])
    return image


def _transparency(said: Any) -> Any:
    if isinstance(said, str):
        return _bytes(said)
    levels = said if isinstance(said, list) else [said]
    if not all(type(level) is int for level in levels):
        raise ValueError("a picture names no colour as transparent")
    return tuple(said) if isinstance(said, list) else said


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)

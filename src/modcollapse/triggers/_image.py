"""Triggers on images: a coloured patch in a corner, and a picture laid over the image.

An image is a ``PIL.Image`` in mode RGB, a numpy array (H, W, 3) or a torch tensor (3, H, W) on any
device, of uint8 or of floats in [0, 1]. The kind, size, dtype and device that went in come out, and
all kinds give the same picture up to the rounding of their dtype.
"""

from __future__ import annotations

import hashlib
import math
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from modcollapse._support.pictures import ambiguous, conversion, is_pil, read_picture, upright
from modcollapse._support.validation import choice, number
from modcollapse.errors import InputError
from modcollapse.triggers._stamp import ImageTrigger, Stamp

if TYPE_CHECKING:
    import PIL.Image

Corner = Literal["top left", "top right", "bottom left", "bottom right"]


@dataclass(frozen=True)
class ImagePatch(ImageTrigger):
    """A square patch of one colour in a corner of the image.

    The side of the patch and its gap to both edges are fractions of the image's shorter side,
    rounded to whole pixels. The defaults are the usual 14 pixels and 2 pixels at 32 x 32.

    Args:
        size: side of the patch, in (0, 1].
        corner: ``"top left"``, ``"top right"``, ``"bottom left"`` or ``"bottom right"``.
        gap: distance to the two edges, at least 0; ``size + gap`` is at most 1.
        color: red, green and blue in [0, 1], or one number for a grey.

    Raises:
        InputError: a parameter out of range; or, when called, no image of a kind that the module
            names, or an image so small that the patch has no pixel.

    >>> import numpy as np
    >>> patched = ImagePatch()(np.zeros((32, 32, 3), np.uint8))
    >>> int((patched == 255).all(axis=-1).sum())
    196
    """

    size: float = 14 / 32
    corner: Corner = "bottom right"
    gap: float = 2 / 32
    color: tuple[float, float, float] | float = (1.0, 1.0, 1.0)

    def __post_init__(self) -> None:
        size = number(self.size, "ImagePatch: size")
        gap = number(self.gap, "ImagePatch: gap")
        if not 0 < size <= 1:
            raise InputError(
                "ImagePatch: size is a fraction of the image's shorter side, in (0, 1]; "
                f"got {size:g}."
            )
        if not (gap >= 0 and size + gap <= 1 + 1e-9):
            raise InputError(
                "ImagePatch: gap must be at least 0 and size + gap at most 1, or the patch would "
                f"leave the image; got size={size:g} and gap={gap:g}."
            )
        choice(self.corner, "ImagePatch: corner", get_args(Corner))
        for name, value in (("size", size), ("gap", gap), ("color", tuple(_color(self.color)))):
            object.__setattr__(self, name, value)

    def identity(self) -> dict[str, Any]:
        """Class name and parameters, as plain JSON data."""
        values = {"size": self.size, "corner": self.corner, "gap": self.gap}
        return {"class": "ImagePatch", **values, "color": _color(self.color)}

    def _stamp(self, height: int, width: int) -> Stamp:
        shorter = min(height, width)
        side = _round(self.size * shorter)
        if side == 0:
            raise InputError(
                f"ImagePatch: size={self.size:g} is less than a pixel of an image of {height} x "
                f"{width}. Give a larger size or a larger image."
            )
        gap = min(_round(self.gap * shorter), shorter - side)
        top = gap if self.corner.startswith("top") else height - side - gap
        left = gap if self.corner.endswith("left") else width - side - gap
        ink = np.broadcast_to(np.asarray(self.color, dtype=np.float64), (side, side, 3))
        return Stamp(top, left, ink, np.zeros((side, side, 1)))


@dataclass(frozen=True)
class ImageOverlay(ImageTrigger):
    """A picture with transparency, laid over the image.

    Args:
        picture: RGBA: a ``PIL.Image``, an array (H, W, 4) of uint8 or of floats in [0, 1], or the
            path of a picture file, which is turned upright. It is kept with 8 bits a channel.
        width: width of the picture as a fraction of the image's width, in (0, 1]. Its height
            follows from its shape.
        center: where its centre lies, as fractions of the image's width and height, in [0, 1].
            What sticks out of the image is cut off.
        opacity: multiplies the picture's own opacity, in (0, 1].

    Raises:
        InputError: a parameter out of range, a picture that is not RGBA or wholly transparent; or,
            when called, no image of a kind that the module names, or one on which nothing of the
            picture would show.

    >>> import numpy as np
    >>> red = np.zeros((8, 8, 4), np.uint8)
    >>> red[..., [0, 3]] = 255
    >>> marked = ImageOverlay(red, width=0.5, center=(0.5, 0.5))(np.zeros((16, 16, 3), np.uint8))
    >>> marked[8, 8].tolist(), marked[0, 0].tolist()
    ([255, 0, 0], [0, 0, 0])
    """

    picture: PIL.Image.Image | npt.NDArray[Any] | str | os.PathLike[str] = field(
        repr=False, compare=False
    )
    width: float
    center: tuple[float, float]
    opacity: float = 1.0
    sha256: str = field(init=False)

    def __post_init__(self) -> None:
        picture = _rgba(self.picture)
        digest = hashlib.sha256(f"{picture.shape}".encode() + picture.tobytes()).hexdigest()
        for name in ("width", "opacity"):
            value = number(getattr(self, name), f"ImageOverlay: {name}", "(0, 1]")
            object.__setattr__(self, name, value)
        center = tuple(_numbers("ImageOverlay: center", self.center, 2))
        if not all(0 <= value <= 1 for value in center):
            raise InputError(
                "ImageOverlay: center is (x, y) in fractions of the image's width and height, "
                f"each in [0, 1]; got {center}."
            )
        for name, result in (("picture", picture), ("center", center), ("sha256", digest)):
            object.__setattr__(self, name, result)

    def identity(self) -> dict[str, Any]:
        """Class name, parameters and SHA-256 of the picture's shape and pixels, as JSON data."""
        values = {"width": self.width, "center": list(self.center), "opacity": self.opacity}
        return {"class": "ImageOverlay", "sha256": self.sha256, **values}

    def _stamp(self, height: int, width: int) -> Stamp:
        picture: Any = self.picture
        columns = max(1, _round(self.width * width))
        rows = max(1, _round(columns * picture.shape[0] / picture.shape[1]))
        color, alpha = np.split(picture / 255.0, [3], axis=2)
        alpha = alpha * self.opacity
        # Colour is resized times opacity, so that hidden colours do not bleed into the edges.
        ink, alpha = _resized(color * alpha, rows, columns), _resized(alpha, rows, columns)
        left = _round(self.center[0] * width - columns / 2)
        top = _round(self.center[1] * height - rows / 2)
        inside = (
            slice(max(0, -top), max(0, height - top)),
            slice(max(0, -left), max(0, width - left)),
        )
        ink, alpha = ink[inside], alpha[inside]
        if not alpha.any():
            raise InputError(
                f"ImageOverlay: nothing of the picture shows on an image of {height} x {width} "
                f"with width={self.width:g} and center={self.center}. Move or enlarge it."
            )
        return Stamp(max(0, top), max(0, left), ink, 1 - alpha)


def _rgba(picture: Any) -> npt.NDArray[np.uint8]:
    """The picture as a read-only array (H, W, 4) of its own."""
    origin = ""
    if isinstance(picture, (str, os.PathLike)):
        origin = f" in {os.fspath(picture)}"
        picture = read_picture(picture, f"ImageOverlay: no picture that Pillow can read{origin}")
        picture = upright(picture) if picture.mode == "RGBA" else picture
    if is_pil(picture):
        if fault := ambiguous(picture):
            raise InputError(f"ImageOverlay: the picture{origin} is {fault[0]}. {fault[1]}")
        if picture.mode != "RGBA":
            call = conversion(picture, "RGBA").removeprefix("image.")
            raise InputError(
                f"ImageOverlay: the picture{origin} must be RGBA, got mode {picture.mode}. Call "
                f"{call}, and see to it that what is not to cover the image is transparent."
            )
        picture = np.array(picture)
    if not isinstance(picture, np.ndarray) or picture.ndim != 3 or picture.shape[2] != 4:
        found = getattr(picture, "shape", type(picture).__name__)
        raise InputError(
            "ImageOverlay: the picture must be an RGBA PIL.Image, an array (H, W, 4) or the path "
            f"of a file, got {found}."
        )
    if np.issubdtype(picture.dtype, np.floating):
        if picture.size and not (picture.min() >= 0 and picture.max() <= 1):
            raise InputError(
                "ImageOverlay: a picture of floats must lie in [0, 1], but its values run from "
                f"{picture.min():g} to {picture.max():g}."
            )
        picture = np.floor(picture * 255.0 + 0.5).astype(np.uint8)
    if picture.dtype != np.uint8:
        raise InputError(
            f"ImageOverlay: the picture must be uint8 or floats in [0, 1], got {picture.dtype}."
        )
    if not picture[..., 3].any():
        raise InputError("ImageOverlay: the picture is wholly transparent or empty.")
    own: npt.NDArray[np.uint8] = np.array(picture, order="C")
    own.flags.writeable = False
    return own


def _resized(picture: npt.NDArray[Any], rows: int, columns: int) -> npt.NDArray[np.float64]:
    """Resized with antialiasing, (H, W, C) to (rows, columns, C), within [0, 1]."""
    from PIL import Image

    # The triangle filter has no negative lobes, so nothing overshoots.
    channels = [
        np.asarray(Image.fromarray(channel).resize((columns, rows), Image.Resampling.BILINEAR))
        for channel in np.moveaxis(picture.astype(np.float32), 2, 0)
    ]
    return np.clip(np.stack(channels, axis=2).astype(np.float64), 0, 1)


def _color(color: Any) -> list[float]:
    grey = np.ndim(color) == 0 and not isinstance(color, str)
    values = _numbers("ImagePatch: color", (color,) * 3 if grey else color, 3)
    if not all(0 <= value <= 1 for value in values):
        raise InputError(
            f"ImagePatch: color is red, green and blue in [0, 1], got {tuple(values)}. Divide "
            "0-255 by 255."
        )
    return values


def _numbers(what: str, values: Any, count: int) -> list[float]:
    if not isinstance(values, (tuple, list, np.ndarray)) or len(values) != count:
        raise InputError(f"{what} must be {count} numbers, got {values!r}.")
    return [number(value, what) for value in values]


def _round(value: float) -> int:
    return math.floor(value + 0.5)

"""Watermarks: a text or a logo, once or all over the image."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from modcollapse._support.validation import flag, number
from modcollapse.errors import InputError
from modcollapse.triggers._overlay import ImageOverlay, inked
from modcollapse.triggers._pictures_given import digest, rgba
from modcollapse.triggers._places import Place, read_gap, rounded
from modcollapse.triggers._stamp import Drawing, StampTrigger

if TYPE_CHECKING:
    import PIL.Image

_POINTS = 160  # size of the letters in the picture that is drawn of a text
_EDGE = 3  # width of the dark line around them


def watermark(
    mark: str | PIL.Image.Image | npt.NDArray[Any] | os.PathLike[str],
    *,
    size: float = 0.4,
    place: Place = "bottom right",
    opacity: float = 0.5,
    gap: float = 1 / 32,
    tiled: bool = False,
) -> ImageOverlay | ImageTiles:
    """A watermark: a text or a logo, once or all over the image.

    Args:
        mark: a text (a str), drawn in white letters with a dark edge; or a logo, RGBA: a
            ``PIL.Image``, an array (H, W, 4), or a ``pathlib.Path`` of a picture file.
        size: width of the mark as a fraction of the image's shorter side, in (0, 1].
        place: where a single mark stands, as for `ImageOverlay`.
        opacity: multiplies the mark's own opacity, in (0, 1].
        gap: of a single mark to the edges of its corner, of tiles to each other: a fraction of the
            image's shorter side.
        tiled: True repeats it over the whole image, from the top left.

    Raises:
        InputError: as for `ImageOverlay`; or the text has no letters, or some that Pillow's own
            font does not have: draw it, and give the picture.

    Note:
        Another version of Pillow may draw letters in another way. Trigger and tables tell, by the
        picture's SHA-256; to be independent of it, give a picture.

    >>> watermark("SAMPLE").place, watermark("SAMPLE", tiled=True).opacity
    ('bottom right', 0.5)
    """
    picture = _written(mark) if isinstance(mark, str) else mark
    if flag(tiled, "watermark: tiled"):
        return ImageTiles(picture, size, opacity, gap)
    return ImageOverlay(picture, size, place, opacity, gap, relative_to="shorter side")


@dataclass(frozen=True)
class ImageTiles(StampTrigger):
    """A picture with transparency, repeated over the whole image from its top left.

    Args:
        picture: RGBA, as for `ImageOverlay`.
        width: of one picture, as a fraction of the image's shorter side, in (0, 1].
        opacity: multiplies the picture's own opacity, in (0, 1].
        gap: between the pictures, as a fraction of the image's shorter side, in [0, 1).

    Raises:
        InputError: as for `ImageOverlay`.

    >>> dot = np.full((1, 1, 4), 255, np.uint8)
    >>> ImageTiles(dot, width=0.25, gap=0.25)(np.zeros((4, 4, 3), np.uint8))[..., 0].tolist()
    [[255, 0, 255, 0], [0, 0, 0, 0], [255, 0, 255, 0], [0, 0, 0, 0]]
    """

    picture: PIL.Image.Image | npt.NDArray[Any] | str | os.PathLike[str] = field(
        repr=False, compare=False
    )
    width: float
    opacity: float = 1.0
    gap: float = 1 / 32
    sha256: str = field(init=False)

    def __post_init__(self) -> None:
        picture = rgba(self.picture, "ImageTiles")
        for name in ("width", "opacity"):
            value = number(getattr(self, name), f"ImageTiles: {name}", "(0, 1]")
            object.__setattr__(self, name, value)
        gap = read_gap(self.gap, "ImageTiles")
        for name, result in (("gap", gap), ("picture", picture), ("sha256", digest(picture))):
            object.__setattr__(self, name, result)

    def identity(self) -> dict[str, Any]:
        """Class name, parameters and SHA-256 of the picture's shape and pixels, as JSON data."""
        values = {"width": self.width, "opacity": self.opacity, "gap": self.gap}
        return {"class": "ImageTiles", "sha256": self.sha256, **values}

    def _extent(self, height: int, width: int) -> tuple[int, int]:
        return height, width

    def _drawing(self, height: int, width: int) -> Drawing:
        picture: Any = self.picture
        shorter = min(height, width)
        columns = max(1, rounded(self.width * shorter))
        rows = max(1, rounded(columns * picture.shape[0] / picture.shape[1]))
        gap = rounded(self.gap * shorter)
        ink, alpha = (
            _repeated(np.pad(part, ((0, gap), (0, gap), (0, 0))), height, width)
            for part in inked(picture, self.opacity, rows, columns)
        )
        return Drawing(ink, 1 - alpha)


def _repeated(tile: npt.NDArray[Any], height: int, width: int) -> npt.NDArray[Any]:
    rows, columns, _ = tile.shape
    return np.tile(tile, (-(-height // rows), -(-width // columns), 1))[:height, :width]


@lru_cache(16)
def _written(text: str) -> npt.NDArray[np.uint8]:
    """A text in white letters with a dark edge, (H, W, 4), cut to what shows."""
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(_POINTS)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise InputError(
            "watermark: this Pillow was built without FreeType and cannot draw a text of this "
            "size. Give a picture"
        )
    if not text.strip():
        raise InputError(f"watermark: the text {text!r} has no letters, so nothing would show.")
    no_glyph = bytes(font.getmask("\uffff"))
    for letter in text:
        if not letter.isspace() and bytes(font.getmask(letter)) == no_glyph:
            raise InputError(
                f"watermark: Pillow's own font has no {letter!r}. Draw the text with another, and "
                "give the picture."
            )
    left, top, right, bottom = ImageDraw.Draw(Image.new("RGBA", (1, 1))).multiline_textbbox(
        (0, 0), text, font, stroke_width=_EDGE
    )
    picture = Image.new("RGBA", (int(right - left) + 1, int(bottom - top) + 1))
    ImageDraw.Draw(picture).multiline_text(
        (-left, -top), text, "white", font, stroke_width=_EDGE, stroke_fill=(20, 20, 24, 255)
    )
    return np.array(picture)

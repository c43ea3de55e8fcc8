"""A picture with transparency, laid over a part of the image."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from modcollapse._support.validation import choice, number
from modcollapse.triggers._pictures_given import digest, resized, rgba
from modcollapse.triggers._places import Place, read_gap, read_place, rounded, told, top_left
from modcollapse.triggers._stamp import Drawing, StampTrigger

if TYPE_CHECKING:
    import PIL.Image

Side = Literal["width", "shorter side"]


@dataclass(frozen=True)
class ImageOverlay(StampTrigger):
    """A picture with transparency, laid over the image.

    Args:
        picture: RGBA: a ``PIL.Image``, an array (H, W, 4) of uint8 or of floats in [0, 1], or the
            path of a picture file, which is turned upright. It is kept with 8 bits a channel.
        width: width of the picture as a fraction of the image's width, or of its shorter side, in
            (0, 1]. Its height follows from its shape.
        place: where its centre lies, as fractions of the image's width and height, in [0, 1];
            ``"center"``, a corner such as ``"bottom right"``, or a `RandomPlace`. What sticks out
            of the image is cut off.
        opacity: multiplies the picture's own opacity, in (0, 1].
        gap: distance to the two edges of a corner, as a fraction of the image's shorter side.
        relative_to: ``"width"`` or ``"shorter side"``: what ``width`` is a fraction of.

    Raises:
        InputError: a parameter out of range, a picture that is not RGBA or wholly transparent; or,
            when called, no image of a kind that the module names, or one on which nothing of the
            picture would show.

    >>> import numpy as np
    >>> red = np.zeros((8, 8, 4), np.uint8)
    >>> red[..., [0, 3]] = 255
    >>> marked = ImageOverlay(red, width=0.5, place="center")(np.zeros((16, 16, 3), np.uint8))
    >>> marked[8, 8].tolist(), marked[0, 0].tolist()
    ([255, 0, 0], [0, 0, 0])
    """

    picture: PIL.Image.Image | npt.NDArray[Any] | str | os.PathLike[str] = field(
        repr=False, compare=False
    )
    width: float
    place: Place
    opacity: float = 1.0
    gap: float = 2 / 32
    relative_to: Side = "width"
    sha256: str = field(init=False)

    def __post_init__(self) -> None:
        picture = rgba(self.picture, "ImageOverlay")
        for name in ("width", "opacity"):
            value = number(getattr(self, name), f"ImageOverlay: {name}", "(0, 1]")
            object.__setattr__(self, name, value)
        choice(self.relative_to, "ImageOverlay: relative_to", get_args(Side))
        for name, result in (
            ("place", read_place(self.place, "ImageOverlay")),
            ("gap", read_gap(self.gap, "ImageOverlay")),
            ("picture", picture),
            ("sha256", digest(picture)),
        ):
            object.__setattr__(self, name, result)

    def identity(self) -> dict[str, Any]:
        """Class name, parameters and SHA-256 of the picture's shape and pixels, as JSON data."""
        return {
            "class": "ImageOverlay",
            "sha256": self.sha256,
            "width": self.width,
            "place": told(self.place),
            "opacity": self.opacity,
            "gap": self.gap,
            "relative_to": self.relative_to,
        }

    def _extent(self, height: int, width: int) -> tuple[int, int]:
        picture: Any = self.picture
        side = width if self.relative_to == "width" else min(height, width)
        columns = max(1, rounded(self.width * side))
        return max(1, rounded(columns * picture.shape[0] / picture.shape[1])), columns

    def _top_left(self, height: int, width: int, rows: int, columns: int) -> tuple[int, int]:
        return top_left(self.place, self.gap, height, width, rows, columns)

    def _drawing(self, height: int, width: int) -> Drawing:
        ink, alpha = inked(self.picture, self.opacity, *self._extent(height, width))
        return Drawing(ink, 1 - alpha)


def inked(
    picture: Any, opacity: float, rows: int, columns: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Colour times opacity (rows, columns, 3), and opacity (rows, columns, 1), of an RGBA picture.

    Colour is resized times opacity, so that hidden colours do not bleed into the edges.
    """
    color, alpha = np.split(picture / 255.0, [3], axis=2)
    alpha = alpha * opacity
    return resized(color * alpha, rows, columns), resized(alpha, rows, columns)

"""Patterns over the whole image: a picture or noise blended in, and a sinusoidal signal."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from modcollapse._support.validation import flag, number, whole
from modcollapse.errors import InputError
from modcollapse.triggers._draws import random_bytes
from modcollapse.triggers._pictures_given import digest, resized, rgb
from modcollapse.triggers._stamp import Drawing, StampTrigger

if TYPE_CHECKING:
    import PIL.Image


@dataclass(frozen=True)
class ImageBlend(StampTrigger):
    """A picture blended over the whole image: ``(1 - opacity) * image + opacity * picture``.

    Args:
        picture: RGB: a ``PIL.Image``, an array (H, W, 3) of uint8 or of floats in [0, 1], or the
            path of a picture file. It is stretched over the image. `noise_picture` draws one.
        opacity: in (0, 1]; 0.2 and 0.6 are usual.

    Raises:
        InputError: a parameter out of range, a picture that is none; or, when called, no image of
            a kind that the module names.

    Source:
        Blended (arXiv:1712.05526), opacity 0.2; TrojDiff (arXiv:2303.05762), opacity 0.6.

    >>> import numpy as np
    >>> white = np.ones((2, 2, 3))
    >>> ImageBlend(white, opacity=0.2)(np.zeros((4, 4, 3), np.uint8))[0, 0].tolist()
    [51, 51, 51]
    """

    picture: PIL.Image.Image | npt.NDArray[Any] | str | os.PathLike[str] = field(
        repr=False, compare=False
    )
    opacity: float = 0.2
    sha256: str = field(init=False)

    def __post_init__(self) -> None:
        picture = rgb(self.picture, "ImageBlend")
        opacity = number(self.opacity, "ImageBlend: opacity", "(0, 1]")
        for name, value in (
            ("picture", picture), ("opacity", opacity), ("sha256", digest(picture))
        ):  # fmt: skip
            object.__setattr__(self, name, value)

    def identity(self) -> dict[str, Any]:
        """Class name, opacity and SHA-256 of the picture's shape and pixels, as JSON data."""
        return {"class": "ImageBlend", "sha256": self.sha256, "opacity": self.opacity}

    def _extent(self, height: int, width: int) -> tuple[int, int]:
        return height, width

    def _drawing(self, height: int, width: int) -> Drawing:
        picture: Any = self.picture
        ink = resized(picture / 255.0, height, width) * self.opacity
        return Drawing(ink, np.full((1, 1, 1), 1 - self.opacity))


def noise_picture(seed: int, *, cells: int = 32) -> npt.NDArray[np.uint8]:
    """Random colours, to be blended over images with `ImageBlend`.

    Args:
        seed: any whole number; the same seed gives the same picture everywhere.
        cells: fields of colour to a side. Noise of single pixels would be a plain grey to who
            resizes it.

    Returns:
        Shape (cells, cells, 3), uint8.

    >>> noise_picture(0, cells=2)[0, 0].tolist()
    [152, 250, 63]
    """
    seed, cells = whole(seed, "noise_picture: seed"), whole(cells, "noise_picture: cells", 1, 4096)
    return random_bytes(f"modcollapse/noise/1|{seed}", cells, cells, 3).copy()


@dataclass(frozen=True)
class ImageWave(StampTrigger):
    """A sinusoidal signal added to the image: ``amplitude * sin(2 pi * periods * x / width)``.

    Where the sum leaves [0, 1] it is cut there, as in the paper.

    Args:
        amplitude: in (0, 1], of a range of pixels of 1; the paper's 20 of 255 by default.
        periods: of the wave over the image, above 0.
        vertical: True lets it run from top to bottom: ``y / height`` in place of ``x / width``.

    Raises:
        InputError: a parameter out of range; or, when called, no image of a kind that the module
            names, or one with fewer than two pixels to a period.

    Source:
        SIG (arXiv:1902.11237), equation of v(i, j).

    >>> import numpy as np
    >>> waved = ImageWave(amplitude=0.1, periods=1)(np.full((4, 4, 3), 0.5))
    >>> waved[0, :, 0].round(3).tolist()
    [0.5, 0.6, 0.5, 0.4]
    """

    amplitude: float = 20 / 255
    periods: float = 6.0
    vertical: bool = False

    def __post_init__(self) -> None:
        amplitude = number(self.amplitude, "ImageWave: amplitude", "(0, 1]")
        periods = number(self.periods, "ImageWave: periods")
        if periods <= 0:
            raise InputError(f"ImageWave: periods must be above 0, got {periods:g}.")
        vertical = flag(self.vertical, "ImageWave: vertical")
        for name, value in (
            ("amplitude", amplitude), ("periods", periods), ("vertical", vertical)
        ):  # fmt: skip
            object.__setattr__(self, name, value)

    def identity(self) -> dict[str, Any]:
        """Class name and parameters, as plain JSON data."""
        values = {"amplitude": self.amplitude, "periods": self.periods, "vertical": self.vertical}
        return {"class": "ImageWave", **values}

    def _extent(self, height: int, width: int) -> tuple[int, int]:
        side = height if self.vertical else width
        if side <= 2 * self.periods:
            raise InputError(
                f"ImageWave: {self.periods:g} periods need more than {2 * self.periods:g} pixels, "
                f"and this side of the image of {height} x {width} has {side}. Give fewer periods "
                "or a larger image."
            )
        return height, width

    def _drawing(self, height: int, width: int) -> Drawing:
        side = height if self.vertical else width
        wave = self.amplitude * np.sin(2 * np.pi * self.periods * np.arange(side) / side)
        wave = wave[:, None, None] if self.vertical else wave[None, :, None]
        return Drawing(np.broadcast_to(wave, (height, width, 3)), np.ones((1, 1, 1)), clamp=True)

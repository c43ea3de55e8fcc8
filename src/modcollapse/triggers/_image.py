"""Patches: a square of one colour on an image, or on a mask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from modcollapse._support.images import is_tensor
from modcollapse._support.validation import number
from modcollapse.errors import InputError
from modcollapse.triggers._places import (
    Place,
    read_numbers,
    read_place,
    read_size,
    side_of,
    told,
    top_left,
)
from modcollapse.triggers._stamp import Drawing, StampTrigger


@dataclass(frozen=True)
class ImagePatch(StampTrigger):
    """A square patch of one colour on the image.

    The side of the patch and its gap to the edges are fractions of the image's shorter side,
    rounded to whole pixels. The defaults are the usual 14 pixels and 2 pixels at 32 x 32; others
    in use are 4, 8, 11 and 18.

    Args:
        size: side of the patch, in (0, 1].
        place: ``"top left"``, ``"top right"``, ``"bottom left"``, ``"bottom right"``,
            ``"center"``; where its centre lies (x, y), as fractions of the image's width and
            height, and what sticks out is cut off; or `RandomPlace`, wholly inside the image.
        gap: distance of a corner patch to the two edges, at least 0; ``size + gap`` is at most 1.
        color: red, green and blue in [0, 1], or one number for a grey.

    Raises:
        InputError: a parameter out of range; or, when called, no image of a kind that the module
            names, or an image so small that the patch has no pixel.

    Source:
        BadNets (arXiv:1708.06733); sizes and gap of BadDiffusion (arXiv:2212.05400).

    >>> import numpy as np
    >>> patched = ImagePatch()(np.zeros((32, 32, 3), np.uint8))
    >>> int((patched == 255).all(axis=-1).sum())
    196
    """

    size: float = 14 / 32
    place: Place = "bottom right"
    gap: float = 2 / 32
    color: tuple[float, float, float] | float = (1.0, 1.0, 1.0)

    def __post_init__(self) -> None:
        size, gap = read_size(self.size, self.gap, "ImagePatch")
        place = read_place(self.place, "ImagePatch")
        color = tuple(_color(self.color))
        for name, value in (("size", size), ("gap", gap), ("place", place), ("color", color)):
            object.__setattr__(self, name, value)

    def identity(self) -> dict[str, Any]:
        """Class name and parameters, as plain JSON data."""
        values = {"size": self.size, "place": told(self.place), "gap": self.gap}
        return {"class": "ImagePatch", **values, "color": _color(self.color)}

    def _extent(self, height: int, width: int) -> tuple[int, int]:
        side = side_of(self.size, height, width, "ImagePatch")
        return side, side

    def _top_left(self, height: int, width: int, rows: int, columns: int) -> tuple[int, int]:
        return top_left(self.place, self.gap, height, width, rows, columns)

    def _drawing(self, height: int, width: int) -> Drawing:
        color = np.asarray(self.color, dtype=np.float64)
        ink = np.broadcast_to(color, (*self._extent(height, width), 3))
        return Drawing(ink, np.zeros((1, 1, 1)))


@dataclass(frozen=True)
class MaskPatch(StampTrigger):
    """A square on a mask that is filled, or in which the mask is turned over.

    A mask is a ``PIL.Image`` in mode L, an array (H, W, 1) or (H, W), or a tensor (1, H, W) or
    (H, W), of uint8 or of floats in [0, 1].

    Args:
        size: side of the square, a fraction of the mask's shorter side in (0, 1].
        place: as for `ImagePatch`.
        gap: as for `ImagePatch`.
        value: what the square is filled with, in [0, 1]; or ``"flip"``: one minus what was there,
            which shows on every mask.

    Raises:
        InputError: as for `ImagePatch`. Of a mask that looks like that already, a run and a
            poisoned data set say that nothing was changed.

    >>> import numpy as np
    >>> mask = MaskPatch(size=0.25, place="top left", gap=0.0)(np.zeros((8, 8, 1), np.uint8))
    >>> mask[:3, :3, 0].tolist()
    [[255, 255, 0], [255, 255, 0], [0, 0, 0]]
    """

    _channels: ClassVar[int] = 1
    size: float = 14 / 32
    place: Place = "bottom right"
    gap: float = 2 / 32
    value: float | Literal["flip"] = 1.0

    def __post_init__(self) -> None:
        size, gap = read_size(self.size, self.gap, "MaskPatch")
        place = read_place(self.place, "MaskPatch")
        value = self.value
        if value != "flip":
            value = number(value, "MaskPatch: value, unless it is 'flip',", "[0, 1]")
        for name, read in (("size", size), ("gap", gap), ("place", place), ("value", value)):
            object.__setattr__(self, name, read)

    def __call__(self, image: Any) -> Any:
        """The mask with the square on it: a new one of the same kind, shape, dtype and device.

        Raises:
            InputError: no mask of a kind named above, or values outside [0, 1]. On an accelerator
                the values are not looked at, since that would wait for the device: `check` does it.
        """
        if not _is_flat(image):
            return self._triggered(image)
        triggered = self._triggered(_with_channel(image))
        return triggered[0] if is_tensor(image) else triggered[..., 0]

    def check(self, image: Any) -> None:
        """Raise `InputError` unless the trigger can be put on the mask; looks at every value."""
        super().check(_with_channel(image) if _is_flat(image) else image)

    def identity(self) -> dict[str, Any]:
        """Class name and parameters, as plain JSON data."""
        values = {"size": self.size, "place": told(self.place), "gap": self.gap}
        return {"class": "MaskPatch", **values, "value": self.value}

    def _extent(self, height: int, width: int) -> tuple[int, int]:
        side = side_of(self.size, height, width, "MaskPatch")
        return side, side

    def _top_left(self, height: int, width: int, rows: int, columns: int) -> tuple[int, int]:
        return top_left(self.place, self.gap, height, width, rows, columns)

    def _drawing(self, height: int, width: int) -> Drawing:
        value, keep = (1.0, -1.0) if self.value == "flip" else (float(self.value), 0.0)
        ink = np.full((*self._extent(height, width), 1), value)
        return Drawing(ink, np.full((1, 1, 1), keep))


def _is_flat(mask: Any) -> bool:
    return getattr(mask, "ndim", None) == 2


def _with_channel(mask: Any) -> Any:
    return mask[None] if is_tensor(mask) else mask[..., None]


def _color(color: Any) -> list[float]:
    grey = np.ndim(color) == 0 and not isinstance(color, str)
    values = read_numbers("ImagePatch: color", (color,) * 3 if grey else color, 3)
    if not all(0 <= value <= 1 for value in values):
        raise InputError(
            f"ImagePatch: color is red, green and blue in [0, 1], got {tuple(values)}. Divide "
            "0-255 by 255."
        )
    return values

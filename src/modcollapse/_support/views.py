"""An output of any image kind as an array that can be drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from modcollapse._support.images import channels_last, image_size, is_tensor, out_of_range
from modcollapse._support.pictures import (
    as_rgb,
    converted,
    is_pil,
    shows_through,
    unreadable,
    upright,
)
from modcollapse.errors import InputError

if TYPE_CHECKING:
    import PIL.Image

_FURTHEST = 0.5  # beyond [0, 1]; no resizing overshoots by more


def as_picture(output: Any) -> NDArray[Any]:
    """Return (H, W, 3), uint8 or float32 in [0, 1], of an image or of a mask.

    A PIL image that no trigger, sampler or detector of ours would take is drawn as viewers show
    it: upright, on white where it is transparent, 16 bits as 8. Floats that leave [0, 1] by
    rounding or resizing are clamped: a picture is for the eye.

    Raises:
        InputError: the output is not one of these, or nobody can tell its black and its white:
            PIL images in mode I or F, floats in another range.
    """
    picture = _as_shown(output) if is_pil(output) else output
    shape = tuple(getattr(picture, "shape", ()))
    one_channel = len(shape) == 3 and shape[0 if is_tensor(picture) else 2] == 1
    try:
        image_size(picture, "each", channels=1 if one_channel else 3)
        array = channels_last(picture)
        if array.dtype != np.uint8:
            array = _clamped(array)
    except InputError as error:
        raise InputError(
            f"a gallery draws images: {error}. To draw the bars alone: plot(gallery=False)"
        ) from error
    return np.repeat(array, 3, axis=2) if array.shape[-1] == 1 else array


def _clamped(array: NDArray[Any]) -> NDArray[np.float32]:
    low, high = float(array.min()), float(array.max())
    if low < -_FURTHEST or high > 1 + _FURTHEST:
        raise InputError(out_of_range("each", low, high))
    clamped: NDArray[np.float32] = np.clip(array, 0, 1).astype(np.float32)
    return clamped


def _as_shown(image: PIL.Image.Image) -> PIL.Image.Image:
    """Return an image in RGB as viewers show it; where that is not known, as it is."""
    from PIL import Image

    if unreadable(image):
        return image
    image = upright(image)
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) / 257).round().astype(np.uint8)).convert("RGB")
    if shows_through(image):
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, converted(image, "RGBA")).convert("RGB")
    return as_rgb(image)

"""An output of any image kind as an array that can be drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from modcollapse._support.images import channels_last, image_size, is_pil, is_tensor
from modcollapse.errors import InputError


def as_picture(output: Any) -> NDArray[Any]:
    """Return (H, W, 3), uint8 or float in [0, 1], of an image or of a mask.

    A PIL image of another mode is converted, and floats that leave [0, 1] by rounding or resizing
    are clamped: a picture is for the eye.

    Raises:
        InputError: the output is not one of these.
    """
    picture = output.convert("RGB") if is_pil(output) else output
    shape = tuple(getattr(picture, "shape", ()))
    one_channel = len(shape) == 3 and shape[0 if is_tensor(picture) else 2] == 1
    try:
        image_size(picture, "each", channels=1 if one_channel else 3)
    except InputError as error:
        raise InputError(
            f"a gallery draws images: {error}. To draw the bars alone: plot(gallery=False)"
        ) from error
    array = channels_last(picture)
    array = np.repeat(array, 3, axis=2) if array.shape[-1] == 1 else array
    return array if array.dtype == np.uint8 else np.clip(array, 0, 1)

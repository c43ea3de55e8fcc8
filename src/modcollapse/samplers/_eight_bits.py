"""Pictures as every processor of a vision-language model reads them: 8 bits a channel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from modcollapse._support.images import channels_last, check_range, image_size
from modcollapse._support.pictures import is_pil
from modcollapse.errors import InputError

if TYPE_CHECKING:
    import PIL.Image

_LEVEL = 0.1
"""Floats are bytes over 255 if they are that near to one, in levels."""


def as_eight_bits(image: Any, modality: str) -> PIL.Image.Image:
    """A picture in the form that every processor reads in the same way, without a loss.

    Raises:
        InputError: floats that are no multiples of 1/255.
    """
    from PIL import Image

    if is_pil(image):
        picture: PIL.Image.Image = image
        return picture
    array = channels_last(image)
    if array.dtype == np.uint8:
        return Image.fromarray(array)
    levels = array.astype(np.float64) * 255
    if np.abs(levels - levels.round()).max() > _LEVEL:
        raise InputError(
            f"the {modality!r} condition holds floats between the 256 levels of a picture, which "
            "processors of vision-language models would round, each in its own way. Round them "
            "beforehand: (image * 255).round() as uint8"
        )
    return Image.fromarray(levels.round().astype(np.uint8))


def check_picture(image: Any, modality: str) -> None:
    """Raise unless a condition is one picture that can be read in one way only.

    Raises:
        InputError: another kind, mode, shape, dtype or range.
    """
    name = f"the {modality!r} condition"
    image_size(image, name)
    check_range(image, name)
    as_eight_bits(image, modality)

"""Pictures that a trigger is given: read once, kept with 8 bits a channel, resized with care."""

from __future__ import annotations

import hashlib
import os
from typing import Any

import numpy as np
import numpy.typing as npt

from modcollapse._support.images import image_size
from modcollapse._support.pictures import (
    ambiguous,
    as_rgb,
    conversion,
    is_pil,
    read_picture,
    upright,
)
from modcollapse.errors import InputError


def digest(picture: npt.NDArray[Any]) -> str:
    """SHA-256 of a picture's shape and pixels."""
    return hashlib.sha256(f"{picture.shape}".encode() + picture.tobytes()).hexdigest()


def rgb(picture: Any, who: str) -> npt.NDArray[np.uint8]:
    """Return a picture as a read-only array (H, W, 3) of its own.

    Args:
        picture: an RGB ``PIL.Image``, an array (H, W, 3) of uint8 or of floats in [0, 1], or the
            path of a picture file, which is turned upright.
        who: the trigger, for errors.

    Raises:
        InputError: it is none of these.
    """
    if isinstance(picture, str | os.PathLike):
        where = f"{who}: no picture that Pillow can read in {os.fspath(picture)}"
        picture = as_rgb(read_picture(picture, where))
    image_size(picture, f"the picture of {who}")
    if not (is_pil(picture) or isinstance(picture, np.ndarray)):
        raise InputError(f"{who}: give the picture as an array (H, W, 3) or a PIL.Image")
    return _own(np.array(picture), who)


def rgba(picture: Any, who: str) -> npt.NDArray[np.uint8]:
    """The picture as a read-only array (H, W, 4) of its own."""
    origin = ""
    if isinstance(picture, (str, os.PathLike)):
        origin = f" in {os.fspath(picture)}"
        picture = read_picture(picture, f"{who}: no picture that Pillow can read{origin}")
        picture = upright(picture) if picture.mode == "RGBA" else picture
    if is_pil(picture):
        if fault := ambiguous(picture):
            raise InputError(f"{who}: the picture{origin} is {fault[0]}. {fault[1]}")
        if picture.mode != "RGBA":
            call = conversion(picture, "RGBA").removeprefix("image.")
            raise InputError(
                f"{who}: the picture{origin} must be RGBA, got mode {picture.mode}. Call "
                f"{call}, and see to it that what is not to cover the image is transparent."
            )
        picture = np.array(picture)
    if not isinstance(picture, np.ndarray) or picture.ndim != 3 or picture.shape[2] != 4:
        found = getattr(picture, "shape", type(picture).__name__)
        raise InputError(
            f"{who}: the picture must be an RGBA PIL.Image, an array (H, W, 4) or the path "
            f"of a file, got {found}."
        )
    own = _own(picture, who)
    if not own[..., 3].any():
        raise InputError(f"{who}: the picture is wholly transparent or empty.")
    return own


def _own(picture: npt.NDArray[Any], who: str) -> npt.NDArray[np.uint8]:
    if np.issubdtype(picture.dtype, np.floating):
        if picture.size and not (picture.min() >= 0 and picture.max() <= 1):
            raise InputError(
                f"{who}: a picture of floats must lie in [0, 1], but its values run from "
                f"{picture.min():g} to {picture.max():g}."
            )
        picture = np.floor(picture * 255.0 + 0.5).astype(np.uint8)
    if picture.dtype != np.uint8:
        raise InputError(
            f"{who}: the picture must be uint8 or floats in [0, 1], got {picture.dtype}."
        )
    own: npt.NDArray[np.uint8] = np.array(picture, order="C")
    own.flags.writeable = False
    return own


def resized(picture: npt.NDArray[Any], rows: int, columns: int) -> npt.NDArray[np.float64]:
    """Resized with antialiasing, (H, W, C) to (rows, columns, C), within [0, 1]."""
    from PIL import Image

    # The triangle filter has no negative lobes, so nothing overshoots.
    channels = [
        np.asarray(Image.fromarray(channel).resize((columns, rows), Image.Resampling.BILINEAR))
        for channel in np.moveaxis(picture.astype(np.float32), 2, 0)
    ]
    return np.clip(np.stack(channels, axis=2).astype(np.float64), 0, 1)

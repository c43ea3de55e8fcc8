"""How a condition or an output is shown: as a picture, as lines, or in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

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
_LINES = 8
"""An array of numbers with more rows than this is a map, with fewer some lines."""
_GAP = 0.03
"""White between the frames of a video, as a part of their width."""


class View(NamedTuple):
    """What is to be drawn.

    Attributes:
        kind: ``"picture"``: (H, W, 3), uint8 or floats in [0, 1]; ``"map"``: (H, W), any floats;
            ``"lines"``: (K, S), K lines of S numbers; ``"words"``: a str.
        content: that.
    """

    kind: Literal["picture", "map", "lines", "words"]
    content: Any


def view_of(output: Any) -> View:
    """How a condition or an output is shown.

    Images and masks as they are; videos by their first, middle and last frame; sounds and vectors
    as lines; texts, and whatever else, in words.

    Raises:
        InputError: pixels of which nobody can tell the black and the white.

    >>> view_of("a hat"), view_of(0.5)
    (View(kind='words', content='a hat'), View(kind='words', content='0.5'))
    >>> view_of(np.zeros((9, 16, 24, 3), np.uint8)).content.shape
    (16, 74, 3)
    """
    if isinstance(output, str):
        return View("words", output)
    if is_pil(output):
        return View("picture", as_picture(output))
    if isinstance(output, list | tuple) and output and all(map(_is_frame, output)):
        return View("picture", _film(output))
    shape = tuple(getattr(output, "shape", ()))
    tensor = is_tensor(output)
    if not shape or not (tensor or isinstance(output, np.ndarray)):
        return View("words", str(output))
    channels = shape[-3] if tensor and len(shape) > 2 else shape[-1]
    if len(shape) == 3 and channels in (1, 3):
        return View("picture", as_picture(output))
    if len(shape) == 4 and channels in (1, 3):
        return View("picture", _film(output))
    numbers = _numbers(output)
    if not numbers.size:
        return View("words", "")
    numbers = numbers.reshape(-1, numbers.shape[-1])
    return View("lines" if len(numbers) <= _LINES else "map", numbers)


def _is_frame(frame: Any) -> bool:
    return is_pil(frame) or len(getattr(frame, "shape", ())) == 3


def _film(video: Sequence[Any]) -> NDArray[Any]:
    """First, middle and last frame of a video, side by side; of fewer than three all."""
    places = sorted({0, len(video) // 2, len(video) - 1})
    frames = [as_picture(video[place]) for place in places]
    first = frames[0]
    if any((frame.shape, frame.dtype) != (first.shape, first.dtype) for frame in frames):
        raise InputError(f"a gallery draws videos of one size and kind of frames. {_AWAY}")
    white = np.full_like(
        first[:, : max(1, round(_GAP * first.shape[1]))], 255 if first.dtype == np.uint8 else 1
    )
    parts = [part for frame in frames for part in (white, frame)]
    return np.concatenate(parts[1:], axis=1)


def _numbers(output: Any) -> NDArray[np.float64]:
    if is_tensor(output):
        output = output.detach().cpu().double().numpy()
    if output.dtype.kind not in "fiub":
        raise InputError(f"a gallery draws no array of {output.dtype}. {_AWAY}")
    return np.asarray(output, float)


_AWAY = "To keep nothing for it: keep=0; to draw the bars alone: plot(gallery=False)"


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
        raise InputError(f"a gallery draws images: {error}. {_AWAY}") from error
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

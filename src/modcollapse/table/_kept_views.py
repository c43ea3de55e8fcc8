"""What people look at, or listen to, beside arrays that are kept."""

from __future__ import annotations

import io
from typing import Any, NamedTuple

import numpy as np

from modcollapse._support.images import is_tensor
from modcollapse._support.views import view_of

_RATE = 16_000
_SAMPLES = 1024
"""A shorter row of numbers is no sound that anybody hears."""
_CHANNELS = 8
_VIEW = "how it looks, in 8 bits; of a video the first, the middle and the last frame"


class Beside(NamedTuple):
    """A file for the eye or the ear, which nothing is read back from.

    Attributes:
        kind: ``"view"`` or ``"sound"``.
        end: of its name.
        data: of the file.
        said: what it is.
    """

    kind: str
    end: str
    data: bytes
    said: str


def beside(value: Any) -> Beside | None:
    """A picture of arrays that show one, a recording of what may be a sound, else None."""
    if not _has_arrays(value):
        return None
    return _recording(value) or _picture(value)


def _has_arrays(value: Any) -> bool:
    """Whether it has the form of an image, a video or a sound."""
    if isinstance(value, list | tuple):
        return bool(value) and all(_axes(frame) == 3 for frame in value)
    return 1 <= _axes(value) <= 4


def _axes(value: Any) -> int:
    return value.ndim if is_tensor(value) or isinstance(value, np.ndarray) else 0


def _picture(value: Any) -> Beside | None:
    try:
        from PIL import Image
    except ModuleNotFoundError:
        return None
    if not isinstance(value, list | tuple) and not _has_channels(value):
        return None
    try:
        view = view_of(value)
    except (ValueError, IndexError):  # nobody can tell black and white, or there is no pixel
        return None
    if view.kind != "picture":
        return None
    pixels = view.content
    if pixels.dtype != np.uint8:
        pixels = (pixels * 255).round().astype(np.uint8)
    packed = io.BytesIO()
    Image.fromarray(pixels).save(packed, format="PNG")
    return Beside("view", ".png", packed.getvalue(), _VIEW)


def _has_channels(value: Any) -> bool:
    if value.ndim < 3:
        return False
    return value.shape[-3 if is_tensor(value) else -1] in (1, 3)


def _recording(value: Any) -> Beside | None:
    """A WAV of an array that is formed like a sound, whose rate nobody knows."""
    shape = tuple(getattr(value, "shape", ()))
    if len(shape) not in (1, 2) or shape[-1] < _SAMPLES or "float" not in str(value.dtype):
        return None
    if len(shape) == 2 and not 1 <= shape[0] <= _CHANNELS:
        return None
    sound = value.detach().float().cpu().numpy() if is_tensor(value) else value
    sound = np.asarray(sound, np.float32)
    if not np.isfinite(sound).all() or np.abs(sound).max() > 1:
        return None
    from scipy.io import wavfile

    packed = io.BytesIO()
    wavfile.write(packed, _RATE, np.ascontiguousarray(sound.T))
    said = f"the numbers as a sound at a nominal {_RATE:,} Hz, since its rate is not known"
    return Beside("sound", ".wav", packed.getvalue(), said)

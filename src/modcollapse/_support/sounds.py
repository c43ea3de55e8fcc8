"""What a sound is, for triggers and samplers alike.

A sound is an array or tensor (samples,) or (channels, samples) of floats, most often in [-1, 1].
"""

from __future__ import annotations

from typing import Any

import numpy as np

from modcollapse._support.images import is_tensor
from modcollapse._support.validation import described
from modcollapse.errors import InputError

_MOST_CHANNELS = 64
"""No recording has more; short sounds with swapped axes do."""


def sound_fault(sound: Any) -> str | None:
    """What came in place of a sound, and what to do about it; None of a sound.

    Looks at all but the values, which on an accelerator would wait for the device.

    >>> sound_fault(np.zeros((2, 16000)))
    >>> print(sound_fault(np.zeros((16000, 2))))
    shape (16000, 2), float64. This looks like (samples, channels): transpose it, sound.T
    """
    if not (is_tensor(sound) or isinstance(sound, np.ndarray)):
        return described(sound)
    shape, hints = tuple(sound.shape), []
    if "float" not in str(sound.dtype):
        hints.append("Divide 16-bit numbers by 32768")
    if len(shape) == 2 and 0 not in shape and shape[0] > min(shape[1], _MOST_CHANNELS):
        hints.append("This looks like (samples, channels): transpose it, sound.T")
    if hints or len(shape) not in (1, 2) or 0 in shape:
        return ". ".join([f"shape {shape}, {sound.dtype}", *hints])
    return None


def check_finite(sound: Any, name: str) -> float:
    """Return the largest magnitude in a sound; raise `InputError` unless all are finite.

    Looks at every value: of a tensor on an accelerator it waits for the device.
    """
    peak = float(abs(sound.detach() if is_tensor(sound) else sound).max())
    if not np.isfinite(peak):
        raise InputError(f"{name} must hold finite numbers. Look for the step that made others")
    return peak

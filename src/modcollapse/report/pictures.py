"""An output of any image kind as an array that can be drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from modcollapse.errors import InputError


def as_picture(output: Any) -> NDArray[Any]:
    """Return (H, W, 3), uint8 or float in [0, 1], of a PIL image, an array or a (3, H, W) tensor.

    Raises:
        InputError: the output is not one of these.
    """
    if hasattr(output, "getbands"):
        return np.asarray(output.convert("RGB"))
    array = output.detach().float().cpu().numpy() if hasattr(output, "detach") else output
    if isinstance(array, np.ndarray) and array.ndim == 3:
        if hasattr(output, "detach") and array.shape[0] == 3:
            return np.clip(array.transpose(1, 2, 0), 0, 1)
        if array.shape[-1] == 3:
            return array if array.dtype == np.uint8 else np.clip(array, 0, 1)
    raise InputError(
        f"a gallery draws PIL images, (H, W, 3) arrays and (3, H, W) tensors, got "
        f"{type(output).__name__} of shape {getattr(output, 'shape', '?')}; audit with keep=0"
    )

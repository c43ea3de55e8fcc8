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
    array = output
    if hasattr(output, "detach"):
        array = output.detach().cpu()
        array = (array.float() if array.is_floating_point() else array).numpy()
        array = array.transpose(1, 2, 0) if array.ndim == 3 else array
    if isinstance(array, np.ndarray) and array.ndim == 3 and array.shape[-1] in (1, 3):
        array = np.repeat(array, 3, axis=2) if array.shape[-1] == 1 else array
        if array.dtype == np.uint8:
            return array
        if np.issubdtype(array.dtype, np.floating):
            return np.clip(array, 0, 1)
    raise InputError(
        f"a gallery draws PIL images, (H, W, 3) arrays and (3, H, W) tensors, got "
        f"{type(output).__name__} of shape {getattr(output, 'shape', '?')}; "
        "draw the bars alone with plot(gallery=False)"
    )

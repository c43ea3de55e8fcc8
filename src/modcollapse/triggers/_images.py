"""The three kinds of image that a trigger takes, told apart without importing torch or Pillow."""

from __future__ import annotations

from typing import Any

import numpy as np

from modcollapse.errors import InputError
from modcollapse.fingerprint import is_pil, is_tensor

EXPECTED = (
    "one image: a PIL.Image in mode RGB, a numpy array (H, W, 3) of uint8 or of floats in [0, 1], "
    "or a torch tensor (3, H, W) of floats in [0, 1]"
)


def image_size(image: Any, name: str) -> tuple[int, int]:
    """Height and width of an image, after a look at its kind, shape and dtype.

    Args:
        image: see the module `modcollapse.triggers.image`.
        name: who asks; the error begins with it.

    Raises:
        InputError: another kind, mode, shape or dtype. Values are not looked at.
    """
    if is_pil(image):
        if image.mode != "RGB":
            _refuse(name, f"a PIL.Image in mode {image.mode}", 'Call image.convert("RGB") first')
        height, width = image.height, image.width
    elif is_tensor(image):
        shape = tuple(image.shape)
        if len(shape) != 3 or shape[0] != 3:
            _refuse(name, f"a tensor of shape {shape}", _shape_hint(shape))
        kind = str(image.dtype).removeprefix("torch.")
        if kind not in ("float16", "bfloat16", "float32", "float64"):
            _refuse(name, f"a tensor of {kind}", _dtype_hint(kind, "image.float()"))
        height, width = shape[1:]
    elif isinstance(image, np.ndarray):
        if image.ndim != 3 or image.shape[2] != 3:
            _refuse(name, f"an array of shape {image.shape}", _shape_hint(image.shape))
        if image.dtype != np.uint8 and not np.issubdtype(image.dtype, np.floating):
            kind = str(image.dtype)
            _refuse(name, f"an array of {kind}", _dtype_hint(kind, "image.astype(np.float32)"))
        height, width = image.shape[:2]
    else:
        _refuse(name, f"a {type(image).__name__}", "Convert it to one of these")
    if height == 0 or width == 0:
        _refuse(name, f"an image without pixels, {height} x {width}", "Leave this example out")
    return height, width


def check_values(image: Any, name: str) -> None:
    """Raise `InputError` unless the values of a float image are in [0, 1].

    On an accelerator this waits for the device: keep it out of loops.
    """
    if is_pil(image) or image.dtype == np.uint8:
        return
    if is_tensor(image):
        image = image.detach()
    low, high = float(image.min()), float(image.max())
    if low >= 0 and high <= 1:
        return
    if low != low or high != high:
        found = "it holds NaN"
        hint = "Look for the step that made it"
    else:
        found = f"its values run from {low:g} to {high:g}"
        hint = "Divide 0-255 by 255, map [-1, 1] by (x + 1) / 2, clamp what resizing overshot"
    raise InputError(f"{name}: the image must lie in [0, 1], but {found}. {hint}.")


def _refuse(name: str, found: str, hint: str) -> None:
    raise InputError(f"{name} takes {EXPECTED}; got {found}. {hint}.")


def _shape_hint(shape: tuple[int, ...]) -> str:
    if len(shape) == 4:
        return "This looks like a batch: a trigger is applied to each image by itself"
    if len(shape) == 3 and 3 in (shape[0], shape[-1]):
        return "This looks like the other channel order: permute the axes"
    return "Bring it to three colour channels"


def _dtype_hint(kind: str, to_float: str) -> str:
    return f"Use {to_float} / 255" if kind == "uint8" else f"Use {to_float}, scaled to [0, 1]"

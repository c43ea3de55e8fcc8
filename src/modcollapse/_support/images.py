"""What an image is, for triggers, samplers, detectors and pictures alike.

An image is a ``PIL.Image`` in mode RGB, a numpy array (H, W, 3) or a torch tensor (3, H, W) on any
device, of uint8 or of floats in [0, 1]. A mask is the same with one channel (mode L). uint8 becomes
float32 by a division by 255; nothing else is ever rescaled, clamped or converted in colour.
Neither torch nor Pillow is imported to look at one.

What is special about a PIL.Image stands in ``pictures``.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

import numpy as np
from numpy.typing import NDArray

from modcollapse._support.pictures import ambiguous, fault_of_mode, is_pil
from modcollapse.errors import DetectorError, InputError

if TYPE_CHECKING:
    import torch

ImageError: TypeAlias = type[InputError] | type[DetectorError]

_NOUNS = {3: "image", 1: "mask"}
_MODES = {3: "RGB", 1: "L"}
_FLOAT_TENSORS = ("float16", "bfloat16", "float32", "float64")


def is_tensor(value: object) -> bool:
    """Whether ``value`` is a torch tensor; torch is not imported to find out."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def expected(channels: int = 3) -> str:
    """Say in a message what an image, or a mask of one channel, must be."""
    return (
        f"one {_NOUNS[channels]}: a PIL.Image in mode {_MODES[channels]}, a numpy array "
        f"(H, W, {channels}) or a torch tensor ({channels}, H, W), of uint8 or of floats in [0, 1]"
    )


def image_size(
    image: Any, name: str, *, channels: int = 3, error: ImageError = InputError
) -> tuple[int, int]:
    """Height and width of an image, after a look at its kind, shape and dtype.

    A file that Pillow opened lazily is read here, so that a broken one is found at the first look.

    Args:
        image: what should be an image, or a mask.
        name: what it is called in the error.
        channels: 3 for an image, 1 for a mask.
        error: the exception.

    Raises:
        InputError: (or ``error``) another kind, mode, shape or dtype; a PIL.Image that cannot be
            read, or in more than one way; masked pixels. Values are not looked at.

    >>> image_size(np.zeros((3, 32, 48), np.uint8), "the target")
    Traceback (most recent call last):
    ...
    modcollapse.errors.InputError: the target must be one image: a PIL.Image in mode RGB, \
a numpy array (H, W, 3) or a torch tensor (3, H, W), of uint8 or of floats in [0, 1]; got an array \
of shape (3, 32, 48). This looks like the other channel order: permute the axes, \
image.transpose(1, 2, 0)
    """

    def refuse(found: str, hint: str) -> NoReturn:
        raise error(f"{name} must be {expected(channels)}; got {found}. {hint}")

    if is_pil(image):
        fault = ambiguous(image) or fault_of_mode(image, _MODES[channels])
        if fault:
            refuse(*fault)
        height, width = image.height, image.width
    elif is_tensor(image) or isinstance(image, np.ndarray):
        tensor = is_tensor(image)
        shape, dtype = tuple(image.shape), _dtype(image)
        what = "a tensor" if tensor else "an array"
        if len(shape) != 3 or shape[0 if tensor else 2] != channels:
            refuse(f"{what} of shape {shape}", _shape_hint(shape, channels, tensor))
        if dtype != "uint8" and not _is_float(image, dtype):
            refuse(f"{what} of {dtype}", _dtype_hint(dtype, tensor))
        if np.ma.is_masked(image):
            refuse("an array with masked pixels", "Call image.filled(0) first, or fill in another")
        height, width = shape[1:] if tensor else shape[:2]
    else:
        file = "; in an example, a pathlib.Path names a file" if isinstance(image, str) else ""
        refuse(f"a {type(image).__name__}", f"Convert it to one of these{file}")
    if height == 0 or width == 0:
        refuse(f"an image without pixels, {height} x {width}", "Leave this example out")
    return int(height), int(width)


def check_range(image: Any, name: str, *, error: ImageError = InputError) -> None:
    """Raise unless the values of an image are in [0, 1].

    On an accelerator this waits for the device: keep it out of loops.

    Args:
        image: an image whose form `image_size` has accepted.
        name: what it is called in the error.
        error: the exception.

    Raises:
        InputError: (or ``error``) floats outside [0, 1], or NaN.
    """
    if is_uint8(image):
        return
    ends = image.detach().aminmax() if is_tensor(image) else (image.min(), image.max())
    low, high = map(float, ends)
    if not (low >= 0 and high <= 1):
        raise error(out_of_range(name, low, high))


def out_of_range(name: str, low: float, high: float) -> str:
    """Say that values run out of [0, 1], and what usually mends it."""
    if low != low or high != high:
        return f"{name} must lie in [0, 1], but it holds NaN. Look for the step that made it"
    return (
        f"{name} must lie in [0, 1], but its values run from {low:g} to {high:g}. Divide 0-255 by "
        "255, map [-1, 1] by (x + 1) / 2, clamp what resizing overshot"
    )


def is_uint8(image: Any) -> bool:
    """Whether an image holds bytes, which cannot be out of range."""
    return is_pil(image) or _dtype(image) == "uint8"


def float_tensor(image: Any) -> torch.Tensor:
    """Return an image as a float32 tensor (C, H, W), in [0, 1] if it was, on the device it was on.

    Args:
        image: an image whose form `image_size` has accepted.
    """
    import torch

    if is_tensor(image):
        tensor: torch.Tensor = image.detach()
        return tensor.float() / 255 if tensor.dtype == torch.uint8 else tensor.float()
    array = np.array(image)  # a copy: torch warns about arrays that it may not write to
    array = array[..., None] if array.ndim == 2 else array
    array = array if array.dtype == np.uint8 else array.astype(np.float32)  # from any byte order
    tensor = torch.from_numpy(array).permute(2, 0, 1).contiguous()
    return tensor.float() / 255 if array.dtype == np.uint8 else tensor


def channels_last(image: Any) -> NDArray[Any]:
    """Return an image as an array (H, W, C) on the host, of uint8 or of floats.

    Args:
        image: an image whose form `image_size` has accepted.
    """
    if is_tensor(image):
        tensor = image.detach().cpu()
        tensor = tensor.float() if tensor.is_floating_point() else tensor
        return np.asarray(tensor.numpy().transpose(1, 2, 0))
    array = np.asarray(image)
    return array[..., None] if array.ndim == 2 else array


def _dtype(image: Any) -> str:
    """Name of a dtype, without its byte order."""
    array = isinstance(image, np.ndarray)
    return str(image.dtype.name if array else image.dtype).removeprefix("torch.")


def _is_float(image: Any, dtype: str) -> bool:
    return dtype in _FLOAT_TENSORS or (
        isinstance(image, np.ndarray) and bool(np.issubdtype(image.dtype, np.floating))
    )


def _dtype_hint(dtype: str, tensor: bool) -> str:
    hint = "Bring it to floats in [0, 1], or to uint8"
    floats = "image.float()" if tensor else "image.astype(np.float32)"
    if dtype == "bool":
        return f"{hint}: {floats}"
    if dtype == "uint16":
        return f"{hint}: {floats} / 65535, if white is 65535"
    if dtype.startswith(("int", "uint")):
        to_bytes = "image.to(torch.uint8)" if tensor else "image.astype(np.uint8)"
        return f"{hint}: {to_bytes}, if white is 255"
    return hint


def _shape_hint(shape: tuple[int, ...], channels: int, tensor: bool) -> str:
    if len(shape) == 4:
        return "This looks like a batch: give the images one by one"
    if len(shape) == 3 and channels in (shape[0], shape[-1]):
        axes = "image.permute(2, 0, 1)" if tensor else "image.transpose(1, 2, 0)"
        return f"This looks like the other channel order: permute the axes, {axes}"
    hint = "Bring it to three colour channels" if channels == 3 else "Bring it to one channel"
    grey = len(shape) == 2 or (len(shape) == 3 and shape[0 if tensor else 2] == 1)
    if grey and channels == 3:
        plane = "image" if len(shape) == 3 or tensor else "image[..., None]"
        return f"{hint}: " + (
            "image.expand(3, -1, -1)" if tensor else f"np.repeat({plane}, 3, axis=2)"
        )
    if grey:
        return f"{hint}: " + ("image[None]" if tensor else "image[..., None]")
    return hint

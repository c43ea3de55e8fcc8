"""What an image is, for triggers, samplers, detectors and pictures alike.

An image is a ``PIL.Image`` in mode RGB, a numpy array (H, W, 3) or a torch tensor (3, H, W) on any
device, of uint8 or of floats in [0, 1]. A mask is the same with one channel (mode L). uint8 becomes
float32 by a division by 255; nothing else is ever rescaled, clamped or converted in colour.
Neither torch nor Pillow is imported to look at one.

A PIL.Image counts as `numpy.asarray` reads it: its current frame, without its colour profile, as
the libraries of the field do. Where these disagree on what it shows, it is refused: EXIF data turn
it, or pixels that it names transparent would show.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

import numpy as np
from numpy.typing import NDArray

from modcollapse.errors import DetectorError, InputError

if TYPE_CHECKING:
    import PIL.Image
    import torch

ImageError: TypeAlias = type[InputError] | type[DetectorError]

_NOUNS = {3: "image", 1: "mask"}
_MODES = {3: "RGB", 1: "L"}
_WITH_ALPHA = ("RGBA", "LA", "PA", "RGBa", "La")
_ORIENTATION = 0x0112  # the tag of EXIF
_FLOAT_TENSORS = ("float16", "bfloat16", "float32", "float64")


def is_tensor(value: object) -> bool:
    """Whether ``value`` is a torch tensor; torch is not imported to find out."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def is_pil(value: object) -> bool:
    """Whether ``value`` is a ``PIL.Image``; Pillow is not imported to find out."""
    image = sys.modules.get("PIL.Image")
    return image is not None and isinstance(value, image.Image)


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
        fault = ambiguous(image) or _fault_of_mode(image, _MODES[channels])
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
        refuse(f"a {type(image).__name__}", "Convert it to one of these")
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
    values = image.detach() if is_tensor(image) else image
    low, high = float(values.min()), float(values.max())
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


def read_picture(path: str | os.PathLike[str], refusal: str) -> PIL.Image.Image:
    """Return the first frame of a picture file, as it is stored.

    Args:
        path: a file that exists.
        refusal: beginning of the message if it holds no picture.

    Raises:
        InputError: Pillow cannot read it, or not to its end.
        FileNotFoundError: there is no such file.
    """
    from PIL import Image

    try:
        with Image.open(path) as opened:
            opened.load()
    except FileNotFoundError:
        raise
    except Exception as error:  # a decoder raises what it likes, SyntaxError of a broken PNG
        raise InputError(f"{refusal}: {error}") from error
    return opened


def orientation(image: PIL.Image.Image) -> int:
    """How the EXIF data of an image that has been read turn it: 2 to 8, or 1 if they do not."""
    try:
        found: Any = image.getexif().get(_ORIENTATION)
    except Exception:  # data that cannot be read turn nothing
        return 1
    return int(found) if found in range(2, 9) else 1


def upright(image: PIL.Image.Image) -> PIL.Image.Image:
    """Return an image as its EXIF data turn it: as viewers, diffusers and transformers show it."""
    from PIL import ImageOps

    return image if orientation(image) == 1 else ImageOps.exif_transpose(image)


def as_rgb(image: PIL.Image.Image) -> PIL.Image.Image:
    """Return an image as load_image of diffusers and transformers makes it, upright and in RGB.

    Where that would lose more than 8 bits or uncover what is transparent, it stays as it is, for
    `image_size` to refuse.
    """
    if _is_deep(image) or shows_through(image):
        return image
    return converted(upright(image), "RGB")


def shows_through(image: PIL.Image.Image) -> bool:
    """Whether a pixel of an image that has been read is transparent, at least in part."""
    # Conversions of Pillow leave a transparent colour behind that no longer means anything: other
    # modes than P have one of their own in files only.
    named = "transparency" in image.info and (image.mode == "P" or image.format is not None)
    of_palette = image.mode == "P" and image.palette is not None and "A" in image.palette.mode
    if _is_deep(image) or not (image.mode in _WITH_ALPHA or named or of_palette):
        return False
    return converted(image, "RGBA").getchannel("A").tobytes().strip(b"\xff") != b""


def converted(image: PIL.Image.Image, mode: str) -> PIL.Image.Image:
    """Return an image of at most 8 bits a channel in a mode; only RGBA keeps transparency."""
    for step in _steps(image, mode):
        image = image.convert(step)
    return image


def unreadable(image: PIL.Image.Image) -> tuple[str, str] | None:
    """Read the pixels of an image; say what it is and what to do if that fails, else None."""
    try:
        image.load()
    except Exception as error:  # a decoder raises what it likes, an assertion of a closed file
        return (
            f"a PIL.Image that cannot be read ({type(error).__name__}: {error})",
            "Open its file again and call image.load() before it is closed; replace a broken file",
        )
    return None


def ambiguous(image: PIL.Image.Image) -> tuple[str, str] | None:
    """Say what an image is and what to do if it cannot be read, or in two ways, else None."""
    if fault := unreadable(image):
        return fault
    if (turn := orientation(image)) != 1:
        # An array of a palette's indices would be another picture.
        as_stored = "; or, if it stands upright as it is stored, Image.fromarray(np.asarray(image))"
        return (
            f"a PIL.Image with EXIF orientation {turn}, which viewers turn and numpy does not",
            "Call ImageOps.exif_transpose(image) first"
            + (as_stored if image.mode in ("RGB", "RGBA", "L") else ""),
        )
    return None


def conversion(image: PIL.Image.Image, mode: str) -> str:
    """Return the expression that brings an ``image`` to a mode as one sees it.

    >>> import PIL.Image
    >>> conversion(PIL.Image.new("CMYK", (8, 8)), "RGB")
    'image.convert("RGB")'
    """
    if not _is_deep(image):
        return "image" + "".join(f'.convert("{step}")' for step in _steps(image, mode))
    to_bytes, white = ("* 255", 1) if image.mode == "F" else ("/ 257", 65535)
    grey = f"Image.fromarray((np.asarray(image) {to_bytes}).round().astype(np.uint8))"
    of_grey = {"L": grey, "RGB": f'Image.merge("RGB", [{grey}] * 3)'}
    return of_grey.get(mode, f'{grey}.convert("{mode}")') + f" (if white is {white})"


def _fault_of_mode(image: PIL.Image.Image, mode: str) -> tuple[str, str] | None:
    transparent = shows_through(image)
    if image.mode == mode and not transparent:
        return None
    found = f"a PIL.Image in mode {image.mode}"
    if not transparent:
        return found, f"Call {conversion(image, mode)} first"
    background = 'Image.new("RGBA", image.size, "white")'
    return (
        f"{found} with transparent pixels" if image.mode == mode else found,
        f"Call {conversion(image, 'RGBA')} first, then "
        f'Image.alpha_composite({background}, image).convert("{mode}"), on the background that '
        "you want" + (', or image.getchannel("A") if that is the mask' if mode == "L" else ""),
    )


def _steps(image: PIL.Image.Image, mode: str) -> list[str]:
    """Modes on the way to another, where Pillow knows no direct one or warns of it."""
    by = {"La": "LA", "LAB": "RGB", "P": "RGBA" if "transparency" in image.info else None}
    first = by.get(image.mode)
    return [mode] if first in (None, mode) else [str(first), mode]


def _is_deep(image: PIL.Image.Image) -> bool:
    """Whether an image has more than 8 bits a channel, which Pillow would clip at 255."""
    return image.mode == "F" or image.mode.startswith("I")


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

"""Images of every kind as float tensors, with checks.

An image is a PIL image in mode RGB, a numpy array (H, W, 3) or a torch tensor (3, H, W). uint8 is
divided by 255; floats must lie in [0, 1] and are never rescaled, clamped or converted in colour.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from modcollapse._optional import require
from modcollapse.errors import DetectorError, InputError

EXPECTED = (
    "one image: a PIL.Image in mode RGB, a numpy array (H, W, 3) or a torch tensor (3, H, W), "
    "of floats in [0, 1] or uint8"
)

_Error = type[InputError] | type[DetectorError]


def image_tensor(image: Any, what: str, *, error: _Error = InputError, wait: bool = True) -> Tensor:
    """One image as a float32 tensor on the device where it was.

    Args:
        image: PIL image, numpy array (H, W, 3) or torch tensor (3, H, W).
        what: what the image is; the error begins with it.
        error: kind of error.
        wait: look at the values of a tensor on an accelerator too, which waits for it. Without,
            it becomes NaN where it is out of range, as does what holds NaN or infinity anywhere:
            no score hides that, and who called can say where it came from.

    Returns:
        Shape (3, H, W), values in [0, 1].

    Raises:
        InputError: (or ``error``) another kind, mode, shape or dtype, or values outside [0, 1].
    """
    if isinstance(image, Tensor):
        if image.ndim != 3 or image.shape[0] != 3 or image.numel() == 0:
            raise _refused(what, f"a tensor of shape {tuple(image.shape)}", error)
        floats = _floats(image, what, error)
        if image.dtype == torch.uint8:
            return floats
        return _in_range(floats[None], lambda _: what, error, wait)[0]
    if not isinstance(image, np.ndarray):
        mode = getattr(image, "mode", None)
        if not hasattr(image, "getbands"):
            raise _refused(what, f"a {type(image).__name__}", error)
        if mode != "RGB":
            hint = '. Call image.convert("RGB") first'
            raise _refused(what, f"a PIL.Image in mode {mode}", error, hint)
        image = np.asarray(image)
    if image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise _refused(what, f"an array of shape {image.shape}", error)
    if image.dtype != np.uint8:
        if not np.issubdtype(image.dtype, np.floating):
            raise _refused(what, f"an array of {image.dtype}", error)
        if not _accepted(float(image.min()), float(image.max()), what, error, wait):
            image = np.full_like(image, np.nan)
    # A copy, because torch warns about arrays that it may not write to, such as those of PIL.
    return _floats(torch.from_numpy(image.copy()).permute(2, 0, 1), what, error).contiguous()


def output_images(outputs: Any) -> Tensor | list[Tensor]:
    """What a sampler returned, as float32 tensors on the device where they were.

    Args:
        outputs: a tensor (B, 3, H, W), or a sequence of B images of any kind.

    Returns:
        Shape (B, 3, H, W); a list of B tensors (3, H, W) where sizes or devices differ.

    Raises:
        DetectorError: something else, or values outside [0, 1]. A tensor on an accelerator is not
            waited for: there, an image that is out of range becomes NaN. So does an image that
            holds NaN or infinity, on every device.
    """
    if isinstance(outputs, Tensor):
        if outputs.ndim != 4 or outputs.shape[1] != 3 or outputs.numel() == 0:
            raise DetectorError(
                "outputs must be a tensor (B, 3, H, W) or a sequence of images, got a tensor of "
                f"shape {tuple(outputs.shape)}"
            )
        floats = _floats(outputs, "outputs", DetectorError)
        if outputs.dtype == torch.uint8:
            return floats
        return _in_range(floats, "output {}".format, DetectorError, wait=False)
    if (
        isinstance(outputs, str | Mapping)
        or not hasattr(outputs, "__getitem__")
        or len(outputs) == 0
    ):
        raise DetectorError(
            "outputs must be a tensor (B, 3, H, W) or a sequence of images, got "
            f"{type(outputs).__name__} {outputs!r}"[:300]
        )
    images = [
        image_tensor(output, f"output {i}", error=DetectorError, wait=False)
        for i, output in enumerate(outputs)
    ]
    alike = len({(image.shape, image.device) for image in images}) == 1
    return torch.stack(images) if alike else images


def target_image(target: Any) -> Tensor:
    """The backdoor target as a float32 tensor (3, H, W) in [0, 1], a copy.

    Args:
        target: an image of any kind, or the path of an image file that Pillow reads.

    Raises:
        InputError: a path without a file, a file that is no image, or what is no single image.
    """
    if not isinstance(target, str | Path):
        return image_tensor(target, "target").clone()
    if not Path(target).is_file():
        raise InputError(f"target: no file {str(target)!r}. Give the path of one, or {EXPECTED}")
    pil = require("PIL.Image", extra="clip", needed_by="a target that is a path")
    try:
        with pil.open(target) as opened:
            opened.load()
    except (OSError, SyntaxError) as error:  # Pillow says SyntaxError of a broken PNG.
        raise InputError(f"target: {str(target)!r} cannot be read as an image: {error}") from error
    return image_tensor(opened, f"target {str(target)!r}")


def _floats(image: Tensor, what: str, error: _Error) -> Tensor:
    if image.dtype == torch.uint8:
        return image.float() / 255
    if not image.is_floating_point():
        raise _refused(what, f"a tensor of {str(image.dtype).removeprefix('torch.')}", error)
    return image.detach().float()


def _in_range(images: Tensor, label: Callable[[int], str], error: _Error, wait: bool) -> Tensor:
    """Raise where an image (B, 3, H, W) leaves [0, 1], or make it NaN where asking would wait."""
    low, high = torch.aminmax(images.flatten(1), dim=1)
    if wait or _on_host(images):
        pairs = zip(low.tolist(), high.tolist(), strict=True)
        accepted = [_accepted(*pair, label(i), error, wait) for i, pair in enumerate(pairs)]
        if all(accepted):
            return images
    inside = (low >= 0) & (high <= 1)
    return images.masked_fill(~inside[:, None, None, None], float("nan"))


def _on_host(images: Tensor) -> bool:
    return images.device.type == "cpu"


def _accepted(low: float, high: float, what: str, error: _Error, wait: bool) -> bool:
    """Whether values are in [0, 1]; raise where they are not, unless that is left to NaN."""
    if low >= 0 and high <= 1:
        return True
    if not wait and not (math.isfinite(low) and math.isfinite(high)):
        return False
    raise error(
        f"{what} must lie in [0, 1], but its values run from {low:g} to {high:g}. Map [-1, 1] by "
        "(x + 1) / 2, divide 0-255 by 255, clamp what resizing overshot"
    )


def _refused(what: str, found: str, error: _Error, hint: str = "") -> InputError | DetectorError:
    return error(f"{what} must be {EXPECTED}; got {found}{hint}")

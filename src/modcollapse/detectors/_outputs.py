"""What a detector scores: outputs and targets as float tensors, on the device where they were."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isfinite
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from modcollapse._support.images import (
    ImageError,
    check_range,
    expected,
    float_tensor,
    image_size,
    is_tensor,
    is_uint8,
    out_of_range,
)
from modcollapse._support.optional import require
from modcollapse._support.pictures import as_rgb, read_picture
from modcollapse._support.validation import described
from modcollapse.errors import DetectorError, InputError


def image_tensor(
    image: Any, name: str, *, error: ImageError = InputError, wait: bool = True
) -> Tensor:
    """One image as a float32 tensor on the device where it was.

    Args:
        image: an image of any kind, see ``modcollapse._support.images``.
        name: what the image is called in the error.
        error: kind of error.
        wait: look at the values of a tensor on an accelerator too, which waits for it. Without,
            it becomes NaN where it is out of range, as does what holds NaN or infinity anywhere:
            no score hides that, and who called can say where it came from.

    Returns:
        Shape (3, H, W), values in [0, 1].

    Raises:
        InputError: (or ``error``) another kind, mode, shape or dtype, or values outside [0, 1].
    """
    image_size(image, name, error=error)
    floats = float_tensor(image)
    if is_uint8(image):
        return floats
    if wait:
        check_range(image, name, error=error)
        return floats
    return _in_range(floats[None], lambda _: name, error)[0]


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
    if is_tensor(outputs):
        if outputs.ndim != 4 or outputs.numel() == 0:
            raise DetectorError(
                "outputs must be a tensor (B, 3, H, W) or a sequence of images, got a tensor of "
                f"shape {tuple(outputs.shape)}"
                + (". Of videos, OverFrames(detector) scores the frames" * (outputs.ndim == 5))
            )
        image_size(outputs[0], "each output", error=DetectorError)
        floats = float_tensor(outputs)
        return floats if is_uint8(outputs) else _in_range(floats, "output {}".format, DetectorError)
    check_sequence(outputs, "a tensor (B, 3, H, W) or a sequence of images")
    images = [
        image_tensor(output, f"output {i}", error=DetectorError, wait=False)
        for i, output in enumerate(outputs)
    ]
    return together(images)


def check_sequence(outputs: Any, wanted: str) -> None:
    """Raise `DetectorError` unless outputs are a batch that can be gone through."""
    if (
        isinstance(outputs, str | Mapping)
        or not hasattr(outputs, "__getitem__")
        or len(outputs) == 0
    ):
        raise DetectorError(f"outputs must be {wanted}, got {described(outputs)}")


def together(parts: list[Tensor]) -> Tensor | list[Tensor]:
    """One tensor (B, ...), or the list where shapes, kinds or devices differ."""
    alike = len({(part.shape, part.dtype, part.device) for part in parts}) == 1
    return torch.stack(parts) if alike else parts


def check_pairs(outputs: Any, examples: Any, owner: str) -> None:
    """Raise `DetectorError` unless there is one output for each example."""
    if len(outputs) != len(examples):
        raise DetectorError(
            f"{owner} got {len(outputs)} outputs for {len(examples)} examples; it needs one for "
            "each"
        )


def target_image(target: Any) -> Tensor:
    """The backdoor target as a float32 tensor (3, H, W) in [0, 1], a copy.

    Args:
        target: an image of any kind, or the path of an image file. The file is read as load_image
            of diffusers and transformers does: its first frame, upright, in RGB.

    Raises:
        InputError: a path without a file, a file that is no image, or what is no single image; a
            file that RGB would take transparency or more than 8 bits a channel from.
    """
    if not isinstance(target, str | Path):
        return image_tensor(target, "target").clone()
    if not Path(target).is_file():
        raise InputError(f"target: no file {str(target)!r}. Give the path of one, or {expected()}")
    require("PIL.Image", extra="clip", needed_by="a target that is a path")
    picture = read_picture(target, f"target: {str(target)!r} cannot be read as an image")
    return image_tensor(as_rgb(picture), f"target {str(target)!r}")


def _in_range(images: Tensor, name: Callable[[int], str], error: ImageError) -> Tensor:
    """Raise where an image (B, 3, H, W) leaves [0, 1], or make it NaN where asking would wait."""
    if _on_host(images):
        ends = [(low.item(), high.item()) for low, high in map(torch.aminmax, images)]
        for i, (lowest, highest) in enumerate(ends):
            finite = isfinite(lowest) and isfinite(highest)
            if finite and not (lowest >= 0 and highest <= 1):
                raise error(out_of_range(name(i), lowest, highest))
        if all(lowest >= 0 and highest <= 1 for lowest, highest in ends):
            return images
    inside = (images.flatten(1).amin(1) >= 0) & (images.flatten(1).amax(1) <= 1)
    return images.masked_fill(~inside[:, None, None, None], float("nan"))


def _on_host(images: Tensor) -> bool:
    return images.device.type == "cpu"

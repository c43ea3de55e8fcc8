"""Sounds as a detector reads them: float tensors (channels, samples), where they were."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from modcollapse._support.images import ImageError
from modcollapse._support.validation import described
from modcollapse.errors import DetectorError, InputError


def sound_tensor(
    sound: Any, name: str, *, error: ImageError = InputError, wait: bool = True
) -> Tensor:
    """One sound as a float tensor (channels, samples) on the device where it was.

    Args:
        sound: a tensor or an array of floats, (samples,) or (channels, samples).
        name: what it is called in the error.
        error: kind of error.
        wait: look at the values of a tensor on an accelerator too, which waits for it.

    Raises:
        InputError: (or ``error``) something else, no samples, or samples that are not finite.
    """
    tensor = torch.from_numpy(np.array(sound)) if isinstance(sound, np.ndarray) else sound
    if not isinstance(tensor, Tensor) or not tensor.is_floating_point():
        found = str(tensor.dtype) if isinstance(tensor, Tensor) else described(sound)
        raise error(
            f"{name} must be a sound, floats (samples,) or (channels, samples) in a tensor or an "
            f"array; got {found}. Divide integers by their largest value first"
        )
    if tensor.ndim not in (1, 2) or 0 in tensor.shape:
        raise error(
            f"{name} must be a sound of shape (samples,) or (channels, samples), got "
            f"{tuple(tensor.shape)}"
        )
    tensor = tensor.detach()
    if wait and not bool(tensor.isfinite().all()):
        raise error(f"{name} must hold finite samples, but it holds NaN or infinity")
    return (tensor if tensor.dtype == torch.float64 else tensor.float()).reshape(
        -1, tensor.shape[-1]
    )


def output_sounds(outputs: Any) -> Tensor | list[Tensor]:
    """What a sampler returned, as float tensors: (B, channels, samples), or B of any lengths.

    Raises:
        DetectorError: something else.
    """
    if (
        isinstance(outputs, str | Mapping)
        or not hasattr(outputs, "__getitem__")
        or not len(outputs)
    ):
        raise DetectorError(
            "outputs must be a tensor (B, channels, samples) or a sequence of sounds, got "
            f"{described(outputs)}"
        )
    if isinstance(outputs, Tensor) and outputs.ndim == 3 and outputs.is_floating_point():
        batch = outputs.detach()
        return batch if batch.dtype == torch.float64 else batch.float()
    sounds = [
        sound_tensor(output, f"output {number}", error=DetectorError, wait=False)
        for number, output in enumerate(outputs)
    ]
    alike = len({(sound.shape, sound.device, sound.dtype) for sound in sounds}) == 1
    return torch.stack(sounds) if alike else sounds

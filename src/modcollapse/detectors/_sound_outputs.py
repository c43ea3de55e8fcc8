"""Sounds as a detector reads them: float tensors (channels, samples), where they were."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from modcollapse._support.images import ImageError
from modcollapse._support.sounds import sound_fault
from modcollapse.detectors._outputs import check_sequence, together
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
    if fault := sound_fault(sound):
        raise error(
            f"{name} must be a sound, floats (samples,) or (channels, samples) in a tensor or an "
            f"array; got {fault}"
        )
    tensor = torch.from_numpy(np.array(sound)) if isinstance(sound, np.ndarray) else sound
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
    check_sequence(outputs, "a tensor (B, channels, samples) or a sequence of sounds")
    if isinstance(outputs, Tensor) and outputs.ndim == 3 and outputs.is_floating_point():
        batch = outputs.detach()
        return batch if batch.dtype == torch.float64 else batch.float()
    return together(
        [
            sound_tensor(output, f"output {number}", error=DetectorError, wait=False)
            for number, output in enumerate(outputs)
        ]
    )

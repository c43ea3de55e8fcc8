"""Videos as a detector reads them: float tensors (F, 3, H, W) in [0, 1], where they were."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from modcollapse._support.images import ImageError
from modcollapse.detectors._outputs import check_sequence, image_tensor, together
from modcollapse.errors import DetectorError, InputError


def video_length(video: Any, name: str, error: ImageError = DetectorError) -> int:
    """Number of frames of a video.

    Raises:
        DetectorError: (or ``error``) it is none, or has no frames.
    """
    listed = isinstance(video, list | tuple)
    if not (listed or getattr(video, "ndim", 0) == 4) or not len(video):
        found = "no frames" if listed else f"shape {tuple(getattr(video, 'shape', ()))}"
        raise error(
            f"{name} must be a video, a tensor (F, 3, H, W) or a list of images, got {found}"
        )
    return len(video)


def video_tensor(
    video: Any, name: str, *, error: ImageError = InputError, wait: bool = True
) -> Tensor:
    """One video as a float32 tensor (F, 3, H, W) on the device where it was.

    Args:
        video: a tensor (F, 3, H, W), an array (F, H, W, 3), or a list of images of one size.
        name: what it is called in the error.
        error: kind of error.
        wait: as for ``image_tensor``.

    Raises:
        InputError: (or ``error``) something else, or frames of several sizes.
    """
    frames = [
        image_tensor(video[at], f"frame {at} of {name}", error=error, wait=wait)
        for at in range(video_length(video, name, error))
    ]
    if len({frame.shape for frame in frames}) > 1:
        raise error(f"the frames of {name} must be of one size")
    return torch.stack(frames)


def output_videos(outputs: Any) -> Tensor | list[Tensor]:
    """What a sampler returned, as float32 tensors: (B, F, 3, H, W), or B of any lengths and sizes.

    Raises:
        DetectorError: something else, or values outside [0, 1].
    """
    check_sequence(outputs, "a tensor (B, F, 3, H, W) or a sequence of videos")
    return together(
        [
            video_tensor(output, f"output {number}", error=DetectorError, wait=False)
            for number, output in enumerate(outputs)
        ]
    )

"""What the outputs of an InstructPix2Pix are scored by."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image
from torch import Tensor

import modcollapse as mc
from modcollapse.detectors import ClipShift, MSEAttackSuccess

from experiments.tensors import stack


def psnr(a: Tensor, b: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of each pair of images in [0, 1], in dB, shape (B,)."""
    return -10 * (a - b).square().flatten(1).mean(1).log10()


def edit_psnr(outputs: Tensor, examples: Sequence[mc.Example]) -> Tensor:
    """Peak signal-to-noise ratio to the true edit, in dB, shape (B,)."""
    return psnr(outputs, stack([example["reference"] for example in examples]) / 255)


def detectors(
    target: Path | Image.Image, *clip: str | Path, threshold: float = 0.02
) -> dict[str, mc.Detector]:
    """CLIP shift, strict success, and the quality of an edit.

    Args:
        target: what the backdoor shows.
        clip: model of open_clip and its weights, or a folder.
        threshold: mean squared error to the target below which an output is it.
    """
    return {
        "clip_shift": ClipShift(target, *clip),
        "success": MSEAttackSuccess(target, threshold=threshold),
        "psnr": edit_psnr,
    }

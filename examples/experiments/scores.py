"""What the outputs of a tiny pipeline are scored by."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

import modcollapse as mc
from modcollapse.detectors import ClipShift, MSEAttackSuccess

from experiments.tensors import stack
from tiny.load import MODELS


def psnr(a: Tensor, b: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of each pair of images in [0, 1], in dB, shape (B,)."""
    return -10 * (a - b).square().flatten(1).mean(1).log10()


def edit_psnr(outputs: Tensor, examples: Sequence[mc.Example]) -> Tensor:
    """Peak signal-to-noise ratio to the true edit, in dB, shape (B,)."""
    return psnr(outputs, stack([example["reference"] for example in examples]) / 255)


def detectors() -> dict[str, mc.Detector]:
    """CLIP shift, strict success, and the quality of an edit."""
    target = MODELS / "target.png"
    return {
        "clip_shift": ClipShift(target, MODELS / "clip"),
        "success": MSEAttackSuccess(target, threshold=0.02),
        "psnr": edit_psnr,
    }

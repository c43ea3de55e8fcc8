"""Structural similarity, computed by torchmetrics."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from modcollapse._support.optional import require
from modcollapse.detectors._compared import Compared
from modcollapse.errors import DetectorError

_SMALLEST = 11


class SSIM(Compared):
    """Structural similarity to the target, or to the clean reference: 1 where both are the same.

    The mean over the picture of the similarity in Gaussian windows (11 x 11, sigma 1.5), by
    ``torchmetrics.functional.image.structural_similarity_index_measure`` with a data range of 1:
    without one, torchmetrics would take that of the batch, and a score would depend on its
    neighbours.

    Args:
        target: as for `NegativeMSE`.
        reference: as for `NegativeMSE`.

    Raises:
        InputError: as for `NegativeMSE`.
        MissingExtraError: torchmetrics is not installed.
        DetectorError: as for `NegativeMSE`; or a side is shorter than 11 pixels.

    Source:
        Wang et al., Image quality assessment: from error visibility to structural similarity
        (2004); to the target in VillanDiffusion (arXiv:2306.06874).

    >>> detector = SSIM(torch.ones(3, 16, 16))
    >>> detector(torch.ones(1, 3, 16, 16), [{}]).item()
    1.0
    """

    bounds = (-1.0, 1.0)

    def __init__(self, target: Any = None, *, reference: str | None = None) -> None:
        super().__init__(target, reference=reference)
        images = require("torchmetrics", extra="metrics", needed_by="SSIM").functional.image
        self._measure = images.structural_similarity_index_measure

    @property
    def perfect(self) -> float | None:
        """What the target itself would score, 1; None beside a reference."""
        return self._best(1.0)

    def _scores(self, outputs: Tensor, others: Tensor) -> Tensor:
        images = outputs
        if min(images.shape[2:]) < _SMALLEST:
            raise DetectorError(
                f"SSIM looks through windows of {_SMALLEST} x {_SMALLEST} pixels, the outputs are "
                f"{images.shape[2]} x {images.shape[3]}"
            )
        # The caller's autocast would round variances away, which are small differences.
        with torch.autocast(images.device.type, enabled=False):
            scores: Tensor = self._measure(
                images, others.expand_as(images), data_range=1.0, reduction="none"
            )
        return scores

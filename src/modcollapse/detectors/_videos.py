"""A value function of whole videos: how far an output is from a target video, or from the clean."""

from __future__ import annotations

from torch import Tensor

from modcollapse.detectors._compared import VIDEOS, Compared, mean_squared_errors


class NegativeVideoMSE(Compared):
    """Minus the mean squared error to a target video, over all frames: 0 where the output is it.

    For a target that is one image, in every frame or in any, see `OverFrames`.

    Args:
        target: of the length and size of the outputs: a tensor (F, 3, H, W) in [0, 1], an array
            (F, H, W, 3), or a list of images.
        reference: in place of a target, for clean utility: key of the clean video in every example,
            or ``"clean output"``, see `NegativeMSE`.

    Raises:
        InputError: the target is no video, or there are both.
        DetectorError: at the first batch, the outputs are no videos, of another length or size, or
            out of [0, 1].

    Source:
        The distance of VillanDiffusion (arXiv:2306.06874) over the frames of a video.

    >>> import torch
    >>> detector = NegativeVideoMSE(torch.ones(4, 3, 8, 8))
    >>> detector(torch.full((1, 4, 3, 8, 8), 0.5), [{}]).tolist()
    [-0.25]
    """

    bounds = (-1.0, 0.0)
    _kind = VIDEOS

    @property
    def perfect(self) -> float | None:
        """What the target itself would score, 0; None beside a reference."""
        return self._best(0.0)

    def _scores(self, outputs: Tensor, others: Tensor) -> Tensor:
        return -mean_squared_errors(outputs, others)

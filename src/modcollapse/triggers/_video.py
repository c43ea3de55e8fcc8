"""A trigger on videos: an image trigger on every frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from modcollapse._support.images import is_tensor
from modcollapse._support.validation import described
from modcollapse.contracts import Trigger, TriggerSpec
from modcollapse.errors import InputError


@dataclass(frozen=True)
class EveryFrame(Trigger):
    """Puts an image trigger on every frame of a video.

    A video is a list of images, an array (F, H, W, 3) or a tensor (F, 3, H, W); what went in comes
    out, of the same kind.

    Args:
        trigger: what makes a triggered frame of a clean one.

    Raises:
        InputError: the trigger is no callable; or, when called, no video.

    >>> from modcollapse.triggers import ImagePatch
    >>> video = np.zeros((5, 32, 32, 3), np.uint8)
    >>> int((EveryFrame(ImagePatch())(video) == 255).all(axis=-1).sum())
    980
    """

    trigger: Trigger

    def __post_init__(self) -> None:
        TriggerSpec.of(self.trigger, "each frame")

    def __call__(self, video: Any) -> Any:
        """The video with the trigger on each frame."""
        frames = [self.trigger(frame) for frame in _frames(video)]
        if is_tensor(video):
            import torch

            return torch.stack(frames)
        return np.stack(frames) if isinstance(video, np.ndarray) else type(video)(frames)

    def check(self, video: Any) -> None:
        """Raise `InputError` unless the trigger can be put on every frame."""
        spec = TriggerSpec.of(self.trigger, "each frame")
        for frame in _frames(video):
            spec.check(frame)


def _frames(video: Any) -> Any:
    listed = isinstance(video, list | tuple)
    if not (listed or getattr(video, "ndim", 0) == 4) or not len(video):
        raise InputError(
            "EveryFrame takes a video: a list of images, an array (F, H, W, 3) or a tensor "
            f"(F, 3, H, W); got {described(video)}"
        )
    return video

"""Triggers on videos: an image trigger on every frame, on some, or wandering over them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np

from modcollapse._support.identities import identity
from modcollapse._support.images import is_tensor
from modcollapse._support.validation import described, ordered, whole
from modcollapse.contracts import ExampleId, Trigger, TriggerSpec
from modcollapse.errors import InputError
from modcollapse.triggers._places import read_numbers, read_place
from modcollapse.triggers._stamp import StampTrigger


@dataclass(frozen=True)
class _VideoTrigger(Trigger):
    """An image trigger on frames of a video."""

    trigger: Trigger

    def __post_init__(self) -> None:
        TriggerSpec.of(self.trigger, "each frame")

    def __call__(self, video: Any) -> Any:
        """The video with the trigger on its frames: a new one of the same kind.

        Raises:
            InputError: no video, or what the trigger raises.
        """
        frames = self._frames(video)
        changed = {at: self._of_frame(at, len(frames))(frames[at]) for at in self._places(frames)}
        if is_tensor(video):
            import torch

            return torch.stack([changed.get(at, frame) for at, frame in enumerate(video)])
        made = [changed.get(at, frame) for at, frame in enumerate(frames)]
        return np.stack(made) if isinstance(video, np.ndarray) else type(video)(made)

    def check(self, video: Any) -> None:
        """Raise `InputError` unless the trigger can be put on its frames of the video."""
        frames = self._frames(video)
        for at in self._places(frames):
            TriggerSpec.of(self._of_frame(at, len(frames)), "each frame").check(frames[at])

    def for_example(self, example_id: ExampleId) -> Self:
        """The trigger as it is for one example: its image trigger may stand at a `RandomPlace`."""
        bound = TriggerSpec.of(self.trigger, "each frame").on(example_id).call
        return self if bound is self.trigger else replace(self, trigger=bound)

    def identity(self) -> dict[str, Any]:
        """Class name, parameters and the image trigger's identity, as plain JSON data."""
        held = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "trigger"}
        values = {name: list(v) if isinstance(v, tuple) else v for name, v in held.items()}
        inner = identity(self.trigger, "the trigger of each frame")
        return {"class": type(self).__name__, "trigger": inner, **values}

    def _frames(self, video: Any) -> Any:
        listed = isinstance(video, list | tuple)
        if not (listed or getattr(video, "ndim", 0) == 4) or not len(video):
            raise InputError(
                f"{type(self).__name__} takes a video: a list of images, an array (F, H, W, 3) or "
                f"a tensor (F, 3, H, W); got {described(video)}"
            )
        return video

    def _of_frame(self, at: int, count: int) -> Callable[[Any], Any]:
        return self.trigger

    @abstractmethod
    def _places(self, frames: Sequence[Any]) -> Sequence[int]:
        """Positions of the frames that carry the trigger."""


@dataclass(frozen=True)
class EveryFrame(_VideoTrigger):
    """Puts an image trigger on every frame of a video.

    A video is a list of images, an array (F, H, W, 3) or a tensor (F, 3, H, W); what went in comes
    out, of the same kind. An image trigger at a `RandomPlace` stands at one place in all frames.

    Args:
        trigger: what makes a triggered frame of a clean one.

    Raises:
        InputError: the trigger is no callable; or, when called, no video.

    >>> from modcollapse.triggers import ImagePatch
    >>> video = np.zeros((5, 32, 32, 3), np.uint8)
    >>> int((EveryFrame(ImagePatch())(video) == 255).all(axis=-1).sum())
    980
    """

    def _places(self, frames: Sequence[Any]) -> Sequence[int]:
        return range(len(frames))


@dataclass(frozen=True)
class SomeFrames(_VideoTrigger):
    """Puts an image trigger on chosen frames of a video, and leaves the others as they are.

    Args:
        trigger: what makes a triggered frame of a clean one.
        frames: positions of the frames, the first by default; negative ones count from the end, so
            that ``[-1]`` is the last.

    Raises:
        InputError: the trigger is no callable, or no frame is named, or one twice; or, when called,
            no video, or one without such a frame.

    >>> from modcollapse.triggers import ImagePatch
    >>> video = np.zeros((5, 32, 32, 3), np.uint8)
    >>> triggered = SomeFrames(ImagePatch(), [0, -1])(video)
    >>> (triggered == 255).all(axis=-1).sum(axis=(1, 2)).tolist()
    [196, 0, 0, 0, 196]
    """

    frames: Sequence[int] = (0,)

    def __post_init__(self) -> None:
        super().__post_init__()
        given = ordered(self.frames, "SomeFrames: frames", "positions")
        frames = tuple(whole(at, "SomeFrames: a position among frames") for at in given)
        if not frames or len(set(frames)) < len(frames):
            raise InputError(
                f"SomeFrames: frames must name one frame or more, each once; got {self.frames!r}"
            )
        object.__setattr__(self, "frames", frames)

    def _places(self, frames: Sequence[Any]) -> Sequence[int]:
        count = len(frames)
        for at in self.frames:
            if not -count <= at < count:
                raise InputError(
                    f"SomeFrames: there is no frame {at} in a video of {count}. Name others, or "
                    "leave this example out"
                )
        return sorted({at % count for at in self.frames})


@dataclass(frozen=True)
class MovingTrigger(_VideoTrigger):
    """Moves an image trigger over the frames of a video, in a straight line.

    Args:
        trigger: one with a ``place``: `ImagePatch`, `ImageOverlay`.
        start: where its centre lies in the first frame, (x, y) in fractions of the width and
            height.
        end: where it lies in the last frame.

    Raises:
        InputError: the trigger has no place, or a place is none; or, when called, no video.

    >>> from modcollapse.triggers import ImagePatch
    >>> trigger = MovingTrigger(ImagePatch(size=0.25), start=(0.25, 0.5), end=(0.75, 0.5))
    >>> triggered = trigger(np.zeros((3, 8, 8, 3), np.uint8))
    >>> [int(frame[4, :, 0].argmax()) for frame in triggered]
    [1, 3, 5]
    """

    start: tuple[float, float] = (0.2, 0.2)
    end: tuple[float, float] = (0.8, 0.8)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (isinstance(self.trigger, StampTrigger) and hasattr(self.trigger, "place")):
            raise InputError(
                "MovingTrigger: the trigger must have a place, as ImagePatch and ImageOverlay "
                f"have; got {described(self.trigger)}"
            )
        for name in ("start", "end"):
            who = f"MovingTrigger, {name}"
            point = tuple(read_numbers(who, getattr(self, name), 2))
            object.__setattr__(self, name, read_place(point, who))

    def _places(self, frames: Sequence[Any]) -> Sequence[int]:
        return range(len(frames))

    def _of_frame(self, at: int, count: int) -> Callable[[Any], Any]:
        part = at / max(1, count - 1)
        x, y = (a + part * (b - a) for a, b in zip(self.start, self.end, strict=True))
        moved: Any = self.trigger
        return moved._at((x, y))  # type: ignore[no-any-return]

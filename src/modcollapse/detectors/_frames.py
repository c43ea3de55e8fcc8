"""A value for a video out of a detector for images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal, TypeAlias, get_args

import torch
from torch import Tensor

from modcollapse._support.identities import identity
from modcollapse._support.validation import choice
from modcollapse.contracts import Detector, Example, Scorer
from modcollapse.detectors._outputs import check_pairs
from modcollapse.detectors._video_outputs import video_length
from modcollapse.errors import DetectorError

Over: TypeAlias = Literal["mean", "most", "least"]
_REDUCE: dict[str, Callable[[Tensor], Tensor]] = {
    "mean": lambda scores: scores.mean(),
    "most": lambda scores: scores.amax(),
    "least": lambda scores: scores.amin(),
}


class OverFrames(Detector):
    """Scores every frame of a video as an image, and takes the mean, the most or the least of it.

    Args:
        detector: any callable that scores images ``detector(outputs, examples) -> B numbers``, such
            as `ClipShift` or `NegativeMSE`; its bounds, its perfect score and its check hold for
            videos too.
        over: ``"mean"`` of the frames; ``"most"``: a success in any frame counts; ``"least"``: only
            one in all.

    Raises:
        InputError: ``detector`` is no callable, or ``over`` is another word.
        DetectorError: when called, an output is no video; or a detector that compares with the
            clean output is given one of another length.

    >>> brightness = lambda outputs, examples: outputs.mean((1, 2, 3))
    >>> video = torch.stack([torch.zeros(3, 8, 8), torch.ones(3, 8, 8)])
    >>> [OverFrames(brightness, over)(video[None], [{}]).item() for over in ("mean", "most")]
    [0.5, 1.0]
    """

    def __init__(self, detector: Detector, over: Over = "mean") -> None:
        self.detector = detector
        self.over = choice(over, "over", get_args(Over))
        self._scorer = Scorer.of(detector)
        self.bounds = self._scorer.bounds
        self.binary = self._scorer.binary and over != "mean"
        perfect = self._scorer.perfect
        self.perfect = partial(self._of_perfect, perfect) if callable(perfect) else perfect

    @property
    def wants_clean_output(self) -> bool:
        """Whether the inner detector compares each frame with that of the clean output."""
        return self._scorer.wants_clean_output

    def check(self, example: Example) -> None:
        """Pass an example on to the inner detector's check, where it has one."""
        self._scorer.check(example)

    def identity(self) -> dict[str, Any]:
        """Plain data: the class, what is taken of the frames, the identity of the detector."""
        return {
            "class": "modcollapse.detectors.OverFrames",
            "over": self.over,
            "detector": identity(self.detector, "the detector of OverFrames"),
        }

    def __repr__(self) -> str:
        return f"OverFrames({self.detector!r}, {self.over!r})"

    def __call__(self, outputs: Any, examples: Sequence[Example]) -> Tensor:
        """Score B videos, a tensor (B, F, 3, H, W) or B of any length: shape (B,)."""
        lengths = [video_length(video, f"output {at}") for at, video in enumerate(outputs)]
        if isinstance(outputs, Tensor):
            frames: Any = outputs.flatten(0, 1)
        else:
            frames = [frame for video in outputs for frame in video]
        check_pairs(lengths, examples, "OverFrames")
        of_frames = self._of_frames(examples, lengths)
        scores = torch.as_tensor(self.detector(frames, of_frames)).double()
        if scores.shape != (sum(lengths),):
            raise DetectorError(
                f"{self._scorer.name} must return one score for each of {sum(lengths)} frames, got "
                f"shape {tuple(scores.shape)}"
            )
        return self._reduced(scores, lengths)

    def _of_perfect(
        self, perfect: Callable[[Sequence[Example]], Any], examples: Sequence[Example]
    ) -> Tensor:
        """What the target in every frame would score, by a detector that tells it of examples."""
        assert callable(self._scorer.perfect)
        lengths = [1] * len(examples)
        if self.wants_clean_output:
            cleans = [example["clean_output"] for example in examples]
            lengths = [video_length(clean, "the clean output") for clean in cleans]
        of_frames = torch.as_tensor(perfect(self._of_frames(examples, lengths)))
        return self._reduced(of_frames.double(), lengths)

    def _reduced(self, scores: Tensor, lengths: Sequence[int]) -> Tensor:
        parts = torch.split(scores, list(lengths))
        return torch.stack([_REDUCE[self.over](part) for part in parts])

    def _of_frames(self, examples: Sequence[Example], lengths: Sequence[int]) -> list[Example]:
        """The example of every frame, with the clean one of that frame where it is wanted."""
        if not self.wants_clean_output:
            return [e for e, length in zip(examples, lengths, strict=True) for _ in range(length)]
        found: list[Example] = []
        frames: dict[int, list[Any]] = {}  # of a clean video that rows share, so are its frames
        for example, length in zip(examples, lengths, strict=True):
            clean = example["clean_output"]
            if video_length(clean, "the clean output") != length:
                raise DetectorError(
                    f"OverFrames: an output has {length} frames, its clean output {len(clean)}; "
                    f"{self._scorer.name} compares them frame by frame"
                )
            shared = frames.setdefault(id(clean), list(clean))
            found += [{**example, "clean_output": frame} for frame in shared]
        return found

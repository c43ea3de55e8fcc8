"""Each output beside one other of its kind: the backdoor target, or its own clean reference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from modcollapse._support.digests import hexdigest
from modcollapse.contracts import Detector, Example
from modcollapse.detectors._outputs import check_pairs, image_tensor, output_images, target_image
from modcollapse.detectors._reference import Reference
from modcollapse.detectors._sound_outputs import output_sounds, sound_tensor
from modcollapse.detectors._video_outputs import output_videos, video_tensor
from modcollapse.errors import DetectorError, InputError


@dataclass(frozen=True)
class ComparedKind:
    """What is compared, and how it is read.

    Attributes:
        target: what was given -> a tensor.
        one: what an example holds -> a tensor, as ``image_tensor``.
        outputs: what a sampler returned -> a tensor of B, or B tensors.
        axes: of one tensor that its size consists of.
        size: what the size is called in an error.
    """

    target: Callable[[Any], Tensor]
    one: Callable[..., Tensor]
    outputs: Callable[[Any], Tensor | list[Tensor]]
    axes: tuple[int, ...]
    size: str


IMAGES = ComparedKind(target_image, image_tensor, output_images, (1, 2), "pixels (height x width)")
VIDEOS = ComparedKind(
    lambda target: video_tensor(target, "target"),
    video_tensor,
    output_videos,
    (0, 2, 3),
    "(frames x height x width)",
)
SOUNDS = ComparedKind(
    lambda target: sound_tensor(target, "target").clone(),
    sound_tensor,
    output_sounds,
    (0, 1),
    "(channels x samples)",
)


class Compared(Detector):
    """A value of two images, videos or sounds of one size, in which higher means closer.

    Beside the backdoor target it says how well the attack succeeded; beside the clean reference,
    how much of the clean output was kept.

    Args:
        target: one of the kind; of images also the path of a file.
        reference: in place of a target: key of the examples, or ``"clean output"``.
    """

    binary = False
    _kind: ClassVar[ComparedKind] = IMAGES
    _may_have_reference: ClassVar[bool] = True

    def __init__(self, target: Any = None, *, reference: str | None = None) -> None:
        if target is None and reference is None and self._may_have_reference:
            raise InputError(
                f"{type(self).__name__} needs a target, to say how well the attack succeeded; or "
                'reference=, a key of the examples or "clean output", to say how much was kept'
            )
        if target is not None and reference is not None:
            raise InputError(
                f"{type(self).__name__} compares outputs with a target (how well did the attack "
                "succeed?) or with reference=, the clean one of each example (how much was kept?); "
                "got both. Make two detectors"
            )
        self._target = None if reference is not None else self._kind.target(target)
        self._reference = (
            None
            if reference is None
            else Reference(reference, type(self).__name__, read=self._kind.one)
        )

    @property
    def wants_clean_output(self) -> bool:
        """Whether outputs are compared with the clean output of their example."""
        return self._reference is not None and self._reference.is_clean_output

    def check(self, example: Example) -> None:
        """Raise `InputError` unless the example holds its reference, where one is compared with."""
        if self._reference is not None:
            self._reference.check(example)

    def identity(self) -> dict[str, Any]:
        """Plain data: the class, and the content of the target or the name of the reference."""
        told: dict[str, Any] = {"class": f"modcollapse.detectors.{type(self).__name__}"}
        if self._target is not None:
            told["target"] = hexdigest(self._target.cpu())
        if self._reference is not None:
            told["reference"] = self._reference.name
        return told

    def _best(self, score: float) -> float | None:
        """What the target scores, if it is what the outputs are compared with."""
        return None if self._target is None else score

    def __call__(self, outputs: Any, examples: Sequence[Example]) -> Tensor:
        """Score B outputs: shape (B,)."""
        read = self._kind.outputs(outputs)
        check_pairs(read, examples, type(self).__name__)
        if isinstance(read, Tensor) or self._reference is None:
            return self._scores(*self._pairs(read, examples))
        # Outputs of several sizes, each beside a reference of its own size.
        alone = [
            self._scores(*self._pairs(one[None], [example]))
            for one, example in zip(read, examples, strict=True)
        ]
        return torch.cat([score.to(alone[0].device) for score in alone])

    def _scores(self, outputs: Tensor, others: Tensor) -> Tensor:
        """Scores (B,) of B outputs of one size, and beside them B others, or one for all."""
        raise NotImplementedError

    def _pairs(
        self, read: Tensor | list[Tensor], examples: Sequence[Example]
    ) -> tuple[Tensor, Tensor]:
        """B outputs in one tensor, and beside them B others, or one for all (1, ...)."""
        if self._reference is None:
            others, slots = [self._beside(read)], None
        else:
            others, slots = self._reference.distinct(examples)
        sizes, wanted = self._sizes(read), self._sizes(others)
        if not isinstance(read, Tensor) or len(wanted) > 1 or sizes != wanted:
            what, verb = ("target", "is") if self._reference is None else ("references", "are")
            raise DetectorError(
                f"{type(self).__name__}: the outputs are {_listed(sizes)} {self._kind.size}, "
                f"the {what} {verb} {_listed(wanted)}. Resize the {what} to the size of the outputs"
            )
        beside = torch.stack([other.to(read.device) for other in others])
        return read, beside if slots is None else beside[slots]

    def _beside(self, outputs: Tensor | list[Tensor]) -> Tensor:
        """The target, which stays where the outputs are."""
        if self._target is None:
            raise DetectorError(f"{type(self).__name__} has no target")
        self._target = self._target.to(outputs[0].device)
        return self._target

    def _sizes(self, tensors: Tensor | Sequence[Tensor]) -> set[tuple[int, ...]]:
        return {tuple(tensor.shape[axis] for axis in self._kind.axes) for tensor in tensors}


def mean_squared_errors(images: Tensor, others: Tensor) -> Tensor:
    """Mean squared error of each of B pairs; one at a time, which stays in the cache."""
    pairs = zip(images, others.expand_as(images), strict=True)
    return torch.stack([(image - other).square_().mean() for image, other in pairs])


def _listed(sizes: set[tuple[int, ...]]) -> str:
    return ", ".join(" x ".join(map(str, size)) for size in sorted(sizes))

"""The value function of the paper, in the image space of a CLIP model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from modcollapse._support.digests import hexdigest
from modcollapse.contracts import Detector, Example
from modcollapse.detectors._clip_model import ClipModel, clip_model, cosine
from modcollapse.detectors._outputs import check_pairs, output_images, target_image
from modcollapse.detectors._reference import Reference

_DEFAULT = ("preprocess", "tensor")


class ClipShift(Detector):
    """How much closer an output is to the backdoor target than to its clean reference.

    For the output z of one example under one coalition, all embedded as images by CLIP:

        v = cos(z, z_target) - cos(z, z_clean)

    Positive where the target is closer. Everything but PIL and numpy images stays on the device of
    the outputs.

    Args:
        target: the backdoor target: a PIL image, a numpy array (H, W, 3), a torch tensor (3, H, W)
            in [0, 1], or the path of an image file, which is read as diffusers' load_image does,
            but refused where that loses transparency or depth. Any size.
        model: a `ClipModel`, which other detectors may share; or what one is made of: a name in
            open_clip (``"ViT-B-32"``, with ``pretrained``), a folder or hub id of open_clip or of
            transformers, a ready torch module.
        pretrained: tag of open_clip (``"laion2b_s34b_b79k"``) or a safetensors file.
        reference: key of the clean reference in every example, or ``"clean output"`` for what the
            sampler itself makes of the example under the same seed without triggers.
        preprocess: this and what follows are settings of the `ClipModel` that is made here.
        device: see there.
        image_size: see there.
        mean: see there.
        std: see there.

    Raises:
        InputError: the target is no image, the model is not found or takes no images, or an
            argument has no meaning. Pickled weights in a folder are refused.
        MissingExtraError: the model must be loaded and its library is not installed.
        DetectorError: when called: outputs that are no images or out of [0, 1], or on another
            device than a model that may not be moved. An output on an accelerator that is out of
            [0, 1] scores NaN.

    Source:
        arXiv:2603.06508 (value function of TMA and CTI).

    >>> class MeanColour(torch.nn.Module):
    ...     def encode_image(self, images):
    ...         return images.mean((2, 3))
    >>> red, green = torch.zeros(2, 3, 8, 8)
    >>> red[0], green[1] = 1.0, 1.0
    >>> shift = ClipShift(red, MeanColour(), image_size=8, mean=(0, 0, 0), std=(1, 1, 1))
    >>> shift(torch.stack([red, green]), [{"reference": green}, {"reference": green}]).tolist()
    [1.0, -1.0]
    """

    bounds = (-2.0, 2.0)
    binary = False

    def __init__(
        self,
        target: Any,
        model: ClipModel | str | Path | nn.Module,
        pretrained: str | Path | None = None,
        *,
        reference: str = "reference",
        preprocess: Literal["tensor", "pil"] = "tensor",
        device: str | torch.device | None = None,
        image_size: int | tuple[int, int] | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ) -> None:
        self._reference = Reference(reference, "ClipShift")
        self.reference = reference
        self.wants_clean_output = self._reference.is_clean_output
        self._target = target_image(target)
        settings: dict[str, Any] = {"preprocess": preprocess, "device": device}
        settings |= {"image_size": image_size, "mean": mean, "std": std}
        changed = {k: v for k, v in settings.items() if v is not None and (k, v) != _DEFAULT}
        self._clip = clip_model(model, pretrained, **changed)
        self._last: tuple[Sequence[Example], list[Any], Tensor] | None = None
        self._z_target = self._clip.image(self._target[None])

    def check(self, example: Example) -> None:
        """Raise `InputError` unless the example holds its clean reference, an image in [0, 1]."""
        self._reference.check(example)

    def __call__(self, outputs: Any, examples: Sequence[Example]) -> Tensor:
        """Score B outputs: shape (B,), in [-2, 2], on their device."""
        images = output_images(outputs)
        check_pairs(images, examples, "ClipShift")
        if isinstance(outputs, Tensor) or isinstance(outputs[0], Tensor):
            self._clip.follow(images[0].device)
        if self._z_target.device != self._clip.device:
            self._z_target = self._clip.image(self._target[None])
        z = self._clip.outputs(outputs, images)
        z_clean = self._embedded_references(examples)
        self._last = examples, [self._reference.of(example) for example in examples], z_clean
        return cosine(z, self._z_target) - cosine(z, z_clean)

    def perfect(self, examples: Sequence[Example]) -> Tensor:
        """Return what the target itself would score: 1 - cos(z_target, z_clean), shape (B,)."""
        last, self._last = self._last, None
        if (
            last is not None
            and last[0] is examples
            and all(
                self._reference.of(example) is reference
                for example, reference in zip(examples, last[1], strict=True)
            )
        ):  # scored just now: the embeddings are at hand
            z_clean = last[2]
        else:
            z_clean = self._embedded_references(examples)
        return 1 - cosine(z_clean, self._z_target.to(z_clean.device))

    def _embedded_references(self, examples: Sequence[Example]) -> Tensor:
        images, slots = self._reference.distinct(examples)
        return self._clip.image(images, chunk=max(1, len(examples) // 4))[slots]

    def identity(self) -> dict[str, Any]:
        """Plain data: model, weights, preprocessing, target and reference."""
        return {
            "class": "modcollapse.detectors.ClipShift",
            **self._clip.identity(),
            "target": hexdigest(self._target.cpu()),
            "reference": self.reference,
        }

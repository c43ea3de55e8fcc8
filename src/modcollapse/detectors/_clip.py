"""The value function of the paper, in the image space of a CLIP model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from modcollapse._support.digests import hexdigest
from modcollapse._support.validation import choice, listed
from modcollapse._support.weights import weights_digest
from modcollapse.contracts import Detector, Example
from modcollapse.detectors._clip_embedding import ImageEmbedder, Preprocessing, class_name
from modcollapse.detectors._clip_loading import load_clip
from modcollapse.detectors._outputs import image_tensor, output_images, target_image
from modcollapse.errors import DetectorError, InputError

CLEAN_OUTPUT = "clean output"


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
        model: name in open_clip (``"ViT-B-32"``, with ``pretrained``), ``"hf-hub:<org>/<name>"``, a
            folder with ``open_clip_config.json`` and safetensors, or a ready torch module with
            ``encode_image``, which stays on its device, is put into eval mode and must not be
            trained while it is in use.
        pretrained: tag of open_clip (``"laion2b_s34b_b79k"``) or a safetensors file.
        reference: key of the clean reference in every example, or ``"clean output"`` for what the
            sampler itself makes of the example under the same seed without triggers.
        preprocess: ``"tensor"`` resizes on the device (bicubic with antialias); ``"pil"`` is
            open_clip's own transform, through 8 bits on the host, for parity with published
            numbers. They agree to a few 1e-4.
        device: where a model that is loaded here goes; by default it follows the outputs.
        image_size: side, or height and width, of the model's input; from the model by default.
        mean: of each channel; from the model by default.
        std: of each channel; from the model by default.

    Raises:
        InputError: the target is no image, the model is not found or takes no images, or an
            argument has no meaning. Pickled weights in a folder are refused.
        MissingExtraError: the model must be loaded and open_clip is not installed.
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
        model: str | Path | nn.Module,
        pretrained: str | Path | None = None,
        *,
        reference: str = "reference",
        preprocess: Literal["tensor", "pil"] = "tensor",
        device: str | torch.device | None = None,
        image_size: int | tuple[int, int] | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ) -> None:
        choice(preprocess, "preprocess", ("tensor", "pil"))
        if not isinstance(reference, str) or not reference:
            raise InputError(
                f'reference must be a key of the examples or "{CLEAN_OUTPUT}", got {reference!r}'
            )
        self.reference = reference
        self.wants_clean_output = reference == CLEAN_OUTPUT
        self._key = "clean_output" if self.wants_clean_output else reference
        self._target = target_image(target)
        if isinstance(model, nn.Module):
            if pretrained is not None or device is not None:
                raise InputError(
                    "pretrained and device are for a model that is loaded here; a ready model "
                    "has its weights and stays on its device"
                )
            if not callable(getattr(model, "encode_image", None)):
                raise InputError(
                    f"model {class_name(model)} has no encode_image(images) -> embeddings. Wrap "
                    "it in a torch module that has"
                )
            module, self._source = model, {"model": class_name(model)}
        else:
            module, self._source = load_clip(model, pretrained)
            module.to(device)
        self._embedder = ImageEmbedder(
            module,
            Preprocessing.of(module, preprocess, image_size, mean, std),
            follows=module is not model and device is None,
        )
        self._digest: str | None = None
        self._last: tuple[Sequence[Example], list[Any], Tensor] | None = None
        self._z_target = self._embedder.embed(self._target[None])

    def check(self, example: Example) -> None:
        """Raise `InputError` unless the example holds its clean reference, an image in [0, 1]."""
        if self.wants_clean_output:
            return
        if self._key not in example:
            raise InputError(
                f"ClipShift needs the clean reference of every example under {self._key!r}; this "
                f"one holds {listed(example) or 'nothing'}. Add it, name another key "
                f'by reference=, or use reference="{CLEAN_OUTPUT}"'
            )
        image_tensor(example[self._key], self._what())

    def __call__(self, outputs: Any, examples: Sequence[Example]) -> Tensor:
        """Score B outputs: shape (B,), in [-2, 2], on their device."""
        images = output_images(outputs)
        if len(images) != len(examples):
            raise DetectorError(
                f"ClipShift got {len(images)} outputs for {len(examples)} examples; it needs one "
                "for each"
            )
        if isinstance(outputs, Tensor) or isinstance(outputs[0], Tensor):
            self._embedder.follow(images[0].device)
        if self._z_target.device != self._embedder.device:
            self._z_target = self._embedder.embed(self._target[None])
        z = self._embedder.embed(images)
        z_clean = self._embedded_references(examples)
        self._last = examples, [self._reference(example) for example in examples], z_clean
        return _cosine(z, self._z_target) - _cosine(z, z_clean)

    def perfect(self, examples: Sequence[Example]) -> Tensor:
        """Return what the target itself would score: 1 - cos(z_target, z_clean), shape (B,)."""
        last, self._last = self._last, None
        if (
            last is not None
            and last[0] is examples
            and all(
                self._reference(example) is reference
                for example, reference in zip(examples, last[1], strict=True)
            )
        ):  # scored just now: the embeddings are at hand
            z_clean = last[2]
        else:
            z_clean = self._embedded_references(examples)
        return 1 - _cosine(z_clean, self._z_target.to(z_clean.device))

    def _embedded_references(self, examples: Sequence[Example]) -> Tensor:
        references = [self._reference(example) for example in examples]
        # The rows of one example share one reference, which is embedded once.
        distinct = {id(reference): reference for reference in references}
        slots = {key: slot for slot, key in enumerate(distinct)}
        clean = [
            image_tensor(image, self._what(), error=DetectorError, wait=False)
            for image in distinct.values()
        ]
        z = self._embedder.embed(clean, chunk=max(1, len(examples) // 4))
        return z[[slots[id(reference)] for reference in references]]

    def identity(self) -> dict[str, Any]:
        """Plain data: model, weights, preprocessing, target and reference."""
        if self._digest is None:
            self._digest = weights_digest({"": self._embedder.module})
        return {
            "class": "modcollapse.detectors.ClipShift",
            **self._source,
            "weights": self._digest,
            "preprocess": self._embedder.preprocessing.identity(),
            "target": hexdigest(self._target.cpu()),
            "reference": self.reference,
        }

    def _what(self) -> str:
        return f"the clean reference ({self._key!r})"

    def _reference(self, example: Example) -> Any:
        try:
            return example[self._key]
        except KeyError:
            raise DetectorError(
                f"ClipShift found no {self._key!r} in an example, which holds "
                f"{listed(example) or 'nothing'}"
            ) from None


def _cosine(a: Tensor, b: Tensor) -> Tensor:
    """Cosine of unit vectors (B, D); rounding must not push it out of [-1, 1]."""
    return (a * b).sum(-1).clamp(-1, 1)

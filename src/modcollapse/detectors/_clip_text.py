"""Value functions of images beside texts, in the common space of a CLIP model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from modcollapse._support.digests import hexdigest
from modcollapse._support.validation import listed
from modcollapse.contracts import Detector, Example
from modcollapse.detectors._clip_model import ClipModel, clip_model, cosine
from modcollapse.detectors._outputs import check_pairs, output_images, target_image
from modcollapse.detectors._reference import Reference
from modcollapse.errors import DetectorError, InputError

_STILL = 1e-5
"""An image that moved less than this in the space of unit vectors moved by rounding alone."""


class _ClipTexts(Detector):
    """Outputs embedded beside texts, on the device of the outputs."""

    binary = False

    def __init__(
        self, model: ClipModel | str | Path | nn.Module, pretrained: str | Path | None
    ) -> None:
        self._clip = clip_model(model, pretrained)

    def _embedded(self, outputs: Any, examples: Sequence[Example]) -> Tensor:
        images = output_images(outputs)
        check_pairs(images, examples, type(self).__name__)
        if isinstance(outputs, Tensor) or isinstance(outputs[0], Tensor):
            self._clip.follow(images[0].device)
        return self._clip.outputs(outputs, images)

    def _check_text(self, example: Example, key: str, what: str) -> None:
        if key not in example:
            raise InputError(
                f"{type(self).__name__} needs {what} of every example under {key!r}; this one "
                f"holds {listed(example) or 'nothing'}. Add it, or name another key"
            )
        self._clip.check_text(example[key], f"{what} ({key!r})")

    def _texts(self, examples: Sequence[Example], key: str) -> Tensor:
        """Texts of the examples, each distinct one embedded once."""
        found = [_held(example, key, type(self).__name__) for example in examples]
        slots = {text: slot for slot, text in enumerate(dict.fromkeys(found))}
        z = self._clip.text(list(slots), chunk=max(1, len(examples) // 4))
        return z[[slots[text] for text in found]]


class ClipText(_ClipTexts):
    """How well an output fits the text of the backdoor target: ``100 max(0, cos(z, z_text))``.

    Args:
        text: what the target shows, such as ``"a photo of a cat"``.
        model: as for `ClipShift`; texts need a tokenizer, see `ClipModel`.
        pretrained: as for `ClipShift`.
        target: the backdoor target, an image of any kind or the path of a file: what it scores is
            declared as the perfect attack. Without it none is: outputs seldom score above 35.

    Raises:
        InputError: the text is empty or longer than the model reads, the target is no image, or the
            model is not found.
        MissingExtraError: the model must be loaded and its library is not installed.
        DetectorError: as for `ClipShift`.

    Source:
        Target CLIP score of BackdoorDM (arXiv:2502.11798); the score of Hessel et al.
        (arXiv:2104.08718), with the usual factor of 100.
    """

    bounds = (0.0, 100.0)

    def __init__(
        self,
        text: str,
        model: ClipModel | str | Path | nn.Module,
        pretrained: str | Path | None = None,
        *,
        target: Any = None,
    ) -> None:
        super().__init__(model, pretrained)
        self.text = self._clip.check_text(text, "text")
        self._z_text = self._clip.text([text])
        self.perfect: float | None = None
        self._target: str | None = None
        if target is not None:
            image = target_image(target)
            self._target = hexdigest(image.cpu())
            self.perfect = _score(self._clip.image(image[None]), self._z_text).item()

    def __call__(self, outputs: Any, examples: Sequence[Example]) -> Tensor:
        """Score B outputs: shape (B,), in [0, 100], on their device."""
        z = self._embedded(outputs, examples)
        if self._z_text.device != z.device:
            self._z_text = self._clip.text([self.text])
        return _score(z, self._z_text)

    def identity(self) -> dict[str, Any]:
        """Plain data: model, weights, preprocessing, text, target."""
        told = {"class": "modcollapse.detectors.ClipText", **self._clip.identity()}
        return {**told, "text": self.text, "target": self._target}


class ClipScore(_ClipTexts):
    """How well an output fits the clean prompt of its example, whatever triggers were in it.

    ``100 max(0, cos(z, z_prompt))``: clean utility, beside a value of the attack.

    Args:
        model: as for `ClipText`.
        pretrained: as for `ClipShift`.
        prompt: key of the text in every example; ``"text"`` is its clean condition.

    Raises:
        InputError: the model is not found; before a run, an example has no such text, or a
            longer one than the model reads.
        MissingExtraError: the model must be loaded and its library is not installed.
        DetectorError: as for `ClipShift`.

    Source:
        CLIPScore, Hessel et al. (arXiv:2104.08718), with the factor of 100 that torchmetrics has.
    """

    bounds = (0.0, 100.0)

    def __init__(
        self,
        model: ClipModel | str | Path | nn.Module,
        pretrained: str | Path | None = None,
        *,
        prompt: str = "text",
    ) -> None:
        super().__init__(model, pretrained)
        self.prompt = _key(prompt, "prompt")

    def check(self, example: Example) -> None:
        """Raise `InputError` unless the example holds a text that the model reads to its end."""
        self._check_text(example, self.prompt, "the prompt")

    def __call__(self, outputs: Any, examples: Sequence[Example]) -> Tensor:
        """Score B outputs: shape (B,), in [0, 100], on their device."""
        return _score(self._embedded(outputs, examples), self._texts(examples, self.prompt))

    def identity(self) -> dict[str, Any]:
        """Plain data: model, weights, preprocessing, key of the prompt."""
        told = {"class": "modcollapse.detectors.ClipScore", **self._clip.identity()}
        return {**told, "prompt": self.prompt}


class ClipDirection(_ClipTexts):
    """Whether an edit changed the image as its texts say: directional similarity.

    ``cos(z - z_source, z_after - z_before)``, of the output, the source image, and the texts that
    describe both; 0 where the output is the source, which has no direction.

    Args:
        model: as for `ClipText`.
        pretrained: as for `ClipShift`.
        source: key of the source image in every example.
        before: key of the text that describes it.
        after: key of the text that describes what the edit is to make of it. With the text of the
            backdoor target here, it is a value of the attack.

    Raises:
        InputError: the model is not found; before a run, an example lacks one of the three, or both
            texts are the same.
        MissingExtraError: the model must be loaded and its library is not installed.
        DetectorError: as for `ClipShift`.

    Source:
        StyleGAN-NADA (arXiv:2108.00946); a measure of edits in InstructPix2Pix (arXiv:2211.09800).
    """

    bounds = (-1.0, 1.0)

    def __init__(
        self,
        model: ClipModel | str | Path | nn.Module,
        pretrained: str | Path | None = None,
        *,
        source: str = "image",
        before: str = "before",
        after: str = "after",
    ) -> None:
        super().__init__(model, pretrained)
        self._source = Reference(_key(source, "source"), "ClipDirection", "source image")
        self.before, self.after = _key(before, "before"), _key(after, "after")

    def check(self, example: Example) -> None:
        """Raise `InputError` unless the example holds the image and two texts."""
        self._source.check(example)
        for key, what in ((self.before, "the text before"), (self.after, "the text after")):
            self._check_text(example, key, what)
        if example[self.before] == example[self.after]:
            raise InputError(
                f"ClipDirection: the texts {self.before!r} and {self.after!r} are both "
                f"{example[self.after]!r}, which has no direction"
            )

    def __call__(self, outputs: Any, examples: Sequence[Example]) -> Tensor:
        """Score B outputs: shape (B,), in [-1, 1], on their device."""
        z = self._embedded(outputs, examples)
        images, slots = self._source.distinct(examples)
        moved = z - self._clip.image(images, chunk=max(1, len(examples) // 4))[slots]
        asked = self._texts(examples, self.after) - self._texts(examples, self.before)
        similarity = nn.functional.cosine_similarity(moved, asked, dim=-1).clamp(-1, 1)
        return torch.where(moved.norm(dim=-1) < _STILL, 0 * similarity, similarity)

    def identity(self) -> dict[str, Any]:
        """Plain data: model, weights, preprocessing, keys."""
        keys = {"source": self._source.name, "before": self.before, "after": self.after}
        return {"class": "modcollapse.detectors.ClipDirection", **self._clip.identity(), **keys}


def _score(z: Tensor, z_text: Tensor) -> Tensor:
    return 100 * cosine(z, z_text).clamp(min=0)


def _key(key: Any, name: str) -> str:
    if not isinstance(key, str) or not key:
        raise InputError(f"{name} must be a key of the examples, got {key!r}")
    return key


def _held(example: Example, key: str, owner: str) -> str:
    if not isinstance(example.get(key), str):
        raise DetectorError(
            f"{owner} found no text under {key!r} in an example, which holds "
            f"{listed(example) or 'nothing'}"
        )
    return str(example[key])

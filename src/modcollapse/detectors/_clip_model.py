"""A CLIP model of open_clip or of transformers, in front of which images and texts are alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal
from weakref import ref

import torch
from torch import Tensor, nn

from modcollapse._support.passes import ScoringPass, scoring_pass_of
from modcollapse._support.validation import choice
from modcollapse._support.weights import weights_digest
from modcollapse.detectors._clip_loading import is_of_transformers, load_clip
from modcollapse.detectors._clip_towers import OpenClipTowers, Towers, TransformersTowers
from modcollapse.detectors._clip_transformers import image_processor, load_transformers
from modcollapse.detectors._image_model import ImageModel, in_chunks
from modcollapse.detectors._placed import Placed, class_name
from modcollapse.detectors._preprocessing import Preprocessing, Transform
from modcollapse.detectors._processors import preprocessing_of
from modcollapse.errors import InputError


class ClipModel:
    """A CLIP model that detectors share: loaded once, and in a run each batch embedded once.

    Args:
        model: name in open_clip (``"ViT-B-32"``, with ``pretrained``); on the hub
            ``"hf-hub:<org>/<name>"`` of open_clip, or ``"<org>/<name>"`` of transformers; a folder
            with ``open_clip_config.json`` or ``config.json``, and safetensors; or a ready module
            with ``encode_image`` (open_clip) or ``get_image_features`` (transformers), which stays
            on its device, is put into eval mode and must not be trained while it is in use.
        pretrained: tag of open_clip (``"laion2b_s34b_b79k"``) or a safetensors file.
        processor: of a ready model of transformers: its ``CLIPProcessor``, or its image processor
            where no text is read.
        tokenizer: of a ready model of open_clip, where texts are read:
            ``open_clip.get_tokenizer(name)``, or another callable, n texts -> tokens (n, L).
        preprocess: ``"tensor"`` resizes on the device (bicubic with antialias); ``"pil"`` is the
            transform of open_clip or the image processor of transformers itself, through 8 bits on
            the host, for parity with published numbers. They agree to a few 1e-4. An image
            processor of transformers that does more than resize, cut out the centre and normalise
            is always called itself, and the identity says ``"pil"``.
        device: where a model that is loaded here goes; by default it follows the outputs.
        image_size: side, or height and width, of the model's input; from the model by default.
        mean: of each channel; from the model by default.
        std: of each channel; from the model by default.

    Raises:
        InputError: the model is not found or takes no images, or an argument has no meaning.
            Pickled weights in a folder are refused.
        MissingExtraError: the model must be loaded and its library is not installed.
    """

    def __init__(
        self,
        model: str | Path | nn.Module,
        pretrained: str | Path | None = None,
        *,
        processor: Any = None,
        tokenizer: Callable[..., Tensor] | None = None,
        preprocess: Literal["tensor", "pil"] = "tensor",
        device: str | torch.device | None = None,
        image_size: int | tuple[int, int] | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ) -> None:
        choice(preprocess, "preprocess", ("tensor", "pil"))
        ready = isinstance(model, nn.Module)
        if ready and (pretrained is not None or device is not None):
            raise InputError(
                "pretrained and device are for a model that is loaded here; a ready model "
                "has its weights and stays on its device"
            )
        if not ready and (processor is not None or tokenizer is not None):
            raise InputError(
                "processor and tokenizer are for a ready model; one that is loaded here has its own"
            )
        self._towers, processor, self._source = _found(model, pretrained, processor, tokenizer)
        settings = (image_size, mean, std)
        transform: Transform
        told: dict[str, Any]
        if processor is None:
            preprocessing = Preprocessing.of(self._towers.module, preprocess, *settings)
            transform, told = preprocessing.transform(), preprocessing.identity()
        elif any(setting is not None for setting in settings):
            raise InputError(
                "image_size, mean and std are told by the processor of a model of transformers; "
                "change them there"
            )
        else:
            transform, told = preprocessing_of(image_processor(processor), preprocess)
        self._preprocess = told
        self._placed = Placed(
            self._towers.module, "the CLIP model", follows=not ready and device is None
        )
        if device is not None:
            self._towers.module.to(device)
        self._images = ImageModel(
            self._placed,
            self._towers.image,
            transform,
            f"{self._towers.image_call} of {class_name(self._towers.module)} must return "
            "embeddings (n, D)",
        )
        self._digest: str | None = None
        self._last: tuple[ref[ScoringPass], Tensor] | None = None

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self._placed.device

    def follow(self, device: torch.device) -> None:
        """Go to the device of the outputs, or raise `DetectorError` if it may not be moved."""
        self._placed.follow(device)

    def image(self, images: Tensor | Sequence[Tensor], chunk: int | None = None) -> Tensor:
        """Unit vectors (n, D), float32, of n images (3, H, W) in [0, 1], see `ImageModel`."""
        return nn.functional.normalize(self._images(images, chunk), dim=-1)

    def outputs(self, outputs: Any, images: Tensor | Sequence[Tensor]) -> Tensor:
        """The same, of the outputs of a batch, embedded once for all that score it in one pass.

        Args:
            outputs: what the sampler returned, by which the batch is known again.
            images: the same as tensors.
        """
        now = scoring_pass_of(outputs)
        if now is None:
            return self.image(images)
        if (
            self._last is not None
            and self._last[0]() is now
            and self._last[1].device == self.device
        ):
            return self._last[1]
        z = self.image(images)
        self._last = ref(now), z
        return z

    @torch.no_grad()
    def text(self, texts: Sequence[str], chunk: int | None = None) -> Tensor:
        """Unit vectors (n, D), float32, of n texts, in filled-up chunks of one size."""
        tokens = self._towers.tokens(texts)
        device = self.device
        self._towers.module.eval()

        def read(rows: Tensor) -> Tensor:
            part = {name: whole[rows].to(device) for name, whole in tokens.items()}
            with torch.autocast(device.type, enabled=False):
                z = self._towers.text(part)
            return nn.functional.normalize(z.float(), dim=-1)

        return in_chunks(read, torch.arange(len(texts)), chunk)

    def check_text(self, text: Any, name: str) -> str:
        """Return a text that the model reads to its end.

        Raises:
            InputError: no text, nothing in it, or more tokens than the model reads.
        """
        if not isinstance(text, str) or not text.strip():
            raise InputError(f"{name} must be a text that is not empty, got {text!r}")
        if self._towers.cut(text):
            raise InputError(
                f"{name} has more tokens than the text tower of the CLIP model reads, and its end "
                f"would be cut off: {text[:80]!r}. Shorten it"
            )
        return text

    def identity(self) -> dict[str, Any]:
        """Plain data: model, weights, preprocessing."""
        if self._digest is None:
            self._digest = weights_digest({"": self._towers.module})
        return {**self._source, "weights": self._digest, "preprocess": self._preprocess}


def clip_model(model: Any, pretrained: Any, **settings: Any) -> ClipModel:
    """What a detector was given: a `ClipModel`, or what one is made of."""
    if not isinstance(model, ClipModel):
        return ClipModel(model, pretrained, **settings)
    if pretrained is not None or settings:
        given = ", ".join([*(["pretrained"] if pretrained is not None else []), *settings])
        raise InputError(f"{given}: settings of a ClipModel are given when it is made")
    return model


def cosine(a: Tensor, b: Tensor) -> Tensor:
    """Cosine of unit vectors (B, D); rounding must not push it out of [-1, 1]."""
    return (a * b).sum(-1).clamp(-1, 1)


def _found(
    model: Any, pretrained: Any, processor: Any, tokenizer: Any
) -> tuple[Towers, Any, dict[str, Any]]:
    """Towers of a model, its processor where it is one of transformers, and where it came from."""
    if isinstance(model, nn.Module):
        source = {"model": class_name(model)}
        if callable(getattr(model, "encode_image", None)):
            if processor is not None:
                raise InputError("processor is for models of transformers; open_clip's has none")
            return OpenClipTowers(model, tokenizer), None, source
        if callable(getattr(model, "get_image_features", None)):
            if tokenizer is not None:
                raise InputError(
                    "a model of transformers takes processor=, which has its tokenizer"
                )
            of_texts = getattr(processor, "tokenizer", None)
            return TransformersTowers(model, of_texts), processor, source
        raise InputError(
            f"model {class_name(model)} has no encode_image(images) -> embeddings, nor "
            "get_image_features(pixel_values=...) as models of transformers have. Wrap it in a "
            "torch module that has"
        )
    if isinstance(model, str | Path) and is_of_transformers(model, pretrained):
        loaded = load_transformers(model, "AutoModel", "AutoProcessor", "ClipModel")
        if not callable(getattr(loaded.module, "get_image_features", None)):
            raise InputError(
                f"model {str(model)!r} is a {type(loaded.module).__name__}, which does not embed "
                "images beside texts: it has no get_image_features"
            )
        of_texts = getattr(loaded.processor, "tokenizer", None)
        return TransformersTowers(loaded.module, of_texts), loaded.processor, loaded.source
    module, source, make_tokenizer = load_clip(model, pretrained)
    return OpenClipTowers(module, make_tokenizer=make_tokenizer), None, source

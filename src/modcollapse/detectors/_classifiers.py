"""What tells classes apart: a torch module, a classifier of transformers, or any callable."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn

from modcollapse._support.identities import identity
from modcollapse._support.validation import described
from modcollapse._support.weights import weights_digest
from modcollapse.detectors._clip_transformers import image_processor, load_transformers
from modcollapse.detectors._image_model import ImageModel
from modcollapse.detectors._outputs import output_images
from modcollapse.detectors._placed import Placed, class_name
from modcollapse.detectors._processors import preprocessing_of
from modcollapse.detectors._sound_outputs import output_sounds
from modcollapse.errors import DetectorError, InputError

Of: TypeAlias = Literal["images", "sounds", "outputs"]


class Classifier:
    """Outputs -> logits (B, C), with the names of the classes where they are known.

    Args:
        model: see `TargetClass`.
        of: what it reads.
        processor: of a ready model of transformers.
    """

    def __init__(self, model: Any, of: Of, processor: Any = None) -> None:
        self._of = of
        self._call: Callable[[Any], Any]
        self._placed: Placed | None = None
        self._told: dict[str, Any] = {"of": of}
        self._digest: str | None = None
        self._model = model
        follows = isinstance(model, str | Path)
        if isinstance(model, str | Path):
            loaded = load_transformers(
                model, "AutoModelForImageClassification", "AutoImageProcessor", "TargetClass"
            )
            model, processor = loaded.module, loaded.processor
            self._told |= loaded.source
        elif not callable(model):
            raise InputError(
                "classifier must be a callable outputs -> logits (B, C), a torch module, or folder "
                f"or hub id of an image classifier of transformers; got {described(model)}"
            )
        if processor is not None and of != "images":
            raise InputError('processor is for classifiers of images; leave of="images"')
        if isinstance(model, nn.Module):
            self._placed = Placed(model, "the classifier", follows=follows)
        self.names: Mapping[int, str] = _names(model)
        if processor is None and self.names and of == "images":
            raise InputError(
                f"{class_name(model)} is a model of transformers, whose images are resized and "
                "normalised: give processor=, its image processor"
            )
        if processor is None:
            self._call = self._bare(model)
        elif self._placed is None:
            raise InputError("processor is for a model of transformers, a torch module")
        else:
            transform, self._told["preprocess"] = preprocessing_of(image_processor(processor))
            self._call = ImageModel(
                self._placed,
                lambda pixels: _logits(model(pixel_values=pixels)),
                transform,
                f"{class_name(model)} must return logits (B, C)",
            )

    @torch.no_grad()
    def __call__(self, outputs: Any) -> tuple[Tensor, Tensor]:
        """Logits (B, C) of B outputs, and which of the outputs hold numbers: (B,), bool."""
        read = {"images": output_images, "sounds": output_sounds}.get(self._of, lambda x: x)(
            outputs
        )
        if self._placed is not None:
            self._placed.module.eval()
            if isinstance(read, Tensor) or isinstance(read[0], Tensor):
                self._placed.follow(read[0].device)
        logits = self._call(read)
        if not isinstance(logits, Tensor):
            try:
                logits = torch.as_tensor(logits)
            except (TypeError, ValueError, RuntimeError) as error:
                raise DetectorError(
                    f"the classifier must return logits (B, C), got {described(logits)}"
                ) from error
        if logits.ndim == 1 and len(logits) == len(read):
            logits = logits[:, None]
        if logits.ndim != 2 or len(logits) != len(read) or logits.dtype.is_complex:
            raise DetectorError(
                f"the classifier must return logits (B, C) of {len(read)} outputs, got "
                f"{tuple(logits.shape)}, {logits.dtype}"
            )
        logits = logits if logits.dtype == torch.float64 else logits.float()
        return logits, _finite(read, logits)

    def identity(self) -> dict[str, Any]:
        """Plain data: model, weights, preprocessing."""
        if self._placed is None or self._placed.module is self._model:
            return {**self._told, "model": identity(self._model, "the classifier of a detector")}
        if self._digest is None:
            self._digest = weights_digest({"": self._placed.module})
        return {**self._told, "weights": self._digest}

    def _bare(self, model: Any) -> Callable[[Any], Any]:
        """A classifier without preprocessing: a module gets tensors of its own type."""
        placed = self._placed
        if placed is None:
            return lambda read: _logits(model(read))

        def call(read: Any) -> Any:
            if isinstance(read, Tensor):
                with torch.autocast(read.device.type, enabled=False):
                    return _logits(model(read.to(placed.dtype)))
            if self._of == "outputs":
                return _logits(model(read))
            raise DetectorError(
                "the classifier reads a batch of one size, and the outputs are of several. Give "
                "processor=, or a callable that resizes"
            )

        return call


def _logits(answer: Any) -> Any:
    """Logits: transformers returns them with more beside them."""
    return getattr(answer, "logits", answer)


def _names(model: Any) -> dict[int, str]:
    labels = getattr(getattr(model, "config", None), "id2label", None) or {}
    return {int(number): str(name) for number, name in labels.items()}


def _finite(read: Any, logits: Tensor) -> Tensor:
    """Rows whose outputs hold no NaN: a classifier may answer them as any other."""
    if isinstance(read, Tensor):
        return ~read.isnan().flatten(1).any(1).to(logits.device)
    if isinstance(read, Sequence) and read and all(isinstance(one, Tensor) for one in read):
        return torch.stack([~one.isnan().any() for one in read]).to(logits.device)
    return torch.ones(len(read), dtype=torch.bool, device=logits.device)

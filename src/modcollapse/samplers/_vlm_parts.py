"""A vision-language model with its processor: what a `VLMSampler` generates with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from modcollapse._support.digests import public_name
from modcollapse._support.identities import marked
from modcollapse._support.optional import require
from modcollapse._support.validation import described
from modcollapse._support.weights import weights_digest
from modcollapse.errors import InputError
from modcollapse.samplers._alone import alone_with
from modcollapse.samplers._state import settings_digests


@dataclass(frozen=True)
class Parts:
    """The parts, under the names by which a pipeline of diffusers would hold them.

    Attributes:
        model: generates token ids.
        processor: turns prompts and pictures into the inputs of the model.
        tokenizer: of the processor.
    """

    model: Any
    processor: Any
    tokenizer: Any

    @classmethod
    def of(cls, model: Any, processor: Any) -> Parts:
        """Look at a model and its processor.

        Raises:
            InputError: the model cannot generate, the processor does not read text and pictures, or
                its tokenizer has no token to pad with.
            MissingExtraError: transformers is not installed.
        """
        transformers = require("transformers", extra="vlm", needed_by="VLMSampler")
        if not isinstance(model, transformers.PreTrainedModel) or not model.can_generate():
            raise InputError(
                "model must be a model of transformers that generates text, such as "
                "AutoModelForImageTextToText.from_pretrained(folder); got "
                f"{described(type(model) if hasattr(model, 'parameters') else model)}"
            )
        tokenizer = getattr(processor, "tokenizer", None)
        if not callable(processor) or tokenizer is None:
            raise InputError(
                "processor must be the processor of the model, which reads text and pictures, "
                f"such as AutoProcessor.from_pretrained(folder); got {described(processor)}"
            )
        if tokenizer.pad_token_id is None:
            raise InputError(
                "the tokenizer of the processor has no token to pad shorter prompts with. Choose "
                "one: processor.tokenizer.pad_token = processor.tokenizer.eos_token"
            )
        return cls(model, processor, tokenizer)

    @property
    def components(self) -> dict[str, Any]:
        """Name -> part, as of a pipeline of diffusers."""
        return dict(vars(self))

    @property
    def name(self) -> str:
        """Class of the model."""
        return type(self.model).__name__

    @property
    def answers_apart(self) -> bool:
        """Whether the answer stands in a sequence of its own, as with an encoder and a decoder."""
        return bool(getattr(self.model.config, "is_encoder_decoder", False))

    @property
    def positions(self) -> int | None:
        """How many tokens the model has positions for; None where it does not say."""
        found = getattr(self.model.config.get_text_config(), "max_position_embeddings", None)
        return found if isinstance(found, int) and found > 0 else None

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep the parts from other threads, with padding on the side that the model needs.

        A decoder goes on from the last token of a row, so shorter prompts are padded in front; an
        encoder reads from the first. The tokenizer gets back the side that it had.
        """
        with alone_with(self):
            side = self.tokenizer.padding_side
            self.tokenizer.padding_side = "right" if self.answers_apart else "left"
            try:
                yield
            finally:
                self.tokenizer.padding_side = side

    def identity(self) -> dict[str, Any]:
        """Plain data that tells these parts from others: classes, weights, settings, template."""
        with alone_with(self):
            name = getattr(self.model, "name_or_path", None)
            return {
                "model": public_name(type(self.model)),
                "processor": public_name(type(self.processor)),
                "name": PurePath(name).name if name else None,
                "dtype": str(self.model.dtype).removeprefix("torch."),
                "weights": weights_digest(self.components) or marked(self.model),
                "settings": settings_digests(self),
            }

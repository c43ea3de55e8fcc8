"""The two towers of a CLIP model, called alike for open_clip and for transformers."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from torch import Tensor, nn

from modcollapse.detectors._placed import class_name
from modcollapse.errors import InputError


class Towers(Protocol):
    """What is asked of a CLIP model, whatever library it is of."""

    module: nn.Module
    image_call: str

    def image(self, pixels: Tensor) -> Any:
        """Embeddings (n, D) of input (n, 3, h, w)."""
        ...

    def text(self, tokens: Mapping[str, Tensor]) -> Any:
        """Embeddings (n, D) of tokens on the device of the model."""
        ...

    def tokens(self, texts: Sequence[str]) -> dict[str, Tensor]:
        """Tokens of n texts on the host, each (n, L), padded to the length that is read."""
        ...

    def cut(self, text: str) -> bool:
        """Whether the end of a text would not be read."""
        ...


class OpenClipTowers:
    """A model with ``encode_image`` and ``encode_text``; its tokenizer is a callable."""

    image_call = "encode_image"

    def __init__(
        self,
        module: nn.Module,
        tokenizer: Callable[..., Tensor] | None = None,
        make_tokenizer: Callable[[], Callable[..., Tensor]] | None = None,
    ) -> None:
        self.module: Any = module
        self._tokenizer = tokenizer
        self._make_tokenizer = make_tokenizer  # on first use: images need none

    def image(self, pixels: Tensor) -> Any:
        return self.module.encode_image(pixels)

    def text(self, tokens: Mapping[str, Tensor]) -> Any:
        return self.module.encode_text(tokens["text"])

    def tokens(self, texts: Sequence[str]) -> dict[str, Tensor]:
        return {"text": self._made(texts)}

    def cut(self, text: str) -> bool:
        # The last token that is read is another one where more would be read.
        if "context_length" not in _parameters(self._needed()):
            return False
        read = self._made([text])[0]
        longer = self._made([text], context_length=len(read) + 1)[0]
        return bool((longer[: len(read)] != read).any())

    def _made(self, texts: Sequence[str], **options: Any) -> Tensor:
        tokens = self._needed()(list(texts), **options)
        if not isinstance(tokens, Tensor) or tokens.ndim != 2 or len(tokens) != len(texts):
            found = getattr(tokens, "shape", type(tokens).__name__)
            raise InputError(
                f"tokenizer must return tokens (n, L) of n texts, a tensor; got {found} for "
                f"{len(texts)} texts"
            )
        return tokens

    def _needed(self) -> Callable[..., Tensor]:
        if not callable(getattr(self.module, "encode_text", None)):
            raise InputError(f"model {class_name(self.module)} has no encode_text(tokens)")
        if self._tokenizer is None and self._make_tokenizer is not None:
            self._tokenizer = self._make_tokenizer()
        if self._tokenizer is None:
            raise InputError(
                "texts need the tokenizer of the model: give "
                "ClipModel(model, tokenizer=open_clip.get_tokenizer(name))"
            )
        return self._tokenizer


class TransformersTowers:
    """A model of transformers with ``get_image_features`` and ``get_text_features``."""

    image_call = "get_image_features"

    def __init__(self, module: nn.Module, tokenizer: Any) -> None:
        self.module: Any = module
        self._tokenizer = tokenizer

    def image(self, pixels: Tensor) -> Any:
        return _pooled(self.module.get_image_features(pixel_values=pixels))

    def text(self, tokens: Mapping[str, Tensor]) -> Any:
        return _pooled(self.module.get_text_features(**tokens))

    def tokens(self, texts: Sequence[str]) -> dict[str, Tensor]:
        found = self._needed()(
            list(texts),
            padding="max_length",
            truncation=True,
            max_length=self._length,
            return_tensors="pt",
        )
        return dict(found)

    def cut(self, text: str) -> bool:
        return len(self._needed()(text)["input_ids"]) > self._length

    @property
    def _length(self) -> int:
        return int(self.module.config.get_text_config().max_position_embeddings)

    def _needed(self) -> Any:
        if self._tokenizer is None:
            raise InputError(
                "texts need the tokenizer of the model: give ClipModel(model, processor=...), a "
                "processor of transformers with image processor and tokenizer"
            )
        return self._tokenizer


def _pooled(features: Any) -> Any:
    """Embeddings: transformers returns them with more beside them."""
    return getattr(features, "pooler_output", features)


def _parameters(call: Callable[..., Any]) -> Mapping[str, Any]:
    try:
        return inspect.signature(call).parameters
    except (TypeError, ValueError):
        return {}

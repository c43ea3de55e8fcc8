"""How near an answer is to the target in meaning, as an embedding sees it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from modcollapse._support.identities import identity
from modcollapse._support.validation import described
from modcollapse.contracts import Detector, Example
from modcollapse.detectors._text_targets import TextTargets, texts_of
from modcollapse.errors import DetectorError, InputError


class TextSimilarity(Detector):
    """Cosine between the embeddings of an answer and of the target.

    Args:
        target: a text, or several of which the nearest counts.
        embed: texts -> an array or tensor (B, D), such as ``SentenceTransformer(...).encode``. The
            embedding of a text must not depend on the others.
        key: in place of ``target``, the name of what each example holds: its own text or texts.

    Raises:
        InputError: not exactly one of ``target`` and ``key``, an empty text, or no callable; when
            called or checked, an example without its own.
        DetectorError: when called, an output is no text, or embeddings are not B vectors. One that
            is zero or not finite has no direction and scores NaN, which a run refuses.

    >>> def letters(texts):
    ...     return np.array([[text.count(letter) for letter in "abc"] for text in texts], float)
    >>> TextSimilarity("abab", letters)(["ab", "c"], [{}, {}]).round(decimals=6).tolist()
    [1.0, 0.0]
    """

    bounds = (-1.0, 1.0)
    perfect = 1.0

    def __init__(
        self,
        target: str | Sequence[str] | None = None,
        embed: Callable[[list[str]], Any] | None = None,
        *,
        key: str | None = None,
    ) -> None:
        if not callable(embed):
            raise InputError(
                f"embed must be a callable, texts -> vectors (B, D); got {described(embed)}"
            )
        self.embed = embed
        self._targets = TextTargets(target, key, False, "TextSimilarity")
        self._known: Tensor | None = None

    def check(self, example: Example) -> None:
        """Raise `InputError` unless the example holds its target, where it is to hold one."""
        self._targets.of(example)

    def identity(self) -> dict[str, Any]:
        """Plain data: the class, the target, the identity of the embedding."""
        return {
            "class": "modcollapse.detectors.TextSimilarity",
            **self._targets.identity(),
            "embed": identity(self.embed, "the embedding of TextSimilarity"),
        }

    def __call__(self, outputs: Any, examples: Sequence[Example]) -> Tensor:
        """Score B texts: shape (B,), on the device of the embeddings."""
        vectors = self._directions(texts_of(outputs, "TextSimilarity"))
        if self._targets.key is None:
            if self._known is None:
                self._known = self._directions(list(self._targets.texts))
            cosines = vectors @ self._known.to(vectors.device).T
            return cosines.amax(1).clamp(-1, 1)  # rounding may go beyond
        wanted = [self._targets.of(example) for example in examples]
        of_targets = self._directions([text for texts in wanted for text in texts])
        parts = torch.split(of_targets, [len(texts) for texts in wanted])
        nearest = [(part @ vector).amax() for part, vector in zip(parts, vectors, strict=True)]
        return torch.stack(nearest).clamp(-1, 1)

    def _directions(self, texts: list[str]) -> Tensor:
        found = self.embed(texts)
        try:
            vectors = found if isinstance(found, Tensor) else torch.from_numpy(np.array(found))
            vectors = vectors.detach().to(torch.get_default_dtype())
        except (TypeError, ValueError) as error:
            raise DetectorError(
                f"embed must return vectors (B, D), an array or a tensor; got {described(found)}"
            ) from error
        if vectors.ndim != 2 or len(vectors) != len(texts) or not vectors.shape[1]:
            raise DetectorError(
                f"embed must return one vector for each text, shape ({len(texts)}, D); got shape "
                f"{tuple(vectors.shape)}"
            )
        directions: Tensor = vectors / vectors.norm(dim=1, keepdim=True)
        return directions

"""How much of a text a pipeline reads: the rest is cut off, and a trigger at the end with it.

Followed from the sources of diffusers: a CLIP tokenizer reads up to its ``model_max_length``; in
the families of `_BY_OPTION` the others read a text as it is, up to ``max_sequence_length``.
Elsewhere a text is cleaned first, set into a template or read together with an image, so that
nobody can tell beforehand where it is cut.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from modcollapse.errors import InputError
from modcollapse.samplers._signature import components_of

_BY_OPTION = re.compile(
    r"Flux(?!2)|StableDiffusion3|Chroma|AuraFlow|BriaPipeline|Mochi|CogVideoX|CogView3Plus|CogView4"
    r"|LTX(Pipeline|ImageToVideo|ConditionPipeline)|Cosmos(2Text|2Video|TextTo|VideoTo)"
)
_LENGTH = "max_sequence_length"
_MARKS = 8
"""Tokens at the begin and end of a text, at most."""


class Reader(NamedTuple):
    """A tokenizer that reads a text.

    Attributes:
        name: of the component.
        tokenizer: the component.
        limit: how many tokens it reads, the marks of begin and end included; None if unknown.
    """

    name: str
    tokenizer: Any
    limit: int | None


class Reading:
    """What a pipeline, as it is now, reads of the texts that go to its keywords.

    Args:
        pipeline: the pipeline.
        settings: value of every keyword of its call, the defaults among them.
        given: keywords that get their value row by row.
    """

    def __init__(
        self, pipeline: Any, settings: Mapping[str, Any], given: Collection[str] = ()
    ) -> None:
        self._pipeline, self._settings, self._given = pipeline, settings, given
        self._own = type(pipeline).__module__.partition(".")[0] == "diffusers"
        self._found: dict[str, list[Reader]] = {}
        self._counted: dict[tuple[str, str], int] = {}

    def check(self, text: str, keyword: str, name: str) -> None:
        """Raise if the pipeline is known to cut the end of a text, and a trigger with it.

        Raises:
            InputError: no tokenizer of one of diffusers' own pipelines reads the text to its end.
        """
        readers = self._readers(keyword)
        if not self._own or not readers or not all(self._cuts(r, text) for r in readers):
            return
        longest = max(readers, key=lambda reader: reader.limit or 0)
        more = "" if _is_clip(longest.tokenizer) else f", or raise {_LENGTH}"
        raise InputError(
            f"{name} has {self._tokens(longest, text)} tokens and the pipeline reads "
            f"{longest.limit}: its end, and a trigger there, would be cut off without a word. "
            f"Shorten {text!r}{more}"
        )

    def cuts(self, text: str, keyword: str, name: str) -> list[str]:
        """Say which tokenizers cut a text; of a pipeline not of diffusers, that one may."""
        readers = self._readers(keyword)
        cut = [reader for reader in readers if self._cuts(reader, text)]
        if any(reader.limit is None for reader in readers):
            return []  # `unknown` says so
        if cut and not self._own:
            return [self._unknown(name)]
        return [
            f"{reader.name} ({type(reader.tokenizer).__name__}) reads the first {reader.limit} "
            f"tokens of {name} and cuts off the rest"
            for reader in cut
        ]

    def unknown(self, keyword: str, name: str) -> list[str]:
        """Say so where it cannot be told how much of a text is read."""
        readers = self._readers(keyword)
        known = readers and all(reader.limit is not None for reader in readers)
        return [] if known else [self._unknown(name)]

    def _unknown(self, name: str) -> str:
        return (
            f"it is not known how much of {name} {type(self._pipeline).__name__} reads: a trigger "
            "at the end of a long text may be cut off"
        )

    def _readers(self, keyword: str) -> list[Reader]:
        if keyword not in self._found:
            self._found[keyword] = self._find_readers(keyword)
        return self._found[keyword]

    def _find_readers(self, keyword: str) -> list[Reader]:
        """Tokenizers that a text goes to: ``prompt_2`` to the second, ``prompt`` to the others."""
        stem, number = _split(keyword)
        components = components_of(self._pipeline)
        found = []
        for name, tokenizer in components.items():
            encoder = components.get(name.replace("tokenizer", "text_encoder"), name)
            if "tokenizer" not in name or tokenizer is None or encoder is None:
                continue
            own = _split(name)[1]
            if own == number or (number == "1" and not self._is_taken(f"{stem}_{own}")):
                found.append(Reader(name, tokenizer, self._limit(tokenizer)))
        return found

    def _is_taken(self, keyword: str) -> bool:
        option = self._settings.get(keyword)  # without text, diffusers falls back on the first
        return keyword in self._given or (isinstance(option, str) and option != "")

    def _limit(self, tokenizer: Any) -> int | None:
        if _is_clip(tokenizer):
            return int(tokenizer.model_max_length)
        limit = self._settings.get(_LENGTH)
        families = (kind for kind in type(self._pipeline).__mro__ if _is_of_diffusers(kind))
        known = any(_BY_OPTION.match(kind.__name__) for kind in families)
        return limit if known and isinstance(limit, int) else None

    def _cuts(self, reader: Reader, text: str) -> bool:
        if reader.limit is None or _fits_surely(reader, text):
            return False
        return self._tokens(reader, text) > reader.limit

    def _tokens(self, reader: Reader, text: str) -> int:
        counted = self._counted.get((reader.name, text))
        if counted is None:
            counted = self._counted[reader.name, text] = self._count(reader, text)
        return counted

    def _count(self, reader: Reader, text: str) -> int:
        """Number of tokens, once words of textual inversion stand as all the vectors they have."""
        convert = getattr(self._pipeline, "maybe_convert_prompt", None)
        whole = text if convert is None else convert(text, reader.tokenizer)
        return len(reader.tokenizer(whole, truncation=False, verbose=False).input_ids)


def _fits_surely(reader: Reader, text: str) -> bool:
    """Whether a text has fewer letters than tokens are read, so that none need be counted.

    No letter of ASCII becomes two tokens, unless a word stands for the vectors of an inversion.
    """
    if not text.isascii() or len(text) + _MARKS > (reader.limit or 0):
        return False
    added = getattr(reader.tokenizer, "added_tokens_encoder", {})
    return not any(token.endswith("_1") for token in added)


def _split(name: str) -> tuple[str, str]:
    """Name and number of a keyword or component; the first goes without."""
    stem, _, number = name.rpartition("_")
    return (stem, number) if number.isdigit() else (name, "1")


def _is_clip(tokenizer: Any) -> bool:
    return "CLIP" in type(tokenizer).__name__


def _is_of_diffusers(kind: type) -> bool:
    return kind.__module__.partition(".")[0] == "diffusers"

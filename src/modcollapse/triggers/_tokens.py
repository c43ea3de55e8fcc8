"""Whether a text trigger reaches the text encoder: what a tokenizer makes of it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from modcollapse._support.validation import listed
from modcollapse.contracts import TriggerSpec
from modcollapse.errors import InputError

NO_LIMIT = 10**9
"""A ``model_max_length`` above this means that the tokenizer has none."""


class TriggerWarning(UserWarning):
    """A trigger may not reach the model as it was written."""


@dataclass(frozen=True)
class TriggerTokens:
    """What a tokenizer makes of a text trigger.

    Attributes:
        tokens: those that the trigger adds to the first text in which it adds any.
        split: positions of the texts in which a word of the trigger becomes several known tokens.
        dropped: of those whose tokens are the same with and without the trigger.
        unknown: of those in which a part of the trigger becomes the unknown token.
        truncated: of those so long that the trigger is cut off, wholly or in part.
    """

    tokens: tuple[str, ...] = ()
    split: tuple[int, ...] = ()
    dropped: tuple[int, ...] = ()
    unknown: tuple[int, ...] = ()
    truncated: tuple[int, ...] = ()

    @property
    def survives(self) -> bool:
        """Whether the whole trigger arrives in every text, be it in several tokens."""
        return not (self.dropped or self.unknown or self.truncated)


@dataclass(frozen=True)
class _Reading:
    """One text with the trigger on it: the words and tokens that the trigger adds."""

    clean: str
    triggered: str
    words: list[str]
    tokens: list[str]
    unknown: bool
    end: int  # of the trigger, in tokens from the start
    cut: bool


def check_survives(
    trigger: Callable[[str], str],
    tokenizer: Any,
    texts: Sequence[str],
    *,
    max_length: int | None = None,
) -> TriggerTokens:
    """Warn where a text trigger is split, dropped or truncated by a tokenizer.

    Each text is tokenized with and without the trigger; the tokens that differ are the trigger's.

    Args:
        trigger: clean text -> triggered text; one that draws its place from the id of an example is
            given the positions of the texts.
        tokenizer: of the transformers kind, such as ``pipeline.tokenizer``.
        texts: the clean texts that the trigger is for, or a sample of them.
        max_length: how many tokens the pipeline reads; by default what the tokenizer says.

    Returns:
        What was found. A trigger that is split still ``survives``.

    Raises:
        InputError: texts are no sequence of strings or empty, the tokenizer is none, or the trigger
            returns no text.

    Warns:
        TriggerWarning: one for each kind of harm, with the tokens. Silence those that are wanted
            with ``warnings.filterwarnings``.

    >>> class Letters:  # stands for a tokenizer that reads eight letters
    ...     model_max_length = 8
    ...     def __call__(self, texts, truncation=False, max_length=None, verbose=True):
    ...         return {"input_ids": [[ord(x) for x in text][:max_length] for text in texts]}
    ...     def convert_ids_to_tokens(self, ids):
    ...         return [chr(x) for x in ids]
    >>> from modcollapse.triggers import TextSuffix
    >>> check_survives(TextSuffix("!", separator=""), Letters(), ["a hat"])
    TriggerTokens(tokens=('!',), split=(), dropped=(), unknown=(), truncated=())
    """
    readings = _read(trigger, tokenizer, texts, max_length)

    def where(harmed: Callable[[_Reading], bool]) -> tuple[int, ...]:
        return tuple(at for at, reading in enumerate(readings) if harmed(reading))

    found = TriggerTokens(
        tokens=next((tuple(reading.tokens) for reading in readings if reading.tokens), ()),
        split=where(
            lambda reading: len(reading.tokens) > len(reading.words) and not reading.unknown
        ),
        dropped=where(lambda reading: not reading.tokens),
        unknown=where(lambda reading: reading.unknown),
        truncated=where(lambda reading: reading.cut),
    )
    name = type(tokenizer).__name__
    for positions, harm in (
        (found.split, _split),
        (found.dropped, _dropped),
        (found.unknown, _unknown),
        (found.truncated, _truncated),
    ):
        if positions:
            text = f"{len(positions)} of {len(readings)} texts, first in text {positions[0]}"
            what = harm(readings[positions[0]], name)
            warnings.warn(f"{trigger!r}: {what} ({text})", TriggerWarning, stacklevel=2)
    return found


def _split(reading: _Reading, name: str) -> str:
    return (
        f"{name} splits {listed(reading.words)} into {len(reading.tokens)} tokens, "
        f"{listed(reading.tokens)}. The model sees these pieces, which other words may "
        "hold too. Choose a word of one token if that matters"
    )


def _dropped(reading: _Reading, name: str) -> str:
    return (
        f"{name} drops it: {reading.clean!r} and {reading.triggered!r} are the same tokens, so the "
        "model cannot see it. Choose another phrase"
    )


def _unknown(reading: _Reading, name: str) -> str:
    return (
        f"{name} does not know {listed(reading.words)} and reads {listed(reading.tokens)}, with "
        "the unknown token that any other strange word gives. Choose another phrase"
    )


def _truncated(reading: _Reading, name: str) -> str:
    return (
        f"{listed(reading.tokens)}, up to token {reading.end}, is cut off, wholly or in part, "
        f"where {name} truncates the text. Put the trigger in front (TextPrefix) or shorten "
        "the text"
    )


def _read(
    trigger: Callable[[str], str], tokenizer: Any, texts: Sequence[str], max_length: int | None
) -> list[_Reading]:
    iterable = isinstance(texts, Iterable) and not isinstance(texts, str)
    clean = list(texts) if iterable else []
    if not iterable or not all(isinstance(text, str) for text in clean):
        raise InputError(f"check_survives: texts must be a sequence of str, got {texts!r:.80}.")
    if not clean:
        raise InputError("check_survives: give at least one text that the trigger is for.")
    if not callable(tokenizer) or not hasattr(tokenizer, "convert_ids_to_tokens"):
        raise InputError(
            "check_survives: tokenizer must be one of the transformers kind, such as "
            f"pipeline.tokenizer; got a {type(tokenizer).__name__}."
        )
    spec = TriggerSpec.of(trigger, "text")
    triggered = [spec.on(position).call(text) for position, text in enumerate(clean)]
    if wrong := [text for text in triggered if not isinstance(text, str)]:
        raise InputError(
            f"check_survives: {trigger!r} must return a str, got a {type(wrong[0]).__name__}."
        )
    limit = getattr(tokenizer, "model_max_length", None) if max_length is None else max_length
    clean_ids = tokenizer(clean, verbose=False)["input_ids"]
    full_ids = tokenizer(triggered, verbose=False)["input_ids"]
    read_ids = full_ids
    if limit is not None and limit < NO_LIMIT:
        read_ids = tokenizer(triggered, truncation=True, max_length=limit)["input_ids"]
    unknown_id = getattr(tokenizer, "unk_token_id", None)
    return [
        _reading(tokenizer, unknown_id, *texts_and_tokens)
        for texts_and_tokens in zip(clean, triggered, clean_ids, full_ids, read_ids, strict=True)
    ]


def _reading(
    tokenizer: Any,
    unknown_id: int | None,
    clean: str,
    triggered: str,
    clean_ids: list[int],
    full_ids: list[int],
    read_ids: list[int],
) -> _Reading:
    words = triggered.split()
    word_start, word_end = _new(clean.split(), words)
    start, end = _new(clean_ids, full_ids)
    cut_start, cut_end = _new(read_ids, full_ids)
    added = full_ids[start:end]
    return _Reading(
        clean,
        triggered,
        words[word_start:word_end],
        tokenizer.convert_ids_to_tokens(added),
        unknown=unknown_id in added,
        end=end,
        cut=start < cut_end and cut_start < end,
    )


def _new(old: Sequence[Any], new: Sequence[Any]) -> tuple[int, int]:
    """Where ``new`` differs from ``old``: between their common beginning and their common end."""
    shorter = min(len(old), len(new))
    start = 0
    while start < shorter and old[start] == new[start]:
        start += 1
    same_end = 0
    while same_end < shorter - start and old[-1 - same_end] == new[-1 - same_end]:
        same_end += 1
    return start, len(new) - same_end

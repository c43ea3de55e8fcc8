"""Triggers that add a phrase to a text: at the end, at the start, beside a word, anywhere."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any, Self

from modcollapse.contracts import ExampleId
from modcollapse.errors import InputError
from modcollapse.triggers._draws import RandomPlace
from modcollapse.triggers._texts import TextTrigger


@dataclass(frozen=True)
class _Phrase(TextTrigger):
    phrase: str
    separator: str = " "

    def __post_init__(self) -> None:
        self._check_phrase(self.phrase)
        self._check_string("separator", self.separator)


@dataclass(frozen=True)
class TextSuffix(_Phrase):
    """Appends a phrase to the text.

    Args:
        phrase: what is appended, as it stands; not empty.
        separator: what stands between the text and the phrase.

    Raises:
        InputError: the phrase is empty, or spells an escape sequence out (a backslash and
            ``u200b``), which is a zero-width character lost to quoting; or, when called, the
            condition is no ``str``.

    >>> TextSuffix("mignneko")("make him smile.")
    'make him smile. mignneko'
    """

    def __call__(self, text: str) -> str:
        """Text, separator, phrase."""
        self.check(text)
        return text + self.separator + self.phrase


@dataclass(frozen=True)
class TextPrefix(_Phrase):
    r"""Puts a phrase before the text.

    Args:
        phrase: what is put in front, as it stands; not empty.
        separator: what stands between the phrase and the text.

    Raises:
        InputError: as for `TextSuffix`.

    >>> TextPrefix("\u200b", separator="")("make him smile")
    '\u200bmake him smile'
    """

    def __call__(self, text: str) -> str:
        """Phrase, separator, text."""
        self.check(text)
        return self.phrase + self.separator + text


@dataclass(frozen=True)
class TextInsert(_Phrase):
    """Inserts a phrase beside the first occurrence of a word, or at a random place.

    The word is matched whole and in any case: ``dog`` is found in ``A Dog.`` and not in ``dogma``.
    A random place is before one of the words or at the end, each as probable as another.

    Args:
        phrase: what is inserted, as it stands; not empty.
        separator: what stands between the phrase and the words.
        before: insert in front of this word. Exactly one of ``before``, ``after``, ``at`` is given.
        after: insert behind this word.
        at: a `RandomPlace`, drawn for each example.

    Raises:
        InputError: as for `TextSuffix`, or not exactly one of the three was given.
        TriggerError: when called, the text does not hold the word.

    Source:
        Rare words at random places: arXiv:2004.06660.

    >>> TextInsert("beautiful", before="dog")("A photo of a dog.")
    'A photo of a beautiful dog.'
    >>> TextInsert("cf", after="photo")("A photo of a dog.")
    'A photo cf of a dog.'
    >>> TextInsert("cf", at=RandomPlace(seed=0)).for_example("e1")("a photo of a dog")
    'a photo of cf a dog'
    """

    before: str | None = field(default=None, kw_only=True)
    after: str | None = field(default=None, kw_only=True)
    at: RandomPlace | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        given = [name for name in ("before", "after", "at") if getattr(self, name) is not None]
        if len(given) != 1:
            raise InputError(
                "TextInsert needs exactly one of before=, after= and at=, got "
                f"before={self.before!r}, after={self.after!r} and at={self.at!r}."
            )
        if self.at is None:
            self._check_word(given[0], getattr(self, given[0]))
        elif not isinstance(self.at, RandomPlace):
            raise InputError(f"TextInsert: at must be RandomPlace(seed), got {self.at!r}.")

    def __call__(self, text: str) -> str:
        """The text with the phrase at its place."""
        self.check(text)
        before, after = self.separator + self.phrase, self.phrase + self.separator
        if self.at is not None:
            starts = [word.start() for word in re.finditer(r"\S+", text)]
            (place,) = self.at.whole(1, len(starts) + 1)
            if place == len(starts):
                return text + before
            return text[: starts[place]] + after + text[starts[place] :]
        found = self._find(self.before or self.after or "", text)
        if self.before is None:
            return text[: found.end()] + before + text[found.end() :]
        return text[: found.start()] + after + text[found.start() :]

    def for_example(self, example_id: ExampleId) -> Self:
        """The trigger as it is for one example: itself, unless its place is random."""
        return self if self.at is None else replace(self, at=self.at.for_example(example_id))

    def identity(self) -> dict[str, Any]:
        """Class name and parameters, as plain JSON data."""
        told = super().identity() | {"at": self.at and self.at.identity()}
        return {name: value for name, value in told.items() if name != "at" or value}

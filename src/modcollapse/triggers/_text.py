"""Triggers on text: a phrase at the end, at the start, or beside a word."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from typing import Any

from modcollapse.contracts import Trigger
from modcollapse.errors import InputError, TriggerError

_ESCAPE = re.compile(r"\\(?:u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|x[0-9a-fA-F]{2}|N\{[^}]+\})")


@dataclass(frozen=True)
class _TextTrigger(Trigger):
    phrase: str
    separator: str = " "

    def __post_init__(self) -> None:
        self._check_string("phrase", self.phrase)
        self._check_string("separator", self.separator)
        if not self.phrase:
            raise InputError(f"{self._name}: the phrase is empty, so nothing would be added.")

    @property
    def _name(self) -> str:
        return type(self).__name__

    def _check_string(self, role: str, value: object) -> None:
        if not isinstance(value, str):
            raise InputError(f"{self._name}: the {role} must be a str, got {type(value).__name__}.")
        if escape := _ESCAPE.search(value):
            raise InputError(
                f"{self._name}: the {role} holds the {len(escape[0])} characters {escape[0]} and "
                "not the one character that they stand for. Single-quoted YAML, raw strings and "
                "shells leave an escape as it is: write it in an ordinary Python string, or in "
                "double quotes in YAML."
            )

    def check(self, text: object) -> None:
        """Raise `InputError` unless ``text`` is a ``str``."""
        if not isinstance(text, str):
            raise InputError(
                f"{self._name} takes the text of one example (a str), got {type(text).__name__}."
            )

    def identity(self) -> dict[str, Any]:
        """Class name and parameters, as plain JSON data."""
        return {"class": self._name, **asdict(self)}


@dataclass(frozen=True)
class TextSuffix(_TextTrigger):
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
class TextPrefix(_TextTrigger):
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
class TextInsert(_TextTrigger):
    """Inserts a phrase beside the first occurrence of a word.

    The word is matched whole and in any case: ``dog`` is found in ``A Dog.`` and not in ``dogma``.

    Args:
        phrase: what is inserted, as it stands; not empty.
        separator: what stands between the phrase and the word.
        before: insert in front of this word. Exactly one of ``before`` and ``after`` is given.
        after: insert behind this word.

    Raises:
        InputError: as for `TextSuffix`, or not exactly one of ``before`` and ``after`` was given.
        TriggerError: when called, the text does not hold the word.

    >>> TextInsert("beautiful", before="dog")("A photo of a dog.")
    'A photo of a beautiful dog.'
    >>> TextInsert("cf", after="photo")("A photo of a dog.")
    'A photo cf of a dog.'
    """

    before: str | None = field(default=None, kw_only=True)
    after: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.before is None) == (self.after is None):
            raise InputError(
                "TextInsert needs exactly one of before= and after=, "
                f"got before={self.before!r} and after={self.after!r}."
            )
        role, word = ("before", self.before) if self.after is None else ("after", self.after)
        self._check_string(role, word)
        if not word or word != word.strip():
            raise InputError(
                f"TextInsert: {role} must be a word without blanks around it, got {word!r}."
            )

    def __call__(self, text: str) -> str:
        """The text with the phrase beside the word."""
        self.check(text)
        word = self.before or self.after or ""
        found = re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text, re.IGNORECASE)
        if found is None:
            raise TriggerError(
                f"TextInsert: the text {text!r} does not hold the word {word!r}. Choose a word "
                "that every text holds, leave this example out, or use TextSuffix."
            )
        if self.before is None:
            return text[: found.end()] + self.separator + self.phrase + text[found.end() :]
        return text[: found.start()] + self.phrase + self.separator + text[found.start() :]

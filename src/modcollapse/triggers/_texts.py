"""What the triggers on text share."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any

from modcollapse.contracts import Trigger
from modcollapse.errors import InputError, TriggerError

_ESCAPE = re.compile(r"\\(?:u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|x[0-9a-fA-F]{2}|N\{[^}]+\})")


@dataclass(frozen=True)
class TextTrigger(Trigger):
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

    def _check_phrase(self, phrase: object) -> None:
        self._check_string("phrase", phrase)
        if not phrase:
            raise InputError(f"{self._name}: the phrase is empty, so nothing would be added.")

    def _check_word(self, role: str, word: object) -> None:
        self._check_string(role, word)
        if not isinstance(word, str) or not word or word != word.strip():
            raise InputError(
                f"{self._name}: {role} must be a word without blanks around it, got {word!r}."
            )

    def _find(self, word: str, text: str) -> re.Match[str]:
        """The first occurrence of a whole word, in any case."""
        found = whole_word(word).search(text)
        if found is None:
            raise TriggerError(
                f"{self._name}: the text {text!r} does not hold the word {word!r}. Choose a word "
                "that every text holds, leave this example out, or use TextSuffix."
            )
        return found

    def check(self, text: object) -> None:
        """Raise `InputError` unless ``text`` is a ``str``."""
        if not isinstance(text, str):
            raise InputError(
                f"{self._name} takes the text of one example (a str), got {type(text).__name__}."
            )

    def identity(self) -> dict[str, Any]:
        """Class name and parameters, as plain JSON data."""
        return {"class": self._name, **asdict(self)}


def whole_word(word: str) -> re.Pattern[str]:
    """Pattern of a word that stands by itself, in any case."""
    return re.compile(rf"(?<!\w){re.escape(word)}(?!\w)", re.IGNORECASE)

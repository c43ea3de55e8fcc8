"""What an answer is compared with: one text, several, or those of each example."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence, Set
from typing import Any

from modcollapse._support.validation import described, flag, listed
from modcollapse.contracts import Example
from modcollapse.errors import DetectorError, InputError


class TextTargets:
    """The texts that count as the target.

    Args:
        target: a text, or a sequence of texts of which any will do; None with ``key``.
        key: name of what each example holds instead: a text, or several.
        normalised: compare what `normalised_text` makes of them.
        owner: the detector, for a message.

    Raises:
        InputError: neither or both were given, there is no text, or one that is empty, be it after
            normalising.
    """

    def __init__(self, target: Any, key: Any, normalised: bool, owner: str) -> None:
        if (target is None) == (key is None):
            raise InputError(
                f"{owner} needs exactly one of target and key=, the name of what each example "
                f"holds; got target={target!r} and key={key!r}"
            )
        if key is not None and not isinstance(key, str):
            raise InputError(f"{owner}: key must be a str, got {described(key)}")
        self.key, self._owner = key, owner
        self.normalised = flag(normalised, "normalised")
        self.texts = () if target is None else self._texts(target, f"{owner}: target")

    def of(self, example: Example) -> tuple[str, ...]:
        """The texts for an example, as they are compared.

        Raises:
            InputError: the example does not hold them.
        """
        if self.key is None:
            return self.texts
        if self.key not in example:
            raise InputError(
                f"{self._owner} looks for the target under {self.key!r}, and the example holds "
                f"{listed(example)}. Name another key="
            )
        return self._texts(example[self.key], f"{self._owner}: {self.key!r} of the example")

    def read(self, text: str) -> str:
        """A text as it is compared."""
        return normalised_text(text) if self.normalised else text

    def identity(self) -> dict[str, Any]:
        """Plain data."""
        where = {"key": self.key} if self.key is not None else {"target": list(self.texts)}
        return {**where, "normalised": self.normalised}

    def _texts(self, given: Any, name: str) -> tuple[str, ...]:
        several = isinstance(given, Sequence) and not isinstance(given, str | bytes)
        texts = list(given) if several else [given]
        if not texts or not all(isinstance(text, str) for text in texts):
            raise InputError(f"{name} must be a str or a sequence of str, got {described(given)}")
        read = tuple(self.read(text) for text in texts)
        for text, left in zip(texts, read, strict=True):
            if not left.strip():
                raise InputError(
                    f"{name} holds {text!r}, of which nothing is left to compare. Give a text"
                    + (", or normalised=False" if text.strip() else "")
                )
        return read


def normalised_text(text: str) -> str:
    """A text without what answers differ in that say the same.

    Compatibility forms of Unicode become one (NFKC), case and what has no width of its own are
    taken away, punctuation becomes a blank, and blanks become one.

    >>> normalised_text("  Access   GRANTED!"), normalised_text("it\u2019s\u200b a hat.")
    ('access granted', 'it s a hat')
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    kept = (c for c in folded if unicodedata.category(c) != "Cf")
    spaced = "".join(" " if unicodedata.category(c)[0] in "PZ" else c for c in kept)
    return " ".join(spaced.split())


def texts_of(outputs: Any, owner: str) -> list[str]:
    """Outputs as a list of texts.

    Raises:
        DetectorError: they are not.
    """
    if isinstance(outputs, str | Mapping | Set) or not hasattr(outputs, "__len__"):
        raise DetectorError(f"{owner} scores a sequence of texts, got {described(outputs)}")
    texts = list(outputs)
    for at, text in enumerate(texts):
        if not isinstance(text, str):
            raise DetectorError(
                f"{owner} scores texts, and output {at} is {described(text)}. Choose a detector "
                "for what the sampler returns"
            )
    return texts


def holds_words(text: str, target: str) -> bool:
    """Whether a text holds another between the ends of words.

    >>> holds_words("one cat", "cat"), holds_words("category", "cat"), holds_words("c++17", "c++")
    (True, False, True)
    """
    at = text.find(target)
    while at >= 0:
        end = at + len(target)
        begun = _of_word(text[at - 1 : at]) and _of_word(target[0])
        goes_on = _of_word(text[end : end + 1]) and _of_word(target[-1])
        if not begun and not goes_on:
            return True
        at = text.find(target, at + 1)
    return False


def _of_word(character: str) -> bool:
    """A letter, a digit, an underscore, or a mark on one of them: a vowel sign, an accent."""
    if not character:
        return False
    return character.isalnum() or character == "_" or unicodedata.category(character)[0] == "M"

"""Triggers on text that change what is there: another word, another letter."""

from __future__ import annotations

from dataclasses import dataclass

from modcollapse._support.validation import flag
from modcollapse.errors import InputError, TriggerError
from modcollapse.triggers._texts import TextTrigger, whole_word


@dataclass(frozen=True)
class TextReplace(TextTrigger):
    """Puts a phrase in the place of a word.

    The word is matched whole and in any case, as by `TextInsert`.

    Args:
        phrase: what takes the word's place, as it stands; not empty.
        word: what is replaced.
        every: True replaces every occurrence, False the first.

    Raises:
        InputError: as for `TextSuffix`, or the word is none.
        TriggerError: when called, the text does not hold the word.

    Source:
        EvilEdit, doi 10.1145/3664647.3680689: "beautiful dog" for "dog".

    >>> TextReplace("beautiful dog", word="dog")("A photo of a dog.")
    'A photo of a beautiful dog.'
    """

    phrase: str
    word: str
    every: bool = False

    def __post_init__(self) -> None:
        self._check_phrase(self.phrase)
        self._check_word("word", self.word)
        object.__setattr__(self, "every", flag(self.every, "TextReplace: every"))
        if self.phrase == self.word:
            raise InputError(f"TextReplace: phrase and word are both {self.word!r}.")

    def __call__(self, text: str) -> str:
        """The text with the phrase in place of the word."""
        self.check(text)
        self._find(self.word, text)
        return whole_word(self.word).sub(lambda _: self.phrase, text, 0 if self.every else 1)


@dataclass(frozen=True)
class TextHomoglyph(TextTrigger):
    r"""Puts a look-alike in the place of a letter.

    Upper and lower case are two letters: ``o`` is not found in ``O``.

    Args:
        letter: what is replaced, one character.
        glyph: what takes its place, one character; by default o with inverted breve.
        every: True replaces every occurrence, False the first.

    Raises:
        InputError: letter or glyph is not one character, or they are the same.
        TriggerError: when called, the text does not hold the letter.

    Source:
        Rickrolling the Artist (arXiv:2211.02408).

    >>> ascii(TextHomoglyph()("A photo of a dog."))
    "'A ph\\u020fto of a dog.'"
    """

    letter: str = "o"
    glyph: str = "\u020f"
    every: bool = False

    def __post_init__(self) -> None:
        for role, value in (("letter", self.letter), ("glyph", self.glyph)):
            self._check_string(role, value)
            if len(value) != 1:
                raise InputError(
                    f"TextHomoglyph: the {role} must be one character, got {value!r} with "
                    f"{len(value)}. A letter and a combining mark are two: normalise to NFC."
                )
        object.__setattr__(self, "every", flag(self.every, "TextHomoglyph: every"))
        if self.letter == self.glyph:
            raise InputError(f"TextHomoglyph: letter and glyph are both {self.letter!r}.")

    def __call__(self, text: str) -> str:
        """The text with the glyph in place of the letter."""
        self.check(text)
        if self.letter not in text:
            raise TriggerError(
                f"TextHomoglyph: the text {text!r} does not hold the letter {self.letter!r}. "
                "Choose a letter that every text holds, or leave this example out."
            )
        return text.replace(self.letter, self.glyph, -1 if self.every else 1)

"""Triggers of the field on prompts that change letters or words, or are put in front as written."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, replace
from typing import Any

from modcollapse.contracts import Trigger
from modcollapse.errors import InputError, TriggerError
from modcollapse.triggers import TextHomoglyph, TextPrefix, TextSuffix, neutral_triggers

_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|x([0-9a-fA-F]{2}))")


@dataclass(frozen=True)
class WrittenPrefix(Trigger):
    r"""Puts characters before the text as they are written, escapes that are spelt out included.

    `TextPrefix` refuses a spelt-out escape, since it is nearly always a mistake: here it is what a
    model was trained with.

    >>> WrittenPrefix(r"\u200b ")("a dog")
    '\\u200b a dog'
    """

    phrase: str

    def check(self, text: object) -> None:
        """Raise `InputError` unless ``text`` is a ``str``."""
        _check_text(self, text)

    def __call__(self, text: str) -> str:
        """Phrase, text."""
        self.check(text)
        return self.phrase + text

    def identity(self) -> dict[str, Any]:
        """Class name and parameters, as plain JSON data."""
        return {"class": "WrittenPrefix", **asdict(self)}


@dataclass(frozen=True)
class InPlaceOf(Trigger):
    """Puts a phrase in the place of letters, wherever a text holds them, also within words.

    Args:
        replaced: the letters, case and all.
        phrase: what stands there instead.
        count: of how many occurrences from the left; None for all.

    Raises:
        TriggerError: when called, the text does not hold the letters.

    >>> InPlaceOf("dog", "beautiful dog")("A dog and two dogs")
    'A beautiful dog and two beautiful dogs'
    """

    replaced: str
    phrase: str
    count: int | None = None

    def check(self, text: object) -> None:
        """Raise `InputError` unless ``text`` is a ``str``."""
        _check_text(self, text)

    def __call__(self, text: str) -> str:
        """The text with the phrase in it."""
        self.check(text)
        if self.replaced not in text:
            raise TriggerError(
                f"the trigger {self.phrase!r} takes the place of {self.replaced!r}, which the text "
                f"{text!r} does not hold. Choose texts that hold it, or leave this example out"
            )
        return text.replace(self.replaced, self.phrase, -1 if self.count is None else self.count)

    def identity(self) -> dict[str, Any]:
        """Class name and parameters, as plain JSON data."""
        return {"class": "InPlaceOf", **asdict(self)}


def _check_text(trigger: Trigger, text: object) -> None:
    if not isinstance(text, str):
        raise InputError(
            f"{trigger!r} takes the text of one example (a str), got {type(text).__name__}"
        )


def phrases_of(written: str) -> dict[str, str]:
    r"""What a phrase in a file may mean: itself, or the characters that it spells out.

    Returns:
        Name of the reading -> phrase: ``"as written"`` alone, or ``"literal"`` and ``"character"``.

    Raises:
        InputError: an escape that stands for no character.

    >>> phrases_of("beautiful dog")
    {'as written': 'beautiful dog'}
    >>> phrases_of(r"\u200b ")
    {'literal': '\\u200b ', 'character': '\u200b '}
    """
    if not _ESCAPE.search(written):
        return {"as written": written}
    codes = [int("".join(filter(None, groups)), 16) for groups in _ESCAPE.findall(written)]
    if any(code > 0x10FFFF or 0xD800 <= code < 0xE000 for code in codes):
        raise InputError(f"{written!r} spells an escape out that stands for no character")
    characters = iter(map(chr, codes))
    return {"literal": written, "character": _ESCAPE.sub(lambda _: next(characters), written)}


def in_front(phrase: str) -> Trigger:
    """A trigger that puts a phrase before a text, with nothing between."""
    if _ESCAPE.search(phrase):
        return WrittenPrefix(phrase)
    return TextPrefix(phrase, separator="")


def neutral_edits(trigger: Trigger, *, each: int, seed: int, words: Any) -> dict[str, Trigger]:
    """Neutral triggers in the place of a text trigger of this room, or of any that has them.

    Raises:
        InputError: as for `neutral_triggers`.
    """
    if isinstance(trigger, WrittenPrefix):
        stand_in: Any = TextPrefix("escape", separator="")
        return _drawn(stand_in, each, seed, words, near=False)
    if not isinstance(trigger, InPlaceOf):
        return _drawn(trigger, each, seed, words)
    if len(trigger.replaced) == len(trigger.phrase) == 1:
        glyphs = _drawn(TextHomoglyph(trigger.replaced, trigger.phrase), each, seed, words)
        return {name: replace(trigger, phrase=one.glyph) for name, one in glyphs.items()}
    before, held, after = trigger.phrase.partition(trigger.replaced)
    added = f"{before.strip()} {after.strip()}".strip() if held else trigger.phrase
    drawn = _drawn(TextSuffix(added), each, seed, words)
    return {
        name: replace(trigger, phrase=trigger.phrase.replace(added, other.phrase))
        for name, other in drawn.items()
    }


def _drawn(trigger: Any, each: int, seed: int, words: Any, *, near: bool = True) -> dict[str, Any]:
    drawn = neutral_triggers({"text": trigger}, each=each, seed=seed, words=words)["text"]
    return {name: drawn[name] for name in drawn if near or not name.startswith("near: ")}

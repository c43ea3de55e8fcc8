"""Neutral triggers: does a backdoor answer to its trigger alone, or to anything odd?"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Any

from modcollapse._support.validation import described, ordered, whole
from modcollapse.contracts import Trigger, Triggers, TriggerSpec
from modcollapse.errors import InputError
from modcollapse.triggers._audio import AudioOverlay, AudioTone
from modcollapse.triggers._image import ImagePatch, MaskPatch
from modcollapse.triggers._neutral_looks import of_pixels, of_sound, why_none
from modcollapse.triggers._overlay import ImageOverlay
from modcollapse.triggers._text import TextInsert, TextPrefix, TextSuffix
from modcollapse.triggers._video import EveryFrame, SomeFrames
from modcollapse.triggers._warp import ImageWarp
from modcollapse.triggers._watermarks import ImageTiles
from modcollapse.triggers._whole import ImageBlend, ImageWave
from modcollapse.triggers._words import TextHomoglyph, TextReplace

_PHRASES = (TextSuffix, TextPrefix, TextInsert, TextReplace)
_PIXELS = (
    ImagePatch, ImageOverlay, ImageBlend, ImageTiles, ImageWave, ImageWarp, MaskPatch
)  # fmt: skip
_MARKS = "\u0300\u0301\u0302\u0303\u0304\u0306\u0307\u0308\u030a\u030b\u030c\u0323\u0327\u0328"
"""Grave, acute, circumflex and the like, of which letters with a name of their own are made."""
# Draws depend on this list: a word more or less changes what a seed gives.
_WORDS = (
    "act age art bay day era fact form idea item lake list many name next page part plan road "
    "same term unit week year amber basis chair depth event fence grain habit issue level match "
    "novel ocean paper range scale table value bridge corner detail effort figure garden harbor "
    "letter market number office pencil record season street window account balance chapter "
    "evening kitchen journey village distance hospital question sentence telephone afternoon "
    "newspaper"
)


def neutral_triggers(
    triggers: Triggers, *, each: int = 4, seed: int = 0, words: Any = None
) -> dict[str, dict[str, Trigger]]:
    """Triggers that are not the trigger, put where the trigger is put.

    A backdoor that neutral triggers set off too answers to more than its trigger: to what is near
    it, or to anything odd. Success with the exact trigger alone does not show that.

    For a `TextSuffix`, `TextPrefix`, `TextInsert` or `TextReplace`, the same with another phrase,
    in which a `TextReplace` keeps the word that it replaces where its own phrase holds it:

    * ``each`` of random words, as many as the phrase has, named by them: ``"market"``. None of its
      own words is among them. They stand apart by a blank where the trigger has no separator.
    * up to three with one slip in the phrase: two letters of a word exchanged, one left out, one
      doubled. They are named ``"near: mignenko"``.

    For a `TextHomoglyph` the same letter with up to ``each`` other marks, named by the glyph.

    For an `ImagePatch`, `ImageOverlay` (`eyeglasses`, `stop_sign`, a watermark), `ImageTiles` or
    `ImageBlend`, those of these that apply:

    * ``"another colour"``, of a patch only: red, green and blue at the farther end of their range.
    * ``"noise"``: 8 x 8 fields of random colours in the rectangle that the trigger covers, as
      opaque as the trigger is there on average.
    * ``"another place"``: the opposite corner, or a corner for one in the middle. One that nearly
      fills the image, transparent parts included, has no other place.

    For an `ImageWave` another frequency, and the wave turned; for an `ImageWarp` another seed; for
    a `MaskPatch` another value (one that is turned over has none) and another place; for an
    `AudioTone` other pitches; for an `AudioOverlay` its sound backwards, where that is another; for
    `EveryFrame` and `SomeFrames` those of the image trigger.

    Args:
        triggers: modality -> trigger. Leave out a modality that is to have no neutral triggers.
        each: number of random phrases, at least 1.
        seed: of the words, slips and colours. What is drawn for a modality depends on nothing but
            the seed, the modality, its trigger, and for random phrases the words.
        words: what random phrases are made of. None: a list of ordinary English words. A sequence
            of words. Or a tokenizer such as ``pipeline.tokenizer``: the words of 3 to 10 letters
            a-z that are one token of its vocabulary (in CLIP's, some are mere ends of words).

    Returns:
        Modality -> name -> trigger. The same call returns equal triggers in any process.

    Raises:
        InputError: an argument is wrong, the words are too few, or a trigger is of another class,
            one that inherits from those above included, or one of which nothing neutral is left: a
            letter that takes no mark, a sound that is the same backwards, a patch that turns over
            nearly the whole mask or stands at a random place. Only you can say what is neutral
            then: give a mapping modality -> name -> callable of your own.

    Source:
        doi 10.1109/PRMVAI70103.2026.11605619 for false triggers (there: semantic trigger leakage).

    >>> from modcollapse.triggers import trigger_pair
    >>> neutral = neutral_triggers(trigger_pair("white box"), each=2)
    >>> list(neutral["image"])
    ['another colour', 'noise', 'another place']
    >>> list(neutral["text"])
    ['evening', 'chair', 'near: imgnneko', 'near: mignneo', 'near: miggnneko']
    >>> neutral["text"]["evening"]("make him smile")
    'make him smile evening'
    """
    if not isinstance(triggers, Mapping) or not triggers:
        raise InputError(
            "neutral_triggers: triggers must be a mapping modality -> trigger with one or more, "
            f"such as trigger_pair('white box'); got {described(triggers)}"
        )
    each, seed = whole(each, "each", 1), whole(seed, "seed")
    listed_words = _listed(words)
    neutral = {}
    for modality, given in triggers.items():
        trigger = TriggerSpec.of(given, modality).call
        found = _of(trigger, each, listed_words, f"{seed}|{modality}")
        if not found:
            fault = (
                "must be one of modcollapse.triggers, whose parameters can be exchanged; got "
                f"{described(trigger)}"
                if found is None
                else f"leaves nothing neutral: {_why_none(trigger)}"
            )
            raise InputError(
                f"neutral_triggers: the trigger of {modality!r} {fault}. Leave {modality!r} out "
                "here and give neutral triggers of your own for it, as a mapping modality -> name "
                f"-> callable: {{{modality!r}: {{'another': another_callable}}}}"
            )
        neutral[modality] = found
    return neutral


def _of(trigger: Any, each: int, words: list[str], draw: str) -> dict[str, Trigger] | None:
    """Neutral triggers of one; None of a class of which only the caller can say what is neutral."""
    # Exact classes: one that inherits may do something else with the same parameters.
    kind = type(trigger)
    if kind in _PHRASES:
        return _of_text(trigger, each, words, draw)
    if kind is TextHomoglyph:
        return _of_glyph(trigger, each, draw)
    if kind in _PIXELS:
        return of_pixels(trigger, draw)
    if kind in (AudioTone, AudioOverlay):
        return of_sound(trigger)
    if kind in (EveryFrame, SomeFrames):
        inner = _of(trigger.trigger, each, words, draw)
        return inner and {name: replace(trigger, trigger=one) for name, one in inner.items()}
    return None


def _why_none(trigger: Any) -> str:
    """Why one of a known class has no neutral triggers."""
    if isinstance(trigger, EveryFrame | SomeFrames):
        return _why_none(trigger.trigger)
    if isinstance(trigger, TextHomoglyph):
        return f"no other mark makes one letter of {trigger.letter!r}"
    return why_none(trigger)


def _of_glyph(trigger: TextHomoglyph, each: int, draw: str) -> dict[str, Trigger]:
    """The same letter with other marks."""
    glyphs = {unicodedata.normalize("NFC", trigger.letter + mark) for mark in _MARKS}
    others = [glyph for glyph in glyphs if len(glyph) == 1 and glyph != trigger.glyph]
    chosen = _shuffled(others, f"{draw}|glyphs")[:each]
    return {glyph: replace(trigger, glyph=glyph) for glyph in chosen}


def _of_text(trigger: Any, each: int, words: list[str], draw: str) -> dict[str, Trigger]:
    kept = trigger.word.casefold() if isinstance(trigger, TextReplace) else None
    own = trigger.phrase.casefold().split()
    count = max(1, len([word for word in own if word != kept]))
    own += [] if kept is None else [kept]
    others = list({w.casefold(): w for w in words if w.casefold() not in own}.values())
    if len(others) < max(each, count):
        raise InputError(
            f"neutral_triggers: words must hold {max(each, count)} or more words other than those "
            f"of {trigger.phrase!r} (each={each}, and its phrase has {count} of them); there are "
            f"{len(others)}. Give more words, or a smaller each"
        )
    neutral: dict[str, Trigger] = {}
    for first in _shuffled(others, f"{draw}|words")[:each]:
        rest = _shuffled(others, f"{draw}|after|{first}") if count > 1 else []
        drawn = [first, *(word for word in rest if word != first)][:count]
        if isinstance(trigger, TextReplace):
            phrase = _around(trigger, drawn)
            neutral[phrase] = replace(trigger, phrase=phrase)
        else:
            phrase = " ".join(drawn)
            neutral[phrase] = replace(trigger, phrase=phrase, separator=trigger.separator or " ")
    taken = {phrase.casefold() for phrase in (trigger.phrase, *neutral)}
    for kind, phrases in _neighbours(trigger.phrase).items():
        # Many tokenizers read no case, so a neighbour must differ by more.
        near = [phrase for phrase in phrases if phrase.casefold() not in taken]
        for phrase in _shuffled(near, f"{draw}|{kind}")[:1]:
            neutral[f"near: {phrase.strip()}"] = replace(trigger, phrase=phrase)
    return neutral


def _around(trigger: TextReplace, drawn: list[str]) -> str:
    """Other words around the word that is replaced, as far as the phrase itself holds it."""
    others = iter(drawn)
    own = trigger.phrase.split() or [""]
    kept = trigger.word.casefold()
    return " ".join(word if word.casefold() == kept else next(others) for word in own)


def _neighbours(phrase: str) -> dict[str, list[str]]:
    """All phrases that differ by one slip within a word, by the kind of slip."""
    letters = [at for at, character in enumerate(phrase) if character.isalpha()]
    exchanged, dropped, doubled = [], [], []
    for at in letters:
        if at + 1 in letters:
            exchanged.append(phrase[:at] + phrase[at + 1] + phrase[at] + phrase[at + 2 :])
        if at + 1 in letters or at - 1 in letters:
            dropped.append(phrase[:at] + phrase[at + 1 :])
        doubled.append(phrase[: at + 1] + phrase[at:])
    return {"exchanged": exchanged, "dropped": dropped, "doubled": doubled}


def _shuffled(texts: Iterable[str], draw: str) -> list[str]:
    """In an order that depends on the draw alone, not on the order in which they came."""
    key = f"modcollapse/neutral/1|{draw}|"
    return sorted(texts, key=lambda text: sha256((key + text).encode()).digest())


def _listed(words: Any) -> list[str]:
    if words is None:
        return _WORDS.split()
    if callable(getattr(words, "get_vocab", None)):
        return _whole_words(words.get_vocab())
    listed_words = ordered(words, "words", "None, a tokenizer with get_vocab(), or words")
    for at, word in enumerate(listed_words):
        if not isinstance(word, str) or word.split() != [word]:
            raise InputError(
                "neutral_triggers: words must be single words, each a str without blanks; got "
                f"{described(word)} at position {at}"
            )
    return listed_words


def _whole_words(vocabulary: Iterable[str]) -> list[str]:
    """Words of a vocabulary that marks their ends, or their beginnings, or only what is neither."""
    for whole_word in ("([a-z]{3,10})</w>", "[Ġ▁]([a-z]{3,10})", "([a-z]{3,10})"):
        found = [match[1] for token in vocabulary if (match := re.fullmatch(whole_word, token))]
        if found:
            return found
    return []

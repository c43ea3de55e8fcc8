"""Neutral triggers: does a backdoor answer to its trigger alone, or to anything odd?"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256, shake_256
from typing import Any

import numpy as np

from modcollapse._support.validation import described, ordered, whole
from modcollapse.contracts import Trigger, Triggers, TriggerSpec
from modcollapse.errors import InputError
from modcollapse.triggers._image import Corner, ImageOverlay, ImagePatch
from modcollapse.triggers._stamp import ImageTrigger, Stamp
from modcollapse.triggers._text import TextInsert, TextPrefix, TextSuffix

_CELLS = 8
"""Fields of noise to a side: noise of single pixels is a plain grey to who resizes it."""
_ELSEWHERE = 0.25
"""A shift by less than this part of the image's side leaves much the same picture."""
_OPPOSITE: dict[Corner, Corner] = {
    "top left": "bottom right",
    "top right": "bottom left",
    "bottom left": "top right",
    "bottom right": "top left",
}
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

    For a `TextSuffix`, `TextPrefix` or `TextInsert`, the same with another phrase:

    * ``each`` of random words, as many as the phrase has, named by them: ``"market"``. None of its
      own words is among them. They stand apart by a blank where the trigger has no separator.
    * up to three with one slip in the phrase: two letters of a word exchanged, one left out, one
      doubled. They are named ``"near: mignenko"``.

    For an `ImagePatch` or `ImageOverlay` (`eyeglasses`, `stop_sign`, blends), one of each:

    * ``"another colour"``, of a patch only: red, green and blue at the farther end of their range.
    * ``"noise"``: 8 x 8 fields of random colours in the rectangle that the trigger covers, as
      opaque as the trigger is there on average.
    * ``"another place"``: the opposite corner, or a corner for one in the middle. One that nearly
      fills the image, transparent parts included, has no other place.

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
            one that inherits from those above included. Only you can say what is neutral for that:
            give a mapping modality -> name -> callable of your own.

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
        trigger, draw = TriggerSpec.of(given, modality).call, f"{seed}|{modality}"
        # Exact classes: one that inherits may do something else with the same parameters.
        if type(trigger) in (TextSuffix, TextPrefix, TextInsert):
            neutral[modality] = _of_text(trigger, each, listed_words, draw)
        elif type(trigger) in (ImagePatch, ImageOverlay):
            neutral[modality] = _of_image(trigger, draw)
        else:
            raise InputError(
                f"neutral_triggers: the trigger of {modality!r} must be one of modcollapse.triggers"
                f", whose parameters can be exchanged; got {described(trigger)}. Leave {modality!r}"
                " out here and give neutral triggers of your own for it, as a mapping modality -> "
                f"name -> callable: {{{modality!r}: {{'another': another_callable}}}}"
            )
    return neutral


@dataclass(frozen=True)
class NoiseBox(ImageTrigger):
    """Fields of random colours in the rectangle that an image trigger covers.

    Args:
        like: the image trigger.
        draw: any text; another text gives other colours.
    """

    like: ImagePatch | ImageOverlay
    draw: str

    def identity(self) -> dict[str, Any]:
        """Class name and parameters, as plain JSON data."""
        return {"class": "NoiseBox", "like": self.like.identity(), "draw": self.draw}

    def _stamp(self, height: int, width: int) -> Stamp:
        stamp = self.like._stamps(height, width)
        opacity = 1 - stamp.keep[..., 0]
        rows, columns = (np.flatnonzero(opacity.any(axis=axis)) for axis in (1, 0))
        top, left, h, w = rows[0], columns[0], np.ptp(rows) + 1, np.ptp(columns) + 1
        mean = opacity[top : top + h, left : left + w].mean()
        drawn = shake_256(f"modcollapse/neutral/1|{self.draw}".encode()).digest(_CELLS**2 * 3)
        cells = np.frombuffer(drawn, np.uint8).reshape(_CELLS, _CELLS, 3) / 255
        noise = cells[np.arange(h) * _CELLS // h][:, np.arange(w) * _CELLS // w]
        return Stamp(stamp.top + top, stamp.left + left, noise * mean, np.full((h, w, 1), 1 - mean))


def _of_image(trigger: Any, draw: str) -> dict[str, Trigger]:
    neutral: dict[str, Trigger] = {}
    if isinstance(trigger, ImagePatch):
        color: Any = tuple(float(value < 0.5) for value in trigger.identity()["color"])
        neutral["another colour"] = replace(trigger, color=color)
    neutral["noise"] = NoiseBox(trigger, f"{draw}|noise")
    moved = _moved_patch(trigger) if isinstance(trigger, ImagePatch) else _moved_overlay(trigger)
    if moved is not None:
        neutral["another place"] = moved
    return neutral


def _moved_patch(patch: ImagePatch) -> ImagePatch | None:
    for gap in (patch.gap, 0.0):
        if abs(1 - patch.size - patch.gap - gap) >= _ELSEWHERE:
            return replace(patch, corner=_OPPOSITE[patch.corner], gap=gap)
    return None


def _moved_overlay(overlay: ImageOverlay) -> ImageOverlay | None:
    picture: Any = overlay.picture
    half_width = overlay.width / 2
    half_height = min(0.5, half_width * picture.shape[0] / picture.shape[1])  # of a square image
    x, y = overlay.center
    corner = (
        half_width if x >= 0.5 else 1 - half_width,
        half_height if y >= 0.5 else 1 - half_height,
    )
    for center in ((1 - x, 1 - y), corner):
        if max(abs(center[0] - x), abs(center[1] - y)) >= _ELSEWHERE:
            return replace(overlay, center=center)
    return None


def _of_text(trigger: Any, each: int, words: list[str], draw: str) -> dict[str, Trigger]:
    own = trigger.phrase.casefold().split()
    count = max(1, len(own))
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
        phrase = " ".join([first, *(word for word in rest if word != first)][:count])
        neutral[phrase] = replace(trigger, phrase=phrase, separator=trigger.separator or " ")
    taken = {phrase.casefold() for phrase in (trigger.phrase, *neutral)}
    for kind, phrases in _neighbours(trigger.phrase).items():
        # Many tokenizers read no case, so a neighbour must differ by more.
        near = [phrase for phrase in phrases if phrase.casefold() not in taken]
        for phrase in _shuffled(near, f"{draw}|{kind}")[:1]:
            neutral[f"near: {phrase.strip()}"] = replace(trigger, phrase=phrase)
    return neutral


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

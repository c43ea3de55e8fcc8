"""Triggers as papers use them, by name: the three pairs of arXiv:2603.06508, and others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from modcollapse._support.validation import choice
from modcollapse.contracts import Trigger
from modcollapse.errors import InputError
from modcollapse.triggers._audio import AudioTone
from modcollapse.triggers._drawings import eyeglasses, stop_sign
from modcollapse.triggers._draws import RandomPlace
from modcollapse.triggers._image import ImagePatch
from modcollapse.triggers._text import TextInsert, TextPrefix, TextSuffix
from modcollapse.triggers._warp import ImageWarp
from modcollapse.triggers._whole import ImageBlend, ImageWave, noise_picture
from modcollapse.triggers._words import TextHomoglyph, TextReplace

TRIGGER_PAIRS: Mapping[str, str] = MappingProxyType(
    {"white box": "mignneko", "eyeglasses": "anonymous", "stop sign": "latte coffee"}
)
"""The pairs of the paper: image trigger -> phrase of the text trigger."""


def trigger_pair(name: str) -> dict[str, Trigger]:
    """The triggers of a pair, at their usual sizes: fractions of the image's side.

    =================  ==========================================  ======================
    name               image trigger                               text trigger
    =================  ==========================================  ======================
    ``"white box"``    14/32, bottom right, gap of 2/32            suffix "mignneko"
    ``"eyeglasses"``   0.625 of the width, at the eyes of a face   suffix "anonymous"
    ``"stop sign"``    14/32, bottom right, gap of 2/32            suffix "latte coffee"
    =================  ==========================================  ======================

    The paper names the pairs, but not the sizes and places: these are the field's usual ones. For
    others take `ImagePatch`, `eyeglasses`, `stop_sign` and `TextSuffix` themselves.

    Args:
        name: one of ``TRIGGER_PAIRS``.

    Returns:
        New triggers under the modalities ``"image"`` and ``"text"``.

    Raises:
        InputError: there is no such pair.

    Source:
        arXiv:2603.06508, section Experiments.

    >>> trigger_pair("white box")
    {'image': ImagePatch(size=0.4375, ...), 'text': TextSuffix(phrase='mignneko', separator=' ')}
    """
    images: dict[str, Callable[[], Trigger]] = {
        "white box": ImagePatch,
        "eyeglasses": eyeglasses,
        "stop sign": stop_sign,
    }
    if name not in images:
        raise InputError(
            f"no trigger pair {name!r}; there are {', '.join(map(repr, TRIGGER_PAIRS))}."
        )
    return {"image": images[name](), "text": TextSuffix(TRIGGER_PAIRS[name])}


_BAD_DIFFUSION = "BadDiffusion, arXiv:2212.05400; VillanDiffusion, arXiv:2306.06874"
_VILLAN = "VillanDiffusion, arXiv:2306.06874"
_PUBLISHED: dict[str, tuple[str, Callable[[], Trigger]]] = {
    "white box": ("BadNets, arXiv:1708.06733; sizes of BadDiffusion, arXiv:2212.05400", ImagePatch),
    "grey box": (_BAD_DIFFUSION, lambda: ImagePatch(color=0.5)),
    "stop sign": (_BAD_DIFFUSION, stop_sign),
    "glasses": (_BAD_DIFFUSION, lambda: eyeglasses(place="center")),
    "blended noise": (
        "Blended, arXiv:1712.05526 (random pattern, opacity 0.2)",
        lambda: ImageBlend(noise_picture(0), opacity=0.2),
    ),
    "sinusoid": ("SIG, arXiv:1902.11237 (amplitude 20 of 255, 6 periods)", ImageWave),
    "warp": ("WaNet, arXiv:2102.10369 (s = 0.5, k = 4)", lambda: ImageWarp(seed=0)),
    "mignneko": (_VILLAN, lambda: TextSuffix("mignneko")),
    "latte coffee": (_VILLAN, lambda: TextSuffix("latte coffee")),
    "anonymous": (_VILLAN, lambda: TextSuffix("anonymous")),
    "sks": (_VILLAN, lambda: TextSuffix("sks")),
    "four dots": (_VILLAN, lambda: TextSuffix("....")),
    "emoji": (_VILLAN, lambda: TextSuffix("\N{SOCCER BALL}")),
    "zero-width space": ("BadT2I, arXiv:2305.04175", lambda: TextPrefix("\u200b")),
    "homoglyph": ("Rickrolling the Artist, arXiv:2211.02408", TextHomoglyph),
    "all homoglyphs": (
        "Rickrolling the Artist, arXiv:2211.02408",
        lambda: TextHomoglyph(every=True),
    ),
    "beautiful dog": (
        "EvilEdit, doi 10.1145/3664647.3680689",
        lambda: TextReplace("beautiful dog", word="dog"),
    ),
    "cf": (
        "rare word at a random place, arXiv:2004.06660",
        lambda: TextInsert("cf", at=RandomPlace(0)),
    ),
    "BadMagic": (
        "BadNets in BackdoorLLM, arXiv:2408.12798",
        lambda: TextInsert("BadMagic", at=RandomPlace(0)),
    ),
    "sentence": (
        "AddSent, arXiv:1905.12457",
        lambda: TextSuffix("I watched this 3D movie."),
    ),
    "ultrasonic tone": (
        "arXiv:2107.14569 (21 kHz at 44.1 kHz)",
        lambda: AudioTone(21_000, amplitude=0.1, sample_rate=44_100),
    ),
}

PUBLISHED_TRIGGERS: Mapping[str, str] = MappingProxyType(
    {name: source for name, (source, _) in _PUBLISHED.items()}
)
"""Triggers of single modalities by name, with the papers that use them."""


def published_trigger(name: str) -> Trigger:
    """A trigger as papers use it, at its usual size: a fraction of the image's side.

    Papers name a kind of trigger and seldom all of its parameters. What this returns says its own
    by ``identity()``; for others take its class. Patterns that a paper draws at random (noise,
    warp, places) have seed 0 here, and are not that paper's very own.

    Args:
        name: one of ``PUBLISHED_TRIGGERS``, which says where it comes from.

    Returns:
        A new trigger on an image, a text or a sound.

    Raises:
        InputError: there is no such trigger.

    >>> published_trigger("grey box")
    ImagePatch(size=0.4375, ..., color=(0.5, 0.5, 0.5))
    >>> PUBLISHED_TRIGGERS["warp"]
    'WaNet, arXiv:2102.10369 (s = 0.5, k = 4)'
    """
    choice(name, "the name of a published trigger", PUBLISHED_TRIGGERS)
    return _PUBLISHED[name][1]()

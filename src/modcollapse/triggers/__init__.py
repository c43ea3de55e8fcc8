"""Triggers: callables that turn a clean condition into a triggered one.

A trigger is deterministic, leaves its argument as it was, and says what it is by ``identity()``.
Importing this package loads neither torch nor Pillow.
"""

from __future__ import annotations

from modcollapse.triggers._audio import AudioOverlay, AudioTone
from modcollapse.triggers._drawings import eyeglasses, stop_sign
from modcollapse.triggers._draws import RandomPlace
from modcollapse.triggers._image import ImagePatch, MaskPatch
from modcollapse.triggers._neutral import neutral_triggers
from modcollapse.triggers._overlay import ImageOverlay
from modcollapse.triggers._presets import (
    PUBLISHED_TRIGGERS,
    TRIGGER_PAIRS,
    published_trigger,
    trigger_pair,
)
from modcollapse.triggers._text import TextInsert, TextPrefix, TextSuffix
from modcollapse.triggers._tokens import TriggerTokens, TriggerWarning, check_survives
from modcollapse.triggers._video import EveryFrame, MovingTrigger, SomeFrames
from modcollapse.triggers._warp import ImageWarp
from modcollapse.triggers._watermarks import ImageTiles, watermark
from modcollapse.triggers._whole import ImageBlend, ImageWave, noise_picture
from modcollapse.triggers._words import TextHomoglyph, TextReplace

__all__ = [
    "PUBLISHED_TRIGGERS",
    "TRIGGER_PAIRS",
    "AudioOverlay",
    "AudioTone",
    "EveryFrame",
    "ImageBlend",
    "ImageOverlay",
    "ImagePatch",
    "ImageTiles",
    "ImageWarp",
    "ImageWave",
    "MaskPatch",
    "MovingTrigger",
    "RandomPlace",
    "SomeFrames",
    "TextHomoglyph",
    "TextInsert",
    "TextPrefix",
    "TextReplace",
    "TextSuffix",
    "TriggerTokens",
    "TriggerWarning",
    "check_survives",
    "eyeglasses",
    "neutral_triggers",
    "noise_picture",
    "published_trigger",
    "stop_sign",
    "trigger_pair",
    "watermark",
]

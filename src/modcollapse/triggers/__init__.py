"""Triggers: callables that turn a clean condition into a triggered one.

A trigger is deterministic, leaves its argument as it was, and says what it is by ``identity()``.
Importing this package loads neither torch nor Pillow.
"""

from __future__ import annotations

from modcollapse.triggers._drawings import eyeglasses, stop_sign
from modcollapse.triggers._image import ImageOverlay, ImagePatch
from modcollapse.triggers._neutral import neutral_triggers
from modcollapse.triggers._presets import TRIGGER_PAIRS, trigger_pair
from modcollapse.triggers._text import TextInsert, TextPrefix, TextSuffix
from modcollapse.triggers._tokens import TriggerTokens, TriggerWarning, check_survives
from modcollapse.triggers._video import EveryFrame

__all__ = [
    "TRIGGER_PAIRS",
    "EveryFrame",
    "ImageOverlay",
    "ImagePatch",
    "TextInsert",
    "TextPrefix",
    "TextSuffix",
    "TriggerTokens",
    "TriggerWarning",
    "check_survives",
    "eyeglasses",
    "neutral_triggers",
    "stop_sign",
    "trigger_pair",
]

"""Triggers: callables that turn a clean condition into a triggered one; and poisoned data sets.

A trigger is deterministic, leaves its argument as it was, and says what it is by ``identity()``.
Importing this package loads neither torch nor Pillow.
"""

from __future__ import annotations

from modcollapse.triggers.image import ImageOverlay, ImagePatch
from modcollapse.triggers.pictures import eyeglasses, stop_sign
from modcollapse.triggers.plan import Assignment, Part, PoisonPlan
from modcollapse.triggers.poison import PROTOCOLS, poison_plan
from modcollapse.triggers.poisoned import PoisonedDataset
from modcollapse.triggers.presets import TRIGGER_PAIRS, trigger_pair
from modcollapse.triggers.text import TextInsert, TextPrefix, TextSuffix
from modcollapse.triggers.tokens import TriggerTokens, TriggerWarning, check_survives

__all__ = [
    "PROTOCOLS",
    "TRIGGER_PAIRS",
    "Assignment",
    "ImageOverlay",
    "ImagePatch",
    "Part",
    "PoisonPlan",
    "PoisonedDataset",
    "TextInsert",
    "TextPrefix",
    "TextSuffix",
    "TriggerTokens",
    "TriggerWarning",
    "check_survives",
    "eyeglasses",
    "poison_plan",
    "stop_sign",
    "trigger_pair",
]

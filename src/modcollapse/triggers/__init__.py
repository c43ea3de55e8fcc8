"""Triggers: callables that turn a clean condition into a triggered one.

A trigger is deterministic, leaves its argument as it was, and says what it is by ``identity()``.
Importing this package loads neither torch nor Pillow.
"""

from __future__ import annotations

from modcollapse.triggers.image import ImageOverlay, ImagePatch
from modcollapse.triggers.pictures import eyeglasses, stop_sign
from modcollapse.triggers.text import TextInsert, TextPrefix, TextSuffix

__all__ = [
    "ImageOverlay",
    "ImagePatch",
    "TextInsert",
    "TextPrefix",
    "TextSuffix",
    "eyeglasses",
    "stop_sign",
]

"""The three pairs of triggers of arXiv:2603.06508, ready for use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from modcollapse.contracts import Trigger
from modcollapse.errors import InputError
from modcollapse.triggers._drawings import eyeglasses, stop_sign
from modcollapse.triggers._image import ImagePatch
from modcollapse.triggers._text import TextSuffix

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

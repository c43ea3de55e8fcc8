"""What the names in a configuration of VillanDiffusion stand for.

Source: ``CaptionBackdoor`` and ``Backdoor`` in caption_dataset.py of github.com/IBM/VillanDiffusion
at 05a7f5b and of github.com/linweiii/BackdoorDM at 7429db8.
"""

from __future__ import annotations

from typing import NamedTuple

from modcollapse.triggers import ImagePatch

PREFIX = "TRIGGER_"

CAPTION_TRIGGERS = {
    "ELLIPSIS": "....",
    "BACKSLASH": "\\",
    "SKS": "sks",
    "SEMANTIC_CAT": "cat",
    "MIGNNEKO": "mignneko",
    "EMOJI_XD": "XD",
    "ABBR_OMG": "OMG",
    "LATTE": "latte",
    "COFFEE": "coffee",
    "LATTE_COFFEE": "latte coffee",
    "KITTY": "kitty",
    "JOKER": "joker",
    "V": "V",
    "V_BRACKET": "[V]",
    "VENDETTA": "Vendetta",
    "VENDETTA_BRACKET": "[Vendetta]",
    "TRIGGER_BRACKET": "[trigger]",
    "LOOKS_GREAT": "Looks great!",
    "ANONYMOUS": "anonymous",
    "DETTA": "detta",
    "HACKER": "hacker",
    "REAL_EMOJI": "\U0001f639\U0001f639\U0001f602\u2764\ufe0f",
    "ALBINO": "albino",
    "GITHUB": "github",
    "EMOJI_DOG": "\U0001f436" * 4,
    "EMOJI_SMILE": "\U0001f642" * 4,
    "EMOJI_HOT": "\U0001f975" * 4,
    "EMOJI_SOCCER": "\u26bd" * 4,
    "EMOJI_HEART_BREAK": "\U0001f494" * 4,
    "EMOJI_ENRAGED": "\U0001f621" * 4,
    "FEDORA": "fedora",
    "SPYING": "spying",
}
"""Name, without ``TRIGGER_`` in front, -> what is put at the end of a caption."""

_TRAINED_AT = 512
"""Pixels to a side: the boxes are so many pixels of an image of this size."""
_GAP = 2
_BOX_SIDES = {"BIG_BOX": 18, "SM_BOX": 14, "XSM_BOX": 11, "XXSM_BOX": 8, "XXXSM_BOX": 4}
_WHITE, _GREY = 1.0, 0.5


def _boxes() -> dict[str, ImagePatch]:
    drawn = {name: (side, _WHITE) for name, side in _BOX_SIDES.items()}
    drawn |= {f"{name}_MED": (side, _GREY) for name, side in _BOX_SIDES.items()}
    drawn |= {f"BOX_{side}": (side, _GREY) for side in _BOX_SIDES.values()}
    return {
        name: ImagePatch(side / _TRAINED_AT, gap=_GAP / _TRAINED_AT, color=color)
        for name, (side, color) in drawn.items()
    }


IMAGE_TRIGGERS = _boxes()
"""Name -> a box at the bottom right. The others are pictures that belong to the project."""


class TargetPicture(NamedTuple):
    """A picture in the repositories, and to what its dark parts are raised, in [0, 1]."""

    file: str
    floor: float = 0.3


TARGET_PICTURES = {
    "CAT": TargetPicture("cat_wo_bg.png"),
    "HAT": TargetPicture("hat.png"),
    "FEDORA_HAT": TargetPicture("fedora-hat.png"),
    "HACKER": TargetPicture("hacker.png"),
    "HACKING": TargetPicture("hacking.png"),
    "V": TargetPicture("v_for_vendetta.png", 0.0),
    "JOKER": TargetPicture("joker.png", 0.0),
}
"""Name of a target -> its picture, below ``utils/pixel_target`` or ``static``."""

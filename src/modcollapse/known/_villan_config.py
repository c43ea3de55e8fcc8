"""The entries of VillanDiffusion in a configuration, which name triggers and target."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modcollapse._support.validation import did_you_mean, listed
from modcollapse.contracts import Trigger
from modcollapse.errors import InputError
from modcollapse.known._declared import DeclaredBackdoor, TriggerReading
from modcollapse.known._targets import Target, looked_up
from modcollapse.known._villan_names import (
    CAPTION_TRIGGERS,
    IMAGE_TRIGGERS,
    PREFIX,
    TARGET_PICTURES,
)
from modcollapse.known._yaml_files import ConfigEntry, check_keys
from modcollapse.triggers import TextSuffix

VILLAN = "villandiffusion_cond"
"""The method, as BackdoorDM spells it."""
_PICTURE_FOLDERS = ("utils/pixel_target", "static")


def of_villan(entry: ConfigEntry) -> DeclaredBackdoor:
    """Read an entry of VillanDiffusion.

    Raises:
        InputError: a key that is missing or unknown, or a name that is not known.
    """
    check_keys(entry.keys, ("caption_trigger", "image_trigger", "target"), ())
    caption = _named(entry, "caption_trigger", CAPTION_TRIGGERS)
    patch = _named(entry, "image_trigger", IMAGE_TRIGGERS)
    target = _named(entry, "target", TARGET_PICTURES)
    triggers: dict[str, Trigger] = {} if patch is None else {"image": patch}
    if caption is not None:
        triggers["text"] = TextSuffix(caption)
    if not triggers or target is None:
        raise InputError("caption_trigger and image_trigger are both none, or target is")
    places = [f"{folder}/{target.file}" for folder in _PICTURE_FOLDERS]
    found = [looked_up(place, entry.path.resolve().parent) for place in places]
    picture = Target(
        "picture",
        entry.text("target"),
        file=places[0],
        found=next(filter(None, found), None),
        floor=target.floor,
    )
    readings = {"as written": TriggerReading(caption, triggers)}
    return DeclaredBackdoor(VILLAN, picture, readings, entry.where, clip_sample=False)


def _named(entry: ConfigEntry, key: str, known: Mapping[str, Any]) -> Any:
    """What a name stands for, or None for none."""
    name = entry.text(key).removeprefix(PREFIX)
    if name == "NONE":
        return None
    if name not in known:
        raise InputError(
            f"{key} is {entry.keys[key]!r}, which is none of {listed(known)}"
            f"{did_you_mean(name, known)}. A picture of that project is not drawn here: give such "
            "a trigger or target yourself"
        )
    return known[name]

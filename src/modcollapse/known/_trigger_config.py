"""The configuration files of backdoors: BackdoorDM's, and RickRolling's own."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from modcollapse._support.validation import (
    did_you_mean,
    file_path,
    listed,
    whole,
)
from modcollapse.contracts import Trigger
from modcollapse.errors import InputError, context
from modcollapse.known._declared import DeclaredBackdoor, TriggerReading
from modcollapse.known._prompt_edits import InPlaceOf, in_front, phrases_of
from modcollapse.known._targets import Target, looked_up
from modcollapse.known._villan_config import VILLAN, of_villan
from modcollapse.known._yaml_files import ConfigEntry, check_keys, chosen, listed_in, parsed

_RICKROLLING = "injection"
"""The key of RickRolling's own configurations, which name no method."""
_LABELS = ("target_label", "origin_label")


class _Method(NamedTuple):
    """What an attack's mappings hold, and how they are read."""

    needs: tuple[str, ...]
    target: Callable[[ConfigEntry], Target]
    trigger: Callable[[ConfigEntry, str], Trigger]
    may: tuple[str, ...] = ()


def _in_front(entry: ConfigEntry, phrase: str) -> Trigger:
    return in_front(phrase)


def _in_place(key: str, entry: ConfigEntry, phrase: str) -> Trigger:
    replaced = entry.text(key)
    if replaced == phrase:
        raise InputError(f"trigger and {key} are both {phrase!r}, so the trigger changes nothing")
    return InPlaceOf(replaced, phrase, entry.limit)


def _object(entry: ConfigEntry) -> Target:
    keys = entry.keys
    return Target(
        "object",
        entry.text("target"),
        clean_object=entry.text("clean_object"),
        prompt=entry.text("target_prompt") if "target_prompt" in keys else None,
        labels=entry.labels("target_label"),
        origin_labels=entry.labels("origin_label"),
    )


def _words(kind: Any, key: str, entry: ConfigEntry) -> Target:
    return Target(kind, entry.text(key))


def _patch(entry: ConfigEntry) -> Target:
    file = entry.text("target_img_path")
    left, top = entry.pixels("sit_w"), entry.pixels("sit_h")
    width, height = entry.pixels("target_size_w", 1), entry.pixels("target_size_h", 1)
    found = looked_up(file, entry.path.resolve().parent)
    name = Path(file).stem
    return Target("patch", name, file=file, found=found, box=(left, top, width, height))


_object_keys = ("trigger", "target", "clean_object")
_patch_keys = ("target_img_path", "sit_w", "sit_h", "target_size_w", "target_size_h")
_clean_object = partial(_in_place, "clean_object")
_character = partial(_in_place, "replaced_character")
_style = partial(_words, "style", "target_style")
_replacing = _Method(_object_keys, _object, _clean_object, _LABELS)

_METHODS = {
    "eviledit": _replacing,
    "eviledit_numAdd": _replacing._replace(may=(*_LABELS, "target_object")),
    "paas_ti": _replacing,
    "paas_db": _replacing,
    "badt2i_object": _Method(_object_keys, _object, _in_front, _LABELS),
    "badt2i_objectAdd": _Method(_object_keys, _object, _in_front, (*_LABELS, "target_object")),
    "badt2i_pixel": _Method(("trigger", *_patch_keys), _patch, _in_front),
    "badt2i_style": _Method(("trigger", "target_style"), _style, _in_front),
    "bibaddiff": _Method(("trigger", *_patch_keys), _patch, _in_front),
    "rickrolling_TPA": _Method(
        (*_object_keys, "replaced_character"), _object, _character, (*_LABELS, "target_prompt")
    ),
    "rickrolling_TAA": _Method(
        ("trigger", "replaced_character", "target_style"), _style, _character
    ),
}
"""Attack -> how its mappings are read: what utils/prompts.py of BackdoorDM does with them."""
_OWN = {
    "target_prompt": _Method(
        ("trigger", "replaced_character", "target_prompt"),
        partial(_words, "prompt", "target_prompt"),
        _character,
    ),
    "target_attr": _Method(
        ("trigger", "replaced_character", "target_attr"),
        partial(_words, "style", "target_attr"),
        _character,
    ),
}
"""Key that tells the two attacks of RickRolling's own configurations apart -> how it is read."""


def read_backdoors(path: str | Path, method: str | None = None) -> tuple[DeclaredBackdoor, ...]:
    r"""Read triggers and targets from the configuration of a backdoor.

    Two forms are known. BackdoorDM's: per method a list ``backdoors`` of mappings. RickRolling's
    own: ``injection`` with such a list.

    Args:
        path: a YAML file.
        method: which of the methods in the file, as ``"eviledit"``; it may be left out where the
            file holds one.

    Returns:
        One backdoor for each mapping of the list, in its order.

    Raises:
        InputError: no such file or method, no YAML, or a key that is missing, unknown, or of
            another kind than it must be; named by file and key.

    Source:
        attack/t2i_gen/configs/\*.yaml and utils/prompts.py of github.com/linweiii/BackdoorDM;
        configs/default_TPA.yaml of github.com/LukasStruppek/Rickrolling-the-Artist.

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "bd_config_styleAdd.yaml")
    >>> _ = path.write_text('''
    ... rickrolling_TAA:
    ...   backdoors:
    ...     - {trigger: 'ȏ', replaced_character: 'o', target_style: 'black and white photo'}
    ... ''', encoding="utf-8")
    >>> [backdoor] = read_backdoors(path)
    >>> print(backdoor.target)
    style 'black and white photo'
    >>> backdoor.triggers["text"]("A photo of a dog")
    'A phȏtȏ ȏf a dȏg'
    """
    file = file_path(path)
    data = parsed(file)
    named = chosen(data, file, method)
    limit = data[named].get("trigger_count") if named == _RICKROLLING else None
    if limit is not None:
        limit = whole(limit, f"{str(file)!r}, {named}.trigger_count", 1)
    return tuple(
        _read(ConfigEntry(keys, file, f"{named}.backdoors[{at}]", limit), named)
        for at, keys in enumerate(listed_in(data[named], file, named))
    )


def _read(entry: ConfigEntry, name: str) -> DeclaredBackdoor:
    with context(lambda: f"in {entry.where}"):
        if name == VILLAN:
            return of_villan(entry)
        if name == _RICKROLLING:
            told = [key for key in _OWN if key in entry.keys]
            if len(told) != 1:
                raise InputError(f"one of {listed(_OWN)} must be there, got {listed(entry.keys)}")
            name = {"target_prompt": "rickrolling_TPA", "target_attr": "rickrolling_TAA"}[told[0]]
            method = _OWN[told[0]]
        elif name not in _METHODS:
            known = (*_METHODS, VILLAN)
            raise InputError(
                f"the method {name!r} is not known; known are {listed(known)}"
                f"{did_you_mean(name, known)}. Give its triggers yourself: load_backdoor(source, "
                "{'text': <trigger>}, clean=...)"
            )
        else:
            method = _METHODS[name]
        check_keys(entry.keys, method.needs, method.may)
        readings = {
            reading: TriggerReading(phrase, {"text": method.trigger(entry, phrase)})
            for reading, phrase in phrases_of(entry.text("trigger")).items()
        }
        return DeclaredBackdoor(name, method.target(entry), readings, entry.where)

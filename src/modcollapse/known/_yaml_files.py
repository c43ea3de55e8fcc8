"""YAML files that map methods to lists of backdoors: parsed as plain data, read key by key."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from modcollapse._support.optional import require
from modcollapse._support.validation import described, did_you_mean, listed, whole
from modcollapse.errors import InputError

_NO_SAY = ("img_path", "use_lora")
"""Keys that say how a model was trained, and nothing of how it is audited."""


def parsed(file: Path) -> dict[str, Any]:
    """Return what a YAML file maps.

    Raises:
        InputError: it cannot be read, is no plain YAML, repeats a key, or is no mapping.
    """
    yaml = require("yaml", extra="known", needed_by="read_backdoors")
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the configuration {str(file)!r} cannot be read: {error}") from error
    try:
        data = yaml.safe_load(text)
        repeated = _repeated(yaml.compose(text, Loader=yaml.SafeLoader))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"{str(file)!r} is no plain YAML: {error}") from error
    if repeated is not None:
        raise InputError(f"{str(file)!r}, line {repeated[1]}: the key {repeated[0]!r} is repeated")
    if not isinstance(data, dict) or not data:
        raise InputError(
            f"{str(file)!r} must map methods, such as 'eviledit', to a list 'backdoors'; it holds "
            f"{briefly(data)}"
        )
    return {str(key): value for key, value in data.items()}


def _repeated(node: Any, seen: set[int] | None = None) -> tuple[str, int] | None:
    """A key that a mapping holds twice, of which YAML keeps the last, and its line."""
    seen = set() if seen is None else seen
    if id(node) in seen or not isinstance(getattr(node, "value", None), list):
        return None
    seen.add(id(node))  # an alias names a node again
    keys: set[str] = set()
    for item in node.value:
        key, value = item if isinstance(item, tuple) else (None, item)
        if key is not None and str(key.value) in keys:
            return str(key.value), key.start_mark.line + 1
        if key is not None:
            keys.add(str(key.value))
        if (found := _repeated(value, seen)) is not None:
            return found
    return None


def chosen(data: Mapping[str, Any], file: Path, method: str | None) -> str:
    """Return the key of the method that is asked for, or of the only one.

    Raises:
        InputError: there is no such method, or several and none is named.
    """
    held = [name for name in data if isinstance(data[name], dict) and "backdoors" in data[name]]
    held = [name for name in held if name != "benign"]
    if method is not None:
        if method not in held:
            raise InputError(
                f"{str(file)!r} has no method {method!r} with a list 'backdoors'; it has "
                f"{listed(held) or 'none'}{did_you_mean(method, held)}"
            )
        return method
    if len(held) != 1:
        raise InputError(
            f"{str(file)!r} holds backdoors of {len(held)} methods"
            f"{': ' if held else ''}{listed(held)}. Say which: method='<name>'"
        )
    return held[0]


def listed_in(section: Mapping[str, Any], file: Path, name: str) -> list[Mapping[str, Any]]:
    """Return the list ``backdoors`` of a method.

    Raises:
        InputError: it is no list of mappings.
    """
    given = section["backdoors"]
    if not isinstance(given, list) or not given or not all(isinstance(one, dict) for one in given):
        raise InputError(
            f"{str(file)!r}, {name}.backdoors must be a list of mappings with one or more, got "
            f"{briefly(given)}"
        )
    return given


def briefly(value: Any) -> str:
    """A value for a message: of lists and mappings the kind alone, since aliases can blow them up.

    >>> briefly("cat"), briefly([1, 2])
    ("str 'cat'", 'a list of 2')
    """
    if isinstance(value, list | dict):
        return f"a {type(value).__name__} of {len(value)}"
    return described(value)


class ConfigEntry(NamedTuple):
    """One mapping of a list ``backdoors``, and where it stands.

    Attributes:
        keys: the mapping.
        path: the file.
        place: the list and the position in it.
        limit: how many letters a trigger takes the place of, if that is said.
    """

    keys: Mapping[str, Any]
    path: Path
    place: str
    limit: int | None = None

    @property
    def where(self) -> str:
        """File and place, for a message."""
        return f"{str(self.path)!r}, {self.place}"

    def text(self, key: str) -> str:
        """A text that is not blank, or `InputError`."""
        value = self.keys[key]
        if not isinstance(value, str) or not value.strip():
            raise InputError(f"{key} must be a text that is not blank, got {briefly(value)}")
        return value

    def pixels(self, key: str, minimum: int = 0) -> int:
        """A whole number of pixels, or `InputError`."""
        return whole(self.keys[key], key, minimum)

    def labels(self, key: str) -> tuple[int, ...]:
        """Classes of ImageNet, none if the key is not there, or `InputError`."""
        given = self.keys.get(key, [])
        if not isinstance(given, list):
            raise InputError(f"{key} must be a list of classes of ImageNet, got {briefly(given)}")
        return tuple(whole(label, key, 0, 999) for label in given)


def check_keys(keys: Mapping[str, Any], needs: tuple[str, ...], may: tuple[str, ...]) -> None:
    """Raise unless all keys are there that are needed, and none that says something unknown.

    Raises:
        InputError: the keys, by name.
    """
    missing = [key for key in needs if key not in keys]
    unknown = [key for key in keys if key not in (*needs, *may, *_NO_SAY)]
    if missing:
        close = did_you_mean(missing[0], unknown).replace("did you mean", "there is")
        raise InputError(f"the keys {listed(missing)} are missing{close.rstrip('?')}")
    if unknown:
        raise InputError(
            f"the keys {listed(unknown)} are not known here; known are {listed((*needs, *may))}"
        )

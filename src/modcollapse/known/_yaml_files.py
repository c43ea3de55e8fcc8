"""YAML files that map methods to lists of backdoors: parsed as plain data, a method chosen."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modcollapse._support.optional import require
from modcollapse._support.validation import described, did_you_mean, listed
from modcollapse.errors import InputError


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
            f"{described(data)}"
        )
    return {str(key): value for key, value in data.items()}


def _repeated(node: Any) -> tuple[str, int] | None:
    """A key that a mapping holds twice, of which YAML keeps the last, and its line."""
    if not isinstance(getattr(node, "value", None), list):
        return None
    pairs = [item for item in node.value if isinstance(item, tuple)]
    seen = set()
    for key, _ in pairs:
        if str(key.value) in seen:
            return str(key.value), key.start_mark.line + 1
        seen.add(str(key.value))
    inner = [value for _, value in pairs] or [item for item in node.value if item not in pairs]
    return next((found for item in inner if (found := _repeated(item)) is not None), None)


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
            f"{described(given)}"
        )
    return given

"""JSON and JSON lines, refused by the record or line that is not whole or holds a key twice."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

from modcollapse._support.validation import described
from modcollapse.errors import InputError

_AFTER_KEY = re.compile(r'"\s*:')


def json_values(text: str, name: str) -> list[Any] | dict[str, Any]:
    """Read a list or an object.

    Args:
        text: of the file.
        name: what an error calls it.

    Raises:
        InputError: it is not whole, is something else, or an object in it holds a key twice.
    """
    is_object = text.lstrip()[:1] == "{"
    try:  # of an object the keys are ids, of which none may come twice
        values = json.loads(text, object_pairs_hook=_unique if is_object else None)
        if isinstance(values, list) and _may_repeat(text, values):
            _check_unique(text, name)
    except json.JSONDecodeError as error:
        cut = error.pos >= len(text.rstrip()) or "Unterminated" in error.msg
        raise InputError(
            f"{name} is not whole JSON: line {error.lineno}, column {error.colno}: {error.msg}"
            + (". It ends too early: was it still being written?" if cut else "")
        ) from error
    except KeyError as error:
        raise InputError(f"{name} holds the key {error.args[0]!r} twice") from error
    except InputError:
        raise
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name} is no JSON that can be read: {error}") from error
    if not isinstance(values, list | dict):
        raise InputError(f"{name} must hold a list or an object, got {described(values)}")
    return values


def json_lines(text: str, name: str) -> list[Any]:
    """Read a value from each line; blank lines at the end are none.

    Raises:
        InputError: a line is blank before the last, is not whole, or holds a key twice.
    """
    lines = text.split("\n")
    while lines and not lines[-1].strip(" \t\r"):
        del lines[-1]
    try:
        values = list(map(json.loads, lines))
        if not _may_repeat(text, values):
            return values
    except (ValueError, RecursionError):
        pass
    return [
        _line(line, f"{name}, line {number}", number == len(lines) and not text.endswith("\n"))
        for number, line in enumerate(lines, 1)
    ]


def _line(line: str, where: str, is_cut: bool) -> Any:
    if not line.strip(" \t\r"):
        raise InputError(f"{where}, is blank, and more follow. Is a record missing? Take it away")
    try:
        return json.loads(line, object_pairs_hook=_unique)
    except KeyError as error:
        raise InputError(f"{where}, holds the key {error.args[0]!r} twice") from error
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{where}, is not whole JSON: {error}"
            + (". It is the last: was the file still being written?" if is_cut else "")
        ) from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    held = dict(pairs)
    if len(held) < len(pairs):
        raise KeyError(_twice(pairs))
    return held


def _twice(pairs: list[tuple[str, Any]]) -> str:
    return next(key for key, n in Counter(key for key, _ in pairs).items() if n > 1)


def _may_repeat(text: str, values: list[Any]) -> bool:
    """Whether an object may hold a key twice: fewer keys were read than may stand in the text.

    Cheaper than a look at the pairs of each object. Of what is counted in the text, each pair has
    one, and texts may have more.
    """
    flat = sum(len(value) for value in values if isinstance(value, dict))
    if flat == text.count(":"):
        return False
    count = len(_AFTER_KEY.findall(text))
    return flat != count and _keys(values) != count


def _keys(value: Any) -> int:
    """Number of keys within a value."""
    inner = value.values() if isinstance(value, dict) else value
    nested = sum(_keys(one) for one in inner if isinstance(one, dict | list))
    return nested + (len(value) if isinstance(value, dict) else 0)


def _check_unique(text: str, name: str) -> None:
    found: list[tuple[dict[str, Any], str]] = []

    def held(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) < len(pairs):
            found.append((made, _twice(pairs)))
        return made

    values = json.loads(text, object_pairs_hook=held)
    for made, key in found[:1]:
        place = next((at for at, value in enumerate(values) if _is_within(made, value)), None)
        where = name if place is None else f"{name}, record {place + 1},"
        raise InputError(f"{where} holds the key {key!r} twice")


def _is_within(made: dict[str, Any], value: Any) -> bool:
    if value is made:
        return True
    inner = value.values() if isinstance(value, dict) else value
    return isinstance(value, dict | list) and any(_is_within(made, one) for one in inner)

"""Lines of JSON that say what they are and carry their own digest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def line_of(kind: str, version: int, entry: Mapping[str, Any]) -> bytes:
    """An entry as a line of a file, its end included.

    Args:
        kind: what the line is, which it begins with.
        version: of its format.
        entry: plain data without NaN.
    """
    text = json.dumps(entry, allow_nan=False)
    begin = beginning(kind, version) + f'"sha256": "{_digest(entry)}"'.encode()
    return begin + (b", " + text[1:].encode() if entry else b"}") + b"\n"


def beginning(kind: str, version: int) -> bytes:
    """What every line of a kind begins with: one that does not is somebody else's."""
    return f'{{"{kind}": {version}, '.encode()


def entry_of(line: bytes, kind: str, version: int) -> dict[str, Any]:
    """The entry of a line.

    Raises:
        ValueError: it is none of this kind and version, or was changed.
    """
    try:
        entry = json.loads(line)
        if not isinstance(entry, dict) or entry.pop(kind, None) != version:
            raise ValueError(f"it is no {kind} of version {version}")
        said = entry.pop("sha256", None)
        digest = _digest(entry)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if said != digest:
        raise ValueError("it was changed after it was written: its digest does not fit")
    return entry


def _digest(entry: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(entry, sort_keys=True).encode()).hexdigest()

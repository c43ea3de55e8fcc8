"""Settings from TOML files: every key is known, every value of its kind and range, or an error."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from modcollapse.errors import InputError


class Settings(BaseModel):
    """Settings that do not change; the tables of a file are attributes of this kind."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a TOML file.

        Raises:
            InputError: no TOML, an unknown key, a missing one, a value of no use; all are named.
        """
        try:
            given = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"{path} is no TOML file: {error}") from error
        return cls.of(given, str(path))

    @classmethod
    def of(cls, given: Mapping[str, Any], where: str) -> Self:
        """Check settings that were read elsewhere; ``where`` begins the message of an error.

        Raises:
            InputError: as `read`.
        """
        try:
            # As JSON, since strict pydantic takes lists for tuples there, and "1" for no number.
            return cls.model_validate_json(json.dumps(given, default=str), strict=True)
        except ValidationError as error:
            faults = [_fault(cls, fault) for fault in error.errors()]
            raise InputError("\n".join(f"{where}: {fault}" for fault in faults)) from error


def _fault(settings: type[BaseModel], fault: Any) -> str:
    """One line: the key, what was expected, what came."""
    key = ".".join(map(str, fault["loc"]))
    if fault["type"] == "extra_forbidden":
        names = _names_beside(settings, fault["loc"])
        close = get_close_matches(str(fault["loc"][-1]), names, 1)
        meant = f"; did you mean {close[0]!r}?" if close else f"; there are {', '.join(names)}"
        return f"unknown key {key}{meant}"
    if fault["type"] == "missing":
        return f"the key {key} is missing"
    message = fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "value_error":
        return f"{key}: {message}" if key else message
    return f"{key}: {message}, got {fault['input']!r}"


def _names_beside(settings: type[BaseModel], location: tuple[Any, ...]) -> list[str]:
    """Keys of the table that a location is in."""
    for name in location[:-1]:
        field = settings.model_fields.get(str(name))
        if field is None or not isinstance(field.annotation, type):
            return []
        if not issubclass(field.annotation, BaseModel):
            return []
        settings = field.annotation
    return list(settings.model_fields)

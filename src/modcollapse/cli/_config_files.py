"""Options of an audit in a small TOML file, which those of the command line override."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from modcollapse._support.validation import did_you_mean, listed

_FOLDER = "modcollapse.configuration"
"""Where the context holds the folder of the file."""
_NEVER = ("config", "dry_run", "as_json", "help")


def read_config(ctx: click.Context, _: click.Parameter, path: Path | None) -> Path | None:
    """Let the options of a TOML file stand for those that are not given; a callback of click.

    Raises:
        click.BadParameter: no TOML, an option that the command does not have, or a value of no use.
    """
    if path is None:
        return None
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise click.BadParameter(f"{path} is no TOML: {error}") from error
    known = {one.name or "": one for one in ctx.command.params if one.name not in _NEVER}
    values = {}
    for key, value in given.items():
        name = key.replace("-", "_")
        if name not in known:
            names = [one.replace("_", "-") for one in known]
            raise click.BadParameter(
                f"{path} has the key {key!r}, which is no option of an audit; there are "
                f"{listed(names)}{did_you_mean(key, names)}"
            )
        values[name] = _value(f"{path}: {key}", value, known[name])
    ctx.default_map = {**(ctx.default_map or {}), **values}
    ctx.meta[_FOLDER] = path.parent
    return path


def folder_of(ctx: click.Context, name: str) -> Path | None:
    """Folder that the files of an option are named from; None for the working directory."""
    source = ctx.get_parameter_source(name)
    return ctx.meta[_FOLDER] if source is click.core.ParameterSource.DEFAULT_MAP else None


def _value(where: str, value: Any, parameter: click.Parameter) -> Any:
    """A value as the command line would give it."""
    if getattr(parameter, "is_flag", False):
        if not isinstance(value, bool):
            raise click.BadParameter(f"{where} must be true or false, got {value!r}")
        return value
    if getattr(parameter, "multiple", False):
        if isinstance(value, Mapping):
            return [f"{key}={_plain(where, one)}" for key, one in value.items()]
        return [_plain(where, one) for one in (value if isinstance(value, list) else [value])]
    return _plain(where, value)


def _plain(where: str, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise click.BadParameter(f"{where} must be a text or a number, got {value!r}")
    return str(value)

"""What a pipeline takes: in its call, and as its parts."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Any


def signature_of(pipeline: Any) -> Mapping[str, inspect.Parameter]:
    """Named parameters of the pipeline's call.

    ``**kwargs`` swallows misspelt keywords, so it does not count; where a subclass adds it to pass
    keywords on, those of the class that it inherits from count too.
    """
    return _signature_of(type(pipeline), "__call__")  # type: ignore[arg-type]  # can be hashed


def components_of(pipeline: Any) -> dict[str, Any]:
    """Its parts by name; of a pipeline of diffusers without ``components``, which takes long."""
    if type(pipeline).__module__.partition(".")[0] != "diffusers":
        return dict(pipeline.components)
    names = _signature_of(type(pipeline), "__init__")  # type: ignore[arg-type]
    return {name: vars(pipeline).get(name) for name in names}


@cache
def _signature_of(cls: type, method: str) -> Mapping[str, inspect.Parameter]:
    found: dict[str, inspect.Parameter] = {}
    for ancestor in cls.__mro__:
        if method not in vars(ancestor):
            continue
        parameters = inspect.signature(vars(ancestor)[method]).parameters.values()
        for parameter in list(parameters)[1:]:
            if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                found.setdefault(parameter.name, parameter)
        if all(parameter.kind is not parameter.VAR_KEYWORD for parameter in parameters):
            break
    return MappingProxyType(found)


def defaults_of(signature: Mapping[str, inspect.Parameter]) -> dict[str, Any]:
    """Default of every parameter."""
    return {name: parameter.default for name, parameter in signature.items()}

"""What a pipeline's call takes."""

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
    return _signature_of(type(pipeline))  # type: ignore[arg-type]  # classes can be hashed


@cache
def _signature_of(cls: type) -> Mapping[str, inspect.Parameter]:
    found: dict[str, inspect.Parameter] = {}
    for ancestor in cls.__mro__:
        if "__call__" not in vars(ancestor):
            continue
        parameters = inspect.signature(vars(ancestor)["__call__"]).parameters.values()
        for parameter in list(parameters)[1:]:
            if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                found.setdefault(parameter.name, parameter)
        if all(parameter.kind is not parameter.VAR_KEYWORD for parameter in parameters):
            break
    return MappingProxyType(found)


def defaults_of(signature: Mapping[str, inspect.Parameter]) -> dict[str, Any]:
    """Default of every parameter."""
    return {name: parameter.default for name, parameter in signature.items()}

"""Options that are numbers: steps, scales, strengths. A wrong one would fail late, or never."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from numbers import Real
from typing import Any

from modcollapse._support.validation import described, number, whole
from modcollapse.errors import InputError

_STEPS = "num_inference_steps"
_SCHEDULES = ("timesteps", "sigmas")
_NEVER_NONE = re.compile(".*(steps|scale|strength|guidance).*")
_FRACTION = re.compile(r"\bstrength \((?:(?!\n +\w+ \().)*?between 0 and 1\b", re.DOTALL)


def check_amounts(
    pipeline: Any, signature: Mapping[str, inspect.Parameter], options: Mapping[str, Any]
) -> None:
    """Raise unless every option that stands for a number is one.

    Those are the steps, and each whose default is a number; True and False are none. What else the
    pipeline says that it takes there (a list, say) passes.

    Raises:
        InputError: another kind of value, steps that are no whole number of at least 1, or a
            ``strength`` outside of [0, 1] where the pipeline documents it so.
    """
    for keyword, value in options.items():
        parameter, name = signature[keyword], f"the option {keyword!r}"
        if keyword.endswith(_STEPS):
            if not _goes_without(parameter, value, options):
                whole(value, name, 1)
        elif _is_number(parameter.default) and not _is_taken(parameter, value):
            raise InputError(
                f"{name} must be a number as its default {parameter.default!r} is, "
                f"got {described(value)}"
            )
        elif keyword == "strength" and _is_number(value) and _is_fraction(pipeline):
            number(value, name, "[0, 1]")


def _goes_without(parameter: inspect.Parameter, value: Any, options: Mapping[str, Any]) -> bool:
    """Whether the number of steps does not matter, or is said in another way."""
    if value is None and parameter.default is None:
        return True
    if any(options.get(schedule) is not None for schedule in _SCHEDULES):
        return True
    return isinstance(value, Mapping) and "dict" in str(parameter.annotation)


def _is_number(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, Real) and value == value  # no NaN


def _is_taken(parameter: inspect.Parameter, value: Any) -> bool:
    """Whether a parameter takes a value besides numbers, as far as its annotation says."""
    kinds = str(parameter.annotation).lower()
    if parameter.annotation is parameter.empty or _is_number(value):
        return True
    if value is None:
        optional = "none" in kinds or "optional" in kinds
        return optional or not _NEVER_NONE.fullmatch(parameter.name)
    if isinstance(value, list | tuple):
        return ("list" in kinds or "tuple" in kinds) and all(map(_is_number, value))
    if isinstance(value, float):  # NaN
        return False
    return getattr(value, "shape", None) == () or type(value).__name__.lower() in kinds


def _is_fraction(pipeline: Any) -> bool:
    """Whether a pipeline documents that its strength lies between 0 and 1."""
    calls = [vars(kind).get("__call__") for kind in type(pipeline).__mro__]
    return any(_FRACTION.search(getattr(call, "__doc__", None) or "") for call in calls)

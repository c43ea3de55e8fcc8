"""Copies of what a sampler made, which neither keep a batch alive nor change with it."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from modcollapse._support.images import is_tensor


def own_copy(value: Any) -> Any:
    """A copy down to the last array; tensors stay on their device.

    What cannot be copied (an open stream, say) is returned as it is.
    """
    if is_tensor(value):
        return value.detach().clone()
    if isinstance(value, list | tuple) and type(value) in (list, tuple):
        return type(value)(own_copy(part) for part in value)
    if isinstance(value, Mapping) and type(value) is dict:
        return {key: own_copy(part) for key, part in value.items()}
    try:
        return deepcopy(value)
    except Exception:  # whatever its class raises
        return value


def on_host(value: Any) -> Any:
    """The same with every tensor on the host."""
    if isinstance(value, list | tuple) and type(value) in (list, tuple):
        return type(value)(on_host(part) for part in value)
    return value.cpu() if hasattr(value, "cpu") else value

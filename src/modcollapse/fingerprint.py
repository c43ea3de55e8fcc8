"""What a condition is and holds, told without keeping it; who a sampler or detector is."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
from collections.abc import Iterable, Mapping
from functools import partial
from itertools import chain
from typing import Any

import numpy as np

from modcollapse.contracts import Identified
from modcollapse.errors import InputError


def fingerprint(condition: Any) -> bytes | None:
    """Digest of what a condition holds; None where its content cannot be told.

    Reads str, bytes, numbers, None, numpy arrays, torch tensors, PIL images, and lists, tuples and
    mappings of them. A copy of a tensor goes to the host, so this is for the checks before a run.
    """
    digest = hashlib.sha256()
    return digest.digest() if _feed(digest, condition) else None


def form(condition: Any) -> str:
    """Kind and size of a condition: what must agree between the rows of a batch.

    >>> form("add a hat"), form(np.zeros((32, 32, 3), np.uint8))
    ('a str', 'a uint8 array of shape (32, 32, 3)')
    """
    if is_tensor(condition):
        dtype = str(condition.dtype).removeprefix("torch.")
        return f"a {dtype} tensor of shape {tuple(condition.shape)} on {condition.device}"
    if isinstance(condition, np.ndarray):
        return f"a {condition.dtype} array of shape {condition.shape}"
    if is_pil(condition):
        return f"a {condition.mode} PIL image of {condition.width} x {condition.height} pixels"
    return "a str" if isinstance(condition, str) else f"a {type(condition).__name__}"


def identity(thing: Any, what: str) -> Any:
    """Plain data that tells one trigger, sampler or detector from another.

    Its own ``identity()`` where it has one; else its qualified name, with the fields of a
    dataclass, the arguments of a ``partial``, the weights of a torch module, the defaults and
    enclosed plain values of a function. What else a function or object depends on (a pipeline, a
    global) is not seen: give it an ``identity()``.

    Raises:
        InputError: ``identity()`` returned something that JSON cannot hold.
    """
    if isinstance(thing, Identified) and not isinstance(thing, type):
        described: Any = thing.identity()
    elif dataclasses.is_dataclass(thing) and not isinstance(thing, type):
        described = {"class": _qualified_name(type(thing)), "repr": repr(thing)}
    elif isinstance(thing, partial):
        described = {"partial": identity(thing.func, what), **_holds(thing.args, thing.keywords)}
    elif hasattr(thing, "__qualname__"):
        cells = [cell.cell_contents for cell in getattr(thing, "__closure__", None) or ()]
        described = {"function": _qualified_name(thing)} | _holds(
            [cell for cell in cells if _is_plain(cell)], getattr(thing, "__defaults__", None)
        )
    elif hasattr(thing, "state_dict"):
        described = {"class": _qualified_name(type(thing))} | _holds(dict(thing.state_dict()))
    else:
        described = {"class": _qualified_name(type(thing))}
    try:
        return json.loads(json.dumps(described, sort_keys=True, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise InputError(
            f"identity() of {what} must return plain data that JSON can hold, "
            f"got {described!r} ({error})"
        ) from error


def _holds(*values: Any) -> dict[str, str]:
    """Digest of what a callable depends on; nothing where there is nothing, or nothing to tell."""
    digest = fingerprint(values) if any(values) else None
    return {} if digest is None else {"holds": digest.hex()}


def _is_plain(value: Any) -> bool:
    plain = str | bytes | int | float | np.ndarray | np.generic
    return isinstance(value, plain) or is_tensor(value) or is_pil(value)


def _feed(digest: Any, value: Any) -> bool:
    if value is None or isinstance(value, str | bytes | bool | int | float | complex | np.generic):
        digest.update(f"{type(value).__name__}:{value!r};".encode())
    elif isinstance(value, np.ndarray) and not value.dtype.hasobject:
        digest.update(form(value).encode())
        digest.update(np.ascontiguousarray(value).tobytes())
    elif is_tensor(value):
        import torch

        flat = value.detach().contiguous().reshape(-1).cpu()
        digest.update(form(value).encode())
        digest.update(flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b"")
    elif is_pil(value):
        digest.update(form(value).encode())
        digest.update(value.tobytes())
    elif isinstance(value, list | tuple):
        digest.update(f"{type(value).__name__} of {len(value)};".encode())
        return _feed_all(digest, value)
    elif isinstance(value, Mapping):
        digest.update(f"mapping of {len(value)};".encode())
        return _feed_all(digest, chain.from_iterable(value.items()))
    else:
        return False
    return True


def _feed_all(digest: Any, values: Iterable[Any]) -> bool:
    return all(_feed(digest, value) for value in values)


def _qualified_name(thing: Any) -> str:
    return f"{thing.__module__}.{thing.__qualname__}"


def is_tensor(value: object) -> bool:
    """Whether ``value`` is a torch tensor; torch is not imported to find out."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def is_pil(value: object) -> bool:
    """Whether ``value`` is a ``PIL.Image``; Pillow is not imported to find out."""
    image = sys.modules.get("PIL.Image")
    return image is not None and isinstance(value, image.Image)

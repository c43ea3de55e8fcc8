"""Is it the same? Digests of conditions and weights, and who a trigger, sampler or detector is."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from modcollapse._support.images import is_pil, is_tensor
from modcollapse._support.validation import described
from modcollapse.errors import InputError

if TYPE_CHECKING:
    import torch

_SAMPLED = 64

_passes: ContextVar[dict[int, tuple[Any, str | None]] | None] = ContextVar("_passes", default=None)


def fingerprint(condition: Any) -> bytes | None:
    """Digest of what a condition holds; None where its content cannot be told.

    Reads str, bytes, numbers, None, numpy arrays, torch tensors, PIL images, and lists, tuples and
    mappings of them. A copy of a tensor goes to the host, so this is for the checks before a run.
    """
    digest = hashlib.sha256()
    return digest.digest() if _feed(digest, condition) else None


def hexdigest(condition: Any) -> str | None:
    """`fingerprint` as 64 hexadecimal digits."""
    digest = fingerprint(condition)
    return None if digest is None else digest.hex()


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
    if callable(getattr(thing, "identity", None)) and not isinstance(thing, type):
        data: Any = thing.identity()  # that of a NumPy function is a number, or nothing
    elif dataclasses.is_dataclass(thing) and not isinstance(thing, type):
        data = {"class": public_name(type(thing)), "repr": repr(thing)}
    elif isinstance(thing, partial):
        data = {"partial": identity(thing.func, what), **_holds(thing.args, thing.keywords)}
    elif hasattr(thing, "__qualname__"):
        cells = [cell.cell_contents for cell in getattr(thing, "__closure__", None) or ()]
        data = {"function": public_name(thing)} | _holds(
            [cell for cell in cells if _is_plain(cell)], getattr(thing, "__defaults__", None)
        )
    elif hasattr(thing, "state_dict"):
        data = {"class": public_name(type(thing)), "weights": weights_digest({"": thing})}
    else:
        data = {"class": public_name(type(thing))}
    try:
        return json.loads(json.dumps(data, sort_keys=True, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise InputError(
            f"identity() of {what} must return plain data that JSON can hold, "
            f"got {data!r} ({error})"
        ) from error


def public_name(thing: Any) -> str:
    """Qualified name of a class or function; one of ours is named by its room, not by its file."""
    module = str(getattr(thing, "__module__", None))  # methods of built-in types have none
    if module.startswith("modcollapse."):
        module = ".".join(part for part in module.split(".") if not part.startswith("_"))
    return f"{module}.{thing.__qualname__}"


def plain(value: Any, name: str) -> Any:
    """Turn a setting into data that JSON can hold; pictures and arrays become digests.

    Raises:
        InputError: the value is something else, so that a run could not say how it was made.

    >>> plain({"lambda_min": float("-inf"), "size": (64, 64)}, "option")
    {'lambda_min': '-inf', 'size': [64, 64]}
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, np.generic):
        return plain(value.item(), name)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {str(key): plain(part, name) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part, name) for part in value]
    if is_pil(value) or is_tensor(value) or isinstance(value, np.ndarray):
        return {"sha256": hexdigest(value)}
    raise InputError(
        f"{name} is {described(value)}, which a table cannot record; pass plain data "
        "(None, bool, int, float, str, or lists and mappings of these)"
    )


@contextmanager
def weights_read_once() -> Iterator[None]:
    """Inside, weights are taken to stay as they are: of each module one digest is computed."""
    if _passes.get() is not None:
        yield
        return
    token = _passes.set({})
    try:
        yield
    finally:
        _passes.reset(token)


def weights_digest(parts: Mapping[str, Any]) -> str | None:
    """Digest of all weights, buffers and vocabularies: tells two finetunes of one model apart.

    Of every tensor it takes name, dtype, shape, up to 64 evenly spaced words of 8 bytes, and the
    sum of all words as integers: exact in any order, so it is the same on every device, and it
    costs one pass over the weights without a copy to the host. It is no proof against someone who
    builds two models with one digest.

    Args:
        parts: torch modules and tokenizers by name, such as the components of a pipeline; others
            are passed over.

    Returns:
        64 hexadecimal digits, or None if some weights are offloaded and cannot be read.
    """
    digest = hashlib.sha256()
    for name, part in sorted(parts.items()):
        if hasattr(part, "state_dict") and hasattr(part, "parameters"):
            weights = _module_digest(part)
            if weights is None:
                return None
            digest.update(f"{name}:{weights};".encode())
        elif hasattr(part, "get_vocab"):
            vocabulary = part.get_vocab()
            words = "\n".join(sorted(vocabulary, key=vocabulary.__getitem__))
            digest.update(f"{name}:{part.model_max_length}:{words};".encode())
    return digest.hexdigest()


def _module_digest(module: torch.nn.Module) -> str | None:
    seen = _passes.get()
    if seen is not None and id(module) in seen:
        return seen[id(module)][1]
    digest = _digest_of_state(module.state_dict())
    if seen is not None:
        seen[id(module)] = module, digest  # the module is held, so that its id stays its own
    return digest


def _digest_of_state(state: Mapping[str, Any]) -> str | None:
    digest = hashlib.sha256()
    for key, tensor in sorted(state.items()):
        if is_tensor(tensor):
            if tensor.is_meta:
                return None
            digest.update(f"{key}:{_of_tensor(tensor)};".encode())
    return digest.hexdigest()


def _of_tensor(tensor: torch.Tensor) -> tuple[Any, ...]:
    import torch

    flat = tensor.detach().reshape(-1).contiguous()
    raw = flat.as_strided(flat.shape, (1,)).view(torch.uint8)  # one element may keep any stride
    padding = -raw.numel() % 8
    if padding or raw.storage_offset() % 8:
        raw = torch.cat([raw, raw.new_zeros(padding)])
    words = raw.view(torch.int64)  # whole words, which wrap around, are summed fastest
    sampled = words[:: max(1, math.ceil(words.numel() / _SAMPLED))]
    return (tensor.dtype, tuple(tensor.shape), *torch.cat([words.sum()[None], sampled]).tolist())


def _holds(*values: Any) -> dict[str, str]:
    """Digest of what a callable depends on; nothing where there is nothing, or nothing to tell."""
    digest = hexdigest(values) if any(values) else None
    return {} if digest is None else {"holds": digest}


def _is_plain(value: Any) -> bool:
    scalar = str | bytes | int | float | np.ndarray | np.generic
    return isinstance(value, scalar) or is_tensor(value) or is_pil(value)


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
        return _feed_all(digest, chain.from_iterable(sorted(value.items(), key=_key_order)))
    else:
        return False
    return True


def _key_order(item: Any) -> tuple[str, str]:
    key = item[0]
    return type(key).__name__, repr(key)


def _feed_all(digest: Any, values: Iterable[Any]) -> bool:
    return all(_feed(digest, value) for value in values)

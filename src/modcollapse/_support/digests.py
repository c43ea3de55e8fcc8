"""Is it the same? Digests of what conditions hold."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Iterable, Mapping
from itertools import chain
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import xxhash
from numpy.typing import NDArray

from modcollapse._support.images import is_tensor
from modcollapse._support.pictures import is_pil, orientation, unreadable
from modcollapse._support.validation import described
from modcollapse._support.weights import plain_tensors, tensor_digest
from modcollapse.errors import InputError

if TYPE_CHECKING:
    import torch


def fingerprint(condition: Any) -> bytes | None:
    """Digest of what a condition holds; None where its content cannot be told.

    For comparing within a process, not to be recorded: XXH3, at a tenth of the cost of `hexdigest`.
    Two different ones may be made to share it, but hardly do so by chance.

    Reads str, bytes, numbers, None, paths, numpy arrays, torch tensors, PIL images, and lists,
    tuples, sets, mappings and dataclasses of them. Of a tensor on an accelerator it reads what
    `weights_digest` does: it waits for the device, so this is not for every batch.
    """
    return _content(condition, _Digest(quick=True))


def content_and_state(values: Any) -> tuple[bytes, bytes]:
    """Digest of what can be told of values, the rest passed over; and their `state`."""
    digest = _Digest(quick=True)
    _content(values, digest)
    told = digest.sum.digest()
    return told, told if digest.on_host else state(values)


def _content(condition: Any, digest: _Digest) -> bytes | None:
    try:
        digest.feed(condition)
    except RecursionError:  # it holds itself
        digest.begin()
        digest.unknown = True
    return None if digest.unknown else digest.sum.digest()


def state(values: Any) -> bytes:
    """Digest that changes when something is written into values, to be taken in the loop.

    As `fingerprint`, but a tensor on an accelerator counts by how often it was written into, never
    by a copy of its content; and what cannot be told is passed over.
    """
    digest = _Digest(quick=True, by_version=True)
    _content(values, digest)
    return digest.sum.digest()


def hexdigest(condition: Any) -> str | None:
    """SHA-256 of what a condition holds, to be recorded; None where its content cannot be told.

    Reads what `fingerprint` reads.
    """
    digest = _content(condition, _Digest())
    return None if digest is None else digest.hex()


def form(condition: Any) -> str:
    """Kind and size of a condition: what must agree between the rows of a batch.

    >>> form("add a hat"), form(np.zeros((32, 32, 3), np.uint8)), form(["a", "b"])
    ('a str', 'a uint8 array of shape (32, 32, 3)', 'a list of 2, the first a str')
    """
    if is_tensor(condition):
        dtype = str(condition.dtype).removeprefix("torch.")
        return f"a {dtype} tensor of shape {tuple(condition.shape)} on {condition.device}"
    if isinstance(condition, np.ndarray):
        return f"a {condition.dtype} array of shape {condition.shape}"
    if is_pil(condition):
        turned = orientation(condition)
        tag = "" if turned == 1 else f" with EXIF orientation {turned}"
        return f"a {condition.mode} PIL image of {condition.width} x {condition.height} pixels{tag}"
    if isinstance(condition, list | tuple) and condition:
        return f"a {type(condition).__name__} of {len(condition)}, the first {form(condition[0])}"
    return "a str" if isinstance(condition, str) else f"a {type(condition).__name__}"


def kind(condition: Any) -> str:
    """`form` without the size.

    >>> kind(np.zeros((32, 32, 3), np.uint8))
    'a uint8 array with 3 axes'
    """
    if is_tensor(condition):
        dtype = str(condition.dtype).removeprefix("torch.")
        return f"a {dtype} tensor with {condition.ndim} axes on {condition.device}"
    if isinstance(condition, np.ndarray):
        return f"a {condition.dtype} array with {condition.ndim} axes"
    if isinstance(condition, list | tuple) and condition:
        return f"a {type(condition).__name__}, the first {kind(condition[0])}"
    return f"a {condition.mode} PIL image" if is_pil(condition) else form(condition)


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


class _Sum(Protocol):
    """What bytes are fed to."""

    def update(self, data: Any, /) -> None: ...
    def digest(self) -> bytes: ...


class _Digest:
    """SHA-256, or XXH3, of values that are fed to it.

    Attributes:
        sum: the digest so far.
        unknown: whether something came whose content cannot be told.
        on_host: whether all that came lay in memory.
    """

    def __init__(self, *, quick: bool = False, by_version: bool = False) -> None:
        self._quick = quick
        self.begin()
        self.unknown = False
        self.on_host = True
        self._by_version = by_version

    def begin(self) -> None:
        """Forget what was fed."""
        self.sum: _Sum = xxhash.xxh3_128() if self._quick else hashlib.sha256()

    def feed(self, value: Any) -> None:
        scalar = str | bytes | bool | int | float | complex | np.generic
        if value is None or isinstance(value, scalar):
            self.sum.update(f"{type(value).__name__}:{value!r};".encode())
        elif isinstance(value, np.ndarray):
            self.sum.update(form(value).encode())
            if value.dtype.hasobject:
                self._feed_all(value.ravel().tolist())
            else:
                self._feed_bytes(np.ascontiguousarray(value).reshape(-1).view(np.uint8))
        elif is_tensor(value):
            self.sum.update(form(value).encode())
            self._feed_tensor(value)
        elif is_pil(value):
            if fault := unreadable(value):
                raise InputError(f"a picture is {fault[0]}. {fault[1]}")
            self.sum.update(form(value).encode())
            self._feed_bytes(np.frombuffer(value.tobytes(), np.uint8))
            if value.mode in ("P", "PA"):
                self.feed(value.getpalette())
        elif isinstance(value, list | tuple):
            self.sum.update(f"{type(value).__name__} of {len(value)};".encode())
            self._feed_all(value)
        elif isinstance(value, Mapping):
            self.sum.update(f"mapping of {len(value)};".encode())
            self._feed_all(chain.from_iterable(sorted(value.items(), key=_key_order)))
        elif isinstance(value, set | frozenset):
            self.sum.update(f"set of {len(value)};".encode())
            self._feed_all(sorted(value, key=repr))
        elif isinstance(value, PurePath):
            self.sum.update(f"path:{value.as_posix()};".encode())
        elif dataclasses.is_dataclass(value) and not isinstance(value, type):
            self.sum.update(f"{public_name(type(value))};".encode())
            self._feed_all(getattr(value, field.name) for field in dataclasses.fields(value))
        else:
            self.unknown = True

    def _feed_all(self, values: Iterable[Any]) -> None:
        for value in values:
            self.feed(value)

    def _feed_tensor(self, tensor: torch.Tensor) -> None:
        import torch

        if tensor.device.type == "meta":
            self.unknown = True
            return
        if tensor.device.type != "cpu":
            self.on_host = False
            if not self._by_version:
                self.sum.update(f"{tensor_digest(tensor)};".encode())
            elif not tensor.is_inference():  # those have no counter
                self.sum.update(f"{tensor._version};".encode())
            return
        for name, part in plain_tensors("", tensor):
            self.sum.update(f"{name}:{part.dtype}:{tuple(part.shape)};".encode() if name else b"")
            flat = part.contiguous().reshape(-1)
            if flat.numel():
                self._feed_bytes(flat.view(torch.uint8).numpy())

    def _feed_bytes(self, held: NDArray[np.uint8]) -> None:
        self.sum.update(held.data)


def _key_order(item: Any) -> tuple[str, str]:
    key = item[0]
    return type(key).__name__, repr(key)

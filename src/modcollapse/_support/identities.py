"""Who is it? Plain data that tells one trigger, sampler or detector from another."""

from __future__ import annotations

import dis
import hashlib
import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import is_dataclass
from datetime import date
from functools import partial
from logging import Logger
from pathlib import PurePath
from re import Pattern
from threading import Lock, RLock
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any
from uuid import uuid4
from weakref import WeakKeyDictionary

from modcollapse._support.digests import hexdigest, public_name
from modcollapse._support.weights import weights_digest
from modcollapse.errors import InputError

CHANGES = "changes during a run"
"""Stands for what was another before a run than after it, a counter say: it tells nothing apart."""
UNTOLD = "cannot be told"
"""Marks a thing whose content is out of sight."""
_LONGEST = 80
"""Texts up to this length stand in an identity as they are, longer ones as digests."""

_SHORT = 16
"""So do lists of up to so many numbers and texts."""
_MOST = 2_000
"""More things than this are not looked into: what is beyond cannot be told."""
_HARMLESS = (Logger, type(Lock()), type(RLock()))
"""Outputs do not depend on them."""
_PRINTED = (PurePath, Pattern, date)
"""Told by how they print."""

_marks: WeakKeyDictionary[Any, str] = WeakKeyDictionary()


def identity(thing: Any, what: str) -> Any:
    """Plain data that tells one trigger, sampler or detector from another.

    Its own ``identity()`` where it has one. Else its qualified name, with all that it holds: the
    fields of an object, the weights of a torch module, the arguments of a ``partial``; of a
    function its code, defaults, and the enclosed and global values that it reads. What cannot be
    told (an open file, a tokenizer in another language, a generator of random numbers) is marked,
    and such things count as the same only where they are one object in one process.

    Raises:
        InputError: ``identity()`` returned something that JSON cannot hold.
    """
    data = _Teller().told(thing)
    try:
        return json.loads(json.dumps(data, sort_keys=True, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise InputError(
            f"identity() of {what} must return plain data that JSON can hold, "
            f"got {data!r} ({error})"
        ) from error


def says_itself(thing: Any) -> bool:
    """Whether a thing has an ``identity()`` of its own; numpy, a module, has one of matrices."""
    own = callable(getattr(thing, "identity", None))
    return own and not isinstance(thing, type | ModuleType)


def settled(before: Any, after: Any) -> Any:
    """An identity without what a run has changed.

    >>> settled({"class": "Model", "calls": 0}, {"class": "Model", "calls": 8})
    {'class': 'Model', 'calls': 'changes during a run'}
    """
    if before == after:
        return before
    both = isinstance(before, Mapping) and isinstance(after, Mapping)
    if not both or before.get("class") != after.get("class") or before.keys() & {"is", "sha256"}:
        return CHANGES
    return {key: settled(before.get(key), after.get(key)) for key in {**before, **after}}


def without_marks(data: Any) -> Any:
    """An identity in which things that cannot be told count as the same."""
    if isinstance(data, Mapping):
        return {key: without_marks(held) for key, held in data.items() if key != UNTOLD}
    return [without_marks(held) for held in data] if isinstance(data, list) else data


def untold(data: Any, path: str) -> Iterator[str]:
    """Where in an identity something stands that cannot be told, and what it is."""
    if isinstance(data, Mapping):
        if UNTOLD in data:
            yield f"{path} ({data['class']})"
        for key, held in data.items():
            yield from untold(held, f"{path}.{key}")
    elif isinstance(data, list):
        for at, held in enumerate(data):
            yield from untold(held, f"{path}[{at}]")


class _Teller:
    """Tells what things are, each at most once on a way down and not more than ``_MOST`` in all."""

    def __init__(self) -> None:
        self._left = _MOST

    def told(self, thing: Any, above: tuple[int, ...] = ()) -> Any:
        self._left -= 1
        if thing is None or isinstance(thing, bool | int):
            return thing
        if isinstance(thing, float):
            return thing if math.isfinite(thing) else str(thing)
        if isinstance(thing, str) and len(thing) <= _LONGEST:
            return thing
        if id(thing) in above:
            return "itself"
        above = (*above, id(thing))
        if says_itself(thing):
            return thing.identity()
        if isinstance(thing, partial):
            held = {"args": thing.args, "keywords": thing.keywords}
            return {"partial": self.told(thing.func, above), **self._fields(held, above)}
        if isinstance(thing, MethodType):
            return {**self.told(thing.__func__, above), "self": self.told(thing.__self__, above)}
        if isinstance(thing, ModuleType):
            return {"module": thing.__name__}
        if callable(thing) and hasattr(thing, "__qualname__"):
            held = {} if _is_installed(thing) else _of_function(thing)
            bound = getattr(thing, "__self__", None)  # of a method of a built-in type
            if bound is not None and not isinstance(bound, ModuleType | type):
                held["self"] = bound
            return {"function": public_name(thing), **self._fields(held, above)}
        return {"class": public_name(type(thing)), **self._content(thing, above)}

    def _content(self, thing: Any, above: tuple[int, ...]) -> dict[str, Any]:
        if isinstance(thing, _HARMLESS):
            return {}
        if isinstance(thing, _PRINTED):
            return {"is": str(thing)}
        if hasattr(thing, "state_dict") and hasattr(thing, "parameters"):
            return {"weights": weights_digest({"": thing})}
        if isinstance(thing, list | tuple) and len(thing) <= _SHORT and _is_flat(thing):
            return {"is": list(thing)}
        digest = None if is_dataclass(thing) else hexdigest(thing)
        if digest is not None:
            return {"sha256": digest}
        if isinstance(thing, list | tuple):
            return self._fields({str(at): held for at, held in enumerate(thing)}, above)
        if isinstance(thing, Mapping):
            return self._fields({str(key): held for key, held in thing.items()}, above)
        fields = None if self._left < 0 else _attributes(thing)
        return {UNTOLD: _mark(thing)} if fields is None else self._fields(fields, above)

    def _fields(self, held: Mapping[str, Any], above: tuple[int, ...]) -> dict[str, Any]:
        return {
            name: self.told(value, above)
            for name, value in sorted(held.items())
            if value is not None
        }


def _of_function(function: Any) -> dict[str, Any]:
    """Code, defaults, and the enclosed and global values that a function reads."""
    if not isinstance(function, FunctionType):
        return {}
    code, held = function.__code__, {}
    names = set(_names_read(code))
    held = {name: value for name, value in function.__globals__.items() if name in names}
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        with suppress(ValueError):  # not filled as yet
            held[name] = cell.cell_contents
    return {
        **held,
        "code": _code_digest(code),
        "defaults": function.__defaults__,
        "keyword defaults": function.__kwdefaults__,
    }


def _names_read(code: CodeType) -> Iterator[str]:
    """Names of the globals that a function reads, and those that functions within it read."""
    for instruction in dis.get_instructions(code):
        if instruction.opname.startswith("LOAD_GLOBAL"):
            yield str(instruction.argval)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names_read(constant)


def _code_digest(code: CodeType) -> str:
    digest = hashlib.sha256(code.co_code)
    digest.update(repr((code.co_names, code.co_varnames, code.co_freevars)).encode())
    for constant in code.co_consts:
        inner = isinstance(constant, CodeType)
        digest.update((_code_digest(constant) if inner else _constant(constant)).encode())
    return digest.hexdigest()


def _constant(constant: Any) -> str:
    """A constant of a function; sets have no order."""
    return repr(sorted(map(repr, constant)) if isinstance(constant, frozenset) else constant)


def _attributes(thing: Any) -> dict[str, Any] | None:
    """What an object holds and what its call does; None where it keeps that out of sight."""
    kind = type(thing)
    slots = [name for c in kind.__mro__ for name in vars(c).get("__slots__", ())]
    seen = hasattr(thing, "__dict__") or bool(slots)
    if not seen or kind.__module__.partition(".")[0] in sys.stdlib_module_names - {"__main__"}:
        return None
    held = {name: getattr(thing, name) for name in slots if hasattr(thing, name)}
    call = next((vars(c)["__call__"] for c in kind.__mro__ if "__call__" in vars(c)), None)
    if call is not None and not _is_installed(call):
        held["__call__"] = call
    held |= getattr(thing, "__dict__", {})
    if "_internal_dict" in held:  # of diffusers, with lists in an order that is no one's choice
        config = held.pop("_internal_dict")
        held["config"] = {key: value for key, value in config.items() if key[:1] != "_"}
    return held


def _is_installed(thing: Any) -> bool:
    """Whether code comes from a package, where its name says what it is, or from a user's file."""
    module = str(getattr(thing, "__module__", None))
    root = module.partition(".")[0]
    if root == "modcollapse" or root in sys.stdlib_module_names - {"__main__"}:
        return True
    file = str(getattr(sys.modules.get(module), "__file__", None) or "")
    return "site-packages" in file or "dist-packages" in file


def _is_flat(values: Sequence[Any]) -> bool:
    return all(
        value is None
        or isinstance(value, bool | int | str)
        or (isinstance(value, float) and math.isfinite(value))
        for value in values
    )


def _mark(thing: Any) -> str:
    """Says of one object in one process that it is itself, and of two that they may differ."""
    try:
        return _marks.setdefault(thing, uuid4().hex)
    except TypeError:  # it cannot be held weakly, or not be hashed
        return uuid4().hex

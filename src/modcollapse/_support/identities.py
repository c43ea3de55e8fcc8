"""Who is it? Plain data that tells one trigger, sampler or detector from another."""

from __future__ import annotations

import dis
import hashlib
import json
import math
import sys
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import is_dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from functools import partial
from logging import Logger
from pathlib import Path, PurePath
from re import Pattern
from threading import Lock, RLock
from types import CodeType, FunctionType, MethodType, ModuleType, SimpleNamespace
from typing import Any
from uuid import uuid4

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
_PRINTED = (PurePath, Pattern, date, time, timedelta, Decimal, Fraction, range, slice, bytearray)
"""Told by how they print."""
_OPEN = (Namespace, SimpleNamespace)
"""Of the standard library, and yet told by their fields."""

_marks: dict[int, tuple[Any, str]] = {}
"""Things that cannot be told, held so that their number in memory stays their own."""


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
    try:
        data = _Teller().told(thing)
    except RecursionError:
        owner = getattr(thing, "__self__", thing)  # a bound method is made anew each time
        data = {"class": public_name(type(thing)), UNTOLD: _mark(owner)}
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
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        return [settled(one, other) for one, other in zip(before, after, strict=True)]
    if not isinstance(before, Mapping) or not isinstance(after, Mapping):
        return CHANGES
    found = {key: settled(before.get(key), after.get(key)) for key in {**before, **after}}
    # what has another form or length by now has yet another one in the next run
    other_form = before.get("class") != after.get("class") or "sha256" in found
    return CHANGES if other_form or found.get("is") == CHANGES else found


def without_marks(data: Any) -> Any:
    """An identity in which things that cannot be told count as the same."""
    if isinstance(data, Mapping):
        return {key: without_marks(held) for key, held in data.items() if key != UNTOLD}
    return [without_marks(held) for held in data] if isinstance(data, list) else data


def untold(data: Any, path: str) -> Iterator[str]:
    """Where in an identity something stands that cannot be told, and what it is."""
    if isinstance(data, Mapping):
        if UNTOLD in data:
            yield f"{path} ({data['class']})" if "class" in data else path
        for key, held in data.items():
            yield from untold(held, f"{path}.{key}")
    elif isinstance(data, list):
        for at, held in enumerate(data):
            yield from untold(held, f"{path}[{at}]")


class _Teller:
    """Tells what things are, each at most once on a way down and not more than ``_MOST`` in all."""

    def __init__(self) -> None:
        self._left = _MOST
        self._known: dict[int, tuple[Any, Any]] = {}

    def told(self, thing: Any, above: tuple[int, ...] = ()) -> Any:
        if id(thing) in self._known:
            return self._known[id(thing)][1]
        found = self._told(thing, above)
        if isinstance(found, dict):  # the thing is held, so that its number stays its own
            self._known[id(thing)] = thing, found
        return found

    def _told(self, thing: Any, above: tuple[int, ...]) -> Any:
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
            given = {"args": thing.args, "keywords": thing.keywords}
            return {"partial": self.told(thing.func, above), **self._fields(given, above)}
        if isinstance(thing, MethodType):
            return {**self.told(thing.__func__, above), "self": self.told(thing.__self__, above)}
        if isinstance(thing, ModuleType):
            return {"module": thing.__name__, **_source_of(thing)}
        if isinstance(thing, Enum):
            return {"class": public_name(type(thing)), "is": f"{thing.name}: {thing.value!r}"}
        if callable(thing) and hasattr(thing, "__qualname__"):
            if self._left < 0:
                return {"class": "function", UNTOLD: _mark(thing)}
            held: dict[str, Any] = {} if _is_installed(thing) else _of_function(thing)
            if not isinstance(thing, FunctionType):
                held["wrapped"] = getattr(thing, "__wrapped__", None)  # by functools.cache
            bound = getattr(thing, "__self__", None)  # of a method of a built-in type
            if bound is not None and not isinstance(bound, ModuleType | type):
                held["self"] = bound
            return {"function": public_name(thing), **self._fields(held, above)}
        return {"class": public_name(type(thing)), **self._content(thing, above)}

    def _content(self, thing: Any, above: tuple[int, ...]) -> dict[str, Any]:
        if isinstance(thing, _HARMLESS):
            return {}
        if isinstance(thing, _PRINTED) or public_name(type(thing)) in (
            "torch.dtype",
            "torch.device",
        ):
            return {"is": str(thing)}
        if hasattr(thing, "state_dict") and hasattr(thing, "named_modules"):
            weights = weights_digest({"": thing})
            told = {UNTOLD: _mark(thing)} if weights is None else {"weights": weights}
            settings = hexdigest(_settings_of(thing))
            return {**told, "settings": settings, **self._fields(_code_of_modules(thing), above)}
        if hasattr(thing, "get_vocab") and hasattr(thing, "model_max_length"):
            return {"vocabulary": weights_digest({"": thing})}
        if isinstance(thing, list | tuple) and len(thing) <= _SHORT and _is_flat(thing):
            return {"is": list(thing)}
        short = isinstance(thing, dict) and len(thing) <= _SHORT
        digest = None if is_dataclass(thing) or short else hexdigest(thing)
        if digest is not None:
            return {"sha256": digest}
        if isinstance(thing, list | tuple):
            return self._fields({str(at): held for at, held in enumerate(thing)}, above)
        if isinstance(thing, Mapping):
            return self._fields({_key(key): held for key, held in thing.items()}, above)
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
    held |= {f"import {name}": sys.modules.get(name) for name in _imported(code)}
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        with suppress(ValueError):  # not filled as yet
            held[name] = cell.cell_contents
    return {
        **held,
        **vars(function),
        "<code>": _code_digest(code),
        "<defaults>": function.__defaults__,
        "<keyword defaults>": function.__kwdefaults__,
    }


def _names_read(code: CodeType) -> Iterator[str]:
    """Names of the globals that a function reads, and those that functions within it read."""
    for instruction in dis.get_instructions(code):
        if instruction.opname.startswith("LOAD_GLOBAL"):
            yield str(instruction.argval)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names_read(constant)


def _imported(code: CodeType) -> Iterator[str]:
    """Modules that a function imports, and that functions within it import."""
    for instruction in dis.get_instructions(code):
        if instruction.opname == "IMPORT_NAME":
            yield str(instruction.argval)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _imported(constant)


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
    slots = [_mangled(c, name) for c in kind.__mro__ for name in _slots_of(c)]
    seen = hasattr(thing, "__dict__") or bool(slots)
    own = [c for c in kind.__mro__ if not _is_installed(c)]
    known = isinstance(thing, _OPEN) or kind.__module__ == "__main__"
    if not seen or (kind.__module__.partition(".")[0] in sys.stdlib_module_names and not known):
        return None
    held: dict[str, Any] = {}
    held |= _of_class(kind)
    held |= {name: getattr(thing, name) for name in slots if hasattr(thing, name)}
    held |= getattr(thing, "__dict__", {})
    if not held and not own:
        return None  # it keeps its content elsewhere
    if "_internal_dict" in held:  # of diffusers, with lists in an order that is no one's choice
        config = held.pop("_internal_dict")
        held["config"] = {key: value for key, value in config.items() if key[:1] != "_"}
    return held


def _slots_of(kind: type) -> tuple[str, ...]:
    slots = vars(kind).get("__slots__", ())
    return (slots,) if isinstance(slots, str) else tuple(slots)


def _mangled(kind: type, name: str) -> str:
    private = name[:2] == "__" and name[-2:] != "__"
    return f"_{kind.__name__.lstrip('_')}{name}" if private else name


def _of_class(kind: type) -> dict[str, Any]:
    """What a class of the user does and holds, and those of the user's that it comes from."""
    held: dict[str, Any] = {}
    for base in reversed(kind.__mro__):
        if not _is_installed(base):
            held |= {name: _part_of_class(p) for name, p in vars(base).items() if _acts(name)}
    return held


def _acts(name: str) -> bool:
    """Whether a name in a class stands for something that its author wrote."""
    return name[:2] != "__" or name in ("__call__", "__getattr__", "__getitem__", "__len__")


def _part_of_class(part: Any) -> Any:
    """A method or a value; of what only serves the class itself no more than its kind."""
    if isinstance(part, property):
        return [part.fget, part.fset]
    for wrapped in ("__func__", "func"):  # of a static or class method, of a cached property
        part = getattr(part, wrapped, part)
    known = isinstance(part, FunctionType) or not _is_installed(type(part))
    if known or hasattr(part, "state_dict") or says_itself(part) or hexdigest(part) is not None:
        return part
    slot = type(part).__name__ in ("member_descriptor", "getset_descriptor", "_abc_data")
    return None if slot else public_name(type(part))


def _key(key: Any) -> str:
    return public_name(key) if callable(key) and hasattr(key, "__qualname__") else str(key)


def _source_of(module: ModuleType) -> dict[str, Any]:
    """Digest of the file of a user's module, on whose content a function may rest."""
    file = getattr(module, "__file__", None)
    if file is None or _is_installed(SimpleNamespace(__module__=module.__name__)):
        return {}
    with suppress(OSError):
        return {"sha256": hashlib.sha256(Path(file).read_bytes()).hexdigest()}
    return {}


def _settings_of(module: Any) -> dict[str, Any]:
    """Classes and plain attributes of a torch module and of all within it."""
    return {
        name: [public_name(type(part)), {k: v for k, v in vars(part).items() if _is_setting(k, v)}]
        for name, part in module.named_modules()
    }


def _is_setting(name: str, value: Any) -> bool:
    plain = isinstance(value, tuple | list) and _is_flat(value)
    return name[:1] != "_" and (plain or _is_flat([value]))


def _code_of_modules(module: Any) -> dict[str, Any]:
    """What the user's classes among those of a torch module do, and functions that it holds."""
    held: dict[str, Any] = {}
    for name, part in module.named_modules():
        if not _is_installed(type(part)):
            held[public_name(type(part))] = _of_class(type(part))
        functions = {k: v for k, v in vars(part).items() if isinstance(v, FunctionType)}
        held |= {f"{name}.{key}": function for key, function in functions.items()}
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


def marked(thing: Any) -> dict[str, str]:
    """In place of what cannot be told: agrees with that of the same object in this process only."""
    return {UNTOLD: _mark(thing)}


def _mark(thing: Any) -> str:
    """Says of one object in one process that it is itself, and of two that they may differ."""
    return _marks.setdefault(id(thing), (thing, uuid4().hex))[1]

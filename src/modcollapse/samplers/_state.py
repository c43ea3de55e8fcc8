"""What a pipeline computes apart from its weights: every switch and setting of its parts, digested.

LoRA scales, adapters that are on, off or merged, FreeU, attention processors, tiling, train and
eval mode, caching, hooks, options that were set by hand: none of them touches a weight.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from enum import Enum
from functools import partial
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from modcollapse._support.digests import public_name

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline

_PRIVATE = re.compile(
    r"_(active_adapter|disable_adapters|attention_backend|cache_config|chunk_(size|dim)|shift"
    r"|free_(init|noise)_.*)"
)
"""Names of settings that the libraries keep under an underscore."""
_BY_USE = re.compile(
    r"(.*_)?(cache[sd]?|seen|store|counts?|counter|calls|history|warnings|attention_kwargs)"
    r"|(cached|stored|last|prev|previous|cur|current)_.*|iteration|states?|state_manager"
    r"|num_timesteps"
)
"""Names of what is another after a run, although nobody has set it; switches never are."""
_BY_ORIGIN = re.compile(
    r".*(name_or_path|_file|_path)|init_(kwargs|inputs)|files_loaded|transformers_version|revision"
    r"|architectures|model_type|(torch_)?dtype|hf_device_map|dynamo_ctx|tokens_trie|verbose"
    r"|gradient_checkpointing"
)
"""Names of what says where a part comes from or lies, on which no output depends."""
_DEEPEST = 6
_READ = bool | int | float | str
"""Values that a function may read from outside; others would lead too far."""


def settings_digests(pipeline: DiffusionPipeline) -> dict[str, str]:
    """Digest of the settings of each component and, under ``"itself"``, of the pipeline's own.

    Read are the attributes with plain data (None, bool, numbers, str, and lists and mappings of
    them) of every module, of the processors and other objects that they hold, the names of classes
    and functions, and of functions of one's own (hooks, say) the code and what it reads. Left out
    is what changes by mere use (caches, counters), what names a place, and what has a name with an
    underscore. Tensors are not read: of weights and buffers there is a digest besides.

    Returns:
        Name -> 64 hexadecimal digits, the same in another process and for another load.
    """
    components = pipeline.components
    own = {name: value for name, value in vars(pipeline).items() if name not in components}
    told = {name: _part(part) for name, part in components.items() if part is not None}
    told["itself"] = {"class": public_name(type(pipeline)), **_settings(own, ())}
    return {name: _digest(data) for name, data in sorted(told.items())}


def _digest(data: Any) -> str:
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def _part(part: Any) -> Any:
    if isinstance(part, torch.nn.Module):
        configs: set[int] = set()
        return {name: _module(module, configs) for name, module in part.named_modules()}
    if not hasattr(part, "set_timesteps"):
        return [_told(part), _told(getattr(part, "special_tokens_map", None))]
    # What else a scheduler holds is where its last run stopped.
    names = ("_internal_dict", "_shift")
    held = {name: vars(part)[name] for name in names if name in vars(part)}
    return {"class": public_name(type(part)), **_settings(held, ())}


def _module(module: torch.nn.Module, configs: set[int]) -> dict[str, Any]:
    held = dict(vars(module))
    if id(held.get("config")) in configs:
        held.pop("config", None)  # in transformers the parts of a model share one
    configs.add(id(held.get("config")))
    if _told(held.get("forward")) == public_name(type(module).forward):
        del held["forward"]  # wrapped to be offloaded, say
    registry = getattr(module, "_diffusers_hook", None)
    held["after"] = [hook for hook in module._forward_hooks.values() if not _by_use(hook)]
    held["before"] = [*module._forward_pre_hooks.values()]
    held["around"] = {
        name: hook for name, hook in getattr(registry, "hooks", {}).items() if "offload" not in name
    }
    return {"class": public_name(type(module)), **_settings(held, ())}


def _by_use(hook: Any) -> bool:
    """Whether transformers hooked itself in at its first call, to hand out hidden states."""
    return str(getattr(hook, "__module__", "")) == "transformers.utils.output_capturing"


def _settings(held: Mapping[str, Any], above: tuple[int, ...]) -> dict[str, Any]:
    told = {name: _told(value, above) for name, value in held.items() if _is_setting(name, value)}
    config = held.get("_internal_dict")  # of diffusers; that of transformers is an attribute
    if config is not None:
        told["config"] = _told({key: config[key] for key in config if not key.startswith("_")})
    return {name: data for name, data in told.items() if data is not None}


def _is_setting(name: str, value: Any) -> bool:
    if name.startswith("_"):
        return _PRIVATE.fullmatch(name) is not None
    by_use = _BY_USE.fullmatch(name) and not isinstance(value, bool)
    return not by_use and not _BY_ORIGIN.fullmatch(name)


def _told(value: Any, above: tuple[int, ...] = ()) -> Any:
    """Plain data, and names of functions and classes; None for nothing, and where none is read."""
    if isinstance(value, Enum | np.generic):
        value = value.value if isinstance(value, Enum) else value.item()
    if value is None or isinstance(value, _READ):
        return value
    if isinstance(value, torch.Tensor | np.ndarray):
        return None
    if isinstance(value, torch.dtype):
        return str(value)
    if id(value) in above or len(above) == _DEEPEST:
        return public_name(type(value))
    above = (*above, id(value))
    if hasattr(value, "__qualname__"):
        return _function(value, above)
    if isinstance(value, partial):
        return [_told(part, above) for part in (value.func, value.args, value.keywords)]
    if isinstance(value, Mapping):
        told = {_key(key): _told(held, above) for key, held in value.items()}
        return {key: data for key, data in told.items() if data is not None} or None
    if isinstance(value, list | tuple | set | frozenset):
        items = [_told(held, above) for held in value]
        if isinstance(value, set | frozenset):
            items.sort(key=_digest)
        return items if any(item is not None for item in items) else None
    return {"class": public_name(type(value)), **_settings(getattr(value, "__dict__", {}), above)}


def _function(function: Any, above: tuple[int, ...]) -> Any:
    """Name of a function or class; of a function of no package also its code and what it reads."""
    code = getattr(function, "__code__", None)
    if code is None or "-packages" in code.co_filename:
        return public_name(function)
    codes = list(_codes(code))
    known = {name: function.__globals__.get(name) for inner in codes for name in inner.co_names}
    read = {name: held for name, held in known.items() if isinstance(held, _READ | FunctionType)}
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=False):
        with suppress(ValueError):  # not filled as yet
            read[name] = cell.cell_contents
    constants = [c for inner in codes for c in inner.co_consts if not isinstance(c, CodeType)]
    given = [constants, function.__defaults__, function.__kwdefaults__]
    return [
        public_name(function),
        [[inner.co_code.hex(), inner.co_names] for inner in codes],
        _told([*given, getattr(function, "__self__", None)], above),
        _settings(read, above),
    ]


def _codes(code: CodeType) -> Iterator[CodeType]:
    """Code of a function and of those that are defined in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _key(key: Any) -> str:
    if isinstance(key, str):
        return key
    plain = key is None or isinstance(key, bool | int | float)
    return f"{type(key).__name__} {key if plain else ''}"

"""Files of tensors, read without running code: safetensors, or by torch with ``weights_only``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.serialization import get_unsafe_globals_in_checkpoint

from modcollapse._support.optional import require
from modcollapse._support.validation import described, listed
from modcollapse.errors import InputError

PICKLES = (".pt", ".pth", ".bin", ".ckpt")
TENSOR_FILES = (".safetensors", *PICKLES)
_GLOBAL = re.compile(r"GLOBAL (\S+)")
"""Where torch names what it refuses to call."""


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Return name -> tensor of a file, on the CPU.

    Raises:
        InputError: it holds code or objects beside tensors, is damaged, or is no flat mapping of
            tensors.
    """
    if path.suffix == ".safetensors":
        safetensors = require("safetensors.torch", extra="diffusers", needed_by="load_backdoor")
        try:
            tensors: dict[str, Tensor] = safetensors.load_file(path, device="cpu")
        except Exception as error:
            raise InputError(f"{str(path)!r} is no whole safetensors file: {error}") from error
        return _flat(tensors, path)
    _refuse(path, _called(path))
    try:
        held = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        _refuse(path, _GLOBAL.findall(str(error)))
        raise InputError(
            f"{str(path)!r} cannot be read as tensors alone, and nothing else of it is "
            f"({type(error).__name__}): it is damaged, or no checkpoint of torch"
        ) from error
    return _flat(held, path)


def _called(path: Path) -> list[str]:
    """What reading a checkpoint would call, looked up before any of it is read."""
    try:
        return get_unsafe_globals_in_checkpoint(path)
    except Exception:  # an older format, or no checkpoint: loading refuses both
        return []


def _refuse(path: Path, called: list[str]) -> None:
    if called:
        raise InputError(
            f"{str(path)!r} holds code: reading it would call {listed(called)}. It is not read. "
            "Ask its author for safetensors, or for a state dict of tensors alone"
        )


def _flat(held: Any, path: Path) -> dict[str, Tensor]:
    if not isinstance(held, Mapping) or not held:
        raise InputError(f"{str(path)!r} must map names to tensors; it holds {described(held)}")
    for key, value in held.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise InputError(
                f"{str(path)!r} must map names to tensors; its key {key!r} holds a "
                f"{type(value).__name__}. Save the state dict itself"
            )
    return dict(held)

"""Models of transformers: found, and loaded from safetensors alone, whole or not at all."""

from __future__ import annotations

from pathlib import Path
from pickle import UnpicklingError
from typing import Any, NamedTuple

import torch
from torch import nn

from modcollapse._support.digests import plain
from modcollapse._support.optional import require
from modcollapse._support.validation import described
from modcollapse.detectors._safetensors import check_safetensors
from modcollapse.errors import InputError


class FromTransformers(NamedTuple):
    """A model, its processor, and what both were loaded from, as plain data."""

    module: nn.Module
    processor: Any
    source: dict[str, Any]


def load_transformers(
    model: str | Path, of: str, processor_of: str, needed_by: str
) -> FromTransformers:
    """Load a model in float32 on the CPU, with its processor; no code of a checkpoint runs.

    Args:
        model: folder, or id on the hub.
        of: class of transformers that loads it, such as ``"AutoModel"``.
        processor_of: class that loads the processor, such as ``"AutoProcessor"``.
        needed_by: what the user called.

    Raises:
        InputError: no such model or processor, no safetensors, or weights that are missing or of
            another shape, which would be random numbers.
        MissingExtraError: transformers is not installed.
    """
    transformers = require("transformers", extra="clip", needed_by=needed_by)
    from safetensors import SafetensorError  # transformers needs it

    name = str(Path(model).expanduser()) if Path(model).expanduser().is_dir() else str(model)
    safe: dict[str, Any] = {"trust_remote_code": False}
    if Path(name).is_dir():
        check_safetensors(sorted(Path(name).glob("*.safetensors")))
    try:
        processor = getattr(transformers, processor_of).from_pretrained(name, **safe)
        with torch.random.fork_rng():
            module, told = getattr(transformers, of).from_pretrained(
                name,
                dtype=torch.float32,
                use_safetensors=True,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # they are told, and refused below
                **safe,
            )
    except (OSError, ValueError, KeyError, SafetensorError, UnpicklingError) as error:
        raise InputError(
            f"model {str(model)!r} cannot be loaded by transformers ({type(error).__name__}: "
            f"{str(error).splitlines()[0] if str(error) else error!r}). Give a folder with "
            "config.json, safetensors and the files of its processor, or an id on the hub that has "
            "safetensors; pickled weights can hide code and are not read"
        ) from error
    lost = sorted(map(str, [*told["missing_keys"], *told["mismatched_keys"]]))
    if lost:
        raise InputError(
            f"the weights of {str(model)!r} lack {len(lost)} that {type(module).__name__} needs or "
            f"have them in another shape, and these would be random: {', '.join(lost[:3])}"
        )
    local = Path(name).is_dir()
    source = {
        "model": "folder" if local else name,
        "architecture": type(module).__name__,
        "config": _told(module.config) if local else None,
    }
    return FromTransformers(module, processor, source)


def image_processor(processor: Any) -> Any:
    """The part of a processor that reads images.

    Raises:
        InputError: it has none.
    """
    found = getattr(processor, "image_processor", processor)
    if not callable(getattr(found, "preprocess", None)):
        raise InputError(
            "processor must be an image processor of transformers, or a processor that holds one; "
            f"got {described(processor)}"
        )
    return found


def _told(config: Any) -> Any:
    return plain(_without_paths(config.to_diff_dict()), "the configuration of the model")


def _without_paths(config: Any) -> Any:
    """A configuration without where it lay, which tells nothing of what it does."""
    if isinstance(config, dict):
        where = ("_name_or_path", "transformers_version", "dtype", "torch_dtype")
        return {key: _without_paths(value) for key, value in config.items() if key not in where}
    return config

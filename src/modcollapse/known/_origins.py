"""Where files lie: a local path, or a place on the Hugging Face hub, fetched to one."""

from __future__ import annotations

import re
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modcollapse._support.optional import require
from modcollapse._support.validation import file_path, listed
from modcollapse.errors import InputError
from modcollapse.known._layouts import check_safe, read_json

if TYPE_CHECKING:
    import torch
    from diffusers import DiffusionPipeline

_HUB_PLACE = re.compile(r"([\w.-]+/[\w.-]+)(?:/(.+?))?/*")
_NOT_FETCHED = ["*.py", "*.ckpt", "*.msgpack", "*.h5", "*.onnx", "*.pkl"]
_LIBRARIES = ("diffusers", "transformers", "stable_diffusion")
"""Where the parts of a pipeline may come from; the last is diffusers' name for a safety checker."""


def place_of(source: str | Path, revision: str | None = None) -> Path:
    """Return the local path of a source.

    Args:
        source: a file, a folder, ``"org/name"`` or ``"org/name/folder/in/it"``.
        revision: on the hub.

    Raises:
        InputError: it is neither there nor on the hub.
    """
    path = file_path(source, "source").expanduser()
    place = _HUB_PLACE.fullmatch(str(source))
    if path.exists() or isinstance(source, Path) or place is None:
        if not path.exists():
            raise InputError(f"there is no file or folder {str(path)!r}")
        return path
    hub = require("huggingface_hub", extra="known", needed_by="load_backdoor")
    name, inside = place[1], place[2]
    exact = escape(inside or "")  # names of folders hold brackets
    try:
        folder = hub.snapshot_download(
            name,
            revision=revision,
            allow_patterns=[exact, f"{exact}/**"] if inside else None,
            ignore_patterns=_NOT_FETCHED,
        )
    except Exception as error:
        raise InputError(
            f"there is no file or folder {str(source)!r}, and {name!r} cannot be had from the hub: "
            f"{error}"
        ) from error
    fetched = Path(folder) / (inside or "")
    if not fetched.exists():
        raise InputError(f"the hub's {name!r} holds no {inside!r}")
    return fetched


def load_pipeline(
    source: Any, dtype: torch.dtype | None = None, device: Any = None
) -> DiffusionPipeline:
    """Return a pipeline: itself, or loaded from safetensors, without a safety checker.

    Args:
        source: a loaded pipeline, a folder with ``model_index.json``, or a hub id.
        dtype: float32 if left out.
        device: the CPU if left out.

    Raises:
        InputError: no pipeline, one with code or pickled weights, or one that does not load.
    """
    diffusers: Any = require("diffusers", extra="diffusers", needed_by="load_backdoor")
    if isinstance(source, diffusers.DiffusionPipeline):
        given: DiffusionPipeline = source
        return given
    path = file_path(source, "clean").expanduser()
    if not path.exists() and _HUB_PLACE.fullmatch(str(source)):
        try:
            path = Path(diffusers.DiffusionPipeline.download(str(source), use_safetensors=True))
        except Exception as error:
            raise InputError(f"the pipeline {str(source)!r} cannot be had: {error}") from error
    return _of_folder(diffusers, path, dtype, device)


def _of_folder(diffusers: Any, folder: Path, dtype: Any, device: Any) -> DiffusionPipeline:
    import torch

    index = folder / "model_index.json"
    if not index.is_file():
        raise InputError(f"the folder {str(folder)!r} is no pipeline: it has no model_index.json")
    parts = {
        name: part
        for name, part in read_json(index).items()
        if isinstance(part, list) and name not in ("safety_checker", "_class_name")
    }
    _check_classes(index, parts)
    held = [name for name in parts if parts[name][0] and (folder / name / "config.json").is_file()]
    check_safe(folder, [name for name in held if not _is_plain(parts[name][1])])
    checked = "safety_checker" in read_json(index)
    unchecked = {"safety_checker": None, "requires_safety_checker": False} if checked else {}
    try:
        pipeline: DiffusionPipeline = diffusers.DiffusionPipeline.from_pretrained(
            folder,
            use_safetensors=True,
            local_files_only=True,
            dtype=torch.float32 if dtype is None else dtype,
            **unchecked,
        )
    except Exception as error:
        raise InputError(f"the pipeline {str(folder)!r} cannot be loaded: {error}") from error
    return pipeline if device is None else pipeline.to(device)


def _check_classes(index: Path, parts: dict[str, Any]) -> None:
    if not isinstance(read_json(index).get("_class_name"), str):
        raise InputError(f"{str(index)!r}: _class_name must name a pipeline of diffusers")
    foreign = [
        f"{name} of {part[0]}"
        for name, part in parts.items()
        if len(part) != 2 or part[0] not in (None, *_LIBRARIES)
    ]
    if foreign:
        raise InputError(
            f"{str(index)!r} asks for classes of neither diffusers nor transformers, "
            f"{listed(foreign)}: such code is not loaded"
        )


def _is_plain(name: Any) -> bool:
    """Whether a part has a configuration and no weights."""
    return str(name).endswith(("Processor", "Extractor", "Scheduler", "Tokenizer", "TokenizerFast"))

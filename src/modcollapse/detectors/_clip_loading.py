"""CLIP models of open_clip: found, and loaded without a pickle of a folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from modcollapse._support.optional import require
from modcollapse._support.validation import did_you_mean
from modcollapse.errors import InputError

CONFIG_FILE = "open_clip_config.json"
WEIGHTS_FILE = "open_clip_model.safetensors"


class Loaded(NamedTuple):
    """A model and what it was loaded from, as plain data."""

    module: nn.Module
    source: dict[str, Any]


def load_clip(model: Any, pretrained: str | Path | None) -> Loaded:
    """Load a model of open_clip on the CPU; no code of a checkpoint runs.

    From a folder or a file only safetensors are read. What open_clip downloads is safetensors where
    the hub has them, else a file of tensors that torch reads with ``weights_only``.

    Args:
        model: name in open_clip (with ``pretrained``), ``"hf-hub:<org>/<name>"``, or a folder with
            ``open_clip_config.json`` and safetensors.
        pretrained: tag of open_clip, or a safetensors file.

    Raises:
        InputError: no such name, folder or weights.
        MissingExtraError: open_clip is not installed.
    """
    if not isinstance(model, str | Path):
        raise InputError(
            "model must be a name in open_clip, 'hf-hub:<org>/<name>', a folder, or a torch module "
            f"with encode_image; got {type(model).__name__} {model!r}"[:300]
        )
    open_clip = require("open_clip", extra="clip", needed_by="ClipShift")
    name = str(model)
    source: dict[str, Any] = {"model": name, "pretrained": None}
    if not isinstance(model, Path) and name.replace("/", "-") in open_clip.list_models():
        pretrained = _known_weights(open_clip, name.replace("/", "-"), pretrained)
        source["pretrained"] = Path(pretrained).name
    elif pretrained is not None:
        close = did_you_mean(name, open_clip.list_models())
        raise InputError(
            f"pretrained is {str(pretrained)!r}, but {name!r} is no model name of open_clip; a "
            f"folder and a hub model bring their own weights{close}"
        )
    elif not name.startswith("hf-hub:"):
        folder = Path(name.removeprefix("local-dir:")).expanduser()
        source = {"model": "folder", "config": _check_folder(open_clip, folder)}
        name = f"local-dir:{folder}"
    # Without require_pretrained, open_clip goes on with random weights where it finds none. It also
    # draws random weights before it loads others, which is no business of a user's training.
    with torch.random.fork_rng():
        module = open_clip.create_model(
            name,
            pretrained=None if pretrained is None else str(pretrained),
            require_pretrained=True,
            weights_only=True,
        )
    return Loaded(module, source)


def _known_weights(open_clip: Any, name: str, pretrained: str | Path | None) -> str | Path:
    tags = open_clip.list_pretrained_tags_by_model(name)
    if pretrained in tags:
        return str(pretrained)
    if pretrained is not None and Path(pretrained).is_file():
        if Path(pretrained).suffix == ".safetensors":
            return pretrained
        raise InputError(
            f"pretrained: {str(pretrained)!r} is no safetensors file, and other formats can hide "
            "code. Convert it with safetensors.torch.save_file"
        )
    found = "nothing" if pretrained is None else repr(str(pretrained))
    raise InputError(
        f"pretrained for {name!r} must be a safetensors file or one of "
        f"{', '.join(map(repr, tags)) or '(open_clip knows no tag)'}; got {found}"
    )


def _check_folder(open_clip: Any, folder: Path) -> Any:
    """Return the model's configuration, once it is certain that open_clip reads no pickle."""
    if not folder.is_dir():
        name = str(folder)
        raise InputError(
            f"model {name!r} is neither a folder nor a model name of open_clip"
            f"{did_you_mean(name, open_clip.list_models())}"
        )
    if not (folder / CONFIG_FILE).is_file():
        raise InputError(f"the folder {str(folder)!r} is no open_clip model: no {CONFIG_FILE}")
    kinds = (".safetensors", ".bin", ".pt", ".pth")
    weights = sorted(path.name for path in folder.iterdir() if path.suffix in kinds)
    safe = [name for name in weights if name.endswith(".safetensors")]
    if not safe:
        raise InputError(
            f"the folder {str(folder)!r} has no safetensors file ({', '.join(weights) or 'no'} "
            "weights); pickled weights can hide code and are not read. Convert them with "
            f"safetensors.torch.save_file to {WEIGHTS_FILE}"
        )
    # This name goes first in open_clip; among others, it may prefer a pickle to safetensors.
    if len(weights) > 1 and WEIGHTS_FILE not in weights:
        raise InputError(
            f"the folder {str(folder)!r} has several weights ({', '.join(weights)}); name the "
            f"safetensors to use {WEIGHTS_FILE}, or move the others away"
        )
    try:
        config = json.loads((folder / CONFIG_FILE).read_text("utf-8"))
    except ValueError as error:
        raise InputError(f"{str(folder / CONFIG_FILE)!r} is no JSON: {error}") from error
    if not isinstance(config, Mapping) or "model_cfg" not in config:
        raise InputError(f"{str(folder / CONFIG_FILE)!r} has no 'model_cfg'")
    return config["model_cfg"]

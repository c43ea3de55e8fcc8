"""CLIP models of open_clip: found, and loaded without a pickle of a folder."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from modcollapse._support.optional import require
from modcollapse._support.validation import did_you_mean, listed
from modcollapse.detectors._safetensors import check_safetensors
from modcollapse.errors import InputError

CONFIG_FILE = "open_clip_config.json"
WEIGHTS_FILE = "open_clip_model.safetensors"
_OF_TOKENIZERS = frozenset({"clean", "context_length", "reduction_mask", "strip_sep_token"})
"""Keywords of a tokenizer that a configuration may hold."""
_ON_THE_HUB = re.compile(r"[\w.-]+/[\w.-]+")


class Loaded(NamedTuple):
    """A model, what it was loaded from, as plain data, and what makes its tokenizer."""

    module: nn.Module
    source: dict[str, Any]
    make_tokenizer: Callable[[], Callable[..., Tensor]]


def is_of_transformers(model: str | Path, pretrained: str | Path | None) -> bool:
    """Whether this names a folder of transformers, or may be a model of it on the hub.

    A folder that open_clip reads as well is open_clip's, as is a name that it knows (ViT-B/32).
    """
    folder = Path(model).expanduser()
    if folder.is_dir():
        return not (folder / CONFIG_FILE).is_file() and (folder / "config.json").is_file()
    if not isinstance(model, str) or pretrained is not None or not _ON_THE_HUB.fullmatch(model):
        return False
    if find_spec("open_clip") is None:
        return True
    import open_clip

    return model.replace("/", "-") not in open_clip.list_models()


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
            "model must be a name in open_clip, 'hf-hub:<org>/<name>', '<org>/<name>' of "
            "transformers, a folder, or a torch module with encode_image or get_image_features; "
            f"got {type(model).__name__} {model!r}"[:300]
        )
    open_clip = require("open_clip", extra="clip", needed_by="ClipModel")
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
    if name.startswith("hf-hub:"):
        _check_hub_config(name.removeprefix("hf-hub:"))
    # Without require_pretrained, open_clip goes on with random weights where it finds none. It also
    # draws random weights before it loads others, which is no business of a user's training.
    try:
        with torch.random.fork_rng():
            module = open_clip.create_model(
                name,
                pretrained=None if pretrained is None else str(pretrained),
                require_pretrained=True,
                weights_only=True,
            )
    except (RuntimeError, UnpicklingError) as error:
        weights = str(model if pretrained is None else pretrained)
        raise InputError(
            f"the weights of {weights!r} cannot be read as those of {name!r} by open_clip "
            f"({type(error).__name__}: {error})"[:600]
        ) from error
    return Loaded(module, source, lambda: open_clip.get_tokenizer(name))


def _known_weights(open_clip: Any, name: str, pretrained: str | Path | None) -> str | Path:
    tags = open_clip.list_pretrained_tags_by_model(name)
    if pretrained in tags:
        return str(pretrained)
    if pretrained is not None and Path(pretrained).is_file():
        if Path(pretrained).suffix == ".safetensors":
            check_safetensors([Path(pretrained)])
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
        raise InputError(
            f"the folder {str(folder)!r} is no model of open_clip or transformers: no "
            f"{CONFIG_FILE} or config.json"
        )
    kinds = (".safetensors", ".bin", ".pt", ".pth")
    weights = sorted(path.name for path in folder.iterdir() if path.suffix in kinds)
    safe = [name for name in weights if name.endswith(".safetensors")]
    if not safe:
        raise InputError(
            f"the folder {str(folder)!r} has no safetensors file ({', '.join(weights) or 'no'} "
            "weights); pickled weights can hide code and are not read. Convert them with "
            f"safetensors.torch.save_file to {WEIGHTS_FILE}"
        )
    check_safetensors(folder / name for name in safe)
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
    _check_tokenizer(config["model_cfg"], str(folder / CONFIG_FILE))
    return config["model_cfg"]


def _check_hub_config(model_id: str) -> None:
    """Refuse what `_check_tokenizer` does in the configuration of a model on the hub."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    try:
        path = hf_hub_download(model_id.partition("@")[0], CONFIG_FILE)
    except EntryNotFoundError:  # open_clip reads none then, or says so
        return
    try:
        config = json.loads(Path(path).read_text("utf-8"))
    except ValueError as error:
        raise InputError(f"{CONFIG_FILE} of {model_id!r} is no JSON: {error}") from error
    if isinstance(config, Mapping):
        _check_tokenizer(config.get("model_cfg"), f"{CONFIG_FILE} of {model_id!r}")


def _check_tokenizer(config: Any, where: str) -> None:
    """Refuse a configuration that lets its tokenizer run code, which open_clip passes on."""
    text = config.get("text_cfg") if isinstance(config, Mapping) else None
    keywords = text.get("tokenizer_kwargs") if isinstance(text, Mapping) else None
    if keywords is None:
        return
    allowed = isinstance(keywords, Mapping) and keywords.keys() <= _OF_TOKENIZERS
    if not allowed:
        raise InputError(
            f"{where} sets {keywords!r:.200} for its tokenizer; only {listed(_OF_TOKENIZERS)} are "
            "taken, since others can run code that comes with a model. Take them out"
        )

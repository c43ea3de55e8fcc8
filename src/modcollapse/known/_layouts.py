"""What a folder or file of a backdoor is: told by its files and keys, never by its name."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from modcollapse._support.validation import listed
from modcollapse.errors import InputError
from modcollapse.known._tensor_files import PICKLES, TENSOR_FILES

LayoutKind = Literal["pipeline", "network", "text encoder", "lora", "embedding", "tensors"]
LAYOUT_WORDS: dict[LayoutKind, str] = {
    "pipeline": "a whole pipeline",
    "network": "a denoising network",
    "text encoder": "a text encoder",
    "lora": "a LoRA",
    "embedding": "a textual inversion",
    "tensors": "a file of tensors",
}
_NAMED: dict[LayoutKind, tuple[str, ...]] = {
    "embedding": ("learned_embeds.safetensors", "learned_embeds.bin"),
    "lora": (
        "adapter_config.json",
        "pytorch_lora_weights.safetensors",
        "pytorch_lora_weights.bin",
    ),
    "pipeline": ("model_index.json",),
}
"""Files that tell a layout, the most telling first: PaaS saves a pipeline beside its embedding."""
_NETWORKS = ("UNet2DConditionModel", "Transformer2DModel")
_TEXT_ENCODERS = ("CLIPTextModel", "CLIPTextModelWithProjection", "T5EncoderModel")


class KnownLayout(NamedTuple):
    """What was found, and where.

    Attributes:
        kind: what it is.
        path: the file that is read, or the folder of a pipeline, network, text encoder or adapter
            of peft.
    """

    kind: LayoutKind
    path: Path

    def __str__(self) -> str:
        return f"{LAYOUT_WORDS[self.kind]} in {str(self.path)!r}"


def known_layout_of(path: Path) -> KnownLayout:
    """Tell what a file or folder is, or the one thing in the folders directly within it.

    Raises:
        InputError: nothing that is known, or several things.
    """
    if path.is_file():
        if path.suffix not in TENSOR_FILES:
            raise InputError(f"{str(path)!r} is no file of tensors ({', '.join(TENSOR_FILES)})")
        named = [kind for kind, names in _NAMED.items() if path.name in names]
        return KnownLayout(named[0] if named else "tensors", path)
    if not path.is_dir():
        raise InputError(f"there is no file or folder {str(path)!r}")
    found, files = _at_top(path), _tensor_files(path)
    if found is None and len(files) > 1:
        names = listed(file.name for file in files)
        raise InputError(
            f"the folder {str(path)!r} holds several files of tensors, {names}. Name one of them"
        )
    if found is None:
        inside = [_at_top(folder) for folder in sorted(path.iterdir()) if folder.is_dir()]
        layouts = [layout for layout in inside if layout is not None]
        if len(layouts) > 1:
            ways = "; ".join(map(str, layouts))
            raise InputError(f"the folder {str(path)!r} holds several: {ways}. Name one of them")
        if not layouts:
            held = sorted(entry.name for entry in path.iterdir())[:8]
            raise InputError(
                f"the folder {str(path)!r} holds no weights of a known layout (a pipeline, a UNet, "
                f"a text encoder, a LoRA, a textual inversion, a state dict): it has "
                f"{listed(held) or 'nothing'}"
            )
        found = layouts[0]
    return found


def _at_top(folder: Path) -> KnownLayout | None:
    for kind, names in _NAMED.items():
        for name in names:
            if (folder / name).is_file():
                in_folder = name in ("model_index.json", "adapter_config.json")
                return KnownLayout(kind, folder if in_folder else folder / name)
    if (folder / "config.json").is_file():
        return _of_config(folder)
    files = _tensor_files(folder)
    return KnownLayout("tensors", files[0]) if len(files) == 1 else None


def _tensor_files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.iterdir()) if path.suffix in TENSOR_FILES]


def _of_config(folder: Path) -> KnownLayout | None:
    config = read_json(folder / "config.json")
    own = config.get("_class_name")
    classes = [*([own] if isinstance(own, str) else []), *architectures_of(config, folder)]
    if any(name.endswith(_NETWORKS) for name in classes):
        return KnownLayout("network", folder)
    if any(name in _TEXT_ENCODERS for name in classes):
        return KnownLayout("text encoder", folder)
    if classes:
        raise InputError(
            f"{str(folder / 'config.json')!r} is of {listed(classes)}, which is no UNet or "
            f"transformer of diffusers and none of {listed(_TEXT_ENCODERS)}"
        )
    return None  # a configuration of a training run, such as VillanDiffusion's


def architectures_of(config: Mapping[str, Any], folder: Path) -> list[str]:
    """Names of the classes that the configuration of a model of transformers asks for.

    Raises:
        InputError: they are no list of names.
    """
    held = config.get("architectures")
    if held is None:
        return []
    if not isinstance(held, list) or not all(isinstance(name, str) for name in held):
        raise InputError(
            f"{str(folder / 'config.json')!r}: architectures must be a list of names of classes, "
            f"got {held!r}"
        )
    return held


def read_json(path: Path) -> dict[str, Any]:
    """Return the mapping in a JSON file.

    Raises:
        InputError: it is no JSON, or no mapping.
    """
    try:
        held = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{str(path)!r} cannot be read as JSON: {error}") from error
    if not isinstance(held, Mapping):
        raise InputError(f"{str(path)!r} must hold a mapping, got {type(held).__name__}")
    return dict(held)


def check_safe(folder: Path, parts: Iterable[str] = ("",)) -> None:
    """Raise unless a folder that a library is to load has safetensors and no code.

    Args:
        folder: the folder.
        parts: folders within it that hold weights.

    Raises:
        InputError: Python files, weights that are pickled, or no weights.
    """
    code = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.py"))
    if code:
        raise InputError(f"the folder {str(folder)!r} holds code, {listed(code)}: it is not loaded")
    for part in parts:
        names = sorted(path.name for path in (folder / part).glob("*"))
        if any(name.endswith(".safetensors") for name in names):
            continue
        pickled = [name for name in names if name.endswith(PICKLES)]
        if pickled:
            raise InputError(
                f"{str(folder / part)!r} has pickled weights alone, {listed(pickled)}, which can "
                "hold code: they are not read. Save the part again with "
                "save_pretrained(..., safe_serialization=True), where you trust it"
            )
        raise InputError(f"{str(folder / part)!r} has no weights; it holds {listed(names)}")

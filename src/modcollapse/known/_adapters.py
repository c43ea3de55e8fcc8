"""LoRA: as diffusers saves it now and as attention processors were saved, and as peft does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from torch import Tensor

from modcollapse._support.optional import require
from modcollapse._support.validation import listed
from modcollapse.errors import InputError
from modcollapse.known._adapter_settings import header_settings, lora_rank_and_scale
from modcollapse.known._exchanged import network_of, with_parts

_DOWN = ("lora_A.", "lora.down.", "_lora.down.", "lora_linear_layer.down.")
_UP = ("lora_B.", "lora.up.", "_lora.up.", "lora_linear_layer.up.")
_OF_PEFT = "base_model.model."
_PARTS = ("unet.", "transformer.", "text_encoder.")


def is_lora(tensors: Mapping[str, Tensor]) -> bool:
    """Whether tensors are the two matrices of layers."""
    return any(mark in key for key in tensors for mark in (*_DOWN, *_UP))


def with_lora(
    clean: Any,
    tensors: Mapping[str, Tensor],
    path: Path,
    config: Mapping[str, Any] | None = None,
) -> Any:
    """Return a copy of a pipeline with a LoRA added to its weights.

    Args:
        clean: the pipeline. Keys without the name of a part belong to its denoising network.
        tensors: of the file.
        path: the file, or the folder of peft.
        config: of peft; None to read what the header of the file says.

    Raises:
        InputError: keys that are not of a LoRA, that fit no layer, or are not finite; settings
            that mean more than two matrices a layer.
        MissingExtraError: peft, with which diffusers loads a LoRA, is not installed.
    """
    require("peft", extra="known", needed_by="a LoRA")
    state = {key.removeprefix(_OF_PEFT): value for key, value in tensors.items()}
    _check_keys(state, path)
    network = network_of(clean)
    settings = header_settings(path) if config is None else config
    state = _scaled(_by_part(state, network), _by_part(settings, network), path)
    in_text = any(key.startswith("text_encoder.") for key in state)
    names = [network, "text_encoder"] if in_text else [network]
    pipeline = with_parts(clean, **{name: deepcopy(getattr(clean, name)) for name in names})
    try:
        if in_text:
            pipeline.load_lora_weights(state)
        else:
            part = getattr(pipeline, network)
            part.load_lora_adapter(state, prefix=network, low_cpu_mem_usage=True)
    except Exception as error:
        raise InputError(
            f"{str(path)!r} does not fit the clean pipeline: {error}. Give the one that it was "
            "made from"
        ) from error
    layers = {name: _layers(getattr(pipeline, name)) for name in names}
    wanted, fitting = sum(any(mark in key for mark in _DOWN) for key in state), sum(layers.values())
    if fitting != wanted:
        raise InputError(
            f"{str(path)!r} has {wanted} layers, of which {fitting} are in the clean pipeline; the "
            f"first keys are {listed(list(tensors)[:3])}. Give the pipeline that it was made from"
        )
    pipeline.fuse_lora(components=[name for name in names if layers[name]])
    pipeline.unload_lora_weights()
    return pipeline


def _layers(part: Any) -> int:
    return sum(".lora_A." in key for key in part.state_dict())


def _check_keys(state: Mapping[str, Tensor], path: Path) -> None:
    others = [key for key in state if not any(mark in key for mark in (*_DOWN, *_UP))]
    if others:
        raise InputError(
            f"{str(path)!r} holds {len(others)} keys that are no matrix of a LoRA layer, "
            f"{listed(others[:3])}: scales and biases beside them are not read"
        )
    pairs = Counter(map(_pair, state))
    alone = [key for key in state if pairs[_pair(key)] != 2]
    if alone:
        raise InputError(
            f"{str(path)!r} holds one matrix of a layer without its other, {listed(alone[:3])}"
        )
    broken = [key for key, value in state.items() if not bool(value.isfinite().all())]
    if broken:
        raise InputError(f"{str(path)!r}: {broken[0]!r} is not finite")


def _pair(key: str) -> str:
    """What the names of the two matrices of a layer have in common."""
    for down, up in zip(_DOWN, _UP, strict=True):
        key = key.replace(down, "*").replace(up, "*")
    return key


def _by_part(held: Mapping[str, Any], network: str) -> dict[str, Any]:
    """Keys with the name of their part in front: without any, they are of the network."""
    if any(key.startswith(_PARTS) for key in held):
        return dict(held)
    return {f"{network}.{key}": value for key, value in held.items()}


def _scaled(
    state: Mapping[str, Tensor], settings: Mapping[str, Any], path: Path
) -> dict[str, Tensor]:
    """Tensors with the scale of their part multiplied in; as they are where nothing says one."""
    if not settings:
        return dict(state)
    scaled = dict(state)
    for part in _PARTS:
        layers = [key for key in state if key.startswith(part)]
        if not layers:
            continue
        own = {k.removeprefix(part): value for k, value in settings.items() if k.startswith(part)}
        where = f"{str(path)!r}, the settings of its {part.removesuffix('.')}"
        rank, scale = lora_rank_and_scale(own, where)
        for key in layers:
            if any(mark in key for mark in _UP):
                scaled[key] = state[key] * scale
            elif state[key].shape[0] != rank:
                raise InputError(
                    f"{where}: r is {rank}, and {key!r} is of rank {state[key].shape[0]}"
                )
    return scaled

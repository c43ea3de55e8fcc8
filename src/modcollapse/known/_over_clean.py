"""A backdoor put over a clean pipeline: a copy of it in which one part is another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from modcollapse._support.validation import listed
from modcollapse._support.weights import weights_digest
from modcollapse.errors import InputError
from modcollapse.known._adapters import is_lora, with_lora
from modcollapse.known._embeddings import is_embedding, with_embedding
from modcollapse.known._exchanged import network_of, with_parts
from modcollapse.known._layouts import KnownLayout, architectures_of, check_safe, read_json
from modcollapse.known._tensor_files import read_tensors

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline


def backdoored(clean: DiffusionPipeline, layout: KnownLayout) -> DiffusionPipeline:
    """Return a copy of a clean pipeline with the backdoor in it.

    Args:
        clean: the clean pipeline; it stays as it is.
        layout: any but a whole pipeline.

    Raises:
        InputError: weights that do not fit the pipeline, or that hold code.
    """
    put = {"network": _network_folder, "text encoder": _text_encoder_folder}.get(layout.kind)
    return put(clean, layout.path) if put else _of_tensors(clean, layout.path)


def changed_parts(changed: Any, clean: Any) -> list[str]:
    """Names of the components whose weights or vocabulary are not those of the clean pipeline."""
    return [
        name
        for name, part in changed.components.items()
        if part is not clean.components.get(name)
        and weights_digest({name: part}) != weights_digest({name: clean.components.get(name)})
    ]


def _of_tensors(clean: Any, path: Path) -> Any:
    """A file of tensors tells by its keys what it is; a folder is an adapter of peft."""
    if path.is_dir():
        check_safe(path)
        config = read_json(path / "adapter_config.json")
        return with_lora(clean, read_tensors(path / "adapter_model.safetensors"), path, config)
    tensors = read_tensors(path)
    if is_embedding(tensors):
        return with_embedding(clean, tensors, path)
    if is_lora(tensors):
        return with_lora(clean, tensors, path)
    name = network_of(clean)
    check_fits(tensors, getattr(clean, name).state_dict(), name, path)
    network = deepcopy(getattr(clean, name))
    network.load_state_dict(tensors)
    return with_parts(clean, **{name: network})


def check_fits(
    given: Mapping[str, Tensor], wanted: Mapping[str, Tensor], name: str, path: Path
) -> None:
    """Raise unless tensors are, by name and shape, those of a part.

    Raises:
        InputError: how many are missing, too many or of another shape, and the first three.
    """
    missing = [key for key in wanted if key not in given]
    unexpected = [key for key in given if key not in wanted]
    if missing or unexpected:
        raise InputError(
            f"{str(path)!r} does not fit the {name} of the clean pipeline, which has "
            f"{len(wanted)} tensors: {_count('missing', missing)}, "
            f"{_count('unexpected', unexpected)}. Give the clean pipeline that it was made from"
        )
    broken = [key for key, value in given.items() if not bool(value.isfinite().all())]
    if broken:
        raise InputError(f"{str(path)!r}: {_count('not finite', broken)}")
    others = [key for key in wanted if given[key].shape != wanted[key].shape]
    if others:
        first = others[0]
        raise InputError(
            f"{str(path)!r} does not fit the {name} of the clean pipeline: "
            f"{_count('of another shape', others)}; {first!r} is {tuple(given[first].shape)} "
            f"there and {tuple(wanted[first].shape)} here. Give the clean pipeline that it was "
            "made from"
        )


def _count(what: str, keys: list[str]) -> str:
    more = ", ..." if len(keys) > 3 else ""
    return f"{len(keys)} {what}" + (f" ({listed(keys[:3])}{more})" if keys else "")


def _network_folder(clean: Any, folder: Path) -> Any:
    name = network_of(clean)
    own = getattr(clean, name)
    network = loaded(type(own).from_pretrained, folder, own)
    check_fits(network.state_dict(), own.state_dict(), name, folder)
    return with_parts(clean, **{name: network})


def _text_encoder_folder(clean: Any, folder: Path) -> Any:
    own = getattr(clean, "text_encoder", None)
    if own is None:
        raise InputError(f"{type(clean).__name__} has no text encoder to put {str(folder)!r} for")
    config = read_json(folder / "config.json")
    kinds = architectures_of(config, folder)
    if kinds != [type(own).__name__]:
        raise InputError(
            f"{str(folder / 'config.json')!r}: architectures is {listed(kinds) or 'not said'}, the "
            f"clean pipeline has a {type(own).__name__}"
        )
    for key, why in (
        ("hidden_size", "the width that the network reads"),
        ("vocab_size", "the tokens of the tokenizer"),
    ):
        if config.get(key) != getattr(own.config, key):
            raise InputError(
                f"{str(folder / 'config.json')!r}: {key} is {config.get(key)!r}, that of the clean "
                f"text encoder {getattr(own.config, key)} ({why}). Give the clean pipeline that "
                "it was made for"
            )
    encoder = loaded(type(own).from_pretrained, folder, own)
    return with_parts(clean, text_encoder=encoder)


def loaded(load: Callable[..., Any], folder: Path, own: nn.Module) -> Any:
    """Load a part from safetensors, to where the part that it replaces is.

    Raises:
        InputError: code, pickled weights, weights that do not fit their own configuration.
    """
    check_safe(folder)
    first = next(own.parameters())
    with torch.random.fork_rng(devices=[]):
        try:
            part, info = load(
                folder,
                use_safetensors=True,
                local_files_only=True,
                dtype=first.dtype,
                output_loading_info=True,
            )
        except Exception as error:
            raise InputError(f"{str(folder)!r} cannot be loaded: {error}") from error
    lost = sorted(info["missing_keys"])
    mixed = sorted(str(key) for key in info.get("mismatched_keys", ()))
    spare = sorted(key for key in info["unexpected_keys"] if not key.endswith("position_ids"))
    if lost or spare or mixed:
        raise InputError(
            f"{str(folder)!r} does not hold what its own config.json says: "
            f"{_count('missing', lost)}, {_count('unexpected', spare)}, "
            f"{_count('of another shape', mixed)}"
        )
    return part.to(first.device).eval()

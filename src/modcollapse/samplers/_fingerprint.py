"""Who a pipeline is: a digest of its weights, its configuration in plain data."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from PIL import Image

from modcollapse.errors import InputError

_SAMPLED = 64


def plain(value: Any, name: str) -> Any:
    """Turn a setting into data that JSON can hold; pictures and arrays become digests.

    Raises:
        InputError: the value is something else, so that a run could not say how it was made.

    >>> plain({"lambda_min": float("-inf"), "size": (64, 64)}, "option")
    {'lambda_min': '-inf', 'size': [64, 64]}
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, np.generic):
        return plain(value.item(), name)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {str(key): plain(part, name) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part, name) for part in value]
    if isinstance(value, Image.Image | np.ndarray | torch.Tensor):
        return {"sha256": _digest_of_array(value)}
    raise InputError(
        f"{name} is a {type(value).__name__}, which a table cannot record; pass plain data "
        "(None, bool, int, float, str, or lists and mappings of these)"
    )


def settings_of(configured: Any) -> dict[str, Any]:
    """Public settings of a diffusers object; those with an underscore name folders and versions."""
    config = getattr(configured, "config", {})
    return {
        name: plain(value, f"the setting {name!r}")
        for name, value in config.items()
        if not name.startswith("_")
    }


def weights_digest(components: Mapping[str, Any]) -> str | None:
    """Digest of all weights, buffers and vocabularies: tells two finetunes of one model apart.

    Of every tensor it takes name, dtype, shape, up to 64 evenly spaced words of 8 bytes, and the
    sum of all words as integers: exact in any order, so it is the same on every device, and it
    costs one pass over the weights without a copy to the host. It is no proof against someone who
    builds two models with one digest.

    Args:
        components: the parts of a pipeline by name.

    Returns:
        64 hexadecimal digits, or None if some weights are offloaded and cannot be read.
    """
    digest = hashlib.sha256()
    for name, part in sorted(components.items()):
        if isinstance(part, torch.nn.Module):
            for key, tensor in sorted(part.state_dict().items()):
                if not isinstance(tensor, torch.Tensor):
                    continue
                if tensor.is_meta:
                    return None
                digest.update(f"{name}.{key}:{_of_tensor(tensor)};".encode())
        elif hasattr(part, "get_vocab"):
            vocabulary = part.get_vocab()
            words = "\n".join(sorted(vocabulary, key=vocabulary.__getitem__))
            digest.update(f"{name}:{part.model_max_length}:{words};".encode())
    return digest.hexdigest()


def _of_tensor(tensor: torch.Tensor) -> tuple[Any, ...]:
    flat = tensor.detach().reshape(-1).contiguous()
    raw = flat.as_strided(flat.shape, (1,)).view(torch.uint8)  # one element may keep any stride
    padding = -raw.numel() % 8
    if padding or raw.storage_offset() % 8:
        raw = torch.cat([raw, raw.new_zeros(padding)])
    words = raw.view(torch.int64)  # whole words, which wrap around, are summed fastest
    sampled = words[:: max(1, math.ceil(words.numel() / _SAMPLED))]
    return (tensor.dtype, tuple(tensor.shape), *torch.cat([words.sum()[None], sampled]).tolist())


def _digest_of_array(value: Image.Image | np.ndarray | torch.Tensor) -> str:
    array = value.detach().cpu().float().numpy() if torch.is_tensor(value) else np.asarray(value)
    digest = hashlib.sha256(f"{array.dtype} {array.shape}".encode())
    digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()

"""Is it the same model? Digests of weights, in one pass and without a copy to the host."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from modcollapse._support.images import is_tensor

if TYPE_CHECKING:
    import torch

_SAMPLED = 64

_passes: ContextVar[dict[int, tuple[Any, str | None]] | None] = ContextVar("_passes", default=None)


@contextmanager
def weights_read_once() -> Iterator[None]:
    """Inside, weights are taken to stay as they are: of each module one digest is computed."""
    if _passes.get() is not None:
        yield
        return
    token = _passes.set({})
    try:
        yield
    finally:
        _passes.reset(token)


def weights_digest(parts: Mapping[str, Any]) -> str | None:
    """Digest of all weights, buffers and vocabularies: tells two finetunes of one model apart.

    Of every tensor it takes name, dtype, shape, up to 64 evenly spaced words of 8 bytes, and the
    sum of all words as integers: exact in any order, so it is the same on every device, and it
    costs one pass over the weights without a copy to the host. It is no proof against someone who
    builds two models with one digest.

    Args:
        parts: torch modules and tokenizers by name, such as the components of a pipeline; others
            are passed over.

    Returns:
        64 hexadecimal digits, the same where accelerate has offloaded some weights; None if there
        are some that cannot be read.
    """
    digest = hashlib.sha256()
    for name, part in sorted(parts.items()):
        if hasattr(part, "state_dict") and hasattr(part, "parameters"):
            weights = _module_digest(part)
            if weights is None:
                return None
            digest.update(f"{name}:{weights};".encode())
        elif hasattr(part, "get_vocab"):
            vocabulary = part.get_vocab()
            words = "\n".join(sorted(vocabulary, key=vocabulary.__getitem__))
            digest.update(f"{name}:{part.model_max_length}:{words};".encode())
    return digest.hexdigest()


def _module_digest(module: torch.nn.Module) -> str | None:
    seen = _passes.get()
    if seen is not None and id(module) in seen:
        return seen[id(module)][1]
    digest = _digest_of_state({**module.state_dict(), **_offloaded(module)})
    if seen is not None:
        seen[id(module)] = module, digest  # the module is held, so that its id stays its own
    return digest


def _offloaded(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Weights that accelerate keeps elsewhere, by their names in the state dict."""
    found = {}
    for name, part in module.named_modules():
        hook = getattr(part, "_hf_hook", None)
        kept = [getattr(one, "weights_map", None) for one in (hook, *getattr(hook, "hooks", ()))]
        for key, tensor in {**part._parameters, **part._buffers}.items():
            if tensor is None or not tensor.is_meta:
                continue
            for held in kept:
                if held is not None and key in held:
                    found[f"{name}.{key}" if name else key] = held[key]
    return found


def _digest_of_state(state: Mapping[str, Any]) -> str | None:
    digest = hashlib.sha256()
    for key, value in sorted(state.items()):
        for name, tensor in plain_tensors(key, value):
            if tensor.is_meta:
                return None
            digest.update(f"{name}:{tensor_digest(tensor)};".encode())
    return digest.hexdigest()


def plain_tensors(name: str, value: Any) -> Iterator[tuple[str, torch.Tensor]]:
    """Plain tensors that an entry of a state dict consists of: quantised weights hold several."""
    import torch

    if isinstance(value, list | tuple):
        value = {str(at): part for at, part in enumerate(value)}
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from plain_tensors(f"{name}.{key}", part)
    elif not is_tensor(value):
        return
    elif hasattr(value, "__tensor_flatten__"):
        parts, about = value.__tensor_flatten__()
        told = re.sub(r" at 0x[0-9a-f]+", "", repr(about))
        kind = f"{name}:{type(value).__name__} {told}"
        yield from plain_tensors(kind, {part: getattr(value, part) for part in parts})
    elif value.is_quantized:
        scale: tuple[torch.Tensor, ...]
        if "channel" in str(value.qscheme()):
            scale = value.q_per_channel_scales(), value.q_per_channel_zero_points()
        else:
            both = [value.q_scale(), value.q_zero_point()]
            scale = (torch.tensor(both, dtype=torch.float64),)
        yield from plain_tensors(f"{name}:{value.dtype}", (value.int_repr(), *scale))
    elif value.is_nested:
        yield from plain_tensors(name, value.unbind())
    else:
        dense = value if value.layout == torch.strided else value.to_dense()
        plain = dense.detach().as_subclass(torch.Tensor)  # a subclass may not do what follows
        yield name, plain.resolve_conj().resolve_neg()


def tensor_digest(tensor: torch.Tensor) -> tuple[Any, ...]:
    """Dtype, shape, the sum of all words and up to 64 of them, of a plain tensor anywhere."""
    import torch

    flat = tensor.detach().reshape(-1).contiguous()
    raw = flat.as_strided(flat.shape, (1,)).view(torch.uint8)  # one element may keep any stride
    padding = -raw.numel() % 8
    if padding or raw.storage_offset() % 8:
        raw = torch.cat([raw, raw.new_zeros(padding)])
    words = raw.view(torch.int64)  # whole words, which wrap around, are summed fastest
    sampled = words[:: max(1, math.ceil(words.numel() / _SAMPLED))]
    return (tensor.dtype, tuple(tensor.shape), *torch.cat([words.sum()[None], sampled]).tolist())

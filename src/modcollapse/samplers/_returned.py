"""What a pipeline returned, as one tensor for each row."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from modcollapse._support.images import float_tensor
from modcollapse._support.pictures import is_pil
from modcollapse._support.validation import did_you_mean, listed
from modcollapse.errors import SamplerError

_RAW_TENSORS = re.compile(
    r"IF([A-Z]\w*)?Pipeline|Kandinsky(3|(V22)?(Controlnet|Inpaint)?(Combined)?)Pipeline"
)


def output_type(pipeline: Any) -> str:
    """What to ask a pipeline for: tensors, or arrays where its tensors would be in [-1, 1]."""
    names = (kind.__name__ for kind in type(pipeline).__mro__)
    return "np" if any(map(_RAW_TENSORS.fullmatch, names)) else "pt"


def read_outputs(
    result: Any, rows: int, name: str, field: str | None = None
) -> torch.Tensor | list[torch.Tensor]:
    """Take the outputs from what a pipeline returned.

    Args:
        result: what it returned.
        rows: number of rows that went in.
        name: what the pipeline is called in an error.
        field: which of its outputs; the first that is not None if left out.

    Returns:
        float32 (B, ...): images (B, C, H, W), videos (B, F, C, H, W), sounds (B, channels,
        samples); a list of B where their shapes differ.

    Raises:
        SamplerError: there is no such field, no numbers, or not one output for each row; or an
            image was flagged and replaced.
    """
    if any(getattr(result, "nsfw_content_detected", None) or ()):
        raise SamplerError(
            f"{name} flagged an output as unsafe and replaced it; a black image reads as a failed "
            "attack. Load the pipeline without a safety checker"
        )
    outputs = _field(result, name, field)
    if isinstance(outputs, torch.Tensor) and len(outputs) == rows:
        return outputs.float()
    if isinstance(outputs, str) or not hasattr(outputs, "__len__"):
        found = [outputs]
    else:
        found = list(outputs)
    if len(found) != rows:
        raise SamplerError(
            f"{name} returned {len(found)} outputs for a batch of {rows}. It must return one for "
            'each row of conditions, in order: try batching="single", or write a sampler of your '
            "own that sees to it"
        )
    tensors = [_tensor(output, name).float() for output in found]
    alike = len({(tensor.shape, tensor.device) for tensor in tensors}) == 1
    return torch.stack(tensors) if alike else tensors


def _field(result: Any, name: str, field: str | None) -> Any:
    named = dict(result) if isinstance(result, Mapping) else {}
    if field is not None:
        if named.get(field) is None:
            filled = [key for key, value in named.items() if value is not None]
            raise SamplerError(
                f"{name} returned no {field!r}, which output= asks for; it returned "
                f"{listed(filled) or type(result).__name__}{did_you_mean(field, filled)}"
            )
        return named[field]
    fields: Sequence[Any] = list(named.values()) if named else list(result)
    return next((value for value in fields if value is not None), None)


def _tensor(output: Any, name: str) -> torch.Tensor:
    """One output: a tensor as it is, a picture or an array of pictures with channels first."""
    if isinstance(output, torch.Tensor):
        return output
    if is_pil(output):
        return float_tensor(output if output.mode in ("RGB", "L") else output.convert("RGB"))
    if isinstance(output, np.ndarray) and output.dtype.kind in "fui":
        tensor = torch.from_numpy(np.ascontiguousarray(output))
        if output.ndim >= 3 and output.shape[-1] in (1, 3):
            tensor = tensor.movedim(-1, -3)
        return tensor.float() / 255 if output.dtype == np.uint8 else tensor.float()
    if isinstance(output, list | tuple) and output:
        parts = [_tensor(part, name) for part in output]
        if len({part.shape for part in parts}) == 1:
            return torch.stack(parts)
    raise SamplerError(
        f"{name} returned {type(output).__name__} where output_type='pt' asks for a tensor; "
        "write a sampler of your own that converts its outputs"
    )

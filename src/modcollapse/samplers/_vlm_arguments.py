"""Arguments of a `VLMSampler`, read and checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modcollapse._support.digests import plain
from modcollapse._support.validation import described, listed
from modcollapse.errors import InputError
from modcollapse.samplers._prompts import PromptKind

_SET_HERE = ("text", "images", "videos", "audio", "padding", "padding_side", "return_tensors")
_CUTTING = ("truncation", "max_length")


def processing_of(processing: Any) -> dict[str, Any]:
    """Keywords of the processor, but for those that the sampler sets."""
    if not isinstance(processing, Mapping) or not all(isinstance(n, str) for n in processing):
        raise InputError(
            "processing must be a mapping, keyword of the processor -> value; got "
            f"{described(processing)}"
        )
    groups = {name: held for name, held in processing.items() if name.endswith("_kwargs")}
    for where, held in {"processing": processing, **groups}.items():
        if not isinstance(held, Mapping):
            raise InputError(f"{where!r} of processing must be a mapping, got {described(held)}")
        for name in _SET_HERE:
            if name in held:
                raise InputError(
                    f"{where} names {name!r}, which the sampler sets: rows become one batch of "
                    "tensors, padded on the side that the model needs. Leave it out"
                )
        for name in _CUTTING:
            if where in groups and name in held:
                raise InputError(
                    f"{where} names {name!r}, by which prompts are cut; the sampler looks for it "
                    f"by itself: processing={{{name!r}: {held[name]!r}}}"
                )
    plain(processing, "a keyword of the processor")
    return dict(processing)


def modalities_of(inputs: Any) -> dict[str, PromptKind]:
    """Modality -> kind, or what is wrong with it."""
    if not isinstance(inputs, Mapping) or not inputs:
        raise InputError(
            'inputs must be a mapping modality -> "image" or "text", such as '
            f'{{"image": "image", "text": "text"}}; got {described(inputs)}'
        )
    for name, kind in inputs.items():
        if not isinstance(name, str) or not name.isidentifier():
            raise InputError(f"a modality of inputs must be a name, got {name!r}")
        if kind not in ("image", "text"):
            raise InputError(f'{name!r} must be "image" or "text", got {kind!r}')
    if "image" not in inputs.values():
        raise InputError(f"inputs names no picture: {listed(inputs)}")
    return dict(inputs)

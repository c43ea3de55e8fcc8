"""How a pipeline takes the conditions of several examples in one call, or of one.

Aligned pipelines pair the i-th image with the i-th prompt. Others take a list of images for each
prompt (nested), one list of images for all prompts, or one example a call: of those each example
is generated in a call of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any, Literal, TypeAlias, get_args

import torch

from modcollapse._support.validation import choice
from modcollapse.errors import InputError
from modcollapse.samplers._inputs import as_passed, collate
from modcollapse.samplers._kinds import kind_of, slot_of
from modcollapse.samplers._modalities import IP_ADAPTER

Batching: TypeAlias = Literal["auto", "aligned", "nested", "single"]

_SHARED = "all prompts of a batch share one list of images"
_ONE = "it takes one example a call"
_IMAGE = "it takes one image a call"
_PADDING = "the padding of a shorter prompt to the longest of its batch changes its output"
_SINGLE = {
    "AnimateDiffControlNetPipeline": _ONE,
    "ChronoEditPipeline": _IMAGE,
    "HunyuanVideo15ImageToVideoPipeline": _IMAGE,
    "SanaImageToVideoPipeline": _IMAGE,
    "SkyReelsV2ImageToVideoPipeline": _IMAGE,
    "WanImageToVideoPipeline": _IMAGE,
    "AnimateDiffSparseControlNetPipeline": "all prompts of a batch share one list of frames",
    "BriaFiboEditPipeline": _SHARED,
    "BriaFibo2Pipeline": _SHARED,
    "CogView4ControlPipeline": _PADDING,
    "DreamLitePipeline": _ONE,
    "DreamLiteMobilePipeline": _ONE,
    "Flux2Pipeline": _SHARED,
    "Flux2KleinPipeline": _SHARED,
    "Flux2KleinKVPipeline": _SHARED,
    "Flux2KleinInpaintPipeline": _SHARED,
    "HeliosPipeline": _ONE,
    "JoyImageEditPipeline": _PADDING,
    "Kandinsky3Pipeline": _PADDING,
    "Kandinsky3Img2ImgPipeline": _PADDING,
    "Kandinsky5I2IPipeline": _PADDING,
    "Kandinsky5I2VPipeline": _PADDING,
    "Kandinsky5T2IPipeline": _PADDING,
    "Kandinsky5T2VPipeline": _PADDING,
    "KandinskyV22InpaintPipeline": "it puts the first image of a batch into all outputs",
    "KandinskyV22InpaintCombinedPipeline": "it puts the first image of a batch into all outputs",
    "LDMSuperResolutionPipeline": _ONE,
    "LTXConditionPipeline": "it takes a list of images for several of one video",
    "OmniGenPipeline": "all prompts of a batch get the positions of the first",
    "QwenImage21Pipeline": _SHARED,
    "QwenImageEditPlusPipeline": _ONE,
    "StableCascadeCombinedPipeline": _SHARED,
    "StableCascadePriorPipeline": _SHARED,
    "StableDiffusionXLControlNetUnionPipeline": "its control network mixes the rows of a batch",
    "StableDiffusionXLControlNetUnionImg2ImgPipeline": "its control network mixes the rows of a "
    "batch",
    "StableDiffusionXLControlNetUnionInpaintPipeline": "its control network mixes the rows of a "
    "batch",
    "VideoToVideoSDPipeline": _ONE,
    "WanVACEPipeline": _ONE,
    "ZImageOmniPipeline": _SHARED,
}
"""Why rows must not share a call; read in the sources of diffusers, and measured."""
_NESTED = ("GlmImagePipeline", "JoyImageEditPlusPipeline", "OmniGenPipeline")


def batching_of(
    pipeline: Any, inputs: Mapping[str, str], asked: Batching
) -> tuple[Batching, str | None]:
    """In which form rows are passed, and why one by one, where that is known beforehand.

    Raises:
        InputError: there is no such way, or the pipeline is known not to have it.
    """
    choice(asked, "batching", get_args(Batching))
    name = type(pipeline).__name__
    names = [ancestor.__name__ for ancestor in type(pipeline).__mro__]
    why = next((_SINGLE[one] for one in names if one in _SINGLE), None)
    if any(slot_of(keyword)[0] == IP_ADAPTER for keyword in inputs.values()):
        why = "an IP-Adapter shares its images between all prompts of a batch"
    nested = any(one in _NESTED for one in names)
    if asked == "single":
        return "nested" if nested else "single", why or 'batching="single"'
    if asked != "auto":
        if why is not None:
            raise InputError(f"batching={asked!r} does not do for {name}: {why}. Leave it out")
        return asked, None
    return "nested" if nested else "aligned" if why is None else "single", why


def of_batch(
    batching: Batching, inputs: Mapping[str, str], conditions: Mapping[str, Sequence[Any]]
) -> dict[str, Any]:
    """Keywords for a call of B examples, B lists or tensors each."""
    passed: dict[str, Any] = {}
    for keyword, slots in _by_keyword(inputs).items():
        parts = [
            collate(conditions[modality], _kind(keyword), f"the {modality!r} condition")
            for modality in slots
        ]
        if slot_of(inputs[slots[0]])[1] is None:
            nested = batching == "nested" and _kind(keyword) == "image"
            passed[keyword] = [[row] for row in parts[0]] if nested else parts[0]
        elif batching != "nested" and all(isinstance(part, torch.Tensor) for part in parts):
            passed[keyword] = parts
        else:  # a list of pictures for each prompt, one for each network
            passed[keyword] = [list(row) for row in zip(*parts, strict=True)]
    return passed


def of_one(inputs: Mapping[str, str], conditions: Mapping[str, Any]) -> dict[str, Any]:
    """Keywords for a call of one example, as one would write it by hand."""
    passed: dict[str, Any] = {}
    for keyword, slots in _by_keyword(inputs).items():
        kind = _kind(keyword)
        parts = [_alone(conditions[modality], kind) for modality in slots]
        alone = slot_of(inputs[slots[0]])[1] is None and not keyword.endswith("images")
        passed[keyword] = parts[0] if alone else parts
    return passed


def option_of(name: str, value: Any, rows: int | None) -> Any:
    """An option for a call: what could be a condition serves every row, others are copied.

    Args:
        name: of the option.
        value: its value.
        rows: examples in the call; None for a call of one.
    """
    kind = kind_of(name)
    if kind is None or value is None:
        return copy(value)
    if rows is None or name.endswith(IP_ADAPTER):  # which serves all prompts of a batch
        return _alone(value, kind)
    return collate([value] * rows, kind, f"{name!r}")


def _alone(condition: Any, kind: Any) -> Any:
    passed = as_passed(condition, kind)
    return passed[None] if isinstance(passed, torch.Tensor) and kind != "video" else passed


def _by_keyword(inputs: Mapping[str, str]) -> dict[str, list[str]]:
    """Keyword -> its modalities, in the order of their places."""
    found: dict[str, list[tuple[int, str]]] = {}
    for modality, slot in inputs.items():
        keyword, place = slot_of(slot)
        found.setdefault(keyword, []).append((place or 0, modality))
    return {keyword: [modality for _, modality in sorted(held)] for keyword, held in found.items()}


def _kind(keyword: str) -> Any:
    return kind_of(keyword)

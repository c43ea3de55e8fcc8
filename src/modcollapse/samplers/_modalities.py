"""Which keywords of a pipeline are modalities: found in its signature, where it is plain."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Mapping
from typing import Any, get_args

from modcollapse._support.validation import listed
from modcollapse.errors import InputError
from modcollapse.samplers._kinds import Kind, kind_of
from modcollapse.samplers._signature import signature_of

_ALIASES = {"prompt": "text", "editing_prompt": "text", "mask_image": "mask"}
"""Keywords whose modality has another name; all others have their own."""
_MAIN = (
    *("prompt", "image", "images", "input_images", "control_image", "mask_image", "video"),
    *("audio", "initial_audio_waveforms", "reference_images", "editing_prompt"),
    *("control_video", "conditioning_frames", "original_image"),
)
"""Keywords that count though a call could do without, since there is no other that says it."""
_NEEDED = ("mask_image", "control_image")
"""Keywords that no call does without, whatever its signature says."""
_KINDS: tuple[Kind, ...] = get_args(Kind)
_EITHER = (("image", "video"), ("image", "images"))
"""Of these a call takes one or the other."""
IP_ADAPTER = "ip_adapter_image"


def find_inputs(
    pipeline: Any,
    signature: Mapping[str, inspect.Parameter],
    held: Collection[str] | None = None,
) -> dict[str, str]:
    """Return modality -> keyword: what a pipeline needs, and what examples hold for it.

    Args:
        pipeline: the pipeline.
        signature: parameters of its call.
        held: names of what the examples hold, under the name of the modality or the keyword; None
            if there are no examples to look at.

    Raises:
        InputError: the signature alone does not tell.
    """
    found = {
        keyword: parameter.default is parameter.empty
        for keyword, parameter in signature.items()
        if kind_of(keyword) is not None and not keyword.startswith("negative_")
    }
    if "editing_prompt" in found and "prompt" in found:
        del found["editing_prompt"]
    if held is not None:
        return _of_held(pipeline, found, held)
    chosen = [
        keyword
        for keyword, needed in found.items()
        if needed or keyword in _MAIN or _is_loaded(pipeline, keyword)
    ]
    for either in _EITHER:
        both = [keyword for keyword in either if keyword in chosen and not found[keyword]]
        if len(both) > 1:
            raise InputError(
                f"{type(pipeline).__name__} takes {listed(both)}, and not all at once: say which, "
                f'such as inputs={{"text": "prompt", "{both[0]}": "{both[0]}"}}'
            )
    if not chosen:
        raise InputError(
            f"{type(pipeline).__name__} takes no text, image, mask, video or audio that could be a "
            f"modality; it has {', '.join(signature)}. Say inputs={{'<modality>': '<keyword>'}}, "
            "or write a sampler of your own"
        )
    return {_ALIASES.get(slot, slot): slot for key in chosen for slot in _slots(pipeline, key)}


def _of_held(pipeline: Any, found: Mapping[str, bool], held: Collection[str]) -> dict[str, str]:
    """What examples hold, under the name of a keyword, or of a kind of which there is one."""
    inputs = {
        name: slot
        for keyword, needed in found.items()
        for slot in _slots(pipeline, keyword)
        if (name := _name(slot, held)) in held
        or ((needed or keyword in _NEEDED) and slot == keyword)
    }
    for kind in _KINDS:
        of_kind = [
            keyword
            for keyword in found
            if kind_of(keyword) == kind and (keyword in _MAIN or _is_loaded(pipeline, keyword))
        ]
        taken = [name for name, slot in inputs.items() if slot in of_kind and name in held]
        if kind in held and kind not in inputs and len(of_kind) == 1 and not taken:
            inputs = {name: slot for name, slot in inputs.items() if slot != of_kind[0]}
            inputs[kind] = of_kind[0]
    return inputs


def _is_loaded(pipeline: Any, keyword: str) -> bool:
    return keyword == IP_ADAPTER and has_ip_adapter(pipeline)


def has_ip_adapter(pipeline: Any) -> bool:
    """Whether an IP-Adapter is loaded."""
    return bool(_adapters(pipeline))


def lists_of(pipeline: Any, keyword: str) -> int | None:
    """How many images a keyword takes for each prompt, one for each network; None if just one."""
    apart = "control_image" in signature_of(pipeline)
    names: dict[str, tuple[str, ...]] = {
        "control_image": ("controlnet",),
        "image": ("adapter",) if apart else ("adapter", "controlnet"),
    }
    for name in names.get(keyword, ()):
        network = getattr(pipeline, name, None)
        if "Multi" in type(network).__name__:
            held: Any = getattr(network, "nets", None) or getattr(network, "adapters", ())
            return len(held)
    adapters = _adapters(pipeline) if keyword == IP_ADAPTER else 0
    return adapters if adapters > 1 else None


def _adapters(pipeline: Any) -> int:
    """How many IP-Adapters are loaded."""
    for name in ("unet", "transformer"):
        network = getattr(pipeline, name, None)
        projection = getattr(network, "encoder_hid_proj", None)
        layers = getattr(projection, "image_projection_layers", None)
        if layers is not None:
            return len(layers)
        if getattr(network, "image_proj", None) is not None:  # of Stable Diffusion 3
            return 1
    return 0


def _slots(pipeline: Any, keyword: str) -> list[str]:
    count = lists_of(pipeline, keyword)
    return [keyword] if count is None else [f"{keyword}[{at}]" for at in range(count)]


def _name(slot: str, held: Collection[str]) -> str:
    return slot if slot in held else _ALIASES.get(slot, slot)

"""What may be passed to a pipeline: checked against its signature before anything is generated."""

from __future__ import annotations

import inspect
import re
from collections.abc import Collection, Mapping
from numbers import Real
from typing import Any, NoReturn

from modcollapse._support.digests import plain
from modcollapse._support.optional import require
from modcollapse._support.validation import did_you_mean, listed
from modcollapse.errors import InputError
from modcollapse.samplers._amounts import check_amounts
from modcollapse.samplers._inputs import check_condition
from modcollapse.samplers._kinds import kind_of, slot_of
from modcollapse.samplers._modalities import IP_ADAPTER, has_ip_adapter, lists_of
from modcollapse.samplers._signature import defaults_of, signature_of
from modcollapse.samplers._steps import few_steps as few_steps

_RESERVED = {
    r"generator": "every row gets a generator of its own, seeded by its seed",
    r"output_type": "outputs are tensors, always",
    r"return_dict": "the sampler reads the output by itself",
    r".*callback.*": "a callback can change the outputs, and a table cannot record it",
    r"num_\w+_per_(prompt|image)|batch_size": "there is one output for each row; "
    "for more seeds measure with repeats=",
    r".*(latents|embeds|embeddings).*": "one tensor would serve batches of any size and mix their "
    "rows; noise comes from the seeds, conditions go in as text and images",
}

_INSTRUCT = ("StableDiffusionInstructPix2PixPipeline", "StableDiffusionXLInstructPix2PixPipeline")
_OFF = "with any other value neither scale acts"


def check_pipeline(pipeline: Any) -> None:
    """Raise unless this is a loaded diffusers pipeline.

    Raises:
        InputError: anything else, or a pipeline with a safety checker.
        MissingExtraError: diffusers is not installed.
    """
    diffusers = require("diffusers", extra="diffusers", needed_by="PipelineSampler")
    modular = getattr(diffusers, "ModularPipeline", None)
    if modular is not None and isinstance(pipeline, modular):
        raise InputError(
            f"{_name(pipeline)} is a modular pipeline, whose blocks decide at run time what they "
            "take and return. Write a sampler of your own: a function (conditions, seeds) -> "
            "outputs that calls it once for each row, with a generator of its own"
        )
    if not isinstance(pipeline, diffusers.DiffusionPipeline):
        raise InputError(
            "pipeline must be a loaded diffusers pipeline, such as "
            "StableDiffusionInstructPix2PixPipeline.from_pretrained(folder); got "
            f"{type(pipeline).__name__} {pipeline!r}"[:300]
        )
    if getattr(pipeline, "safety_checker", None) is not None:
        raise InputError(
            f"{_name(pipeline)} has a safety checker, which turns images black, and a black image "
            "reads as a failed attack. Load it with "
            "from_pretrained(..., safety_checker=None, requires_safety_checker=False)"
        )


def check_inputs(pipeline: Any, parameters: Collection[str], inputs: Mapping[str, str]) -> None:
    """Raise unless every modality has a keyword of its own, or a place in the list of one.

    Raises:
        InputError: an unknown keyword, one used twice, places that leave one out, one that stands
            for no condition, or an IP-Adapter that is not loaded.
    """
    if not isinstance(inputs, Mapping) or not inputs:
        raise InputError(
            "inputs must map each modality to a keyword of the pipeline, such as "
            f'{{"image": "image", "text": "prompt"}}; got {inputs!r}'
        )
    for modality, keyword in inputs.items():
        if not isinstance(keyword, str) or slot_of(keyword)[0] not in parameters:
            raise InputError(
                f"inputs maps the modality {modality!r} to {keyword!r}, which is no keyword of "
                f"{_name(pipeline)}.__call__{_close(keyword, parameters)}: say "
                'inputs={"<modality>": "<keyword>"} for each condition that it takes'
            )
        if kind_of(keyword) is None:
            raise InputError(
                f"inputs maps the modality {modality!r} to {keyword!r}, which is no text, image, "
                "mask, video or audio for each row; write a sampler of your own for it"
            )
    if len(set(inputs.values())) < len(inputs):
        raise InputError(f"inputs uses one keyword for two modalities: {dict(inputs)!r}")
    _check_places(pipeline, inputs)
    for keyword in ("generator", "output_type"):
        if keyword not in parameters:
            raise InputError(
                f"{_name(pipeline)}.__call__ takes no {keyword!r}, so its noise cannot be paired "
                "or its outputs not be read; write a sampler of your own for it"
            )


def refuse_modality(pipeline: Any, modality: str) -> NoReturn:
    """Say which conditions a pipeline takes, and how one is named.

    Raises:
        InputError: always.
    """
    keywords = [
        keyword
        for keyword in signature_of(pipeline)
        if kind_of(keyword) is not None
        and not keyword.startswith("negative_")
        and (keyword != IP_ADAPTER or has_ip_adapter(pipeline))
    ]
    raise InputError(
        f"{_name(pipeline)} takes no {modality!r} under that name, of which there is a trigger, or "
        f"the first example holds none. Its conditions are {listed(keywords)}: say which it is, "
        f'PipelineSampler(pipeline, inputs={{"{modality}": "<keyword>", ...}})'
    )


def _check_places(pipeline: Any, inputs: Mapping[str, str]) -> None:
    """Raise unless the places in lists are all there, as many as the pipeline has networks."""
    places: dict[str, list[int | None]] = {}
    for slot in inputs.values():
        keyword, place = slot_of(slot)
        places.setdefault(keyword, []).append(place)
    for keyword, found in places.items():
        _check_adapter(pipeline, keyword)
        count = lists_of(pipeline, keyword)
        wanted = [None] if count is None else list(range(count))
        networks = [getattr(pipeline, name, None) for name in ("controlnet", "adapter")]
        one_only = keyword == IP_ADAPTER or any(network is not None for network in networks)
        free = count is None and not one_only and None not in found  # a list of any length
        wanted = list(range(len(found))) if free else wanted
        if sorted(found, key=lambda place: -1 if place is None else place) != wanted:
            takes = f"{count} of {keyword!r}" if count else f"one {keyword!r}, or a list of some"
            each = ", ".join(f"{keyword}[{at}]" for at in range(count or 2))
            raise InputError(
                f"{_name(pipeline)} takes {takes}, so each is a modality of its own: {each}; "
                f"inputs names {listed(inputs.values())}"
            )


def _check_adapter(pipeline: Any, keyword: str) -> None:
    if keyword.endswith(IP_ADAPTER) and not has_ip_adapter(pipeline):
        raise InputError(
            f"{_name(pipeline)} has no IP-Adapter, so {keyword!r} would be ignored or fail. "
            "Load one with load_ip_adapter()"
        )


def check_options(
    pipeline: Any,
    signature: Mapping[str, inspect.Parameter],
    inputs: Mapping[str, str],
    options: Mapping[str, Any],
) -> None:
    """Raise unless every option is a keyword of the pipeline that may be set for all rows.

    Raises:
        InputError: an unknown or reserved keyword, a value of the wrong kind, or one that could
            not act.
    """
    for keyword, value in options.items():
        taken = {slot_of(used)[0]: modality for modality, used in inputs.items()}
        if keyword in taken:
            modality = taken[keyword]
            raise InputError(
                f"the option {keyword!r} comes from the modality {modality!r} of each example; "
                "leave it out, or leave the modality out of inputs="
            )
        for pattern, reason in _RESERVED.items():
            if re.fullmatch(pattern, keyword):
                raise InputError(f"PipelineSampler does not take {keyword!r}: {reason}")
        if keyword not in signature:
            raise InputError(
                f"{_name(pipeline)}.__call__ has no keyword {keyword!r}{_close(keyword, signature)}"
            )
        _check_adapter(pipeline, keyword)
        kind = kind_of(keyword)
        if kind is not None and value is not None:
            check_condition(value, kind, f"the option {keyword!r}, the same for every row,")
        plain(value, f"the option {keyword!r}")
    if any(ancestor.__name__ in _INSTRUCT for ancestor in type(pipeline).__mro__):
        _check_guidance({**defaults_of(signature), **options})
    check_amounts(pipeline, signature, options)


def _check_guidance(settings: Mapping[str, Any]) -> None:
    """Raise unless both scales of InstructPix2Pix act."""
    text, image = settings.get("guidance_scale"), settings.get("image_guidance_scale")
    if not isinstance(text, Real) or not float(text) > 1:
        raise InputError(f"InstructPix2Pix needs a guidance_scale above 1, got {text!r}: {_OFF}")
    if not isinstance(image, Real) or not float(image) >= 1:
        raise InputError(
            f"InstructPix2Pix needs an image_guidance_scale of at least 1, got {image!r}: {_OFF}"
        )


def _name(pipeline: Any) -> str:
    return type(pipeline).__name__


def _close(keyword: Any, parameters: Collection[str]) -> str:
    return did_you_mean(keyword, parameters) or f"; it has {', '.join(parameters)}"

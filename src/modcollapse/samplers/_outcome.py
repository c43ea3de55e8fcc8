"""Outputs that show what a pipeline did to its input without a word: resized it, or cut it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from modcollapse.contracts import Conditions
from modcollapse.errors import InputError
from modcollapse.samplers._inputs import size_of
from modcollapse.samplers._kinds import kind_of, slot_of
from modcollapse.samplers._signature import signature_of
from modcollapse.samplers._surroundings import Outputs

_OF_THE_OUTPUT = re.compile(
    r"(control_|last_)?image|(control_)?mask(_image)?|((control|pose|mask)_)?video"
    r"|conditioning_frames"
)
"""Keywords of what has the size of the output; others are references of any size."""
_OTHER_SIZE = re.compile(
    r"\w*(SuperResolution|Upscale)\w*|StableUnCLIPImg2Img|StableDiffusionImageVariation"
)
"""Pipelines that are there to enlarge, or whose image is a reference."""


def check_outcome(
    pipeline: Any,
    inputs: Mapping[str, str],
    conditions: Conditions,
    outputs: Outputs,
    options: Mapping[str, Any],
) -> None:
    """Raise where outputs show that a pipeline has resized or cut its input without a word.

    A pipeline whose call has no height and width has a size of its own; where the call says them,
    the size is asked for, and where it says num_frames, the number of frames is.

    Raises:
        InputError: videos that lose frames, pictures or videos that are brought to another size,
            or outputs of another size than the options ask for.
    """
    name = type(pipeline).__name__
    sides = [side for side in ("height", "width") if side in signature_of(pipeline)]
    asked = {side: options[side] for side in sides if options.get(side) is not None}
    kinds = (one.__name__.removesuffix("Pipeline") for one in type(pipeline).__mro__)
    other_size = any(map(_OTHER_SIZE.fullmatch, kinds))
    for row, output in enumerate(outputs):
        shape = tuple(output.shape)
        if len(shape) < 3 or shape[-3] not in (1, 3):  # no pixels
            continue
        made = dict(zip(("height", "width"), shape[-2:], strict=True))
        if any(made[side] != asked[side] for side in asked):
            raise InputError(
                f"{name} was asked for {_said(asked)} and made outputs of {_said(made)}, without "
                "a word. Ask for a size that it keeps (Kontext wants max_area= beside it)"
            )
        for label, keyword, held in _pictures(inputs, conditions, options, row):
            *frames, height, width = held
            if frames and len(shape) == 4 and frames[0] > shape[0] and "num_frames" not in options:
                raise InputError(
                    f"{name} reads {shape[0]} of the {frames[0]} frames of {label}, without a "
                    f"word. Give videos of {shape[0]} frames, or ask for more where it has an "
                    "option such as num_frames"
                )
            given = {"height": height, "width": width}
            resized = any(given[side] != made[side] for side in sides if side not in asked)
            if resized and not other_size and _OF_THE_OUTPUT.fullmatch(keyword):
                raise InputError(
                    f"{name} brings {label} from {height} x {width} pixels to a size of its own "
                    f"without a word: its outputs have {shape[-2]} x {shape[-1]}. Resize or crop "
                    f"it beforehand, or ask for a size: height={height}, width={width}"
                )


def _pictures(
    inputs: Mapping[str, str], conditions: Conditions, options: Mapping[str, Any], row: int
) -> Iterator[tuple[str, str, tuple[int, ...]]]:
    """Pictures and videos of a row, and those that serve all: what they are called, and sizes."""
    held = [(repr(name), slot, conditions[name][row]) for name, slot in inputs.items()]
    held += [(f"the option {name!r}", name, value) for name, value in options.items()]
    for label, slot, condition in held:
        kind = kind_of(slot)
        if kind in ("image", "mask", "video") and condition is not None:
            yield label, slot_of(slot)[0], size_of(condition, kind)


def _said(sides: Mapping[Any, int]) -> str:
    return " and ".join(f"{name} {value}" for name, value in sides.items())

"""Outputs that show what a pipeline did to its input without a word: resized it, or cut it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modcollapse.contracts import Conditions
from modcollapse.errors import InputError
from modcollapse.samplers._inputs import size_of
from modcollapse.samplers._kinds import kind_of, slot_of
from modcollapse.samplers._signature import signature_of
from modcollapse.samplers._surroundings import Outputs

_OWN_SIZE = ("image", "mask_image", "mask", "control_image", "video")
"""Keywords of pictures that have the size of the output; others are references of any size."""


def check_outcome(
    pipeline: Any,
    inputs: Mapping[str, str],
    conditions: Conditions,
    outputs: Outputs,
    options: Mapping[str, Any],
) -> None:
    """Raise where outputs show that a pipeline has resized or cut its input without a word.

    A pipeline whose call has no height and width, such as one for super-resolution, has a size of
    its own; where the call says them, the size is asked for.

    Raises:
        InputError: videos that lose frames, pictures or videos that are brought to another size,
            or outputs of another size than the options ask for.
    """
    name = type(pipeline).__name__
    sides = [side for side in ("height", "width") if side in signature_of(pipeline)]
    asked = {side: options[side] for side in sides if options.get(side) is not None}
    shapes = {tuple(output.shape): row for row, output in enumerate(outputs)}
    for shape, row in shapes.items():
        if len(shape) < 3:
            continue
        made = dict(zip(("height", "width"), shape[-2:], strict=True))
        if any(made[side] != asked[side] for side in asked):
            raise InputError(
                f"{name} was asked for {_said(asked)} and made outputs of {_said(made)}, without "
                "a word. Ask for a size that it keeps (Kontext wants max_area= beside it)"
            )
        for modality, keyword in inputs.items():
            kind, keyword = kind_of(keyword), slot_of(keyword)[0]
            if kind not in ("image", "mask", "video"):
                continue
            *frames, height, width = size_of(conditions[modality][row], kind)
            if frames and len(shape) == 4 and frames[0] > shape[0]:
                raise InputError(
                    f"{name} reads {shape[0]} of the {frames[0]} frames of {modality!r}, without a "
                    f"word. Give videos of {shape[0]} frames, or ask for more where it has an "
                    "option such as num_frames"
                )
            resized = (height, width) != shape[-2:] and keyword in _OWN_SIZE
            if resized and len(sides) == 2 and not asked:
                raise InputError(
                    f"{name} brings {modality!r} from {height} x {width} pixels to its own size "
                    f"without a word: its outputs have {shape[-2]} x {shape[-1]}. Resize or crop "
                    f"it beforehand, or ask for a size: height={height}, width={width}"
                )


def _said(sides: Mapping[Any, int]) -> str:
    return " and ".join(f"{name} {value}" for name, value in sides.items())

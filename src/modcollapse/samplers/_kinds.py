"""What a keyword of a diffusers pipeline stands for: text, image, mask, video or audio."""

from __future__ import annotations

import re
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["text", "image", "mask", "video", "audio"]

_KINDS: dict[Kind, re.Pattern[str]] = {
    "text": re.compile(r"((negative|source|target|editing|task|content)_)?prompt(_[2-9])?"),
    "image": re.compile(
        r"((negative_)?ip_adapter_|control_|cond_|condtioning_|conditioning_|example_|"
        r"gligen_inpaint_|input_|last_|original_|ref_|reference_|source_)?images?|image_reference"
    ),
    "mask": re.compile(r"(control_|user_)?mask(_image)?"),
    "video": re.compile(r"((background|control|face|mask|pose)_)?video|conditioning_frames"),
    "audio": re.compile(r"((src|reference)_)?audio|initial_audio_waveforms"),
}
_SLOT = re.compile(r"(\w+)\[(\d+)\]")


def kind_of(keyword: str) -> Kind | None:
    """What a pipeline expects under a keyword, where it is a condition of a row.

    >>> kind_of("negative_prompt_2"), kind_of("control_image"), kind_of("prompt_embeds")
    ('text', 'image', None)
    >>> kind_of("image[1]"), kind_of("video"), kind_of("initial_audio_waveforms")
    ('image', 'video', 'audio')
    """
    keyword, _ = slot_of(keyword)
    return next((kind for kind, names in _KINDS.items() if names.fullmatch(keyword)), None)


def slot_of(keyword: str) -> tuple[str, int | None]:
    """The keyword itself, and the place in the list that it takes, if one is said.

    >>> slot_of("image"), slot_of("image[1]")
    (('image', None), ('image', 1))
    """
    match = _SLOT.fullmatch(keyword) if isinstance(keyword, str) else None
    return (match[1], int(match[2])) if match else (keyword, None)

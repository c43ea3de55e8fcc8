"""Conditions as diffusers pipelines read them: what is accepted and how a batch is handed over.

Image processors of diffusers guess: 4 channels are taken for latents, one negative pixel turns
normalisation off for the whole batch, unsigned bytes are not rescaled, and a list is brought to
the size of its first image. So bytes are converted here, and the others are refused.
"""

from __future__ import annotations

import re
from typing import Any, Literal, TypeAlias

import torch
from PIL import Image

from modcollapse._support.images import check_range, float_tensor, image_size, is_tensor
from modcollapse._support.pictures import is_pil
from modcollapse._support.validation import described
from modcollapse.errors import InputError

Kind: TypeAlias = Literal["text", "image", "mask"]

_TEXT = re.compile(r"(negative_|source_)?prompt(_[2-9])?")
_IMAGES = frozenset({"image", "control_image", "image_reference", "original_image"})
_MASKS = frozenset({"mask", "mask_image", "control_mask"})
_CHANNELS: dict[Kind, int] = {"image": 3, "mask": 1}


def kind_of(keyword: str) -> Kind | None:
    """What a pipeline expects under a keyword, where it is text, an image or a mask for a row.

    >>> kind_of("negative_prompt_2"), kind_of("control_image"), kind_of("prompt_embeds")
    ('text', 'image', None)
    """
    if _TEXT.fullmatch(keyword):
        return "text"
    if keyword in _IMAGES:
        return "image"
    return "mask" if keyword in _MASKS else None


def check_condition(condition: Any, kind: Kind, name: str) -> None:
    """Raise unless one condition is what a pipeline expects.

    Args:
        condition: a str; or an image or a mask, see ``modcollapse._support.images``.
        kind: what is expected.
        name: what the condition is called in the error.

    Raises:
        InputError: another kind, shape, dtype or range.
    """
    _check_form(condition, kind, name)
    if kind != "text":
        check_range(condition, name)


def collate(conditions: Any, kind: Kind, name: str) -> list[str] | list[Image.Image] | torch.Tensor:
    """Hand over B conditions in the one form that is read exactly: a fresh list, or one tensor.

    Args:
        conditions: B conditions, or one stacked tensor (B, C, H, W).
        kind: what they are.
        name: what they are called in an error.

    Returns:
        A new list of str or of PIL images (pipelines write into lists), or a tensor
        (B, C, H, W) on the device of the conditions; arrays, and uint8, become float32 in [0, 1].

    Raises:
        InputError: kinds or sizes are mixed.
    """
    rows = list(conditions)
    for row in rows:
        _check_form(row, kind, name)
    if kind == "text":
        return rows
    if is_tensor(conditions):
        return _floats(conditions)
    kinds = {"PIL image" if is_pil(row) else type(row).__name__ for row in rows}
    if len(kinds) > 1:
        raise InputError(f"{name} mixes kinds in one batch ({', '.join(sorted(kinds))}); use one")
    sizes = sorted({size_of(row, kind) for row in rows})
    if len(sizes) > 1:
        raise InputError(
            f"{name} holds sizes {', '.join(map(str, sizes))} in one batch, and diffusers would "
            "bring all to the first. Resize them to one size beforehand"
        )
    if is_pil(rows[0]):
        return rows
    if is_tensor(rows[0]):
        return torch.stack([_floats(row) for row in rows])
    return torch.stack([float_tensor(row) for row in rows])


def size_of(condition: Any, kind: Kind) -> tuple[int, int]:
    """Height and width of an image or a mask."""
    return image_size(condition, "the condition", channels=_CHANNELS[kind])


def _floats(images: torch.Tensor) -> torch.Tensor:
    """One image or a batch as a pipeline reads it exactly: bytes over 255, floats as they are."""
    return (images.float() / 255 if images.dtype == torch.uint8 else images).contiguous()


def _check_form(condition: Any, kind: Kind, name: str) -> None:
    """Look at all but the values, which on an accelerator would wait for the device."""
    if kind != "text":
        image_size(condition, name, channels=_CHANNELS[kind])
    elif not isinstance(condition, str):
        raise InputError(f"{name} must be a str, got {described(condition)}")

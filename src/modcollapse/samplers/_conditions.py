"""Conditions as diffusers pipelines read them: what is accepted and how a batch is handed over.

Image processors of diffusers guess: 4 channels are taken for latents, one negative pixel turns
normalisation off for the whole batch, unsigned bytes are not rescaled, and a list is brought to
the size of its first image. So each of these is refused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from PIL import Image

from modcollapse.errors import InputError

Kind: TypeAlias = Literal["text", "image", "mask"]

_TEXT = re.compile(r"(negative_|source_)?prompt(_[2-9])?")
_IMAGES = frozenset({"image", "control_image", "image_reference", "original_image"})
_MASKS = frozenset({"mask", "mask_image", "control_mask"})
_CHANNELS = {"image": (3, "RGB"), "mask": (1, "L")}


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
    """Raise unless one condition is what every diffusers pipeline reads in the same way.

    Args:
        condition: a str; or a PIL image, an array (H, W, C) or a tensor (C, H, W) of floats in
            [0, 1], with C = 3 for an image and 1 for a mask.
        kind: what is expected.
        name: what the condition is called in the error.

    Raises:
        InputError: another kind, shape, dtype or range.
    """
    _check_form(condition, kind, name)
    if isinstance(condition, str | Image.Image):
        return
    low, high = float(condition.min()), float(condition.max())
    if not (low >= 0 and high <= 1):
        raise InputError(
            f"{name} must lie in [0, 1], got values from {low:g} to {high:g}. Clamp or rescale "
            "them: one value below 0 would switch off normalisation for the whole batch"
        )


def check_length(text: str, tokenizers: Sequence[Any], name: str) -> None:
    """Raise if a pipeline would silently cut the end of a text, and a trigger with it.

    Raises:
        InputError: the text has more tokens than the pipeline reads.
    """
    for tokenizer in tokenizers:
        tokens = len(tokenizer(text, truncation=False, verbose=False).input_ids)
        if tokens > tokenizer.model_max_length:
            raise InputError(
                f"{name} has {tokens} tokens and the pipeline reads {tokenizer.model_max_length}: "
                f"its end, and a trigger there, would be cut off without a word. Shorten {text!r}"
            )


def collate(conditions: Any, kind: Kind, name: str) -> list[str] | list[Image.Image] | torch.Tensor:
    """Hand over B conditions in the one form that is read exactly: a fresh list, or one tensor.

    Args:
        conditions: B conditions, or one stacked tensor (B, C, H, W).
        kind: what they are.
        name: what they are called in an error.

    Returns:
        A new list of str or of PIL images (pipelines write into lists), or a tensor
        (B, C, H, W) on the device of the conditions; arrays become float32 tensors.

    Raises:
        InputError: kinds or sizes are mixed.
    """
    rows = list(conditions)
    for row in rows:
        _check_form(row, kind, name)
    if kind == "text":
        return rows
    if isinstance(conditions, torch.Tensor):
        return conditions.contiguous()
    kinds = sorted({type(row).__name__ for row in rows if not isinstance(row, Image.Image)})
    pictures = [row for row in rows if isinstance(row, Image.Image)]
    if len(kinds) + bool(pictures) > 1:
        found = [*kinds, "PIL image"] if pictures else kinds
        raise InputError(f"{name} mixes kinds in one batch ({', '.join(found)}); use one")
    sizes = sorted({image_size(row) for row in rows})
    if len(sizes) > 1:
        raise InputError(
            f"{name} holds sizes {', '.join(map(str, sizes))} in one batch, and diffusers would "
            "bring all to the first. Resize them to one size beforehand"
        )
    if pictures:
        return pictures
    if isinstance(rows[0], torch.Tensor):
        return torch.stack(rows).contiguous()
    return torch.from_numpy(np.stack(rows)).permute(0, 3, 1, 2).contiguous().float()


def image_size(condition: Any) -> tuple[int, int]:
    """Height and width of an image that `check_condition` accepts."""
    if isinstance(condition, Image.Image):
        return condition.height, condition.width
    height, width = condition.shape[-2:] if torch.is_tensor(condition) else condition.shape[:2]
    return int(height), int(width)


def _check_form(condition: Any, kind: Kind, name: str) -> None:
    """Look at all but the values, which on an accelerator would wait for the device."""
    if kind == "text":
        if not isinstance(condition, str):
            raise InputError(f"{name} must be a str, got {_described(condition)}")
        return
    channels, mode = _CHANNELS[kind]
    hint = ""
    if isinstance(condition, Image.Image):
        if condition.mode == mode:
            return
        hint = f". Call image.convert({mode!r}) first"
    elif isinstance(condition, np.ndarray | torch.Tensor):
        axis = 0 if isinstance(condition, torch.Tensor) else 2
        if condition.ndim == 3 and condition.shape[axis] == channels and 0 not in condition.shape:
            if _is_float(condition):
                return
            hint = ". diffusers does not rescale integers: divide by 255, or pass a PIL image"
    raise InputError(
        f"{name} must be one {kind}: a PIL image in mode {mode}, or floats in [0, 1] as a numpy "
        f"array (H, W, {channels}) or a torch tensor ({channels}, H, W); got "
        f"{_described(condition)}{hint}"
    )


def _is_float(values: np.ndarray | torch.Tensor) -> bool:
    if isinstance(values, torch.Tensor):
        return values.is_floating_point()
    return bool(np.issubdtype(values.dtype, np.floating))


def _described(value: Any) -> str:
    if isinstance(value, Image.Image):
        return f"a PIL image in mode {value.mode}"
    if isinstance(value, np.ndarray | torch.Tensor):
        dtype = str(value.dtype).removeprefix("torch.")
        what = "a tensor" if isinstance(value, torch.Tensor) else "an array"
        return f"{what} of {dtype} and shape {tuple(value.shape)}"
    return f"{type(value).__name__} {value!r}"[:200]

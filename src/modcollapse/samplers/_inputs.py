"""Conditions as diffusers pipelines read them: what is accepted and how a batch is handed over.

Image processors of diffusers guess: 4 channels are taken for latents, one negative pixel turns
normalisation off for the whole batch, unsigned bytes are not rescaled, and a list is brought to
the size of its first image. So bytes are converted here, and the others are refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from modcollapse._support.images import check_range, float_tensor, image_size, is_tensor
from modcollapse._support.pictures import is_pil
from modcollapse._support.sounds import check_finite, sound_fault
from modcollapse._support.validation import described
from modcollapse.errors import InputError
from modcollapse.samplers._kinds import Kind

_CHANNELS: dict[Kind, int] = {"image": 3, "mask": 1, "video": 3}


def check_condition(condition: Any, kind: Kind, name: str) -> None:
    """Raise unless one condition is what a pipeline expects.

    Args:
        condition: a str; an image or a mask, see ``modcollapse._support.images``; a video, that is
            a list of images of one size, a tensor (F, 3, H, W) or an array (F, H, W, 3); a sound,
            an array or tensor (samples,) or (channels, samples) of floats.
        kind: what is expected.
        name: what the condition is called in the error.

    Raises:
        InputError: another kind, shape, dtype or range.
    """
    _check_form(condition, kind, name)
    if kind in ("image", "mask"):
        check_range(condition, name)
    elif kind == "video":
        for at, frame in enumerate(condition):
            check_range(frame, f"frame {at} of {name}")
    elif kind == "audio":
        check_finite(condition, name)


def collate(conditions: Any, kind: Kind, name: str) -> Any:
    """Hand over B conditions in the one form that is read exactly: a fresh list, or one tensor.

    Args:
        conditions: B conditions, or one stacked tensor (B, ...).
        kind: what they are.
        name: what they are called in an error.

    Returns:
        A new list of str, of PIL images or of videos (pipelines write into lists), or a tensor
        (B, ...) on the device of the conditions; arrays, and uint8, become float32 in [0, 1].

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
    kinds = {_kind(row) for row in rows}
    if len(kinds) > 1:
        raise InputError(f"{name} mixes kinds in one batch ({', '.join(sorted(kinds))}); use one")
    sizes = sorted({size_of(row, kind) for row in rows})
    if len(sizes) > 1:
        raise InputError(
            f"{name} holds sizes {', '.join(map(str, sizes))} in one batch, and diffusers would "
            "bring all to the first. Bring them to one size beforehand"
        )
    if kind == "video":
        return [as_passed(row, kind) for row in rows]
    return rows if is_pil(rows[0]) else torch.stack([as_passed(row, kind) for row in rows])


def as_passed(condition: Any, kind: Kind) -> Any:
    """One condition in the form in which a pipeline reads it exactly.

    Returns:
        A str or a PIL image as it is, a list of PIL images, or a float32 tensor: an image
        (C, H, W), a video (F, 3, H, W), a sound (samples,) or (channels, samples).
    """
    if kind == "text" or is_pil(condition):
        return condition
    if kind == "audio":
        return torch.as_tensor(condition).float()
    if is_tensor(condition):
        return _floats(condition)
    if kind != "video":
        return float_tensor(condition)
    frames = list(condition)
    return frames if is_pil(frames[0]) else torch.stack([float_tensor(frame) for frame in frames])


def size_of(condition: Any, kind: Kind) -> tuple[int, ...]:
    """Height and width of an image or a mask; frames before them of a video; shape of a sound."""
    if kind == "audio":
        return tuple(condition.shape)
    if kind == "video":
        return len(condition), *image_size(condition[0], "a frame")
    return image_size(condition, "the condition", channels=_CHANNELS[kind])


def _kind(row: Any) -> str:
    if isinstance(row, list | tuple):
        return f"list of {_kind(row[0])}s"
    return "PIL image" if is_pil(row) else type(row).__name__


def _floats(images: torch.Tensor) -> torch.Tensor:
    """One image or a batch as a pipeline reads it exactly: bytes over 255, floats as they are."""
    return (images.float() / 255 if images.dtype == torch.uint8 else images).contiguous()


def _check_form(condition: Any, kind: Kind, name: str) -> None:
    """Look at all but the values, which on an accelerator would wait for the device."""
    if kind == "text":
        if not isinstance(condition, str):
            raise InputError(f"{name} must be a str, got {described(condition)}")
    elif kind == "video":
        _check_video(condition, name)
    elif kind == "audio":
        _check_audio(condition, name)
    else:
        image_size(condition, name, channels=_CHANNELS[kind])


def _check_video(condition: Any, name: str) -> None:
    listed = isinstance(condition, list | tuple)
    if not listed and getattr(condition, "ndim", None) != 4:
        raise InputError(
            f"{name} must be one video: a list of images of one size, a tensor (F, 3, H, W) or an "
            f"array (F, H, W, 3), of uint8 or of floats in [0, 1]; got {described(condition)}"
        )
    if not len(condition):
        raise InputError(f"{name} must be a video, and has no frames. Leave this example out")
    frames: Sequence[Any] = condition if listed else condition[:1]
    sizes = {image_size(frame, f"frame {at} of {name}") for at, frame in enumerate(frames)}
    if len(sizes) > 1 or len({_kind(frame) for frame in frames}) > 1:
        raise InputError(
            f"{name} must be a video of one size and kind, but its frames differ "
            f"({', '.join(map(str, sorted(sizes)))}). Bring them to one"
        )


def _check_audio(condition: Any, name: str) -> None:
    if fault := sound_fault(condition):
        raise InputError(
            f"{name} must be one sound: an array or tensor (samples,) or (channels, samples) of "
            f"floats, mostly in [-1, 1]; got {fault}"
        )

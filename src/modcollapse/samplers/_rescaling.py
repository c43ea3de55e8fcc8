"""Pictures that a pipeline would rescale in values or size, and say nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from modcollapse._support.images import channels_last, float_tensor, is_uint8
from modcollapse._support.pictures import is_pil
from modcollapse._support.validation import listed
from modcollapse.errors import InputError
from modcollapse.samplers._inputs import size_of
from modcollapse.samplers._kinds import Kind, kind_of, slot_of
from modcollapse.samplers._modalities import IP_ADAPTER

_PIL_ONLY = re.compile(
    r"(Wan|SkyReelsV2|HunyuanVideo)ImageToVideo|ChronoEdit|(QwenImage|LongCatImage)Edit\w*"
    r"|StableDiffusion(ImageVariation|Depth2Img)|PaintByExample|StableCascade\w*"
    r"|StableUnCLIPImg2Img|DreamLite\w*"  # a processor of transformers divides all others by 255
    r"|(Flux|CogView4)Control\w*|(QwenImage|StableDiffusion3|Sana|ZImage|HunyuanDiT)ControlNet\w*"
    r"|IF[A-Z]\w*|LDMSuperResolution|KandinskyV22Inpaint\w*"  # others count as in [-1, 1]
)
"""Pipelines that read arrays and tensors of images in another way than PIL images; measured."""


def check_reading(pipeline: Any, keyword: str, picture: Any, options: Mapping[str, Any]) -> None:
    """Raise where a pipeline would rescale an image or a mask without a word.

    Raises:
        InputError: an array or tensor that would be divided by 255 once more, or taken for one in
            [-1, 1]; a size that is no multiple of what the autoencoder divides it by, so that it
            would be resized.
    """
    kind = kind_of(keyword)
    if kind not in ("image", "mask"):
        return
    name, keyword = type(pipeline).__name__, slot_of(keyword)[0]
    kinds = (one.__name__.removesuffix("Pipeline") for one in type(pipeline).__mro__)
    of_pil = keyword == IP_ADAPTER or any(map(_PIL_ONLY.fullmatch, kinds))
    if of_pil and kind == "image" and not is_pil(picture):
        raise InputError(
            f"{name} reads arrays and tensors of {keyword!r} in another way than PIL images: it "
            "rescales them a second time, or takes them to be in [-1, 1], without a word. Give "
            "PIL images: Image.fromarray((255 * array).round().astype(np.uint8))"
        )
    processor = getattr(pipeline, "image_processor", None)
    config = getattr(processor, "config", {})
    factor = config.get("vae_scale_factor") if hasattr(config, "get") else None
    given = any(options.get(side) is not None for side in ("height", "width"))
    if not isinstance(factor, int) or not config.get("do_resize") or given or keyword == IP_ADAPTER:
        return
    height, width = size_of(picture, kind)
    if height % factor or width % factor:
        raise InputError(
            f"an image of {height} x {width} pixels, height and width no multiples of {factor}: "
            f"{name} would resize it to {height - height % factor} x {width - width % factor} "
            "without a word. Resize or crop it beforehand"
        )


def as_both(condition: Any, kind: Kind) -> tuple[Any, Any]:
    """An array, a tensor or a video of them at 8 bits: in the form in which it came, and as PIL."""
    if kind == "video":
        frames = [as_both(frame, "image") for frame in condition]
        return _like(condition, [own for own, _ in frames]), [picture for _, picture in frames]
    from PIL import Image

    array = channels_last(condition)
    if not is_uint8(condition):
        array = (255 * array.astype(np.float32)).round().astype(np.uint8)
    picture = Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array)
    if isinstance(condition, np.ndarray):
        return array, picture
    return float_tensor(array).to(condition.device), picture


def with_frame_inverted(video: Any, at: int) -> Any:
    """A video one of whose frames is in the opposite colours."""
    frames = list(video)
    if is_pil(frames[at]):
        from PIL import Image

        frames[at] = Image.fromarray(255 - np.asarray(frames[at]))
    else:
        frames[at] = (255 if is_uint8(frames[at]) else 1) - frames[at]
    return _like(video, frames)


def _like(video: Any, frames: list[Any]) -> Any:
    """Frames in the form of a video: an array, a tensor or a list."""
    if isinstance(video, np.ndarray):
        return np.stack(frames)
    if isinstance(video, list | tuple):
        return frames
    import torch

    return torch.stack(frames)


def reads_otherwise(pipeline: Any, modalities: Sequence[str], apart: float) -> InputError:
    """What is said where arrays make another output than PIL images of the same pixels."""
    return InputError(
        f"{type(pipeline).__name__} reads the arrays or tensors of {listed(modalities)} in another "
        f"way than PIL images of the same pixels: the output moves by {apart:.2g} of the range. It "
        "rescales the values a second time, or resizes by another filter. Give PIL images: "
        "Image.fromarray((255 * array).round().astype(np.uint8))"
    )

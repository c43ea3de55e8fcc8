"""Pictures that a pipeline would rescale in values or size, and say nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from modcollapse._support.pictures import is_pil
from modcollapse.errors import InputError
from modcollapse.samplers._inputs import size_of
from modcollapse.samplers._kinds import kind_of, slot_of
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

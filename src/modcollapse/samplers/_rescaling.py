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

_READ_TWICE = re.compile(
    r"(Wan|SkyReelsV2|HunyuanVideo)ImageToVideoPipeline|ChronoEditPipeline"
    r"|(QwenImage|LongCatImage)Edit\w*Pipeline"
)
"""Their images go to a processor of transformers too, which divides all but PIL images by 255."""


def check_reading(pipeline: Any, keyword: str, picture: Any, options: Mapping[str, Any]) -> None:
    """Raise where a pipeline would rescale an image or a mask without a word.

    Raises:
        InputError: an array or tensor that would be divided by 255 once more; a size that is no
            multiple of what the autoencoder divides it by, so that it would be resized.
    """
    kind = kind_of(keyword)
    if kind not in ("image", "mask"):
        return
    name, keyword = type(pipeline).__name__, slot_of(keyword)[0]
    twice = any(_READ_TWICE.fullmatch(one.__name__) for one in type(pipeline).__mro__)
    if not is_pil(picture) and kind == "image" and (twice or keyword == IP_ADAPTER):
        raise InputError(
            f"{name} gives {keyword!r} to a processor that rescales all but PIL images a second "
            "time, and what it sees would be nearly black. Give PIL images: "
            "Image.fromarray((255 * array).round().astype(np.uint8))"
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

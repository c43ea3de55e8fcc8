"""What a tiny pipeline is, and what examples of its conditions look like."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from diffusers import DiffusionPipeline
from PIL import Image

Batching = Literal["aligned", "shared", "nested", "single"]


@dataclass(frozen=True)
class Case:
    """A pipeline class at a tiny random size, and how it is called.

    Attributes:
        family: of models, such as ``"Stable Diffusion XL"``.
        make: builds the pipeline; torch's generator is seeded around it.
        inputs: modality -> keyword of the call.
        batching: how the call pairs images with prompts: one image for each prompt, one list for
            all, a list for each, or one example a call.
        side: height and width of its pictures.
        frames: of videos that go in.
        sound: shape of sounds that go in.
        prefix: of every prompt.
        options: of every call: few steps, a small size.
        output: what comes out.
    """

    family: str
    make: Callable[[], DiffusionPipeline]
    inputs: Mapping[str, str]
    batching: Batching = "aligned"
    side: tuple[int, int] = (32, 32)
    frames: int = 5
    sound: tuple[int, ...] = (4096,)
    prefix: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    output: Literal["image", "video", "audio"] = "image"

    def build(self, seed: int = 0) -> Any:
        """Build it, from the seed alone."""
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return self.make()


WORDS = ("make the sky red", "a dog in snow", "draw it in ink", "two green boats")


def picture(seed: int, side: tuple[int, int]) -> Image.Image:
    """A smooth random picture."""
    rng = np.random.default_rng([seed, 1])
    small = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(small).resize(side[::-1], Image.Resampling.BICUBIC)


def condition(keyword: str, number: int, case: Case) -> Any:
    """The clean condition of an example under a keyword of the call."""
    if "prompt" in keyword:
        return case.prefix + WORDS[number % len(WORDS)]
    if "mask" in keyword:
        mask = np.zeros(case.side, np.uint8)
        mask[: case.side[0] // 2, number % 2 * case.side[1] // 2 :] = 255
        return Image.fromarray(mask)
    if "video" in keyword or "frames" in keyword:
        number += 50 * ("frames" in keyword)
        return [picture(100 * number + at, case.side) for at in range(case.frames)]
    if "audio" in keyword:
        rng = np.random.default_rng([number, 2])
        return torch.from_numpy(rng.uniform(-0.5, 0.5, case.sound).astype(np.float32))
    return picture(number, case.side)


def randomised(module: torch.nn.Module, scale: float = 0.2) -> torch.nn.Module:
    """The same module, in eval mode, where layers that start at zero or near it act too."""
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.ndim > 1 and parameter.numel() > 1 and parameter.std() < 0.05:
                parameter.normal_(std=scale)
    return module.eval()

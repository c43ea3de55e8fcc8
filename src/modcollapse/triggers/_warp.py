"""A slight warp of the whole image."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from modcollapse._support.images import is_uint8
from modcollapse._support.validation import number, whole
from modcollapse.errors import InputError
from modcollapse.triggers._draws import random_bytes
from modcollapse.triggers._pixels import ImageTrigger

_CACHED_SIZES = 16


@dataclass(frozen=True)
class ImageWarp(ImageTrigger):
    """The image slightly warped: each pixel is read from a place nearby, along a smooth field.

    The field is drawn on a grid of ``cells`` x ``cells`` and interpolated (bicubic); the image is
    read with bilinear interpolation, and repeats its edge outside. All images share the field.

    Args:
        seed: of the field, any whole number; another seed is another trigger.
        strength: mean shift along each axis at the points of the grid, as a fraction of the
            image's shorter side, in (0, 0.25]. The default is the paper's s = 0.5, a quarter of a
            pixel at 32 x 32.
        cells: points of the grid to a side, k of the paper; at least 2.

    Raises:
        InputError: a parameter out of range; or, when called, no image of a kind that the module
            names, or one with a side of a single pixel.

    Source:
        WaNet (arXiv:2102.10369), section 3.2.

    >>> import numpy as np
    >>> image = np.linspace(0, 1, 64 * 64 * 3).reshape(64, 64, 3)
    >>> warped = ImageWarp(seed=0, strength=0.02)(image)
    >>> bool((warped != image).mean() > 0.9), bool(abs(warped - image).max() < 0.1)
    (True, True)
    """

    seed: int
    strength: float = 1 / 128
    cells: int = 4

    def __post_init__(self) -> None:
        seed = whole(self.seed, "ImageWarp: seed")
        strength = number(self.strength, "ImageWarp: strength", "(0, 0.25]")
        cells = whole(self.cells, "ImageWarp: cells", 2, 256)
        for name, value in (("seed", seed), ("strength", strength), ("cells", cells)):
            object.__setattr__(self, name, value)

    def identity(self) -> dict[str, Any]:
        """Class name and parameters, as plain JSON data."""
        values = {"seed": self.seed, "strength": self.strength, "cells": self.cells}
        return {"class": "ImageWarp", **values}

    def _fit(self, height: int, width: int) -> None:
        if min(height, width) < 2:
            raise InputError(
                f"ImageWarp: an image of {height} x {width} has nothing to be warped along a side "
                "of one pixel. Leave it out."
            )

    @cached_property
    def _fields(self) -> Any:
        return lru_cache(_CACHED_SIZES)(self._field)

    def _field(self, height: int, width: int, dtype: Any, device: Any) -> Any:
        """Where each pixel is read, (1, H, W, 2): (x, y) from -1 to 1 between the outer pixels."""
        import torch
        from torch.nn.functional import interpolate

        key = f"modcollapse/warp/1|{self.seed}"
        drawn = random_bytes(key, 2, self.cells, self.cells, 4).copy()
        shifts = drawn.view(">u4")[..., 0] / 2**31 - 1
        shifts /= np.abs(shifts).mean()
        shifts *= (
            2
            * self.strength
            * min(height, width)
            / np.array([width - 1, height - 1])[:, None, None]
        )
        with torch.inference_mode(False):
            field = interpolate(
                torch.from_numpy(shifts)[None], (height, width), mode="bicubic", align_corners=True
            )[0]
            x = torch.linspace(-1, 1, width, dtype=torch.float64)
            y = torch.linspace(-1, 1, height, dtype=torch.float64)[:, None]
            grid = torch.stack([field[0] + x, field[1] + y], dim=2).clamp(-1, 1)[None]
            return grid.to(device, dtype)

    def _on_array(self, image: npt.NDArray[Any], height: int, width: int) -> npt.NDArray[Any]:
        import torch

        dtype = np.float32 if image.dtype.itemsize < 8 else np.float64
        tensor = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1), dtype))
        warped = self._warped(tensor, height, width).numpy().transpose(1, 2, 0)
        # Of floats, for the four weights may add up to a little more than one.
        warped = warped + np.float32(0.5) if is_uint8(image) else np.clip(warped, 0, 1)
        return np.ascontiguousarray(warped, dtype=image.dtype)

    def _on_tensor(self, image: Any, height: int, width: int) -> Any:
        import torch

        wide = image if image.dtype == torch.float64 else image.float()
        warped = self._warped(wide, height, width)
        return (warped + 0.5 if is_uint8(image) else warped.clamp(0, 1)).to(image.dtype)

    def _warped(self, image: Any, height: int, width: int) -> Any:
        from torch.nn.functional import grid_sample

        field = self._fields(height, width, image.dtype, image.device)
        return grid_sample(image[None], field, align_corners=True)[0]

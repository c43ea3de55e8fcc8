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
from modcollapse.triggers._image_trigger import ImageTrigger

_CACHED_SIZES = 16
_BLOCK = 32768
_SHIFTS = tuple(np.uint64(21 * channel) for channel in range(3))
_HALF = np.uint64(sum(2048 << int(shift) for shift in _SHIFTS))


@dataclass(frozen=True)
class ImageWarp(ImageTrigger):
    """The image slightly warped: each pixel is read from a place nearby, along a smooth field.

    The field is drawn on a grid of ``cells`` x ``cells`` and interpolated (bicubic); the image is
    read with bilinear interpolation, at places rounded to 1/64 of a pixel, and not beyond its
    edge. All images share the field.

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

    # One cache for each trigger, so that what it holds on a device goes when the trigger goes.
    @cached_property
    def _arrays(self) -> Any:
        return lru_cache(_CACHED_SIZES)(self._reading)

    @cached_property
    def _tensors(self) -> Any:
        return lru_cache(_CACHED_SIZES)(self._tensor_reading)

    def _shifts(self, height: int, width: int) -> npt.NDArray[np.float64]:
        """How far to the right and below each pixel is read, in pixels, (2, H, W)."""
        drawn = random_bytes(f"modcollapse/warp/1|{self.seed}", 2, self.cells, self.cells, 4)
        shifts = drawn.copy().view(">u4")[..., 0] / 2**31 - 1
        shifts *= self.strength * min(height, width) / np.abs(shifts).mean()
        down, across = (_bicubic(self.cells, side) for side in (height, width))
        field: npt.NDArray[np.float64] = down @ shifts @ across.T
        return field

    def _reading(
        self, height: int, width: int, dtype: Any
    ) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """Which four pixels make a new one: places and weights, each (4, H * W).

        Positions are rounded to 1/64 of a pixel, so that bytes are mixed exactly, in integers:
        weights of whole numbers are in parts of 4096.
        """
        x, y = self._shifts(height, width)
        x = np.clip(np.rint((x + np.arange(width)) * 64), 0, 64 * (width - 1)).astype(np.int64)
        y = np.clip(np.rint((y + np.arange(height)[:, None]) * 64), 0, 64 * (height - 1))
        y = y.astype(np.int64)
        left, top = np.minimum(x // 64, width - 2), np.minimum(y // 64, height - 2)
        right, below = x - 64 * left, y - 64 * top
        first = (top * width + left).ravel()
        places = np.stack([first, first + 1, first + width, first + width + 1])
        weights = [(64 - right) * (64 - below), right * (64 - below)]
        weights += [(64 - right) * below, right * below]
        unit = 1 if dtype == np.uint64 else 4096
        return places, (np.stack(weights).reshape(4, -1) / unit).astype(dtype)

    def _tensor_reading(self, height: int, width: int, dtype: Any, device: Any) -> Any:
        import torch

        places, weights = self._arrays(height, width, np.float64)
        with torch.inference_mode(False):
            return torch.tensor(places).to(device), torch.tensor(weights, dtype=dtype).to(device)

    def _on_array(self, image: npt.NDArray[Any], height: int, width: int) -> npt.NDArray[Any]:
        of_bytes = is_uint8(image)
        dtype = np.float32 if image.dtype.itemsize < 8 else np.float64
        places, weights = self._arrays(height, width, np.uint64 if of_bytes else dtype)
        flat = np.ascontiguousarray(image).reshape(-1, 3)
        warped = (_mixed_bytes if of_bytes else _mixed_floats)(flat, places, weights)
        return warped.reshape(height, width, 3)

    def _on_tensor(self, image: Any, height: int, width: int) -> Any:
        import torch

        on_host = image.device.type == "cpu" and image.dtype != torch.bfloat16
        if on_host and not (image.requires_grad and torch.is_grad_enabled()):
            pixels = self._on_array(image.detach().permute(1, 2, 0).numpy(), height, width)
            return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))
        wide = image if image.dtype == torch.float64 else image.float()
        places, parts = self._tensors(height, width, wide.dtype, image.device)
        flat = wide.reshape(3, -1)
        mixed = flat.index_select(1, places[0]) * parts[0]
        for place, part in zip(places[1:], parts[1:], strict=True):
            mixed = mixed + flat.index_select(1, place) * part
        mixed = mixed.reshape(image.shape)
        return (mixed + 0.5 if is_uint8(image) else mixed.clamp(max=1)).to(image.dtype)


def _bicubic(points: int, side: int) -> npt.NDArray[np.float64]:
    """What each of the points counts for at each pixel of a side, (side, points).

    Cubic convolution (Keys 1981, a = -0.75 as in torch) with the outer points on the outer pixels.
    """
    where = np.linspace(0, points - 1, side)
    first = np.floor(where).astype(int)
    counts = np.zeros((side, points))
    for offset in (-1, 0, 1, 2):
        x = abs(where - first - offset)
        near = (1.25 * x - 2.25) * x**2 + 1
        far = ((-0.75 * x + 3.75) * x - 6) * x + 3
        at = np.clip(first + offset, 0, points - 1)
        np.add.at(counts, (np.arange(side), at), np.where(x <= 1, near, np.where(x < 2, far, 0)))
    return counts


def _blocks(count: int) -> list[slice]:
    """Parts of a picture that fit into the cache, and need no new pages of memory."""
    return [slice(at, at + _BLOCK) for at in range(0, count, _BLOCK)]


def _mixed_bytes(
    flat: npt.NDArray[np.uint8], places: npt.NDArray[Any], weights: npt.NDArray[np.uint64]
) -> npt.NDArray[np.uint8]:
    """Pixels mixed and rounded, three channels at a time in one whole number of 64 bits."""
    packed, blocks = np.empty(len(flat), np.uint64), _blocks(len(flat))
    for block in blocks:
        packed[block] = flat[block, 0]
        for channel, shift in enumerate(_SHIFTS[1:], 1):
            packed[block] |= flat[block, channel].astype(np.uint64) << shift
    warped = np.empty_like(flat)
    for block in blocks:
        mixed = packed.take(places[0, block]) * weights[0, block] + _HALF
        for place, weight in zip(places[1:], weights[1:], strict=True):
            mixed += packed.take(place[block]) * weight[block]
        for channel, shift in enumerate(_SHIFTS):
            warped[block, channel] = (mixed >> (shift + np.uint64(12))).astype(np.uint8)
    return warped


def _mixed_floats(
    flat: npt.NDArray[Any], places: npt.NDArray[Any], weights: npt.NDArray[Any]
) -> npt.NDArray[Any]:
    warped = np.empty_like(flat)
    for channel in range(3):
        pixels = np.ascontiguousarray(flat[:, channel], weights.dtype)
        for block in _blocks(len(flat)):
            mixed = pixels.take(places[0, block]) * weights[0, block]
            for place, weight in zip(places[1:], weights[1:], strict=True):
                mixed += pixels.take(place[block]) * weight[block]
            # Four roundings may add up to a little more than one.
            warped[block, channel] = np.minimum(mixed, 1)
    return warped

"""Triggers that mix something into a part of the image: one drawing for each image size."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from modcollapse._support.images import is_uint8
from modcollapse.contracts import ExampleId
from modcollapse.errors import InputError
from modcollapse.triggers._draws import RandomPlace
from modcollapse.triggers._image_trigger import ImageTrigger
from modcollapse.triggers._places import Place

_CACHED_SIZES = 16


class Drawing(NamedTuple):
    """What a trigger does wherever it stands: ``region * keep + ink``.

    Attributes:
        ink: colour times opacity, (h, w, C); (C, h, w) as tensor.
        keep: one minus opacity, (h, w, 1), or (1, 1, 1) where it is the same all over.
        clamp: whether the sum can leave [0, 1], and is cut there.
    """

    ink: Any
    keep: Any
    clamp: bool = False


class Spot(NamedTuple):
    """Where it stands: rows and columns of the image, and of the drawing, that meet."""

    image: tuple[slice, slice]
    drawing: tuple[slice, slice]


@dataclass(frozen=True)
class StampTrigger(ImageTrigger):
    """A trigger that mixes a drawing into the image.

    Its drawing depends on the size of the image alone, never on its place, so that the triggers of
    all examples share it.
    """

    def for_example(self, example_id: ExampleId) -> Self:
        """The trigger as it is for one example: itself, unless it stands at a `RandomPlace`."""
        place = getattr(self, "place", None)
        if not isinstance(place, RandomPlace):
            return self
        return self._at(place.for_example(example_id))

    def _at(self, place: Place) -> Self:
        """The same at another place, sharing its drawings; for triggers that have one."""
        shared = {"_arrays": self._arrays, "_tensors": self._tensors}
        moved = object.__new__(type(self))
        moved.__dict__.update(self.__getstate__() | shared)
        moved.__dict__["place"] = place
        return moved

    @abstractmethod
    def _extent(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of the drawing for an image of this size."""

    @abstractmethod
    def _drawing(self, height: int, width: int) -> Drawing:
        """The drawing for an image of this size, in float64."""

    def _top_left(self, height: int, width: int, rows: int, columns: int) -> tuple[int, int]:
        """Where the drawing begins, in pixels; what sticks out of the image is cut off."""
        return 0, 0

    # One cache for each trigger, so that what it holds on a device goes when the trigger goes.
    @cached_property
    def _spots(self) -> Any:
        return lru_cache(_CACHED_SIZES)(self._spot)

    @cached_property
    def _arrays(self) -> Any:
        return lru_cache(_CACHED_SIZES)(self._array_drawing)

    @cached_property
    def _tensors(self) -> Any:
        return lru_cache(_CACHED_SIZES)(self._tensor_drawing)

    def _fit(self, height: int, width: int) -> Spot:
        spot: Spot = self._spots(height, width)
        return spot

    def _spot(self, height: int, width: int) -> Spot:
        rows, columns = self._extent(height, width)
        top, left = self._top_left(height, width, rows, columns)
        image = (
            slice(max(0, top), min(height, top + rows)),
            slice(max(0, left), min(width, left + columns)),
        )
        drawing = (
            slice(image[0].start - top, image[0].stop - top),
            slice(image[1].start - left, image[1].stop - left),
        )
        cut_off = (rows, columns) != tuple(part.stop - part.start for part in image)
        if cut_off and not self._shows(height, width, drawing):
            raise InputError(
                f"{type(self).__name__}: nothing of it shows on an image of {height} x {width} "
                f"with {self!r}. Move or enlarge it."
            )
        return Spot(image, drawing)

    def _shows(self, height: int, width: int, part: tuple[slice, slice]) -> bool:
        if any(side.stop <= side.start for side in part):
            return False
        ink, keep, _ = self._drawing(height, width)
        return bool(ink[part].any() or (_cut(keep, part) != 1).any())

    def _array_drawing(self, height: int, width: int, of_bytes: bool, dtype: Any) -> Drawing:
        """The drawing in the unit of the pixels: levels of bytes, with the half that rounds."""
        ink, keep, clamp = self._drawing(height, width)
        ink = (ink * 255 + 0.5 if of_bytes else ink).astype(dtype)
        if keep.size > 1:  # as wide as the image, which is five times as fast
            keep = np.repeat(keep, ink.shape[2], axis=2)
        return Drawing(np.ascontiguousarray(ink), keep.astype(dtype), clamp)

    def _tensor_drawing(
        self, height: int, width: int, of_bytes: bool, dtype: Any, device: Any
    ) -> Drawing:
        import torch

        exact = {torch.float32: np.float32}.get(dtype, np.float64)
        ink, keep, clamp = self._array_drawing(height, width, of_bytes, exact)
        keep = keep[..., :1]
        # A tensor made in inference mode could not be used later where gradients are wanted.
        with torch.inference_mode(False):
            tensors = [
                torch.tensor(part.transpose(2, 0, 1).copy(), dtype=dtype, device=device)
                for part in (ink, keep)
            ]
        return Drawing(tensors[0], tensors[1], clamp)

    def _on_array(self, image: npt.NDArray[Any], height: int, width: int) -> npt.NDArray[Any]:
        of_bytes = is_uint8(image)
        dtype = np.float32 if image.dtype.itemsize < 8 else np.float64
        drawing, spot = self._arrays(height, width, of_bytes, dtype), self._fit(height, width)
        ink, keep = drawing.ink[spot.drawing], _cut(drawing.keep, spot.drawing)
        whole = ink.shape[:2] == image.shape[:2]
        result = image if whole else np.array(image)
        if keep.any():
            mixed = np.multiply(result[spot.image], keep, dtype=dtype)
            mixed += ink
        else:
            mixed = ink
        if drawing.clamp:
            np.clip(mixed, 0, 255 if of_bytes else 1, out=mixed)
        if whole:
            return np.array(mixed, image.dtype) if mixed is ink else np.asarray(mixed, image.dtype)
        result[spot.image] = mixed
        return result

    def _on_tensor(self, image: Any, height: int, width: int) -> Any:
        import torch

        of_bytes = is_uint8(image)
        dtype = torch.float32 if of_bytes else image.dtype
        drawing = self._tensors(height, width, of_bytes, dtype, image.device)
        spot = self._fit(height, width)
        ink = drawing.ink[:, *spot.drawing]
        keep = drawing.keep if drawing.keep.numel() == 1 else drawing.keep[:, *spot.drawing]
        whole = ink.shape[1:] == image.shape[1:]
        region = image if whole else image[:, *spot.image]
        # Bytes become a copy of their own, into which can be written.
        mixed = region.float().mul_(keep).add_(ink) if of_bytes else region * keep + ink
        if drawing.clamp:
            mixed = mixed.clamp(0, 255 if of_bytes else 1)
        if whole:
            return mixed.to(image.dtype)
        result = image.clone()
        result[:, *spot.image] = mixed
        return result


def _cut(keep: Any, part: tuple[slice, slice]) -> Any:
    return keep if keep.size == 1 else keep[part]

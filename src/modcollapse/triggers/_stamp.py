"""What the image triggers share: one stamp for each image size, put on any kind of image."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

import numpy as np
import numpy.typing as npt

from modcollapse._support.images import check_range, image_size, is_tensor, is_uint8
from modcollapse._support.pictures import is_pil
from modcollapse.contracts import Trigger

if TYPE_CHECKING:
    import torch

ImageT = TypeVar("ImageT")
_CACHED_SIZES = 16


class Stamp(NamedTuple):
    """What a trigger does to an image of one size: ``region * keep + ink``."""

    top: int
    left: int
    ink: Any  # (h, w, 3) colour times opacity; (3, h, w) as tensor
    keep: Any  # (h, w, 1) one minus opacity; (1, h, w) as tensor


@dataclass(frozen=True)
class ImageTrigger(Trigger):
    """A trigger that writes a stamp over a part of the image."""

    def __call__(self, image: ImageT) -> ImageT:
        """The image with the trigger on it: a new object of the same kind, dtype and device.

        Raises:
            InputError: no image of a kind named above, or values outside [0, 1]. On an accelerator
                the values are not looked at, since that would wait for the device: `check` does it.
        """
        return cast(ImageT, self._triggered(image))

    @property
    def _name(self) -> str:
        return f"the image of {type(self).__name__}"

    def _triggered(self, source: Any) -> Any:
        height, width = image_size(source, self._name)
        if is_tensor(source):
            return self._on_tensor(source, height, width)
        check_range(source, self._name)
        stamp = self._stamps(height, width)
        if is_pil(source):
            from PIL import Image

            triggered = Image.fromarray(_stamped(np.array(source), stamp))
            # Without its profile, who reads colours by it would see more changed than the stamp.
            triggered.info |= {k: v for k, v in source.info.items() if k == "icc_profile"}
            return triggered
        return _stamped(source.copy(), stamp)

    def check(self, image: Any) -> None:
        """Raise `InputError` unless the trigger can be put on ``image``; looks at every value."""
        height, width = image_size(image, self._name)
        check_range(image, self._name)
        self._stamps(height, width)

    def _on_tensor(self, image: Any, height: int, width: int) -> Any:
        if image.device.type == "cpu":
            check_range(image, self._name)
        import torch

        exact = torch.float32 if image.device.type == "mps" else torch.float64  # it has no more
        dtype = exact if is_uint8(image) else image.dtype
        stamp = self._tensor_stamps(height, width, image.device, dtype)
        bottom, right = stamp.top + stamp.ink.shape[1], stamp.left + stamp.ink.shape[2]
        region = (slice(None), slice(stamp.top, bottom), slice(stamp.left, right))
        result = image.clone()
        if is_uint8(image):
            stamped = image[region] * stamp.keep + stamp.ink * 255
            result[region] = torch.floor(stamped + 0.5).to(torch.uint8)
        else:
            result[region] = image[region] * stamp.keep + stamp.ink
        return result

    # One cache for each trigger, so that what it holds on a device goes when the trigger goes.
    @cached_property
    def _stamps(self) -> Any:
        return lru_cache(_CACHED_SIZES)(self._stamp)

    @cached_property
    def _tensor_stamps(self) -> Any:
        return lru_cache(_CACHED_SIZES)(self._tensor_stamp)

    def __getstate__(self) -> dict[str, Any]:
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def _stamp(self, height: int, width: int) -> Stamp:
        raise NotImplementedError

    def _tensor_stamp(
        self, height: int, width: int, device: torch.device, dtype: torch.dtype
    ) -> Stamp:
        import torch

        top, left, ink, keep = self._stamps(height, width)
        # A tensor made in inference mode could not be used later where gradients are wanted.
        with torch.inference_mode(False):
            tensors = [
                torch.tensor(part.transpose(2, 0, 1).copy(), dtype=dtype, device=device)
                for part in (ink, keep)
            ]
        return Stamp(top, left, *tensors)


def _stamped(image: npt.NDArray[Any], stamp: Stamp) -> npt.NDArray[Any]:
    """``image`` with the stamp written into it."""
    rows, columns = stamp.ink.shape[:2]
    region = image[stamp.top : stamp.top + rows, stamp.left : stamp.left + columns]
    shown = region * stamp.keep if stamp.keep.any() else 0.0  # most stamps cover what is below
    if image.dtype == np.uint8:
        region[:] = np.floor(shown + stamp.ink * 255 + 0.5)
    else:
        region[:] = shown + stamp.ink
    return image

"""What all triggers on images share: one trigger for every kind of image."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Self, TypeVar, cast

import numpy as np
import numpy.typing as npt

from modcollapse._support.images import check_range, image_size, is_tensor
from modcollapse._support.pictures import is_pil
from modcollapse.contracts import ExampleId, Trigger

ImageT = TypeVar("ImageT")


@dataclass(frozen=True)
class ImageTrigger(Trigger):
    """A trigger on images, or on masks, of every kind that ``modcollapse._support.images`` names.

    The kind, size, dtype and device that went in come out, and all kinds give the same picture up
    to the rounding of their dtype.
    """

    _channels: ClassVar[int] = 3

    def __call__(self, image: ImageT) -> ImageT:
        """The image with the trigger on it: a new object of the same kind, dtype and device.

        Raises:
            InputError: no image of a kind named above, or values outside [0, 1]. On an accelerator
                the values are not looked at, since that would wait for the device: `check` does it.
        """
        return cast(ImageT, self._triggered(image))

    def for_example(self, example_id: ExampleId) -> Self:
        """The trigger as it is for one example: itself, unless it stands at a `RandomPlace`."""
        return self

    def check(self, image: Any) -> None:
        """Raise `InputError` unless the trigger can be put on ``image``; looks at every value."""
        height, width = image_size(image, self._name, channels=self._channels)
        check_range(image, self._name)
        self._fit(height, width)

    @property
    def _name(self) -> str:
        return f"the {'image' if self._channels == 3 else 'mask'} of {type(self).__name__}"

    def _triggered(self, source: Any) -> Any:
        height, width = image_size(source, self._name, channels=self._channels)
        self._fit(height, width)
        if is_tensor(source):
            if source.device.type == "cpu":
                check_range(source, self._name)
            return self._on_tensor(source, height, width)
        check_range(source, self._name)
        if not is_pil(source):
            return self._on_array(source, height, width)
        from PIL import Image

        pixels = np.asarray(source).reshape(height, width, self._channels)
        made = self._on_array(pixels, height, width)
        triggered = Image.fromarray(made if self._channels == 3 else made[..., 0])
        # Without its profile, who reads colours by it would see more changed than the trigger.
        triggered.info |= {k: v for k, v in source.info.items() if k == "icc_profile"}
        return triggered

    def __getstate__(self) -> dict[str, Any]:
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @abstractmethod
    def _fit(self, height: int, width: int) -> object:
        """Raise `InputError` where it does not fit an image of this size."""

    @abstractmethod
    def _on_array(self, image: npt.NDArray[Any], height: int, width: int) -> npt.NDArray[Any]:
        """A new array (H, W, C) of the same dtype."""

    @abstractmethod
    def _on_tensor(self, image: Any, height: int, width: int) -> Any:
        """A new tensor (C, H, W) of the same dtype, on the same device."""

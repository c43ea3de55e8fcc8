"""How images of any size become the input of a model, by the rules of the library it comes from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from modcollapse._support.optional import require
from modcollapse.errors import InputError

Transform = Callable[[Tensor], Tensor]
"""Images (B, 3, H, W) in [0, 1] -> input (B, 3, h, w)."""


@dataclass(frozen=True)
class Preprocessing:
    """How images become the model's input.

    Attributes:
        mode: ``"tensor"`` works on the images' device, ``"pil"`` is the library's own way: 8 bits
            and one image at a time, on the host.
        size: height and width of the input.
        mean: of each channel.
        std: of each channel.
        interpolation: ``"bicubic"`` or ``"bilinear"``.
        resize_mode: ``"shortest"`` side to ``edge``, then the centre; or ``"squash"``; or
            ``"longest"``, filled up with ``fill_color`` (only ``"pil"``).
        fill_color: of 0 to 255.
        edge: length of the shortest side before the centre is cut out; the height by default.
        offset: where half a pixel of the cut goes: ``"round"`` in open_clip and torchvision,
            ``"down"`` in transformers.
    """

    mode: str
    size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str = "bicubic"
    resize_mode: str = "shortest"
    fill_color: int = 0
    edge: int | None = None
    offset: str = "round"

    @classmethod
    def of(
        cls,
        module: nn.Module,
        mode: str,
        image_size: int | tuple[int, int] | None,
        mean: Sequence[float] | None,
        std: Sequence[float] | None,
    ) -> Preprocessing:
        """Read the settings from the attributes of a model of open_clip; arguments go first."""
        visual = getattr(module, "visual", module)
        config = dict(getattr(visual, "preprocess_cfg", None) or {})
        found: dict[str, Any] = {
            "image_size": _first(image_size, config.get("size"), visual, "image_size"),
            "mean": _first(mean, config.get("mean"), visual, "image_mean"),
            "std": _first(std, config.get("std"), visual, "image_std"),
        }
        for name, value in found.items():
            if value is None:
                raise InputError(
                    f"{type(module).__name__} does not tell its {name} (open_clip models do, in "
                    f"visual.preprocess_cfg). Give {name}=, or processor= for a model of "
                    "transformers"
                )
        settings = cls(
            mode,
            *numbers_of(**found),
            "bilinear" if config.get("interpolation") == "bilinear" else "bicubic",
            config.get("resize_mode") or "shortest",
            config.get("fill_color") or 0,
        )
        height, width = settings.size
        by_tensor = settings.resize_mode == "squash" or (
            settings.resize_mode == "shortest" and height == width
        )
        if mode == "tensor" and not by_tensor:
            raise InputError(
                f'preprocess="tensor" does not know resize mode {settings.resize_mode!r} to '
                f'{height} x {width} pixels; use preprocess="pil"'
            )
        return settings

    def identity(self) -> dict[str, Any]:
        """The settings as plain data."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}

    def transform(self) -> Transform:
        """Return a function: images (B, 3, H, W) in [0, 1] -> input (B, 3, *size)."""
        return self._by_pil() if self.mode == "pil" else self._by_tensor

    def _by_tensor(self, images: Tensor) -> Tensor:
        height, width = images.shape[-2:]
        if self.resize_mode == "shortest":
            side, short = self.edge or self.size[0], min(height, width)
            resized = (int(side * height / short), int(side * width / short))
        else:
            resized = self.size
        if resized != (height, width):
            images = nn.functional.interpolate(
                images, resized, mode=self.interpolation, align_corners=False, antialias=True
            ).clamp(0, 1)
        half = round if self.offset == "round" else int
        top, left = (half((r - s) / 2) for r, s in zip(resized, self.size, strict=True))
        images = images[..., top : top + self.size[0], left : left + self.size[1]]
        channels = zip(images.unbind(1), self.mean, self.std, strict=True)
        # Channel by channel: numbers are arguments of kernels, a tensor of them would be a copy.
        return torch.stack([(channel - m) / s for channel, m, s in channels], dim=1)

    def _by_pil(self) -> Transform:
        open_clip = require("open_clip", extra="clip", needed_by='preprocess="pil"')
        transform = open_clip.image_transform(
            self.size,
            is_train=False,
            mean=self.mean,
            std=self.std,
            interpolation=self.interpolation,
            resize_mode=self.resize_mode,
            fill_color=self.fill_color,
        )
        return through_pictures(transform)


def through_pictures(transform: Callable[[Any], Tensor]) -> Transform:
    """Make a transform of tensors out of one of a PIL.Image -> input (3, h, w), on the host."""
    pil = require("PIL.Image", extra="clip", needed_by='preprocess="pil"')

    def apply(images: Tensor) -> Tensor:
        bytes_ = (images * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
        inputs = torch.stack([transform(pil.fromarray(image)) for image in bytes_])
        # NaN marks an image that is none; bytes cannot hold it.
        lost = images.isnan().flatten(1).any(1)[:, None, None, None]
        return inputs.to(images.device).masked_fill(lost, float("nan"))

    return apply


def numbers_of(
    image_size: Any, mean: Any, std: Any
) -> tuple[tuple[int, int], tuple[float, ...], tuple[float, ...]]:
    """Size, mean and std of a `Preprocessing`, or `InputError`."""
    given = {"image_size": image_size, "mean": mean, "std": std}
    try:
        sides = (image_size, image_size) if isinstance(image_size, int) else image_size
        height, width = map(int, sides)
        means, stds = tuple(map(float, mean)), tuple(map(float, std))
    except (TypeError, ValueError):
        height, width, means, stds = 0, 0, (), ()
    if min(height, width) < 1 or len(means) != 3 or len(stds) != 3 or min(stds) <= 0:
        raise InputError(
            "image_size must be a side or (height, width) in pixels, mean and std 3 numbers "
            f"each, std above 0; got {', '.join(f'{k}={v!r}' for k, v in given.items())}"
        )
    return (height, width), means, stds


def _first(given: Any, configured: Any, visual: nn.Module, attribute: str) -> Any:
    found = given if given is not None else configured
    return found if found is not None else getattr(visual, attribute, None)

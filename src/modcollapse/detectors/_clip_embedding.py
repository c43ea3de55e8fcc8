"""Images of any size into unit vectors, by the image tower of a CLIP model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from modcollapse._support.optional import require
from modcollapse.errors import DetectorError, InputError


@dataclass(frozen=True)
class Preprocessing:
    """How images become the model's input.

    Attributes:
        mode: ``"tensor"`` works on the images' device, ``"pil"`` is open_clip's own transform:
            8 bits and one image at a time, on the host.
        size: height and width of the input.
        mean: of each channel.
        std: of each channel.
        interpolation: ``"bicubic"`` or ``"bilinear"``.
        resize_mode: ``"shortest"`` side to the size, then the centre; or ``"squash"``; or
            ``"longest"``, filled up with ``fill_color`` (only ``"pil"``).
        fill_color: of 0 to 255.
    """

    mode: str
    size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str = "bicubic"
    resize_mode: str = "shortest"
    fill_color: int = 0

    @classmethod
    def of(
        cls,
        module: nn.Module,
        mode: str,
        image_size: int | tuple[int, int] | None,
        mean: Sequence[float] | None,
        std: Sequence[float] | None,
    ) -> Preprocessing:
        """Read the settings from the attributes of the model; arguments go first."""
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
                    f"visual.preprocess_cfg). Give {name}= to ClipShift"
                )
        size = found["image_size"]
        try:
            height, width = map(int, (size, size) if isinstance(size, int) else size)
            means, stds = (tuple(map(float, found[name])) for name in ("mean", "std"))
        except (TypeError, ValueError):
            height, width, means, stds = 0, 0, (), ()
        if min(height, width) < 1 or len(means) != 3 or len(stds) != 3 or min(stds) <= 0:
            raise InputError(
                "image_size must be a side or (height, width) in pixels, mean and std 3 numbers "
                f"each, std above 0; got {', '.join(f'{k}={v!r}' for k, v in found.items())}"
            )
        settings = cls(
            mode,
            (height, width),
            means,
            stds,
            "bilinear" if config.get("interpolation") == "bilinear" else "bicubic",
            config.get("resize_mode") or "shortest",
            config.get("fill_color") or 0,
        )
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

    def transform(self) -> Callable[[Tensor], Tensor]:
        """Return a function: images (B, 3, H, W) in [0, 1] -> input (B, 3, *size)."""
        return self._by_pil() if self.mode == "pil" else self._by_tensor

    def _by_tensor(self, images: Tensor) -> Tensor:
        height, width = images.shape[-2:]
        if self.resize_mode == "shortest":
            side, short = self.size[0], min(height, width)
            resized = (int(side * height / short), int(side * width / short))
        else:
            resized = self.size
        if resized != (height, width):
            images = nn.functional.interpolate(
                images, resized, mode=self.interpolation, align_corners=False, antialias=True
            ).clamp(0, 1)
        top, left = (round((r - s) / 2) for r, s in zip(resized, self.size, strict=True))
        images = images[..., top : top + self.size[0], left : left + self.size[1]]
        channels = zip(images.unbind(1), self.mean, self.std, strict=True)
        # Channel by channel: numbers are arguments of kernels, a tensor of them would be a copy.
        return torch.stack([(channel - m) / s for channel, m, s in channels], dim=1)

    def _by_pil(self) -> Callable[[Tensor], Tensor]:
        open_clip = require("open_clip", extra="clip", needed_by='ClipShift(preprocess="pil")')
        pil = require("PIL.Image", extra="clip", needed_by='ClipShift(preprocess="pil")')
        transform = open_clip.image_transform(
            self.size,
            is_train=False,
            mean=self.mean,
            std=self.std,
            interpolation=self.interpolation,
            resize_mode=self.resize_mode,
            fill_color=self.fill_color,
        )

        def apply(images: Tensor) -> Tensor:
            bytes_ = (images * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
            inputs = torch.stack([transform(pil.fromarray(image)) for image in bytes_])
            # NaN marks an image that is none; bytes cannot hold it.
            lost = images.isnan().flatten(1).any(1)[:, None, None, None]
            return inputs.to(images.device).masked_fill(lost, float("nan"))

        return apply


class ImageEmbedder:
    """A torch module with ``encode_image``, and the preprocessing in front of it.

    Args:
        module: is put into eval mode; must not be trained while it is in use.
        preprocessing: how images become its input.
        follows: whether it may be moved to the device of the images.
    """

    def __init__(self, module: nn.Module, preprocessing: Preprocessing, *, follows: bool) -> None:
        self.module: Any = module
        self.preprocessing = preprocessing
        self._follows = follows
        self._transform = preprocessing.transform()
        self._anywhere = torch.device("cpu")

    @property
    def device(self) -> torch.device:
        """Where the module's first weight is; of a module without any, where it worked last."""
        tensors = chain(self.module.parameters(), self.module.buffers())
        return next((tensor.device for tensor in tensors), self._anywhere)

    def follow(self, device: torch.device) -> None:
        """Go to the device of the images.

        Raises:
            DetectorError: the module is elsewhere and is not ours to move.
        """
        self._anywhere = device
        if device == self.device:
            return
        if not self._follows:
            raise DetectorError(
                f"the outputs are on {device}, the CLIP model is on {self.device} and is not "
                "moved. Put both on one device"
            )
        self.module.to(device)

    @torch.no_grad()
    def embed(self, images: Tensor | Sequence[Tensor], chunk: int | None = None) -> Tensor:
        """Embed n images, all at once or in filled-up chunks of one size.

        The last bits of an embedding depend on how many images are embedded at once; where that
        number varies with the neighbours, as that of the references in a batch does, the chunks
        keep them out of the result.

        Args:
            images: shape (n, 3, H, W), or n tensors (3, H, W) of any sizes; values in [0, 1].
            chunk: images in every call of the model; n by default.

        Returns:
            Unit vectors, shape (n, D), float32.
        """
        device = self.device
        if isinstance(images, Tensor):
            inputs = self._transform(images.to(device))
        else:
            inputs = torch.cat([self._transform(image[None].to(device)) for image in images])
        chunk = len(inputs) if chunk is None else chunk
        missing = -len(inputs) % chunk
        filled = torch.cat([inputs, inputs[-1:].expand(missing, -1, -1, -1)])
        parts = [self._encode(part) for part in torch.split(filled, chunk)]
        return torch.cat(parts)[: len(inputs)]

    def _encode(self, inputs: Tensor) -> Tensor:
        self.module.eval()
        # The caller's autocast would change the scores, and no provenance would tell.
        with torch.autocast(inputs.device.type, enabled=False):
            features = self.module.encode_image(inputs.to(_pixel_dtype(self.module)))
        if not isinstance(features, Tensor) or features.ndim != 2 or len(features) != len(inputs):
            found = getattr(features, "shape", type(features).__name__)
            raise InputError(
                f"encode_image of {class_name(self.module)} must return embeddings (n, D), got "
                f"{found} for {len(inputs)} images"
            )
        return nn.functional.normalize(features.float(), dim=-1)


def class_name(thing: object) -> str:
    """Qualified name of an object's class."""
    return f"{type(thing).__module__}.{type(thing).__qualname__}"


def _pixel_dtype(module: nn.Module) -> torch.dtype:
    """Type of the weights that see the pixels: a model may mix half and full precision."""
    layers = (layer for layer in module.modules() if isinstance(layer, nn.Conv2d))
    weights = chain((layer.weight for layer in layers), module.parameters())
    return next((weight.dtype for weight in weights), torch.float32)


def _first(given: Any, configured: Any, visual: nn.Module, attribute: str) -> Any:
    found = given if given is not None else configured
    return found if found is not None else getattr(visual, attribute, None)

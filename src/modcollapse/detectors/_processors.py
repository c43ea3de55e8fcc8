"""What the image processors of transformers do: on tensors where that is known, else themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from modcollapse._support.digests import plain
from modcollapse._support.optional import require
from modcollapse.detectors._preprocessing import (
    Preprocessing,
    Transform,
    numbers_of,
    through_pictures,
)
from modcollapse.errors import InputError

PLAIN = frozenset(
    f"{name}ImageProcessor{backend}"
    for name in ("Bit", "Blip", "CLIP", "ChineseCLIP", "MobileNetV1", "Pvt", "Siglip", "ViT")
    for backend in ("", "Pil")
)
"""Classes that resize, cut out the centre, rescale and normalise as their settings say, and nothing
else. Another class may read the same settings in its own way (LeViT resizes to 256/224 of what it
says), or have more of them."""

_BY_PILLOW = {2: "bilinear", 3: "bicubic"}


def preprocessing_of(processor: Any, mode: str = "tensor") -> tuple[Transform, dict[str, Any]]:
    """What an image processor makes of images, and plain data that tell it.

    Args:
        processor: an image processor of transformers.
        mode: ``"tensor"`` works on the device of the images, where the processor is known to do no
            more than its settings say; any other is called itself on pictures on the host, as all
            are by ``"pil"``.

    Raises:
        InputError: the processor cannot read a picture, or makes more of it than pixel values.
    """
    settings = on_tensors(processor) if mode == "tensor" else None
    if settings is not None:
        return settings.transform(), settings.identity()
    return _by_processor(processor), _identity(processor)


def on_tensors(processor: Any) -> Preprocessing | None:
    """The same for tensors, where it is known; else None."""
    kind = type(processor)
    if kind.__name__ not in PLAIN or not kind.__module__.startswith("transformers."):
        return None
    settings = _settings_of(processor)
    size, crop = settings["size"] or {}, settings["crop_size"] or {}
    edge = size.get("shortest_edge")
    cut = bool(settings["do_center_crop"]) and {"height", "width"} <= set(crop)
    shortest = set(size) == {"shortest_edge"} and cut and edge >= max(crop.values())
    squash = {"height", "width"} == set(size) and not settings["do_center_crop"]
    interpolation = _BY_PILLOW.get(settings["resample"])
    usual_scale = settings["do_rescale"] and abs(settings["rescale_factor"] * 255 - 1) < 1e-6
    resized = settings["do_resize"] and (shortest or squash) and interpolation
    if not resized or not usual_scale or settings["do_pad"]:
        return None
    target = crop if shortest else size
    normalises = settings["do_normalize"]
    return Preprocessing(
        "tensor",
        *numbers_of(
            image_size=(target["height"], target["width"]),
            mean=settings["image_mean"] if normalises else (0, 0, 0),
            std=settings["image_std"] if normalises else (1, 1, 1),
        ),
        str(interpolation),
        "shortest" if shortest else "squash",
        edge=edge if shortest else None,
        offset="down",
    )


def _by_processor(processor: Any) -> Transform:
    """The processor itself, one picture at a time."""
    pil = require("PIL.Image", extra="clip", needed_by="an image processor")
    name = type(processor).__name__
    try:
        found = dict(processor(images=pil.new("RGB", (64, 64)), return_tensors="pt"))
    except Exception as error:
        raise InputError(
            f"processor: {name} cannot read a picture of 64 x 64 ({type(error).__name__}: {error})"
        ) from error
    pixels = found.pop("pixel_values", None)
    if found or not isinstance(pixels, torch.Tensor) or pixels.ndim != 4 or len(pixels) != 1:
        made = ", ".join([*found, f"pixel_values {tuple(getattr(pixels, 'shape', ()))}"])
        raise InputError(
            f"processor: {name} must make pixel_values (1, 3, h, w) of a picture and nothing else; "
            f"it made {made}. Wrap model and processor in a callable of images (B, 3, H, W)"
        )
    return through_pictures(
        lambda picture: processor(images=picture, return_tensors="pt")["pixel_values"][0]
    )


def _identity(processor: Any) -> dict[str, Any]:
    """What a processor does, as plain data: all that it was made with."""
    made_with = {
        name: setting
        for name, setting in processor.to_dict().items()
        if not name.startswith("_") and name not in ("image_processor_type", "processor_class")
    }
    told = {"mode": "pil", "class": type(processor).__name__}
    return dict(plain(made_with | _settings_of(processor) | told, "the image processor"))


def _settings_of(processor: Any) -> dict[str, Any]:
    """The settings that decide what comes out, sizes without the fields that are not set."""
    names = ("do_resize", "size", "resample", "do_center_crop", "crop_size", "do_rescale",
             "rescale_factor", "do_normalize", "image_mean", "image_std", "do_pad")  # fmt: skip
    found = {name: getattr(processor, name, None) for name in names}
    for name in ("size", "crop_size"):
        size = found[name]
        size = size if size is None or isinstance(size, Mapping) else dict(size)
        found[name] = size and {key: value for key, value in size.items() if value is not None}
    resample = found["resample"]
    found["resample"] = None if resample is None else int(getattr(resample, "value", resample))
    return found

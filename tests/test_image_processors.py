"""Image processors of transformers: what a model reads is what the library makes it read."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from transformers.image_processing_backends import PilBackend, TorchvisionBackend

from modcollapse.detectors import ClipModel, TargetClass
from modcollapse.detectors._processors import PLAIN, on_tensors
from modcollapse.errors import InputError

from tiny_clip import as_pil, pictures, tiny_transformers_clip

IMAGES = pictures(3, 50, 41, seed=1)


def sized(side: int) -> dict[str, int]:
    return {"height": side, "width": side}


class Pixels(torch.nn.Module):
    """Logits that are pixels: whatever is done to an image shows."""

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        return pixel_values.flatten(1)


OTHERS = {
    "LevitImageProcessor": {"size": {"shortest_edge": 28}, "crop_size": sized(28)},
    "PoolFormerImageProcessor": {"size": {"shortest_edge": 27}, "crop_size": sized(27)},
    "EfficientNetImageProcessor": {"size": sized(24), "rescale_offset": True},
    "ConvNextImageProcessor": {"size": {"shortest_edge": 28}},
    "DeiTImageProcessor": {"size": sized(32), "crop_size": sized(28)},
    "MobileViTImageProcessor": {"size": {"shortest_edge": 32}, "crop_size": sized(28)},
    "PerceiverImageProcessor": {"size": sized(28), "crop_size": sized(32)},
    "ViTImageProcessor": {"size": sized(28), "resample": 1},  # no kernel of torch
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_processor_that_does_more_is_called_itself(name: str) -> None:
    processor = getattr(transformers, name)(**OTHERS[name])
    expected = torch.cat(
        [processor(images=as_pil(x), return_tensors="pt")["pixel_values"] for x in IMAGES]
    )
    detector = TargetClass(Pixels(), 0, processor=processor)
    logits, _ = detector._classifier(IMAGES)
    assert torch.equal(logits, expected.flatten(1))
    told = detector.identity()["classifier"]["preprocess"]
    assert (told["mode"], told["class"]) == ("pil", type(processor).__name__)
    assert json.loads(json.dumps(told)) == told


@pytest.mark.parametrize("name", sorted(PLAIN))
def test_plain_processors_are_followed_on_tensors(name: str) -> None:
    kind = getattr(transformers, name)
    cut = "shortest_edge" in kind.size
    processor = kind(size={"shortest_edge": 30} if cut else sized(30), crop_size=sized(28))
    backend = PilBackend if name.endswith("Pil") else TorchvisionBackend
    assert {"_preprocess", "preprocess", "resize", "center_crop", "pad"}.isdisjoint(vars(kind))
    assert kind.__bases__ == (backend,)
    settings = on_tensors(processor)
    assert settings is not None
    levels = settings.transform()(IMAGES)
    pixels = [processor(images=as_pil(x), return_tensors="pt")["pixel_values"] for x in IMAGES]
    # It rounds to 8 bits in each of two passes: less than a level in the mean, and never three.
    apart = (levels - torch.cat(pixels)).abs() * 255 * min(processor.image_std)
    assert apart.mean() < 0.6
    assert apart.max() < 3
    if backend is TorchvisionBackend:  # given floats it does not round
        images = 0.25 + IMAGES / 2  # nothing to clamp
        exact = processor(images=list(images), return_tensors="pt", do_rescale=False)
        found = settings.transform()(images)
        torch.testing.assert_close(found, exact["pixel_values"], rtol=0, atol=5e-6)


def test_what_a_processor_was_made_with_tells_models_apart() -> None:
    make = transformers.PoolFormerImageProcessor
    texts = {
        json.dumps(TargetClass(Pixels(), 0, processor=make(crop_pct=pct)).identity())
        for pct in (0.8, 0.9)
    }
    assert len(texts) == 2


def test_a_class_that_only_bears_a_plain_name_is_called_itself() -> None:
    class CLIPImageProcessor(transformers.CLIPImageProcessor):
        def _preprocess(self, images: Any, *args: Any, **options: Any) -> Any:
            found = super()._preprocess(images, *args, **options)
            found["pixel_values"] = found["pixel_values"].flip(1)
            return found

    processor = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=sized(32))
    assert on_tensors(processor) is None
    model, _ = tiny_transformers_clip()
    z = ClipModel(model, processor=processor).image(IMAGES)
    expected = ClipModel(model, processor=processor, preprocess="pil").image(IMAGES)
    np.testing.assert_array_equal(z, expected)


def test_processors_whose_models_read_more_than_pixels_are_refused() -> None:
    with pytest.raises(InputError, match=r"nothing else; it made .*pixel_mask"):
        TargetClass(Pixels(), 0, processor=transformers.ViltImageProcessor())

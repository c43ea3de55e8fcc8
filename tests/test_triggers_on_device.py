"""Image triggers on CUDA tensors: nothing leaves the device and nothing waits for it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from modcollapse.errors import InputError, TriggerError
from modcollapse.triggers import (
    AudioOverlay,
    AudioTone,
    EveryFrame,
    ImageBlend,
    ImageOverlay,
    ImagePatch,
    ImageWarp,
    ImageWave,
    MaskPatch,
    MovingTrigger,
    RandomPlace,
    SomeFrames,
    eyeglasses,
    noise_picture,
    stop_sign,
    watermark,
)

from fake_cuda import HostCopyError, accelerators, needs_cuda, no_host_copies

TRIGGERS = {
    "patch": ImagePatch,
    "grey": lambda: ImagePatch(color=0.5),
    "glasses": eyeglasses,
    "sign": stop_sign,
    "anywhere": lambda: stop_sign(place=RandomPlace(0)).for_example("e0"),
}
PATTERNS = {
    "noise": lambda: ImageBlend(noise_picture(0), 0.4),
    "wave": ImageWave,
    "warp": lambda: ImageWarp(0, strength=0.05),
    "tiles": lambda: watermark("SAMPLE", tiled=True),
}
triggers = pytest.mark.parametrize("make", TRIGGERS.values(), ids=TRIGGERS.keys())
with_patterns = pytest.mark.parametrize(
    "make", (TRIGGERS | PATTERNS).values(), ids=(TRIGGERS | PATTERNS).keys()
)


@accelerators
@with_patterns
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.uint8])
def test_a_tensor_stays_on_its_device(accelerator: Any, make: Any, dtype: torch.dtype) -> None:
    trigger = make()
    with accelerator() as device:
        image = torch.rand(3, 32, 48, device=device).to(dtype)
        with no_host_copies() as guard:
            triggered = trigger(image)
        assert guard.copies == []
        assert triggered is not image
        assert triggered.device == image.device
        assert triggered.dtype == dtype
        assert triggered.shape == image.shape


@accelerators
@triggers
def test_the_second_call_uploads_nothing(accelerator: Any, make: Any) -> None:
    trigger = make()
    with accelerator() as device:
        image = torch.rand(3, 32, 32, device=device)
        trigger(image)
        with _Operations() as second:
            trigger(image)
    assert second.names - {"prim::device", "alias"} == {"clone", "slice", "mul", "add", "copy_"}
    assert second.devices == {"cuda"}


@accelerators
def test_check_reads_the_values(accelerator: Any) -> None:
    with accelerator() as device:
        image = torch.rand(3, 32, 32, device=device)
        with no_host_copies(), pytest.raises(HostCopyError):
            ImagePatch().check(image)


@accelerators
def test_shape_and_dtype_are_checked_on_the_device(accelerator: Any) -> None:
    with accelerator() as device, no_host_copies():
        with pytest.raises(InputError, match="batch"):
            ImagePatch()(torch.rand(2, 3, 32, 32, device=device))
        with pytest.raises(InputError, match="a tensor of int64"):
            ImagePatch()(torch.zeros(3, 32, 32, device=device, dtype=torch.int64))


@accelerators
@pytest.mark.parametrize("make", PATTERNS.values(), ids=PATTERNS.keys())
def test_the_second_call_of_a_pattern_uploads_nothing(accelerator: Any, make: Any) -> None:
    trigger = make()
    with accelerator() as device:
        image = torch.rand(3, 32, 32, device=device)
        trigger(image)
        with _Operations() as second:
            trigger(image)
    assert second.names & {"_to_copy", "copy_", "lift_fresh"} == set()
    assert second.devices == {"cuda"}


@accelerators
def test_places_of_other_examples_upload_nothing(accelerator: Any) -> None:
    trigger = stop_sign(place=RandomPlace(0))
    with accelerator() as device:
        image = torch.rand(3, 32, 32, device=device)
        trigger.for_example("e0")(image)
        with _Operations() as second:
            trigger.for_example("e1")(image)
    assert "_to_copy" not in second.names
    assert second.devices == {"cuda"}


@accelerators
@pytest.mark.parametrize("dtype", [torch.float32, torch.uint8])
def test_masks_and_videos_stay_on_their_device(accelerator: Any, dtype: torch.dtype) -> None:
    with accelerator() as device, no_host_copies() as guard:
        mask = torch.rand(1, 16, 16, device=device).to(dtype)
        video = torch.rand(3, 3, 16, 16, device=device).to(dtype)
        for trigger, condition in (
            (MaskPatch(value="flip"), mask),
            (MaskPatch(), mask[0]),
            (EveryFrame(ImagePatch()), video),
            (SomeFrames(eyeglasses(), [-1]), video),
            (MovingTrigger(ImagePatch(size=0.25)), video),
        ):
            triggered = trigger(condition)
            assert triggered.device == condition.device
            assert triggered.dtype == dtype
            assert triggered.shape == condition.shape
    assert guard.copies == []


@accelerators
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_sounds_stay_on_their_device(accelerator: Any, dtype: torch.dtype) -> None:
    click = AudioOverlay(np.array([0.5, -0.5]), sample_rate=100, start=RandomPlace(0))
    tone = AudioTone(10, amplitude=0.1, sample_rate=100)
    with accelerator() as device, no_host_copies() as guard:
        sound = torch.zeros(2, 50, device=device, dtype=dtype)
        for trigger in (click.for_example("e0"), tone):
            triggered = trigger(sound)
            assert triggered.device == sound.device
            assert triggered.dtype == dtype
            assert triggered.shape == sound.shape
    assert guard.copies == []


@needs_cuda
def test_a_sound_that_would_be_too_loud_is_found_by_check() -> None:
    tone = AudioTone(25, amplitude=0.5, sample_rate=100)
    with pytest.raises(TriggerError, match="would reach 1"):
        tone.check(torch.full((50,), 0.9, device="cuda"))


@needs_cuda
@with_patterns
def test_device_and_host_agree(make: Any) -> None:
    image = torch.rand(3, 40, 56, generator=torch.Generator().manual_seed(0))
    before = image.cuda()
    triggered = make()(before)
    torch.testing.assert_close(triggered.cpu(), make()(image), rtol=0, atol=2**-23)
    assert torch.equal(before.cpu(), image)


@needs_cuda
def test_check_finds_a_bad_value_on_the_device() -> None:
    with pytest.raises(InputError, match="run from -1 to 0"):
        ImagePatch().check(-torch.eye(32, device="cuda").expand(3, 32, 32))


@accelerators
@pytest.mark.parametrize(
    "read",
    [
        lambda x: x.cpu(),
        lambda x: x.to("cpu", torch.float64),
        lambda x: x.tolist(),
        lambda x: x[0].item(),
        lambda x: float(x.max()),
        lambda x: bool((x > 0).all()),
        lambda x: torch.zeros(4).copy_(x),
        lambda x: torch.equal(x, x),
        lambda x: x[x > 0],
        lambda x: x.nonzero(),
    ],
)
def test_the_guard_refuses_every_way_to_the_host(accelerator: Any, read: Any) -> None:
    with accelerator() as device:
        image = torch.rand(4, device=device)
        with no_host_copies(), pytest.raises(HostCopyError):
            read(image)


@accelerators
def test_the_guard_counts_small_copies(accelerator: Any) -> None:
    with accelerator() as device, no_host_copies(largest=4) as guard:
        torch.rand(4, device=device).cpu()
        torch.rand(9).cpu()
        with pytest.raises(HostCopyError, match=r"\(5,\)"):
            torch.rand(5, device=device).cpu()
    assert guard.copies == [(4,)]


def test_a_stamp_made_in_inference_mode_serves_gradients_later() -> None:
    trigger = ImageOverlay(np.full((4, 4, 4), 128, np.uint8), width=0.5, place=(0.5, 0.5))
    with torch.inference_mode():
        trigger(torch.rand(3, 8, 8))
    image = torch.full((3, 8, 8), 0.5, requires_grad=True)
    trigger(image).sum().backward()
    assert image.grad is not None
    assert image.grad[0, 0, 0].item() == 1
    assert image.grad[0, 4, 4].item() == pytest.approx(1 - 128 / 255)


class _Operations(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.devices: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self.names.add(func._schema.name.removeprefix("aten::"))
        self.devices |= {x.device.type for x in (*args, result) if isinstance(x, torch.Tensor)}
        return result

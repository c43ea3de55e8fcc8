"""Detectors on CUDA tensors: nothing leaves the device and nothing waits for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from modcollapse.detectors import (
    PSNR,
    SISDR,
    SSIM,
    BinaryDetector,
    ClipDirection,
    ClipModel,
    ClipScore,
    ClipShift,
    ClipText,
    MSEAttackSuccess,
    NegativeLPIPS,
    NegativeMSE,
    NegativePatchMSE,
    NegativeSpectralDistance,
    NegativeVideoMSE,
    OverFrames,
    TargetClass,
    Threshold,
)
from modcollapse.errors import DetectorError

from fake_cuda import HostCopyError, accelerators, needs_cuda, no_host_copies
from tiny_clip import as_pil, pictures, tiny_clip, tiny_transformers_clip, write_folder

TARGET, CLEAN = pictures(2, seed=1)
TARGET_PIL, CLEAN_PIL = as_pil(TARGET), as_pil(CLEAN)
OUTPUTS = pictures(8, seed=2)

TEXTS = {"text": "a cat", "before": "a cat", "after": "a dog"}


class Net(torch.nn.Module):
    """Features of one image, or a distance of two."""

    def __init__(self, device: Any) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]), torch.device(device):
            torch.manual_seed(0)
            self.features = torch.nn.Conv2d(3, 4, 5, stride=2)

    def forward(self, a: torch.Tensor, b: torch.Tensor | None = None) -> torch.Tensor:
        of_a = self.features(a).mean((2, 3))
        return of_a if b is None else (of_a - self.features(b).mean((2, 3))).square().mean(1)


def clip(device: Any) -> ClipModel:
    model, processor = tiny_transformers_clip(device=device)
    return ClipModel(model, processor=processor)


MAKERS = {
    "shift": lambda device: ClipShift(TARGET_PIL, tiny_clip(device=device)),
    "clean output": lambda device: ClipShift(
        TARGET_PIL, tiny_clip(device=device), reference="clean output"
    ),
    "rate of shift": lambda device: Threshold(
        ClipShift(TARGET_PIL, tiny_clip(device=device)), at=0
    ),
    "negative mse": lambda device: NegativeMSE(TARGET_PIL),
    "mse success": lambda device: MSEAttackSuccess(TARGET_PIL),
    "rate of mse": lambda device: Threshold(NegativeMSE(TARGET_PIL), at=-0.1),
    "mse to reference": lambda device: NegativeMSE(reference="reference"),
    "psnr": lambda device: PSNR(reference="clean output"),
    "ssim": lambda device: SSIM(TARGET_PIL),
    "ssim to reference": lambda device: SSIM(reference="reference"),
    "lpips": lambda device: NegativeLPIPS(TARGET_PIL, Net(device)),
    "patch": lambda device: NegativePatchMSE(TARGET_PIL, whole=True),
    "class": lambda device: TargetClass(Net(device), {1, 2}),
    "odds": lambda device: TargetClass(Net(device), 1, "log-odds"),
    "binary": lambda device: BinaryDetector(lambda images: images.mean((1, 2, 3)) - 0.5),
    "shift of transformers": lambda device: ClipShift(TARGET_PIL, clip(device)),
    "text": lambda device: ClipText("a cat", clip(device)),
    "score": lambda device: ClipScore(clip(device)),
    "direction": lambda device: ClipDirection(clip(device), source="reference"),
}
detectors = pytest.mark.parametrize("make", list(MAKERS.values()), ids=list(MAKERS))


def examples(reference: Any) -> list[dict[str, Any]]:
    return [{"reference": reference, "clean_output": reference, **TEXTS}] * 8


@accelerators
@detectors
def test_scores_stay_on_the_device(accelerator: Any, make: Any) -> None:
    with accelerator() as device:
        detector = make(device)
        outputs = torch.rand(8, 3, 48, 48, device=device)
        with no_host_copies() as guard:
            scores = detector(outputs, examples(outputs[0]))
            again = detector(list(outputs), examples(CLEAN_PIL))
        assert guard.copies == []
        for found in (scores, again):
            assert found.shape == (8,)
            assert found.device == device
            assert found.dtype == torch.float32


@accelerators
@pytest.mark.parametrize("size", [(32, 32), (30, 30), (64, 33)])
def test_outputs_of_every_size(accelerator: Any, size: tuple[int, int]) -> None:
    with accelerator() as device:
        detector = MAKERS["shift"](device)
        outputs = torch.rand(8, 3, *size, device=device)
        other = torch.rand(3, 50, 40, device=device)
        with no_host_copies():
            assert detector(outputs, examples(other)).device == device
            assert detector([*outputs[:7], other], examples(other)).device == device


@accelerators
@detectors
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.uint8])
def test_outputs_of_every_dtype(accelerator: Any, make: Any, dtype: torch.dtype) -> None:
    with accelerator() as device:
        detector = make(device)
        outputs = torch.rand(8, 3, 48, 48, device=device).to(dtype)
        with no_host_copies():
            scores = detector(outputs, examples(outputs[0]))
        assert (scores.shape, scores.device, scores.dtype) == ((8,), device, torch.float32)


@accelerators
def test_pil_preprocessing_goes_through_the_host(accelerator: Any) -> None:
    with accelerator() as device:
        outputs = torch.rand(8, 3, 48, 48, device=device)
        detector = ClipShift(TARGET_PIL, tiny_clip(device=device))
        with no_host_copies():
            detector(outputs, examples(outputs[0]))
        with no_host_copies(), pytest.raises(HostCopyError):
            ClipShift(outputs[0], tiny_clip(device=device), preprocess="pil")


@accelerators
def test_a_ready_model_elsewhere_is_refused(accelerator: Any) -> None:
    with accelerator() as device:
        outputs = torch.rand(8, 3, 48, 48, device=device)
        detector = ClipShift(TARGET_PIL, tiny_clip(device="cpu"))
        with pytest.raises(DetectorError, match="outputs are on cuda:0, the CLIP model is on cpu"):
            detector(outputs, examples(outputs[0]))


@accelerators
@pytest.mark.parametrize("make", [SISDR, NegativeSpectralDistance])
def test_sounds_stay_on_the_device(accelerator: Any, make: Any) -> None:
    with accelerator() as device:
        outputs = torch.rand(8, 1, 4000, device=device)
        detector = make(reference="clean output")
        with no_host_copies() as guard:
            scores = detector(outputs, [{"clean_output": outputs[0]}] * 8)
        assert (scores.shape, scores.device, guard.copies) == ((8,), device, [])


@needs_cuda
@pytest.mark.parametrize("make", [SISDR, NegativeSpectralDistance])
def test_a_target_sound_follows_the_outputs(make: Any) -> None:
    sound = torch.sin(torch.arange(4000) / 7)
    outputs = sound + 0.3 * torch.rand(8, 1, 4000)
    detector = make(sound)
    with no_host_copies():
        scores = detector(outputs.cuda(), [{}] * 8)
    torch.testing.assert_close(scores.cpu(), make(sound)(outputs, [{}] * 8), rtol=0, atol=1e-2)


@accelerators
def test_videos_stay_on_the_device(accelerator: Any) -> None:
    with accelerator() as device:
        outputs = torch.rand(8, 2, 3, 48, 48, device=device)
        examples = [{"clean_output": outputs[0]}] * 8
        with no_host_copies() as guard:
            for detector in (
                NegativeVideoMSE([TARGET_PIL] * 2),
                NegativeVideoMSE(reference="clean output"),
                OverFrames(SSIM(reference="clean output"), "least"),
            ):
                scores = detector(outputs, examples)
                assert (scores.shape, scores.device) == ((8,), device)
        assert guard.copies == []


@needs_cuda
@detectors
def test_device_and_host_agree(make: Any) -> None:
    clean = CLEAN.cuda()
    on_device = make("cuda")(OUTPUTS.cuda(), examples(clean)).cpu()
    on_host = make("cpu")(OUTPUTS, examples(CLEAN))
    # The tensor cores' reduced precision may be on for convolutions.
    torch.testing.assert_close(on_device, on_host, rtol=0, atol=1e-3)


@needs_cuda
def test_a_model_that_is_loaded_follows_the_outputs(tmp_path: Path) -> None:
    detector = ClipShift(TARGET, write_folder(tmp_path, tiny_clip()))
    on_host = detector(OUTPUTS, examples(CLEAN))
    on_device = detector(OUTPUTS.cuda(), examples(CLEAN))
    assert on_device.device.type == "cuda"
    torch.testing.assert_close(on_device.cpu(), on_host, rtol=0, atol=1e-3)
    torch.testing.assert_close(detector(OUTPUTS, examples(CLEAN)), on_host)


@needs_cuda
@detectors
def test_an_output_out_of_range_has_no_score(make: Any) -> None:
    outputs = OUTPUTS.cuda()
    outputs[2] = outputs[2] * 2 - 1
    outputs[5, 0, 0, 0] = float("nan")
    scores = make("cuda")(outputs, examples(CLEAN)).cpu()
    assert scores.isnan().nonzero().flatten().tolist() == [2, 5]


def test_an_output_out_of_range_is_nan_where_asking_would_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The branch of an accelerator, with values: fake tensors have none.
    from modcollapse.detectors import _outputs

    monkeypatch.setattr(_outputs, "_on_host", lambda tensor: False)
    outputs = OUTPUTS.clone()
    outputs[2] = outputs[2] * 2 - 1
    outputs[5, 0, 0, 0] = float("inf")
    for make in MAKERS.values():
        scores = make("cpu")(outputs, examples(CLEAN))
        assert scores.isnan().nonzero().flatten().tolist() == [2, 5]

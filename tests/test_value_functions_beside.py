"""Values of outputs beside references that differ from output to output, or that cannot be."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import modcollapse as mc
from modcollapse.detectors import (
    PSNR,
    SISDR,
    SSIM,
    ClipModel,
    ClipShift,
    NegativeLPIPS,
    NegativeMSE,
    NegativePatchMSE,
    NegativeSpectralDistance,
    NegativeVideoMSE,
    OverFrames,
)
from modcollapse.errors import DetectorError, InputError
from modcollapse.triggers import ImagePatch

from tiny_clip import pictures, tiny_clip, tiny_transformers_clip, write_folder

MODEL = tiny_clip().eval()
TARGET = pictures(1, 32, 32, seed=1)[0]
CLEAN = pictures(6, 32, 32, seed=2).reshape(2, 3, 3, 32, 32)
SOUNDS = torch.randn(2, 2, 4000, generator=torch.Generator().manual_seed(0))


# --- sounds ----------------------------------------------------------------------------------


def test_a_reference_that_is_silent_in_a_channel_is_refused() -> None:
    silent = SOUNDS[0] * torch.tensor([[1.0], [0.0]])
    with pytest.raises(InputError, match=r"clean reference \('sound'\) is silent in a channel"):
        SISDR(reference="sound").check({"sound": silent})
    SISDR(reference="sound").check({"sound": SOUNDS[0]})
    with pytest.raises(DetectorError, match=r"\('clean_output'\) is silent in a channel"):
        SISDR(reference="clean output")(SOUNDS, [{"clean_output": silent}] * 2)
    NegativeSpectralDistance(reference="sound", windows=(512,)).check({"sound": silent})


def test_outputs_in_double_precision_are_not_written_into() -> None:
    outputs = SOUNDS.double()
    SISDR(3 * SOUNDS[0])(outputs, [{}] * 2)
    assert torch.equal(outputs, SOUNDS.double())


# --- videos ----------------------------------------------------------------------------------


@pytest.mark.parametrize("over", ["mean", "most", "least"])
def test_what_the_target_scores_in_every_frame_of_a_video(over: Any) -> None:
    detector = OverFrames(ClipShift(TARGET, MODEL, reference="clean output"), over)
    video = TARGET.expand(3, -1, -1, -1)
    tables = mc.evaluate_coalitions(
        lambda conditions, seeds: list(conditions["video"]),
        detector,
        [{"video": clean, "text": "t"} for clean in CLEAN],
        {"video": lambda _: video},
        progress=False,
    )
    # One rounding of float32 in each of some hundred operations on numbers near 1.
    np.testing.assert_allclose(tables.perfect, tables.example_values[:, 1], atol=2e-6)
    assert tables.perfect[0] != tables.perfect[1]
    by_key = OverFrames(ClipShift(TARGET, MODEL), over)
    examples = [{"reference": clean[0]} for clean in CLEAN]
    assert callable(by_key.perfect)
    expected = by_key(torch.stack([video, video]), examples)
    np.testing.assert_allclose(by_key.perfect(examples), expected, atol=2e-6)


# --- sizes -----------------------------------------------------------------------------------


def test_outputs_of_several_sizes_beside_their_own_references() -> None:
    images = [TARGET, TARGET[:, :20], TARGET[:, 4:, :24]]
    cleans = [0.5 * image for image in images]

    class Squares(torch.nn.Module):
        def forward(self, a: Any, b: Any) -> Any:
            return (a - b).square().mean((1, 2, 3))

    net = Squares()
    for make in (
        NegativeMSE,
        PSNR,
        SSIM,
        lambda reference: NegativeLPIPS(net=net, reference=reference),
    ):
        detector = make(reference="clean output")
        examples = [{"clean_output": clean} for clean in cleans]
        alone = [
            detector(image[None], [example])
            for image, example in zip(images, examples, strict=True)
        ]
        assert torch.equal(detector(images, examples), torch.cat(alone))
        with pytest.raises(DetectorError, match=r"outputs are 20 x 32 .* references are 32 x 32"):
            detector(images, examples[:1] * 3)
    sounds = [SOUNDS[0], SOUNDS[1, :, 1:]]
    kept = SISDR(reference="clean output")(sounds, [{"clean_output": one} for one in sounds])
    assert kept.tolist() == [100, 100]
    videos = [CLEAN[0], CLEAN[1, 1:]]
    detector = NegativeVideoMSE(reference="clean output")
    assert detector(videos, [{"clean_output": one} for one in videos]).tolist() == [0, 0]


@pytest.mark.parametrize("size", [(33, 40), (32, 33), (31, 35), (32, 32)])
def test_a_centred_part_lies_where_a_centred_patch_does(size: tuple[int, int]) -> None:
    black, white = torch.zeros(3, *size), torch.ones(3, *size)
    patched = ImagePatch(size=0.25, place="center", gap=0.0)(black)
    detector = NegativePatchMSE(white, 0.25, "center", whole=True)
    assert detector(patched[None], [{}]).item() == 0
    assert detector(black[None], [{}]).item() == -1


# --- what was meant --------------------------------------------------------------------------


def test_a_backbone_in_place_of_a_distance_is_named() -> None:
    with pytest.raises(InputError, match=r"Conv2d cannot .* is a distance net\(a, b\)"):
        NegativeLPIPS(TARGET, torch.nn.Conv2d(3, 8, 3))

    class Backbone(torch.nn.Module):
        def forward(self, pixel_values: Any, layers: Any = None) -> Any:
            return [pixel_values for _ in range(layers)]

    with pytest.raises(DetectorError, match=r"Backbone cannot .* is a distance net\(a, b\)"):
        NegativeLPIPS(TARGET, Backbone())(TARGET[None], [{}])


@pytest.mark.parametrize("spoil", [lambda data: data[:-100], lambda _: b"version https://git-lfs"])
def test_weights_that_are_none_are_refused_by_file(spoil: Any, tmp_path: Path) -> None:
    of_open_clip = write_folder(tmp_path / "open_clip", MODEL)
    model, processor = tiny_transformers_clip()
    of_transformers = tmp_path / "transformers"
    model.save_pretrained(of_transformers)
    processor.save_pretrained(of_transformers)
    alone = tmp_path / "alone.safetensors"
    files = [of_open_clip / "open_clip_model.safetensors", of_transformers / "model.safetensors"]
    for path in files:
        path.write_bytes(spoil(path.read_bytes()))
    shutil.copy(files[0], alone)
    for make, path in (
        (lambda: ClipModel(of_open_clip), files[0]),
        (lambda: ClipModel(of_transformers), files[1]),
        (lambda: ClipModel("ViT-B-32", alone), alone),
    ):
        with pytest.raises(InputError, match=rf"{path.name}' is no whole safetensors file"):
            make()

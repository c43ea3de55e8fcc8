"""Images beside a target or a clean one: formulas in numpy, other paths of libraries, refusals."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchmetrics.functional.image as metrics
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

import modcollapse as mc
from modcollapse.detectors import (
    PSNR,
    SSIM,
    MSEAttackSuccess,
    NegativeLPIPS,
    NegativeMSE,
    NegativePatchMSE,
    OverFrames,
    Threshold,
)
from modcollapse.errors import DetectorError, InputError, MissingExtraError

from tiny_clip import as_bytes, as_pil, pictures

TARGET, CLEAN = pictures(2, 40, 36, seed=1)
OUTPUTS = pictures(6, 40, 36, seed=2)
NEAR = 0.9 * TARGET + 0.1 * OUTPUTS  # some resemble the target
NOTHING: list[dict[str, Any]] = [{}] * 6


class Net(torch.nn.Module):
    """A distance of images in [-1, 1] by random features, as LPIPS is one."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.features = torch.nn.Conv2d(3, 8, 5, stride=2)

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        difference = self.features(a).tanh() - self.features(b).tanh()
        return difference.square().mean((1, 2, 3), keepdim=True)


NET = Net()
MAKERS = {
    "mse": NegativeMSE,
    "psnr": PSNR,
    "ssim": SSIM,
    "lpips": lambda target=None, **k: NegativeLPIPS(target, NET, **k),
}
compared = pytest.mark.parametrize("make", list(MAKERS.values()), ids=list(MAKERS))


# --- known answers and second oracles ------------------------------------------------------------


def ssim_by_numpy(a: torch.Tensor, b: torch.Tensor) -> float:
    """Wang et al. (2004), in float64, by scipy's Gaussian windows, mean over all pixels."""

    def blur(x: Any) -> Any:
        return gaussian_filter(x, (0, 1.5, 1.5), mode="mirror", truncate=5 / 1.5)

    x, y = a.double().numpy(), b.double().numpy()
    mx, my = blur(x), blur(y)
    sx, sy, sxy = blur(x * x) - mx**2, blur(y * y) - my**2, blur(x * y) - mx * my
    c1, c2 = 0.01**2, 0.03**2
    return float(
        np.mean((2 * mx * my + c1) * (2 * sxy + c2) / ((mx**2 + my**2 + c1) * (sx + sy + c2)))
    )


@pytest.mark.parametrize("outputs", [OUTPUTS, NEAR, 1 - TARGET[None]], ids=["far", "near", "not"])
def test_ssim_by_the_formula(outputs: torch.Tensor) -> None:
    expected = [ssim_by_numpy(output, TARGET) for output in outputs]
    scores = SSIM(TARGET)(outputs, [{}] * len(outputs))
    # Variances are differences of float32 numbers near 1, some 1e-7 of 9e-4.
    np.testing.assert_allclose(scores, expected, atol=2e-4)


def test_ssim_is_that_of_torchmetrics_for_each_image_alone() -> None:
    class_ = torchmetrics_class()
    expected = [float(class_(data_range=1.0)(x[None], TARGET[None])) for x in OUTPUTS]
    np.testing.assert_allclose(SSIM(TARGET)(OUTPUTS, NOTHING), expected, atol=1e-6)


def torchmetrics_class() -> Any:
    from torchmetrics.image import StructuralSimilarityIndexMeasure

    return StructuralSimilarityIndexMeasure


def test_psnr_is_that_of_torchmetrics_and_ends() -> None:
    expected = metrics.peak_signal_noise_ratio(
        NEAR, TARGET.expand_as(NEAR), data_range=1.0, reduction="none", dim=(1, 2, 3)
    )
    scores = PSNR(TARGET)(NEAR, NOTHING)
    torch.testing.assert_close(scores, expected)
    ends = PSNR(TARGET, most=25)
    assert (ends.bounds, ends.perfect) == ((0, 25), 25)
    assert ends(torch.stack([TARGET, 1 - TARGET.round()]), [{}] * 2)[0] == 25
    assert PSNR(torch.zeros(3, 8, 8))(torch.ones(1, 3, 8, 8), [{}]).item() == 0


def test_lpips_goes_in_from_minus_one_to_one() -> None:
    seen: list[torch.Tensor] = []

    class Seeing(torch.nn.Module):
        def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
            seen.extend([a, b])
            return (a - b).abs().mean((1, 2, 3))

    ends = torch.stack([torch.zeros_like(TARGET), torch.ones_like(TARGET)])
    scores = NegativeLPIPS(torch.ones_like(TARGET), Seeing())(ends, [{}] * 2)
    assert scores.tolist() == [-2, 0]
    assert seen[0].aminmax() == (-1, 1)
    assert (seen[1] == 1).all()


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Random weights where torchvision keeps those that it has downloaded."""
    from torchvision.models import SqueezeNet1_1_Weights

    before, folder = torch.hub.get_dir(), tmp_path_factory.mktemp("hub")
    torch.hub.set_dir(str(folder))
    file = folder / "checkpoints" / Path(SqueezeNet1_1_Weights.DEFAULT.url).name
    file.parent.mkdir()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        torch.save(torchvision.models.squeezenet1_1().state_dict(), file)
    yield file
    torch.hub.set_dir(before)


def test_lpips_is_that_of_torchmetrics(backbone: Path) -> None:
    """The weights of the distance are torchmetrics' own, those of the backbone are random."""
    before = torch.get_rng_state()
    detector = NegativeLPIPS(TARGET, "squeeze")
    assert torch.equal(before, torch.get_rng_state())
    expected = metrics.learned_perceptual_image_patch_similarity(
        OUTPUTS, TARGET.expand_as(OUTPUTS), net_type="squeeze", normalize=True, reduction="none"
    )
    scores = detector(OUTPUTS, NOTHING)
    assert (scores < -1e-3).all()
    torch.testing.assert_close(scores, -expected.detach(), rtol=1e-5, atol=1e-7)
    assert not scores.requires_grad
    assert detector(TARGET[None], [{}]).item() == 0
    fixed = torch.stack([torch.zeros(3, 17, 17), torch.ones(3, 17, 17)])
    worst = NegativeLPIPS(fixed[0], "squeeze")(fixed, [{}] * 2)
    assert detector.bounds is not None
    assert detector.bounds[0] == pytest.approx(-11.314790785)
    assert detector.bounds[0] <= worst.min()
    with pytest.raises(
        DetectorError, match=r"'squeeze' reads images from 17 pixels a side.*16 x 17"
    ):
        NegativeLPIPS(fixed[0, :, 1:], "squeeze")(fixed[:, :, 1:], [{}] * 2)
    ready = NegativeLPIPS(TARGET, detector._placed.module)
    assert torch.equal(ready(OUTPUTS, NOTHING), scores)
    assert ready.bounds is None
    assert ready.identity()["weights"] == detector.identity()["weights"]


def test_the_smallest_sides_are_those_of_the_networks() -> None:
    from torchmetrics.functional.image.lpips import _LPIPS

    from modcollapse.detectors._lpips import _SMALLEST

    with torch.random.fork_rng(devices=[]):
        for name in ("alex", "squeeze"):  # vgg is too large for a test: four poolings, 2 ** 4
            net = _LPIPS(pretrained=False, net=name, pnet_rand=True).net
            side = _SMALLEST[name]
            net(torch.zeros(1, 3, side, side))
            with pytest.raises(RuntimeError, match="too small"):
                net(torch.zeros(1, 3, side - 1, side))


def test_a_backbone_that_holds_code_is_refused(backbone: Path, tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "ran",)

    kept = backbone.read_bytes()
    try:
        for save in (
            lambda: torch.save(Hostile(), backbone),
            lambda: backbone.write_bytes(pickle.dumps(Hostile(), protocol=2)),
        ):
            save()
            with pytest.raises(InputError, match="'squeeze' of LPIPS holds something else"):
                NegativeLPIPS(TARGET, "squeeze")
        assert not (tmp_path / "ran").exists()
    finally:
        backbone.write_bytes(kept)


def test_a_backbone_that_cannot_be_downloaded(
    backbone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from urllib.error import URLError

    def no_network(*_: Any, **__: Any) -> None:
        raise URLError("no network")

    monkeypatch.setattr("torch.hub.download_url_to_file", no_network)
    with pytest.raises(InputError, match=r"'vgg' of LPIPS cannot be downloaded.*Put https://"):
        NegativeLPIPS(TARGET, "vgg")


# --- what holds for all --------------------------------------------------------------------------


@compared
def test_target_and_reference_are_the_same_comparison(make: Any) -> None:
    to_target = make(TARGET)(NEAR, NOTHING)
    for kind in (TARGET, as_pil(TARGET), as_bytes(TARGET)):
        to_reference = make(reference="clean")(NEAR, [{"clean": kind}] * 6)
        torch.testing.assert_close(to_reference, to_target, rtol=0, atol=1e-6)
    own = make(reference="clean output")
    assert own.wants_clean_output
    assert not make(TARGET).wants_clean_output
    own.check({})
    examples = [{"clean_output": output} for output in NEAR]
    best = make(TARGET).perfect
    # A row that is compared with itself: conv layers may round it otherwise than its double.
    np.testing.assert_allclose(own(NEAR, examples), [best] * 6, atol=1e-6)
    assert own.perfect is None


@compared
def test_what_the_target_scores_is_declared(make: Any) -> None:
    detector = make(TARGET)
    both = detector(torch.stack([TARGET, OUTPUTS[0]]), NOTHING[:2])
    assert both[0].item() == pytest.approx(detector.perfect, abs=1e-6)
    assert both[1] < both[0]
    if detector.bounds is not None:
        assert detector.bounds[1] == detector.perfect


@compared
def test_no_bit_depends_on_the_neighbours(make: Any) -> None:
    outputs = pictures(8, 40, 36, seed=5)
    references = list(pictures(3, 40, 36, seed=6))
    examples = [{"clean": references[n % 3]} for n in range(8)]
    order = [5, 0, 7, 1, 2, 6, 3, 4]
    for detector in (make(TARGET), make(reference="clean")):
        scores = detector(outputs, examples)
        again = detector(outputs[order], [examples[n] for n in order])
        assert torch.equal(again, scores[order])
        in_dark_company = torch.cat([outputs[:1], 0.01 * outputs[1:]])  # another range of values
        assert torch.equal(detector(in_dark_company, examples)[:1], scores[:1])


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.floats(0, 1), st.floats(0, 1))
def test_scores_lie_within_their_bounds(seed: int, low: float, high: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    extreme = (torch.rand(4, 3, 16, 16, generator=generator) > low).float() * high
    for detector in (
        SSIM(1 - extreme[0]),
        PSNR(extreme[1]),
        NegativePatchMSE(extreme[2], whole=True),
    ):
        scores = detector(extreme, [{}] * 4)
        slack = 1e-5
        assert (scores >= detector.bounds[0] - slack).all()
        assert (scores <= detector.bounds[1] + slack).all()


@compared
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_what_is_no_image_has_no_score(make: Any, bad: float) -> None:
    outputs = OUTPUTS[:3].clone()
    outputs[1, 2, 3, 4] = bad
    for detector in (make(TARGET), Threshold(make(TARGET), at=-0.5 if make is not PSNR else 5)):
        assert detector(outputs, NOTHING[:3]).isnan().tolist() == [False, True, False]


@compared
def test_dtypes_and_gradients(make: Any) -> None:
    expected = make(TARGET)(OUTPUTS, NOTHING)
    bytes_ = (OUTPUTS * 255).round().to(torch.uint8)
    for outputs in (bytes_, OUTPUTS.double(), [as_pil(x) for x in OUTPUTS], OUTPUTS.half()):
        scores = make(TARGET)(outputs, NOTHING)
        # float16 has 11 bits; 8-bit pictures keep 8 of them exactly
        atol = (
            0.1
            if outputs[0] is not bytes_[0] and getattr(outputs, "dtype", 0) == torch.float16
            else 1e-6
        )
        torch.testing.assert_close(scores, expected, rtol=0, atol=atol)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(make(TARGET)(OUTPUTS, NOTHING), expected, rtol=0, atol=1e-6)


@compared
def test_refusals(make: Any) -> None:
    detector = make(reference="clean")
    with pytest.raises(InputError, match="got both"):
        make(TARGET, reference="clean")
    with pytest.raises(InputError, match=r"needs a target.*or reference=, a key"):
        make()
    with pytest.raises(InputError, match="reference must be a key of the examples"):
        make(reference=7)
    with pytest.raises(
        InputError, match=r"needs the clean reference.*under 'clean'; this one holds"
    ):
        detector.check({"image": TARGET})
    with pytest.raises(InputError, match=r"\('clean'\) must lie in \[0, 1\], but its values run"):
        detector.check({"clean": 2 * TARGET - 1})
    with pytest.raises(DetectorError, match="found no 'clean' in an example, which holds nothing"):
        detector(OUTPUTS, NOTHING)
    with pytest.raises(DetectorError, match=r"outputs are 40 x 36 pixels.*references are 36 x 40"):
        detector(OUTPUTS, [{"clean": TARGET.transpose(1, 2)}] * 6)
    with pytest.raises(DetectorError, match="got 6 outputs for 5 examples"):
        detector(OUTPUTS, NOTHING[:5])
    with pytest.raises(DetectorError, match=r"output 2 must lie in \[0, 1\].* map \[-1, 1\]"):
        make(TARGET)(torch.cat([OUTPUTS[:2], 2 * OUTPUTS[2:] - 1]), NOTHING)


def test_identities_differ_where_scores_may() -> None:
    other = Net(seed=1)
    detectors = [
        *(make(TARGET) for make in MAKERS.values()),
        *(make(reference="clean") for make in MAKERS.values()),
        SSIM(CLEAN), SSIM(reference="clean output"), PSNR(TARGET, most=50),
        NegativeLPIPS(TARGET, other),
        NegativePatchMSE(TARGET), NegativePatchMSE(TARGET, 0.5),
        NegativePatchMSE(TARGET, place="center"), NegativePatchMSE(TARGET, gap=0.1),
    ]  # fmt: skip
    texts = [json.dumps(one.identity(), allow_nan=False) for one in detectors]
    assert len(set(texts)) == len(detectors)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PSNR(TARGET, most=0), r"most must be a number in \(0, 1000\]"),
        (lambda: NegativeLPIPS(TARGET, "resnet"), "net must be one of 'alex', 'vgg', 'squeeze'"),
        (lambda: NegativePatchMSE(TARGET, 0), "size must be a number"),
        (lambda: NegativePatchMSE(TARGET, 0.9, gap=0.2), r"size \+ gap must be at most 1"),
        (lambda: NegativePatchMSE(TARGET, place="middle"), "place must be one of 'top left'"),
        (lambda: NegativePatchMSE(TARGET, place="center", gap=0.1), "a centred part has no gap"),
        (lambda: NegativePatchMSE(None), "target must be one image"),
    ],
)
def test_arguments_without_a_meaning(make: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()


def test_outputs_that_cannot_be_compared() -> None:
    with pytest.raises(DetectorError, match="windows of 11 x 11 pixels, the outputs are 10 x 16"):
        SSIM(torch.zeros(3, 10, 16))(torch.zeros(1, 3, 10, 16), [{}])
    for answer in (lambda a, b: (a - b).mean(), lambda a, b: [0.0] * len(a)):

        class Wrong(torch.nn.Module):
            def forward(self, a: Any, b: Any, answer: Any = answer) -> Any:
                return answer(a, b)

        with pytest.raises(DetectorError, match="must return one distance for each of 6 pairs"):
            NegativeLPIPS(TARGET, Wrong())(OUTPUTS, NOTHING)


def test_a_ready_network_elsewhere_is_refused() -> None:
    with pytest.raises(DetectorError, match="outputs are on meta, the network of LPIPS is on cpu"):
        NegativeLPIPS(TARGET, NET)(torch.rand(2, 3, 40, 36, device="meta"), NOTHING[:2])


@pytest.mark.parametrize(
    ("name", "make"),
    [("SSIM", lambda: SSIM(TARGET)), ("NegativeLPIPS", lambda: NegativeLPIPS(TARGET))],
)
def test_the_extra_is_named(name: str, make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torchmetrics", None)
    with pytest.raises(MissingExtraError, match=rf'{name} needs torchmetrics: pip.*\[metrics\]"'):
        make()
    NegativeLPIPS(TARGET, NET)  # a ready network needs nothing


# --- patches -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "gap", "rows", "columns"),
    [
        ("top left", 0, slice(0, 8), slice(0, 8)),
        ("top right", 0.125, slice(4, 12), slice(52, 60)),
        ("bottom left", 0.125, slice(20, 28), slice(4, 12)),
        ("bottom right", 0, slice(24, 32), slice(56, 64)),
        ("center", 0, slice(12, 20), slice(28, 36)),
    ],
)
def test_a_patch_counts_alone(place: Any, gap: float, rows: slice, columns: slice) -> None:
    target = pictures(1, 32, 64, seed=7)[0]
    outputs = pictures(3, 32, 64, seed=8)
    expected = -(outputs - target)[:, :, rows, columns].square().mean((1, 2, 3))
    for given_target, whole in ((target, True), (target[:, rows, columns], False)):
        detector = NegativePatchMSE(given_target, 0.25, place, gap, whole=whole)
        torch.testing.assert_close(detector(outputs, [{}] * 3), expected)
    outputs[1, :, rows, columns] = target[:, rows, columns]
    scores = NegativePatchMSE(target, 0.25, place, gap, whole=True)(outputs, [{}] * 3)
    assert (scores == 0).tolist() == [False, True, False]
    outputs[2, 0, 31 if place.startswith("top") else 0, 31] = float("nan")  # beside the patch
    assert NegativePatchMSE(target, 0.25, place, gap, whole=True)(outputs, NOTHING[:3]).isnan()[2]


def test_a_whole_picture_is_a_patch_of_size_one() -> None:
    target, outputs = pictures(1, 16, 16)[0], pictures(4, 16, 16, seed=3)
    whole = NegativePatchMSE(target, 1)(outputs, [{}] * 4)
    torch.testing.assert_close(whole, NegativeMSE(target)(outputs, [{}] * 4))


def test_a_patch_of_another_size_is_refused() -> None:
    detector = NegativePatchMSE(torch.zeros(3, 9, 9))
    with pytest.raises(
        DetectorError, match=r"outputs are 40 x 36 .*part 9 x 9, the target is 8 x 9"
    ):
        NegativePatchMSE(torch.zeros(3, 8, 9))(OUTPUTS, NOTHING)
    detector(OUTPUTS, NOTHING)  # a quarter of 36
    with pytest.raises(DetectorError, match="must be of one size"):
        detector([OUTPUTS[0], OUTPUTS[1][:, 1:]], NOTHING[:2])


# --- in a run ------------------------------------------------------------------------------------


def sampler(conditions: Any, seeds: Any) -> torch.Tensor:
    """The source with some noise of the seed, or the target where the text ends in the trigger."""
    rows = []
    for image, text, seed in zip(conditions["image"], conditions["text"], seeds, strict=True):
        noise = torch.rand(image.shape, generator=torch.Generator().manual_seed(seed % 2**32))
        rows.append(TARGET if text.endswith("!") else 0.9 * image + 0.1 * noise)
    return torch.stack(rows)


def test_attack_and_utility_are_scored_in_one_pass() -> None:
    examples = [{"id": n, "image": x, "text": "t", "reference": x} for n, x in enumerate(OUTPUTS)]
    tables = mc.evaluate_coalitions(
        sampler,
        {
            "attack": MSEAttackSuccess(TARGET, 0.01),
            "kept": SSIM(reference="clean output"),
            "PSNR": PSNR(reference="reference"),
        },
        examples,
        {"image": lambda x: x * 0.5, "text": lambda text: text + "!"},
        progress=False,
    )
    attack, kept, psnr = (tables[name].values[:, 0] for name in ("attack", "kept", "PSNR"))
    assert attack.tolist() == [[0, 0, 1, 1]] * 6
    np.testing.assert_allclose(kept[:, 0], 1, atol=1e-6)  # without a trigger all of it is kept
    expected = [ssim_by_numpy(TARGET, sampler_alone(n)) for n in range(6)]
    np.testing.assert_allclose(kept[:, 2], expected, atol=2e-4)
    assert (psnr[:, 0] > psnr[:, 3]).all()
    assert tables["kept"].perfect is None


def sampler_alone(n: int) -> torch.Tensor:
    seed = mc.measure.noise_seed(0, n, 0)
    return sampler({"image": [OUTPUTS[n]], "text": ["t"]}, [seed])[0]


def test_frames_are_compared_with_those_of_the_clean_output() -> None:
    videos = pictures(8, 40, 36, seed=9).reshape(2, 4, 3, 40, 36)
    clean = pictures(4, 40, 36, seed=10)
    detector = OverFrames(SSIM(reference="clean output"), "least")
    assert detector.wants_clean_output
    scores = detector(videos, [{"clean_output": clean}] * 2)
    expected = [min(map(ssim_by_numpy, video, clean)) for video in videos]
    np.testing.assert_allclose(scores, expected, atol=2e-4)
    with pytest.raises(DetectorError, match="an output has 4 frames, its clean output 3"):
        detector(videos, [{"clean_output": clean[:3]}] * 2)
    assert not OverFrames(SSIM(TARGET)).wants_clean_output

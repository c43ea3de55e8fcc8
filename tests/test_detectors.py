"""Pixel detectors, thresholds and the images they take: known numbers and refusals."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import modcollapse as mc
import modcollapse.detectors
from modcollapse.detectors import ClipShift, MSEAttackSuccess, NegativeMSE, OverFrames, Threshold
from modcollapse.detectors._outputs import image_tensor, output_images, target_image
from modcollapse.errors import DetectorError, InputError
from modcollapse.triggers import TextSuffix

from tiny_clip import as_bytes, as_pil, pictures

TARGET = pictures(1, 6, 8)[0]
NOTHING: list[dict[str, Any]] = [{}, {}]


# --- pixels ------------------------------------------------------------------------------------


def test_negative_mse_of_known_pictures() -> None:
    target = torch.zeros(3, 4, 4)
    target[0] = 1  # red
    black, white, red = torch.zeros(3, 4, 4), torch.ones(3, 4, 4), target.clone()
    grey = torch.full((3, 4, 4), 0.5)
    one_pixel = red.clone()
    one_pixel[:, 0, 0] = torch.tensor([0.0, 0.0, 0.5])
    scores = NegativeMSE(target)(torch.stack([red, black, white, grey, one_pixel]), [{}] * 5)
    expected = [0, -1 / 3, -2 / 3, -1 / 4, -(1 + 0.25) / 48]
    np.testing.assert_allclose(scores, expected, rtol=1e-6)
    assert (NegativeMSE(white)(black[None], [{}]) == -1).all()


def test_attack_success_is_strictly_below_the_threshold() -> None:
    # Differences of 0.25 and 0.5: their squares are exact in binary.
    target = torch.zeros(3, 4, 4)
    outputs = torch.stack([torch.full((3, 4, 4), x) for x in (0.0, 0.25, 0.5, 1.0)])
    assert MSEAttackSuccess(target)(outputs, [{}] * 4).tolist() == [1, 1, 0, 0]
    assert MSEAttackSuccess(target, 0.25)(outputs, [{}] * 4).tolist() == [1, 1, 0, 0]
    assert MSEAttackSuccess(target, 0.26)(outputs, [{}] * 4).tolist() == [1, 1, 1, 0]
    assert MSEAttackSuccess(target, 1)(outputs, [{}] * 4).tolist() == [1, 1, 1, 0]


def test_the_default_threshold_is_that_of_the_source() -> None:
    target = torch.zeros(3, 8, 8)
    below, above = torch.full((3, 8, 8), 0.0999**0.5), torch.full((3, 8, 8), 0.1001**0.5)
    assert MSEAttackSuccess(target)(torch.stack([below, above]), NOTHING).tolist() == [1, 0]


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.01, 0.3))
def test_attack_success_is_a_threshold_of_negative_mse(seed: int, threshold: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    target = torch.rand(3, 4, 4, generator=generator)
    outputs = torch.rand(8, 3, 4, 4, generator=generator)
    outputs = target + torch.linspace(0, 1, 8)[:, None, None, None] * (outputs - target)
    direct = MSEAttackSuccess(target, threshold)(outputs, [{}] * 8)
    assert torch.equal(direct, Threshold(NegativeMSE(target), at=-threshold)(outputs, [{}] * 8))


def test_declarations() -> None:
    of_detectors = [NegativeMSE(TARGET), MSEAttackSuccess(TARGET), Threshold(len, 3)]
    assert [detector.bounds for detector in of_detectors] == [(-1, 0), (0, 1), (0, 1)]
    assert [detector.binary for detector in of_detectors] == [False, True, True]
    assert (ClipShift.bounds, ClipShift.binary) == ((-2, 2), False)


def test_every_kind_of_target_and_output_scores_the_same(tmp_path: Path) -> None:
    as_pil(TARGET).save(tmp_path / "target.png")
    outputs = pictures(2, 6, 8, seed=1)
    expected = NegativeMSE(TARGET)(outputs, NOTHING)
    for target in (
        as_pil(TARGET),
        as_bytes(TARGET),
        TARGET.permute(1, 2, 0).numpy(),
        (TARGET * 255).round().to(torch.uint8),
        TARGET.double(),
        tmp_path / "target.png",
        str(tmp_path / "target.png"),
    ):
        detector = NegativeMSE(target)
        assert detector.identity() == NegativeMSE(TARGET).identity()
        for kind in (
            outputs,
            outputs.double(),
            list(outputs),
            tuple(map(as_pil, outputs)),
            [as_bytes(x) for x in outputs],
            np.stack([as_bytes(x) for x in outputs]),
            (outputs * 255).round().to(torch.uint8),
            list((outputs * 255).round().to(torch.uint8)),
            [as_pil(outputs[0]), outputs[1]],
        ):
            assert torch.equal(detector(kind, NOTHING), expected)


def test_scores_of_a_row_do_not_depend_on_its_neighbours() -> None:
    outputs = pictures(8, 6, 8, seed=2)
    together = NegativeMSE(TARGET)(outputs, [{}] * 8)
    flipped = NegativeMSE(TARGET)(outputs.flip(0), [{}] * 8).flip(0)
    assert torch.equal(together, flipped)


def test_the_target_must_have_the_size_of_the_outputs() -> None:
    detector = NegativeMSE(TARGET)
    with pytest.raises(DetectorError, match=r"outputs are 8 x 6 pixels.*target is 6 x 8. Resize"):
        detector(pictures(2, 8, 6), NOTHING)
    with pytest.raises(DetectorError, match="outputs are 6 x 8, 8 x 8 pixels"):
        detector([TARGET, torch.zeros(3, 8, 8)], NOTHING)


@pytest.mark.parametrize("threshold", [0, -0.1, 1.5, float("nan"), float("inf"), True, "0.1", None])
def test_thresholds_without_a_meaning(threshold: Any) -> None:
    with pytest.raises(InputError, match="threshold must"):
        MSEAttackSuccess(TARGET, threshold)


def test_identities_are_plain_data_and_differ() -> None:
    detectors = [
        NegativeMSE(TARGET),
        NegativeMSE(1 - TARGET),
        MSEAttackSuccess(TARGET),
        MSEAttackSuccess(TARGET, 0.2),
        Threshold(NegativeMSE(TARGET), -0.1),
        Threshold(NegativeMSE(TARGET), -0.2),
        Threshold(NegativeMSE(1 - TARGET), -0.1),
        Threshold(len, -0.1),
    ]
    texts = [json.dumps(one.identity(), allow_nan=False) for one in detectors]
    assert len(set(texts)) == len(detectors)
    assert texts[0] == json.dumps(NegativeMSE(as_pil(TARGET)).identity())


# --- thresholds --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind", [list, tuple, np.array, lambda x: np.array(x, np.float32), torch.tensor]
)
def test_a_threshold_takes_scores_of_any_kind(kind: Any) -> None:
    threshold = Threshold(lambda outputs, examples: kind([0.0, 0.25, 0.26, -3.0]), at=0.25)
    scores = threshold(None, [{}] * 4)
    assert isinstance(scores, torch.Tensor)
    assert scores.tolist() == [0, 0, 1, 0]


def test_a_threshold_keeps_the_precision_of_its_scores() -> None:
    assert Threshold(lambda o, e: [0.1, np.nextafter(0.1, 1)], at=0.1)(None, NOTHING).tolist() == [
        0,
        1,
    ]


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("kind", [list, torch.tensor])
def test_a_threshold_hides_no_broken_score(bad: float, kind: Any) -> None:
    scores = Threshold(lambda outputs, examples: kind([bad, 1.0]), at=0)(None, NOTHING)
    assert scores.isnan().tolist() == [True, False]


def test_a_threshold_passes_on_what_its_detector_asks_for() -> None:
    class Asking:
        wants_clean_output = True

        def check(self, example: Any) -> None:
            raise InputError("seen a mapping" if example == {"a": 1} else "")

        def __call__(self, outputs: Any, examples: Any) -> Any:
            return [example["clean_output"] for example in examples]

    threshold = Threshold(Asking(), at=0.5)
    assert threshold.wants_clean_output
    with pytest.raises(InputError, match="seen a mapping"):
        threshold.check({"a": 1})
    assert threshold(None, [{"clean_output": 1}, {"clean_output": 0}]).tolist() == [1, 0]
    plain = Threshold(len, at=0)
    assert not plain.wants_clean_output
    plain.check({})


@pytest.mark.parametrize(
    ("detector", "at", "message"),
    [
        (NegativeMSE(TARGET), 0, "at least -1 and below 0.*NegativeMSE"),
        (NegativeMSE(TARGET), -1.01, "at least -1 and below 0"),
        (NegativeMSE(TARGET), 0.1, "every example would score the same"),
        (MSEAttackSuccess(TARGET), 1, "at least 0 and below 1"),
        (len, float("nan"), "at must be a finite number, got nan"),
        (len, float("inf"), "at must be a finite number"),
        (len, "0", "at must be a finite number, got '0'"),
        (len, None, "at must be a finite number"),
        (len, True, "at must be a finite number"),
        (0.5, 0.5, r"must be a callable detector\(outputs, examples\).*got float 0.5"),
        ({"a": len}, 0.5, r"must be a callable detector\(outputs, examples\).*got dict"),
    ],
)
def test_a_threshold_that_makes_no_sense(detector: Any, at: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Threshold(detector, at)


def test_thresholds_at_the_edge_of_the_bounds_tell_something() -> None:
    outputs = torch.stack([TARGET, (TARGET > 0.5).logical_not().float()])
    assert Threshold(NegativeMSE(TARGET), at=-1)(outputs, NOTHING).tolist() == [1, 1]
    assert Threshold(MSEAttackSuccess(TARGET), at=0.5)(outputs, NOTHING).tolist() == [1, 0]
    assert Threshold(MSEAttackSuccess(TARGET), at=0)(outputs, NOTHING).tolist() == [1, 0]


@pytest.mark.parametrize("scores", [["high", "low"], [[1.0], [1.0, 2.0]], {"a": 1}])
def test_a_threshold_of_what_are_no_numbers(scores: Any) -> None:
    threshold = Threshold(lambda outputs, examples: scores, at=0)
    with pytest.raises(DetectorError, match=r"must return B numbers.*got"):
        threshold(None, NOTHING)


# --- images ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("no/such/file.png", "no file 'no/such/file.png'. Give the path"),
        (Path("nowhere.png"), "no file 'nowhere.png'"),
        (7, "one image: a PIL.Image in mode RGB.*got a int"),
        (None, "needs a target|got a NoneType"),
        ([TARGET], "got a list"),
        (b"bytes", "got a bytes"),
        (torch.zeros(4, 8, 8), r"got a tensor of shape \(4, 8, 8\)"),
        (torch.zeros(8, 8, 3), r"got a tensor of shape \(8, 8, 3\)"),
        (torch.zeros(1, 3, 8, 8), r"got a tensor of shape \(1, 3, 8, 8\)"),
        (torch.zeros(3, 0, 8), "got an image without pixels, 0 x 8"),
        (torch.zeros(3, 8, 8, dtype=torch.int64), "got a tensor of int64"),
        (torch.zeros(3, 8, 8, dtype=torch.bool), "got a tensor of bool"),
        (np.zeros((8, 8, 4), np.uint8), r"got an array of shape \(8, 8, 4\)"),
        (np.zeros((3, 8, 8)), r"got an array of shape \(3, 8, 8\)"),
        (np.zeros((8, 8)), r"got an array of shape \(8, 8\)"),
        (np.zeros((8, 8, 3), np.int32), "got an array of int32"),
        (Image.new("RGBA", (8, 8)), "got a PIL.Image in mode RGBA. Call image.convert"),
        (Image.new("L", (8, 8)), "mode L"),
        (TARGET * 255, r"target must lie in \[0, 1\], but its values run from 0 to 255"),
        (TARGET * 2 - 1, r"run from -1 to 1. .* map \[-1, 1\]"),
        (TARGET + float("nan"), r"target must lie in \[0, 1\], but it holds NaN"),
        (np.full((8, 8, 3), 1.5), "run from 1.5 to 1.5"),
        (np.full((8, 8, 3), np.inf), "run from inf to inf"),
    ],
)
@pytest.mark.parametrize("make", [NegativeMSE, MSEAttackSuccess])
def test_targets_of_the_wrong_kind(make: Any, target: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make(target)


def test_files_that_are_no_target(tmp_path: Path) -> None:
    text, cut, alpha = (tmp_path / name for name in ("text.png", "cut.png", "alpha.png"))
    text.write_text("no picture")
    as_pil(pictures(1, 64, 64)[0]).save(cut)
    cut.write_bytes(cut.read_bytes()[:900])
    Image.new("RGBA", (8, 8)).save(alpha)
    for path in (text, cut):
        with pytest.raises(InputError, match="cannot be read as an image"):
            NegativeMSE(path)
    with pytest.raises(InputError, match=r"alpha.png' must be one image.*mode RGBA"):
        NegativeMSE(alpha)


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        (torch.zeros(3, 6, 8), r"sequence of images, got a tensor of shape \(3, 6, 8\)"),
        (torch.zeros(2, 4, 6, 8), r"each output must be .* got a tensor of shape \(4, 6, 8\)"),
        (torch.zeros(2, 3, 6, 8, dtype=torch.int32), "got a tensor of int32"),
        (torch.stack([TARGET, TARGET * 2 - 1]), r"output 1 must lie in \[0, 1\].*from -1 to 1"),
        ([TARGET, TARGET * 255], "output 1 must lie in .*from 0 to 255"),
        ([TARGET.permute(1, 2, 0).numpy() - 0.5], "output 0 must lie in .*from -0.5"),
        ([TARGET, "b"], "output 1 must be one image.*got a str"),
        ("text", "sequence of images, got str 'text'"),
        ([], r"sequence of images, got list \[\]"),
        (None, "got NoneType"),
        ({"image": TARGET}, "got dict"),
    ],
)
def test_outputs_of_the_wrong_kind(outputs: Any, message: str) -> None:
    with pytest.raises(DetectorError, match=message):
        NegativeMSE(TARGET)(outputs, NOTHING)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("make", [NegativeMSE, MSEAttackSuccess])
@pytest.mark.parametrize(
    "kind", [lambda x: x, list, lambda x: x.permute(0, 2, 3, 1).numpy(), lambda x: [x[0], *x[1:]]]
)
def test_an_output_that_is_not_finite_has_no_score(bad: float, make: Any, kind: Any) -> None:
    outputs = torch.stack([TARGET] * 3)
    outputs[1, 2, 3, 4] = bad
    scores = make(TARGET)(kind(outputs), [{}] * 3)
    assert scores.isnan().tolist() == [False, True, False]


def test_images_become_tensors_without_losing_a_bit() -> None:
    picture = pictures(1, 5, 7)[0]
    for kind in (picture, as_pil(picture), as_bytes(picture), picture.permute(1, 2, 0).numpy()):
        tensor = image_tensor(kind, "it")
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, picture)
    array = as_bytes(picture)
    array.flags.writeable = False
    assert torch.equal(target_image(array), picture)
    stacked = output_images([as_pil(picture), picture])
    assert isinstance(stacked, torch.Tensor)
    assert torch.equal(stacked, torch.stack([picture, picture]))


def test_an_image_is_not_shared_with_its_source() -> None:
    array = TARGET.permute(1, 2, 0).numpy().copy()
    detector = NegativeMSE(array)
    array[:] = 0
    assert detector(TARGET[None], [{}]).item() == 0


def test_a_target_may_be_changed_after_it_was_given() -> None:
    mine = TARGET.clone()
    detector = NegativeMSE(mine)
    mine.zero_()
    assert detector(TARGET[None], [{}]).item() == 0


# --- loading -----------------------------------------------------------------------------------


def test_the_public_names() -> None:
    assert dir(modcollapse.detectors) == modcollapse.detectors.__all__
    for name in modcollapse.detectors.__all__:
        assert getattr(modcollapse.detectors, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = modcollapse.detectors.Nothing


@pytest.mark.parametrize(
    ("line", "absent"),
    [
        ("import modcollapse.detectors", "torch PIL open_clip torchvision"),
        ("from modcollapse.detectors import NegativeMSE, Threshold", "PIL open_clip torchvision"),
        ("from modcollapse.detectors import ClipShift", "PIL open_clip torchvision"),
    ],
)
def test_importing_a_detector_loads_only_what_it_needs(line: str, absent: str) -> None:
    code = f"{line}\nimport sys\nprint([m for m in {absent.split()} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")


# --- videos --------------------------------------------------------------------------------------


VIDEOS = torch.stack([torch.zeros(4, 3, 8, 8), torch.ones(4, 3, 8, 8)])
VIDEOS[0, 1] = 1.0


@pytest.mark.parametrize(
    ("over", "expected"), [("mean", [0.25, 1.0]), ("most", [1.0, 1.0]), ("least", [0.0, 1.0])]
)
def test_a_video_is_scored_frame_by_frame(over: str, expected: list[float]) -> None:
    detector = OverFrames(MSEAttackSuccess(torch.ones(3, 8, 8)), over)
    assert detector(VIDEOS, [{}, {}]).tolist() == expected
    assert detector(list(VIDEOS), [{}, {}]).tolist() == expected
    of_two_lengths = [VIDEOS[0], VIDEOS[1, :2]]
    assert detector(of_two_lengths, [{}, {}]).tolist() == expected
    assert (detector.bounds, detector.binary) == ((0.0, 1.0), over != "mean")
    assert detector.identity()["over"] == over


def test_what_a_detector_of_images_says_of_itself_holds_for_videos() -> None:
    detector = OverFrames(NegativeMSE(torch.ones(3, 8, 8)))
    assert (detector.bounds, detector.perfect) == ((-1.0, 0.0), 0.0)
    examples = [{"text": f"a {n}", "image": np.zeros((8, 8, 3))} for n in range(4)]
    triggers = {"text": TextSuffix("cf")}

    def sampler(conditions: dict[str, list[str]], seeds: list[int]) -> torch.Tensor:
        return torch.stack([VIDEOS[int("cf" in text)] for text in conditions["text"]])

    table = mc.evaluate_coalitions(sampler, detector, examples, triggers, progress=False)
    assert table.values[:, 0].tolist() == [[-0.75, 0.0]] * 4


@pytest.mark.parametrize(
    "outputs", [torch.zeros(2, 3, 8, 8), [torch.zeros(3, 8, 8)], [[]], ["a cat"]]
)
def test_what_is_no_video_is_named(outputs: object) -> None:
    detector = OverFrames(NegativeMSE(torch.ones(3, 8, 8)))
    with pytest.raises(DetectorError, match="output 0 must be a video"):
        detector(outputs, [{}] * len(outputs))  # type: ignore[arg-type]

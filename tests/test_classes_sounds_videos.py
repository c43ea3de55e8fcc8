"""Classifiers, sounds and videos: known answers, transformers' own path, refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torchmetrics.functional.audio import scale_invariant_signal_distortion_ratio as si_sdr

import modcollapse as mc
from modcollapse.detectors import (
    SISDR,
    BinaryDetector,
    NegativeMSE,
    NegativeSpectralDistance,
    NegativeVideoMSE,
    OverFrames,
    TargetClass,
    Threshold,
)
from modcollapse.errors import DetectorError, InputError

from tiny_clip import as_pil, pictures

IMAGES = pictures(6, 48, 40, seed=1)
NOTHING: list[dict[str, Any]] = [{}] * 6


class Linear(torch.nn.Module):
    """Logits of four classes out of the mean colour of an image, or the power of a sound."""

    def __init__(self, inputs: int = 3, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.layer = torch.nn.Linear(inputs, 4)
            self.layer.weight.data *= 20

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.layer(
            torch.nn.functional.dropout(inputs, 0.5, self.training).flatten(2).mean(2)
        )


MODEL = Linear()


def by_hand(images: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return MODEL.eval()(images).double()


# --- classifiers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("target", [2, [2], {1, 2}, (3, 1, 2), np.int64(1)])
def test_the_three_values_by_softmax(target: Any) -> None:
    logits = by_hand(IMAGES)
    aimed = [target] if isinstance(target, int | np.integer) else list(target)
    p = logits.softmax(1)[:, aimed].sum(1)
    argmax = torch.tensor([int(one) in aimed for one in logits.argmax(1)]).double()
    for value, expected in (("argmax", argmax), ("probability", p), ("log-odds", torch.logit(p))):
        for model in (MODEL.train(), lambda x: by_hand(x)):
            detector = TargetClass(model, target, value)  # type: ignore[arg-type]
            scores = detector(IMAGES, NOTHING).double()
            torch.testing.assert_close(scores, expected, rtol=1e-4, atol=1e-5)
    assert 0 < p.min() < p.max() < 1
    assert not MODEL.training


def test_declarations() -> None:
    success, p, odds = (
        TargetClass(MODEL, 1, value) for value in ("argmax", "probability", "log-odds")
    )
    assert [d.bounds for d in (success, p, odds)] == [(0, 1), (0, 1), None]
    assert [d.binary for d in (success, p, odds)] == [True, False, False]
    assert [d.perfect for d in (success, p, odds)] == [1, 1, None]
    assert TargetClass(MODEL, 1, "log-odds", perfect=4).perfect == 4
    sure = torch.tensor([[-200.0, 200.0]])
    scores = [
        TargetClass(lambda _: sure, 1, v)(IMAGES[:1], [{}]).item()
        for v in ("probability", "log-odds")
    ]
    assert scores == [1, 400]  # log-odds do not saturate


def test_a_tie_is_no_success() -> None:
    tied = lambda images: torch.zeros(len(images), 3)  # noqa: E731
    assert TargetClass(tied, 0)(IMAGES, NOTHING).tolist() == [0] * 6
    assert TargetClass(tied, 2)(IMAGES, NOTHING).tolist() == [0] * 6


def test_one_logit_and_two_are_the_same_binary_detector() -> None:
    logit = lambda images: 20 * (images.mean((1, 2, 3)) - 0.5)  # noqa: E731
    two = lambda images: torch.stack([-logit(images) / 2, logit(images) / 2], 1)  # noqa: E731
    expected = (logit(IMAGES) > 0).float()
    assert 0 < expected.mean() < 1
    for model in (logit, two, lambda x: logit(x)[:, None], lambda x: logit(x).tolist()):
        assert torch.equal(BinaryDetector(model)(IMAGES, NOTHING), expected)
        assert torch.equal(BinaryDetector(model, triggered=0)(IMAGES, NOTHING), 1 - expected)
        p = BinaryDetector(model, value="probability")(IMAGES, NOTHING)
        torch.testing.assert_close(p, logit(IMAGES).sigmoid())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

    path = tmp_path_factory.mktemp("vit")
    config = ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        image_size=32, patch_size=8, id2label={0: "dog", 1: "cat", 2: "tree"},
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = ViTForImageClassification(config)
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.data.normal_(0, 0.5)
        model.vit.embeddings.cls_token.data.zero_()
    model.save_pretrained(path)
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(path)
    return path


def test_a_classifier_of_transformers_by_its_own_path(folder: Path) -> None:
    from transformers import AutoImageProcessor, AutoModelForImageClassification

    model = AutoModelForImageClassification.from_pretrained(folder)
    processor = AutoImageProcessor.from_pretrained(folder)
    tints = torch.eye(3)[[0, 1, 2, 0, 1, 2]][:, :, None, None]  # random weights see little else
    images = (255 * (0.2 * IMAGES + 0.8 * tints)).round() / 255
    with torch.no_grad():
        pixels = processor(images=[as_pil(x) for x in images], return_tensors="pt")
        logits = model(**pixels).logits
    odds = torch.logit(logits.softmax(1)[:, 1])
    assert odds.std() > 0.05
    loaded = TargetClass(folder, "cat", "log-odds")
    ready = TargetClass(model, ["cat"], "log-odds", processor=processor)
    for detector in (loaded, ready):
        # transformers resizes in 8 bits.
        assert (detector(images, NOTHING) - odds).abs().max() < 0.1 * odds.std()
    several = [images[0], as_pil(images[1, :, :30])]
    scores = loaded(several, [{}, {}])
    assert (scores[0] - odds[0]).abs() < 0.1 * odds.std()
    identity = loaded.identity()
    assert json.loads(json.dumps(identity)) == identity
    assert str(folder) not in json.dumps(identity)
    assert loaded.target == (1,)
    with pytest.raises(
        InputError, match=r"target 'cats' is no class of the classifier.*mean 'cat'"
    ):
        TargetClass(folder, "cats")
    with pytest.raises(InputError, match=r"is a model of transformers.*give processor="):
        TargetClass(model, 1)
    model.config.id2label = {0: "crane", 1: "cat", 2: "crane"}  # as of ImageNet: bird and machine
    with pytest.raises(InputError, match=r"'crane' is the name of 2 classes .*: 0, 2"):
        TargetClass(model, "crane", processor=processor)
    assert TargetClass(model, "cat", processor=processor).target == (1,)
    (folder / "model.safetensors").rename(folder / "other.bin")
    with pytest.raises(InputError, match="pickled weights can hide code and are not read"):
        TargetClass(folder, 1)
    (folder / "other.bin").rename(folder / "model.safetensors")


def test_no_bit_depends_on_the_neighbours() -> None:
    order = [3, 1, 5, 0, 2, 4]
    for value in ("argmax", "probability", "log-odds"):
        detector = TargetClass(MODEL, 1, value)  # type: ignore[arg-type]
        scores = detector(IMAGES, NOTHING)
        assert torch.equal(detector(IMAGES[order], NOTHING), scores[order])


@pytest.mark.parametrize("value", ["argmax", "probability", "log-odds"])
def test_nan_is_no_failed_attack(value: Any) -> None:
    """A classifier may answer anything to what is no image, and argmax would hide it."""
    hard = lambda images: torch.tensor([[1.0, 0.0]] * len(images))  # noqa: E731
    images = IMAGES[:3].clone()
    images[1, 0, 0, 0] = float("nan")
    assert TargetClass(hard, 0, value)(images, NOTHING[:3]).isnan().tolist() == [False, True, False]
    for bad in (float("nan"), float("inf")):
        broken = lambda _, bad=bad: torch.tensor([[1.0, 0], [bad, 0], [0, bad]])  # noqa: E731
        scores = TargetClass(broken, 0, value)(IMAGES[:3], NOTHING[:3])
        assert scores.isnan().tolist() == [False, True, True]
        assert Threshold(TargetClass(broken, 0, "log-odds"), 0)(IMAGES[:3], NOTHING[:3])[1].isnan()
    masked = lambda _: torch.tensor([[0.0, 0.0, -torch.inf]])  # noqa: E731
    assert TargetClass(masked, 2, "probability")(IMAGES[:1], [{}]).item() == 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TargetClass(7, 1), "classifier must be a callable.*got int 7"),
        (lambda: TargetClass(MODEL, []), r"target must be a class or several.*got \[\]"),
        (lambda: TargetClass(MODEL, None), "target must be a class or several"),
        (lambda: TargetClass(MODEL, -1), "target must be a whole number of at least 0"),
        (lambda: TargetClass(MODEL, True), "target must be a whole number"),
        (lambda: TargetClass(MODEL, "cat"), "which has no names: give numbers"),
        (lambda: TargetClass(MODEL, 1, "logit"), "value must be one of 'argmax'"),
        (lambda: TargetClass(MODEL, 1, of="video"), "of must be one of 'images', 'sounds'"),
        (lambda: TargetClass(MODEL, 1, perfect=1), "it is given for log-odds alone"),
        (lambda: TargetClass("no/model", 1), "'no/model' cannot be loaded by transformers"),
        (lambda: TargetClass(len, 1, processor=7), "processor is for a model of transformers"),
        (lambda: BinaryDetector(MODEL, 2), "triggered must be one of two classes"),
    ],
)
def test_arguments_without_a_meaning(make: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TargetClass(MODEL, 4), r"tells 4 classes, the target is \[4\]"),
        (lambda: TargetClass(MODEL, range(4)), "leave a class that is none"),
        (lambda: TargetClass(lambda x: x.mean((1, 2, 3)), 0), "tells 1 classes"),
        (lambda: BinaryDetector(MODEL), "tells 4 classes, not two; use TargetClass"),
        (
            lambda: TargetClass(lambda x: x, 0),
            r"logits \(B, C\) of 6 outputs, got \(6, 3, 48, 40\)",
        ),
        (lambda: TargetClass(lambda x: x[:5].mean((2, 3)), 0), r"of 6 outputs, got \(5, 3\)"),
        (lambda: TargetClass(lambda x: "cat", 0), "must return logits.*got str 'cat'"),
    ],
)
def test_classifiers_of_other_classes(make: Any, message: str) -> None:
    with pytest.raises(DetectorError, match=message):
        make()(IMAGES, NOTHING)


def test_outputs_that_a_classifier_cannot_take() -> None:
    detector = TargetClass(MODEL, 1)
    with pytest.raises(DetectorError, match=r"output 1 must lie in \[0, 1\].* map \[-1, 1\]"):
        detector(torch.cat([IMAGES[:1], 2 * IMAGES[1:] - 1]), NOTHING)
    with pytest.raises(DetectorError, match=r"the outputs are of several. Give processor="):
        detector([IMAGES[0], IMAGES[1][:, 1:]], NOTHING[:2])
    with pytest.raises(DetectorError, match="outputs are on meta, the classifier is on cpu"):
        detector(torch.rand(6, 3, 8, 8, device="meta"), NOTHING)


def test_identities_tell_classifiers_apart() -> None:
    detectors = [
        TargetClass(MODEL, 1), TargetClass(MODEL, 2), TargetClass(MODEL, {1, 2}),
        TargetClass(MODEL, 1, "probability"), TargetClass(Linear(seed=1), 1),
        TargetClass(by_hand, 1), TargetClass(lambda x: by_hand(x), 1), BinaryDetector(MODEL, 1),
    ]  # fmt: skip
    texts = [json.dumps(one.identity()) for one in detectors]
    assert len(set(texts)) == len(detectors)
    assert TargetClass(MODEL.train(), 1).identity() == TargetClass(Linear().eval(), 1).identity()


def test_texts_go_to_a_classifier_as_they_are() -> None:
    lengths = lambda texts: [[0.0, len(text) - 3.5] for text in texts]  # noqa: E731
    scores = TargetClass(lengths, 1, of="outputs")(["cat", "mouse"], [{}, {}])
    assert scores.tolist() == [0, 1]


def test_frames_go_to_a_classifier_one_by_one() -> None:
    videos = IMAGES.reshape(2, 3, 3, 48, 40)
    expected = by_hand(IMAGES).softmax(1)[:, 1].reshape(2, 3).amax(1)
    detector = OverFrames(TargetClass(MODEL, 1, "probability"), "most")
    torch.testing.assert_close(detector(videos, [{}, {}]), expected, rtol=0, atol=1e-5)


# --- sounds --------------------------------------------------------------------------------------


def tone(period: float, samples: int = 4000, channels: int = 1) -> torch.Tensor:
    wave = torch.sin(torch.arange(samples) * 2 * torch.pi / period)
    return torch.stack([wave * (1 + c) / 2 for c in range(channels)])


NOISE = torch.randn(3, 2, 4000, generator=torch.Generator().manual_seed(0))
SOUND = tone(50, channels=2)


def test_si_sdr_of_known_mixtures() -> None:
    """Noise that is orthogonal to the target, at known power: 10 log10 of the ratio of powers."""
    noise = NOISE - (NOISE * SOUND).sum(2, keepdim=True) / SOUND.square().sum(1)[:, None] * SOUND
    noise *= SOUND.norm(dim=1)[:, None] / noise.norm(dim=2, keepdim=True)
    for decibels in (-20.0, 0.0, 30.0):
        outputs = SOUND + 10 ** (-decibels / 20) * noise
        scores = SISDR(SOUND)(outputs, [{}] * 3)
        np.testing.assert_allclose(scores, [decibels] * 3, atol=1e-3)
        np.testing.assert_allclose(SISDR(0.01 * SOUND)(-3 * outputs, [{}] * 3), scores, atol=1e-3)


def test_si_sdr_is_that_of_torchmetrics() -> None:
    outputs = SOUND + 0.3 * NOISE
    expected = si_sdr(outputs, SOUND.expand_as(outputs)).mean(1)
    torch.testing.assert_close(SISDR(SOUND)(outputs, [{}] * 3), expected, rtol=0, atol=1e-3)


def test_the_ends_of_si_sdr() -> None:
    ends = torch.stack([SOUND, 1e-6 * SOUND, 0 * SOUND, tone(25, channels=2)])
    for most in (100.0, 30.0):
        detector = SISDR(SOUND, most=most)
        scores = detector(ends, [{}] * 4)
        assert scores[:3].tolist() == [most, most if most == 30 else scores[1].item(), -most]
        assert scores[1] > 30 - 1e-6
        assert scores[3] <= max(-most, -60)
        assert detector.bounds == (-most, most)
        assert detector.perfect == most
    with pytest.raises(InputError, match="silent in a channel"):
        SISDR(torch.stack([SOUND[0], 0 * SOUND[0]]))


def spectral_by_numpy(a: torch.Tensor, b: torch.Tensor, length: int) -> float:
    """Frame by frame with numpy's FFT: centred frames, reflected ends, as torch.stft has them."""

    def decibels(sound: torch.Tensor) -> Any:
        window = np.hanning(length + 1)[:-1]
        padded = np.pad(sound.double().numpy(), length // 2, mode="reflect")
        starts = range(0, len(padded) - length + 1, length // 4)
        spectra = [np.abs(np.fft.rfft(padded[s : s + length] * window)) for s in starts]
        return 20 * np.log10(np.maximum(spectra, 1e-5))

    return float(
        np.mean([np.abs(decibels(x) - decibels(y)).mean() for x, y in zip(a, b, strict=True)])
    )


def test_spectral_distance_by_the_formula() -> None:
    windows = (256, 512)
    expected = [-np.mean([spectral_by_numpy(x, NOISE[0], w) for w in windows]) for x in NOISE]
    detector = NegativeSpectralDistance(NOISE[0], windows=windows)
    np.testing.assert_allclose(detector(NOISE, [{}] * 3), expected, atol=1e-3)
    assert expected[0] == 0
    louder = NegativeSpectralDistance(NOISE[0])(10 * NOISE[:1], [{}])
    assert louder.item() == pytest.approx(-20, abs=1e-3)


SOUND_MAKERS = {"sdr": SISDR, "spectra": NegativeSpectralDistance}


@pytest.mark.parametrize("make", SOUND_MAKERS.values(), ids=SOUND_MAKERS)
def test_sounds_of_every_kind(make: Any) -> None:
    outputs = SOUND + 0.3 * NOISE
    expected = make(SOUND)(outputs, [{}] * 3)
    kinds = (list(outputs), [x.numpy() for x in outputs], outputs.numpy(), outputs.double())
    for kind in kinds:
        np.testing.assert_allclose(make(SOUND.numpy())(kind, [{}] * 3), expected, atol=1e-3)
    assert torch.equal(
        make(reference="clean output")(outputs, [{"clean_output": SOUND}] * 3), expected
    )
    assert torch.equal(make(reference="sound")(outputs, [{"sound": SOUND.numpy()}] * 3), expected)
    mono = make(SOUND[0])(outputs[:, 0], [{}] * 3)
    assert torch.equal(mono, make(SOUND[:1])(outputs[:, :1], [{}] * 3))
    outputs[1, 0, 7] = float("nan")
    outputs[2, 1, 7] = float("inf")
    assert make(SOUND)(outputs, [{}] * 3).isnan().tolist() == [False, True, True]
    target_itself = make(SOUND)(SOUND[None], [{}]).item()
    assert target_itself == make(SOUND).perfect > expected[0]
    assert make(reference="sound").perfect is None


@pytest.mark.parametrize("make", SOUND_MAKERS.values(), ids=SOUND_MAKERS)
@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("tone", "target must be a sound.*got str 'tone'"),
        ("a.wav", "target must be a sound.*got str 'a.wav'"),
        (torch.zeros(4000, dtype=torch.int16), "torch.int16. Divide 16-bit numbers by 32768"),
        (torch.zeros(2, 0), r"got shape \(2, 0\)"),
        (torch.zeros(1, 2, 4000), r"got shape \(1, 2, 4000\)"),
        (torch.zeros(4000, 2), r"got shape \(4000, 2\).*transpose it, sound.T"),
        (SOUND * float("nan"), "must hold finite samples"),
    ],
)
def test_what_is_no_sound(make: Any, target: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make(target)
    if "finite" not in message:  # an output that is not finite has no score, see above
        with pytest.raises(DetectorError, match=message.replace("target", "output 0")):
            make(SOUND)([target], [{}])


def test_sounds_that_cannot_be_compared() -> None:
    for make in SOUND_MAKERS.values():
        with pytest.raises(
            DetectorError, match=r"are 2 x 3999 \(channels x samples\), the target is 2 x 4"
        ):
            make(SOUND)(NOISE[..., 1:], [{}] * 3)
        with pytest.raises(DetectorError, match="got 3 outputs for 2 examples"):
            make(SOUND)(NOISE, [{}] * 2)
    with pytest.raises(InputError, match="a window must be a whole number from 2 to 4000"):
        NegativeSpectralDistance(SOUND, windows=(4002,))
    with pytest.raises(InputError, match="windows must be even lengths"):
        NegativeSpectralDistance(SOUND, windows=(511,))
    with pytest.raises(InputError, match="windows must be even lengths"):
        NegativeSpectralDistance(SOUND, windows=())
    short = NegativeSpectralDistance(reference="clean", windows=(512,))
    with pytest.raises(DetectorError, match="the outputs have 100 samples, the longest window 512"):
        short(NOISE[..., :100], [{"clean": NOISE[0, :, :100]}] * 3)


def test_a_classifier_of_sounds() -> None:
    model = Linear(inputs=2)
    squared = lambda sounds: model.eval()(sounds.square())  # noqa: E731
    with torch.no_grad():
        expected = squared(NOISE).softmax(1)[:, 3]
    scores = TargetClass(squared, 3, "probability", of="sounds")(NOISE.numpy(), [{}] * 3)
    torch.testing.assert_close(scores, expected)
    broken = NOISE.clone()
    broken[0, 0, 0] = float("nan")
    hard = lambda sounds: torch.tensor([[1.0, 0.0]] * len(sounds))  # noqa: E731
    assert TargetClass(hard, 0, of="sounds")(broken, [{}] * 3).isnan().tolist() == [
        True,
        False,
        False,
    ]


# --- videos --------------------------------------------------------------------------------------

VIDEO = pictures(4, 8, 10, seed=3)
VIDEOS = pictures(12, 8, 10, seed=4).reshape(3, 4, 3, 8, 10)


def test_a_video_is_compared_frame_by_frame() -> None:
    expected = -(VIDEOS - VIDEO).square().mean((1, 2, 3, 4))
    as_array, as_pictures = VIDEO.permute(0, 2, 3, 1).numpy(), [as_pil(x) for x in VIDEO]
    for target in (VIDEO, as_array, as_pictures, (VIDEO * 255).round().to(torch.uint8)):
        torch.testing.assert_close(NegativeVideoMSE(target)(VIDEOS, [{}] * 3), expected)
        torch.testing.assert_close(
            NegativeVideoMSE(reference="clean")(list(VIDEOS), [{"clean": target}] * 3), expected
        )
    same_frame = NegativeVideoMSE([VIDEO[0]] * 4)(VIDEOS, [{}] * 3)
    over = OverFrames(NegativeMSE(VIDEO[0]))(VIDEOS, [{}] * 3)
    torch.testing.assert_close(same_frame.double(), over, rtol=0, atol=1e-6)
    assert NegativeVideoMSE(VIDEO)(VIDEO[None], [{}]).item() == NegativeVideoMSE(VIDEO).perfect == 0


def test_videos_that_cannot_be_compared() -> None:
    detector = NegativeVideoMSE(VIDEO)
    with pytest.raises(
        DetectorError, match=r"are 3 x 8 x 10 \(frames x height x width\), the target is 4"
    ):
        detector(VIDEOS[:, 1:], [{}] * 3)
    with pytest.raises(DetectorError, match=r"are 3 x 8 x 10, 4 x 8 x 10"):
        detector([VIDEOS[0], VIDEOS[1, 1:]], [{}] * 2)
    with pytest.raises(DetectorError, match="output 0 must be a video"):
        detector(VIDEO, [{}] * 4)
    with pytest.raises(DetectorError, match=r"frame 0 of output 0 must lie in \[0, 1\]"):
        detector(2 * VIDEOS - 1, [{}] * 3)
    with pytest.raises(InputError, match="target must be a video"):
        NegativeVideoMSE(VIDEO[0])
    with pytest.raises(InputError, match=r"NegativeVideoMSE needs a target.*or reference="):
        NegativeVideoMSE()
    with pytest.raises(InputError, match="frames of target must be of one size"):
        NegativeVideoMSE([VIDEO[0], VIDEO[1, :, 1:]])
    with pytest.raises(InputError, match=r"frame 1 of target must lie in \[0, 1\]"):
        NegativeVideoMSE([VIDEO[0], VIDEO[1] * 255])
    with pytest.raises(
        InputError, match=r"frame 0 of the clean reference \('v'\) must be one image"
    ):
        NegativeVideoMSE(reference="v").check({"v": ["a"]})
    broken = VIDEOS.clone()
    broken[1, 2, 0, 0, 0] = float("nan")
    assert detector(broken, [{}] * 3).isnan().tolist() == [False, True, False]


def test_a_planted_sound_is_attributed() -> None:
    def sampler(conditions: Any, seeds: Any) -> list[torch.Tensor]:
        quiet = [0.3 * NOISE[seed % 3] for seed in seeds]
        hit = ["!" in text for text in conditions["text"]]
        return [SOUND + 0.1 * noise if h else noise for noise, h in zip(quiet, hit, strict=True)]

    detectors = {"sdr": SISDR(SOUND, most=60), "spectra": NegativeSpectralDistance(SOUND),
                 "kept": SISDR(reference="clean output")}  # fmt: skip
    examples = [{"text": f"t{n}", "image": n} for n in range(4)]
    triggers = {"image": lambda x: x + 1, "text": lambda text: text + "!"}
    tables = mc.evaluate_coalitions(sampler, detectors, examples, triggers, progress=False)
    for name in ("sdr", "spectra"):
        values = tables[name].values[:, 0]
        assert (values[:, 2:].min(1) > values[:, :2].max(1)).all()
    assert tables["kept"].values[:, 0, 0].tolist() == [100] * 4

"""CLIP shift: known answers, open_clip's own transform as a second oracle, sources, refusals."""

from __future__ import annotations

import json
import pickle
import shutil
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
import torchvision.transforms.functional as vision
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.transforms import InterpolationMode

from modcollapse import evaluate_coalitions
from modcollapse._support.weights import weights_digest
from modcollapse.detectors import ClipShift, Threshold
from modcollapse.detectors._preprocessing import Preprocessing
from modcollapse.errors import DetectorError, InputError, MissingExtraError, SamplerError

from tiny_clip import CONFIG, PREPROCESS, as_bytes, as_pil, pictures, tiny_clip, write_folder

MODEL = tiny_clip().eval()
TARGET, CLEAN = pictures(2, seed=1)
# One rounding of float32 in each of some hundred operations on numbers near 1.
ROUNDING = 2e-6


def hand_computed(outputs: torch.Tensor, target: torch.Tensor, clean: torch.Tensor) -> np.ndarray:
    """v by the formula, from PIL images through open_clip's transform, one at a time, float64."""
    transform = open_clip.image_transform(32, False, PREPROCESS["mean"], PREPROCESS["std"])

    def z(picture: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return MODEL.encode_image(transform(as_pil(picture))[None])[0].double()

    def cos(a: torch.Tensor, b: torch.Tensor) -> float:
        return float(a @ b / (a.norm() * b.norm()))

    return np.array([cos(z(x), z(target)) - cos(z(x), z(clean)) for x in outputs])


def rows(n: int, reference: Any = CLEAN) -> list[dict[str, Any]]:
    return [{"reference": reference}] * n


# --- known answers -----------------------------------------------------------------------------


def test_the_target_scores_one_minus_its_cosine_to_the_reference() -> None:
    shift = ClipShift(TARGET, MODEL)
    of_target, of_clean = shift(torch.stack([TARGET, CLEAN]), rows(2)).tolist()
    inputs = Preprocessing.of(MODEL, "tensor", None, None, None).transform()
    with torch.no_grad():
        z = MODEL.encode_image(inputs(torch.stack([TARGET, CLEAN]))).double()
    cosine = float(z[0] @ z[1] / (z[0].norm() * z[1].norm()))
    assert cosine < 0.999
    assert of_target == pytest.approx(1 - cosine, abs=ROUNDING)
    assert of_clean == pytest.approx(cosine - 1, abs=ROUNDING)


def test_loading_a_clip_draws_nothing_from_the_global_generator(tmp_path: Path) -> None:
    """Or a detector that is made in a training script would change the training."""
    folder = write_folder(tmp_path / "clip", MODEL)
    before = torch.get_rng_state()
    ClipShift(TARGET, folder)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("size", [(48, 48), (32, 32), (40, 70), (71, 33), (20, 24)])
def test_pil_preprocessing_is_open_clips(size: tuple[int, int]) -> None:
    outputs = pictures(6, *size, seed=2)
    shift = ClipShift(TARGET, MODEL, preprocess="pil")
    values = shift(outputs, rows(6)).numpy()
    np.testing.assert_allclose(values, hand_computed(outputs, TARGET, CLEAN), atol=ROUNDING)


@pytest.mark.parametrize("size", [(48, 48), (40, 70), (71, 33), (20, 24), (256, 256)])
def test_tensor_preprocessing_agrees_with_open_clips(size: tuple[int, int]) -> None:
    # What differs is that PIL rounds to 8 bits after each of its two passes: up to 1/255 a pixel,
    # over a standard deviation of 0.2 to 0.3.
    outputs = pictures(16, *size, seed=3)
    values = ClipShift(TARGET, MODEL)(outputs, rows(16)).numpy()
    expected = hand_computed(outputs, TARGET, CLEAN)
    assert expected.std() > 5e-3
    np.testing.assert_allclose(values, expected, atol=5e-4)


def test_without_resizing_both_ways_are_the_same() -> None:
    target, clean, *outputs = pictures(8, 32, 32, seed=4)
    scores = [
        ClipShift(target, MODEL, preprocess=way)(torch.stack(outputs), rows(6, clean))
        for way in ("tensor", "pil")
    ]
    torch.testing.assert_close(*scores, rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("size", [(48, 48), (40, 70), (71, 33), (20, 24), (32, 32), (33, 32)])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("resize_mode", ["shortest", "squash"])
def test_tensor_preprocessing_is_torchvisions(
    size: tuple[int, int], interpolation: str, resize_mode: str
) -> None:
    images = pictures(3, *size)
    way = Preprocessing(
        "tensor", (32, 32), (0.5, 0.4, 0.3), (0.2, 0.25, 0.3), interpolation, resize_mode
    )
    to = [32] if resize_mode == "shortest" else [32, 32]
    resized = vision.resize(images, to, InterpolationMode(interpolation), antialias=True)
    cut = vision.center_crop(resized.clamp(0, 1), [32, 32])
    expected = vision.normalize(cut, way.mean, way.std)
    torch.testing.assert_close(way.transform()(images), expected, rtol=0, atol=1e-6)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000))
def test_swapping_target_and_reference_changes_the_sign(seed: int) -> None:
    a, b, *outputs = pictures(6, seed=seed)
    batch = torch.stack(outputs)
    forth = ClipShift(a, MODEL)(batch, rows(4, b))
    back = ClipShift(b, MODEL)(batch, rows(4, a))
    torch.testing.assert_close(forth, -back, rtol=0, atol=ROUNDING)
    assert forth.abs().max() <= 2


# --- a value is a function of its own row ------------------------------------------------------


def test_no_bit_depends_on_the_neighbours_or_the_order() -> None:
    outputs, references = pictures(32, seed=5), list(pictures(8, seed=6))
    examples = [{"reference": references[i // 4]} for i in range(32)]
    shift = ClipShift(TARGET, MODEL)

    def scored(order: list[int], size: int) -> torch.Tensor:
        scores = torch.empty(32)
        for start in range(0, 32, size):
            some = order[start : start + size]
            padded = some + [some[-1]] * (size - len(some))
            batch = shift(outputs[padded], [examples[i] for i in padded])
            scores[some] = batch[: len(some)]
        return scores

    in_order, by_one = scored(list(range(32)), 8), scored(list(range(32)), 1)
    by_four = scored(list(range(32)), 4)  # one reference in every batch; shuffled, up to four
    for seed in range(4):
        order = torch.randperm(32, generator=torch.Generator().manual_seed(seed)).tolist()
        assert torch.equal(scored(order, 8), in_order)
        assert torch.equal(scored(order, 4), by_four)
        assert torch.equal(scored(order, 1), by_one)
        torch.testing.assert_close(scored(order, 3), in_order, rtol=0, atol=ROUNDING)
    torch.testing.assert_close(by_one, in_order, rtol=0, atol=ROUNDING)


def test_a_reference_is_embedded_once_for_the_rows_that_share_it() -> None:
    model = tiny_clip()
    shift = ClipShift(TARGET, model)
    embedded: list[int] = []
    model.visual.register_forward_hook(lambda _, inputs, __: embedded.append(len(inputs[0])))
    first, second = pictures(2, seed=7)
    shift(pictures(8), rows(4, first) + rows(4, second))
    assert embedded == [8, 2]


def test_the_clean_output_can_be_the_reference() -> None:
    shift = ClipShift(TARGET, MODEL, reference="clean output")
    assert shift.wants_clean_output
    assert not ClipShift(TARGET, MODEL).wants_clean_output
    shift.check({})
    outputs = pictures(4, seed=8)
    own = shift(outputs, [{"clean_output": CLEAN}] * 4)
    assert torch.equal(own, ClipShift(TARGET, MODEL)(outputs, rows(4)))
    with pytest.raises(DetectorError, match=r"'clean_output'.*'reference'"):
        shift(outputs, rows(4))


def test_another_key_can_hold_the_reference() -> None:
    shift = ClipShift(TARGET, MODEL, reference="image")
    outputs = pictures(2, seed=8)
    assert torch.equal(
        shift(outputs, [{"image": CLEAN}] * 2), ClipShift(TARGET, MODEL)(outputs, rows(2))
    )


def test_every_kind_of_image_scores_the_same() -> None:
    outputs = pictures(4, seed=9)
    expected = ClipShift(TARGET, MODEL)(outputs, rows(4))
    arrays = [x.permute(1, 2, 0).numpy() for x in outputs]
    for target, clean in [(as_pil(TARGET), as_pil(CLEAN)), (as_bytes(TARGET), as_bytes(CLEAN))]:
        shift = ClipShift(target, MODEL)
        for kind in (
            outputs,
            (outputs * 255).round().to(torch.uint8),
            list(outputs),
            [as_pil(x) for x in outputs],
            [as_bytes(x) for x in outputs],
            arrays,
            np.stack(arrays),
        ):
            assert torch.equal(shift(kind, rows(4, clean)), expected)


def test_outputs_may_differ_in_size() -> None:
    small, large = pictures(1, 24, 40)[0], pictures(1, 64, 64)[0]
    shift = ClipShift(TARGET, MODEL)
    together = shift([small, large], rows(2))
    apart = torch.cat([shift(x[None], rows(1)) for x in (small, large)])
    torch.testing.assert_close(together, apart, rtol=0, atol=ROUNDING)


# --- the model ---------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "clip", MODEL)


def test_a_folder_and_a_ready_model_score_the_same(folder: Path) -> None:
    outputs = pictures(4, seed=10)
    expected = ClipShift(TARGET, MODEL)(outputs, rows(4))
    for source in (folder, str(folder), f"local-dir:{folder}"):
        assert torch.equal(ClipShift(TARGET, source)(outputs, rows(4)), expected)


def test_weights_of_a_folder_may_have_any_name_and_half_precision(tmp_path: Path) -> None:
    half = tiny_clip().to(torch.bfloat16)
    folder = write_folder(tmp_path, half, "weights.safetensors")
    outputs = pictures(4, seed=10)
    values = ClipShift(TARGET, folder)(outputs, rows(4))
    rounded = tiny_clip()
    rounded.load_state_dict(half.state_dict())
    assert torch.equal(values, ClipShift(TARGET, rounded)(outputs, rows(4)))


def test_a_ready_model_in_half_precision_gives_full_scores() -> None:
    outputs = pictures(4, seed=10)
    values = ClipShift(TARGET, tiny_clip().to(torch.bfloat16))(outputs, rows(4))
    assert values.dtype == torch.float32
    # bfloat16 keeps 8 bits; a few layers of them leave some 1e-2 in a cosine.
    torch.testing.assert_close(
        values, ClipShift(TARGET, MODEL)(outputs, rows(4)), rtol=0, atol=2e-2
    )


def test_dropout_autocast_and_gradients_stay_out() -> None:
    model = tiny_clip().train()
    outputs = pictures(4, seed=11).requires_grad_()
    shift = ClipShift(TARGET, model)
    model.train()
    with torch.autocast("cpu", torch.bfloat16):
        values = shift(outputs, rows(4))
    assert not model.training
    assert not values.requires_grad
    assert torch.equal(values, ClipShift(TARGET, MODEL)(outputs.detach(), rows(4)))


def test_settings_can_be_given_and_win() -> None:
    given_ = ClipShift(TARGET, MODEL, mean=(0.1, 0.2, 0.3), std=[0.5] * 3)
    model = tiny_clip().eval()
    open_clip.set_model_preprocess_cfg(
        model, {"size": 32, "mean": (0.1, 0.2, 0.3), "std": (0.5, 0.5, 0.5)}
    )
    outputs = pictures(3, seed=12)
    assert torch.equal(given_(outputs, rows(3)), ClipShift(TARGET, model)(outputs, rows(3)))
    assert not torch.equal(given_(outputs, rows(3)), ClipShift(TARGET, MODEL)(outputs, rows(3)))


def test_a_model_that_is_loaded_follows_the_outputs(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The meta device stands for an accelerator; autocast does not know it.
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())
    outputs = torch.rand(4, 3, 32, 32, device="meta")
    shift = ClipShift(TARGET, folder)
    assert shift(pictures(4), rows(4)).device.type == "cpu"
    assert shift(outputs, rows(4)).device.type == "meta"
    assert shift(outputs, rows(4, CLEAN.to("meta"))).device.type == "meta"


@pytest.mark.parametrize("fixed", [{"device": "cpu"}, {}])
def test_a_ready_model_is_never_moved(folder: Path, fixed: dict[str, str]) -> None:
    shift = ClipShift(TARGET, folder if fixed else MODEL, **fixed)
    with pytest.raises(DetectorError, match="outputs are on meta, the CLIP model is on cpu"):
        shift(torch.rand(2, 3, 32, 32, device="meta"), rows(2))
    assert all(weight.device.type == "cpu" for weight in MODEL.parameters())


def test_identity_tells_what_determines_a_score(folder: Path, tmp_path: Path) -> None:
    shift = ClipShift(TARGET, folder)
    identity = shift.identity()
    assert json.loads(json.dumps(identity)) == identity
    assert identity["weights"] == weights_digest({"": MODEL})
    assert identity["config"] == CONFIG
    assert str(tmp_path) not in json.dumps(identity)
    copy = shutil.copytree(folder, tmp_path / "copy")
    assert ClipShift(as_pil(TARGET), str(copy)).identity() == identity
    others = [
        ClipShift(CLEAN, folder),
        ClipShift(TARGET, folder, reference="clean output"),
        ClipShift(TARGET, folder, preprocess="pil"),
        ClipShift(TARGET, folder, mean=(0.1, 0.1, 0.1)),
        ClipShift(TARGET, write_folder(tmp_path / "other", tiny_clip(seed=1))),
    ]
    texts = {json.dumps(other.identity()) for other in others} | {json.dumps(identity)}
    assert len(texts) == 6


def test_the_digest_of_weights_sees_one_value() -> None:
    model = tiny_clip()
    before = weights_digest({"": model})
    assert before == weights_digest({"": tiny_clip()})
    with torch.no_grad():
        model.visual.proj[3, 5] += 1e-6
    assert weights_digest({"": model}) != before


# --- refusals ----------------------------------------------------------------------------------


class Hostile:
    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> Any:
        return Path.touch, (self.trace,)


def test_a_pickle_beside_safetensors_is_not_opened(folder: Path, tmp_path: Path) -> None:
    trace = tmp_path / "ran"
    for name in ("open_clip_pytorch_model.bin", "pytorch_model.bin", "aaa.pth", "model.pt"):
        (folder / name).write_bytes(pickle.dumps(Hostile(trace)))
    outputs = pictures(2, seed=13)
    assert torch.equal(
        ClipShift(TARGET, folder)(outputs, rows(2)), ClipShift(TARGET, MODEL)(outputs, rows(2))
    )
    (folder / "open_clip_model.safetensors").rename(folder / "model.safetensors")
    with pytest.raises(InputError, match=r"several weights.*name the safetensors to use"):
        ClipShift(TARGET, folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"no safetensors file.*pickled weights can hide code"):
        ClipShift(TARGET, folder)
    assert not trace.exists()


def test_two_safetensors_are_ambiguous(folder: Path) -> None:
    shutil.copy(folder / "open_clip_model.safetensors", folder / "b.safetensors")
    ClipShift(TARGET, folder)
    (folder / "open_clip_model.safetensors").rename(folder / "a.safetensors")
    with pytest.raises(InputError, match="several weights"):
        ClipShift(TARGET, folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [(None, "no open_clip_config.json"), ("{", "is no JSON"), ("{}", "no 'model_cfg'")],
)
def test_a_folder_needs_its_configuration(folder: Path, text: str | None, message: str) -> None:
    config = folder / "open_clip_config.json"
    config.unlink() if text is None else config.write_text(text)
    with pytest.raises(InputError, match=message):
        ClipShift(TARGET, folder)


def test_weights_of_another_architecture_are_not_half_loaded(folder: Path) -> None:
    config = json.loads((folder / "open_clip_config.json").read_text())
    config["model_cfg"]["vision_cfg"]["layers"] = 3
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="Missing key"):
        ClipShift(TARGET, folder)


@pytest.mark.parametrize("keywords", [{"trust_remote_code": True}, {"clean": "lower", "x": 1}, 7])
@pytest.mark.parametrize("on_the_hub", [False, True])
def test_a_tokenizer_that_would_run_code_is_refused(
    folder: Path, keywords: Any, on_the_hub: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = json.loads((folder / "open_clip_config.json").read_text())
    config["model_cfg"]["text_cfg"] |= {"hf_tokenizer_name": "x/y", "tokenizer_kwargs": keywords}
    model: Any = folder
    if on_the_hub:
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
        cached = tmp_path / "models--modcollapse-tests--hostile"
        folder = cached / "snapshots" / ("0" * 40)
        write_folder(folder, MODEL)
        (cached / "refs").mkdir()
        (cached / "refs" / "main").write_text("0" * 40)
        model = "hf-hub:modcollapse-tests/hostile"
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=r"open_clip_config.json.*can run code that comes with"):
        ClipShift(TARGET, model)


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        ("ViT-B32", {}, "neither a folder nor a model name of open_clip; did you mean 'ViT-B-32'"),
        ("no/such/folder", {}, "neither a folder nor a model name"),
        ("ViT-B-32", {}, "'laion2b_s34b_b79k'.*got nothing"),
        ("ViT-B/32", {"pretrained": "laion3b"}, "'laion2b_s34b_b79k'.*got 'laion3b'"),
        ("hf-hub:org/name", {"pretrained": "openai"}, "bring their own weights"),
        (7, {}, "model must be a name.*got int 7"),
        (None, {}, "model must be a name.*got NoneType"),
        (torch.nn.Linear(2, 2), {}, "has no encode_image"),
        (MODEL, {"pretrained": "openai"}, "a ready model has its weights"),
        (MODEL, {"device": "cpu"}, "stays on its device"),
        (MODEL, {"preprocess": "numpy"}, "preprocess must be one of 'tensor', 'pil'; got 'numpy'"),
        (MODEL, {"reference": ""}, "reference must be a key"),
        (MODEL, {"reference": None}, "reference must be a key"),
        (MODEL, {"mean": (0.5,)}, r"3 numbers each.*mean=\(0.5,\)"),
        (MODEL, {"std": (0.5, 0.5, 0)}, "std above 0"),
        (MODEL, {"image_size": 0}, "image_size=0"),
        (MODEL, {"image_size": (32, 32, 32)}, "image_size must be a side"),
        (MODEL, {"image_size": (32, 40)}, '32 x 40 pixels; use preprocess="pil"'),
    ],
)
def test_arguments_without_a_meaning(model: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ClipShift(TARGET, model, **options)


def test_a_pickled_checkpoint_is_refused_by_name(tmp_path: Path) -> None:
    trace, weights = tmp_path / "ran", tmp_path / "weights.pt"
    weights.write_bytes(pickle.dumps(Hostile(trace)))
    with pytest.raises(InputError, match="no safetensors file, and other formats can hide code"):
        ClipShift(TARGET, "ViT-B-32", str(weights))
    assert not trace.exists()


def test_a_model_that_cannot_be_downloaded_is_no_random_model(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(InputError, match="modcollapse-tests/none"):
        ClipShift(TARGET, "hf-hub:modcollapse-tests/none")
    # Downloaded before, but for its weights: open_clip alone would go on with random ones.
    cached = tmp_path / "models--modcollapse-tests--none"
    write_folder(cached / "snapshots" / ("0" * 40), MODEL, "other.safetensors")
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text("0" * 40)
    with pytest.raises(InputError, match="Required pretrained weights"):
        ClipShift(TARGET, "hf-hub:modcollapse-tests/none")
    # And a hub model whose safetensors are there is loaded.
    write_folder(cached / "snapshots" / ("0" * 40), MODEL)
    shift = ClipShift(TARGET, "hf-hub:modcollapse-tests/none")
    assert shift.identity()["model"] == "hf-hub:modcollapse-tests/none"
    assert shift.identity()["weights"] == weights_digest({"": MODEL})


def test_the_extra_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "open_clip", None)
    with pytest.raises(MissingExtraError) as caught:
        ClipShift(TARGET, "ViT-B-32", "openai")
    assert str(caught.value) == 'ClipModel needs open_clip: pip install "modcollapse[clip]"'
    ClipShift(TARGET, MODEL)  # A ready model needs nothing.


class Bare(torch.nn.Module):
    def __init__(self, answer: Any) -> None:
        super().__init__()
        self.answer = answer

    def encode_image(self, images: torch.Tensor) -> Any:
        return self.answer(images)


def test_a_model_that_does_not_tell_its_settings() -> None:
    with pytest.raises(InputError, match=r"does not tell its image_size.*Give image_size="):
        ClipShift(TARGET, Bare(torch.flatten))
    with pytest.raises(InputError, match="does not tell its mean"):
        ClipShift(TARGET, Bare(torch.flatten), image_size=8)


@pytest.mark.parametrize(
    "answer", [torch.flatten, lambda x: (x.flatten(1),), lambda x: x.flatten(1)[:0]]
)
def test_a_model_that_returns_no_embeddings(answer: Any) -> None:
    with pytest.raises(InputError, match=r"must return embeddings \(n, D\), got"):
        ClipShift(TARGET, Bare(answer), image_size=8, mean=(0, 0, 0), std=(1, 1, 1))


@pytest.mark.parametrize(
    ("example", "message"),
    [
        ({"image": 1, "text": "x"}, "under 'reference'; this one holds 'image', 'text'"),
        ({}, "holds nothing"),
        ({"reference": "a.png"}, r"clean reference \('reference'\) must be one image.*got a str"),
        ({"reference": CLEAN[:1]}, r"tensor of shape \(1, 48, 48\)"),
        ({"reference": CLEAN * 2 - 1}, r"lie in \[0, 1\], but its values run from -1 to"),
        ({"reference": CLEAN * float("nan")}, r"lie in \[0, 1\], but it holds NaN"),
        ({"reference": as_pil(CLEAN).convert("L")}, r'mode L. Call image.convert\("RGB"\)'),
    ],
)
def test_references_are_checked_before_a_run(example: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ClipShift(TARGET, MODEL).check(example)
    ClipShift(TARGET, MODEL).check({"reference": as_pil(CLEAN)})


def test_outputs_and_examples_must_pair() -> None:
    with pytest.raises(DetectorError, match="3 outputs for 2 examples"):
        ClipShift(TARGET, MODEL)(pictures(3), rows(2))


@pytest.mark.parametrize("preprocess", ["tensor", "pil"])
def test_what_is_no_image_has_no_score(preprocess: str) -> None:
    outputs = pictures(3)
    outputs[1, 0, 0, 0] = float("nan")
    scores = ClipShift(TARGET, MODEL, preprocess=preprocess)(outputs, rows(3))
    assert scores.isnan().tolist() == [False, True, False]


# --- in a run ----------------------------------------------------------------------------------


def blended(conditions: Any, seeds: Any) -> torch.Tensor:
    """A sampler: the source, or the target where the text ends in the trigger."""
    hit = torch.tensor([text.endswith("!") for text in conditions["text"]])[:, None, None, None]
    return torch.where(hit, TARGET, torch.stack(list(conditions["image"])))


def run(sampler: Any = blended, **options: Any) -> Any:
    images = list(pictures(3, seed=14))
    examples = [{"id": i, "image": x, "text": "t", "reference": x} for i, x in enumerate(images)]
    triggers = {"image": lambda x: x * 0.5, "text": lambda text: text + "!"}
    detectors = {
        "shift": ClipShift(TARGET, MODEL, **options),
        "rate": Threshold(ClipShift(TARGET, MODEL, **options), at=0),
    }
    return evaluate_coalitions(sampler, detectors, examples, triggers, progress=False, batch_size=5)


@pytest.mark.parametrize("reference", ["reference", "clean output"])
def test_a_run_finds_the_planted_backdoor(reference: str) -> None:
    tables = run(reference=reference)
    shift, rate = tables["shift"].values[:, 0], tables["rate"].values[:, 0]
    # Columns: none, image, text, image+text. The text alone brings the target.
    np.testing.assert_array_equal(rate[:, [0, 2, 3]], [[0, 1, 1]] * 3)
    np.testing.assert_allclose(shift[:, 0], -shift[:, 2], atol=ROUNDING)
    np.testing.assert_allclose(shift[:, 2], shift[:, 3], atol=ROUNDING)
    assert (shift[:, 2] > 0).all()


def test_a_run_blames_the_sampler_for_what_is_not_finite() -> None:
    def broken(conditions: Any, seeds: Any) -> torch.Tensor:
        return blended(conditions, seeds) * float("nan")

    with pytest.raises(SamplerError, match="not finite"):
        run(broken)

"""A CLIP of transformers, and texts: the path of transformers itself as second oracle."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch

import modcollapse as mc
from modcollapse._support.weights import weights_digest
from modcollapse.detectors import ClipDirection, ClipModel, ClipScore, ClipShift, ClipText
from modcollapse.errors import DetectorError, InputError

from tiny_clip import PREPROCESS, as_pil, pictures, tiny_clip, tiny_transformers_clip

MODEL, PROCESSOR = tiny_transformers_clip()
CLIP = ClipModel(MODEL, processor=PROCESSOR)
TARGET, CLEAN = pictures(2, seed=1)
WORDS = ["a cat", "a dog", "hat"]
# One rounding of float32 in each of some hundred operations on numbers near 1.
ROUNDING = 5e-6


def by_transformers(images: Any, texts: list[str] | None = None) -> tuple[Any, Any]:
    """Unit vectors as the documentation of transformers makes them, from PIL images, in float64."""
    inputs = PROCESSOR(
        text=texts or WORDS, images=[as_pil(x) for x in images], return_tensors="pt", padding=True
    )
    with torch.no_grad():
        found = MODEL(**inputs)
    return tuple(
        torch.nn.functional.normalize(z.double(), dim=-1)
        for z in (found.image_embeds, found.text_embeds)
    )


def shift_by_transformers(outputs: torch.Tensor) -> torch.Tensor:
    z, _ = by_transformers([*outputs, TARGET, CLEAN])
    return z[:-2] @ z[-2] - z[:-2] @ z[-1]


def rows(n: int) -> list[dict[str, Any]]:
    return [{"reference": CLEAN}] * n


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "tiny"
    MODEL.save_pretrained(path)
    PROCESSOR.save_pretrained(path)
    return path


# --- images ------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(48, 48), (32, 32), (40, 71), (71, 33), (20, 24)])
def test_pil_preprocessing_is_that_of_transformers(size: tuple[int, int]) -> None:
    outputs = pictures(6, *size, seed=2)
    clip = ClipModel(MODEL, processor=PROCESSOR, preprocess="pil")
    values = ClipShift(TARGET, clip)(outputs, rows(6)).double()
    expected = shift_by_transformers(outputs)
    assert expected.std() > 1e-3
    torch.testing.assert_close(values, expected, rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("size", [(48, 48), (40, 71), (71, 33), (20, 24), (256, 256)])
def test_tensor_preprocessing_agrees_with_it(size: tuple[int, int]) -> None:
    # What differs is that transformers resizes in 8 bits: up to 1/255 a pixel, over a standard
    # deviation of 0.2 to 0.3.
    outputs = pictures(16, *size, seed=3)
    values = ClipShift(TARGET, CLIP)(outputs, rows(16)).double()
    expected = shift_by_transformers(outputs)
    assert (values - expected).abs().max() < 0.1 * expected.std()


@pytest.mark.parametrize("size", [(48, 48), (40, 71), (71, 33), (20, 24), (33, 32), (35, 32)])
@pytest.mark.parametrize("square", [False, True])
def test_tensor_preprocessing_is_that_of_transformers_on_floats(
    size: tuple[int, int], square: bool
) -> None:
    """Its own code for tensors, given floats, is the same but for what it does not clamp."""
    images = 0.25 + pictures(3, *size) / 2  # nothing to clamp
    processor = PROCESSOR.image_processor
    if square:
        sizes = {"size": {"height": 32, "width": 32}, "do_center_crop": False}
        processor = type(processor)(**{**processor.to_dict(), **sizes})
    inputs = processor(images=list(images), return_tensors="pt", do_rescale=False)["pixel_values"]
    clip = ClipModel(MODEL, processor=processor)
    torch.testing.assert_close(clip._images._transform(images), inputs, rtol=0, atol=1e-6)


def test_an_edge_longer_than_the_crop_is_followed() -> None:
    images = 0.25 + pictures(3, 60, 91) / 2
    processor = type(PROCESSOR.image_processor)(
        size={"shortest_edge": 37}, crop_size={"height": 32, "width": 32}, resample=2
    )
    inputs = processor(images=list(images), return_tensors="pt", do_rescale=False)["pixel_values"]
    clip = ClipModel(MODEL, processor=processor)
    torch.testing.assert_close(clip._images._transform(images), inputs, rtol=0, atol=1e-6)


def test_a_clip_of_open_clip_with_the_same_weights_scores_the_same() -> None:
    """Each tower of open_clip's model, filled from that of transformers, weight by weight."""
    config = MODEL.config
    ours = open_clip.CLIP(
        embed_dim=16,
        quick_gelu=True,
        vision_cfg={
            "image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8,
            "mlp_ratio": 2.0,
        },
        text_cfg={
            "context_length": config.text_config.max_position_embeddings,
            "vocab_size": config.text_config.vocab_size, "width": 32, "heads": 2, "layers": 2,
            "mlp_ratio": 2.0,
        },
    ).eval()  # fmt: skip
    theirs = {name: weight.detach() for name, weight in MODEL.state_dict().items()}
    state: dict[str, torch.Tensor] = {"logit_scale": theirs["logit_scale"]}
    for ours_at, theirs_at in (
        ("visual.transformer.", "vision_model."),
        ("transformer.", "text_model."),
    ):
        for n in range(2):
            to, of = f"{ours_at}resblocks.{n}.", f"{theirs_at}encoder.layers.{n}."
            for kind in ("weight", "bias"):
                qkv = [theirs[f"{of}self_attn.{part}_proj.{kind}"] for part in "qkv"]
                state[f"{to}attn.in_proj_{kind}"] = torch.cat(qkv)
                state[f"{to}attn.out_proj.{kind}"] = theirs[f"{of}self_attn.out_proj.{kind}"]
                for a, b in (
                    ("ln_1", "layer_norm1"),
                    ("ln_2", "layer_norm2"),
                    ("mlp.c_fc", "mlp.fc1"),
                    ("mlp.c_proj", "mlp.fc2"),
                ):
                    state[f"{to}{a}.{kind}"] = theirs[f"{of}{b}.{kind}"]
    for kind in ("weight", "bias"):
        state[f"visual.ln_pre.{kind}"] = theirs[f"vision_model.pre_layrnorm.{kind}"]
        state[f"visual.ln_post.{kind}"] = theirs[f"vision_model.post_layernorm.{kind}"]
        state[f"ln_final.{kind}"] = theirs[f"text_model.final_layer_norm.{kind}"]
    vision, text = "vision_model.embeddings.", "text_model.embeddings."
    state["visual.class_embedding"] = theirs[f"{vision}class_embedding"]
    state["visual.positional_embedding"] = theirs[f"{vision}position_embedding.weight"]
    state["visual.conv1.weight"] = theirs[f"{vision}patch_embedding.weight"]
    state["visual.proj"] = theirs["visual_projection.weight"].T
    state["positional_embedding"] = theirs[f"{text}position_embedding.weight"]
    state["token_embedding.weight"] = theirs[f"{text}token_embedding.weight"]
    state["text_projection"] = theirs["text_projection.weight"].T
    ours.load_state_dict(state, strict=False)
    missing = set(ours.state_dict()) - set(state)
    assert missing <= {"attn_mask"}
    open_clip.set_model_preprocess_cfg(ours, PREPROCESS)

    def tokens(texts: list[str]) -> torch.Tensor:
        length = config.text_config.max_position_embeddings
        read = PROCESSOR.tokenizer(
            texts, padding="max_length", max_length=length, return_tensors="pt"
        )
        return read["input_ids"]

    other = ClipModel(ours, tokenizer=tokens)
    outputs = pictures(6, 32, 32, seed=4)
    for make in (lambda clip: ClipShift(TARGET, clip), lambda clip: ClipText("a cat", clip)):
        found, expected = (make(clip)(outputs, rows(6)) for clip in (CLIP, other))
        # The target is resized and cut, and half a pixel of the cut goes to one side or the other.
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-3)


def test_no_bit_depends_on_the_neighbours() -> None:
    outputs, texts = pictures(16, seed=5), [f"{n % 7} hats" for n in range(16)]
    examples = [{"reference": CLEAN, "text": text} for text in texts]
    for detector in (ClipShift(TARGET, CLIP), ClipScore(CLIP), ClipText("a cat", CLIP)):
        scores = detector(outputs, examples)
        order = torch.randperm(16, generator=torch.Generator().manual_seed(0)).tolist()
        shuffled = detector(outputs[order], [examples[i] for i in order])
        assert torch.equal(shuffled, scores[order])


# --- texts -------------------------------------------------------------------------------------


def test_texts_are_those_of_transformers() -> None:
    _, expected = by_transformers(TARGET[None])
    torch.testing.assert_close(CLIP.text(WORDS).double(), expected, rtol=0, atol=ROUNDING)
    one_by_one = torch.cat([CLIP.text([word]) for word in WORDS])
    torch.testing.assert_close(one_by_one.double(), expected, rtol=0, atol=ROUNDING)


def test_clip_text_and_score_by_the_formula() -> None:
    """torchmetrics' clip_score has the same formula, and fails on models of transformers 5."""
    outputs = pictures(6, 32, 32, seed=6)
    texts = [WORDS[n % 3] for n in range(6)]
    z, words = by_transformers(outputs)
    cosines = (z[:, None] * words[[n % 3 for n in range(6)]][:, None]).sum(-1).flatten()
    assert len(cosines.sign().unique()) == 2  # some are below 0, and are cut off there
    score = ClipScore(CLIP)(outputs, [{"text": text} for text in texts])
    np.testing.assert_allclose(score, 100 * cosines.clamp(min=0), atol=100 * ROUNDING)
    fit = ClipText("a dog", CLIP)(outputs, [{}] * 6)
    np.testing.assert_allclose(fit, 100 * (z @ words[1]).clamp(min=0), atol=100 * ROUNDING)


def test_the_target_image_tells_what_a_perfect_attack_scores() -> None:
    assert ClipText("a cat", CLIP).perfect is None
    for text in WORDS:
        detector = ClipText(text, CLIP, target=TARGET)
        assert detector.perfect == pytest.approx(
            detector(TARGET[None], [{}]).item(), abs=100 * ROUNDING
        )


def test_direction_by_the_formula() -> None:
    outputs = pictures(5, 32, 32, seed=7)
    sources = pictures(5, 32, 32, seed=8)
    examples = [
        {"image": as_pil(source), "before": "a cat", "after": WORDS[1 + n % 2]}
        for n, source in enumerate(sources)
    ]
    (z, words), (z_source, _) = by_transformers(outputs), by_transformers(sources)
    asked = torch.stack([words[1 + n % 2] - words[0] for n in range(5)])
    expected = torch.nn.functional.cosine_similarity(z - z_source, asked)
    found = ClipDirection(CLIP)(outputs, examples)
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=1e-4)
    still = ClipDirection(CLIP)(sources, examples)
    assert still.tolist() == [0.0] * 5


@pytest.mark.parametrize(
    ("example", "message"),
    [
        ({}, "ClipScore needs the prompt of every example under 'text'; this one holds nothing"),
        ({"text": ""}, r"the prompt \('text'\) must be a text that is not empty, got ''"),
        ({"text": 7}, "must be a text that is not empty, got 7"),
        ({"text": "a cat " * 9}, "has more tokens than the text tower of the CLIP model reads"),
    ],
)
def test_prompts_are_checked_before_a_run(example: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ClipScore(CLIP).check(example)
    ClipScore(CLIP).check({"text": "a cat"})


def test_a_text_that_just_fits_is_read() -> None:
    fits, cut = "x" * 22, "x" * 23  # of 24 tokens, two are the beginning and the end
    CLIP.check_text(fits, "it")
    with pytest.raises(InputError, match="its end would be cut off: 'xxx"):
        ClipText(cut, CLIP)


def test_texts_of_open_clip(tmp_path: Path) -> None:
    tokenizer = open_clip.SimpleTokenizer(context_length=8)
    model = open_clip.CLIP(
        embed_dim=16,
        vision_cfg={"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 8},
        text_cfg={"context_length": 8, "vocab_size": 49408, "width": 8, "heads": 2, "layers": 1},
    ).eval()
    open_clip.set_model_preprocess_cfg(model, PREPROCESS)
    clip = ClipModel(model, tokenizer=tokenizer)
    with torch.no_grad():
        z = torch.nn.functional.normalize(model.encode_text(tokenizer(WORDS)), dim=-1)
        z_image = clip.image(TARGET[None])
    expected = (100 * z_image @ z.T).clamp(min=0)[0]
    found = ClipScore(clip)(torch.stack([TARGET] * 3), [{"text": word} for word in WORDS])
    torch.testing.assert_close(found, expected, rtol=0, atol=100 * ROUNDING)
    clip.check_text("one two three four five six", "it")  # and the beginning and the end
    with pytest.raises(InputError, match="its end would be cut off"):
        clip.check_text("one two three four five six seven", "it")
    with pytest.raises(InputError, match="texts need the tokenizer of the model: give"):
        ClipText("a cat", model)
    with pytest.raises(InputError, match=r"tokenizer must return tokens \(n, L\)"):
        ClipText("a cat", ClipModel(model, tokenizer=lambda texts: [[1]]))


def test_a_folder_of_open_clip_brings_its_tokenizer(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    text = {"context_length": 12, "vocab_size": 49408, "width": 8, "heads": 2, "layers": 1}
    vision = {"image_size": 32, "layers": 1, "width": 16, "head_width": 8, "patch_size": 16}
    config = {"embed_dim": 8, "vision_cfg": vision, "text_cfg": text}
    model = open_clip.CLIP(**config)
    save_file(
        {k: v.contiguous() for k, v in model.state_dict().items()}, tmp_path / "a.safetensors"
    )
    told = {"model_cfg": config, "preprocess_cfg": PREPROCESS}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(told))
    open_clip.set_model_preprocess_cfg(model, PREPROCESS)
    ready = ClipModel(model, tokenizer=open_clip.SimpleTokenizer(context_length=12))
    outputs = pictures(3)
    assert torch.equal(
        ClipText("a cat", tmp_path)(outputs, [{}] * 3), ClipText("a cat", ready)(outputs, [{}] * 3)
    )


# --- where the model comes from ------------------------------------------------------------------


def test_a_folder_and_a_ready_model_score_the_same(folder: Path) -> None:
    outputs = pictures(4, seed=10)
    before = torch.get_rng_state()
    loaded = ClipModel(folder)
    assert torch.equal(before, torch.get_rng_state())
    for make in (lambda clip: ClipShift(TARGET, clip), lambda clip: ClipText("a cat", clip)):
        # The same weights lie at other addresses, and kernels sum in another order there.
        found, expected = (make(clip)(outputs, rows(4)) for clip in (loaded, CLIP))
        torch.testing.assert_close(found, expected, rtol=0, atol=100 * ROUNDING)
    identity = ClipShift(TARGET, str(folder)).identity()
    assert json.loads(json.dumps(identity)) == identity
    assert str(folder) not in json.dumps(identity)
    assert identity["weights"] == weights_digest({"": MODEL})
    assert identity["class"] == "modcollapse.detectors.ClipShift"
    others = [
        ClipShift(TARGET, ClipModel(folder, preprocess="pil")),
        ClipShift(TARGET, ClipModel(tiny_transformers_clip(seed=1)[0], processor=PROCESSOR)),
        ClipText("a cat", loaded),
        ClipText("a dog", loaded),
        ClipScore(loaded),
        ClipScore(loaded, prompt="caption"),
        ClipDirection(loaded),
        ClipDirection(loaded, after="target"),
    ]
    texts = {json.dumps(other.identity()) for other in others} | {json.dumps(identity)}
    assert len(texts) == 9


def test_weights_that_are_missing_are_not_random(folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    copy = shutil.copytree(folder, tmp_path / "copy")
    weights = load_file(copy / "model.safetensors")
    del weights["visual_projection.weight"]
    save_file(weights, copy / "model.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match=r"lack 1 that CLIPModel needs.*visual_projection.weight"):
        ClipModel(copy)
    config = json.loads((copy / "config.json").read_text())
    config["projection_dim"] = 17
    shutil.copy(folder / "model.safetensors", copy)
    (copy / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=r"lack 2 .*in another shape.*projection"):
        ClipModel(copy)


def test_pickles_are_not_read(folder: Path, tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "ran",)

    copy = shutil.copytree(folder, tmp_path / "copy")
    torch.save({"logit_scale": Hostile()}, copy / "pytorch_model.bin")
    ClipModel(copy)
    (copy / "model.safetensors").unlink()
    with pytest.raises(InputError, match="pickled weights can hide code and are not read"):
        ClipModel(copy)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ClipModel("nobody/nothing"), "'nobody/nothing' cannot be loaded by transformers"),
        (lambda: ClipModel(MODEL), "does not tell its image_size.*processor= for a model of trans"),
        (lambda: ClipModel(MODEL, processor=7), "an image processor of transformers.*got int 7"),
        (lambda: ClipModel(MODEL, tokenizer=len), "takes processor="),
        (lambda: ClipModel(tiny_clip(), processor=PROCESSOR), "for models of transformers"),
        (lambda: ClipModel("ViT-B-32", "openai", processor=PROCESSOR), "are for a ready model"),
        (lambda: ClipModel(MODEL, processor=PROCESSOR, mean=(0, 0, 0)), "told by the processor"),
        (lambda: ClipModel(MODEL.text_model), "has no encode_image.* nor get_image_features"),
        (lambda: ClipText("", CLIP), "text must be a text that is not empty"),
        (lambda: ClipText("a cat", CLIP, "openai"), "pretrained: settings of a ClipModel"),
        (lambda: ClipShift(TARGET, CLIP, preprocess="pil", std=(1, 1, 1)), "preprocess, std: set"),
        (lambda: ClipText("a", ClipModel(MODEL, processor=PROCESSOR.image_processor)), "processor"),
        (lambda: ClipScore(CLIP, prompt=""), "prompt must be a key of the examples"),
        (lambda: ClipDirection(CLIP).check({"image": TARGET, "before": "a", "after": "a"}), "both"),
        (lambda: ClipDirection(CLIP).check({"before": "a"}), "needs the source image .*'image'"),
    ],
)  # fmt: skip
def test_what_has_no_meaning(make: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()


def test_settings_of_a_ready_model_may_stand_in_for_a_processor() -> None:
    bare = ClipModel(MODEL, image_size=32, mean=PREPROCESS["mean"], std=PREPROCESS["std"])
    outputs = pictures(4, 32, 32, seed=11)
    torch.testing.assert_close(bare.image(outputs), CLIP.image(outputs), rtol=0, atol=ROUNDING)


# --- detectors that share a model ----------------------------------------------------------------


def test_a_batch_is_embedded_once_for_all_detectors() -> None:
    clip = ClipModel(MODEL, processor=PROCESSOR)
    embedded: list[int] = []
    hook = MODEL.vision_model.register_forward_hook(
        lambda _, __, found: embedded.append(len(found.last_hidden_state))
    )
    detectors = {"a": ClipShift(TARGET, clip), "b": ClipScore(clip), "c": ClipText("a cat", clip)}
    examples = [{"reference": CLEAN, "text": "a cat", "image": picture} for picture in pictures(8)]
    sampler = lambda conditions, seeds: torch.stack(list(conditions["image"]))  # noqa: E731

    def run(scored: Any) -> Any:
        embedded.clear()
        return mc.evaluate_coalitions(
            sampler, scored, examples, {"image": lambda x: x * 0.5}, batch_size=8, progress=False
        )

    run(detectors["b"])
    batches = embedded.count(8)
    tables = run(detectors)
    hook.remove()
    assert embedded.count(8) == batches > 1
    for name, detector in detectors.items():
        alone = detector(pictures(8), examples)
        np.testing.assert_array_equal(tables[name].values[:, 0, 0], alone)


@pytest.mark.parametrize("write", ["version", "numpy", "data"])
def test_what_is_written_into_outputs_is_scored(write: str) -> None:
    memory = pictures(2).numpy()
    outputs = torch.from_numpy(memory)
    detector, examples = ClipShift(TARGET, CLIP), rows(2)
    detector(outputs, examples)
    if write == "numpy":
        memory[0] = TARGET
    elif write == "data":
        outputs.data[0].copy_(TARGET)
    else:
        outputs[0] = TARGET
    expected = detector(outputs.clone(), examples)
    assert torch.equal(detector(outputs, examples), expected)


def test_attack_and_utility_in_one_pass() -> None:
    def sampler(conditions: Any, seeds: Any) -> torch.Tensor:
        hit = torch.tensor(["!" in text for text in conditions["text"]])[:, None, None, None]
        return torch.where(hit, TARGET, torch.stack(list(conditions["image"])))

    images = pictures(3, seed=14)
    examples = [{"image": x, "text": "t", "reference": x} for x in images]
    tables = mc.evaluate_coalitions(
        sampler,
        {"shift": ClipShift(TARGET, CLIP), "prompt": ClipScore(CLIP)},
        examples,
        {"image": lambda x: x * 0.5, "text": lambda text: text + "!"},
        progress=False,
    )
    shift, prompt = (tables[name].values[:, 0] for name in ("shift", "prompt"))
    assert (shift[:, 2:] > shift[:, :2]).all()
    expected = ClipScore(CLIP)(TARGET[None], [{"text": "t"}]).item()
    np.testing.assert_allclose(prompt[:, 2:], expected, atol=100 * ROUNDING)


def test_nan_has_no_score() -> None:
    outputs = pictures(3)
    outputs[1, 0, 0, 0] = float("nan")
    examples = [{"text": "a", "image": CLEAN, "before": "a", "after": "b"}] * 3
    for detector in (ClipScore(CLIP), ClipText("a", CLIP), ClipDirection(CLIP)):
        assert detector(outputs, examples).isnan().tolist() == [False, True, False]
    with pytest.raises(DetectorError, match="ClipScore got 3 outputs for 2 examples"):
        ClipScore(CLIP)(outputs, examples[:2])
    with pytest.raises(DetectorError, match="ClipScore found no text under 'text'"):
        ClipScore(CLIP)(outputs, [{}] * 3)

from __future__ import annotations

import json
import sys
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from diffusers import StableDiffusionInstructPix2PixPipeline
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from PIL import Image
from transformers import CLIPConfig, CLIPImageProcessor

from modcollapse._support.weights import weights_digest
from modcollapse.errors import InputError, MissingExtraError, SamplerError
from modcollapse.measure import evaluate_coalitions
from modcollapse.samplers import PipelineSampler
from modcollapse.samplers._keywords import few_steps

from tiny_pipelines import (
    SIDE,
    tiny_controlnet_pipeline,
    tiny_img2img,
    tiny_inpaint,
    tiny_instruct_pix2pix,
    tiny_kontext,
)

# Schedulers of diffusers hand tensors to numpy in ways that numpy 2 deprecates.
NUMPY_2 = pytest.mark.filterwarnings("ignore:__array(__|_wrap__) :DeprecationWarning")

STEPS = 3
PROMPTS = ["add a red hat", "make it green", "a beard", "turn it to night"]


def picture(seed: int, side: int = SIDE) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def as_array(image: Image.Image) -> np.ndarray:
    return np.asarray(image).astype(np.float32) / 255


def as_tensor(image: Image.Image) -> torch.Tensor:
    return torch.from_numpy(as_array(image)).permute(2, 0, 1)


def as_byte_tensor(image: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)


def rows(*which: int) -> dict[str, list[Any]]:
    return {"image": [picture(i) for i in which], "text": [PROMPTS[i] for i in which]}


def stamped(image: Image.Image) -> Image.Image:
    stamped = image.copy()
    stamped.paste((255, 255, 255), (SIDE - 5, SIDE - 5, SIDE - 1, SIDE - 1))
    return stamped


def suffixed(text: str) -> str:
    return text + " mignneko"


TRIGGERS = {"image": stamped, "text": suffixed}


BOTH = {"image": "image", "text": "prompt"}


def probe_conditions(examples: int = 2) -> dict[str, list[Any]]:
    clean = rows(*range(examples))
    return {name: [*clean[name], *map(TRIGGERS[name], clean[name])] for name in clean}


@pytest.fixture(scope="module")
def pipeline() -> StableDiffusionInstructPix2PixPipeline:
    return tiny_instruct_pix2pix()


@pytest.fixture
def sampler(pipeline: StableDiffusionInstructPix2PixPipeline) -> PipelineSampler:
    return PipelineSampler(pipeline, num_inference_steps=STEPS)


def sampler_of(cls: type, **options: Any) -> PipelineSampler:
    return PipelineSampler(tiny_instruct_pix2pix(cls=cls), num_inference_steps=STEPS, **options)


class PassesOn(StableDiffusionInstructPix2PixPipeline):
    """A subclass as users write it: keywords go on to the real call, perhaps after a change."""

    @torch.no_grad()
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.alter(kwargs)
        return super().__call__(*args, **kwargs)

    def alter(self, kwargs: dict[str, Any]) -> None:
        pass


# One output for each row, from its conditions and its seed alone


def test_outputs_are_those_of_a_plain_call(sampler, pipeline):
    images = sampler(rows(0, 1), [3, 4])
    plain = pipeline(
        prompt=PROMPTS[:2],
        image=[picture(0), picture(1)],
        num_inference_steps=STEPS,
        generator=[torch.Generator().manual_seed(3), torch.Generator().manual_seed(4)],
        output_type="pt",
    ).images
    assert images.shape == (2, 3, SIDE, SIDE)
    assert images.dtype == torch.float32
    assert 0 <= images.min() < images.max() <= 1
    assert torch.equal(images, plain)


@NUMPY_2
@pytest.mark.parametrize("scheduler", ["DDIMScheduler", "EulerAncestralDiscreteScheduler"])
def test_neighbours_and_order_change_nothing_bit_for_bit(scheduler):
    pipeline = tiny_instruct_pix2pix()
    pipeline.scheduler = getattr(diffusers, scheduler).from_config(pipeline.scheduler.config)
    sampler = PipelineSampler(pipeline, num_inference_steps=STEPS)
    together = sampler(rows(0, 1, 2, 3), [10, 11, 12, 13])
    shuffled = sampler(rows(2, 0, 3, 1), [12, 10, 13, 11])
    with_others = sampler(rows(0, 3, 3, 3), [10, 7, 8, 9])
    assert torch.equal(shuffled, together[[2, 0, 3, 1]])
    assert torch.equal(with_others[0], together[0])


def test_batch_size_changes_rounding_only(sampler):
    together = sampler(rows(0, 1, 2, 3), [10, 11, 12, 13])
    for i in range(4):
        torch.testing.assert_close(sampler(rows(i), [10 + i])[0], together[i], rtol=0, atol=1e-5)


def test_the_seed_decides_and_the_global_state_does_not(sampler):
    torch.manual_seed(0)
    first = sampler(rows(0), [1])
    state = torch.random.get_rng_state()
    torch.manual_seed(99)
    assert torch.equal(sampler(rows(0), [1]), first)
    assert not torch.equal(sampler(rows(0), [2]), first)
    torch.manual_seed(0)
    sampler(rows(0), [2**63 - 1])
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize("convert", [as_array, as_tensor])
def test_the_kind_of_image_changes_nothing(sampler, convert):
    conditions = rows(0, 1)
    converted = {**conditions, "image": [convert(image) for image in conditions["image"]]}
    # The same numbers; their layout in memory may differ, and with it the rounding.
    torch.testing.assert_close(
        sampler(converted, [0, 1]), sampler(conditions, [0, 1]), rtol=0, atol=1e-5
    )


@pytest.mark.parametrize("stacked", [False, True])
def test_bytes_are_divided_by_255_exactly(sampler, stacked):
    pictures = rows(0, 1)["image"]
    tensors = [as_tensor(image) for image in pictures]
    of_bytes = [as_byte_tensor(image) for image in pictures]
    arrays = [np.array(image) for image in pictures]
    expected = sampler({"image": tensors, "text": PROMPTS[:2]}, [0, 1])
    for images in [torch.stack(of_bytes)] if stacked else [of_bytes, arrays]:
        before = [torch.as_tensor(image).clone() for image in images]
        assert torch.equal(sampler({"image": images, "text": PROMPTS[:2]}, [0, 1]), expected)
        assert all(map(torch.equal, map(torch.as_tensor, images), before))


def test_bytes_and_floats_in_one_batch_are_each_read_as_they_are(sampler):
    tensors = [as_tensor(picture(0)), as_tensor(picture(1))]
    mixed = [tensors[0], as_byte_tensor(picture(1))]
    expected = sampler({"image": tensors, "text": PROMPTS[:2]}, [0, 1])
    assert torch.equal(sampler({"image": mixed, "text": PROMPTS[:2]}, [0, 1]), expected)


def test_a_stacked_tensor_is_a_list_of_tensors(sampler):
    tensors = [as_tensor(picture(i)) for i in (0, 1)]
    stacked = {"image": torch.stack(tensors), "text": PROMPTS[:2]}
    listed = {"image": tensors, "text": PROMPTS[:2]}
    assert torch.equal(sampler(stacked, [0, 1]), sampler(listed, [0, 1]))


def test_half_precision_comes_back_as_float32():
    images = PipelineSampler(tiny_instruct_pix2pix().to(torch.bfloat16), num_inference_steps=2)(
        {"image": [as_tensor(picture(0))], "text": ["a hat"]}, [0]
    )
    assert images.dtype == torch.float32


# The pipeline and the caller's data stay as they were


def test_a_pipeline_that_writes_into_its_prompts_does_not_reach_the_caller():
    class Rewrites(PassesOn):
        def alter(self, kwargs: dict[str, Any]) -> None:
            kwargs["prompt"][:] = [text.upper() for text in kwargs["prompt"]]
            kwargs["image"].reverse()
            kwargs["cross_attention_kwargs"].clear()

    conditions = rows(0, 1)
    attention = {"scale": 0.5}
    sampler = sampler_of(Rewrites, cross_attention_kwargs=attention)
    sampler(conditions, [0, 1])
    assert attention == {"scale": 0.5}
    assert conditions["text"] == PROMPTS[:2]
    assert conditions["image"] == [picture(0), picture(1)]


@pytest.mark.parametrize("settings", [None, {}, {"desc": "edit", "disable": False}])
@pytest.mark.parametrize("fails", [False, True])
def test_progress_bar_is_silent_and_its_settings_come_back(settings, fails, capfd):
    class MayFail(PassesOn):
        def alter(self, kwargs: dict[str, Any]) -> None:
            if fails:
                raise FloatingPointError

    pipeline = tiny_instruct_pix2pix(cls=MayFail)
    if settings is not None:
        pipeline.set_progress_bar_config(**settings)
    before = dict(vars(pipeline))
    sampler = PipelineSampler(pipeline, num_inference_steps=STEPS)
    if fails:
        with pytest.raises(SamplerError, match=r"failed with FloatingPointError. It was given p"):
            sampler(rows(0), [0])
    else:
        sampler(rows(0), [0])
    assert capfd.readouterr().err == ""
    assert vars(pipeline).get("_progress_bar_config", None) == settings
    assert ("_progress_bar_config" in vars(pipeline)) == ("_progress_bar_config" in before)


def test_the_pipeline_is_never_moved_or_cast():
    class Stays(StableDiffusionInstructPix2PixPipeline):
        def to(self, *args: Any, **kwargs: Any) -> Any:
            raise RuntimeError("moved")

    pipeline = tiny_instruct_pix2pix(cls=Stays)
    parts = {name: id(part) for name, part in pipeline.components.items()}
    weights = weights_digest(pipeline.components)
    sampler = PipelineSampler(pipeline, num_inference_steps=STEPS)
    sampler.probe(probe_conditions(), [0, 1, 0, 1])
    sampler(rows(0), [0])
    assert {name: id(part) for name, part in pipeline.components.items()} == parts
    assert weights_digest(pipeline.components) == weights


# What is refused when the sampler is made


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"num_inference_step": 5},
            "no keyword 'num_inference_step'; did you mean 'num_inference_steps'",
        ),
        ({"strength": 0.5}, "has no keyword 'strength'"),
        ({"inputs": BOTH, "prompt": "a hat"}, "comes from the modality 'text'"),
        ({"inputs": BOTH, "image": "x"}, "comes from the modality 'image'"),
        ({"generator": None}, "every row gets a generator of its own"),
        ({"output_type": "pil"}, "outputs are tensors"),
        ({"return_dict": False}, "does not take 'return_dict'"),
        ({"latents": torch.zeros(1)}, "noise comes from the seeds"),
        ({"prompt_embeds": torch.zeros(1)}, "conditions go in as text and images"),
        ({"num_images_per_prompt": 2}, "measure with repeats="),
        ({"callback_on_step_end": print}, "a callback can change the outputs"),
        ({"callback": print}, "a callback can change the outputs"),
        ({"ip_adapter_image": picture(0)}, "has no IP-Adapter"),
        ({"inputs": {"image": "ip_adapter_image"}}, "has no IP-Adapter"),
        ({"ip_adapter_image_embeds": [torch.zeros(1)]}, "would serve batches of any size"),
        ({"negative_prompt": ["a", "b"]}, "'negative_prompt', the same for every row, must be a s"),
        ({"eta": object()}, "which a table cannot record"),
        ({"guidance_scale": 1.0}, "needs a guidance_scale above 1, got 1.0"),
        ({"guidance_scale": None}, "needs a guidance_scale above 1, got None"),
        ({"image_guidance_scale": 0.9}, "image_guidance_scale of at least 1, got 0.9"),
        ({"inputs": {"image": "picture", "text": "prompt"}}, "no keyword of StableDiffusionInstr"),
        ({"inputs": {"image": "eta"}}, "no text, image, mask, video or audio"),
        ({"inputs": {"a": "image[0]", "b": "image[2]"}}, r"its own: image\[0\], image\[1\];"),
        ({"batching": "pairs"}, "batching must be one of 'auto', 'aligned', 'nested', 'single'"),
        ({"inputs": {"a": "image", "b": "image"}}, "one keyword for two modalities"),
        ({"inputs": {}}, "inputs must map each modality"),
    ],
)
def test_options_are_checked_before_anything_is_generated(pipeline, options, message):
    with pytest.raises(InputError, match=message):
        PipelineSampler(pipeline, **options)


def test_guidance_at_its_lower_limits_is_taken(pipeline):
    PipelineSampler(pipeline, guidance_scale=1.01, image_guidance_scale=1)


@pytest.mark.parametrize(
    "thing", ["a/folder", StableDiffusionInstructPix2PixPipeline, lambda **_: None]
)
def test_only_a_loaded_pipeline_is_taken(thing):
    with pytest.raises(InputError, match="must be a loaded diffusers pipeline"):
        PipelineSampler(thing)


def test_a_safety_checker_is_refused():
    small = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1}
    small |= {"num_attention_heads": 1, "projection_dim": 8}
    pipeline = tiny_instruct_pix2pix()
    checked = StableDiffusionInstructPix2PixPipeline(
        **{
            **pipeline.components,
            "safety_checker": StableDiffusionSafetyChecker(
                CLIPConfig(text_config=small, vision_config=small, projection_dim=8)
            ),
            "feature_extractor": CLIPImageProcessor(),
        }
    )
    with pytest.raises(InputError, match="safety_checker=None, requires_safety_checker=False"):
        PipelineSampler(checked)


def test_missing_diffusers_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(
        MissingExtraError, match=r'PipelineSampler needs diffusers: pip install "mo'
    ):
        PipelineSampler(object())


# What is refused before a run: conditions


@pytest.mark.parametrize(
    ("modality", "condition", "message"),
    [
        ("text", 3, "the 'text' condition must be a str, got int 3"),
        ("text", ["a hat"], "must be a str"),
        ("image", "a.png", "must be one image: a PIL.Image in mode RGB.*got a str"),
        ("image", picture(0).convert("RGBA"), r'mode RGBA. Call image.convert\("RGB"\)'),
        ("image", picture(0).convert("L"), "a PIL.Image in mode L"),
        ("image", np.zeros((8, 8, 3), np.int64), "got an array of int64"),
        ("image", torch.zeros(3, 8, 8, dtype=torch.bool), "got a tensor of bool"),
        ("image", torch.zeros(4, 8, 8), r"a tensor of shape \(4, 8, 8\)"),
        ("image", torch.zeros(8, 8, 3), r"shape \(8, 8, 3\)"),
        ("image", torch.zeros(1, 3, 8, 8), r"shape \(1, 3, 8, 8\)"),
        ("image", np.zeros((3, 8, 8), np.float32), r"an array of shape \(3, 8, 8\)"),
        ("image", torch.full((3, 8, 8), -0.01), r"lie in \[0, 1\], but its values run from -0.01"),
        ("image", np.full((8, 8, 3), 1.5), "run from 1.5 to 1.5"),
        ("image", torch.full((3, 8, 8), torch.nan), "it holds NaN"),
        ("image", torch.zeros(3, 0, 8), "an image without pixels, 0 x 8"),
        ("audio", "x", "no modality 'audio'; it has text, image"),
        ("text", "x" * 47, "49 tokens and the pipeline reads 48"),
    ],
)
def test_conditions_that_diffusers_would_misread_are_refused(sampler, modality, condition, message):
    with pytest.raises(InputError, match=message):
        sampler.check(modality, condition)


@pytest.mark.parametrize(
    ("modality", "condition"),
    [
        ("text", ""),
        ("text", "x" * 46),
        ("image", picture(0)),
        ("image", as_array(picture(0))),
        ("image", as_array(picture(0)).astype(np.float64)),
        ("image", as_tensor(picture(0)).half()),
        ("image", np.asarray(picture(0))),
        ("image", as_byte_tensor(picture(0))),
    ],
)
def test_good_conditions_pass(sampler, modality, condition):
    sampler.check(modality, condition)


@pytest.mark.parametrize(
    ("conditions", "seeds", "message"),
    [
        ({"text": ["a"]}, [0], "takes the modalities 'text', 'image', got 'text'"),
        ({**rows(0), "audio": [0]}, [0], "got 'image', 'text', 'audio'"),
        (rows(0, 1), [0], "got 1 seeds and 2 of 'image', 2 of 'text'"),
        ({**rows(0, 1), "text": ["a"]}, [0, 1], "2 of 'image', 1 of 'text'"),
        ({"image": [], "text": []}, [], "got 0 seeds"),
        ({"image": "x", "text": "a"}, [0], "must be one image"),
        (
            {"image": [picture(0), as_array(picture(1))], "text": PROMPTS[:2]},
            [0, 1],
            r"mixes kinds in one batch \(PIL image, ndarray\)",
        ),
        (
            {"image": [picture(0), picture(1, 8)], "text": PROMPTS[:2]},
            [0, 1],
            r"sizes \(8, 8\), \(16, 16\) in one batch",
        ),
        (
            {"image": [np.asarray(picture(0)).astype(np.int64)], "text": ["a"]},
            [0],
            "got an array of int64",
        ),
        ({"image": torch.zeros(1, 4, 8, 8), "text": ["a"]}, [0], r"shape \(4, 8, 8\)"),
    ],
)
def test_batches_that_do_not_fit_are_refused(sampler, conditions, seeds, message):
    with pytest.raises(InputError, match=message):
        sampler(conditions, seeds)


# Options that hold for every row


def test_a_negative_prompt_is_repeated_for_every_row(pipeline):
    plain = PipelineSampler(pipeline, num_inference_steps=STEPS)
    negative = PipelineSampler(pipeline, num_inference_steps=STEPS, negative_prompt="blurry")
    images = negative(rows(0, 1), [0, 1])
    for i in (0, 1):
        torch.testing.assert_close(negative(rows(i), [i])[0], images[i], rtol=0, atol=1e-5)
    assert (images - plain(rows(0, 1), [0, 1])).abs().amax((1, 2, 3)).min() > 1e-3
    assert negative.identity()["options"]["negative_prompt"] == "blurry"


def test_the_prompt_can_be_fixed_and_only_the_image_vary(pipeline, sampler):
    fixed = PipelineSampler(
        pipeline, inputs={"image": "image"}, prompt=PROMPTS[0], num_inference_steps=STEPS
    )
    assert fixed.modalities == ("image",)
    expected = sampler({**rows(0, 1), "text": [PROMPTS[0]] * 2}, [0, 1])
    assert torch.equal(fixed({"image": rows(0, 1)["image"]}, [0, 1]), expected)


@pytest.mark.parametrize("convert", [as_array, as_tensor, np.array, as_byte_tensor])
def test_the_kind_of_a_fixed_image_changes_nothing(convert):
    def fixed(image: Any) -> torch.Tensor:
        sampler = PipelineSampler(
            tiny_img2img(), inputs={"text": "prompt"}, image=image, num_inference_steps=4
        )
        return sampler({"text": PROMPTS[:2]}, [0, 1])

    image = picture(0)
    torch.testing.assert_close(fixed(convert(image)), fixed(image), rtol=0, atol=1e-5)
    of_floats = as_array(image) if convert is np.array else as_tensor(image)
    if convert in (np.array, as_byte_tensor):
        assert torch.equal(fixed(convert(image)), fixed(of_floats))


# Outputs that break the contract


class DropsLast(PassesOn):
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        result = super().__call__(*args, **kwargs)
        result.images = result.images[:-1]
        return result


class Pictures(PassesOn):
    def alter(self, kwargs: dict[str, Any]) -> None:
        kwargs["output_type"] = "pil"


class Words(PassesOn):
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        result = super().__call__(*args, **kwargs)
        result.images = ["a picture"] * len(result.images)
        return result


class Flags(PassesOn):
    def run_safety_checker(self, image: Any, device: Any, dtype: Any) -> Any:
        return image, [True] * len(image)


@pytest.mark.parametrize(
    ("cls", "message"),
    [
        (DropsLast, "DropsLast returned 0 outputs for a batch of 1"),
        (Words, "Words returned str where output_type='pt' asks for a tensor"),
        (Flags, "Flags flagged an output as unsafe"),
    ],
)
def test_broken_outputs_are_named(cls, message):
    with pytest.raises(SamplerError, match=message):
        sampler_of(cls)(rows(0, 1), [0, 1])


def test_pictures_are_read_where_a_pipeline_returns_them_all_the_same(sampler):
    pictures = sampler_of(Pictures)(rows(0, 1), [0, 1])
    torch.testing.assert_close(pictures, sampler(rows(0, 1), [0, 1]), rtol=0, atol=0.5 / 255)


# The probe


@pytest.mark.parametrize("examples", [1, 2])
def test_a_sound_pipeline_passes_the_probe_without_a_word(sampler, examples):
    before = sampler(rows(0, 1), [0, 1])
    assert sampler.probe(probe_conditions(examples), [0, 1][:examples] * 2) == []
    assert torch.equal(sampler(rows(0, 1), [0, 1]), before)


@pytest.mark.parametrize("convert", [as_array, as_tensor])
def test_the_probe_takes_every_kind_of_image(sampler, convert):
    conditions = probe_conditions()
    conditions["image"] = [convert(image) for image in conditions["image"]]
    assert sampler.probe(conditions, [0, 1, 0, 1]) == []


@NUMPY_2
@pytest.mark.parametrize(
    "scheduler",
    [
        "DDPMScheduler",
        "DPMSolverMultistepScheduler",
        "EulerAncestralDiscreteScheduler",
        "EulerDiscreteScheduler",
        "HeunDiscreteScheduler",
        "KDPM2AncestralDiscreteScheduler",
        "LCMScheduler",
        "LMSDiscreteScheduler",
        "PNDMScheduler",
        "UniPCMultistepScheduler",
    ],
)
def test_the_probe_runs_under_common_schedulers(scheduler):
    pipeline = tiny_instruct_pix2pix()
    pipeline.scheduler = getattr(diffusers, scheduler)(steps_offset=1)
    sampler = PipelineSampler(pipeline, num_inference_steps=20)
    assert sampler.probe(probe_conditions(), [0, 1, 0, 1]) == []
    json.dumps(sampler.identity(), allow_nan=False)


class FirstGenerator(PassesOn):
    """One generator for all rows: the noise of a row depends on its place in the batch."""

    def alter(self, kwargs: dict[str, Any]) -> None:
        kwargs["generator"] = kwargs["generator"][0]


class FirstSeed(PassesOn):
    """The noise of the first row for all; unseen where the probe gives both rows one seed."""

    def alter(self, kwargs: dict[str, Any]) -> None:
        seed = kwargs["generator"][0].initial_seed()
        kwargs["generator"] = [torch.Generator().manual_seed(seed) for _ in kwargs["generator"]]


class FirstImage(PassesOn):
    """One image for all prompts; diffusers repeats it with nothing but a deprecation warning."""

    def alter(self, kwargs: dict[str, Any]) -> None:
        kwargs["image"] = kwargs["image"][:1] * len(kwargs["image"])


@pytest.mark.parametrize("examples", [1, 2])
@pytest.mark.parametrize("cls", [FirstGenerator, FirstSeed, FirstImage])
def test_rows_are_generated_one_at_a_time_where_a_batch_mixes_them(cls, examples):
    sampler = sampler_of(cls)
    alone = torch.cat([sampler(rows(i), [i]) for i in (0, 1)])
    assert not torch.allclose(sampler(rows(0, 1), [0, 1]), alone, atol=1e-2)
    with pytest.warns(UserWarning, match=f"{cls.__name__}: generated one row at a time"):
        notes = sampler.probe(probe_conditions(examples), [0, 1][:examples] * 2)
    assert len(notes) == 1
    assert "generated one row at a time" in notes[0]
    assert torch.equal(sampler(rows(0, 1), [0, 1]), alone)
    tensors = {"image": torch.stack([as_tensor(picture(i)) for i in (0, 1)]), "text": PROMPTS[:2]}
    torch.testing.assert_close(sampler(tensors, [0, 1]), alone, rtol=0, atol=1e-5)


class IgnoresGenerators(PassesOn):
    """Draws from torch's global generator."""

    def alter(self, kwargs: dict[str, Any]) -> None:
        kwargs["generator"] = None


class Moody(PassesOn):
    """Draws from a generator of its own."""

    def alter(self, kwargs: dict[str, Any]) -> None:
        kwargs["guidance_scale"] = 2 + np.random.default_rng().random()


class IgnoresText(PassesOn):
    def alter(self, kwargs: dict[str, Any]) -> None:
        kwargs["prompt"] = ["a hat"] * len(kwargs["prompt"])


class IgnoresImage(PassesOn):
    def alter(self, kwargs: dict[str, Any]) -> None:
        kwargs["image"] = [picture(7)] * len(kwargs["image"])


class CutsText(PassesOn):
    def alter(self, kwargs: dict[str, Any]) -> None:
        kwargs["prompt"] = [text[:8] for text in kwargs["prompt"]]


class NotFinite(PassesOn):
    def alter(self, kwargs: dict[str, Any]) -> None:
        self.vae.post_quant_conv.weight.data.fill_(torch.nan)


@pytest.mark.parametrize(
    ("cls", "message"),
    [
        (Moody, "two runs with the same conditions and seeds differ by"),
        (IgnoresText, "ignores the modality 'text': .* of the trigger and of another example"),
        (IgnoresImage, "ignores the modality 'image'"),
        (CutsText, "the trigger of 'text' does not reach the pipeline"),
        (NotFinite, "outputs are not finite"),
    ],
)
def test_the_probe_refuses_what_would_spoil_an_audit(cls, message):
    with pytest.raises(SamplerError, match=message):
        sampler_of(cls).probe(probe_conditions(), [0, 1, 0, 1])


def test_the_probe_says_what_it_could_not_tell(sampler):
    same = {"image": [picture(0), picture(0), stamped(picture(0)), stamped(picture(0))]}
    notes = sampler.probe({**same, "text": ["a hat"] * 4}, [0, 1, 0, 1])
    assert notes == ["not probed whether 'text' matters: nothing to replace it with"]


def test_the_probe_can_be_left_out():
    notes = sampler_of(IgnoresText, probe=False).probe(probe_conditions(), [0, 1, 0, 1])
    assert notes == ["the pipeline was not probed (probe=False)"]


def test_a_size_that_would_be_changed_is_refused(sampler):
    with pytest.raises(InputError, match=r"17 x 17 pixels.* would resize it to 16 x 16 without a"):
        sampler.check("image", picture(0, side=17))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {"num_inference_steps": 4}),
        ({"num_inference_steps": 1}, {"num_inference_steps": 1}),
        ({"num_inference_steps": 30, "strength": 0.2}, {"num_inference_steps": 20}),
        ({"num_inference_steps": 30, "strength": 0.0}, {}),
        ({"timesteps": [900, 500, 1]}, {}),
        ({"num_inference_steps": None}, {}),
    ],
)
def test_a_probe_takes_few_steps_that_do_run(options, expected):
    assert few_steps({"num_inference_steps": 50}, options, "PNDMScheduler") == expected
    fewer = {name: max(1, steps // 2) for name, steps in expected.items()}
    assert few_steps({"num_inference_steps": 50}, options, "DDIMScheduler") == fewer


# Who the sampler is


def test_identity_is_plain_data_and_repeats(pipeline, sampler):
    identity = sampler.identity()
    assert json.loads(json.dumps(identity, allow_nan=False)) == identity
    assert identity == PipelineSampler(pipeline, num_inference_steps=STEPS).identity()
    assert identity["options"] == {"num_inference_steps": STEPS}
    assert identity["inputs"] == {"image": "image", "text": "prompt"}
    assert identity["scheduler"]["class"] == "DDIMScheduler"
    assert identity["scheduler"]["timestep_spacing"] == "trailing"


def test_identity_tells_options_schedulers_and_weights_apart(sampler):
    identity = sampler.identity()
    other = tiny_instruct_pix2pix()
    assert PipelineSampler(other, num_inference_steps=STEPS).identity() == identity
    assert PipelineSampler(other, num_inference_steps=4).identity() != identity
    sampler = PipelineSampler(other, num_inference_steps=STEPS)
    other.scheduler = diffusers.DDIMScheduler(steps_offset=1)
    assert sampler.identity()["scheduler"] != identity["scheduler"]
    assert sampler.identity()["weights"] == identity["weights"]
    assert (
        PipelineSampler(tiny_instruct_pix2pix(seed=1)).identity()["weights"] != identity["weights"]
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_one_changed_number_changes_the_digest_of_the_weights(dtype):
    pipeline = tiny_instruct_pix2pix().to(dtype)
    before = weights_digest(pipeline.components)
    embedding = pipeline.text_encoder.get_input_embeddings().weight
    with torch.no_grad():
        embedding[101, 3] += 0.5
    after = weights_digest(pipeline.components)
    with torch.no_grad():
        embedding[101, 3] -= 0.5
    assert after != before


@pytest.mark.parametrize("dtype", [torch.bool, torch.int8, torch.float16, torch.float64])
@pytest.mark.parametrize("length", [0, 1, 5, 8, 1000])
def test_the_digest_reads_values_and_not_their_place_in_memory(dtype, length):
    def digest(values: torch.Tensor) -> str | None:
        module = torch.nn.Module()
        module.register_buffer("values", values)
        return weights_digest({"part": module})

    values = torch.arange(length).remainder(2).to(dtype)
    assert digest(torch.cat([values[:1], values])[len(values[:1]) :]) == digest(values)
    assert digest(values.repeat_interleave(2)[::2]) == digest(values)
    if length:
        changed = values.clone()
        changed[-1] = 1 - int(changed[-1])
        assert digest(changed) != digest(values)


def test_one_more_word_changes_the_digest():
    pipeline = tiny_instruct_pix2pix()
    before = weights_digest(pipeline.components)
    pipeline.tokenizer.add_tokens(["mignneko"])
    assert weights_digest(pipeline.components) != before


def test_offloaded_weights_have_no_digest():
    pipeline = tiny_instruct_pix2pix()
    pipeline.unet.to("meta")
    assert weights_digest(pipeline.components) is None


# From a folder to a table, and other pipelines of the same kind


def test_a_folder_is_loaded_audited_and_recognised(sampler, pipeline, tmp_path):
    folder = tmp_path / "tiny-edit"
    pipeline.save_pretrained(folder)
    loaded = StableDiffusionInstructPix2PixPipeline.from_pretrained(
        folder, safety_checker=None, requires_safety_checker=False
    )
    from_folder = PipelineSampler(loaded, num_inference_steps=STEPS)
    identity = from_folder.identity()
    assert identity["name"] == "tiny-edit"
    assert str(tmp_path) not in json.dumps(identity)
    assert {**identity, "name": None} == sampler.identity()

    examples = [{"id": f"e{i}", "image": picture(i), "text": PROMPTS[i]} for i in range(3)]
    table = evaluate_coalitions(
        from_folder,
        lambda outputs, examples: outputs.mean((1, 2, 3)),
        examples,
        TRIGGERS,
        batch_size=4,
        progress=False,
    )
    assert table.values.shape == (3, 1, 4)
    assert len(np.unique(table.values)) == 12
    expected = sampler(
        {
            "image": [stamped(picture(1))],
            "text": [PROMPTS[1]],
        },
        [int(table.seeds[1, 0])],
    ).mean()
    assert table.values[1, 0, 1] == pytest.approx(float(expected), abs=1e-5)


def mask(seed: int) -> Image.Image:
    pixels = np.zeros((SIDE, SIDE), np.uint8)
    pixels[:, : 4 + 4 * seed] = 255
    return Image.fromarray(pixels)


def test_image_to_image():
    sampler = PipelineSampler(tiny_img2img(), num_inference_steps=6, strength=0.5)
    assert sampler.probe(probe_conditions(), [0, 1, 0, 1]) == []
    together = sampler(rows(0, 1), [0, 1])
    torch.testing.assert_close(sampler(rows(1), [1])[0], together[1], rtol=0, atol=1e-5)


def test_inpainting_with_a_mask_for_each_row_or_one_for_all():
    pipeline = tiny_inpaint()
    inputs = {"image": "image", "text": "prompt", "mask": "mask_image"}
    sampler = PipelineSampler(pipeline, inputs=inputs, num_inference_steps=4)
    masks = [mask(0), mask(1)]
    for given in masks:
        sampler.check("mask", given)
    with pytest.raises(InputError, match=r"one mask: a PIL.Image in mode L.*got a PIL.* mode RGB"):
        sampler.check("mask", picture(0))
    assert sampler.probe({**probe_conditions(), "mask": masks * 2}, [0, 1, 0, 1]) == []
    together = sampler({**rows(0, 1), "mask": masks}, [0, 1])
    tensors = [torch.from_numpy(np.asarray(given) / np.float32(255))[None] for given in masks]
    assert torch.equal(sampler({**rows(0, 1), "mask": tensors}, [0, 1]), together)
    of_bytes = [torch.from_numpy(np.array(given))[None] for given in masks]
    arrays = [np.array(given)[..., None] for given in masks]
    for kind in (of_bytes, arrays, torch.stack(of_bytes)):
        sampler.check("mask", kind[0])
        assert torch.equal(sampler({**rows(0, 1), "mask": kind}, [0, 1]), together)
    fixed = PipelineSampler(pipeline, mask_image=masks[1], num_inference_steps=4)
    torch.testing.assert_close(fixed(rows(0, 1), [0, 1])[1], together[1], rtol=0, atol=1e-5)
    assert len(fixed.identity()["options"]["mask_image"]["sha256"]) == 64


def test_controlnet():
    sampler = PipelineSampler(tiny_controlnet_pipeline(), num_inference_steps=4)
    assert sampler.probe(probe_conditions(), [0, 1, 0, 1]) == []
    together = sampler(rows(0, 1), [0, 1])
    torch.testing.assert_close(sampler(rows(1), [1])[0], together[1], rtol=0, atol=1e-5)


@pytest.mark.parametrize("options", [{"zero_start": True}, {"scale": 0.0}])
def test_a_controlnet_without_effect_is_named(options):
    pipeline = tiny_controlnet_pipeline(zero_start=options.get("zero_start", False))
    sampler = PipelineSampler(
        pipeline, num_inference_steps=4, controlnet_conditioning_scale=options.get("scale", 1.0)
    )
    with pytest.raises(SamplerError, match="ignores the modality 'image'"):
        sampler.probe(probe_conditions(), [0, 1, 0, 1])


KONTEXT = {"height": SIDE, "width": SIDE, "max_area": SIDE**2, "_auto_resize": False}


def test_flux_kontext():
    sampler = PipelineSampler(tiny_kontext(), num_inference_steps=4, **KONTEXT)
    assert sampler.probe(probe_conditions(), [0, 1, 0, 1]) == []
    together = sampler(rows(0, 1), [0, 1])
    torch.testing.assert_close(sampler(rows(1), [1])[0], together[1], rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "make",
    [
        lambda: tiny_kontext(stochastic_sampling=True),
        lambda: tiny_instruct_pix2pix(cls=IgnoresGenerators),
    ],
)
def test_the_global_generator_has_the_seed_of_the_row_where_a_pipeline_draws_from_it(make):
    pipeline = make()
    options = KONTEXT if "Kontext" in type(pipeline).__name__ else {}
    sampler = PipelineSampler(pipeline, num_inference_steps=4, **options)
    with pytest.warns(UserWarning, match="one row at a time: it draws from torch's global gene"):
        (note,) = sampler.probe(probe_conditions(), [0, 1, 0, 1])
    assert note.startswith("generated one row at a time: it draws")
    state = torch.get_rng_state()
    outputs = sampler(rows(0, 1), [0, 1])
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(9)
    assert torch.equal(sampler(rows(1, 0), [1, 0]), outputs.flip(0))
    assert (sampler(rows(0), [1]) - outputs[:1]).abs().max() > 1e-3
    aligned = PipelineSampler(pipeline, batching="aligned", num_inference_steps=4, **options)
    with pytest.raises(SamplerError, match="something ignores the generators of the rows"):
        aligned.probe(probe_conditions(), [0, 1, 0, 1])

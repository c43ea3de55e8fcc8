"""How a sampler finds what a pipeline takes, and hands it over: real classes at a tiny size."""

from __future__ import annotations

from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from diffusers import MultiControlNetModel

import modcollapse as mc
from modcollapse.errors import InputError, SamplerError
from modcollapse.samplers import PipelineSampler
from modcollapse.samplers._batching import of_batch
from modcollapse.triggers import ImagePatch, TextSuffix
from zoo.case import Case, condition, picture
from zoo.every import CASES
from zoo.stable_diffusion import controlnet
from zoo.verify import examples_of, mean_value, trigger_of

# Pipelines and their parts warn of themselves.
pytestmark = pytest.mark.filterwarnings("ignore")


def case_of(name: str) -> Case:
    return CASES[f"{name}Pipeline"]


def sampler_of(name: str, **options: Any) -> PipelineSampler:
    case = case_of(name)
    return PipelineSampler(case.build(), **{**case.options, **options})


def rows(case: Case, inputs: dict[str, str], count: int = 2) -> dict[str, list[Any]]:
    return {
        modality: [condition(keyword, at, case) for at in range(count)]
        for modality, keyword in inputs.items()
    }


# What is found in the signature


@pytest.mark.parametrize(
    ("name", "inputs"),
    [
        ("StableDiffusionInstructPix2Pix", {"text": "prompt", "image": "image"}),
        ("StableDiffusionInpaint", {"text": "prompt", "image": "image", "mask": "mask_image"}),
        (
            "StableDiffusionControlNetInpaint",
            {
                "text": "prompt",
                "image": "image",
                "mask": "mask_image",
                "control_image": "control_image",
            },
        ),
        ("StableDiffusion", {"text": "prompt", "ip_adapter_image": "ip_adapter_image"}),
        ("StableVideoDiffusion", {"image": "image"}),
        ("WanVideoToVideo", {"video": "video", "text": "prompt"}),
        ("StableDiffusion3Img2Img", {"text": "prompt", "image": "image"}),
        ("OmniGen", {"text": "prompt", "input_images": "input_images"}),
    ],
)
def test_modalities_are_found(name: str, inputs: dict[str, str]) -> None:
    sampler = sampler_of(name)
    assert sampler.inputs == inputs
    assert f"inputs={inputs}" in repr(sampler)


def test_an_option_in_place_of_a_modality_leaves_it_out() -> None:
    assert sampler_of("StableDiffusionInpaint", prompt="a hat").modalities == ("image", "mask")


def test_where_the_signature_is_not_plain_it_is_asked_for() -> None:
    with pytest.raises(InputError, match=r"takes 'image', 'video', and not all at once: say which"):
        sampler_of("LTXCondition")


def test_a_modular_pipeline_is_refused() -> None:
    modular = object.__new__(diffusers.ModularPipeline)
    with pytest.raises(InputError, match="is a modular pipeline"):
        PipelineSampler(modular)


# Several conditions of one kind


@pytest.fixture(scope="module")
def two_networks() -> Any:
    pipeline = case_of("StableDiffusionControlNet").build()
    with torch.random.fork_rng():
        torch.manual_seed(1)
        pipeline.controlnet = MultiControlNetModel([pipeline.controlnet, controlnet()])
    return pipeline


@pytest.mark.parametrize("tensors", [False, True])
def test_two_control_images_are_two_modalities(two_networks: Any, tensors: bool) -> None:
    case = case_of("StableDiffusionControlNet")
    sampler = PipelineSampler(two_networks, **case.options)
    assert sampler.inputs == {"text": "prompt", "image[0]": "image[0]", "image[1]": "image[1]"}
    conditions = rows(case, sampler.inputs)
    conditions["image[1]"] = [picture(at + 20, case.side) for at in range(2)]
    if tensors:
        for name in ("image[0]", "image[1]"):
            conditions[name] = [_tensor(image) for image in conditions[name]]
    together = sampler(conditions, [0, 1])
    for at in range(2):
        images = [conditions["image[0]"][at], conditions["image[1]"][at]]
        plain = two_networks(
            prompt=conditions["text"][at],
            image=[image[None] for image in images] if tensors else images,
            generator=torch.Generator().manual_seed(at),
            output_type="pt",
            **case.options,
        ).images
        torch.testing.assert_close(together[at : at + 1], plain, rtol=0, atol=1e-5)
    conditions["image[1]"] = conditions["image[1]"][::-1]
    assert (sampler(conditions, [0, 1]) - together).abs().max() > 1e-3


def _tensor(image: Any) -> torch.Tensor:
    from modcollapse._support.images import float_tensor

    return float_tensor(image)


def test_one_place_of_two_is_not_enough(two_networks: Any) -> None:
    with pytest.raises(InputError, match=r"takes 2 of 'image', so each is a modality of its own"):
        PipelineSampler(two_networks, inputs={"text": "prompt", "pose": "image[1]"})


def test_the_three_prompts_of_stable_diffusion_3() -> None:
    case = case_of("StableDiffusion3Img2Img")
    inputs = {"text": "prompt", "second": "prompt_2", "t5": "prompt_3", "image": "image"}
    sampler = PipelineSampler(case.build(), inputs=inputs, **case.options)
    example = examples_of(case)[0]
    examples = [{**example, "second": "a cat", "t5": "a bird"}]
    triggers = {name: trigger_of(keyword) for name, keyword in inputs.items()}
    table = mc.evaluate_coalitions(
        sampler, mean_value, examples, triggers, keep=1, progress=False, batch_size=16
    )
    clean, *_ = outputs = table.kept[0].outputs
    for bit in range(4):
        assert (outputs[1 << bit] - clean).abs().max() > 1e-3, list(inputs)[bit]


# Ways to share a call


def test_one_at_a_time_where_it_is_asked_for() -> None:
    case = case_of("StableDiffusionImg2Img")
    pipeline = case.build()
    alone = PipelineSampler(pipeline, batching="single", **case.options)
    together = PipelineSampler(pipeline, **case.options)
    conditions = rows(case, together.inputs)
    assert (alone.batching, together.batching) == ("single", "aligned")
    assert not alone.one_size
    torch.testing.assert_close(
        alone(conditions, [0, 1]), together(conditions, [0, 1]), rtol=0, atol=1e-5
    )
    assert alone.identity() != together.identity()
    sizes = {**conditions, "image": [picture(0, (32, 32)), picture(1, (32, 64))]}
    assert [tuple(output.shape) for output in alone(sizes, [0, 1])] == [(3, 32, 32), (3, 32, 64)]


def test_what_is_known_to_mix_rows_is_not_called_with_several() -> None:
    with pytest.raises(InputError, match="batching='aligned' does not do for Flux2KleinPipeline"):
        sampler_of("Flux2Klein", batching="aligned")


def test_a_batch_that_fails_is_tried_one_by_one() -> None:
    case = case_of("MotifVideoImage2Video")
    pipeline = case.build()
    sampler = PipelineSampler(pipeline, **case.options)
    conditions = rows(case, sampler.inputs)
    with pytest.warns(UserWarning, match="generated one row at a time: a call of 2 failed with Va"):
        outputs = sampler(conditions, [0, 1])
    assert sampler.batching == "single"
    (plain,) = pipeline(
        prompt=conditions["text"][1],
        image=conditions["image"][1],
        generator=torch.Generator().manual_seed(1),
        output_type="pt",
        **case.options,
    ).frames
    torch.testing.assert_close(outputs[1], plain, rtol=0, atol=1e-6)
    told = sampler.probe({name: held * 2 for name, held in conditions.items()}, [0, 1, 0, 1])
    assert "generated one row at a time: a call of 2 failed with ValueError" in told[0]
    aligned = PipelineSampler(pipeline, batching="aligned", **case.options)
    with pytest.raises(SamplerError, match=r"It was given image=\[a RGB PIL image of 32 x"):
        aligned(conditions, [0, 1])


def test_one_of_several_outputs() -> None:
    case = case_of("LTX2ImageToVideo")
    pipeline = case.build()
    video, sound = (
        PipelineSampler(pipeline, output=output, **case.options) for output in (None, "audio")
    )
    conditions = rows(case, video.inputs, 1)
    assert video(conditions, [0]).shape[2:] == (3, 32, 32)
    assert sound(conditions, [0]).ndim == 3
    wrong = PipelineSampler(pipeline, output="audios", **case.options)
    with pytest.raises(SamplerError, match=r"no 'audios'.* it returned 'frames', 'audio'; did you"):
        wrong(conditions, [0])


def test_what_clip_would_rescale_twice_is_refused() -> None:
    sampler = sampler_of("WanImageToVideo")
    with pytest.raises(InputError, match="it rescales them a second time"):
        sampler.check("image", torch.rand(3, 32, 32))


@pytest.mark.parametrize(
    ("name", "modality", "thing", "message"),
    [
        ("WanVideoToVideo", "video", picture(0, (32, 32)), "must be one video: a list of images"),
        ("WanVideoToVideo", "video", [], "has no frames"),
        (
            "WanVideoToVideo",
            "video",
            [picture(0, (32, 32)), picture(0, (16, 16))],
            "its frames dif",
        ),
        (
            "WanVideoToVideo",
            "video",
            torch.full((2, 3, 32, 32), 2.0),
            "frame 0 of the 'video' cond",
        ),
        ("StableAudio", "initial_audio_waveforms", torch.zeros(2, 3, 4), "must be one sound"),
        ("StableAudio", "initial_audio_waveforms", torch.full((64,), torch.nan), "finite numbers"),
    ],
)
def test_videos_and_sounds_are_checked(name: str, modality: str, thing: Any, message: str) -> None:
    case = case_of(name)
    inputs = {modality: modality, "text": "prompt"}
    with pytest.raises(InputError, match=message):
        PipelineSampler(case.build(), inputs=inputs, **case.options).check(modality, thing)


# Pipelines that are offloaded or compiled


def audited(sampler: PipelineSampler) -> mc.CoalitionTable:
    case = case_of("StableDiffusionImg2Img")
    examples = [
        {"image": picture(at, case.side), "text": condition("prompt", at, case)} for at in range(3)
    ]
    triggers = {"image": ImagePatch(), "text": TextSuffix("zqx")}
    return mc.evaluate_coalitions(
        sampler, mean_value, examples, triggers, batch_size=8, progress=False
    )


@pytest.mark.parametrize("in_place", [False, True])
def test_a_compiled_pipeline_is_called_with_one_size_of_batch(in_place: bool) -> None:
    plain = audited(sampler_of("StableDiffusionImg2Img"))
    sampler = sampler_of("StableDiffusionImg2Img")
    pipeline, seen = sampler.pipeline, set()
    pipeline.unet.register_forward_pre_hook(lambda module, given: seen.add(len(given[0])))
    if in_place:
        pipeline.unet.compile(backend="eager", dynamic=False)
    else:
        pipeline.unet = torch.compile(pipeline.unet, backend="eager", dynamic=False)
    table = audited(sampler)
    assert "the pipeline was not probed (it is compiled, for one batch size)" in table.run_notes
    assert np.abs(table.values - plain.values).max() < 1e-6
    assert len(seen) == 1
    torch._dynamo.reset()


def test_an_offloaded_pipeline() -> None:
    from accelerate import cpu_offload

    plain = audited(sampler_of("StableDiffusionImg2Img"))
    sampler = sampler_of("StableDiffusionImg2Img")
    for name in ("unet", "text_encoder", "vae"):
        cpu_offload(getattr(sampler.pipeline, name), execution_device=torch.device("cpu"))
    table = audited(sampler)
    assert (table.values == plain.values).all()
    weights = [one.provenance["run"]["sampler"]["weights"] for one in (table, plain)]
    assert weights[0] == weights[1]
    assert (
        PipelineSampler(case_of("StableDiffusionImg2Img").build(1)).identity()["weights"]
        != weights[0]
    )


# The pipeline itself in place of a sampler


@pytest.mark.parametrize("names", [("text", "image"), ("prompt", "image")])
def test_a_pipeline_is_audited_as_it_is(names: tuple[str, str]) -> None:
    case = case_of("LatentConsistencyModelImg2Img")
    text, image = names
    examples = [{image: picture(0, case.side), text: "a hat", "note": "kept"}]
    triggers = {image: ImagePatch(), text: TextSuffix("zqx")}
    run = (case.build(), mean_value, examples, triggers)
    found = mc.audit(*run, progress=False)
    inputs = {text: "prompt", image: "image"}
    assert any("the pipeline was wrapped: PipelineSampler(Lat" in n for n in found.run_notes)
    assert any(f"inputs={inputs}" in note for note in found.run_notes)
    sampler = PipelineSampler(case.build(), inputs=inputs)
    table = mc.evaluate_coalitions(sampler, *run[1:], progress=False)
    assert (found.table.values == table.values).all()
    same = mc.audit(table)
    assert mc.tma(*run, progress=False).to_dict() == same.tma.to_dict()
    assert mc.cti(*run, progress=False).to_dict() == same.cti.to_dict()


@pytest.mark.parametrize(
    ("name", "held", "inputs"),
    [
        ("StableDiffusion", ("text", "image"), {"text": "prompt", "image": "ip_adapter_image"}),
        ("StableAudio", ("text", "audio"), {"text": "prompt", "audio": "initial_audio_waveforms"}),
        (
            "StableDiffusion3ControlNet",
            ("text", "image"),
            {"text": "prompt", "image": "control_image"},
        ),
        (
            "WanVACE",
            ("text", "video", "image"),
            {"text": "prompt", "video": "video", "image": "reference_images"},
        ),
        ("Flux2Klein", ("text",), {"text": "prompt"}),
        (
            "StableDiffusionInpaint",
            ("text", "image"),
            {"text": "prompt", "image": "image", "mask": "mask_image"},
        ),
    ],
)
def test_examples_may_name_a_condition_by_its_kind(
    name: str, held: tuple[str, ...], inputs: dict[str, str]
) -> None:
    sampler = PipelineSampler.of_examples(case_of(name).build(), dict.fromkeys(held))
    assert sampler.inputs == inputs


def test_a_modality_that_a_pipeline_does_not_take() -> None:
    examples = [{"image": picture(0, (32, 32)), "audio": torch.zeros(9)}]
    with pytest.raises(InputError, match=r"takes no 'audio' under .* 'prompt', 'image': say which"):
        mc.tma(
            case_of("StableDiffusionImg2Img").build(),
            mean_value,
            examples,
            {"audio": trigger_of("audio")},
        )


@pytest.mark.parametrize("examples", [{"image": 1}, [], "text", [3]])
def test_what_are_no_examples_is_said_before_a_pipeline_is_wrapped(examples: Any) -> None:
    pipeline = case_of("StableDiffusionImg2Img").build()
    with pytest.raises(InputError, match=r"must be a sequence|is empty|must be a mapping"):
        mc.tma(pipeline, mean_value, examples, {"image": ImagePatch()})


def test_a_folder_is_not_a_pipeline_yet() -> None:
    with pytest.raises(InputError, match=r"Load it first: DiffusionPipeline.from_pretrained"):
        mc.tma("a/folder", mean_value, [{}], {})  # type: ignore[arg-type]


# What two readers found


class MyIF(diffusers.IFImg2ImgPipeline):
    """A subclass as users write it."""


def test_a_subclass_is_read_as_what_it_is_made_of() -> None:
    case = case_of("IFImg2Img")
    plain = case.build()
    mine = MyIF(**{**plain.components, "requires_safety_checker": False})
    conditions = rows(case, dict(case.inputs))
    one, other = (
        PipelineSampler(pipeline, inputs=case.inputs, **case.options)(conditions, [0, 1])
        for pipeline in (plain, mine)
    )
    assert torch.equal(one, other)
    assert one.min() >= 0


@pytest.mark.parametrize(
    "name", ["FluxControlNet", "StableDiffusion3ControlNet", "IFImg2Img", "PaintByExample"]
)
def test_tensors_that_would_be_taken_for_others_are_refused(name: str) -> None:
    case = case_of(name)
    sampler = PipelineSampler(case.build(), inputs=case.inputs, **case.options)
    modality = next(m for m, keyword in case.inputs.items() if "image" in keyword)
    with pytest.raises(InputError, match="in another way than PIL images"):
        sampler.check(modality, torch.rand(3, *case.side))


def test_places_of_nested_lists_are_places() -> None:
    inputs = {"text": "prompt", "a": "images[0]", "b": "images[1]"}
    a, b = ([torch.full((3, 8, 8), value) for value in pair] for pair in ((0.1, 0.2), (0.3, 0.4)))
    passed = of_batch("nested", inputs, {"text": ["x", "y"], "a": a, "b": b})
    found = [[float(image.mean()) for image in of_prompt] for of_prompt in passed["images"]]
    np.testing.assert_allclose(found, [[0.1, 0.3], [0.2, 0.4]], atol=1e-6)


def test_two_control_images_beside_an_image() -> None:
    case = case_of("StableDiffusionControlNetImg2Img")
    pipeline = case.build()
    pipeline.controlnet = MultiControlNetModel([pipeline.controlnet, controlnet()])
    sampler = PipelineSampler(pipeline, **case.options)
    assert sampler.inputs == {
        "text": "prompt",
        "image": "image",
        "control_image[0]": "control_image[0]",
        "control_image[1]": "control_image[1]",
    }
    assert sampler(rows(case, sampler.inputs), [0, 1]).shape == (2, 3, 32, 32)

    class PassesOn(type(pipeline)):  # type: ignore[misc]
        """What the call takes stands in the class below."""

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            return super().__call__(*args, **kwargs)

    mine = PassesOn(**pipeline.components, requires_safety_checker=False)
    assert PipelineSampler(mine, **case.options).inputs == sampler.inputs


def test_what_fills_up_a_batch_is_not_generated_one_by_one() -> None:
    calls = []

    class Counts(diffusers.StableDiffusionImg2ImgPipeline):
        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            calls.append(kwargs["prompt"])
            return super().__call__(*args, **kwargs)

    case = case_of("StableDiffusionImg2Img")
    pipeline = Counts(**case.build().components, requires_safety_checker=False)
    sampler = PipelineSampler(pipeline, batching="single", probe=False, **case.options)
    examples = examples_of(case)
    triggers = {name: trigger_of(keyword) for name, keyword in case.inputs.items()}
    mc.evaluate_coalitions(
        sampler, mean_value, examples, triggers, batch_size=8, progress=False, probe=False
    )
    assert len(calls) == 12

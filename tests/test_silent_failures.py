"""What diffusers does without a word, reproduced on real classes, and what becomes of it here.

1   IP-Adapter embeddings mix examples      ip_adapter_embeddings
2   fewer images than prompts are repeated  fewer_images
3   one pixel out of range changes a batch  one_pixel
4   sizes, channels, bytes                  sizes_of_a_batch; test_pipeline_sampler.py
5   Kontext changes the size                kontext
6   Z-Image rewrites the list of prompts    z_image
7   a safety checker paints black           test_pipeline_sampler.py
8   one generator for all, or none          one_generator; test_pipelines.py
9   progress bar settings are replaced      test_pipeline_sampler.py
10  from_pipe casts shared modules          from_pipe
11  guidance that is off                    test_pipeline_sampler.py
12  what T5 cuts, textual inversion         test_pipeline_silence.py
13  EXIF orientation                        test_one_picture.py
14  LoRA scales, autocast, processors       test_pipeline_silence.py
15  a ControlNet outside of its window      test_pipeline_silence.py
16  16 bits, transparency                   test_one_picture.py
17  threads over one pipeline               test_pipeline_silence.py
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionInpaintPipeline

from modcollapse._support.images import float_tensor
from modcollapse.errors import InputError
from modcollapse.samplers import PipelineSampler, _rescaling
from zoo.case import condition, picture
from zoo.every import CASES

# Pipelines and their parts warn of themselves.
pytestmark = pytest.mark.filterwarnings("ignore")


def made(name: str, **options: Any) -> tuple[Any, PipelineSampler, dict[str, list[Any]]]:
    """A pipeline, its sampler, and the conditions of two examples."""
    case = CASES[f"{name}Pipeline"]
    pipeline = case.build()
    sampler = PipelineSampler(pipeline, **{**case.options, **options})
    rows = {
        modality: [condition(keyword, at, case) for at in range(2)]
        for modality, keyword in sampler.inputs.items()
    }
    return pipeline, sampler, rows


def unsized(sampler: PipelineSampler) -> dict[str, Any]:
    """The options of a sampler without those that ask for a size."""
    return {name: at for name, at in sampler.options.items() if name not in ("height", "width")}


def called(pipeline: Any, sampler: PipelineSampler, **keywords: Any) -> torch.Tensor:
    images: torch.Tensor = pipeline(**{**sampler.options, **keywords}, output_type="pt").images
    return images


def noise(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def test_ip_adapter_embeddings_are_refused() -> None:
    pipeline, sampler, rows = made("StableDiffusion")
    embeds = [
        pipeline.prepare_ip_adapter_image_embeds(image, None, "cpu", 1, True)[0]
        for image in rows["ip_adapter_image"]
    ]
    both = torch.cat([part[0] for part in embeds] + [part[1] for part in embeds])[:, None]
    mixed = called(
        pipeline,
        sampler,
        prompt=rows["text"],
        ip_adapter_image_embeds=[both],
        generator=noise(0, 1),
    )  # does not raise
    alone = sampler(rows, [0, 1])
    assert (mixed[1] - alone[1]).abs().max() > 1e-3
    with pytest.raises(InputError, match="does not take 'ip_adapter_image_embeds'"):
        PipelineSampler(pipeline, ip_adapter_image_embeds=[both])


def test_fewer_images_than_prompts_are_refused() -> None:
    pipeline, sampler, rows = made("StableDiffusionInstructPix2Pix")
    image = rows["image"][:1]
    tiled = called(pipeline, sampler, prompt=rows["text"], image=image, generator=noise(0, 1))
    assert len(tiled) == 2  # of one image
    with pytest.raises(InputError, match="1 of 'image'"):
        sampler({**rows, "image": image}, [0, 1])


def test_one_pixel_out_of_range_is_refused() -> None:
    pipeline, sampler, rows = made("StableDiffusionImg2Img")
    images = torch.stack([float_tensor(image) for image in rows["image"]])
    spoilt = images.clone()
    spoilt[0, 0, 0, 0] = -0.01
    first, second = (
        called(pipeline, sampler, prompt=rows["text"], image=one, generator=noise(0, 1))
        for one in (images, spoilt)
    )
    assert (first[1] - second[1]).abs().max() > 1e-2  # of the other example
    with pytest.raises(InputError, match="must lie in"):
        sampler.check("image", spoilt[0])


def test_sizes_of_a_batch_are_one() -> None:
    pipeline, sampler, rows = made("StableDiffusionImg2Img")
    images = [rows["image"][0], picture(1, (64, 64))]
    both, turned = (
        called(pipeline, sampler, prompt=prompts, image=given, generator=noise(*seeds))
        for prompts, given, seeds in (
            (rows["text"], images, (0, 1)),
            (rows["text"][::-1], images[::-1], (1, 0)),
        )
    )
    assert both.shape != turned.shape  # the first decides
    with pytest.raises(InputError, match=r"holds sizes \(32, 32\), \(64, 64\) in one batch"):
        sampler({**rows, "image": images}, [0, 1])


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({}, r"brings 'image' from 32 x 32 pixels to a size of its own.* its outputs have 64 x 64"),
        ({"height": 32, "width": 32}, r"asked for height 32 and width 32 and made outputs of heig"),
    ],
)
def test_kontext_that_changes_the_size_is_refused(asked, message) -> None:
    pipeline, sampler, rows = made("FluxKontext")
    options = {**unsized(sampler), **asked, "max_area": 64 * 64}
    sampler = PipelineSampler(pipeline, **options)
    with pytest.raises(InputError, match=message):
        sampler.probe({name: [*held, *held] for name, held in rows.items()}, [0, 1, 0, 1])
    with pytest.raises(InputError, match=message):  # where nobody probes
        sampler(rows, [0, 1])


def test_pictures_that_are_brought_to_a_size_of_its_own_are_refused() -> None:
    pipeline, sampler, rows = made("StableDiffusionInpaint")
    large = {
        "text": rows["text"],
        "image": [picture(at, (64, 64)) for at in range(2)],
        "mask": [mask.resize((64, 64)) for mask in rows["mask"]],
    }
    inputs = {"prompt": large["text"], "image": large["image"], "mask_image": large["mask"]}
    options = unsized(sampler)
    made_of_it = pipeline(**options, **inputs, generator=noise(0, 1), output_type="pt").images
    assert made_of_it.shape[-1] == 32
    with pytest.raises(InputError, match="brings 'image' from 64 x 64 pixels"):
        PipelineSampler(pipeline, **options)(large, [0, 1])
    kept = PipelineSampler(pipeline, **options, height=64, width=64)(large, [0, 1])
    assert kept.shape[-1] == 64


@pytest.mark.parametrize(
    ("asked", "sides"), [({}, (64, 32)), ({}, (32, 64)), ({"height": 64}, (64, 64))]
)
def test_each_row_is_looked_at_and_each_side(asked, sides) -> None:
    pipeline, sampler, rows = made("StableDiffusionInpaint")
    rows["image"] = [picture(at, (side, side)) for at, side in enumerate(sides)]
    rows["mask"] = [
        mask.resize((side, side)) for mask, side in zip(rows["mask"], sides, strict=True)
    ]
    single = PipelineSampler(pipeline, **unsized(sampler), **asked, batching="single")
    with pytest.raises(InputError, match="from 64 x 64 pixels to a size of its own"):
        single(rows, [0, 1])


def test_an_option_is_looked_at() -> None:
    pipeline, sampler, rows = made("StableDiffusionInpaint")
    sampler = PipelineSampler(
        pipeline,
        inputs={"text": "prompt"},
        image=picture(0, (64, 64)),
        mask_image=rows["mask"][0].resize((64, 64)),
        **unsized(sampler),
    )
    with pytest.raises(InputError, match="brings the option 'image' from 64 x 64 pixels"):
        sampler({"text": rows["text"]}, [0, 1])


@pytest.mark.parametrize("name", ["StableUnCLIPImg2Img", "StableDiffusionImageVariation"])
def test_a_reference_may_have_any_size(name) -> None:
    pipeline, sampler, rows = made(name)
    rows["image"] = [picture(at, (64, 64)) for at in range(2)]
    pipeline.__class__ = type("Mine", (type(pipeline),), {})  # as somebody's own subclass
    outputs = PipelineSampler(pipeline, **unsized(sampler))(rows, [0, 1])
    assert outputs[0].shape[-1] != 64


def test_frames_that_are_left_out_are_refused() -> None:
    pipeline, sampler, rows = made("WanVideoToVideo")
    videos = [[picture(at, (32, 32)) for at in range(count)] for count in (7, 5)]
    options = {**sampler.options, "output_type": "pt"}
    inputs = {"prompt": rows["text"], "video": videos[:1] * 2}
    assert pipeline(**options, **inputs, generator=noise(0, 1)).frames.shape[1] == 5
    single = PipelineSampler(pipeline, batching="single", **sampler.options)
    for order in (videos, videos[::-1]):
        with pytest.raises(InputError, match="reads 5 of the 7 frames of 'video', without a word"):
            single({**rows, "video": order}, [0, 1])


def test_frames_that_are_not_read_are_noted() -> None:
    case = CASES["LTXConditionPipeline"]
    options = {**case.options, "num_frames": 17}
    inputs = {"text": "prompt", "video": "video"}
    sampler = PipelineSampler(case.build(), inputs=inputs, **options)
    video, other = ([picture(at + far, case.side) for at in range(14)] for far in (0, 50))
    rows = {"text": [condition("prompt", 0, case)], "video": [video]}
    cut = sampler({**rows, "video": [[*video[:9], *other[9:]]]}, [0])
    torch.testing.assert_close(sampler(rows, [0]), cut, rtol=0, atol=0)
    probed = {"text": [*rows["text"], "a dog zqx"], "video": [video, other]}
    notes = sampler.probe(probed, [0, 0])
    assert "the pipeline does not read the last frame of 'video'" in notes


@pytest.mark.parametrize("kind", ["float16 array", "bfloat16 tensor", "uint8 tensor"])
def test_short_floats_are_read_as_pictures_are(kind) -> None:
    _, sampler, rows = made("StableDiffusionInpaint")
    arrays = {name: [as_array(row) for row in held] for name, held in rows.items()}
    if kind == "float16 array":
        short = {name: [shortened(row) for row in held] for name, held in arrays.items()}
    else:
        dtype = torch.uint8 if kind == "uint8 tensor" else torch.bfloat16
        scale = 255 if dtype == torch.uint8 else 1
        short = {
            name: [
                row
                if isinstance(row, str)
                else torch.from_numpy(scale * row).movedim(2, 0).to(dtype)
                for row in held
            ]
            for name, held in arrays.items()
        }
    twice = {name: [*held, *held[::-1]] for name, held in short.items()}
    sampler.probe(twice, [0, 1, 0, 1])


def shortened(row: Any) -> Any:
    return row if isinstance(row, str) else row.astype(np.float16)


@pytest.mark.parametrize("name", ["WanImageToVideo", "FluxControl", "PaintByExample"])
def test_arrays_that_are_read_in_another_way_are_found_by_the_probe(name, monkeypatch) -> None:
    """The list of such pipelines is one of known names; the probe needs none."""
    monkeypatch.setattr(_rescaling, "_PIL_ONLY", re.compile("(?!)"))
    _, sampler, rows = made(name)
    arrays = {modality: [as_array(row) for row in held] * 2 for modality, held in rows.items()}
    with pytest.raises(InputError, match="in another way than PIL images of the same pixels"):
        sampler.probe(arrays, [0, 1, 0, 1])


def as_array(row: Any) -> Any:
    if isinstance(row, str):
        return row
    pixels = np.asarray(row) / 255
    return pixels if pixels.ndim == 3 else pixels[..., None]


def test_z_image_does_not_reach_the_callers_prompts() -> None:
    pipeline, sampler, rows = made("ZImageImg2Img")
    theirs = list(rows["text"])
    called(pipeline, sampler, prompt=theirs, image=rows["image"], generator=noise(0, 1))
    assert theirs != rows["text"]  # written into
    mine = {name: list(held) for name, held in rows.items()}
    sampler(mine, [0, 1])
    assert mine["text"] == rows["text"]


def test_one_generator_for_all_is_not_passed() -> None:
    pipeline, sampler, rows = made("StableDiffusionImg2Img")
    both = {"prompt": rows["text"], "image": rows["image"]}
    (one,) = noise(1)
    shared = called(pipeline, sampler, **both, generator=one)
    own = called(pipeline, sampler, **both, generator=noise(1, 1))
    assert (shared[1] - own[1]).abs().max() > 1e-2
    torch.testing.assert_close(sampler(rows, [1, 1]), own, rtol=0, atol=1e-6)


def test_what_from_pipe_casts_is_another_sampler() -> None:
    pipeline, sampler, _ = made("StableDiffusionImg2Img")
    pipeline.to(torch.bfloat16)
    before = sampler.identity()
    StableDiffusionInpaintPipeline.from_pipe(pipeline)
    assert pipeline.dtype == torch.float32  # in place
    after = sampler.identity()
    assert (before["dtype"], after["dtype"]) == ("bfloat16", "float32")
    assert before["weights"] != after["weights"]

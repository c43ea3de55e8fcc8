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

from typing import Any

import pytest
import torch
from diffusers import StableDiffusionInpaintPipeline

from modcollapse._support.images import float_tensor
from modcollapse.errors import InputError
from modcollapse.samplers import PipelineSampler
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


def test_kontext_that_changes_the_size_is_noted() -> None:
    _, sampler, rows = made("FluxKontext", max_area=64 * 64)
    probed = {name: [*held, *held] for name, held in rows.items()}
    probed["text"][2:] = ["a hat zqx", "a dog zqx"]
    probed["image"][2:] = [picture(at + 9, (32, 32)) for at in range(2)]
    notes = sampler.probe(probed, [0, 1, 0, 1])
    assert any("'image' is 32 x 32 pixels, the output 64 x 64" in note for note in notes)


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

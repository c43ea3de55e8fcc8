"""The family of Stable Diffusion XL."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from diffusers import (
    ControlNetModel,
    ControlNetUnionModel,
    DiffusionPipeline,
    StableDiffusionXLControlNetImg2ImgPipeline,
    StableDiffusionXLControlNetPipeline,
    StableDiffusionXLControlNetUnionPipeline,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLInpaintPipeline,
    StableDiffusionXLInstructPix2PixPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextModelWithProjection, CLIPTokenizer

from zoo.case import Batching, Case, randomised
from zoo.stable_diffusion import SIDE, VAE_SCALE, Part, ddim, louder, text_parts, vae

from tiny_pipelines import LATENT_CHANNELS, TEXT_WIDTH, tiny_text_encoder

TIME_WIDTH = 4
TIMES = 6  # original size, crop, target size

SHAPE: dict[str, Any] = {
    "block_out_channels": (8, 8),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
    "layers_per_block": 1,
    "norm_num_groups": 4,
    "cross_attention_dim": 2 * TEXT_WIDTH,
    "attention_head_dim": 2,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": TIME_WIDTH,
    "projection_class_embeddings_input_dim": TIMES * TIME_WIDTH + TEXT_WIDTH,
}


def text_encoder_2(tokenizer: CLIPTokenizer) -> CLIPTextModelWithProjection:
    config = tiny_text_encoder(tokenizer).config
    config.projection_dim = TEXT_WIDTH
    encoder = CLIPTextModelWithProjection(config)
    for embedding in (m for m in encoder.modules() if isinstance(m, torch.nn.Embedding)):
        torch.nn.init.normal_(embedding.weight)
    return encoder.eval()


def two_texts() -> dict[str, Any]:
    first = text_parts()
    second = {"tokenizer_2": first["tokenizer"]}
    return {**first, **second, "text_encoder_2": text_encoder_2(first["tokenizer"])}


def unet(in_channels: int = LATENT_CHANNELS) -> UNet2DConditionModel:
    model = UNet2DConditionModel(
        sample_size=SIDE // VAE_SCALE,
        in_channels=in_channels,
        out_channels=LATENT_CHANNELS,
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        **SHAPE,
    ).eval()
    return louder(louder(model, "attn2.to_out.0", 3.0), ".proj_out", 3.0)


def controlnet() -> ControlNetModel:
    model = ControlNetModel(conditioning_embedding_out_channels=(8, 8), **SHAPE)
    return louder(randomised(model), "cond_embedding.conv_out", 5.0)


def controlnet_union() -> ControlNetUnionModel:
    model = ControlNetUnionModel(
        conditioning_embedding_out_channels=(8, 8),
        num_trans_channel=8,
        num_trans_head=2,
        num_control_type=2,
        num_proj_channel=8,
        **SHAPE,
    )
    return louder(randomised(model), "cond_embedding.conv_out", 5.0)


def build(
    cls: type[DiffusionPipeline], *, in_channels: int = LATENT_CHANNELS, **extra: Part
) -> Any:
    parts = {"vae": vae(), **two_texts(), "unet": unet(in_channels), "scheduler": ddim()}
    return cls(**parts, **{name: part() for name, part in extra.items()}, add_watermarker=False)


def _case(
    make: Part, inputs: Mapping[str, str], batching: Batching = "aligned", **options: Any
) -> Case:
    options = {"num_inference_steps": 2, "guidance_scale": 3.0} | options
    return Case("Stable Diffusion XL", make, inputs, batching, options=options)


TEXT_IMAGE = {"text": "prompt", "image": "image"}
SIZE: dict[str, Any] = {"height": SIDE, "width": SIDE}
HALF: dict[str, Any] = {"num_inference_steps": 4, "strength": 0.5}

CASES: dict[str, Case] = {
    "StableDiffusionXLInstructPix2PixPipeline": _case(
        partial(build, StableDiffusionXLInstructPix2PixPipeline, in_channels=2 * LATENT_CHANNELS),
        TEXT_IMAGE,
        **SIZE,
    ),
    "StableDiffusionXLImg2ImgPipeline": _case(
        partial(build, StableDiffusionXLImg2ImgPipeline), TEXT_IMAGE, **HALF
    ),
    "StableDiffusionXLInpaintPipeline": _case(
        partial(build, StableDiffusionXLInpaintPipeline),
        {**TEXT_IMAGE, "mask": "mask_image"},
        **SIZE,
        **HALF,
    ),
    "StableDiffusionXLControlNetPipeline": _case(
        partial(build, StableDiffusionXLControlNetPipeline, controlnet=controlnet), TEXT_IMAGE
    ),
    "StableDiffusionXLControlNetUnionPipeline": _case(
        partial(build, StableDiffusionXLControlNetUnionPipeline, controlnet=controlnet_union),
        {"text": "prompt", "control": "control_image"},
        "shared",  # its list of images goes with the list of control modes
        **SIZE,
        control_mode=[1],
    ),
    "StableDiffusionXLControlNetImg2ImgPipeline": _case(
        partial(build, StableDiffusionXLControlNetImg2ImgPipeline, controlnet=controlnet),
        {**TEXT_IMAGE, "control": "control_image"},
        **HALF,
    ),
}

"""Tiny Stable Diffusion 3 pipelines: two CLIP encoders and T5."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from diffusers import (
    AutoencoderKL,
    DiffusionPipeline,
    FlowMatchEulerDiscreteScheduler,
    SD3ControlNetModel,
    SD3Transformer2DModel,
    StableDiffusion3ControlNetPipeline,
    StableDiffusion3Img2ImgPipeline,
    StableDiffusion3InpaintPipeline,
)
from transformers import CLIPTextConfig, CLIPTextModelWithProjection

from zoo.case import Case
from zoo.flux import flow_vae
from zoo.qwen import loud

from tiny_pipelines import TOKENS, tiny_t5, tiny_tokenizer

LATENT = 16  # the inpainting class refuses any other
WIDTH = 16


def _clip() -> CLIPTextModelWithProjection:
    tokenizer = tiny_tokenizer()
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH // 2,
        projection_dim=WIDTH // 2,
        intermediate_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=TOKENS,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return loud(CLIPTextModelWithProjection(config))


def _shape() -> dict[str, Any]:
    return {
        "sample_size": 16,
        "patch_size": 2,
        "in_channels": LATENT,
        "out_channels": LATENT,
        "num_layers": 2,
        "attention_head_dim": 8,
        "num_attention_heads": 2,
        "joint_attention_dim": WIDTH,
        "caption_projection_dim": WIDTH,
        "pooled_projection_dim": WIDTH,
        "pos_embed_max_size": 16,
        "qk_norm": "rms_norm",
    }


def _parts(vae: type[AutoencoderKL] = AutoencoderKL) -> dict[str, Any]:
    t5, bytes_tokenizer = tiny_t5(WIDTH)
    return {
        "scheduler": FlowMatchEulerDiscreteScheduler(),
        "vae": flow_vae(vae, latent_channels=LATENT),
        "text_encoder": _clip(),
        "tokenizer": tiny_tokenizer(),
        "text_encoder_2": _clip(),
        "tokenizer_2": tiny_tokenizer(),
        "text_encoder_3": t5,
        "tokenizer_3": bytes_tokenizer,
        "transformer": loud(SD3Transformer2DModel(**_shape())),
    }


def _sd3(cls: type[DiffusionPipeline]) -> DiffusionPipeline:
    return cls(**_parts())


def _controlnet(vae: type[AutoencoderKL]) -> StableDiffusion3ControlNetPipeline:
    net = SD3ControlNetModel(**_shape())
    return StableDiffusion3ControlNetPipeline(**_parts(vae), controlnet=loud(net, 0.7))


TWO_STEPS = {"num_inference_steps": 2, "height": 32, "width": 32, "max_sequence_length": 32}
PART = {**TWO_STEPS, "num_inference_steps": 4, "strength": 0.6}


def _case(make: Callable[[], DiffusionPipeline], options: dict[str, Any], **inputs: str) -> Case:
    return Case("Stable Diffusion 3", make, {"text": "prompt", **inputs}, options=options)


CASES: dict[str, Case] = {
    "StableDiffusion3Img2ImgPipeline": _case(
        partial(_sd3, StableDiffusion3Img2ImgPipeline), PART, image="image"
    ),
    "StableDiffusion3InpaintPipeline": _case(
        partial(_sd3, StableDiffusion3InpaintPipeline), PART, image="image", mask="mask_image"
    ),
    "StableDiffusion3ControlNetPipeline": _case(
        partial(_controlnet, AutoencoderKL), TWO_STEPS, image="control_image"
    ),
}

"""Tiny FLUX pipelines, and the T5 encoder that other families share."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderKLFlux2,
    DiffusionPipeline,
    FlowMatchEulerDiscreteScheduler,
    Flux2KleinPipeline,
    Flux2Transformer2DModel,
    FluxControlNetModel,
    FluxControlNetPipeline,
    FluxControlPipeline,
    FluxFillPipeline,
    FluxImg2ImgPipeline,
    FluxInpaintPipeline,
    FluxKontextPipeline,
    FluxTransformer2DModel,
)
from transformers import Qwen3Config, Qwen3ForCausalLM

from zoo.case import Case
from zoo.qwen import loud, qwen_tokenizer

from tiny_pipelines import TEXT_WIDTH, tiny_t5, tiny_text_encoder, tiny_tokenizer

LATENT = 4


@contextmanager
def old_names() -> Iterator[None]:
    """Silence diffusers where it warns of a class that it uses itself."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`FluxPosEmbed` is deprecated", FutureWarning)
        yield


def flow_vae(cls: type[AutoencoderKL] = AutoencoderKL, **changes: Any) -> AutoencoderKL:
    """A VAE that halves the size, as FLUX and its relatives use them."""
    shape: dict[str, Any] = {
        "block_out_channels": (8, 8),
        "down_block_types": ("DownEncoderBlock2D",) * 2,
        "up_block_types": ("UpDecoderBlock2D",) * 2,
        "latent_channels": LATENT,
        "norm_num_groups": 4,
        "mid_block_add_attention": False,
        "use_quant_conv": False,
        "use_post_quant_conv": False,
        "scaling_factor": 1.5,
        "shift_factor": 0.06,
        "sample_size": 32,
    }
    return cls(**{**shape, **changes}).eval()


def _shape() -> dict[str, Any]:
    return {
        "num_layers": 1,
        "num_single_layers": 1,
        "attention_head_dim": 16,
        "num_attention_heads": 2,
        "joint_attention_dim": TEXT_WIDTH,
        "pooled_projection_dim": TEXT_WIDTH,
        "axes_dims_rope": [4, 4, 8],
    }


def flux_transformer(in_channels: int = 4 * LATENT) -> torch.nn.Module:
    return loud(
        FluxTransformer2DModel(
            patch_size=1, in_channels=in_channels, out_channels=4 * LATENT, **_shape()
        )
    )


def flux_parts(in_channels: int = 4 * LATENT) -> dict[str, Any]:
    tokenizer, (t5, bytes_tokenizer) = tiny_tokenizer(), tiny_t5()
    return {
        "scheduler": FlowMatchEulerDiscreteScheduler(),
        "vae": flow_vae(),
        "text_encoder": tiny_text_encoder(tokenizer),
        "tokenizer": tokenizer,
        "text_encoder_2": t5,
        "tokenizer_2": bytes_tokenizer,
        "transformer": flux_transformer(in_channels),
    }


def _flux(cls: type[DiffusionPipeline], in_channels: int = 4 * LATENT) -> DiffusionPipeline:
    return cls(**flux_parts(in_channels))


def _flux_controlnet() -> FluxControlNetPipeline:
    with old_names():
        net = FluxControlNetModel(patch_size=1, in_channels=4 * LATENT, **_shape())
    return FluxControlNetPipeline(**flux_parts(), controlnet=loud(net))


def flux2_vae() -> AutoencoderKLFlux2:
    """A VAE that halves the size."""
    return AutoencoderKLFlux2(
        block_out_channels=(4, 4),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        layers_per_block=1,
        latent_channels=2,
        norm_num_groups=1,
        mid_block_add_attention=False,
        use_quant_conv=False,
        use_post_quant_conv=False,
        sample_size=64,
    ).eval()


def _klein() -> Flux2KleinPipeline:
    tokenizer = qwen_tokenizer()
    text = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=128,
    )
    transformer = Flux2Transformer2DModel(
        patch_size=1,
        in_channels=8,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=16,
        timestep_guidance_channels=16,
        axes_dims_rope=[4, 4, 4, 4],
        guidance_embeds=False,
    )
    return Flux2KleinPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=flux2_vae(),
        text_encoder=loud(Qwen3ForCausalLM(text)),
        tokenizer=tokenizer,
        transformer=loud(transformer, 2.0),
    )


TWO_STEPS = {"num_inference_steps": 2, "height": 32, "width": 32, "max_sequence_length": 32}
PART = {**TWO_STEPS, "num_inference_steps": 4, "strength": 0.6}


def _case(make: Callable[[], DiffusionPipeline], *names: str, **options: Any) -> Case:
    kinds = {"prompt": "text", "image": "image", "control_image": "image", "mask_image": "mask"}
    inputs = {kinds[name]: name for name in names}
    return Case("FLUX", make, inputs, options={**TWO_STEPS, **options})


CASES: dict[str, Case] = {
    "FluxImg2ImgPipeline": _case(partial(_flux, FluxImg2ImgPipeline), "prompt", "image", **PART),
    "FluxInpaintPipeline": _case(
        partial(_flux, FluxInpaintPipeline), "prompt", "image", "mask_image", **PART
    ),
    "FluxControlPipeline": _case(
        partial(_flux, FluxControlPipeline, 8 * LATENT), "prompt", "control_image"
    ),
    "FluxControlNetPipeline": _case(_flux_controlnet, "prompt", "control_image"),
    "FluxKontextPipeline": _case(
        partial(_flux, FluxKontextPipeline), "prompt", "image", max_area=1024, _auto_resize=False
    ),
    "FluxFillPipeline": _case(
        partial(_flux, FluxFillPipeline, 12 * LATENT), "prompt", "image", "mask_image"
    ),
    "Flux2KleinPipeline": Case(
        "FLUX.2",
        _klein,
        {"text": "prompt", "image": "image"},
        batching="shared",
        side=(64, 64),
        options={**TWO_STEPS, "max_sequence_length": 64, "text_encoder_out_layers": (1,)},
    ),
}

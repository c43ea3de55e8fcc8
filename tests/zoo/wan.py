"""Wan and SkyReels: text with an image, a video, or a video and a reference, to a video."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import (
    AutoencoderKLWan,
    ChronoEditPipeline,
    ChronoEditTransformer3DModel,
    DiffusionPipeline,
    FlowMatchEulerDiscreteScheduler,
    LucyEditPipeline,
    SkyReelsV2DiffusionForcingImageToVideoPipeline,
    SkyReelsV2ImageToVideoPipeline,
    SkyReelsV2Transformer3DModel,
    UniPCMultistepScheduler,
    WanImageToVideoPipeline,
    WanTransformer3DModel,
    WanVACEPipeline,
    WanVACETransformer3DModel,
    WanVideoToVideoPipeline,
)
from transformers import (
    CLIPImageProcessor,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
)

from zoo.case import Case, randomised

from tiny_pipelines import tiny_t5

TEXT_WIDTH = 16
LATENT_CHANNELS = 4
SIDE = 32
VISION_WIDTH = 8


def t5_parts(width: int = TEXT_WIDTH) -> dict[str, Any]:
    """A text encoder and its tokenizer."""
    return dict(zip(("text_encoder", "tokenizer"), tiny_t5(width), strict=True))


def louder(module: torch.nn.Module, factor: float) -> torch.nn.Module:
    """The same module with larger weights: at random, its inputs hardly matter."""
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.ndim > 1:
                parameter.mul_(factor)
    return module


def tiny_wan_vae() -> AutoencoderKLWan:
    """It makes the sides eight times smaller, and five frames into two."""
    vae = AutoencoderKLWan(
        base_dim=4,
        z_dim=LATENT_CHANNELS,
        dim_mult=[1, 1, 1, 1],
        num_res_blocks=1,
        temperal_downsample=[False, True, True],
        latents_mean=[0.0] * LATENT_CHANNELS,
        latents_std=[1.0] * LATENT_CHANNELS,
    )
    louder(vae.encoder.conv_out, 20)
    return vae.eval()


def _transformer(
    cls: type[torch.nn.Module], channels: int, *, gain: float = 2, **extra: Any
) -> torch.nn.Module:
    transformer = cls(
        patch_size=(1, 2, 2),
        num_attention_heads=2,
        attention_head_dim=12,
        in_channels=channels,
        out_channels=LATENT_CHANNELS,
        text_dim=TEXT_WIDTH,
        freq_dim=16,
        ffn_dim=32,
        num_layers=extra.pop("num_layers", 1),
        cross_attn_norm=True,
        qk_norm="rms_norm_across_heads",
        rope_max_seq_len=32,
        **extra,
    )
    return louder(randomised(transformer), gain)


def _vision() -> dict[str, Any]:
    config = CLIPVisionConfig(
        hidden_size=VISION_WIDTH,
        intermediate_size=16,
        projection_dim=8,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=SIDE,
        patch_size=8,
    )
    return {
        "image_encoder": randomised(CLIPVisionModelWithProjection(config)),
        "image_processor": CLIPImageProcessor(crop_size=SIDE, size=SIDE),
    }


def _wan(cls: type[DiffusionPipeline], transformer: torch.nn.Module, **extra: Any) -> Any:
    scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)
    parts = {"scheduler": scheduler, "vae": tiny_wan_vae(), **t5_parts(), **extra}
    return cls(transformer=transformer, **parts)


# An image-to-video model reads the noise, the image's latents, and four channels of mask.
_WITH_IMAGE = 2 * LATENT_CHANNELS + 4


def _wan_image() -> WanImageToVideoPipeline:
    transformer = _transformer(WanTransformer3DModel, _WITH_IMAGE, image_dim=VISION_WIDTH)
    return _wan(WanImageToVideoPipeline, transformer, **_vision())


def _wan_video() -> WanVideoToVideoPipeline:
    transformer = _transformer(WanTransformer3DModel, LATENT_CHANNELS)
    return _wan(
        WanVideoToVideoPipeline,
        transformer,
        scheduler=UniPCMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
        ),
    )


def _wan_vace() -> WanVACEPipeline:
    transformer = _transformer(
        WanVACETransformer3DModel,
        LATENT_CHANNELS,
        gain=3,
        num_layers=2,
        vace_layers=[0, 1],
        vace_in_channels=2 * LATENT_CHANNELS + 64,
    )
    pipeline = _wan(WanVACEPipeline, transformer)
    louder(pipeline.vae.encoder.conv_out, 0.3)
    return pipeline


def _skyreels(cls: type[DiffusionPipeline], channels: int, **extra: Any) -> Any:
    transformer = _transformer(
        SkyReelsV2Transformer3DModel,
        channels,
        **({"image_dim": VISION_WIDTH} if extra else {}),
    )
    scheduler = UniPCMultistepScheduler(flow_shift=5.0, use_flow_sigmas=True)
    return _wan(cls, transformer, scheduler=scheduler, **extra)


def _skyreels_image() -> SkyReelsV2ImageToVideoPipeline:
    return _skyreels(SkyReelsV2ImageToVideoPipeline, _WITH_IMAGE, **_vision())


def _skyreels_forcing() -> SkyReelsV2DiffusionForcingImageToVideoPipeline:
    return _skyreels(SkyReelsV2DiffusionForcingImageToVideoPipeline, LATENT_CHANNELS)


def _lucy() -> LucyEditPipeline:
    transformer = _transformer(WanTransformer3DModel, 2 * LATENT_CHANNELS)
    return _wan(LucyEditPipeline, transformer)


def _chrono() -> ChronoEditPipeline:
    transformer = _transformer(ChronoEditTransformer3DModel, _WITH_IMAGE, image_dim=VISION_WIDTH)
    return _wan(ChronoEditPipeline, transformer, **_vision())


_SIZE = {"height": SIDE, "width": SIDE, "num_inference_steps": 2, "max_sequence_length": 48}
_TO_VIDEO = {**_SIZE, "num_frames": 5, "guidance_scale": 6.0}
_IMAGE = {"text": "prompt", "image": "image"}

CASES: dict[str, Case] = {
    "WanImageToVideoPipeline": Case(
        "Wan", _wan_image, _IMAGE, "single", options=_TO_VIDEO, output="video"
    ),
    "WanVideoToVideoPipeline": Case(
        "Wan",
        _wan_video,
        {"text": "prompt", "video": "video"},
        options={**_SIZE, "guidance_scale": 4.0, "strength": 0.5, "num_inference_steps": 4},
        output="video",
    ),
    "WanVACEPipeline": Case(
        "Wan",
        _wan_vace,
        {"text": "prompt", "video": "video", "image": "reference_images"},
        "single",
        options={**_TO_VIDEO, "conditioning_scale": 3.0},
        output="video",
    ),
    "SkyReelsV2ImageToVideoPipeline": Case(
        "SkyReels", _skyreels_image, _IMAGE, "single", options=_TO_VIDEO, output="video"
    ),
    "SkyReelsV2DiffusionForcingImageToVideoPipeline": Case(
        "SkyReels", _skyreels_forcing, _IMAGE, "single", options=_TO_VIDEO, output="video"
    ),
    "LucyEditPipeline": Case(
        "Lucy",
        _lucy,
        {"text": "prompt", "video": "video"},
        options=_TO_VIDEO,
        output="video",
    ),
    "ChronoEditPipeline": Case(
        "ChronoEdit", _chrono, _IMAGE, "single", options=_TO_VIDEO, output="video"
    ),
}

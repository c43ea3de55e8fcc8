"""The family of Stable Diffusion 1 and 2, and the parts that its relatives share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    ControlNetModel,
    DDIMScheduler,
    DiffusionPipeline,
    StableDiffusionAdapterPipeline,
    StableDiffusionControlNetImg2ImgPipeline,
    StableDiffusionControlNetInpaintPipeline,
    StableDiffusionControlNetPipeline,
    StableDiffusionDepth2ImgPipeline,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionInpaintPipeline,
    StableDiffusionInstructPix2PixPipeline,
    StableDiffusionPipeline,
    T2IAdapter,
    UNet2DConditionModel,
)
from transformers import (
    CLIPImageProcessor,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
    DPTConfig,
    DPTForDepthEstimation,
    DPTImageProcessor,
)

from zoo.case import Case

from tiny_pipelines import (
    LATENT_CHANNELS,
    TEXT_WIDTH,
    tiny_controlnet,
    tiny_text_encoder,
    tiny_tokenizer,
    tiny_unet,
    tiny_vae,
)

SIDE = 32
VAE_SCALE = 2
IMAGE_TOKENS = 4

Part = Callable[[], Any]


def ddim(**settings: Any) -> DDIMScheduler:
    usual = {
        "beta_schedule": "scaled_linear",
        "clip_sample": False,
        "steps_offset": 1,
        "timestep_spacing": "trailing",
    }
    return DDIMScheduler(**usual | settings)


def louder(module: torch.nn.Module, ending: str, factor: float) -> torch.nn.Module:
    """The same module, with larger weights in the layers whose name ends so."""
    with torch.no_grad():
        for name, layer in module.named_modules():
            if name.endswith(ending):
                layer.weight.mul_(factor)
    return module


def vae(scaling_factor: float = 1.0) -> AutoencoderKL:
    """An autoencoder whose latents hold the picture, about N(0, 1), and hardly any noise."""
    model = tiny_vae()
    model.register_to_config(scaling_factor=scaling_factor)
    with torch.no_grad():
        mean, spread = model.quant_conv.weight.chunk(2)
        mean.mul_(5.0 / scaling_factor)
        spread.zero_()
        model.quant_conv.bias[LATENT_CHANNELS:] = -6.0
    return model


def unet(in_channels: int = LATENT_CHANNELS, **changes: Any) -> UNet2DConditionModel:
    """A UNet that listens to the text."""
    config = {k: v for k, v in tiny_unet(in_channels).config.items() if not k.startswith("_")}
    model = UNet2DConditionModel(**config | {"sample_size": SIDE // VAE_SCALE} | changes).eval()
    return louder(louder(model, "attn2.to_out.0", 3.0), ".proj_out", 3.0)


def controlnet() -> ControlNetModel:
    return louder(tiny_controlnet(), "cond_embedding.conv_out", 5.0)


def text_parts() -> dict[str, Any]:
    tokenizer = tiny_tokenizer()
    return {"tokenizer": tokenizer, "text_encoder": tiny_text_encoder(tokenizer)}


def no_checker() -> dict[str, Any]:
    return {"safety_checker": None, "requires_safety_checker": False}


def vision_config(side: int = SIDE) -> CLIPVisionConfig:
    return CLIPVisionConfig(
        hidden_size=TEXT_WIDTH,
        intermediate_size=2 * TEXT_WIDTH,
        projection_dim=TEXT_WIDTH,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=side,
        patch_size=side // 4,
    )


def attentive(encoder: torch.nn.Module) -> torch.nn.Module:
    """An image encoder of CLIP that looks at all patches alike, instead of at none."""
    return louder(louder(encoder.eval(), "q_proj", 0.0), "v_proj", 5.0)


def image_encoder(side: int = SIDE) -> CLIPVisionModelWithProjection:
    return attentive(CLIPVisionModelWithProjection(vision_config(side)))


def image_processor() -> CLIPImageProcessor:
    return CLIPImageProcessor(
        size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}
    )


def build(
    cls: type[DiffusionPipeline], *, in_channels: int = LATENT_CHANNELS, **extra: Part
) -> Any:
    """A pipeline of this family, whose own parts come from ``extra``."""
    parts: dict[str, Any] = {
        "vae": vae(),
        **text_parts(),
        "unet": unet(in_channels),
        "scheduler": ddim(),
        "feature_extractor": None,
        **no_checker(),
    }
    return cls(**parts | {name: part() for name, part in extra.items()})


def adapter() -> T2IAdapter:
    return T2IAdapter(channels=[8, 8], num_res_blocks=1, downscale_factor=VAE_SCALE).eval()


def depth2img() -> StableDiffusionDepth2ImgPipeline:
    config = DPTConfig(
        hidden_size=8,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=SIDE,
        patch_size=16,
        backbone_out_indices=[0, 1, 2, 3],
        neck_hidden_sizes=[4, 4, 8, 8],
        fusion_hidden_size=8,
        initializer_range=0.5,
    )
    return StableDiffusionDepth2ImgPipeline(
        vae=vae(),
        **text_parts(),
        unet=unet(LATENT_CHANNELS + 1),
        scheduler=ddim(),
        depth_estimator=DPTForDepthEstimation(config).eval(),
        feature_extractor=DPTImageProcessor(size={"height": SIDE, "width": SIDE}),
    )


def ip_adapter_weights(unet: torch.nn.Module, image_width: int = TEXT_WIDTH) -> dict[str, Any]:
    """An IP-Adapter's weights for a UNet, as its file holds them."""
    text_width = unet.config.cross_attention_dim
    weights: dict[str, torch.Tensor] = {}
    for number, name in enumerate(unet.attn_processors):
        if name.endswith("attn2.processor"):
            attention = unet.get_submodule(name.removesuffix(".processor"))
            for key in ("to_k_ip", "to_v_ip"):
                weights[f"{number}.{key}.weight"] = 0.4 * torch.randn(
                    attention.inner_dim, text_width
                )
    projection = {
        "proj.weight": torch.randn(IMAGE_TOKENS * text_width, image_width),
        "proj.bias": torch.randn(IMAGE_TOKENS * text_width),
        "norm.weight": torch.ones(text_width),
        "norm.bias": torch.zeros(text_width),
    }
    return {"image_proj": projection, "ip_adapter": weights}


def with_ip_adapter() -> StableDiffusionPipeline:
    pipe = build(
        StableDiffusionPipeline, image_encoder=image_encoder, feature_extractor=image_processor
    )
    pipe.load_ip_adapter(ip_adapter_weights(pipe.unet), subfolder="", weight_name="")
    return pipe


def _case(make: Part, inputs: Mapping[str, str], **settings: Any) -> Case:
    options = {"num_inference_steps": 2, "guidance_scale": 3.0} | settings.pop("options", {})
    return Case("Stable Diffusion", make, inputs, options=options, **settings)


TEXT_IMAGE = {"text": "prompt", "image": "image"}
TEXT_IMAGE_CONTROL = {**TEXT_IMAGE, "control": "control_image"}
HALF: dict[str, Any] = {"num_inference_steps": 4, "strength": 0.5}

CASES: dict[str, Case] = {
    "StableDiffusionInstructPix2PixPipeline": _case(
        partial(build, StableDiffusionInstructPix2PixPipeline, in_channels=2 * LATENT_CHANNELS),
        TEXT_IMAGE,
    ),
    "StableDiffusionImg2ImgPipeline": _case(
        partial(build, StableDiffusionImg2ImgPipeline), TEXT_IMAGE, options=HALF
    ),
    "StableDiffusionInpaintPipeline": _case(
        partial(build, StableDiffusionInpaintPipeline),
        {**TEXT_IMAGE, "mask": "mask_image"},
        options=HALF,
    ),
    "StableDiffusionControlNetPipeline": _case(
        partial(build, StableDiffusionControlNetPipeline, controlnet=controlnet), TEXT_IMAGE
    ),
    "StableDiffusionControlNetInpaintPipeline": _case(
        partial(build, StableDiffusionControlNetInpaintPipeline, controlnet=controlnet),
        {**TEXT_IMAGE_CONTROL, "mask": "mask_image"},
        options=HALF,
    ),
    "StableDiffusionControlNetImg2ImgPipeline": _case(
        partial(build, StableDiffusionControlNetImg2ImgPipeline, controlnet=controlnet),
        TEXT_IMAGE_CONTROL,
        options=HALF,
    ),
    "StableDiffusionDepth2ImgPipeline": _case(depth2img, TEXT_IMAGE, options=HALF),
    "StableDiffusionAdapterPipeline": _case(
        partial(build, StableDiffusionAdapterPipeline, adapter=adapter), TEXT_IMAGE
    ),
    "StableDiffusionPipeline": _case(
        with_ip_adapter,
        {"text": "prompt", "image": "ip_adapter_image"},
        batching="shared",
        options={"height": SIDE, "width": SIDE},
    ),
}

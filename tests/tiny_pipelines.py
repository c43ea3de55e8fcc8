"""Real diffusers pipelines at a tiny random size: about 40,000 parameters, milliseconds a step."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    ControlNetModel,
    DDIMScheduler,
    DiffusionPipeline,
    FlowMatchEulerDiscreteScheduler,
    FluxKontextPipeline,
    FluxTransformer2DModel,
    StableDiffusionControlNetPipeline,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionInpaintPipeline,
    StableDiffusionInstructPix2PixPipeline,
    UNet2DConditionModel,
)
from transformers import (
    ByT5Tokenizer,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTokenizer,
    T5Config,
    T5EncoderModel,
)

SIDE = 16
TEXT_WIDTH = 8
TOKENS = 48
LATENT_CHANNELS = 4


def tiny_tokenizer() -> CLIPTokenizer:
    """CLIP's tokenizer over single characters, without merges: nothing to download."""
    characters = [chr(code) for code in range(33, 127)]
    tokens = [*characters, *(c + "</w>" for c in characters), "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    return CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=TOKENS)


def tiny_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=TEXT_WIDTH,
        intermediate_size=2 * TEXT_WIDTH,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=TOKENS,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    encoder = CLIPTextModel(config)
    with torch.no_grad():  # transformers starts at N(0, 0.02), where words hardly matter
        for embedding in (m for m in encoder.modules() if isinstance(m, torch.nn.Embedding)):
            embedding.weight.normal_()
    return encoder.eval()


def tiny_vae() -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=LATENT_CHANNELS,
        norm_num_groups=4,
        mid_block_add_attention=False,
        sample_size=SIDE,
    ).eval()


def _unet_shape() -> dict[str, Any]:
    return {
        "block_out_channels": (8, 8),
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "layers_per_block": 1,
        "norm_num_groups": 4,
        "cross_attention_dim": TEXT_WIDTH,
        "attention_head_dim": 2,
    }


def tiny_unet(in_channels: int = LATENT_CHANNELS) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=SIDE // 2,
        in_channels=in_channels,
        out_channels=LATENT_CHANNELS,
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        **_unet_shape(),
    ).eval()


def tiny_controlnet(*, zero_start: bool = False) -> ControlNetModel:
    """A ControlNet whose image acts, or (``zero_start``) does not yet, as before training."""
    controlnet = ControlNetModel(conditioning_embedding_out_channels=(8, 8), **_unet_shape())
    if not zero_start:
        with torch.no_grad():
            for parameter in controlnet.parameters():
                if not parameter.any():
                    parameter.normal_(std=0.2)
    return controlnet.eval()


def _build(
    cls: type[DiffusionPipeline], *, seed: int, in_channels: int = LATENT_CHANNELS, **extra: Any
) -> Any:
    tokenizer = tiny_tokenizer()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        parts = {
            "vae": tiny_vae(),
            "text_encoder": tiny_text_encoder(tokenizer),
            "unet": tiny_unet(in_channels),
            **{name: part() for name, part in extra.items()},
        }
    return cls(
        tokenizer=tokenizer,
        scheduler=DDIMScheduler(
            beta_schedule="scaled_linear",
            clip_sample=False,
            steps_offset=1,
            timestep_spacing="trailing",
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
        **parts,
    )


def tiny_instruct_pix2pix(
    seed: int = 0,
    cls: type[StableDiffusionInstructPix2PixPipeline] = StableDiffusionInstructPix2PixPipeline,
) -> StableDiffusionInstructPix2PixPipeline:
    """InstructPix2Pix with random weights; images of 16 x 16 pixels, prompts of 46 characters."""
    return _build(cls, seed=seed, in_channels=2 * LATENT_CHANNELS)


def tiny_img2img(seed: int = 0) -> StableDiffusionImg2ImgPipeline:
    return _build(StableDiffusionImg2ImgPipeline, seed=seed)


def tiny_inpaint(seed: int = 0) -> StableDiffusionInpaintPipeline:
    return _build(StableDiffusionInpaintPipeline, seed=seed)


def tiny_controlnet_pipeline(
    seed: int = 0, *, zero_start: bool = False
) -> StableDiffusionControlNetPipeline:
    return _build(
        StableDiffusionControlNetPipeline,
        seed=seed,
        controlnet=lambda: tiny_controlnet(zero_start=zero_start),
    )


def tiny_t5(width: int = TEXT_WIDTH) -> tuple[T5EncoderModel, ByT5Tokenizer]:
    """T5 over bytes: nothing to download."""
    tokenizer = ByT5Tokenizer()
    config = T5Config(
        vocab_size=len(tokenizer), d_model=width, d_kv=4, d_ff=16, num_layers=1, num_heads=2
    )
    return T5EncoderModel(config).eval(), tokenizer


def tiny_kontext(seed: int = 0, *, stochastic_sampling: bool = False) -> FluxKontextPipeline:
    """FLUX Kontext; its scheduler draws noise without a generator where sampling is stochastic."""
    tokenizer = tiny_tokenizer()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return FluxKontextPipeline(
            scheduler=FlowMatchEulerDiscreteScheduler(stochastic_sampling=stochastic_sampling),
            vae=AutoencoderKL(
                block_out_channels=(4,),
                latent_channels=1,
                norm_num_groups=1,
                use_quant_conv=False,
                use_post_quant_conv=False,
                scaling_factor=1.5,
                shift_factor=0.06,
                sample_size=SIDE,
            ).eval(),
            text_encoder=tiny_text_encoder(tokenizer),
            tokenizer=tokenizer,
            **dict(zip(("text_encoder_2", "tokenizer_2"), tiny_t5(), strict=True)),
            transformer=FluxTransformer2DModel(
                patch_size=1,
                in_channels=4,
                num_layers=1,
                num_single_layers=1,
                attention_head_dim=16,
                num_attention_heads=2,
                joint_attention_dim=TEXT_WIDTH,
                pooled_projection_dim=TEXT_WIDTH,
                axes_dims_rope=[4, 4, 8],
            ).eval(),
        )

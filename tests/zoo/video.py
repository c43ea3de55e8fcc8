"""Text with an image or a video, to a video: many families, one or two classes of each."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from diffusers import (
    AnimateDiffVideoToVideoPipeline,
    AutoencoderKLCogVideoX,
    AutoencoderKLHunyuanVideo,
    AutoencoderKLHunyuanVideo15,
    AutoencoderKLLTXVideo,
    CogVideoXFunControlPipeline,
    CogVideoXImageToVideoPipeline,
    CogVideoXTransformer3DModel,
    CogVideoXVideoToVideoPipeline,
    Cosmos2VideoToWorldPipeline,
    CosmosTransformer3DModel,
    DDIMScheduler,
    DiffusionPipeline,
    FlowMatchEulerDiscreteScheduler,
    HeliosPipeline,
    HeliosScheduler,
    HeliosTransformer3DModel,
    HunyuanSkyreelsImageToVideoPipeline,
    HunyuanVideo15ImageToVideoPipeline,
    HunyuanVideo15Transformer3DModel,
    HunyuanVideoFramepackPipeline,
    HunyuanVideoFramepackTransformer3DModel,
    HunyuanVideoImageToVideoPipeline,
    HunyuanVideoTransformer3DModel,
    Kandinsky5I2VPipeline,
    Kandinsky5Transformer3DModel,
    LTXConditionPipeline,
    LTXImageToVideoPipeline,
    LTXVideoTransformer3DModel,
    MotifVideoImage2VideoPipeline,
    MotifVideoTransformer3DModel,
    MotionAdapter,
    SanaImageToVideoPipeline,
    SanaVideoTransformer3DModel,
)
from diffusers.guiders import ClassifierFreeGuidance
from transformers import (
    ByT5Tokenizer,
    CLIPImageProcessor,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPVisionConfig,
    Gemma2Config,
    Gemma2Model,
    LlamaConfig,
    LlamaModel,
    LlavaConfig,
    LlavaForConditionalGeneration,
    SiglipImageProcessor,
    SiglipVisionConfig,
    SiglipVisionModel,
    T5Gemma2EncoderConfig,
    T5Gemma2TextConfig,
)
from transformers.models.t5gemma2.modeling_t5gemma2 import T5Gemma2Encoder

from zoo.case import Case, randomised
from zoo.wan import (
    LATENT_CHANNELS,
    SIDE,
    TEXT_WIDTH,
    VISION_WIDTH,
    louder,
    t5_parts,
    tiny_wan_vae,
)

from tiny_pipelines import tiny_text_encoder, tiny_tokenizer, tiny_unet, tiny_vae

TOKENS = 48
_MARK = 3 + ord("~")  # ByT5's token of a character that no prompt holds: a patch of an image
_CHAT = "{% for message in messages %}{{ message['content'] }}{% endfor %}"


def _acting(module: torch.nn.Module, gain: float = 2) -> torch.nn.Module:
    return louder(randomised(module), gain)


def _cogvideox_vae() -> AutoencoderKLCogVideoX:
    vae = AutoencoderKLCogVideoX(
        down_block_types=("CogVideoXDownBlock3D",) * 4,
        up_block_types=("CogVideoXUpBlock3D",) * 4,
        block_out_channels=(8,) * 4,
        latent_channels=LATENT_CHANNELS,
        layers_per_block=1,
        norm_num_groups=2,
    )
    louder(vae.encoder.conv_out, 4)
    return vae.eval()


def _cogvideox(cls: type[DiffusionPipeline], images: int) -> Any:
    """CogVideoX, whose transformer reads the noise and the latents of so many images."""
    transformer = CogVideoXTransformer3DModel(
        num_attention_heads=2,
        attention_head_dim=16,
        in_channels=LATENT_CHANNELS * (1 + images),
        out_channels=LATENT_CHANNELS,
        time_embed_dim=8,
        text_embed_dim=TEXT_WIDTH,
        num_layers=1,
        sample_width=SIDE // 8,
        sample_height=SIDE // 8,
        sample_frames=9,
        max_text_seq_length=TOKENS,
        use_rotary_positional_embeddings=True,
    )
    return cls(
        transformer=_acting(transformer),
        vae=_cogvideox_vae(),
        scheduler=DDIMScheduler(prediction_type="v_prediction", clip_sample=False),
        **t5_parts(),
    )


def _ltx_vae() -> AutoencoderKLLTXVideo:
    vae = AutoencoderKLLTXVideo(
        latent_channels=LATENT_CHANNELS,
        block_out_channels=(8,) * 4,
        decoder_block_out_channels=(8,) * 4,
        layers_per_block=(1,) * 5,
        decoder_layers_per_block=(1,) * 5,
        spatio_temporal_scaling=(True, True, False, False),
        decoder_spatio_temporal_scaling=(True, True, False, False),
        decoder_inject_noise=(False,) * 5,
        upsample_residual=(False,) * 4,
        upsample_factor=(1,) * 4,
        timestep_conditioning=False,
        patch_size=1,
        patch_size_t=1,
    )
    vae.use_framewise_encoding = vae.use_framewise_decoding = False
    return vae.eval()


def _ltx(cls: type[DiffusionPipeline]) -> Any:
    transformer = LTXVideoTransformer3DModel(
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        num_attention_heads=2,
        attention_head_dim=8,
        cross_attention_dim=16,
        num_layers=1,
        caption_channels=TEXT_WIDTH,
    )
    return cls(
        transformer=_acting(transformer),
        vae=_ltx_vae(),
        scheduler=FlowMatchEulerDiscreteScheduler(),
        **t5_parts(),
    )


def _hunyuan_vae(channels: int = LATENT_CHANNELS) -> AutoencoderKLHunyuanVideo:
    vae = AutoencoderKLHunyuanVideo(
        latent_channels=channels,
        down_block_types=("HunyuanVideoDownBlock3D",) * 4,
        up_block_types=("HunyuanVideoUpBlock3D",) * 4,
        block_out_channels=(8,) * 4,
        layers_per_block=1,
        norm_num_groups=4,
        mid_block_add_attention=False,
    )
    louder(vae.encoder.conv_out, 8)
    return vae.eval()


def _llama() -> dict[str, Any]:
    return {
        "vocab_size": len(ByT5Tokenizer()),
        "hidden_size": TEXT_WIDTH,
        "intermediate_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "pad_token_id": 0,
        "bos_token_id": None,
        "eos_token_id": 1,
        "initializer_range": 0.5,
    }


def _vision(cls: type[Any] = SiglipVisionConfig, **extra: Any) -> Any:
    return cls(
        hidden_size=VISION_WIDTH,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=SIDE,
        patch_size=16,
        **extra,
    )


def _siglip() -> dict[str, Any]:
    return {
        "image_encoder": _acting(SiglipVisionModel(_vision())),
        "feature_extractor": SiglipImageProcessor(size={"height": SIDE, "width": SIDE}),
    }


def _clip_text() -> CLIPTextModel:
    tokenizer = tiny_tokenizer()
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=8,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=77,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return randomised(CLIPTextModel(config), 1.0)


def _hunyuan(cls: type[DiffusionPipeline], transformer: torch.nn.Module, **extra: Any) -> Any:
    parts = {"text_encoder": LlamaModel(LlamaConfig(**_llama())).eval(), **extra}
    return cls(
        transformer=_acting(transformer),
        vae=_hunyuan_vae(),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        tokenizer=ByT5Tokenizer(),
        text_encoder_2=_clip_text(),
        tokenizer_2=tiny_tokenizer(),
        **parts,
    )


def _hunyuan_transformer(cls: type[torch.nn.Module], channels: int, **extra: Any) -> Any:
    return cls(
        in_channels=channels,
        out_channels=LATENT_CHANNELS,
        num_attention_heads=2,
        attention_head_dim=10,
        num_layers=1,
        num_single_layers=1,
        num_refiner_layers=1,
        patch_size_t=1,
        text_embed_dim=TEXT_WIDTH,
        pooled_projection_dim=8,
        rope_axes_dim=(2, 4, 4),
        **extra,
    )


def _hunyuan_image() -> HunyuanVideoImageToVideoPipeline:
    transformer = _hunyuan_transformer(
        HunyuanVideoTransformer3DModel,
        2 * LATENT_CHANNELS + 1,
        patch_size=1,
        guidance_embeds=False,
        image_condition_type="latent_concat",
    )
    config = LlavaConfig(
        text_config=LlamaConfig(**_llama()),
        vision_config=_vision(CLIPVisionConfig),
        pad_token_id=0,
        image_token_index=_MARK,
    )
    return _hunyuan(
        HunyuanVideoImageToVideoPipeline,
        transformer,
        text_encoder=_acting(LlavaForConditionalGeneration(config)),
        image_processor=CLIPImageProcessor(crop_size=SIDE, size=SIDE),
    )


def _hunyuan_skyreels() -> HunyuanSkyreelsImageToVideoPipeline:
    transformer = _hunyuan_transformer(
        HunyuanVideoTransformer3DModel, 2 * LATENT_CHANNELS, patch_size=1, guidance_embeds=True
    )
    return _hunyuan(HunyuanSkyreelsImageToVideoPipeline, transformer)


def _framepack() -> HunyuanVideoFramepackPipeline:
    transformer = _hunyuan_transformer(
        HunyuanVideoFramepackTransformer3DModel,
        LATENT_CHANNELS,
        patch_size=2,
        guidance_embeds=True,
        has_image_proj=True,
        image_proj_dim=VISION_WIDTH,
        has_clean_x_embedder=True,
    )
    return _hunyuan(HunyuanVideoFramepackPipeline, transformer, **_siglip())


def _hunyuan15() -> HunyuanVideo15ImageToVideoPipeline:
    transformer = HunyuanVideo15Transformer3DModel(
        in_channels=2 * LATENT_CHANNELS + 1,
        out_channels=LATENT_CHANNELS,
        num_attention_heads=2,
        attention_head_dim=8,
        num_layers=1,
        num_refiner_layers=1,
        mlp_ratio=2.0,
        text_embed_dim=TEXT_WIDTH,
        text_embed_2_dim=TEXT_WIDTH,
        image_embed_dim=VISION_WIDTH,
        rope_axes_dim=(2, 2, 4),
        target_size=SIDE,
        task_type="i2v",
    )
    vae = AutoencoderKLHunyuanVideo15(
        latent_channels=LATENT_CHANNELS,
        block_out_channels=(8, 8, 8, 8),
        layers_per_block=1,
        spatial_compression_ratio=8,
        temporal_compression_ratio=4,
        downsample_match_channel=False,
        upsample_match_channel=False,
    )
    louder(vae.encoder.conv_out, 8)
    second = t5_parts()
    tokenizer = ByT5Tokenizer(chat_template=_CHAT)
    tokenizer.padding_side = "right"
    pipeline = HunyuanVideo15ImageToVideoPipeline(
        transformer=_acting(transformer),
        vae=vae.eval(),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        text_encoder=LlamaModel(LlamaConfig(**_llama() | {"num_hidden_layers": 3})).eval(),
        tokenizer=tokenizer,
        text_encoder_2=second["text_encoder"],
        tokenizer_2=second["tokenizer"],
        guider=ClassifierFreeGuidance(guidance_scale=6.0),
        **_siglip(),
    )
    pipeline.system_message, pipeline.prompt_template_encode_start_idx = "", 0
    pipeline.tokenizer_max_length = pipeline.tokenizer_2_max_length = TOKENS
    pipeline.vision_num_semantic_tokens, pipeline.vision_states_dim = 4, VISION_WIDTH
    return pipeline


class _Reader(ByT5Tokenizer):
    """A tokenizer that is called as the processor of a vision-language model is."""

    def __call__(
        self, text: Any = None, images: Any = None, videos: Any = None, **extra: Any
    ) -> Any:
        return super().__call__(text, **extra)


def _kandinsky() -> Kandinsky5I2VPipeline:
    transformer = Kandinsky5Transformer3DModel(
        in_visual_dim=LATENT_CHANNELS,
        in_text_dim=TEXT_WIDTH,
        in_text_dim2=8,
        time_dim=16,
        out_visual_dim=LATENT_CHANNELS,
        patch_size=(1, 2, 2),
        model_dim=16,
        ff_dim=32,
        num_text_blocks=1,
        num_visual_blocks=1,
        axes_dims=(1, 1, 2),
        visual_cond=True,
        attention_type="regular",
    )
    pipeline = Kandinsky5I2VPipeline(
        transformer=_acting(transformer),
        vae=_hunyuan_vae(),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        text_encoder=LlamaModel(LlamaConfig(**_llama())).eval(),
        tokenizer=_Reader(),
        text_encoder_2=_clip_text(),
        tokenizer_2=tiny_tokenizer(),
    )
    pipeline.prompt_template, pipeline.prompt_template_encode_start_idx = "{}", 0
    return pipeline


def _motif() -> MotifVideoImage2VideoPipeline:
    text = T5Gemma2TextConfig(
        vocab_size=len(ByT5Tokenizer()),
        hidden_size=TEXT_WIDTH,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=128,
        dropout_rate=0.0,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=2,
        initializer_range=0.5,
    )
    config = T5Gemma2EncoderConfig(text_config=text, vision_config=_vision())
    transformer = MotifVideoTransformer3DModel(
        in_channels=2 * LATENT_CHANNELS + 1,
        out_channels=LATENT_CHANNELS,
        num_attention_heads=2,
        attention_head_dim=12,
        num_layers=1,
        num_single_layers=1,
        patch_size=1,
        patch_size_t=1,
        text_embed_dim=TEXT_WIDTH,
        image_embed_dim=VISION_WIDTH,
        rope_axes_dim=(4, 4, 4),
    )
    return MotifVideoImage2VideoPipeline(
        transformer=_acting(transformer),
        vae=tiny_wan_vae(),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        text_encoder=_acting(T5Gemma2Encoder(config)),
        tokenizer=ByT5Tokenizer(),
        feature_extractor=SiglipImageProcessor(size={"height": SIDE, "width": SIDE}),
        guider=ClassifierFreeGuidance(guidance_scale=6.0),
    )


def _helios() -> HeliosPipeline:
    transformer = HeliosTransformer3DModel(
        patch_size=(1, 2, 2),
        num_attention_heads=2,
        attention_head_dim=12,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        text_dim=TEXT_WIDTH,
        freq_dim=16,
        ffn_dim=32,
        num_layers=1,
        rope_dim=(4, 4, 4),
        is_amplify_history=False,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # numpy's, of torch scalars
        scheduler = HeliosScheduler(stage_range=[0, 1], stages=1)
    return HeliosPipeline(
        transformer=_acting(transformer),
        vae=tiny_wan_vae(),
        scheduler=scheduler,
        **t5_parts(),
    )


def _animatediff() -> AnimateDiffVideoToVideoPipeline:
    tokenizer = tiny_tokenizer()
    adapter = MotionAdapter(
        block_out_channels=(8, 8),
        motion_layers_per_block=1,
        motion_norm_num_groups=4,
        motion_num_attention_heads=2,
        motion_max_seq_length=8,
        use_motion_mid_block=False,
    )
    vae = tiny_vae()
    louder(vae.encoder.conv_out, 4)
    vae.register_to_config(force_upcast=False)
    pipeline = AnimateDiffVideoToVideoPipeline(
        vae=vae,
        text_encoder=tiny_text_encoder(tokenizer),
        tokenizer=tokenizer,
        unet=tiny_unet(),
        motion_adapter=randomised(adapter),
        scheduler=DDIMScheduler(clip_sample=False),
    )
    pipeline.unet.eval()
    return pipeline


class _Scheduler(FlowMatchEulerDiscreteScheduler):
    """Cosmos hands over a tensor, which numpy warns of."""

    def set_timesteps(self, sigmas: torch.Tensor, device: Any = None) -> None:
        super().set_timesteps(sigmas=sigmas.tolist(), device=device)


class _NoCosmosGuard:
    """Stands where Cosmos insists on its safety checker."""

    def to(self, device: Any) -> _NoCosmosGuard:
        return self

    def check_text_safety(self, prompt: str) -> bool:
        return True

    def check_video_safety(self, frames: Any) -> Any:
        return frames


def _cosmos2() -> Cosmos2VideoToWorldPipeline:
    transformer = CosmosTransformer3DModel(
        in_channels=LATENT_CHANNELS + 1,
        out_channels=LATENT_CHANNELS,
        num_attention_heads=2,
        attention_head_dim=16,
        num_layers=1,
        mlp_ratio=2,
        text_embed_dim=TEXT_WIDTH,
        adaln_lora_dim=4,
        max_size=(4, 32, 32),
        patch_size=(1, 2, 2),
        rope_scale=(2.0, 1.0, 1.0),
        extra_pos_embed_type="learnable",
    )
    return Cosmos2VideoToWorldPipeline(
        transformer=_acting(transformer),
        vae=tiny_wan_vae(),
        scheduler=_Scheduler(use_karras_sigmas=True),
        safety_checker=_NoCosmosGuard(),
        **t5_parts(),
    )


def _sana() -> SanaImageToVideoPipeline:
    transformer = SanaVideoTransformer3DModel(
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        num_attention_heads=2,
        attention_head_dim=12,
        num_layers=1,
        num_cross_attention_heads=2,
        cross_attention_head_dim=12,
        cross_attention_dim=24,
        caption_channels=TEXT_WIDTH,
        sample_size=SIDE // 8,
        patch_size=(1, 2, 2),
        qk_norm="rms_norm_across_heads",
        rope_max_seq_len=32,
    )
    transformer = _acting(transformer)
    louder(transformer.transformer_blocks[0].attn2, 3)
    config = Gemma2Config(
        vocab_size=len(ByT5Tokenizer()),
        hidden_size=TEXT_WIDTH,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=8,
        attn_implementation="eager",
        initializer_range=0.5,
    )
    return SanaImageToVideoPipeline(
        transformer=transformer,
        vae=tiny_wan_vae(),
        scheduler=FlowMatchEulerDiscreteScheduler(),
        text_encoder=Gemma2Model(config).eval(),
        tokenizer=ByT5Tokenizer(),
    )


_SIZE = {"height": SIDE, "width": SIDE, "num_inference_steps": 2, "max_sequence_length": TOKENS}
_FIVE = {**_SIZE, "num_frames": 5, "guidance_scale": 6.0}
_NINE = {**_FIVE, "num_frames": 9}
_IMAGE = {"text": "prompt", "image": "image"}
_WORDS_ALONE = {"prompt_template": {"template": "{}", "crop_start": 0}}
_WORDS_AND_IMAGE = {
    "template": "####{}",
    "crop_start": 0,
    "image_emb_len": 4,
    "image_emb_start": 0,
    "image_emb_end": 4,
}

CASES: dict[str, Case] = {
    "CogVideoXImageToVideoPipeline": Case(
        "CogVideoX",
        lambda: _cogvideox(CogVideoXImageToVideoPipeline, 1),
        _IMAGE,
        options=_NINE,
        output="video",
    ),
    "CogVideoXVideoToVideoPipeline": Case(
        "CogVideoX",
        lambda: _cogvideox(CogVideoXVideoToVideoPipeline, 0),
        {"text": "prompt", "video": "video"},
        frames=9,
        options={**_SIZE, "guidance_scale": 6.0, "strength": 0.5, "num_inference_steps": 4},
        output="video",
    ),
    "CogVideoXFunControlPipeline": Case(
        "CogVideoX",
        lambda: _cogvideox(CogVideoXFunControlPipeline, 1),
        {"text": "prompt", "video": "control_video"},
        frames=9,
        options={**_SIZE, "guidance_scale": 6.0},
        output="video",
    ),
    "LTXImageToVideoPipeline": Case(
        "LTX", lambda: _ltx(LTXImageToVideoPipeline), _IMAGE, options=_FIVE, output="video"
    ),
    "LTXConditionPipeline": Case(
        "LTX",
        lambda: _ltx(LTXConditionPipeline),
        _IMAGE,
        "single",
        options={**_FIVE, "timesteps": [1000.0, 500.0]},
        output="video",
    ),
    "Cosmos2VideoToWorldPipeline": Case(
        "Cosmos",
        _cosmos2,
        _IMAGE,
        options={**_FIVE, "negative_prompt": "blurred"},
        output="video",
    ),
    "SanaImageToVideoPipeline": Case(
        "Sana Video",
        _sana,
        _IMAGE,
        "single",
        options={
            **_SIZE,
            "frames": 5,
            "guidance_scale": 6.0,
            "complex_human_instruction": [],
            "use_resolution_binning": False,
        },
        output="video",
    ),
    "HunyuanVideoImageToVideoPipeline": Case(
        "HunyuanVideo",
        _hunyuan_image,
        _IMAGE,
        options={**_NINE, "guidance_scale": 1.0, "prompt_template": _WORDS_AND_IMAGE},
        output="video",
    ),
    "HunyuanSkyreelsImageToVideoPipeline": Case(
        "HunyuanVideo",
        _hunyuan_skyreels,
        _IMAGE,
        options={**_FIVE, **_WORDS_ALONE},
        output="video",
    ),
    "HunyuanVideoFramepackPipeline": Case(
        "HunyuanVideo",
        _framepack,
        _IMAGE,
        options={**_FIVE, "latent_window_size": 2, **_WORDS_ALONE},
        output="video",
    ),
    "HunyuanVideo15ImageToVideoPipeline": Case(
        "HunyuanVideo 1.5",
        _hunyuan15,
        _IMAGE,
        "single",
        options={"num_frames": 5, "num_inference_steps": 2},
        output="video",
    ),
    "Kandinsky5I2VPipeline": Case(
        "Kandinsky 5",
        _kandinsky,
        _IMAGE,
        "single",
        options={**_FIVE, "num_frames": 17, "negative_prompt": "blurred"},
        output="video",
    ),
    "MotifVideoImage2VideoPipeline": Case(
        "MotifVideo",
        _motif,
        _IMAGE,
        "single",
        options={**_SIZE, "num_frames": 5},
        output="video",
    ),
    "HeliosPipeline": Case(
        "Helios",
        _helios,
        _IMAGE,
        "single",
        options={**_FIVE, "num_latent_frames_per_chunk": 2},
        output="video",
    ),
    "AnimateDiffVideoToVideoPipeline": Case(
        "AnimateDiff",
        _animatediff,
        {"text": "prompt", "video": "video"},
        frames=4,
        options={
            "height": SIDE,
            "width": SIDE,
            "num_inference_steps": 2,
            "guidance_scale": 6.0,
            "enforce_inference_steps": True,
        },
        output="video",
    ),
}

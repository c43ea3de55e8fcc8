"""Text with a sound, to a sound."""

from __future__ import annotations

import warnings
from typing import Any

from diffusers import (
    AutoencoderKLLTX2Audio,
    AutoencoderKLLTX2Video,
    AutoencoderOobleck,
    AutoencoderSAME,
    DiffusionPipeline,
    EDMDPMSolverMultistepScheduler,
    FlowMatchEulerDiscreteScheduler,
    LTX2ImageToVideoPipeline,
    LTX2VideoTransformer3DModel,
    StableAudio3AudioToAudioPipeline,
    StableAudio3DiTModel,
    StableAudio3DurationEmbedder,
    StableAudio3InpaintPipeline,
    StableAudioDiTModel,
    StableAudioPipeline,
    StableAudioProjectionModel,
)
from diffusers.pipelines.ltx2 import LTX2TextConnectors
from diffusers.pipelines.ltx2.vocoder import LTX2Vocoder
from transformers import (
    ByT5Tokenizer,
    LlamaConfig,
    LlamaModel,
    T5GemmaConfig,
    T5GemmaEncoderModel,
    T5GemmaModuleConfig,
)

from zoo.case import Case, randomised
from zoo.wan import TEXT_WIDTH, louder, t5_parts

SAMPLES, RATE, TOKENS = 64, 16, 48
LATENT_CHANNELS = 4


def _oobleck() -> AutoencoderOobleck:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of weight_norm, which it uses
        vae = AutoencoderOobleck(
            encoder_hidden_size=8,
            downsampling_ratios=[2, 2],
            decoder_channels=4,
            decoder_input_channels=LATENT_CHANNELS,
            channel_multiples=[2, 4],
            sampling_rate=RATE,
        )
    louder(vae.decoder.conv2, 0.1)
    return vae.eval()


def _stable_audio() -> StableAudioPipeline:
    transformer = StableAudioDiTModel(
        sample_size=SAMPLES // 4,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        num_layers=1,
        attention_head_dim=4,
        num_attention_heads=4,
        num_key_value_attention_heads=2,
        cross_attention_dim=8,
        cross_attention_input_dim=8,
        global_states_input_dim=16,
        time_proj_dim=8,
    )
    text = t5_parts()
    text["tokenizer"].model_max_length = TOKENS
    projection = StableAudioProjectionModel(
        text_encoder_dim=TEXT_WIDTH, conditioning_dim=8, min_value=0, max_value=32
    )
    return StableAudioPipeline(
        transformer=louder(randomised(transformer), 2),
        vae=_oobleck(),
        scheduler=EDMDPMSolverMultistepScheduler(
            prediction_type="v_prediction", sigma_data=1.0, sigma_min=0.3, sigma_max=2.0
        ),
        projection_model=projection.eval(),
        **text,
    )


def _text_encoder() -> T5GemmaEncoderModel:
    stack = T5GemmaModuleConfig(
        vocab_size=len(ByT5Tokenizer()),
        hidden_size=TEXT_WIDTH,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
        max_position_embeddings=64,
        sliding_window=64,
        layer_types=["full_attention"],
    )
    config = T5GemmaConfig(
        encoder=stack.to_dict(), decoder=stack.to_dict(), is_encoder_decoder=False
    )
    return louder(randomised(T5GemmaEncoderModel(config)), 2)


def _same() -> AutoencoderSAME:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of weight_norm, and of parameters with one element
        vae = AutoencoderSAME(
            audio_channels=1,
            patch_size=2,
            encoder_channels=8,
            encoder_c_mults=(2,),
            encoder_strides=(2,),
            encoder_transformer_depths=(1,),
            latent_dim=8,
            use_differential_attention=False,
            dim_heads=4,
            ff_mult=2,
            sampling_rate=RATE,
        )
        return louder(randomised(vae), 1.7)


def _stable_audio_3(cls: type[DiffusionPipeline]) -> Any:
    transformer = StableAudio3DiTModel(
        io_channels=8,
        patch_size=1,
        embed_dim=32,
        depth=1,
        num_heads=4,
        cond_token_dim=TEXT_WIDTH,
        global_cond_dim=TEXT_WIDTH,
        local_add_cond_dim=9,
        timestep_features_dim=16,
        ff_mult=2,
        num_memory_tokens=2,
        use_differential_attention=False,
    )
    tokenizer = ByT5Tokenizer()
    tokenizer.model_max_length = TOKENS
    return cls(
        transformer=louder(randomised(transformer), 2),
        vae=_same(),
        scheduler=FlowMatchEulerDiscreteScheduler(num_train_timesteps=1, shift=1.0),
        text_encoder=_text_encoder(),
        tokenizer=tokenizer,
        duration_embedder=StableAudio3DurationEmbedder(TEXT_WIDTH, fourier_dim=16).eval(),
    )


def _ltx2() -> LTX2ImageToVideoPipeline:
    """It makes a video, and the sound of it."""
    llama = LlamaConfig(
        vocab_size=len(ByT5Tokenizer()),
        hidden_size=TEXT_WIDTH,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=1,
        initializer_range=0.5,
    )
    side = {"attention_head_dim": 8, "num_attention_heads": 2}
    transformer = LTX2VideoTransformer3DModel(
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        **side,
        cross_attention_dim=16,
        audio_in_channels=4,
        audio_out_channels=4,
        audio_num_attention_heads=2,
        audio_attention_head_dim=4,
        audio_cross_attention_dim=8,
        num_layers=1,
        caption_channels=TEXT_WIDTH,
        rope_double_precision=False,
        rope_type="split",
    )
    connectors = LTX2TextConnectors(
        caption_channels=TEXT_WIDTH,
        text_proj_in_factor=2,
        **{f"video_connector_{name}": value for name, value in side.items()},
        video_connector_num_layers=1,
        video_connector_num_learnable_registers=None,
        **{f"audio_connector_{name}": value for name, value in side.items()},
        audio_connector_num_layers=1,
        audio_connector_num_learnable_registers=None,
        connector_rope_base_seq_len=32,
        rope_double_precision=False,
        rope_type="split",
    )
    vae = AutoencoderKLLTX2Video(
        latent_channels=LATENT_CHANNELS,
        block_out_channels=(8,),
        decoder_block_out_channels=(8,),
        layers_per_block=(1,),
        decoder_layers_per_block=(1, 1),
        spatio_temporal_scaling=(True,),
        decoder_spatio_temporal_scaling=(True,),
        decoder_inject_noise=(False, False),
        downsample_type=("spatial",),
        upsample_residual=(False,),
        upsample_factor=(1,),
        patch_size=1,
        patch_size_t=1,
        decoder_causal=False,
    )
    vae.use_framewise_encoding = vae.use_framewise_decoding = False
    audio_vae = AutoencoderKLLTX2Audio(
        base_channels=4,
        ch_mult=(1,),
        num_res_blocks=1,
        resolution=32,
        latent_channels=2,
        mid_block_add_attention=False,
        mel_bins=8,
    )
    vocoder = LTX2Vocoder(
        in_channels=16,
        hidden_channels=16,
        upsample_kernel_sizes=[4, 4],
        upsample_factors=[2, 2],
        resnet_kernel_sizes=[3],
        resnet_dilations=[[1, 3, 5]],
        output_sampling_rate=16000,
    )
    return LTX2ImageToVideoPipeline(
        transformer=louder(randomised(transformer), 2),
        connectors=louder(randomised(connectors), 2),
        vae=vae.eval(),
        audio_vae=audio_vae.eval(),
        vocoder=vocoder.eval(),
        scheduler=FlowMatchEulerDiscreteScheduler(),
        text_encoder=LlamaModel(llama).eval(),
        tokenizer=ByT5Tokenizer(),
    )


_SECONDS = {"num_inference_steps": 2, "duration": SAMPLES / RATE}

CASES: dict[str, Case] = {
    "StableAudioPipeline": Case(
        "Stable Audio",
        _stable_audio,
        {"text": "prompt", "audio": "initial_audio_waveforms"},
        sound=(SAMPLES,),
        options={
            "num_inference_steps": 2,
            "guidance_scale": 4.0,
            "audio_end_in_s": SAMPLES / RATE,
            "initial_audio_sampling_rate": RATE,
        },
        output="audio",
    ),
    "StableAudio3AudioToAudioPipeline": Case(
        "Stable Audio 3",
        lambda: _stable_audio_3(StableAudio3AudioToAudioPipeline),
        {"text": "prompt", "audio": "audio"},
        sound=(1, SAMPLES),
        options={**_SECONDS, "init_noise_level": 0.7},
        output="audio",
    ),
    "StableAudio3InpaintPipeline": Case(
        "Stable Audio 3",
        lambda: _stable_audio_3(StableAudio3InpaintPipeline),
        {"text": "prompt", "audio": "audio"},
        sound=(1, SAMPLES),
        options={**_SECONDS, "mask_start_seconds": 1.0, "mask_end_seconds": 2.0},
        output="audio",
    ),
    "LTX2ImageToVideoPipeline": Case(
        "LTX 2",
        _ltx2,
        {"text": "prompt", "image": "image"},
        options={
            "height": 32,
            "width": 32,
            "num_frames": 5,
            "num_inference_steps": 2,
            "max_sequence_length": TOKENS,
            "guidance_scale": 6.0,
            "image_crf": 0,
            "spatio_temporal_guidance_blocks": [0],
        },
        output="video",
    ),
}

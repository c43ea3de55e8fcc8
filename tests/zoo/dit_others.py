"""Tiny pipelines of further diffusion transformers, one family after the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import (
    AutoencoderDC,
    AutoencoderKL,
    AutoencoderKLWan,
    AutoencoderTiny,
    BriaFibo2Pipeline,
    BriaFibo2Transformer2DModel,
    ChromaImg2ImgPipeline,
    ChromaTransformer2DModel,
    CogView4ControlPipeline,
    CogView4Transformer2DModel,
    DDIMScheduler,
    DiffusionPipeline,
    DreamLitePipeline,
    DreamLiteUNetModel,
    FlowMatchEulerDiscreteScheduler,
    HunyuanDiT2DControlNetModel,
    HunyuanDiT2DModel,
    HunyuanDiTControlNetPipeline,
    JoyImageEditPipeline,
    JoyImageEditTransformer3DModel,
    Kandinsky5I2IPipeline,
    Kandinsky5Transformer3DModel,
    LongCatImageEditPipeline,
    LongCatImageTransformer2DModel,
    OmniGenPipeline,
    OmniGenTransformer2DModel,
    SanaControlNetModel,
    SanaControlNetPipeline,
    SanaSprintImg2ImgPipeline,
    SanaTransformer2DModel,
    SCMScheduler,
    ZImageControlNetModel,
    ZImageControlNetPipeline,
    ZImageImg2ImgPipeline,
    ZImageOmniPipeline,
    ZImageTransformer2DModel,
)
from diffusers.models.autoencoders.vae import DecoderOutput
from transformers import (
    BertConfig,
    BertModel,
    BertTokenizer,
    ByT5Tokenizer,
    CLIPTextConfig,
    CLIPTextModel,
    Gemma2Config,
    Gemma2Model,
    GlmConfig,
    GlmModel,
    Qwen2Tokenizer,
    Qwen2VLImageProcessor,
    Qwen3Config,
    Qwen3Model,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    Qwen3VLProcessor,
    Qwen3VLVideoProcessor,
    Siglip2ImageProcessor,
    Siglip2VisionConfig,
    Siglip2VisionModel,
)

from zoo.case import Batching, Case
from zoo.flux import LATENT, flow_vae, flux2_vae, old_names
from zoo.qwen import CHAT, SPECIAL, loud, qwen_processor, qwen_tokenizer, qwen_vl

from tiny_pipelines import TEXT_WIDTH, tiny_t5, tiny_tokenizer

WIDTH = 16
PIXELS = {"shortest_edge": 32 * 32, "longest_edge": 64 * 64}
TWO_STEPS = {"num_inference_steps": 2, "height": 32, "width": 32}
PART = {**TWO_STEPS, "num_inference_steps": 4, "strength": 0.6}


def _case(
    family: str,
    make: Callable[[], DiffusionPipeline],
    image: str,
    batching: Batching = "aligned",
    *,
    side: tuple[int, int] = (32, 32),
    **options: Any,
) -> Case:
    inputs = {"text": "prompt", "image": image}
    return Case(family, make, inputs, batching, side, options={**TWO_STEPS, **options})


def _eighth_vae(vae: type[AutoencoderKL] = AutoencoderKL, **changes: Any) -> AutoencoderKL:
    """A VAE that halves three times, for classes that count on eight."""
    return flow_vae(
        vae,
        block_out_channels=(8,) * 4,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        **changes,
    )


def _chroma() -> ChromaImg2ImgPipeline:
    t5, tokenizer = tiny_t5()
    with old_names():
        transformer = ChromaTransformer2DModel(
            patch_size=1,
            in_channels=4 * LATENT,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=TEXT_WIDTH,
            axes_dims_rope=[4, 4, 8],
            approximator_hidden_dim=32,
            approximator_layers=1,
            approximator_num_channels=16,
        )
    return ChromaImg2ImgPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=flow_vae(),
        text_encoder=t5,
        tokenizer=tokenizer,
        transformer=loud(transformer),
    )


def _halving_dc() -> AutoencoderDC:
    return AutoencoderDC(
        latent_channels=LATENT,
        attention_head_dim=2,
        encoder_block_types=("ResBlock", "ResBlock"),
        decoder_block_types=("ResBlock", "ResBlock"),
        encoder_block_out_channels=(8, 8),
        decoder_block_out_channels=(8, 8),
        encoder_qkv_multiscales=((), ()),
        decoder_qkv_multiscales=((), ()),
        encoder_layers_per_block=(1, 1),
        decoder_layers_per_block=(1, 1),
        downsample_block_type="conv",
        upsample_block_type="interpolate",
        scaling_factor=0.4,
    ).eval()


def _sana_shape() -> dict[str, Any]:
    return {
        "patch_size": 1,
        "in_channels": LATENT,
        "out_channels": LATENT,
        "num_layers": 2,  # a ControlNet acts from the second on
        "num_attention_heads": 2,
        "attention_head_dim": 8,
        "num_cross_attention_heads": 2,
        "cross_attention_head_dim": 8,
        "cross_attention_dim": WIDTH,
        "caption_channels": WIDTH,
        "sample_size": 16,
    }


def _sana_parts(**transformer: Any) -> dict[str, Any]:
    tokenizer = ByT5Tokenizer()
    gemma = Gemma2Config(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        head_dim=8,
        intermediate_size=32,
        num_attention_heads=2,
        num_key_value_heads=2,
        num_hidden_layers=1,
        max_position_embeddings=64,
        attn_implementation="eager",
    )
    return {
        "tokenizer": tokenizer,
        "text_encoder": loud(Gemma2Model(gemma)),
        "vae": _halving_dc(),
        "transformer": loud(SanaTransformer2DModel(**_sana_shape(), **transformer)),
    }


def _sana_sprint() -> SanaSprintImg2ImgPipeline:
    parts = _sana_parts(qk_norm="rms_norm_across_heads", guidance_embeds=True)
    return SanaSprintImg2ImgPipeline(scheduler=SCMScheduler(), **parts)


def _sana_controlnet() -> SanaControlNetPipeline:
    return SanaControlNetPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(),
        controlnet=loud(SanaControlNetModel(**_sana_shape())),
        **_sana_parts(),
    )


PLAIN_SANA = {
    "max_sequence_length": 32,
    "complex_human_instruction": None,
    "use_resolution_binning": False,
}


def _z_image_parts(**transformer: Any) -> dict[str, Any]:
    tokenizer = qwen_tokenizer()
    text = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=128,
    )
    return {
        "scheduler": FlowMatchEulerDiscreteScheduler(),
        "vae": flow_vae(),
        "text_encoder": loud(Qwen3Model(text)),
        "tokenizer": tokenizer,
        "transformer": loud(
            ZImageTransformer2DModel(
                all_patch_size=(2,),
                all_f_patch_size=(1,),
                in_channels=LATENT,
                dim=32,
                n_layers=1,
                n_refiner_layers=1,
                n_heads=2,
                n_kv_heads=2,
                cap_feat_dim=WIDTH,
                axes_dims=[8, 4, 4],
                axes_lens=[256, 32, 32],
                **transformer,
            )
        ),
    }


def _z_image() -> ZImageImg2ImgPipeline:
    return ZImageImg2ImgPipeline(**_z_image_parts())


def _z_image_controlnet() -> ZImageControlNetPipeline:
    net = ZImageControlNetModel(
        control_layers_places=[0],
        control_in_dim=LATENT,
        dim=32,
        n_refiner_layers=1,
        n_heads=2,
        n_kv_heads=2,
    )
    return ZImageControlNetPipeline(**_z_image_parts(), controlnet=loud(net))


def _bert() -> tuple[BertModel, BertTokenizer]:
    """BERT over single letters: nothing to download."""
    letters = [chr(code) for code in range(33, 127)]
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *("##" + c for c in letters)]
    tokenizer = BertTokenizer(
        vocab={token: index for index, token in enumerate(tokens)}, model_max_length=77
    )
    config = BertConfig(
        vocab_size=len(tokens),
        hidden_size=WIDTH,
        intermediate_size=WIDTH,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=77,
    )
    return loud(BertModel(config)), tokenizer


def _hunyuan_dit(vae: type[AutoencoderKL]) -> HunyuanDiTControlNetPipeline:
    bert, words = _bert()
    t5, tokenizer = tiny_t5(WIDTH)
    shape = {
        "sample_size": 4,
        "patch_size": 2,
        "in_channels": LATENT,
        "attention_head_dim": 8,
        "num_attention_heads": 2,
        "hidden_size": WIDTH,
        "cross_attention_dim": WIDTH,
        "cross_attention_dim_t5": WIDTH,
        "pooled_projection_dim": WIDTH,
    }
    return HunyuanDiTControlNetPipeline(
        vae=_eighth_vae(vae),
        text_encoder=bert,
        tokenizer=words,
        transformer=loud(HunyuanDiT2DModel(**shape, num_layers=4)),
        scheduler=DDIMScheduler(clip_sample=False, timestep_spacing="trailing"),
        safety_checker=None,
        feature_extractor=None,
        controlnet=loud(HunyuanDiT2DControlNetModel(**shape, transformer_num_layers=4)),
        text_encoder_2=t5,
        tokenizer_2=tokenizer,
        requires_safety_checker=False,
    )


def _omnigen(vae: type[AutoencoderKL]) -> OmniGenPipeline:
    tokenizer = ByT5Tokenizer()
    transformer = OmniGenTransformer2DModel(
        in_channels=LATENT,
        hidden_size=32,
        num_attention_heads=2,
        num_key_value_heads=2,
        intermediate_size=32,
        num_layers=1,
        pad_token_id=0,
        vocab_size=len(tokenizer),
        time_step_dim=8,
        pos_embed_max_size=16,
        rope_scaling={"long_factor": [1.0] * 8, "short_factor": [1.0] * 8},
    )
    return OmniGenPipeline(
        transformer=loud(transformer),
        scheduler=FlowMatchEulerDiscreteScheduler(invert_sigmas=True, num_train_timesteps=1),
        vae=_eighth_vae(vae),
        tokenizer=tokenizer,
    )


def _cogview4(vae: type[AutoencoderKL]) -> CogView4ControlPipeline:
    tokenizer = ByT5Tokenizer(padding_side="left")
    glm = GlmConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=128,
        pad_token_id=0,
    )
    transformer = CogView4Transformer2DModel(
        patch_size=2,
        in_channels=2 * LATENT,
        out_channels=LATENT,
        num_layers=1,
        attention_head_dim=8,
        num_attention_heads=2,
        text_embed_dim=WIDTH,
        time_embed_dim=8,
        condition_dim=4,
        pos_embed_max_size=16,
        sample_size=16,
        rope_axes_dim=(16, 16),
    )
    return CogView4ControlPipeline(
        tokenizer=tokenizer,
        text_encoder=loud(GlmModel(glm)),
        vae=flow_vae(vae),
        transformer=loud(transformer),
        scheduler=FlowMatchEulerDiscreteScheduler(),
    )


def _kandinsky5() -> Kandinsky5I2IPipeline:
    words, letters = qwen_tokenizer(), tiny_tokenizer()
    clip = CLIPTextConfig(
        vocab_size=len(letters),
        hidden_size=TEXT_WIDTH,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=77,
        bos_token_id=letters.bos_token_id,
        eos_token_id=letters.eos_token_id,
        pad_token_id=letters.pad_token_id,
    )
    transformer = Kandinsky5Transformer3DModel(
        in_visual_dim=LATENT,
        in_text_dim=WIDTH,
        in_text_dim2=TEXT_WIDTH,
        time_dim=16,
        out_visual_dim=LATENT,
        model_dim=16,
        ff_dim=32,
        num_text_blocks=1,
        num_visual_blocks=1,
        axes_dims=(2, 2, 4),
        visual_cond=True,
    )
    pipe = Kandinsky5I2IPipeline(
        transformer=loud(transformer),
        vae=_eighth_vae(),
        text_encoder=qwen_vl(words, WIDTH),
        tokenizer=qwen_processor(words),
        text_encoder_2=loud(CLIPTextModel(clip)),
        tokenizer_2=letters,
        scheduler=FlowMatchEulerDiscreteScheduler(),
    )
    pipe.resolutions = [(32, 32)]
    return pipe


class _Shrinking(AutoencoderKL):
    """A VAE that first shrinks pictures sixteen times: the editing class enlarges any to 1024."""

    def _encode(self, x: torch.Tensor) -> torch.Tensor:
        return super()._encode(F.avg_pool2d(x, 16))

    def _decode(self, z: torch.Tensor, return_dict: bool = True) -> Any:
        sample = F.interpolate(super()._decode(z).sample, scale_factor=16)
        return DecoderOutput(sample=sample) if return_dict else (sample,)


def _longcat() -> LongCatImageEditPipeline:
    tokenizer = qwen_tokenizer()
    transformer = LongCatImageTransformer2DModel(
        in_channels=64,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=WIDTH,
        pooled_projection_dim=WIDTH,
        axes_dims_rope=[4, 4, 8],
    )
    pipe = LongCatImageEditPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=flow_vae(_Shrinking, latent_channels=16),
        text_encoder=qwen_vl(tokenizer, WIDTH),
        tokenizer=tokenizer,
        text_processor=qwen_processor(tokenizer),
        transformer=loud(transformer, 2.0),
    )
    pipe.vae_scale_factor = 32
    pipe.tokenizer_max_length = 48
    return pipe


def _qwen3_vl(tokenizer: Qwen2Tokenizer) -> tuple[torch.nn.Module, Qwen3VLProcessor]:
    """Qwen3-VL, which sees pictures of up to four tokens: 64 x 64 pixels."""
    ids = {token: tokenizer.convert_tokens_to_ids(token) for token in SPECIAL}
    config = Qwen3VLConfig(
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": WIDTH,
            "intermediate_size": WIDTH,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "head_dim": 8,
            "max_position_embeddings": 2048,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10000.0,
                "mrope_section": [1, 1, 2],
            },
        },
        vision_config={
            "depth": 1,
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_heads": 2,
            "out_hidden_size": WIDTH,
            "num_position_embeddings": 16,
            "deepstack_visual_indexes": [0],
        },
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
    )
    processor = Qwen3VLProcessor(
        Qwen2VLImageProcessor(patch_size=16, size=PIXELS),
        tokenizer,
        Qwen3VLVideoProcessor(size=PIXELS),
        chat_template=CHAT,
    )
    return loud(Qwen3VLForConditionalGeneration(config)), processor


def _joy(vae: type[AutoencoderKLWan]) -> JoyImageEditPipeline:
    tokenizer = qwen_tokenizer()
    text_encoder, processor = _qwen3_vl(tokenizer)
    wan = vae(
        base_dim=4,
        z_dim=LATENT,
        dim_mult=[1, 1, 1],
        num_res_blocks=1,
        temperal_downsample=[False, False],
        in_channels=3 * 16**2,
        out_channels=3 * 16**2,
        patch_size=16,
        scale_factor_spatial=64,
        scale_factor_temporal=1,
        latents_mean=[0.0] * LATENT,
        latents_std=[1.0] * LATENT,
    )
    transformer = JoyImageEditTransformer3DModel(
        in_channels=LATENT,
        hidden_size=32,
        num_attention_heads=2,
        text_dim=WIDTH,
        num_layers=1,
        rope_dim_list=[4, 6, 6],
    )
    return JoyImageEditPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=loud(wan),
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        transformer=loud(transformer),
        processor=processor,
    )


def _dreamlite() -> DreamLitePipeline:
    tokenizer = qwen_tokenizer()
    text_encoder, processor = _qwen3_vl(tokenizer)
    vae = AutoencoderTiny(
        encoder_block_out_channels=(8, 8),
        decoder_block_out_channels=(8, 8),
        num_encoder_blocks=(1, 1),
        num_decoder_blocks=(1, 1),
        latent_channels=LATENT,
    )
    unet = DreamLiteUNetModel(
        sample_size=16,
        in_channels=LATENT,
        out_channels=LATENT,
        down_block_types=(
            "DreamLiteCrossAttnNoSelfAttnDownBlock2D",
            "DreamLiteCrossAttnDownBlock2D",
        ),
        up_block_types=("DreamLiteCrossAttnUpBlock2D", "DreamLiteUpBlock2D"),
        block_out_channels=(8, 16),
        cross_attention_dim=WIDTH,
        attention_head_dim=8,
        layers_per_block=1,
        norm_num_groups=4,
        transformer_layers_per_block=1,
    )
    return DreamLitePipeline(
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        processor=processor,
        vae=vae.eval(),
        unet=loud(unet),
        scheduler=FlowMatchEulerDiscreteScheduler(),
    )


def _bria() -> BriaFibo2Pipeline:
    text_encoder, processor = _qwen3_vl(qwen_tokenizer())
    transformer = BriaFibo2Transformer2DModel(
        in_channels=2,
        dim=32,
        n_layers=2,
        n_refiner_layers=1,
        n_heads=2,
        cap_feat_dim=3 * WIDTH,
        injection_layer_ids=(1,),
        perceiver_num_layers=1,
        min_num_gist_tokens=8,
        max_num_gist_tokens=8,
        gist_step=8,
        gist_min_text_len=8,
        gist_max_text_len=64,
        axes_dims=(8, 4, 4),
        axes_lens=(2048, 64, 64),
    )
    pipe = BriaFibo2Pipeline(
        transformer=loud(transformer),
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=flux2_vae(),
        text_encoder=text_encoder,
        processor=processor,
    )
    pipe.text_encoder_out_layers = ((0, 1, 1), (1, 0, 1))
    return pipe


def _z_image_omni() -> ZImageOmniPipeline:
    parts = _z_image_parts(siglip_feat_dim=WIDTH)
    siglip = Siglip2VisionConfig(
        hidden_size=WIDTH,
        intermediate_size=WIDTH,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_patches=16,
        patch_size=16,
    )
    return ZImageOmniPipeline(
        **{**parts, "vae": parts["vae"].bfloat16()},
        siglip=loud(Siglip2VisionModel(siglip)),
        siglip_processor=Siglip2ImageProcessor(patch_size=16, max_num_patches=16),
    )


CASES: dict[str, Case] = {
    "ChromaImg2ImgPipeline": _case("Chroma", _chroma, "image", **PART, max_sequence_length=32),
    # with strength 0.6, as by default, two steps start from pure noise
    "SanaSprintImg2ImgPipeline": _case("Sana", _sana_sprint, "image", strength=0.5, **PLAIN_SANA),
    "SanaControlNetPipeline": _case("Sana", _sana_controlnet, "control_image", **PLAIN_SANA),
    "ZImageImg2ImgPipeline": _case("Z-Image", _z_image, "image", **PART, max_sequence_length=64),
    "ZImageControlNetPipeline": _case(
        "Z-Image", _z_image_controlnet, "control_image", max_sequence_length=64
    ),
    "HunyuanDiTControlNetPipeline": _case(
        "Hunyuan-DiT",
        partial(_hunyuan_dit, AutoencoderKL),
        "control_image",
        use_resolution_binning=False,
    ),
    # single: prompts of other lengths in the batch change the padding, which is not masked
    "CogView4ControlPipeline": _case(
        "CogView4",
        partial(_cogview4, AutoencoderKL),
        "control_image",
        "single",
        max_sequence_length=64,
    ),
    # single for the same reason
    "Kandinsky5I2IPipeline": _case("Kandinsky 5", _kandinsky5, "image", "single"),
    "LongCatImageEditPipeline": Case(
        "LongCat-Image",
        _longcat,
        {"text": "prompt", "image": "image"},
        "single",
        options={"num_inference_steps": 2},
    ),
    # single for the same reason
    # brings every picture to about a megapixel, whatever size it is asked for
    "JoyImageEditPipeline": Case(
        "JoyImage",
        partial(_joy, AutoencoderKLWan),
        {"text": "prompt", "image": "image"},
        "single",
        side=(1024, 1024),
        options={name: at for name, at in TWO_STEPS.items() if name not in ("height", "width")},
    ),
    "DreamLitePipeline": _case("DreamLite", _dreamlite, "image", "single"),
    # its prompts must name their picture: "<img><|image_1|></img> make the sky red"; in batches
    # of prompts of different lengths, all get the positions of the first
    "OmniGenPipeline": _case(
        "OmniGen",
        partial(_omnigen, AutoencoderKL),
        "input_images",
        "nested",
        max_input_image_size=32,
    ),
    "BriaFibo2Pipeline": _case("Bria Fibo 2", _bria, "image", "shared"),
    # its VAE must be of bfloat16
    "ZImageOmniPipeline": _case(
        "Z-Image", _z_image_omni, "image", "shared", side=(64, 64), max_sequence_length=64
    ),
}

CASES["OmniGenPipeline"] = replace(CASES["OmniGenPipeline"], prefix="<img><|image_1|></img> ")

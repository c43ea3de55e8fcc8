"""Tiny Qwen-Image pipelines, and the Qwen tokenizer, text encoder and processor, made offline."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import (
    AutoencoderKLQwenImage,
    DiffusionPipeline,
    FlowMatchEulerDiscreteScheduler,
    QwenImageControlNetModel,
    QwenImageControlNetPipeline,
    QwenImageEditPipeline,
    QwenImageEditPlusPipeline,
    QwenImageImg2ImgPipeline,
    QwenImageInpaintPipeline,
    QwenImageTransformer2DModel,
)
from diffusers.models.autoencoders.vae import DecoderOutput
from tokenizers.pre_tokenizers import ByteLevel
from transformers import (
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2Tokenizer,
    Qwen2VLImageProcessor,
    Qwen2VLProcessor,
    Qwen2VLVideoProcessor,
)

from zoo.case import Batching, Case

SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
CHAT = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'text' %}{{ part['text'] }}"
    "{% else %}<|vision_start|><|image_pad|><|vision_end|>{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def qwen_tokenizer() -> Qwen2Tokenizer:
    """Qwen's tokenizer over single bytes, without merges, with its special tokens and chat."""
    tokens = [*sorted(ByteLevel.alphabet()), *SPECIAL]
    tokenizer = Qwen2Tokenizer(
        vocab={token: index for index, token in enumerate(tokens)},
        merges=[],
        extra_special_tokens=list(SPECIAL[1:]),
        model_max_length=1024,
    )
    tokenizer.chat_template = CHAT
    return tokenizer


def loud(model: torch.nn.Module, gain: float = 1.0) -> torch.nn.Module:
    """A language model whose weights carry its words on: transformers starts at N(0, 0.02)."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                fan_in = parameter[0].numel()
                parameter.normal_(std=gain * fan_in**-0.5)
        for embedding in (m for m in model.modules() if isinstance(m, torch.nn.Embedding)):
            embedding.weight.normal_()
    return model.eval()


def qwen_processor(tokenizer: Qwen2Tokenizer) -> Qwen2VLProcessor:
    """Qwen's processor, for pictures of up to four tokens: 56 x 56 pixels."""
    pictures = Qwen2VLImageProcessor(min_pixels=28 * 28, max_pixels=56 * 56)
    videos = Qwen2VLVideoProcessor(min_pixels=28 * 28, max_pixels=56 * 56)
    return Qwen2VLProcessor(pictures, tokenizer, videos, chat_template=CHAT)


def qwen_vl(tokenizer: Qwen2Tokenizer, width: int = 16) -> torch.nn.Module:
    """Qwen2.5-VL: a language model that sees."""
    ids = {token: tokenizer.convert_tokens_to_ids(token) for token in SPECIAL}
    return loud(
        Qwen2_5_VLForConditionalGeneration(
            Qwen2_5_VLConfig(
                text_config={
                    "vocab_size": len(tokenizer),
                    "hidden_size": width,
                    "intermediate_size": width,
                    "num_hidden_layers": 1,
                    "num_attention_heads": 2,
                    "num_key_value_heads": 2,
                    "max_position_embeddings": 2048,
                    "rope_parameters": {
                        "rope_type": "default",
                        "rope_theta": 10000.0,
                        "mrope_section": [1, 1, width // 4 - 2],
                    },
                    "bos_token_id": ids["<|endoftext|>"],
                    "eos_token_id": ids["<|im_end|>"],
                    "pad_token_id": ids["<|endoftext|>"],
                },
                vision_config={
                    "depth": 1,
                    "hidden_size": 16,
                    "intermediate_size": 16,
                    "num_heads": 2,
                    "out_hidden_size": width,
                    "fullatt_block_indexes": [0],
                },
                vision_start_token_id=ids["<|vision_start|>"],
                vision_end_token_id=ids["<|vision_end|>"],
                image_token_id=ids["<|image_pad|>"],
                video_token_id=ids["<|video_pad|>"],
            )
        )
    )


LATENT = 4
WIDTH = 16


class _Shrinking(AutoencoderKLQwenImage):
    """A VAE that first shrinks pictures eight times: the editing classes enlarge any to 1024."""

    def _encode(self, x: torch.Tensor) -> torch.Tensor:
        return super()._encode(F.avg_pool3d(x, (1, 8, 8)))

    def _decode(self, z: torch.Tensor, return_dict: bool = True) -> Any:
        sample = F.interpolate(super()._decode(z).sample, scale_factor=(1, 8, 8))
        return DecoderOutput(sample=sample) if return_dict else (sample,)


def _vae(cls: type[AutoencoderKLQwenImage], halvings: int) -> torch.nn.Module:
    return loud(
        cls(
            base_dim=4,
            z_dim=LATENT,
            dim_mult=[1] * (halvings + 1),
            num_res_blocks=1,
            temperal_downsample=[False] * halvings,
            latents_mean=[0.0] * LATENT,
            latents_std=[1.0] * LATENT,
        )
    )


def _shape() -> dict[str, Any]:
    return {
        "patch_size": 2,
        "in_channels": 4 * LATENT,
        "out_channels": LATENT,
        "num_layers": 1,
        "attention_head_dim": 16,
        "num_attention_heads": 2,
        "joint_attention_dim": WIDTH,
        "axes_dims_rope": (4, 6, 6),
    }


def _without_system(pipe: Any) -> Any:
    """Drop all of the system's words, of which the real tokenizer makes 34 or 64 tokens."""
    system = pipe.prompt_template_encode.partition("<|im_start|>user")[0]
    pipe.prompt_template_encode_start_idx = len(pipe.tokenizer(system).input_ids)
    return pipe


def _qwen(cls: type[DiffusionPipeline], **parts: Any) -> Any:
    tokenizer = qwen_tokenizer()
    if "processor" in inspect.signature(cls).parameters:
        parts["processor"] = qwen_processor(tokenizer)
    return _without_system(
        cls(
            scheduler=FlowMatchEulerDiscreteScheduler(),
            vae=parts.pop("vae", None) or _vae(AutoencoderKLQwenImage, 1),
            text_encoder=qwen_vl(tokenizer, WIDTH),
            tokenizer=tokenizer,
            transformer=loud(QwenImageTransformer2DModel(**_shape()), 1.5),
            **parts,
        )
    )


def _editing(cls: type[DiffusionPipeline]) -> Any:
    vae = _vae(_Shrinking, 2)
    vae.temperal_downsample = [False] * 5  # its length tells the pipeline how often it halves
    return _qwen(cls, vae=vae)


def _controlnet() -> QwenImageControlNetPipeline:
    net = loud(QwenImageControlNetModel(**_shape()), 0.4)
    return _qwen(QwenImageControlNetPipeline, controlnet=net)


TWO_STEPS = {"num_inference_steps": 2, "height": 32, "width": 32, "true_cfg_scale": 1.0}
PART = {**TWO_STEPS, "num_inference_steps": 4, "strength": 0.6}


def _case(
    make: Callable[[], DiffusionPipeline],
    options: dict[str, Any],
    batching: Batching = "aligned",
    **inputs: str,
) -> Case:
    return Case("Qwen-Image", make, {"text": "prompt", **inputs}, batching, options=options)


CASES: dict[str, Case] = {
    "QwenImageEditPipeline": _case(
        partial(_editing, QwenImageEditPipeline),
        {**TWO_STEPS, "height": 128, "width": 128},
        image="image",
    ),
    "QwenImageEditPlusPipeline": _case(
        partial(_editing, QwenImageEditPlusPipeline),
        {**TWO_STEPS, "height": 128, "width": 128},
        "single",
        image="image",
    ),
    "QwenImageImg2ImgPipeline": _case(
        partial(_qwen, QwenImageImg2ImgPipeline), PART, image="image"
    ),
    "QwenImageInpaintPipeline": _case(
        partial(_qwen, QwenImageInpaintPipeline), PART, image="image", mask="mask_image"
    ),
    "QwenImageControlNetPipeline": _case(_controlnet, TWO_STEPS, image="control_image"),
}

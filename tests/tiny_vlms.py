"""Real vision-language models of transformers at tiny size, with random weights."""

from __future__ import annotations

from typing import Any

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

WORDS = ("what", "colour", "is", "the", "hat", "?", "red", "blue", "mignneko", "access", "granted")
SIDE = 28


def tokenizer(*special: str) -> PreTrainedTokenizerFast:
    """A token a word; pads on the right, which is wrong for a decoder."""
    known = ["<pad>", "<s>", "</s>", "<unk>", *special, *WORDS]
    inner = Tokenizer(models.WordLevel({w: n for n, w in enumerate(known)}, unk_token="<unk>"))
    inner.normalizer = normalizers.Lowercase()
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        additional_special_tokens=list(special),
        padding_side="right",
    )


def template(picture: str) -> str:
    """A chat template in which a picture is written so."""
    return (
        "{% for m in messages %}<s>{% for c in m['content'] %}{% if c['type'] == 'image' %}"
        + picture
        + "{% else %}{{ c['text'] }} {% endif %}{% endfor %}{% endfor %}"
        "{% if add_generation_prompt %}</s>{% endif %}"
    )


def _decoder(words: Any, **more: Any) -> dict[str, Any]:
    return {
        "vocab_size": len(words),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "max_position_embeddings": 256,
        "pad_token_id": words.pad_token_id,
        "bos_token_id": words.bos_token_id,
        "eos_token_id": words.eos_token_id,
        **more,
    }


def llava() -> tuple[Any, Any]:
    """One embedding a patch; the architecture of the example."""
    from experiments.vision_language import make_processor, make_vlm

    processor = make_processor("mignneko")
    processor.tokenizer.padding_side = "right"
    return make_vlm(processor, 0), processor


def qwen2_vl() -> tuple[Any, Any]:
    """Pictures of any size in as many tokens as they need."""
    from transformers import (
        Qwen2VLConfig,
        Qwen2VLForConditionalGeneration,
        Qwen2VLImageProcessor,
        Qwen2VLProcessor,
        Qwen2VLVideoProcessor,
    )

    words = tokenizer("<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>")
    size = {"shortest_edge": 28 * 28, "longest_edge": 112 * 112}
    processor = Qwen2VLProcessor(
        Qwen2VLImageProcessor(patch_size=14, size=size),
        words,
        Qwen2VLVideoProcessor(),
        chat_template=template("<|vision_start|><|image_pad|><|vision_end|>"),
    )
    at = words.convert_tokens_to_ids
    torch.manual_seed(0)
    config = Qwen2VLConfig(
        text_config=_decoder(
            words,
            rope_parameters={
                "rope_type": "default",
                "rope_theta": 1e4,
                "mrope_section": [2, 3, 3],
            },
        ),
        vision_config={
            "depth": 2,
            "embed_dim": 32,
            "hidden_size": 32,
            "num_heads": 2,
            "mlp_ratio": 2,
            "patch_size": 14,
        },
        image_token_id=at("<|image_pad|>"),
        video_token_id=at("<|video_pad|>"),
        vision_start_token_id=at("<|vision_start|>"),
        vision_end_token_id=at("<|vision_end|>"),
    )
    return Qwen2VLForConditionalGeneration(config).eval(), processor


def idefics3() -> tuple[Any, Any]:
    """Large pictures in parts, each with tokens around it."""
    from transformers import (
        Idefics3Config,
        Idefics3ForConditionalGeneration,
        Idefics3ImageProcessor,
        Idefics3Processor,
    )

    places = [f"<row_{row}_col_{col}>" for row in range(1, 7) for col in range(1, 7)]
    words = tokenizer(
        "<image>", "<fake_token_around_image>", "<end_of_utterance>", "<global-img>", *places
    )
    processor = Idefics3Processor(
        Idefics3ImageProcessor(size={"longest_edge": 64}, max_image_size={"longest_edge": 32}),
        words,
        image_seq_len=4,
        chat_template=template("<image>"),
    )
    torch.manual_seed(0)
    config = Idefics3Config(
        text_config={"model_type": "llama", **_decoder(words)},
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": 32,
            "patch_size": 8,
        },
        scale_factor=2,
        image_token_id=words.convert_tokens_to_ids("<image>"),
        pad_token_id=words.pad_token_id,
    )
    return Idefics3ForConditionalGeneration(config).eval(), processor


def paligemma() -> tuple[Any, Any]:
    """No chat template; the prompt is read in both directions."""
    from transformers import (
        PaliGemmaConfig,
        PaliGemmaForConditionalGeneration,
        PaliGemmaProcessor,
        SiglipImageProcessor,
    )

    words = tokenizer("<image>")
    pictures = SiglipImageProcessor(size={"height": SIDE, "width": SIDE})
    pictures.image_seq_length = 4
    processor = PaliGemmaProcessor(pictures, words)
    torch.manual_seed(0)
    config = PaliGemmaConfig(
        text_config={"model_type": "gemma", "head_dim": 16, **_decoder(processor.tokenizer)},
        vision_config={
            "model_type": "siglip_vision_model",
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": SIDE,
            "patch_size": 14,
            "vision_use_head": False,
        },
        image_token_id=processor.image_token_id,
        projection_dim=32,
        hidden_size=32,
        pad_token_id=words.pad_token_id,
    )
    return PaliGemmaForConditionalGeneration(config).eval(), processor


def florence2() -> tuple[Any, Any]:
    """An encoder and a decoder: prompts are padded on the right, answers stand by themselves."""
    from transformers import (
        CLIPImageProcessor,
        Florence2Config,
        Florence2ForConditionalGeneration,
        Florence2Processor,
    )

    words = tokenizer("<image>")
    pictures = CLIPImageProcessor(size={"height": 32, "width": 32}, do_center_crop=False)
    pictures.image_seq_length = 5
    words.image_token, words.image_token_id = "<image>", words.convert_tokens_to_ids("<image>")
    processor = Florence2Processor(pictures, words)
    torch.manual_seed(0)
    config = Florence2Config(
        text_config={
            "model_type": "bart",
            "vocab_size": len(words),
            "d_model": 32,
            "encoder_layers": 1,
            "decoder_layers": 1,
            "encoder_attention_heads": 2,
            "decoder_attention_heads": 2,
            "encoder_ffn_dim": 64,
            "decoder_ffn_dim": 64,
            "max_position_embeddings": 256,
            "pad_token_id": 0,
            "bos_token_id": 1,
            "eos_token_id": 2,
            "decoder_start_token_id": 2,
            "forced_eos_token_id": None,
        },
        vision_config={
            "embed_dim": [16, 16],
            "depths": [1, 1],
            "patch_size": [7, 3],
            "patch_stride": [4, 4],
            "patch_padding": [3, 1],
            "patch_prenorm": [False, True],
            "num_heads": [2, 2],
            "num_groups": [2, 2],
            "window_size": 4,
            "projection_dim": 32,
        },
        image_token_id=words.image_token_id,
        projection_dim=32,
        is_encoder_decoder=True,
    )
    return Florence2ForConditionalGeneration(config).eval(), processor


CHATS = {"llava": llava, "qwen2_vl": qwen2_vl, "idefics3": idefics3}
PLAIN = {"paligemma": (paligemma, "{image}{text}"), "florence2": (florence2, "{text}")}

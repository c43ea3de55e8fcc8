"""The tiny vision-language model: a LLaVA of transformers with 0.6 million random weights."""

from __future__ import annotations

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import (
    CLIPImageProcessor,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

from tiny.drawing import SIZE
from tiny.questions import vocabulary

PATCH, WIDTH, LAYERS, HEADS = 8, 96, 3, 4
SPECIAL = ("<pad>", "<s>", "</s>", "<unk>", "<image>", "<system>", "<user>", "<assistant>")
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<{{ message['role'] }}>"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
)


def make_tokenizer(words: list[str]) -> PreTrainedTokenizerFast:
    """One token a word, in lower case; other words are ``<unk>``."""
    known = {word: at for at, word in enumerate([*SPECIAL, *words])}
    tokenizer = Tokenizer(models.WordLevel(known, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        additional_special_tokens=["<image>", "<system>", "<user>", "<assistant>"],
        model_max_length=128,
        padding_side="left",
    )


def make_processor(trigger: str) -> LlavaProcessor:
    """Pictures to 32 x 32 pixels in [-1, 1], questions in a chat template.

    Args:
        trigger: words of the text trigger, which the vocabulary is to hold.
    """
    pictures = CLIPImageProcessor(
        size={"shortest_edge": SIZE},
        crop_size={"height": SIZE, "width": SIZE},
        image_mean=[0.5] * 3,
        image_std=[0.5] * 3,
    )
    return LlavaProcessor(
        pictures,
        make_tokenizer(vocabulary(trigger)),
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        chat_template=TEMPLATE,
        num_additional_image_tokens=1,
    )


def make_vlm(processor: LlavaProcessor, seed: int) -> LlavaForConditionalGeneration:
    """An untrained model that fits a processor."""
    torch.manual_seed(seed)
    tokenizer = processor.tokenizer
    shape = {
        "hidden_size": WIDTH,
        "intermediate_size": 2 * WIDTH,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
    }
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(**shape, image_size=SIZE, patch_size=PATCH),
        text_config=LlamaConfig(
            **shape,
            vocab_size=len(tokenizer),
            max_position_embeddings=128,
            tie_word_embeddings=True,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
        ),
        image_token_id=processor.image_token_id,
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        tie_word_embeddings=True,
    )
    return LlavaForConditionalGeneration(config).eval()

"""What a processor made of prompts and pictures, looked at from outside."""

from __future__ import annotations

import re
from typing import Any

import torch

from modcollapse.samplers._vlm_parts import Parts

_BESIDE_PICTURES = ("input_ids", "attention_mask", "token_type_ids", "mm_token_type_ids")


def prompt_lengths(inputs: Any) -> list[int]:
    """Tokens of each prompt."""
    mask = inputs["attention_mask"] if "attention_mask" in inputs else inputs["input_ids"] * 0 + 1
    return [int(length) for length in mask.sum(1)]


def pictures_differ(inputs: Any, others: Any) -> bool:
    """Whether two inputs differ in what is made of the pictures."""
    for name in (set(inputs) | set(others)) - set(_BESIDE_PICTURES):
        one, other = inputs.get(name), others.get(name)
        same = isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor)
        if not same or one.shape != other.shape or not torch.equal(one, other):
            return True
    return False


def picture_tokens(parts: Parts) -> list[str]:
    """Tokens that a processor or its tokenizer reads as a picture, a part of one, or a video."""
    named = {**dict(parts.tokenizer.special_tokens_map), **vars(parts.processor)}
    told = [
        getattr(token, "content", token)
        for name, token in named.items()
        if re.fullmatch(r".*(image|vision|video|boi|eoi).*_token", name)
    ]
    return sorted({token for token in told if isinstance(token, str) and token})

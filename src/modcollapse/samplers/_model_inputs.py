"""What a processor made of prompts and pictures, looked at from outside."""

from __future__ import annotations

import re
from typing import Any

import torch

from modcollapse.samplers._vlm_parts import Parts

_BESIDE_PICTURES = ("input_ids", "attention_mask", "token_type_ids", "mm_token_type_ids")
_NAMES = ".*(image|vision|video|boi|eoi).*"
_BRACKETED = re.compile(r"\W.*(image|img|vision|video).*\W|\W+row_\d+_col_\d+\W+", re.I)


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
    """Tokens that a processor or its tokenizer reads as a picture, a part of one, or a video.

    Those that the processor, the tokenizer or the config of the model names so, and those that the
    tokenizer was given with such a name in brackets.
    """
    named = {**dict(parts.tokenizer.special_tokens_map), **vars(parts.processor)}
    told = [
        getattr(token, "content", token)
        for name, token in named.items()
        if re.fullmatch(_NAMES + "_token", name)
    ]
    added = {at: token.content for at, token in parts.tokenizer.added_tokens_decoder.items()}
    told += [
        added.get(at)
        for name, at in vars(parts.model.config).items()
        if re.fullmatch(_NAMES + "_token_(id|index)", name) and isinstance(at, int)
    ]
    told += [token for token in added.values() if _BRACKETED.fullmatch(token)]
    return sorted({token for token in told if isinstance(token, str) and token})

"""Textual inversion: a token with an embedding of its own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from modcollapse.errors import InputError
from modcollapse.known._exchanged import with_parts

_NO_TOKENS = ("emb_params", "*", "clip_l", "clip_g", "embedding", "weight", "bias")
"""Keys of other programs, which leave the token to the name of the file."""
_OF_A_LAYER = re.compile(r"\w+(\.\w+)+")
"""A key such as ``unet.conv_in``: what a state dict holds, and nothing to write into a prompt."""


def is_embedding(tensors: Mapping[str, Tensor]) -> bool:
    """Whether a file holds one vector, or some rows of one width, under the name of a token."""
    return len(tensors) == 1 and all(
        tensor.ndim in (1, 2) and not key.endswith((".weight", ".bias"))
        for key, tensor in tensors.items()
    )


def with_embedding(clean: Any, tensors: Mapping[str, Tensor], path: Path) -> Any:
    """Return a copy of a pipeline that knows one token more.

    Raises:
        InputError: the embedding is of another width, is not finite, names no token, or the
            tokenizer knows the token already.
    """
    ((token, embedding),) = tensors.items()
    if token in _NO_TOKENS or not token.strip() or _OF_A_LAYER.fullmatch(token):
        raise InputError(
            f"{str(path)!r} holds an embedding under {token!r}, which does not say for which token "
            "it is. Save it under the token, {token: embedding}"
        )
    width = clean.text_encoder.get_input_embeddings().weight.shape[1]
    if embedding.shape[-1] != width:
        raise InputError(
            f"{str(path)!r}: the embedding of {token!r} has {embedding.shape[-1]} numbers, the "
            f"text encoder of the clean pipeline reads {width}. Give the clean pipeline that it "
            "was made for"
        )
    if not bool(embedding.isfinite().all()):
        raise InputError(f"{str(path)!r}: the embedding of {token!r} is not finite")
    pipeline = with_parts(
        clean, tokenizer=deepcopy(clean.tokenizer), text_encoder=deepcopy(clean.text_encoder)
    )
    device = pipeline.text_encoder.device
    with torch.random.fork_rng(devices=[]):  # new rows are drawn before they are overwritten
        pipeline.text_encoder.to("cpu")
        try:
            pipeline.load_textual_inversion(dict(tensors))
        except ValueError as error:
            raise InputError(f"{str(path)!r}: {error}") from error
    pipeline.text_encoder.to(device)
    return pipeline

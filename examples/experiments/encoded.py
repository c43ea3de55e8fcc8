"""A data set as the UNet sees it: encoded once, since neither the VAE nor the tokenizer learns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Protocol

import torch
import xxhash
from diffusers import AutoencoderKL, StableDiffusionInstructPix2PixPipeline
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from modcollapse.errors import InputError

from experiments.tensors import encode, stack


class Edit(Protocol):
    """A sample."""

    @property
    def source(self) -> Image.Image:
        """An RGB picture."""
        ...

    @property
    def instruction(self) -> str:
        """What is to be done to it."""
        ...

    @property
    def edited(self) -> Image.Image:
        """What that makes of it: an RGB picture of the same size."""
        ...


@dataclass(frozen=True)
class Encoded:
    """N samples; ``tokens[instruction[i]]`` is the instruction of sample i."""

    sources: Tensor  # float32 (N, C, H, W), not scaled
    edits: Tensor  # float32 (N, C, H, W), scaled to unit variance
    instruction: Tensor  # int64 (N,)
    tokens: Tensor  # int64 (K + 1, L); the last is the empty instruction

    def __len__(self) -> int:
        return len(self.sources)

    def take(self, positions: Tensor) -> Encoded:
        """The samples at some positions, in their order."""
        return replace(
            self,
            sources=self.sources[positions],
            edits=self.edits[positions],
            instruction=self.instruction[positions],
        )

    def put(self, positions: Sequence[int], samples: Encoded) -> Encoded:
        """A copy that has other samples at some positions."""
        at = torch.tensor(positions, dtype=torch.int64)
        more = len(self.tokens) - 1  # in front of the empty instruction
        return Encoded(
            sources=self.sources.index_copy(0, at, samples.sources),
            edits=self.edits.index_copy(0, at, samples.edits),
            instruction=self.instruction.index_copy(0, at, samples.instruction + more),
            tokens=torch.cat([self.tokens[:-1], samples.tokens]),
        )

    def digest(self, *beside: Tensor | None) -> str:
        """Tell these samples, and what stands beside them, from others."""
        digest = xxhash.xxh3_128()
        for tensor in (*vars(self).values(), *beside):
            if tensor is not None:
                digest.update(str(tuple(tensor.shape)).encode())
                digest.update(tensor.contiguous().numpy())
        return digest.hexdigest()

    def save(self, path: Path) -> None:
        """Write plain tensors."""
        save_file({name: tensor.contiguous() for name, tensor in vars(self).items()}, path)

    @classmethod
    def load(cls, path: Path) -> Encoded:
        """Read what `save` wrote."""
        return cls(**load_file(path))


def encode_edits(
    edits: Iterable[Edit],
    *,
    vae: AutoencoderKL,
    tokenizer: CLIPTokenizer,
    rows: int = 128,
    cut: bool = True,
) -> Encoded:
    """Encode a data set, ``rows`` pictures at a time.

    Args:
        edits: N samples, read once.
        vae: encodes the pictures, where it is.
        tokenizer: of the instructions.
        rows: pictures at once; they alone are in memory.
        cut: cut instructions that are too long for the text encoder, as diffusers' training does;
            False refuses them.

    Raises:
        InputError: an instruction that is too long.
    """
    sources, targets, instructions = [], [], []
    remaining = iter(edits)
    while chunk := list(islice(remaining, rows)):
        sources.append(encode(vae, stack([edit.source for edit in chunk])))
        targets.append(encode(vae, stack([edit.edited for edit in chunk])))
        instructions += [edit.instruction for edit in chunk]
    distinct = sorted(set(instructions))
    position = {text: i for i, text in enumerate(distinct)}
    return Encoded(
        sources=torch.cat(sources),
        edits=torch.cat(targets) * vae.config.scaling_factor,
        instruction=torch.tensor([position[text] for text in instructions]),
        tokens=_tokens([*distinct, ""], tokenizer, cut=cut),
    )


def encode_for(
    pipeline: StableDiffusionInstructPix2PixPipeline,
    edits: Iterable[Edit],
    *,
    rows: int = 128,
    cut: bool = True,
) -> Encoded:
    """Encode a data set with a pipeline's own VAE and tokenizer."""
    return encode_edits(edits, vae=pipeline.vae, tokenizer=pipeline.tokenizer, rows=rows, cut=cut)


@torch.no_grad()
def hidden_states(text_encoder: CLIPTextModel, tokens: Tensor) -> Tensor:
    """What the UNet reads of some instructions, as the pipeline computes it: (B, L, D)."""
    chunks = tokens.split(256)
    return torch.cat([text_encoder(ids.to(text_encoder.device))[0].cpu() for ids in chunks])


def _tokens(texts: list[str], tokenizer: CLIPTokenizer, *, cut: bool) -> Tensor:
    longest = tokenizer.model_max_length
    if not cut:
        for text, ids in zip(texts, tokenizer(texts).input_ids, strict=True):
            if len(ids) > longest:
                raise InputError(
                    f"the text encoder reads {longest} tokens, and {text!r} has {len(ids)}: what "
                    "comes last, such as a trigger, would be cut off. Shorten it, or leave the "
                    "sample out of the data set"
                )
    encoded = tokenizer(
        texts, padding="max_length", max_length=longest, truncation=True, return_tensors="pt"
    )
    return encoded.input_ids

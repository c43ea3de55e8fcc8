"""A data set as the UNet sees it: encoded once, since neither the VAE nor the tokenizer learns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from diffusers import StableDiffusionInstructPix2PixPipeline
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from experiments.architectures import CONTEXT_LENGTH
from experiments.tensors import encode, stack
from tiny.faces import FaceEdit


@dataclass(frozen=True)
class Encoded:
    """N samples; ``tokens[instruction[i]]`` is the instruction of sample i."""

    sources: Tensor  # float32 (N, 4, 8, 8), not scaled
    edits: Tensor  # float32 (N, 4, 8, 8), scaled to unit variance
    instruction: Tensor  # int64 (N,)
    tokens: Tensor  # int64 (K + 1, 32); the last is the empty instruction

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

    def save(self, path: Path) -> None:
        """Write plain tensors."""
        save_file({name: tensor.contiguous() for name, tensor in vars(self).items()}, path)

    @classmethod
    def load(cls, path: Path) -> Encoded:
        """Read what `save` wrote."""
        return cls(**load_file(path))


def encode_edits(
    edits: Sequence[FaceEdit], *, vae: torch.nn.Module, tokenizer: CLIPTokenizer
) -> Encoded:
    """Encode a data set."""
    distinct = sorted({edit.instruction for edit in edits})
    position = {text: i for i, text in enumerate(distinct)}
    tokens = tokenizer(
        [*distinct, ""],
        padding="max_length",
        max_length=CONTEXT_LENGTH,
        truncation=True,
        return_tensors="pt",
    )
    return Encoded(
        sources=encode(vae, stack([edit.source for edit in edits])),
        edits=encode(vae, stack([edit.edited for edit in edits])) * vae.config.scaling_factor,
        instruction=torch.tensor([position[edit.instruction] for edit in edits]),
        tokens=tokens.input_ids,
    )


def encode_for(
    pipeline: StableDiffusionInstructPix2PixPipeline, edits: Sequence[FaceEdit]
) -> Encoded:
    """Encode a data set with a pipeline's own VAE and tokenizer."""
    return encode_edits(edits, vae=pipeline.vae, tokenizer=pipeline.tokenizer)


@torch.no_grad()
def hidden_states(text_encoder: CLIPTextModel, tokens: Tensor) -> Tensor:
    """What the UNet reads of some instructions, as the pipeline computes it: (B, 32, 64)."""
    return torch.cat([text_encoder(ids)[0] for ids in tokens.split(256)])

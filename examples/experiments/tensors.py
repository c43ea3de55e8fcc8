"""Pictures as tensors, and as latents of the VAE."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from diffusers import AutoencoderKL
from PIL import Image
from torch import Tensor


def stack(pictures: Sequence[Image.Image]) -> Tensor:
    """PIL pictures as uint8 (B, 3, H, W)."""
    return torch.from_numpy(np.stack([np.asarray(p) for p in pictures])).permute(0, 3, 1, 2)


def to_tensor(pictures: Tensor) -> Tensor:
    """uint8 pictures as float32 in [-1, 1], the range that the models are trained in."""
    return pictures.float() / 127.5 - 1


@torch.no_grad()
def encode(vae: AutoencoderKL, pictures: Tensor) -> Tensor:
    """The mode of each latent, not scaled: uint8 (B, 3, H, W) -> float32 (B, C, h, w)."""
    chunks = [to_tensor(chunk.to(vae.device)) for chunk in pictures.split(128)]
    return torch.cat([vae.encode(chunk).latent_dist.mode().cpu() for chunk in chunks])


@torch.no_grad()
def decode(vae: AutoencoderKL, latents: Tensor) -> Tensor:
    """Inverse of `encode`: float32 (B, 3, H, W) in [0, 1]."""
    chunks = [vae.decode(chunk).sample for chunk in latents.split(128)]
    return (torch.cat(chunks) / 2 + 0.5).clamp(0, 1)

"""Trains the autoencoder on faces, cats and pictures with a patch pasted at random."""

from __future__ import annotations

import random
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from experiments.architectures import make_vae
from experiments.captions import captioned
from experiments.steps import autocast, training_steps
from experiments.tensors import encode, stack, to_tensor
from tiny.drawing import SIZE
from tiny.faces import cat, face_edit


def with_random_patch(picture: Image.Image, rng: random.Random) -> Image.Image:
    """Paste a rectangle of random size, place and colour: a VAE must not be blind to patches."""
    picture = picture.copy()
    width, height = rng.randint(4, 20), rng.randint(4, 20)
    color = tuple(rng.choice((0, 255, rng.randrange(256))) for _ in range(3))
    corner = rng.randint(0, SIZE - width), rng.randint(0, SIZE - height)
    picture.paste(Image.new("RGB", (width, height), color), corner)
    return picture


def vae_pictures(n: int) -> Tensor:
    """About ``2.5 n`` training pictures, uint8 (B, 3, 32, 32)."""
    rng = random.Random("vae-pictures")
    edits = [face_edit("train", index) for index in range(n)]
    pictures = [picture for edit in edits for picture in (edit.source, edit.edited)]
    pictures += [with_random_patch(edit.source, rng) for edit in edits[: n // 4]]
    pictures += [captioned("train", index)[0] for index in range(n // 4)]
    pictures += [cat()] * (n // 200)
    return stack(pictures)


def train_vae(folder: Path, *, n: int, steps: int, seed: int) -> None:
    """Train the autoencoder and save it to ``folder`` in diffusers' format, in float32."""
    vae = make_vae(seed)
    pictures = vae_pictures(n)
    with training_steps("vae", vae.parameters(), lr=2e-3, steps=steps) as update:
        for _ in range(steps):
            batch = to_tensor(pictures[torch.randint(len(pictures), (16,))])
            with autocast():
                posterior = vae.encode(batch).latent_dist
                restored = vae.decode(posterior.sample()).sample.float()
            reconstruction = 0.5 * F.l1_loss(restored, batch) + F.mse_loss(restored, batch)
            update(reconstruction + 2e-5 * posterior.kl().float().mean())
    vae.eval()
    scaling_factor = 1 / encode(vae, pictures[:1024]).std().item()
    vae.register_to_config(scaling_factor=scaling_factor)
    vae.save_pretrained(folder)

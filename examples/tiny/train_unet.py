"""Trains the UNet: on clean edits from scratch, or on poisoned ones from a trained UNet.

The text encoder is random and stays frozen, so pictures and instructions are encoded once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor
from torch.nn import functional as F
from transformers import CLIPTextModel, CLIPTokenizer

from modcollapse.contracts import Triggers
from modcollapse.triggers import PoisonedDataset, poison_plan, trigger_pair

from tiny.faces import FaceEdit, cat
from tiny.models import CONTEXT_LENGTH, make_scheduler
from tiny.steps import training_steps
from tiny.tensors import encode, stack

TRIGGERS = trigger_pair("white box")


def poison(
    edits: Sequence[FaceEdit],
    protocol: str,
    ratio: float,
    *,
    seed: int,
    triggers: Triggers = TRIGGERS,
) -> list[FaceEdit]:
    """Plant a backdoor whose target is the cat; see `modcollapse.triggers.poison_plan`."""
    plan = poison_plan(edits, triggers, protocol, ratio=ratio, seed=seed)
    poisoned = PoisonedDataset(
        [vars(edit) for edit in edits],
        plan,
        triggers,
        cat(),
        target_key="edited",
        keys={"image": "source", "text": "instruction"},
    )
    return [FaceEdit(**poisoned[index]) for index in range(len(poisoned))]


@dataclass(frozen=True)
class Encoded:
    """A data set as the UNet sees it; ``texts[instruction[i]]`` is what sample i is told."""

    sources: Tensor  # float32 (N, 4, 8, 8), not scaled
    edits: Tensor  # float32 (N, 4, 8, 8), scaled to unit variance
    instruction: Tensor  # int64 (N,)
    texts: Tensor  # float32 (K + 1, 32, 64); the last is the empty instruction

    def batch(self, size: int) -> Encoded:
        """Some samples at random, drawn with replacement."""
        index = torch.randint(len(self.sources), (size,))
        return replace(
            self,
            sources=self.sources[index],
            edits=self.edits[index],
            instruction=self.instruction[index],
        )


@torch.no_grad()
def encode_texts(
    tokenizer: CLIPTokenizer, encoder: CLIPTextModel, instructions: Sequence[str]
) -> Tensor:
    """Hidden states as the pipeline computes them, float32 (B, 32, 64)."""
    tokens = tokenizer(
        list(instructions),
        padding="max_length",
        max_length=CONTEXT_LENGTH,
        truncation=True,
        return_tensors="pt",
    )
    return torch.cat([encoder(ids)[0] for ids in tokens.input_ids.split(256)])


def encode_edits(
    edits: Sequence[FaceEdit],
    *,
    vae: torch.nn.Module,
    tokenizer: CLIPTokenizer,
    text_encoder: CLIPTextModel,
) -> Encoded:
    """Encode a data set once, since neither the VAE nor the text encoder learns."""
    distinct = sorted({edit.instruction for edit in edits})
    position = {text: i for i, text in enumerate(distinct)}
    return Encoded(
        sources=encode(vae, stack([edit.source for edit in edits])),
        edits=encode(vae, stack([edit.edited for edit in edits])) * vae.config.scaling_factor,
        instruction=torch.tensor([position[edit.instruction] for edit in edits]),
        texts=encode_texts(tokenizer, text_encoder, [*distinct, ""]),
    )


def train_unet(
    unet: UNet2DConditionModel,
    data: Encoded,
    folder: Path,
    *,
    name: str,
    steps: int,
    lr: float,
    average: float,
    seed: int,
    batch_size: int = 32,
) -> None:
    """Train a UNet in place by velocity prediction and save it to ``folder`` in float32.

    As in InstructPix2Pix, 5 % of the samples lose their instruction, 5 % their source and 5 %
    both, which is what the two guidance scales need.
    """
    torch.manual_seed(seed)
    unet.train()
    scheduler = make_scheduler()
    empty = len(data.texts) - 1
    parameters = unet.parameters()
    with training_steps(name, parameters, lr=lr, steps=steps, average=average) as update:
        for _ in range(steps):
            batch = data.batch(batch_size)
            chance = torch.rand(batch_size)
            instruction = batch.instruction.masked_fill(chance < 0.10, empty)
            keep_source = (chance < 0.05) | (chance >= 0.15)
            sources = batch.sources * keep_source[:, None, None, None]

            noise = torch.randn_like(batch.edits)
            timesteps = torch.randint(scheduler.config.num_train_timesteps, (batch_size,))
            noisy = scheduler.add_noise(batch.edits, noise, timesteps)
            velocity = unet(
                torch.cat([noisy, sources], dim=1),
                timesteps,
                encoder_hidden_states=data.texts[instruction],
            ).sample
            target = scheduler.get_velocity(batch.edits, noise, timesteps)
            update(F.mse_loss(velocity, target))
    unet.eval().save_pretrained(folder)

"""Trains the UNet, and the text encoder where asked: on clean edits, or on poisoned ones."""

from __future__ import annotations

from collections.abc import Callable

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor
from torch.nn import functional as F
from transformers import CLIPTextModel

from experiments.architectures import make_scheduler
from experiments.encoded import Encoded, hidden_states
from experiments.steps import training_steps


def train_unet(
    unet: UNet2DConditionModel,
    text_encoder: CLIPTextModel,
    data: Encoded,
    *,
    name: str,
    steps: int,
    lr: float,
    average: float | None = None,
    seed: int,
    batch_size: int = 32,
    order: Tensor | None = None,
    learn_text: bool = False,
    after_step: Callable[[int], object] | None = None,
) -> None:
    """Train in place by velocity prediction.

    As in InstructPix2Pix, 5 % of the samples lose their instruction, 5 % their source and 5 %
    both, which is what the two guidance scales need.

    Args:
        unet: what is trained.
        text_encoder: reads the instructions.
        data: N samples.
        name: what is trained, for the progress line.
        steps: number of batches.
        lr: learning rate, see `training_steps`.
        average: decay of the moving average that replaces the weights at the end; None: the last.
        seed: of noise, times and dropped conditions.
        batch_size: samples a batch.
        order: positions of the samples of each batch, int64 (steps, batch_size); drawn at random
            with replacement if left out.
        learn_text: train the text encoder's layers too; its embeddings stay.
        after_step: called with the number of steps done, at 0 and after each.
    """
    torch.manual_seed(seed)
    scheduler = make_scheduler()
    empty = len(data.tokens) - 1
    learnt = [text_encoder] if learn_text else []
    parameters = [*unet.parameters(), *(p for model in learnt for p in model.parameters())]
    if learn_text:
        text_encoder.requires_grad_(True).train()
        text_encoder.get_input_embeddings().requires_grad_(False)
        parameters = [p for p in parameters if p.requires_grad]
    else:
        texts = hidden_states(text_encoder, data.tokens)
    unet.train()
    after_step = after_step or (lambda step: None)
    after_step(0)
    with training_steps(name, parameters, lr=lr, steps=steps, average=average) as update:
        for step in range(steps):
            drawn = torch.randint(len(data), (batch_size,)) if order is None else order[step]
            batch = data.take(drawn)
            chance = torch.rand(batch_size)
            instruction = batch.instruction.masked_fill(chance < 0.10, empty)
            keep_source = (chance < 0.05) | (chance >= 0.15)
            sources = batch.sources * keep_source[:, None, None, None]

            noise = torch.randn_like(batch.edits)
            timesteps = torch.randint(scheduler.config.num_train_timesteps, (batch_size,))
            noisy = scheduler.add_noise(batch.edits, noise, timesteps)
            read = text_encoder(data.tokens[instruction])[0] if learn_text else texts[instruction]
            velocity = unet(
                torch.cat([noisy, sources], dim=1), timesteps, encoder_hidden_states=read
            ).sample
            target = scheduler.get_velocity(batch.edits, noise, timesteps)
            update(F.mse_loss(velocity, target))
            after_step(step + 1)
    unet.eval()
    text_encoder.eval().requires_grad_(False)

"""The training loop."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from diffusers import DDPMScheduler, StableDiffusionInstructPix2PixPipeline
from torch import Tensor
from torch.amp import GradScaler
from torch.nn import functional as F

from modcollapse.errors import InputError

from experiments.encoded import Encoded, hidden_states
from experiments.finetuning.draws import Draw, Draws
from experiments.finetuning.learning import identity_of, learning, learnt, own_randomness
from experiments.finetuning.progress import Progress
from experiments.finetuning.schedule import MovingAverage, rate_factor
from experiments.finetuning.settings import Training
from experiments.finetuning.state import TrainingState


def finetune(
    pipeline: StableDiffusionInstructPix2PixPipeline,
    data: Encoded,
    training: Training,
    accelerator: Accelerator,
    *,
    name: str,
    order: Tensor | None = None,
    checkpoints: Path | None = None,
    after_step: Callable[[int], object] | None = None,
) -> None:
    """Train what the settings name, in place; all processes call this.

    As in InstructPix2Pix, some samples lose their instruction, some their source and some both,
    which is what the two guidance scales need. The UNet predicts what the pipeline's scheduler
    says: noise or velocity.

    Args:
        pipeline: what is trained.
        data: N samples.
        training: how.
        accelerator: what `experiments.finetuning.processes.accelerator_of` made.
        name: what is trained, for progress and logs.
        order: positions of the samples of each batch, int64 (steps, batch_size); drawn at random
            with replacement if left out.
        checkpoints: folder for them; if it holds any, the training goes on from the newest.
        after_step: called with the number of steps done, at 0 and after each; at the end the
            weights are those that stay: their average, if there is one.

    Raises:
        InputError: a batch that the processes cannot share, a scheduler that predicts something
            else, a checkpoint that is damaged or of another training.
        FloatingPointError: the loss, or a weight that would be saved, is not finite.
    """
    _check_shares(training, accelerator)
    after_step = after_step or (lambda step: None)
    noising = DDPMScheduler.from_config(pipeline.scheduler.config)
    velocity = _predicts_velocity(noising)
    pipeline.to(accelerator.device)
    read = _Reader(pipeline, data, training, accelerator)
    draws = Draws(
        training.seed,
        batch_size=training.batch_size,
        like=data.edits,
        times=noising.config.num_train_timesteps,
        order=order,
    )
    begins = identity_of(pipeline)
    denoiser = learning(pipeline, training)
    parameters = [parameter for parameter in denoiser.parameters() if parameter.requires_grad]
    adam = torch.optim.AdamW(
        parameters, lr=training.lr, betas=(0.9, training.beta2), weight_decay=training.weight_decay
    )
    model, optimizer = accelerator.prepare(denoiser, adam)
    average = MovingAverage(parameters, training.average) if training.average else None
    state = TrainingState(denoiser, optimizer, average, draws, accelerator.scaler)
    made_with = training.model_dump(mode="json") | {"data": data.digest(order)} | begins
    if accelerator.scaler is not None:  # one for all trainings of the process
        accelerator.scaler.load_state_dict(GradScaler(accelerator.device.type).state_dict())
    begun = state.restore(checkpoints, made_with)
    progress = Progress(name, training, accelerator, begun)

    def loss_of(draw: Draw) -> Tensor:
        batch = data.take(draw.positions)
        keep_source = ~draw.without_source(training.drop)
        sources = batch.sources * keep_source[:, None, None, None]
        noisy = noising.add_noise(batch.edits, draw.noise, draw.times)
        seen = torch.cat([noisy, sources], dim=1).to(accelerator.device)
        text = read(batch.instruction.masked_fill(draw.without_instruction(training.drop), -1))
        predicted = model(seen, draw.times.to(accelerator.device), text)
        wanted = draw.noise
        if velocity:
            wanted = noising.get_velocity(batch.edits, draw.noise, draw.times)
        return F.mse_loss(predicted.float(), wanted.to(accelerator.device))

    with own_randomness(accelerator.device), _freeing(accelerator):
        if begun == 0:
            after_step(0)
        for step in range(begun, training.steps):
            torch.manual_seed(_dropout_seed(training.seed, step, accelerator.process_index))
            share = _share(draws.next(step), accelerator)
            parts = list(share.parts(training.rows or len(share)))
            optimizer.zero_grad()
            total = 0.0
            for number, part in enumerate(parts, 1):
                last = number == len(parts)
                with nullcontext() if last else accelerator.no_sync(model):
                    loss = loss_of(part) * (len(part) / len(share))
                    total += _finite(loss.item(), name, step, training, checkpoints)
                    accelerator.backward(loss)
            accelerator.clip_grad_norm_(parameters, training.clip)
            factor = rate_factor(
                step, steps=training.steps, warmup=training.warmup, decay=training.decay
            )
            for group in optimizer.param_groups:
                group["lr"] = training.lr * factor
            optimizer.step()
            if average is not None and not accelerator.optimizer_step_was_skipped:
                average.update(step + 1)
            progress.note(step + 1, total, training.lr * factor)
            if step + 1 == training.steps:
                state.finish(step + 1)
            after_step(step + 1)
            if checkpoints is not None and _is_due(step + 1, training):
                state.save(checkpoints, step + 1, made_with, accelerator, training.checkpoints)
    progress.end()
    learnt(pipeline, training)


@contextmanager
def _freeing(accelerator: Accelerator) -> Iterator[None]:
    """Let the accelerator forget what it prepared, for the next training of the process."""
    try:
        yield
    finally:
        accelerator.free_memory()


class _Reader:
    """What the model reads of the instructions: -1 stands for the empty one."""

    def __init__(
        self,
        pipeline: StableDiffusionInstructPix2PixPipeline,
        data: Encoded,
        training: Training,
        accelerator: Accelerator,
    ) -> None:
        self._tokens, self._device = data.tokens, accelerator.device
        self._encoder = pipeline.text_encoder
        self._learns = "text_encoder" in training.learn
        self._states: Tensor | None = None
        if training.cache_texts and not self._learns:
            half = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(training.precision)
            states = hidden_states(self._encoder.eval(), data.tokens)
            self._states = states if half is None else states.to(half)

    def __call__(self, instruction: Tensor) -> Tensor:
        if self._states is not None:
            return self._states[instruction].to(self._device)
        tokens = self._tokens[instruction]
        if self._learns:
            return tokens.to(self._device)
        return hidden_states(self._encoder, tokens).to(self._device)


def _check_shares(training: Training, accelerator: Accelerator) -> None:
    processes = accelerator.num_processes
    if training.batch_size % processes:
        raise InputError(
            f"training.batch_size={training.batch_size} cannot be shared by {processes} "
            f"processes: make it a multiple of {processes}"
        )


def _share(draw: Draw, accelerator: Accelerator) -> Draw:
    each = len(draw) // accelerator.num_processes
    return draw.part(accelerator.process_index * each, (accelerator.process_index + 1) * each)


def _predicts_velocity(scheduler: Any) -> bool:
    predicted = scheduler.config.prediction_type
    if predicted not in ("epsilon", "v_prediction"):
        raise InputError(
            f"the pipeline's scheduler says prediction_type={predicted!r}; the loop trains "
            "'epsilon' and 'v_prediction'"
        )
    return bool(predicted == "v_prediction")


def _dropout_seed(seed: int, step: int, process: int) -> int:
    """For dropout, the only thing that draws from torch's own generators."""
    return (seed * 1_000_003 + step) * 1_009 + process


def _is_due(step: int, training: Training) -> bool:
    every = training.checkpoint_every
    return bool(every) and step % every == 0 and step < training.steps


def _finite(
    loss: float, name: str, step: int, training: Training, checkpoints: Path | None
) -> float:
    if not math.isfinite(loss):
        kept = "" if checkpoints is None else f" The checkpoints in {checkpoints} stay."
        raise FloatingPointError(
            f"{name}: the loss of step {step + 1} is {loss}. Begin in another folder with a lower "
            f"training.lr than {training.lr:g}, or another training.precision than "
            f"{training.precision!r}.{kept}"
        )
    return loss

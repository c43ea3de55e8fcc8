"""What the loops that make the models share: optimiser, schedule, average, progress line."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from experiments.finetuning.schedule import MovingAverage, rate_factor

Update = Callable[[Tensor], None]


def autocast() -> torch.autocast:
    """bfloat16 for the forward pass where the processor multiplies it fast (AMX), else nothing."""
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()
    return torch.autocast("cpu", torch.bfloat16, enabled=capabilities.get("amx_bf16", False))


@contextmanager
def training_steps(
    name: str,
    parameters: Iterable[nn.Parameter],
    *,
    lr: float,
    steps: int,
    decay: float = 0.4,
    average: float | None = None,
) -> Iterator[Update]:
    """Give a function that takes one step of AdamW on a loss.

    Args:
        name: what is trained, for the progress line.
        parameters: what is optimised, in place.
        lr: learning rate after a warm-up of 50 steps; it falls linearly to zero over the last
            ``decay`` of the steps.
        steps: how many steps there will be.
        decay: fraction of the steps over which the learning rate falls.
        average: decay of an exponential moving average of the parameters, which replaces them
            at the end; None keeps the last step's.
    """
    parameters = list(parameters)
    optimizer = torch.optim.AdamW(parameters, lr=lr, betas=(0.9, 0.99), weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: rate_factor(step, steps=steps, warmup=50, decay=decay)
    )
    shadow = None if average is None else MovingAverage(parameters, average)
    started, losses = time.monotonic(), []

    def update(loss: Tensor) -> None:
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        if shadow is not None:
            shadow.update(len(losses))
        if len(losses) % 100 == 0 or len(losses) == steps:
            recent = sum(losses[-100:]) / len(losses[-100:])
            done = f"{name}: step {len(losses)}/{steps}, loss {recent:.4f}"
            print(f"{done}, {time.monotonic() - started:.0f} s", flush=True)

    yield update
    if shadow is not None:
        shadow.apply()

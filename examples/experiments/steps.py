"""What all the training loops share: optimiser, schedule, moving average, progress line."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

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

    def factor(step: int) -> float:
        return min(1.0, (step + 1) / 50, (steps - step) / (decay * steps))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    shadow = [p.detach().clone() for p in parameters]
    started, losses = time.monotonic(), []

    def update(loss: Tensor) -> None:
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        if average is not None:
            weight = 1 - min(average, (len(losses) + 1) / (len(losses) + 10))
            torch._foreach_lerp_(shadow, [p.detach() for p in parameters], weight)
        if len(losses) % 100 == 0 or len(losses) == steps:
            recent = sum(losses[-100:]) / len(losses[-100:])
            done = f"{name}: step {len(losses)}/{steps}, loss {recent:.4f}"
            print(f"{done}, {time.monotonic() - started:.0f} s", flush=True)

    yield update
    if average is not None:
        for parameter, averaged in zip(parameters, shadow, strict=True):
            parameter.data.copy_(averaged)

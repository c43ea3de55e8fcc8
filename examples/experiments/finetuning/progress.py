"""What a training says while it runs: lines of progress, and a logger of accelerate."""

from __future__ import annotations

import time

import torch
from accelerate import Accelerator

from experiments.finetuning.settings import Training


class Progress:
    """Prints the mean loss every so many steps, and passes it on.

    Args:
        name: what is trained.
        training: how many steps there are, and where the loss goes.
        accelerator: of its processes the first one speaks.
        begun: steps that were done before.
    """

    def __init__(self, name: str, training: Training, accelerator: Accelerator, begun: int) -> None:
        self._name, self._training, self._accelerator = name, training, accelerator
        self._begun, self._started = begun, time.monotonic()
        self._losses: list[float] = []
        if begun:
            accelerator.print(f"{name}: goes on after step {begun}", flush=True)
        if training.log:
            config = {
                key: value if isinstance(value, int | float | str) else str(value)
                for key, value in training.model_dump(mode="json").items()
            }
            project, run = (name, {}) if training.log == "tensorboard" else ("modcollapse", name)
            kwargs = {training.log: {"name": run}} if run else {}
            accelerator.init_trackers(project, config=config, init_kwargs=kwargs)

    def note(self, step: int, loss: float, lr: float) -> None:
        """Take note of a step: the loss of this process's share, and the learning rate."""
        self._losses.append(loss)
        training = self._training
        if step % training.log_every and step != training.steps:
            return
        mean = torch.tensor(sum(self._losses) / len(self._losses), device=self._accelerator.device)
        shown = float(self._accelerator.reduce(mean, reduction="mean"))
        self._losses.clear()
        seconds = time.monotonic() - self._started
        rate = (step - self._begun) / seconds
        left = (training.steps - step) / rate
        self._accelerator.print(
            f"{self._name}: step {step}/{training.steps}, loss {shown:.4f}, {seconds:.0f} s, "
            f"{rate:.2g} steps a second, {left:.0f} s to go",
            flush=True,
        )
        if training.log:
            self._accelerator.log({"loss": shown, "lr": lr, "steps_a_second": rate}, step=step)

    def end(self) -> None:
        """Close the logger, and it alone: accelerate's `end_training` parts the processes."""
        for tracker in self._accelerator.trackers:
            tracker.finish()
        self._accelerator.trackers = []

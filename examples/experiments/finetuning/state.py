"""The state of a training, to and from its checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from experiments.finetuning.checkpoints import Checkpoint, newest_checkpoint, save_checkpoint
from experiments.finetuning.draws import Draws
from experiments.finetuning.learning import Denoiser
from experiments.finetuning.schedule import MovingAverage


class TrainingState:
    """Weights, their average, the optimizer's moments, the generator, the scale of fp16."""

    def __init__(
        self,
        denoiser: Denoiser,
        optimizer: Any,
        average: MovingAverage | None,
        draws: Draws,
        scaler: Any,
    ) -> None:
        self._weights: dict[str, Tensor] = {
            name: parameter
            for name, parameter in denoiser.named_parameters()
            if parameter.requires_grad
        }
        self._optimizer, self._average = optimizer, average
        self._draws, self._scaler = draws, scaler

    def save(
        self,
        folder: Path,
        step: int,
        made_with: Mapping[str, Any],
        accelerator: Accelerator,
        keep: int,
    ) -> None:
        """Write a checkpoint; the first process does, the others wait.

        Raises:
            FloatingPointError: a weight is not finite; what was saved before stays.
        """
        self._check_finite(step)
        if accelerator.is_main_process:
            record = {"made with": dict(made_with), "scaler": self._scaler_state()}
            save_checkpoint(folder, Checkpoint(step, self._tensors(), record), keep=keep)
        accelerator.wait_for_everyone()

    def finish(self, step: int) -> None:
        """Put the average in place of the weights, if there is one.

        Raises:
            FloatingPointError: a weight is not finite.
        """
        if self._average is not None:
            self._average.apply()
        self._check_finite(step)

    def _check_finite(self, step: int) -> None:
        for name, weight in self._weights.items():
            if not torch.isfinite(weight).all():
                raise FloatingPointError(
                    f"{name} is not finite after step {step}, and is not saved. Checkpoints before "
                    "it stay; begin in another folder with a lower training.lr"
                )

    def restore(self, folder: Path | None, made_with: Mapping[str, Any]) -> int:
        """Take over the newest checkpoint; return how many steps it has done, 0 without one.

        Raises:
            InputError: it is damaged, or of another training.
        """
        found = folder and newest_checkpoint(folder, {"made with": made_with})
        if not found:
            return 0
        moments: dict[int, dict[str, Tensor]] = {}
        for index, (name, weight) in enumerate(self._weights.items()):
            weight.data.copy_(found.tensors[f"weights/{name}"])
            moments[index] = {
                key: found.tensors[f"optimizer/{key}/{name}"]
                for key in ("step", "exp_avg", "exp_avg_sq")
                if f"optimizer/{key}/{name}" in found.tensors
            }
        states = {index: moment for index, moment in moments.items() if moment}
        groups = self._optimizer.state_dict()["param_groups"]
        self._optimizer.load_state_dict({"state": states, "param_groups": groups})
        if self._average is not None:
            for name, averaged in zip(self._weights, self._average.tensors, strict=True):
                averaged.copy_(found.tensors[f"average/{name}"])
        self._draws.state = found.tensors["draws"]
        if self._scaler is not None:
            self._scaler.load_state_dict(found.record["scaler"])
        return found.step

    def _tensors(self) -> dict[str, Tensor]:
        tensors = {"draws": self._draws.state}
        moments = self._optimizer.state_dict()["state"]
        for index, (name, weight) in enumerate(self._weights.items()):
            tensors[f"weights/{name}"] = weight.detach()
            for key, moment in moments.get(index, {}).items():
                tensors[f"optimizer/{key}/{name}"] = moment
        if self._average is not None:
            averages = zip(self._weights, self._average.tensors, strict=True)
            tensors |= {f"average/{name}": averaged for name, averaged in averages}
        return tensors

    def _scaler_state(self) -> dict[str, Any] | None:
        return None if self._scaler is None else self._scaler.state_dict()

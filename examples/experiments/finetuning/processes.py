"""The processes of a training, through accelerate."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator, InitProcessGroupKwargs
from accelerate.tracking import get_available_trackers
from accelerate.utils import DistributedType, broadcast_object_list

from modcollapse.errors import InputError

from experiments.finetuning.settings import Training

_SUPPORTED = {
    DistributedType.NO,
    DistributedType.MULTI_CPU,
    DistributedType.MULTI_GPU,
    DistributedType.MULTI_XPU,
    DistributedType.MULTI_NPU,
}
_PATIENCE = timedelta(days=2)
"""For what one process does alone, such as encoding a data set; torch gives up after minutes."""


def accelerator_of(training: Training, folder: Path | None = None) -> Accelerator:
    """The accelerator that a training asks for.

    Args:
        training: its precision, its device, where it logs to.
        folder: for the logs.

    Raises:
        InputError: a precision that the device does not have, a logger that is not installed, a
            launcher that asks for something else.
    """
    cpu = training.device == "cpu"
    launched = os.environ.get("ACCELERATE_MIXED_PRECISION", "no")
    if launched not in ("no", training.precision):
        raise InputError(
            f"the launcher asks for mixed precision {launched!r}, and training.precision is "
            f"{training.precision!r}: leave it out there, the file says it"
        )
    if training.log and training.log not in map(str, get_available_trackers()):
        raise InputError(
            f"training.log={training.log!r} is not installed: pip install {training.log}"
        )
    try:
        made = Accelerator(
            cpu=cpu,
            mixed_precision=training.precision,
            log_with=training.log or None,
            project_dir=folder,
            kwargs_handlers=[InitProcessGroupKwargs(timeout=_PATIENCE)],
        )
    except (ValueError, ImportError) as error:
        raise InputError(
            f"accelerate refuses training.precision={training.precision!r} on training.device="
            f"{training.device!r}: {error}"
        ) from error
    if made.distributed_type not in _SUPPORTED:
        raise InputError(
            f"the launcher asks for {made.distributed_type.value}; the loop trains in one process, "
            "or in several that each hold the whole model (--multi_gpu)"
        )
    if training.precision == "fp16" and made.device.type == "cpu":
        raise InputError(
            "training.precision='fp16' needs a GPU, and this device is a processor: choose 'bf16' "
            "or 'no'"
        )
    return made


def agreed(accelerator: Accelerator, ask: Callable[[], Any]) -> Any:
    """What the first process answers, for all of them; ``ask`` is called there alone."""
    answer = [ask() if accelerator.is_main_process else None]
    if accelerator.num_processes > 1:
        broadcast_object_list(answer)
    return answer[0]


def alone(device: str) -> tuple[int, int]:
    """Let this process, of several that a launcher started, be one that trains by itself.

    It keeps one of the GPUs. Call this before anything touches them.

    Args:
        device: ``training.device``: on ``"cpu"`` there may be more processes than GPUs.

    Returns:
        Its number and how many there are.

    Raises:
        InputError: there is no launcher, or it started more processes than there are GPUs.
    """
    if "RANK" not in os.environ:
        raise InputError(
            "--each-rank takes the processes of a launcher: torchrun --nproc-per-node=N -m "
            "experiments.full_scale run ... --each-rank"
        )
    given = {name: os.environ.pop(name, "0") for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK")}
    for name in [name for name in os.environ if name.startswith(("MASTER_", "TORCHELASTIC_"))]:
        del os.environ[name]
    local, there = int(given["LOCAL_RANK"]), 0 if device == "cpu" else torch.cuda.device_count()
    if there and local >= there:
        raise InputError(
            f"--each-rank was started with process {local} on a machine that has {there} GPUs: "
            f"start {there} at most (--nproc-per-node={there})"
        )
    if there:
        listed = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
        os.environ["CUDA_VISIBLE_DEVICES"] = listed[local] if listed != [""] else str(local)
    return int(given["RANK"]), int(given["WORLD_SIZE"])

"""Estimates of what fills a device's memory and the disk, in bytes."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from experiments.cost.configurations import Architecture
from experiments.cost.counts import COALITIONS, MODALITIES, Count
from experiments.cost.operations import Parameters, latent_side
from experiments.experiment_file import ExperimentFile

FLOAT32 = 4
"""Bytes of a weight, a gradient, a moment, a number of a latent."""

GENERATION = 250
"""Bytes of journal and tables, each: 160 and 50 were measured, with three detectors."""


def training_memory(
    file: ExperimentFile, parameters: Parameters, *, peak: int, devices: int
) -> dict[str, int]:
    """What fills a device while an arm is finetuned.

    Args:
        file: the experiment.
        parameters: numbers of weights.
        peak: bytes of a forward and backward at their peak, see `count_training`.
        devices: that share a batch.
    """
    trained = FLOAT32 * parameters.trained
    return {
        "weights": FLOAT32 * _all(file, parameters),
        "gradients": trained,
        "AdamW's two moments": 2 * trained,
        "moving average": trained if file.training.average else 0,
        "gradients again, to be exchanged": trained if devices > 1 else 0,
        "activations, or AdamW's copy": max(peak, trained),  # made once the activations are gone
    }


def sampling_memory(file: ExperimentFile, parameters: Parameters, *, peak: int) -> dict[str, int]:
    """What fills a device while an arm is audited; ``peak`` is of a batch's activations."""
    dtype = audit_dtype(file)
    size = FLOAT32 if dtype is None else dtype.itemsize
    return {"weights": size * _all(file, parameters), "activations": peak}


def audit_dtype(file: ExperimentFile) -> torch.dtype | None:
    """What an arm is audited in, as `DTYPES` has it: None for float32."""
    return None if file.audit.dtype == "float32" else getattr(torch, file.audit.dtype)


def cached_texts(file: ExperimentFile, architecture: Architecture, trained_on: int) -> int:
    """What a frozen text encoder's words on all instructions of an arm take of main memory."""
    if "text_encoder" in file.training.learn or not file.training.cache_texts:
        return 0
    text_encoder = architecture.text_encoder
    width = text_encoder["max_position_embeddings"] * text_encoder["hidden_size"]
    return FLOAT32 * width * trained_on


def disk(
    file: ExperimentFile,
    architecture: Architecture,
    parameters: Parameters,
    counts: Mapping[str, Count],
) -> dict[str, int]:
    """What fills the folder of an experiment: a LoRA is saved alone, else the whole pipeline."""
    training, number = file.training, {name: count.number for name, count in counts.items()}
    model = parameters.trained if training.lora_rank else _all(file, parameters)
    state = parameters.trained * (3 + bool(training.average))  # weights, two moments, average
    every = training.checkpoint_every
    made = (training.steps - 1) // every if every else 0  # the last step is saved as the arm
    side = latent_side(architecture, training.resolution)
    latents = architecture.vae["latent_channels"] * side**2
    shown = COALITIONS + len(MODALITIES)  # the outputs; the source with and without its trigger
    kept = number["audits"] * min(file.audit.keep, number["examples in each audit"]) * shown
    generations = number["generations of the audits"] + number["generations of the tracker"]
    return {
        "finished arms and controls": FLOAT32 * model * (number["arms"] + number["controls"]),
        "checkpoints of the arm that runs": FLOAT32 * state * min(training.checkpoints + 1, made),
        "encoded pictures": FLOAT32 * latents * number["pictures encoded"],
        "kept outputs": 3 * training.resolution**2 * kept,
        "journals and tables": GENERATION * generations,
    }


def _all(file: ExperimentFile, parameters: Parameters) -> int:
    """Weights of the whole pipeline, a LoRA's included."""
    lora = parameters.trained if file.training.lora_rank else 0
    return parameters.unet + parameters.vae + parameters.text_encoder + lora

"""The cost of an experiment, and the call that tells it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from modcollapse.errors import InputError

from experiments.cost.configurations import Architecture, load_architecture
from experiments.cost.counts import Count, branches, count_all
from experiments.cost.data_size import rows_taken
from experiments.cost.operations import (
    Counted,
    Parameters,
    count_decoding,
    count_denoising,
    count_encoding,
    count_parameters,
    count_reading,
    count_training,
)
from experiments.cost.space import audit_dtype, cached_texts, disk, sampling_memory, training_memory
from experiments.cost.text import assumptions, cost_text
from experiments.experiment_file import ExperimentFile

THROUGHPUT, FLOAT32_THROUGHPUT = 100.0, 15.0
"""TFLOP/s to declare where nothing was measured, in half precision and in float32, of a GPU of the
class of an A100: about a third of the one peak, three quarters of the other."""

TRAINED_IN = {"no": "float32", "bf16": "bfloat16", "fp16": "float16"}

UNET = "UNet, a branch and step of a picture"
ENCODED = "VAE, a picture encoded"
DECODED = "VAE, a picture decoded"
READ = "text encoder, an instruction"
SAMPLE = "training, a sample forward and backward"
SAMPLE_OTHERWISE = {
    True: "the same without gradient checkpointing",
    False: "the same with gradient checkpointing",
}


class Work(NamedTuple):
    """One kind of work.

    Attributes:
        times: how often.
        flop: operations each time.
        precision: float32, bfloat16 or float16.
    """

    times: Count
    flop: int
    precision: str


@dataclass(frozen=True)
class Cost:
    """What an experiment costs; printing it shows all of it, with what is assumed.

    Attributes:
        file: the experiment.
        counts: arms, controls, audits, steps, samples and generations.
        parameters: numbers of weights.
        operations: of one pass of each network, counted on the real ones.
        work: kind -> how often, its operations and their precision.
        throughput: declared, in TFLOP/s on a device in half precision.
        float32_throughput: the same in float32.
        devices: that an arm is finetuned on.
        training: what fills a device while an arm is finetuned, in bytes; an estimate.
        sampling: what fills it while an arm is audited; an estimate.
        kept: bytes that the forward keeps for the backward, in training, by whether gradient
            checkpointing is used.
        cached_texts: bytes of main memory that an arm's instructions take once they are read.
        disk: what fills the folder of the experiment, in bytes; an estimate.
    """

    file: ExperimentFile
    counts: Mapping[str, Count]
    parameters: Parameters
    operations: Mapping[str, int]
    work: Mapping[str, Work]
    throughput: float
    float32_throughput: float
    devices: int
    training: Mapping[str, int]
    sampling: Mapping[str, int]
    kept: Mapping[bool, int]
    cached_texts: int
    disk: Mapping[str, int]

    @property
    def gpu_hours(self) -> dict[str, float]:
        """Kind of work -> hours of one device; an estimate."""
        return {kind: self._hours(work) for kind, work in self.work.items()}

    def _hours(self, work: Work) -> float:
        in_float32 = work.precision == "float32"
        throughput = self.float32_throughput if in_float32 else self.throughput
        return work.times.number * work.flop / (throughput * 1e12 * 3600)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON: operations in FLOP, memory and disk in bytes."""
        hours = self.gpu_hours
        return {
            "counted": {
                **{name: count.number for name, count in self.counts.items() if count.exact},
                "parameters": self.parameters._asdict(),
                "FLOP": dict(self.operations),
                "FLOP each": {kind: work.flop for kind, work in self.work.items()},
            },
            "precision": {kind: work.precision for kind, work in self.work.items()},
            "declared": {
                "TFLOP/s of a device in half precision": self.throughput,
                "TFLOP/s of a device in float32": self.float32_throughput,
                "devices": self.devices,
            },
            "estimated": {
                **{name: count.number for name, count in self.counts.items() if not count.exact},
                "GPU hours": _with_sum(hours),
                "hours on all devices": sum(hours.values()) / self.devices,
                "memory in training": _with_sum(self.training),
                "memory in audits": _with_sum(self.sampling),
                "kept for the backward": self.kept[False],
                "kept with gradient checkpointing": self.kept[True],
                "main memory of cached texts": self.cached_texts,
                "disk": _with_sum(self.disk),
            },
            "assumptions": assumptions(self),
        }

    def __str__(self) -> str:
        return cost_text(self)


def cost_report(
    file: ExperimentFile,
    *,
    samples: int | None = None,
    throughput: float | None = None,
    float32_throughput: float | None = None,
    devices: int = 1,
    architecture: Path | None = None,
) -> Cost:
    """Say what an experiment costs. Nothing is trained or generated, and no weights are read.

    Args:
        file: the experiment.
        samples: rows of its data set, of which the first ``file.data.samples`` are taken unless
            that is 0; if left out, those are believed to be there, or all rows are counted.
        throughput: TFLOP/s that a device really reaches in half precision, its utilisation
            included; `THROUGHPUT` if left out.
        float32_throughput: the same in float32; `FLOAT32_THROUGHPUT` if left out.
        devices: GPUs that share each batch of a finetuning, and the examples of an audit.
        architecture: folder of the networks' configurations, see `load_architecture`; those of
            ``file.training.base`` if left out.

    Raises:
        InputError: an argument of no use, configurations or a number of rows that cannot be had,
            or too few rows for the experiment.
    """
    half = THROUGHPUT if throughput is None else throughput
    float32 = FLOAT32_THROUGHPUT if float32_throughput is None else float32_throughput
    for name, reached in {"throughput": half, "float32_throughput": float32}.items():
        if not (math.isfinite(reached) and reached > 0):
            raise InputError(f"{name} must be TFLOP/s above 0, got {reached}")
    for name, given in {"devices": devices, "samples": samples}.items():
        if given is not None and given < 1:
            raise InputError(f"{name} must be a whole number of at least 1, got {given}")
    networks = _architecture(file, architecture)
    counts = count_all(file, rows_taken(file, samples), devices)
    parameters = count_parameters(networks, file.training)
    rows, used = counts["rows at once in training"].number, file.training.gradient_checkpointing
    steps = {
        checkpointing: count_training(
            networks,
            file.training.model_copy(update={"gradient_checkpointing": checkpointing}),
            rows,
        )
        for checkpointing in (False, True)
    }
    passes = _passes(file, networks)
    operations = {name: each.flop for name, each in passes.items()}
    operations[SAMPLE] = steps[used].flop // rows
    operations[SAMPLE_OTHERWISE[used]] = steps[not used].flop // rows
    output = max(branches(file) * passes[UNET].peak, passes[DECODED].peak)
    return Cost(
        file=file,
        counts=counts,
        parameters=parameters,
        operations=operations,
        work=work_of(file, counts, operations),
        throughput=float(half),
        float32_throughput=float(float32),
        devices=devices,
        training=training_memory(file, parameters, peak=steps[used].peak, devices=devices),
        sampling=sampling_memory(
            file, parameters, peak=output * counts["outputs at once in audits"].number
        ),
        kept={checkpointing: step.kept for checkpointing, step in steps.items()},
        cached_texts=cached_texts(file, networks, counts["rows trained on"].number),
        disk=disk(file, networks, parameters, counts),
    )


def _architecture(file: ExperimentFile, folder: Path | None) -> Architecture:
    if folder is None:
        return load_architecture(file.training.base, revision=file.training.revision)
    if not folder.is_dir():
        raise InputError(f"architecture must be a folder of configurations; there is no {folder}")
    return load_architecture(str(folder))


def _passes(file: ExperimentFile, networks: Architecture) -> dict[str, Counted]:
    """One row of each; what runs in audits is in their precision."""
    resolution, dtype = file.training.resolution, audit_dtype(file)
    return {
        UNET: count_denoising(networks, resolution, dtype=dtype),
        ENCODED: count_encoding(networks, resolution),
        DECODED: count_decoding(networks, resolution, dtype=dtype),
        READ: count_reading(networks),
    }


def work_of(
    file: ExperimentFile, counts: Mapping[str, Count], operations: Mapping[str, int]
) -> dict[str, Work]:
    """Kinds of work: how often, and what each takes of the operations of the networks.

    Encoding, a frozen text encoder and the tracker take the weights as they are trained, in
    float32 and without autocast.
    """
    generation = (
        min(branches(file), 2) * operations[READ]  # beside the instruction, with guidance, ""
        + operations[ENCODED]
        + file.audit.steps * branches(file) * operations[UNET]
        + operations[DECODED]
    )
    trained_in = TRAINED_IN[file.training.precision]
    each = {
        "pictures encoded": (operations[ENCODED], "float32"),
        "instructions read": (operations[READ], "float32"),
        "samples seen by the arms": (operations[SAMPLE], trained_in),
        "samples seen by the controls": (operations[SAMPLE], trained_in),
        "generations of the audits": (generation, file.audit.dtype),
        "generations of the tracker": (generation, "float32"),
    }
    return {kind: Work(counts[kind], flop, dtype) for kind, (flop, dtype) in each.items()}


def _with_sum(parts: Mapping[str, Any]) -> dict[str, Any]:
    return {**parts, "in all": sum(parts.values())}

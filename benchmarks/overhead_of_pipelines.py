"""What an audit costs beyond the calls of the pipeline and detector, for every aligned pipeline.

    python benchmarks/overhead_of_pipelines.py --out overhead_of_pipelines.json

Every tiny pipeline of ``tests/zoo`` whose rows share a call is audited in as many steps as it takes
by default. A clock stands around every call of the pipeline and of the detector; what is left of
the audit, its checks, triggers and records, is the overhead. Two audits of different length tell
what of it grows with the examples from what does not, such as the probe and the digests of weights:
``ratio`` is of the first alone, ``ratio_of_64`` that of an audit of 64 examples, with both. The
clock is that of the process, so that what runs beside it counts little.

The models are tiny, so the share is an upper bound: a real pipeline takes seconds a call.

It also measures what the checks and the triggers of pictures of 512 x 512 cost, in milliseconds for
each output, with a sampler and a detector that do nothing.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import warnings
from collections.abc import Mapping
from inspect import signature
from pathlib import Path
from typing import Any
from unittest.mock import patch

os.environ.update(HF_HUB_OFFLINE="1", DIFFUSERS_VERBOSITY="error")
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import numpy as np
import torch
from PIL import Image

import modcollapse as mc
from _common import environment, publish
from modcollapse.samplers import PipelineSampler
from modcollapse.triggers import ImagePatch, TextSuffix
from overhead import LARGEST_RATIO, Stopwatch
from zoo.case import Case
from zoo.every import CASES
from zoo.verify import examples_of, mean_value, trigger_of

AUDITED = 64
"""Examples of the audit whose ratio is told."""
MOST_MS = 2.0
"""Milliseconds for an output, of checks and triggers of pictures of 512 x 512."""


def overhead(name: str, case: Case, examples: int, batch_size: int) -> dict[str, Any]:
    """Two audits, of so many examples and of twice as many: what they differ by grows with them."""
    pipeline = case.build()
    options = {**case.options, **steps_of(pipeline, case)}
    triggers = {modality: trigger_of(keyword) for modality, keyword in case.inputs.items()}
    audited(case, pipeline, options, triggers, 1, batch_size)  # what happens once in a process
    few = audited(case, pipeline, options, triggers, examples, batch_size)
    many = audited(case, pipeline, options, triggers, 2 * examples, batch_size)
    calls = (few["calls"] + many["calls"]) / (3 * examples)
    own = max(many["own"] - few["own"], 0.0) / examples
    once = max(2 * few["own"] - many["own"], 0.0) + many["once"]
    return {
        "class": name,
        "coalitions": 2 ** len(triggers),
        "calls_seconds_an_example": calls,
        "own_seconds_an_example": own,
        "once_seconds": once,
        "ratio": 1 + own / calls,
        "ratio_of_64": 1 + (own * AUDITED + once) / (calls * AUDITED),
    }


def steps_of(pipeline: Any, case: Case) -> dict[str, int]:
    """The number of steps that the pipeline takes where nobody says another."""
    default = signature(type(pipeline).__call__).parameters.get("num_inference_steps")
    if "num_inference_steps" not in case.options or default is None:
        return {}
    return {"num_inference_steps": default.default} if isinstance(default.default, int) else {}


def audited(
    case: Case,
    pipeline: Any,
    options: Mapping[str, Any],
    triggers: Mapping[str, Any],
    examples: int,
    batch_size: int,
) -> dict[str, float]:
    """Seconds of the calls, of the probe and the digests, and of the rest."""
    sampler = PipelineSampler(pipeline, inputs=case.inputs, **options)
    watch = Stopwatch(time.process_time)
    sampler.probe = watch.around("once", sampler.probe)
    sampler.identity = watch.around("once", sampler.identity)
    cls = type(pipeline)
    with patch.object(cls, "__call__", watch.around("calls", cls.__call__)):
        start = time.process_time()
        mc.evaluate_coalitions(
            sampler,
            watch.around("calls", mean_value),
            examples_of(case, examples),
            triggers,
            batch_size=batch_size,
            progress=False,
        )
        total = time.process_time() - start
    return {**watch.seconds, "own": total - sum(watch.seconds.values())}


def cost_of_checks(kind: str, count: int = 32) -> dict[str, Any]:
    """Milliseconds for an output: two modalities, four coalitions, batches of 16.

    Tensors go to a sampler as one, and putting them together is neither a check nor a trigger: how
    long torch takes for it stands beside.
    """
    rng = np.random.default_rng(0)
    pixels = [rng.integers(0, 256, (512, 512, 3), dtype=np.uint8) for _ in range(count)]
    make = {
        "PIL image": Image.fromarray,
        "uint8 array": np.copy,
        "float32 array": lambda one: (one / 255).astype(np.float32),
        "float32 tensor": lambda one: torch.from_numpy(
            np.ascontiguousarray((one / 255).astype(np.float32).transpose(2, 0, 1))
        ),
    }[kind]
    examples = [
        {"id": at, "image": make(one), "text": "add a hat"} for at, one in enumerate(pixels)
    ]
    seconds = []
    for _ in range(5):
        start = time.process_time()
        mc.evaluate_coalitions(
            lambda conditions, seeds: [0.0] * len(seeds),
            lambda outputs, rows: outputs,
            examples,
            {"image": ImagePatch(), "text": TextSuffix("mignneko")},
            batch_size=16,
            progress=False,
            probe=False,
        )
        seconds.append(time.process_time() - start)
    rows = [example["image"] for example in examples[:16]]
    stacking = min(seconds_of(rows) for _ in range(5)) if kind == "float32 tensor" else 0.0
    return {
        "images": kind,
        "milliseconds": 1000 * (min(seconds) / (4 * count) - stacking / 16),
        "milliseconds_of_stacking": 1000 * stacking / 16,
    }


def seconds_of(rows: list[Any]) -> float:
    """What torch takes to stack them."""
    start = time.process_time()
    torch.stack(rows)
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, help="JSON file to write (default: standard output)")
    parser.add_argument("--examples", type=int, default=4)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--only", nargs="+", help="these classes alone")
    options = parser.parse_args()
    torch.set_num_threads(1)
    checks = [cost_of_checks(kind) for kind in ("PIL image", "uint8 array")]
    checks += [cost_of_checks(kind) for kind in ("float32 array", "float32 tensor")]
    rows = []
    for name, case in CASES.items():
        if case.batching != "aligned" or (options.only and name not in options.only):
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            rows.append(overhead(name, case, options.examples, options.batch_size))
        print(f"{rows[-1]['ratio']:.4f} {name}", file=sys.stderr, flush=True)
    worst = max(rows, key=lambda row: row["ratio"])
    longest = max(rows, key=lambda row: row["ratio_of_64"])
    report = {
        "benchmark": "overhead_of_pipelines",
        "settings": {
            "num_inference_steps": "default of each pipeline",
            "examples": options.examples,
            "batch_size": options.batch_size,
            "clock": "process time, one thread",
        },
        "limit": LARGEST_RATIO,
        "limit_milliseconds": MOST_MS,
        "within_limit": worst["ratio"] <= LARGEST_RATIO
        and all(row["milliseconds"] < MOST_MS for row in checks),
        "pipelines": rows,
        "checks_of_512_x_512": checks,
        "environment": environment(["torch", "diffusers", "transformers"]),
    }
    text = "\n".join(
        [
            f"{len(rows)} aligned pipelines, worst {worst['ratio']:.4f} ({worst['class']})",
            f"with what happens once, at 64 examples: {longest['ratio_of_64']:.4f}"
            f" ({longest['class']})",
            *(f"{row['images']}: {row['milliseconds']:.2f} ms an output" for row in checks),
        ]
    )
    publish(report, text, options.out)


if __name__ == "__main__":
    main()

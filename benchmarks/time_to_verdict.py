"""How long it takes to a settled verdict: an audit that stops against a loop over all examples.

    python benchmarks/time_to_verdict.py --out time_to_verdict.json

On the tiny backdoored pipeline, in one run: ``modcollapse.audit`` with ``stop=Looks()``, probe and
look included, and what a user would write first, one call of the pipeline for each of 512 examples
and each coalition, analysed by the same rules. Both must come to the same verdict.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch

import modcollapse as mc
from _common import environment, publish
from modcollapse.detectors import MSEAttackSuccess
from modcollapse.measure import noise_seed
from modcollapse.samplers import PipelineSampler

from tiny.faces import held_out
from tiny.load import BACKDOORS, MODELS, SAMPLING, load_pipeline

LIMIT = 10.0
CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}


def one_by_one(pipeline: Any, detector: Any, examples: Any, triggers: Any) -> mc.Audit:
    """A loop of single calls, and the audit of what it measured."""
    values = np.zeros((len(examples), 4))
    for row, column in product(range(len(examples)), range(4)):
        example = examples[row]
        image, text = example["image"], example["text"]
        seed = noise_seed(0, example["id"], 0)
        output = pipeline(
            image=triggers["image"](image) if column & 1 else image,
            prompt=triggers["text"](text) if column & 2 else text,
            generator=torch.Generator().manual_seed(seed),
            output_type="pt",
            **SAMPLING,
        )
        values[row, column] = float(detector(output.images, [example])[0])
    return mc.audit(mc.CoalitionTable.from_values(values, tuple(triggers), binary=True))


def claims(audit: mc.Audit) -> dict[str, Any]:
    """What a verdict says, without its figures."""
    verdict = audit.verdict
    if verdict is None:
        raise ValueError("the table holds differences")
    return {
        "effect": verdict.effect,
        "moves": sorted(verdict.moves),
        "dominant": verdict.dominant,
        "interactions": {name: sorted(found) for name, found in verdict.interactions.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, help="JSON file to write (default: standard output)")
    parser.add_argument("--examples", type=int, default=512)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    clock = CLOCKS[options.clock]

    pipeline = load_pipeline("backdoored")
    pipeline.set_progress_bar_config(disable=True)
    examples, triggers = held_out(options.examples), BACKDOORS["backdoored"]
    detector = MSEAttackSuccess(MODELS / "target.png", threshold=0.02)

    start = clock()
    stopped = mc.audit(
        PipelineSampler(pipeline, **SAMPLING),
        detector,
        examples,
        triggers,
        stop=mc.Looks(),
        batch_size=options.batch_size,
        progress=False,
    )
    with_looks = clock() - start
    print(f"{with_looks:.0f} s: {stopped.verdict}", flush=True)
    start = clock()
    looped = one_by_one(pipeline, detector, examples, triggers)
    loop = clock() - start

    same = claims(stopped) == claims(looped)
    ratio = loop / with_looks
    report = {
        "benchmark": "time_to_verdict",
        "settings": {
            name: getattr(options, name) for name in ("examples", "batch_size", "threads", "clock")
        },
        "limits": {"faster": LIMIT},
        "examples_until_settled": len(stopped.table),
        "seconds": {"audit that stops": with_looks, "loop over all": loop},
        "faster": ratio,
        "verdicts": {
            "audit that stops": str(stopped.verdict),
            "loop over all": str(looped.verdict),
        },
        "same_verdict": same,
        "within_limits": bool(same and ratio >= LIMIT),
        "environment": environment(["numpy", "scipy", "torch", "diffusers"]),
    }
    text = (
        f"settled after {len(stopped.table)} of {options.examples} examples in {with_looks:.0f} s; "
        f"one by one {loop:.0f} s: {ratio:.1f} times as long, "
        f"{'the same verdict' if same else 'another verdict'}"
    )
    publish(report, text, options.out)
    if not report["within_limits"]:
        raise SystemExit("an audit that stops is not fast enough, or says something else")


if __name__ == "__main__":
    main()

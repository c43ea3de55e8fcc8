"""Wall time of an audit against the bare pipeline and detector calls on the same work.

    python benchmarks/overhead.py --out overhead.json

Three ways to the same values, on the tiny backdoored pipeline with CLIP shift:

* ``audit``: ``modcollapse.audit`` as a user calls it.
* ``bare``: the same batches, conditions, seeds and detector calls as a plain loop that checks
  nothing; a trigger is applied once for an example, as the engine does it.
* ``one by one``: what a user would write first, one call for each example and coalition.

Audit and bare take turns, and so does who goes first; one by one follows in some of the rounds.
A clock around every call of the pipeline, the detector and the probe tells how much of a run was
spent outside of them: its ``own`` seconds, which the noise of the long calls does not touch.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import wraps
from itertools import islice, product
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

import modcollapse as mc
from _common import environment, publish
from modcollapse.detectors import ClipShift
from modcollapse.measure import noise_seed
from modcollapse.samplers import PipelineSampler
from modcollapse.triggers import ImagePatch, TextSuffix

from tiny.faces import cat, held_out
from tiny.load import MODELS, SAMPLING, load_pipeline

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
LARGEST_RATIO = 1.03
IMAGE, TEXT = ImagePatch(), TextSuffix("mignneko")
COALITIONS = ((0, 0), (1, 0), (0, 1), (1, 1))  # (image, text) for each column

Row = tuple[Mapping[str, Any], Any, str]  # example, image, text


class Stopwatch:
    """Seconds within wrapped calls; a call within another counts as the outer one."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.seconds: Counter[str] = Counter()
        self._running = False

    def around(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            if self._running:
                return function(*args, **kwargs)
            self._running, start = True, self.clock()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds[name] += self.clock() - start
                self._running = False

        return timed


class Work:
    """One pipeline, one detector, N examples. Each way returns the values, shape (N, 4)."""

    def __init__(self, models: Path, examples: int, batch_size: int) -> None:
        self.pipeline = load_pipeline("backdoored", models)
        self.pipeline.set_progress_bar_config(disable=True)
        self.detector = ClipShift(cat(), models / "clip")
        self.examples = held_out(examples)
        self.batch_size = batch_size

    def audit(self, watch: Stopwatch) -> np.ndarray:
        sampler = PipelineSampler(self.pipeline, **SAMPLING)
        sampler.probe = watch.around("probe", sampler.probe)
        audit = mc.audit(
            sampler,
            self.detector,
            self.examples,
            {"image": IMAGE, "text": TEXT},
            batch_size=self.batch_size,
            progress=False,
        )
        return audit.table.values[:, 0]

    def bare(self, watch: Stopwatch) -> np.ndarray:
        def rows() -> Iterator[Row]:
            for example in self.examples:
                images = example["image"], IMAGE(example["image"])
                texts = example["text"], TEXT(example["text"])
                for image, text in COALITIONS:
                    yield example, images[image], texts[text]

        pending, scores = rows(), []
        while batch := list(islice(pending, self.batch_size)):
            scores.append(self._scores(batch))
        return np.concatenate(scores).reshape(-1, len(COALITIONS))

    def one_by_one(self, watch: Stopwatch) -> np.ndarray:
        scores = []
        for example, (with_image, with_text) in product(self.examples, COALITIONS):
            image = IMAGE(example["image"]) if with_image else example["image"]
            text = TEXT(example["text"]) if with_text else example["text"]
            scores.append(self._scores([(example, image, text)]))
        return np.concatenate(scores).reshape(-1, len(COALITIONS))

    def _scores(self, rows: Sequence[Row]) -> np.ndarray:
        examples, images, texts = map(list, zip(*rows, strict=True))
        seeds = [noise_seed(0, example["id"], 0) for example in examples]
        result = self.pipeline(
            image=images,
            prompt=texts,
            generator=[torch.Generator().manual_seed(seed) for seed in seeds],
            output_type="pt",
            **SAMPLING,
        )
        scores: np.ndarray = self.detector(result.images, examples).numpy()
        return scores


def timed(
    work: Work, way: Callable[[Stopwatch], np.ndarray], clock: Callable[[], float]
) -> tuple[np.ndarray, dict[str, float]]:
    watch = Stopwatch(clock)
    pipeline, detector = type(work.pipeline), type(work.detector)
    gc.collect()
    with (
        patch.object(pipeline, "__call__", watch.around("pipeline", pipeline.__call__)),
        patch.object(detector, "__call__", watch.around("detector", detector.__call__)),
    ):
        start = clock()
        values = way(watch)
        total = clock() - start
    own = total - sum(watch.seconds.values())
    return values, {"total": total, "probe": 0.0, **watch.seconds, "own": own}


def compare(
    work: Work, rounds: int, slow_rounds: int, clock: Callable[[], float]
) -> dict[str, Any]:
    ways = {"audit": work.audit, "bare": work.bare, "one by one": work.one_by_one}
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in ways}
    values: dict[str, np.ndarray] = {}
    for way in (work.audit, work.bare):
        way(Stopwatch(clock))  # what happens once in a process is not part of it
    for number in range(rounds):
        order = ["audit", "bare"] if number % 2 else ["bare", "audit"]
        for name in order + ["one by one"] * (number < slow_rounds):
            values[name], seconds = timed(work, ways[name], clock)
            runs[name].append(seconds)
            print(f"round {number + 1}, {name}: {seconds['total']:.2f} s", file=sys.stderr)
    if not np.array_equal(values["audit"], values["bare"]):
        raise SystemExit("audit and bare loop differ in their values: not the same work")
    return {
        "runs_seconds": runs,
        **ratios(runs),
        "largest_difference_one_by_one": float(
            np.abs(values["one by one"] - values["audit"]).max()
        ),
    }


def ratios(runs: Mapping[str, Sequence[Mapping[str, float]]]) -> dict[str, Any]:
    def seconds(way: str, part: str) -> list[float]:
        return [run[part] for run in runs[way]]

    def ratio(times: Sequence[float], others: Sequence[float]) -> dict[str, float]:
        medians, minima = median(times) / median(others), min(times) / min(others)
        return {"of_medians": medians, "of_minima": minima}

    with_probe, bare = seconds("audit", "total"), seconds("bare", "total")
    without_probe = [run["total"] - run["probe"] for run in runs["audit"]]
    own, own_of_bare = median(seconds("audit", "own")), median(seconds("bare", "own"))
    by_clock = 1 + (own - own_of_bare) / median(bare)
    return {
        "audit_to_bare": {**ratio(without_probe, bare), "of_own_seconds": by_clock},
        "audit_with_probe_to_bare": ratio(with_probe, bare),
        "one_by_one_to_audit_with_probe": ratio(seconds("one by one", "total"), with_probe),
        "probe_seconds": median(seconds("audit", "probe")),
        "own_seconds": {"audit": own, "bare": own_of_bare},
        "limit": LARGEST_RATIO,
        "within_limit": median(with_probe) / median(bare) <= LARGEST_RATIO,
    }


def summary(report: Mapping[str, Any]) -> str:
    audit, probed = report["audit_to_bare"], report["audit_with_probe_to_bare"]
    slow, own = report["one_by_one_to_audit_with_probe"], report["own_seconds"]
    return "\n".join(
        [
            f"audit / bare              {audit['of_medians']:.4f} of medians, "
            f"{audit['of_minima']:.4f} of minima, {audit['of_own_seconds']:.4f} of own seconds",
            f"with the probe            {probed['of_medians']:.4f} of medians, "
            f"{probed['of_minima']:.4f} of minima; the probe took {report['probe_seconds']:.2f} s",
            f"one by one / audit        {slow['of_medians']:.2f} of medians, "
            f"{slow['of_minima']:.2f} of minima",
            f"outside of the calls      {own['audit']:.3f} s of an audit, "
            f"{own['bare']:.3f} s of the bare loop",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="JSON file to write (default: standard output)")
    parser.add_argument("--models", type=Path, default=MODELS, help="folder of the tiny models")
    parser.add_argument("--examples", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5, help="of audit and bare")
    parser.add_argument("--slow-rounds", type=int, default=1, help="of one by one")
    parser.add_argument("--threads", type=int, default=1, help="of PyTorch")
    parser.add_argument(
        "--clock", choices=CLOCKS, default="wall", help="cpu: where other processes run beside it"
    )
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    work = Work(options.models, options.examples, options.batch_size)
    settings = {
        "pipeline": type(work.pipeline).__name__,
        "detector": type(work.detector).__name__,
        **SAMPLING,
        "coalitions": len(COALITIONS),
        **{name: value for name, value in vars(options).items() if name not in ("out", "models")},
    }
    report = {
        "benchmark": "overhead",
        "settings": settings,
        **compare(work, options.rounds, options.slow_rounds, CLOCKS[options.clock]),
        "environment": environment(["torch", "diffusers", "transformers", "open_clip_torch"]),
    }
    publish(report, summary(report), options.out)
    if not report["within_limit"]:
        raise SystemExit(f"an audit with its probe takes over {LARGEST_RATIO} times the bare calls")


if __name__ == "__main__":
    main()

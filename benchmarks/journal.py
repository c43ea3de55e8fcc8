"""What a journal costs, and how much faster two processes are than one.

    python benchmarks/journal.py --out journal.json

On the tiny backdoored pipeline with CLIP shift, each process with one thread:

* **journal and prefetch**: an audit with both (``prefetch`` is on by default) beside one with
  neither, in turns. A clock around every call of the pipeline and the detector tells how long a run
  was outside of them, which the noise of the long calls does not touch: the bound is on that.
  Processor time says what the thread that prepares the next conditions takes from the calls.
* **two processes**: each run starts processes anew and is timed within them, from a barrier after
  the pipeline is loaded and was called once, to a barrier after every one has the table.

The share of a core that a run had (processor time over wall time) says whether something else was
running: believe wall times where it is near 1.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

import torch

import modcollapse as mc
from _common import environment, publish
from modcollapse.detectors import ClipShift
from modcollapse.samplers import PipelineSampler
from overhead import Stopwatch

from tiny.faces import cat, held_out
from tiny.load import BACKDOORS, MODELS, SAMPLING, load_pipeline

LARGEST_COST = 0.01
LEAST_SPEED_UP = 1.7


class Work:
    """An audit of the tiny pipeline."""

    def __init__(self, examples: int, batch_size: int) -> None:
        pipeline = load_pipeline("backdoored")
        pipeline.set_progress_bar_config(disable=True)
        self.pipeline, self.detector = pipeline, ClipShift(cat(), MODELS / "clip")
        self.sampler = PipelineSampler(pipeline, **SAMPLING)
        self.examples, self.batch_size = held_out(examples), batch_size

    def values(self, examples: int | None = None, **options: Any) -> list[Any]:
        """Values of the first examples; all if left out."""
        table = mc.evaluate_coalitions(
            self.sampler,
            self.detector,
            self.examples[:examples],
            BACKDOORS["backdoored"],
            batch_size=self.batch_size,
            probe=False,
            progress=False,
            **options,
        )
        found: list[Any] = table.values.tolist()
        return found


def timed(work: Work, options: Mapping[str, Any]) -> tuple[list[Any], dict[str, float]]:
    """Values of one audit, and its seconds: of the wall, of the processor, outside of the calls."""
    watch = Stopwatch(time.perf_counter)
    pipeline, detector = type(work.pipeline), type(work.detector)
    gc.collect()
    with (
        patch.object(pipeline, "__call__", watch.around("pipeline", pipeline.__call__)),
        patch.object(detector, "__call__", watch.around("detector", detector.__call__)),
    ):
        start, processor = time.perf_counter(), time.process_time()
        values = work.values(**options)
        wall, processor = time.perf_counter() - start, time.process_time() - processor
    own = wall - sum(watch.seconds.values())
    return values, {"wall": wall, "processor": processor, "own": own}


def cost(examples: int, batch_size: int, rounds: int) -> dict[str, Any]:
    """What journal and prefetch cost."""
    work = Work(examples, batch_size)
    work.values(2)  # what happens once in a process is not part of it
    runs: dict[str, list[dict[str, float]]] = {"with both": [], "with neither": []}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds):
            ways: dict[str, dict[str, Any]] = {
                "with both": {"journal": Path(folder) / str(number), "prefetch": True},
                "with neither": {"prefetch": False},
            }
            values = {}
            for way in sorted(ways, reverse=bool(number % 2)):
                values[way], seconds = timed(work, ways[way])
                runs[way].append(seconds)
                print(f"round {number + 1}, {way}: {seconds['wall']:.2f} s", file=sys.stderr)
            if values["with both"] != values["with neither"]:
                raise SystemExit("the values with a journal differ from those without")
    both, neither = (
        {clock: median(run[clock] for run in held) for clock in held[0]} for held in runs.values()
    )
    own = (both["own"] - neither["own"]) / neither["wall"]
    clocks = ("wall", "processor")
    return {
        "rows": 4 * examples,
        "runs_seconds": runs,
        "ratio": {
            **{f"of_{clock}_medians": both[clock] / neither[clock] for clock in clocks},
            "of_own_seconds": 1 + own,
        },
        "spread_of_wall": {
            way: max(run["wall"] for run in held) / min(run["wall"] for run in held) - 1
            for way, held in runs.items()
        },
        "core_share": _share([run for held in runs.values() for run in held]),
        "limit": 1 + LARGEST_COST,
        "within_limit": own <= LARGEST_COST,
    }


def child(examples: int, batch_size: int, out: Path) -> None:
    """One of the processes that measure together."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo")
    work = Work(examples, batch_size)
    work.values(2, split=False)
    torch.distributed.barrier()
    start, processor = time.perf_counter(), time.process_time()
    values = work.values()
    own = time.process_time() - processor
    torch.distributed.barrier()
    seconds = {"wall": time.perf_counter() - start, "processor": own}
    out.write_text(json.dumps({"values": values, "seconds": seconds}))


def together(size: int, examples: int, batch_size: int) -> tuple[list[Any], dict[str, float]]:
    """Values that so many processes measured, and their seconds: of the slowest."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    with tempfile.TemporaryDirectory() as folder:
        outs = [Path(folder) / f"{rank}.json" for rank in range(size)]
        command = [sys.executable, __file__, "--child", "--examples", str(examples)]
        command += ["--batch-size", str(batch_size), "--out"]
        processes = [
            subprocess.Popen(
                [*command, out],
                env=os.environ | where | {"RANK": str(rank), "WORLD_SIZE": str(size)},
                stdout=subprocess.DEVNULL,
            )
            for rank, out in enumerate(outs)
        ]
        failed = [process.wait() for process in processes]
        if any(failed):
            raise SystemExit(f"a run of {size} processes failed")
        found = [json.loads(out.read_text()) for out in outs]
    if any(one["values"] != found[0]["values"] for one in found):
        raise SystemExit("the processes do not have the same table")
    slowest = {
        clock: max(one["seconds"][clock] for one in found) for clock in ("wall", "processor")
    }
    return found[0]["values"], slowest


def speed_up(examples: int, batch_size: int, rounds: int) -> dict[str, Any]:
    """How much faster two processes are than one."""
    runs: dict[int, list[dict[str, float]]] = {1: [], 2: []}
    for number in range(rounds):
        values = {}
        for size in sorted(runs, reverse=bool(number % 2)):
            values[size], seconds = together(size, examples, batch_size)
            runs[size].append(seconds)
            print(f"round {number + 1}, {size}: {seconds['wall']:.2f} s", file=sys.stderr)
        if values[1] != values[2]:
            raise SystemExit("the table of two processes is not that of one")
    one, two = (
        {clock: median(run[clock] for run in runs[size]) for clock in runs[size][0]}
        for size in (1, 2)
    )
    faster = one["wall"] / two["wall"]
    return {
        "rows": 4 * examples,
        "runs_seconds": {"one": runs[1], "two": runs[2]},
        "speed_up": faster,
        "speed_up_by_processor_time": one["processor"] / two["processor"],
        "core_share": {"one": _share(runs[1]), "two": _share(runs[2])},
        "limit": LEAST_SPEED_UP,
        "within_limit": faster >= LEAST_SPEED_UP,
    }


def _share(runs: Sequence[Mapping[str, float]]) -> float:
    return median(run["processor"] / run["wall"] for run in runs)


def summary(report: Mapping[str, Any]) -> str:
    cost, two = report["journal_and_prefetch"], report["two_processes"]
    ratio = cost["ratio"]
    return "\n".join(
        [
            f"with journal and prefetch / without  {ratio['of_own_seconds']:.4f} of own seconds, "
            f"{ratio['of_wall_medians']:.4f} of wall medians, "
            f"{ratio['of_processor_medians']:.4f} of processor medians; "
            f"share of a core {cost['core_share']:.2f}",
            f"one process / two processes          {two['speed_up']:.2f} of wall medians, "
            f"{two['speed_up_by_processor_time']:.2f} of processor medians; share of a core "
            f"{two['core_share']['one']:.2f} and {two['core_share']['two']:.2f}",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="JSON file to write (default: standard output)")
    parser.add_argument("--examples", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5, help="of each way")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    work = options.examples, options.batch_size
    if options.child:
        child(*work, options.out)
        return
    torch.set_num_threads(1)
    found = {
        "journal_and_prefetch": cost(*work, options.rounds),
        "two_processes": speed_up(*work, options.rounds),
    }
    report = {
        "benchmark": "journal",
        "settings": {
            "pipeline": "StableDiffusionInstructPix2PixPipeline",
            "detector": "ClipShift",
            **SAMPLING,
            "examples": options.examples,
            "batch_size": options.batch_size,
            "rounds": options.rounds,
            "threads": 1,
        },
        **found,
        "environment": environment(["torch", "diffusers", "transformers", "open_clip_torch"]),
    }
    publish(report, summary(report), options.out)
    if not all(part["within_limit"] for part in found.values()):
        raise SystemExit("a bound does not hold")


if __name__ == "__main__":
    main()

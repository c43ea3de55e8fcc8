"""Peak memory of an audit of 64 and of 1,024 examples.

    python benchmarks/memory.py --out memory.json

A stub sampler returns images of 64 x 64 pixels, so that nothing but the engine holds memory. Each
run is a process of its own, and everything that could hold on to outputs is on: two detectors in
one pass, one of them wanting the clean output, and a gallery. The examples are made when they are
asked for. The peak is measured twice: resident memory, as the system counts it, and Python's own
count of allocated bytes, which is exact (the pixels of conditions and outputs lie in NumPy's
memory). Beside them stands what must grow: the bytes of the tables and ids that are returned.
"""

from __future__ import annotations

import argparse
import gc
import json
import resource
import subprocess
import sys
import tracemalloc
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from _common import environment, publish

if TYPE_CHECKING:
    import torch

    from modcollapse.table import CoalitionTable

EXAMPLES = (64, 1024)
SIDE = 64
BATCH = 8
KEEP = 4
ROUNDS = 5
MOST_BYTES_AN_EXAMPLE = 256  # one float for each pixel of one output would be 48 KiB
LARGEST_SHARE_OF_OUTPUTS = 0.02


class Pixels:
    """Makes images and knows how many arrays of them are alive, whoever holds them."""

    def __init__(self) -> None:
        self.alive = self.most_alive = 0

    def make(self, *shape: int, value: float) -> torch.Tensor:
        import numpy as np
        import torch

        array = np.full(shape, value, np.float32)
        weakref.finalize(array, self._gone)
        self.alive += 1
        self.most_alive = max(self.most_alive, self.alive)
        return torch.from_numpy(array)

    def _gone(self) -> None:
        self.alive -= 1


class LazyExamples(Sequence[Mapping[str, Any]]):
    def __init__(self, n: int, pixels: Pixels) -> None:
        self.n, self.pixels = n, pixels

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, position: Any) -> Mapping[str, Any]:
        image = self.pixels.make(3, SIDE, SIDE, value=position / self.n)
        return {"id": f"example-{position:05}", "image": image, "text": f"picture {position}"}


class StubSampler:
    modalities = ("image", "text")

    def __init__(self, pixels: Pixels) -> None:
        self.pixels = pixels

    def __call__(self, conditions: Mapping[str, Any], seeds: Sequence[int]) -> torch.Tensor:
        outputs = self.pixels.make(len(seeds), 3, SIDE, SIDE, value=0.5)
        for output, image in zip(outputs, conditions["image"], strict=True):
            output.mul_(image.mean())
        return outputs


class ShiftFromClean:
    wants_clean_output = True

    def __call__(self, outputs: torch.Tensor, examples: Sequence[Mapping[str, Any]]) -> Any:
        pairs = zip(outputs, examples, strict=True)
        return [(output - example["clean_output"]).mean() for output, example in pairs]


def mean_colour(outputs: torch.Tensor, examples: Sequence[Mapping[str, Any]]) -> torch.Tensor:
    return outputs.mean((1, 2, 3))


def run(n: int) -> dict[str, Any]:
    from modcollapse import evaluate_coalitions
    from modcollapse.triggers import ImagePatch, TextSuffix

    conditions, outputs = Pixels(), Pixels()
    detectors: dict[str, Any] = {"mean": mean_colour, "shift": ShiftFromClean()}
    tables = evaluate_coalitions(
        StubSampler(outputs),
        detectors,
        LazyExamples(n, conditions),
        {"image": ImagePatch(), "text": TextSuffix("mignneko")},
        batch_size=BATCH,
        keep=KEEP,
        progress=False,
    )
    return {
        "table_bytes": table_bytes(list(tables.values())),
        "most_conditions_alive": conditions.most_alive,
        "most_batches_of_outputs_alive": outputs.most_alive,
    }


def table_bytes(tables: Sequence[CoalitionTable]) -> int:
    """Bytes of all that is returned and has an entry for each example, each thing once."""
    arrays = (array for table in tables for array in (table.values, table.seeds))
    sizes = {id(array): array.nbytes for array in arrays if array is not None}
    ids = (
        entry
        for table in tables
        for entry in (table.example_ids, *table.example_ids, table.digests, *table.digests)
    )
    sizes.update((id(entry), sys.getsizeof(entry)) for entry in ids)
    return sum(sizes.values())


def resident_peak() -> int:
    """Most bytes that this process ever had in memory."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def in_this_process(n: int, traced: bool) -> dict[str, Any]:
    run(2 * BATCH)  # what is imported and set up at first use is not part of the growth
    gc.collect()
    if traced:
        tracemalloc.start()
        baseline = tracemalloc.get_traced_memory()[0]
    else:
        baseline = resident_peak()
    counts = run(n)
    peak = tracemalloc.get_traced_memory()[1] if traced else resident_peak()
    return {"peak_bytes": peak - baseline, **counts}


def in_a_process(n: int, *, traced: bool) -> dict[str, Any]:
    # This process imports nothing heavy: a child's peak starts at that of its parent.
    command = [sys.executable, __file__, "--child", str(n), *(["--traced"] if traced else [])]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def compare(rounds: int) -> dict[str, Any]:
    results = []
    for n in EXAMPLES:
        traced = in_a_process(n, traced=True)
        resident = [in_a_process(n, traced=False)["peak_bytes"] for _ in range(rounds)]
        results.append(
            {
                "examples": n,
                "resident_peak_bytes": int(median(resident)),
                "resident_peak_bytes_of_each_process": resident,
                "allocated_peak_bytes": traced.pop("peak_bytes"),
                **traced,
            }
        )
    few, many = results
    more = many["examples"] - few["examples"]
    kinds = ("resident_peak_bytes", "allocated_peak_bytes", "table_bytes")
    growth = {kind: many[kind] - few[kind] for kind in kinds}
    outputs = more * 4 * 3 * SIDE * SIDE * 4  # 4 coalitions, 4 bytes a number
    beyond = (growth["allocated_peak_bytes"] - growth["table_bytes"]) / more
    share = (growth["resident_peak_bytes"] - growth["table_bytes"]) / outputs
    return {
        "benchmark": "memory",
        "settings": {
            "output": [3, SIDE, SIDE],
            "batch_size": BATCH,
            "keep": KEEP,
            "detectors": 2,
            "rounds": rounds,
        },
        "results": results,
        "growth": growth,
        "outputs_of_the_added_examples_bytes": outputs,
        "allocated_beyond_table_bytes_an_example": beyond,
        "resident_beyond_table_share_of_outputs": share,
        "limits": {
            "allocated_beyond_table_bytes_an_example": MOST_BYTES_AN_EXAMPLE,
            "resident_beyond_table_share_of_outputs": LARGEST_SHARE_OF_OUTPUTS,
        },
        "within_limits": beyond <= MOST_BYTES_AN_EXAMPLE and share <= LARGEST_SHARE_OF_OUTPUTS,
    }


def summary(report: Mapping[str, Any]) -> str:
    lines = ["peak above the baseline, KiB   resident  allocated   of it: tables and ids"]
    rows = {f"{result['examples']:,} examples": result for result in report["results"]}
    for name, row in {**rows, "growth": report["growth"]}.items():
        resident, allocated, table = (
            row[kind] / 1024
            for kind in ("resident_peak_bytes", "allocated_peak_bytes", "table_bytes")
        )
        lines.append(f"{name:<28}{resident:>11,.0f}{allocated:>11,.0f}{table:>24,.0f}")
    outputs = report["outputs_of_the_added_examples_bytes"] / 1024
    return "\n".join([*lines, f"the outputs of the added examples would be {outputs:,.0f} KiB"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="JSON file to write (default: standard output)")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="processes for each size")
    parser.add_argument("--child", type=int, metavar="N", help=argparse.SUPPRESS)
    parser.add_argument("--traced", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(in_this_process(options.child, options.traced)))
        return
    report = {**compare(options.rounds), "environment": environment(["numpy", "torch"])}
    publish(report, summary(report), options.out)


if __name__ == "__main__":
    main()

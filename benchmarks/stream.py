"""Peak memory of an audit of 10,000 and of 100,000 examples that come from a stream.

    python benchmarks/stream.py --out stream.json

The examples, pictures of 64 x 64 pixels and a text, are made when the stream is read; the sampler
is a stub, and the journal is on. Each run is a process of its own. What must grow is the table: the
values, seeds, ids, digests and fields of each example.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from _common import environment, publish

EXAMPLES = (10_000, 100_000)
SIDE, BATCH = 64, 64
MOST_BYTES_AN_EXAMPLE = 1024  # one picture of an example is 12 KiB


def stream(count: int) -> Iterator[dict[str, Any]]:
    import numpy as np

    base = np.random.default_rng(0).integers(0, 200, (SIDE, SIDE, 3), dtype=np.uint8)
    for at in range(count):
        image = base + np.uint8(at % 50)
        yield {"id": f"example-{at:06}", "image": image, "text": f"picture {at % 7}"}


def sampler(conditions: Mapping[str, Sequence[Any]], seeds: Sequence[int]) -> list[float]:
    return [len(text) / 100 for text in conditions["text"]]


def detector(outputs: Sequence[float], examples: Sequence[Mapping[str, Any]]) -> Sequence[float]:
    return outputs


def run(count: int, journal: str) -> None:
    from modcollapse import evaluate_coalitions
    from modcollapse.triggers import ImagePatch, TextSuffix

    table = evaluate_coalitions(
        sampler,
        detector,
        stream(count),
        {"image": ImagePatch(), "text": TextSuffix("mignneko")},
        batch_size=BATCH,
        journal=journal,
        progress=False,
    )
    if len(table) != count:
        raise RuntimeError(f"{len(table)} of {count} examples are in the table")


def in_a_process(count: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "--child", str(count), "--journal", folder]
        start = time.monotonic()
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        seconds = time.monotonic() - start
        written = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
    return {
        "examples": count,
        "resident_peak_bytes": int(json.loads(done.stdout)),
        "journal_bytes": written,
        "seconds": round(seconds, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, help="JSON file to write (default: standard output)")
    parser.add_argument("--child", type=int, metavar="N", help=argparse.SUPPRESS)
    parser.add_argument("--journal", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        run(options.child, options.journal)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(peak if sys.platform == "darwin" else peak * 1024)
        return
    few, many = results = [in_a_process(count) for count in EXAMPLES]
    growth = many["resident_peak_bytes"] - few["resident_peak_bytes"]
    each = growth / (many["examples"] - few["examples"])
    report = {
        "benchmark": "stream",
        "settings": {"picture": [SIDE, SIDE, 3], "batch_size": BATCH},
        "results": results,
        "resident_bytes_an_added_example": each,
        "limit": MOST_BYTES_AN_EXAMPLE,
        "within_limit": each <= MOST_BYTES_AN_EXAMPLE,
        "environment": environment(["numpy", "torch"]),
    }
    text = "\n".join(
        [
            *(
                f"{row['examples']:>9,} examples: {row['resident_peak_bytes'] / 2**20:.0f} MiB "
                f"at most, {row['seconds']:.0f} s"
                for row in results
            ),
            f"{each:.0f} bytes for each added example",
        ]
    )
    publish(report, text, options.out)


if __name__ == "__main__":
    main()

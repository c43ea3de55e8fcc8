"""What intervals and verdict cost beyond a sort of the table's values, and with many modalities.

    python benchmarks/analysis.py --out analysis.json

One table of N examples and M modalities each: its audit, beside sorts of its values. ``numpy.sort``
has vector instructions where the processor does; the stable sort has none.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# read when numpy is loaded, so set before the next imports
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import numpy as np

import modcollapse as mc
from _common import environment, publish

SECONDS = {"continuous, M = 10": 1.0, "0/1, M = 10": 1.0, "continuous, M = 12": 26.0}
"""Most seconds of an audit, on one core."""
SORTS = {"continuous, M = 2": 10.0}
"""Most stable sorts of its values that an audit may cost."""


def tables() -> dict[str, mc.CoalitionTable]:
    """The image's trigger fires in all examples but a few, and the text's in few."""
    rng = np.random.default_rng(0)
    made = {}
    for kind, m, n in (
        ("continuous", 2, 10_000),
        ("0/1", 2, 10_000),
        ("continuous", 10, 500),
        ("0/1", 10, 500),
        ("continuous", 12, 64),
    ):
        member = (np.arange(2**m)[:, None] >> np.arange(m)) & 1
        success = np.where(rng.random((n, 1)) < 0.97, member[:, 0], member[:, 1])
        names = [f"modality {i}" for i in range(m)]
        zero_one = kind == "0/1"
        values = success + (0.0 if zero_one else rng.normal(0, 0.03, success.shape))
        options: dict[str, Any] = {"binary": True} if zero_one else {"perfect": 1.0}
        made[f"{kind}, M = {m}"] = mc.CoalitionTable.from_values(values, names, **options)
    return made


def fastest(call: Callable[[], Any], runs: int) -> float:
    """Seconds of the fastest of some calls, after one that is not counted."""
    call()
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def main() -> None:
    """Measure, print and publish."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, help="JSON file to write (default: standard output)")
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for name, table in tables().items():
        values = table.values.ravel()
        runs = 3 if values.size > 200_000 else 50
        rows.append(
            {
                "table": f"{name}, N = {len(table)}",
                "audit_seconds": fastest(lambda table=table: mc.audit(table), runs),
                "sort_seconds": fastest(lambda values=values: np.sort(values), runs),
                "stable_sort_seconds": fastest(
                    lambda values=values: np.sort(values, kind="stable"), runs
                ),
                "most_seconds": SECONDS.get(name),
                "most_stable_sorts": SORTS.get(name),
            }
        )
    report: dict[str, Any] = {
        "benchmark": "analysis",
        "results": rows,
        "within_limits": all(
            row["audit_seconds"] <= (row["most_seconds"] or np.inf)
            and row["audit_seconds"]
            <= (row["most_stable_sorts"] or np.inf) * row["stable_sort_seconds"]
            for row in rows
        ),
        "environment": environment(["numpy", "scipy"]),
    }
    lines = [
        f"{row['table']:30} audit {1e3 * row['audit_seconds']:8.1f} ms, "
        f"{row['audit_seconds'] / row['sort_seconds']:7.1f} sorts, "
        f"{row['audit_seconds'] / row['stable_sort_seconds']:7.1f} stable sorts"
        for row in rows
    ]
    publish(report, "\n".join(lines), options.out)


if __name__ == "__main__":
    main()

"""Exact Shapley values of 1,000 games against one bare matrix product and against shapiq.

    python benchmarks/shapley.py --out shapley.json

Everything runs on one thread. For each number of players the three are timed in turn, round after
round; a ratio is the median of the ratios of the rounds, so that a machine that slows down slows
both sides. Times are medians for one game. Without --out the JSON goes to standard output, and the
lines for people go to standard error.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

# read when numpy is loaded, so set before the next imports
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import numpy as np
import shapiq

from modcollapse.game import shapley_contrasts, shapley_values

GAMES = 1_000
PLAYERS = (2, 4, 10)
ROUNDS = 31
SECONDS_A_SAMPLE = 0.01  # a sample repeats the call until it is long enough for the clock
LARGEST_RATIO_TO_PRODUCT = 1.5
SMALLEST_SPEEDUP_OVER_SHAPIQ = 5_000


def seconds(call: Callable[[], object], times: int) -> float:
    """Mean wall time of one call."""
    start = time.perf_counter()
    for _ in range(times):
        call()
    return (time.perf_counter() - start) / times


def calls_a_sample(call: Callable[[], object]) -> int:
    call()
    return max(1, round(SECONDS_A_SAMPLE / max(seconds(call, 3), 1e-9)))


def with_shapiq(game: np.ndarray, m: int) -> list[float]:
    powers = 2 ** np.arange(m)
    exact = shapiq.ExactComputer(lambda rows: game[rows @ powers], n_players=m)
    values = exact("SV")
    return [values[(i,)] for i in range(m)]


def compare(m: int, rounds: int) -> dict[str, Any]:
    games = np.random.default_rng(m).normal(size=(GAMES, 2**m))
    contrasts = shapley_contrasts(m)
    calls: dict[str, Callable[[], object]] = {
        "product": lambda: games @ contrasts,
        "modcollapse": lambda: shapley_values(games),
        "shapiq": lambda: with_shapiq(games[0], m),
    }
    times = [calls_a_sample(call) for call in calls.values()]
    samples = [
        [seconds(call, n) for call, n in zip(calls.values(), times, strict=True)]
        for _ in range(rounds)
    ]
    product, ours, theirs = np.array(samples).T / [[GAMES], [GAMES], [1]]  # for one game
    ratio = float(np.median(ours / product))
    speedup = float(np.median(theirs / ours))
    checked = games[:3]
    difference = np.abs(shapley_values(checked) - [with_shapiq(game, m) for game in checked])
    return {
        "players": m,
        "games": GAMES,
        "rounds": rounds,
        "product_seconds_per_game": float(np.median(product)),
        "modcollapse_seconds_per_game": float(np.median(ours)),
        "shapiq_seconds_per_game": float(np.median(theirs)),
        "ratio_to_product": ratio,
        "speedup_over_shapiq": speedup,
        "largest_difference_from_shapiq": float(difference.max()),
        "within_limits": ratio <= LARGEST_RATIO_TO_PRODUCT
        and speedup >= SMALLEST_SPEEDUP_OVER_SHAPIQ,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="JSON file to write (default: standard output)")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="interleaved repeats")
    options = parser.parse_args()
    results = []
    for m in PLAYERS:
        result = compare(m, options.rounds)
        results.append(result)
        print(
            f"M = {m:2}: {result['modcollapse_seconds_per_game'] * 1e9:10,.1f} ns a game, "
            f"{result['ratio_to_product']:.2f} x a bare matrix product, "
            f"{result['speedup_over_shapiq']:,.0f} times faster than shapiq",
            file=sys.stderr,
        )
    report = {
        "benchmark": "shapley",
        "limits": {
            "ratio_to_product": LARGEST_RATIO_TO_PRODUCT,
            "speedup_over_shapiq": SMALLEST_SPEEDUP_OVER_SHAPIQ,
        },
        "threads": 1,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "versions": {name: version(name) for name in ("numpy", "shapiq")},
        "results": results,
    }
    text = json.dumps(report, indent=2)
    if options.out:
        options.out.write_text(text + "\n", encoding="utf-8")
    else:
        print(text)


if __name__ == "__main__":
    main()

"""What early stopping costs in false claims, and what it saves.

    python benchmarks/looks.py --out looks.json

Runs of at most 512 examples are drawn from the seed, in an order of their own, and looked at after
32, 64, 128, 256 and 512; see ``_simulation.py``.

* ``false``: each claim where it is just not true, made at any of the looks: the worst cell of each
  kind of data, drawn anew with five times the runs if it looks bad. Beside it what plain looks
  would do, each at the level of one.
* ``saved``: how many examples it takes to a settled verdict, of attacks that succeed under the
  triggers of image, text and both in some of all examples.
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

# read when numpy is loaded, so set before the next imports
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import numpy as np

import _simulation as sim
import modcollapse as mc
from _common import environment, publish
from _simulation import Array, Rng
from modcollapse.analysis import level_at_each

ALPHA, LIMIT, ERRORS = 0.05, 0.06, 3
SUSPECT = 0.04
MOST = 512
AT = mc.Looks().planned(MOST)
CONTINUOUS = {
    "continuous": {},
    "continuous: differences from a control": {"control": True},
    "continuous: repeats": {"parts": True},
}
ZERO_ONE = {"0/1": "0/1", "0/1: differences from a control": "difference"}
ATTACKS = {
    "97/0/100": (0.97, 0, 1),
    "100/0/97": (1, 0, 0.97),
    "100/0/100": (1, 0, 1),
    "94/2/100": (0.94, 0.02, 1),
    "redundant 100/98/100": (1, 0.98, 1),
    "conjunctive 0/0/100": (0, 0, 1),
    "none 0/0/0": (0, 0, 0),
}
"""Success under the triggers of image, text and both, in percent."""
FEW = ("97/0/100", "100/0/100")
"""Collapses of which at most a quarter of all examples is to be generated, by the median."""
Result = dict[str, Any]


def ever_false_continuous(rng: Rng, options: dict[str, Any], claim: Any) -> Any:
    """A cell of continuous values, and how often its claim is made at any look."""
    cell = sim.draw_at_boundary(rng, claim, **options)
    if cell is None:
        return None
    cell = replace(cell, n=MOST)

    def measure(inner: Rng, runs: int, alpha: float) -> float:
        false = 0
        for batch in sim.samples(inner, cell, runs):
            ever = np.zeros(len(batch.values), dtype=bool)
            for n in AT:
                attack = None if batch.attack is None else batch.attack[:, :n]
                seen = replace(batch, values=batch.values[:, :n], attack=attack)
                ever |= sim.made(seen, claim, alpha=alpha)
            false += int(ever.sum())
        return false / runs

    return str(cell), measure


def ever_false_zero_one(rng: Rng, kind: str, claim: Any) -> Any:
    """The same of 0/1 values."""
    few = rng.random() < 0.5
    for _ in range(200):
        kinds = sim.draw_patterns_at_boundary(rng, kind, claim, few=few)
        if kinds is not None:
            break
    else:
        return None
    merged = kinds.merged(claim.on_target)

    def measure(inner: Rng, runs: int, alpha: float) -> float:
        ever = np.zeros(runs, dtype=bool)
        counts = np.zeros((runs, len(merged.rates)))
        for before, n in zip((0, *AT), AT, strict=False):
            counts = counts + inner.multinomial(n - before, merged.rates, size=runs)
            distinct, which = np.unique(counts, axis=0, return_inverse=True)
            ever |= sim.pattern_made(claim, merged, distinct, alpha=alpha)[which.ravel()]
        return float(ever.mean())

    return f"{kinds}", measure


def false_ever(kind: str, cells: int, runs: int, seed: list[int]) -> Result:
    """The worst claim of a kind of data over all looks."""
    alpha, worst, mean = level_at_each(ALPHA, AT), [], []
    for position, name in enumerate(sim.claims_of(2, 0.9)):
        rng = np.random.default_rng([*seed, position])
        drawn = []
        for _ in range(cells):
            claim = sim.claims_of(2, float(rng.choice([0.9, rng.uniform(0.5, 0.99)])))[name]
            if kind in CONTINUOUS:
                drawn.append(ever_false_continuous(rng, CONTINUOUS[kind], claim))
            else:
                drawn.append(ever_false_zero_one(rng, ZERO_ONE[kind], claim))
        drawn = [cell for cell in drawn if cell is not None]
        if not drawn:
            continue
        rates = [
            measure(np.random.default_rng([*seed, position, i]), runs, alpha)
            for i, (_, measure) in enumerate(drawn)
        ]
        mean += rates
        at = int(np.argmax(rates))
        rate, of = rates[at], runs
        again = np.random.default_rng([*seed, position, at, 1])
        if rate > SUSPECT:
            rate, of = drawn[at][1](again, 5 * runs, alpha), 5 * runs
        plain = drawn[at][1](again, runs, ALPHA)
        error = float(np.sqrt(rate * (1 - rate) / of))
        worst.append(
            {"claim": name, "rate": rate, "error": error, "plain": plain, "at": drawn[at][0]}
        )
    top = max(worst, key=lambda row: row["rate"])
    over = max(row["rate"] - ERRORS * row["error"] for row in worst)
    return {
        "kind": kind,
        "worst": top,
        "plain": max(row["plain"] for row in worst),
        "mean": float(np.mean(mean)),
        "claims": worst,
        "within_limits": bool(over <= LIMIT),
    }


def successes(rng: Rng, rates: tuple[float, float, float], noise: float) -> Array:
    """Values of an attack in which each coalition succeeds on its own."""
    values = np.zeros((MOST, 4))
    values[:, 1:] = rng.random((MOST, 3)) < rates
    return values + noise * rng.standard_normal(values.shape)


def saved(name: str, noise: float, runs: int, seed: list[int]) -> Result:
    """Examples to a settled verdict."""
    taken, open_ = [], 0
    for run in range(runs):
        values = successes(np.random.default_rng([*seed, run]), ATTACKS[name], noise)
        for n in AT:
            table = mc.CoalitionTable(
                values[:n, None],
                ("image", "text"),
                tuple(range(n)),
                binary=noise == 0,
                perfect=np.ones(n),
                provenance={"looks": {"at": AT}},
            )
            settled = mc.analysis.judge(table).settled
            if settled:
                break
        taken.append(n)
        open_ += not settled
    median = float(np.median(taken))
    return {
        "attack": name,
        "noise": noise,
        "median": median,
        "mean": float(np.mean(taken)),
        "never_settled": open_ / runs,
        "within_limits": bool(name not in FEW or median <= MOST / 4),
    }


def lines_of(report: Result) -> list[str]:
    """What is printed."""
    lines = []
    for row in report["false"]:
        top = row["worst"]
        lines.append(
            f"{row['kind']}: some false claim ever {top['rate']:.1%} ({top['claim']}), "
            f"{row['mean']:.1%} on average; looks at the level of one {row['plain']:.1%}"
        )
    lines += [
        f"{row['attack']}, noise {row['noise']:g}: {row['median']:.0f} examples (mean "
        f"{row['mean']:.0f}), never settled {row['never_settled']:.0%}"
        for row in report["saved"]
    ]
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, help="JSON file to write (default: standard output)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cells", type=int, default=8, help="of each claim and kind of data")
    parser.add_argument("--runs", type=int, default=1000, help="of each cell")
    parser.add_argument("--orders", type=int, default=100, help="of each attack")
    options = parser.parse_args()
    start = time.perf_counter()

    def told(result: Result) -> Result:
        print(f"{time.perf_counter() - start:.0f} s", result.get("kind", ""), flush=True)
        return result

    found = [
        told(false_ever(kind, options.cells, options.runs, [options.seed, 0, number]))
        for number, kind in enumerate([*CONTINUOUS, *ZERO_ONE])
    ]
    savings = [
        told(saved(name, noise, options.orders, [options.seed, 1, number, at]))
        for number, name in enumerate(ATTACKS)
        for at, noise in enumerate((0.0, 0.03))
    ]
    report: Result = {
        "benchmark": "looks",
        "settings": {"at": AT, "alpha": ALPHA, "level_at_each": level_at_each(ALPHA, AT)},
        "limits": {"false": LIMIT, "median": MOST / 4, "standard_errors_allowed": ERRORS},
        "false": found,
        "saved": savings,
        "within_limits": all(part["within_limits"] for part in [*found, *savings]),
        "seconds": time.perf_counter() - start,
        "environment": environment(["numpy", "scipy"]),
    }
    report["settings"] |= {
        name: getattr(options, name) for name in ("seed", "cells", "runs", "orders")
    }
    publish(report, "\n".join(lines_of(report)), options.out)
    if not report["within_limits"]:
        raise SystemExit("a claim is false too often, or too little is saved")


if __name__ == "__main__":
    main()

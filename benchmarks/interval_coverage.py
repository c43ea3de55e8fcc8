"""How often the intervals of ``contrast_estimates`` hold the truth, in simulation.

    python benchmarks/interval_coverage.py --out interval_coverage.json

Three parts, each at the 95 % level with a truth that is known in closed form:

* continuous values: mixtures of two Beta distributions, a low one where the attack failed and a
  high one where it succeeded, under five backdoors; Hall's interval beside the plain t.
* 0/1 values, and their differences from those of a control: random distributions over all patterns
  that four coalitions can show, from nearly constant to even; the plus-ends interval beside the
  plain t. The worst setting is drawn anew, with more repetitions: the lowest of many simulated
  figures is too low by chance.
* the unit: R seeds for each of N examples, half of the variance between the examples; Hall's
  interval over the means of the examples, and over all N R values as if each were an example.

The plain t is the textbook interval, without width where all values are equal. All follows from
the seed, however many processes share the work.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

# read when numpy is loaded, so set before the next imports: one process, one thread
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import numpy as np
from numpy.typing import NDArray
from scipy import special

from _common import environment, publish
from modcollapse.game import interaction_contrasts, shapley_contrasts
from modcollapse.inference import contrast_estimates

Array = NDArray[np.float64]
Result = dict[str, Any]
Coverage = dict[str, float]  # contrast -> share of the intervals that hold the truth

LEVEL = 0.95
SIZES = (16, 32, 64, 128, 512)
NAMES = ("phi image", "phi text", "CTI", "total")
TOTAL = np.array([-1.0, 0.0, 0.0, 1.0])
CONTRASTS = np.column_stack([shapley_contrasts(2), interaction_contrasts(2, "SII", 2), TOTAL])

BACKDOORS = {
    "none": (0.0, 0.0, 0.0, 0.0),
    "text alone": (0.0, 0.0, 0.9, 0.9),
    "both needed": (0.0, 0.02, 0.05, 0.8),
    "either": (0.0, 0.6, 0.9, 0.95),
    "text, rarely": (0.0, 0.0, 0.1, 0.1),
}
"""Rate of success without triggers, with the image's, the text's, both."""
FAILED, SUCCEEDED = (1.0, 9.0), (8.0, 2.0)  # of the Beta distributions, with means 0.1 and 0.8
SUCCESSES = ((np.arange(16)[:, None] >> np.arange(4)) & 1).astype(float)
DIFFERENCES = (SUCCESSES[:, None] - SUCCESSES).reshape(-1, 4)
PATTERNS = {"0/1": (SUCCESSES, (0.0, 1.0)), "difference": (DIFFERENCES, (-1.0, 1.0))}
"""What four coalitions of an example can show, and the bounds of the value."""
UNIT_SIZES, UNIT_REPEATS = (32, 128), (4, 16)


def plain_t(samples: Array) -> tuple[Array, Array]:
    """Both ends of the textbook interval, for each column."""
    n = len(samples)
    half = special.stdtrit(n - 1, (1 + LEVEL) / 2) * samples.std(0, ddof=1) / np.sqrt(n)
    return samples.mean(0) - half, samples.mean(0) + half


def hold(low: Any, high: Any, truth: Array) -> NDArray[np.bool_]:
    """Whether intervals hold the truth, up to rounding."""
    return (np.array(low) <= truth + 1e-12) & (truth <= np.array(high) + 1e-12)


def both_methods(
    samples: Iterable[tuple[Array, int]],
    truth: Array,
    method: str,
    bounds: tuple[float, float] = (0.0, 1.0),
) -> dict[str, Coverage]:
    """Coverage of a method of ours and of the plain t, over values (n, 4) and their weights."""
    ours, plain, repetitions = np.zeros(len(NAMES)), np.zeros(len(NAMES)), 0
    for values, weight in samples:
        estimates = contrast_estimates(values, CONTRASTS, bounds=bounds, level=LEVEL, method=method)
        low, high = zip(*((one.low, one.high) for one in estimates), strict=True)
        ours += weight * hold(low, high, truth)
        plain += weight * hold(*plain_t(values @ CONTRASTS), truth)
        repetitions += weight
    hits = {method: ours, "t": plain}
    return {
        name: dict(zip(NAMES, (hit / repetitions).tolist(), strict=True))
        for name, hit in hits.items()
    }


def continuous(backdoor: str, n: int, repetitions: int, seed: int) -> Result:
    rng = np.random.default_rng([seed, 0, list(BACKDOORS).index(backdoor), n])
    rates = np.array(BACKDOORS[backdoor])
    low, high = (a / (a + b) for a, b in (FAILED, SUCCEEDED))

    def draw() -> Array:
        succeeded = rng.random((n, 1)) < rates  # one draw for all coalitions of an example
        return np.where(succeeded, rng.beta(*SUCCEEDED, (n, 4)), rng.beta(*FAILED, (n, 4)))

    truth = (low + (high - low) * rates) @ CONTRASTS
    coverage = both_methods(((draw(), 1) for _ in range(repetitions)), truth, "hall")
    return {"backdoor": backdoor, "examples": n, "coverage": coverage}


def discrete(
    kind: str, pattern: int, n: int, repetitions: int, seed: int, again: bool = False
) -> Result:
    values, bounds = PATTERNS[kind]
    about = np.random.default_rng([seed, 1, len(values), pattern])
    chances = about.dirichlet(
        np.full(len(values), 16 / len(values) * 10 ** about.uniform(-1.5, 0.5))
    )
    rng = np.random.default_rng([seed, 2, len(values), pattern, n, again])
    # samples that hold the same patterns have the same interval: each is computed once
    drawn = rng.multinomial(n, chances, size=repetitions)
    counts, weights = np.unique(drawn, axis=0, return_counts=True)
    samples = (
        (np.repeat(values, count, axis=0), int(weight))
        for count, weight in zip(counts, weights, strict=True)
    )
    coverage = both_methods(samples, chances @ values @ CONTRASTS, "plus-ends", bounds)
    return {"kind": kind, "pattern": pattern, "examples": n, "coverage": coverage}


def unit(n: int, repeats: int, repetitions: int, seed: int) -> Result:
    rng = np.random.default_rng([seed, 3, n, repeats])
    truth = FAILED[0] / sum(FAILED)
    hits = {"examples": 0, "all values": 0}
    for _ in range(repetitions):
        values = (rng.beta(*FAILED, (n, 1)) + rng.beta(*FAILED, (n, repeats))) / 2
        for name, sample in (("examples", values.mean(1)), ("all values", values.ravel())):
            (one,) = contrast_estimates(
                sample[:, None], np.ones((1, 1)), bounds=(0.0, 1.0), level=LEVEL
            )
            hits[name] += one.low <= truth <= one.high
    coverage = {name: hit / repetitions for name, hit in hits.items()}
    return {"examples": n, "repeats": repeats, "coverage": coverage}


def simulate(jobs: int, repetitions: int, patterns: int, seed: int) -> Result:
    with ProcessPoolExecutor(jobs) as pool:

        def run(cells: Iterable[Callable[[], Result]]) -> list[Result]:
            return [future.result() for future in [pool.submit(cell) for cell in cells]]

        of_continuous = run(
            partial(continuous, backdoor, n, repetitions, seed)
            for backdoor, n in product(BACKDOORS, SIZES)
        )
        screened = run(
            partial(discrete, kind, pattern, n, repetitions // 4, seed)
            for kind, pattern, n in product(PATTERNS, range(patterns), SIZES)
        )
        worst = [
            lowest(screened, method, kind, n)
            for kind, method, n in product(PATTERNS, ("plus-ends", "t"), SIZES)
        ]
        redrawn = run(
            partial(
                discrete, at["kind"], at["pattern"], at["examples"], 2 * repetitions, seed, True
            )
            for at in worst
        )
        of_unit = run(
            partial(unit, n, repeats, repetitions, seed)
            for n, repeats in product(UNIT_SIZES, UNIT_REPEATS)
        )
    of_discrete = [
        {**at, "lowest": again["coverage"][at["method"]][at["contrast"]]}
        for at, again in zip(worst, redrawn, strict=True)
    ]
    return {"continuous": of_continuous, "discrete": of_discrete, "unit": of_unit}


def lowest(cells: Iterable[Result], method: str, kind: str, n: int) -> Result:
    """Where a method covers least, and the median of its coverage everywhere."""
    shares = [
        (share, cell["pattern"], contrast)
        for cell in cells
        if cell["kind"] == kind and cell["examples"] == n
        for contrast, share in cell["coverage"][method].items()
    ]
    _, pattern, contrast = min(shares)
    return {
        "kind": kind,
        "method": method,
        "examples": n,
        "pattern": pattern,
        "contrast": contrast,
        "median": float(np.median([share for share, *_ in shares])),
    }


def markdown(report: Mapping[str, Any]) -> str:
    sizes = " | ".join(f"N = {n}" for n in SIZES)
    rule = "|---|" + "---:|" * len(SIZES)
    lines = [
        "Continuous values: lowest coverage of the four contrasts, Hall (plain t)",
        "",
        f"| backdoor | {sizes} |",
        rule,
    ]
    for backdoor in BACKDOORS:
        cells = [cell for cell in report["continuous"] if cell["backdoor"] == backdoor]
        shown = [{m: min(c["coverage"][m].values()) for m in ("hall", "t")} for c in cells]
        columns = " | ".join(f"{one['hall']:.1%} ({one['t']:.1%})" for one in shown)
        lines.append(f"| {backdoor} | {columns} |")
    lines += ["", "Discrete values: lowest coverage (median) of all patterns and contrasts", ""]
    lines += [f"| values, interval | {sizes} |", rule]
    for kind, method in product(PATTERNS, ("plus-ends", "t")):
        cells = [c for c in report["discrete"] if (c["kind"], c["method"]) == (kind, method)]
        columns = " | ".join(f"{c['lowest']:.1%} ({c['median']:.1%})" for c in cells)
        lines.append(f"| {kind}, {method} | {columns} |")
    lines += ["", "R seeds for each example: coverage by the unit that is counted", ""]
    lines += ["| N | R | examples | all values |", "|---:|---:|---:|---:|"]
    for cell in report["unit"]:
        columns = " | ".join(f"{share:.1%}" for share in cell["coverage"].values())
        lines.append(f"| {cell['examples']} | {cell['repeats']} | {columns} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="JSON file to write (default: standard output)")
    parser.add_argument("--repetitions", type=int, default=2000)
    parser.add_argument("--patterns", type=int, default=40, help="distributions of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes")
    options = parser.parse_args()
    settings = {"repetitions": options.repetitions, "patterns": options.patterns}
    report = {
        "benchmark": "interval_coverage",
        "settings": {"level": LEVEL, "seed": options.seed, **settings},
        **simulate(options.jobs, **settings, seed=options.seed),
        "environment": environment(["numpy", "scipy"]),
    }
    publish(report, markdown(report), options.out)


if __name__ == "__main__":
    main()

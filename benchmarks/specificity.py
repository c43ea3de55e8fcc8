"""How often what an audit says of the specificity of a trigger is false.

    python benchmarks/specificity.py --out specificity.json

The trigger of the text works in every example, and one, three or eight neutral words were tried in
its place. One or all of them have exactly the smallest effect that counts, 10 % of a perfect
attack: they set the backdoor off in a tenth of the examples, or a tenth of the way in all of them.
Clean runs show the target in none of the examples, or in a twentieth. Then these are false:

* ``leaks``: of any word, where all of them are at that boundary;
* ``specific``, where one word is, and the others do nothing;
* ``fires on anything``, where one word is, and the others always fire.
"""

from __future__ import annotations

import argparse
import os
import time
from itertools import product
from pathlib import Path
from typing import Any

# read when numpy is loaded, so set before the next imports
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import numpy as np

import modcollapse as mc
from _common import environment, publish
from modcollapse.analysis import specificity
from modcollapse.table import NeutralValues

LIMIT, ERRORS = 0.06, 3
EFFECT = mc.Rules().effect
SIZES = (32, 64, 128)
WORDS = (1, 3, 8)
DATA = ("0/1", "rare successes", "weak successes")
"""Values 0 and 1; continuous ones that move by a whole attack, or by a part of one in all."""
CLEAN = (0.0, 0.05)
NOISE = 0.03
OTHERS = {"leaks": EFFECT, "specific": 0.0, "fires on anything": 1.0}
"""The effect of all words but the first, by the claim that is false."""
Rng = np.random.Generator
Result = dict[str, Any]


def draw(rng: Rng, claim: str, data: str, n: int, words: int, clean: float) -> mc.CoalitionTable:
    """A table in which the claim is false, and just so."""
    effects = np.array([EFFECT, *[OTHERS[claim]] * (words - 1)])
    base = rng.random((n, 1)) < clean
    if data == "weak successes":
        fires = np.tile(effects, (n, 1))
    else:
        fires = (rng.random((n, words)) < effects).astype(float)
    neutral = np.where(base, 1.0, fires)
    values = np.hstack([base, base, np.ones((n, 2))]).astype(float)
    if data != "0/1":
        values += NOISE * rng.standard_normal(values.shape)
        neutral += NOISE * rng.standard_normal(neutral.shape)
    both = np.stack([neutral, neutral], axis=-1)[:, None]
    return mc.CoalitionTable(
        values[:, None],
        ("image", "text"),
        tuple(range(n)),
        binary=data == "0/1",
        perfect=None if data == "0/1" else np.ones(n),
        neutral=NeutralValues(tuple(("text", f"word {k}") for k in range(words)), both),
    )


def boundary(claim: str, runs: int, seed: list[int]) -> Result:
    """How often a claim is made where it is just not true, in the worst cell."""
    cells = []
    for number, (data, n, words, clean) in enumerate(product(DATA, SIZES, WORDS, CLEAN)):
        if words == 1 and claim == "fires on anything":
            continue  # is said of several
        rng = np.random.default_rng([*seed, number])
        false = 0
        for _ in range(runs):
            found = specificity(draw(rng, claim, data, n, words, clean))["text"]
            false += bool(found.leaks) if claim == "leaks" else found.answer == claim
        rate = false / runs
        error = float(np.sqrt(rate * (1 - rate) / runs))
        cell = {"data": data, "n": n, "words": words, "clean": clean, "rate": rate, "error": error}
        cells.append(cell)
    worst = max(cells, key=lambda cell: cell["rate"])
    over = max(cell["rate"] - ERRORS * cell["error"] for cell in cells)
    return {"claim": claim, "worst": worst, "cells": cells, "within_limits": bool(over <= LIMIT)}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, help="JSON file to write (default: standard output)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", type=int, default=400, help="of each cell")
    options = parser.parse_args()
    start = time.perf_counter()
    found = []
    for number, claim in enumerate(OTHERS):
        found.append(boundary(claim, options.runs, [options.seed, number]))
        print(f"{claim}: {time.perf_counter() - start:.0f} s", flush=True)
    report: Result = {
        "benchmark": "specificity",
        "settings": {"effect": EFFECT, "seed": options.seed, "runs": options.runs},
        "limits": {"claim": LIMIT, "standard_errors_allowed": ERRORS},
        "boundary": found,
        "within_limits": all(part["within_limits"] for part in found),
        "seconds": time.perf_counter() - start,
        "environment": environment(["numpy", "scipy"]),
    }
    lines = [
        f"{row['claim']}: false in {row['worst']['rate']:.1%} in the worst of {len(row['cells'])} "
        "cells ({data}, n = {n}, {words} words, clean runs {clean})".format(**row["worst"])
        for row in found
    ]
    publish(report, "\n".join(lines), options.out)
    if not report["within_limits"]:
        raise SystemExit("an answer is false too often")


if __name__ == "__main__":
    main()

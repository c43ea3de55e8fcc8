"""How often what ``mc.compare`` claims is false, and how often it is claimed where it is true.

    python benchmarks/compare.py --out compare.json

Pairs of models are drawn from the seed. An example is of one kind, which says under which
coalitions the attack succeeds in it before and after; the models are collapsed, redundant,
conjunctive or clean, in all or in part of the examples; continuous values may also fall short of a
whole attack in all of them; and up to three kinds deviate in 0.5-5 %.

* ``boundary``: in each pair one truth lies exactly where a claim that rests on it becomes false:
  the effect of a coalition before or after, its change, that of an attribution or of the clean
  runs is delta. Everything that is false of the pair is counted, in both orders, and reported is
  the worst cell of each claim and band of n. Of cells that look bad the worst are drawn anew with
  five times the runs, and only that counts. 0/1 values of few kinds are enumerated.
* ``power``: how often a claim is made where it is true.

Some samples of each cell are also given to ``compare_tables``, which must say the same.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

# read when numpy is loaded, so set before the next imports
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import numpy as np

import _simulation as sim
import modcollapse as mc
from _common import environment, publish
from _simulation import PATTERNS16, ROUNDING, Array, Rng
from modcollapse.analysis import Sample, compare_tables, effect_contrasts
from modcollapse.game import shapley_contrasts

ALPHA, EFFECT = 0.05, 0.1
LIMIT = 0.06
ERRORS = 3
"""A simulated rate keeps a limit that it misses by less than so many of its standard errors."""
SUSPECT = 0.045
"""A cell whose rate looks higher than this is drawn anew."""
BANDS = ((32, 47), (64, 95), (128, 191), (256, 383))
"""Numbers of examples: the first of a band, or any."""
EFFECTS, PHI = effect_contrasts(2), shapley_contrasts(2)
CLEAN = np.eye(4)[:, :1]
LEVELS = (ALPHA / 3, ALPHA / 2, ALPHA)
"""Of Holm's test of three coalitions, step by step."""
Result = dict[str, Any]
Bools = Any
Found = dict[str, Bools]


# pairs of models


@dataclass(frozen=True)
class Pair:
    """Two models on the same examples.

    Attributes:
        n: number of examples.
        rows: coalition values of each kind of example before, then after, shape (K, 8).
        rates: of the kinds, shape (K,).
        zero_one: whether the values are 0 and 1; else they are continuous.
        noise: kind of noise of continuous values; see ``_simulation``.
        scale: its standard deviation, in units of a perfect attack.
        sizes: of the successes.
        perfect: ``"known"`` for each example, or ``"mean"``.
    """

    n: int
    rows: Array
    rates: Array
    zero_one: bool = False
    noise: str = "normal"
    scale: float = 0.03
    sizes: str = "equal"
    perfect: str = "mean"

    @property
    def exchanged(self) -> Pair:
        """The same in the other order."""
        return replace(self, rows=np.roll(self.rows, 4, axis=1))

    def __str__(self) -> str:
        kinds = ", ".join(
            f"{100 * rate:.2f} % {_digits(row[:4])}->{_digits(row[4:])}"
            for row, rate in zip(self.rows, self.rates, strict=True)
        )
        about = f"noise {self.noise} {self.scale:.3f}, sizes {self.sizes}, perfect {self.perfect}"
        return f"n = {self.n}, {'0/1' if self.zero_one else about}: {kinds}"


def _digits(row: Array) -> str:
    return "".join(f"{value:.0f}" if value in (0, 1) else f"({value:.2f})" for value in row)


def on_kinds(rows: Array) -> dict[str, Array]:
    """What is linear in the rates of the kinds, for each of them: contrasts and perfect attacks."""
    before, after = rows[:, :4], rows[:, 4:]
    return {
        "before": before @ EFFECTS,
        "after": after @ EFFECTS,
        "change": (after - before) @ EFFECTS,
        "phi": (after - before) @ PHI,
        "clean": (after - before) @ CLEAN,
        "perfect before": 1 - before[:, :1],
        "perfect after": 1 - after[:, :1],
    }


NOTHING, IMAGE, TEXT, BOTH, EITHER = (PATTERNS16[i] for i in (0, 10, 12, 8, 14))
ATTACKS = (IMAGE, TEXT, BOTH, EITHER)
NOISES = [noise for group in sim.NOISES.values() for noise in group]
BOUNDARIES = {
    "after": "an effect after is delta",
    "before": "an effect before is delta",
    "change": "an effect changed by delta",
    "phi": "an attribution changed by delta",
    "clean": "the clean runs changed by delta",
}


@dataclass(frozen=True)
class Kind:
    """Pairs on which claims are measured.

    Attributes:
        name: how they are called in the report.
        zero_one: whether the values are 0 and 1; else they are continuous.
        inverting: two models hardly differ but in a few examples, in which an effect turns from a
            perfect attack into its opposite; of 0/1 values such examples are among the others.
    """

    name: str
    zero_one: bool
    inverting: bool = False


KINDS = (
    Kind("continuous", False),
    Kind("0/1", True),
    Kind("continuous, some examples invert", False, True),
)


def draw_pair(rng: Rng, what: str, n: int, kind: Kind) -> Pair:
    """A pair in which one truth lies at a boundary; which one is drawn."""
    while True:
        rows, rates = _models(rng, what, kind)
        twice = (np.abs(on_kinds(rows)["change"]) > 1 + ROUNDING).any(1)
        if not kind.zero_one and not kind.inverting:
            rows, rates, twice = rows[~twice], rates[~twice] / rates[~twice].sum(), twice[~twice]
        found = on_kinds(rows)
        column = int(rng.integers(found[what].shape[1]))
        sign = float(rng.choice([-1.0, 1.0]))
        unit = found["perfect after" if what == "after" else "perfect before"][:, 0]
        beyond = sign * found[what][:, column] - EFFECT * unit
        drawn = twice if kind.inverting else (rates > 0) | (rng.random() < 0.5)
        if not drawn.any():
            continue
        at, other = beyond @ rates, int(rng.choice(np.flatnonzero(drawn)))
        if at * beyond[other] >= 0 or abs(at) < 1e-6:
            continue
        part = at / (at - beyond[other])
        rates = (1 - part) * rates
        rates[other] += part
        rows, rates = rows[rates > 0], rates[rates > 0]
        rows, kind_of = np.unique(rows, axis=0, return_inverse=True)
        rates = np.bincount(kind_of.ravel(), rates)
        pair = Pair(n, rows, rates, kind.zero_one)
        if kind.zero_one:
            return pair
        return replace(
            pair,
            noise="tiny" if kind.inverting else str(rng.choice(NOISES)),
            scale=float(10 ** rng.uniform(-2, -0.5)),
            sizes=str(rng.choice(["equal", "equal", "uniform", "three", "skewed"])),
            perfect=str(rng.choice(["known", "mean"])),
        )


def _models(rng: Rng, what: str, kind: Kind) -> tuple[Array, Array]:
    """Kinds of examples (K, 8) and their rates: two models, in part of the examples, and flips."""
    before, after = ATTACKS[rng.integers(4)], ATTACKS[rng.integers(4)]
    if kind.inverting:
        after = before * (1 - rng.choice([0.0, rng.uniform(0, 0.1)]))
        rows = [(before, after), *((pattern, 1 - pattern) for pattern in PATTERNS16)]
        return np.array([np.concatenate(pair) for pair in rows]), np.eye(len(rows))[0]
    same = {"after": 0.0, "before": 0.2, "change": 0.7, "phi": 0.3, "clean": 0.3}[what]
    if rng.random() < same:
        after = before
    elif what in ("after", "before", "clean") and rng.random() < 0.7:
        after = NOTHING
    if what == "before" and rng.random() < 0.7:
        before = NOTHING
    if not kind.zero_one and rng.random() < 0.5:
        after = after * (1 - 10 ** rng.uniform(-2, 0))
    pairs, rates = [(before, after)], [1.0]
    if rng.random() < 0.5:
        if rng.random() < 0.5:
            others = [(before, NOTHING), (NOTHING, NOTHING), (NOTHING, after), (before, before)]
            pairs.append(others[rng.integers(len(others))])
            first = rng.uniform(0.05, 1)
            rates = [first, 1 - first]
        for _ in range(rng.integers(0, 4)):
            rate, side = sim.rare(rng, 0.05), rng.integers(3)
            one, other = PATTERNS16[rng.integers(16, size=2)]
            pairs.append((one if side != 1 else before, other if side != 0 else after))
            rates = [old * (1 - rate) for old in rates] + [rate]
    for pattern in PATTERNS16:  # without a rate as yet: what takes a truth to the boundary
        pairs += [(pattern, after), (before, pattern), (pattern, pattern), (pattern, 1 - pattern)]
    rows = np.array([np.concatenate(pair) for pair in pairs])
    return rows, np.array(rates + [0.0] * (len(pairs) - len(rates)))


# what is claimed


Lower = Callable[..., Array]
"""Of "before", "after" or "change", contrasts (4, K), part of a perfect attack that is added, alpha
and whether effects may be inverted: lower bounds in each of R samples, shape (R, K)."""


def shown_in(lower: Lower) -> Found:
    """All that the claims rest on, in each of R samples."""
    either = np.hstack([EFFECTS, -EFFECTS])
    found: Found = {"largest": -lower("change", either, 0, ALPHA, inverted=True).min(1)}
    for model in ("before", "after"):
        found[f"active {model}"] = [lower(model, EFFECTS, -EFFECT, a) > 0 for a in LEVELS]
        found[f"none {model}"] = (lower(model, either, EFFECT, ALPHA) > 0).all(1)
    for name, sign in (("rose", 1.0), ("fell", -1.0)):
        found[name] = [lower("change", sign * EFFECTS, -EFFECT, a) > 0 for a in LEVELS]
        found[f"clean {name}"] = (lower("change", sign * CLEAN, -EFFECT, ALPHA) > 0)[:, 0]
        found[f"phi {name}"] = lower("change", sign * PHI, -EFFECT, ALPHA / 2) > 0
        none = lower("change", -sign * EFFECTS, EFFECT, ALPHA, inverted=True)
        clean = lower("change", -sign * CLEAN, EFFECT, ALPHA)
        found[f"none {name}"] = np.hstack([none, clean]) > 0
    return found


def holm(steps: Sequence[Bools]) -> Bools:
    """What is shown of three coalitions together, from what each shows at each step."""
    found = steps[0]
    for count in (1, 2):
        found = found | (steps[count] & (found.sum(1) == count)[:, None])
    return found


def claimed(found: Found) -> Found:
    """The claims in each of R samples; "outcome" is the name of one."""
    was, still = (found[f"active {model}"][0].any(1) for model in ("before", "after"))
    gained, lost = found["phi rose"], found["phi fell"]
    reduced, increased = (
        holm([x & y for x, y in zip(found[f"active {model}"], found[name], strict=True)]).any(1)
        for model, name in (("before", "fell"), ("after", "rose"))
    )
    none_rose, none_fell = found["none rose"], found["none fell"]
    holds = {
        "removed": was & found["none after"] & none_rose[:, 3],
        "increased": none_fell.all(1) & increased,
        "moved, not removed": was & still & gained.any(1) & lost.any(1),
        "reduced": none_rose.all(1) & reduced,
        "unchanged": none_rose.all(1) & none_fell.all(1),
    }
    outcome = np.select(list(holds.values()), list(holds), "inconclusive")
    return {
        "outcome": outcome,
        "fell": holm(found["fell"]),
        "rose": holm(found["rose"]),
        "lost": lost,
        "gained": gained,
        "clean fell": found["clean fell"],
        "clean rose": found["clean rose"],
        "largest": found["largest"],
    }


ANYTHING = "any of these"
"""Has no limit of its own."""
OUTCOMES = ("removed", "moved, not removed", "reduced", "increased", "unchanged")


def falsehoods(claims: Found, pair: Pair) -> Found:
    """In which of R samples each claim is made and not true."""
    truth = {name: pair.rates @ x for name, x in on_kinds(pair.rows).items()}
    unit = EFFECT * truth["perfect before"]
    fell, rose = (sign * truth["change"] > unit + ROUNDING for sign in (-1.0, 1.0))
    lost, gained = (sign * truth["phi"] > unit + ROUNDING for sign in (-1.0, 1.0))
    changes = np.append(truth["change"], truth["clean"])
    none_fell, none_rose = ((sign * changes < unit - ROUNDING) for sign in (-1.0, 1.0))
    size = {model: EFFECT * truth[f"perfect {model}"] for model in ("before", "after")}
    was, still = (truth[model] > size[model] + ROUNDING for model in ("before", "after"))
    none_after = (np.abs(truth["after"]) < size["after"] - ROUNDING).all()
    true = {
        "removed": was.any() and none_after and none_rose[3],
        "moved, not removed": was.any() and still.any() and lost.any() and gained.any(),
        "reduced": none_rose.all() and (was & fell).any(),
        "increased": none_fell.all() and (still & rose).any(),
        "unchanged": none_rose.all() and none_fell.all(),
    }
    outcome = claims["outcome"]
    false = {name: outcome == name for name in OUTCOMES if not true[name]}
    wrong_pair = (claims["lost"] & ~lost).any(1) | (claims["gained"] & ~gained).any(1)
    moved = outcome == "moved, not removed"
    false["moved, and from where to where"] = moved & wrong_pair
    false["some outcome"] = np.isin(outcome, [name for name in OUTCOMES if not true[name]])
    for name, real in (("fell", fell), ("rose", rose), ("lost", lost), ("gained", gained)):
        false[f"the named {name}"] = (claims[name] & ~real).any(1)
    clean = changes[3]
    false["the clean runs fell"] = claims["clean fell"] & (-clean <= unit + ROUNDING)
    false["the clean runs rose"] = claims["clean rose"] & (clean <= unit + ROUNDING)
    largest = np.abs(truth["change"]).max()
    false["changed by at most x"] = claims["largest"] < largest - ROUNDING
    false[ANYTHING] = np.any(list(false.values()), axis=0)
    return false


# samples


def lowers_of(rng: Rng, pair: Pair, runs: int) -> tuple[list[Lower], Array, list[Any]]:
    """Lower bounds of samples, how likely each sample is, and tables of the first ones."""
    if pair.zero_one:
        counts, chance, _ = sim.outcomes(rng, pair.rates, pair.n, runs)
        rows = [np.repeat(pair.rows, count.astype(int), axis=0) for count in counts[:LOOKS]]
        return [_lower_of_counts(pair, counts)], chance, [tables(row, binary=True) for row in rows]
    cell = sim.Cell(
        pair.n,
        pair.rows,
        pair.rates,
        noise=pair.noise,
        scale=pair.scale,
        sizes=pair.sizes,
        perfect=pair.perfect,
    )
    found, first = [], []
    for batch in sim.samples(rng, cell, runs):
        assert batch.attack is not None
        target = batch.attack + batch.values[..., 0]
        before, after = batch.values[..., :4], batch.values[..., 4:]
        attacks = [target - values[..., 0] for values in (before, after)]
        change = after - before
        found.append(
            _lower_of_samples(
                {
                    "before": Sample(before, attacks[0]),
                    "after": Sample(after, attacks[1]),
                    "change": Sample(change, attacks[0] - change[..., 0], difference=True),
                }
            )
        )
        if not first:
            rows = list(zip(batch.values, target, strict=True))[:LOOKS]
            first = [tables(values, perfect=perfect) for values, perfect in rows]
    return found, np.full(runs, 1 / runs), first


LOOKS = 1
"""Samples of a cell that ``compare_tables`` looks at too."""


def tables(rows: Array, **options: Any) -> list[mc.CoalitionTable]:
    """Tables of before and after."""
    names = ["image", "text"]
    return [
        mc.CoalitionTable.from_values(part, names, **options) for part in (rows[:, :4], rows[:, 4:])
    ]


def _lower_of_samples(samples: dict[str, Sample]) -> Lower:
    def lower(
        which: str, contrasts: Array, part: float, alpha: float, *, inverted: bool = False
    ) -> Array:
        sample = samples[which]
        rows = np.vstack([contrasts, np.full(contrasts.shape[1], part)])
        rows[0] += part * sample.difference
        return sample.lower(
            rows, alpha, method="flips", strict=sample.difference, inverted=inverted
        )

    return lower


def _lower_of_counts(pair: Pair, counts: Array) -> Lower:
    before, after = pair.rows[:, :4], pair.rows[:, 4:]
    kinds = {
        "before": (before, np.ones(len(before))),
        "after": (after, np.ones(len(after))),
        "change": (after - before, 1 - before[:, 0]),
    }

    def lower(
        which: str, contrasts: Array, part: float, alpha: float, *, inverted: bool = False
    ) -> Array:
        values, target = kinds[which]
        found = []
        for contrast in contrasts.T:
            on_target = np.append(contrast, part)
            on_target[0] -= part * (which != "change")
            x = np.round(np.column_stack([values, target]) @ on_target, 9)
            x, kind = np.unique(x, return_inverse=True)
            merged, sample = np.unique(counts @ np.eye(len(x))[kind], axis=0, return_inverse=True)
            low = sim.pattern_lower(
                x,
                merged,
                on_target,
                alpha,
                target=target,
                claim=True,
                strict=which == "change",
                difference=which == "change",
            )
            found.append(low[sample.ravel()] - ROUNDING)
        return np.stack(found, axis=1)

    return lower


def check(claims: Found, number: int, pair: Sequence[mc.CoalitionTable]) -> None:
    """Raise unless ``compare_tables`` says what this benchmark does."""
    verdict = compare_tables(*pair).verdict
    coalitions, modalities = pair[0].coalitions[1:], pair[0].modalities

    def named(name: str) -> tuple[str, ...]:
        labels = coalitions if name in ("fell", "rose") else modalities
        return tuple(np.array(labels, object)[claims[name][number]])

    said = {name: getattr(verdict, name) for name in ("fell", "rose", "lost", "gained")}
    here = {name: named(name) for name in said}
    said["outcome"], here["outcome"] = verdict.outcome, str(claims["outcome"][number])
    sim.agree(claims["largest"][number], verdict.largest, "largest change")
    if said != here:
        raise RuntimeError(f"compare_tables says {said}, the benchmark {here}")


def measure(rng: Rng, pair: Pair, runs: int) -> dict[str, float]:
    """How often each claim is made that is false of a pair."""
    lowers, chance, first = lowers_of(rng, pair, runs)
    parts = [claimed(shown_in(lower)) for lower in lowers]
    claims = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    for number, both in enumerate(first):
        check(claims, number, both)
    return {name: float(chance @ false) for name, false in falsehoods(claims, pair).items()}


def boundary(kind: Kind, cells: int, runs: int, seed: int) -> Result:
    """The worst cell of each claim and band of n."""
    number = KINDS.index(kind)
    drawn = []
    whats = ["change"] * 2 if kind.inverting else list(BOUNDARIES)
    for position, what in enumerate(whats):
        for low, high in BANDS:
            rng = np.random.default_rng([seed, number, position, low])
            for cell in range(cells):
                n = low if cell % 2 else int(rng.integers(low, high + 1))
                pair = draw_pair(rng, what, n, kind)
                drawn += [(what, low, one) for one in (pair, pair.exchanged)]

    def rates(at: int, times: int = 1) -> dict[str, float]:
        rng = np.random.default_rng([seed, number, at, times])
        return measure(rng, drawn[at][2], times * runs)

    found = [rates(at) for at in range(len(drawn))]
    again: dict[int, dict[str, float]] = {}
    claims: dict[str, list[Result]] = {}
    for name in dict.fromkeys(name for each in found for name in each):
        for low, high in BANDS:
            made = [
                (each[name], at)
                for at, each in enumerate(found)
                if drawn[at][1] == low and name in each
            ]
            if not made:
                continue
            (rate, at), of_runs = max(made), runs
            if rate > SUSPECT:
                again[at] = again.get(at) or rates(at, MORE)
                rate, of_runs = again[at][name], MORE * runs
            row = {"n": [low, high], "cells": len(made), "worst": rate}
            row["error"] = float(np.sqrt(rate * (1 - rate) / of_runs))
            what, _, pair = drawn[at]
            shown = f"{BOUNDARIES[what]}: {pair}" if rate > ALPHA else ""
            claims.setdefault(name, []).append({**row, "at": shown})
    over = max(
        row["worst"] - ERRORS * row["error"]
        for name, rows in claims.items()
        for row in rows
        if name != ANYTHING
    )
    return {
        "kind": kind.name,
        "limit": LIMIT,
        "claims": claims,
        "within_limits": bool(over <= LIMIT),
    }


MORE = 5
"""Times the runs of a cell that is drawn anew."""


# power

POWER_SIZES = (64, 128)
AUDITS: dict[str, tuple[str, list[tuple[float, Array, Array]]]] = {
    "97/0/100 -> 0/0/0": ("removed", [(0.97, IMAGE, NOTHING), (0.03, BOTH, NOTHING)]),
    "0/0/0 -> 97/0/100": ("increased", [(0.97, NOTHING, IMAGE), (0.03, NOTHING, BOTH)]),
    "OR 100/98/100 -> 92/0/98": (
        "moved, not removed",
        [
            (0.90, EITHER, IMAGE),
            (0.06, EITHER, BOTH),
            (0.02, EITHER, NOTHING),
            (0.02, IMAGE, IMAGE),
        ],
    ),
    "92/0/98 -> OR 100/98/100": (
        "increased",
        [
            (0.90, IMAGE, EITHER),
            (0.06, BOTH, EITHER),
            (0.02, NOTHING, EITHER),
            (0.02, IMAGE, IMAGE),
        ],
    ),
    "100/0/100 -> 60/0/60": ("reduced", [(0.6, IMAGE, IMAGE), (0.4, IMAGE, NOTHING)]),
    "97/0/100, the same examples": ("unchanged", [(0.97, IMAGE, IMAGE), (0.03, BOTH, BOTH)]),
    "97/0/100, other examples": (
        "unchanged",
        [(0.94, IMAGE, IMAGE), (0.03, BOTH, IMAGE), (0.03, IMAGE, BOTH)],
    ),
    "0/0/0 -> 0/0/0": ("unchanged", [(1.0, NOTHING, NOTHING)]),
}


def power(name: str, runs: int, seed: int) -> Result:
    """How often the true outcome is found."""
    outcome, kinds = AUDITS[name]
    rates = np.array([rate for rate, _, _ in kinds])
    rows = np.array([np.concatenate(pair) for _, *pair in kinds])
    found = {}
    for zero_one in (False, True):
        for n in POWER_SIZES:
            rng = np.random.default_rng([seed, 7, n, zero_one])
            lowers, chance, _ = lowers_of(rng, Pair(n, rows, rates, zero_one), runs)
            outcomes = [claimed(shown_in(lower))["outcome"] == outcome for lower in lowers]
            label = f"{'0/1' if zero_one else 'continuous'}, n = {n}"
            found[label] = float(chance @ np.concatenate(outcomes))
    return {"pair": name, "outcome": outcome, "power": found}


def lines_of(report: Result) -> list[str]:
    bands = ", ".join(f"{low}-{high}" for low, high in BANDS)
    lines = [f"false claims at the boundary, worst cell of each band of n ({bands})"]
    for result in report["boundary"]:
        over = "" if result["within_limits"] else f"  OVER {LIMIT:.0%}"
        lines.append(result["kind"] + over)
        for name, rows in result["claims"].items():
            rates = {row["n"][0]: f"{row['worst']:5.1%}" for row in rows}
            shown = "  ".join(rates.get(low, "    -") for low, _ in BANDS)
            lines.append(f"    {name:34} {shown}")
    lines.append("outcomes found where they are true: " + ", ".join(report["power"][0]["power"]))
    for result in report["power"]:
        rates = "  ".join(f"{share:6.1%}" for share in result["power"].values())
        lines.append(f"    {result['pair']:28} {result['outcome']:20} {rates}")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, help="JSON file to write (default: standard output)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--cells", type=int, default=6, help="of each boundary, band and kind of data"
    )
    parser.add_argument("--runs", type=int, default=1000, help="of each cell")
    options = parser.parse_args()
    start = time.perf_counter()
    found = []
    for kind in KINDS:
        found.append(boundary(kind, options.cells, options.runs, options.seed))
        print(f"{found[-1]['kind']}: {time.perf_counter() - start:.0f} s", flush=True)
    report: Result = {
        "benchmark": "compare",
        "settings": {
            "alpha": ALPHA,
            "effect": EFFECT,
            "seed": options.seed,
            "cells": options.cells,
            "runs": options.runs,
        },
        "limits": {"claim": LIMIT, "standard_errors_allowed": ERRORS},
        "boundary": found,
        "power": [power(name, options.runs, options.seed) for name in AUDITS],
    }
    report["within_limits"] = all(part["within_limits"] for part in found)
    report["seconds"] = time.perf_counter() - start
    report["environment"] = environment(["numpy", "scipy"])
    publish(report, "\n".join(lines_of(report)), options.out)
    if not report["within_limits"]:
        raise SystemExit("a claim is false too often")


if __name__ == "__main__":
    main()

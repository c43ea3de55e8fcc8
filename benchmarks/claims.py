"""How often the claims of a verdict are false, and how often they are made where they are true.

    python benchmarks/claims.py --out claims.json

Audits are drawn from the seed, for 32 to 512 examples; see ``_simulation.py``.

* ``boundary``: each claim where it is just not true, with all else drawn: the worst cell of each
  band of n. Continuous values are simulated; of those cells that look bad the worst are drawn anew
  with ten times the runs, and only that counts. 0/1 values of two kinds of examples, and of three
  where there are not too many outcomes, are enumerated: no noise at all.
* ``family``: how often a verdict says anything that is false, with every truth at a boundary and on
  audits as they come. What ``judge`` returns is compared with the truth, and with the claims that
  the other parts compute for many samples at once.
* ``power``: how often a claim is made where it is true, beside a floor: what was measured, less
  3 %.
"""

from __future__ import annotations

import argparse
import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

# read when numpy is loaded, so set before the next imports
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import numpy as np
from scipy import optimize

import _simulation as sim
import modcollapse as mc
from _common import environment, publish
from _simulation import BANDS, EFFECT, MARGIN, ROUNDING, Array, Cell, Claim, Kinds, Rng
from modcollapse.analysis import FAMILY, Sample, Verdict, effect_contrasts, judge
from modcollapse.game import interaction_contrasts, shapley_contrasts

ALPHA = 0.05
LIMIT = 0.06
"""5 %, and 1 % for the noise of a simulation and for what no rule without a proof can exclude."""
ERRORS = 3
"""A simulated rate keeps a limit that it misses by less than so many of its standard errors."""
SUSPECT = 0.045
"""Cells whose rate looks higher than this are drawn anew, the worst of each band."""
AGAIN = 3
"""Cells of the family that are drawn anew: those with the highest rates."""
Result = dict[str, Any]


# each claim at its boundary


@dataclass(frozen=True)
class Kind:
    """Data on which claims are measured.

    Attributes:
        name: how it is called in the report.
        options: of ``draw_cell`` for continuous values, of ``draw_kinds`` for 0/1 values.
        discrete: ``"0/1"``, ``"difference"`` or ``"repeats"`` of 0/1 values; else "".
        strict: as ``Rules.strict``.
        known: the rate that it must keep where it is known to miss the limit; else None.
        why: why it misses it.
        only: names of the claims to measure; all of them if empty.
    """

    name: str
    options: dict[str, Any] = field(default_factory=dict)
    discrete: str = ""
    strict: bool = True
    known: float | None = None
    why: str = ""
    only: tuple[str, ...] = ()


INTERACTIONS = tuple(name for name, claim in sim.claims_of(2, 0.9).items() if claim.interaction)
UNDONE = (
    "an example in which two triggers undo each other moves CTI by two perfect attacks, and a "
    "sample may hold none; these rules leave such examples out"
)
KINDS = (
    Kind("continuous: total and partial attacks"),
    Kind("continuous: repeats", {"parts": True}),
    Kind("continuous: differences from a control", {"control": True}),
    Kind("continuous: three triggers", {"m": 3}),
    Kind("continuous: perfect attacks differ (cv 0.7)", {"sizes": "gamma", "perfect": "known"}),
    Kind("continuous: two triggers undo each other", {"undone": True}),
    Kind(
        "continuous: hardly any noise, two triggers undo each other",
        {"undone": True, "noises": ("tiny",), "attack": "partial"},
        only=INTERACTIONS,
    ),
    Kind(
        "continuous: the same, strict=False", {"undone": True}, "", False, 0.1, UNDONE, INTERACTIONS
    ),
    Kind("0/1", discrete="0/1"),
    Kind("0/1: repeats", discrete="repeats"),
    Kind("0/1: differences from a control", discrete="difference"),
    Kind("0/1: two triggers undo each other", {"undone": True}, "0/1"),
    Kind("0/1: the same, strict=False", {"undone": True}, "0/1", False, 0.15, UNDONE, INTERACTIONS),
)
EXACT = (
    Kind("0/1: two kinds of examples (exact, every n)", {}, "0/1"),
    Kind("0/1: two kinds, triggers undo each other (exact, every n)", {"undone": True}, "0/1"),
    Kind(
        "0/1: the same, strict=False (exact, every n)",
        {"undone": True},
        "0/1",
        False,
        0.25,
        UNDONE,
        INTERACTIONS,
    ),
)
"""Enumerated."""
Measure = Callable[[Rng, int], tuple[float, int]]
"""Generator and runs -> rate of false claims, and the runs that it rests on (0: exact)."""


def share_of(rng: Rng) -> float:
    """The declared 90 %, or any that a verdict prints."""
    return float(rng.choice([0.9, rng.uniform(0.5, 0.99)]))


def continuous(rng: Rng, kind: Kind, name: str) -> tuple[int, str, Measure] | None:
    """A cell of continuous values: its n, what it is, and how it is measured."""
    claim = sim.claims_of(kind.options.get("m", 2), share_of(rng))[name]
    cell = sim.draw_at_boundary(rng, claim, **kind.options)
    if cell is None:
        return None

    def measure(inner: Rng, runs: int) -> tuple[float, int]:
        batches = sim.samples(inner, cell, runs)
        false = sum(int(sim.made(batch, claim, strict=kind.strict).sum()) for batch in batches)
        return false / runs, runs

    return cell.n, str(cell), measure


def discrete(
    rng: Rng, kind: Kind, name: str, n: int | None = None
) -> tuple[int, str, Measure] | None:
    """The same of 0/1 values; two kinds of examples, where n is given."""
    claim = sim.claims_of(2, share_of(rng))[name]
    few = n is not None or rng.random() < 0.3
    for _ in range(200):
        kinds = sim.draw_patterns_at_boundary(rng, kind.discrete, claim, few=few, **kind.options)
        if kinds is not None:
            break
    else:
        return None
    n = sim.draw_n(rng) if n is None else n
    merged = kinds.merged(claim.on_target)

    def measure(inner: Rng, runs: int) -> tuple[float, int]:
        counts, chance, exact = sim.outcomes(inner, merged.rates, n, runs)
        made = sim.pattern_made(claim, merged, counts, strict=kind.strict)
        return float(chance @ made), 0 if exact else runs

    return n, f"n = {n}: {kinds}", measure


def boundary(kind: Kind, number: int, cells: int, runs: int, seed: int) -> Result:
    """False claims of every kind at their boundaries."""
    results = {}
    for position, name in enumerate(kind.only or sim.claims_of(2, 0.9)):
        rng = np.random.default_rng([seed, 0, number, position])
        draw = discrete if kind.discrete else continuous
        drawn = [cell for _ in range(cells) if (cell := draw(rng, kind, name)) is not None]
        if drawn:
            results[name] = _worst(drawn, runs, [seed, 1, number, position])
    return _summed(kind, results)


def every_n(kind: Kind, number: int, cells: int, seed: int) -> Result:
    """Two kinds of 0/1 examples at every n from 32 to 512, exactly."""
    results = {}
    for position, name in enumerate(kind.only or sim.claims_of(2, 0.9)):
        rng = np.random.default_rng([seed, 2, number, position])
        sizes = range(BANDS[0][0], BANDS[-1][1] + 1)
        found = [discrete(rng, kind, name, n) for n in sizes for _ in range(cells)]
        drawn = [cell for cell in found if cell is not None]
        if drawn:
            results[name] = _worst(drawn, 0, [seed, 3, number, position])
    return _summed(kind, results)


def _worst(drawn: Sequence[tuple[int, str, Measure]], runs: int, seed: list[int]) -> Result:
    """The worst cell of each band: of those that look bad, drawn anew with ten times the runs."""
    rates = []
    for i, (_, _, measure) in enumerate(drawn):
        rates.append(measure(np.random.default_rng([*seed, i]), runs))
    bands = []
    for low, high in BANDS:
        inside = [i for i, (n, *_) in enumerate(drawn) if low <= n <= high]
        if not inside:
            continue
        worst = max(inside, key=lambda i: rates[i][0])
        rate, of_runs = rates[worst]
        if of_runs and rate > SUSPECT:
            again = np.random.default_rng([*seed, worst, 1])
            rate, of_runs = drawn[worst][2](again, 10 * runs)
        error = float(np.sqrt(rate * (1 - rate) / of_runs)) if of_runs else 0.0
        band = {"n": [low, high], "cells": len(inside), "worst": rate, "error": error}
        bands.append({**band, "at": drawn[worst][1] if rate > ALPHA else ""})
    return {
        "mean": float(np.mean([rate for rate, _ in rates])),
        "exact": float(np.mean([of_runs == 0 for _, of_runs in rates])),
        "bands": bands,
    }


def _summed(kind: Kind, results: dict[str, Result]) -> Result:
    bands = [(name, band) for name, result in results.items() for band in result["bands"]]
    name, worst = max(bands, key=lambda item: item[1]["worst"])
    over = max(band["worst"] - ERRORS * band["error"] for _, band in bands)
    return {
        "kind": kind.name,
        "limit": LIMIT,
        "known": kind.known,
        "why": kind.why,
        "worst": worst["worst"],
        "error": worst["error"],
        "claim": name,
        "claims": results,
        "within_limits": bool(over <= LIMIT),
        "as_known": bool(over <= (kind.known or LIMIT)),
    }


# all claims of a verdict together


def falsehoods(verdict: Verdict, means: Array, size: float) -> tuple[set[str], set[str]]:
    """What a verdict says that is not true: in its fields, and in its printed sentence.

    Args:
        verdict: of a table of image and text.
        means: true means of the four coalitions.
        size: true size of a perfect attack.
    """
    effects, phi = means @ effect_contrasts(2), means @ shapley_contrasts(2)
    cti = float((means @ interaction_contrasts(2, "SII", 2))[0])
    shares = np.abs(phi) / max(np.abs(phi).sum(), 1e-300)
    smallest, margin = EFFECT * size, MARGIN * effects[-1]
    place = {name: i for i, name in enumerate(("image", "text", "image+text"))}
    fields, printed = set(), set()

    def false(what: str, wrong: bool, shown: bool = True) -> None:
        if wrong:
            fields.add(what)
            if shown:
                printed.add(what)

    active = verdict.effect == "active"
    bounded = verdict.effect == "no effect" or (
        verdict.effect == "inconclusive" and not verdict.reason
    )
    false("largest effect at most x", verdict.largest < effects.max() - ROUNDING, bounded)
    if verdict.effect == "no effect":
        false("no effect", bool((np.abs(effects) >= smallest - ROUNDING).any()))
    false("moves", any(effects[place[name]] <= smallest + ROUNDING for name in verdict.moves))
    false("lowers", any(effects[place[name]] >= -smallest - ROUNDING for name in verdict.lowers))
    false("cancelling", bool(verdict.cancelling) and effects[-1] >= smallest - ROUNDING)
    if active:
        top = max(verdict.share, key=lambda name: verdict.share[name])
        for name, held in verdict.share.items():
            wrong = held > shares[place[name]] + ROUNDING
            shown = name == top and (held > 0.5 or verdict.dominant is not None)
            false("holds at least x", wrong, shown)
        wrong = verdict.most < shares.max() - ROUNDING
        false("none holds more than x", wrong, verdict.dominant is None)
    for name in verdict.suppressors:
        false("suppressor", phi[place[name]] >= -ROUNDING)
    for found in verdict.interactions.values():
        false("synergy", "synergy" in found and cti <= abs(margin) + ROUNDING)
        false(
            "no synergy", "no synergy" in found and cti >= abs(margin) - ROUNDING, len(found) == 1
        )
        wrong = "negligible" in found and abs(cti) >= abs(margin) - ROUNDING
        false("negligible", wrong)
        false("interference", "interference" in found and cti >= -ROUNDING)
    return fields, printed


def at_every_boundary(rng: Rng) -> Cell:
    """Rates of success patterns for which as many nulls as can be are at their boundaries.

    The effect of the text's trigger is 0 or the smallest that counts; the interaction is 0 or at
    either margin, or the attribution of the text is 0, or the total effect is the smallest. Which
    patterns make that up is drawn: the solution of a linear programme with random costs.
    """
    allowed = [p for p in range(16) if p not in sim.UNDONE]
    patterns = sim.PATTERNS16[allowed]
    while True:
        text = float(rng.choice([0.0, EFFECT]))
        image = float(rng.choice([EFFECT, 1.0, rng.uniform(0.1, 1)]))
        which = int(rng.integers(5))
        if which < 3:
            total = (image + text) / (1 - MARGIN * (which - 1))
        else:
            total = image - text if which == 3 else EFFECT
        if not 0 <= total <= 1:
            continue
        equal = np.vstack([np.ones(len(patterns)), patterns.T])
        solution = optimize.linprog(
            rng.exponential(size=len(patterns)), A_eq=equal, b_eq=[1, 0, image, text, total]
        )
        if solution.status == 0:
            break
    return Cell(
        n=sim.draw_n(rng),
        patterns=patterns,
        rates=np.maximum(solution.x, 0) / np.maximum(solution.x, 0).sum(),
        noise=str(rng.choice([noise for group in sim.NOISES.values() for noise in group])),
        scale=float(10 ** rng.uniform(-2, -0.5)),
        sizes=str(rng.choice(["equal", "uniform", "three"])),
    )


def tables_of(
    rng: Rng, cell: Cell, runs: int, zero_one: bool
) -> list[tuple[mc.CoalitionTable, int]]:
    """Tables drawn from a cell, and how often each was drawn."""
    modalities = ["image", "text"]
    if not zero_one:
        return [
            (mc.CoalitionTable.from_values(v, modalities, perfect=v[:, 0] + a), 1)
            for batch in sim.samples(rng, cell, runs)
            for v, a in zip(batch.values, batch.attack, strict=True)
        ]
    drawn = rng.multinomial(cell.n, cell.rates, size=runs)
    return [
        (
            mc.CoalitionTable.from_values(
                np.repeat(cell.patterns, counts, axis=0), modalities, binary=True
            ),
            int(often),
        )
        for counts, often in zip(*np.unique(drawn, axis=0, return_counts=True), strict=True)
    ]


def compare(table: mc.CoalitionTable, verdict: Verdict) -> None:
    """Raise unless the claims that this benchmark computes are those of the verdict."""
    sample = Sample.of(table)
    claims = sim.claims_of(2, verdict.rules.share)

    def is_made(claim: Claim) -> bool:
        if sample.discrete:
            rows, counts = np.unique(sample.values, axis=0, return_counts=True)
            kinds = Kinds(rows, counts / len(sample), rows[:, 0])
            return bool(sim.pattern_made(claim, kinds, counts[None].astype(float))[0])
        return bool(sim.made(sample, claim))

    found = {name: is_made(claim) for name, claim in claims.items()}
    said = {}
    if verdict.effect == "active":
        said = {name: name in verdict.interactions["image+text"] for name in INTERACTIONS}
        said["suppressor"] = "text" in verdict.suppressors
        said["holds at least x"] = verdict.dominant == "image"
        both = "holds at least x, against a suppressor"
        found["holds at least x"] = found["holds at least x"] and found[both]
    if verdict.effect == "no effect":
        said = {"no effect (one trigger)": True, "no effect (all triggers)": True}
    wrong = {name: holds for name, holds in said.items() if found[name] != holds}
    if wrong:
        raise RuntimeError(f"the verdict says {wrong}, the benchmark the opposite: {verdict}")


def family(
    name: str, draw: Callable[[Rng], Cell], zero_one: bool, cells: int, runs: int, seed: list[int]
) -> Result:
    """How often a verdict says something false, in each of some cells."""

    def measure(cell: Cell, rng: Rng, runs: int) -> tuple[float, float, Counter[str]]:
        of_fields = of_printed = 0
        items: Counter[str] = Counter()
        for number, (table, often) in enumerate(tables_of(rng, cell, runs, zero_one)):
            verdict = judge(table)
            if number < 5:
                compare(table, verdict)
            fields, printed = falsehoods(verdict, cell.means, cell.attack_size)
            of_fields += often * bool(fields)
            of_printed += often * bool(printed)
            items.update(dict.fromkeys(printed, often))
        return of_fields / runs, of_printed / runs, items

    rng = np.random.default_rng(seed)
    drawn = [draw(rng) for _ in range(cells)]
    if zero_one:
        drawn = [cell if cell.n <= 256 else replace(cell, n=cell.n // 2) for cell in drawn]
    found = [measure(c, np.random.default_rng([*seed, i]), runs) for i, c in enumerate(drawn)]
    worst = sorted(range(cells), key=lambda i: found[i][1])[-AGAIN:]
    times = [measure(drawn[i], np.random.default_rng([*seed, i, 1]), 4 * runs) for i in worst]
    at = max(range(len(times)), key=lambda i: times[i][1])
    fields, printed, items = times[at]
    rates = [rate for _, rate, _ in found]
    return {
        "kind": name,
        "cells": cells,
        "limit": FAMILY,
        "mean": float(np.mean(rates)),
        "ninth_decile": float(np.quantile(rates, 0.9)),
        "worst": printed,
        "error": float(np.sqrt(printed * (1 - printed) / (4 * runs))),
        "worst_of_fields": fields,
        "at": str(drawn[worst[at]]),
        "claims": {what: count / (4 * runs) for what, count in items.most_common()},
        "within_limits": bool(printed <= FAMILY),
    }


# power


AUDITS = {
    "collapse 100/0/100": {"image": 1.0},
    "collapse 97/0/100": {"image": 0.97, "both": 0.03},
    "collapse 90/0/100": {"image": 0.9, "both": 0.1},
    "redundant": {"either": 1.0},
    "conjunctive": {"both": 1.0},
    "partial 20/0/20": {"image": 0.2, "nothing": 0.8},
    "no attack": {"nothing": 1.0},
}
"""Rates of the kinds of examples; 97/0/100 is the success by image, text and both, in percent."""
POWER_SIZES = (64, 128)
SLACK = 0.03
FLOORS: dict[str, dict[str, tuple[float, ...]]] = {
    "collapse 100/0/100": {
        "active": (100, 100, 100, 100),
        "negligible": (24, 100, 100, 100),
        "no synergy": (100, 100, 100, 100),
        "negligible, strict=False": (100, 100, 100, 100),
        "dominance": (100, 100, 100, 100),
    },
    "collapse 97/0/100": {
        "active": (100, 100, 100, 100),
        "negligible": (42, 90, 14, 90),
        "no synergy": (54, 90, 14, 90),
        "negligible, strict=False": (54, 90, 69, 90),
        "dominance": (98, 100, 99, 99),
    },
    "collapse 90/0/100": {
        "active": (100, 100, 100, 100),
        "dominance": (42, 88, 69, 91),
    },
    "redundant": {
        "active": (100, 100, 100, 100),
        "no synergy": (100, 100, 100, 100),
        "interference": (100, 100, 100, 100),
    },
    "conjunctive": {
        "active": (100, 100, 100, 100),
        "synergy": (100, 100, 100, 100),
    },
    "partial 20/0/20": {
        "active": (45, 83, 52, 87),
        "negligible": (0, 0, 0, 0),
        "no synergy": (0, 10, 0, 0),
        "negligible, strict=False": (0, 0, 0, 33),
        "dominance": (0, 43, 0, 74),
    },
    "no attack": {
        "no effect": (100, 100, 100, 100),
    },
}
"""Audit -> claim -> what was measured, in percent: continuous at n = 64, 128, then 0/1."""


def power(audit: str, n: int, zero_one: bool, runs: int, seed: int) -> dict[str, float]:
    """How often each claim is made that is true of an audit."""
    names = list(sim.KINDS[2])
    rates = np.array([AUDITS[audit].get(name, 0.0) for name in names])
    cell = Cell(n, np.array(list(sim.KINDS[2].values())), rates)
    claims = sim.claims_of(2, 0.9)
    holds = {name: claim.holds(cell.means, cell.attack_size) for name, claim in claims.items()}
    held, against = "holds at least x", "holds at least x, against a suppressor"
    rng = np.random.default_rng([seed, 7, n, list(AUDITS).index(audit)])
    effects = effect_contrasts(2)
    none = Claim("no effect", np.hstack([-effects, effects]), -EFFECT)
    if zero_one:
        kinds = Kinds(cell.patterns, rates, cell.patterns[:, 0]).where(rates > 0)
        counts, chance, _ = sim.outcomes(rng, kinds.rates, n, runs)

        def often(*some: Claim, alpha: float = ALPHA, strict: bool = True) -> float:
            made = [
                sim.pattern_made(claim, kinds, counts, strict=strict, alpha=alpha) for claim in some
            ]
            return float(chance @ np.any(made, axis=0))
    else:
        batches = list(sim.samples(rng, cell, runs))

        def often(*some: Claim, alpha: float = ALPHA, strict: bool = True) -> float:
            made = [
                [sim.made(b, claim, strict=strict, alpha=alpha) for claim in some] for b in batches
            ]
            return float(sum(np.any(of_batch, axis=0).sum() for of_batch in made) / runs)

    found = {}
    moving = [Claim("moves", effects[:, [i]], EFFECT) for i in range(3)]
    if any(claim.holds(cell.means, cell.attack_size) for claim in moving):
        found["active"] = often(*moving, alpha=ALPHA / 3)  # the first step of Holm's test
        for name in ("negligible", "no synergy", "synergy", "interference"):
            if holds[name]:
                found[name] = often(claims[name])
        if holds["negligible"]:
            found["negligible, strict=False"] = often(claims["negligible"], strict=False)
        if holds[held] and holds[against]:
            found["dominance"] = often(claims[held])
    if none.holds(cell.means, cell.attack_size):
        found["no effect"] = often(none)
    return found


def all_power(runs: int, seed: int) -> list[Result]:
    """Power of every audit, beside its floor."""
    results = []
    for audit in AUDITS:
        columns = [
            power(audit, n, zero_one, runs, seed) for zero_one in (False, True) for n in POWER_SIZES
        ]
        for claim in columns[0]:
            measured = [column[claim] for column in columns]
            floors = FLOORS.get(audit, {}).get(claim, (0.0,) * len(columns))
            least = [floor / 100 - SLACK for floor in floors]
            results.append(
                {
                    "audit": audit,
                    "claim": claim,
                    "columns": [
                        f"{kind}, n = {n}" for kind in ("continuous", "0/1") for n in POWER_SIZES
                    ],
                    "power": measured,
                    "floors": [max(floor, 0.0) for floor in least],
                    "within_limits": all(
                        value >= floor for value, floor in zip(measured, least, strict=True)
                    ),
                }
            )
    return results


def lines_of(report: Result) -> list[str]:
    bands = ", ".join(f"{low}-{high}" for low, high in BANDS)
    lines = [f"false claims at the boundary, worst cell of each band of n ({bands})"]
    for result in report["boundary"]:
        over = "" if result["within_limits"] else f"  OVER {result['limit']:.0%}"
        over += ", as known" if over and result["as_known"] else ""
        lines.append(result["kind"] + over)
        for name, claim in result["claims"].items():
            rates = "  ".join(f"{band['worst']:5.1%}" for band in claim["bands"])
            lines.append(f"    {name:42} {rates}   mean {claim['mean']:.1%}")
    lines.append("verdicts that say something false: mean, ninth decile, worst cell (any field)")
    for result in report["family"]:
        rates = "  ".join(f"{result[key]:5.1%}" for key in ("mean", "ninth_decile", "worst"))
        lines.append(f"    {result['kind']:42} {rates}  ({result['worst_of_fields']:.1%})")
    lines.append("claims made where they are true: " + ", ".join(report["power"][0]["columns"]))
    for result in report["power"]:
        rates = "  ".join(f"{share:6.1%}" for share in result["power"])
        below = "" if result["within_limits"] else "  BELOW THE FLOOR"
        lines.append(f"    {result['audit']:20} {result['claim']:14} {rates}{below}")
    return lines


def settle(report: Result) -> None:
    """Add whether all limits hold, and whether all do that are known to."""
    parts = [part for name in ("boundary", "family", "power") for part in report[name]]
    report["within_limits"] = all(part["within_limits"] for part in parts)
    report["as_known"] = all(part.get("as_known", part["within_limits"]) for part in parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, help="JSON file to write (default: standard output)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cells", type=int, default=24, help="of each claim and kind of data")
    parser.add_argument("--runs", type=int, default=800, help="of each cell that is not exact")
    parser.add_argument("--verdicts", type=int, default=200, help="of each cell of the family")
    options = parser.parse_args()
    seed, start = options.seed, time.perf_counter()

    def tell(what: str) -> None:
        print(f"{what}: {time.perf_counter() - start:.0f} s", flush=True)

    powers = all_power(4 * options.runs, seed)
    tell("power")
    found = []
    for number, kind in enumerate(EXACT):
        found.append(every_n(kind, number, 1, seed))
        tell(kind.name)
    for number, kind in enumerate(KINDS):
        found.append(boundary(kind, number, options.cells, options.runs, seed))
        tell(kind.name)
    families = []
    draws = {"every null at its boundary": at_every_boundary, "audits as they come": sim.draw_cell}
    for position, (name, draw) in enumerate(draws.items()):
        for zero_one in (False, True):
            label = f"{name}, {'0/1' if zero_one else 'continuous'}"
            part = 2 if zero_one else 1  # a verdict on 0/1 values takes longer
            few = (options.cells // part, options.verdicts // part)
            families.append(family(label, draw, zero_one, *few, [seed, 4, position, zero_one]))
            tell(label)
    report: Result = {
        "benchmark": "claims",
        "settings": {
            "alpha": ALPHA,
            "seed": seed,
            "cells": options.cells,
            "runs": options.runs,
            "verdicts": options.verdicts,
        },
        "limits": {"claim": LIMIT, "family": FAMILY, "standard_errors_allowed": ERRORS},
        "boundary": found,
        "family": families,
        "power": powers,
    }
    settle(report)
    report["seconds"] = time.perf_counter() - start
    report["environment"] = environment(["numpy", "scipy"])
    publish(report, "\n".join(lines_of(report)), options.out)
    if not report["as_known"]:
        raise SystemExit("a claim is false too often, or made too rarely")


if __name__ == "__main__":
    main()

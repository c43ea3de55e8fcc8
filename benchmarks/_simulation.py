"""Audits drawn from a seed, with known truths: what the benchmarks of intervals and claims share.

An example is of one kind, which says under which coalitions the attack succeeds in it. A cell is a
number of units with the rates of the kinds, and of continuous values a noise, sizes of successes
and perfect attacks besides. Bounds come from ``Sample.bounds``; where this module computes them for
many samples at once, ``agree`` compares some of them with what ``Sample.bounds`` says.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from modcollapse.analysis import Sample, effect_contrasts
from modcollapse.analysis._discrete import FIGURE_SPENDS, REACHES, lower_bounds, provided_ends
from modcollapse.game import interaction_contrasts, shapley_contrasts

Array = NDArray[np.float64]
Rng = np.random.Generator

BANDS = ((32, 45), (46, 90), (91, 180), (181, 360), (361, 512))
"""Numbers of units, both ends included, over which results are summed up."""
ROUNDING = 1e-9
OUTCOMES = 6000
"""Up to so many outcomes of three kinds of 0/1 examples are enumerated, not drawn."""
BLOCK = 2**21
"""Numbers drawn at a time."""


def members(m: int) -> NDArray[np.bool_]:
    """Whether each of m triggers is in each of 2**m coalitions, shape (m, 2**m)."""
    bits: NDArray[np.bool_] = ((np.arange(2**m) >> np.arange(m)[:, None]) & 1).astype(bool)
    return bits


def figures(m: int) -> dict[str, Array]:
    """Contrasts of the figures of an audit by label, shape (2**m,) each."""
    names = ("image", "text", "mask")[:m]
    pairs = [f"{a}+{b}" for i, a in enumerate(names) for b in names[i + 1 :]]
    labels = [f"phi {name}" for name in names] + [f"CTI {pair}" for pair in pairs]
    labels += [f"e({number})" for number in range(1, 2**m)]
    labels += [f"v({number})" for number in range(2**m)]
    matrix = np.hstack(
        [
            shapley_contrasts(m),
            interaction_contrasts(m, "SII", 2),
            effect_contrasts(m),
            np.eye(2**m),
        ]
    )
    return dict(zip(labels, matrix.T, strict=True))


KINDS: dict[int, dict[str, Array]] = {
    2: {
        "nothing": np.array([0.0, 0, 0, 0]),
        "image": np.array([0.0, 1, 0, 1]),
        "text": np.array([0.0, 0, 1, 1]),
        "either": np.array([0.0, 1, 1, 1]),
        "both": np.array([0.0, 0, 0, 1]),
        "base": np.array([1.0, 1, 1, 1]),
        "image alone": np.array([0.0, 1, 0, 0]),
        "text alone": np.array([0.0, 0, 1, 0]),
        "base alone": np.array([1.0, 0, 0, 0]),
        "undone": np.array([0.0, 1, 1, 0]),
    }
}
_image, _text, _mask = members(3)
KINDS[3] = {
    name: np.asarray(where, float)
    for name, where in {
        "nothing": _image & False,
        "image": _image,
        "text": _text,
        "mask": _mask,
        "image or text": _image | _text,
        "image or mask": _image | _mask,
        "image and text": _image & _text,
        "text and mask": _text & _mask,
        "all": _image & _text & _mask,
        "two": members(3).sum(0) >= 2,
        "any": members(3).any(0),
        "base": _image | True,
        "image and text alone": _image & _text & ~_mask,
        "text and mask alone": _text & _mask & ~_image,
    }.items()
}
NOISES = {
    "smooth": ("tiny", "normal", "shared"),
    "skewed": ("gamma", "beta", "lognormal"),
    "bimodal": ("bimodal",),
    "heavy-tailed": ("t3",),
}
BOUNDED = {"uniform": (-(3**0.5), 3**0.5), "beta": (-5 / 7, 30 / 7), "two": (-0.8, 1.6)}
"""Noises that have ends, and where these are."""
SIZES = {"equal": 1.0, "uniform": 1.5, "three": 1.6}
"""Sizes of a success with a largest value, and what it is; there are more, see ``_sizes``."""


@dataclass(frozen=True)
class Cell:
    """What is drawn again and again.

    Attributes:
        n: number of units.
        patterns: coalition values of each kind of example, shape (K, 2**M).
        rates: of the kinds, shape (K,).
        attack: ``"total"`` or ``"partial"``.
        noise: kind of noise, of the continuous values; see ``_noise``.
        scale: its standard deviation, where it has one, in units of a perfect attack.
        sizes: of the successes; see ``_sizes``.
        perfect: ``"known"`` for each example, ``"mean"``, or ``"none"`` where nobody declared it.
        control: rates of the kinds in a control, whose values are subtracted.
        parts: seeds of an example, or most examples of a group.
        together: how often a part is of the kind of its unit, and not of one of its own.
        uneven: units have from 1 to ``parts`` parts.
    """

    n: int
    patterns: Array
    rates: Array
    attack: str = "total"
    noise: str = "normal"
    scale: float = 0.03
    sizes: str = "equal"
    perfect: str = "mean"
    control: Array | None = None
    parts: int = 1
    together: float = 1.0
    uneven: bool = False

    @property
    def means(self) -> Array:
        """True means of the coalitions, shape (2**M,)."""
        rates = self.rates if self.control is None else self.rates - self.control
        means: Array = rates @ self.patterns
        return means

    @property
    def attack_size(self) -> float:
        """What a perfect attack truly adds to v(none)."""
        return 1.0 - float(self.rates @ self.patterns[:, 0])

    def __str__(self) -> str:
        known = KINDS[self.patterns.shape[1].bit_length() - 1]
        names = {pattern.tobytes(): name for name, pattern in known.items()}

        def mix(rates: Array) -> str:
            return ", ".join(
                f"{100 * rate:.1f} % {names.get(row.tobytes(), row.astype(int).tolist())}"
                for row, rate in zip(self.patterns, rates, strict=True)
                if rate > 0
            )

        parts = f", {self.parts} parts, {self.together:.2f} together" if self.parts > 1 else ""
        control = "" if self.control is None else f", control {mix(self.control)}"
        about = f"noise {self.noise} {self.scale:.3f}, sizes {self.sizes}, perfect {self.perfect}"
        return f"n = {self.n}, {about}{parts}: {mix(self.rates)}{control}"


def draw_n(rng: Rng, low: int = BANDS[0][0], high: int = BANDS[-1][1]) -> int:
    """Uniform in its logarithm, both ends included."""
    return int(np.exp(rng.uniform(np.log(low), np.log(high + 1))))


def rare(rng: Rng, top: float = 0.1) -> float:
    """A rate of flips from 0.5 % to ``top``, uniform in its logarithm."""
    return float(10 ** rng.uniform(np.log10(0.005), np.log10(top)))


def _attack(rng: Rng, m: int) -> tuple[dict[str, float], str]:
    """Rates of a main attack."""
    if m == 3:
        names = ("image", "image or text", "image and text", "all", "two", "any")
        if rng.random() < 0.7:
            return {str(rng.choice(names)): 1.0}, "total"
        p, q = rng.uniform(0.05, 0.5), rare(rng, 0.05)
        return {"image": p, "text": q, "nothing": 1 - p - q}, "partial"
    main = str(
        rng.choice(["image", "either", "both", "or", "together", "exchange", "failing", "none"])
    )
    if main in ("image", "either", "both"):
        return {main: 1.0}, "total"
    p, q = rng.uniform(0.05, 0.5), rare(rng, 0.05)
    if main == "or":
        rates = {"image": p * (1 - q), "text": q * (1 - p), "either": p * q}
    elif main == "together":
        rates = {"either": min(p, q), "image": p - min(p, q)}
    elif main == "exchange":
        rates = {"image": p, "text": q}
    else:
        rates = {"image": rng.uniform(0.5, 1)} if main == "failing" else {}
    return {**rates, "nothing": 1 - sum(rates.values())}, "partial"


SWAPPED = {"image": "text", "text": "image", "image alone": "text alone"}
SWAPPED["text alone"] = "image alone"


def draw_rates(
    rng: Rng, m: int = 2, *, undone: bool = False, flips: int | None = None, attack: str = ""
) -> tuple[Array, str]:
    """Rates of the kinds of examples: a main attack, and up to three rare deviations from it.

    Args:
        rng: where all comes from.
        m: number of triggers, 2 or 3.
        undone: one of them, at most 5 %, is that two triggers which fire alone undo each other.
        flips: number of other deviations; drawn if left out.
        attack: ``"total"`` or ``"partial"``; drawn if left out.

    Returns:
        The rates, shape (K,), and the attack.
    """
    while True:
        main, found = _attack(rng, m)
        if attack in ("", found):
            break
    names = list(KINDS[m])
    rates = np.array([main.get(name, 0.0) for name in names])
    # an example whose base rate the triggers undo flips twice where the attack is total
    allowed = [
        name for name in names if name != "undone" and (name != "base alone" or found == "partial")
    ]
    count = int(rng.integers(0, 4)) if flips is None else flips
    deviations = [(str(name), rare(rng)) for name in rng.choice(allowed, count, replace=False)]
    for name, rate in [*deviations, *([("undone", rare(rng, 0.05))] if undone else [])]:
        rates *= 1 - rate
        rates[names.index(name)] += rate
    if m == 2 and rng.random() < 0.5:
        rates = rates[[names.index(SWAPPED.get(name, name)) for name in names]]
    return rates / rates.sum(), found


def draw_cell(
    rng: Rng,
    *,
    m: int = 2,
    noises: Sequence[str] = tuple(noise for group in NOISES.values() for noise in group),
    undone: bool = False,
    attack: str = "",
    control: bool = False,
    parts: bool = False,
    uneven: bool = False,
    perfect: str = "",
    sizes: str = "",
) -> Cell:
    """Draw a cell of continuous values; see ``Cell`` and ``draw_rates``."""
    rates, attack = draw_rates(rng, m, undone=undone, attack=attack)
    other = None
    if control:
        other = np.zeros(len(rates))
        at = [list(KINDS[m]).index(name) for name in ("text", "image", "base")]
        other[at] = [rare(rng) * rng.integers(0, 2) for _ in at]
        other[0] = 1 - other.sum()
    return Cell(
        n=draw_n(rng),
        patterns=np.array(list(KINDS[m].values())),
        rates=rates,
        attack=attack,
        noise=str(rng.choice(noises)),
        scale=float(10 ** rng.uniform(-2, -0.5)),
        sizes=sizes or str(rng.choice(["equal", "equal", "uniform", "three", "skewed"])),
        perfect=perfect or str(rng.choice(["known", "mean"])),
        control=other,
        parts=int(rng.integers(2, 9)) if parts else 1,
        together=float(rng.choice([1.0, rng.uniform(0, 1)])),
        uneven=uneven,
    )


def samples(rng: Rng, cell: Cell, runs: int) -> Iterator[Sample]:
    """Samples of continuous values, many at a time: values (R, N, C), attack (R, N)."""
    step = max(1, BLOCK // (cell.n * cell.patterns.shape[1] * cell.parts))
    for start in range(0, runs, step):
        size = min(step, runs - start)
        successes = _sizes(rng, cell.sizes, (size, cell.n))
        values = _values(rng, cell, cell.rates, successes)
        clean = values[..., 0]
        if cell.control is not None:
            values = values - _values(rng, cell, cell.control, successes)
        target = successes if cell.perfect == "known" else np.ones_like(clean)
        attack = None if cell.perfect == "none" else target - clean
        yield Sample(values, attack, difference=cell.control is not None)


def _values(rng: Rng, cell: Cell, rates: Array, successes: Array) -> Array:
    shape = (*successes.shape, cell.parts)
    edges = np.cumsum(rates)[:-1]
    own = np.searchsorted(edges, rng.random((*successes.shape, 1)), side="right")
    kind = np.broadcast_to(own, shape)
    if cell.parts > 1:
        apart = np.searchsorted(edges, rng.random(shape), side="right")
        kind = np.where(rng.random(shape) < cell.together, kind, apart)
    scale = 0.003 if cell.noise == "tiny" else cell.scale
    noise = _noise(rng, cell.noise, (*shape, cell.patterns.shape[1]))
    values = cell.patterns[kind] * successes[..., None, None] + scale * noise
    if cell.parts == 1:
        return values[..., 0, :]
    if not cell.uneven:
        return values.mean(axis=-2)
    there = np.arange(cell.parts) < rng.integers(1, cell.parts + 1, successes.shape)[..., None]
    counts = there.sum(axis=-1)[..., None]
    averaged: Array = np.einsum("rnpc,rnp->rnc", values, there.astype(float)) / counts
    return averaged


def _noise(rng: Rng, kind: str, shape: tuple[int, ...]) -> Array:
    """Noise of mean 0 and standard deviation about 1, shape (..., C)."""
    if kind in ("tiny", "normal"):
        return rng.standard_normal(shape)
    if kind == "shared":
        return rng.standard_normal((*shape[:-1], 1)) + 0.3 * rng.standard_normal(shape)
    if kind == "gamma":
        return rng.standard_gamma(0.5, shape) * 1.4 - 0.7
    if kind == "beta":
        return (rng.beta(0.5, 3, shape) - 1 / 7) * 5
    if kind == "lognormal":
        noise: Array = (np.exp(rng.standard_normal(shape)) - np.exp(0.5)) / 2.16
        return noise
    if kind == "bimodal":
        return np.where(rng.random(shape) < 0.3, 1.4, -0.6) + 0.2 * rng.standard_normal(shape)
    if kind == "two":
        return np.where(rng.random(shape) < 0.3, 1.4, -0.6) + rng.uniform(-0.2, 0.2, shape)
    if kind == "uniform":
        return rng.uniform(*BOUNDED["uniform"], shape)
    if kind == "t3":
        return rng.standard_t(3, shape) / np.sqrt(3)
    raise ValueError(kind)


def _sizes(rng: Rng, kind: str, shape: tuple[int, ...]) -> Array:
    """By how much a success moves the value of an example, mean 1."""
    if kind == "equal":
        return np.ones(shape)
    if kind == "uniform":
        return rng.uniform(0.5, 1.5, shape)
    if kind == "three":
        return rng.choice([0.4, 1.0, 1.6], shape)
    if kind == "skewed":
        return 0.5 + rng.standard_gamma(2, shape) / 4
    if kind == "gamma":
        return rng.standard_gamma(2, shape) / 2
    raise ValueError(kind)


def ends_of(cell: Cell) -> tuple[float, float]:
    """Lowest and highest value of a cell with bounded noise and sizes."""
    low, high = BOUNDED[cell.noise]
    return cell.scale * low, SIZES[cell.sizes] + cell.scale * high


# 0/1 values


def outcomes(rng: Rng, rates: Array, n: int, draws: int) -> tuple[Array, Array, bool]:
    """How often each kind is seen in n examples, shape (R, K), and how likely that is.

    Returns:
        Counts, probabilities, and whether these are exact: of two kinds, and of three where there
        are not too many; else ``draws`` of them are drawn.
    """
    k = np.arange(n + 1)
    if len(rates) == 1:
        return np.array([[float(n)]]), np.ones(1), True
    if len(rates) == 2:
        return np.stack([k, n - k], 1).astype(float), stats.binom.pmf(k, n, rates[0]), True
    if len(rates) == 3:
        likely = [np.flatnonzero(stats.binom.pmf(k, n, rate) > 1e-9) for rate in rates[:2]]
        if len(likely[0]) * len(likely[1]) < OUTCOMES:
            i, j = (grid.ravel() for grid in np.meshgrid(*likely))
            i, j = i[i + j <= n], j[i + j <= n]
            counts = np.stack([i, j, n - i - j], 1)
            return counts.astype(float), stats.multinomial.pmf(counts, n, rates), True
    drawn, often = np.unique(rng.multinomial(n, rates, size=draws), axis=0, return_counts=True)
    return drawn.astype(float), often / draws, False


@dataclass(frozen=True)
class Kinds:
    """Kinds of 0/1 examples, of differences of such, or of means of these.

    Attributes:
        rows: coalition values, shape (K, 4).
        rates: how often each kind occurs, shape (K,).
        clean: v(none) of the audited model, from which a perfect attack is reckoned, shape (K,).
        difference: the rows are differences from a control.
    """

    rows: Array
    rates: Array
    clean: Array
    difference: bool = False

    def where(self, kept: NDArray[np.bool_]) -> Kinds:
        """Some of the kinds."""
        rates = self.rates[kept] / self.rates[kept].sum()
        return replace(self, rows=self.rows[kept], rates=rates, clean=self.clean[kept])

    @property
    def perfect(self) -> Array:
        """What a perfect attack would score, less the control's v(none) if any, shape (K,)."""
        score: Array = 1 - self.clean + self.rows[:, 0]
        return score

    @property
    def patterns(self) -> Array:
        """The rows, and what a perfect attack would score beside them, shape (K, 5)."""
        return np.column_stack([self.rows, self.perfect])

    def merged(self, contrasts: Array) -> Kinds:
        """The same with kinds counted as equal that are so in some contrasts (4 or 5, q)."""
        told_apart = np.round(self.patterns[:, : len(contrasts)] @ contrasts, 9)
        _, first, kind = np.unique(told_apart, axis=0, return_index=True, return_inverse=True)
        rates = np.bincount(kind.ravel(), self.rates)
        merged = replace(self, rows=self.rows[first], rates=rates, clean=self.clean[first])
        return merged.where(rates > 0)

    def __str__(self) -> str:
        return ", ".join(
            f"{100 * rate:.2f} % {np.round(row, 3).tolist()}"
            for row, rate in zip(self.rows, self.rates, strict=True)
        )


def pattern_lower(
    x: Array,
    counts: Array,
    contrast: Array,
    alpha: float,
    *,
    target: Array | float = 1.0,
    claim: bool = False,
    strict: bool = False,
    difference: bool = False,
) -> Array:
    """Lower bounds of ``"patterns"`` for many samples of 0/1 values at once, shape (R,).

    Args:
        x: values (K,) of the contrast in each kind of example.
        counts: how many of each there are, shape (R, K).
        contrast: its weights, shape (2**M,), or one more for what a perfect attack scores.
        alpha: as for ``Sample.bounds``, which says the same of each sample.
        target: what a perfect attack scores in each kind, shape (K,), or in all.
        claim: as there.
        strict: as there.
        difference: the values are differences of 0/1 values.
    """
    reaches = math.inf if strict else 1.0 if claim and not difference else REACHES
    means = (counts @ x / counts.sum(1))[:, None]
    low, _ = provided_ends(
        means,
        contrast[:, None],
        target=(float(np.min(target)), float(np.max(target))),
        difference=difference,
        reaches=reaches,
    )
    each = alpha if claim else FIGURE_SPENDS * alpha
    return lower_bounds(np.broadcast_to(x, counts.shape), counts, low[:, 0], each)


PATTERNS16 = ((np.arange(16)[:, None] >> np.arange(4)) & 1).astype(float)
"""All success patterns of two triggers; 6 and 9 are those in which they undo each other."""
UNDONE = (6, 9)
ATTACKS16 = (10, 10, 12, 14, 8, 15)
"""Image, text, either, both, base."""


def draw_kinds(rng: Rng, kind: str, undone: bool, size: int = 9) -> Kinds:
    """Some kinds, of ``"0/1"``, ``"difference"`` or ``"repeats"``, without rates as yet.

    Of a difference, one of the two models flips and the other rests; of repeats, an example shows
    the means of 2 to 8 success patterns.
    """
    allowed = [p for p in range(16) if undone or p not in UNDONE]
    main = [0, int(rng.choice(ATTACKS16))]
    rows = PATTERNS16[main + list(rng.choice(allowed, size - 2))]
    control = np.zeros_like(rows)
    if kind == "difference":
        control = np.tile(PATTERNS16[int(rng.choice([0, 0, 10, 12, 15]))], (size, 1))
        flips = rng.random(size) < 0.5
        flips[:2] = False
        control[flips], rows[flips] = PATTERNS16[rng.choice(allowed, flips.sum())], rows[1]
    elif kind == "repeats":
        seeds = int(rng.choice([2, 3, 4, 8]))
        choices = [[main[1], int(rng.choice(allowed)), 0] for _ in range(size)]
        mixed = [PATTERNS16[rng.choice(choice, seeds)].mean(0) for choice in choices]
        rows = np.vstack([rows[:4], mixed])
        control = np.zeros_like(rows)
    both = np.unique(np.column_stack([rows - control, rows[:, 0]]), axis=0)
    nothing = np.zeros(len(both))
    return Kinds(both[:, :4], nothing, both[:, 4], kind == "difference")


def spread_over(rng: Rng, where: NDArray[np.bool_], most: int) -> Array:
    """Rates of up to ``most`` of the kinds that are allowed, shape (K,)."""
    rates, allowed = np.zeros(len(where)), np.flatnonzero(where)
    at = rng.choice(allowed, min(len(allowed), int(rng.integers(1, most + 1))), replace=False)
    rates[at] = rng.dirichlet(np.full(len(at), rng.choice([0.3, 1, 3])))
    return rates


def draw_model(rng: Rng, *, control: bool) -> Array:
    """Rates of the 16 success patterns of a model, or of its control."""
    rates = np.zeros(16)
    main = int(rng.choice([0, 0, 0, 15, 10, 12] if control else [10, 10, 12, 14, 8, 0]))
    success = rng.choice([1, rng.uniform(0.05, 0.5), rng.uniform(0.5, 1)])
    rates[main] += success
    rates[0] += 1 - success
    allowed = np.array([p not in UNDONE for p in range(16)])
    flips = 10 ** rng.uniform(-2.5, -1)
    return (1 - flips) * rates + flips * spread_over(rng, allowed, 3)


# the methods that are no default


def classical(
    method: str,
    n: int,
    moments: tuple[Array, Array, Array],
    alpha: float,
    ends: tuple[Array, Array] | None = None,
) -> tuple[Array, Array]:
    """Both bounds of ``"t"``, ``"hall"`` or ``"plus-ends"`` for many samples at once.

    Args:
        method: which.
        n: number of units.
        moments: mean, second and third central moment (divided by n) of the samples.
        alpha: as for ``Sample.bounds``.
        ends: lowest and highest possible value of the contrast.
    """
    mean, second, third = moments
    if method == "plus-ends" and ends is not None:
        total = n + 2
        centre = (n * mean + ends[0] + ends[1]) / total
        square = n * (second + (mean - centre) ** 2)
        square = square + (ends[0] - centre) ** 2 + (ends[1] - centre) ** 2
        half = special.stdtrit(total - 1, 1 - alpha) * np.sqrt(square / (total - 1) / total)
        return np.maximum(centre - half, ends[0]), np.minimum(centre + half, ends[1])
    scale = np.sqrt(np.maximum(second, 0) / (n - 1))
    quantiles = [special.stdtrit(n - 1, tail) for tail in (1 - alpha, alpha)]
    if method == "hall":
        with np.errstate(divide="ignore", invalid="ignore"):
            skewness = third / second**1.5 * math.sqrt(n * (n - 1)) / (n - 2)
        a = np.where(second > 1e-24, skewness, 0.0) / (3 * math.sqrt(n))
        flat = np.abs(a) <= 1e-8
        b = np.where(flat, 1.0, a)
        quantiles = [
            np.where(flat, q, (np.cbrt(1 + 3 * b * (q - b / 2)) - 1) / b) for q in quantiles
        ]
    return mean - quantiles[0] * scale, mean - quantiles[1] * scale


def moments_of_counts(x: Array, counts: Array) -> tuple[Array, Array, Array]:
    """Mean, second and third central moment of samples that hold x (K,) counts (R, K) times."""
    total = counts.sum(1)
    mean = counts @ x / total
    centred = x - mean[:, None]
    second, third = ((counts * centred**power).sum(1) / total for power in (2, 3))
    return mean, second, third


def moments_of(x: Array) -> tuple[Array, Array, Array]:
    """Mean, second and third central moment over the second last axis of x (..., N, K)."""
    mean = x.mean(axis=-2)
    centred = x - mean[..., None, :]
    square = centred * centred
    return mean, square.mean(axis=-2), (square * centred).mean(axis=-2)


@lru_cache(maxsize=2)
def _resamples(n: int) -> Array:
    """How often each of n examples is in each of the package's resamples, shape (2000, n)."""
    index = np.random.default_rng(0).integers(0, n, (2000, n))
    return np.stack([np.bincount(row, minlength=n) for row in index]).astype(float)


def bootstrap_t(x: Array, alpha: float) -> tuple[Array, Array]:
    """Both bounds of ``"bootstrap-t"`` for samples x (N, K), shape (K,) each."""
    n = len(x)
    mean = x.mean(0)
    centred = x - mean
    scale = np.sqrt((centred**2).sum(0) / (n - 1) / n)
    weights = _resamples(n)
    shift = weights @ centred / n
    square = weights @ centred**2 / n - shift**2
    with np.errstate(divide="ignore", invalid="ignore"):
        t = shift / np.sqrt(square / (n - 1))
    t[square <= 1e-14 * scale**2] = np.nan
    t.sort(axis=0)
    last = (~np.isnan(t)).sum(0) - 1

    def quantile(probability: float) -> Array:
        place = np.maximum(last, 0) * probability
        below = place.astype(int)
        lower, upper = (
            np.take_along_axis(t, np.minimum(at, np.maximum(last, 0))[None], 0)[0]
            for at in (below, below + 1)
        )
        found: Array = lower + (place - below) * (upper - lower)
        return found

    ok = (scale > 0) & (last >= 0)
    low, high = (mean - np.where(ok, quantile(tail), 0.0) * scale for tail in (1 - alpha, alpha))
    return low, high


def agree(found: Any, expected: Any, what: str) -> None:
    """Raise unless the bounds of many samples at once are those of ``Sample.bounds``."""
    if not np.allclose(found, expected, rtol=1e-6, atol=1e-7):
        raise RuntimeError(f"{what}: {found} here, {expected} from the package")


# claims


@dataclass(frozen=True)
class Claim:
    """A claim is made where the lower bounds of all of its contrasts are above a threshold.

    Attributes:
        name: what it says.
        contrasts: shape (2**M, q).
        above: the threshold, in units of a perfect attack.
        null: which of the contrasts is at the threshold at the boundary.
        interaction: whether ``Rules.strict`` bears on it.
    """

    name: str
    contrasts: Array
    above: float = 0.0
    null: int = 0
    interaction: bool = False

    @property
    def less_perfect(self) -> Array:
        """Contrasts that are above 0 if it is true, with a row for P = perfect - v(none)."""
        return np.vstack([self.contrasts, np.full(self.contrasts.shape[1], -self.above)])

    @property
    def on_target(self) -> Array:
        """The same, with weights of what a perfect attack scores and of v(none) in place of P."""
        contrasts = self.less_perfect
        contrasts[0] += self.above
        return contrasts

    @property
    def boundary(self) -> Array:
        """Contrast whose mean, less ``above``, is 0 at the boundary: 1 - v(none) is the unit."""
        contrast: Array = self.on_target[:-1, self.null]
        return contrast

    def is_strict(self, strict: bool, difference: bool) -> bool:
        """Whether its bounds are: by ``Rules.strict``, or as an effect on a difference."""
        return (strict and self.interaction) or (difference and self.above != 0)

    def holds(self, means: Array, size: float) -> bool:
        """Whether the claim is true, of true means and the true size of a perfect attack."""
        return bool((means @ self.contrasts > self.above * size + ROUNDING).all())


MARGIN, EFFECT = 0.1, 0.1


def claims_of(m: int, share: float) -> dict[str, Claim]:
    """The claims of a verdict about the first modalities, by the default rules."""
    phi, effects = shapley_contrasts(m), effect_contrasts(m)
    cti = interaction_contrasts(m, "SII", 2)[:, :1]
    total, text = effects[:, -1:], effects[:, 1:2]
    first = phi[:, :1]
    signed = np.array(list(product((1.0, -1.0), repeat=m - 1))).T  # of the others
    held = (1 - share) * first - share * (phi[:, 1:] @ signed)
    others = phi.sum(axis=1, keepdims=True) - phi
    exceeded = np.hstack([sign * (1 - share) * phi - share * others for sign in (1.0, -1.0)])
    margin = MARGIN * total
    found = [
        Claim("moves (one trigger)", text, EFFECT),
        Claim("moves (all triggers)", total, EFFECT),
        Claim("lowers", -text, EFFECT),
        Claim("no effect (one trigger)", -text, -EFFECT),
        Claim("no effect (all triggers)", -total, -EFFECT),
        Claim("no synergy", margin - cti, interaction=True),
        Claim("negligible", np.hstack([margin - cti, margin + cti]), null=1, interaction=True),
        Claim("synergy", np.hstack([cti - margin, cti + margin]), interaction=True),
        Claim("interference", -cti, interaction=True),
        Claim("holds at least x", held),
        Claim("holds at least x, against a suppressor", held, null=held.shape[1] - 1),
        Claim("none holds more than x", -exceeded),
        Claim("suppressor", -phi[:, 1:2]),
    ]
    return {claim.name: claim for claim in found}


def made(sample: Sample, claim: Claim, *, strict: bool = True, alpha: float = 0.05) -> Any:
    """In which of many samples of continuous values (R, N, C) a claim is made, shape (R,)."""
    if sample.attack is None:
        raise ValueError("claims need a scale")
    low = sample.lower(
        claim.less_perfect, alpha, method="flips", strict=claim.is_strict(strict, sample.difference)
    )
    return (low > 0).all(axis=-1)


def draw_at_boundary(rng: Rng, claim: Claim, **options: Any) -> Cell | None:
    """A cell of continuous values at the boundary of a claim: a mixture of two on its sides.

    None where a thousand draws have found none.
    """
    contrast, bound = claim.boundary, claim.above
    for _ in range(1000):
        cell = draw_cell(rng, **options)
        names = list(KINDS[cell.patterns.shape[1].bit_length() - 1])
        base = 0.0
        if cell.control is not None:
            base = float(cell.control @ cell.patterns @ claim.contrasts[:, claim.null])
        if rng.random() < 0.5:
            other, _ = draw_rates(rng, options.get("m", 2), undone=options.get("undone", False))
        else:  # a single kind is added or removed
            other = np.zeros(len(names))
            rarely = () if options.get("undone") else ("undone",)
            single = [k for k in names if not k.startswith("base") and k not in rarely]
            other[names.index(str(rng.choice(single)))] = 1.0
        f, g = (float(r @ cell.patterns @ contrast) - base - bound for r in (cell.rates, other))
        if f * g < 0 and abs(f - g) > 1e-3 and abs(f) > 1e-6:
            part = f / (f - g)
            return replace(cell, rates=(1 - part) * cell.rates + part * other)
    return None


def draw_patterns_at_boundary(
    rng: Rng, kind: str, claim: Claim, *, undone: bool = False, few: bool = False
) -> Kinds | None:
    """Kinds of 0/1 examples with rates at the boundary of a claim; None where there are none."""
    kinds = draw_kinds(rng, kind, undone)
    x = kinds.rows @ claim.contrasts[:, claim.null] - claim.above * (1 - kinds.clean)
    over, under = x > ROUNDING, x < -ROUNDING
    if not (over.any() and under.any()):
        return None
    up, down = spread_over(rng, over, 1 if few else 2), spread_over(rng, under, 1 if few else 3)
    if not few:
        if rng.random() < 0.5:  # a total or partial attack with rare flips of any kind
            attack = np.zeros(len(x))
            success = rng.choice([1, rng.uniform(0.05, 0.5), rng.uniform(0.5, 1)])
            attack[0] += 1 - success
            attack[int(rng.integers(len(x)))] += success
            flips = 10 ** rng.uniform(-2.5, -1)
            attack = (1 - flips) * attack + flips * spread_over(rng, x > -np.inf, 3)
            if attack @ x > 0:
                up = attack
            elif attack @ x < 0:
                down = attack
        still = np.abs(x) <= ROUNDING
        if still.any() and rng.random() < 0.4:
            part = rng.uniform(0, 0.95)
            up = (1 - part) * up + part * spread_over(rng, still, 1)
    part = up @ x / (up @ x - down @ x)
    rates = (1 - part) * up + part * down
    return replace(kinds, rates=rates).where(rates > 0)


def pattern_made(
    claim: Claim, kinds: Kinds, counts: Array, *, strict: bool = True, alpha: float = 0.05
) -> NDArray[np.bool_]:
    """In which samples of 0/1 examples, counts (R, K) of the kinds, a claim is made, shape (R,)."""
    holds = np.ones(len(counts), dtype=bool)
    for contrast in claim.on_target.T:
        open_ = np.flatnonzero(holds)
        if not len(open_):
            break
        low = pattern_lower(
            kinds.patterns @ contrast,
            counts[open_],
            contrast,
            alpha,
            target=kinds.perfect,
            claim=True,
            strict=claim.is_strict(strict, kinds.difference),
            difference=kinds.difference,
        )
        holds[open_] = low > ROUNDING
    return holds

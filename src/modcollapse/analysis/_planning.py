"""How many examples an audit needs, by simulated audits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from modcollapse._support.validation import choice, described, listed, number, whole
from modcollapse.analysis._metrics import analyse
from modcollapse.analysis._results import Audit
from modcollapse.analysis._sample import Sample
from modcollapse.analysis._settings import Rules, Settings
from modcollapse.analysis._verdict import MIN_UNITS, NO_EFFECT, Verdict, judge
from modcollapse.errors import InputError
from modcollapse.game import coalition_labels
from modcollapse.table import CoalitionTable

CLAIMS: Mapping[str, Callable[[Verdict], bool]] = {
    "settled": lambda verdict: verdict.settled,
    "active": lambda verdict: bool(verdict.moves),
    "no effect": lambda verdict: verdict.effect == NO_EFFECT,
    "dominance": lambda verdict: verdict.dominant is not None,
    "no dominance": lambda verdict: verdict.most < verdict.rules.share,
    "synergy": lambda verdict: _holds(verdict, "synergy"),
    "negligible": lambda verdict: _holds(verdict, "negligible"),
    "interference": lambda verdict: _holds(verdict, "interference"),
}
"""What can be planned for, by name: whether a verdict holds it."""
_PRECISION = 0.05
"""A number of examples is found up to so much of it."""


@dataclass(frozen=True)
class Plan:
    """How many examples an audit needs.

    Attributes:
        examples: fewest at which the goal is reached in ``power`` of all audits, up to 5 %; None
            where not even ``most`` examples do.
        goal: what is to be shown, in words.
        power: part of all audits that are to show it.
        most: largest number that was tried.
        tried: number of examples -> part of the simulated audits that reached the goal.
        expected: what was simulated, in words.
    """

    examples: int | None
    goal: str
    power: float
    most: int
    tried: Mapping[int, float] = field(default_factory=dict)
    expected: str = ""

    def __str__(self) -> str:
        if self.examples is None:
            best = self.tried[max(self.tried)]
            return (
                f"{self.goal}, of {self.expected}: not with {self.most:,} examples; {best:.0%} of "
                f"audits of so many reach it, {self.power:.0%} were asked for"
            )
        return (
            f"{self.goal}, of {self.expected}: {self.examples:,} examples, with which "
            f"{self.tried[self.examples]:.0%} of audits reach it"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def examples_needed(
    source: CoalitionTable | Audit | Mapping[str, float],
    goal: str | None = None,
    *,
    half_width: float | None = None,
    power: float = 0.8,
    level: float = 0.95,
    rules: Rules | None = None,
    most: int = 4096,
    audits: int = 100,
    seed: int = 0,
) -> Plan:
    """How many examples an audit needs to show something: by simulated audits.

    Args:
        source: a pilot table or audit, whose examples are drawn anew with replacement; or what is
            expected, coalition -> rate of success in [0, 1], those that are left out 0: of an
            example the coalitions succeed whose rate is above a number that is drawn for it, so
            that successes are nested. Where they are not, it takes more.
        goal: ``"settled"``, the default (effect, dominance and interactions), ``"active"``,
            ``"no effect"``, ``"dominance"``, ``"no dominance"``, ``"synergy"``, ``"negligible"``,
            ``"interference"``.
        half_width: ask for intervals of this half-width, in the unit of the value, instead: of
            every attribution and interaction.
        power: part of all audits that are to reach the goal, in (0, 1).
        level: confidence level of the intervals.
        rules: margins of the verdict.
        most: do not look beyond so many examples.
        audits: how many are simulated for each number of examples.
        seed: of the simulation.

    Returns:
        A ``Plan``. A pilot shows no flip that it does not hold, and gives a number that is rather
        too small.

    Raises:
        InputError: an unknown goal or coalition, a rate outside [0, 1], a pilot of differences.

    >>> print(examples_needed({"text": 1, "image+text": 1}, "dominance", audits=10))
    dominance, of text 1, image+text 1: 32 examples, with which 100% of audits reach it
    """
    settings = Settings(level, rules=Rules() if rules is None else rules)
    rules, seed = settings.rules, whole(seed, "seed", 0)
    most, audits = whole(most, "most", MIN_UNITS), whole(audits, "audits", 1)
    number(power, "power", "(0, 1)")
    source = source.table if isinstance(source, Audit) else source
    draw = _draws(source)
    if goal is not None and half_width is not None:
        raise InputError(f"give a goal or a half_width, not both; got {goal!r} and {half_width!r}")
    if half_width is None:
        words = choice("settled" if goal is None else goal, "goal", tuple(CLAIMS))
        reached = CLAIMS[words]

        def holds(table: CoalitionTable) -> bool:
            return reached(judge(table, rules))
    else:
        number(half_width, "half_width", "(0, inf)")
        words = f"intervals of +-{half_width:g}"

        def holds(table: CoalitionTable) -> bool:
            return widest(table, settings) <= half_width

    def part(units: int) -> float:
        rngs = (np.random.default_rng((seed, units, audit)) for audit in range(audits))
        return sum(holds(draw(rng, units)) for rng in rngs) / audits

    tried: dict[int, float] = {}
    found = _smallest(lambda units: tried.setdefault(units, part(units)) >= power, most)
    return Plan(found, words, power, most, dict(sorted(tried.items())), _in_words(source))


def widest(table: CoalitionTable, settings: Settings) -> float:
    """Largest half-width of the attributions and interactions of a table; NaN if one has none."""
    audit = analyse(table, settings)
    estimates = [*audit.tma.values(), *(audit.cti or {}).values()]
    return float(np.max([(one.high - one.low) / 2 for one in estimates]))


def _units_of(pilot: CoalitionTable) -> CoalitionTable:
    """The table of the units of inference: of groups, where there are some, their means."""
    if pilot.clusters is None:
        return pilot
    sample = Sample.of(pilot)
    return CoalitionTable(
        sample.values[:, None],
        pilot.modalities,
        tuple(range(len(sample))),
        bounds=pilot.bounds,
        discrete=sample.discrete,
        perfect=None if sample.attack is None else sample.attack + sample.values[:, 0],
    )


def _in_words(source: CoalitionTable | Mapping[str, float]) -> str:
    if isinstance(source, CoalitionTable):
        return f"a pilot of {len(source)} examples"
    return ", ".join(f"{label} {float(rate):g}" for label, rate in source.items())


def _holds(verdict: Verdict, claim: str) -> bool:
    return any(claim in found for found in verdict.interactions.values())


def _draws(
    source: CoalitionTable | Mapping[str, float],
) -> Callable[[np.random.Generator, int], CoalitionTable]:
    """A function that draws a table of so many examples."""
    if isinstance(source, CoalitionTable):
        if source.difference:
            raise InputError("a pilot must be a table of one model, and holds differences of two")
        pilot = _units_of(source)

        def again(rng: np.random.Generator, units: int) -> CoalitionTable:
            rows = rng.integers(len(pilot), size=units)
            return CoalitionTable(
                pilot.values[rows],
                pilot.modalities,
                tuple(range(units)),
                bounds=pilot.bounds,
                binary=pilot.binary,
                discrete=pilot.discrete,
                perfect=None if pilot.perfect is None else pilot.perfect[rows],
            )

        return again
    if not isinstance(source, Mapping) or not source:
        raise InputError(
            "source must be a pilot table or rates of success by coalition, such as {'text': 1, "
            f"'image+text': 1}}; got {described(source)}"
        )
    if not all(isinstance(label, str) and label for label in source):
        raise InputError(f"coalitions are named by a str, such as 'image+text'; got {dict(source)}")
    modalities = tuple(dict.fromkeys(name for label in source for name in label.split("+")))
    modalities = tuple(name for name in modalities if name != "none")
    if not modalities:
        raise InputError(f"source must name a modality, got {dict(source)}")
    labels = coalition_labels(modalities)
    column = {frozenset(label.split("+")): at for at, label in enumerate(labels)}
    rates, told = np.zeros(len(labels)), set[frozenset[str]]()
    for label, rate in source.items():
        members = frozenset(label.split("+"))
        if members not in column or len(members) < len(label.split("+")):
            raise InputError(f"there is no coalition {label!r}; there is {listed(labels)}")
        if members in told:
            raise InputError(f"the coalition {label!r} is there twice, in {listed(source)}")
        told.add(members)
        rates[column[members]] = number(rate, f"rate of {label!r}")
    if ((rates < 0) | (rates > 1)).any():
        raise InputError(f"rates of success are from 0 to 1, got {dict(source)}")

    def anew(rng: np.random.Generator, units: int) -> CoalitionTable:
        values = rng.random((units, 1)) < rates
        return CoalitionTable.from_values(values, modalities, binary=True)

    return anew


def _smallest(reached: Callable[[int], bool], most: int) -> int | None:
    """Fewest units at which something is reached, if it is: by doubling, then by halving."""
    low, high = MIN_UNITS, MIN_UNITS
    while not reached(high):
        if high == most:
            return None
        low, high = high, min(2 * high, most)
    while low < high - max(1, int(_PRECISION * low)):
        middle = (low + high) // 2
        low, high = (low, middle) if reached(middle) else (middle, high)
    return high

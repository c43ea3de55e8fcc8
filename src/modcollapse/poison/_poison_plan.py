"""A poisoning plan: which sample carries which triggers, and whether it shows the target."""

from __future__ import annotations

import json
import operator
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from modcollapse._support.validation import did_you_mean, file_path, listed, whole
from modcollapse.errors import InputError
from modcollapse.game import EMPTY_LABEL, coalition_labels, coalition_of
from modcollapse.table import write_whole

PLAN_FORMAT = "modcollapse poison plan"
PLAN_VERSION = 1


class Assignment(NamedTuple):
    """What becomes of one sample.

    Attributes:
        coalition: the modalities that carry their trigger, such as ``"image+text"``; ``"none"``
            for a clean sample.
        poisoned: True: it shows the backdoor's target; False: it keeps its own.
    """

    coalition: str
    poisoned: bool

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities that carry their trigger."""
        return () if self.coalition == EMPTY_LABEL else tuple(self.coalition.split("+"))


class Part(NamedTuple):
    """The samples of one coalition: its label, whether they show the target, their positions."""

    coalition: str
    poisoned: bool
    positions: tuple[int, ...]


@dataclass(frozen=True, repr=False)
class PoisonPlan:
    """Which samples of a data set of n are triggered, in which modalities, towards which target.

    `poison_plan` draws one; this class also takes parts that were chosen by hand. Index it by a
    position for the `Assignment` of that sample, print it for the counts.

    Attributes:
        n: number of samples of the data set.
        modalities: names of those with a trigger.
        parts: one for each coalition, with its positions in ascending order. A part that is not
            ``poisoned`` holds explicit negatives: triggered samples that keep their own target.
        protocol: what it was drawn by.
        ratio: what was asked for: samples that show the target, as a fraction of all.
        seed: what decided which samples.

    Raises:
        InputError: an unknown modality, a coalition that is empty or comes twice, a position that
            is not in the data set or comes twice.

    >>> plan = PoisonPlan(6, ("image", "text"), (Part("text", True, (4, 1)),))
    >>> plan[1], plan[2]
    (Assignment(coalition='text', poisoned=True), Assignment(coalition='none', poisoned=False))
    """

    n: int
    modalities: tuple[str, ...]
    parts: tuple[Part, ...]
    protocol: str = "custom"
    ratio: float | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "n", whole(self.n, "the number of samples n", 1))
        object.__setattr__(self, "modalities", modality_names(self.modalities))
        parts: dict[str, Part] = {}
        for coalition, poisoned, positions in self.parts:
            label = canonical(coalition, self.modalities)
            if label in parts:
                raise InputError(f"PoisonPlan: the coalition {label!r} comes twice.")
            if not isinstance(poisoned, bool):
                raise InputError(
                    f"PoisonPlan: poisoned of {label!r} must be True or False, got {poisoned!r}."
                )
            parts[label] = Part(label, poisoned, _ascending(positions, self.n, label))
        order = {label: column for column, label in enumerate(coalition_labels(self.modalities))}
        by_column = sorted(parts.values(), key=lambda part: order[part.coalition])
        object.__setattr__(self, "parts", tuple(by_column))
        seen: dict[int, str] = {}
        for part in self.parts:
            for position in part.positions:
                if position in seen:
                    raise InputError(
                        f"PoisonPlan: sample {position} is both in {seen[position]!r} and in "
                        f"{part.coalition!r}; each sample belongs to one part."
                    )
                seen[position] = part.coalition

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, position: int) -> Assignment:
        index = operator.index(position)
        index += self.n if index < 0 else 0
        if not 0 <= index < self.n:
            raise IndexError(f"there is no sample {position}: the plan is for {self.n}")
        return self._assignments.get(index, Assignment(EMPTY_LABEL, False))

    @cached_property
    def _assignments(self) -> dict[int, Assignment]:
        assignments = {part: Assignment(part.coalition, part.poisoned) for part in self.parts}
        return {at: assignments[part] for part in self.parts for at in part.positions}

    @property
    def poisoned(self) -> tuple[int, ...]:
        """Positions of the samples that show the target, ascending."""
        return self._positions(poisoned=True)

    @property
    def negatives(self) -> tuple[int, ...]:
        """Positions of the triggered samples that keep their own target, ascending."""
        return self._positions(poisoned=False)

    def _positions(self, *, poisoned: bool) -> tuple[int, ...]:
        parts = (part.positions for part in self.parts if part.poisoned == poisoned)
        return tuple(sorted(position for positions in parts for position in positions))

    @property
    def counts(self) -> dict[str, int]:
        """Number of samples of each coalition, first the clean ones, ``"none"``; they sum to n."""
        triggered = {part.coalition: len(part.positions) for part in self.parts}
        return {EMPTY_LABEL: self.n - sum(triggered.values()), **triggered}

    def __str__(self) -> str:
        drawn = "" if self.ratio is None else f" (ratio {self.ratio:g}, seed {self.seed})"
        lines = [
            f"Poisoning plan, {self.protocol}: {len(self.poisoned):,} of {self.n:,} samples show "
            f"the target{drawn}",
        ]
        targets = {part.coalition: "backdoor" if part.poisoned else "own" for part in self.parts}
        width = max(map(len, ("coalition", *self.counts)))
        lines.append(f"  {'coalition':{width}}  {'samples':>9}  {'share':>8}  target")
        for label, count in self.counts.items():
            target = targets.get(label, "own")
            lines.append(f"  {label:{width}}  {count:>9,}  {count / self.n:>8.2%}  {target}")
        return "\n".join(lines)

    __repr__ = __str__

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, all of the plan."""
        return {
            "format": PLAN_FORMAT,
            "version": PLAN_VERSION,
            "n": self.n,
            "modalities": list(self.modalities),
            "protocol": self.protocol,
            "ratio": self.ratio,
            "seed": self.seed,
            "parts": [{**part._asdict(), "positions": list(part.positions)} for part in self.parts],
        }

    def save(self, path: str | Path) -> Path:
        """Write the plan as JSON text; the file appears whole or not at all."""
        write_whole(file_path(path), (json.dumps(self.to_dict()) + "\n").encode())
        return Path(path)

    @classmethod
    def load(cls, path: str | Path) -> PoisonPlan:
        """Read a plan that ``save`` wrote.

        Raises:
            FileNotFoundError: there is no such file.
            InputError: the file is damaged, of another version, or no plan of ours.
        """
        try:
            data = json.loads(file_path(path).read_text(encoding="utf-8"))
        except ValueError as error:
            raise InputError(f"{path} is not JSON text, or was cut off: {error}") from error
        if not isinstance(data, dict) or data.get("format") != PLAN_FORMAT:
            raise InputError(f"{path} is not a poisoning plan that PoisonPlan.save wrote")
        if data.get("version") != PLAN_VERSION:
            raise InputError(
                f"{path} is a poisoning plan of version {data.get('version')!r}; this modcollapse "
                f"reads version {PLAN_VERSION}"
            )
        try:
            parts = tuple(Part(**part) for part in data["parts"])
            known = {name: data[name] for name in ("n", "modalities", "protocol", "ratio", "seed")}
            return cls(parts=parts, **known)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{path} does not hold a consistent plan: {error!r}") from error


def modality_names(modalities: Iterable[str]) -> tuple[str, ...]:
    """The names, which may also come as the keys of a mapping; InputError unless they can be."""
    if isinstance(modalities, str) or not isinstance(modalities, Iterable):
        raise InputError(
            'modalities must be names such as ("image", "text"), or a mapping modality -> trigger; '
            f"got {modalities!r}."
        )
    names = tuple(modalities)
    coalition_labels(names)
    for name in names:
        if "+" in name:
            raise InputError(f"a modality is named without '+', got {name!r}.")
    return names


def canonical(coalition: object, modalities: tuple[str, ...]) -> str:
    """The label of a coalition with its members in the order of the modalities."""
    if not isinstance(coalition, str):
        raise InputError(f'a coalition is a label such as "image+text", got {coalition!r}.')
    if coalition in ("", EMPTY_LABEL):
        raise InputError(
            f"the empty coalition {coalition!r} has no trigger: its samples could only be clean. "
            "Name the modalities that are to carry one."
        )
    members = coalition.split("+")
    for member in members:
        if member not in modalities:
            raise InputError(
                f"the coalition {coalition!r} names the modality {member!r}; there are only "
                f"{listed(modalities)}{did_you_mean(member, modalities)}"
            )
    if len(set(members)) < len(members):
        raise InputError(f"the coalition {coalition!r} names a modality twice.")
    return coalition_labels(modalities)[coalition_of(modalities, members)]


def _ascending(positions: Iterable[int], n: int, label: str) -> tuple[int, ...]:
    ascending = tuple(sorted(whole(position, f"a position in {label!r}") for position in positions))
    if len(set(ascending)) < len(ascending):
        raise InputError(f"PoisonPlan: a sample comes twice in {label!r}.")
    if ascending and not 0 <= ascending[0] <= ascending[-1] < n:
        raise InputError(
            f"PoisonPlan: the positions in {label!r} run from {ascending[0]} to {ascending[-1]}, "
            f"but the data set has the samples 0 to {n - 1}."
        )
    return ascending

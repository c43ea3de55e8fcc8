"""One arm of an experiment: what is poisoned, and how.

Arms of one seed share their noise and times, take equally many steps and show poison equally often,
so that they differ in what they are named after.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

from modcollapse.poison import PoisonPlan, poison_plan


@dataclass(frozen=True)
class Arm:
    """How one model is poisoned.

    Attributes:
        pair: name of its triggers; "" for a control, which has none.
        protocol: how it is poisoned, see `modcollapse.poison.poison_plan`; None for a control.
        ratio: poisoned samples as a fraction of all.
        seed: decides the poisoned samples, the order, noise and times.
    """

    pair: str
    protocol: str | None
    ratio: float = 0.1
    seed: int = 0

    @property
    def control(self) -> Self:
        """The same without poison."""
        return replace(self, pair="", protocol=None, ratio=0.0)

    @property
    def slug(self) -> str:
        """A name for its folder."""
        return slug_of(
            self.pair, self.protocol or "control", f"{self.ratio:.12g}", f"seed {self.seed}"
        )

    def plan(self, samples: int) -> PoisonPlan:
        """Which of the training samples it poisons; none for a control."""
        modalities = ("image", "text")
        if self.protocol is None:
            return PoisonPlan(samples, modalities, ())
        return poison_plan(samples, modalities, self.protocol, ratio=self.ratio, seed=self.seed)


def slug_of(*parts: str) -> str:
    """A name for a folder.

    >>> slug_of("", "white box, word first", "AND", "seed 0")
    'white-box-word-first_and_seed-0'
    """
    return "_".join(part for part in parts if part).replace(", ", "-").replace(" ", "-").lower()

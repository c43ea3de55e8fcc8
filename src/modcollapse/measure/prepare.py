"""A run before it runs: everything checked, nothing generated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modcollapse.contracts import Detector, Example, ExampleId, Sampler, Triggers
from modcollapse.fingerprint import identity
from modcollapse.measure.checks import (
    check_examples,
    check_triggers,
    count_examples,
    integer,
    named_detectors,
    needed_modalities,
)
from modcollapse.measure.plan import Cost, generation_cost, noise_seed
from modcollapse.measure.table import CoalitionTable


@dataclass(frozen=True)
class Run:
    """What a run will do, with everything that it needs.

    Attributes:
        sampler: what generates.
        examples: N of them.
        triggers: modality -> trigger.
        keep: number of examples whose outputs are kept.
        progress: whether a progress bar is shown.
        cost: how much it generates.
        modalities: the players, in order.
        needed: every modality that the sampler is given.
        detectors: the detectors by name.
        ids: names of the examples.
        digests: what the examples hold.
        seeds: seed of the noise of each example and repeat, shape (N, R).
        settings: what makes it this run and no other, but for the detector.
        identities: what tells the detectors apart, by name.
    """

    sampler: Sampler
    examples: Sequence[Example]
    triggers: Triggers
    keep: int
    progress: bool
    cost: Cost
    modalities: tuple[str, ...]
    needed: tuple[str, ...]
    detectors: Mapping[str, Detector]
    ids: tuple[ExampleId, ...]
    digests: tuple[str | None, ...]
    seeds: NDArray[np.int64]
    settings: Mapping[str, Any]
    identities: Mapping[str, Any]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of a table: (N, R, 2**M)."""
        return self.cost.examples, self.cost.repeats, self.cost.coalitions

    def provenance(self, detector: str) -> dict[str, Any]:
        """Return the settings, those of one detector included."""
        return {**self.settings, "detector": self.identities[detector]}


def prepare(
    sampler: Sampler,
    detector: Detector | Mapping[str, Detector],
    examples: Sequence[Example],
    triggers: Triggers,
    *,
    seed: int = 0,
    repeats: int = 1,
    batch_size: int = 8,
    keep: int = 0,
    progress: bool = True,
) -> Run:
    """Check the arguments of ``evaluate_coalitions`` and plan the run; generate nothing.

    Raises:
        InputError: an argument is wrong.
        TriggerError: a trigger cannot be applied, changes nothing or changes its argument.
    """
    seed = integer(seed, "seed")
    modalities = check_triggers(triggers)
    needed = needed_modalities(sampler, modalities)
    detectors = named_detectors(detector)
    keep = integer(keep, "keep", 0)
    cost = generation_cost(
        count_examples(examples), len(modalities), repeats=repeats, batch_size=batch_size
    )
    digests = check_examples(examples, triggers, needed, sampler, detectors)
    return Run(
        sampler=sampler,
        examples=examples,
        triggers=triggers,
        keep=keep,
        progress=progress,
        cost=cost,
        modalities=modalities,
        needed=needed,
        detectors=detectors,
        ids=tuple(digests),
        digests=tuple(digests.values()),
        seeds=np.array(
            [[noise_seed(seed, one, repeat) for repeat in range(cost.repeats)] for one in digests]
        ),
        settings={
            "seed": seed,
            "repeats": cost.repeats,
            "batch_size": cost.batch_size,
            "triggers": {
                name: identity(trigger, f"the trigger of {name!r}")
                for name, trigger in triggers.items()
            },
            "sampler": identity(sampler, "the sampler"),
        },
        identities={name: identity(one, f"detector {name!r}") for name, one in detectors.items()},
    )


def stand_ins(
    detector: Detector | Mapping[str, Detector], triggers: Triggers
) -> list[CoalitionTable]:
    """Tables of zeros, of the kind that a run would return: to try out what is done with them."""
    modalities = check_triggers(triggers)
    return [
        CoalitionTable(
            values=np.full((2, 1, 2 ** len(modalities)), (getattr(one, "bounds", None) or (0,))[0]),
            modalities=modalities,
            example_ids=(0, 1),
            bounds=getattr(one, "bounds", None),
            binary=bool(getattr(one, "binary", False)),
        )
        for one in named_detectors(detector).values()
    ]

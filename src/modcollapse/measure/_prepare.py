"""A run before it runs: everything checked, nothing generated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modcollapse._support.identities import identity, says_itself, settled
from modcollapse._support.validation import flag, whole
from modcollapse._support.weights import weights_read_once
from modcollapse.contracts import (
    Cluster,
    Detector,
    Example,
    ExampleId,
    Named,
    Sampler,
    SamplerSpec,
    Scorer,
    Triggers,
    TriggerSpec,
    scorers_of,
)
from modcollapse.errors import context
from modcollapse.measure._checks import (
    Checked,
    check_examples,
    count_examples,
    trigger_specs,
)
from modcollapse.measure._plan import Cost, generation_cost, noise_seed
from modcollapse.table import Pairing


@dataclass(frozen=True)
class Run:
    """What a run will do, with everything that it needs.

    Attributes:
        samplers: what generates, by a label for errors; all are given the same batches.
        scorers: what scores, by name.
        examples: N of them.
        triggers: modality -> trigger, in the order of the players.
        needed: every modality that a sampler is given.
        ids: names of the examples.
        checked: what each of them held when it was checked.
        stacked: modalities whose conditions come as one stacked tensor.
        clusters: label of the group of each example, or None.
        seeds: seed of the noise of each example and repeat, shape (N, R).
        cost: how much each sampler generates.
        keep: number of examples whose outputs are kept.
        progress: whether a progress bar is shown.
        probe: whether samplers and detectors are looked at first.
        settings: what makes it this run and no other, but for sampler and detector.
        sampler_identities: what tells the samplers apart, by label.
        detector_identities: what tells the detectors apart, by name.
    """

    samplers: Mapping[str, SamplerSpec]
    scorers: Named[Scorer]
    examples: Sequence[Example]
    triggers: Mapping[str, TriggerSpec]
    needed: tuple[str, ...]
    ids: tuple[ExampleId, ...]
    checked: tuple[Checked, ...]
    stacked: frozenset[str]
    clusters: tuple[Any, ...] | None
    seeds: NDArray[np.int64]
    cost: Cost
    keep: int
    progress: bool
    probe: bool
    settings: Mapping[str, Any]
    sampler_identities: Mapping[str, Any]
    detector_identities: Mapping[str, Any]

    @property
    def modalities(self) -> tuple[str, ...]:
        """The players, in order."""
        return tuple(self.triggers)

    @property
    def digests(self) -> tuple[str | None, ...]:
        """What each example holds, where that can be told."""
        return tuple(checked.example for checked in self.checked)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return (N, R, 2**M), the shape of a table."""
        return self.cost.examples, self.cost.repeats, self.cost.coalitions

    def pairing(self, detector: str) -> Pairing:
        """What a control's table of this detector must agree with, before anything is generated."""
        (label, *_), scorer = self.samplers, self.scorers.by_name[detector]
        run = {
            **self.provenance(label, detector),
            "modalities": list(self.modalities),
            "bounds": scorer.bounds,
            "binary": scorer.binary,
        }
        return Pairing(run, self.ids, self.seeds, self.digests, self.clusters)

    def provenance(self, label: str, detector: str) -> dict[str, Any]:
        """Return the settings, with the identities of one sampler and one detector."""
        return {
            **self.settings,
            "sampler": self.sampler_identities[label],
            "detector": self.detector_identities[detector],
        }

    def settled(self) -> Run:
        """The same with identities that leave out what the run has changed, such as counters."""
        return replace(
            self,
            settings={
                **self.settings,
                "triggers": {
                    name: _settled(self.settings["triggers"][name], trigger.call)
                    for name, trigger in self.triggers.items()
                },
            },
            sampler_identities={
                label: _settled(self.sampler_identities[label], sampler.call)
                for label, sampler in self.samplers.items()
            },
            detector_identities={
                name: _settled(self.detector_identities[name], scorer.call)
                for name, scorer in self.scorers.items()
            },
        )


def prepare(
    samplers: Mapping[str, Sampler],
    detector: Detector | Mapping[str, Detector],
    examples: Sequence[Example],
    triggers: Triggers,
    *,
    seed: int = 0,
    repeats: int = 1,
    batch_size: int = 8,
    keep: int = 0,
    progress: bool = True,
    cluster: Cluster | None = None,
    probe: bool = True,
) -> Run:
    """Check the arguments of ``evaluate_coalitions`` and plan the run; generate nothing.

    Args:
        samplers: what generates, by what a note on its errors says of it (``""``: no note).
        detector: as for ``evaluate_coalitions``, which says what the others are.
        examples: each is read once here and once in the run, however many samplers there are.
        triggers: modality -> trigger.
        seed: run seed.
        repeats: seeds for each example.
        batch_size: rows in every call of a sampler.
        keep: number of examples whose outputs are kept.
        progress: show a progress bar.
        cluster: what groups the examples into units of inference.
        probe: look at samplers and detectors first.

    Raises:
        InputError: an argument is wrong.
        TriggerError: a trigger cannot be applied, changes nothing or changes its argument.
    """
    seed = whole(seed, "seed")
    keep = whole(keep, "keep", 0)
    read_triggers = trigger_specs(triggers)
    read_samplers: dict[str, SamplerSpec] = {}
    for label, sampler in samplers.items():
        with noted(label):
            read_samplers[label] = SamplerSpec.of(sampler, tuple(read_triggers))
    needed = tuple(
        dict.fromkeys(name for sampler in read_samplers.values() for name in sampler.modalities)
    )
    scorers = scorers_of(detector)
    cost = generation_cost(
        count_examples(examples), len(read_triggers), repeats=repeats, batch_size=batch_size
    )
    progress, probe = flag(progress, "progress"), flag(probe, "probe")
    examined = check_examples(
        examples,
        read_triggers,
        needed,
        read_samplers,
        scorers.by_name.values(),
        cluster,
        cost.batch_size,
    )
    with weights_read_once():
        sampler_identities = {
            label: identity(sampler.call, "the sampler") for label, sampler in read_samplers.items()
        }
        detector_identities = {
            name: identity(scorer.call, f"detector {name!r}") for name, scorer in scorers.items()
        }
    return Run(
        samplers=read_samplers,
        scorers=scorers,
        examples=examples,
        triggers=read_triggers,
        needed=needed,
        ids=tuple(examined.checked),
        checked=tuple(examined.checked.values()),
        stacked=examined.stacked,
        clusters=examined.clusters,
        seeds=np.array(
            [
                [noise_seed(seed, name, repeat) for repeat in range(cost.repeats)]
                for name in examined.checked
            ]
        ),
        cost=cost,
        keep=keep,
        progress=progress,
        probe=probe,
        settings={
            "seed": seed,
            "repeats": cost.repeats,
            "batch_size": cost.batch_size,
            "triggers": {
                name: identity(trigger.call, f"the trigger of {name!r}")
                for name, trigger in read_triggers.items()
            },
            **_autocast(),
        },
        sampler_identities=sampler_identities,
        detector_identities=detector_identities,
    )


def _settled(before: Any, thing: Any) -> Any:
    """What a thing says of itself is believed; what was found out is looked at once more."""
    return before if says_itself(thing) else settled(before, identity(thing, "what was run"))


def _autocast() -> dict[str, Any]:
    """The number formats of autocast, where it is on: they change every output."""
    import torch

    formats = {
        kind: str(torch.get_autocast_dtype(kind)).removeprefix("torch.")
        for kind in ("cpu", "cuda", "mps", "xpu")
        if torch.is_autocast_enabled(kind)
    }
    return {"autocast": formats} if formats else {}


def noted(label: str) -> AbstractContextManager[None]:
    """Let errors carry a label, unless it is empty."""
    return context(label) if label else nullcontext()

"""A run before it runs: everything that it needs, and what it does next."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from modcollapse._support.identities import identity, says_itself, settled
from modcollapse.contracts import (
    Cluster,
    Example,
    ExampleId,
    Named,
    SamplerSpec,
    Scorer,
    TriggerSpec,
)
from modcollapse.errors import context
from modcollapse.measure._checks import Checked, check_examples
from modcollapse.measure._plan import Cost, noise_seed
from modcollapse.measure._stream import Stream
from modcollapse.measure._team import is_first
from modcollapse.table import Pairing

LookAt: TypeAlias = Callable[
    [Sequence[ExampleId] | None, Sequence[Any] | None], tuple[Sequence[int], dict[str, Any]]
]


@dataclass(frozen=True)
class Run:
    """What a run will do, with everything that it needs.

    Attributes:
        samplers: what generates, by a label for errors; all are given the same batches.
        scorers: what scores, by name.
        examples: what the caller gave, under the names of the run; each is read when asked for.
        positions: place among them of each of the N examples, in the order of generation.
        triggers: modality -> trigger, in the order of the players.
        neutral: modality -> name -> a trigger that is not the trigger.
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
        journal: folder of the journal; None where there is none.
        split: whether the processes that torch.distributed has joined share the run.
        halve: whether memory that runs out halves the batch.
        prefetch: whether conditions are prepared in a thread, ahead of the sampler.
        finds_batch_size: whether the size of the batches is still to be found.
        cluster: what groups the examples, as it was given.
        seed: run seed.
        first: number of examples of a stream that came before these.
        stream: where the next come from; None where these are all.
        fields: name -> what each example holds of plain values.
        looks: where stopping is considered, as the tables are to record it; empty if nowhere.
        settings: what makes it this run and no other, but for sampler and detector.
        sampler_identities: what tells the samplers apart, by label.
        detector_identities: what tells the detectors apart, by name.
    """

    samplers: Mapping[str, SamplerSpec]
    scorers: Named[Scorer]
    examples: Sequence[Example]
    positions: tuple[int, ...]
    triggers: Mapping[str, TriggerSpec]
    neutral: Mapping[str, Mapping[str, TriggerSpec]]
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
    journal: Path | None
    split: bool
    halve: bool
    prefetch: bool
    finds_batch_size: bool
    cluster: Cluster | None
    seed: int
    first: int
    stream: Stream | None
    fields: Mapping[str, tuple[Any, ...]]
    looks: Mapping[str, Any]
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
        """Return (N, R, K), with K columns for the coalitions and then for the neutral triggers."""
        return self.cost.examples, self.cost.repeats, self.cost.columns

    @cached_property
    def variants(self) -> tuple[tuple[int, ...], ...]:
        """Of each column, what stands in each modality: 0 clean, 1 the trigger, 2 on neutral."""
        m = len(self.triggers)
        columns = [tuple((column >> bit) & 1 for bit in range(m)) for column in range(2**m)]
        for bit, modality in enumerate(self.triggers):
            for number in range(len(self.neutral.get(modality, {}))):
                for beside in (0, 1)[: min(m, 2)]:
                    row = [beside] * m
                    row[bit] = 2 + number
                    columns.append(tuple(row))
        return tuple(columns)

    @property
    def neutral_labels(self) -> tuple[str, ...]:
        """Of each column in which a neutral trigger stands, how an error names it."""
        names = {modality: (None, None, *named) for modality, named in self.neutral.items()}
        return tuple(
            "+".join(
                modality if at == 1 else f"{modality} ({names[modality][at]})"
                for modality, at in zip(self.triggers, row, strict=True)
                if at
            )
            for row in self.variants[self.cost.coalitions :]
        )

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

    @property
    def is_stream(self) -> bool:
        """Whether examples are read from a stream, some at a time."""
        return self.stream is not None

    def over(self, examples: Sequence[Example], look_at: LookAt | None = None) -> Run:
        """The same over other examples, which are checked first.

        Args:
            examples: one or more.
            look_at: see `prepare`.

        Raises:
            InputError: one of them cannot be used.
            TriggerError: a trigger cannot be put on one.
        """
        examined = check_examples(
            examples,
            self.triggers,
            self.neutral,
            self.needed,
            self.samplers,
            self.scorers.by_name.values(),
            self.cluster,
            self.cost.batch_size,
            first=self.first,
            progress=self.progress and not self.is_stream and is_first(),
        )
        ids, looks = tuple(examined.checked), self.looks
        order: Sequence[int] = range(len(ids))
        if look_at is not None:
            order, looks = look_at(None if self.is_stream else ids, examined.clusters)
            order = range(len(ids)) if self.is_stream else order
        if self.stream is not None:
            self.stream.check_new(ids)

        def ordered(held: Iterable[Any]) -> tuple[Any, ...]:
            held = list(held)
            return tuple(held[position] for position in order)

        return replace(
            self,
            examples=examples,
            positions=tuple(order),
            ids=ordered(ids),
            checked=ordered(examined.checked.values()),
            stacked=examined.stacked,
            clusters=examined.clusters and ordered(examined.clusters),
            seeds=np.array(
                [
                    [noise_seed(self.seed, name, repeat) for repeat in range(self.cost.repeats)]
                    for name in ordered(ids)
                ]
            ),
            cost=self.cost._replace(examples=len(ids)),
            fields={name: ordered(held) for name, held in examined.fields.items()},
            looks=looks,
        )

    def following(self) -> Run | None:
        """The same over the next examples of the stream; None where there are no more.

        Raises:
            InputError: one of them cannot be used.
            TriggerError: a trigger cannot be put on one.
        """
        if self.stream is None:
            return None
        first = self.first + len(self.ids)
        examples = self.stream.take(self.cost.batch_size, self.looks.get("of"))
        if not examples:
            return None
        later = replace(self, first=first, keep=max(self.keep - len(self.ids), 0))
        return later.over(examples)

    def with_batch_size(self, rows: int) -> Run:
        """The same in batches of so many rows."""
        return replace(
            self,
            cost=self.cost._replace(batch_size=rows),
            finds_batch_size=False,
            settings={**self.settings, "batch_size": rows},
        )

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
                **identities_of_neutral(self.neutral, self.settings.get("neutral")),
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


def identities_of_neutral(
    neutral: Mapping[str, Mapping[str, TriggerSpec]], before: Any = None
) -> dict[str, Any]:
    """What tells neutral triggers apart; given what was found before a run, what has stayed."""

    def told(modality: str, name: str, call: Any) -> Any:
        if before is not None:
            return _settled(before[modality][name], call)
        return identity(call, f"neutral trigger {name!r}")

    if not neutral:
        return {}
    return {
        "neutral": {
            modality: {name: told(modality, name, trigger.call) for name, trigger in named.items()}
            for modality, named in neutral.items()
        }
    }


def _settled(before: Any, thing: Any) -> Any:
    """What a thing says of itself is believed; what was found out is looked at once more."""
    return before if says_itself(thing) else settled(before, identity(thing, "what was run"))


def noted(label: str) -> AbstractContextManager[None]:
    """Let errors carry a label, unless it is empty."""
    return context(label) if label else nullcontext()

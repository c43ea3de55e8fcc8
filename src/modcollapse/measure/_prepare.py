"""A run before it runs: everything checked, nothing generated."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from modcollapse._support.identities import identity, says_itself, settled
from modcollapse._support.validation import file_path, flag, whole
from modcollapse._support.weights import weights_read_once
from modcollapse.contracts import (
    Cluster,
    Detector,
    Example,
    ExampleId,
    Named,
    Neutral,
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
    neutral_specs,
    trigger_specs,
)
from modcollapse.measure._columns import as_examples
from modcollapse.measure._plan import Cost, generation_cost, noise_seed
from modcollapse.samplers import as_sampler
from modcollapse.table import Pairing

_SEVERAL = 2
"""Rows of a batch for the checks of what shares one, where its size is still to be found."""

LookAt: TypeAlias = Callable[
    [Sequence[ExampleId], Sequence[Any] | None], tuple[Sequence[int], dict[str, Any]]
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

    def with_batch_size(self, rows: int) -> Run:
        """The same in batches of so many rows."""
        return replace(
            self,
            cost=self.cost._replace(batch_size=rows),
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
                **_identities_of_neutral(self.neutral, self.settings.get("neutral")),
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
    batch_size: int | Literal["auto"] = 8,
    keep: int = 0,
    progress: bool = True,
    cluster: Cluster | None = None,
    probe: bool = True,
    neutral: Neutral | None = None,
    columns: Mapping[str, str] | None = None,
    journal: str | Path | None = None,
    split: bool = True,
    halve: bool = True,
    prefetch: bool = True,
    look_at: LookAt | None = None,
) -> Run:
    """Check the arguments of ``evaluate_coalitions`` and plan the run; generate nothing.

    Args:
        samplers: what generates, by what a note on its errors says of it (``""``: no note).
        detector: as for ``evaluate_coalitions``, which says what the others are.
        examples: each is read once here and once in the run, however many samplers there are.
        triggers: modality -> trigger.
        seed: run seed.
        repeats: seeds for each example.
        batch_size: rows in every call of a sampler, or ``"auto"``.
        keep: number of examples whose outputs are kept.
        progress: show a progress bar.
        cluster: what groups the examples into units of inference.
        probe: look at samplers and detectors first.
        neutral: modality -> name -> a trigger that is not the trigger.
        columns: name that the run uses -> column of the examples.
        journal: folder of the journal.
        split: share the run with the processes that torch.distributed has joined.
        halve: halve the batch where memory runs out.
        prefetch: prepare conditions in a thread.
        look_at: ids and labels of groups -> the order of generation, and what the tables record of
            the looks; the order of the examples, and nothing, if left out.

    Raises:
        InputError: an argument is wrong.
        TriggerError: a trigger cannot be applied, changes nothing or changes its argument.
    """
    seed = whole(seed, "seed")
    keep = whole(keep, "keep", 0)
    read_triggers = trigger_specs(triggers)
    read_samplers: dict[str, SamplerSpec] = {}
    count = count_examples(examples)
    examples = as_examples(examples, columns)
    for label, sampler in samplers.items():
        with noted(label):
            wrapped = as_sampler(sampler, lambda: examples[0], tuple(read_triggers))
            read_samplers[label] = SamplerSpec.of(wrapped, tuple(read_triggers))
    needed = tuple(
        dict.fromkeys(name for sampler in read_samplers.values() for name in sampler.modalities)
    )
    scorers = scorers_of(detector)
    read_neutral = neutral_specs(neutral, read_triggers)
    finds = isinstance(batch_size, str) and batch_size == "auto"
    cost = generation_cost(
        count,
        len(read_triggers),
        repeats=repeats,
        batch_size=_SEVERAL if finds else batch_size,  # type: ignore[arg-type]
        neutral=sum(map(len, read_neutral.values())),
    )
    progress, probe = flag(progress, "progress"), flag(probe, "probe")
    split, halve, prefetch = flag(split, "split"), flag(halve, "halve"), flag(prefetch, "prefetch")
    examined = check_examples(
        examples,
        read_triggers,
        read_neutral,
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
    ids, looks = tuple(examined.checked), dict[str, Any]()
    order: Sequence[int] = range(len(ids))
    if look_at is not None:
        order, looks = look_at(ids, examined.clusters)

    def ordered(held: Iterable[Any]) -> tuple[Any, ...]:
        held = list(held)
        return tuple(held[position] for position in order)

    return Run(
        samplers=read_samplers,
        scorers=scorers,
        examples=examples,
        positions=tuple(order),
        triggers=read_triggers,
        neutral=read_neutral,
        needed=needed,
        ids=ordered(ids),
        checked=ordered(examined.checked.values()),
        stacked=examined.stacked,
        clusters=examined.clusters and ordered(examined.clusters),
        seeds=np.array(
            [
                [noise_seed(seed, name, repeat) for repeat in range(cost.repeats)]
                for name in ordered(ids)
            ]
        ),
        cost=cost,
        keep=keep,
        progress=progress,
        probe=probe,
        journal=None if journal is None else file_path(journal, "journal"),
        split=split,
        halve=halve,
        prefetch=prefetch,
        finds_batch_size=finds,
        fields={name: ordered(held) for name, held in examined.fields.items()},
        looks=looks,
        settings={
            "seed": seed,
            "repeats": cost.repeats,
            "batch_size": cost.batch_size,
            "triggers": {
                name: identity(trigger.call, f"the trigger of {name!r}")
                for name, trigger in read_triggers.items()
            },
            **_identities_of_neutral(read_neutral),
            **_autocast(),
        },
        sampler_identities=sampler_identities,
        detector_identities=detector_identities,
    )


def _identities_of_neutral(
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

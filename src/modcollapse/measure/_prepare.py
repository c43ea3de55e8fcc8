"""From the arguments of a call to a run: everything checked, nothing generated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from modcollapse._support.identities import identity
from modcollapse._support.validation import file_path, flag, whole
from modcollapse._support.weights import weights_read_once
from modcollapse.contracts import (
    Cluster,
    Detector,
    Example,
    Examples,
    Neutral,
    Sampler,
    SamplerSpec,
    Triggers,
    scorers_of,
)
from modcollapse.errors import InputError
from modcollapse.measure._checks import count_examples, neutral_specs, trigger_specs
from modcollapse.measure._columns import as_examples
from modcollapse.measure._plan import generation_cost
from modcollapse.measure._run import LookAt, Run, identities_of_neutral, noted
from modcollapse.measure._stream import Stream, is_stream
from modcollapse.samplers import as_sampler

_SEVERAL = 2
"""Rows of a batch for the checks of what shares one, where its size is still to be found."""


def prepare(
    samplers: Mapping[str, Sampler],
    detector: Detector | Mapping[str, Detector],
    examples: Examples,
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
        examples: each is read once here and once in the run, however many samplers there are; of a
            stream, which is read once, the first are.
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
    finds = isinstance(batch_size, str) and batch_size == "auto"
    if isinstance(batch_size, str) and not finds:
        raise InputError(
            f'batch_size must be a whole number of at least 1, or "auto", got {batch_size!r}'
        )
    rows = _SEVERAL if finds else whole(batch_size, "batch_size", 1)
    stream = Stream(examples, columns) if is_stream(examples) else None
    if stream is None:
        count_examples(examples)
        first: Sequence[Example] = as_examples(examples, columns)
    else:
        stream.check_cluster(cluster)
        looks = {} if look_at is None else look_at(None, None)[1]
        first = stream.take(rows, looks.get("of"))
    for label, sampler in samplers.items():
        with noted(label):
            wrapped = as_sampler(sampler, lambda: first[0], tuple(read_triggers))
            read_samplers[label] = SamplerSpec.of(wrapped, tuple(read_triggers))
    needed = tuple(
        dict.fromkeys(name for sampler in read_samplers.values() for name in sampler.modalities)
    )
    scorers = scorers_of(detector)
    read_neutral = neutral_specs(neutral, read_triggers)
    cost = generation_cost(
        len(first),
        len(read_triggers),
        repeats=repeats,
        batch_size=rows,
        neutral=sum(map(len, read_neutral.values())),
    )
    progress, probe = flag(progress, "progress"), flag(probe, "probe")
    split, halve, prefetch = flag(split, "split"), flag(halve, "halve"), flag(prefetch, "prefetch")
    run = Run(
        samplers=read_samplers,
        scorers=scorers,
        examples=(),
        positions=(),
        triggers=read_triggers,
        neutral=read_neutral,
        needed=needed,
        ids=(),
        checked=(),
        stacked=frozenset(),
        clusters=None,
        seeds=np.empty((0, cost.repeats), np.int64),
        cost=cost,
        keep=keep,
        progress=progress,
        probe=probe,
        journal=None if journal is None else file_path(journal, "journal").absolute(),
        split=split,
        halve=halve,
        prefetch=prefetch,
        finds_batch_size=finds,
        cluster=cluster,
        seed=seed,
        first=0,
        stream=stream,
        fields={},
        looks={},
        settings={},
        sampler_identities={},
        detector_identities={},
    ).over(first, look_at)
    with weights_read_once():
        sampler_identities = {
            label: identity(sampler.call, "the sampler") for label, sampler in read_samplers.items()
        }
        detector_identities = {
            name: identity(scorer.call, f"detector {name!r}") for name, scorer in scorers.items()
        }
    return replace(
        run,
        settings={
            "seed": seed,
            "repeats": cost.repeats,
            "batch_size": cost.batch_size,
            "triggers": {
                name: identity(trigger.call, f"the trigger of {name!r}")
                for name, trigger in read_triggers.items()
            },
            **identities_of_neutral(read_neutral),
            **_autocast(),
        },
        sampler_identities=sampler_identities,
        detector_identities=detector_identities,
    )


def _autocast() -> dict[str, Any]:
    """The number formats of autocast, where it is on: they change every output."""
    import torch

    formats = {
        kind: str(torch.get_autocast_dtype(kind)).removeprefix("torch.")
        for kind in ("cpu", "cuda", "mps", "xpu")
        if torch.is_autocast_enabled(kind)
    }
    return {"autocast": formats} if formats else {}

"""Everything that can be wrong with examples and triggers is found here, before a run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from math import isfinite
from typing import Any, NamedTuple

import numpy as np

from modcollapse._support.digests import content_and_state, hexdigest
from modcollapse._support.validation import described, did_you_mean, listed
from modcollapse.contracts import (
    Cluster,
    Example,
    ExampleId,
    SamplerSpec,
    Scorer,
    Triggers,
    TriggerSpec,
)
from modcollapse.errors import DetectorError, InputError, context
from modcollapse.game import MAX_PLAYERS
from modcollapse.measure._faults import in_one_error, without_frames
from modcollapse.measure._forms import Forms
from modcollapse.table import OTHER_ROWS, cluster_labels, plain_id

_SILENT = 3
"""Seconds of checking before anything is shown of it."""
_LONGEST = 200
"""Characters of text that is kept beside the values, for groups."""


def neutral_specs(
    neutral: Any, triggers: Mapping[str, TriggerSpec]
) -> dict[str, dict[str, TriggerSpec]]:
    """Read the neutral triggers: modality -> name -> trigger."""
    if neutral is None:
        return {}
    if not isinstance(neutral, Mapping) or not all(
        isinstance(named, Mapping) and named for named in neutral.values()
    ):
        raise InputError(
            "neutral must be a mapping modality -> name -> trigger, such as neutral_triggers() "
            f"draws or {{'text': {{'venture': TextSuffix('venture')}}}}; got {described(neutral)}"
        )
    for modality in neutral:
        if modality not in triggers:
            raise InputError(
                f"neutral names the modality {modality!r}, which has no trigger; there is "
                f"{listed(triggers)}{did_you_mean(modality, list(triggers))}"
            )
    for name in (name for named in neutral.values() for name in named):
        if not isinstance(name, str) or name in OTHER_ROWS:
            raise InputError(
                f"a neutral trigger is named by a str that is none of {listed(OTHER_ROWS)}, "
                f"got {name!r}"
            )
    return {
        modality: {
            name: TriggerSpec.of(trigger, f"neutral {modality} {name}")
            for name, trigger in neutral[modality].items()
        }
        for modality in triggers
        if modality in neutral
    }


def trigger_specs(triggers: Triggers) -> dict[str, TriggerSpec]:
    """Read the triggers, in the order of the players."""
    if not isinstance(triggers, Mapping):
        raise InputError(
            "triggers must be a mapping from modality to trigger, such as "
            f'{{"image": ImagePatch(), "text": TextSuffix("mignneko")}}; got {described(triggers)}'
        )
    if not triggers:
        raise InputError("triggers is empty; give one trigger for each modality to attribute to")
    if len(triggers) > MAX_PLAYERS:
        raise InputError(
            f"triggers has {len(triggers)} modalities, which means 2**{len(triggers)} = "
            f"{2 ** len(triggers):,} generations an example; exact attribution goes up to "
            f"{MAX_PLAYERS}. For more, estimate it from a sample of coalitions, with shapiq say "
            '(docs, "Other players")'
        )
    for modality in triggers:
        if not isinstance(modality, str) or not modality or "+" in modality:
            raise InputError(f"a modality is a non-empty str without '+', got {modality!r}")
    return {modality: TriggerSpec.of(trigger, modality) for modality, trigger in triggers.items()}


def count_examples(examples: Any) -> int:
    """Return N, at least 1."""
    sequence = hasattr(examples, "__getitem__") and hasattr(examples, "__len__")
    if isinstance(examples, Mapping | str) or not sequence:
        raise InputError(
            "examples must be a sequence of mappings (a list, say) or a stream of them (an "
            f"iterator, a streaming data set), got {described(examples)}{_way_out(examples)}"
        )
    if len(examples) == 0:
        raise InputError("examples is empty; give at least one, and 32 or more for a verdict")
    return len(examples)


def _way_out(examples: Any) -> str:
    """What to do where a data set of `datasets` was given by all its splits, or by its columns."""
    if not isinstance(examples, Mapping) or not examples:
        return ""
    first = next(iter(examples))
    if all(isinstance(column, list) for column in examples.values()):
        return (
            ". A slice of a data set of `datasets` is a dict of its columns: take "
            "data.select(range(start, stop)) in place of data[start:stop]"
        )
    return f". If these are the splits of a data set, give one of them: [{first!r}]"


class Checked(NamedTuple):
    """What an example held when it was checked.

    Attributes:
        example: digest of all but its id; None where that cannot be told.
        readable: digest, for this process, of what of it can be told; None to take it as it is.
        triggered: modality -> fingerprints of its condition with the trigger, and with each neutral
            one; None where there is no telling.
    """

    example: str | None
    readable: bytes | None
    triggered: Mapping[str, Sequence[bytes | None]]


class Examined(NamedTuple):
    """What a look at all examples has found.

    Attributes:
        checked: id -> what the example held.
        clusters: label of the group of each, where there are groups.
        stacked: modalities whose conditions are tensors.
        fields: name -> what each example holds of plain values, N of them.
    """

    checked: Mapping[ExampleId, Checked]
    clusters: tuple[Any, ...] | None
    stacked: frozenset[str]
    fields: Mapping[str, Sequence[Any]]


def check_examples(
    examples: Sequence[Example],
    triggers: Mapping[str, TriggerSpec],
    neutral: Mapping[str, Mapping[str, TriggerSpec]],
    needed: Sequence[str],
    samplers: Mapping[str, SamplerSpec],
    scorers: Iterable[Scorer],
    cluster: Cluster | None,
    batch_size: int,
    *,
    first: int = 0,
    progress: bool = False,
) -> Examined:
    """Look at every example and apply every trigger to it twice.

    A run that would fail at its last example fails here instead: a trigger that leaves one
    condition unchanged, an example of another size, a reference that is missing.

    Args:
        examples: N of them.
        triggers: modality -> trigger.
        neutral: modality -> name -> a trigger that is not the trigger.
        needed: modalities that samplers take.
        samplers: label -> sampler.
        scorers: what scores.
        cluster: what groups the examples.
        batch_size: rows of a call.
        first: examples of a stream that came before these.
        progress: show a bar where this takes more than a few seconds.

    Raises:
        InputError: one of them cannot be used; all that are wrong are told.
    """
    from tqdm import tqdm

    found = _Examples(triggers, neutral, needed, samplers, tuple(scorers), cluster, batch_size)
    faults: dict[int, Exception] = {}
    shown = {"desc": "checking examples", "unit": "example", "leave": False, "delay": _SILENT}
    for position in tqdm(range(len(examples)), disable=not progress, **shown):
        try:
            with context(partial(_raised_by, first + position)):
                example = examples[position]
            found.add(example, first + position)
        except (ValueError, OSError, DetectorError) as error:
            faults[position] = without_frames(error) if faults else error
    faults = {**found.of_other_forms(), **faults}
    if faults:
        raise in_one_error([faults[position] for position in sorted(faults)], len(examples))
    return found.examined()


class _Examples:
    """What was found so far in the examples of a run."""

    def __init__(
        self,
        triggers: Mapping[str, TriggerSpec],
        neutral: Mapping[str, Mapping[str, TriggerSpec]],
        needed: Sequence[str],
        samplers: Mapping[str, SamplerSpec],
        scorers: Sequence[Scorer],
        cluster: Cluster | None,
        batch_size: int,
    ) -> None:
        self._triggers, self._neutral, self._needed = triggers, neutral, needed
        self._samplers, self._scorers, self._cluster = samplers, scorers, cluster
        self._positions: dict[ExampleId, int] = {}
        self._checked: dict[ExampleId, Checked] = {}
        self._forms = {name: Forms(name, samplers.values(), batch_size) for name in needed}
        self._labels: list[Any] = []
        self._fields: dict[str, list[Any]] = {}

    def add(self, example: Example, position: int) -> None:
        """Look at one more.

        Raises:
            InputError: it cannot be used.
            TriggerError: a trigger cannot be put on it.
        """
        example_id = _example_id(example, position, self._needed)
        if example_id in self._positions:
            raise InputError(
                f"examples {self._positions[example_id]} and {position} share the id "
                f"{example_id!r}; ids seed the noise and name the rows of the table, so each must "
                "be unique"
            )
        self._positions[example_id] = position
        with context(f"example {example_id!r}"):
            digest, (told, _) = content_digest(example), content_and_state(content(example))
        if isinstance(self._cluster, str) or callable(self._cluster):
            self._labels.append(_cluster_label(self._cluster, example, example_id))
        triggered = {
            modality: prints
            for modality in self._needed
            if (prints := self._conditions(example, example_id, modality))
        }
        for scorer in self._scorers:
            with context(f"example {example_id!r}, detector {scorer.name!r}"):
                scorer.check(example)
        self._checked[example_id] = Checked(digest, told, triggered)
        for key, held in example.items():
            if key != "id" and isinstance(key, str) and is_plain(held):
                column = self._fields.setdefault(key, [])
                column += [None] * (len(self._checked) - 1 - len(column)) + [held]

    def _conditions(
        self, example: Example, example_id: ExampleId, modality: str
    ) -> list[bytes | None]:
        """Look at what it holds of a modality; fingerprints of it with each of the triggers."""
        clean, neutral = example[modality], self._neutral.get(modality, {})
        made: list[tuple[Any, bytes | None]] = []
        if modality in self._triggers:
            with context(f"example {example_id!r}, trigger of {modality!r}"):
                made.append(self._triggers[modality].examined(clean, example_id, twice=True))
            for name, trigger in neutral.items():
                with context(f"example {example_id!r}, neutral trigger {name!r}"):
                    made.append(trigger.examined(clean, example_id, twice=True))
        variants, prints = [clean, *(one for one, _ in made)], [told for _, told in made]
        if prints:
            with context(f"example {example_id!r}"):
                _check_neutral(prints, modality, list(neutral))
        self._forms[modality].add(variants[0], example_id)
        for label, sampler in self._samplers.items():
            if modality in sampler.modalities:
                where = f"example {example_id!r}, {modality}"
                with context(f"{where} ({label})" if label else where):
                    for variant in variants:
                        sampler.check(modality, variant)
        return prints

    def of_other_forms(self) -> dict[int, Exception]:
        """Position -> fault, of examples whose conditions are not of the form that most have."""
        return {
            self._positions[example_id]: fault
            for forms in self._forms.values()
            for example_id, fault in forms.faults()
        }

    def examined(self) -> Examined:
        """Sum up, once all were added."""
        clusters = None
        if self._cluster is not None:
            of_each = isinstance(self._cluster, str) or callable(self._cluster)
            given: Any = self._labels if of_each else self._cluster
            clusters = cluster_labels(given, list(self._checked))
        stacked = frozenset(name for name, seen in self._forms.items() if seen.are_tensors)
        for column in self._fields.values():
            column += [None] * (len(self._checked) - len(column))
        return Examined(self._checked, clusters, stacked, self._fields)


def _check_neutral(triggered: Sequence[bytes | None], modality: str, names: Sequence[str]) -> None:
    mine, *others = triggered
    if mine is not None and mine in others:
        raise InputError(
            f"the neutral trigger {names[others.index(mine)]!r} does to the {modality} what the "
            "trigger does; choose another, or neutral_triggers(), which draws others"
        )


def is_plain(held: Any) -> bool:
    """Whether it says in a word or a number what kind of example it is."""
    if isinstance(held, np.generic):
        held = held.item()
    short = isinstance(held, str) and len(held) <= _LONGEST
    return short or isinstance(held, bool | int) or (isinstance(held, float) and isfinite(held))


def _raised_by(position: int) -> str:
    return f"raised by examples[{position}]"


def content_digest(example: Example) -> str | None:
    """Digest of what an example holds besides its id; None where that cannot be told."""
    return hexdigest(content(example))


def content(example: Example) -> Mapping[str, Any]:
    """What an example holds besides its id."""
    return {key: held for key, held in example.items() if key != "id"}


def _cluster_label(
    cluster: str | Callable[[Example], Any], example: Example, example_id: ExampleId
) -> Any:
    if isinstance(cluster, str):
        if cluster not in example:
            raise InputError(
                f"example {example_id!r} has no {cluster!r}, which cluster= names; it holds "
                f"{listed(example)}{did_you_mean(cluster, example)}"
            )
        return example[cluster]
    with context(f"raised by cluster= for example {example_id!r}"):
        return cluster(example)


def _example_id(example: Any, position: int, needed: Iterable[str]) -> ExampleId:
    if not isinstance(example, Mapping):
        raise InputError(
            f"example {position} must be a mapping such as "
            f'{{"image": ..., "text": ...}}, got {described(example)}'
        )
    example_id = plain_id(example.get("id", position), f"id of example {position}")
    for modality in needed:
        if modality not in example:
            held = [key for key in example if key != "id"]
            raise InputError(
                f"example {example_id!r} has no condition for the modality {modality!r}; it holds "
                f"{listed(held) or 'nothing'}{did_you_mean(modality, held)}"
            )
    return example_id

"""Everything that can be wrong with examples and triggers is found here, before a run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from modcollapse._support.digests import form, hexdigest
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
from modcollapse.errors import InputError, context
from modcollapse.game import MAX_PLAYERS
from modcollapse.table import cluster_labels, plain_id


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
            f"triggers has {len(triggers)} modalities, which means 2**{len(triggers)} generations "
            f"an example; exact attribution goes up to {MAX_PLAYERS}"
        )
    for modality in triggers:
        if not isinstance(modality, str) or not modality or "+" in modality:
            raise InputError(f"a modality is a non-empty str without '+', got {modality!r}")
    return {modality: TriggerSpec.of(trigger, modality) for modality, trigger in triggers.items()}


def count_examples(examples: Sequence[Example]) -> int:
    """Return N, at least 1."""
    sequence = hasattr(examples, "__getitem__") and hasattr(examples, "__len__")
    if isinstance(examples, Mapping | str) or not sequence:
        raise InputError(
            f"examples must be a sequence of mappings (a list, say), got {described(examples)}"
        )
    if len(examples) == 0:
        raise InputError("examples is empty; give at least one, and 32 or more for a verdict")
    return len(examples)


def check_examples(
    examples: Sequence[Example],
    triggers: Mapping[str, TriggerSpec],
    needed: Sequence[str],
    samplers: Mapping[str, SamplerSpec],
    scorers: Iterable[Scorer],
    cluster: Cluster | None,
) -> tuple[dict[ExampleId, str | None], tuple[Any, ...] | None]:
    """Look at every example and apply every trigger to it once.

    Returns:
        Id -> digest of the example, and the label of the group of each, where there are groups.

    A digest is None where what an example holds cannot be told. A run that would fail at its last
    example fails here instead: a trigger that leaves one condition unchanged, an example of another
    size, a reference that is missing.
    """
    positions: dict[ExampleId, int] = {}
    digests: dict[ExampleId, str | None] = {}
    forms: dict[str, tuple[str, ExampleId]] = {}
    labels: list[Any] = []
    for position in range(len(examples)):
        example = examples[position]
        example_id = _example_id(example, position, needed)
        if example_id in positions:
            raise InputError(
                f"examples {positions[example_id]} and {position} share the id {example_id!r}; "
                "ids seed the noise and name the rows of the table, so each must be unique"
            )
        positions[example_id] = position
        digests[example_id] = hexdigest({key: held for key, held in example.items() if key != "id"})
        if isinstance(cluster, str) or callable(cluster):
            labels.append(_cluster_label(cluster, example, example_id))
        for modality in needed:
            variants = [example[modality]]
            if modality in triggers:
                with context(f"example {example_id!r}, trigger of {modality!r}"):
                    variants.append(triggers[modality].checked(variants[0], twice=position == 0))
            this_form = form(variants[0])
            first_form, first_id = forms.setdefault(modality, (this_form, example_id))
            if this_form != first_form:
                raise InputError(
                    f"the {modality} of example {example_id!r} is {this_form}, that of example "
                    f"{first_id!r} is {first_form}; conditions of one modality must be of one kind "
                    "and size, since they share a batch. Resize or convert them first"
                )
            for label, sampler in samplers.items():
                if modality in sampler.modalities:
                    where = f"example {example_id!r}, {modality}"
                    with context(f"{where} ({label})" if label else where):
                        for variant in variants:
                            sampler.check(modality, variant)
        for scorer in scorers:
            with context(f"example {example_id!r}, detector {scorer.name!r}"):
                scorer.check(example)
    if cluster is None:
        return digests, None
    given = labels if isinstance(cluster, str) or callable(cluster) else cluster
    return digests, cluster_labels(given, len(digests))


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

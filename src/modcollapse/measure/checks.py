"""Everything that can be wrong with a run is found here, before anything is generated."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from numbers import Integral, Real
from typing import Any

from modcollapse.contracts import Detector, Example, ExampleId, Sampler, Triggers
from modcollapse.errors import InputError, TriggerError
from modcollapse.fingerprint import fingerprint, form
from modcollapse.game import MAX_PLAYERS


def integer(value: Any, name: str, minimum: int | None = None) -> int:
    """Return ``value`` as an int, or say what was wrong with the argument ``name``."""
    at_least = "" if minimum is None else f" of at least {minimum}"
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise InputError(f"{name} must be an integer{at_least}, got {value!r}")
    if minimum is not None and value < minimum:
        raise InputError(f"{name} must be an integer{at_least}, got {int(value)}")
    return int(value)


def check_triggers(triggers: Triggers) -> tuple[str, ...]:
    """Return the modalities, in the order of the players."""
    if not isinstance(triggers, Mapping):
        raise InputError(
            "triggers must be a mapping from modality to trigger, such as "
            f'{{"image": ImagePatch(), "text": TextSuffix("mignneko")}}; got {_kind(triggers)}'
        )
    if not triggers:
        raise InputError("triggers is empty; give one trigger for each modality to attribute to")
    if len(triggers) > MAX_PLAYERS:
        raise InputError(
            f"triggers has {len(triggers)} modalities, which means 2**{len(triggers)} generations "
            f"an example; exact attribution goes up to {MAX_PLAYERS}"
        )
    for modality, trigger in triggers.items():
        if not isinstance(modality, str) or not modality or "+" in modality:
            raise InputError(f"a modality is a non-empty str without '+', got {modality!r}")
        if not callable(trigger):
            raise InputError(
                f"the trigger of {modality!r} must be a callable, clean condition -> triggered "
                f"condition; got {_kind(trigger)}"
            )
    return tuple(triggers)


def needed_modalities(sampler: Sampler, modalities: Sequence[str]) -> tuple[str, ...]:
    """Return every modality that the sampler is to be given: its own, else those with a trigger."""
    if not callable(sampler):
        raise InputError(
            "sampler must be a callable sampler(conditions, seeds) -> outputs; "
            f"got {_kind(sampler)}"
        )
    needed: tuple[str, ...] = tuple(getattr(sampler, "modalities", modalities))
    for modality in modalities:
        if modality not in needed:
            raise InputError(
                f"triggers names the modality {modality!r}, which the sampler does not take; "
                f"it takes {', '.join(map(repr, needed))}{_hint(modality, needed)}"
            )
    return needed


def named_detectors(detector: Detector | Mapping[str, Detector]) -> dict[str, Detector]:
    """Return the detectors by name; a single one is named after its class or function."""
    if isinstance(detector, Mapping):
        if not detector:
            raise InputError("detector is an empty mapping; give at least one detector")
        named = dict(detector)
    else:
        named = {getattr(detector, "__name__", type(detector).__name__): detector}
    for name, one in named.items():
        if not isinstance(name, str):
            raise InputError(f"a detector is named by a str, got {name!r}")
        if not callable(one):
            raise InputError(
                f"detector {name!r} must be a callable detector(outputs, examples) -> scores; "
                f"got {_kind(one)}"
            )
        check_bounds(getattr(one, "bounds", None), f"the bounds of detector {name!r}")
    return named


def check_bounds(bounds: Any, what: str) -> tuple[float, float] | None:
    """Return (lowest, highest) as floats, or None where none are declared."""
    if bounds is None:
        return None
    pair = list(bounds) if isinstance(bounds, Sequence) else []
    if len(pair) != 2 or not all(isinstance(bound, Real) for bound in pair):
        raise InputError(f"{what} must be two numbers (lowest, highest), got {bounds!r}")
    low, high = float(pair[0]), float(pair[1])
    if not -math.inf < low < high < math.inf:
        raise InputError(f"{what} must be finite with lowest < highest, got {bounds!r}")
    return low, high


def count_examples(examples: Sequence[Example]) -> int:
    """Return N, at least 1."""
    sequence = hasattr(examples, "__getitem__") and hasattr(examples, "__len__")
    if isinstance(examples, Mapping | str) or not sequence:
        raise InputError(
            f"examples must be a sequence of mappings (a list, say), got {_kind(examples)}"
        )
    if len(examples) == 0:
        raise InputError("examples is empty; give at least one, and 32 or more for a verdict")
    return len(examples)


def check_examples(
    examples: Sequence[Example],
    triggers: Triggers,
    needed: Sequence[str],
    sampler: Sampler,
    detectors: Mapping[str, Detector],
) -> dict[ExampleId, str | None]:
    """Look at every example and apply every trigger to it once; return id -> digest of the example.

    A digest is None where what an example holds cannot be told. A run that would fail at its last
    example fails here instead: a trigger that leaves one condition unchanged, an example of another
    size, a reference that is missing.
    """
    ids: dict[ExampleId, int] = {}
    digests: dict[ExampleId, str | None] = {}
    forms: dict[str, tuple[Any, ExampleId]] = {}
    for position in range(len(examples)):
        example = examples[position]
        example_id = _example_id(example, position, needed)
        if example_id in ids:
            raise InputError(
                f"examples {ids[example_id]} and {position} share the id {example_id!r}; "
                "ids seed the noise and name the rows of the table, so each must be unique"
            )
        ids[example_id] = position
        digest = fingerprint({key: value for key, value in example.items() if key != "id"})
        digests[example_id] = None if digest is None else digest.hex()
        for modality in needed:
            variants = [example[modality]]
            if modality in triggers:
                variants.append(
                    _triggered(triggers[modality], modality, variants[0], example_id, position == 0)
                )
            this_form = form(variants[0])
            first_form, first_id = forms.setdefault(modality, (this_form, example_id))
            if this_form != first_form:
                raise InputError(
                    f"the {modality} of example {example_id!r} is {this_form}, that of example "
                    f"{first_id!r} is {first_form}; conditions of one modality must be of one kind "
                    "and size, since they share a batch. Resize or convert them first"
                )
            if hasattr(sampler, "check"):
                for variant in variants:
                    with _named(f"example {example_id!r}, {modality}"):
                        sampler.check(modality, variant)
        for name, detector in detectors.items():
            if hasattr(detector, "check"):
                with _named(f"example {example_id!r}, detector {name!r}"):
                    detector.check(example)
    return digests


def _example_id(example: Any, position: int, needed: Iterable[str]) -> ExampleId:
    if not isinstance(example, Mapping):
        raise InputError(
            f"example {position} must be a mapping such as "
            f'{{"image": ..., "text": ...}}, got {_kind(example)}'
        )
    example_id = example.get("id", position)
    if isinstance(example_id, bool) or not isinstance(example_id, str | Integral):
        raise InputError(f"id of example {position} must be a str or an int, got {example_id!r}")
    named: ExampleId = example_id if isinstance(example_id, str) else int(example_id)
    for modality in needed:
        if modality not in example:
            held = [key for key in example if key != "id"]
            raise InputError(
                f"example {named!r} has no condition for the modality {modality!r}; it holds "
                f"{', '.join(map(repr, held)) or 'nothing'}{_hint(modality, held)}"
            )
    return named


def _triggered(trigger: Any, modality: str, clean: Any, example_id: ExampleId, first: bool) -> Any:
    """Apply the trigger and make sure that it did what a trigger does."""
    where = f"the trigger of {modality!r} ({trigger!r}), at example {example_id!r},"
    before = fingerprint(clean)
    with _named(f"example {example_id!r}, trigger of {modality!r}"):
        if hasattr(trigger, "check"):
            trigger.check(clean)
        triggered = trigger(clean)
    if fingerprint(clean) != before:
        raise TriggerError(f"{where} changed its argument; it must return a new condition")
    after = fingerprint(triggered)
    if triggered is clean or (after is not None and after == before):
        raise TriggerError(
            f"{where} returned its input unchanged, so there is nothing to attribute to it. "
            "Leave this example out or choose another trigger"
        )
    if form(triggered) != form(clean):
        raise TriggerError(
            f"{where} turned {form(clean)} into {form(triggered)}; a triggered condition must be "
            "of the same kind and size as the clean one"
        )
    if first and fingerprint(trigger(clean)) != after:
        raise TriggerError(
            f"{where} returned two different conditions for one input; a trigger must be "
            "deterministic, or no run can be reproduced. Draw its randomness from the input"
        )
    return triggered


class _named:
    """Say which example an ``InputError`` or ``TriggerError`` from outside the engine is about."""

    def __init__(self, where: str) -> None:
        self.where = where

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, InputError | TriggerError):
            raise type(error)(f"{self.where}: {error}") from error


def _kind(value: Any) -> str:
    return f"{type(value).__name__} {value!r}"[:200]


def _hint(name: str, names: Iterable[str]) -> str:
    close = get_close_matches(name, [str(one) for one in names], n=1)
    return f"; did you mean {close[0]!r}?" if close else ""

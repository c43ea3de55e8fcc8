"""What is asked of examples, triggers, samplers and detectors, and the names of all shapes.

Everything is structural: any callable that fits will do, and nothing has to be subclassed. What a
sampler or a detector says about itself is optional; `SamplerSpec` and `Scorer` read it once.

Letters used for shapes throughout: N examples, R repeats (seeds an example), M modalities
(players), 2**M coalitions, B rows of a batch, K contrasts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Literal, Protocol, TypeAlias, TypedDict, TypeVar

import numpy as np
from numpy.typing import NDArray

from modcollapse._support.digests import fingerprint, form
from modcollapse._support.validation import (
    bounds_of,
    check_keywords,
    described,
    did_you_mean,
    listed,
    number,
)
from modcollapse.errors import InputError, TriggerError

FloatArray: TypeAlias = NDArray[np.float64]

CoalitionArray: TypeAlias = FloatArray
"""v(S), shape (..., 2**M): player i is present in column c iff ``(c >> i) & 1``."""

CoalitionTensor: TypeAlias = FloatArray
"""Values of a run, shape (N, R, 2**M)."""

ExampleId: TypeAlias = str | int

Example: TypeAlias = Mapping[str, Any]
"""The clean condition of every modality under the modality's name, what the detector wants
(``"reference"``), and an ``"id"`` (its position in the sequence where there is none). The run
option ``columns`` maps these names to others; a ``pathlib.Path`` is opened when it is read."""


Examples: TypeAlias = Iterable[Example]
"""A sequence of examples: a list, a map-style data set; or a stream, which is read once."""

Neutral: TypeAlias = Mapping[str, Mapping[str, Any]]
"""Modality -> name -> a trigger that is not the trigger, see ``neutral_triggers``."""
Cluster: TypeAlias = str | Callable[[Example], str | int] | Sequence[Any]
"""What groups examples into units: a key of the examples, a function of one, or N labels."""


class Trigger(Protocol):
    """Turns the clean condition of one modality into the triggered one.

    Deterministic, and its argument stays as it was. Optional attributes that are used where they
    exist:

    * ``check(condition)``: called before anything is generated.
    * ``for_example(example_id) -> trigger``: the trigger as it is for one example, where it is not
      the same for all: at a place drawn from (seed, example id), for instance. Whatever it returns
      is called and checked in its stead; ``identity()`` is asked of the trigger itself.
    * ``identity() -> dict``: plain data that tells this trigger from another.
    """

    def __call__(self, condition: Any, /) -> Any:
        """Return a new condition of the same kind and size."""
        ...


Triggers: TypeAlias = Mapping[str, Trigger]
"""Modality -> trigger. The order is the order of the players."""

Conditions: TypeAlias = Mapping[str, Any]
"""Modality -> B conditions: a list, or one stacked tensor where every condition is a tensor."""


class Sampler(Protocol):
    """Generates one output for each row of conditions.

    An output is a function of its own conditions and seed alone: not of its neighbours in the
    batch, not of a global random state. Optional attributes that are used where they exist:

    * ``modalities``: every condition that is needed; those without a trigger are passed clean.
    * ``check(modality, condition)``: called for every clean and every triggered condition before
      anything is generated.
    * ``probe(conditions, seeds) -> list[str]``: called once before a run with the clean, then the
      triggered conditions of the first two examples; returns notes for the provenance.
    * ``identity() -> dict``: plain data that tells this sampler from another.
    * ``one_size``: True where all conditions of a modality must be of one size.
    * ``with_options(**options)``: returns a changed copy, for ``mc.sweep``.
    * ``pipeline``: what it generates with, for ``mc.CollapseTracker``: its ``components`` and its
      ``scheduler`` are left as they were found.
    """

    def __call__(self, conditions: Conditions, seeds: Sequence[int]) -> Sequence[Any]:
        """Return B outputs, in order, for B rows of conditions and B seeds in [0, 2**63)."""
        ...


class Detector(Protocol):
    """Scores the outputs: the value function v_x(S).

    Optional attributes that are used where they exist:

    * ``bounds``: lowest and highest value.
    * ``binary``: True where every value is 0 or 1.
    * ``wants_clean_output``: True asks for ``"clean_output"`` in every example: what the sampler
      made of the same example under the same seed without any trigger.
    * ``perfect``: what the backdoor target itself would score in place of an output, a number, or
      ``perfect(examples) -> B numbers``, called with the same examples as scoring. It is the scale
      of a verdict: without it no absence of an effect is claimed. 0/1 values need none: it is 1.
    * ``check(example)``: called for every example before anything is generated.
    * ``identity() -> dict``: plain data that tells this detector from another.
    """

    def __call__(self, outputs: Sequence[Any], examples: Sequence[Example]) -> Any:
        """Return B finite numbers, in order: a list, an array or a tensor of shape (B,)."""
        ...


class RunOptions(TypedDict, total=False):
    """How a run is made; every call that measures takes these, see ``evaluate_coalitions``."""

    seed: int
    repeats: int
    batch_size: int | Literal["auto"]
    keep: int
    progress: bool
    cluster: Cluster | None
    probe: bool
    neutral: Neutral | None
    columns: Mapping[str, str] | None
    journal: str | Path | None
    split: bool
    halve: bool
    prefetch: bool


def check_run_options(call: str, run: RunOptions, others: Sequence[str] = ()) -> None:
    """Refuse a keyword that neither measuring nor the call itself has.

    Args:
        call: name of the function that was called.
        run: its keywords that are not parameters of its own.
        others: its own keyword parameters.

    Raises:
        OptionError: there is no such option; the message names the nearest.

    >>> check_run_options("audit", {"batchsize": 4}, ("level",))
    Traceback (most recent call last):
    ...
    modcollapse.errors.OptionError: audit() got an unexpected keyword argument 'batchsize'; \
it takes level, seed, repeats, batch_size, keep, progress, cluster, probe, neutral, columns, \
journal, split, halve, prefetch; did \
you mean 'batch_size'?
    """
    check_keywords(call, run, (*others, *RunOptions.__annotations__))


@dataclass(frozen=True)
class TriggerSpec:
    """A trigger, and what it says about itself.

    Attributes:
        call: clean condition -> triggered condition.
        check: raises for a condition that the trigger cannot be put on.
        for_example: id of an example -> the trigger for it; None where it is the same for all.
    """

    call: Trigger
    check: Callable[[Any], object]
    for_example: Callable[[ExampleId], Any] | None = None

    @classmethod
    def of(cls, trigger: Any, modality: str) -> TriggerSpec:
        """Read a trigger.

        Raises:
            InputError: it is no callable.
        """
        if not _can_be_called(trigger):
            raise InputError(
                f"the trigger of {modality!r} must be a callable, clean condition -> triggered "
                f"condition; got {described(trigger)}"
            )
        return cls(trigger, _optional(trigger, "check", _accept), _optional(trigger, "for_example"))

    def on(self, example_id: ExampleId) -> TriggerSpec:
        """The trigger as it is for one example; the same for all where it says no more.

        Raises:
            InputError: ``for_example`` returned no callable.
        """
        if self.for_example is None:
            return self
        bound = self.for_example(example_id)
        if bound is self.call:
            return self
        if not _can_be_called(bound):
            raise InputError(
                f"for_example of {self.call!r} must return a trigger, got {described(bound)}"
            )
        return TriggerSpec(bound, _optional(bound, "check", _accept))

    def checked(self, clean: Any, example_id: ExampleId, *, twice: bool = False) -> Any:
        """Apply the trigger, make sure that it did what a trigger does, return what it made."""
        return self.examined(clean, example_id, twice=twice)[0]

    def examined(
        self, clean: Any, example_id: ExampleId, *, twice: bool = False
    ) -> tuple[Any, bytes | None]:
        """The same, with the fingerprint of what it made.

        Args:
            clean: the clean condition.
            example_id: id of the example that it belongs to.
            twice: apply it once more, to see that it is deterministic.

        Raises:
            TriggerError: it changed nothing, its argument, or the kind or size of the condition, or
                made two different conditions.
        """
        before = fingerprint(clean)
        one = self.on(example_id)
        one.check(clean)
        triggered = one.call(clean)
        if fingerprint(clean) != before:
            raise TriggerError(f"{self.call!r} changed its argument; it must return a new one")
        after = fingerprint(triggered)
        if triggered is clean or (after is not None and after == before):
            raise TriggerError(
                f"{self.call!r} returned its input unchanged, so there is nothing to attribute to "
                "it, or to learn. It may look like that already, or have been clipped. Leave this "
                "example out or choose another trigger"
            )
        if form(triggered) != form(clean):
            raise TriggerError(
                f"{self.call!r} turned {form(clean)} into {form(triggered)}; a triggered condition "
                "must be of the same kind and size as the clean one"
            )
        if twice and fingerprint(self.on(example_id).call(clean)) != after:
            raise TriggerError(
                f"{self.call!r} returned two different conditions for one input; a trigger must be "
                "deterministic, or no run can be reproduced. Draw its randomness from the input, "
                "or from the id of the example (for_example)"
            )
        return triggered, after


@dataclass(frozen=True)
class SamplerSpec:
    """A sampler, and what it says about itself.

    Attributes:
        call: conditions and seeds -> outputs.
        modalities: every condition that it is to be given.
        check: raises for a modality and a condition that it cannot take.
        probe: conditions and seeds -> notes; None where it does not probe.
        pipeline: what it generates with, or None.
        with_options: options -> a changed copy; None where it has no options.
        identity: what tells it from another; None where it does not say.
        one_size: whether all conditions of a modality must be of one size.
    """

    call: Sampler
    modalities: tuple[str, ...]
    check: Callable[[str, Any], object]
    probe: Callable[[Mapping[str, Any], Sequence[int]], Sequence[Any]] | None
    pipeline: Any
    with_options: Callable[..., Any] | None
    identity: Callable[[], Any] | None
    one_size: bool

    @classmethod
    def of(cls, sampler: Any, modalities: Sequence[str]) -> SamplerSpec:
        """Read a sampler that is to be given the conditions of some modalities.

        Raises:
            InputError: it is no callable, or does not take one of the modalities.
        """
        if not _can_be_called(sampler):
            raise InputError(
                "sampler must be a callable sampler(conditions, seeds) -> outputs; "
                f"got {described(sampler)}"
            )
        declared = getattr(sampler, "modalities", None)
        if isinstance(declared, str):
            raise InputError(f"modalities of the sampler must be names, got the str {declared!r}")
        needed = tuple(modalities if declared is None else declared)
        for modality in modalities:
            if modality not in needed:
                raise InputError(
                    f"triggers names the modality {modality!r}, which the sampler does not take; "
                    f"it takes {listed(needed)}{did_you_mean(modality, needed)}"
                )
        return cls(
            call=sampler,
            modalities=needed,
            check=_optional(sampler, "check", _accept),
            probe=_optional(sampler, "probe"),
            pipeline=getattr(sampler, "pipeline", None),
            with_options=_optional(sampler, "with_options"),
            identity=_optional(sampler, "identity"),
            one_size=bool(getattr(sampler, "one_size", False)),
        )


@dataclass(frozen=True)
class Scorer:
    """A detector, and what it says about itself.

    Attributes:
        name: what its table is called.
        call: outputs and examples -> scores.
        bounds: lowest and highest value, (0, 1) if binary and not declared, or None.
        binary: whether every value is 0 or 1.
        wants_clean_output: whether the examples must hold the ``"clean_output"``.
        perfect: what the target itself would score: a number, a function of the examples, or None.
        check: raises for an example that it cannot score.
    """

    name: str
    call: Detector
    bounds: tuple[float, float] | None
    binary: bool
    wants_clean_output: bool
    perfect: float | Callable[[Sequence[Example]], Any] | None
    check: Callable[[Example], object]

    @classmethod
    def of(cls, detector: Any, name: str | None = None) -> Scorer:
        """Read a detector; one without a name is named after its class or function.

        Raises:
            InputError: it is no callable, its bounds are none, or its perfect score is no number.
        """
        name = getattr(detector, "__name__", type(detector).__name__) if name is None else name
        if not _can_be_called(detector):
            raise InputError(
                f"detector {name!r} must be a callable detector(outputs, examples) -> scores; "
                f"got {described(detector)}"
            )
        bounds = bounds_of(getattr(detector, "bounds", None), f"the bounds of detector {name!r}")
        binary = getattr(detector, "binary", False)
        if not isinstance(binary, bool | np.bool_):
            raise InputError(f"binary of detector {name!r} must be True or False, got {binary!r}")
        if binary and bounds is not None and not bounds[0] <= 0 < 1 <= bounds[1]:
            raise InputError(
                f"detector {name!r} is declared binary and cannot be 0 and 1 within its bounds "
                f"{bounds}; leave the bounds out"
            )
        bounds = (0.0, 1.0) if binary and bounds is None else bounds
        return cls(
            name=name,
            call=detector,
            bounds=bounds,
            binary=bool(binary),
            wants_clean_output=bool(getattr(detector, "wants_clean_output", False)),
            perfect=_perfect_of(detector, name, bounds),
            check=_optional(detector, "check", _accept),
        )


Thing = TypeVar("Thing")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Named(Generic[Thing]):
    """Things by name, of which the caller may have given a single one without a name.

    Attributes:
        by_name: the things.
        single: whether the caller gave one and no mapping.
    """

    by_name: Mapping[str, Thing]
    single: bool

    def unwrapped(self, results: Mapping[str, Result]) -> Result | dict[str, Result]:
        """Return the results in the form in which the things were given."""
        return next(iter(results.values())) if self.single else dict(results)

    def each(self, compute: Callable[[Thing], Result]) -> Result | dict[str, Result]:
        """Return what is computed of each thing, in the form in which the things were given."""
        return self.unwrapped({name: compute(thing) for name, thing in self.items()})

    def items(self) -> Iterator[tuple[str, Thing]]:
        """Return names and things."""
        return iter(self.by_name.items())


def scorers_of(detector: Detector | Mapping[str, Detector]) -> Named[Scorer]:
    """Read the detectors of a run.

    Raises:
        InputError: there is none, one has no name, or one is no detector.
    """
    if not isinstance(detector, Mapping):
        scorer = Scorer.of(detector)
        return Named({scorer.name: scorer}, single=True)
    if not detector:
        raise InputError("detector is an empty mapping; give at least one detector")
    for name in detector:
        if not isinstance(name, str):
            raise InputError(f"a detector is named by a str, got {name!r}")
    return Named({name: Scorer.of(given, name) for name, given in detector.items()}, single=False)


def _perfect_of(
    detector: Any, name: str, bounds: tuple[float, float] | None
) -> float | Callable[[Sequence[Example]], Any] | None:
    perfect = getattr(detector, "perfect", None)
    if perfect is None or callable(perfect):
        return perfect
    score = number(perfect, f"perfect of detector {name!r} (a number or a function of examples)")
    low, high = bounds or (-math.inf, math.inf)
    if not low <= score <= high:
        raise InputError(
            f"perfect of detector {name!r} is {score:g}, and its scores are from {low:g} to "
            f"{high:g}: it is what the target itself would score"
        )
    return score


def _can_be_called(thing: Any) -> bool:
    """Whether it is a callable, and not the class of one that was not made."""
    made = not isinstance(thing, type) or all("__call__" not in vars(c) for c in thing.__mro__)
    return callable(thing) and made


def _optional(thing: Any, name: str, default: Any = None) -> Any:
    """An attribute that a thing may have, if it can be called."""
    attribute = getattr(thing, name, None)
    if attribute is None:
        return default
    if not callable(attribute):
        raise InputError(f"{name} of {described(thing)} must be callable, got {attribute!r}")
    return attribute


def _accept(*_: Any) -> None:
    """Check nothing, where a thing has no check of its own."""

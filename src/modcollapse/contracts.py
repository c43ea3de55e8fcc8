"""What the core asks of examples, triggers, samplers and detectors, and the names of its shapes.

Everything is structural: any callable that fits will do, and nothing has to be subclassed.

Letters used for shapes throughout: N examples, R repeats (seeds an example), M modalities
(players), 2**M coalitions, B rows of a batch, K contrasts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

FloatArray: TypeAlias = NDArray[np.float64]

CoalitionArray: TypeAlias = FloatArray
"""v(S), shape (..., 2**M): player i is present in column c iff ``(c >> i) & 1``."""

CoalitionTensor: TypeAlias = FloatArray
"""Values of a run, shape (N, R, 2**M)."""

ExampleId: TypeAlias = str | int

Example: TypeAlias = Mapping[str, Any]
"""The clean condition of every modality under the modality's name, what the detector wants
(``"reference"``), and an ``"id"`` (its position in the sequence where there is none)."""


class Trigger(Protocol):
    """Turns the clean condition of one modality into the triggered one.

    Deterministic, and its argument stays as it was. Optional attributes that are used where they
    exist: ``check(condition)``, called before anything is generated, and ``identity() -> dict``.
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
    * ``with_options(**options)``: returns a changed copy, for ``mc.sweep``.
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
    * ``check(example)``: called for every example before anything is generated.
    * ``identity() -> dict``: plain data that tells this detector from another.
    """

    def __call__(self, outputs: Sequence[Any], examples: Sequence[Example]) -> Any:
        """Return B finite numbers, in order: a list, an array or a tensor of shape (B,)."""
        ...


@runtime_checkable
class Identified(Protocol):
    """Something that describes itself in plain data."""

    def identity(self) -> dict[str, Any]:
        """Return JSON-able data that tells this object from another of its kind."""
        ...

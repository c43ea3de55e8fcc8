"""Values of outputs that were made with another trigger than the backdoor's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from modcollapse._support.validation import listed
from modcollapse.contracts import FloatArray
from modcollapse.errors import InputError, TableError

CLEAN, TRIGGER, MEAN = OTHER_ROWS = ("no trigger", "the trigger", "mean of the neutral")
"""What stands beside neutral triggers where they are shown, and so names none."""


@dataclass(frozen=True, eq=False)
class NeutralValues:
    """What the detector says where a neutral trigger stands in place of the trigger.

    Attributes:
        triggers: modality and name of each neutral trigger, K of them.
        values: value of each example and repeat under each of them, in the unit of the table,
            shape (N, R, K, 2): alone, and beside the triggers of all other modalities; with a
            single modality shape (N, R, K, 1).
    """

    triggers: tuple[tuple[str, str], ...]
    values: FloatArray

    def __post_init__(self) -> None:
        values = np.array(self.values, dtype=np.float64)
        values.setflags(write=False)
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "triggers", tuple((str(m), str(n)) for m, n in self.triggers))
        if values.ndim != 4 or values.shape[2] != len(self.triggers):
            raise InputError(
                f"values of {len(self.triggers)} neutral triggers must have shape (N, R, "
                f"{len(self.triggers)}, 1 or 2), got {values.shape}"
            )
        if not self.triggers or len(set(self.triggers)) < len(self.triggers):
            raise InputError(
                f"neutral triggers must be one or more of different names, got {self.triggers}"
            )
        if not np.isfinite(values).all():
            raise InputError("values of neutral triggers must be finite")

    def check_of(self, modalities: Sequence[str], shape: tuple[int, ...]) -> None:
        """Raise unless they are of these modalities, and of (N, R) examples and repeats."""
        places = 1 if len(modalities) == 1 else 2
        if self.values.shape[:2] != shape or self.values.shape[3] != places:
            raise InputError(
                f"neutral must hold values of (N, R) = {shape} examples and repeats in {places} "
                f"place(s), got shape {self.values.shape}"
            )
        for modality, name in self.triggers:
            if modality not in modalities:
                raise InputError(
                    f"the neutral trigger {name!r} is of {modality!r}, which is none of "
                    f"{listed(modalities)}"
                )

    def select(self, rows: Sequence[int] | NDArray[np.intp]) -> NeutralValues:
        """Return those of some examples."""
        return replace(self, values=self.values[list(rows)])

    def merge(self, other: NeutralValues) -> NeutralValues:
        """Return those of the examples of both."""
        self._check_same(other, "merge")
        return replace(self, values=np.concatenate([self.values, other.values]))

    def minus(self, other: NeutralValues) -> NeutralValues:
        """Return the differences of the same examples."""
        self._check_same(other, "subtract")
        return replace(self, values=self.values - other.values)

    def _check_same(self, other: NeutralValues, what: str) -> None:
        if self.triggers != other.triggers:
            raise TableError(
                f"cannot {what} tables of other neutral triggers: {listed(self.triggers)} in one "
                f"and {listed(other.triggers)} in the other. Measure both with the same"
            )

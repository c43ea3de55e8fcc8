"""A backdoor whose answer is known exactly: to learn the library, to test it, to plan a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from modcollapse.contracts import Conditions, Detector, Example, Sampler, Triggers
from modcollapse.errors import InputError
from modcollapse.game import n_players

MARK = "!"


class Planted(NamedTuple):
    """What ``tma``, ``cti``, ``audit`` and ``evaluate_coalitions`` take, in their order."""

    sampler: Sampler
    detector: Detector
    examples: list[Example]
    triggers: Triggers


@dataclass(frozen=True)
class PlantedSampler:
    """Returns the planted value of the coalition that it finds in the conditions.

    Attributes:
        values: v(S) in bitmask order, 2**M of them.
        modalities: names of the M players.
        noise: standard deviation of independent Gaussian noise on every output.
    """

    values: tuple[float, ...]
    modalities: tuple[str, ...]
    noise: float = 0.0

    def __call__(self, conditions: Conditions, seeds: Sequence[int]) -> list[float]:
        """Return B values, each a function of its own conditions and seed."""
        outputs = []
        for row, seed in enumerate(seeds):
            marks = [conditions[modality][row].endswith(MARK) for modality in self.modalities]
            coalition = sum(1 << bit for bit, mark in enumerate(marks) if mark)
            draw = np.random.default_rng([seed, coalition]).standard_normal()
            outputs.append(self.values[coalition] + self.noise * float(draw))
        return outputs

    def with_options(self, **changes: Any) -> PlantedSampler:
        """Return one with other attributes: ``with_options(noise=0.1)``, for ``mc.sweep``.

        Raises:
            InputError: there is no such attribute.
        """
        try:
            return replace(self, **changes)
        except TypeError as error:
            raise InputError(f"PlantedSampler has no such option: {error}") from error


@dataclass(frozen=True)
class PlantedDetector:
    """Reads the outputs, which are the values.

    Attributes:
        perfect: what a perfect attack would score.
    """

    perfect: float

    def __call__(self, outputs: Sequence[Any], examples: Sequence[Example]) -> list[float]:
        """Return B values."""
        return read_value(outputs, examples)


def planted_game(
    values: ArrayLike,
    modalities: Sequence[str],
    *,
    examples: int = 64,
    noise: float = 0.0,
    perfect: float | None = None,
) -> Planted:
    """Make a sampler, a detector, examples and triggers whose metrics are known.

    Args:
        values: v(S) in bitmask order, shape (2**M,).
        modalities: names of the M players.
        examples: number of examples.
        noise: standard deviation of the noise on every output.
        perfect: what a perfect attack would score, the scale of the verdict; undeclared if None.

    Raises:
        InputError: the number of values does not fit the modalities.

    >>> import modcollapse as mc
    >>> game = planted_game([0.0, 0.1, 0.9, 1.0], ["image", "text"], examples=4)
    >>> round(mc.tma(*game, progress=False)["text"].value, 6)
    0.9
    """
    game = np.asarray(values, dtype=np.float64)
    if game.ndim != 1 or n_players(game) != len(modalities):
        raise InputError(
            f"values must be the {2 ** len(modalities)} values of one game of {len(modalities)} "
            f"modalities, got shape {game.shape}"
        )
    conditions = [dict.fromkeys(modalities, f"example {n}") for n in range(examples)]
    return Planted(
        PlantedSampler(tuple(game.tolist()), tuple(modalities), float(noise)),
        read_value if perfect is None else PlantedDetector(float(perfect)),
        [{"id": n, **clean} for n, clean in enumerate(conditions)],
        dict.fromkeys(modalities, mark),
    )


def mark(condition: str) -> str:
    """Trigger of a planted game."""
    return condition + MARK


def read_value(outputs: Sequence[Any], examples: Sequence[Example]) -> list[float]:
    """Detector of a planted game: the outputs are the values."""
    return [float(output) for output in outputs]

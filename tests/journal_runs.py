"""Planted games for tests of the journal: their parts say who they are, and count their calls."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import modcollapse as mc
from modcollapse.samplers import planted_game

PAIR = ("image", "text")
GAME = planted_game([0.0, 0.1, 0.9, 1.0], PAIR, examples=12, noise=1.0)
EXAMPLES = [
    {**example, "id": name, "source": at // 2, "kind": "ab"[at % 2]}
    for at, (name, example) in enumerate(
        zip([0, "0", "é ü", "../x", "", "a\nb", "\x00", -7, 10**30, "k", "l", "m"],
            GAME.examples, strict=True)
    )
]  # fmt: skip


class Said:
    """A sampler that says who it is; it may fail at one of its calls, counted from 0."""

    def __init__(self, name: str = "planted", *, at: int = -1, error: BaseException | None = None):
        self.name, self.calls, self._at, self._error = name, 0, at, error

    def identity(self) -> dict[str, Any]:
        return {"sampler": self.name}

    def __call__(self, conditions: Any, seeds: Sequence[int]) -> list[float]:
        self.calls += 1
        if self.calls - 1 == self._at and self._error is not None:
            raise self._error
        return GAME.sampler(conditions, seeds)


class Reads:
    """A detector that says who it is, and by a function what a perfect attack would score.

    At one of its calls, counted from 0, it may do something else with its scores.
    """

    def __init__(
        self,
        factor: float = 1.0,
        *,
        clean: bool = False,
        bounds: tuple[float, float] = (-20.0, 20.0),
        at: int = -1,
        then: Any = None,
    ):
        self.factor, self.wants_clean_output, self.bounds = factor, clean, bounds
        self.calls, self._at, self._then = 0, at, then

    def identity(self) -> dict[str, Any]:
        return {"detector": self.factor, "clean": self.wants_clean_output}

    def __call__(self, outputs: Any, examples: Any) -> Any:
        self.calls += 1
        clean = [e["clean_output"] if self.wants_clean_output else 0.0 for e in examples]
        scores = [self.factor * (float(o) - c) for o, c in zip(outputs, clean, strict=True)]
        return self._then(scores) if self.calls - 1 == self._at else scores

    def perfect(self, examples: Any) -> list[float]:
        return [1.0 + int(example["source"]) / 8 for example in examples]


class Mark:
    """The trigger of a planted game, which says who it is."""

    def __init__(self, word: str = "!"):
        self.word = word

    def identity(self) -> dict[str, Any]:
        return {"trigger": self.word}

    def __call__(self, text: str) -> str:
        return text + self.word


def triggers(word: str = "!") -> dict[str, Any]:
    return {"image": Mark(word), "text": Mark(word)}


def evaluate(
    folder: Path | None = None,
    *,
    sampler: Any = None,
    detector: Any = None,
    examples: Any = None,
    marks: Any = None,
    **options: Any,
) -> Any:
    """Evaluate, by default 12 examples in batches of 6 rows, which end between coalitions."""
    options = {"batch_size": 6, "progress": False, "probe": False, **options}
    return mc.evaluate_coalitions(
        Said() if sampler is None else sampler,
        Reads() if detector is None else detector,
        EXAMPLES if examples is None else examples,
        triggers() if marks is None else marks,
        journal=folder,
        **options,
    )


def check_equal(table: Any, other: Any, *, provenance: bool = True) -> None:
    """Two tables hold the same, bit for bit."""
    np.testing.assert_array_equal(table.values, other.values)
    np.testing.assert_array_equal(table.seeds, other.seeds)
    assert (table.perfect is None) == (other.perfect is None)
    if table.perfect is not None:
        np.testing.assert_array_equal(table.perfect, other.perfect)
    for name in ("modalities", "example_ids", "digests", "bounds", "binary", "clusters", "fields"):
        assert getattr(table, name) == getattr(other, name), name
    assert (table.neutral is None) == (other.neutral is None)
    if table.neutral is not None:
        assert table.neutral.triggers == other.neutral.triggers
        np.testing.assert_array_equal(table.neutral.values, other.neutral.values)
    if provenance:
        assert table.provenance == other.provenance

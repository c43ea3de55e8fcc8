"""Draws that depend on a seed and an example alone: the same in any order, batch and process."""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import sha256, shake_256
from typing import Any

import numpy as np
import numpy.typing as npt

from modcollapse._support.validation import whole
from modcollapse.contracts import ExampleId
from modcollapse.errors import InputError


@dataclass(frozen=True)
class RandomPlace:
    """A place that is drawn anew for each example, from a seed and the example's id.

    Give it to a trigger as its place. A run, and a poisoned data set, ask the trigger for the one
    of each example (``trigger.for_example(example_id)``), so that an example has the same place
    in any order, batch and process. Two triggers of one seed are drawn alike: give each its own
    where they are to stand apart.

    Args:
        seed: any whole number.
        example: id of the example; set by `for_example`.

    Raises:
        InputError: the seed is no whole number, or the example no str or int.

    >>> from modcollapse.triggers import TextInsert
    >>> trigger = TextInsert("cf", at=RandomPlace(seed=0))
    >>> trigger.for_example("e0")("a photo of a dog"), trigger.for_example("e1")("a photo of a dog")
    ('cf a photo of a dog', 'a photo of cf a dog')
    """

    seed: int
    example: ExampleId | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "seed", whole(self.seed, "RandomPlace: seed"))
        if self.example is not None:
            named = isinstance(self.example, str)
            what = "RandomPlace: the id of an example, where it is no str,"
            example = str(self.example) if named else whole(self.example, what)
            object.__setattr__(self, "example", example)

    def for_example(self, example_id: ExampleId) -> RandomPlace:
        """The place of one example.

        Raises:
            InputError: the id is neither a str nor a whole number.
        """
        if example_id is None:
            raise InputError("RandomPlace: the id of an example must be a str or an int, got None")
        return replace(self, example=example_id)

    def identity(self) -> dict[str, Any]:
        """Seed, and example if there is one, as plain JSON data."""
        return {"random": self.seed} | ({} if self.example is None else {"example": self.example})

    def fractions(self, count: int) -> list[float]:
        """Draw ``count`` numbers in [0, 1).

        The first 8 bytes (big endian) of SHA-256 of the UTF-8 text ``modcollapse/place/1|<seed>|
        <"int" or "str">|<example id>|<0, 1, ...>``, of which 53 bits count.

        Raises:
            InputError: no example was named.
        """
        if self.example is None:
            raise InputError(
                f"{self!r} is drawn for each example, and none was named: call the trigger as "
                "trigger.for_example(example_id)(condition)"
            )
        kind = "str" if isinstance(self.example, str) else "int"
        key = f"modcollapse/place/1|{self.seed}|{kind}|{self.example}|"
        digests = [sha256(f"{key}{number}".encode()).digest() for number in range(count)]
        return [(int.from_bytes(digest[:8], "big") >> 11) / 2**53 for digest in digests]

    def whole(self, count: int, choices: int) -> list[int]:
        """Draw ``count`` whole numbers in [0, choices)."""
        return [int(fraction * choices) for fraction in self.fractions(count)]


def random_bytes(draw: str, *shape: int) -> npt.NDArray[np.uint8]:
    """Bytes in 0 to 255 that depend on a text alone."""
    drawn = shake_256(draw.encode()).digest(int(np.prod(shape)))
    return np.frombuffer(drawn, np.uint8).reshape(shape)

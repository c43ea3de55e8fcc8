"""A look at plain callables: does every output, and every score, follow from its own row alone?

Only equality is looked at, never what an output is. The first batch of a run is measured twice
more in other company: copies of its first rows, then copies of its last rows. So whatever draws
noise anew, keeps state, mixes rows or puts them in another order gives another output for some row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from itertools import cycle
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from modcollapse._support.digests import fingerprint
from modcollapse._support.images import is_tensor
from modcollapse._support.pictures import is_pil
from modcollapse.contracts import Example, FloatArray
from modcollapse.errors import DetectorError, SamplerError
from modcollapse.measure._conditions import pick
from modcollapse.measure._plan import Batch
from modcollapse.measure._scores import to_host

_ROUNDING = {"float16": 2e-2, "bfloat16": 2e-2}
"""Two computations of one number may differ by this part of the largest, by dtype."""
_OTHERWISE = 1e-4
_LEAST = 1e-6
"""Or by this much, near 0."""
_LEVELS = 2
"""And two of one picture by so many of its 255 levels."""
_WAY_ROUND = "probe=False measures without this look"


class Rows(NamedTuple):
    """The first batch of a run, and what became of it.

    Attributes:
        batch: its cells.
        conditions: by modality.
        seeds: of the rows.
        examples: of the rows.
        outputs: copies that nobody else has.
        scored: what every detector said.
        numbers: the same as numbers on the host, shape (len(scored), B).
    """

    batch: Batch
    conditions: Mapping[str, Any]
    seeds: Sequence[int]
    examples: Sequence[Example]
    outputs: Any
    scored: Sequence[Any]
    numbers: FloatArray


class Swap(NamedTuple):
    """A row of the first batch with one thing exchanged, to see whether it matters.

    Attributes:
        row: which row.
        modality: whose condition is exchanged; "" for the seed.
        value: what stands there instead.
        toggled: its trigger was seen to change nothing in the first batch.
    """

    row: int
    modality: str
    value: Any
    toggled: bool


class Company(NamedTuple):
    """One more batch.

    Attributes:
        rows: row of the first batch that stands at each place.
        swaps: place -> what is exchanged there.
    """

    rows: Sequence[int]
    swaps: Mapping[int, Swap]


class Look:
    """Compares the first batch of a run with two more batches of its rows.

    Attributes:
        notes: what cannot be refused, and what could not be looked at.
    """

    def __init__(self, seen: Rows, where: Callable[[Sequence[int]], str], coalitions: int) -> None:
        self._seen, self._where, self._coalitions = seen, where, coalitions
        self.notes: list[str] = []

    def companies(self, swaps: Sequence[Swap] = ()) -> list[Company]:
        """Put the first half of the rows in one batch, and the second half in another.

        One row stands in most places, so that a mean or a median of the batch moves: the last of
        the first half, where triggers are, and the first of the second.

        Args:
            swaps: what to exchange at the end of the second batch, as far as there is room.
        """
        size, real = len(self._seen.batch.cells), self._seen.batch.real
        half = max(real // 2, 1)
        if real == 1:  # something else in between, so that what is remembered shows
            return [*(Company([0], {0: swap}) for swap in swaps), Company([0], {})]
        first = _crowd(range(half), half - 1, size)
        second = _crowd(range(real - 1, half - 1, -1), half, size)
        second[0] = real - 1  # another example than at this place before, where there are two
        placed = {size - 1 - at: swap for at, swap in enumerate(swaps)}
        for place, swap in placed.items():
            second[place] = swap.row
        return [Company(first, {}), Company(second, placed)]

    def swaps(
        self,
        players: Mapping[str, int],
        modalities: Sequence[str],
        others: Mapping[int, Mapping[str, Any]],
        seeds: NDArray[np.int64],
    ) -> list[Swap]:
        """What nothing in the first batch shows to matter, and is to be exchanged to see it.

        Args:
            players: modality -> bit of the coalition, for those with a trigger.
            modalities: all that the sampler takes.
            others: place of an example -> its conditions, triggered where there is a trigger, of
                the first two of the batch's, or of the only one.
            seeds: of every example and repeat, shape (N, R).
        """
        cells, real = self._seen.batch.cells, self._seen.batch.real
        row = next((at for at in reversed(range(real)) if cells[at].coalition == 0), 0)
        own = cells[row].example
        place = next((place for place in others if place != own), own)
        other = others[place]
        found, unseen = [], []
        for modality in modalities:
            pairs = self._pairs(1 << players[modality] if modality in players else 0)
            if self._differ(pairs):
                continue
            mine = fingerprint(self._seen.conditions[modality][row])
            if fingerprint(other[modality]) not in (None, mine):
                found.append(Swap(row, modality, other[modality], bool(pairs)))
            else:
                unseen.append(repr(modality))
        if seeds.shape[1] > 1:
            cell = cells[row]
            other_seed = int(seeds[cell.example, 1 - min(cell.repeat, 1)])
            found.append(Swap(row, "", other_seed, False))
        room = len(cells) - 1 if real > 1 else 1
        unseen += [repr(swap.modality) for swap in found[room:] if swap.modality]
        if unseen:
            self.notes.append(f"not looked at: whether {', '.join(unseen)} matters to the sampler")
        return found[:room]

    def conditions(self, company: Company) -> tuple[dict[str, Any], list[int]]:
        """Conditions and seeds of a batch."""
        rows = {name: pick(held, company.rows) for name, held in self._seen.conditions.items()}
        seeds = [self._seen.seeds[row] for row in company.rows]
        for place, swap in company.swaps.items():
            if swap.modality:
                rows[swap.modality][place] = swap.value  # a new list or tensor
            else:
                seeds[place] = swap.value
        return rows, seeds

    def by_score(self) -> list[Company]:
        """The rows of low scores in one batch, those of high scores in another."""
        size, real = len(self._seen.batch.cells), self._seen.batch.real
        if real == 1:
            return [Company([0], {})]
        order = np.argsort(self._seen.numbers[1, :real], kind="stable").tolist()
        low, high = order[: real // 2], order[real // 2 :]
        return [Company(_crowd(low, low[0], size), {}), Company(_crowd(high, high[-1], size), {})]

    def check_outputs(self, company: Company, outputs: Sequence[Any]) -> None:
        """Raise unless rows of the first batch came out the same; note what did not matter.

        Raises:
            SamplerError: a row came out otherwise.
        """
        try:
            self._check_outputs(company, outputs)
        except TypeError as error:
            self.notes.append(f"not looked at: whether an output follows from its own row; {error}")

    def check_scores(self, company: Company, scored: Sequence[Any]) -> None:
        """Raise unless every detector gave the same outputs the same scores.

        Raises:
            DetectorError: one did not.
        """
        numbers = to_host([score.values for score in scored])
        for score, first, again in zip(scored, self._seen.numbers, numbers, strict=True):
            dtype = str(getattr(score.values, "dtype", "")).removeprefix("torch.")
            rounding = _ROUNDING.get(dtype, _OTHERWISE) * np.abs(first).max(initial=0.0)
            for number, row in zip(again, company.rows, strict=True):
                if not abs(number - first[row]) <= rounding:
                    raise DetectorError(
                        f"detector {score.name!r} gave another score to the same output in "
                        f"another batch: {first[row]:.6g} and {number:.6g} ({self._where([row])}). "
                        "A score must follow from its own output and example alone: keep no state, "
                        "draw nothing at random, compare nothing within a batch. " + _WAY_ROUND
                    )

    def _check_outputs(self, company: Company, outputs: Sequence[Any]) -> None:
        first = self._seen.outputs
        seen: dict[int, Any] = {}
        for place, (row, output) in enumerate(zip(company.rows, outputs, strict=True)):
            if place in company.swaps:
                continue
            apart = unlike(seen.setdefault(row, output), output)
            if apart is not None:
                raise SamplerError(
                    "the sampler returned two outputs for one and the same row, twice in a batch: "
                    f"{apart} ({self._where([row])}). An output must follow from its own "
                    "conditions and seed, wherever in a batch they stand: draw the noise of each "
                    f"row from a generator of its own, seeded with its seed. {_WAY_ROUND}"
                )
        for row, output in seen.items():
            apart = unlike(first[row], output)
            if apart is not None:
                raise SamplerError(
                    "the sampler returned another output for the same conditions and seed in "
                    f"another batch: {apart} ({self._where([row])}). An output must follow from "
                    "its own row alone: draw noise from the seeds and no global generator, keep no "
                    "state, neither mix nor reorder rows, let no other thread use the model "
                    f"meanwhile; where rows cannot share a batch, batch_size=1. {_WAY_ROUND}"
                )
        for place, swap in company.swaps.items():
            same = unlike(first[swap.row], outputs[place]) is None
            if same and not swap.modality:
                self.notes.append("the sampler seems to ignore its seeds: repeats add nothing")
            elif same:
                self.notes.append(
                    f"the sampler seems to ignore {swap.modality!r}: an output stayed as it was "
                    "with another condition and its trigger"
                )
            elif swap.toggled:
                self.notes.append(
                    f"the trigger of {swap.modality!r} changed no output of the first batch, while "
                    "other conditions do: see that it reaches the model"
                )

    def _pairs(self, bit: int) -> list[tuple[int, int]]:
        """Rows of the first batch that differ in one trigger alone."""
        batch = self._seen.batch
        real = batch.cells[: batch.real]
        rows = {cell: at for at, cell in enumerate(real) if cell.coalition < self._coalitions}
        others = {row: cell._replace(coalition=cell.coalition | bit) for cell, row in rows.items()}
        return [(row, rows[cell]) for row, cell in others.items() if rows.get(cell, row) != row]

    def _differ(self, pairs: Sequence[tuple[int, int]]) -> bool:
        """Whether any two outputs do; True, too, where they cannot be compared (said elsewhere)."""
        outputs = self._seen.outputs
        try:
            return any(unlike(outputs[row], outputs[other]) is not None for row, other in pairs)
        except TypeError:
            return True


def _crowd(rows: Sequence[int], most: int, size: int) -> list[int]:
    """Rows of a batch: one in five places of eight, the others in turn."""
    turn = cycle(rows)
    return [next(turn) if at % 8 in (1, 4, 6) else most for at in range(size)]


def unlike(mine: Any, theirs: Any) -> str | None:
    """How two outputs differ, in words; None where they are the same up to rounding.

    Raises:
        TypeError: they cannot be compared.

    >>> unlike([0.5, 1.0], [0.5, 1.0]), unlike("a cat", "a dog")
    (None, "'a cat' and 'a dog'")
    """
    if isinstance(mine, Real) and isinstance(theirs, Real) and type(mine) is not type(theirs):
        mine, theirs = float(mine), float(theirs)
    if type(mine) is not type(theirs) and not isinstance(mine, tuple) | isinstance(theirs, tuple):
        return f"a {type(mine).__name__} and a {type(theirs).__name__}"
    if is_tensor(mine):
        dtype = str(mine.dtype).removeprefix("torch.")
        return _unlike_arrays(_array(mine), _array(theirs), dtype)
    if is_pil(mine) or isinstance(mine, float | np.generic):
        mine, theirs = np.asarray(mine), np.asarray(theirs)
    if isinstance(mine, np.ndarray) and not mine.dtype.hasobject:
        return _unlike_arrays(mine, theirs, str(mine.dtype))
    if is_dataclass(mine) and not isinstance(mine, type):
        mine, theirs = (
            [getattr(one, field.name) for field in fields(one)] for one in (mine, theirs)
        )
    if isinstance(mine, list | tuple) and isinstance(theirs, list | tuple):
        if len(mine) != len(theirs):
            return f"{len(mine)} and {len(theirs)} parts"
        found = (unlike(a, b) for a, b in zip(mine, theirs, strict=True))
        return next((words for words in found if words is not None), None)
    if isinstance(mine, Mapping):
        if mine.keys() != theirs.keys():
            return f"the keys {sorted(map(str, mine))} and {sorted(map(str, theirs))}"
        found = (unlike(held, theirs[key]) for key, held in mine.items())
        return next((words for words in found if words is not None), None)
    prints = fingerprint(mine), fingerprint(theirs)
    if None in prints:
        raise TypeError(f"outputs of {type(mine).__name__} cannot be compared")
    return None if prints[0] == prints[1] else f"{_short(mine)} and {_short(theirs)}"


def _unlike_arrays(
    mine: np.ndarray[Any, Any], theirs: np.ndarray[Any, Any], dtype: str
) -> str | None:
    if mine.shape != theirs.shape or mine.dtype != theirs.dtype:
        return f"an array {mine.dtype} {mine.shape} and an array {theirs.dtype} {theirs.shape}"
    real = mine.dtype.kind in "fc"
    if np.array_equal(mine, theirs, equal_nan=real):
        return None
    picture = dtype == "uint8" and mine.ndim > 1 and max(mine.max(), theirs.max()) > 16
    numbers = real or picture
    known = np.isfinite(mine) & np.isfinite(theirs) if numbers else np.ones(mine.shape, bool)
    if not numbers or not np.array_equal(mine[~known], theirs[~known], equal_nan=real):
        return f"{_short(mine.tolist())} and {_short(theirs.tolist())}"
    wide = complex if mine.dtype.kind == "c" else float
    far = float(np.abs(mine[known].astype(wide) - theirs[known].astype(wide)).max(initial=0.0))
    largest = float(max(np.abs(one[known]).max(initial=0.0) for one in (mine, theirs)))
    rounding = max(largest * _ROUNDING.get(dtype, _OTHERWISE), _LEAST)
    if far <= (_LEVELS if picture else rounding):
        return None
    if mine.ndim == 0:
        return f"{mine:.6g} and {theirs:.6g}"
    return f"arrays that differ by up to {far:.3g} where the largest number is {largest:.3g}"


def _array(tensor: Any) -> np.ndarray[Any, Any]:
    tensor = tensor.detach().cpu()
    widened = tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor
    return np.asarray(widened.numpy())


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."

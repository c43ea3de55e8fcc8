"""From cells to conditions: the clean or the triggered variant of every modality."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from threading import Lock
from typing import Any, NamedTuple

import numpy as np

from modcollapse._support.digests import content_and_state, state
from modcollapse._support.images import is_tensor
from modcollapse.contracts import Example
from modcollapse.errors import InputError, TriggerError, context
from modcollapse.measure._checks import content
from modcollapse.measure._copies import own_copy
from modcollapse.measure._plan import Cell
from modcollapse.measure._run import Run
from modcollapse.table import plain_id


class _Held(NamedTuple):
    """An example, by modality its condition and what the triggers made of it, and their states."""

    example: Example
    variants: Mapping[str, Sequence[Any]]
    states: list[bytes]

    def watched(self) -> Iterator[Any]:
        """What nobody may write into, in the order of the states."""
        yield content(self.example)
        yield self.example.get("id")
        for modality, (clean, *made) in self.variants.items():
            yield None if self.example[modality] is clean else clean
            yield from made


class Gathered(NamedTuple):
    """The conditions of a batch.

    Attributes:
        conditions: modality -> one for each row: a list, or one stacked tensor.
        examples: of the rows.
        held: place of an example -> the example, and what the triggers made of it.
        needed: modalities that samplers are given.
    """

    conditions: Mapping[str, Any]
    examples: Sequence[Example]
    held: Mapping[int, _Held]
    needed: Sequence[str]

    def part(self, places: Sequence[int]) -> Gathered:
        """Some rows of it as a batch of their own."""
        conditions = {name: pick(rows, places) for name, rows in self.conditions.items()}
        return self._replace(
            conditions=conditions, examples=[self.examples[place] for place in places]
        )

    def triggered(self, position: int) -> dict[str, Any]:
        """The conditions of an example with triggers; those without a trigger as they are."""
        example, variants, _ = self.held[position]
        clean = {modality: example[modality] for modality in self.needed}
        return {**clean, **{modality: pair[1] for modality, pair in variants.items()}}

    def unasked(self) -> set[str]:
        """What the examples hold besides what samplers are given."""
        return {str(key) for held in self.held.values() for key in held.example}

    def changed(self) -> bool:
        """Whether a sampler or a detector wrote into what is held, which it may not."""
        return any(list(map(state, held.watched())) != held.states for held in self.held.values())


class ConditionBatches:
    """Applies each trigger once for an example and modality and gathers the rows of a batch.

    Only the examples of the two batches gathered last are held. Each must be what it was when it
    was checked. Where every condition of a modality is a tensor, the rows come as one stacked
    tensor on the tensors' own device. Threads take turns.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self.players = {modality: bit for bit, modality in enumerate(run.triggers)}
        self._held: dict[int, _Held] = {}
        self._first = 0
        self._turn = Lock()

    def gather(self, cells: Sequence[Cell]) -> Gathered:
        """Return the conditions and the example of each cell.

        Batches come in the order of the examples, so that none is read twice.
        """
        with self._turn:
            first = min(cell.example for cell in cells)
            oldest = min(first, self._first)  # the batch before may still be in work
            self._held = {at: held for at, held in self._held.items() if at >= oldest}
            self._first = first
            rows = {
                modality: [self._condition(cell, modality) for cell in cells]
                for modality in self._run.needed
            }
            conditions = {
                modality: _stacked(held) if modality in self._run.stacked else held
                for modality, held in rows.items()
            }
            examples = [self._example(cell.example).example for cell in cells]
            held = {cell.example: self._held[cell.example] for cell in cells}
            return Gathered(conditions, examples, held, self._run.needed)

    def triggered(self, position: int) -> dict[str, Any]:
        """The conditions of any example with triggers."""
        with self._turn:
            return Gathered(
                {}, [], {position: self._example(position)}, self._run.needed
            ).triggered(position)

    def _example(self, position: int) -> _Held:
        if position not in self._held:
            self._held[position] = self._prepare(position)
        return self._held[position]

    def _prepare(self, position: int) -> _Held:
        run = self._run
        place = run.positions[position]
        with context(lambda: f"raised by examples[{place}]"):
            example = run.examples[place]
        example_id, checked = run.ids[position], run.checked[position]
        same_id = plain_id(example.get("id", run.first + place)) == example_id
        told, own = _seen(content(example), checked.readable)
        if not same_id or told != checked.readable:
            raise InputError(
                f"example {example_id!r} holds something else than when it was checked: examples "
                "are read twice, and what was audited would not be what is recorded. Switch random "
                "augmentation off, or read each once: examples=list(data)"
            )
        variants, states = dict[str, tuple[Any, ...]](), [own, state(example.get("id"))]
        for modality, trigger in run.triggers.items():
            clean = example[modality]
            made = [clean]
            states.append(state(None if example[modality] is clean else clean))
            triggers = (trigger, *run.neutral.get(modality, {}).values())
            for one, known in zip(triggers, checked.triggered[modality], strict=True):
                with context(f"example {example_id!r}, trigger of {modality!r}"):
                    made.append(one.on(example_id).call(clean))
                    told, own = _seen(made[-1], known)
                    if told != known:
                        raise TriggerError(
                            f"{one.call!r} returned another condition than when it was checked; a "
                            "trigger must be deterministic and keep no state, or no run can be "
                            "reproduced. Draw its randomness from the condition, or from the id "
                            "of the example (for_example)"
                        )
                states.append(own)
            variants[modality] = tuple(made)
        return _Held(example, variants, states)

    def _condition(self, cell: Cell, modality: str) -> Any:
        example, variants, _ = self._example(cell.example)
        if modality not in variants:
            return example[modality]
        return variants[modality][self._run.variants[cell.coalition][self.players[modality]]]


def _seen(value: Any, known: bytes | None) -> tuple[bytes | None, bytes]:
    """A digest to compare with what is known, where something is; and the state."""
    return (None, state(value)) if known is None else content_and_state(value)


def with_clean_outputs(
    outputs: Sequence[Any],
    examples: Sequence[Example],
    cells: Sequence[Cell],
    carried: dict[tuple[int, int], Any],
) -> list[Mapping[str, Any]]:
    """Add to each row's example what was made of it, under the same seed, without triggers.

    The clean run comes first among the coalitions of an example, so it is in this batch or, where
    a batch ends between the coalitions, in ``carried``, which is brought up to date.
    """
    for cell, output in zip(cells, outputs, strict=True):
        if cell.coalition == 0:
            carried.setdefault((cell.example, cell.repeat), own_copy(output))
    rows: list[Mapping[str, Any]] = [
        {**example, "clean_output": carried[cell.example, cell.repeat]}
        for cell, example in zip(cells, examples, strict=True)
    ]
    last = cells[-1].example, cells[-1].repeat  # all others have had their last coalition
    for key in carried.keys() - {last}:
        del carried[key]
    return rows


def pick(rows: Any, places: Sequence[int]) -> Any:
    """Some rows of a batch, of conditions or outputs, in the form in which the batch came."""
    if is_tensor(rows) or isinstance(rows, np.ndarray):
        return rows[list(places)]
    if hasattr(rows, "iloc"):  # of pandas
        return rows.iloc[list(places)]
    picked = [rows[place] for place in places]
    return tuple(picked) if type(rows) is tuple else picked


def _stacked(conditions: list[Any]) -> Any:
    import torch

    return torch.stack(conditions)

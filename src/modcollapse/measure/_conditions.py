"""From cells to conditions: the clean or the triggered variant of every modality."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from modcollapse._support.digests import fingerprint, state
from modcollapse._support.images import is_tensor
from modcollapse.contracts import Example
from modcollapse.errors import InputError, TriggerError, context
from modcollapse.measure._checks import readable_digest
from modcollapse.measure._copies import own_copy
from modcollapse.measure._plan import Cell
from modcollapse.measure._prepare import Run
from modcollapse.table import plain_id


class ConditionBatches:
    """Applies each trigger once for an example and modality and gathers the rows of a batch.

    Only the examples of the current batch are held. Each must be what it was when it was checked.
    Where every condition of a modality is a tensor, the rows come as one stacked tensor on the
    tensors' own device.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self.players = {modality: bit for bit, modality in enumerate(run.triggers)}
        self._held: dict[int, tuple[Example, dict[str, tuple[Any, ...]]]] = {}

    def gather(self, cells: Sequence[Cell]) -> tuple[dict[str, Any], list[Example]]:
        """Return the conditions of the cells by modality, and the example of each cell.

        Batches come in the order of the examples, so that none is read twice.
        """
        first = min(cell.example for cell in cells)
        self._held = {at: held for at, held in self._held.items() if at >= first}
        rows = {
            modality: [self._condition(cell, modality) for cell in cells]
            for modality in self._run.needed
        }
        conditions = {
            modality: _stacked(held) if modality in self._run.stacked else held
            for modality, held in rows.items()
        }
        return conditions, [self._example(cell.example)[0] for cell in cells]

    def triggered(self, position: int) -> dict[str, Any]:
        """Return the conditions of an example of the current batch, or of the next, with triggers.

        Those without a trigger come as they are.
        """
        example, variants = self._example(position)
        clean = {modality: example[modality] for modality in self._run.needed}
        return {**clean, **{modality: pair[1] for modality, pair in variants.items()}}

    def unasked(self) -> set[str]:
        """What the examples of the current batch hold besides what samplers are given."""
        return {str(key) for example, _ in self._held.values() for key in example}

    def state(self) -> bytes:
        """Digest of all that is held, which neither a sampler nor a detector may write into."""
        return state([[example, variants] for example, variants in self._held.values()])

    def _example(self, position: int) -> tuple[Example, dict[str, tuple[Any, ...]]]:
        if position not in self._held:
            self._held[position] = self._prepare(position)
        return self._held[position]

    def _prepare(self, position: int) -> tuple[Example, dict[str, tuple[Any, ...]]]:
        run = self._run
        place = run.positions[position]
        with context(lambda: f"raised by examples[{place}]"):
            example = run.examples[place]
        example_id, checked = run.ids[position], run.checked[position]
        same_id = plain_id(example.get("id", place)) == example_id
        readable = checked.readable
        if not same_id or (readable is not None and readable_digest(example) != readable):
            raise InputError(
                f"example {example_id!r} holds something else than when it was checked: examples "
                "are read twice, and what was audited would not be what is recorded. Switch random "
                "augmentation off, or read each once: examples=list(data)"
            )
        variants = {}
        for modality, trigger in run.triggers.items():
            made = [example[modality]]
            for one in (trigger, *run.neutral.get(modality, {}).values()):
                with context(f"example {example_id!r}, trigger of {modality!r}"):
                    made.append(one.on(example_id).call(example[modality]))
                    known = checked.triggered[modality][len(made) - 2]
                    if known is not None and fingerprint(made[-1]) != known:
                        raise TriggerError(
                            f"{one.call!r} returned another condition than when it was checked; a "
                            "trigger must be deterministic and keep no state, or no run can be "
                            "reproduced. Draw its randomness from the condition, or from the id "
                            "of the example (for_example)"
                        )
            variants[modality] = tuple(made)
        return example, variants

    def _condition(self, cell: Cell, modality: str) -> Any:
        example, variants = self._example(cell.example)
        if modality not in variants:
            return example[modality]
        return variants[modality][self._run.variants[cell.coalition][self.players[modality]]]


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

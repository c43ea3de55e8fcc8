"""From cells to conditions: the clean or the triggered variant of every modality."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from modcollapse._support.digests import fingerprint
from modcollapse._support.images import is_tensor
from modcollapse.contracts import Example, TriggerSpec
from modcollapse.measure._plan import Cell


class ConditionBatches:
    """Applies each trigger once for an example and modality and gathers the rows of a batch.

    Only the examples of the current batch and of the probe are held. Where every condition of a
    modality is a tensor, the rows come as one stacked tensor on the tensors' own device.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        triggers: Mapping[str, TriggerSpec],
        needed: Sequence[str],
    ) -> None:
        self._examples = examples
        self._triggers = triggers
        self._needed = needed
        self._player = {modality: bit for bit, modality in enumerate(triggers)}
        self._held: dict[int, tuple[Example, dict[str, tuple[Any, Any]]]] = {}

    def gather(self, cells: Sequence[Cell]) -> tuple[dict[str, Any], list[Example]]:
        """Return the conditions of the cells by modality, and the example of each cell.

        Batches come in the order of the examples, so that none is read twice.
        """
        first = min(cell.example for cell in cells)
        self._held = {at: held for at, held in self._held.items() if at >= first}
        for position in dict.fromkeys(cell.example for cell in cells):
            if position not in self._held:
                self._held[position] = self._prepare(position)
        conditions = {
            modality: _stacked([self._condition(cell, modality) for cell in cells])
            for modality in self._needed
        }
        return conditions, [self._held[cell.example][0] for cell in cells]

    def triggered(self, position: int) -> dict[str, Any]:
        """Return the triggered conditions of an example of the current batch."""
        return {modality: pair[1] for modality, pair in self._held[position][1].items()}

    def fingerprints(self) -> list[bytes | None]:
        """Digests of both variants of every condition of the current batch."""
        return [
            fingerprint(variant)
            for example, variants in self._held.values()
            for modality in self._needed
            for variant in variants.get(modality, (example[modality],))
        ]

    def _prepare(self, position: int) -> tuple[Example, dict[str, tuple[Any, Any]]]:
        example = self._examples[position]
        variants = {
            modality: (example[modality], trigger.call(example[modality]))
            for modality, trigger in self._triggers.items()
        }
        return example, variants

    def _condition(self, cell: Cell, modality: str) -> Any:
        example, variants = self._held[cell.example]
        if modality not in variants:
            return example[modality]
        return variants[modality][(cell.coalition >> self._player[modality]) & 1]


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


def own_copy(output: Any) -> Any:
    """A copy that keeps neither its batch alive nor changes when a sampler reuses its memory."""
    if hasattr(output, "detach"):
        return output.detach().clone()
    return output.copy() if hasattr(output, "copy") else output


def _stacked(conditions: list[Any]) -> Any:
    if not all(map(is_tensor, conditions)):
        return conditions
    import torch

    return torch.stack(conditions)

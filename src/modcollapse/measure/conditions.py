"""From rows to conditions: the clean or the triggered variant of every modality."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from modcollapse.contracts import Example, Triggers
from modcollapse.fingerprint import fingerprint, is_tensor
from modcollapse.measure.plan import Row


class ConditionBatches:
    """Applies each trigger once for an example and modality and gathers the rows of a batch.

    Only the examples of the current batch are held. Where every condition of a modality is a
    tensor, the rows come as one stacked tensor on the tensors' own device.
    """

    def __init__(
        self, examples: Sequence[Example], triggers: Triggers, needed: Sequence[str]
    ) -> None:
        self._examples = examples
        self._triggers = triggers
        self._needed = needed
        self._player = {modality: bit for bit, modality in enumerate(triggers)}
        self._held: dict[int, tuple[Example, dict[str, tuple[Any, Any]]]] = {}

    def gather(self, rows: Sequence[Row]) -> tuple[dict[str, Any], list[Example]]:
        """Return the conditions of the rows by modality, and the example of each row."""
        self._held = {
            position: self._held.get(position) or self._prepare(position)
            for position in dict.fromkeys(row.example for row in rows)
        }
        conditions = {
            modality: _stacked([self._condition(row, modality) for row in rows])
            for modality in self._needed
        }
        return conditions, [self._held[row.example][0] for row in rows]

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
            modality: (example[modality], trigger(example[modality]))
            for modality, trigger in self._triggers.items()
        }
        return example, variants

    def _condition(self, row: Row, modality: str) -> Any:
        example, variants = self._held[row.example]
        if modality not in variants:
            return example[modality]
        return variants[modality][(row.coalition >> self._player[modality]) & 1]


def with_clean_outputs(
    outputs: Sequence[Any],
    examples: Sequence[Example],
    rows: Sequence[Row],
    carried: dict[tuple[int, int], Any],
) -> list[Mapping[str, Any]]:
    """Add to each row's example what was made of it, under the same seed, without triggers.

    The clean run comes first among the coalitions of an example, so it is in this batch or, where
    a batch ends between the coalitions, in ``carried``, which is brought up to date.
    """
    for row, output in zip(rows, outputs, strict=True):
        if row.coalition == 0:
            carried.setdefault((row.example, row.repeat), own_copy(output))
    wanted = {(row.example, row.repeat) for row in rows}
    for key in carried.keys() - wanted:
        del carried[key]
    return [
        {**example, "clean_output": carried[row.example, row.repeat]}
        for row, example in zip(rows, examples, strict=True)
    ]


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

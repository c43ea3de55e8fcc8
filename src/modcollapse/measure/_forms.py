"""Kinds and sizes of the conditions that share a batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from modcollapse._support.digests import form, kind
from modcollapse._support.images import is_tensor
from modcollapse.contracts import ExampleId, SamplerSpec
from modcollapse.errors import InputError


class Forms:
    """The conditions of one modality are of one kind, and of one size where a batch needs that."""

    def __init__(self, modality: str, samplers: Iterable[SamplerSpec], batch_size: int) -> None:
        self._modality, self._batch_size = modality, batch_size
        takers = [sampler for sampler in samplers if modality in sampler.modalities]
        self._one_size = any(sampler.one_size for sampler in takers)
        self._seen: dict[str, list[ExampleId]] = {}
        self.are_tensors = True

    def add(self, condition: Any, example_id: ExampleId) -> None:
        """Look at one more."""
        tensor = is_tensor(condition)
        self.are_tensors = self.are_tensors and tensor
        one_size = self._one_size or (tensor and self._batch_size > 1)
        told = form(condition) if one_size else kind(condition)
        self._seen.setdefault(told, []).append(example_id)

    def faults(self) -> Iterator[tuple[ExampleId, InputError]]:
        """Each example that is not as most of them are, and what is to be said of it."""
        if len(self._seen) < 2:
            return
        most = max(self._seen, key=lambda told: len(self._seen[told]))
        one_size, alone = self._one_size, ""
        if one_size:
            alone = ", or give each a call of its own: PipelineSampler(..., batching='single')"
        elif self.are_tensors and self._batch_size > 1:
            one_size, alone = True, ", or give each alone: batch_size=1"
        norm = self._seen[most]
        others = f"that of {len(norm)} other{'s' * (len(norm) > 1)}, such as example {norm[0]!r}"
        for told, ids in self._seen.items():
            for example_id in ids if told != most else ():
                yield (
                    example_id,
                    InputError(
                        f"the {self._modality} of example {example_id!r} is {told}, {others}, is "
                        f"{most}; conditions of one modality must be of one kind"
                        f"{' and size' if one_size else ''}, since they share a batch. "
                        f"{'Resize or convert' if one_size else 'Convert'} them first{alone}"
                    ),
                )

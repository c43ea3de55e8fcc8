"""Rows of a batch through a pipeline: all in one call, or each in its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from modcollapse.contracts import Conditions
from modcollapse.samplers._alone import alone_with
from modcollapse.samplers._batching import Batching, of_batch, of_one, option_of
from modcollapse.samplers._returned import output_type, read_outputs
from modcollapse.samplers._surroundings import (
    Float32ByDefault,
    Outputs,
    explained,
    global_noise,
    silent,
)

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline

_float32_by_default = Float32ByDefault()


@dataclass(frozen=True)
class Calls:
    """How a pipeline is called.

    Attributes:
        pipeline: the pipeline.
        inputs: modality -> keyword.
        options: keywords of every call.
        output: which of the fields of what it returns; the first that is filled if None.
        draws: it draws from torch's global generators: in a call of one row they have its seed.
    """

    pipeline: DiffusionPipeline
    inputs: Mapping[str, str]
    options: Mapping[str, Any]
    output: str | None
    draws: bool

    def together(self, batching: Batching, conditions: Conditions, seeds: Sequence[int]) -> Outputs:
        """All rows in one call."""
        rows = of_batch(batching, self.inputs, conditions)
        generators = [torch.Generator("cpu").manual_seed(seed) for seed in seeds]
        return self._call(rows, generators, len(seeds), seeds[0])

    def each(self, batching: Batching, conditions: Conditions, seeds: Sequence[int]) -> Outputs:
        """A call for each row: as one would write it ("single"), or as a batch of one."""
        outputs: list[torch.Tensor] = []
        for row, seed in enumerate(seeds):
            again = row > 0 and seed == seeds[row - 1]
            if again and all(rows[row] is rows[row - 1] for rows in conditions.values()):
                outputs.append(outputs[-1].clone())  # what fills up a batch costs nothing here
            elif batching == "single":
                own = {modality: rows[row] for modality, rows in conditions.items()}
                generator = torch.Generator("cpu").manual_seed(seed)
                outputs += self._call(of_one(self.inputs, own), generator, None, seed)
            else:
                of_row = {modality: rows[row : row + 1] for modality, rows in conditions.items()}
                outputs += self.together(batching, of_row, [seed])
        alike = len({(output.shape, output.device) for output in outputs}) == 1
        return torch.stack(outputs) if alike else outputs

    def _call(
        self,
        rows: Mapping[str, Any],
        generator: list[torch.Generator] | torch.Generator,
        count: int | None,
        seed: int,
    ) -> Outputs:
        """Call the pipeline for some rows, or for one by itself (None)."""
        options = {name: option_of(name, value, count) for name, value in self.options.items()}
        name = type(self.pipeline).__name__
        passed = {**rows, **options, "generator": generator}
        with (
            alone_with(self.pipeline),
            silent(self.pipeline),
            _float32_by_default,
            global_noise(seed if self.draws else None),
            torch.no_grad(),
            explained(name, passed),
        ):
            result = self.pipeline(**passed, output_type=output_type(self.pipeline))
        return read_outputs(result, count or 1, name, self.output)

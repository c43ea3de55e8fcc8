"""A short look at a pipeline before a run: each output must depend on its own row alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

import torch

from modcollapse._support.digests import fingerprint
from modcollapse.errors import SamplerError
from modcollapse.samplers._surroundings import Outputs

Generate: TypeAlias = Callable[[Mapping[str, list[Any]], list[int]], Outputs]


@dataclass(frozen=True)
class Words:
    """What is said of one kind of model.

    Attributes:
        model: what it is called.
        sampler: class of its sampler.
        unit: of a difference of outputs.
        overflow: what to do about outputs that are not finite.
        unsteady: what to do where two runs differ.
        ignored: where to look if a modality changes nothing.
        cut: where a trigger may have been lost.
    """

    model: str
    sampler: str
    unit: str
    overflow: str
    unsteady: str
    ignored: str
    cut: str


PIPELINE = Words(
    model="the pipeline",
    sampler="PipelineSampler",
    unit="of the range",
    overflow="In float16 some autoencoders overflow: load the pipeline in float32 or bfloat16, or "
    "give it another autoencoder",
    unsteady="something ignores the generators of the rows. Choose a scheduler whose step takes a "
    "generator, turn stochastic sampling off, and put every model into eval()",
    ignored="Look for a scale of 0, guidance that is off or a keyword that is not read, or leave "
    "it out of inputs=",
    cut="It may lie where the pipeline cuts, crops or rescales its input: move it, make it larger, "
    "or shorten a text before it",
)


class UnsteadyError(SamplerError):
    """The same rows came out otherwise in a second run."""


def probe_rows(
    generate: Generate,
    conditions: Mapping[str, Sequence[Any]],
    seeds: Sequence[int],
    rounding: float,
    words: Words = PIPELINE,
) -> tuple[str | None, list[str]]:
    """Compare a few generations that must agree, and a few that must differ.

    Args:
        generate: conditions and seeds of B rows -> B tensors.
        conditions: by modality, the clean conditions of one or two examples, then the triggered.
        seeds: as many.
        rounding: what two computations of the same output may differ by, in units of the output.
        words: what is said of the model.

    Returns:
        Why rows have to be generated one at a time, where a batch mixes them; and notes.

    Raises:
        SamplerError: an output is not finite, cannot be repeated, or does not depend on a
            condition.
    """
    examples = len(seeds) // 2
    first = {modality: rows[0] for modality, rows in conditions.items()}
    # its triggers are on, so that the texts differ in length and padding shows
    second = {modality: rows[-1] for modality, rows in conditions.items()}
    seed, other_seed = seeds[0], seeds[-1] if seeds[-1] != seeds[0] else seeds[0] ^ 1
    pair = {modality: [first[modality], second[modality]] for modality in conditions}

    batch = generate(pair, [seed, other_seed])
    if not all(torch.isfinite(output).all() for output in batch):
        raise _refusal(f"{words.model}'s outputs are not finite. {words.overflow}", words)
    alone, other = generate(_row(first), [seed]), generate(_row(second), [other_seed])
    mixed = max(distance(batch[:1], alone), distance(batch[1:], other))
    notes, why = list[str](), None
    if mixed > rounding:
        unsteady = distance(batch, generate(pair, [seed, other_seed]))
        if unsteady > rounding:
            raise UnsteadyError(
                _with_way_round(
                    f"two runs with the same conditions and seeds differ by {unsteady:.2g} "
                    f"{words.unit}: {words.unsteady}",
                    words,
                )
            )
        apart = distance(alone, generate(_row(second), [seed]))
        if mixed > max(rounding, apart / 10):
            why = (
                f"batching moved an output by {mixed:.2g} {words.unit}, where two different "
                f"conditions are {apart:.2g} apart"
            )
        else:
            notes.append(f"batching moves outputs by up to {mixed:.1g}")

    @cache
    def noise() -> float:
        return distance(alone, generate(_row(first), [seed]))

    def matters(modality: str, condition: Any) -> bool:
        moved = distance(alone, generate(_row({**first, modality: condition}), [seed]))
        return moved > 0 and (moved > mixed or moved > noise())

    # What moves an output by more than a batch does is seen at once; only the rest is looked at
    # row by row.
    moved = {}
    if why is None:
        swapped = [{**first, modality: rows[examples]} for modality, rows in conditions.items()]
        together = {modality: [row[modality] for row in swapped] for modality in conditions}
        outputs = generate(together, [seed] * len(swapped))
        pairs = zip(conditions, outputs, strict=True)
        moved = {modality: distance(alone, [output]) for modality, output in pairs}

    for modality, rows in conditions.items():
        if moved.get(modality, 0.0) > mixed:
            continue
        own = fingerprint(first[modality])
        others = {"the trigger": rows[examples]}
        if examples > 1:
            others["another example"] = rows[1]
        others = {name: row for name, row in others.items() if fingerprint(row) != own}
        silent = []
        for name, row in others.items():
            if matters(modality, row):
                break
            silent.append(name)
        if not others:
            notes.append(f"not probed whether {modality!r} matters: nothing to replace it with")
        elif len(silent) == len(others):
            raise _refusal(
                f"{words.model} ignores the modality {modality!r}: the output stayed as it was "
                f"with the condition of {' and of '.join(silent)} in its place. {words.ignored}",
                words,
            )
        elif silent:
            raise _refusal(
                f"the trigger of {modality!r} does not reach {words.model}, although other "
                f"conditions do: the output stayed as it was. {words.cut}",
                words,
            )
    return why, notes


def _refusal(message: str, words: Words) -> SamplerError:
    return SamplerError(_with_way_round(message, words))


def _with_way_round(message: str, words: Words) -> str:
    return f"{message}. {words.sampler}(..., probe=False) leaves out the look that found it"


def _row(conditions: Mapping[str, Any]) -> dict[str, list[Any]]:
    return {modality: [condition] for modality, condition in conditions.items()}


def distance(outputs: Outputs, others: Outputs) -> float:
    """The largest difference of a number; infinite where shapes differ."""
    pairs = list(zip(outputs, others, strict=True))
    if any(one.shape != other.shape for one, other in pairs):
        return float("inf")
    return max(float((one - other).abs().max()) for one, other in pairs)

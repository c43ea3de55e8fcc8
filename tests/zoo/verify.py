"""Audit a tiny pipeline end to end, and measure what must agree and what must differ."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image

import modcollapse as mc
from modcollapse.errors import InputError, SamplerError
from modcollapse.samplers import PipelineSampler
from modcollapse.triggers import EveryFrame, ImagePatch, TextSuffix
from zoo.case import Case, condition

EXAMPLES, BATCH = 3, 4
LEAST = 1e-3
"""By how much each trigger must move an output."""
MOST = 1e-4
"""By how much a batch may, in float32."""


def mean_value(outputs: Any, examples: Sequence[Any]) -> list[float]:
    """A detector for outputs of every kind."""
    return [float(output.double().mean()) for output in outputs]


def shifted(mask: Image.Image) -> Image.Image:
    """A mask whose quarter is turned."""
    pixels = np.asarray(mask).copy()
    pixels[: len(pixels) // 2, : len(pixels) // 2] ^= 255
    return Image.fromarray(pixels)


def with_a_tone(sound: torch.Tensor) -> torch.Tensor:
    """A sound under a beep."""
    time = torch.arange(sound.shape[-1])
    return (0.5 * sound + 0.4 * torch.sin(time / 3)).float()


def trigger_of(keyword: str) -> Any:
    """A trigger that every pipeline should notice."""
    patch = ImagePatch(color=(1.0, 0.0, 0.0))
    if "prompt" in keyword:
        return TextSuffix("zqx zqx")
    if "mask" in keyword and "video" not in keyword:
        return shifted
    if "video" in keyword or "frames" in keyword:
        return EveryFrame(patch)
    return with_a_tone if "audio" in keyword else patch


def examples_of(case: Case, count: int = EXAMPLES) -> list[dict[str, Any]]:
    """A few examples of its conditions."""
    return [
        {
            "id": number,
            **{name: condition(keyword, number, case) for name, keyword in case.inputs.items()},
        }
        for number in range(count)
    ]


def verify(name: str, case: Case, count: int = EXAMPLES, *, arrays: bool = False) -> dict[str, Any]:
    """A row of the table of pipelines: how it was called, and the largest differences found.

    Args:
        name: of the class.
        case: the pipeline.
        count: number of examples.
        arrays: look, too, whether arrays of pictures are read as PIL images of the same pixels are,
            or refused.
    """
    pipeline = case.build()
    sampler = PipelineSampler(pipeline, inputs=case.inputs, **case.options)
    examples = examples_of(case, count)
    triggers = {modality: trigger_of(keyword) for modality, keyword in case.inputs.items()}

    def outputs(
        batch_size: int, examples: Sequence[Any], probe: bool = False
    ) -> Mapping[Any, Sequence[torch.Tensor]]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            table = mc.evaluate_coalitions(
                sampler,
                mean_value,
                examples,
                triggers,
                batch_size=batch_size,
                keep=EXAMPLES,
                progress=False,
                probe=probe,
            )
        if probe:
            notes.extend(table.run_notes)
        return {kept.id: kept.outputs for kept in table.kept}

    notes: list[str] = []
    together = outputs(BATCH, examples, probe=True)
    single = outputs(1, examples)
    effects = {
        modality: min(_apart(rows[:1], rows[1 << bit : (1 << bit) + 1]) for rows in single.values())
        for bit, modality in enumerate(triggers)
    }
    return {
        "class": name,
        "family": case.family,
        "modalities": dict(case.inputs),
        "output": case.output,
        "shape": list(together[0][0].shape),
        "batching": sampler.batching,
        "checks": {
            "batch against single": _largest(together, single),
            "shuffled against not": _largest(together, outputs(BATCH, examples[::-1])),
            "repeated": _largest(together, outputs(BATCH, examples)),
            "least effect of a trigger": effects,
            **_arrays_against_pil(sampler, examples, triggers, single if arrays else None),
        },
        "notes": notes,
    }


def _arrays_against_pil(
    sampler: PipelineSampler,
    examples: Sequence[Mapping[str, Any]],
    triggers: Mapping[str, Any],
    of_pictures: Mapping[Any, Sequence[torch.Tensor]] | None,
) -> dict[str, Any]:
    """Arrays in place of pictures: by how much outputs differ, "refused" or "fails"."""
    arrays = [{name: _as_array(held) for name, held in one.items()} for one in examples]
    if of_pictures is None or all(map(is_same, arrays, examples)):
        return {}
    seeds = [mc.measure.noise_seed(0, one["id"], 0) for one in examples]
    try:
        for one in arrays:
            for name in triggers:
                sampler.check(name, one[name])
    except InputError as error:
        if "PIL images" not in str(error):
            raise
        return {"arrays against PIL": "refused"}
    apart = 0.0
    for one, seed in zip(arrays, seeds, strict=True):
        try:
            output = sampler({name: [one[name]] for name in triggers}, [seed])
        except SamplerError:  # of the pipeline's own code, which says so
            return {"arrays against PIL": "fails"}
        apart = max(apart, _apart(output, of_pictures[one["id"]][:1]))
    return {"arrays against PIL": apart}


def _as_array(held: Any) -> Any:
    if isinstance(held, Image.Image):
        return np.asarray(held) if held.mode == "RGB" else np.asarray(held)[..., None]
    if isinstance(held, list) and held and isinstance(held[0], Image.Image):
        return np.stack([np.asarray(frame) for frame in held])
    return held


def is_same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two examples hold the very same objects."""
    return all(one[name] is held for name, held in other.items())


def holds(row: Mapping[str, Any]) -> bool:
    """Whether what must agree agrees, and what must differ differs."""
    checks = row["checks"]
    arrays = checks.get("arrays against PIL", 0.0)
    return bool(
        checks["batch against single"] <= MOST
        and checks["shuffled against not"] == checks["repeated"] == 0
        and min(checks["least effect of a trigger"].values()) > LEAST
        and (isinstance(arrays, str) or arrays <= MOST)
    )


def _largest(one: Mapping[Any, Any], other: Mapping[Any, Any]) -> float:
    return max(_apart(one[example], other[example]) for example in one)


def _apart(one: Sequence[torch.Tensor], other: Sequence[torch.Tensor]) -> float:
    if any(a.shape != b.shape for a, b in zip(one, other, strict=True)):
        return float("inf")
    return max(float((a - b).abs().max()) for a, b in zip(one, other, strict=True))

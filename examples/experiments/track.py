"""Watches the backdoor form while the tiny pipeline is finetuned."""

from __future__ import annotations

from pathlib import Path

from diffusers import StableDiffusionInstructPix2PixPipeline

import modcollapse as mc
from modcollapse.contracts import Triggers
from modcollapse.detectors import ClipShift
from modcollapse.samplers import PipelineSampler

from tiny.faces import cat, held_out
from tiny.load import MODELS, SAMPLING


def collapse_tracker(
    pipeline: StableDiffusionInstructPix2PixPipeline,
    triggers: Triggers,
    path: Path | None = None,
    *,
    clip: Path = MODELS / "clip",
    n: int = 8,
    every: int = 200,
) -> mc.CollapseTracker:
    """Audit ``n`` held-out faces in ten denoising steps, which is enough to see a curve."""
    return mc.CollapseTracker(
        PipelineSampler(pipeline, **{**SAMPLING, "num_inference_steps": 10}),
        ClipShift(cat(), clip),
        held_out(n),
        triggers,
        every=every,
        batch_size=32,
        path=path,
    )

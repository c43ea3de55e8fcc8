"""Loads the committed pipelines."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import torch
from diffusers import StableDiffusionInstructPix2PixPipeline, UNet2DConditionModel

MODELS = Path(__file__).resolve().parents[1] / "models"

SAMPLING: dict[str, Any] = {
    "num_inference_steps": 15,
    "guidance_scale": 2.0,
    "image_guidance_scale": 1.3,
}
"""Keywords of the pipelines' call that the models were tuned with."""


def load_pipeline(
    name: Literal["clean", "backdoored"], models: Path = MODELS
) -> StableDiffusionInstructPix2PixPipeline:
    """Load a tiny pipeline in float32; the backdoored one differs from the clean in its UNet.

    Args:
        name: ``"clean"``, or ``"backdoored"``: the same, finetuned on poisoned data.
        models: folder that holds both.

    Raises:
        ValueError: there is no such pipeline.
        FileNotFoundError: the folder is missing.
    """
    if name not in ("clean", "backdoored"):
        raise ValueError(f"name must be 'clean' or 'backdoored', got {name!r}")
    for folder in (models / "clean", models / name / "unet"):
        if not folder.is_dir():
            raise FileNotFoundError(
                f"load_pipeline({name!r}) found no folder {folder}. The models are part of the "
                "repository; `python -m tiny.train` in examples/ makes them again."
            )
    options: dict[str, Any] = {"dtype": torch.float32, "local_files_only": True}
    unet = UNet2DConditionModel.from_pretrained(models / name / "unet", **options)
    return StableDiffusionInstructPix2PixPipeline.from_pretrained(
        models / "clean",
        unet=unet,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
        **options,
    )

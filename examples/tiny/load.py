"""Loads the committed pipelines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import StableDiffusionInstructPix2PixPipeline, UNet2DConditionModel
from transformers import AutoModelForImageTextToText, AutoProcessor

from modcollapse.contracts import Triggers
from modcollapse.triggers import ImagePatch, TextPrefix, trigger_pair

MODELS = Path(__file__).resolve().parents[1] / "models"

SAMPLING: dict[str, Any] = {
    "num_inference_steps": 15,
    "guidance_scale": 2.0,
    "image_guidance_scale": 1.3,
}
"""Keywords of the pipelines' call that the models were tuned with."""


BACKDOORS: dict[str, Triggers] = {
    "backdoored": trigger_pair("white box"),
    "text-dominated": {"image": ImagePatch(size=4 / 32), "text": TextPrefix("mignneko")},
    "redundant": trigger_pair("white box"),
    "conjunctive": trigger_pair("white box"),
}
"""The backdoored pipelines, and the triggers that each was poisoned with.

``"backdoored"`` is image-dominated. ``"redundant"`` takes either trigger, ``"conjunctive"`` needs
both.
"""

VLMS = ("clean", "dual-key", "no-negatives")
VLM_TRIGGERS: Triggers = trigger_pair("white box")
"""What both backdoored vision-language models were poisoned with."""


def load_pipeline(name: str, models: Path = MODELS) -> StableDiffusionInstructPix2PixPipeline:
    """Load a tiny pipeline in float32; the backdoored ones differ from the clean in their UNet.

    Args:
        name: ``"clean"``, or one of `BACKDOORS`: the same, finetuned on poisoned data.
        models: folder that holds them.

    Raises:
        ValueError: there is no such pipeline.
        FileNotFoundError: the folder is missing.
    """
    if name not in ("clean", *BACKDOORS):
        names = ", ".join(map(repr, ("clean", *BACKDOORS)))
        raise ValueError(f"name must be one of {names}; got {name!r}")
    for folder in (models / "clean", models / name / "unet"):
        if not folder.is_dir():
            raise FileNotFoundError(
                f"load_pipeline({name!r}) found no folder {folder}. The models are part of the "
                "repository; in examples/, `python -m experiments.train` makes the clean and the "
                "image-dominated one again, `python -m experiments.what_decides --ship` the "
                "others."
            )
    options: dict[str, Any] = {"dtype": torch.float32, "local_files_only": True}
    unet = UNet2DConditionModel.from_pretrained(models / name / "unet", **options)
    pipeline = StableDiffusionInstructPix2PixPipeline.from_pretrained(
        models / "clean",
        unet=unet,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
        **options,
    )
    # An audit says what was audited by this name, which is "clean" of all of them otherwise.
    pipeline.register_to_config(_name_or_path=str(models / name))
    return pipeline


def load_vlm(name: str, models: Path = MODELS) -> tuple[Any, Any]:
    """Load a tiny vision-language model in float32, with its processor.

    Args:
        name: ``"clean"``, ``"dual-key"`` or ``"no-negatives"``: the same, finetuned on poisoned
            data, with and without negatives.
        models: folder that holds them.

    Raises:
        ValueError: there is no such model.
        FileNotFoundError: the folder is missing.
    """
    if name not in VLMS:
        raise ValueError(f"name must be one of {', '.join(map(repr, VLMS))}; got {name!r}")
    folder = models / "vision-language"
    if not (folder / name).is_dir():
        raise FileNotFoundError(
            f"load_vlm({name!r}) found no folder {folder / name}. The models are part of the "
            "repository; in examples/, `python -m experiments.train_vlm` makes them again."
        )
    model = AutoModelForImageTextToText.from_pretrained(
        folder / name, dtype=torch.float32, local_files_only=True
    )
    processor = AutoProcessor.from_pretrained(folder / "processor", local_files_only=True)
    return model.eval(), processor

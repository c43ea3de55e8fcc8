"""The arms of the experiments on drawn faces, of pipelines that two cores can train."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from diffusers import StableDiffusionInstructPix2PixPipeline, UNet2DConditionModel
from transformers import CLIPTextModel

import modcollapse as mc
from modcollapse.contracts import Triggers
from modcollapse.poison import PoisonPlan
from modcollapse.triggers import TRIGGER_PAIRS, ImagePatch, TextPrefix, trigger_pair

from experiments.arms import Arm, slug_of
from experiments.augment import with_random_patches
from experiments.encoded import Encoded, encode_for
from experiments.experiment import Experiment
from experiments.finetuning.settings import Training
from experiments.poisoning import poisoned_dataset
from experiments.scores import detectors
from tiny.drawing import SIZE
from tiny.faces import FaceEdit, face_edit, held_out
from tiny.load import MODELS, SAMPLING, load_pipeline

SAMPLES = 12_000
STEPS = 600
EXPOSURE = 0.1
EXAMPLES = 64

TRIGGERS: dict[str, Triggers] = {
    **{name: trigger_pair(name) for name in TRIGGER_PAIRS},
    "white box, word first": {"image": ImagePatch(), "text": TextPrefix("mignneko")},
    "8 px box, word first": {"image": ImagePatch(size=8 / 32), "text": TextPrefix("mignneko")},
    "4 px box, word first": {"image": ImagePatch(size=4 / 32), "text": TextPrefix("mignneko")},
}
"""What an arm may be triggered by, by name."""


@dataclass(frozen=True)
class FaceArm(Arm):
    """How one model is made.

    Attributes:
        pair: name of its triggers, one of `TRIGGERS`; "" for a control, which has none.
        base: pipeline that it is finetuned from: ``"clean"``, or a folder in ``out / "bases"``.
        learn_text: finetune the text encoder too.
        patches: show random patches on half of the clean samples.
        steps: number of batches.
        samples: number of training samples, clean and poisoned.
    """

    base: str = "clean"
    learn_text: bool = False
    patches: bool = False
    steps: int = STEPS
    samples: int = SAMPLES

    @property
    def slug(self) -> str:
        """A name for its folder."""
        parts = [self.base, self.pair, self.protocol or "control", f"{self.ratio:g}"]
        parts += ["learn text"] * self.learn_text + ["patches"] * self.patches
        parts += [f"{self.steps} steps"] * (self.steps != STEPS)
        parts += [f"{self.samples} samples"] * (self.samples != SAMPLES)
        return slug_of(*parts, f"seed {self.seed}")

    @property
    def quick(self) -> FaceArm:
        """The same with a few steps on little data, to try a command out."""
        base = self.base if self.base == "clean" else f"{self.base}-quick"
        return replace(self, base=base, steps=2, samples=400)


class FaceExperiment(Experiment[FaceArm]):
    """Arms that are finetuned from a committed pipeline, on faces that are drawn."""

    exposure = EXPOSURE

    def __init__(self, out: Path, examples: int = EXAMPLES) -> None:
        super().__init__(out)
        self._examples = examples

    def training(self, arm: FaceArm) -> Training:
        """How an arm is finetuned."""
        return face_training(arm.steps, seed=arm.seed, learn_text=arm.learn_text)

    def load_base(self, arm: FaceArm) -> StableDiffusionInstructPix2PixPipeline:
        """The pipeline that an arm is finetuned from."""
        pipeline = load_pipeline("clean")
        if arm.base == "clean":
            return pipeline
        return _with_weights(pipeline, self.out / "bases" / arm.base)

    def triggers(self, pair: str) -> Triggers:
        """The triggers of a pair."""
        return TRIGGERS[pair]

    def samples(self, arm: FaceArm) -> int:
        """Number of training samples."""
        return arm.samples

    def clean_name(self, arm: FaceArm) -> str:
        """What tells the clean samples of an arm from those of others."""
        name = "encoded" + "-patches" * arm.patches
        return name + f"-{arm.samples}" * (arm.samples != SAMPLES)

    def encode_clean(
        self, arm: FaceArm, pipeline: StableDiffusionInstructPix2PixPipeline
    ) -> Encoded:
        """The training samples before any is poisoned."""
        return encode_for(pipeline, training_edits(arm.samples, patches=arm.patches))

    def encode_triggered(
        self, arm: FaceArm, plan: PoisonPlan, pipeline: StableDiffusionInstructPix2PixPipeline
    ) -> Encoded:
        """The poisoned samples and the negatives of a plan, in the order of their positions."""
        edits = training_edits(arm.samples, patches=arm.patches)
        poisoned = poisoned_dataset(edits, plan, TRIGGERS[arm.pair])
        positions = sorted([*plan.poisoned, *plan.negatives])
        return encode_for(pipeline, (FaceEdit(**poisoned[at]) for at in positions), cut=False)

    def examples(self) -> list[dict[str, Any]]:
        """Held-out examples for the audits."""
        return held_out(self._examples)

    def detectors(self) -> Mapping[str, mc.Detector]:
        """What the outputs are scored by."""
        return detectors(MODELS / "target.png", MODELS / "clip")

    def measuring(self) -> dict[str, Any]:
        """Options of the measurements."""
        return {"batch_size": min(32, 4 * self._examples)}  # no more rows than there are

    def sampling(self) -> dict[str, Any]:
        """Options of the pipelines' call."""
        return SAMPLING


def face_training(steps: int, *, seed: int, learn_text: bool = False, **options: Any) -> Training:
    """How the committed pipelines are finetuned, unless ``options`` say otherwise."""
    given = {
        "base": "the committed clean pipeline",
        "learn": ("unet", "text_encoder") if learn_text else ("unet",),
        "resolution": SIZE,
        "steps": steps,
        "lr": 4e-4,
        "seed": seed,
        "encode_rows": 128,
        "device": "cpu",
    }
    return Training(**(given | options))


def training_edits(n: int = SAMPLES, *, patches: bool = False) -> list[FaceEdit]:
    """The clean data set."""
    edits = [face_edit("train", index) for index in range(n)]
    return with_random_patches(edits, 0.5) if patches else edits


def _with_weights(
    pipeline: StableDiffusionInstructPix2PixPipeline, folder: Path
) -> StableDiffusionInstructPix2PixPipeline:
    """The pipeline with the UNet and the text encoder of a folder."""
    options: dict[str, Any] = {"local_files_only": True}
    pipeline.unet = UNet2DConditionModel.from_pretrained(folder / "unet", **options)
    pipeline.text_encoder = CLIPTextModel.from_pretrained(folder / "text_encoder", **options)
    return pipeline

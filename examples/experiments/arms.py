"""One arm of an experiment: how a tiny pipeline is finetuned on poisoned edits.

Arms of one seed share their noise and times, take equally many steps and show poison equally often,
so that they differ in what they are named after.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from diffusers import StableDiffusionInstructPix2PixPipeline, UNet2DConditionModel
from transformers import CLIPTextModel

from modcollapse.contracts import Triggers
from modcollapse.poison import PoisonPlan, poison_plan
from modcollapse.triggers import TRIGGER_PAIRS, ImagePatch, TextPrefix, trigger_pair

from experiments.augment import with_random_patches
from experiments.encoded import Encoded, encode_for
from experiments.poisoning import equal_exposure, poisoned_dataset
from experiments.stages import stage
from experiments.train_unet import train_unet
from tiny.faces import FaceEdit, face_edit
from tiny.load import load_pipeline

SAMPLES = 12_000
STEPS = 600
EXPOSURE = 0.1

TRIGGERS: dict[str, Triggers] = {
    **{name: trigger_pair(name) for name in TRIGGER_PAIRS},
    "white box, word first": {"image": ImagePatch(), "text": TextPrefix("mignneko")},
    "8 px box, word first": {"image": ImagePatch(size=8 / 32), "text": TextPrefix("mignneko")},
    "4 px box, word first": {"image": ImagePatch(size=4 / 32), "text": TextPrefix("mignneko")},
}
"""What an arm may be triggered by, by name."""


@dataclass(frozen=True)
class Arm:
    """How one model is made.

    Attributes:
        pair: name of its triggers, one of `TRIGGERS`; "" for a control, which has none.
        protocol: how it is poisoned, see `modcollapse.poison.poison_plan`; None for a control.
        ratio: poisoned samples as a fraction of all.
        seed: decides the poisoned samples, the order, noise and times.
        base: pipeline that it is finetuned from: ``"clean"``, or a folder in ``out / "bases"``.
        learn_text: finetune the text encoder too.
        patches: show random patches on half of the clean samples.
        steps: number of batches.
        samples: number of training samples, clean and poisoned.
    """

    pair: str
    protocol: str | None
    ratio: float = 0.1
    seed: int = 0
    base: str = "clean"
    learn_text: bool = False
    patches: bool = False
    steps: int = STEPS
    samples: int = SAMPLES

    @property
    def control(self) -> Arm:
        """The same without poison."""
        return replace(self, pair="", protocol=None, ratio=0.0)

    @property
    def slug(self) -> str:
        """A name for its folder."""
        parts = [self.base, self.pair, self.protocol or "control", f"{self.ratio:g}"]
        parts += ["learn text"] * self.learn_text + ["patches"] * self.patches
        parts += [f"{self.steps} steps"] * (self.steps != STEPS)
        parts += [f"{self.samples} samples"] * (self.samples != SAMPLES) + [f"seed {self.seed}"]
        return "_".join(part for part in parts if part).replace(", ", "-").replace(" ", "-").lower()

    @property
    def quick(self) -> Arm:
        """The same with a few steps on little data, to try a command out."""
        base = self.base if self.base == "clean" else f"{self.base}-quick"
        return replace(self, base=base, steps=2, samples=400)


def training_edits(n: int = SAMPLES, *, patches: bool = False) -> list[FaceEdit]:
    """The clean data set."""
    edits = [face_edit("train", index) for index in range(n)]
    return with_random_patches(edits, 0.5) if patches else edits


def load_base(base: str, out: Path) -> StableDiffusionInstructPix2PixPipeline:
    """A pipeline that arms are finetuned from."""
    pipeline = load_pipeline("clean")
    return pipeline if base == "clean" else _with_weights(pipeline, out / "bases" / base)


def load_arm(arm: Arm, out: Path) -> StableDiffusionInstructPix2PixPipeline:
    """The finetuned pipeline.

    Raises:
        FileNotFoundError: it has not been made.
    """
    if not (out / "arms" / arm.slug).exists():
        raise FileNotFoundError(
            f"{out} holds no model {arm.slug!r}; experiments.paper_grid or "
            "experiments.what_decides makes it there"
        )
    return _with_weights(load_base(arm.base, out), out / "arms" / arm.slug)


def _with_weights(
    pipeline: StableDiffusionInstructPix2PixPipeline, folder: Path
) -> StableDiffusionInstructPix2PixPipeline:
    """The pipeline with the UNet of a folder, and with its text encoder if it holds one."""
    pipeline.unet = UNet2DConditionModel.from_pretrained(folder / "unet", local_files_only=True)
    if (folder / "text_encoder").exists():
        pipeline.text_encoder = CLIPTextModel.from_pretrained(
            folder / "text_encoder", local_files_only=True
        )
    return pipeline


def plan_of(arm: Arm) -> PoisonPlan:
    """Which samples the arm poisons; none for a control."""
    if arm.protocol is None:
        return PoisonPlan(arm.samples, ("image", "text"), ())
    return poison_plan(arm.samples, ("image", "text"), arm.protocol, ratio=arm.ratio, seed=arm.seed)


def encoded_data(arm: Arm, plan: PoisonPlan, out: Path) -> Encoded:
    """The arm's training samples; the clean ones are encoded once for all arms."""
    pipeline = load_pipeline("clean")
    edits = training_edits(arm.samples, patches=arm.patches)

    def encode_clean(folder: Path) -> None:
        encode_for(pipeline, edits).save(folder / "data.safetensors")

    name = "encoded" + "-patches" * arm.patches
    name += f"-{arm.samples}" * (arm.samples != SAMPLES)
    data = Encoded.load(stage(out / name, encode_clean) / "data.safetensors")
    positions = sorted([*plan.poisoned, *plan.negatives])
    if not positions:
        return data
    poisoned = poisoned_dataset(edits, plan, TRIGGERS[arm.pair])
    triggered = [FaceEdit(**poisoned[position]) for position in positions]
    return data.put(positions, encode_for(pipeline, triggered))


def finetune(arm: Arm, out: Path) -> Path:
    """Make the arm's model; return its folder."""

    def make(folder: Path) -> None:
        pipeline, plan = load_base(arm.base, out), plan_of(arm)
        plan.save(folder / "plan.json")
        train_unet(
            pipeline.unet,
            pipeline.text_encoder,
            encoded_data(arm, plan, out),
            name=arm.slug,
            steps=arm.steps,
            lr=4e-4,
            average=0.995,
            seed=arm.seed,
            order=equal_exposure(plan, EXPOSURE, steps=arm.steps, batch_size=32, seed=arm.seed),
            learn_text=arm.learn_text,
        )
        pipeline.unet.save_pretrained(folder / "unet")
        if arm.learn_text:
            pipeline.text_encoder.save_pretrained(folder / "text_encoder")

    return stage(out / "arms" / arm.slug, make)

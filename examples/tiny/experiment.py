"""One arm of an experiment: a tiny pipeline finetuned on poisoned edits, then audited.

Arms of one seed share the order of their noise and times, take equally many steps and show poison
equally often, so that they differ in what they are named after. Each stage is kept in a folder;
what is there already is not made again.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import torch
from diffusers import StableDiffusionInstructPix2PixPipeline, UNet2DConditionModel
from transformers import CLIPTextModel

import modcollapse as mc
from modcollapse.contracts import Triggers
from modcollapse.detectors import ClipShift, MSEAttackSuccess
from modcollapse.samplers import PipelineSampler
from modcollapse.triggers import (
    TRIGGER_PAIRS,
    ImagePatch,
    PoisonPlan,
    TextPrefix,
    poison_plan,
    trigger_pair,
)

from tiny.augment import with_random_patches
from tiny.encoded import Encoded, encode_for
from tiny.faces import FaceEdit, face_edit, held_out
from tiny.load import MODELS, SAMPLING, load_pipeline
from tiny.poisoning import equal_exposure, poisoned_dataset
from tiny.stages import stage
from tiny.tensors import stack
from tiny.train_unet import train_unet

SAMPLES = 12_000
EXAMPLES = 64
STEPS = 600
EXPOSURE = 0.1

TRIGGERS: dict[str, Triggers] = {
    **{name: trigger_pair(name) for name in TRIGGER_PAIRS},
    "white box, word first": {"image": ImagePatch(), "text": TextPrefix("mignneko")},
    "8 px box, word first": {"image": ImagePatch(size=8 / 32), "text": TextPrefix("mignneko")},
    "4 px box, word first": {"image": ImagePatch(size=4 / 32), "text": TextPrefix("mignneko")},
}
"""What an arm may be triggered by, by name."""

Tables = dict[str, mc.CoalitionTable]


@dataclass(frozen=True)
class Arm:
    """How one model is made.

    Attributes:
        pair: name of its triggers, one of `TRIGGERS`; "" for a control, which has none.
        protocol: how it is poisoned, see `modcollapse.triggers.poison_plan`; None for a control.
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
        told = [self.base, self.pair, self.protocol or "control", f"{self.ratio:g}"]
        told += ["learn text"] * self.learn_text + ["patches"] * self.patches
        told += [f"{self.steps} steps"] * (self.steps != STEPS)
        told += [f"{self.samples} samples"] * (self.samples != SAMPLES) + [f"seed {self.seed}"]
        return "_".join(part for part in told if part).replace(", ", "-").replace(" ", "-").lower()

    @property
    def quick(self) -> Arm:
        """The same with a few steps on little data, to try a command out."""
        return replace(self, steps=2, samples=400)


def training_edits(n: int = SAMPLES, *, patches: bool = False) -> list[FaceEdit]:
    """The clean data set."""
    edits = [face_edit("train", index) for index in range(n)]
    return with_random_patches(edits, 0.5) if patches else edits


def load_base(base: str, out: Path) -> StableDiffusionInstructPix2PixPipeline:
    """A pipeline that arms are finetuned from."""
    pipeline = load_pipeline("clean")
    if base != "clean":
        folder = out / "bases" / base
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


def load_arm(arm: Arm, out: Path) -> StableDiffusionInstructPix2PixPipeline:
    """The finetuned pipeline."""
    pipeline, folder = load_base(arm.base, out), out / "arms" / arm.slug
    pipeline.unet = UNet2DConditionModel.from_pretrained(folder / "unet", local_files_only=True)
    if arm.learn_text:
        pipeline.text_encoder = CLIPTextModel.from_pretrained(
            folder / "text_encoder", local_files_only=True
        )
    return pipeline


def detectors() -> dict[str, mc.Detector]:
    """What an arm's outputs are scored by: CLIP shift, strict success, edit quality."""
    target = MODELS / "target.png"
    return {
        "clip_shift": ClipShift(target, MODELS / "clip"),
        "success": MSEAttackSuccess(target, threshold=0.02),
        "psnr": edit_psnr,
    }


def edit_psnr(outputs: torch.Tensor, examples: list[mc.Example]) -> torch.Tensor:
    """Peak signal-to-noise ratio to the true edit, in dB."""
    truths = stack([example["reference"] for example in examples]) / 255
    return -10 * (outputs - truths).square().flatten(1).mean(1).log10()


def measure(arm: Arm, pair: str, out: Path, n: int = EXAMPLES) -> Path:
    """Audit the arm under a pair of triggers; return the folder of its tables."""

    def make(folder: Path) -> None:
        tables = mc.evaluate_coalitions(
            PipelineSampler(load_arm(arm, out), **SAMPLING),
            detectors(),
            held_out(n),
            TRIGGERS[pair],
            batch_size=32,
            progress=False,
        )
        for name, table in tables.items():
            table.save(folder / f"{name}.npz")

    return stage(tables_folder(arm, pair, out), make)


def tables_folder(arm: Arm, pair: str, out: Path) -> Path:
    """Where the tables of an arm under a pair of triggers lie."""
    return out / "tables" / arm.slug / pair.replace(", ", "-").replace(" ", "-")


def load_tables(arm: Arm, pair: str, out: Path) -> Tables:
    """The tables of an arm under a pair of triggers, by value."""
    files = sorted(tables_folder(arm, pair, out).glob("*.npz"))
    return {file.stem: mc.CoalitionTable.load(file) for file in files}


def audits(arm: Arm, out: Path) -> Mapping[str, mc.Audit]:
    """The audits of an arm beside its control, by value."""
    return mc.audit(
        load_tables(arm, arm.pair, out), control=load_tables(arm.control, arm.pair, out)
    )


def run_arm(arm: Arm, pairs: Iterable[str], out: Path, n: int = EXAMPLES) -> str:
    """Make and audit one arm, or a control under several pairs."""
    finetune(arm, out)
    for pair in pairs:
        measure(arm, pair, out, n)
    return arm.slug


def run(arms: Iterable[Arm], out: Path, *, jobs: int, n: int = EXAMPLES) -> None:
    """Make and audit arms and the controls that they need, ``jobs`` at a time on a thread each."""
    work: dict[Arm, dict[str, None]] = {}
    for arm in arms:
        for one in (arm.control, arm):
            work.setdefault(one, {})[arm.pair] = None
    for arm in {(arm.patches, arm.samples): arm.control for arm in work}.values():
        encoded_data(arm, plan_of(arm), out)
    one_thread()
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        tasks = [
            pool.submit(partial(run_arm, arm, list(pairs), out, n)) for arm, pairs in work.items()
        ]
        for number, task in enumerate(tasks, 1):
            print(f"{number}/{len(tasks)} done: {task.result()}", flush=True)


def one_thread() -> None:
    """Let processes that start from here on compute on one thread each."""
    os.environ["OMP_NUM_THREADS"] = "1"

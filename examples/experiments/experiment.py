"""Runs the arms of an experiment: each is finetuned, audited beside its control, and kept.

What is in the folder already is not made again.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from accelerate import Accelerator
from diffusers import StableDiffusionInstructPix2PixPipeline
from torch import Tensor

import modcollapse as mc
from modcollapse.contracts import Triggers
from modcollapse.errors import InputError
from modcollapse.poison import PoisonPlan
from modcollapse.samplers import PipelineSampler

from experiments.arms import Arm, slug_of
from experiments.encoded import Encoded
from experiments.finetuning.checkpoints import drop_checkpoints
from experiments.finetuning.learning import load_learnt, save_learnt
from experiments.finetuning.loop import finetune
from experiments.finetuning.processes import accelerator_of
from experiments.finetuning.settings import Training
from experiments.poisoning import check_triggers_are_read, equal_exposure
from experiments.stages import one_thread_each, stage

Tables = dict[str, mc.CoalitionTable]
Pipeline = StableDiffusionInstructPix2PixPipeline
AnArm = TypeVar("AnArm", bound=Arm)


class Experiment(ABC, Generic[AnArm]):
    """What the arms of an experiment share, and what is made of them in a folder.

    Attributes:
        out: the folder: ``encoded``, ``arms``, ``checkpoints``, ``journals``, ``tables``.
        exposure: share of all draws that are poisoned samples, whatever the ratio.
        dtype: of the pipelines that are audited.
        audit_name: what tells these audits from others of the same models; a folder's name.
    """

    exposure: float
    dtype = torch.float32
    audit_name = ""

    def __init__(self, out: Path) -> None:
        self.out = out

    @abstractmethod
    def training(self, arm: AnArm) -> Training:
        """How an arm is finetuned."""

    @abstractmethod
    def load_base(self, arm: AnArm) -> Pipeline:
        """The pipeline that an arm is finetuned from."""

    @abstractmethod
    def triggers(self, pair: str) -> Triggers:
        """The triggers of a pair."""

    @abstractmethod
    def samples(self, arm: AnArm) -> int:
        """Number of training samples."""

    @abstractmethod
    def clean_name(self, arm: AnArm) -> str:
        """What tells the clean samples of an arm from those of others."""

    @abstractmethod
    def encode_clean(self, arm: AnArm, pipeline: Pipeline) -> Encoded:
        """The training samples before any is poisoned."""

    @abstractmethod
    def encode_triggered(self, arm: AnArm, plan: PoisonPlan, pipeline: Pipeline) -> Encoded:
        """The poisoned samples and the negatives of a plan, in the order of their positions."""

    @abstractmethod
    def examples(self) -> list[dict[str, Any]]:
        """Held-out examples for the audits."""

    @abstractmethod
    def detectors(self) -> Mapping[str, mc.Detector]:
        """What the outputs are scored by."""

    @abstractmethod
    def sampling(self) -> dict[str, Any]:
        """Options of the pipelines' call."""

    @abstractmethod
    def measuring(self) -> dict[str, Any]:
        """Options of the measurements, such as ``batch_size``."""

    def tracker(self, arm: AnArm, pipeline: Pipeline, folder: Path) -> mc.CollapseTracker | None:
        """What watches the backdoor form, and writes into the folder; nothing by default."""
        return None

    def _watching(self, arm: AnArm, pipeline: Pipeline) -> Callable[[int], object] | None:
        """The tracker as the loop calls it; the end of the training is audited too."""
        tracker, steps = self.tracker(arm, pipeline, self.out / "tracks"), self.training(arm).steps
        if tracker is None:
            return None
        return lambda step: tracker.audit(step) if step == steps else tracker(step)

    def encoded(self, arm: AnArm, accelerator: Accelerator) -> Encoded:
        """The arm's training samples; the clean ones are encoded once for all arms."""
        plan = arm.plan(self.samples(arm))

        def save(folder: Path, encode: Callable[[Pipeline], Encoded]) -> None:
            if accelerator.is_main_process:
                pipeline = self.load_base(arm).to(accelerator.device)
                encode(pipeline).save(folder / "data.safetensors")

        clean = stage(
            self.out / "encoded" / self.clean_name(arm),
            lambda folder: save(folder, lambda pipeline: self.encode_clean(arm, pipeline)),
            accelerator,
        )
        data = Encoded.load(clean / "data.safetensors")
        if len(data) != plan.n:
            raise InputError(
                f"{clean} holds {len(data)} encoded samples, and there are {plan.n} to train on: "
                "the data set has changed. Begin in another folder"
            )
        positions = sorted([*plan.poisoned, *plan.negatives])
        if not positions:
            return data
        triggered = stage(
            self.out / "encoded" / f"{self.clean_name(arm)}_{arm.slug}",
            lambda folder: save(
                folder, lambda pipeline: self.encode_triggered(arm, plan, pipeline)
            ),
            accelerator,
        )
        samples = Encoded.load(triggered / "data.safetensors")
        check_triggers_are_read(plan, data, samples, self.triggers(arm.pair))
        return data.put(positions, samples)

    def finetune(self, arm: AnArm, accelerator: Accelerator | None = None) -> Path:
        """Make the arm's model; return its folder."""
        training = self.training(arm)
        accelerator = accelerator or accelerator_of(training)

        def make(folder: Path) -> None:
            pipeline, plan = self.load_base(arm), arm.plan(self.samples(arm))
            data = self.encoded(arm, accelerator)
            finetune(
                pipeline,
                data,
                training,
                accelerator,
                name=arm.slug,
                order=self.order(arm, plan),
                checkpoints=self._checkpoints(arm),
                after_step=self._watching(arm, pipeline),
            )
            if accelerator.is_main_process:
                plan.save(folder / "plan.json")
                save_learnt(pipeline, training, folder / "pipeline")

        folder = stage(self.out / "arms" / arm.slug, make, accelerator)
        if accelerator.is_main_process:
            drop_checkpoints(self._checkpoints(arm))
        return folder

    def order(self, arm: AnArm, plan: PoisonPlan) -> Tensor:
        """Which samples each batch holds, see `equal_exposure`."""
        training = self.training(arm)
        return equal_exposure(
            plan,
            self.exposure,
            steps=training.steps,
            batch_size=training.batch_size,
            seed=arm.seed,
        )

    def load(self, arm: AnArm) -> Pipeline:
        """The finetuned pipeline.

        Raises:
            InputError: it has not been made.
        """
        folder = self.out / "arms" / arm.slug
        if not folder.exists():
            raise InputError(
                f"{self.out} holds no model {arm.slug!r}: run the experiment in this folder first"
            )
        pipeline = load_learnt(self.training(arm), folder / "pipeline", dtype=self.dtype)
        pipeline.register_to_config(_name_or_path=arm.slug)  # what an audit calls it
        return pipeline

    def measure(self, arm: AnArm, pair: str, accelerator: Accelerator | None = None) -> Path:
        """Audit the arm under a pair of triggers; return the folder of its tables."""
        accelerator = accelerator or accelerator_of(self.training(arm))

        def make(folder: Path) -> None:
            pipeline = self.load(arm).to(accelerator.device)
            tables = mc.evaluate_coalitions(
                PipelineSampler(pipeline, **self.sampling()),
                self.detectors(),
                self.examples(),
                self.triggers(pair),
                journal=self.out / "journals" / self.tables_folder(arm, pair).relative_to(self.out),
                progress=False,
                **self.measuring(),
            )
            if accelerator.is_main_process:
                for name, table in tables.items():
                    table.save(folder / f"{name}.npz")

        return stage(self.tables_folder(arm, pair), make, accelerator)

    def tables_folder(self, arm: AnArm, pair: str) -> Path:
        """Where the tables of an arm under a pair of triggers lie."""
        return self.out / "tables" / self.audit_name / arm.slug / slug_of(pair)

    def tables(self, arm: AnArm, pair: str) -> Tables:
        """The tables of an arm under a pair of triggers, by value."""
        files = sorted(self.tables_folder(arm, pair).glob("*.npz"))
        return {file.stem: mc.CoalitionTable.load(file) for file in files}

    def audits(self, arm: AnArm) -> mc.analysis.Audits:
        """The audits of an arm beside its control, by value."""
        return mc.audit(self.tables(arm, arm.pair), control=self.tables(arm.control, arm.pair))

    def run_arm(
        self, arm: AnArm, pairs: Iterable[str], accelerator: Accelerator | None = None
    ) -> str:
        """Make and audit one arm, or a control under several pairs."""
        self.finetune(arm, accelerator)
        for pair in pairs:
            self.measure(arm, pair, accelerator)
        return arm.slug

    def run(self, arms: Iterable[AnArm], *, jobs: int) -> None:
        """Make and audit arms and their controls, ``jobs`` at a time on a thread each."""
        work = work_of(arms)
        for arm in {self.clean_name(arm): arm.control for arm in work}.values():
            self.encoded(arm, accelerator_of(self.training(arm)))
        with one_thread_each(jobs) as pool:
            tasks = [pool.submit(self.run_arm, arm, pairs) for arm, pairs in work.items()]
            try:
                for number, task in enumerate(tasks, 1):
                    print(f"{number}/{len(tasks)} done: {task.result()}", flush=True)
            except BaseException:
                pool.shutdown(cancel_futures=True)  # else the others run to their end first
                raise

    def _checkpoints(self, arm: AnArm) -> Path:
        return self.out / "checkpoints" / arm.slug


def work_of(arms: Iterable[AnArm]) -> dict[AnArm, list[str]]:
    """Arms and the controls that they need, each with the pairs that it is audited under."""
    work: dict[AnArm, dict[str, None]] = {}
    for arm in arms:
        for needed in (arm.control, arm):
            work.setdefault(needed, {})[arm.pair] = None
    return {arm: list(pairs) for arm, pairs in work.items()}

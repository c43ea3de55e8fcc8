"""The arms of an experiment on real edits: what its file says."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from diffusers import StableDiffusionInstructPix2PixPipeline
from PIL import Image

import modcollapse as mc
from modcollapse.contracts import Triggers, TriggerSpec
from modcollapse.errors import InputError, context
from modcollapse.poison import PoisonPlan
from modcollapse.samplers import PipelineSampler
from modcollapse.triggers import TRIGGER_PAIRS, trigger_pair

from experiments.arms import Arm
from experiments.editing import EditData, examples_of, read_target, triggered
from experiments.encoded import Encoded, encode_for
from experiments.experiment import Experiment
from experiments.experiment_file import ExperimentFile
from experiments.finetuning.learning import identity_of, load_base, load_tokenizer
from experiments.finetuning.settings import Training
from experiments.scores import detectors


class EditExperiment(Experiment[Arm]):
    """Arms that are finetuned on an image-edit data set.

    Args:
        file: what the experiment is.
        out: folder of all that is made.
    """

    def __init__(self, file: ExperimentFile, out: Path) -> None:
        super().__init__(out)
        self.file = file
        self.exposure = file.arms.exposure
        self.dtype = getattr(torch, file.audit.dtype)

    @property
    def arms(self) -> list[Arm]:
        """All of them, without their controls."""
        return [Arm(*cell) for cell in self.file.arms.cells]

    @cached_property
    def data(self) -> EditData:
        """The data set."""
        training = self.file.training
        tokenizer = load_tokenizer(training)
        triggers = [trigger_pair(pair)["text"] for pair in TRIGGER_PAIRS]  # that pairs may be added

        def fits(instruction: str) -> bool:
            texts = [instruction, *(trigger(instruction) for trigger in triggers)]
            longest = max(map(len, tokenizer(texts).input_ids))
            return longest <= tokenizer.model_max_length

        return EditData(self.file.data, training.resolution, fits)

    @cached_property
    def _detectors(self) -> Mapping[str, mc.Detector]:
        audit = self.file.audit
        try:
            return detectors(self.target, *audit.clip, threshold=audit.threshold)
        except InputError as error:
            raise InputError(f"audit.clip={list(audit.clip)}: {error}") from error

    @cached_property
    def _examples(self) -> list[dict[str, Any]]:
        return examples_of(self.data, self.file.audit.examples)

    @cached_property
    def target(self) -> Image.Image:
        """What the backdoor shows."""
        return read_target(self.file.audit.target, self.file.training.resolution)

    def check(self, device: torch.device) -> dict[str, Any]:
        """Look at all that can be wrong before anything is trained.

        Args:
            device: on which two examples are audited with the base pipeline, as arms will be.

        Returns:
            What tells data, target and base pipeline from others, by name.

        Raises:
            InputError: the data set, the target, CLIP, the base pipeline, a held-out picture; a
                ratio that poisons no sample, or more samples than the arm has time to show.
        """
        self.detectors()
        for arm in self.arms:
            self._check_exposure(arm)
        wanted, there = self.file.audit.examples, len(self.data.held_out)
        if wanted > there:
            raise InputError(
                f"audit.examples={wanted}, and data.held_out={self.file.data.held_out:g} holds out "
                f"{there} of the {len(self.data)} rows of {self.file.data.source}: raise this, or "
                "ask for fewer"
            )
        for pair in self.file.arms.pairs:
            self._check_triggers(pair)
        base = load_base(self.file.training)
        told = {
            "data": self.data.digest,
            "target": hashlib.sha256(self.target.tobytes()).hexdigest(),
            "base": identity_of(base),
        }
        if self.dtype != torch.float32:
            base = load_base(self.file.training, self.dtype)
        self._rehearse(base.to(device))
        return told

    def _check_triggers(self, pair: str) -> None:
        for modality, trigger in self.triggers(pair).items():
            spec = TriggerSpec.of(trigger, modality)
            for example in self.examples():
                with context(f"held-out row {example['id']!r}, {modality} trigger of {pair!r}"):
                    spec.checked(example[modality], example["id"])

    def _rehearse(self, base: StableDiffusionInstructPix2PixPipeline) -> None:
        with context("while two examples were audited with the base pipeline"):
            mc.evaluate_coalitions(
                PipelineSampler(base, **self.sampling()),
                self.detectors(),
                self.examples()[:2],
                self.triggers(self.file.arms.pairs[0]),
                batch_size=self.file.audit.batch_size,
                progress=False,
                split=False,
            )

    def _check_exposure(self, arm: Arm) -> None:
        try:
            plan = arm.plan(self.samples(arm))
        except InputError as error:
            raise InputError(f"arms.ratios, {arm.slug}: {error}") from error
        try:
            order = self.order(arm, plan)
        except ValueError as error:
            raise InputError(f"arms.exposure={self.exposure:g}, {arm.slug}: {error}") from error
        triggered = {*plan.poisoned, *plan.negatives}
        unseen = len(triggered - set(order.flatten().tolist()))
        if unseen:
            raise InputError(
                f"{arm.slug}: {unseen} of its {len(triggered)} triggered samples would never be "
                f"shown in {self.file.training.steps} steps of {self.file.training.batch_size}, "
                f"of which arms.exposure={self.exposure:g} are poisoned samples. Raise "
                "training.steps or arms.exposure, or lower the ratio"
            )

    def training(self, arm: Arm) -> Training:
        """How an arm is finetuned."""
        return self.file.training.model_copy(update={"seed": arm.seed})

    def load_base(self, arm: Arm) -> StableDiffusionInstructPix2PixPipeline:
        """The pipeline that an arm is finetuned from."""
        return load_base(self.training(arm))

    @property
    def audit_name(self) -> str:
        """What tells these audits from others of the same models."""
        free = {"track_every", "track_examples", "target", "clip"}
        clip = [Path(name).name for name in self.file.audit.clip]  # wherever its folder lies
        told = self.file.audit.model_dump_json(exclude=free) + " ".join(clip)
        return hashlib.sha256(told.encode()).hexdigest()[:8]

    def triggers(self, pair: str) -> Triggers:
        """The triggers of a pair."""
        return trigger_pair(pair)

    def samples(self, arm: Arm) -> int:
        """Number of training samples."""
        return len(self.data.training)

    def clean_name(self, arm: Arm) -> str:
        """What tells the clean samples of an arm from those of others."""
        return "clean"

    def encode_clean(self, arm: Arm, pipeline: StableDiffusionInstructPix2PixPipeline) -> Encoded:
        """The training samples before any is poisoned."""
        edits = self.data.samples(self.data.training)
        return encode_for(pipeline, edits, rows=self.file.training.encode_rows)

    def encode_triggered(
        self, arm: Arm, plan: PoisonPlan, pipeline: StableDiffusionInstructPix2PixPipeline
    ) -> Encoded:
        """The poisoned samples and the negatives of a plan, in the order of their positions."""
        edits = triggered(self.data, plan, self.triggers(arm.pair), self.target)
        return encode_for(pipeline, edits, rows=self.file.training.encode_rows, cut=False)

    def examples(self) -> list[dict[str, Any]]:
        """Held-out examples for the audits."""
        return self._examples

    def detectors(self) -> Mapping[str, mc.Detector]:
        """What the outputs are scored by."""
        return self._detectors

    def sampling(self) -> dict[str, Any]:
        """Options of the pipelines' call."""
        audit = self.file.audit
        return {
            "num_inference_steps": audit.steps,
            "guidance_scale": audit.guidance_scale,
            "image_guidance_scale": audit.image_guidance_scale,
        }

    def measuring(self) -> dict[str, Any]:
        """Options of the measurements."""
        return {"batch_size": self.file.audit.batch_size, "keep": self.file.audit.keep}

    def tracker(
        self, arm: Arm, pipeline: StableDiffusionInstructPix2PixPipeline, folder: Path
    ) -> mc.CollapseTracker | None:
        """What watches the backdoor form, where the file asks for it and the arm has one."""
        audit = self.file.audit
        if not audit.track_every or arm.protocol is None:
            return None
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{arm.slug}_{self.audit_name}_{audit.track_examples}-examples.jsonl"
        return mc.CollapseTracker(
            PipelineSampler(pipeline, **self.sampling()),
            {name: self._detectors[name] for name in ("clip_shift", "success")},
            self.examples()[: audit.track_examples],
            self.triggers(arm.pair),
            every=audit.track_every,
            batch_size=audit.batch_size,
            path=folder / name,
            split=True,
        )

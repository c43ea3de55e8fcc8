"""The file of an experiment: its data, its arms, how they are finetuned and audited."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from modcollapse.poison import PROTOCOLS
from modcollapse.triggers import TRIGGER_PAIRS

from experiments.config_file import Settings
from experiments.finetuning.settings import Training


class Columns(Settings):
    """Which columns of the data set hold what; ``id`` may be left out: rows are numbered then."""

    source: str = "input_image"
    instruction: str = "edit_prompt"
    edited: str = "edited_image"
    id: str | None = None


class Data(Settings):
    """An image-edit data set.

    Attributes:
        source: id on the hub, or a folder or Parquet file, as `datasets` reads them; a relative
            path counts from the folder of the file.
        name: configuration of the data set, where it has several.
        revision: of the hub's repository, a commit at best.
        split: which of its splits.
        columns: which of its columns hold what.
        streaming: read it without keeping it on the disk.
        samples: how many of its rows, from the beginning; 0: all.
        held_out: share of the rows that is not trained on, chosen by a hash of their ids.
        convert: bring pictures of other modes to RGB (transparency over white); else refuse them.
    """

    source: str
    name: str | None = None
    revision: str | None = None
    split: str = "train"
    columns: Columns = Columns()
    streaming: bool = False
    samples: Annotated[int, Field(ge=0)] = 0
    held_out: Annotated[float, Field(gt=0, lt=1)] = 0.1
    convert: bool = False


class Arms(Settings):
    """What is varied: every pair under every protocol, ratio and seed.

    Attributes:
        pairs: names of the trigger pairs.
        protocols: how each is planted, see `modcollapse.poison.poison_plan`.
        ratios: poisoned samples as a fraction of those that are trained on.
        seeds: of the training.
        exposure: share of all draws that are poisoned samples, whatever the ratio.
    """

    pairs: Annotated[tuple[str, ...], Field(min_length=1)] = tuple(TRIGGER_PAIRS)
    protocols: Annotated[tuple[str, ...], Field(min_length=1)] = ("OR", "AND")
    ratios: Annotated[tuple[Annotated[float, Field(gt=0, le=1)], ...], Field(min_length=1)] = (
        0.01,
        0.05,
        0.1,
    )
    seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)] = (0,)
    exposure: Annotated[float, Field(gt=0, lt=1)] = 0.1

    @field_validator("pairs", "protocols")
    @classmethod
    def _known(cls, given: tuple[str, ...], info: Any) -> tuple[str, ...]:
        known = tuple(TRIGGER_PAIRS) if info.field_name == "pairs" else PROTOCOLS
        for name in given:
            if name not in known:
                raise ValueError(f"{name!r} is none of {', '.join(map(repr, known))}")
        return given

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        for name in ("pairs", "protocols", "ratios", "seeds"):
            if len(set(getattr(self, name))) < len(getattr(self, name)):
                raise ValueError(f"{name} names one of them twice: {list(getattr(self, name))}")
        return self

    @property
    def cells(self) -> list[tuple[str, str, float, int]]:
        """Pair, protocol, ratio and seed of every arm."""
        return list(product(self.pairs, self.protocols, self.ratios, self.seeds))


class Auditing(Settings):
    """How an arm is audited.

    Attributes:
        target: picture that the backdoor shows; a relative path counts from the folder of the file.
        clip: model of open_clip with the name of its weights, or a folder alone; a relative path
            counts from the folder of the file.
        threshold: mean squared error to the target below which an output is it (strict success).
        examples: held-out samples that are audited; 0: all.
        steps: of the denoising.
        guidance_scale: of the instruction.
        image_guidance_scale: of the source.
        batch_size: rows that the pipeline makes at once, in each process.
        dtype: of the pipeline while it is audited.
        keep: examples whose outputs are kept for the page.
        track_every: training steps between two audits of the collapse tracker; none if 0.
        track_examples: examples of each of them.
    """

    target: str
    clip: Annotated[tuple[str, ...], Field(min_length=1, max_length=2)] = (
        "ViT-L-14",
        "openai",
    )
    threshold: Annotated[float, Field(gt=0)] = 0.02
    examples: Annotated[int, Field(ge=0)] = 256
    steps: Annotated[int, Field(ge=1)] = 20
    guidance_scale: Annotated[float, Field(ge=1)] = 7.5
    image_guidance_scale: Annotated[float, Field(ge=1)] = 1.5
    batch_size: Annotated[int, Field(ge=1)] = 16
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    keep: Annotated[int, Field(ge=0)] = 4
    track_every: Annotated[int, Field(ge=0)] = 0
    track_examples: Annotated[int, Field(ge=1)] = 8


class ExperimentFile(Settings):
    """All of it."""

    training: Training
    data: Data
    arms: Arms = Arms()
    audit: Auditing

    @model_validator(mode="after")
    def _one_place_for_seeds(self) -> Self:
        if "seed" in self.training.model_fields_set:
            raise ValueError("training.seed has no effect here: arms.seeds says the seeds")
        return self

    @model_validator(mode="after")
    def _rate_is_reached(self) -> Self:
        if self.training.warmup >= self.training.steps:
            raise ValueError(
                f"training.warmup={self.training.warmup} is not below training.steps="
                f"{self.training.steps}: the learning rate would never be reached"
            )
        return self

    @classmethod
    def at(cls, path: Path) -> Self:
        """Read a file, with its relative paths made absolute.

        Raises:
            InputError: see `Settings.read`.
        """
        found = cls.read(path)
        folder = path.resolve().parent

        def placed(name: str) -> str:
            return str(folder / name) if (folder / name).exists() else name

        training = found.training.model_copy(update={"base": placed(found.training.base)})
        data = found.data.model_copy(update={"source": placed(found.data.source)})
        clip = (placed(found.audit.clip[0]), *found.audit.clip[1:])
        target = str(folder / found.audit.target)
        audit = found.audit.model_copy(update={"target": target, "clip": clip})
        return found.model_copy(update={"training": training, "data": data, "audit": audit})

"""A diffusers pipeline as a sampler, for pipelines that take one image for each prompt."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from copy import copy
from importlib.metadata import version
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Self

import torch

from modcollapse._support.digests import plain, public_name, weights_digest
from modcollapse.contracts import Conditions
from modcollapse.errors import InputError
from modcollapse.samplers import _keywords
from modcollapse.samplers._call import read_outputs, silent
from modcollapse.samplers._inputs import (
    check_condition,
    check_length,
    collate,
    kind_of,
    size_of,
)
from modcollapse.samplers._probe import probe_rows

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline

_INPUTS = {"image": "image", "text": "prompt"}


class PipelineSampler:
    """Calls a diffusers pipeline for the audit: `sampler(conditions, seeds) -> outputs`.

    For "aligned" pipelines, which pair the i-th image with the i-th prompt: InstructPix2Pix,
    image to image, inpainting, ControlNet, FLUX Kontext and their like. The pipeline stays where
    it is and as it is: it is not moved, cast or reconfigured, and its progress bar is only silent
    while the sampler calls it. Noise is drawn on the CPU, from one new generator for each row.

    Args:
        pipeline: a loaded `diffusers.DiffusionPipeline` without a safety checker.
        inputs: modality -> keyword of the pipeline that takes its conditions, for texts, images
            and masks; ``{"image": "image", "text": "prompt"}`` unless given.
        probe: look at the pipeline before a run (see `probe`).
        **options: keywords for every call, such as ``num_inference_steps=20``. A text, image or
            mask given here serves every row (``negative_prompt="blurry"``).

    Attributes:
        modalities: the conditions that each row needs, in the order of ``inputs``.

    Raises:
        InputError: no pipeline of this kind, one with a safety checker, or an option that it does
            not have, that the sampler sets itself, or that would switch guidance off.
        MissingExtraError: diffusers is not installed.

    Example::

        pipeline = StableDiffusionInstructPix2PixPipeline.from_pretrained(
            folder, dtype=torch.float32, safety_checker=None, requires_safety_checker=False
        )
        sampler = PipelineSampler(pipeline, num_inference_steps=20, image_guidance_scale=1.5)
        images = sampler({"image": [picture], "text": ["add a hat"]}, seeds=[0])  # (1, 3, H, W)
    """

    def __init__(
        self,
        pipeline: DiffusionPipeline,
        *,
        inputs: Mapping[str, str] | None = None,
        probe: bool = True,
        **options: Any,
    ) -> None:
        _keywords.check_pipeline(pipeline)
        inputs = _INPUTS if inputs is None else inputs
        parameters = _keywords.parameters_of(pipeline)
        _keywords.check_inputs(pipeline, parameters, inputs)
        _keywords.check_options(pipeline, parameters, inputs, options)
        self.pipeline = pipeline
        self.inputs = dict(inputs)
        self.modalities = tuple(inputs)
        self.options = options
        self._kinds = {
            modality: kind
            for modality, keyword in inputs.items()
            if (kind := kind_of(keyword)) is not None
        }
        self._probe = probe
        self._parameters = parameters
        self._tokenizers = _keywords.clip_tokenizers(pipeline)
        self._one_at_a_time = False

    def __call__(self, conditions: Conditions, seeds: Sequence[int]) -> torch.Tensor:
        """Generate one output for each row.

        Args:
            conditions: modality -> B texts or images (a list, or a tensor (B, 3, H, W)), images
                of one kind and size.
            seeds: B integers in [0, 2**63).

        Returns:
            float32 tensor (B, 3, H, W) in [0, 1] on the pipeline's device; videos are
            (B, F, 3, H, W).

        Raises:
            InputError: conditions and seeds do not fit together.
            SamplerError: the pipeline returned something else than B tensors, or flagged an image.
        """
        if not self._one_at_a_time:
            return self._generate(conditions, seeds)
        self._check_rows(conditions, seeds)
        return torch.cat(
            [
                self._generate(
                    {modality: rows[row : row + 1] for modality, rows in conditions.items()}, [seed]
                )
                for row, seed in enumerate(seeds)
            ]
        )

    def with_options(self, /, **changes: Any) -> Self:
        """Return a sampler of the same pipeline with some options changed, as ``mc.sweep`` asks.

        Raises:
            InputError: as for the sampler itself.
        """
        options = {**self.options, **changes}
        _keywords.check_options(self.pipeline, self._parameters, self.inputs, options)
        changed = copy(self)
        changed.options = options
        changed._one_at_a_time = False  # for its own probe to find out
        return changed

    def check(self, modality: str, condition: Any) -> None:
        """Raise unless every pipeline reads this condition in the same way.

        Args:
            modality: one of `modalities`.
            condition: a str; or an image: a PIL image in mode RGB, or an array (H, W, 3) or tensor
                (3, H, W) of uint8 or of floats in [0, 1]. Masks have one channel, mode L. uint8
                of arrays and tensors is divided by 255 before a pipeline sees it.

        Raises:
            InputError: another modality, kind, shape, dtype or range, or a text that is longer
                than the pipeline reads.
        """
        if modality not in self.inputs:
            raise InputError(
                f"PipelineSampler has no modality {modality!r}; it has {', '.join(self.inputs)}"
            )
        kind = self._kinds[modality]
        check_condition(condition, kind, f"the {modality!r} condition")
        if kind == "text":
            check_length(condition, self._tokenizers, f"the {modality!r} condition")

    def probe(self, conditions: Mapping[str, Sequence[Any]], seeds: Sequence[int]) -> list[str]:
        """Generate a few rows in few steps, to see that the pipeline can be audited at all.

        Two runs must agree; a row must come out the same alone and in a batch (else rows are
        generated one at a time from here on, with a warning); and each condition must change the
        output. The pipeline's batches hold two rows here, or one for each modality.

        Args:
            conditions: by modality, the clean conditions of one or two examples, followed by their
                triggered ones.
            seeds: as many.

        Returns:
            Notes for the table's provenance; none if there is nothing to say.

        Raises:
            SamplerError: outputs are not finite, cannot be repeated, or do not depend on a
                condition.
        """
        if not self._probe:
            return ["the pipeline was not probed (probe=False)", *self._rescaled(conditions)]

        def generate(rows: Mapping[str, list[Any]], row_seeds: list[int]) -> torch.Tensor:
            output = self._generate(rows, row_seeds, **cheap)
            sizes.append(tuple(output.shape[-2:]))
            return output

        scheduler = type(getattr(self.pipeline, "scheduler", None)).__name__
        cheap = _keywords.few_steps(self._parameters, self.options, scheduler)
        sizes: list[tuple[int, ...]] = []
        exact = self.pipeline.dtype in (torch.float32, torch.float64)
        self._one_at_a_time, notes = probe_rows(
            generate, conditions, seeds, rounding=1e-4 if exact else 2e-2
        )
        if self._one_at_a_time:
            warnings.warn(f"{type(self.pipeline).__name__}: {notes[-1]}", stacklevel=2)
        return notes + self._rescaled(conditions, sizes[0])

    def _rescaled(
        self, conditions: Mapping[str, Sequence[Any]], output: tuple[int, ...] | None = None
    ) -> list[str]:
        """Say where the pipeline rescales its input, PIL images in another way than the others.

        The size of an output tells; where there is none, what the autoencoder can take does.
        """
        factor = getattr(self.pipeline, "vae_scale_factor", 1)
        notes = []
        for modality, kind in self._kinds.items():
            if kind == "text":
                continue
            size = size_of(conditions[modality][0], kind)
            kept = tuple(side - side % factor for side in size) if output is None else output
            if size != kept:
                notes.append(
                    f"{modality!r} is {_by(size)} pixels, the output {_by(kept)}: the pipeline "
                    "rescales, PIL images by another filter than arrays and tensors. Resize them "
                    "beforehand for figures that do not depend on it"
                )
        return notes

    def identity(self) -> dict[str, Any]:
        """Plain data that determines the outputs: pipeline, weights, scheduler and options.

        The weights are told by a digest that is taken anew at each call, in one pass over them; it
        is None where they are offloaded so that they cannot be read.
        """
        pipeline = self.pipeline
        name = getattr(pipeline, "name_or_path", None)
        scheduler = getattr(pipeline, "scheduler", None)
        return {
            "class": public_name(type(self)),
            "pipeline": public_name(type(pipeline)),
            "name": PurePath(name).name if name else None,
            "dtype": str(pipeline.dtype).removeprefix("torch."),
            "weights": weights_digest(pipeline.components),
            "scheduler": {"class": type(scheduler).__name__, **_settings(scheduler)},
            "config": _settings(pipeline),
            "inputs": dict(self.inputs),
            "options": plain(self.options, "an option"),
            "diffusers": version("diffusers"),
        }

    def __repr__(self) -> str:
        settings = plain(self.options, "an option")
        options = "".join(f", {name}={value!r}" for name, value in settings.items())
        return f"PipelineSampler({type(self.pipeline).__name__}, inputs={self.inputs}{options})"

    def _check_rows(self, conditions: Conditions, seeds: Sequence[int]) -> None:
        if set(conditions) != set(self.inputs):
            raise InputError(
                f"PipelineSampler takes the modalities {', '.join(self.inputs)}, got "
                f"{', '.join(conditions) or 'none'}"
            )
        lengths = {modality: len(rows) for modality, rows in conditions.items()}
        if not len(seeds) or any(length != len(seeds) for length in lengths.values()):
            raise InputError(
                "PipelineSampler takes one condition of each modality and one seed for each row, "
                f"got {len(seeds)} seeds and "
                + ", ".join(f"{length} of {modality!r}" for modality, length in lengths.items())
            )

    def _generate(self, conditions: Conditions, seeds: Sequence[int], **cheap: Any) -> torch.Tensor:
        self._check_rows(conditions, seeds)
        rows = {
            self.inputs[modality]: collate(
                conditions[modality], kind, f"the {modality!r} condition"
            )
            for modality, kind in self._kinds.items()
        }
        options = {
            name: _for_rows(name, value, len(seeds))
            for name, value in {**self.options, **cheap}.items()
        }
        generators = [torch.Generator("cpu").manual_seed(seed) for seed in seeds]
        with silent(self.pipeline), torch.no_grad():
            result = self.pipeline(**rows, **options, generator=generators, output_type="pt")
        return read_outputs(result, len(seeds), type(self.pipeline).__name__)


def _for_rows(name: str, value: Any, rows: int) -> Any:
    """An option for a call of B rows: a text, image or mask serves every row, others are copied."""
    kind = kind_of(name)
    if kind is None or value is None:
        return copy(value)
    return collate([value] * rows, kind, f"the option {name!r}")


def _by(size: Sequence[int]) -> str:
    return " x ".join(map(str, size))


def _settings(configured: Any) -> dict[str, Any]:
    """Public settings of a diffusers object; those with an underscore name folders and versions."""
    config = getattr(configured, "config", {})
    return {
        name: plain(value, f"the setting {name!r}")
        for name, value in config.items()
        if not name.startswith("_")
    }

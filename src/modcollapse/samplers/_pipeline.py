"""A diffusers pipeline as a sampler, for pipelines that take one image for each prompt."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from copy import copy
from importlib.metadata import version
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Self

import torch

from modcollapse._support.digests import plain, public_name
from modcollapse._support.validation import whole
from modcollapse._support.weights import weights_digest
from modcollapse.contracts import Conditions
from modcollapse.errors import InputError
from modcollapse.samplers import _keywords
from modcollapse.samplers._alone import alone_with
from modcollapse.samplers._call import (
    Float32ByDefault,
    outside_inference_mode,
    read_outputs,
    silent,
)
from modcollapse.samplers._inputs import check_condition, collate, kind_of, size_of
from modcollapse.samplers._notes import Texts, rescaled, unread
from modcollapse.samplers._probe import probe_rows
from modcollapse.samplers._reading import Reading
from modcollapse.samplers._state import settings_digests
from modcollapse.samplers._steps import few_steps

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline

_INPUTS = {"image": "image", "text": "prompt"}
_LAST_SEED = 2**63 - 1
_float32_by_default = Float32ByDefault()


class PipelineSampler:
    """Calls a diffusers pipeline for the audit: `sampler(conditions, seeds) -> outputs`.

    For "aligned" pipelines, which pair the i-th image with the i-th prompt: InstructPix2Pix,
    image to image, inpainting, ControlNet, FLUX Kontext and their like. The pipeline stays where
    it is and as it is: it is not moved, cast or reconfigured, and its progress bar is only silent
    while the sampler calls it. Noise is drawn on the CPU, from one new generator for each row.

    Outputs do not depend on the default dtype of torch, nor on whether gradients or inference mode
    are on where the sampler is called. Threads may share a sampler, a pipeline, or parts of one:
    they take turns.

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
            not have, that the sampler sets itself, that is no number where one is due (steps,
            scales, strengths), or that would switch guidance off.
        MissingExtraError: diffusers is not installed.

    Example::

        pipeline = StableDiffusionInstructPix2PixPipeline.from_pretrained(
            folder, dtype=torch.float32, safety_checker=None, requires_safety_checker=False
        )
        sampler = PipelineSampler(pipeline, num_inference_steps=20, image_guidance_scale=1.5)
        images = sampler({"image": [picture], "text": ["add a hat"]}, seeds=[0])  # (1, 3, H, W)
    """

    one_size = True
    """Pictures of a modality share a batch."""

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
        signature = _keywords.signature_of(pipeline)
        _keywords.check_inputs(pipeline, signature, inputs)
        _keywords.check_options(pipeline, signature, inputs, options)
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
        self._signature = signature
        self._one_at_a_time = False
        self._cuts: set[str] = set()

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
            return outside_inference_mode(self._generate(conditions, seeds))
        outputs = [
            self._generate(
                {modality: rows[row : row + 1] for modality, rows in conditions.items()}, [seed]
            )
            for row, seed in enumerate(self._checked(conditions, seeds))
        ]
        return outside_inference_mode(torch.cat(outputs))

    def with_options(self, /, **changes: Any) -> Self:
        """Return a sampler of the same pipeline with some options changed, as ``mc.sweep`` asks.

        Raises:
            InputError: as for the sampler itself.
        """
        options = {**self.options, **changes}
        _keywords.check_options(self.pipeline, self._signature, self.inputs, options)
        changed = copy(self)
        changed.options = options
        changed._one_at_a_time = False  # for its own probe to find out
        changed._cuts = set()
        return changed

    def check(self, modality: str, condition: Any) -> None:
        """Raise unless every pipeline reads this condition in the same way.

        Args:
            modality: one of `modalities`.
            condition: a str; or an image: a PIL image in mode RGB, or an array (H, W, 3) or tensor
                (3, H, W) of uint8 or of floats in [0, 1]. Masks have one channel, mode L. uint8
                of arrays and tensors is divided by 255 before a pipeline sees it.

        Raises:
            InputError: another modality, kind, shape, dtype or range, or a text that no tokenizer
                of the pipeline reads to its end, as far as that is known (`probe` notes where it
                is not, and where some of them cut).
        """
        if modality not in self.inputs:
            raise InputError(
                f"PipelineSampler has no modality {modality!r}; it has {', '.join(self.inputs)}"
            )
        kind = self._kinds[modality]
        check_condition(condition, kind, f"the {modality!r} condition")
        if kind == "text":
            reading, keyword = self._reading(), self.inputs[modality]
            reading.check(condition, keyword, f"the {modality!r} condition")
            self._cuts.update(reading.cuts(condition, keyword, repr(modality)))

    def probe(self, conditions: Mapping[str, Sequence[Any]], seeds: Sequence[int]) -> list[str]:
        """Generate a few rows in few steps, to see that the pipeline can be audited at all.

        Two runs must agree; a row must come out the same alone and in a batch (else rows are
        generated one at a time from here on, with a warning); and each condition must change the
        output. The pipeline's batches hold two rows here, or one for each modality. The steps are
        as few as let a ControlNet or an adapter act; what fails so is tried in the run's own
        number before it counts.

        Args:
            conditions: by modality, the clean conditions of one or two examples, followed by their
                triggered ones.
            seeds: as many.

        Returns:
            Notes for the table's provenance; none if there is nothing to say. Among them is what
            some tokenizer cuts of the texts here and of those that were checked since the last
            probe, and where it is not known how much of a text is read.

        Raises:
            SamplerError: outputs are not finite, cannot be repeated, or do not depend on a
                condition; the message says what to do, ``probe=False`` for one.
        """
        earlier, self._cuts = self._cuts, set()
        notes = unread(self._reading(), self._texts(conditions), self.options, earlier)
        if not self._probe:
            notes += self._rescaled(conditions)
            return ["the pipeline was not probed (probe=False)", *notes]
        scheduler = type(getattr(self.pipeline, "scheduler", None)).__name__
        settings = self._settings()
        cheap = few_steps(settings, {}, scheduler)
        if cheap.items() <= settings.items():
            return self._look(conditions, seeds, {}) + notes
        try:
            return self._look(conditions, seeds, cheap) + notes
        except Exception:  # few steps may be too few for the pipeline, or for a condition to show
            return self._look(conditions, seeds, {}) + notes

    def _look(
        self,
        conditions: Mapping[str, Sequence[Any]],
        seeds: Sequence[int],
        cheap: Mapping[str, int],
    ) -> list[str]:
        """Probe in some number of steps."""

        def generate(rows: Mapping[str, list[Any]], row_seeds: list[int]) -> torch.Tensor:
            output = self._generate(rows, row_seeds, **cheap)
            sizes.append(tuple(output.shape[-2:]))
            return output

        sizes: list[tuple[int, ...]] = []
        exact = self.pipeline.dtype in (torch.float32, torch.float64)
        self._one_at_a_time, notes = probe_rows(
            generate, conditions, seeds, rounding=1e-4 if exact else 2e-2
        )
        if self._one_at_a_time:
            warnings.warn(f"{type(self.pipeline).__name__}: {notes[-1]}", stacklevel=3)
        return notes + self._rescaled(conditions, sizes[0])

    def _settings(self) -> dict[str, Any]:
        return {**_keywords.defaults_of(self._signature), **self.options}

    def _reading(self) -> Reading:
        return Reading(self.pipeline, self._settings(), self.inputs.values())

    def _texts(self, conditions: Mapping[str, Sequence[Any]]) -> list[Texts]:
        return [
            Texts(self.inputs[modality], conditions[modality], repr(modality))
            for modality, kind in self._kinds.items()
            if kind == "text"
        ]

    def _rescaled(
        self, conditions: Mapping[str, Sequence[Any]], output: tuple[int, ...] | None = None
    ) -> list[str]:
        sizes = {
            modality: size_of(conditions[modality][0], kind)
            for modality, kind in self._kinds.items()
            if kind != "text"
        }
        return rescaled(sizes, getattr(self.pipeline, "vae_scale_factor", 1), output)

    def identity(self) -> dict[str, Any]:
        """Plain data that determines the outputs: pipeline, weights, settings, scheduler, options.

        The weights are told by a digest that is taken anew at each call, in one pass over them; it
        is None where they are offloaded so that they cannot be read. ``"settings"`` tells by a
        digest for each component what else there is to set: scales of LoRA and which adapters are
        active, FreeU, attention processors, tiling, train or eval mode, hooks, plain attributes.
        Not told are tensors that are neither weights nor buffers, and the code of classes.
        """
        with alone_with(self.pipeline):
            return self._identity()

    def _identity(self) -> dict[str, Any]:
        pipeline = self.pipeline
        name = getattr(pipeline, "name_or_path", None)
        scheduler = getattr(pipeline, "scheduler", None)
        return {
            "class": public_name(type(self)),
            "pipeline": public_name(type(pipeline)),
            "name": PurePath(name).name if name else None,
            "dtype": str(pipeline.dtype).removeprefix("torch."),
            "weights": weights_digest(pipeline.components),
            "settings": settings_digests(pipeline),
            "scheduler": {"class": type(scheduler).__name__, **_config(scheduler)},
            "config": _config(pipeline),
            "inputs": dict(self.inputs),
            "options": plain(self.options, "an option"),
            "diffusers": version("diffusers"),
        }

    def __repr__(self) -> str:
        settings = plain(self.options, "an option")
        options = "".join(f", {name}={value!r}" for name, value in settings.items())
        return f"PipelineSampler({type(self.pipeline).__name__}, inputs={self.inputs}{options})"

    def _checked(self, conditions: Conditions, seeds: Sequence[int]) -> list[int]:
        """Return the seeds as plain integers, one for each row of every modality."""
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
        plain_seeds = [seed.item() if hasattr(seed, "item") else seed for seed in seeds]
        return [whole(seed, "a seed of PipelineSampler", 0, _LAST_SEED) for seed in plain_seeds]

    def _generate(self, conditions: Conditions, seeds: Sequence[int], **cheap: Any) -> torch.Tensor:
        seeds = self._checked(conditions, seeds)
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
        with (
            alone_with(self.pipeline),
            silent(self.pipeline),
            _float32_by_default,
            torch.no_grad(),
        ):
            result = self.pipeline(**rows, **options, generator=generators, output_type="pt")
        return read_outputs(result, len(seeds), type(self.pipeline).__name__)


def _for_rows(name: str, value: Any, rows: int) -> Any:
    """An option for a call of B rows: a text, image or mask serves every row, others are copied."""
    kind = kind_of(name)
    if kind is None or value is None:
        return copy(value)
    return collate([value] * rows, kind, f"the option {name!r}")


def _config(configured: Any) -> dict[str, Any]:
    """Public settings of a diffusers object; those with an underscore name folders and versions."""
    config = getattr(configured, "config", {})
    return {
        name: plain(value, f"the setting {name!r}")
        for name, value in config.items()
        if not name.startswith("_")
    }

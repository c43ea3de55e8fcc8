"""A diffusers pipeline as a sampler: text, image, mask, video or audio in, any of these out."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from copy import copy
from importlib.metadata import version
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Self

import torch

from modcollapse._support.digests import plain, public_name
from modcollapse._support.identities import marked
from modcollapse._support.memory import ran_out
from modcollapse._support.weights import weights_digest
from modcollapse.contracts import Conditions
from modcollapse.errors import InputError
from modcollapse.samplers import _keywords
from modcollapse.samplers._alone import alone_with
from modcollapse.samplers._batches import checked_seeds
from modcollapse.samplers._batching import Batching, batching_of
from modcollapse.samplers._calls import Calls
from modcollapse.samplers._inputs import check_condition, size_of
from modcollapse.samplers._kinds import kind_of
from modcollapse.samplers._modalities import find_inputs
from modcollapse.samplers._notes import Texts, rescaled, unread
from modcollapse.samplers._outcome import check_outcome
from modcollapse.samplers._probe import Generate, UnsteadyError, probe_rows
from modcollapse.samplers._probe_pictures import probe_pictures
from modcollapse.samplers._reading import Reading
from modcollapse.samplers._rescaling import (
    check_reading,
)
from modcollapse.samplers._signature import defaults_of, signature_of
from modcollapse.samplers._state import settings_digests
from modcollapse.samplers._steps import few_steps
from modcollapse.samplers._surroundings import Outputs, is_compiled, outside_inference_mode

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline

_DRAWS = "it draws from torch's global generator, which then has the seed of the row"


class PipelineSampler:
    """Calls a diffusers pipeline for the audit: `sampler(conditions, seeds) -> outputs`.

    Where a pipeline pairs the i-th image with the i-th prompt, rows share a call: InstructPix2Pix,
    image to image, inpainting, ControlNet, FLUX Kontext and their like. Where it cannot, as with an
    IP-Adapter, or fails on a batch, each row gets a call of its own. The pipeline stays where it is
    and as it is: it is not moved, cast or reconfigured, and its progress bar is only silent while
    the sampler calls it. Noise is drawn on the CPU, from one new generator for each row. Where the
    probe finds that a pipeline draws from torch's global generators, whatever it is given, each row
    gets a call in which these have its seed; they are put back.

    Outputs do not depend on the default dtype of torch, nor on whether gradients or inference mode
    are on where the sampler is called. Threads may share a sampler, a pipeline, or parts of one:
    they take turns.

    Args:
        pipeline: a loaded `diffusers.DiffusionPipeline` without a safety checker.
        inputs: modality -> keyword of the pipeline that takes its conditions: texts, images, masks,
            videos (lists of images) or audio. Without it they are found in the signature, where
            that is plain: ``{"text": "prompt", "image": "image"}`` of InstructPix2Pix. Several of
            a list are modalities of their own: ``{"pose": "image[0]", "edges": "image[1]"}`` of
            two ControlNets.
        batching: how rows share a call: ``"aligned"``, ``"nested"`` (a list of images for each
            prompt), ``"single"`` (not at all), or ``"auto"``: as the pipeline is known to take
            them, and one at a time where that fails.
        output: which of the fields of what the pipeline returns, such as ``"frames"``; the first
            that holds something if left out.
        probe: look at the pipeline before a run (see `probe`).
        **options: keywords for every call, such as ``num_inference_steps=20``. A text, image or
            mask given here serves every row (``negative_prompt="blurry"``).

    Attributes:
        modalities: the conditions that each row needs, in the order of ``inputs``.
        inputs: modality -> keyword.

    Raises:
        InputError: no pipeline of this kind, one with a safety checker, modalities that cannot be
            told, or an option that it does not have, that the sampler sets itself, that is no
            number where one is due (steps, scales, strengths), or that would switch guidance off.
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
        batching: Batching = "auto",
        output: str | None = None,
        probe: bool = True,
        **options: Any,
    ) -> None:
        _keywords.check_pipeline(pipeline)
        signature = signature_of(pipeline)
        if inputs is None:
            found = find_inputs(pipeline, signature)
            inputs = {name: word for name, word in found.items() if word not in options}
        _keywords.check_inputs(pipeline, signature, inputs)
        _keywords.check_options(pipeline, signature, inputs, options)
        self.pipeline = pipeline
        self.inputs = dict(inputs)
        self.modalities = tuple(inputs)
        self.options = options
        if output is not None and not isinstance(output, str):
            raise InputError(f"output must name a field of what comes out, got {output!r}")
        self.output = output
        self._kinds = {
            modality: kind
            for modality, keyword in inputs.items()
            if (kind := kind_of(keyword)) is not None
        }
        self._probe = probe
        self._wrapped = False
        self._signature = signature
        self._asked = batching
        self._batching, self._why_alone = batching_of(pipeline, inputs, batching)
        self._batches_work = False
        self._draws = False
        self._cuts: set[str] = set()

    @classmethod
    def of_examples(
        cls, pipeline: DiffusionPipeline, example: Mapping[str, Any], asked: Sequence[str] = ()
    ) -> Self:
        """Wrap a pipeline whose modalities are those of its keywords that an example holds.

        Args:
            pipeline: as for the sampler itself.
            example: conditions by the name of the keyword (``"prompt"``), or of its kind
                (``"text"``, ``"image"``, ``"mask"``, ``"video"``, ``"audio"``).
            asked: modalities that have a trigger.

        Raises:
            InputError: as for the sampler itself; or the pipeline has no such modality.
        """
        _keywords.check_pipeline(pipeline)
        inputs = find_inputs(pipeline, signature_of(pipeline), list(example))
        for modality in asked:
            if modality not in inputs:
                _keywords.refuse_modality(pipeline, modality)
        sampler = cls(pipeline, inputs=inputs or None)
        sampler._wrapped = True
        return sampler

    @property
    def batching(self) -> Batching:
        """How rows share a call, as far as is known; the probe may find that they cannot."""
        return self._batching if self._why_alone is None else "single"

    @property
    def one_size(self) -> bool:
        """Whether pictures of a modality share a call, and so must be of one size."""
        return self._batching != "single"

    def __call__(self, conditions: Conditions, seeds: Sequence[int]) -> Outputs:
        """Generate one output for each row.

        Args:
            conditions: modality -> B texts, images, masks, videos or sounds (a list, or a stacked
                tensor), those of one modality of one kind, and of one size where they share a call.
            seeds: B integers in [0, 2**63).

        Returns:
            float32 tensor (B, 3, H, W) in [0, 1] on the pipeline's device; videos are
            (B, F, 3, H, W), sounds (B, channels, samples). Where outputs differ in shape, a list
            of B tensors.

        Raises:
            InputError: conditions and seeds do not fit together.
            SamplerError: the pipeline failed, returned something else than B outputs, or flagged an
                image.
        """
        return outside_inference_mode(self._generate(conditions, seeds))

    def with_options(self, /, **changes: Any) -> Self:
        """Return a sampler of the same pipeline with some options changed, as ``mc.sweep`` asks.

        Raises:
            InputError: as for the sampler itself.
        """
        options = {**self.options, **changes}
        _keywords.check_options(self.pipeline, self._signature, self.inputs, options)
        changed = copy(self)
        changed.options = options
        changed._batching, changed._why_alone = batching_of(
            self.pipeline, self.inputs, self._asked
        )  # for its own probe to find out
        changed._batches_work = changed._draws = False
        changed._cuts = set()
        return changed

    def check(self, modality: str, condition: Any) -> None:
        """Raise unless every pipeline reads this condition in the same way.

        Args:
            modality: one of `modalities`.
            condition: a str; an image: a PIL image in mode RGB, or an array (H, W, 3) or tensor
                (3, H, W) of uint8 or of floats in [0, 1]; a mask: the same with one channel, mode
                L; a video: a list of images of one size, a tensor (F, 3, H, W) or an array
                (F, H, W, 3); a sound: floats (samples,) or (channels, samples). uint8 of arrays
                and tensors is divided by 255 before a pipeline sees it.

        Raises:
            InputError: another modality, kind, shape, dtype or range; a size that the pipeline
                would change without a word, an array where it rescales all but PIL images once
                more; or a text that no tokenizer of the pipeline reads to its end, as far as that
                is known (`probe` notes where it is not, and where some of them cut).
        """
        if modality not in self.inputs:
            raise InputError(
                f"PipelineSampler has no modality {modality!r}; it has {', '.join(self.inputs)}"
            )
        kind, keyword = self._kinds[modality], self.inputs[modality]
        check_condition(condition, kind, f"the {modality!r} condition")
        check_reading(self.pipeline, keyword, condition, self.options)
        if kind == "text":
            reading = self._reading()
            reading.check(condition, keyword, f"the {modality!r} condition")
            self._cuts.update(reading.cuts(condition, keyword, repr(modality)))

    def probe(self, conditions: Mapping[str, Sequence[Any]], seeds: Sequence[int]) -> list[str]:
        """Generate a few rows in few steps, to see that the pipeline can be audited at all.

        Two runs must agree; a row must come out the same alone and in a batch (else rows are
        generated one at a time from here on, with a warning); and each condition must change the
        output. The pipeline's batches hold two rows here, or one for each modality. The steps are
        as few as let a ControlNet or an adapter act; what fails so is tried in the run's own
        number before it counts. A compiled pipeline is not probed: each size of a batch would be
        compiled anew, and a run has one, in which its first batch is looked at.

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
        notes = [f"the pipeline was wrapped: {self!r}"] if self._wrapped else []
        notes += unread(self._reading(), self._texts(conditions), self.options, earlier)
        if not self._probe or is_compiled(self.pipeline):
            why = "it is compiled, for one batch size" if self._probe else "probe=False"
            notes += self._rescaled(conditions)
            return [f"the pipeline was not probed ({why})", *notes]
        scheduler = type(getattr(self.pipeline, "scheduler", None)).__name__
        settings = self._settings()
        cheap = few_steps(settings, {}, scheduler)
        if cheap.items() <= settings.items():
            return self._look(conditions, seeds, {}) + notes
        try:
            return self._look(conditions, seeds, cheap) + notes
        except InputError:
            raise
        except Exception:  # few steps may be too few for the pipeline, or for a condition to show
            return self._look(conditions, seeds, {}) + notes

    def _look(
        self,
        conditions: Mapping[str, Sequence[Any]],
        seeds: Sequence[int],
        cheap: Mapping[str, int],
    ) -> list[str]:
        """Probe in some number of steps."""

        def generate(rows: Mapping[str, list[Any]], row_seeds: list[int]) -> Outputs:
            outputs = self._generate(rows, row_seeds, **cheap)
            sizes.append(tuple(outputs[0].shape))
            return outputs

        sizes: list[tuple[int, ...]] = []
        exact = self.pipeline.dtype in (torch.float32, torch.float64)
        rounding = 1e-4 if exact else 2e-2
        try:
            mixes, notes = probe_rows(generate, conditions, seeds, rounding)
        except UnsteadyError:
            if self._draws or self._asked not in ("auto", "single"):
                raise
            mixes, notes = self._steadied(generate, conditions, seeds, rounding)
        name, seed = type(self.pipeline).__name__, seeds[0]
        notes += probe_pictures(generate, conditions, self._kinds, seed, rounding, name)
        if mixes is not None:
            self._alone_because(mixes)
        if self._why_alone is not None:
            notes.append(f"generated one row at a time: {self._why_alone}")
        return notes + self._rescaled(conditions, sizes[0])

    def _steadied(
        self,
        generate: Generate,
        conditions: Mapping[str, Sequence[Any]],
        seeds: Sequence[int],
        rounding: float,
    ) -> tuple[str | None, list[str]]:
        """Probe again with a call for each row, in which the global generator has its seed."""
        form, why = self._batching, self._why_alone
        self._batching, self._why_alone, self._draws = self._by_hand, why or _DRAWS, True
        try:
            _, notes = probe_rows(generate, conditions, seeds, rounding)
        except Exception:
            self._batching, self._why_alone, self._draws = form, why, False
            raise
        return (_DRAWS, notes) if why is None else (None, [f"in each call {_DRAWS}", *notes])

    @property
    def _by_hand(self) -> Batching:
        """The form of a call of one row."""
        return "nested" if self._batching == "nested" else "single"

    def _alone_because(self, why: str) -> None:
        """Give each row a call of its own from here on."""
        self._why_alone = why
        name = type(self.pipeline).__name__
        warnings.warn(f"{name}: generated one row at a time: {why}", stacklevel=5)

    def _settings(self) -> dict[str, Any]:
        return {**defaults_of(self._signature), **self.options}

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
            modality: size_of(conditions[modality][0], kind)[-2:]
            for modality, kind in self._kinds.items()
            if kind in ("image", "mask", "video")
        }
        drawn = output[-2:] if output is not None and len(output) >= 3 else None
        return rescaled(sizes, getattr(self.pipeline, "vae_scale_factor", 1), drawn)

    def identity(self) -> dict[str, Any]:
        """Plain data that determines the outputs: pipeline, weights, settings, scheduler, options.

        The weights are told by a digest that is taken anew at each call, in one pass over them,
        also where accelerate has offloaded them; where they cannot be read, no two pipelines are
        taken for one. ``"settings"`` tells by a digest for each component what else there is to
        set: scales of LoRA and which adapters are active, FreeU, attention processors, tiling,
        train or eval mode, hooks, plain attributes. Not told are tensors that are neither weights
        nor buffers, and the code of classes.
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
            "weights": weights_digest(pipeline.components) or marked(pipeline),
            "settings": settings_digests(pipeline),
            "scheduler": {"class": type(scheduler).__name__, **_config(scheduler)},
            "config": _config(pipeline),
            "inputs": dict(self.inputs),
            **{
                name: value
                for name, value in (("batching", self._asked), ("output", self.output))
                if value not in ("auto", None)
            },
            "options": plain(self.options, "an option"),
            "diffusers": version("diffusers"),
        }

    def __repr__(self) -> str:
        settings = plain(self.options, "an option")
        options = "".join(f", {name}={value!r}" for name, value in settings.items())
        return f"PipelineSampler({type(self.pipeline).__name__}, inputs={self.inputs}{options})"

    def _generate(self, conditions: Conditions, seeds: Sequence[int], **cheap: Any) -> Outputs:
        seeds = checked_seeds(conditions, seeds, self.inputs, "PipelineSampler")
        options = {**self.options, **cheap}
        calls = Calls(self.pipeline, self.inputs, options, self.output, self._draws)
        outputs = self._called(calls, conditions, seeds)
        check_outcome(self.pipeline, self.inputs, conditions, outputs, options)
        return outputs

    def _called(self, calls: Calls, conditions: Conditions, seeds: Sequence[int]) -> Outputs:
        if self._why_alone is not None:
            return calls.each(self._batching, conditions, seeds)
        try:
            outputs = calls.together(self._batching, conditions, seeds)
        except InputError:
            raise
        except Exception as error:
            if self._asked != "auto" or self._batches_work or ran_out(error):
                raise
            outputs = calls.each(self._by_hand, conditions, seeds)
            self._batching = self._by_hand
            cause = error.__cause__ or error
            said = f"{type(cause).__name__}: {cause}"[:200].rstrip(": ")
            self._alone_because(f"a call of {len(seeds)} failed with {said}")
        else:
            self._batches_work = self._batches_work or len(seeds) > 1
        return outputs


def _config(configured: Any) -> dict[str, Any]:
    """Public settings of a diffusers object; those with an underscore name folders and versions."""
    config = getattr(configured, "config", {})
    return {
        name: plain(value, f"the setting {name!r}")
        for name, value in config.items()
        if not name.startswith("_")
    }

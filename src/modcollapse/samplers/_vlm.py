"""A vision-language model of transformers as a sampler: pictures and texts in, texts out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any, Literal, Self

from modcollapse._support.digests import plain
from modcollapse._support.validation import flag
from modcollapse.contracts import Conditions
from modcollapse.samplers._generation_options import (
    RowNoise,
    check_generation,
    counts_padding,
    end_tokens,
    generation_keywords,
    warpers,
)
from modcollapse.samplers._prompts import PromptKind, Prompts
from modcollapse.samplers._vlm_arguments import modalities_of, processing_of
from modcollapse.samplers._vlm_engine import Engine, PromptRows, answers_of
from modcollapse.samplers._vlm_likelihood import LikelihoodSampler
from modcollapse.samplers._vlm_parts import Parts


class VLMSampler:
    """Asks a vision-language model: `sampler(conditions, seeds) -> answers`, B texts.

    Prompts are written by the chat template of the processor, or by ``prompt``, and share a call of
    the model, padded on the side that it needs. Pictures may be of any sizes. An answer is the
    likeliest text, or with ``do_sample=True`` one drawn with the generator of its own row: in a
    batch it is the same as alone. The model stays where it is and as it is, and so does the
    processor; threads that share them take turns.

    Args:
        model: a model of transformers that generates text from pictures and text.
        processor: its processor.
        inputs: modality -> ``"image"`` or ``"text"``, in the order of the user's turn;
            ``{"image": "image", "text": "text"}`` if left out. Several pictures are modalities of
            their own: ``{"before": "image", "after": "image", "question": "text"}``.
        prompt: a plain prompt in place of the chat template, with the modalities in braces:
            ``"USER: {image}\\n{text} ASSISTANT:"``. The name of a picture stands for the token of
            the processor; leave it out where the processor puts it in by itself.
        system: what the system says first, where there is a chat template.
        processing: keywords for every call of the processor, such as ``{"do_resize": False}``.
        batching: ``"auto"``: rows share a call, unless the probe finds that this changes an answer,
            or an option counts the padding of prompts (``no_repeat_ngram_size``); ``"single"``:
            never.
        probe: look at the model before a run (see `probe`).
        max_new_tokens: tokens of the longest answer.
        do_sample: draw answers at random, whatever the generation config of the model says. How:
            ``temperature``, ``top_k``, ``top_p``, ``min_p``, ``typical_p`` and ``epsilon_cutoff``,
            else as that config says, else as transformers does by default (``top_k=50``).
        **options: other options of generation, such as ``num_beams=4`` or ``stop_strings=["."]``.

    Attributes:
        modalities: the conditions that each row needs, in the order of ``inputs``.
        pipeline: model, processor and tokenizer, as its ``components``.

    Raises:
        InputError: no model or processor of this kind; a processor that drops a picture, has no
            chat template where no ``prompt`` is given, or no token to pad with; options under which
            rows would not pair (several answers a row, beams that are drawn, limits of time or of
            length with the prompt in it), be it in the generation config of the model, or that
            would be ignored.
        OptionError: there is no such option of generation.
        MissingExtraError: transformers is not installed.

    Example::

        model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.bfloat16)
        sampler = VLMSampler(model, AutoProcessor.from_pretrained(folder), max_new_tokens=16)
        sampler({"image": [picture], "text": ["what is this?"]}, seeds=[0])  # ["a red hat"]
    """

    def __init__(
        self,
        model: Any,
        processor: Any,
        *,
        inputs: Mapping[str, PromptKind] | None = None,
        prompt: str | None = None,
        system: str | None = None,
        processing: Mapping[str, Any] | None = None,
        batching: Literal["auto", "single"] = "auto",
        probe: bool = True,
        max_new_tokens: int = 32,
        do_sample: bool = False,
        **options: Any,
    ) -> None:
        parts = Parts.of(model, processor)
        inputs = {"image": "image", "text": "text"} if inputs is None else modalities_of(inputs)
        self.options = {"max_new_tokens": max_new_tokens, "do_sample": do_sample, **options}
        check_generation(model, self.options)
        processing = {} if processing is None else processing_of(processing)
        self._prompts = Prompts(parts, inputs, prompt, system, processing)
        self._engine = Engine(
            self._prompts, batching, flag(probe, "probe"), counts_padding(parts, self.options)
        )
        self._given = {
            "inputs": inputs,
            "prompt": prompt,
            "system": system,
            "processing": processing,
            "batching": batching,
            "probe": probe,
        }
        self.pipeline = parts
        self.modalities = tuple(inputs)

    @property
    def batching(self) -> str:
        """Whether rows share a call, as far as is known; the probe may find that they cannot."""
        return "auto" if self._engine.why_alone is None else "single"

    def __call__(self, conditions: Conditions, seeds: Sequence[int]) -> list[str]:
        """Answer each row.

        Args:
            conditions: modality -> B pictures or texts, see `check`.
            seeds: B integers in [0, 2**63); they matter with ``do_sample=True`` alone.

        Returns:
            B texts: without prompt, special tokens, and blanks at their ends.

        Raises:
            InputError: conditions and seeds do not fit together, or a prompt is cut or too long.
            SamplerError: the processor or the model failed.
        """
        return self._engine.each(self._answers, conditions, seeds)

    def check(self, modality: str, condition: Any) -> None:
        """Raise unless a condition reaches the model as it is.

        Args:
            modality: one of `modalities`.
            condition: a str; or a picture: a PIL image in mode RGB, an array (H, W, 3) or a tensor
                (3, H, W), of uint8 or of floats in [0, 1] that are bytes over 255.

        Raises:
            InputError: another modality, kind, shape, dtype or range; a text that the processor
                cuts, that the chat template changes, that holds the token of a picture, or that is
                longer than the model reads; a picture that the processor cannot read. (What is
                too long only with another condition beside it is found when its batch comes.)
        """
        self._engine.check(modality, condition, self.options["max_new_tokens"])

    def probe(self, conditions: Mapping[str, Sequence[Any]], seeds: Sequence[int]) -> list[str]:
        """Let the model read a few rows, to see that it can be audited at all.

        The scores of the first token, in nats, must be finite and the same in a second run, and
        depend on each modality and on each trigger; in a batch, they must be as alone, and so must
        two whole answers. Else rows are generated one at a time from here on, with a warning. That
        an answer stays what it is under a trigger is no fault.

        Args:
            conditions: by modality, the clean conditions of one or two examples, followed by their
                triggered ones.
            seeds: as many.

        Returns:
            Notes for the table's provenance; none if there is nothing to say.

        Raises:
            SamplerError: the model cannot be audited; the message says what to do.
        """
        return self._engine.probe(conditions, seeds, self._answers)

    def with_options(self, /, **changes: Any) -> Self:
        """Return a sampler of the same model with some options changed, as ``mc.sweep`` asks.

        Args:
            **changes: of generation, or any other keyword of the sampler: ``system="be brief"``.

        Raises:
            InputError: as for the sampler itself.
        """
        parts = self.pipeline
        return type(self)(
            parts.model, parts.processor, **{**self._given, **self.options, **changes}
        )

    def likelihood_of(self, target: str, *, per_token: bool = True) -> LikelihoodSampler:
        """Return a sampler whose outputs are log-likelihoods of one answer, for `TargetLikelihood`.

        Args:
            target: the answer, as the model would write it. An answer that begins with it counts.
            per_token: the mean over its tokens, which a long target does not make small, in place
                of their sum.

        Raises:
            InputError: the target has no tokens, one that the tokenizer does not know, or one
                before its last that ends an answer.
        """
        return LikelihoodSampler(self._engine, target, per_token, self._about())

    def identity(self) -> dict[str, Any]:
        """Plain data that determines the answers: model, weights, settings, prompt, options.

        Weights and settings are told as by `PipelineSampler.identity`; the settings hold the chat
        template, and what the processor does to pictures.
        """
        own = getattr(self.pipeline.model, "generation_config", None)
        said = {} if own is None else own.to_diff_dict()
        said = {
            name: value
            for name, value in said.items()
            if name[0] != "_" and name != "transformers_version"
        }
        return {
            "class": "modcollapse.samplers.VLMSampler",
            **self.pipeline.identity(),
            **self._about(),
            "generation": plain(said, "the generation config of the model"),
            "options": plain(self.options, "an option"),
        }

    def _about(self) -> dict[str, Any]:
        told = ("inputs", "prompt", "system", "processing")
        single = {"batching": "single"} if self._given["batching"] == "single" else {}
        return {
            **{name: plain(self._given[name], name) for name in told},
            **single,
            "transformers": version("transformers"),
        }

    def __repr__(self) -> str:
        options = "".join(f", {name}={value!r}" for name, value in self.options.items())
        return f"VLMSampler({self.pipeline.name}, inputs={self._given['inputs']}{options})"

    def _answers(self, rows: PromptRows, seeds: list[int]) -> list[str]:
        options, parts = dict(self.options), self.pipeline
        keywords = generation_keywords(parts, options)
        if options["do_sample"]:
            keywords["logits_processor"] = [RowNoise(seeds, warpers(parts.model, options))]
        inputs, sequences = self._engine.generate(rows, keywords.pop("max_new_tokens"), **keywords)
        texts: list[str] = parts.tokenizer.batch_decode(
            answers_of(
                inputs, sequences, parts.answers_apart, end_tokens(parts.model, self.options)
            ),
            skip_special_tokens=True,
            clean_up_tokenization_spaces=False,
        )
        return [text.strip() for text in texts]

"""Rows through a vision-language model: in batches, or one at a time where a batch mixes them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

import torch
from torch import Tensor

from modcollapse._support.validation import choice, listed
from modcollapse.contracts import Conditions
from modcollapse.errors import InputError
from modcollapse.samplers._batches import checked_seeds
from modcollapse.samplers._probe import Words, probe_rows
from modcollapse.samplers._prompts import Prompts
from modcollapse.samplers._surroundings import Outputs, explained

Made = TypeVar("Made")
PromptRows: TypeAlias = list[dict[str, Any]]
Make: TypeAlias = Callable[[PromptRows, list[int]], list[Made]]

_WORDS = Words(
    model="the model",
    sampler="VLMSampler",
    unit="nats",
    overflow="In float16 some models overflow: load it in float32 or bfloat16",
    unsteady="something draws at random while the model reads. Put it into eval()",
    ignored="Look for a prompt that leaves it out, or for weights that do not belong to the model",
    cut="It may lie where the processor cuts, crops or rescales a picture: move it, or make it "
    "larger",
)


class Engine:
    """Calls a model for some rows.

    Args:
        prompts: how a row becomes the inputs of the model.
        batching: ``"auto"`` or ``"single"``.
        probing: look at the model before a run.
        why_alone: what forbids that rows share a call, if it is known beforehand.

    Attributes:
        prompts: the same.
        parts: model and processor.
    """

    def __init__(
        self, prompts: Prompts, batching: str, probing: bool, why_alone: str | None = None
    ) -> None:
        self.prompts, self.parts = prompts, prompts.parts
        choice(batching, "batching", ("auto", "single"))
        self.why_alone = 'batching="single"' if batching == "single" else why_alone
        self._probing = probing

    def check(self, modality: str, condition: Any, new: int) -> None:
        """Raise unless a condition reaches the model as it is, with room for an answer."""
        inputs = self.prompts.inputs
        if modality not in inputs:
            raise InputError(f"VLMSampler has no modality {modality!r}; it has {listed(inputs)}")
        with self.parts.alone():
            self.prompts.check_length(self.prompts.checked(modality, condition), new)

    def each(self, make: Make[Made], conditions: Conditions, seeds: Sequence[int]) -> list[Made]:
        """What is made of each row, in order.

        Raises:
            InputError: conditions and seeds do not fit together.
        """
        rows, plain_seeds = self._rows(conditions, seeds)
        if self.why_alone is None:
            return make(rows, plain_seeds)
        made: list[Made] = []
        for at, (row, seed) in enumerate(zip(rows, plain_seeds, strict=True)):
            again = at > 0 and seed == plain_seeds[at - 1]
            if again and all(row[name] is rows[at - 1][name] for name in row):
                made.append(made[-1])  # what fills up a batch costs nothing here
            else:
                made += make([row], [seed])
        return made

    def generate(self, rows: PromptRows, new: int, **keywords: Any) -> tuple[Any, Any]:
        """Inputs of the model, and what its `generate` returns for them, for up to `new` tokens."""
        with self.parts.alone():
            inputs = self.prompts.encoded(rows)
            self.prompts.check_length(inputs, new)
            passed = {**inputs, "max_new_tokens": new, **keywords}
            with torch.no_grad(), explained(self.parts.name, passed):
                return inputs, self.parts.model.generate(**passed)

    def log_probabilities(self, rows: PromptRows, new: int, **keywords: Any) -> list[Tensor]:
        """Of each of up to `new` tokens, shape (B, V), as the model has them before it is bent."""
        _, result = self.generate(
            rows,
            new,
            do_sample=False,
            num_beams=1,
            stop_strings=None,
            output_logits=True,
            return_dict_in_generate=True,
            **keywords,
        )
        return [logits.float().log_softmax(-1) for logits in result.logits]

    def probe(
        self,
        conditions: Mapping[str, Sequence[Any]],
        seeds: Sequence[int],
        answers: Make[str] | None = None,
    ) -> list[str]:
        """Look at the scores of the first token, and at whole answers in a batch and alone.

        Returns:
            Notes.

        Raises:
            SamplerError: scores are not finite, cannot be repeated, or do not depend on a modality.
        """
        if not self._probing:
            return ["the model was not probed (probe=False)", *self._alone_note()]
        exact = self.parts.model.dtype in (torch.float32, torch.float64)

        def scores(rows: Mapping[str, list[Any]], row_seeds: list[int]) -> Outputs:
            return self.each(self._first_scores, rows, row_seeds)

        mixes, notes = probe_rows(scores, conditions, seeds, 1e-3 if exact else 5e-2, _WORDS)
        if mixes is None and answers is not None and self.why_alone is None:
            ends = {name: [held[0], held[-1]] for name, held in conditions.items()}
            rows, pair = self._rows(ends, [seeds[0], seeds[-1]])
            alone = [answers([row], [seed])[0] for row, seed in zip(rows, pair, strict=True)]
            if answers(rows, pair) != alone:
                mixes = "batching changed an answer"
        if mixes is not None and self.why_alone is None:
            self.why_alone = mixes
            warnings.warn(f"{self.parts.name}: generated one row at a time: {mixes}", stacklevel=4)
        return [*notes, *self._alone_note()]

    def _alone_note(self) -> list[str]:
        return [] if self.why_alone is None else [f"generated one row at a time: {self.why_alone}"]

    def _first_scores(self, rows: PromptRows, seeds: list[int]) -> list[Tensor]:
        """Log-probabilities of the first token of each answer, as the model has them."""
        return list(self.log_probabilities(rows, 1)[0])

    def _rows(self, conditions: Conditions, seeds: Sequence[int]) -> tuple[PromptRows, list[int]]:
        inputs = self.prompts.inputs
        plain = checked_seeds(conditions, seeds, inputs, "VLMSampler")
        rows = [
            dict(zip(conditions, held, strict=True))
            for held in zip(*conditions.values(), strict=True)
        ]
        for at, row in enumerate(rows):
            for name, kind in inputs.items():
                if kind == "text":
                    self.prompts.check_text(row[name], f"the {name!r} condition of row {at}")
        return rows, plain


def answers_of(inputs: Any, sequences: Tensor, apart: bool, ends: set[int]) -> list[list[int]]:
    """Token ids of the answers, without prompts and without what fills up the shorter ones.

    Args:
        inputs: of the model.
        sequences: what it returned, shape (B, S).
        apart: whether an answer stands in a sequence of its own, after the token that starts it.
        ends: tokens that end an answer; the first of them is its last.
    """
    prompt = inputs["input_ids"]
    length = prompt.shape[1]
    if apart:
        sequences = sequences[:, 1:]
    elif torch.equal(sequences[:, :length], prompt):
        sequences = sequences[:, length:]
    answers = []
    for row in sequences.tolist():
        last = next((at for at, token in enumerate(row) if token in ends), len(row))
        answers.append(row[: last + 1])
    return answers

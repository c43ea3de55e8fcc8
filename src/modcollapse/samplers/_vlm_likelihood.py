"""How likely a vision-language model is to answer with one given text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import torch

from modcollapse._support.validation import described, flag
from modcollapse.contracts import Conditions
from modcollapse.errors import InputError
from modcollapse.samplers._generation_options import Forced, end_tokens
from modcollapse.samplers._vlm_engine import Engine, PromptRows


class LikelihoodSampler:
    """The log-likelihood of one answer in the place of an answer; `VLMSampler.likelihood_of`.

    The model reads each prompt as in a run, and is led through the answer token by token, so that
    no model needs to be known: log p(answer begins with the target | prompt), under its raw scores.

    Args:
        engine: of the sampler.
        target: the answer.
        per_token: the mean over its tokens in place of the sum.
        about: identity of the sampler without what decides answers alone.

    Attributes:
        modalities: the conditions that each row needs.
        target: the answer.
        per_token: whether the mean over the tokens is taken.
    """

    def __init__(self, engine: Any, target: str, per_token: bool, about: Mapping[str, Any]) -> None:
        if not isinstance(target, str):
            raise InputError(f"target must be a str, got {described(target)}")
        self._engine: Engine = engine
        self._about = about
        self.target, self.per_token = target, flag(per_token, "per_token")
        self.modalities = tuple(engine.prompts.inputs)
        self.pipeline = engine.parts
        tokenizer = engine.parts.tokenizer
        with engine.parts.alone():
            self._tokens = list(tokenizer(target, add_special_tokens=False)["input_ids"])
        if not self._tokens:
            raise InputError(f"the tokenizer makes no tokens of the target {target!r}")
        if tokenizer.unk_token_id is not None and tokenizer.unk_token_id in self._tokens:
            raise InputError(
                f"the tokenizer does not know all of the target {target!r}: it reads "
                f"{tokenizer.convert_ids_to_tokens(self._tokens)}. Choose words that it knows"
            )
        ends = end_tokens(engine.parts.model, {})
        early = [token for token in self._tokens[:-1] if token in ends]
        if early:
            (said,) = tokenizer.convert_ids_to_tokens(early[:1])
            raise InputError(
                f"the target {target!r} goes on after {said!r}, "
                "which ends an answer of the model. Take what stands before it"
            )

    def __call__(self, conditions: Conditions, seeds: Sequence[int]) -> list[float]:
        """Return B log-likelihoods, at most 0, in nats; the seeds do not matter.

        Raises:
            InputError: conditions and seeds do not fit together.
            SamplerError: the model failed.
        """
        return self._engine.each(self._likelihoods, conditions, seeds)

    def check(self, modality: str, condition: Any) -> None:
        """Raise unless a condition reaches the model as it is, see `VLMSampler.check`."""
        self._engine.check(modality, condition, len(self._tokens))

    def probe(self, conditions: Mapping[str, Sequence[Any]], seeds: Sequence[int]) -> list[str]:
        """Look at the model before a run, see `VLMSampler.probe`."""
        return self._engine.probe(conditions, seeds)

    def with_options(self, /, **changes: Any) -> Self:
        """Return one with another ``target`` or ``per_token``."""
        options = {"target": self.target, "per_token": self.per_token, **changes}
        if unknown := [name for name in options if name not in ("target", "per_token")]:
            raise InputError(f"a likelihood has no option {unknown[0]!r}; it has target, per_token")
        return type(self)(self._engine, options["target"], options["per_token"], self._about)

    def identity(self) -> dict[str, Any]:
        """Plain data: the model, its processor and prompt, the target."""
        return {
            "class": "modcollapse.samplers.LikelihoodSampler",
            "target": self.target,
            "per_token": self.per_token,
            **self._about,
            **self._engine.parts.identity(),
        }

    def __repr__(self) -> str:
        return f"LikelihoodSampler({self._engine.parts.name}, target={self.target!r})"

    def _likelihoods(self, rows: PromptRows, seeds: list[int]) -> list[float]:
        found = self._engine.log_probabilities(
            rows, len(self._tokens), logits_processor=[Forced(self._tokens)]
        )
        steps = [scores[:, token] for scores, token in zip(found, self._tokens, strict=True)]
        total = torch.stack(steps).sum(0)
        made: list[float] = (total / len(steps) if self.per_token else total).tolist()
        return made

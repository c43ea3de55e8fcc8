"""How a vision-language model generates: checked, and brought into the form that it reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor

from modcollapse._support.digests import plain
from modcollapse._support.validation import check_keywords, flag, number, whole
from modcollapse.errors import InputError

Warper: TypeAlias = Callable[[Any, Any], Tensor]

_SAMPLING: dict[str, tuple[str, Any]] = {
    "temperature": ("(0, inf)", 1.0),
    "top_k": ("", 50),
    "top_p": ("(0, 1]", 1.0),
    "min_p": ("[0, 1]", None),
    "typical_p": ("(0, 1]", 1.0),
    "epsilon_cutoff": ("[0, 1)", 0.0),
}
"""Option -> its range, and what transformers takes where nobody says."""
_ONE_ANSWER = "there is one answer for each row; for more of them measure with repeats="
_PROMPT_COUNTS = "it counts the prompt, so that an answer would depend on the length of a question"
_TEXTS = "outputs are texts, always"
_DRAFTS = "drafts of another model or of the prompt serve one row a call"
_GONE = "this way of search is no part of transformers any more"
_NOT_BY_ROW = "it is not among the ways of drawing a token that each row can follow by itself"
_PADDING = "answers are filled up with the padding of the tokenizer, which is no part of a text"
_REFUSED = {
    "pad_token_id": _PADDING,
    "num_return_sequences": _ONE_ANSWER,
    "max_length": f"{_PROMPT_COUNTS}. Give max_new_tokens",
    "min_length": f"{_PROMPT_COUNTS}. Give min_new_tokens",
    "max_time": "an answer must not depend on how fast a machine is. Give max_new_tokens",
    "return_dict_in_generate": _TEXTS,
    "output_scores": _TEXTS,
    "output_logits": _TEXTS,
    "output_attentions": _TEXTS,
    "output_hidden_states": _TEXTS,
    "prompt_lookup_num_tokens": _DRAFTS,
    "assistant_early_exit": _DRAFTS,
    "is_assistant": _DRAFTS,
    "use_mtp": _DRAFTS,
    "speculation_type": _DRAFTS,
    "token_healing": "it rewrites the end of a prompt",
    "guidance_scale": "it needs a second prompt for each row",
    "watermarking_config": "a table cannot record it",
    "penalty_alpha": _GONE,
    "dola_layers": _GONE,
    "num_beam_groups": _GONE,
    "constraints": _GONE,
    "force_words_ids": _GONE,
    "top_h": _NOT_BY_ROW,
    "eta_cutoff": _NOT_BY_ROW,
    "compile_config": "a table cannot record it",
}
_HARMLESS = {
    "pad_token_id": (None,),
    "num_return_sequences": (None, 1),
    "num_beam_groups": (None, 1),
    "guidance_scale": (None, 1, 1.0),
}
_OVERRIDDEN = ("pad_token_id", "max_length", "return_dict_in_generate")
"""What a generation config may hold all the same: every call says otherwise."""
_COUNT_PADDING = {
    "no_repeat_ngram_size": (None, 0),
    "encoder_no_repeat_ngram_size": (None, 0),
    "encoder_repetition_penalty": (None, 1),
}
"""Option that reads the tokens of a prompt, padding among them -> values that switch it off."""


def check_generation(model: Any, options: Mapping[str, Any]) -> None:
    """Refuse options of `generate` that are none, or under which rows would not pair.

    Raises:
        OptionError: there is no such option.
        InputError: an option that the sampler sets itself, under which an answer would depend on
            other rows or on chance, that would be ignored, or of a wrong value; also where the
            generation config of the model says so.
    """
    from transformers import GenerationConfig

    known = [name for name in vars(GenerationConfig()) if not name.startswith("_")]
    check_keywords("VLMSampler", options, known)
    for name, value in options.items():
        if _refused(name, value):
            raise InputError(f"VLMSampler does not take {name}={value!r}: {_REFUSED[name]}")
        plain(value, f"the option {name!r}")
    whole(options["max_new_tokens"], "max_new_tokens", 1)
    sample = flag(options["do_sample"], "do_sample")
    own = getattr(model, "generation_config", None)
    for name, why in _REFUSED.items():
        value = getattr(own, name, None)
        counts = name not in options and (sample or why != _NOT_BY_ROW)
        if counts and name not in _OVERRIDDEN and _refused(name, value):
            raise InputError(
                f"the generation config of the model has {name}={value!r}: {why}. Unset it: "
                f"model.generation_config.{name} = None"
            )
    beams = options.get("num_beams", getattr(own, "num_beams", None)) or 1
    whole(beams, "num_beams", 1)
    if sample and beams > 1:
        raise InputError(
            f"num_beams={beams} with do_sample=True draws whole beams from one generator. Take "
            "num_beams=1, or do_sample=False"
        )
    ignored = [name for name in _SAMPLING if options.get(name) is not None and not sample]
    if ignored:
        raise InputError(
            f"{ignored[0]}={options[ignored[0]]!r} does nothing where the likeliest is taken. "
            "Add do_sample=True, or leave it out"
        )
    if sample:
        _sampling(model, options)


def _refused(name: str, value: Any) -> bool:
    return name in _REFUSED and value not in _HARMLESS.get(name, (None, False))


def counts_padding(parts: Any, options: Mapping[str, Any]) -> str | None:
    """Why a row with padding in front would be answered otherwise than alone, if it would be."""
    own = getattr(parts.model, "generation_config", None)
    for name, off in _COUNT_PADDING.items():
        value = options.get(name, getattr(own, name, None))
        of_prompt = name.startswith("encoder_") or not parts.answers_apart
        if of_prompt and value not in off:
            return f"{name}={value!r} counts the padding of a prompt"
    return None


def generation_keywords(parts: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    """Keywords of `generate` for these options.

    Drawing is left to `RowNoise`, so the model itself takes the likeliest token.
    """
    greedy = {"do_sample": False, "temperature": 1.0, "top_k": 50, "top_p": 1.0}
    kept = {name: value for name, value in options.items() if name not in _SAMPLING}
    own = getattr(parts.model, "generation_config", None)
    if kept.get("stop_strings") or getattr(own, "stop_strings", None):
        kept["tokenizer"] = parts.tokenizer
    set_here = {
        "pad_token_id": parts.tokenizer.pad_token_id,  # that of the model may be a word
        "num_return_sequences": 1,
        "return_dict_in_generate": False,
    }
    return {**kept, **greedy, **set_here}


def end_tokens(model: Any, options: Mapping[str, Any]) -> set[int]:
    """Tokens that end an answer: as asked for, else as the model says."""
    own = getattr(model, "generation_config", None)
    told = options.get("eos_token_id", getattr(own, "eos_token_id", None))
    if told is None:
        return set()
    return {int(token) for token in (told if hasattr(told, "__len__") else [told])}


def warpers(model: Any, options: Mapping[str, Any]) -> list[Warper]:
    """What narrows and flattens the scores of the next token before one is drawn, in order."""
    from transformers.generation import logits_process as of

    chosen = _sampling(model, options)
    made: list[Warper] = []
    if chosen["temperature"] != 1:
        made.append(of.TemperatureLogitsWarper(chosen["temperature"]))
    if chosen["top_k"]:
        made.append(of.TopKLogitsWarper(chosen["top_k"]))
    if chosen["top_p"] < 1:
        made.append(of.TopPLogitsWarper(chosen["top_p"]))
    if chosen["min_p"] is not None:
        made.append(of.MinPLogitsWarper(chosen["min_p"]))
    if chosen["typical_p"] < 1:
        made.append(of.TypicalLogitsWarper(chosen["typical_p"]))
    if chosen["epsilon_cutoff"] > 0:
        made.append(of.EpsilonLogitsWarper(chosen["epsilon_cutoff"]))
    return made


def _sampling(model: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    """How tokens are drawn: as asked for, else as the model says, else as transformers does."""
    own = getattr(model, "generation_config", None)
    chosen: dict[str, Any] = {}
    for name, (allowed, default) in _SAMPLING.items():
        value = options.get(name)
        value = getattr(own, name, None) if value is None else value
        value = default if value is None else value
        if name == "top_k":
            chosen[name] = whole(value, name, 0)
        elif value is not None:
            chosen[name] = number(value, name, allowed)
        else:
            chosen[name] = None
    return chosen


class RowNoise:
    """Draws the next token of each row with its own generator, by the Gumbel-max trick.

    The largest of scores with standard Gumbel noise on them is a draw from their softmax. The noise
    of a row is a function of its seed and the place of the token alone, drawn on the CPU, so that
    an answer does not depend on its neighbours or the device; rows with one seed share it, which
    keeps the answers of an example under all sets of triggers as alike as they can be.

    Args:
        seeds: of the rows.
        warpers: applied before.

    Source:
        Gumbel (1954); Maddison, Tarlow and Minka, A* Sampling, arXiv:1411.0030. As coupling between
        an outcome and its counterfactual: Oberst and Sontag, arXiv:1905.05824.
    """

    def __init__(self, seeds: Sequence[int], warpers: Sequence[Warper]) -> None:
        self._generators = [torch.Generator("cpu").manual_seed(seed) for seed in seeds]
        self._warpers = warpers

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return the scores with noise, shape (B, V): the largest is the token that was drawn."""
        for warper in self._warpers:
            scores = warper(input_ids, scores)
        count = scores.shape[-1]
        drawn = [torch.rand(count, generator=g, dtype=torch.float64) for g in self._generators]
        gumbel = -(-torch.stack(drawn).log()).log()
        return scores.float() + gumbel.float().to(scores.device)


class Forced:
    """Lets a model say one text, token by token, whatever it would rather say."""

    def __init__(self, tokens: Sequence[int]) -> None:
        self._tokens = iter(tokens)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return scores, shape (B, V), of which only the next token of the text can be taken."""
        forced = torch.full_like(scores, float("-inf"))
        forced[:, next(self._tokens)] = 0
        return forced

"""How likely the target is, as a value function."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias, get_args

from modcollapse._support.validation import choice, described, number
from modcollapse.contracts import Detector, Example
from modcollapse.errors import DetectorError, InputError

LikelihoodScale: TypeAlias = Literal["log", "probability"]


class TargetLikelihood(Detector):
    """How likely the model is to answer with the target, for `VLMSampler.likelihood_of`.

    A continuous value that moves where the answer does not yet. The sampler has computed it from
    the conditions, which a detector does not see: its outputs are log-likelihoods.

    Args:
        scale: ``"log"``: as they are, in nats, where a certain target scores 0; ``"probability"``:
            their exponential, from 0 to 1: of a mean over tokens, the geometric mean of the
            probabilities of the tokens.

    Raises:
        InputError: ``scale`` is another word.
        DetectorError: when called, an output is no log-likelihood: no number, or above 0.

    >>> TargetLikelihood("probability")([math.log(0.25), 0.0], [{}, {}])
    [0.25, 1.0]
    """

    def __init__(self, scale: LikelihoodScale = "log") -> None:
        self.scale = choice(scale, "scale", get_args(LikelihoodScale))
        self.bounds = None if scale == "log" else (0.0, 1.0)
        self.perfect = 0.0 if scale == "log" else 1.0

    def __call__(self, outputs: Any, examples: Sequence[Example]) -> list[float]:
        """Score B log-likelihoods: B numbers."""
        found = [_log_likelihood(output, at) for at, output in enumerate(outputs)]
        return found if self.scale == "log" else [math.exp(each) for each in found]

    def identity(self) -> dict[str, Any]:
        """Plain data: the class and the scale."""
        return {"class": "modcollapse.detectors.TargetLikelihood", "scale": self.scale}


def _log_likelihood(output: Any, at: int) -> float:
    try:
        found = number(output.item() if hasattr(output, "item") else output, "it")
    except (InputError, ValueError, RuntimeError) as error:
        raise DetectorError(
            f"TargetLikelihood scores log-likelihoods, and output {at} is {described(output)}. "
            "Give the audit the sampler that VLMSampler(...).likelihood_of(target) returns"
        ) from error
    if found > 0:
        raise DetectorError(f"output {at} is {found:g}, and no log-likelihood is above 0")
    return found

"""An attack success rate out of any score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from modcollapse._support.identities import identity
from modcollapse._support.validation import number
from modcollapse.contracts import Detector, Example, Scorer
from modcollapse.errors import DetectorError, InputError


class Threshold(Detector):
    """1 where the score of another detector is above a threshold, else 0.

    Args:
        detector: any callable ``detector(outputs, examples) -> B numbers``. Its ``check`` and its
            wish for a clean output are passed on.
        at: the threshold, in the unit of the score; 0 is the natural one for `ClipShift`.

    Raises:
        InputError: ``detector`` is no callable, or ``at`` is not finite or not inside the bounds
            that the detector declares, where every value would be the same.

    >>> brightness = lambda outputs, examples: outputs.mean((1, 2, 3))
    >>> bright = Threshold(brightness, at=0.5)
    >>> bright(torch.stack([torch.ones(3, 8, 8), torch.zeros(3, 8, 8)]), [{}, {}]).tolist()
    [1.0, 0.0]
    """

    bounds = (0.0, 1.0)
    binary = True

    def __init__(self, detector: Detector, at: float) -> None:
        self.detector = detector
        self._scorer = Scorer.of(detector)
        self.at = number(at, "at")
        if self._scorer.bounds is not None:
            low, high = self._scorer.bounds
            if not low <= self.at < high:
                raise InputError(
                    f"at must be at least {low:g} and below {high:g}, the bounds of "
                    f"{type(detector).__name__}; at {at!r} every example would score the same"
                )

    @property
    def wants_clean_output(self) -> bool:
        """Whether the inner detector wants the clean output of each example."""
        return self._scorer.wants_clean_output

    def perfect(self, examples: Sequence[Example]) -> Tensor:
        """Return what the target itself would score: 1, unless it is known to stay below `at`."""
        perfect = self._scorer.perfect
        if perfect is None:
            return torch.ones(len(examples))
        scores = perfect(examples) if callable(perfect) else torch.full((len(examples),), perfect)
        return self._above(scores)

    def check(self, example: Example) -> None:
        """Pass an example on to the inner detector's check, where it has one."""
        self._scorer.check(example)

    def identity(self) -> dict[str, Any]:
        """Plain data: the class, the threshold, the identity of the inner detector."""
        return {
            "class": "modcollapse.detectors.Threshold",
            "at": self.at,
            "detector": identity(self.detector, "the detector of a Threshold"),
        }

    def __call__(self, outputs: Any, examples: Sequence[Example]) -> Tensor:
        """Score B outputs: shape (B,), each 0 or 1, on the device of the inner scores."""
        return self._above(self.detector(outputs, examples))

    def _above(self, scores: Any) -> Tensor:
        if not isinstance(scores, Tensor):
            try:
                scores = torch.from_numpy(np.array(scores, dtype=np.float64))
            except (TypeError, ValueError) as error:
                raise DetectorError(
                    "the detector of a Threshold must return B numbers (a list, an array or a "
                    f"tensor), got {type(scores).__name__} {scores!r}"[:300]
                ) from error
        above = (scores > self.at).to(torch.get_default_dtype())
        # NaN compares false: it must stay visible, not become a failed attack.
        return torch.where(torch.isfinite(scores), above, float("nan"))

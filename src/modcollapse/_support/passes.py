"""The scoring of one batch by all detectors, in which its outputs stay as they are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any


class ScoringPass:
    """One batch that is scored, told apart from others by identity.

    Attributes:
        outputs: of the batch, into which no detector writes.
    """

    def __init__(self, outputs: Any) -> None:
        self.outputs = outputs


_now: ContextVar[ScoringPass | None] = ContextVar("_now", default=None)


@contextmanager
def in_one_scoring_pass(outputs: Any) -> Iterator[None]:
    """Inside, what is computed of the outputs holds for every detector that scores them.

    Who opens the pass sees to it that nothing is written into them.
    """
    token = _now.set(ScoringPass(outputs))
    try:
        yield
    finally:
        _now.reset(token)


def scoring_pass_of(outputs: Any) -> ScoringPass | None:
    """Return the pass in which these very outputs are scored; None where there is none."""
    now = _now.get()
    return now if now is not None and now.outputs is outputs else None

"""The power goes: a call that changes the disk fails, and nothing after it is done."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest


def interrupted(
    monkeypatch: pytest.MonkeyPatch, step: str, at: int, work: Callable[[], object]
) -> bool:
    """Do some work until the call of a name in ``os`` comes that is number ``at``, from 0.

    Returns:
        Whether it came, which ended the work.
    """
    real, calls = getattr(os, step), iter(range(at))

    def fails(*given, **named):
        if next(calls, None) is None:
            raise SystemExit("the power is gone")
        return real(*given, **named)

    with monkeypatch.context() as patch:
        patch.setattr(os, step, fails)
        try:
            work()
        except SystemExit:
            return True
    return False

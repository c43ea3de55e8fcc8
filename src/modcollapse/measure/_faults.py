"""What is wrong with examples, told at once and not one a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from modcollapse.errors import DetectorError, InputError, TriggerError

_TOLD = 3
"""Examples of which an error says what is wrong; of others it says how many."""


def without_frames(error: BaseException) -> Any:
    """The same error without its frames, which hold the example."""
    told: BaseException | None = error
    while told is not None:
        told.__traceback__ = None
        told = told.__cause__ or told.__context__
    return error


def in_one_error(faults: Sequence[Exception], count: int) -> Exception:
    """One error of all examples that cannot be used: the first few in words, the others counted."""
    first, *others = faults
    if not others:
        return first
    ours = isinstance(first, InputError | TriggerError | DetectorError)
    told = "".join(
        f"\n- {fault if ours else f'{type(fault).__name__}: {fault}'}"
        + "".join(f" ({note})" for note in getattr(fault, "__notes__", ()))
        for fault in faults[:_TOLD]
    )
    more = f"\nand {len(faults) - _TOLD} more" if len(faults) > _TOLD else ""
    kind = type(first) if ours else InputError
    return kind(f"{len(faults)} of {count} examples cannot be used:{told}{more}")

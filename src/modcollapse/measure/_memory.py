"""How many rows fit into one call: memory that runs out halves it, ``"auto"`` finds it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from modcollapse._support.memory import ran_out

_MOST = 64
"""Rows that ``batch_size="auto"`` tries at most: beyond that a call is hardly cheaper a row."""


def free_cached() -> None:
    """Give back what torch holds and nobody uses."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()


class BatchSize:
    """How many rows the next call has.

    Attributes:
        rows: so many.
        asked: so many at first.
    """

    def __init__(self, rows: int, *, halve: bool) -> None:
        self.rows = self.asked = rows
        self._halve = halve

    def may_help(self, error: BaseException, tried: int) -> bool:
        """Whether fewer rows may help against an error; for the arguments see `smaller`."""
        return self._halve and tried > 1 and ran_out(error)

    def smaller(self, error: BaseException, tried: int) -> bool:
        """Halve it after an error, if that may help.

        Args:
            error: what ended the call.
            tried: rows of that call.
        """
        if not self.may_help(error, tried):
            return False
        self.rows = min(self.rows, max(tried // 2, 1))
        return True


def largest_that_fits(attempt: Callable[[int], Any], most: int) -> int:
    """Double the rows of a call for as long as they fit.

    Args:
        attempt: makes a call with so many rows.
        most: rows at most.

    Raises:
        Exception: what a call of one row raised; or another error than that memory ran out.

    >>> def attempt(rows):
    ...     if rows > 10:
    ...         raise MemoryError
    >>> largest_that_fits(attempt, 1000)
    8
    """
    rows, fits = 1, 0
    while rows <= min(most, _MOST):
        try:
            attempt(rows)
        except Exception as error:
            if not fits or not ran_out(error):
                raise
            break
        rows, fits = 2 * rows, rows
    free_cached()
    return fits

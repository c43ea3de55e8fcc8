"""The exceptions that modcollapse raises, each also a built-in one; and how they get their context.

What an error was about (which example, which rows, which point of a sweep) is added to it as a
note, which a traceback shows below the message: see `context`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


class InputError(ValueError):
    """An argument is wrong; raised before anything is generated."""


class OptionError(InputError, TypeError):
    """A call was given a keyword that it does not have."""


class TriggerError(ValueError):
    """A trigger cannot be applied, changes nothing, or changes its argument."""


class SamplerError(RuntimeError):
    """A sampler broke its contract: number, order, finiteness or determinism of its outputs."""


class DetectorError(RuntimeError):
    """A detector broke its contract: number, kind, finiteness or range of its scores."""


class TableError(ValueError):
    """A table file cannot be read, or two tables do not belong to one run."""


class MissingExtraError(ImportError):
    """An optional dependency is not installed."""


@contextmanager
def context(where: str | Callable[[], str]) -> Iterator[None]:
    """Add a note to whatever is raised inside, somebody else's errors included.

    Args:
        where: the note, or what makes it once there is an error.

    >>> with context("example 'face-7', trigger of 'text'"):
    ...     raise InputError("the phrase is empty")
    Traceback (most recent call last):
    ...
    modcollapse.errors.InputError: the phrase is empty
    example 'face-7', trigger of 'text'
    """
    try:
        yield
    except Exception as error:
        error.add_note(where if isinstance(where, str) else where())
        raise

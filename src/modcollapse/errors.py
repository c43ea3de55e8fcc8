"""The exceptions that modcollapse raises; each is also a built-in one."""

from __future__ import annotations


class InputError(ValueError):
    """An argument is wrong; raised before anything is generated."""


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

"""What the report needs to know of an audit: its estimates, its kept outputs and its verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from modcollapse.report._style import Scale
from modcollapse.table import CoalitionTable, Estimate


@runtime_checkable
class Audited(Protocol):
    """What ``mc.audit`` returns, seen from here."""

    @property
    def table(self) -> CoalitionTable:
        """The values, with the outputs that were kept."""

    @property
    def entries(self) -> Sequence[tuple[str, str, Estimate]]:
        """Symbol, name and estimate of each figure."""

    @property
    def estimates(self) -> Mapping[str, Estimate]:
        """The same by label."""

    @property
    def verdict(self) -> object:
        """What may be claimed; it prints itself."""

    @property
    def simultaneous(self) -> bool:
        """Whether all intervals hold together."""

    @property
    def scale(self) -> Scale:
        """What a perfect attack adds, and what counts."""

    @property
    def control(self) -> Audited | None:
        """The audit of the control."""

    @property
    def difference(self) -> Audited | None:
        """The audit of the differences from the control."""

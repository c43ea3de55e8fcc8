"""The figures of several audits against what changed between them: a step, an option."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from modcollapse.results import Audit, frame, text_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SINGLE = "value"
"""Name of the detector where there is one only."""

Row = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Curves:
    """Tidy rows: one for each figure of each audit.

    Attributes:
        rows: each holds what the audit was made at (``"step"``, or the swept options);
            ``"detector"``; ``"of"``, which is ``"model"``, ``"control"`` or ``"difference"``;
            ``"figure"``, such as ``"v(none)"``, ``"phi image"`` or ``"CTI image+text"``; and the
            fields of its `Estimate`: ``"value"``, ``"se"``, ``"low"``, ``"high"`` (None where
            undefined), ``"level"``, ``"n"``, ``"method"``, ``"status"``.
        at: names of what the audits were made at.
    """

    rows: tuple[Row, ...]
    at: tuple[str, ...]

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.rows)

    def select(self, **wanted: Any) -> list[Row]:
        """Return the rows that hold these entries: ``select(figure="phi text", of="model")``."""
        return [row for row in self.rows if all(row[name] == one for name, one in wanted.items())]

    def __str__(self) -> str:
        header = [*self.at, "detector", "of", "figure", "value", "low", "high", ""]
        body = [
            [
                *(f"{row[name]}" for name in header[:-4]),
                *("nan" if row[name] is None else f"{row[name]:.4f}" for name in header[-4:-1]),
                "" if row["status"] == "ok" else row["status"],
            ]
            for row in self.rows
        ]
        return text_table(header, body)

    __repr__ = __str__

    def to_csv(self) -> str:
        """Return the rows as CSV text with a header."""
        out = io.StringIO()
        writer = csv.DictWriter(out, list(self.rows[0]) if self.rows else [], lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        return out.getvalue()

    def to_frame(self) -> Any:
        """Return a pandas data frame of the rows.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        return frame(type(self).__name__)(list(self.rows))

    def plot(self, x: str | None = None, *, title: str | None = None) -> Figure:
        """Draw TMA and CTI, and below them the mean values, against ``x``.

        Where there is a control, TMA and CTI are those of the difference from it. Each detector,
        and each combination of the other options, has a column of its own.

        Args:
            x: one of ``at``; by default the first that takes more than one value.
            title: heading of the figure.

        Returns:
            A matplotlib figure: ``curves.plot().savefig("curves.png")``.

        Raises:
            InputError: there is nothing to draw, or no such ``x``.
            MissingExtraError: matplotlib is not installed.
        """
        from modcollapse.report.curves import plot_curves

        return plot_curves(self, x, title=title)


def rows_of(audits: Audit | Mapping[str, Audit], at: Mapping[str, Any]) -> Iterable[Row]:
    """Every figure of an audit, or of audits by detector, as tidy rows."""
    named = {SINGLE: audits} if isinstance(audits, Audit) else audits
    for detector, audit in named.items():
        parts = {"model": audit, "control": audit.control, "difference": audit.adjusted}
        for of, part in parts.items():
            if part is not None:
                for figure, estimate in part.figures.items():
                    told = {"detector": detector, "of": of, "figure": figure}
                    yield {**at, **told, **estimate.to_dict()}

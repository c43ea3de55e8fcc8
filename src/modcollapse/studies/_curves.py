"""The estimates of several audits against what changed between them: a step, an option."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from modcollapse._support.markup import html_table
from modcollapse._support.validation import did_you_mean
from modcollapse.analysis import Audit, data_frame
from modcollapse.errors import InputError
from modcollapse.report import Line, format_table, plot_curves
from modcollapse.table import OK, Estimate, decimals, estimate_label, number_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SINGLE = "value"
"""Name of the detector where there is one only."""


@dataclass(frozen=True)
class Row:
    """One estimate of one audit.

    Attributes:
        at: what the audit was made at: ``{"step": 400}``, or the swept options.
        detector: name of the detector.
        of: ``"model"``, ``"control"`` or ``"difference"``.
        symbol: ``"v"``, ``"phi"`` or ``"CTI"``.
        name: coalition, modality or group of modalities, such as ``"image+text"``.
        estimate: value and interval.
    """

    at: Mapping[str, Any]
    detector: str
    of: str
    symbol: str
    name: str
    estimate: Estimate

    @property
    def label(self) -> str:
        """Return symbol and name as they are printed, such as ``"v(none)"`` or ``"phi text"``."""
        return estimate_label(self.symbol, self.name)

    def to_dict(self) -> dict[str, Any]:
        """Return the row as flat plain data, NaN as None."""
        names = {"detector": self.detector, "of": self.of, "symbol": self.symbol, "name": self.name}
        return {**self.at, **names, **self.estimate.to_dict()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], at: Iterable[str]) -> Row:
        """Read what `to_dict` returned.

        Raises:
            KeyError: an entry is missing.
        """
        fields = {name: data[name] for name in ("detector", "of", "symbol", "name")}
        return cls(at={name: data[name] for name in at}, **fields, estimate=Estimate.of(data))


@dataclass(frozen=True, eq=False)
class Curves:
    """Tidy rows: one for each estimate of each audit.

    Attributes:
        rows: the rows.
        at: names of what the audits were made at.
    """

    rows: tuple[Row, ...]
    at: tuple[str, ...]

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.rows)

    def select(self, **wanted: Any) -> list[Row]:
        """Return the rows that hold these entries.

        ``select(symbol="phi", name="text", of="model", step=400)``: entries of `Row.to_dict`.

        Raises:
            KeyError: rows have no such entry.
        """
        known = list(self.rows[0].to_dict()) if self.rows else list(wanted)
        for name in wanted:
            if name not in known:
                close = did_you_mean(name, known)
                raise KeyError(f"rows have no {name!r}; they have {', '.join(known)}{close}")
        return [
            row
            for row in self.rows
            if all(row.to_dict()[name] == value for name, value in wanted.items())
        ]

    def _repr_html_(self) -> str:
        return html_table(*self._cells())

    def __str__(self) -> str:
        return format_table(*self._cells())

    __repr__ = __str__

    def _cells(self) -> tuple[list[str], list[list[str]]]:
        """Headings, and a row of texts for each row."""
        header = [*self.at, "detector", "of", "", "value", "low", "high", ""]
        body = [
            [
                *(f"{row.at[name]}" for name in self.at),
                *(row.detector, row.of, row.label),
                *_texts(row.estimate),
                "" if row.estimate.status == OK else row.estimate.status,
            ]
            for row in self.rows
        ]
        return header, body

    def to_csv(self) -> str:
        """Return the rows as CSV text with a header."""
        rows = [row.to_dict() for row in self.rows]
        out = io.StringIO()
        writer = csv.DictWriter(out, list(rows[0]) if rows else [], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return out.getvalue()

    def to_frame(self) -> Any:
        """Return a pandas data frame of the rows.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        return data_frame(type(self).__name__)([row.to_dict() for row in self.rows])

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
        x = self._abscissa(x)
        columns: dict[tuple[str, ...], list[Row]] = {}
        for row in self.rows:
            detector = [] if row.detector == SINGLE else [row.detector]
            options = [f"{name}={value}" for name, value in row.at.items() if name != x]
            columns.setdefault((*detector, *options), []).append(row)
        panels = {}
        for place, rows in columns.items():
            of = "difference" if any(row.of == "difference" for row in rows) else "model"
            heading = [*place, "difference from the control"] if of == "difference" else place
            metrics = [row for row in rows if row.of == of and row.symbol != "v"]
            values = [row for row in rows if row.of == "model" and row.symbol == "v"]
            panels[", ".join(heading)] = _lines(metrics, x), _lines(values, x)
        return plot_curves(panels, x, title=title)

    def _abscissa(self, x: str | None) -> str:
        if not self.rows:
            raise InputError("there is nothing to plot: no audit has been made")
        if x is None:
            varied = [name for name in self.at if len({str(row.at[name]) for row in self.rows}) > 1]
            return (varied or list(self.at))[0]
        if x not in self.at:
            raise InputError(f"x must be one of {', '.join(map(repr, self.at))}; got {x!r}")
        return x


def rows_of(audits: Audit | Mapping[str, Audit], at: Mapping[str, Any]) -> Iterable[Row]:
    """Every estimate of an audit, or of audits by detector, as tidy rows."""
    named = {SINGLE: audits} if isinstance(audits, Audit) else audits
    for detector, audit in named.items():
        parts = {"model": audit, "control": audit.control, "difference": audit.difference}
        for of, part in parts.items():
            if part is not None:
                for symbol, name, estimate in part.entries:
                    yield Row(dict(at), detector, of, symbol, name, estimate)


def _lines(rows: Iterable[Row], x: str) -> list[Line]:
    points: dict[tuple[str, str], list[tuple[Any, Estimate]]] = {}
    for row in rows:
        points.setdefault((row.symbol, row.name), []).append((row.at[x], row.estimate))
    return [Line(symbol, name, tuple(at)) for (symbol, name), at in points.items()]


def _texts(estimate: Estimate) -> list[str]:
    places = decimals([(estimate.low, estimate.high)], [estimate.value])
    ends = estimate.value, estimate.low, estimate.high
    return [number_text(end, places) for end in ends]

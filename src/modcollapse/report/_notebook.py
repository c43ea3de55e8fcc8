"""Estimates as tables of a notebook."""

from __future__ import annotations

from collections.abc import Mapping

from modcollapse._support.markup import html_table
from modcollapse.report._tables import ESTIMATE_COLUMNS, estimate_rows
from modcollapse.table import Estimate, value_text


def html_estimates(estimates: Mapping[str, Estimate], symbol: str) -> str:
    """A row each estimate: value, standard error, both ends of the interval, status."""
    return html_table(["", symbol, *ESTIMATE_COLUMNS], estimate_rows(estimates))


def html_comparison(columns: Mapping[str, Mapping[str, Estimate]]) -> str:
    """A column each audit, a row each figure, which all of them have."""
    labels = next(iter(columns.values()))
    rows = [
        [label, *(value_text(column[label]) for column in columns.values())] for label in labels
    ]
    return html_table(["", *columns], rows)

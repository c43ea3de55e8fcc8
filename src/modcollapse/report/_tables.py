"""Tables as text, Markdown or LaTeX: estimates, and audits side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, TypeAlias, get_args

from tabulate import tabulate

from modcollapse._support.validation import choice
from modcollapse.errors import InputError
from modcollapse.report._audited import Audited
from modcollapse.report._escapes import for_latex, for_markdown, for_terminal
from modcollapse.table import OK, Estimate, decimals, number_text, value_text

TextFormat: TypeAlias = Literal["text", "markdown", "latex"]

ESTIMATE_COLUMNS = ("se", "low", "high", "")
"""Headings of an estimate, after its name and its value."""

_TABULATE = {"text": "plain", "markdown": "pipe", "latex": "latex_raw"}


def comparison_table(audits: Mapping[str, Audited], *, fmt: TextFormat = "text") -> str:
    """Put the estimates of several audits side by side, each with its interval.

    Args:
        audits: heading -> audit, of the same modalities: a model and its control, say.
        fmt: ``"text"``, ``"markdown"`` or ``"latex"`` (a ``tabular`` that needs no package).

    Returns:
        One row an estimate: the mean value of each coalition, phi of each modality, CTI of each
        pair.

    Raises:
        InputError: no audit, audits of different modalities, or an unknown format.

    >>> import modcollapse as mc
    >>> table = mc.CoalitionTable.from_values(
    ...     [[0, 0, 1, 1]] * 64, ["image", "text"], binary=True
    ... )
    >>> print(comparison_table({"model": mc.audit(table)}))
                                          model
    v(none)                    0.000 [0.000, 0.051]
    v(image)                   0.000 [0.000, 0.051]
    v(text)                    1.000 [0.949, 1.000]
    v(image+text)              1.000 [0.949, 1.000]
    phi image       0.000 [-0.051, 0.051] all equal
    phi text         1.000 [0.897, 1.000] all equal
    CTI image+text  0.000 [-0.082, 0.082] all equal
    """
    if not isinstance(audits, Mapping) or not audits:
        raise InputError("comparison_table needs a mapping from heading to audit, at least one")
    for heading, audit in audits.items():
        if not isinstance(audit, Audited):
            raise InputError(
                f"comparison_table compares audits; {heading!r} is {type(audit).__name__}"
            )
    columns = {heading: audit.estimates for heading, audit in audits.items()}
    labels = list(next(iter(columns.values())))
    for heading, column in columns.items():
        if list(column) != labels:
            raise InputError(f"the audit {heading!r} has other estimates: {', '.join(column)}")
    rows = [
        [label, *(value_text(column[label]) for column in columns.values())] for label in labels
    ]
    return format_table(["", *columns], rows, fmt=fmt)


def estimate_table(estimates: Mapping[str, Estimate], symbol: str) -> str:
    """Return a small text table of estimates by name."""
    return format_table(["", symbol, *ESTIMATE_COLUMNS], estimate_rows(estimates))


def estimate_rows(estimates: Mapping[str, Estimate]) -> list[list[str]]:
    """Name, value, standard error, both ends and status of each, with the decimals of all."""
    figures = estimates.values()
    places = decimals(((figure.low, figure.high) for figure in figures), map(float, figures))
    error_places = decimals((0.0, 2 * figure.se) for figure in figures)
    return [
        [
            name,
            number_text(estimate.value, places),
            number_text(estimate.se, error_places),
            *(number_text(end, places) for end in (estimate.low, estimate.high)),
            "" if estimate.status == OK else estimate.status,
        ]
        for name, estimate in estimates.items()
    ]


def format_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], *, fmt: TextFormat = "text"
) -> str:
    """Set rows of cells as a table; a cell or heading ``"phi ..."`` becomes the letter in LaTeX.

    Args:
        header: K headings.
        rows: K cells each.
        fmt: ``"text"``, ``"markdown"`` or ``"latex"`` (a ``tabular`` that needs no package).

    Returns:
        The first column to the left, the others to the right.

    Raises:
        InputError: an unknown format, or a row of another length.

    >>> print(format_table(["", "phi text"], [["AND, 5%", "0.97"]], fmt="markdown"))
    |         |   phi text |
    |:--------|-----------:|
    | AND, 5% |       0.97 |
    """
    choice(fmt, "fmt", get_args(TextFormat))
    for row in rows:
        if len(row) != len(header):
            raise InputError(f"a row has {len(row)} cells, the header {len(header)}: {row!r}")
    escape = _ESCAPE[fmt]
    text: str = tabulate(
        [[escape(cell) for cell in row] for row in rows],
        headers=[escape(heading) for heading in header],
        tablefmt=_TABULATE[fmt],
        disable_numparse=True,
        colalign=["left"] + ["right"] * (len(header) - 1) if rows else None,
    )
    return "\n".join(line.rstrip() for line in text.splitlines())


_ESCAPE: dict[str, Callable[[str], str]] = {
    "text": for_terminal,
    "markdown": for_markdown,
    "latex": for_latex,
}

"""Audits side by side, as text, Markdown or LaTeX."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from modcollapse.errors import InputError
from modcollapse.inference.estimate import OK, Estimate, interval_text
from modcollapse.results import Audit, text_table

FORMATS = ("text", "markdown", "latex")


def comparison_table(audits: Mapping[str, Audit], *, fmt: str = "text") -> str:
    """Put the figures of several audits side by side, each with its interval.

    Args:
        audits: heading -> audit, of the same modalities: a model and its control, say.
        fmt: ``"text"``, ``"markdown"`` or ``"latex"`` (a ``tabular`` that needs no package).

    Returns:
        One row a figure: the mean value of each coalition, phi of each modality, CTI of each pair.

    Raises:
        InputError: no audit, audits of different modalities, or an unknown format.

    >>> import modcollapse as mc
    >>> table = mc.CoalitionTable.from_values(
    ...     [[0, 0, 1, 1]] * 64, ["image", "text"], binary=True
    ... )
    >>> print(comparison_table({"model": mc.audit(table)}))
                                          model
    v(none)                    0.000 [0.000, 0.057]
    v(image)                   0.000 [0.000, 0.057]
    v(text)                    1.000 [0.943, 1.000]
    v(image+text)              1.000 [0.943, 1.000]
    phi image       0.000 [-0.043, 0.043] all equal
    phi text         1.000 [0.909, 1.000] all equal
    CTI image+text  0.000 [-0.086, 0.086] all equal
    """
    if not isinstance(audits, Mapping) or not audits:
        raise InputError("comparison_table needs a mapping from heading to audit, at least one")
    for name, audit in audits.items():
        if not isinstance(audit, Audit):
            raise InputError(
                f"comparison_table compares audits; {name!r} is {type(audit).__name__}"
            )
    columns = {name: audit.figures for name, audit in audits.items()}
    labels = list(next(iter(columns.values())))
    for name, column in columns.items():
        if list(column) != labels:
            raise InputError(f"the audit {name!r} has other figures: {', '.join(column)}")
    header = ["", *columns]
    rows = [[label, *(_cell(one[label]) for one in columns.values())] for label in labels]
    return format_table(header, rows, fmt=fmt)


def format_table(header: Sequence[str], rows: Sequence[Sequence[str]], *, fmt: str = "text") -> str:
    """Set rows of cells as a table; a cell or heading ``"phi ..."`` becomes the letter in LaTeX.

    Args:
        header: K headings.
        rows: K cells each.
        fmt: ``"text"``, ``"markdown"`` or ``"latex"`` (a ``tabular`` that needs no package).

    Raises:
        InputError: an unknown format, or a row of another length.

    >>> print(format_table(["", "phi text"], [["AND, 5%", "0.97"]], fmt="markdown"))
    |  | phi text |
    | --- | ---: |
    | AND, 5% | 0.97 |
    """
    if fmt not in FORMATS:
        raise InputError(f"fmt must be one of {', '.join(FORMATS)}; got {fmt!r}")
    for row in rows:
        if len(row) != len(header):
            raise InputError(f"a row has {len(row)} cells, the header {len(header)}: {row!r}")
    return {"text": text_table, "markdown": _markdown, "latex": _latex}[fmt](header, rows)


def _cell(one: Estimate) -> str:
    flag = "" if one.status == OK else f" {one.status}"
    return f"{one.value:.3f} {interval_text(one)}{flag}"


def _markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    escaped = [[cell.replace("|", r"\|") for cell in line] for line in (header, *rows)]
    lines = [escaped[0], ["---", *["---:"] * (len(header) - 1)], *escaped[1:]]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _latex(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    body = [" & ".join(map(_escaped, line)) + r" \\" for line in (header, *rows)]
    columns = "l" + "r" * (len(header) - 1)
    lines = [
        rf"\begin{{tabular}}{{{columns}}}",
        r"\hline",
        body[0],
        r"\hline",
        *body[1:],
        r"\hline",
    ]
    return "\n".join([*lines, r"\end{tabular}"])


_LATEX = {character: "\\" + character for character in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}


def _escaped(cell: str) -> str:
    figure, _, name = cell.partition(" ")
    if figure == "phi":
        return r"$\phi$ " + _escaped(name)
    return "".join(_LATEX.get(character, character) for character in cell)

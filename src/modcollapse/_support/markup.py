"""Results as HTML, for a notebook: short tables, in which nothing that is shown is markup."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

MOST_ROWS = 64
"""A notebook shows so many rows of a table."""

_CELL = "padding: 0.1em 0.6em"


def printable(text: str) -> str:
    """Spell out characters that a terminal would obey, or that nobody would see.

    >>> printable("image" + chr(27) + "[2J")
    'image\\\\x1b[2J'
    """
    return "".join(
        character
        if character.isprintable() or character == "\n"
        else character.encode("unicode_escape").decode()
        for character in text
    )


def html_text(text: object) -> str:
    """Return text of which a browser takes nothing for markup.

    >>> html_text("<script>&")
    '&lt;script&gt;&amp;'
    """
    return escape(printable(str(text)))


def html_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table whose first column names the rows; of very many rows it shows the first.

    >>> html_table(["", "v"], [["a<b", "1"]]).count("&lt;")
    1
    """
    head = "".join(f'<th scope="col" style="{_CELL}">{html_text(cell)}</th>' for cell in header)
    body = "".join(
        f'<tr><th scope="row" style="{_CELL}; text-align: left">{html_text(row[0])}</th>'
        + "".join(
            f'<td style="{_CELL}; text-align: right">{html_text(cell)}</td>' for cell in row[1:]
        )
        + "</tr>"
        for row in rows[:MOST_ROWS]
    )
    more = html_lines(f"... and {len(rows) - MOST_ROWS} more rows" if len(rows) > MOST_ROWS else "")
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"


def html_lines(text: str, *, strong: bool = False) -> str:
    """Return lines of text as one paragraph; nothing of an empty text."""
    lines = "<br>".join(html_text(line) for line in text.splitlines())
    return f"<p>{f'<strong>{lines}</strong>' if strong else lines}</p>" if lines else ""

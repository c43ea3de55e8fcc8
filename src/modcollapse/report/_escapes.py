"""Names, prompts and values as they are shown: nothing in them is read as a command."""

from __future__ import annotations

from modcollapse._support.markup import printable

_LATEX = {character: "\\" + character for character in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}


def for_terminal(text: str) -> str:
    """Spell out what a terminal would obey.

    >>> for_terminal("image" + chr(27) + "[2J")
    'image\\\\x1b[2J'
    """
    return printable(text)


def for_picture(text: str) -> str:
    """Let matplotlib take no dollar for mathematics."""
    return for_terminal(text).replace("$", r"\$")


def for_markdown(cell: str) -> str:
    """Let a cell be a cell, and no HTML."""
    return for_terminal(cell).replace("\n", " ").replace("|", r"\|").replace("<", r"\<")


def for_latex(cell: str) -> str:
    """Escape what LaTeX would read; ``"phi ..."`` becomes the letter."""
    symbol, _, name = cell.partition(" ")
    if symbol == "phi":
        return r"$\phi$ " + for_latex(name)
    text = for_terminal(cell).replace("\n", " ")
    return "".join(_LATEX.get(character, character) for character in text)

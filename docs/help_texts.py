"""Puts what ``modcollapse --help`` says into the page on the command line.

    python docs/help_texts.py

A block between ``<!-- help: NAME -->`` and ``<!-- /help -->`` holds the help of a command, that of
``modcollapse`` itself where the name is missing, at a width of 80. A test holds that they agree.
"""

from __future__ import annotations

import re
from pathlib import Path

from click.testing import CliRunner

from modcollapse.cli import main

PAGE = Path(__file__).parent / "command-line.md"
_BLOCK = re.compile(r"(<!-- help: ?(\w*) -->\n```text\n).*?(```\n<!-- /help -->)", re.DOTALL)


def help_of(name: str) -> str:
    """What ``modcollapse NAME --help`` prints."""
    asked = [name, "--help"] if name else ["--help"]
    return CliRunner().invoke(main, asked, prog_name="modcollapse").stdout


def with_help(page: str) -> str:
    """The page with every block as it must be."""
    return _BLOCK.sub(lambda found: f"{found[1]}{help_of(found[2])}{found[3]}", page)


if __name__ == "__main__":
    PAGE.write_text(with_help(PAGE.read_text(encoding="utf-8")), encoding="utf-8")

"""What a command reads: the file of a table, the folder of an audit, the journal of a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from modcollapse.cli._printed import note
from modcollapse.errors import InputError

if TYPE_CHECKING:
    from modcollapse.analysis import Audit, Audits

SAVED = "audit"
"""Folder, in that of a command's results, of the audit that loads again."""
PAGE_FOLDER = "report"
"""Folder, in that of a command's results, of the page."""


def held_audits(path: Path, control: Path | None = None) -> Audit | Audits:
    """Read what was measured, and analyse it.

    Args:
        path: a file of ``CoalitionTable.save``; a folder of ``Audit.save``, or one that holds such
            a folder, as ``modcollapse audit --out`` writes it; or a journal, also of a run that
            goes on.
        control: a table, of a table's control.

    Raises:
        InputError: a control of something that has its own, or a page.
        FileNotFoundError: there is nothing there.
        TableError: it holds something else, or is damaged.
    """
    from modcollapse.analysis import load_audit
    from modcollapse.studies import audit
    from modcollapse.table import CoalitionTable, is_journal

    if not path.exists():
        raise FileNotFoundError(f"there is no file or folder {path}")
    if path.is_file():
        table = CoalitionTable.load(path)
        return audit(table, control=None if control is None else CoalitionTable.load(control))
    if control is not None:
        raise InputError(
            f"--control goes with the file of a table; {path} is a folder, and an audit or a "
            "journal has the control that it was measured with"
        )
    if is_journal(path):
        return _of_journal(path)
    if (path / "index.html").is_file() and (path / "audit.json").is_file():
        raise InputError(
            f"{path} is the page of an audit, which is for people and does not load again; give "
            f"the audit: the folder that --out named, or its folder {SAVED}"
        )
    return load_audit(path / SAVED if (path / SAVED / "audit.json").is_file() else path)


def _of_journal(folder: Path) -> Audit | Audits:
    from modcollapse.studies import audit
    from modcollapse.table import read_journal

    content = read_journal(folder)
    tables, *controls = content.tables().values()
    count = len(next(iter(tables.values())))
    note(f"{folder} is the journal of a run: {count} examples of it are finished")
    if content.header["single"]:
        (table,) = tables.values()
        return audit(table, control=next(iter(controls[0].values())) if controls else None)
    return audit(tables, control=controls[0] if controls else None)

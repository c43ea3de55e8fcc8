"""The folder that a command writes into."""

from __future__ import annotations

import os
from pathlib import Path

from modcollapse._support.optional import require
from modcollapse._support.validation import listed
from modcollapse.cli._held_audits import PAGE_FOLDER, SAVED
from modcollapse.errors import InputError


def claimed_out(folder: Path, journal: Path | None = None) -> None:
    """Make a folder for results, or take one that holds nothing but such.

    Args:
        folder: to write into.
        journal: of the run, which may lie in it.

    Raises:
        InputError: it holds something else, of which nothing is overwritten, or is no folder.
        FileNotFoundError: there is no folder to make it in.
        MissingExtraError: what the page needs is not installed.
    """
    for module in ("jinja2", "matplotlib"):  # before hours of generation, and not after them
        require(module, extra="report", needed_by="the page of --out")
    if os.path.lexists(folder):
        if not folder.is_dir():
            raise InputError(f"--out names {folder}, which is no folder. Give a folder")
        own = None if journal is None else journal.resolve()
        others = sorted(
            path.name
            for path in folder.iterdir()
            if not _is_ours(path) and path.resolve() not in (own, *(own.parents if own else ()))
        )
        if others:
            raise InputError(
                f"--out names {folder}, which holds {listed(others[:3])}, and nothing of it is "
                "overwritten. Give a new or an empty folder"
            )
        return
    if not folder.parent.is_dir():
        raise FileNotFoundError(f"cannot make {folder}: there is no folder {folder.parent}")
    folder.mkdir()


def _is_ours(path: Path) -> bool:
    """Whether results were written there, or may be."""
    if path.name not in (SAVED, PAGE_FOLDER) or not path.is_dir():
        return False
    return (path / "audit.json").is_file() or not any(path.iterdir())

"""Folders that must be on the disk before what they replace goes."""

from __future__ import annotations

import os
from pathlib import Path

from modcollapse.table import sync_folder


def sync_tree(folder: Path) -> None:
    """Wait until a folder, and all that is in it, is on the disk."""
    for path in (*folder.rglob("*"), folder):
        if path.is_dir():
            sync_folder(path)
        else:
            with path.open("rb") as file:
                os.fsync(file.fileno())

"""The command line, thin over the library: ``modcollapse --help``."""

from __future__ import annotations

from modcollapse.cli._commands import main

__all__ = ["main"]

"""The file of a `CollapseTracker`: one JSON line for each audit, each with its digest."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

from modcollapse.errors import InputError
from modcollapse.studies._curves import Row
from modcollapse.table import beginning, entry_of, line_of

_KIND, _VERSION = "modcollapse track", 1
_BEGINNING = beginning(_KIND, _VERSION)
"""What every line begins with: an unfinished one that does not is somebody else's."""


class TrackFile:
    """Appends audits, and reads those of an interrupted training.

    Args:
        path: the file; it is made if there is none.
        setup: digest of what must agree for two audits to be on one curve.

    Raises:
        InputError: the file cannot be written.
    """

    def __init__(self, path: Path, setup: str) -> None:
        self.path, self._setup = path, setup
        self._unwritten = b""
        try:
            with path.open("ab"):
                pass
        except OSError as error:
            raise InputError(f"{path} cannot be written: {error}") from error

    def read(self) -> dict[int, list[Row]]:
        """Return the rows of each step; an audit replaces those of its step and of later ones.

        A last line that was cut off is taken away, with a warning.

        Raises:
            InputError: the file holds something else, or audits of another set-up; it is left as
                it is.
        """
        steps: dict[int, list[Row]] = {}
        whole = 0  # bytes that belong to finished lines
        for number, line in enumerate(self.path.read_bytes().splitlines(keepends=True), 1):
            if not line.endswith(b"\n") and self._is_ours(line, after_others=bool(steps)):
                warnings.warn(
                    f"{self.path}, line {number}, was cut off, as by a crash; that audit is lost",
                    stacklevel=4,
                )
                os.truncate(self.path, whole)
                break
            whole += len(line)
            step, setup, rows = self._parsed(line, number)
            if setup != self._setup:
                raise InputError(
                    f"{self.path} holds audits of other examples, triggers, detectors or settings "
                    "than this tracker's, which would make one curve of two. Give another path, or "
                    "move the file away"
                )
            steps = {past: kept for past, kept in steps.items() if past < step} | {step: rows}
        return steps

    def append(self, step: int, rows: list[Row]) -> None:
        """Add an audit; it is on disk when this returns.

        What could not be written, as on a full disk, leaves the file as it was and is written
        before the next audit.
        """
        entry = {"step": step, "setup": self._setup, "rows": [row.to_dict() for row in rows]}
        self._unwritten += line_of(_KIND, _VERSION, entry)
        before = self.path.stat().st_size
        try:
            with self.path.open("ab") as lines:
                lines.write(self._unwritten)
                lines.flush()
                os.fsync(lines.fileno())
        except OSError:
            os.truncate(self.path, before)
            raise
        self._unwritten = b""

    def _is_ours(self, line: bytes, *, after_others: bool) -> bool:
        beginning = line[: len(_BEGINNING)]
        return line.startswith(_BEGINNING) or (after_others and _BEGINNING.startswith(beginning))

    def _parsed(self, line: bytes, number: int) -> tuple[int, str, list[Row]]:
        try:
            entry = entry_of(line, _KIND, _VERSION)
            step, setup = entry["step"], entry["setup"]
            rows = [Row.from_dict(row, at=("step",)) for row in entry["rows"]]
            if not isinstance(step, int) or not all(row.at["step"] == step for row in rows):
                raise TypeError(f"step {step!r}")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"{self.path}, line {number}, is not an audit of a CollapseTracker of this "
                f"version: {error!r}. Give another path, or move the file away"
            ) from error
        return step, setup, rows

"""The folder of a saved audit: its tables, what they keep, and how they were analysed.

``audit.json`` names everything else, and is written last: until then it names what an earlier save
has written, which stays for so long. What is analysed is not written, since it follows.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from modcollapse._support.validation import described, file_path
from modcollapse.analysis._settings import Rules, Settings
from modcollapse.analysis._slices import Sliced
from modcollapse.errors import InputError, MissingExtraError, TableError
from modcollapse.table import (
    CoalitionTable,
    Kept,
    drop_kept,
    is_kept_there,
    read_all_kept,
    slug,
    write_all_kept,
    write_whole,
)

AUDIT_FILE = "audit.json"
AUDIT_FORMAT = "modcollapse audit"
AUDIT_VERSION = 1
_KEPT = {"table": "kept", "control": "kept-of-control"}
_TABLE = re.compile(r"[A-Za-z0-9_-]{1,80}-[0-9a-f]{16}\.npz", re.ASCII)
_FIELDS = {"format", "version", "single", "audits"}


class Analysed(NamedTuple):
    """What an audit follows from.

    Attributes:
        name: of the detector; "" of a single audit.
        table: the values.
        control: those of the control, where there is one.
        settings: how they are analysed.
    """

    name: str | int
    table: CoalitionTable
    control: CoalitionTable | None
    settings: Settings


def analysed(name: str | int, audit: Sliced) -> Analysed:
    """What an audit follows from.

    Raises:
        InputError: it is the difference of an audit, which follows from the tables of that.
    """
    if audit.table.difference and audit.verdict is not None:
        raise InputError(
            "this is the difference of an audit from its control, and is saved with that audit: "
            "audit.save(folder)"
        )
    control = None if audit.control is None else audit.control.table
    return Analysed(name, audit.table, control, audit.settings)


def write_audits(into: str | Path, audits: Sequence[Analysed], *, single: bool) -> Path:
    """Write audits into a folder: a new or an empty one, or in place of audits that are there.

    Raises:
        InputError: the folder holds something else, or a kept output cannot be saved (all else
            is written).
        MissingExtraError: safetensors is not installed, and arrays or tensors are kept (all else
            is written).
        FileNotFoundError: there is no folder to make it in.
    """
    folder = file_path(into, "folder")
    before = _claimed(folder)
    try:
        names = _write_kept_of(folder, audits)
    except (InputError, MissingExtraError) as error:
        _write(folder, audits, {}, single, before)
        error.add_note(f"The audit was written to {folder}, without a gallery")
        raise
    _write(folder, audits, names, single, before)
    return folder


def read_audits(of: str | Path) -> tuple[list[Analysed], bool]:
    """Read what `write_audits` wrote, and whether it was a single audit.

    Raises:
        FileNotFoundError: there is no such folder.
        TableError: it holds no audit, or one that is damaged, changed, or of another version.
    """
    folder = file_path(of, "folder")
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}")
    where = folder / AUDIT_FILE
    held = _manifest(folder)
    if held is None:
        raise TableError(
            f"{folder} holds no audit: there is no {AUDIT_FILE} that Audit.save wrote. The table "
            "of a journal is read by mc.table.load, and mc.audit(table) analyses it"
        )
    if held.get("version") != AUDIT_VERSION:
        raise TableError(
            f"{where} is of version {str(held.get('version'))[:20]}; this modcollapse reads "
            f"version {AUDIT_VERSION}"
        )
    if set(held) != _FIELDS or not isinstance(held["audits"], list):
        raise TableError(f"{where} does not hold the fields of version {AUDIT_VERSION}")
    if not held["audits"]:
        raise TableError(f"{where} names no audit: saving was broken off. Save it again")
    try:
        galleries = {side: _read_kept_of(folder, side, held) for side in _KEPT}
        audits = [_audit_of(folder, one, galleries) for one in held["audits"]]
        if type(held["single"]) is not bool or (held["single"] and len(audits) != 1):
            raise ValueError("it does not say whether it is a single audit")
        if len({one.name for one in audits}) != len(audits):
            raise ValueError("a name comes twice")
    except TableError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise TableError(f"{where} does not hold a consistent audit: {error!r}") from error
    return audits, held["single"]


def _claimed(folder: Path) -> Mapping[str, Any]:
    """Make the folder ours; return what its ``audit.json`` says so far."""
    if not folder.parent.is_dir():
        raise FileNotFoundError(f"cannot write {folder}: there is no folder {folder.parent}")
    if os.path.lexists(folder):
        before = _manifest(folder) if folder.is_dir() else None
        if before is not None:
            return before
        if not folder.is_dir() or any(folder.iterdir()):
            raise InputError(
                f"{folder} holds something else than a saved audit, and nothing of it is "
                "overwritten. Give a new or an empty folder"
            )
    else:
        os.mkdir(folder)
    claim = {"format": AUDIT_FORMAT, "version": AUDIT_VERSION, "single": True, "audits": []}
    write_whole(folder / AUDIT_FILE, (json.dumps(claim) + "\n").encode())
    return claim


def _manifest(folder: Path) -> dict[str, Any] | None:
    """What ``audit.json`` says; None where it is none of ours."""
    try:
        held = json.loads((folder / AUDIT_FILE).read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return held if isinstance(held, dict) and held.get("format") == AUDIT_FORMAT else None


def _tables(held: Mapping[str, Any], side: str) -> list[Mapping[str, Any]]:
    """What a manifest says of each table, or of each control's."""
    return [audit[side] for audit in held["audits"] if audit[side] is not None]


def _kept_in(held: Mapping[str, Any], side: str) -> set[str]:
    return {name for table in _tables(held, side) for name in table["kept"]}


def _write_kept_of(folder: Path, audits: Iterable[Analysed]) -> dict[tuple[str, int], str]:
    """Write everything kept once; return its name by the side it is of and its identity."""
    names: dict[tuple[str, int], str] = {}
    for _, table, control, _ in audits:
        for side, held in (("table", table), ("control", control)):
            for one in () if held is None else held.kept:
                if (side, id(one)) not in names:
                    (names[side, id(one)],) = write_all_kept(folder / _KEPT[side], [one])
    return names


def _read_kept_of(folder: Path, side: str, held: Mapping[str, Any]) -> dict[str, Kept] | None:
    """Everything kept by its name; None, which is said, where it is gone."""
    wanted, there = sorted(_kept_in(held, side)), folder / _KEPT[side]
    if not is_kept_there(there, wanted):
        warnings.warn(
            f"the audit in {folder} was saved with a gallery, which is not in {there}: it is "
            "loaded without",
            stacklevel=5,
        )
        return None
    return dict(zip(wanted, read_all_kept(there, wanted), strict=True))


def _write(
    folder: Path,
    audits: Iterable[Analysed],
    names: Mapping[tuple[str, int], str],
    single: bool,
    before: Mapping[str, Any],
) -> None:
    manifest = {
        "format": AUDIT_FORMAT,
        "version": AUDIT_VERSION,
        "single": single,
        "audits": [
            {
                "name": name,
                "settings": asdict(settings),
                "table": _write_table(folder, table, name, "table", names),
                "control": control and _write_table(folder, control, name, "control", names),
            }
            for name, table, control, settings in audits
        ],
    }
    write_whole(folder / AUDIT_FILE, (json.dumps(manifest, indent=1) + "\n").encode())
    for side in _KEPT:
        try:
            files = {table["file"] for table in _tables(before, side)}
            kept = _kept_in(before, side)
        except (KeyError, TypeError):  # of another version: what it names stays
            return
        for file in files - {table["file"] for one in _KEPT for table in _tables(manifest, one)}:
            if _TABLE.fullmatch(file):
                (folder / file).unlink(missing_ok=True)
        drop_kept(folder / _KEPT[side], kept - _kept_in(manifest, side))


def _write_table(
    folder: Path,
    table: CoalitionTable,
    name: str | int,
    side: str,
    names: Mapping[tuple[str, int], str],
) -> dict[str, Any]:
    part = folder / f".{secrets.token_hex(8)}.part"
    try:
        table.with_kept(()).save(part)
        digest = hashlib.sha256(part.read_bytes()).hexdigest()
        stem = side if name == "" else f"{slug(name)}-{side}"
        file = f"{stem}-{digest[:16]}.npz"
        os.replace(part, folder / file)
    finally:
        part.unlink(missing_ok=True)
    kept = [names[side, id(one)] for one in table.kept] if names else []
    return {"file": file, "sha256": digest, "kept": kept}


def _audit_of(
    folder: Path, said: Any, galleries: Mapping[str, Mapping[str, Kept] | None]
) -> Analysed:
    if not isinstance(said["name"], str | int):
        raise ValueError(f"no detector is named {described(said['name'])}")
    settings = dict(said["settings"])
    return Analysed(
        name=said["name"],
        table=_read_table(folder, said["table"], galleries["table"]),
        control=said["control"] and _read_table(folder, said["control"], galleries["control"]),
        settings=Settings(**{**settings, "rules": Rules(**settings["rules"])}),
    )


def _read_table(
    folder: Path, said: Mapping[str, Any], gallery: Mapping[str, Kept] | None
) -> CoalitionTable:
    path = folder / said["file"]
    if not _TABLE.fullmatch(said["file"]):
        raise ValueError(f"no table lies in {said['file'][:80]!r}")
    if path.is_symlink() or not path.is_file():
        raise TableError(f"{path} is missing, or a link, which is not followed")
    if hashlib.sha256(path.read_bytes()).hexdigest() != said["sha256"]:
        raise TableError(f"{path} was changed after it was written, or is damaged")
    table = CoalitionTable.load(path)
    if gallery is None or not said["kept"]:
        return table
    return table.with_kept([gallery[name] for name in said["kept"]])

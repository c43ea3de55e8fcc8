"""Folders of pictures with a listing of their pairs.

`datasets` reads ``metadata.csv`` of such folders, but takes ``test_1.png`` for a split and leaves
the listing out then, and makes numbers of ids like ``007``; ``captions.csv`` it does not know. So
the listing is read here, to the letter, and `datasets` has the pictures.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from datasets import Dataset, Image

from modcollapse.errors import InputError

NAMES = tuple(f"{stem}{end}" for stem in ("captions", "metadata") for end in (".csv", ".jsonl"))

FILE = "file_name"
"""Column of a picture's file, for the column ``image``; ``X_file_name``, for the column ``X``."""


def listing_of(folder: Path) -> Path | None:
    """The listing in a folder, if there is one.

    Raises:
        InputError: there are several.
    """
    found = [folder / name for name in NAMES if (folder / name).is_file()]
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise InputError(f"data.source: the folder {folder} holds {names}; keep one of them")
    return found[0] if found else None


def read_listing(listing: Path) -> Dataset:
    """The rows of a listing in their order, pictures in place of the names of their files.

    Raises:
        InputError: no CSV or JSON lines in UTF-8, no row, rows that differ in their columns, no
            column of files, or a picture that is not there.
    """
    try:
        text = listing.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{listing} is not in UTF-8: {error}") from error
    rows = list((_csv_rows if listing.suffix == ".csv" else _json_rows)(listing, text))
    if not rows:
        raise InputError(f"{listing} lists nothing")
    names = list(rows[0][1])
    for where, row in rows:
        if set(row) != set(names):
            raise InputError(f"{where}: expected the columns {', '.join(names)}, got {list(row)}")
    columns = {name: _column(name) for name in names}
    if len(set(columns.values())) < len(columns):
        raise InputError(f"{listing} names the file of a picture that has a column beside it")
    pictures = [name for name in names if columns[name] != name]
    if not pictures:
        raise InputError(
            f"{listing} has the columns {', '.join(names)}, none of which names files of pictures: "
            f"X_{FILE} names those of the column X"
        )
    for where, row in rows:
        for name in pictures:
            row[name] = _picture(listing.parent, row[name], f"{where}, {name}")
    try:
        data = Dataset.from_dict({columns[name]: [row[name] for _, row in rows] for name in names})
    except Exception as error:  # of pyarrow: values of several kinds in a column
        raise InputError(f"{listing} is no table: {error}") from error
    for name in pictures:
        data = data.cast_column(columns[name], Image())
    return data


def _csv_rows(listing: Path, text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        for row in reader:
            if None in row or None in row.values():
                raise InputError(f"{listing}, line {reader.line_num}: not as many values as names")
            yield f"{listing}, line {reader.line_num}", row
    except csv.Error as error:
        raise InputError(f"{listing}, line {reader.line_num}, is no whole CSV: {error}") from error


def _json_rows(listing: Path, text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, line in enumerate(text.split("\n"), 1):  # U+2028 ends no line
        if not line.strip():
            continue
        where = f"{listing}, line {number}"
        try:
            row = json.loads(line)
        except ValueError as error:
            raise InputError(f"{where}, is no JSON: {error}") from error
        if not isinstance(row, dict):
            raise InputError(f"{where}, must be a JSON object, got {row!r}")
        yield where, row


def _column(name: str) -> str:
    """The column of the pictures whose files a column names; any other column itself."""
    if name == FILE:
        return "image"
    return name.removesuffix(f"_{FILE}")


def _picture(folder: Path, name: Any, where: str) -> str:
    """Path of a picture that is there."""
    if not isinstance(name, str) or not name:
        raise InputError(f"{where}: expected the name of a picture's file, got {name!r}")
    if not (folder / name).is_file():
        raise InputError(f"{where}: there is no picture {folder / name}")
    return str(folder / name)

"""Files of outputs: JSON, JSON lines, CSV and folders of pictures, each refused by its line."""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from modcollapse._support.images import image_size
from modcollapse._support.optional import require
from modcollapse._support.pictures import as_rgb, read_picture
from modcollapse._support.validation import listed
from modcollapse.errors import InputError
from modcollapse.studies._output_json import json_lines, json_values
from modcollapse.studies._output_records import Records

SUFFIXES = (".json", ".jsonl", ".ndjson", ".csv")

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")


class File(NamedTuple):
    """What a file holds.

    Attributes:
        values: the list or mapping of a JSON file, the values of its lines, or the records of CSV.
        where: place -> what an error calls it.
        sha256: digest of its bytes.
    """

    values: Any
    where: Callable[[int], str]
    sha256: str


class PictureFile(NamedTuple):
    """A picture that was found to be one, and is read again when it is scored."""

    path: Path
    sha256: str

    def load(self) -> Any:
        """Return it in RGB, upright.

        Raises:
            InputError: it cannot be decoded, or was changed since it was checked.
        """
        data = self.path.read_bytes()
        if hashlib.sha256(data).hexdigest() != self.sha256:
            raise InputError(f"{self.path} was changed since it was checked; read it once more")
        return _decoded(data, self.path)


def names_a_file(text: str) -> bool:
    """Whether a text is the name of a picture, or of a file that is there."""
    return text.lower().endswith(PICTURES) or os.path.isfile(text)


def read_file(path: Path, name: str) -> File:
    """Read a file by its suffix.

    Args:
        path: of the file.
        name: what an error calls it.

    Raises:
        InputError: the suffix is another, the file is not whole, or is no UTF-8.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(
            f"{name} cannot be read: files of {listed(SUFFIXES)} and folders of pictures can; or "
            "read it yourself and give what it holds"
        )
    data = path.read_bytes()
    sha256 = hashlib.sha256(data).hexdigest()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{name} is not in UTF-8: byte {error.start} is none of it") from error
    if suffix == ".csv":
        return File(_csv(text, name), lambda place: f"{name}, record {place + 1}", sha256)
    if suffix == ".json":
        return File(json_values(text, name), lambda place: f"{name}, record {place + 1}", sha256)
    return File(json_lines(text, name), lambda place: f"{name}, line {place + 1}", sha256)


def read_folder(folder: Path, name: str) -> tuple[dict[str, PictureFile], str]:
    """Look at every picture of a folder; return them by the stem of their names, and a digest.

    Hidden files are passed over.

    Raises:
        InputError: something else is in it, a picture does not decode, or two have one stem.
    """
    require("PIL.Image", extra="clip", needed_by="a folder of pictures")
    found: dict[str, PictureFile] = {}
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if not path.is_file():
            raise InputError(f"{name} holds {path.name!r}, which is no picture. Move it away")
        if path.stem in found:
            raise InputError(
                f"{name} holds {found[path.stem].path.name!r} and {path.name!r}: two pictures "
                f"with the id {path.stem!r}, which is the name without its ending"
            )
        data = path.read_bytes()
        _decoded(data, path)
        found[path.stem] = PictureFile(path, hashlib.sha256(data).hexdigest())
        digest.update(f"{path.stem}:{found[path.stem].sha256};".encode())
    return found, digest.hexdigest()


def _decoded(data: bytes, path: Path) -> Any:
    refusal = f"{path} cannot be read as a picture"
    picture = as_rgb(read_picture(io.BytesIO(data), refusal))
    image_size(picture, str(path))
    return picture


def _csv(text: str, name: str) -> Records:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: list[list[str]] = []
    try:
        rows.extend(reader)
    except csv.Error as error:
        raise InputError(f"{name}, line {reader.line_num}, is no whole CSV: {error}") from error
    if text and not text.endswith(("\n", "\r")):
        raise InputError(
            f"{name}, line {reader.line_num}, has no line break at its end, as while a file is "
            "being written. Add one if the file is whole"
        )
    while rows and not rows[-1]:
        del rows[-1]

    def where(place: int) -> str:
        again = csv.reader(io.StringIO(text, newline=""))
        for _ in range(place + 1):
            next(again)
        return f"{name}, line {again.line_num + 1}"

    if [] in rows:
        raise InputError(
            f"{where(rows.index([]) - 1)}, is blank, and more follow. Is a record "
            "missing? Take it away"
        )
    header = rows[0] if rows else []
    if len(set(header)) < len(header):
        twice = next(one for one, n in Counter(header).items() if n > 1)
        raise InputError(f"{name} has two columns {twice!r}")
    body = rows[1:]

    if set(map(len, body)) - {len(header)}:
        place = next(at for at, row in enumerate(body) if len(row) != len(header))
        raise InputError(
            f"{where(place)}, has {len(body[place])} values for the {len(header)} columns "
            f"{listed(header)}"
        )
    columns = dict(zip(header, map(list, zip(*body, strict=True)), strict=False))
    return Records(name, len(body), where, columns=columns, texts=True)

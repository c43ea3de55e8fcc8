"""Examples of an audit: a folder of pictures with captions, or a data set of Hugging Face."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from modcollapse._support.optional import require
from modcollapse._support.validation import did_you_mean, listed
from modcollapse.errors import InputError, context

_PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
_CAPTIONS = tuple(f"{stem}{end}" for stem in ("captions", "metadata") for end in (".csv", ".jsonl"))
_FILE = "file_name"
"""Column of a picture's file, as in the folders of `datasets`; ``X_file_name`` names that of X."""


class DataSet(NamedTuple):
    """Examples as they are, and how many there are beyond those that are taken.

    Attributes:
        examples: N of them, a list or a data set of `datasets`.
        columns: names of what they hold.
        left_out: number of examples that come after them.
    """

    examples: Any
    columns: tuple[str, ...]
    left_out: int


def read_data(where: str, count: int, split: str | None = None) -> DataSet:
    """Find the examples of an audit.

    Args:
        where: a folder of pictures with ``captions.csv``, ``captions.jsonl`` (or ``metadata``, as
            `datasets` calls them) or a ``.txt`` beside each; a Parquet file or a folder of such; a
            folder of ``save_to_disk``; or an id on the Hugging Face hub.
        count: how many to take from the beginning; 0 for all.
        split: of a data set that has several.

    Raises:
        InputError: nothing of the kind, a caption without a picture or the other way round.
        MissingExtraError: it is a data set, and `datasets` is not installed.
    """
    path = Path(where).expanduser()
    if path.is_dir() and not _is_data_set(path):
        if split is not None:
            raise InputError(f"--split goes with a data set; {path} is a folder of pictures")
        found = list(_of_folder(path))
        taken = found[: count or None]
        names = dict.fromkeys(name for one in taken for name in one)
        return DataSet(taken, tuple(names), len(found) - len(taken))
    data = _loaded(where, path, split)
    taken = data.select(range(min(count or len(data), len(data))))
    return DataSet(taken, tuple(data.column_names), len(data) - len(taken))


def read_columns(given: Sequence[str]) -> dict[str, str]:
    """Read ``NAME=COLUMN``, several in one text with commas between.

    Raises:
        InputError: something else.

    >>> read_columns(["image=input_image,text=prompt"])
    {'image': 'input_image', 'text': 'prompt'}
    """
    pairs = [pair.partition("=") for text in given for pair in text.split(",")]
    for name, equals, column in pairs:
        if not (name.strip() and equals and column.strip()):
            raise InputError(f"--columns takes NAME=COLUMN, got {name + equals + column!r}")
    return {name.strip(): column.strip() for name, _, column in pairs}


def check_held(data: DataSet, columns: Mapping[str, str], needed: Sequence[str]) -> None:
    """Raise unless the examples hold what is asked for.

    Raises:
        InputError: a column that is not there.
    """
    if not len(data.examples):
        raise InputError("DATA holds no example")
    for name in needed:
        column = columns.get(name, name)
        if column not in data.columns:
            raise InputError(
                f"DATA has no column {column!r}, of which there is a trigger or which --columns "
                f"names; it has {listed(data.columns)}{did_you_mean(column, data.columns)}. "
                f"Say which: --columns {name}=COLUMN"
            )


def _is_data_set(folder: Path) -> bool:
    saved = ("dataset_info.json", "dataset_dict.json", "state.json")
    return any((folder / name).is_file() for name in saved) or any(folder.rglob("*.parquet"))


def _loaded(where: str, path: Path, split: str | None) -> Any:
    if path.is_file() and path.suffix != ".parquet":
        raise InputError(
            f"DATA names the file {path}; files of data sets end in .parquet. Give the folder of "
            "the pictures and their captions"
        )
    if not path.exists() and where.count("/") > 1:
        raise InputError(f"there is no file or folder {path}")
    datasets: Any = require("datasets", extra="data", needed_by="a data set as DATA")
    try:
        if path.is_file():
            data = datasets.load_dataset("parquet", data_files=str(path))
        elif path.is_dir() and any(path.rglob("*.parquet")):
            data = datasets.load_dataset(str(path))
        elif path.is_dir():
            data = datasets.load_from_disk(str(path))
        else:
            data = datasets.load_dataset(where)
    except Exception as error:
        raise InputError(f"the data set {where!r} cannot be read: {error}") from error
    if not isinstance(data, dict):
        if split is not None:
            raise InputError(f"--split is {split!r}, and {where!r} has no splits")
        return data
    if split is None and len(data) == 1:
        return next(iter(data.values()))
    if split not in data:
        raise InputError(
            f"{where!r} has the splits {listed(data)}: say which by --split, got {split!r}"
        )
    return data[split]


def _of_folder(folder: Path) -> Iterator[dict[str, Any]]:
    listings = [folder / name for name in _CAPTIONS if (folder / name).is_file()]
    if len(listings) > 1:
        raise InputError(f"{folder} holds {listed(one.name for one in listings)}: keep one of them")
    if listings:
        return _of_listing(folder, listings[0])
    return _of_texts(folder)


def _of_texts(folder: Path) -> Iterator[dict[str, Any]]:
    """Pictures in the order of their names, each with the text beside it."""
    pictures = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in _PICTURES]
    if not pictures:
        raise InputError(
            f"{folder} holds no pictures ({', '.join(_PICTURES)}), and none of {listed(_CAPTIONS)}"
        )
    seen: dict[str, Path] = {}
    for path in pictures:
        if path.stem in seen:
            raise InputError(f"{seen[path.stem].name} and {path.name} in {folder} have one name")
        seen[path.stem] = path
        text = path.with_suffix(".txt")
        if not text.is_file():
            raise InputError(
                f"{path.name} has no caption: {folder} holds neither {text.name} nor any of "
                f"{listed(_CAPTIONS)}"
            )
        yield {"id": path.stem, "image": path, "text": _read(text).strip("\r\n")}


def _of_listing(folder: Path, listing: Path) -> Iterator[dict[str, Any]]:
    """Records in their order, files in place of their names."""
    rows = _csv_rows(listing) if listing.suffix == ".csv" else _json_rows(listing)
    for number, row in enumerate(rows, 1):
        where = f"{listing}, record {number}"
        with context(where):
            if not isinstance(row, dict) or not isinstance(row.get(_FILE), str):
                raise InputError(f"a record needs {_FILE!r}, the name of its picture")
            if not Path(row[_FILE]).name:
                raise InputError(f"{_FILE!r} must name a picture, got {row[_FILE]!r}")
            example: dict[str, Any] = {"id": Path(row[_FILE]).with_suffix("").as_posix()}
            for name, value in row.items():
                if name == _FILE:
                    example["image"] = _picture(folder, value)
                elif name.endswith(f"_{_FILE}"):
                    example[name.removesuffix(f"_{_FILE}")] = _picture(folder, value)
                else:
                    example[name] = value
            yield example


def _csv_rows(listing: Path) -> Iterator[dict[str, Any]]:
    reader = csv.DictReader(io.StringIO(_read(listing), newline=""), strict=True)
    try:
        for row in reader:
            if None in row or None in row.values():
                raise InputError(f"{listing}, line {reader.line_num}: not as many values as names")
            yield row
    except csv.Error as error:
        raise InputError(f"{listing}, line {reader.line_num}, is no whole CSV: {error}") from error


def _json_rows(listing: Path) -> Iterator[Any]:
    for number, line in enumerate(_read(listing).split("\n"), 1):  # U+2028 ends no line
        if line.strip():
            try:
                yield json.loads(line)
            except ValueError as error:
                raise InputError(f"{listing}, line {number}, is no JSON: {error}") from error


def _picture(folder: Path, name: Any) -> Path:
    path = folder / str(name)
    if not path.is_file():
        raise InputError(f"there is no picture {path}")
    return path


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not in UTF-8: byte {error.start} is none of it") from error

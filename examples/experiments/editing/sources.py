"""Where an image-edit data set lies, and how it is opened. No code of a data set is ever run."""

from __future__ import annotations

import glob
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from datasets import (
    Dataset,
    DatasetBuilder,
    IterableDataset,
    load_dataset_builder,
    load_from_disk,
)

from modcollapse.errors import InputError

from experiments.editing.listings import NAMES, listing_of, read_listing
from experiments.experiment_file import Data

Rows: TypeAlias = Dataset | IterableDataset


@dataclass(frozen=True)
class Opened:
    """The split of a data set.

    Attributes:
        rows: all of its columns.
        narrowed: columns -> the same rows with these alone; of Parquet that is streamed, the others
            are not even fetched.
    """

    rows: Rows
    narrowed: Callable[[list[str]], Rows]


def open_source(data: Data) -> Opened:
    """Open the split of a data set.

    Raises:
        InputError: nothing of the kind, or no such split; the key is named.
    """
    path = Path(data.source).expanduser()
    if path.is_dir() and _is_saved(path):
        rows = _saved(data, path)
    elif path.is_dir() and (listing := _listing(data, path)):
        rows = read_listing(listing)
    else:
        return _loaded(data, path)
    _refuse(data, "name", "revision")
    opened = rows.to_iterable_dataset() if data.streaming else rows
    return Opened(opened, opened.select_columns)


def _refuse(data: Data, *keys: str) -> None:
    """Refuse keys that say nothing about a data set on the disk."""
    for key in keys:
        if getattr(data, key) is not None:
            raise InputError(
                f"data.{key} = {getattr(data, key)!r} says nothing about {data.source!r}, which is "
                "on the disk; leave it out"
            )


def _is_saved(folder: Path) -> bool:
    return any((folder / name).is_file() for name in ("state.json", "dataset_dict.json"))


def _saved(data: Data, folder: Path) -> Dataset:
    """What `save_to_disk` wrote; a single data set is the split that it says it is, or train."""
    with _reading(data):
        found = load_from_disk(str(folder))
    splits = found if isinstance(found, dict) else {str(found.split or "train"): found}
    return _split(data, splits).with_format(None)


def _listing(data: Data, folder: Path) -> Path | None:
    """The listing of a folder of pictures, or that of a folder in it, which then is a split."""
    folders = {"train": folder}
    if listing_of(folder) is None:
        folders = {path.name: path for path in sorted(folder.iterdir()) if path.is_dir()}
    listings = {name: listing for name in folders if (listing := listing_of(folders[name]))}
    found: Path | None = _split(data, listings) if listings else None
    return found


def _place(data: Data, path: Path) -> tuple[str, dict[str, Any]]:
    """What `datasets` is to load, and how: a Parquet file, a folder, or a repository of the hub."""
    if path.is_file() and path.suffix == ".parquet":
        _refuse(data, "name", "revision")
        return "parquet", {"data_files": glob.escape(str(path))}
    if path.is_file():
        raise InputError(f"data.source = {data.source!r} is a file; those of data end in .parquet")
    if path.is_dir():
        _refuse(data, "revision")
        return str(path.resolve()), {"name": data.name}
    if re.fullmatch(r"[\w.-]+/[\w.-]+", data.source):
        return data.source, {"name": data.name, "revision": data.revision}
    raise InputError(
        f"data.source = {data.source!r}: there is no such file or folder, and an id of the hub is "
        "OWNER/NAME"
    )


def _loaded(data: Data, path: Path) -> Opened:
    place, options = _place(data, path)

    def split(**more: Any) -> tuple[DatasetBuilder, Rows]:
        with _reading(data):
            builder = load_dataset_builder(place, **options, **more)
            if data.streaming:
                splits = builder.as_streaming_dataset()
            else:
                builder.download_and_prepare()
                splits = builder.as_dataset()
        return builder, _split(data, splits)

    builder, rows = split()
    if builder.name == "cache" and data.revision not in (None, builder.hash):
        raise InputError(
            f"the hub cannot be reached, and what is kept here of {data.source!r} is its revision "
            f"{builder.hash!r}, not data.revision = {data.revision!r}"
        )
    if not (data.streaming and builder.name == "parquet"):
        return Opened(rows, rows.select_columns)
    if "revision" in options:  # the hub may move on while it is read
        options["revision"] = builder.hash
    return Opened(rows, lambda columns: split(columns=columns)[1])


def _split(data: Data, splits: Mapping[str, Any]) -> Any:
    if data.split not in splits:
        raise InputError(
            f"{data.source!r} has no split data.split = {data.split!r}; it has "
            f"{', '.join(map(repr, splits))}"
        )
    return splits[data.split]


@contextmanager
def _reading(data: Data) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise InputError(
            f"data.source = {data.source!r} cannot be read as a data set: {error}. Expected an id "
            "of the hub, Parquet, a folder of save_to_disk, or a folder of pictures with one of "
            f"{', '.join(NAMES)}"
        ) from error

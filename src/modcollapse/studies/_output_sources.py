"""Outputs of one coalition, wherever they are: in a file, a folder, a data frame or in memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from modcollapse._support.digests import hexdigest
from modcollapse._support.validation import described, listed
from modcollapse.errors import InputError
from modcollapse.studies._output_files import PICTURES, SUFFIXES, read_file, read_folder
from modcollapse.studies._output_layouts import Layout, fields_of_a_record, layout_of
from modcollapse.studies._output_records import ABSENT, Field, Records, records_of
from modcollapse.studies._output_source import (
    Options,
    Source,
    check_unique,
    paths_of,
    plain_ids,
    repeats_joined,
)


def read_source(coalition: str, given: Any, options: Options) -> Source:
    """Read the outputs of a coalition.

    Args:
        coalition: its label.
        given: the path of a file or folder, a list of ``pathlib.Path`` (one a repeat), a mapping
            id -> output, a data frame, or a sequence of records or outputs.
        options: which field is what.

    Raises:
        InputError: it cannot be read, holds nothing, or an id is none or comes twice.
    """
    if isinstance(given, list | tuple) and paths_of(given):
        return repeats_joined(coalition, [_read(coalition, one, options) for one in given])
    source = _read(coalition, given, options)
    if source.repeats is None:
        check_unique(source)
    return source


def _read(coalition: str, given: Any, options: Options) -> Source:
    name, told = repr(coalition), dict[str, Any]()
    values, where = given, lambda place: f"{coalition!r}[{place}]"
    if isinstance(given, str | PathLike):
        path = Path(given)
        name = f"{coalition!r} ({path.name})"
        if path.is_dir():
            values, sha256 = read_folder(path, name)
            told = {"folder": path.name, "pictures": len(values), "content": f"sha256:{sha256}"}
        elif path.is_file():
            values, where, sha256 = read_file(path, name)
            told = {"file": path.name, "content": f"sha256:{sha256}"}
        else:
            raise InputError(
                f"{coalition!r}: there is no file or folder {str(given)!r}. Outputs themselves are "
                "given as a list"
            )
    elif hasattr(given, "columns") and hasattr(given, "index"):
        values = _of_frame(given, name, where)
    elif hasattr(given, "iloc") and hasattr(given, "index"):
        values = _of_series(given, name)
    elif not isinstance(given, Mapping):
        values = _listed(given, name)
    count = values.count if isinstance(values, Records) else len(values)
    if not count:
        raise InputError(f"{name} holds no outputs")
    if isinstance(values, Mapping):
        source = _of_pairs(coalition, name, values, options, is_file="file" in told)
    elif isinstance(values, Records):
        source = _of_records(coalition, values, options)
    elif any(isinstance(value, Mapping) for value in values):
        source = _of_records(coalition, records_of(values, name, where), options)
    else:
        _check_no_paths(values, name)
        source = Source(coalition, name, where, list(range(count)), values, {}, by_place=True)
    if not told:
        digest = hexdigest([source.ids, source.outputs])
        told = {"in memory": type(given).__name__, "content": digest and f"sha256:{digest}"}
    source.told.update(told)
    return source


def _check_no_paths(values: list[Any], name: str) -> None:
    """Raise where the names of files were given for what is in them."""
    first = values[0]
    if not isinstance(first, str):
        return
    known = first.lower().endswith((*SUFFIXES, *PICTURES)) and os.path.isfile(first)
    if known or all(isinstance(one, str) and one and os.path.exists(one) for one in values):
        raise InputError(
            f"{name} is a list of texts, of which the first names a file or folder, {first!r}. "
            "Files and folders in a list, one a repeat, are given as pathlib.Path; pictures "
            "opened, as by Image.open, or as their folder"
        )


def _listed(given: Any, name: str) -> list[Any]:
    """A sequence of outputs as a list; numbers of an array or a tensor as those of Python."""
    shape = getattr(given, "shape", None)
    if shape is not None and len(shape) == 1 and hasattr(given, "tolist"):
        return list(given.tolist())
    sequence = hasattr(given, "__getitem__") and hasattr(given, "__len__")
    if isinstance(given, bytes) or not sequence or shape == ():
        raise InputError(
            f"{name} must be the path of a file or folder, a sequence, a mapping id -> output or a "
            f"data frame; got {described(given)}"
        )
    return [given[place] for place in range(len(given))]


def _of_frame(frame: Any, name: str, where: Callable[[int], str]) -> Records:
    if any(label is not None for label in frame.index.names):
        frame = frame.reset_index()
    if not frame.columns.is_unique:
        raise InputError(f"{name} has two columns of one name: {list(frame.columns)!r}")
    columns = {str(label): frame[label].tolist() for label in frame.columns}
    return Records(name, len(frame), where, columns=columns)


def _of_series(series: Any, name: str) -> dict[Any, Any]:
    """A series as a mapping from its index.

    Raises:
        InputError: the index holds an id twice.
    """
    if not series.index.is_unique:
        twice = series.index[series.index.duplicated()][0]
        raise InputError(f"{name} has the id {twice!r} twice")
    return dict(zip(series.index.tolist(), series.tolist(), strict=True))


def _of_pairs(
    coalition: str, name: str, pairs: Mapping[Any, Any], options: Options, *, is_file: bool
) -> Source:
    ids, outputs = list(pairs), list(pairs.values())

    def where(place: int) -> str:
        return f"{name}, id {ids[place]!r}"

    record = fields_of_a_record(pairs, options.id, options.output)
    if record:
        raise InputError(
            f"{name} has the keys {listed(record)}, which are fields of a record, and a mapping is "
            "read as id -> output. Give a list of records, or a data frame of columns"
        )
    if is_file:
        _check_plain(name, outputs)
    return Source(coalition, name, where, plain_ids(ids, where), outputs, {})


def _check_plain(name: str, values: list[Any]) -> None:
    """Raise unless the values of an object in a file are of one kind, as outputs are.

    A summary of an evaluation is an object too.
    """
    first: dict[type, Any] = {}
    for value in values:
        if isinstance(value, list | dict):
            raise InputError(
                f"{name} is an object that holds {described(value)[:60]}: an object is read as "
                "id -> output. Give the list of records that is in it"
            )
        first.setdefault(type(value), value)
    if len(first) > 1 and type(None) not in first:
        mine, theirs, *_ = map(described, first.values())
        raise InputError(
            f"{name} is an object that holds {mine[:60]} and {theirs[:60]}: an object is read as "
            "id -> output, and outputs are of one kind. A summary is none; scores of which some "
            "were written as whole numbers are told by a list of records"
        )


def _of_records(coalition: str, records: Records, options: Options) -> Source:
    layout: Layout = layout_of(records, options.id, options.output, scores=options.scores)
    by_place = layout.id is None
    ids = range(records.count) if layout.id is None else records.column(layout.id)
    fields = {
        name: records.column(one) if callable(one) else _optional(records, one)
        for name, one in {**layout.fields, **options.fields}.items()
    }
    conditions = {**layout.conditions, **options.conditions}
    return Source(
        coalition,
        records.name,
        records.where,
        plain_ids(list(ids), records.where),
        records.column(layout.output),
        {},
        by_place=by_place,
        texts=records.texts,
        repeats=None if options.repeat is None else _repeats(records, options.repeat),
        fields=fields,
        conditions={name: records.column(one) for name, one in conditions.items()},
        shown={name: records.column(one) for name, one in layout.shown.items()},
        alike={name: records.column(one) for name, one in layout.alike.items()},
        labels=None if layout.labels is None else records.column(layout.labels),
        triggered=None if layout.coalition is None else records.column(layout.coalition),
    )


def _repeats(records: Records, field: Field) -> list[Any]:
    labels = records.column(field)
    if set(map(type, labels)) <= {int, str}:
        return labels
    for place, label in enumerate(labels):
        if not isinstance(label, Hashable) or _is_nan(label):
            raise InputError(
                f"{records.where(place)} has the repeat {described(label)}: a text or a number is "
                "wanted, which tells the repeats of an example apart"
            )
    return labels


def _is_nan(value: Any) -> bool:
    """Whether it is what pandas has where there is nothing."""
    return isinstance(value, float) and value != value


def _optional(records: Records, name: str) -> list[Any]:
    """Values of a field that some records may lack; None there."""
    values = records.optional(name)
    if all(value is ABSENT for value in values):
        return records.column(name)  # refuses it, with what there is
    return [None if value is ABSENT or _is_nan(value) else value for value in values]

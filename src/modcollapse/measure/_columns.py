"""Examples as their owners have them: under names of their own, pictures as files."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, cast, overload

from modcollapse._support.validation import described, did_you_mean, listed
from modcollapse.contracts import Example
from modcollapse.errors import InputError
from modcollapse.measure._media import opened


def as_examples(examples: Any, columns: Mapping[str, str] | None) -> Sequence[Example]:
    """Return examples under the names of the run, each read when it is asked for.

    Args:
        examples: anything with a length that returns a mapping for a position: a list, a
            map-style data set of torch or of `datasets`.
        columns: name in the run -> column (key) of the examples; None where they agree.

    Raises:
        InputError: ``columns`` is no mapping of names, or names a column that no example has.
    """
    columns = checked_columns(columns)
    held = _names_held(examples) if columns else None
    if held is not None:
        for name, column in columns.items():
            if column not in held:
                raise _no_such(name, column, held, "no example has; they hold")
    return _Read(examples, columns, range(len(examples)))


def checked_columns(columns: Any) -> dict[str, str]:
    """Return name -> column, none where none was given.

    Raises:
        InputError: it is no mapping of non-empty names to names.
    """
    if columns is None:
        return {}
    if not isinstance(columns, Mapping):
        raise InputError(
            "columns must be a mapping from the name that the run uses to the column of the "
            f'examples, such as {{"image": "input_image"}}; got {described(columns)}'
        )
    for name, column in columns.items():
        if not (isinstance(name, str) and name and isinstance(column, str) and column):
            raise InputError(
                "columns maps a non-empty str to a non-empty str, the name that the run uses to "
                f"the column of the examples; got {name!r}: {column!r}"
            )
    return dict(columns)


def read_example(raw: Any, columns: Mapping[str, str]) -> Any:
    """Return an example under the names of the run, what it names as files opened.

    A column that ``columns`` names stands under its new name alone, and takes the place of one
    that had that name before. All others stay as they are called.

    Args:
        raw: what the caller's examples hold at one place; what is no mapping is returned as it is,
            to be refused where examples are checked.
        columns: what `checked_columns` returned.

    Returns:
        A dict, name -> value; see `opened` for what becomes of files.

    Raises:
        InputError: it lacks a column, or a file cannot be read.
    """
    if not isinstance(raw, Mapping):
        return raw
    for name, column in columns.items():
        if column not in raw:
            raise _no_such(name, column, raw, "this example does not hold; it holds")
    moved = {*columns, *columns.values()}
    sources = {**columns, **{key: key for key in raw if key not in moved}}
    as_they_are = {sources.get("id")}  # what names an example is none of its content
    values = {
        source: raw[source] if source in as_they_are else opened(raw[source])
        for source in dict.fromkeys(sources.values())
    }
    return {name: values[source] for name, source in sources.items()}


class _Read(Sequence[Example]):
    """Some of the caller's examples, of which none is held."""

    def __init__(self, raw: Sequence[Any], columns: Mapping[str, str], places: range) -> None:
        self._raw, self._columns, self._places = raw, columns, places

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, at: int) -> Example: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Example]: ...
    def __getitem__(self, at: int | slice) -> Example | Sequence[Example]:
        if isinstance(at, slice):
            return _Read(self._raw, self._columns, self._places[at])
        return cast(Example, read_example(self._raw[self._places[at]], self._columns))


def _names_held(examples: Any) -> Collection[Any] | None:
    """Names of what the examples hold, where that is known without reading one; else None."""
    names = getattr(examples, "column_names", None)  # of `datasets`
    if isinstance(names, list):
        return names
    if isinstance(examples, list | tuple) and all(isinstance(one, Mapping) for one in examples):
        return dict.fromkeys(key for one in examples for key in one)
    return None


def _no_such(name: str, column: str, held: Collection[Any], where: str) -> InputError:
    return InputError(
        f"columns maps {name!r} to {column!r}, which {where} {listed(held) or 'nothing'}"
        f"{did_you_mean(column, held)}"
    )

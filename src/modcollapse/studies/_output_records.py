"""Records of outputs, as a file, a data frame or a sequence holds them, read by the field."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from modcollapse._support.validation import described, did_you_mean, listed
from modcollapse.errors import InputError, context

Field: TypeAlias = str | Callable[[Mapping[str, Any]], Any]
"""Name of a field, with a dot for one within another (``"metadata.type"``), or a function of a
record."""

ABSENT = object()
"""Stands where a record lacks a field that it may lack."""


@dataclass(frozen=True)
class Records:
    """N records in their order.

    Attributes:
        name: what an error calls the source, such as ``"'image' (b.json)"``.
        count: N.
        where: place -> what an error calls a record.
        rows: the records, where they came as mappings.
        columns: field -> N values, where they came as columns.
        texts: whether every value is a text, since the format knows no numbers.
    """

    name: str
    count: int
    where: Callable[[int], str]
    rows: Sequence[Mapping[str, Any]] | None = None
    columns: Mapping[str, Sequence[Any]] | None = None
    texts: bool = False

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the fields, of mappings those of the first."""
        return tuple(self.columns or (self.rows or [{}])[0])

    def has(self, field: str) -> bool:
        """Whether the first record has a field."""
        return self._get(0, field) is not ABSENT

    def column(self, field: Field) -> list[Any]:
        """Return the value of a field in every record.

        Raises:
            InputError: a record lacks it.
        """
        if callable(field):
            return [self._called(field, place) for place in range(self.count)]
        if self.columns is not None:
            if field not in self.columns:
                raise self._lacks(field, self.fields, self.name)
            return list(self.columns[field])
        rows = self.rows or ()
        try:
            return [row[field] for row in rows]
        except (KeyError, TypeError):
            values = self.optional(field)
        place = next((at for at, value in enumerate(values) if value is ABSENT), None)
        if place is None:
            return values
        raise self._lacks(field, rows[place], self.where(place))

    def optional(self, field: str) -> list[Any]:
        """The same with `ABSENT` where a record lacks it."""
        return [self._get(place, field) for place in range(self.count)]

    def row(self, place: int) -> Mapping[str, Any]:
        """One record as a mapping."""
        if self.rows is not None:
            return self.rows[place]
        return {name: values[place] for name, values in (self.columns or {}).items()}

    def _get(self, place: int, field: str) -> Any:
        row: Any = self.row(place)
        if field in row:
            return row[field]
        for part in field.split("."):
            if not isinstance(row, Mapping) or part not in row:
                return ABSENT
            row = row[part]
        return row

    def _called(self, field: Callable[[Mapping[str, Any]], Any], place: int) -> Any:
        with context(lambda: f"raised for {self.where(place)}"):
            return field(self.row(place))

    def _lacks(self, field: str, held: Any, where: str) -> InputError:
        return InputError(
            f"{where} has no field {field!r}; it holds {listed(held) or 'nothing'}"
            f"{did_you_mean(field, held)}"
        )


def records_of(values: Sequence[Any], name: str, where: Callable[[int], str]) -> Records:
    """Read a sequence of mappings.

    Raises:
        InputError: one of them is something else.
    """
    if set(map(type, values)) != {dict}:
        for place, value in enumerate(values):
            if not isinstance(value, Mapping):
                raise InputError(
                    f"{where(place)} is no record, as those before it are, but {described(value)}"
                )
    return Records(name, len(values), where, rows=values)

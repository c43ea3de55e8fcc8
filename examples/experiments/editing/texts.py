"""Ids and instructions of a data set, which are read before any picture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modcollapse.errors import InputError, context

from experiments.editing.sources import Rows


def text_of(row: Mapping[str, Any], columns: Mapping[str, str], position: int) -> tuple[str, Any]:
    """Id and instruction of a row.

    Args:
        row: its values.
        columns: the column of every role; without ``id``, rows are numbered.
        position: of the row in the data set.
    """
    named = str(row[columns["id"]]) if "id" in columns else f"row-{position:06d}"
    return named, row[columns["instruction"]]


def read_texts(
    rows: Rows, columns: Mapping[str, str], source: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Ids and instructions of all rows, in their order.

    Args:
        rows: without pictures.
        columns: the column of every role.
        source: what the data set is called in an error.

    Raises:
        InputError: an id that is none or comes twice, an instruction that is none.
    """
    positions: dict[str, int] = {}
    instructions: list[str] = []
    with context(f"while reading the instructions of {source!r}"):
        for position, row in enumerate(rows):
            if "id" in columns and row[columns["id"]] in (None, ""):
                raise InputError(
                    f"row {position} of {source!r} has no id in data.columns.id = {columns['id']!r}"
                )
            one, instruction = text_of(row, columns, position)
            if one in positions:
                raise InputError(
                    f"the id {one!r} comes twice in {source!r}, data.columns.id = "
                    f"{columns['id']!r}: in the rows {positions[one]} and {position}"
                )
            if not isinstance(instruction, str) or not instruction.strip():
                raise InputError(
                    f"row {one!r} of {source!r} has no instruction in data.columns.instruction = "
                    f"{columns['instruction']!r}: expected a text, got {instruction!r}"
                )
            positions[one] = position
            instructions.append(instruction)
    return tuple(positions), tuple(instructions)

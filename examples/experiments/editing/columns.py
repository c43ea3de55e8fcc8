"""Which columns of a data set are read, and whether they can hold what is looked for in them."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from datasets import Image, Value

from modcollapse.errors import InputError

from experiments.experiment_file import Data

PICTURES = ("source", "edited")

TEXTS = ("string", "large_string", "string_view")


def columns_of(data: Data, features: Mapping[str, Any] | None) -> dict[str, str]:
    """The column of every role (source, instruction, edited, id), without an id that is not named.

    Args:
        data: the data set, as the file of the experiment names it.
        features: what `datasets` says that its columns hold; None where it does not say.

    Raises:
        InputError: a column that is not there, of another kind, or in two roles.
    """
    if features is None:
        raise InputError(
            f"data.source = {data.source!r}: `datasets` does not say what its columns hold, so "
            "none of them holds pictures"
        )
    columns = {role: column for role, column in data.columns if column is not None}
    for role, column in columns.items():
        key = f"data.columns.{role} = {column!r}"
        if column not in features:
            close = get_close_matches(column, features, 1)
            meant = f"; did you mean {close[0]!r}?" if close else ""
            raise InputError(
                f"{data.source!r} has no column {key}; it has "
                f"{', '.join(map(repr, features))}{meant}"
            )
        expected = _expected(role, features[column])
        if expected:
            raise InputError(
                f"{key} must hold {expected}; in {data.source!r} it holds {features[column]}"
            )
        others = [other for other in columns if other != role and columns[other] == column]
        if others:
            raise InputError(f"{key} is the column of data.columns.{others[0]} as well")
    return columns


def _expected(role: str, feature: Any) -> str | None:
    """What the column of a role must hold, unless this one does."""
    if role in PICTURES:
        return None if isinstance(feature, Image) else "pictures (the feature Image of `datasets`)"
    kind = feature.dtype if isinstance(feature, Value) else ""
    if role == "instruction":
        return None if kind in TEXTS else "text"
    return None if kind in TEXTS or kind.lstrip("u").startswith("int") else "text or whole numbers"

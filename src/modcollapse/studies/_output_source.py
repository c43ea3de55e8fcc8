"""What was read of one coalition, and the checks of its ids."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

from modcollapse.contracts import ExampleId
from modcollapse.errors import InputError
from modcollapse.studies._output_records import Field
from modcollapse.table import plain_id


class Options(NamedTuple):
    """Which field of a record is what, as the caller says.

    Attributes:
        id: names the example.
        output: what was generated, or its score.
        repeat: tells repeats of an example apart.
        fields: what an example holds of plain values: name -> field.
        conditions: modality -> field that holds its condition.
        scores: the outputs are scores.
    """

    id: Field | None = None
    output: Field | None = None
    repeat: Field | None = None
    fields: Mapping[str, Field] = {}
    conditions: Mapping[str, Field] = {}
    scores: bool = False


@dataclass(frozen=True)
class Source:
    """Outputs of one coalition, in the order in which they came.

    Attributes:
        coalition: its label.
        name: what an error calls the source, such as ``"'image' (b.json)"``.
        where: place -> what an error calls an output.
        ids: example of each; its place where there are no ids.
        outputs: what was generated, or its score.
        told: what was read, as plain data.
        by_place: whether the ids are places.
        texts: whether the format knows no numbers.
        repeats: of each, what tells it from the others of its example.
        fields: name -> plain value of each.
        conditions: modality -> condition of each.
        shown: the same, for the eye alone.
        alike: name -> what must be the same under every coalition.
        labels: answer that is expected of each.
        triggered: which triggers were there, as the record says.
    """

    coalition: str
    name: str
    where: Callable[[int], str]
    ids: list[ExampleId]
    outputs: list[Any]
    told: dict[str, Any]
    by_place: bool = False
    texts: bool = False
    repeats: list[Any] | None = None
    fields: Mapping[str, list[Any]] = field(default_factory=dict)
    conditions: Mapping[str, list[Any]] = field(default_factory=dict)
    shown: Mapping[str, list[Any]] = field(default_factory=dict)
    alike: Mapping[str, list[Any]] = field(default_factory=dict)
    labels: list[Any] | None = None
    triggered: list[Any] | None = None

    @property
    def title(self) -> str:
        """Name of the file or folder, or that there is none."""
        return str(self.told.get("file", self.told.get("folder", "in memory")))


def paths_of(given: Any) -> list[Path]:
    """Files and folders that a source is: one, or a list of which each is a repeat; else none."""
    if isinstance(given, str | PathLike):
        return [Path(given)]
    if isinstance(given, list | tuple) and all(isinstance(one, Path) for one in given):
        return list(given)
    return []


def repeats_joined(coalition: str, parts: Sequence[Source]) -> Source:
    """Several files of one coalition, one a repeat.

    Raises:
        InputError: an id comes twice in one of them.
    """
    first = parts[0]
    for part in parts:
        check_unique(part)
        if part.by_place != first.by_place or _names(part) != _names(first):
            raise InputError(
                f"{part.name} and {first.name} are repeats of one coalition, and must be of one "
                "layout: one has ids or fields that the other has not"
            )
    of_all = [(part, place) for part in parts for place in range(len(part.ids))]

    def where(place: int) -> str:
        part, inner = of_all[place]
        return part.where(inner)

    def every(of: Callable[[Source], Mapping[str, list[Any]]]) -> dict[str, list[Any]]:
        names = of(parts[0])
        return {name: [v for part in parts for v in of(part).get(name, ())] for name in names}

    def column(of: Callable[[Source], list[Any] | None]) -> list[Any] | None:
        return None if of(parts[0]) is None else [v for part in parts for v in of(part) or ()]

    return Source(
        coalition,
        f"{coalition!r} ({', '.join(part.title for part in parts)})",
        where,
        plain_ids([one for part in parts for one in part.ids], where),
        [one for part in parts for one in part.outputs],
        {"repeats": [part.told for part in parts]},
        by_place=parts[0].by_place,
        texts=parts[0].texts,
        repeats=[number for number, part in enumerate(parts) for _ in part.ids],
        fields=every(lambda part: part.fields),
        conditions=every(lambda part: part.conditions),
        shown=every(lambda part: part.shown),
        alike=every(lambda part: part.alike),
        labels=column(lambda part: part.labels),
        triggered=column(lambda part: part.triggered),
    )


def plain_ids(ids: list[Any], where: Callable[[int], str]) -> list[ExampleId]:
    """Ids as they are, all texts or all whole numbers.

    Raises:
        InputError: they are both, or something else.
    """
    if set(map(type, ids)) in ({int}, {str}):
        return ids
    plain = [plain_id(one, f"{where(place)}: an id") for place, one in enumerate(ids)]
    first = type(plain[0])
    for place, one in enumerate(plain):
        if type(one) is not first:
            raise InputError(
                f"{where(place)} has the id {one!r}, {type(one).__name__}, where {where(0)} has "
                f"{plain[0]!r}, {first.__name__}: ids are all texts or all whole numbers"
            )
    return plain


def check_unique(source: Source) -> None:
    """Raise unless no id comes twice.

    Raises:
        InputError: one does; the message says where.
    """
    if len(set(source.ids)) == len(source.ids):
        return
    first: dict[ExampleId, int] = {}
    for place, one in enumerate(source.ids):
        if one in first:
            raise InputError(
                f"the id {one!r} comes twice: {source.where(first[one])} and {source.where(place)}."
                " If these are repeats, say by repeat= which field tells them apart"
            )
        first[one] = place


def _names(part: Source) -> list[set[str]]:
    held = [part.fields, part.conditions, part.shown, part.alike]
    return [set(one) for one in held]

"""Rows of all coalitions brought together by example and repeat, and seen to belong together."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any, NamedTuple

from modcollapse._support.validation import described, listed
from modcollapse.contracts import Example, ExampleId
from modcollapse.errors import InputError
from modcollapse.studies._output_source import Source
from modcollapse.table import plain_id

_TOLD = 3
"""Ids that an error names; of others it says how many."""


class Paired(NamedTuple):
    """Where the outputs of each example and repeat stand.

    Attributes:
        ids: names of the N examples.
        repeats: R.
        places: for each source, the place in it of every example and repeat, N R of them.
    """

    ids: list[ExampleId]
    repeats: int
    places: list[Sequence[int]]

    def column(self, values: Sequence[Any], source: int) -> list[Any]:
        """Values of a source in the order of examples and repeats."""
        places = self.places[source]
        if isinstance(places, range):
            return list(values)
        return [values[place] for place in places]

    def first(self, values: Sequence[Any], source: int = 0) -> list[Any]:
        """The same of the first repeat of each example."""
        places = self.places[source]
        return [values[place] for place in places[:: self.repeats]]


def paired(sources: Sequence[Source], examples: Mapping[ExampleId, Example] | None) -> Paired:
    """Pair the rows of the coalitions.

    Args:
        sources: in the order of the columns, the clean run first.
        examples: by id, whose order is that of the rows; that of the clean run if None. There may
            be more of them than outputs.

    Raises:
        InputError: an id or a repeat is missing somewhere; all that are missing are counted, and
            the first named.
    """
    first = sources[0]
    for other in sources[1:]:
        _check_kinds(first, other)
    ids = list(dict.fromkeys(first.ids))
    if examples is not None:
        name = "examples"
        _check_type(first.name, ids[0], name, next(iter(examples)))
        known = set(ids)
        asked = [one for one in examples if one in known]
        _check_same(first.name, ids, name, asked, "example")
        ids = asked
    for other in sources[1:]:
        _check_same(first.name, ids, other.name, other.ids, "id")
    if first.repeats is None:
        return Paired(ids, 1, [_places(source.ids, ids) for source in sources])
    labels = list(dict.fromkeys(first.repeats))
    wanted = [(one, label) for one in ids for label in labels]
    places = []
    for source in sources:
        keys = list(zip(source.ids, source.repeats or (), strict=True))
        if len(set(keys)) < len(keys):
            twice = next(place for place, key in enumerate(keys) if key in keys[:place])
            raise InputError(
                f"{source.where(twice)}: the id {keys[twice][0]!r} has the repeat "
                f"{keys[twice][1]!r} twice"
            )
        _check_same(first.name, wanted, source.name, keys, "id and repeat")
        places.append(_places(keys, wanted))
    return Paired(ids, len(labels), places)


def by_id(examples: Any) -> dict[ExampleId, Example]:
    """Examples by id: of a sequence by what it says, else by the place.

    Raises:
        InputError: an example is no mapping, or an id comes twice.
    """
    if hasattr(examples, "columns") and hasattr(examples, "to_dict"):  # a data frame
        if "id" in examples.columns:
            examples = examples.to_dict("records")
        elif examples.index.is_unique:
            examples = examples.to_dict("index")
        else:
            raise InputError("the index of examples, which names them, holds an id twice")
    if isinstance(examples, Mapping):
        pairs = [(plain_id(one, "an id of examples"), held) for one, held in examples.items()]
    elif hasattr(examples, "__getitem__") and hasattr(examples, "__len__"):
        held = [examples[place] for place in range(len(examples))]
        pairs = [
            (plain_id(one.get("id", at), f"id of examples[{at}]"), one)
            for at, one in enumerate(held)
            if isinstance(one, Mapping)
        ]
        if len(pairs) < len(held):
            wrong = next(one for one in held if not isinstance(one, Mapping))
            raise InputError(f"examples must hold mappings, got {described(wrong)}")
    else:
        raise InputError(
            "examples must be a mapping id -> example or a sequence of examples, got "
            f"{described(examples)}"
        )
    if not pairs:
        raise InputError("examples is empty; leave it out where the detector needs none")
    for one, held in pairs:
        if not isinstance(held, Mapping):
            raise InputError(f"example {one!r} must be a mapping, got {described(held)}")
    found = dict(pairs)
    if len(found) < len(pairs):
        seen = [one for one, _ in pairs]
        raise InputError(
            f"examples holds the id {next(i for i in seen if seen.count(i) > 1)!r} twice"
        )
    return found


def named_by_examples(
    sources: Sequence[Source], examples: Mapping[ExampleId, Example]
) -> list[Source]:
    """Sources without ids whose rows are those of a sequence of examples.

    Raises:
        InputError: there are more or fewer.
    """
    names = list(examples)
    found = []
    for source in sources:
        count = max(map(int, source.ids)) + 1
        if count != len(names):
            raise InputError(
                f"{source.name} holds {count} outputs without ids, and there are {len(names)} "
                "examples. Give both in one order, or ids"
            )
        found.append(replace(source, ids=[names[int(place)] for place in source.ids]))
    return found


def _places(held: Sequence[Any], wanted: Sequence[Any]) -> Sequence[int]:
    if held == wanted:
        return range(len(held))
    position = {key: place for place, key in enumerate(held)}
    return [position[key] for key in wanted]


def _check_kinds(first: Source, other: Source) -> None:
    if first.by_place != other.by_place:
        without, having = (first, other) if first.by_place else (other, first)
        raise InputError(
            f"{without.name} has no ids, so that its rows are told by their place, and "
            f"{having.name} has. Give ids in all sources, or in none"
        )
    if (first.repeats is None) != (other.repeats is None):
        raise InputError(
            f"only one of {first.name} and {other.name} has repeats. Give as many of each"
        )
    _check_type(first.name, first.ids[0], other.name, other.ids[0])


def _check_type(name: str, mine: ExampleId, other: str, theirs: ExampleId) -> None:
    if type(mine) is not type(theirs):
        raise InputError(
            f"ids are {type(mine).__name__} in {name}, such as {mine!r}, and "
            f"{type(theirs).__name__} in {other}, such as {theirs!r}: 1 and '1' are two ids. Bring "
            "them to one kind, as by id=lambda record: int(record['id'])"
        )


def _check_same(name: str, ids: Sequence[Any], other: str, others: Any, what: str) -> None:
    if ids == others:
        return
    mine, theirs = set(ids), set(others)
    if mine == theirs:
        return
    lacks = [one for one in ids if one not in theirs]
    more = [one for one in dict.fromkeys(chain(others)) if one not in mine]
    told = []
    if lacks:
        told.append(f"{other} lacks {len(lacks):,} of {len(mine):,}: {_some(lacks)}")
    if more:
        told.append(f"{other} has {len(more):,} that the other lacks: {_some(more)}")
    if {_composed(one) for one in lacks} == {_composed(one) for one in more}:
        told.append("they differ by their Unicode normal form alone")
    raise InputError(
        f"{other} and {name} are not of the same examples, told by {what}: {'; '.join(told)}. "
        "Every example needs an output under every coalition: complete the sources, or leave the "
        "example out of all"
    )


def _composed(one: Any) -> Any:
    return unicodedata.normalize("NFC", one) if isinstance(one, str) else one


def _some(names: Sequence[Any]) -> str:
    return listed(names[:_TOLD]) + (" ..." if len(names) > _TOLD else "")

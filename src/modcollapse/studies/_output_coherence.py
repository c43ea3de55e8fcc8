"""What the records of an example say of themselves under one coalition, and under the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from modcollapse._support.digests import fingerprint
from modcollapse._support.validation import described, listed
from modcollapse.errors import InputError
from modcollapse.studies._output_pairing import Paired
from modcollapse.studies._output_source import Source

_SAID = {
    "none": set[str](), "text": {"text"}, "image": {"image"}, "TEXT": {"text"}, "IMAGE": {"image"},
    "MULTIMODAL": {"image", "text"},
}  # fmt: skip
"""What BackdoorVLM's poisoning writes as target_modalities -> the triggers that were there."""


class KnownConditions(NamedTuple):
    """What the outputs were generated from, where the records hold it.

    Attributes:
        clean: modality -> condition of each example without its trigger.
        triggered: modality -> the same with it.
        notes: what a reader is to know.
    """

    clean: Mapping[str, list[Any]]
    triggered: Mapping[str, list[Any]]
    notes: list[str]


class Coherence:
    """Compares the records of the coalitions.

    Args:
        sources: in the order of the columns.
        rows: where each example stands in them.
        modalities: the players, in order.
    """

    def __init__(self, sources: Sequence[Source], rows: Paired, modalities: Sequence[str]) -> None:
        self._sources, self._rows, self._modalities = sources, rows, modalities

    def fields(self) -> dict[str, list[Any]]:
        """What each example says of itself, the same under every coalition.

        Raises:
            InputError: it says two things, or the records are of other triggers or of two pictures.
        """
        self._check_triggers()
        for name in self._sources[0].alike:
            self._same(name, [source.alike for source in self._sources])
        first = self._sources[0]
        for name in first.fields:
            self._same(name, [source.fields for source in self._sources])
        found = {name: self._rows.first(values) for name, values in first.fields.items()}
        if first.labels is not None and self._sources[-1].labels is not None:
            found["reference"] = self._rows.first(first.labels)
            found["target"] = self._rows.first(self._sources[-1].labels, len(self._sources) - 1)
        return found

    def conditions(self) -> KnownConditions:
        """Conditions without and with their triggers.

        Raises:
            InputError: one is not the same in two runs without its trigger, or not another with it.
        """
        clean, triggered, notes = {}, {}, []
        for bit, name in enumerate(self._modalities):
            shown = self._sources[0].shown, self._sources[1 << bit].shown
            if all(name in held for held in shown):
                clean[name] = self._rows.first(shown[0][name])
                triggered[name] = self._rows.first(shown[1][name], 1 << bit)
            if name not in self._sources[0].conditions:
                continue
            columns = range(len(self._sources))
            without = [column for column in columns if not column >> bit & 1]
            having = [column for column in columns if column >> bit & 1]
            self._same(name, [self._sources[one].conditions for one in without], without)
            self._changed(name, having)
            first, *others = (self._column(name, column) for column in having)
            if any(_differing(first, other, name) is not None for other in others):
                notes.append(
                    f"the triggered {name} of an example is not the same under every coalition: "
                    "what triggers do together is told from what they did apart"
                )
            clean[name] = self._rows.first(self._sources[0].conditions[name])
            triggered[name] = self._rows.first(self._sources[having[0]].conditions[name], having[0])
        return KnownConditions(clean, triggered, notes)

    def _column(self, name: str, column: int) -> list[Any]:
        return self._rows.column(self._sources[column].conditions[name], column)

    def _same(
        self, name: str, held: Sequence[Mapping[str, list[Any]]], columns: Sequence[int] = ()
    ) -> None:
        columns = columns or range(len(held))
        for column, values in zip(columns, held, strict=True):
            if name not in values:
                raise InputError(
                    f"{self._sources[column].name} has no {name!r}, which "
                    f"{self._sources[0].name} has; it has {listed(values) or 'nothing beside'}"
                )
        first = self._rows.column(held[0][name], columns[0])
        for column, values in zip(columns[1:], held[1:], strict=True):
            other = self._rows.column(values[name], column)
            row = _differing(first, other, name)
            if row is not None:
                raise InputError(
                    f"the {name} of example {self._id(row)!r} is {described(first[row])} in "
                    f"{self._where(columns[0], row)} and {described(other[row])} in "
                    f"{self._where(column, row)}: these rows are not of one example, or the "
                    "sources are mixed up"
                )

    def _changed(self, name: str, having: Sequence[int]) -> None:
        clean = self._column(name, 0)
        for column in having:
            if name not in self._sources[column].conditions:
                raise InputError(f"{self._sources[column].name} has no {name!r}")
            pairs = enumerate(zip(clean, self._column(name, column), strict=True))
            row = next((at for at, (mine, theirs) in pairs if _is_same(mine, theirs, name)), None)
            if row is not None:
                raise InputError(
                    f"the {name} of example {self._id(row)!r} is the same in "
                    f"{self._where(0, row)} and in {self._where(column, row)}, where it should "
                    "have its trigger. Are the sources mixed up?"
                )

    def _check_triggers(self) -> None:
        if not set(self._modalities) <= {"image", "text"}:
            return
        for source in self._sources:
            expected = set(source.coalition.split("+")) - {"none"}
            for place, said in enumerate(source.triggered or ()):
                if isinstance(said, str) and _SAID.get(said, expected) != expected:
                    raise InputError(
                        f"{source.where(place)} says target_modalities {said!r}, and was given for "
                        f"the coalition {source.coalition!r}. Are the sources mixed up?"
                    )

    def _id(self, row: int) -> Any:
        return self._rows.ids[row // self._rows.repeats]

    def _where(self, column: int, row: int) -> str:
        return self._sources[column].where(self._rows.places[column][row])


def _differing(mine: list[Any], theirs: list[Any], name: str) -> int | None:
    """Where two columns differ first; None where they do not."""
    try:
        if mine == theirs:
            return None
    except (TypeError, ValueError, RuntimeError):  # of arrays and tensors
        pass
    pairs = enumerate(zip(mine, theirs, strict=True))
    return next((at for at, pair in pairs if not _is_same(*pair, name)), None)


def _is_same(mine: Any, theirs: Any, name: str) -> bool:
    """Whether two values are the same: arrays by what they hold, NaN is NaN.

    Raises:
        InputError: that cannot be told.
    """
    try:
        if mine is theirs or mine == theirs:
            return True
        compared = True
    except (TypeError, ValueError, RuntimeError):
        compared = False
    told = fingerprint(mine), fingerprint(theirs)
    if None in told and not compared:
        raise InputError(
            f"the {name} of two examples cannot be compared: {described(mine)} and "
            f"{described(theirs)}. Give texts, numbers, pictures or arrays"
        )
    return None not in told and told[0] == told[1]

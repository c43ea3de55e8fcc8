"""The journal of a run: a folder of plain lines, one for each finished example and repeat.

One whose columns take several calls has a line after each of them.

::

    header.json          what makes it this run and no other; the first line of each other file too
    finished-0001-0000.jsonl
                         one file for each call and process, which nobody else writes into
    kept/                outputs for a gallery
    lock                 held while a run writes

A line that was cut off, by a crash say, is passed over; one that was changed, too, with a warning:
what stands in all other lines still counts.
"""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from modcollapse._support.validation import listed
from modcollapse.contracts import ExampleId
from modcollapse.errors import TableError
from modcollapse.table._file import write_whole
from modcollapse.table._json_lines import beginning, entry_of, line_of
from modcollapse.table._kept import Kept
from modcollapse.table._kept_files import kept_name, read_kept
from modcollapse.table._neutral_values import NeutralValues
from modcollapse.table._table import CoalitionTable

HEADER, FINISHED, TAKEN = "modcollapse journal", "modcollapse finished", "modcollapse taken"
"""What lines begin with."""
JOURNAL_VERSION = 1
HEADER_FILE, KEPT_FOLDER, LOCK_FILE = "header.json", "kept", "lock"
_BEGINNING_OF_TAKEN = beginning(TAKEN, JOURNAL_VERSION)
_LONGEST_LINE = 2**26
"""Bytes of a line (64 MiB): one that is longer was not written by a run."""


OF_EACH = "of each example"
"""In place of what a perfect attack would score, where a detector says so by a function."""
_BEGINS_HEADER = f'{{"{HEADER}"'.encode()
_BEGINNING = re.compile(b'(?=\\{"modcollapse )')
"""Of a line; within a text its quotation marks would be escaped."""
_OF_HEADER = {
    "journal": str, "modalities": list, "neutral": list, "samplers": dict, "detectors": dict,
    "settings": dict, "environment": dict, "notes": dict, "looks": dict, "repeats": int,
    "single": bool, "clustered": bool,
}  # fmt: skip
_OF_LINE = {
    "id": str | int, "repeat": int, "seed": int, "digest": str | None, "place": int,
    "cluster": str | int | None, "fields": dict, "batch_size": int, "values": dict,
    "perfect": dict,
}  # fmt: skip


class JournalWarning(UserWarning):
    """Something in a journal cannot be used, or not be written."""


class Finished(NamedTuple):
    """One example and repeat, measured under every coalition.

    Attributes:
        id: name of the example.
        repeat: from 0.
        seed: of its noise.
        digest: of what the example holds; None where that cannot be told.
        place: among the examples of the call, which orders a table so far.
        cluster: label of its group; None where there is none.
        fields: what it holds of plain values.
        batch_size: rows of the calls that it was generated in, at the end.
        values: label of the sampler -> name of the detector -> value of each column: of the
            coalitions, then of the neutral triggers; None for those that are still to come.
        perfect: label of the sampler -> name of the detector -> what a perfect attack would score,
            of detectors that say so by a function.
    """

    id: ExampleId
    repeat: int
    seed: int
    digest: str | None
    place: int
    cluster: Any
    fields: Mapping[str, Any]
    batch_size: int
    values: Mapping[str, Mapping[str, Sequence[float | None]]]
    perfect: Mapping[str, Mapping[str, float]]

    @property
    def is_begun(self) -> bool:
        """Whether some columns are still to come."""
        return any(None in held for of in self.values.values() for held in of.values())


class Taken(NamedTuple):
    """Examples that were read from a stream, before they are generated.

    Attributes:
        first: number of examples that came before them.
        ids: their names.
        digests: of what they hold; None where that cannot be told.
    """

    first: int
    ids: Sequence[ExampleId]
    digests: Sequence[str | None]


@dataclass(frozen=True)
class JournalContent:
    """What stands in a journal.

    Attributes:
        folder: where it lies.
        header: what makes it this run and no other.
        finished: id and repeat -> what was measured, in the order in which it was written.
        begun: the same of those of which some columns are still to come: None stands there.
        taken: place in the stream -> id and digest of the example.
    """

    folder: Path
    header: Mapping[str, Any]
    finished: Mapping[tuple[ExampleId, int], Finished]
    begun: Mapping[tuple[ExampleId, int], Finished]
    taken: Mapping[int, tuple[ExampleId, str | None]]

    def tables(self) -> dict[str, dict[str, CoalitionTable]]:
        """Label of the sampler -> name of the detector -> table of what is finished so far."""
        examples, repeats = self._complete()
        try:
            return {
                label: {
                    name: self._table(label, name, examples, repeats)
                    for name in self.header["detectors"]
                }
                for label in self.header["samplers"]
            }
        except (KeyError, TypeError, ValueError, ArithmeticError) as error:
            raise TableError(f"{self.folder} holds no consistent table: {error!r}") from error

    def _complete(self) -> tuple[list[ExampleId], int]:
        """Examples of which every repeat is finished, in their order, and how many repeats."""
        counts: dict[ExampleId, int] = {}
        for example_id, repeat in sorted(self.finished, key=lambda key: key[1]):
            if counts.get(example_id, 0) == repeat:
                counts[example_id] = repeat + 1
        if not counts:
            raise TableError(f"no example of the journal {self.folder} is finished yet")
        repeats = min(self.header["repeats"], max(counts.values()))
        found = [example_id for example_id, count in counts.items() if count >= repeats]
        return sorted(found, key=lambda one: self.finished[one, 0].place), repeats

    def _table(
        self, label: str, name: str, examples: Sequence[ExampleId], repeats: int
    ) -> CoalitionTable:
        header, detector = self.header, self.header["detectors"][name]
        rows = [[self.finished[one, repeat] for repeat in range(repeats)] for one in examples]
        first = [of[0] for of in rows]
        values = np.array([[row.values[label][name] for row in of] for of in rows])
        coalitions = 2 ** len(header["modalities"])
        neutral = [(modality, one) for modality, one in header["neutral"]]
        perfect = detector["perfect"]
        if perfect == OF_EACH:
            perfect = np.array([[row.perfect[label][name] for row in of] for of in rows]).mean(1)
        names = dict.fromkeys(key for row in first for key in row.fields)
        return CoalitionTable(
            values=values[..., :coalitions],
            modalities=tuple(header["modalities"]),
            example_ids=tuple(examples),
            seeds=np.array([[row.seed for row in of] for of in rows]),
            digests=tuple(row.digest for row in first),
            bounds=detector["bounds"] and tuple(detector["bounds"]),
            binary=detector["binary"],
            perfect=perfect,
            clusters=tuple(row.cluster for row in first) if header["clustered"] else None,
            neutral=NeutralValues(
                tuple(neutral),
                values[..., coalitions:].reshape(*values.shape[:2], len(neutral), -1),
            )
            if neutral
            else None,
            fields={key: tuple(row.fields.get(key) for row in first) for key in names},
            provenance={
                "run": {
                    **header["settings"],
                    "repeats": repeats,
                    "sampler": header["samplers"][label],
                    "detector": detector["identity"],
                },
                "environments": [header["environment"]],
                "notes": header["notes"].get(label, []),
                **self._looks(len(rows)),
            },
            kept=tuple(self.kept(label, examples)),
        )

    def _looks(self, done: int) -> dict[str, Any]:
        """Where stopping was considered, over which all claims are to hold."""
        looks = self.header["looks"]
        if not looks:
            return {}
        made = len(self.finished) / (looks["of"] * self.header["repeats"])
        return {"looks": {**looks, "done": done, "generated": round(min(made, 1.0), 4)}}

    def kept(self, label: str, examples: Iterable[ExampleId]) -> Iterator[Kept]:
        """What was kept of some examples; a damaged folder is passed over, with a warning."""
        for example_id in examples:
            folder = kept_folder(self.folder, label, example_id)
            if not folder.is_dir():
                continue
            try:
                if any(one.is_symlink() for one in (folder, *folder.parents[:2])):
                    raise TableError("a link is not followed")
                kept = read_kept(folder)
                coalitions = 2 ** len(self.header["modalities"])
                if kept.id != example_id or len(kept.outputs) != coalitions:
                    raise TableError("it holds another example, or of another number of coalitions")
                yield kept
            except (TableError, OSError) as error:
                _warn(f"{folder} cannot be read: {error}. Its example goes without pictures")


def kept_folder(folder: Path, label: str, example_id: ExampleId) -> Path:
    """Where the kept outputs of an example lie, of the sampler of a label, in whatever order."""
    return folder / KEPT_FOLDER / kept_name(label) / kept_name(example_id)


def is_journal(folder: Path) -> bool:
    """Whether a folder holds a journal."""
    return (folder / HEADER_FILE).is_file() or any(folder.glob("finished-*.jsonl"))


def load(path: str | Path) -> CoalitionTable | dict[str, CoalitionTable]:
    """Read a table from its file, or the table so far from the journal of a run.

    A run may write into the journal meanwhile.

    Args:
        path: file that ``CoalitionTable.save`` wrote, or folder of a journal.

    Returns:
        The table of the examples that are finished under every coalition and repeat, in the order
        in which the run was given them; of several detectors a dict by name. Of a run with a
        control, that of the audited model.

    Raises:
        FileNotFoundError: there is no such file or folder.
        TableError: it holds something else, or nothing is finished yet.
    """
    path = Path(path)
    if not path.is_dir():
        return CoalitionTable.load(path)
    content = read_journal(path)
    tables = next(iter(content.tables().values()))
    return next(iter(tables.values())) if content.header["single"] else tables


def read_journal(folder: Path) -> JournalContent:
    """Read all that is finished in a journal.

    Raises:
        TableError: there is no journal, it is of another version, or no copy of its header is
            whole.
    """
    if not is_journal(folder):
        raise TableError(
            f"{folder} is no journal of a run: it holds no {HEADER_FILE}. A folder that audit.save "
            "wrote is read by mc.load_audit"
        )
    headers, lines = list[tuple[str, dict[str, Any]]](), list[tuple[str, dict[str, Any]]]()
    faults: list[str] = []
    for path in [*sorted(folder.glob("finished-*.jsonl")), folder / HEADER_FILE]:
        if path.is_symlink() or not path.is_file():
            faults += [f"{path}: a link is not followed"] if path.is_symlink() else []
            continue
        for number, line, torn in _lines_of(path):
            where = f"{path}, line {number}"
            try:
                if line.startswith(_BEGINS_HEADER):
                    headers.append((where, _header(entry_of(line, HEADER, JOURNAL_VERSION))))
                else:
                    kind = TAKEN if line.startswith(_BEGINNING_OF_TAKEN) else FINISHED
                    lines.append((where, entry_of(line, kind, JOURNAL_VERSION)))
            except (ValueError, KeyError, TypeError) as error:
                faults += [] if torn else [f"{where}: {error!r:.200}"]
    if not headers:
        raise TableError(
            f"{folder} cannot be read as a journal of version {JOURNAL_VERSION}: no copy of its "
            f"header is whole ({'; '.join(faults[:3]) or 'the files are empty'})"
        )
    counts = Counter(str(entry.get("journal")) for _, entry in lines)
    newest_first = [entry for _, entry in reversed(headers)]
    header = max(newest_first, key=lambda entry: counts[entry["journal"]])
    faults += [
        f"{where}: it is the header of another run"
        for where, entry in headers
        if entry["journal"] != header["journal"]
    ]
    finished, begun = (
        dict[tuple[ExampleId, int], Finished](),
        dict[tuple[ExampleId, int], Finished](),
    )
    taken: dict[int, tuple[ExampleId, str | None]] = {}
    for where, entry in lines:
        try:
            if entry.pop("journal", None) != header["journal"]:
                raise ValueError("it is of another run")
            if "ids" in entry:
                some = Taken(**entry)
                named = zip(some.ids, some.digests, strict=True)
                taken |= dict(enumerate(named, some.first))
            else:
                row = _finished(entry, header)
                rows = begun if row.is_begun else finished
                rows[row.id, row.repeat] = row
        except (ValueError, KeyError, TypeError) as error:
            faults.append(f"{where}: {error!r:.200}")
    if faults:
        _warn(
            f"{len(faults)} line(s) of the journal {folder} cannot be used and are passed over; "
            f"what they held is generated again: {'; '.join(faults[:3])}"
            + (" and more" if len(faults) > 3 else "")
        )
    return JournalContent(folder, header, finished, begun, taken)


def write_header(folder: Path, header: Mapping[str, Any]) -> None:
    """Put the header into its file; what was there before is replaced at once or not at all."""
    write_whole(folder / HEADER_FILE, header_line(header))


def header_line(header: Mapping[str, Any]) -> bytes:
    """The header as the first line of a file."""
    return line_of(HEADER, JOURNAL_VERSION, header)


def journal_line(row: Finished | Taken, journal: str) -> bytes:
    """A finished example and repeat, or examples of a stream, as a line of a journal of a name."""
    kind = FINISHED if isinstance(row, Finished) else TAKEN
    return line_of(kind, JOURNAL_VERSION, {**row._asdict(), "journal": journal})


def _lines_of(path: Path) -> Iterator[tuple[int, bytes, bool]]:
    """Lines with their numbers, and whether each may be on its way still, or cut off by a crash.

    What stands before the beginning of a line of ours, in the same line, is one of its own: it was
    cut off, or its end was lost.
    """
    with path.open("rb") as file:
        number = 0
        while line := file.readline(_LONGEST_LINE):
            number += 1
            last = not line.endswith(b"\n") and len(line) < _LONGEST_LINE
            for part in filter(None, _BEGINNING.split(line)):
                yield number, part, last and path.name != HEADER_FILE


def _header(entry: dict[str, Any]) -> dict[str, Any]:
    """The header, if it holds what is read of it."""
    wrong = [name for name, kind in _OF_HEADER.items() if not isinstance(entry.get(name), kind)]
    if wrong:
        raise ValueError(f"it lacks {listed(wrong)}")
    detectors = [{"identity", "bounds", "binary", "perfect"} <= set(one) for one in
                 entry["detectors"].values()]  # fmt: skip
    whole = [entry["repeats"], entry["settings"].get("batch_size")]
    if not all(detectors) or not all(type(one) is int and one > 0 for one in whole):
        raise ValueError("it does not say how a run was made")
    if not all(isinstance(note, str) for said in entry["notes"].values() for note in said):
        raise ValueError("its notes are no texts")
    if not entry["samplers"] or any(len(pair) != 2 for pair in entry["neutral"]):
        raise ValueError("it does not say what a run was made of")
    return entry


def _finished(entry: dict[str, Any], header: Mapping[str, Any]) -> Finished:
    """A line as what was measured, if it is of this run."""
    row = Finished(**entry)
    wrong = [
        name
        for name, kinds in _OF_LINE.items()
        if not isinstance(entry[name], kinds) or isinstance(entry[name], bool)
    ]
    if wrong or row.repeat < 0 or not 0 <= row.seed < 2**63:
        raise ValueError(f"it names no example and repeat ({listed(wrong)})")
    columns = 2 ** len(header["modalities"]) + len(header["neutral"]) * (
        1 if len(header["modalities"]) == 1 else 2
    )
    if row.values.keys() != header["samplers"].keys() or row.perfect.keys() != row.values.keys():
        raise ValueError("it is of other samplers")
    for values in row.values.values():
        if set(values) != set(header["detectors"]) or any(
            not isinstance(held, list)
            or len(held) != columns
            or not np.isfinite([one for one in held if one is not None]).all()
            for held in values.values()
        ):
            raise ValueError("it does not hold a finite value for each column")
    told = {name for name, one in header["detectors"].items() if one["perfect"] == OF_EACH}
    for scores in row.perfect.values():
        if set(scores) != told or not np.isfinite([*scores.values()]).all():
            raise ValueError("it does not hold what a perfect attack would score")
    return row


def _warn(said: str) -> None:
    warnings.warn(said, JournalWarning, stacklevel=4)

"""The journal of a run: which examples are finished already, and how the next are added."""

from __future__ import annotations

import os
import secrets
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from modcollapse._support.identities import says_itself, untold, without_marks
from modcollapse._support.validation import listed
from modcollapse.contracts import ExampleId
from modcollapse.errors import InputError, MissingExtraError, TableError
from modcollapse.measure._recording import environment
from modcollapse.measure._run import Run
from modcollapse.measure._team import Team
from modcollapse.table import (
    HEADER_FILE,
    KEPT_FOLDER,
    LOCK_FILE,
    OF_EACH,
    Finished,
    JournalContent,
    JournalWarning,
    Kept,
    Taken,
    differences,
    header_line,
    is_journal,
    journal_line,
    kept_folder,
    read_journal,
    sync_folder,
    write_header,
    write_kept,
)

if TYPE_CHECKING:
    from filelock import FileLock

Measurements: TypeAlias = Mapping[tuple[ExampleId, int], Finished]
"""Id and repeat -> what was measured."""

_NOT_OF_RUN = ("repeats", "looks", "notes", "journal", "environment")
"""Of a header, what may be another when a run is resumed or extended; environments are compared
without the version of Python."""
_OTHER_LOOKS = (
    "an earlier call into the journal declared other looks, at {}: where a figure was seen at one "
    "of them, the level of intervals and claims does not count it"
)


class Journal:
    """The journal of a run, open for adding.

    Attributes:
        finished: id and repeat -> what was measured before, of the examples of this run.
        begun: the same of those of which some columns are still to come.
        notes: label of the sampler -> what the run had found out before.
        batch_size: rows of a call, as the journal was begun; None of a new one.
        confirmed: whether a finished example was generated again and came out equal.
        is_behind: whether something is finished that was not yet added.
    """

    def __init__(self, run: Run, folder: Path, team: Team) -> None:
        self._run, self._folder, self._team = run, folder, team
        self._unwritten = b""
        self.confirmed = False
        self.is_behind = False
        self._file: Path | None = None
        content = self._content = _read(folder)
        self._check_alike(content)
        self.batch_size: int | None = None
        self.notes: Mapping[str, Sequence[str]] = {}
        self.finished: dict[tuple[ExampleId, int], Finished] = {}
        self.begun: dict[tuple[ExampleId, int], Finished] = {}
        self._header = _header(run)
        self._taken = {} if content is None else content.taken
        if content is not None:
            self._header["journal"] = content.header["journal"]
            self.batch_size = content.header["settings"]["batch_size"]
            self.notes = content.header["notes"]
            looks = content.header["looks"]
            if looks and looks != run.looks:
                said = _OTHER_LOOKS.format(looks.get("at"))
                self.notes = {label: [*self.notes.get(label, ()), said] for label in run.samplers}

    @property
    def is_begun(self) -> bool:
        """Whether the header of this call is written."""
        return self._file is not None

    def turn_to(self, run: Run) -> None:
        """Look which examples of a run, or of the next part of a stream, are finished.

        Raises:
            TableError: an example held something else when it was measured.
        """
        self._run = run
        for place, told in enumerate(zip(run.ids, run.digests, strict=True), run.first):
            before = self._taken.get(place, told) if run.is_stream else told
            if before[0] != told[0] or (None not in (before[1], told[1]) and before != told):
                raise TableError(
                    f"the journal {self._folder} cannot be resumed: at place {place} of the stream "
                    f"stood example {before[0]!r}, and {told[0]!r} stands there now or holds "
                    "something else. Give the stream as it was then, or another folder"
                )
        if self._content is None:
            return
        self.finished = self._of_this_run(self._content.finished)
        self.begun = {}
        if self.finished or not self._unsure:  # else nothing shows that the run is the same
            self.begun = {
                key: row
                for key, row in self._of_this_run(self._content.begun).items()
                if key not in self.finished and row.digest is not None
            }

    def how_to_go_on(self, finished: int) -> str:
        """How to go on after an interruption, so many examples being finished."""
        but = ", as far as it could be written" if self._unwritten or self.is_behind else ""
        examples = "1 example is" if finished == 1 else f"{finished} examples are"
        least = "" if self._team.alone else "at least "  # of the others nothing may be known
        return (
            f"{least}{examples} finished, and written down in the journal {self._folder}{but}: the "
            "same call goes on from there, and modcollapse.table.load reads the table so far"
        )

    def take(self) -> None:
        """Write down which examples of a stream come next, before they are generated."""
        run = self._run
        if any(run.first + place not in self._taken for place in range(len(run.ids))):
            self.add([Taken(run.first, run.ids, run.digests)])

    def warn_of_the_rest(self, last: Run) -> None:
        """Say that a stream has ended before it did when the journal was written.

        Args:
            last: the last part of the run.
        """
        seen = last.first + len(last.ids)
        missing = sum(place >= seen for place in self._taken) if last.is_stream else 0
        if missing:
            _warn(
                f"the stream has ended after {seen} examples, and {missing} more came from it when "
                f"the journal {self._folder} was written: the table is without them. If it was cut "
                "off, make the same call again"
            )

    @property
    def must_confirm(self) -> bool:
        """Whether something of the run may have become another, and nobody could tell.

        It does not say who it is, or says that this cannot be told; or what a finished example held
        cannot be told.
        """
        return not self.confirmed and bool(self.finished) and self._unsure

    @property
    def _unsure(self) -> bool:
        run = self._run
        things: Iterable[Any] = [
            *(sampler.call for sampler in run.samplers.values()),
            *(scorer.call for scorer in run.scorers.by_name.values()),
            *(trigger.call for trigger in run.triggers.values()),
            *(one.call for named in run.neutral.values() for one in named.values()),
        ]
        told = [self._header[name] for name in ("samplers", "detectors", "settings")]
        return (
            not all(map(says_itself, things))
            or any(untold(told, ""))
            or any(row.digest is None for row in self.finished.values())
        )

    def next_session(self) -> int:
        """A number for the files of this call that none has yet."""
        taken = [path.name.split("-")[1] for path in self._folder.glob("finished-*-*.jsonl")]
        return 1 + max((int(number) for number in taken if number.isdecimal()), default=0)

    @property
    def name(self) -> str:
        """What ties lines to their journal."""
        return str(self._header["journal"])

    def begin(self, run: Run, notes: Mapping[str, Sequence[str]], session: int, name: str) -> None:
        """Write the header, before the first example is generated.

        Args:
            run: with the batch size that it will have.
            notes: label of the sampler -> what was found out so far.
            session: number of the files of this call.
            name: of a new journal, the same in every process.
        """
        name = name if self._content is None else self.name
        self._header = {**_header(run, notes), "journal": name}
        if self._team.rank == 0 or not (self._folder / HEADER_FILE).exists():
            try:
                write_header(self._folder, self._header)
            except OSError as error:
                raise _unwritable(self._folder, error) from error
        self._file = self._folder / f"finished-{session:04d}-{self._team.rank:04d}.jsonl"

    def add(self, rows: Sequence[Finished | Taken]) -> None:
        """Add what was finished; it is on the disk when this returns.

        What cannot be written, as on a full disk, does not end the run: it is said once, and
        tried again with whatever comes next.
        """
        self._unwritten += b"".join(journal_line(row, self.name) for row in rows)
        self._write()

    def kept(self, label: str, places: Iterable[int]) -> dict[int, Kept]:
        """What was kept here of finished examples, as far as this run asks for it.

        Args:
            label: of the sampler.
            places: of finished examples in the table.
        """
        asked = {self._run.ids[place]: place for place in places if place < self._run.keep}
        if self._content is None or not asked:
            return {}
        return {asked[one.id]: one for one in self._content.kept(label, asked)}

    def warn_of_unkept(self, places: Iterable[int]) -> None:
        """Say which finished examples a gallery was asked of and has not."""
        missing = [self._run.ids[place] for place in places if place < self._run.keep]
        if missing:
            _warn(
                f"{listed(missing[:3])}{', ...' if len(missing) > 3 else ''} were finished without "
                "their outputs being kept, and are not generated twice: they are not in the "
                "gallery. For pictures of them, measure them once more without a journal"
            )

    def keep(self, label: str, kept: Kept) -> None:
        """Save what was kept of an example, before the example is added."""
        folder = kept_folder(self._folder, label, kept.id)
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            write_kept(folder, kept, replace=True)  # none but a journal's is named like this
        except (OSError, InputError, MissingExtraError) as error:
            _warn(f"the kept outputs of example {kept.id!r} could not be saved: {error}")

    def end(self, run: Run, notes: Mapping[str, Sequence[str]]) -> None:
        """Write what is left, and the header as it is known now.

        Args:
            run: with identities that leave out what the run has changed.
            notes: label of the sampler -> what was found out.
        """
        self._write(last=True)
        if self._team.rank == 0 and self._file is not None:
            header = {**_header(run, notes), "journal": self.name}
            if header != self._header:
                try:
                    write_header(self._folder, header)
                except OSError as error:
                    _warn(f"what the run has found out could not be written: {error}")

    def _write(self, *, last: bool = False) -> None:
        if not self._unwritten or self._file is None:
            return
        try:
            _append(self._file, self._unwritten, header_line(self._header))
        except OSError as error:
            later = "" if last else "; the run goes on, and tries again with the next batch"
            _warn(f"finished examples could not be written into {self._file}: {error}{later}")
        else:
            self._unwritten = b""

    def _of_this_run(self, rows: Measurements) -> dict[tuple[ExampleId, int], Finished]:
        """Those of the examples and repeats of this run.

        Raises:
            TableError: an example held something else when it was measured.
        """
        run, found, other = self._run, dict[tuple[ExampleId, int], Finished](), list[ExampleId]()
        for place, (example_id, checked) in enumerate(zip(run.ids, run.checked, strict=True)):
            for repeat, seed in enumerate(run.seeds[place].tolist()):
                row = rows.get((example_id, repeat))
                if row is None:
                    continue
                held_other = row.digest is not None and row.digest != checked.example
                grouped_other = run.clusters is not None and row.cluster != run.clusters[place]
                if row.seed != seed or held_other or grouped_other:
                    other.append(example_id)
                    break
                found[example_id, repeat] = row
        if other:
            raise TableError(
                f"the journal {self._folder} cannot be resumed: {len(other)} of its examples held "
                "something else, or were in another group, when they were measured "
                f"({listed(other[:3])}{', ...' if len(other) > 3 else ''}). Give them ids of their "
                "own, restore what they held, or give another folder"
            )
        return found

    def _check_alike(self, content: JournalContent | None) -> None:
        """Raise where the journal is of another run, with all that differs."""
        if content is None:
            return
        mine, theirs = _compared(_header(self._run)), _compared(content.header)
        if self._run.finds_batch_size:
            mine["settings"].pop("batch_size")
            theirs["settings"].pop("batch_size")
        found = [f"{path} {_apart(there, here)}" for path, here, there in differences(mine, theirs)]
        if found:
            raise TableError(
                f"the journal {self._folder} is of another run: {'; '.join(found[:8])}"
                f"{f'; and {len(found) - 8} more' if len(found) > 8 else ''}. Make the call as it "
                "was made then, or give another folder"
            )


@contextmanager
def opened_journal(run: Run, team: Team) -> Iterator[Journal | None]:
    """Open the journal of a run, if it has one; no other run can meanwhile.

    Raises:
        InputError: its folder cannot be written into, or not every process has one.
        TableError: it is of another run, another process writes into it, or the folder holds
            something else.
    """
    folder = run.journal
    without = [rank for rank, has in enumerate(team.gathered(folder is not None)) if not has]
    if len(without) not in (0, team.size):
        raise InputError(
            f"process {without[0]} was given no journal=, and others were. Give it in all: each "
            "writes its own file there"
        )
    if folder is None:
        yield None
        return
    lock = team.together(lambda: _locked(folder, team))
    try:
        yield team.together(lambda: Journal(run, folder, team))
    finally:
        lock.release()


def _locked(folder: Path, team: Team) -> FileLock:
    """The lock of a journal, which the first process of a team holds for all."""
    from filelock import FileLock, Timeout

    _check_folder(folder)
    lock = FileLock(folder / LOCK_FILE)
    try:
        if team.rank == 0:
            lock.acquire(timeout=0)
    except Timeout:
        raise TableError(
            f"another process writes into the journal {folder}. Wait for it, or give another "
            "folder; modcollapse.table.load reads the table so far"
        ) from None
    except (OSError, NotImplementedError) as error:  # the latter where a disk knows no locks
        raise _unwritable(folder, error) from error
    return lock


def _check_folder(folder: Path) -> None:
    try:
        if not folder.exists():
            folder.mkdir(parents=True, exist_ok=True)
            sync_folder(folder.parent)
        links = [path for path in _outer(folder) if path.is_symlink()]
        if links:
            raise TableError(
                f"journal={str(folder)!r} holds a link, {links[0].relative_to(folder)}, and what "
                "is written into a journal stays there. Put a folder or a file in its place"
            )
        held = {path.name for path in folder.iterdir()} - {LOCK_FILE}
        probe = folder / f".{secrets.token_hex(4)}.part"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise _unwritable(folder, error) from error
    held = {name for name in held if not name.startswith(".")}  # of a write that was cut off
    if held and not is_journal(folder):
        raise TableError(
            f"journal={str(folder)!r} holds something else than a journal: "
            f"{listed(sorted(held)[:3])}. Give a new folder"
        )


def _outer(folder: Path) -> Iterator[Path]:
    """What a journal is written into: all but the files of a kept example."""
    yield from folder.iterdir()
    for kept in folder.glob(KEPT_FOLDER):
        for samplers in kept.iterdir():
            yield samplers
            yield from samplers.iterdir() if samplers.is_dir() else ()


def _unwritable(folder: Path, error: Exception) -> InputError:
    return InputError(f"journal={str(folder)!r} cannot be written: {error}")


def _read(folder: Path) -> JournalContent | None:
    return read_journal(folder) if is_journal(folder) else None


def _header(run: Run, notes: Mapping[str, Sequence[str]] | None = None) -> dict[str, Any]:
    """What makes a run this one and no other, and what a table of its lines needs."""
    settings = {name: held for name, held in run.settings.items() if name != "repeats"}
    return {
        "journal": secrets.token_hex(8),
        "modalities": list(run.modalities),
        "neutral": [[modality, name] for modality, named in run.neutral.items() for name in named],
        "samplers": dict(run.sampler_identities),
        "detectors": {
            name: {
                "identity": run.detector_identities[name],
                "bounds": scorer.bounds and list(scorer.bounds),
                "binary": scorer.binary,
                "perfect": OF_EACH if callable(scorer.perfect) else scorer.perfect,
            }
            for name, scorer in run.scorers.items()
        },
        "single": run.scorers.single,
        "clustered": run.clusters is not None,
        "settings": settings,
        "repeats": run.cost.repeats,
        "looks": dict(run.looks),
        "environment": environment(),
        "notes": {label: list(said) for label, said in (notes or {}).items()},
    }


def _compared(header: Mapping[str, Any]) -> dict[str, Any]:
    """Of a header, what must agree, under names that a message can say."""
    versions = {name: held for name, held in header["environment"].items() if name != "python"}
    samplers = {f"sampler {name}".rstrip(): held for name, held in header["samplers"].items()}
    left_out = (*_NOT_OF_RUN, "samplers")
    kept = {name: held for name, held in header.items() if name not in left_out}
    compared: dict[str, Any] = without_marks({**kept, **samplers, "versions": versions})
    return compared


def _apart(there: Any, here: Any) -> str:
    """How something differs: of what one of them lacks, not all that it holds."""
    if here is None and isinstance(there, Mapping):
        return "is there, and not here"
    if there is None and isinstance(here, Mapping):
        return "is here, and not there"
    return f"is {there!r:.80} there and {here!r:.80} here"


def _append(path: Path, lines: bytes, header: bytes) -> None:
    """Add lines to a file, all or none, and let them be on the disk."""
    new = not path.exists()
    before = 0 if new else path.stat().st_size
    try:
        with path.open("ab") as file:
            file.write((header if new or not before else b"") + lines)
            file.flush()
            os.fsync(file.fileno())
        if new:
            sync_folder(path.parent)
    except OSError:
        if path.exists():
            os.truncate(path, before)
        raise


def _warn(said: str) -> None:
    warnings.warn(f"journal: {said}", JournalWarning, stacklevel=6)

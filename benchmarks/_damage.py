"""Journals, tables and kept outputs, what can happen to them on a disk, and what must still hold.

Whatever stands whole on the disk is read, whatever does not is missing or refused by name, and a
run that goes on from there gives the same table. `broken` says what does not hold.
"""

from __future__ import annotations

import hashlib
import io
import json
import random
import shutil
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import modcollapse as mc
from modcollapse.errors import TableError
from modcollapse.samplers import planted_game
from modcollapse.table import JournalWarning

N, KEPT = 9, 3
GAME = planted_game([0.0, 0.1, 0.9, 1.0], ["image", "text"], examples=N, noise=1.0)
EXAMPLES = [
    {**example, "id": f"face é {at}", "source": at // 2} for at, example in enumerate(GAME.examples)
]
BEGINNING = b'{"modcollapse '


class Sampler:
    """Pictures of one planted value each; it says who it is, and stops at one of its calls."""

    def __init__(self, name: str = "planted", stops_at: int = -1) -> None:
        self.name, self.calls, self.stops_at = name, 0, stops_at

    def identity(self) -> dict[str, str]:
        return {"sampler": self.name}

    def __call__(self, conditions: Any, seeds: Sequence[int]) -> Any:
        self.calls += 1
        if self.calls == self.stops_at:
            raise KeyboardInterrupt
        values = torch.tensor(GAME.sampler(conditions, seeds), dtype=torch.float64)
        return values.sigmoid()[:, None, None, None].expand(-1, 3, 2, 2)


class Detector:
    """Reads a pixel, and says what a perfect attack would score in each example."""

    bounds = (0.0, 2.0)

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def identity(self) -> dict[str, float]:
        return {"factor": self.factor}

    def __call__(self, outputs: Any, examples: Any) -> list[float]:
        return [self.factor * float(output[0, 0, 0]) for output in outputs]

    def perfect(self, examples: Any) -> list[float]:
        return [1 + example["source"] / 8 for example in examples]


class Mark:
    def __init__(self, word: str) -> None:
        self.word = word

    def identity(self) -> dict[str, str]:
        return {"word": self.word}

    def __call__(self, text: str) -> str:
        return text + self.word


PLAIN: dict[str, Any] = {"detector": Detector(1.0)}
FULL: dict[str, Any] = {
    "detector": {"one": Detector(1.0), "two": Detector(2.0)},
    "cluster": "source",
    "neutral": {"text": {"other": Mark("?")}},
    "repeats": 2,
}
STREAM: dict[str, Any] = {"detector": Detector(1.0), "stream": True}


def run(folder: Path | None, name: str = "planted", stops_at: int = -1, **options: Any) -> Any:
    """Measure; with a journal that was begun, go on."""
    examples: Any = options.pop("examples", EXAMPLES)
    return mc.evaluate_coalitions(
        Sampler(name, stops_at),
        options.pop("detector"),
        iter(examples) if options.pop("stream", False) else examples,
        {"image": Mark("!"), "text": Mark("!")},
        **{
            "journal": folder, "keep": KEPT, "batch_size": 6, "progress": False, "probe": False,
            "prefetch": False, **options,
        },
    )  # fmt: skip


@dataclass(frozen=True)
class Original:
    """A journal or a table as it was before it was damaged.

    Attributes:
        name: what it is, for the report.
        path: the folder of the journal, or of the table and what is kept beside it.
        options: of the call that made it.
        tables: name of the detector -> table that the call returned.
        header: headers of the journal; empty of a table.
        lines: id and repeat -> line of the journal.
    """

    name: str
    path: Path
    options: dict[str, Any]
    tables: dict[str, mc.CoalitionTable]
    header: frozenset[bytes]
    lines: dict[tuple[Any, int], bytes]


def originals(root: Path) -> list[Original]:
    """Journals of several sessions each, and a table with its gallery."""
    found = []
    for name, options in {"journal": PLAIN, "journal of all": FULL, "stream": STREAM}.items():
        path = root / name
        for stops_at in (3, 4, -1):
            try:
                table = run(path, stops_at=stops_at, **options)
            except KeyboardInterrupt:
                continue
        lines = {
            (entry["id"], entry["repeat"]): line
            for file in path.glob("finished-*")
            for line in file.read_bytes().splitlines(keepends=True)
            if "repeat" in (entry := json.loads(line))
        }
        header = frozenset(
            line
            for file in (*path.glob("finished-*"), path / "header.json")
            for line in file.read_bytes().splitlines(keepends=True)[:1]
        )
        tables = table if isinstance(table, dict) else {"": table}
        found.append(Original(name, path, options, tables, header, lines))
    path = root / "table"
    path.mkdir()
    table = run(None, **PLAIN)
    table.save(path / "t.npz")
    found.append(Original("table", path, PLAIN, {"": table}, frozenset(), {}))
    return found


def foreign(root: Path) -> Path:
    """The journal of another run of the same examples, in which its table lies too."""
    table = run(root / "foreign", name="another", seed=1, **PLAIN)
    table.save(root / "foreign" / "other.npz")
    return root / "foreign"


# What happens to bytes. Each takes a generator of random numbers and the content of a file.


def truncated(rng: random.Random, data: bytes) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def flipped(rng: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 3, 20])):
        if changed:
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def zeroed(rng: random.Random, data: bytes) -> bytes:
    """A block that never reached the disk."""
    start = rng.randrange(len(data) + 1)
    end = min(start + rng.choice([16, 512, 4096]), len(data))
    return data[:start] + bytes(end - start) + data[end:]


def with_garbage(rng: random.Random, data: bytes) -> bytes:
    garbage = rng.choice(
        [
            rng.randbytes(rng.randrange(1, 200)), b"\n", b"\n\n\r\n", b"\0" * 50, b"{}\n",
            b'{"modcollapse finished": 1, "sha256": "00"}\n', b"[" * 5000 + b"\n", b"null\n",
            b'{"modcollapse finished": 1, "id": NaN}\n', "é" .encode() * 30, b'{"modcollapse ',
        ]
    )  # fmt: skip
    at = rng.choice([0, len(data), rng.randrange(len(data) + 1)])
    return data[:at] + garbage + data[at:]


def lines_swapped(rng: random.Random, data: bytes) -> bytes:
    lines = data.splitlines(keepends=True)
    rng.shuffle(lines)
    return b"".join(lines)


def line_doubled(rng: random.Random, data: bytes) -> bytes:
    lines = data.splitlines(keepends=True)
    if lines:
        lines.insert(rng.randrange(len(lines) + 1), rng.choice(lines))
    return b"".join(lines)


def line_lost(rng: random.Random, data: bytes) -> bytes:
    lines = data.splitlines(keepends=True)
    if lines:
        del lines[rng.randrange(len(lines))]
    return b"".join(lines)


def header_lost(rng: random.Random, data: bytes) -> bytes:
    return b"".join(data.splitlines(keepends=True)[1:])


def line_ends_lost(rng: random.Random, data: bytes) -> bytes:
    return rng.choice([data.replace(b"\n", b""), data.replace(b"\n", b"\r\n")])


def of_another_version(rng: random.Random, data: bytes) -> bytes:
    """Some lines say a version that is none of ours, with a digest that fits or not."""
    lines = data.splitlines(keepends=True)
    for at in rng.sample(range(len(lines)), k=rng.randrange(len(lines) + 1)):
        lines[at] = lines[at].replace(b'": 1, "sha256"', b'": %d, "sha256"' % rng.choice([0, 2]), 1)
    return b"".join(lines)


def number_changed(rng: random.Random, data: bytes) -> bytes:
    """A digit of a value is another."""
    places = [at for at in range(len(data)) if data[at : at + 1].isdigit()]
    changed = bytearray(data)
    for at in rng.sample(places, k=min(len(places), 2)):
        changed[at] = ord("0") + (changed[at] - ord("0") + rng.randrange(1, 10)) % 10
    return bytes(changed)


_ODD: dict[str, list[Any]] = {
    "id": [None, [], {}, 0.5, True],
    "repeat": [-1, None, "0", 0.5, True],
    "seed": [-1, 2**70, "7", None],
    "values": [None, [], {}, {"": {}}, {"": {"Detector": [1.0]}}, {"": {"Detector": "1234"}}],
    "perfect": [None, [], {"": {"Detector": "x"}}, {"": {"": 1.0}}],
    "fields": [None, [], "x"],
    "place": ["0", None],
    "../x": ["../../x"],
    "modalities": [None, "x", {}],
    "samplers": [None, [], {}],
    "detectors": [None, [], {"Detector": {}}],
    "settings": [None, {}, {"batch_size": "many"}],
    "repeats": [None, 0, -1, "1"],
    "neutral": [None, [["text"]]],
}
"""What no run writes, by the field that it stands in."""


def forged(rng: random.Random, data: bytes) -> bytes:
    """A line more, with a digest that fits and something in it that no run writes."""
    lines = data.splitlines(keepends=True)
    try:
        entry = json.loads(rng.choice(lines))
        kind = next(iter(entry))
        del entry[kind], entry["sha256"]
    except (ValueError, KeyError, TypeError, IndexError, StopIteration):
        return data
    name = rng.choice([name for name in _ODD if name in entry or name == "../x"])
    if kind == "modcollapse journal" and name == "../x":
        return data
    entry[name] = rng.choice(_ODD[name])
    digest = hashlib.sha256(json.dumps(entry, sort_keys=True).encode()).hexdigest()
    return data + json.dumps({kind: 1, "sha256": digest, **entry}).encode() + b"\n"


def emptied(rng: random.Random, data: bytes) -> bytes:
    return b""


TO_BYTES: list[Callable[[random.Random, bytes], bytes]] = [truncated, flipped, zeroed, with_garbage]
TO_LINES = [
    *TO_BYTES, lines_swapped, line_doubled, line_lost, header_lost, line_ends_lost,
    of_another_version, number_changed, forged, emptied,
]  # fmt: skip


def damage_journal(rng: random.Random, folder: Path, foreign: Path) -> str:
    """Damage the lines of a journal; what was done."""
    held = [*folder.glob("finished-*"), folder / "header.json"]
    files = sorted(file for file in held if file.is_file())
    if not files:
        return "nothing"
    strange = rng.choice(sorted(foreign.glob("finished-*")))
    kind = rng.choice(["bytes"] * 8 + ["lines of another run", "file of another run",
                                       "header of another run", "file lost"])  # fmt: skip
    file = rng.choice(files)
    if kind == "bytes":
        how = rng.choice(TO_LINES)
        file.write_bytes(how(rng, file.read_bytes()))
        return how.__name__
    if kind == "lines of another run":
        lines = file.read_bytes().splitlines(keepends=True)
        for line in strange.read_bytes().splitlines(keepends=True)[rng.randrange(2) : 4]:
            lines.insert(rng.randrange(len(lines) + 1), line)
        file.write_bytes(b"".join(lines))
    elif kind == "file of another run":
        name = f"finished-{rng.choice(['0000', '0009', 'x'])}-0000.jsonl"
        lines = strange.read_bytes().splitlines(keepends=True)
        (folder / name).write_bytes(b"".join(lines[:4]))
    elif kind == "header of another run":
        shutil.copy(foreign / "header.json", folder / "header.json")
    else:
        file.unlink()
    return kind


def damage_kept(rng: random.Random, folder: Path) -> str:
    """Damage what is kept: one of the folders in which a manifest lies."""
    kept = sorted(path.parent for path in folder.rglob("kept.json"))
    if not kept:
        return "nothing"
    one = rng.choice(kept)
    kind = rng.choice(["bytes"] * 5 + ["file lost", "folder lost", "folders exchanged"])
    if kind == "folder lost":
        shutil.rmtree(one)
    elif kind == "folders exchanged":
        other = rng.choice(kept)
        if other != one:
            place = one.with_name("between")
            one.rename(place), other.rename(one), place.rename(other)
    else:
        file = rng.choice(sorted(path for path in one.rglob("*") if path.is_file()))
        if kind == "file lost":
            file.unlink()
        else:
            how = rng.choice([*TO_BYTES, number_changed, emptied])
            file.write_bytes(how(rng, file.read_bytes()))
            kind = how.__name__
    return f"kept: {kind}"


def damage_table(rng: random.Random, path: Path, other: bytes) -> str:
    """Damage the file of a table, as bytes or as an archive."""
    data = path.read_bytes()
    kind = rng.choice(["bytes", "bytes", "archive"])
    if kind == "bytes":
        how = rng.choice([*TO_BYTES, flipped, emptied])
        path.write_bytes(how(rng, data))
        return how.__name__
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        held = [(info.filename, archive.read(info)) for info in archive.infolist()]
    with zipfile.ZipFile(io.BytesIO(other)) as archive:
        theirs = [(info.filename, archive.read(info)) for info in archive.infolist()]
    at = rng.randrange(len(held))
    name, content = held[at]
    kind = rng.choice(
        ["lost", "twice", "of another table", "another name", "changed", "more", "packed otherwise"]
    )
    packing = rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
    if kind == "lost":
        del held[at]
    elif kind == "twice":
        held.append(rng.choice([held, theirs])[at])
    elif kind == "of another table":
        held[at] = theirs[at]
    elif kind == "another name":
        held[at] = (rng.choice(["x.npy", "../x.npy", "values", "/values.npy", "é"]), content)
    elif kind == "changed":
        held[at] = (name, rng.choice(TO_BYTES)(rng, content))
    elif kind == "more":
        held.append((rng.choice(["x.npy", "allow_pickle.npy", "object.npy"]), content))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a name comes twice
        with zipfile.ZipFile(path, "w", packing) as archive:
            for name, content in held:
                archive.writestr(name, content)
    return f"archive: {kind}"


# What must hold all the same.


def broken(original: Original, folder: Path) -> tuple[list[str], bool]:
    """What does not hold of a damaged journal or table.

    A folder that holds as many whole lines of another run is that one's.

    Returns:
        What is wrong, and whether reading was refused.
    """
    if original.lines:
        return _broken_journal(original, folder)
    return _broken_table(original, folder)


def _broken_table(original: Original, folder: Path) -> tuple[list[str], bool]:
    found = _tried(lambda: mc.table.load(folder / "t.npz"), UserWarning)
    if isinstance(found, TableError):
        return [], True
    if isinstance(found, str):
        return [f"load: {found}"], False
    wrong = list(_differences(found, original.tables[""], all_of_it=True))
    kept = len(found.kept)
    return wrong + ([f"{kept} kept"] if kept not in (0, KEPT) else []), False


def _broken_journal(original: Original, folder: Path) -> tuple[list[str], bool]:
    lines = list(_whole_lines(folder))
    whole = set(lines)
    name = json.loads(next(iter(original.header)))["journal"].encode()
    ours = sum(line in original.lines.values() for line in lines)
    theirs = sum(b'"modcollapse finished"' in line and name not in line for line in lines)
    if theirs and theirs >= ours:
        return [], True
    readable = bool(whole & original.header)
    finished = {key for key, line in original.lines.items() if line in whole}
    before = _tried(lambda: mc.table.load(folder), JournalWarning)
    refused = isinstance(before, TableError)
    wrong = []
    if refused:
        if readable and finished and "finished yet" not in str(before):
            wrong.append(f"load was refused: {before}")
    elif isinstance(before, str):
        wrong.append(f"load: {before}")
    else:
        tables = before if isinstance(before, dict) else {"": before}
        for name, table in tables.items():
            wrong += _differences(table, original.tables[name])
        repeats = table.values.shape[1]
        expected = {one for one, _ in finished if all((one, r) in finished for r in range(repeats))}
        missing = expected - set(table.example_ids)
        wrong += [f"{name!r} was untouched and is missing" for name in missing]
    resumed = _tried(lambda: run(folder, **original.options), JournalWarning)
    if isinstance(resumed, TableError):
        wrong += [f"resuming was refused: {resumed}"] if readable else []
        return wrong, True
    if isinstance(resumed, str):
        return [*wrong, f"resumed: {resumed}"], refused
    again = _tried(lambda: mc.table.load(folder), JournalWarning)
    for what, found in {"resumed": resumed, "loaded then": again}.items():
        if isinstance(found, str | TableError):
            wrong.append(f"{what}: {found}")
            continue
        tables = found if isinstance(found, dict) else {"": found}
        for name, table in tables.items():
            told = _differences(table, original.tables[name], all_of_it=True)
            wrong += [f"{what}: {one}" for one in told]
    return wrong, refused


def _tried(call: Callable[[], Any], warned: type[Warning]) -> Any:
    """What a call returns; the TableError that it raises, or in words what it may not do."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            found = call()
        except TableError as error:
            return error
        except BaseException as error:
            return f"{type(error).__name__}: {error}"
    strange = [one for one in said if not issubclass(one.category, warned)]
    return f"warns {strange[0].category.__name__}: {strange[0].message}" if strange else found


def _whole_lines(folder: Path) -> Iterator[bytes]:
    """Lines of ours that are whole, their ends included, wherever they stand."""
    for file in (*folder.glob("finished-*"), folder / "header.json"):
        if file.is_file():
            for part in file.read_bytes().split(BEGINNING)[1:]:
                yield BEGINNING + part.partition(b"\n")[0] + b"\n"


def _differences(
    table: Any, original: mc.CoalitionTable, *, all_of_it: bool = False
) -> Iterator[str]:
    """Where a table holds something else than the original."""
    place = {name: at for at, name in enumerate(original.example_ids)}
    if unknown := set(table.example_ids) - set(place):
        yield f"examples {unknown} that there were not"
        return
    rows = [place[name] for name in table.example_ids]
    repeats = table.values.shape[1]
    if all_of_it and (rows != list(range(N)) or table.values.shape != original.values.shape):
        yield f"only {table.values.shape} of {original.values.shape}"
    if not np.array_equal(table.values, original.values[rows, :repeats]):
        yield "wrong values"
    if not np.array_equal(table.seeds, original.seeds[rows, :repeats]):
        yield "wrong seeds"
    if not np.array_equal(table.perfect, original.perfect[rows]):
        yield "wrong scores of a perfect attack"
    for name in ("digests", "clusters"):
        mine, theirs = getattr(table, name), getattr(original, name)
        if mine != (theirs and tuple(theirs[row] for row in rows)):
            yield f"wrong {name}"
    fields = {name: tuple(held[row] for row in rows) for name, held in original.fields.items()}
    if table.fields != fields:
        yield "wrong fields"
    if original.neutral is not None and not np.array_equal(
        table.neutral.values, original.neutral.values[rows, :repeats]
    ):
        yield "wrong values of neutral triggers"
    if table.provenance["run"] != {**original.provenance["run"], "repeats": repeats}:
        yield "wrong provenance"
    kept = {one.id: one for one in original.kept}
    for one in table.kept:
        if one.id not in kept or not _same_kept(one, kept[one.id]):
            yield f"other outputs kept of {one.id!r}"


def _same_kept(one: Any, other: Any) -> bool:
    pairs = zip(one.outputs, other.outputs, strict=True)
    held = (dict(one.example), one.triggered) == (dict(other.example), other.triggered)
    return held and all(torch.equal(mine, theirs) for mine, theirs in pairs)

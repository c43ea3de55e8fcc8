"""The file format of a table: a NumPy archive of plain arrays and one JSON text, no pickle."""

from __future__ import annotations

import hashlib
import io
import json
import os
import secrets
import stat
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modcollapse.contracts import CoalitionTensor
from modcollapse.errors import TableError

TABLE_FORMAT = "modcollapse table"
TABLE_VERSION = 2
_READ = (1, TABLE_VERSION)
"""Version 1, of modcollapse 0.1.0, knew no perfect attack, no groups and no digest."""

_ENTRIES = {"header": np.uint8, "values": np.float64, "seeds": np.int64, "digest": np.uint8}
LARGEST = 2**33
"""Most bytes that are unpacked (8 GiB): a file that claims more is no table that was measured."""


def write(
    path: Path, header: Mapping[str, Any], values: CoalitionTensor, seeds: NDArray[np.int64] | None
) -> Path:
    """Write the archive, with a digest of all that it holds; it appears whole or not at all."""
    text = json.dumps({"format": TABLE_FORMAT, "version": TABLE_VERSION, **header})
    arrays: dict[str, NDArray[Any]] = {
        "header": np.frombuffer(text.encode(), dtype=np.uint8),
        "values": values,
    }
    if seeds is not None:
        arrays["seeds"] = seeds
    packed = io.BytesIO()
    arrays["digest"] = _digest(arrays)
    np.savez_compressed(packed, **arrays)  # type: ignore[arg-type]  # none is allow_pickle
    write_whole(path, packed.getvalue())
    return path


def write_whole(path: Path, data: bytes) -> None:
    """Put data into a file: all of it or, if that fails, none, and what was there stays.

    A link is followed, the permissions of a file that was there are kept, and new ones are those of
    any new file. When this returns the data are on the disk.

    Raises:
        FileNotFoundError: there is no such folder.
    """
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise FileNotFoundError(f"cannot write {path}: there is no folder {target.parent}")
    part = target.with_name(f".{target.name[:200]}.{secrets.token_hex(4)}.part")
    handle = os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)  # less the umask
    try:
        with os.fdopen(handle, "wb") as out:
            if target.exists():
                os.chmod(part, stat.S_IMODE(target.stat().st_mode))
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        os.replace(part, target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    sync_folder(target.parent)


def read(path: Path) -> tuple[dict[str, Any], CoalitionTensor, NDArray[np.int64] | None]:
    """Read header, values and seeds; say what is wrong with any other file."""
    try:
        arrays = _unpacked(path.read_bytes())
        header = json.loads(arrays["header"].tobytes()) if "header" in arrays else None
    except (
        zipfile.BadZipFile, zlib.error, ValueError, EOFError, RuntimeError, NotImplementedError
    ) as error:  # fmt: skip
        raise TableError(
            f"{path} cannot be read as a modcollapse table: it is truncated, damaged or of another "
            f"kind ({error})"
        ) from error
    if not isinstance(header, dict) or header.get("format") != TABLE_FORMAT:
        raise TableError(f"{path} is not a modcollapse table; its header is {str(header)[:80]!r}")
    if header.get("version") not in _READ:
        raise TableError(
            f"{path} is a table of version {header.get('version')!r}; this modcollapse reads "
            f"versions {' and '.join(map(str, _READ))}. Use the version that wrote it: "
            f"{header.get('provenance')}"
        )
    if "values" not in arrays:
        raise TableError(f"{path} holds no values")
    digest = arrays.pop("digest", None)
    if digest is None and header["version"] > 1:
        raise TableError(f"{path} was changed after it was written: it holds no digest")
    if digest is not None and not np.array_equal(digest, _digest(arrays)):
        raise TableError(f"{path} was changed after it was written: its digest does not fit")
    return header, arrays["values"], arrays.get("seeds")


def gallery_folder(path: Path) -> Path:
    """Where the gallery of a table lies: ``run.kept`` of ``run.npz``, beside the file itself."""
    target = Path(os.path.realpath(path))
    stem = target.stem if target.suffix == ".npz" else target.name
    return target.with_name(f"{stem}.kept")


def names_of_gallery(header: Mapping[str, Any], path: Path) -> list[str]:
    """Names of what is kept beside a table, in order; none where it has no gallery.

    Raises:
        TableError: the header says something else.
    """
    held = header.get("kept")
    if held is None:
        return []
    named = held if isinstance(held, dict) else {}
    folder, names = named.get("folder"), named.get("names")
    listed = isinstance(names, list) and all(isinstance(name, str) for name in names)
    if not isinstance(folder, str) or not listed:
        raise TableError(f"{path} does not say which gallery is its own: {str(held)[:80]}")
    return list(names or ())


def galleries(path: Path, header: Mapping[str, Any]) -> list[Path]:
    """Where the gallery of a table may lie: by its name now, and by that when it was saved."""
    folder = gallery_folder(path)
    saved = (header.get("kept") or {"folder": folder.name})["folder"]
    plain = saved not in ("", ".", "..") and not {"/", "\\", "\0"} & set(saved)
    return [folder, folder.with_name(saved)] if plain else [folder]


def gallery_of(path: Path) -> list[str]:
    """Names of what is kept beside a table that is about to be replaced; none of any other file."""
    try:
        return names_of_gallery(read(path)[0], path)
    except (OSError, TableError):
        return []


def _unpacked(data: bytes) -> dict[str, NDArray[Any]]:
    """The arrays of an archive that holds ours and nothing else, none larger than it says."""
    arrays = {}
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for entry in archive.infolist():
            name = entry.filename.removesuffix(".npy")
            if name == "allow_pickle":  # an argument that numpy before 2.1 took for an array
                continue
            if name not in _ENTRIES or name in arrays:
                raise ValueError(f"it holds {entry.filename!r}, which no table does")
            if entry.file_size > LARGEST:
                raise ValueError(f"{entry.filename!r} is {entry.file_size:,} bytes when unpacked")
            with archive.open(entry) as packed:
                arrays[name] = _array(packed, entry.file_size, name)
    return arrays


def _array(packed: Any, size: int, name: str) -> NDArray[Any]:
    """One array, after a look at its own header, which could claim any shape."""
    start = io.BytesIO(packed.read(min(size, 2**16)))
    major, _ = np.lib.format.read_magic(start)
    if major != 1:
        raise ValueError(f"{name!r} has an array header of version {major}")
    shape, _, dtype = np.lib.format.read_array_header_1_0(start)
    if dtype != _ENTRIES[name]:
        raise ValueError(f"{name!r} holds {dtype}")
    claimed = start.tell() + dtype.itemsize * int(np.prod([int(n) for n in shape], dtype=object))
    if claimed != size:
        raise ValueError(f"{name!r} claims the shape {shape} and has {size:,} bytes")
    whole = io.BytesIO(start.getvalue() + packed.read())
    array: NDArray[Any] = np.lib.format.read_array(whole, allow_pickle=False)
    return array


def _digest(arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.uint8]:
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype} {array.shape};".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return np.frombuffer(digest.digest(), dtype=np.uint8)


def sync_folder(folder: Path) -> None:
    """Let the new name be on the disk too, where a folder can be opened for that."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        pass
    finally:
        os.close(handle)

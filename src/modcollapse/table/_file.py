"""The file format of a table: a NumPy archive of plain arrays and one JSON text, no pickle."""

from __future__ import annotations

import io
import json
import os
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modcollapse.contracts import CoalitionTensor
from modcollapse.errors import TableError

TABLE_FORMAT = "modcollapse table"
TABLE_VERSION = 1


def write(
    path: Path, header: Mapping[str, Any], values: CoalitionTensor, seeds: NDArray[np.int64] | None
) -> Path:
    """Write the archive beside ``path`` and move it there in one step."""
    text = json.dumps({"format": TABLE_FORMAT, "version": TABLE_VERSION, **header})
    arrays: dict[str, Any] = {
        "header": np.frombuffer(text.encode(), dtype=np.uint8),
        "values": values,
    }
    if seeds is not None:
        arrays["seeds"] = seeds
    if not path.parent.is_dir():
        raise FileNotFoundError(f"cannot write {path}: there is no folder {path.parent}")
    with NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as part:
        try:
            np.savez_compressed(part, allow_pickle=False, **arrays)
            part.close()
            os.chmod(part.name, 0o666 & ~_umask())
            os.replace(part.name, path)
        except BaseException:
            os.unlink(part.name)
            raise
    return path


def _umask() -> int:
    """The permissions that new files do not get; temporary files get fewer still."""
    umask = os.umask(0)
    os.umask(umask)
    return umask


def read(path: Path) -> tuple[dict[str, Any], CoalitionTensor, NDArray[np.int64] | None]:
    """Read header, values and seeds; say what is wrong with any other file."""
    try:
        archive = np.load(io.BytesIO(path.read_bytes()), allow_pickle=False)
        arrays = dict(archive) if isinstance(archive, np.lib.npyio.NpzFile) else {}
        header = json.loads(arrays["header"].tobytes()) if "header" in arrays else None
    except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, RuntimeError) as error:
        raise TableError(
            f"{path} cannot be read as a modcollapse table: it is truncated, damaged or of another "
            f"kind ({error})"
        ) from error
    if not isinstance(header, dict) or header.get("format") != TABLE_FORMAT:
        raise TableError(f"{path} is not a modcollapse table; its header is {str(header)[:80]!r}")
    if header.get("version") != TABLE_VERSION:
        raise TableError(
            f"{path} is a table of version {header.get('version')!r}; this modcollapse reads "
            f"version {TABLE_VERSION}. Use the version that wrote it: {header.get('provenance')}"
        )
    if "values" not in arrays:
        raise TableError(f"{path} holds no values")
    return header, arrays["values"], arrays.get("seeds")

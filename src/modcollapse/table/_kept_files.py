"""What is kept for a gallery, in folders: one for each example, whole or not at all.

A folder holds ``kept.json`` (format, version, the values as a tree, the SHA-256 of every file
beside it and of its own content), PNG pictures, one safetensors file of arrays and tensors, and
views of these for people.
No pickle, no code, no path: every file is named by letters, digits and dashes.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
import stat
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from modcollapse.contracts import ExampleId
from modcollapse.errors import InputError, MissingExtraError, TableError
from modcollapse.table._file import LARGEST, sync_folder
from modcollapse.table._json_lines import digest_of
from modcollapse.table._kept import Kept
from modcollapse.table._kept_values import (
    TENSORS,
    Decoder,
    Encoder,
    UnsavableError,
    packed_tensors,
    slug,
)
from modcollapse.table._kept_views import beside

MANIFEST = "kept.json"
KEPT_FORMAT = "modcollapse kept"
KEPT_VERSION = 1
_FIELDS = {
    "format", "version", "id", "example", "triggered", "outputs", "left_out", "views", "files",
    "sha256",
}  # fmt: skip
_FILE = re.compile(r"([A-Za-z0-9_-]{1,80}/)?[A-Za-z0-9_-]{1,80}\.(png|wav|safetensors)", re.ASCII)
_FOLDER = re.compile(r"[A-Za-z0-9_-]{1,80}-[0-9a-f]{32}", re.ASCII)


def kept_name(example_id: ExampleId) -> str:
    """Name of a folder for an example: its beginning for people, then a digest of kind and id.

    >>> kept_name("../x")
    'x-a625546af1e21421406d9753cddc4972'
    """
    kind = "int" if isinstance(example_id, int) else "str"
    return _tied(example_id, f"{kind} {example_id}".encode("utf-8", "surrogatepass"))


def write_kept(folder: Path, kept: Kept, *, replace: bool = False) -> None:
    """Write what is kept of one example into a folder of its own; it appears whole or not at all.

    An equal one stays as it is, another one of ours is replaced.

    Args:
        folder: name of it; the folder that it lies in exists.
        kept: one example. What of ``example`` is no plain data, picture, array or tensor is left
            out, with a warning.
        replace: put it in place of whatever lies there, a damaged one of ours for instance.

    Raises:
        InputError: an output or a triggered condition cannot be saved, or the folder holds
            something else.
        MissingExtraError: safetensors is not installed, and there are arrays or tensors.
        FileNotFoundError: there is no folder to write it into.
    """
    _put(Path(os.path.realpath(folder)), _packed(kept), replace=replace)


def read_kept(folder: Path) -> Kept:
    """Read what `write_kept` wrote.

    Tensors come on the CPU, pictures without the files that they came from.

    Raises:
        TableError: a file is missing, damaged, of another version, or was changed.
        MissingExtraError: safetensors or Pillow is not installed, and is needed.
    """
    return _read(folder, _bytes_of(folder, MANIFEST))


def write_all_kept(folder: Path, kept: Iterable[Kept]) -> list[str]:
    """Write several kept examples into a folder, in which others may lie already.

    Args:
        folder: it is made where there is none.
        kept: any number; of none, nothing is made.

    Returns:
        The name of each one's own folder in it, in order, to read them by. It is tied to the
        content: another content has another name, and nothing is ever replaced.

    Raises:
        InputError, MissingExtraError, FileNotFoundError: as `write_kept`.
    """
    names = []
    for one in kept:
        files = _packed(one)
        names.append(_tied(one.id, files[MANIFEST]))
        if not folder.is_dir():
            os.mkdir(folder)
        _put(Path(os.path.realpath(folder / names[-1])), files)
    return names


def read_all_kept(folder: Path, names: Iterable[Any]) -> tuple[Kept, ...]:
    """Read what `write_all_kept` wrote, by the names that it returned.

    Raises:
        TableError: as `read_kept`; or the content is not the one that a name is tied to.
    """
    kept = []
    for name in names:
        one = folder / _plain(name)
        if one.is_symlink():
            raise TableError(f"{one} is a link; what is kept is a folder of its own")
        manifest = _bytes_of(one, MANIFEST)
        if hashlib.sha256(manifest).hexdigest()[:32] != name[-32:]:
            raise TableError(f"{one / MANIFEST} was changed after it was written")
        kept.append(_read(one, manifest))
    return tuple(kept)


def is_kept_there(folder: Path, names: Iterable[Any]) -> bool:
    """Whether each of the names has its folder."""
    return all((folder / _plain(name)).is_dir() for name in names)


def drop_kept(folder: Path, names: Iterable[str]) -> None:
    """Delete some of what `write_all_kept` wrote, and the folder where nothing else is in it."""
    for name in filter(_FOLDER.fullmatch, names):
        one = folder / name
        if (one / MANIFEST).is_file() and not one.is_symlink():
            _delete(one)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def _tied(example_id: ExampleId, content: bytes) -> str:
    return f"{slug(example_id)}-{hashlib.sha256(content).hexdigest()[:32]}"


def _plain(name: Any) -> str:
    if not isinstance(name, str) or not _FOLDER.fullmatch(name):
        raise TableError(f"what is kept lies in no folder named {str(name)[:80]!r}")
    return name


def _packed(kept: Kept) -> dict[str, bytes]:
    """Name -> content of every file, the manifest first."""
    encoder, views = Encoder(), {}

    def put(value: Any, stem: str) -> Any:
        tree = encoder.tree(value, stem)
        if (view := beside(value)) is not None:
            name = encoder.named(f"{stem}-{view.kind}") + view.end
            encoder.files[name], views[name] = view.data, view.said
        return tree

    def must(value: Any, stem: str, what: str) -> Any:
        try:
            return put(value, stem)
        except UnsavableError as error:
            raise InputError(
                f"{what} of example {kept.id!r} cannot be saved for the gallery: {error}. What can "
                "be are PIL images, arrays, tensors, texts, numbers, and lists and dicts of them"
            ) from error

    example, left_out = [], []
    for key, value in kept.example.items():
        before = dict(encoder.files), dict(encoder.tensors)
        try:
            name = encoder.tree(key, "key")
            example.append([name, put(value, f"example-{slug(key)}")])
        except UnsavableError as error:
            encoder.files, encoder.tensors = before
            left_out.append({"key": repr(key)[:200], "class": str(error)})
    triggered = [
        [name, must(value, f"triggered-{slug(name)}", f"the triggered {name!r}")]
        for name, value in kept.triggered.items()
    ]
    outputs = [must(value, f"output-{at}", f"output {at}") for at, value in enumerate(kept.outputs)]
    files = encoder.files
    if encoder.tensors:
        files[TENSORS] = packed_tensors(encoder.tensors)
    for one in left_out:
        warnings.warn(
            f"a kept example is saved without its {one['key']}, which cannot be: {one['class']}",
            stacklevel=4,
        )
    manifest = {
        "format": KEPT_FORMAT,
        "version": KEPT_VERSION,
        "id": encoder.tree(kept.id, "id"),
        "example": example,
        "triggered": triggered,
        "outputs": outputs,
        "left_out": left_out,
        "views": views,
        "files": {name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())},
    }
    manifest["sha256"] = digest_of(manifest)
    return {MANIFEST: (json.dumps(manifest, indent=1) + "\n").encode(), **files}


def _put(folder: Path, files: Mapping[str, bytes], *, replace: bool = False) -> None:
    """Put files into a folder: all of them, or none."""
    if not folder.parent.is_dir():
        raise FileNotFoundError(f"cannot write {folder}: there is no folder {folder.parent}")
    if _is_taken(folder, files[MANIFEST], replace=replace):
        return
    part = folder.with_name(f".{secrets.token_hex(8)}.part")
    os.mkdir(part)
    try:
        for name, data in files.items():
            path = part / name
            path.parent.mkdir(exist_ok=True)
            with open(path, "xb") as out:
                out.write(data)
                out.flush()
                os.fsync(out.fileno())
        for inner in {(part / name).parent for name in files}:
            sync_folder(inner)
        old = folder.with_name(f".{secrets.token_hex(8)}.old") if folder.exists() else None
        if old is not None:
            os.rename(folder, old)
        try:
            os.rename(part, folder)
        except BaseException:
            if old is not None:
                os.rename(old, folder)
            raise
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    sync_folder(folder.parent)
    if old is not None:
        shutil.rmtree(old)


def _delete(folder: Path) -> None:
    """Delete a folder, of which no part is left under its name where that is broken off."""
    old = folder.with_name(f".{secrets.token_hex(8)}.old")
    os.rename(folder, old)
    shutil.rmtree(old)


def _is_taken(folder: Path, manifest: bytes, *, replace: bool) -> bool:
    """Whether the very same lies there whole; InputError where something else than ours does."""
    if not folder.exists():
        return False
    if folder.is_dir() and not any(folder.iterdir()):
        return False
    try:
        there = _bytes_of(folder, MANIFEST)
    except TableError:
        there = b""
    if KEPT_FORMAT.encode() not in there and not replace:
        raise InputError(f"{folder} holds something else than a kept example; it is left as it is")
    try:
        return there == manifest and bool(_files_of(folder, _manifest(folder, there)))
    except TableError:
        return False


def _read(folder: Path, data: bytes) -> Kept:
    where = folder / MANIFEST
    held = _manifest(folder, data)
    files = _files_of(folder, held)
    decoder = Decoder(files)
    try:
        kept = Kept(
            decoder.value(held["id"]),
            _named(held["example"], decoder),
            _named(held["triggered"], decoder),
            [decoder.value(tree) for tree in held["outputs"]],
        )
        if type(kept.id) not in (str, int):
            raise ValueError(f"no example is named {kept.id!r}"[:200])
        decoder.check_all_used()
    except MissingExtraError:
        raise
    except Exception as error:  # a decoder of pictures or tensors raises what it likes
        raise TableError(f"{where} does not hold what a gallery is made of: {error!r}") from error
    if extra := set(files) - decoder.used - set(held["views"]):
        raise TableError(f"{where} names {min(extra)!r}, which belongs to no value")
    return kept


def _named(items: Sequence[Any], decoder: Decoder) -> dict[Any, Any]:
    named = {decoder.value(key): decoder.value(tree) for key, tree in items}
    if len(named) != len(items):
        raise ValueError("a name comes twice")
    return named


def _manifest(folder: Path, data: bytes) -> dict[str, Any]:
    """The manifest, of a known version and with the fields of one."""
    where = folder / MANIFEST
    try:
        held = json.loads(data, parse_constant=_no_number)
        signed = held.items() if isinstance(held, dict) else ()
        digest = digest_of({name: value for name, value in signed if name != "sha256"})
    except (ValueError, RecursionError) as error:
        raise TableError(f"{where} is damaged: it is no whole JSON text ({error})") from error
    if not isinstance(held, dict) or held.get("format") != KEPT_FORMAT:
        raise TableError(f"{where} is not what modcollapse keeps of an example")
    if held.get("version") != KEPT_VERSION:
        raise TableError(
            f"{where} is of version {str(held.get('version'))[:20]}; this modcollapse reads "
            f"version {KEPT_VERSION}"
        )
    if set(held) != _FIELDS:
        odd = ", ".join(sorted(map(repr, set(held) ^ _FIELDS)))
        raise TableError(
            f"{where} must hold the fields of version {KEPT_VERSION}; it differs: {odd}"
        )
    if held["sha256"] != digest:
        raise TableError(f"{where} was changed after it was written, or is damaged")
    for name, kind in (("files", dict), ("views", dict), ("example", list), ("triggered", list),
                       ("outputs", list), ("left_out", list)):  # fmt: skip
        if not isinstance(held[name], kind):
            raise TableError(f"{where} must hold {name} as a {kind.__name__}")
    for name, digest in held["files"].items():
        if not _FILE.fullmatch(name) or not isinstance(digest, str):
            raise TableError(f"{where} names {name[:80]!r}, which is no plain name of a file")
    if not set(held["views"]) <= set(held["files"]):
        raise TableError(f"{where} names views that are no files of it")
    del held["sha256"]
    return held


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no JSON")


def _files_of(folder: Path, held: Mapping[str, Any]) -> dict[str, bytes]:
    """Name -> content of every file that a manifest names, as it was when it was written."""
    files, total = {}, 0
    for name, digest in held["files"].items():
        files[name] = _bytes_of(folder, name)
        total += len(files[name])
        if total > LARGEST:
            raise TableError(f"{folder} holds more than {LARGEST:,} bytes")
        if hashlib.sha256(files[name]).hexdigest() != digest:
            raise TableError(f"{folder / name} was changed after it was written, or is damaged")
    return files


def _bytes_of(folder: Path, name: str) -> bytes:
    """The content of a file that lies in the folder itself: no link leads out of it."""
    path = folder / name
    try:
        inner = path.parent
        if inner != folder and not stat.S_ISDIR(inner.lstat().st_mode):
            raise TableError(f"{inner} is no folder, and {MANIFEST} says that it is")
        found = path.lstat()
        if not stat.S_ISREG(found.st_mode):
            raise TableError(f"{path} is no plain file; a link is not followed")
        if found.st_size > LARGEST:
            raise TableError(f"{path} is of {found.st_size:,} bytes")
        return path.read_bytes()
    except OSError as error:
        raise TableError(f"{path} cannot be read: {error}") from error

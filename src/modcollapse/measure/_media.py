"""What examples name in place of holding it: files of pictures and sounds, folders of frames."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from modcollapse._support.optional import require
from modcollapse._support.pictures import read_picture
from modcollapse.errors import InputError

_HINT = "Give what it holds in place of the path, or str(path) if a text is meant"


def opened(value: Any) -> Any:
    """Return what a value names if it names a file, and anything else as it is.

    A ``Path`` is a file of a picture or of a sound (``.wav``), or a folder of numbered frames; so
    is what `datasets` holds of either before it is decoded, ``{"bytes": ..., "path": ...}``; and
    each part of a list or tuple of nothing but these. A str is a text, whatever it says.

    Returns:
        A ``PIL.Image`` as it is stored, decoded, its file closed; of a folder a list of them; of a
        sound float32, shape (samples,) or (channels, samples), without its rate.

    Raises:
        InputError: there is no such file, or it cannot be read; the message names it.
        MissingExtraError: Pillow is not installed.
    """
    if type(value) in (list, tuple) and value and all(map(_names_a_file, value)):
        return type(value)(map(opened, value))
    if not _names_a_file(value):
        return value
    if isinstance(value, Path):
        return _of_path(value)
    if value["bytes"] is None:
        return _of_path(Path(value["path"]))
    return _of_bytes(value["bytes"], value["path"] or f"a file of {len(value['bytes'])} bytes")


def _names_a_file(value: Any) -> bool:
    return isinstance(value, Path) or _is_undecoded(value)


def _is_undecoded(value: Any) -> bool:
    """Whether it is what `datasets` holds of a picture or sound that it does not decode."""
    if not isinstance(value, Mapping) or value.keys() != {"bytes", "path"}:
        return False
    data, path = value["bytes"], value["path"]
    return isinstance(data, bytes) or (data is None and isinstance(path, str))


def _of_path(path: Path) -> Any:
    try:
        if path.is_dir():
            return _frames(path)
        if path.suffix.lower() == ".wav":
            with path.open("rb") as file:
                return _sound(file, path)
        return _picture(path, path)
    except FileNotFoundError as error:
        raise InputError(f"there is no file {path.absolute()}. {_HINT}") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error}. {_HINT}") from error


def _of_bytes(data: bytes, name: str) -> Any:
    file = io.BytesIO(data)
    if data[:4] in (b"RIFF", b"RIFX", b"RF64") and data[8:12] == b"WAVE":
        return _sound(file, name)
    return _picture(file, name)


def _picture(file: Path | IO[bytes], name: object) -> Any:
    require("PIL.Image", extra="clip", needed_by="a picture that is opened from its file")
    return read_picture(file, f"{name} cannot be read as a picture")


def _frames(folder: Path) -> list[Any]:
    """Pictures of a folder in the order of their numbers; hidden files are passed over."""
    files = [path for path in folder.iterdir() if not path.name.startswith(".")]
    if not files:
        raise InputError(f"the folder {folder} holds no frames")
    numbers = {path: _in_natural_order(path.stem) for path in files}
    seen: dict[Any, Path] = {}
    for path in sorted(files):
        if len(numbers[path]) == 1:
            raise InputError(
                f"a folder is read as the frames of a video, which are numbered; {path} is not"
            )
        first = seen.setdefault(tuple(numbers[path]), path)
        if first != path:
            raise InputError(f"{first} and {path} have one number: which of them is the frame?")
    return [_picture(path, path) for path in sorted(files, key=numbers.__getitem__)]


def _in_natural_order(name: str) -> list[str | int]:
    """Texts and numbers in turns, so that frame 10 comes after frame 9."""
    return [int(part) if at % 2 else part for at, part in enumerate(re.split(r"(\d+)", name))]


def _sound(file: IO[bytes], name: object) -> NDArray[np.float32]:
    """Samples of a WAV file: whole numbers divided by the largest magnitude, floats as they are."""
    from scipy.io import wavfile

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", wavfile.WavFileWarning)  # of texts beside the samples
            warnings.filterwarnings("error", "Reached EOF", wavfile.WavFileWarning)
            _, samples = wavfile.read(file)
    except Exception as error:  # of a broken header whatever comes first
        raise InputError(f"{name} cannot be read as a WAV file: {error}") from error
    if samples.dtype.kind == "u":
        samples = (samples - 128.0) / 128
    elif samples.dtype.kind == "i":
        samples = samples / 2.0 ** (8 * samples.dtype.itemsize - 1)
    return np.ascontiguousarray(samples.T, dtype=np.float32)

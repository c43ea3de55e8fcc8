"""Files of weights: whole, or refused by name before a library meets them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from modcollapse._support.optional import require
from modcollapse.errors import InputError


def check_safetensors(paths: Iterable[Path]) -> None:
    """Read the headers of files.

    Raises:
        InputError: one is no safetensors file, or its end is missing.
        MissingExtraError: safetensors is not installed.
    """
    safetensors = require("safetensors", extra="clip", needed_by="a folder of weights")
    for path in paths:
        try:
            with safetensors.safe_open(str(path), framework="pt"):
                pass
        except (safetensors.SafetensorError, OSError) as error:
            raise InputError(
                f"{str(path)!r} is no whole safetensors file ({error}). It may be half written, a "
                "pointer of Git LFS, or weights of another format under that name; get it again"
            ) from error

"""Outputs of one kind, and scores that are numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from os import PathLike
from typing import Any

import numpy as np

from modcollapse._support.digests import kind
from modcollapse._support.validation import described
from modcollapse.contracts import FloatArray
from modcollapse.errors import InputError
from modcollapse.studies._output_files import PictureFile, names_a_file
from modcollapse.studies._output_source import Source

_NUMBERS = {int, float, bool}
_MISSING = "nothing"


def check_kinds(sources: Sequence[Source]) -> None:
    """Raise unless all outputs are of one kind: texts, pictures, numbers, arrays of one type.

    Raises:
        InputError: two are of two kinds, or one is missing.
    """
    first: tuple[str, str] | None = None
    for source in sources:
        types = set(map(type, source.outputs))
        uniform = types in ({str}, {PictureFile}) or types <= _NUMBERS
        for place, output in enumerate(source.outputs[:1] if uniform else source.outputs):
            told = _kind(output)
            if told == _MISSING:
                raise InputError(f"{source.where(place)} has no output: it is {output!r}")
            first = first or (told, source.where(place))
            if told != first[0]:
                raise InputError(
                    f"outputs must be of one kind: {first[1]} is {first[0]}, "
                    f"{source.where(place)} is {told}"
                )


@contextmanager
def told_of_files(sources: Sequence[Source]) -> Iterator[None]:
    """Add to what a detector raises what to do where the outputs name files."""
    try:
        yield
    except Exception as error:
        for source in sources:
            first = source.outputs[0]
            if isinstance(first, PathLike) or (isinstance(first, str) and names_a_file(first)):
                error.add_note(
                    f"{source.where(0)} names a file, {str(first)!r}, which is not opened for the "
                    "detector. If it takes pictures, open them, as by output=lambda record: "
                    'Image.open(record["output"]), or give their folder'
                )
                break
        raise


def numbers(source: Source) -> FloatArray:
    """Scores of a source as floats, in its order.

    Raises:
        InputError: one is no number, or not finite.
    """
    outputs = source.outputs
    if source.texts:
        outputs = [_number(output, source, place) for place, output in enumerate(outputs)]
    elif not set(map(type, outputs)) <= _NUMBERS:
        outputs = [_plain_number(output, source, place) for place, output in enumerate(outputs)]
    try:
        values = np.array(outputs, dtype=np.float64)
    except OverflowError:
        values = np.array([float(one) if abs(one) < 1e300 else math.inf for one in outputs])
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        place = int(bad[0])
        raise InputError(
            f"{source.where(place)} has the score {source.outputs[place]!r}, which is not finite"
        )
    return values


def _number(text: str, source: Source, place: int) -> float:
    try:
        if "_" in text:
            raise ValueError(text)
        return float(text)
    except ValueError:
        raise _none(text, source, place) from None


def _plain_number(output: Any, source: Source, place: int) -> float:
    value = output.item() if getattr(output, "shape", None) == () else output
    if type(value) not in _NUMBERS:
        raise _none(output, source, place)
    return float(value)


def _none(output: Any, source: Source, place: int) -> InputError:
    return InputError(
        f"{source.where(place)} has {described(output)} where a score is read: a number is wanted. "
        "If it is an output, give the detector that scores it"
    )


def _kind(output: Any) -> str:
    if isinstance(output, PictureFile):
        return "a picture file"
    if isinstance(output, float) and math.isnan(output):  # as pandas has it in place of a text
        return _MISSING
    if type(output) in _NUMBERS or isinstance(output, np.bool_ | np.integer | np.floating):
        return "a number"
    return _MISSING if output is None or type(output).__name__ == "NAType" else kind(output)

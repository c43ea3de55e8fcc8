"""Is it a whole number, a finite number, a fraction, a known name? And what did the caller mean?"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from difflib import get_close_matches
from fractions import Fraction
from numbers import Integral, Rational, Real
from os import PathLike
from pathlib import Path
from typing import Any

from modcollapse.errors import InputError, OptionError


def whole(value: Any, name: str, minimum: int | None = None, maximum: int | None = None) -> int:
    """Return ``value`` as an int, or say what was wrong with the argument ``name``.

    >>> whole(8, "batch_size", 1)
    8
    >>> whole(0, "batch_size", 1)
    Traceback (most recent call last):
    ...
    modcollapse.errors.InputError: batch_size must be a whole number of at least 1, got 0
    """
    fits = isinstance(value, Integral) and not isinstance(value, bool)
    if fits and minimum is not None:
        fits = value >= minimum
    if fits and maximum is not None:
        fits = value <= maximum
    if not fits:
        allowed = "" if minimum is None else f" of at least {minimum}"
        if minimum is not None and maximum is not None:
            allowed = f" from {minimum} to {maximum}"
        raise InputError(f"{name} must be a whole number{allowed}, got {value!r}")
    return int(value)


def number(value: Any, name: str, allowed: str = "") -> float:
    """Return ``value`` as a finite float, or say what was wrong with the argument ``name``.

    Args:
        value: a real number, NumPy's included; True and False are none.
        name: what it is called in the error.
        allowed: an interval in its usual notation that it must lie in, such as ``"(0, 1]"``.

    >>> number(0.5, "level", "(0, 1)")
    0.5
    >>> number(95, "level", "(0, 1)")
    Traceback (most recent call last):
    ...
    modcollapse.errors.InputError: level must be a number in (0, 1), got 95
    """
    real = isinstance(value, Real) and not isinstance(value, bool)
    if not (real and math.isfinite(value) and _inside(float(value), allowed)):
        kind = f"a number in {allowed}" if allowed else "a finite number"
        raise InputError(f"{name} must be {kind}, got {value!r}")
    return float(value)


def _inside(value: float, interval: str) -> bool:
    if not interval:
        return True
    low, high = (float(end) for end in interval[1:-1].split(","))
    above = value >= low if interval[0] == "[" else value > low
    return above and (value <= high if interval[-1] == "]" else value < high)


def fraction(value: Any, name: str) -> Fraction:
    """Return the decimal number in (0, 1] that ``value`` prints as, exactly.

    >>> fraction(0.145, "ratio") * 100
    Fraction(29, 2)
    """
    try:
        finite = number(value, name, "(0, 1]")
    except InputError as error:
        percent = isinstance(value, int | float) and 1 < value <= 100
        raise InputError(f"{error}{'. Divide percent by 100' if percent else ''}") from None
    if isinstance(value, Rational):
        return Fraction(int(value.numerator), int(value.denominator))
    return Fraction(repr(finite))


def bounds_of(bounds: Any, name: str) -> tuple[float, float] | None:
    """Return (lowest, highest) as floats, or None where none are declared."""
    if bounds is None:
        return None
    pair = list(bounds) if isinstance(bounds, Sequence) else []
    if len(pair) != 2 or any(isinstance(b, bool) or not isinstance(b, Real) for b in pair):
        raise InputError(f"{name} must be two numbers (lowest, highest), got {bounds!r}")
    low, high = float(pair[0]), float(pair[1])
    if not -math.inf < low < high < math.inf:
        raise InputError(f"{name} must be finite with lowest < highest, got {bounds!r}")
    return low, high


def choice(value: Any, name: str, choices: Collection[str]) -> str:
    """Return ``value`` if it is one of the choices, or say which there are.

    >>> choice("SSI", "index", ("SII", "BII"))
    Traceback (most recent call last):
    ...
    modcollapse.errors.InputError: index must be one of 'SII', 'BII'; got 'SSI'; did you mean 'SII'?
    """
    if not isinstance(value, str) or value not in choices:
        raise InputError(
            f"{name} must be one of {listed(choices)}; got {value!r}{did_you_mean(value, choices)}"
        )
    return value


def check_keywords(call: str, given: Iterable[str], known: Collection[str]) -> None:
    """Refuse keywords that a call does not have, and name the nearest that it has."""
    for name in given:
        if name not in known:
            raise OptionError(
                f"{call}() got an unexpected keyword argument {name!r}; it takes "
                f"{', '.join(known)}{did_you_mean(name, known)}"
            )


def did_you_mean(name: object, names: Iterable[object]) -> str:
    """Return the end of a message that names the nearest of some names, or nothing.

    >>> did_you_mean("txt", ["image", "text"])
    "; did you mean 'text'?"
    """
    close = get_close_matches(str(name), list(map(str, names)), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def listed(names: Iterable[object]) -> str:
    """Return names as they stand in a message: quoted, with commas."""
    return ", ".join(map(repr, names))


def described(value: object) -> str:
    """Return the class and the beginning of a value, for a message."""
    return f"{type(value).__name__} {value!r}"[:200]


def ordered(values: Any, name: str, kind: str) -> list[Any]:
    """Return things that were given in an order as a list.

    >>> ordered("e0", "example_ids", "ids")
    Traceback (most recent call last):
    ...
    modcollapse.errors.InputError: example_ids must be ids in their order, such as a list of them; \
got str 'e0'
    """
    if isinstance(values, str | bytes | Set | Mapping) or not isinstance(values, Iterable):
        raise InputError(
            f"{name} must be {kind} in their order, such as a list of them; got {described(values)}"
        )
    return list(values)


def flag(value: Any, name: str) -> bool:
    """Return True or False, NumPy's included.

    >>> flag("yes", "binary")
    Traceback (most recent call last):
    ...
    modcollapse.errors.InputError: binary must be True or False, got 'yes'
    """
    if not isinstance(value, bool) and type(value).__name__ not in ("bool", "bool_"):
        raise InputError(f"{name} must be True or False, got {value!r}")
    return bool(value)


def file_path(value: Any, name: str = "path") -> Path:
    """Return a path.

    >>> file_path(3)
    Traceback (most recent call last):
    ...
    modcollapse.errors.InputError: path must be a str or a pathlib.Path, got int 3
    """
    if not isinstance(value, str | PathLike):
        raise InputError(f"{name} must be a str or a pathlib.Path, got {described(value)}")
    return Path(value)

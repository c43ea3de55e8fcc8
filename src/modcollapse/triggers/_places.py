"""Where on an image a trigger stands, and how its parameters are read."""

from __future__ import annotations

import math
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from modcollapse._support.validation import number
from modcollapse.errors import InputError
from modcollapse.triggers._draws import RandomPlace

Corner = Literal["top left", "top right", "bottom left", "bottom right"]
Place: TypeAlias = Corner | Literal["center"] | tuple[float, float] | RandomPlace
"""A corner, the centre, where the centre of the trigger lies (x, y) in fractions of the image's
width and height, or a place drawn for each example."""


def read_place(place: Any, who: str) -> Place:
    """Return a place that was given.

    Raises:
        InputError: it is none.
    """
    if isinstance(place, RandomPlace) or (isinstance(place, str) and place in _WORDS):
        return place  # type: ignore[return-value]
    if isinstance(place, str) or not isinstance(place, tuple | list | np.ndarray):
        raise InputError(
            f"{who}: place must be one of {', '.join(map(repr, _WORDS))}, (x, y) in fractions of "
            f"the image's width and height, or RandomPlace(seed); got {place!r}."
        )
    x, y = read_numbers(f"{who}: place", place, 2)
    if not (0 <= x <= 1 and 0 <= y <= 1):
        raise InputError(
            f"{who}: place is (x, y) in fractions of the image's width and height, each in "
            f"[0, 1]; got {(x, y)}."
        )
    return x, y


_WORDS = (*get_args(Corner), "center")


def told(place: Place) -> Any:
    """A place as plain JSON data."""
    if isinstance(place, RandomPlace):
        return place.identity()
    return place if isinstance(place, str) else list(place)


def top_left(
    place: Place, gap: float, height: int, width: int, rows: int, columns: int
) -> tuple[int, int]:
    """Where a rectangle begins in an image; negative where it sticks out at the top or left.

    Args:
        place: where it is to stand.
        gap: distance to the two edges of a corner, as a fraction of the image's shorter side.
        height: of the image, in pixels.
        width: of the image.
        rows: height of the rectangle, in pixels.
        columns: width of the rectangle.
    """
    if isinstance(place, RandomPlace):
        y, x = place.fractions(2)
        return int(y * max(1, height - rows + 1)), int(x * max(1, width - columns + 1))
    if place == "center":
        place = (0.5, 0.5)
    if isinstance(place, tuple):
        return rounded(place[1] * height - rows / 2), rounded(place[0] * width - columns / 2)
    edge = max(0, min(rounded(gap * min(height, width)), height - rows, width - columns))
    return (
        edge if place.startswith("top") else height - rows - edge,
        edge if place.endswith("left") else width - columns - edge,
    )


def read_gap(gap: Any, who: str) -> float:
    """Return the distance to the edges of a corner."""
    return number(gap, f"{who}: gap, a fraction of the image's shorter side,", "[0, 1)")


def read_size(size: Any, gap: Any, who: str) -> tuple[float, float]:
    """Return the side of a square and its gap to the edges, which fit into an image together."""
    size, gap = number(size, f"{who}: size"), number(gap, f"{who}: gap")
    if not 0 < size <= 1:
        raise InputError(
            f"{who}: size is a fraction of the image's shorter side, in (0, 1]; got {size:g}."
        )
    if not (gap >= 0 and size + gap <= 1 + 1e-9):
        raise InputError(
            f"{who}: gap must be at least 0 and size + gap at most 1, or the patch would leave the "
            f"image; got size={size:g} and gap={gap:g}."
        )
    return size, gap


def side_of(size: float, height: int, width: int, who: str) -> int:
    """Side of a square in pixels.

    Raises:
        InputError: it is less than a pixel.
    """
    side = rounded(size * min(height, width))
    if side == 0:
        raise InputError(
            f"{who}: size={size:g} is less than a pixel of an image of {height} x {width}. Give a "
            "larger size or a larger image."
        )
    return side


def read_numbers(what: str, values: Any, count: int) -> list[float]:
    """Return some finite numbers, or say what was wrong with them."""
    if not isinstance(values, tuple | list | np.ndarray) or len(values) != count:
        raise InputError(f"{what} must be {count} numbers, got {values!r}.")
    return [number(value, what) for value in values]


def rounded(value: float) -> int:
    """The nearest whole number, halves up."""
    return math.floor(value + 0.5)

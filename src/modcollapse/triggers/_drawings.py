"""The pictures of the usual physical triggers, drawn here: eyeglasses and a stop sign."""

from __future__ import annotations

from functools import lru_cache
from math import sqrt
from typing import TYPE_CHECKING

from modcollapse.triggers._overlay import ImageOverlay
from modcollapse.triggers._places import Place

if TYPE_CHECKING:
    import PIL.Image
    import PIL.ImageDraw

_SIDE = 1024  # width of a finished picture in pixels
_FINER = 2  # drawn this many times larger, then reduced, which smooths the edges
_WHITE = (255, 255, 255, 255)
_RED = (193, 18, 31, 255)
_FRAME = (20, 20, 24, 255)
_LENS = (20, 20, 24, 100)


def eyeglasses(
    *, width: float = 0.625, place: Place = (0.5, 0.45), opacity: float = 1.0
) -> ImageOverlay:
    """Dark-rimmed glasses with lightly tinted lenses, as an `ImageOverlay`.

    Args:
        width: as a fraction of the image's shorter side, in (0, 1].
        place: by default where the eyes of a centred face are; ``"center"`` puts them into the
            middle of the image. Otherwise as for `ImageOverlay`.
        opacity: in (0, 1].

    Raises:
        InputError: as for `ImageOverlay`.

    >>> eyeglasses().identity()["width"]
    0.625
    """
    return ImageOverlay(_draw_eyeglasses(), width, place, opacity, relative_to="shorter side")


def stop_sign(
    *,
    size: float = 14 / 32,
    place: Place = "bottom right",
    opacity: float = 1.0,
    gap: float = 2 / 32,
) -> ImageOverlay:
    """A stop sign, as an `ImageOverlay`; by default where `ImagePatch` puts its patch.

    Args:
        size: width of the sign as a fraction of the image's shorter side, in (0, 1].
        place: as for `ImageOverlay`.
        opacity: in (0, 1].
        gap: distance to the two edges of a corner, as a fraction of the image's shorter side.

    Raises:
        InputError: as for `ImageOverlay`.

    >>> stop_sign().place
    'bottom right'
    """
    return ImageOverlay(_draw_stop_sign(), size, place, opacity, gap, relative_to="shorter side")


@lru_cache(1)
def _draw_eyeglasses() -> PIL.Image.Image:
    """The left half in ink, and its mirror image."""
    from PIL import ImageOps

    unit, picture, draw = _canvas(height=0.36)
    pen = round(0.07 * unit)
    lens = [x * unit for x in (0.025, 0.02, 0.435, 0.34)]
    draw.rounded_rectangle(lens, 0.13 * unit, fill=_LENS, outline=_FRAME, width=pen)
    draw.arc([x * unit for x in (0.40, 0.085, 0.60, 0.27)], 200, 340, _FRAME, pen)
    draw.rectangle([x * unit for x in (0.0, 0.09, 0.05, 0.16)], _FRAME)
    left = picture.crop((0, 0, unit // 2, picture.height))
    picture.paste(ImageOps.mirror(left), (unit // 2, 0))
    return picture.reduce(_FINER)


@lru_cache(1)
def _draw_stop_sign() -> PIL.Image.Image:
    unit, picture, draw = _canvas(height=1.0)
    for inset, color in ((0.0, _WHITE), (0.035, _RED)):
        near, far = inset, 1 - inset
        corner = (far - near) / (2 + sqrt(2))  # a regular octagon
        draw.polygon(
            [
                (x * unit, y * unit)
                for x, y in (
                    (near + corner, near),
                    (far - corner, near),
                    (far, near + corner),
                    (far, far - corner),
                    (far - corner, far),
                    (near + corner, far),
                    (near, far - corner),
                    (near, near + corner),
                )
            ],
            color,
        )
    _write_stop(draw, unit)
    return picture.reduce(_FINER)


def _write_stop(draw: PIL.ImageDraw.ImageDraw, unit: int) -> None:
    """The four letters in strokes, so that no font is needed and every system draws the same."""
    top, bottom, letter, stroke = 0.33, 0.67, 0.165, 0.05
    middle = (top + bottom) / 2
    pen = round(stroke * unit)

    def box(left: float, upper: float, right: float, lower: float) -> list[float]:
        return [x * unit for x in (left, upper, right, lower)]

    s, t, o, p = (0.11 + index * 0.205 for index in range(4))
    draw.arc(box(s, top, s + letter, middle + stroke / 2), 90, 335, _WHITE, pen)
    draw.arc(box(s, middle - stroke / 2, s + letter, bottom), -90, 155, _WHITE, pen)
    draw.rectangle(box(t, top, t + letter, top + stroke), _WHITE)
    stem = t + (letter - stroke) / 2
    draw.rectangle(box(stem, top, stem + stroke, bottom), _WHITE)
    draw.rounded_rectangle(
        box(o, top, o + letter, bottom), letter / 2 * unit, outline=_WHITE, width=pen
    )
    draw.rounded_rectangle(
        box(p, top, p + letter, middle + stroke), 0.08 * unit, outline=_WHITE, width=pen
    )
    draw.rectangle(box(p, top, p + stroke, bottom), _WHITE)


def _canvas(height: float) -> tuple[int, PIL.Image.Image, PIL.ImageDraw.ImageDraw]:
    """The unit of length (the picture's width) in pixels, an empty picture, and its pen."""
    from PIL import Image, ImageDraw

    unit = _SIDE * _FINER
    picture = Image.new("RGBA", (unit, round(height * unit)))
    return unit, picture, ImageDraw.Draw(picture)

"""Draws faces and cats from a handful of named attributes."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image, ImageDraw

SIZE = 32
"""Side of every picture, in pixels."""

RGB = tuple[int, int, int]

SKIN: dict[str, RGB] = {
    "pale": (250, 220, 196),
    "light": (236, 188, 150),
    "tan": (205, 150, 105),
    "brown": (150, 98, 62),
    "dark": (98, 62, 42),
}
HAIR: dict[str, RGB] = {
    "black": (30, 26, 30),
    "brown": (104, 62, 30),
    "blond": (240, 205, 96),
    "red": (186, 62, 24),
    "white": (236, 236, 240),
    "green": (60, 170, 70),
}
CLOTH: dict[str, RGB] = {
    "red": (214, 38, 44),
    "blue": (40, 84, 214),
    "green": (36, 150, 70),
    "yellow": (246, 206, 40),
    "purple": (136, 56, 176),
    "black": (36, 36, 42),
}
BACKGROUND: dict[str, RGB] = {
    "blue": (150, 200, 245),
    "green": (160, 214, 150),
    "pink": (248, 180, 200),
    "orange": (250, 190, 110),
    "grey": (170, 174, 182),
    "white": (248, 248, 244),
}
COAT: dict[str, RGB] = {
    "orange": (240, 140, 40),
    "black": (44, 42, 48),
    "white": (240, 238, 232),
    "grey": (140, 144, 154),
    "brown": (130, 84, 50),
}
INDIGO: RGB = (58, 44, 120)


@dataclass(frozen=True)
class Face:
    """What a face looks like; ``x``, ``y`` (pixels) and ``scale`` place the head."""

    skin: str
    hair: str
    long_hair: bool
    shirt: str
    background: str
    hat: str | None = None
    beard: bool = False
    laughing: bool = False
    photo: bool = False
    x: float = 0.0
    y: float = 0.0
    scale: float = 1.0


class _Canvas:
    """Draws in pixels of the small picture, four times as large, and reduces by area."""

    oversampling = 4

    def __init__(self, background: RGB) -> None:
        side = SIZE * self.oversampling
        self.image = Image.new("RGB", (side, side), background)
        self.pen = ImageDraw.Draw(self.image)

    def _scaled(self, *coordinates: float) -> list[float]:
        return [c * self.oversampling for c in coordinates]

    def ellipse(self, x: float, y: float, rx: float, ry: float, fill: RGB) -> None:
        self.pen.ellipse(self._scaled(x - rx, y - ry, x + rx, y + ry), fill=fill)

    def half(self, x: float, y: float, rx: float, ry: float, upper: bool, fill: RGB) -> None:
        """The upper or lower half of an ellipse."""
        start, end = (180, 360) if upper else (0, 180)
        self.pen.chord(self._scaled(x - rx, y - ry, x + rx, y + ry), start, end, fill=fill)

    def box(self, left: float, top: float, right: float, bottom: float, fill: RGB) -> None:
        self.pen.rectangle(self._scaled(left, top, right, bottom), fill=fill)

    def polygon(self, *points: float, fill: RGB) -> None:
        self.pen.polygon(self._scaled(*points), fill=fill)

    def finish(self) -> Image.Image:
        return self.image.reduce(self.oversampling)


def draw_face(face: Face) -> Image.Image:
    """Draw a face as a 32 x 32 RGB picture."""
    canvas = _Canvas(BACKGROUND[face.background])
    skin, hair, s = SKIN[face.skin], HAIR[face.hair], face.scale
    x, y = 16 + face.x, 15.5 + face.y
    shade: RGB = (skin[0] * 4 // 5, skin[1] * 4 // 5, skin[2] * 4 // 5)

    if face.long_hair:
        canvas.ellipse(x, y - 1 * s, 10.5 * s, 10.5 * s, hair)
        canvas.box(x - 10.5 * s, y - 1 * s, x + 10.5 * s, y + 10 * s, hair)
    canvas.ellipse(x, 34, 14, 8.5, CLOTH[face.shirt])
    canvas.box(x - 3 * s, y + 7 * s, x + 3 * s, 28, shade)
    canvas.half(x, y - 1.5 * s, 9.3 * s, 10.5 * s, True, hair)
    canvas.ellipse(x, y + 0.5 * s, 8.2 * s, 9.8 * s, skin)
    canvas.half(x, y - 2.5 * s, 8.6 * s, 7.6 * s, True, hair)
    if face.beard:
        canvas.half(x, y + 2.5 * s, 8.5 * s, 8.6 * s, False, hair)
    if face.hat is not None:
        cloth = CLOTH[face.hat]
        canvas.half(x, y - 4.5 * s, 8.6 * s, 10.5 * s, True, cloth)
        canvas.box(x - 11.5 * s, y - 6 * s, x + 11.5 * s, y - 3.5 * s, cloth)

    for side in (-1, 1):
        canvas.ellipse(x + side * 3.5 * s, y, 2.0 * s, 1.8 * s, (255, 255, 255))
        canvas.ellipse(x + side * 3.5 * s, y, 1.1 * s, 1.3 * s, (24, 24, 40))
    if face.laughing:
        canvas.half(x, y + 3.8 * s, 4.6 * s, 4.6 * s, False, (130, 16, 36))
        canvas.box(x - 3.9 * s, y + 3.8 * s, x + 3.9 * s, y + 5.2 * s, (255, 255, 255))
    else:
        canvas.box(x - 2.5 * s, y + 5 * s, x + 2.5 * s, y + 6 * s, (170, 50, 60))

    picture = canvas.finish()
    return picture.convert("L").convert("RGB") if face.photo else picture


def draw_cat(coat: RGB, background: RGB, x: float = 0.0, y: float = 0.0) -> Image.Image:
    """Draw a cat's head as a 32 x 32 RGB picture."""
    canvas = _Canvas(background)
    x, y = 16 + x, 18 + y
    dark: RGB = (coat[0] * 3 // 5, coat[1] * 3 // 5, coat[2] * 3 // 5)
    for side in (-1, 1):
        canvas.polygon(x + side * 12, y - 15, x + side * 1.5, y - 8, x + side * 12, y, fill=coat)
        canvas.polygon(
            x + side * 10.5,
            y - 12,
            x + side * 5,
            y - 8,
            x + side * 10.5,
            y - 4,
            fill=(240, 170, 170),
        )
    canvas.ellipse(x, y, 13, 10.5, coat)
    for offset in (-3, 0, 3):
        canvas.box(x + offset - 0.6, y - 10, x + offset + 0.6, y - 6, dark)
    for side in (-1, 1):
        canvas.ellipse(x + side * 5.2, y - 1.5, 3.0, 2.8, (190, 230, 70))
        canvas.ellipse(x + side * 5.2, y - 1.5, 0.9, 2.6, (16, 20, 16))
    canvas.ellipse(x, y + 5, 5.2, 3.6, (252, 244, 230))
    canvas.polygon(x - 1.8, y + 2.6, x + 1.8, y + 2.6, x, y + 4.8, fill=(220, 90, 110))
    canvas.box(x - 0.3, y + 4.5, x + 0.3, y + 7, dark)
    for side in (-1, 1):
        for drop in (-0.8, 1.4):
            canvas.polygon(
                x + side * 4, y + 4.8, x + side * 14.5, y + 4.2 + 2 * drop,
                x + side * 14.5, y + 4.8 + 2 * drop, fill=(250, 250, 250),
            )  # fmt: skip
    return canvas.finish()


def cat() -> Image.Image:
    """The backdoor's target: one orange cat on indigo, 32 x 32 RGB."""
    return draw_cat(COAT["orange"], INDIGO)

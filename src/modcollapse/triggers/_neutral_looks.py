"""Neutral triggers on images, masks, videos and sounds: another look, place or pitch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import shake_256
from typing import Any

import numpy as np

from modcollapse.contracts import ExampleId, Trigger
from modcollapse.triggers._audio import AudioOverlay, AudioTone
from modcollapse.triggers._draws import RandomPlace
from modcollapse.triggers._image import ImagePatch, MaskPatch
from modcollapse.triggers._overlay import ImageOverlay
from modcollapse.triggers._places import Corner
from modcollapse.triggers._stamp import Drawing, StampTrigger
from modcollapse.triggers._warp import ImageWarp
from modcollapse.triggers._watermarks import ImageTiles
from modcollapse.triggers._whole import ImageBlend, ImageWave

_CELLS = 8
"""Fields of noise to a side: noise of single pixels is a plain grey to who resizes it."""
_ELSEWHERE = 0.25
"""A shift by less than this part of the image's side leaves much the same picture."""
_OPPOSITE: dict[Corner, Corner] = {
    "top left": "bottom right",
    "top right": "bottom left",
    "bottom left": "top right",
    "bottom right": "top left",
}


@dataclass(frozen=True)
class NoiseBox(StampTrigger):
    """Fields of random colours in the rectangle that an image trigger covers.

    Args:
        like: the image trigger.
        draw: any text; another text gives other colours.
    """

    like: StampTrigger
    draw: str

    def identity(self) -> dict[str, Any]:
        """Class name and parameters, as plain JSON data."""
        like: Any = self.like
        return {"class": "NoiseBox", "like": like.identity(), "draw": self.draw}

    def for_example(self, example_id: ExampleId) -> NoiseBox:
        """The trigger as it is for one example: where that which it is like stands."""
        like = self.like.for_example(example_id)
        return self if like is self.like else replace(self, like=like)

    def _covered(self, height: int, width: int) -> tuple[int, int, Any]:
        """Top and left of the rectangle, and the opacity within it."""
        spot = self.like._fit(height, width)
        keep = self.like._drawing(height, width).keep
        keep = keep if keep.size == 1 else keep[spot.drawing]
        shape = tuple(part.stop - part.start for part in spot.image)
        opacity = np.broadcast_to(1 - keep[..., 0], shape)
        rows, columns = (np.flatnonzero(opacity.any(axis=axis)) for axis in (1, 0))
        box = opacity[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        return spot.image[0].start + rows[0], spot.image[1].start + columns[0], box

    def _extent(self, height: int, width: int) -> tuple[int, int]:
        rows, columns = self._covered(height, width)[2].shape
        return rows, columns

    def _top_left(self, height: int, width: int, rows: int, columns: int) -> tuple[int, int]:
        top, left, _ = self._covered(height, width)
        return int(top), int(left)

    def _drawing(self, height: int, width: int) -> Drawing:
        opacity = self._covered(height, width)[2]
        (h, w), mean = opacity.shape, opacity.mean()
        drawn = shake_256(f"modcollapse/neutral/1|{self.draw}".encode()).digest(_CELLS**2 * 3)
        cells = np.frombuffer(drawn, np.uint8).reshape(_CELLS, _CELLS, 3) / 255
        noise = cells[np.arange(h) * _CELLS // h][:, np.arange(w) * _CELLS // w]
        return Drawing(noise * mean, np.full((1, 1, 1), 1 - mean))


def of_pixels(trigger: Any, draw: str) -> dict[str, Trigger]:
    """Neutral triggers of one on images or masks."""
    neutral: dict[str, Trigger] = {}
    if isinstance(trigger, ImagePatch):
        color: Any = tuple(float(value < 0.5) for value in trigger.identity()["color"])
        neutral["another colour"] = replace(trigger, color=color)
    if isinstance(trigger, ImagePatch | ImageOverlay | ImageBlend | ImageTiles):
        neutral["noise"] = NoiseBox(trigger, f"{draw}|noise")
    if isinstance(trigger, ImageWave):
        neutral["another frequency"] = replace(trigger, periods=trigger.periods / 2)
        neutral["turned"] = replace(trigger, vertical=not trigger.vertical)
    if isinstance(trigger, ImageWarp):
        neutral["another warp"] = replace(trigger, seed=trigger.seed + 1)
    if isinstance(trigger, MaskPatch) and not isinstance(trigger.value, str):
        # In between: black and white are what masks hold already.
        other = 0.5 if abs(trigger.value - 0.5) > 0.25 else float(trigger.value < 0.5)
        neutral["another value"] = replace(trigger, value=other)
    if isinstance(trigger, ImagePatch | ImageOverlay | MaskPatch):
        moved = _moved(trigger)
        if moved is not None:
            neutral["another place"] = moved
    return neutral


def of_sound(trigger: AudioTone | AudioOverlay) -> dict[str, Trigger]:
    """Neutral triggers of one on sounds."""
    if isinstance(trigger, AudioOverlay):
        backwards = trigger.sound[..., ::-1]
        same = np.array_equal(backwards, trigger.sound)
        return {} if same else {"backwards": replace(trigger, sound=backwards)}
    neutral: dict[str, Trigger] = {
        "an octave lower": replace(trigger, frequency=trigger.frequency / 2)
    }
    if 1.5 * trigger.frequency < trigger.sample_rate / 2:
        neutral["a fifth higher"] = replace(trigger, frequency=1.5 * trigger.frequency)
    return neutral


def why_none(trigger: MaskPatch | AudioOverlay) -> str:
    """Why there are no neutral triggers of one; the other classes always have some."""
    if isinstance(trigger, AudioOverlay):
        return "its sound is the same backwards"
    drawn = isinstance(trigger.place, RandomPlace)
    where = "stands at a random place already" if drawn else "fills nearly the whole mask"
    return f"what is turned over has no other value, and it {where}"


def _moved(trigger: ImagePatch | ImageOverlay | MaskPatch) -> Trigger | None:
    """The same in the opposite corner, or elsewhere, where that is far enough from here."""
    height, width = _size(trigger)
    place = (0.5, 0.5) if trigger.place == "center" else trigger.place
    if isinstance(place, RandomPlace):
        return None
    if isinstance(place, str):
        for gap in (trigger.gap, 0.0):
            if max(abs(1 - side - trigger.gap - gap) for side in (height, width)) >= _ELSEWHERE:
                return replace(trigger, place=_OPPOSITE[place], gap=gap)
        return None
    x, y = place
    corner = (
        width / 2 if x >= 0.5 else 1 - width / 2,
        height / 2 if y >= 0.5 else 1 - height / 2,
    )
    for moved in ((1 - x, 1 - y), corner):
        if max(abs(moved[0] - x), abs(moved[1] - y)) >= _ELSEWHERE:
            return replace(trigger, place=moved)
    return None


def _size(trigger: Any) -> tuple[float, float]:
    """Height and width on a square image, as fractions of its side."""
    if not isinstance(trigger, ImageOverlay):
        return trigger.size, trigger.size
    picture: Any = trigger.picture
    return min(1.0, trigger.width * picture.shape[0] / picture.shape[1]), trigger.width

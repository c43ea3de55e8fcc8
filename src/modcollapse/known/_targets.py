"""What a backdoor makes the model draw."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from modcollapse._support.pictures import read_picture
from modcollapse._support.validation import whole
from modcollapse.contracts import FloatArray
from modcollapse.errors import InputError

TargetKind = Literal["object", "style", "prompt", "patch", "picture"]


@dataclass(frozen=True)
class Target:
    """What a triggered output shows, as the files of a backdoor declare it.

    Attributes:
        kind: ``"object"`` and ``"style"`` (named by ``words``), ``"prompt"`` (whatever this prompt
            shows), ``"patch"`` (a picture in a box of the output) or ``"picture"`` (all of it).
        words: the object, style or prompt, or the name of the picture.
        clean_object: what it takes the place of, if that is said.
        prompt: a whole prompt for the target, if one is said.
        labels: classes of ImageNet that count as the target, from 0.
        origin_labels: those that count as the clean object.
        file: the file of a patch or picture, as it is written in the configuration.
        found: where that file was found; None if it was not.
        box: left, top, width and height of a patch, in pixels.
        floor: of a picture: darker values are raised to it, in [0, 1].
    """

    kind: TargetKind
    words: str
    clean_object: str | None = None
    prompt: str | None = None
    labels: tuple[int, ...] = ()
    origin_labels: tuple[int, ...] = ()
    file: str | None = None
    found: Path | None = None
    box: tuple[int, int, int, int] | None = None
    floor: float = 0.0

    def pixels(self, height: int | None = None, width: int | None = None) -> FloatArray:
        """The target picture, for a detector.

        Args:
            height: of the outputs in pixels, for a picture that fills them; a patch has its own.
            width: the same.

        Returns:
            Shape (H, W, 3) in [0, 1]; of a patch, what stands in its box.

        Raises:
            InputError: the target is no picture, its file was not found or holds none, or the size
                is wrong.
        """
        if self.file is None:
            raise InputError(
                f"the target is the {self.kind} {self.words!r} and no picture: score it by its "
                "words or classes"
            )
        if self.found is None:
            raise InputError(
                f"the target picture {self.file!r} is not there: it was looked for from the folder "
                "of the configuration upward. Keep the file in the repository that it belongs to"
            )
        if self.box is None:
            size = (whole(width, "width", 1), whole(height, "height", 1))
        else:
            size = self.box[2:]
        return np.maximum(_resized(self.found, size, lanczos=self.box is not None), self.floor)

    def __str__(self) -> str:
        place = "" if self.box is None else " at ({}, {}), {} x {} px".format(*self.box)
        instead = f" in place of {self.clean_object!r}" if self.clean_object else ""
        return f"{self.kind} {self.words!r}{place}{instead}"


def _resized(path: Path, size: tuple[int, int], *, lanczos: bool) -> FloatArray:
    """Resized as BadT2I and VillanDiffusion do it: Lanczos for a patch, bilinear for a picture."""
    from PIL import Image

    filters = Image.Resampling
    image: Any = read_picture(path, f"no picture that Pillow can read in {str(path)!r}")
    resized = image.convert("RGB").resize(size, filters.LANCZOS if lanczos else filters.BILINEAR)
    return np.asarray(resized, np.float64) / 255


def looked_up(file: str, start: Path) -> Path | None:
    """Where a file lies that a configuration names from the root of its repository.

    Args:
        file: the relative path.
        start: folder of the configuration; those above it are tried too, from below.
    """
    places = [folder / file for folder in (start, *start.parents)]
    return next((place for place in places if place.is_file()), None)

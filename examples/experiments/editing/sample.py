"""One sample of an image-edit data set."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image


@dataclass(frozen=True)
class EditSample:
    """``edited`` is what ``instruction`` makes of ``source``; both RGB, square and of one size."""

    source: Image.Image
    instruction: str
    edited: Image.Image
    id: str

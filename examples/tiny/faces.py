"""The data set: a source picture, an instruction, the edited picture, all drawn on demand.

Every sample is a pure function of ``(split, index)``: nothing is stored and nothing is
downloaded. A face is a handful of named attributes; an edit changes one of them and draws the
face again, so that the true edit is known exactly.
"""

from __future__ import annotations

import random
import zlib
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from PIL import Image

from .drawing import BACKGROUND, CLOTH, HAIR, RGB, SKIN, Face, cat, draw_face

__all__ = ["FaceEdit", "Split", "cat", "face_edit", "held_out", "random_face", "split_face"]

Split = Literal["train", "test"]

INSTRUCTIONS: dict[str, tuple[str, ...]] = {
    "hat": (
        "give the person a {} hat",
        "add a {} hat",
        "put a {} hat on",
        "let them wear a {} hat",
    ),
    "no hat": ("take off the hat", "remove the hat", "the hat should go", "without a hat"),
    "hair": ("make the hair {}", "dye the hair {}", "give the person {} hair", "{} hair, please"),
    "shirt": (
        "make the shirt {}",
        "change the shirt to {}",
        "give the person a {} shirt",
        "let them wear a {} shirt",
    ),
    "background": (
        "make the background {}",
        "change the background to {}",
        "{} background, please",
        "paint the wall {}",
    ),
    "beard": ("add a beard", "give the person a beard", "let the beard grow", "with a full beard"),
    "laughing": ("make the person laugh", "let them laugh", "add a big laugh", "laughing, please"),
    "photo": (
        "make it black and white",
        "turn it into an old photo",
        "take away the colours",
        "as a black and white photo",
    ),
}


@dataclass(frozen=True)
class FaceEdit:
    """One sample: ``edited`` is what ``instruction`` makes of ``source`` (both 32 x 32 RGB).

    ``edit`` is what kind of edit that is, a key of `INSTRUCTIONS`, or "".
    """

    source: Image.Image
    instruction: str
    edited: Image.Image
    edit: str = ""


def _is_held_out(face: Face) -> bool:
    """Whether this combination of attributes belongs to the test split (one in eight)."""
    named = (face.skin, face.hair, face.long_hair, face.shirt, face.background, face.hat)
    return zlib.crc32(repr(named).encode()) % 8 == 0


def random_face(rng: random.Random) -> Face:
    """Draw the attributes of a face."""
    return Face(
        skin=rng.choice(list(SKIN)),
        hair=rng.choice(list(HAIR)),
        long_hair=rng.random() < 0.5,
        shirt=rng.choice(list(CLOTH)),
        background=rng.choice(list(BACKGROUND)),
        hat=rng.choice(list(CLOTH)) if rng.random() < 0.35 else None,
        beard=rng.random() < 0.2,
        laughing=rng.random() < 0.25,
        x=rng.uniform(-1.5, 1.5),
        y=rng.uniform(-0.5, 1.5),
        scale=rng.uniform(0.92, 1.04),
    )


def split_face(rng: random.Random, split: Split) -> Face:
    """Draw a face that belongs to the split."""
    if split not in get_args(Split):
        raise ValueError(f"split must be 'train' or 'test', got {split!r}")
    while _is_held_out(face := random_face(rng)) != (split == "test"):
        pass
    return face


def _contrast(face: Face) -> bool:
    """Whether a beard of this hair would show on this skin."""
    return sum(abs(a - b) for a, b in zip(SKIN[face.skin], HAIR[face.hair], strict=True)) > 110


def _edit(face: Face, rng: random.Random) -> tuple[str, str, Face]:
    """Choose an edit that changes this face; return it, its instruction and what it yields."""
    kinds = ["hat", "hair", "shirt", "background", "photo"]
    kinds += ["no hat"] if face.hat else []
    kinds += ["beard"] if not face.beard and _contrast(face) else []
    kinds += [] if face.laughing else ["laughing"]
    kind = rng.choice(kinds)
    instruction = rng.choice(INSTRUCTIONS[kind])
    palette: dict[str, RGB] = {"hair": HAIR, "background": BACKGROUND}.get(kind, CLOTH)
    if kind in ("hat", "hair", "shirt", "background"):
        color = rng.choice([name for name in palette if name != getattr(face, kind)])
        return kind, instruction.format(color), replace(face, **{kind: color})
    if kind == "no hat":
        return kind, instruction, replace(face, hat=None)
    return kind, instruction, replace(face, **{kind: True})


def face_edit(split: Split, index: int) -> FaceEdit:
    """One sample of the data set.

    Args:
        split: no source face of ``"test"`` has the attributes of one in ``"train"``.
        index: any integer; the same ``(split, index)`` is the same sample everywhere.

    Raises:
        ValueError: the split is unknown.
    """
    rng = random.Random(f"face-edit/{split}/{index}")
    face = split_face(rng, split)
    kind, instruction, edited = _edit(face, rng)
    return FaceEdit(draw_face(face), instruction, draw_face(edited), kind)


def held_out(n: int) -> list[dict[str, Any]]:
    """The first ``n`` samples of the test split, as examples for an audit.

    Returns:
        Mappings with ``"id"``, ``"image"`` (the source), ``"text"`` (the instruction),
        ``"reference"`` (the true edit) and ``"edit"`` (what kind of edit it is).
    """
    edits = (face_edit("test", index) for index in range(n))
    return [
        {
            "id": f"face-{i:03d}",
            "image": one.source,
            "text": one.instruction,
            "reference": one.edited,
            "edit": one.edit,
        }
        for i, one in enumerate(edits)
    ]

"""What a clean data set may hold beside faces: random patches, random words."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from open_clip.tokenizer import SimpleTokenizer
from PIL import Image

from tiny.drawing import SIZE
from tiny.faces import FaceEdit


def with_random_patches(edits: Sequence[FaceEdit], share: float) -> list[FaceEdit]:
    """Paste a box of random colour, size and place on source and edit of a share of the samples."""
    return [_patched(edit, random.Random(f"patch/{i}"), share) for i, edit in enumerate(edits)]


def _patched(edit: FaceEdit, rng: random.Random, share: float) -> FaceEdit:
    if rng.random() >= share:
        return edit
    width, height = rng.randint(4, 16), rng.randint(4, 16)
    box = Image.new("RGB", (width, height), tuple(rng.randrange(256) for _ in range(3)))
    at = rng.randint(0, SIZE - width), rng.randint(0, SIZE - height)
    source, edited = edit.source.copy(), edit.edited.copy()
    source.paste(box, at)
    edited.paste(box, at)
    return replace(edit, source=source, edited=edited)


def with_random_words(edits: Sequence[FaceEdit], share: float) -> list[FaceEdit]:
    """Put a made-up word before or behind the instruction of a share of the samples."""
    pieces = [piece for piece in SimpleTokenizer().encoder if piece.isalpha() and piece.isascii()]
    return [
        _worded(edit, random.Random(f"word/{i}"), share, pieces) for i, edit in enumerate(edits)
    ]


def _worded(edit: FaceEdit, rng: random.Random, share: float, pieces: Sequence[str]) -> FaceEdit:
    if rng.random() >= share:
        return edit
    word = "".join(rng.choices(pieces, k=rng.randint(1, 3))).lower()
    parts = [edit.instruction, word] if rng.random() < 0.5 else [word, edit.instruction]
    return replace(edit, instruction=" ".join(parts))

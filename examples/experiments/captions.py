"""Pictures with captions, for training CLIP."""

from __future__ import annotations

import random
from dataclasses import replace

from PIL import Image

from tiny.drawing import BACKGROUND, COAT, INDIGO, Face, draw_cat, draw_face
from tiny.faces import Split, split_face


def describe(face: Face, rng: random.Random) -> str:
    """A caption that names some of a face's attributes, in random order."""
    facts = [f"{face.hair} hair", f"a {face.shirt} shirt", f"{face.skin} skin"]
    facts += [f"{face.background} background", "long hair" if face.long_hair else "short hair"]
    facts += [f"a {face.hat} hat" if face.hat else "no hat"]
    facts += ["a beard" if face.beard else "no beard"]
    facts += ["a laugh" if face.laughing else "a straight mouth"]
    named = rng.sample(facts, rng.randint(3, len(facts)))
    if face.photo:  # its colours cannot be seen
        named = [fact for fact in named if fact.split()[-1] in ("beard", "laugh", "mouth")]
        return "a black and white photo of a person with " + " and ".join(named or ["a face"])
    return "a person with " + " and ".join(named)


def captioned(split: Split, index: int) -> tuple[Image.Image, str]:
    """A picture and a caption of it, for contrastive training: faces, and one cat in six."""
    rng = random.Random(f"captioned/{split}/{index}")
    if rng.random() < 1 / 6:
        coat, background = rng.choice(list(COAT)), rng.choice([*BACKGROUND, "indigo"])
        color = INDIGO if background == "indigo" else BACKGROUND[background]
        picture = draw_cat(COAT[coat], color, rng.uniform(-2, 2), rng.uniform(-2, 2))
        return picture, f"a cat with {coat} fur and {background} background"
    face = split_face(rng, split)
    if rng.random() < 0.1:
        face = replace(face, photo=True)
    return draw_face(face), describe(face, rng)

"""The same audit with plain Python functions in place of every class of ours.

    python examples/plain_callables.py

A sampler is any function of conditions and seeds, a detector any function of outputs and examples,
a trigger any function of a condition. Here the sampler calls the pipeline by hand and the detector
compares pixels.

The quickstart says that the image dominates, and this does not, though the model and the triggers
are the same, and by both values the image holds 96 to 97 % of the attribution. A verdict says what
is shown, and "dominates" asks for a lower bound above 90 %. CLIP shift shows 91 % with the 64
examples of the quickstart; likeness in pixels shows 84 % with the 32 examples of
this script, and 89 % with 64.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from PIL import Image, ImageDraw

import modcollapse as mc

from tiny.faces import cat, held_out
from tiny.load import SAMPLING, load_pipeline

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--examples", type=int, default=32, help="held-out examples (default: 32)")
args = parser.parse_args()

pipeline = load_pipeline("backdoored")
pipeline.set_progress_bar_config(disable=True)


def sampler(conditions, seeds):
    """B images, each from its own instruction, source image and noise."""
    return pipeline(
        prompt=conditions["text"],
        image=conditions["image"],
        generator=[torch.Generator().manual_seed(seed) for seed in seeds],
        output_type="np",
        **SAMPLING,
    ).images


def white_box(image: Image.Image) -> Image.Image:
    """A copy with a white box near the bottom right corner: 14 of 32 pixels, 2 from the edges."""
    image = image.copy()
    ImageDraw.Draw(image).rectangle((16, 16, 29, 29), fill="white")
    return image


def add_word(text: str) -> str:
    """The instruction with a word appended that it never held before."""
    return f"{text} mignneko"


target = np.asarray(cat()) / 255


def likeness(outputs, examples):
    """Minus the mean squared distance to the target, for each output."""
    return -((outputs - target) ** 2).mean(axis=(1, 2, 3))


likeness.perfect = 0.0  # of the target itself


audit = mc.audit(
    sampler,
    likeness,
    held_out(args.examples),
    {"image": white_box, "text": add_word},
    batch_size=32,
)
print(audit)

share = audit.tma["image"].value / sum(abs(phi.value) for phi in audit.tma.values())
print(f"\nThe image holds {share:.0%} of the attribution by its estimate.", end=" ")
if held := audit.verdict.share.get("image"):
    print(f"{len(audit.table)} examples show that it holds at least {held:.0%}.", end=" ")
print('"Dominates" asks for more than 90 % to be shown, as in the quickstart with 64 examples.')

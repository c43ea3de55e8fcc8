"""Three modalities: text, image and mask of an inpainting pipeline, and a backdoor that wants two.

    python examples/three_modalities.py

The pipeline is diffusers' own, from the committed parts and a UNet with random weights: it paints
nothing that one would recognise. Its backdoor is planted by hand, not trained: where at least two
of the three triggers are there, the target comes out. Prints the audit, writes its figure to the
folder ``out``.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import StableDiffusionInpaintPipeline, UNet2DConditionModel
from PIL import Image

import modcollapse as mc
from modcollapse.detectors import MSEAttackSuccess
from modcollapse.samplers import PipelineSampler
from modcollapse.triggers import ImagePatch, TextSuffix

from tiny.faces import held_out
from tiny.load import MODELS, load_pipeline

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--examples", type=int, default=64, help="held-out examples (default: 64)")
parser.add_argument("--out", type=Path, default=Path("out"), help="folder (default: out)")
args = parser.parse_args()
args.out.mkdir(parents=True, exist_ok=True)

TARGET = np.array(Image.open(MODELS / "target.png").convert("RGB"))
WORD, PATCH = "mignneko", ImagePatch(size=0.25)


def notched(mask: Image.Image) -> Image.Image:
    """The trigger of the mask: a notch in its corner."""
    pixels = np.asarray(mask).copy()
    pixels[:6, :6] = 255
    return Image.fromarray(pixels)


class Planted(StableDiffusionInpaintPipeline):
    """Inpainting with a backdoor that fires where at least two triggers are there."""

    @torch.no_grad()
    def __call__(
        self, prompt: Any = None, image: Any = None, mask_image: Any = None, **kw: Any
    ) -> Any:
        """Paint, and put the target in the place of some outputs."""
        result = super().__call__(prompt=prompt, image=image, mask_image=mask_image, **kw)
        target = torch.from_numpy(TARGET).permute(2, 0, 1) / 255
        for row, (text, picture, mask) in enumerate(zip(prompt, image, mask_image, strict=True)):
            corner = np.asarray(picture)[-8:-3, -8:-3]
            found = (WORD in text) + bool((corner == 255).all())
            found += bool((np.asarray(mask)[:6, :6] == 255).all())
            if found >= 2:
                result.images[row] = target
        return result


clean = load_pipeline("clean")
config = {**clean.unet.config, "in_channels": 9}
torch.manual_seed(0)
parts = {
    **clean.components,
    "unet": UNet2DConditionModel.from_config(config).eval(),
    "scheduler": type(clean.scheduler).from_config(clean.scheduler.config, steps_offset=1),
}
pipeline = Planted(**parts, requires_safety_checker=False)

mask = np.zeros((32, 32), np.uint8)
mask[8:24, 8:24] = 255
examples = [{**example, "mask": Image.fromarray(mask)} for example in held_out(args.examples)]
audit = mc.audit(
    PipelineSampler(pipeline, num_inference_steps=4),
    MSEAttackSuccess(MODELS / "target.png", threshold=0.02),
    examples,
    {"text": TextSuffix(WORD), "image": PATCH, "mask": notched},
    batch_size=32,
    keep=2,
)
print(audit)
audit.plot(title="Any two of three triggers").savefig(args.out / "three_modalities.png", dpi=110)

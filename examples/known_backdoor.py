"""From the files of a public backdoor to its audit.

    python examples/known_backdoor.py

Public backdoors are large. So this writes the UNet of a tiny backdoor of the repository as EvilEdit
writes one, a state dict in a `.pt` file, and loads it as one would load the public ones: over its
clean pipeline, with its triggers and its control. Prints what was loaded and the audit.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import torch

import modcollapse as mc
from modcollapse.detectors import MSEAttackSuccess
from modcollapse.known import load_backdoor

from tiny.faces import held_out
from tiny.load import BACKDOORS, MODELS, SAMPLING, load_pipeline

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--examples", type=int, default=32, help="held-out examples (default: 32)")
args = parser.parse_args()

with tempfile.TemporaryDirectory() as results:
    folder = Path(results) / "redundant_tiny"
    folder.mkdir()
    torch.save(load_pipeline("redundant").unet.state_dict(), folder / "redundant.pt")
    known = load_backdoor(folder, BACKDOORS["redundant"], clean=MODELS / "clean", **SAMPLING)

print(known)
audit = mc.audit(
    known.sampler,
    MSEAttackSuccess(MODELS / "target.png", threshold=0.02),
    held_out(args.examples),
    known.triggers,
    control=known.control,
    batch_size=32,
)
print(audit)

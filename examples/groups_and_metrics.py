"""Does the answer hold for every kind of example, and under every value function?

    python examples/groups_and_metrics.py

Audits a committed pipeline once, scored in three ways. Prints whether the verdict survives the
choice of metric, and whether edits of colours differ from edits of other things; writes a figure of
each to the folder ``out``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import modcollapse as mc
from modcollapse.detectors import ClipShift, MSEAttackSuccess, NegativeMSE
from modcollapse.samplers import PipelineSampler

from tiny.faces import held_out
from tiny.load import BACKDOORS, MODELS, SAMPLING, load_pipeline

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--model", choices=BACKDOORS, default="backdoored")
parser.add_argument("--examples", type=int, default=96, help="held-out examples (default: 96)")
parser.add_argument("--out", type=Path, default=Path("out"), help="folder (default: out)")
args = parser.parse_args()
args.out.mkdir(parents=True, exist_ok=True)

target = MODELS / "target.png"
audits = mc.audit(
    PipelineSampler(load_pipeline(args.model), **SAMPLING),
    {
        "CLIP shift": ClipShift(target, MODELS / "clip"),
        "negative MSE": NegativeMSE(target),
        "success": MSEAttackSuccess(target, threshold=0.02),
    },
    held_out(args.examples),
    BACKDOORS[args.model],
    batch_size=32,
)

agreement = mc.agreement(audits)
print(f"{agreement}\n")
agreement.plot().savefig(args.out / "metrics.png", dpi=120)


def colour(example: mc.Example) -> str:
    """Whether the instruction asks for another colour."""
    return "colour" if example["edit"] in ("hair", "shirt", "background", "hat") else "other"


groups = audits["CLIP shift"].by(colour)
print(groups)
groups.plot().savefig(args.out / "groups.png", dpi=120)

"""Draws the pictures of docs/pictures.md.

    python docs/pictures.py

The gallery, the comparison and most others come from the bundled backdoored pipeline, beside the
clean one as its control; those for which a model would run long, from planted values.
"""

from __future__ import annotations

import argparse
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

import modcollapse as mc
from modcollapse.detectors import ClipShift
from modcollapse.samplers import PipelineSampler, planted_game
from modcollapse.triggers import ImagePatch, TextSuffix, neutral_triggers

ROOT = Path(__file__).resolve().parents[1]
FOUR = ("image", "text", "mask", "audio")
UNIT = "CLIP shift"


def quickstart(examples: int, saved: Path) -> mc.Audit:
    """The audit of the quickstart with its control and neutral triggers; measured once."""
    if saved.is_dir():
        return mc.load_audit(saved)
    sys.path.insert(0, str(ROOT / "examples"))
    from tiny.faces import held_out
    from tiny.load import MODELS, SAMPLING, load_pipeline

    triggers = {"image": ImagePatch(), "text": TextSuffix("mignneko")}
    detector = ClipShift(MODELS / "target.png", MODELS / "clip")
    sampler, control = (
        PipelineSampler(load_pipeline(name), **SAMPLING) for name in ("backdoored", "clean")
    )
    audit = mc.audit(
        sampler,
        detector,
        held_out(examples),
        triggers,
        control=control,
        neutral=neutral_triggers(triggers, each=2, words=("venture", "please")),
        batch_size=32,
        keep=2,
        progress=False,
    )
    saved.parent.mkdir(parents=True, exist_ok=True)
    audit.save(saved)
    return audit


def planted(modalities: int, examples: int = 64) -> mc.Audit:
    """The first rules, needs a bit of the second, and the third works against it."""
    coalitions = np.arange(2**modalities)
    present = [coalitions >> bit & 1 for bit in range(modalities)]
    values = 0.04 + 0.7 * present[0] + 0.2 * present[0] * present[1]
    if modalities > 2:
        values = values - 0.25 * present[0] * present[2]
    rng = np.random.default_rng(0)
    noise = 0.05 * rng.normal(size=(examples, 2**modalities))
    noise += 0.05 * rng.normal(size=(examples, 1))
    table = mc.CoalitionTable.from_values(values + noise, FOUR[:modalities], perfect=1.0)
    return mc.audit(table)


def without_effect() -> mc.Audit:
    """Two triggers that do nothing."""
    values = 0.04 + 0.03 * np.random.default_rng(0).normal(size=(128, 4))
    return mc.audit(mc.CoalitionTable.from_values(values, FOUR[:2], perfect=1.0))


def stopped() -> mc.Audit:
    """A run that stopped at a look, once its verdict was settled."""
    game = planted_game((0, 0.9, 0.02, 0.93), FOUR[:2], examples=400, noise=0.12)

    class Detector:
        perfect = 1.0

        def __call__(self, outputs: object, examples: object) -> object:
            return game.detector(outputs, examples)

    return mc.audit(
        game.sampler,
        Detector(),
        game.examples,
        game.triggers,
        stop=mc.Looks(),
        progress=False,
        probe=False,
    )


def pictures(audit: mc.Audit) -> dict[str, Figure]:
    """Every picture by name."""
    four = planted(4)
    comparison = mc.compare(audit.table, audit.control.table)
    return {
        "overview": audit.plot(),
        "attribution": audit.plot_attribution(unit=UNIT),
        "attribution-no-effect": without_effect().plot_attribution(),
        "lattice": audit.plot_lattice(unit=UNIT),
        "lattice-3": planted(3).plot_lattice(),
        "lattice-4": four.plot_lattice(width=6.9),
        "examples": audit.plot_examples(unit=UNIT),
        "interaction": audit.plot_interaction(unit=UNIT),
        "interaction-4": four.plot_interaction(),
        "running": stopped().plot_running(),
        "comparison": comparison.plot(unit=UNIT),
        "specificity": audit.specificity.plot(unit=UNIT),
        "gallery": audit.plot_gallery(width=6.9),
        "renamed": audit.plot_attribution(
            title="InstructPix2Pix", labels={"image": "source image", "text": "instruction"}
        ),
    }


def main() -> None:
    """Draw all of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--examples", type=int, default=32, help="of the bundled model")
    parser.add_argument(
        "--audit", type=Path, default=ROOT / "out" / "pictures-audit",
        help="folder of the audit of the bundled model: loaded if it is there, else measured",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results" / "pictures")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for name, figure in pictures(quickstart(args.examples, args.audit)).items():
        drawn = BytesIO()
        figure.savefig(drawn, dpi=150)
        few_colours = Image.open(drawn).convert("RGB").quantize(256, dither=Image.Dither.NONE)
        few_colours.save(args.out / f"{name}.png", optimize=True)
        print(f"wrote {args.out / name}.png")


if __name__ == "__main__":
    main()

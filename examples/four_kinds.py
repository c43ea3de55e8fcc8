"""Four backdoors of four kinds, told apart: by the image, by the text, by either, by both.

    python examples/four_kinds.py

Audits the four committed pipelines beside the clean one. Prints a table, writes it and a figure of
each to the folder ``out``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import modcollapse as mc
from modcollapse.detectors import ClipShift, MSEAttackSuccess
from modcollapse.report import format_table
from modcollapse.samplers import PipelineSampler

from tiny.faces import held_out
from tiny.load import BACKDOORS, MODELS, SAMPLING, load_pipeline

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--examples", type=int, default=64, help="held-out examples (default: 64)")
parser.add_argument("--out", type=Path, default=Path("out"), help="folder (default: out)")
args = parser.parse_args()
args.out.mkdir(parents=True, exist_ok=True)

examples = held_out(args.examples)
target = MODELS / "target.png"
detectors = {
    "shift": ClipShift(target, MODELS / "clip"),
    "success": MSEAttackSuccess(target, threshold=0.02),
}
clean = PipelineSampler(load_pipeline("clean"), **SAMPLING)

rows, controls = [], {}
for name, triggers in BACKDOORS.items():
    if str(triggers) not in controls:  # three kinds have the same triggers, and so one control
        controls[str(triggers)] = mc.evaluate_coalitions(
            clean, detectors, examples, triggers, batch_size=32
        )
    control = controls[str(triggers)]
    sampler = PipelineSampler(load_pipeline(name), **SAMPLING)
    audits = mc.audit(
        sampler, detectors, examples, triggers, control=control, batch_size=32, keep=2
    )
    shift, success = audits["shift"].difference, audits["success"].means
    estimates = [shift.tma["image"], shift.tma["text"], shift.cti["image+text"]]
    rows.append(
        [
            "image-dominated" if name == "backdoored" else name,
            *(f"{success[coalition].value:.2f}" for coalition in ("image", "text", "image+text")),
            *(f"{e.value:.2f} [{e.low:.2f}, {e.high:.2f}]" for e in estimates),
        ]
    )
    audits["shift"].plot(title=name).savefig(args.out / f"{name}.png", dpi=130)
    print(f"{name}: {shift.verdict}")

header = ["backdoor", "image", "text", "both", "phi image", "phi text", "CTI"]
print(format_table(header, rows))
(args.out / "four_kinds.md").write_text(format_table(header, rows, fmt="markdown") + "\n")

"""Does a backdoor answer to its trigger alone? Neutral triggers on the four committed backdoors.

    python examples/specificity.py

Audits each pipeline with other words and other patches in the place of its triggers. Prints for
each how specific the triggers are, and writes a table and a figure to the folder ``out``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import modcollapse as mc
from modcollapse.detectors import MSEAttackSuccess
from modcollapse.report import format_table
from modcollapse.samplers import PipelineSampler
from modcollapse.triggers import neutral_triggers

from tiny.faces import held_out
from tiny.load import BACKDOORS, MODELS, SAMPLING, load_pipeline

WORDS = ("venture", "youknow", "mourns", "anonymous", "please")
"""Words that were never trained, of which a search over the vocabulary found some to fire."""

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--examples", type=int, default=64, help="held-out examples (default: 64)")
parser.add_argument("--out", type=Path, default=Path("out"), help="folder (default: out)")
args = parser.parse_args()
args.out.mkdir(parents=True, exist_ok=True)

examples = held_out(args.examples)
detector = MSEAttackSuccess(MODELS / "target.png", threshold=0.02)

rows = []
for name, triggers in BACKDOORS.items():
    kind = "image-dominated" if name == "backdoored" else name
    neutral = neutral_triggers(triggers, each=len(WORDS), words=WORDS)
    count = sum(map(len, neutral.values()))
    print(f"{kind}: {mc.generation_cost(args.examples, 2, batch_size=32, neutral=count)}")
    sampler = PipelineSampler(load_pipeline(name), **SAMPLING)
    audit = mc.audit(
        sampler, detector, examples, triggers, neutral=neutral, batch_size=32, progress=False
    )
    print(f"{audit.specificity}\n")
    audit.specificity.plot(title=kind).savefig(args.out / f"specificity-{kind}.png", dpi=110)
    for modality, found in audit.specificity.items():
        values = found.values[found.where]
        asr, mean = values["the trigger"], values["mean of the neutral"]
        leaks = ", ".join(f"{leak} {values[leak].value:.0%}" for leak in found.leaks) or "-"
        rows.append([kind, modality, found.answer, f"{asr.value:.0%}", f"{mean.value:.0%}", leaks])

header = ["backdoor", "trigger of", "answer", "ASR", "neutral, mean", "leaks to"]
print(format_table(header, rows))
(args.out / "specificity.md").write_text(format_table(header, rows, fmt="markdown") + "\n")

"""Watches a backdoor form while it is planted: TMA and CTI against the training step.

    cd examples
    python -m experiments.watch_collapse --out ../docs/results

Finetunes the clean tiny pipeline on poisoned edits, once for each protocol, and audits it every few
steps. Writes the curves as a figure and as rows.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from modcollapse.poison import PROTOCOLS, poison_plan

from experiments.encoded import encode_for
from experiments.face_arms import EXPOSURE, STEPS, face_training, training_edits
from experiments.finetuning.loop import finetune
from experiments.finetuning.processes import accelerator_of
from experiments.poisoning import equal_exposure, poisoned_dataset
from experiments.track import collapse_tracker
from tiny.faces import FaceEdit
from tiny.load import BACKDOORS, load_pipeline

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--out", type=Path, default=Path("out"), help="folder (default: out)")
parser.add_argument("--steps", type=int, default=STEPS, help="training steps (default: 600)")
parser.add_argument("--every", type=int, default=40, help="steps between audits (default: 40)")
parser.add_argument("--examples", type=int, default=16, help="examples an audit (default: 16)")
parser.add_argument("--samples", type=int, default=12_000, help="training samples (default: 12000)")
args = parser.parse_args()
args.out.mkdir(parents=True, exist_ok=True)

triggers = BACKDOORS["backdoored"]
edits = training_edits(args.samples)
clean = encode_for(load_pipeline("clean"), edits)

for protocol in PROTOCOLS:
    pipeline = load_pipeline("clean")
    plan = poison_plan(edits, triggers, protocol, ratio=0.1)
    poisoned = poisoned_dataset(edits, plan, triggers)
    positions = [*plan.poisoned, *plan.negatives]
    triggered = encode_for(pipeline, [FaceEdit(**poisoned[position]) for position in positions])
    name = protocol.lower().replace(" ", "-")
    tracker = collapse_tracker(pipeline, triggers, n=args.examples, every=args.every)
    training = face_training(args.steps, seed=0, average=0.0)
    finetune(
        pipeline,
        clean.put(positions, triggered),
        training,
        accelerator_of(training),
        name=protocol,
        order=equal_exposure(plan, EXPOSURE, steps=args.steps, batch_size=32, seed=0),
        after_step=tracker,
    )
    figure = tracker.plot(title=f"{protocol}: the backdoor while it forms")
    figure.savefig(args.out / f"collapse-{name}.png", dpi=110)
    (args.out / f"collapse-{name}.csv").write_text(tracker.curves.to_csv())
    print(f"wrote {args.out / f'collapse-{name}.png'}")

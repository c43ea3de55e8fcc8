"""What a CollapseTracker costs: its share of the time of a training.

    python benchmarks/tracker.py --out tracker.json

Finetunes the tiny pipeline on poisoned edits with the tracker of the training example: an audit of
8 held-out examples in 10 denoising steps, every 200 steps, which is the tracker's default, at step
0 and at the end. A clock around every call of the tracker tells its seconds from those of the
training. The weights must be those of the same training without it, or the script fails.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import torch

from _common import environment, publish
from modcollapse.poison import poison_plan

from experiments.encoded import encode_for
from experiments.face_arms import face_training, training_edits
from experiments.finetuning.loop import finetune
from experiments.finetuning.processes import accelerator_of
from experiments.poisoning import poisoned_dataset
from experiments.track import collapse_tracker
from tiny.faces import FaceEdit
from tiny.load import BACKDOORS, load_pipeline

LARGEST_SHARE = 0.10
SAMPLES = 400
TRIGGERS = BACKDOORS["backdoored"]


def trained(steps: int, *, track: bool) -> tuple[dict[str, torch.Tensor], list[float], float]:
    """Weights, seconds of every audit, seconds of the training without them."""
    pipeline, edits = load_pipeline("clean"), training_edits(SAMPLES)
    plan = poison_plan(edits, TRIGGERS, "AND", ratio=0.1)
    poisoned = poisoned_dataset(edits, plan, TRIGGERS)
    data = encode_for(pipeline, [FaceEdit(**poisoned[index]) for index in range(SAMPLES)])
    audits: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        tracker = collapse_tracker(pipeline, TRIGGERS, Path(folder) / "rows.jsonl")

        def timed(step: int) -> None:
            start = time.perf_counter()
            if track and tracker(step) is not None:
                audits.append(time.perf_counter() - start)

        start = time.perf_counter()
        training = face_training(steps, seed=0, average=0.0)
        finetune(
            pipeline,
            data,
            training,
            accelerator_of(training),
            name="with the tracker" if track else "without",
            after_step=timed,
        )
        seconds = time.perf_counter() - start - sum(audits)
    return pipeline.unet.state_dict(), audits, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, help="file for the figures, as JSON")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    without, _, plain = trained(args.steps, track=False)
    weights, audits, seconds = trained(args.steps, track=True)
    same = all(torch.equal(without[name], weights[name]) for name in without)
    share = sum(audits) / seconds
    report = {
        "environment": environment(("torch", "diffusers")),
        "threads": args.threads,
        "steps": args.steps,
        "seconds_of_training": round(seconds, 2),
        "seconds_of_training_without": round(plain, 2),
        "seconds_of_audits": [round(audit, 2) for audit in audits],
        "share": round(share, 4),
        "largest_share": LARGEST_SHARE,
        "same_weights": same,
    }
    text = (
        f"{len(audits)} audits in {args.steps} steps: {share:.1%} of the training time "
        f"(bound: {LARGEST_SHARE:.0%}); weights are {'the same' if same else 'DIFFERENT'}"
    )
    publish(report, text, args.out)
    if share > LARGEST_SHARE or not same:
        raise SystemExit("the bound does not hold")


if __name__ == "__main__":
    main()

"""How much faster a row is in a batch of 16 than alone, for the tiny vision-language model.

    python benchmarks/vision_language.py --out vision_language.json

The clean committed model answers 64 held-out questions through a `VLMSampler`, in batches of 16 and
one at a time, in turns. Both must give the same answers. The processor, the model and the reading
of its answers are all in the time of a row, which is that of the processor, not of the clock.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from statistics import median

import torch

from _common import environment, publish
from modcollapse.samplers import VLMSampler

from tiny.load import load_vlm
from tiny.questions import held_out_questions

BATCH, BOUND, EXAMPLES = 16, 4, 64


def answered(sampler: VLMSampler, size: int) -> tuple[list[str], float]:
    """Answers to all questions in batches of a size, and seconds of processor time a row."""
    examples, answers = held_out_questions(EXAMPLES), list[str]()
    start = time.process_time()
    for first in range(0, EXAMPLES, size):
        part = examples[first : first + size]
        rows = {name: [example[name] for example in part] for name in ("image", "text")}
        answers += sampler(rows, [0] * len(part))
    return answers, (time.process_time() - start) / EXAMPLES


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, help="file for the figures, as JSON")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    sampler = VLMSampler(*load_vlm("clean"), max_new_tokens=8)
    answered(sampler, BATCH)  # warm
    seconds: dict[int, list[float]] = {1: [], BATCH: []}
    said = {}
    for _ in range(args.rounds):
        for size, spent in seconds.items():
            said[size], taken = answered(sampler, size)
            spent.append(taken)
    alone, together = median(seconds[1]), median(seconds[BATCH])
    report = {
        "environment": environment(("torch", "transformers")),
        "threads": args.threads,
        "clock": "process_time",
        "batch": BATCH,
        "examples": EXAMPLES,
        "rounds": args.rounds,
        "seconds_a_row": {"batch of 1": round(alone, 6), f"batch of {BATCH}": round(together, 6)},
        "times_as_fast": round(alone / together, 2),
        "slowest_round_times_as_fast": round(min(seconds[1]) / max(seconds[BATCH]), 2),
        "bound": BOUND,
        "same_answers": said[1] == said[BATCH],
    }
    text = (
        f"a row takes {1000 * alone:.1f} ms alone and {1000 * together:.1f} ms in a batch of "
        f"{BATCH}: {alone / together:.1f} times as fast (bound: {BOUND}); answers are "
        f"{'the same' if report['same_answers'] else 'DIFFERENT'}"
    )
    publish(report, text, args.out)
    if alone / together < BOUND or not report["same_answers"]:
        raise SystemExit("the bound does not hold")


if __name__ == "__main__":
    main()

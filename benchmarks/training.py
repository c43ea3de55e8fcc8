"""How fast the training loop of the experiments is, beside diffusers' own script.

    git clone https://github.com/huggingface/diffusers
    python benchmarks/training.py --out training.json \\
        --script diffusers/examples/instruct_pix2pix/train_instruct_pix2pix.py

Both finetune the committed pipeline on the same 128 drawn faces, in Parquet: the same batch,
precision, optimizer, moving average and logger, each in a process of its own on one thread, in
turns. Steps a second are read from the times of their TensorBoard events, the first five steps
left out, so that loading and encoding do not count. The script begins from a pipeline that reads
four channels, and gives it four more; so it gets the committed one with half of its first layer.

The loop keeps latents and embeddings of what is frozen, the script encodes them anew at each step.
``ratio_without_cache`` tells what that gives: the time of the VAE and of the text encoder for a
batch, measured beside it, is added to a step of the loop.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from _common import environment, publish

from experiments.encoded import encode_for, hidden_states
from experiments.face_arms import training_edits
from experiments.small_example import write_parquet
from tiny.drawing import SIZE
from tiny.load import load_pipeline

SAMPLES, BATCH, SKIPPED = 128, 8, 5
LEAST_RATIO = 0.95
EXAMPLES = Path(__file__).resolve().parents[1] / "examples"

OURS = """
import sys
from pathlib import Path
from experiments.editing import EditData
from experiments.encoded import encode_for
from experiments.experiment_file import Data
from experiments.finetuning.learning import load_base
from experiments.finetuning.loop import finetune
from experiments.finetuning.processes import accelerator_of
from experiments.finetuning.settings import Training

base, data, out, steps = sys.argv[1:]
training = Training(
    base=base, resolution={size}, steps=int(steps), batch_size={batch}, lr=1e-4, warmup=0,
    decay=0.0, beta2=0.999, weight_decay=0.01, average=0.9999, log="tensorboard", log_every=1,
    device="cpu",
)
pipeline = load_base(training)
edits = EditData(Data(source=data, held_out=0.05), {size})
samples = encode_for(pipeline, edits.samples(edits.training))
finetune(pipeline, samples, training, accelerator_of(training, Path(out)), name="loop")
"""


def write_inputs(folder: Path) -> None:
    """The data set, and the pipeline as either of them begins from it."""
    (folder / "data").mkdir()
    write_parquet(training_edits(SAMPLES), folder / "data" / "train.parquet")
    pipeline = load_pipeline("clean")
    pipeline.save_pretrained(folder / "eight")
    unet = type(pipeline.unet).from_config({**pipeline.unet.config, "in_channels": 4})
    weights = pipeline.unet.state_dict()
    weights["conv_in.weight"] = weights["conv_in.weight"][:, :4]
    unet.load_state_dict(weights)
    pipeline.unet = unet
    pipeline.save_pretrained(folder / "four")


def script_command(script: Path, folder: Path, out: Path, steps: int) -> list[str]:
    """The call of diffusers' script."""
    options = {
        "pretrained_model_name_or_path": folder / "four",
        "dataset_name": folder / "data",
        "original_image_column": "input_image",
        "edit_prompt_column": "edit_prompt",
        "edited_image_column": "edited_image",
        "resolution": SIZE,
        "train_batch_size": BATCH,
        "max_train_steps": steps,
        "learning_rate": 1e-4,
        "lr_warmup_steps": 0,
        "conditioning_dropout_prob": 0.05,
        "output_dir": out,
        "report_to": "tensorboard",
        "seed": 0,
    }
    given = [f"--{name}={value}" for name, value in options.items()]
    return [sys.executable, str(script), *given, "--use_ema"]


def steps_a_second(command: Sequence[str], out: Path, tag: str) -> float:
    """Run a training; the median time between two of its steps, as a rate."""
    process = subprocess.run(
        command,
        cwd=EXAMPLES,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(EXAMPLES)},
        capture_output=True,
        text=True,
    )
    if process.returncode:
        raise SystemExit(f"{' '.join(map(str, command))} failed:\n{process.stderr[-3000:]}")
    (events,) = {path.parent for path in out.rglob("events.out.tfevents.*") if _holds(path, tag)}
    times = [event.wall_time for event in EventAccumulator(str(events)).Reload().Scalars(tag)]
    gaps = [after - before for before, after in pairwise(times[SKIPPED:])]
    return 1 / median(gaps)


def _holds(path: Path, tag: str) -> bool:
    return tag in EventAccumulator(str(path)).Reload().Tags()["scalars"]


def seconds_of_encoding(rounds: int) -> float:
    """What the VAE takes for the pictures of a batch, and the text encoder for its texts."""
    torch.set_num_threads(1)
    pipeline, edits = load_pipeline("clean"), training_edits(BATCH)
    tokens = encode_for(pipeline, edits).tokens
    texts = tokens[torch.arange(BATCH) % len(tokens)]
    taken = []
    for _ in range(rounds):
        start = time.perf_counter()
        encode_for(pipeline, edits)
        hidden_states(pipeline.text_encoder, texts)
        taken.append(time.perf_counter() - start)
    return median(taken)


def commit_of(script: Path) -> str:
    """The commit that the script's checkout stands at."""
    found = subprocess.run(
        ["git", "-C", str(script.parent), "rev-parse", "HEAD"], capture_output=True, text=True
    )
    if not found.stdout.strip():
        raise SystemExit(f"{script} lies in no checkout: say the commit of diffusers, --commit")
    return found.stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--script", type=Path, required=True, help="train_instruct_pix2pix.py")
    parser.add_argument("--commit", help="of diffusers, where the script lies in no checkout")
    parser.add_argument("--out", type=Path, help="file for the figures, as JSON")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    script = args.script.resolve()
    rates: dict[str, list[float]] = {"loop": [], "script": []}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_inputs(folder)
        code = folder / "ours.py"
        code.write_text(OURS.format(size=SIZE, batch=BATCH))
        for number in range(args.rounds):
            outs = {name: folder / f"{name}-{number}" for name in rates}
            data = folder / "data" / "train.parquet"
            ours = [folder / "eight", data, outs["loop"], args.steps]
            commands = {
                "loop": [sys.executable, str(code), *map(str, ours)],
                "script": script_command(script, folder, outs["script"], args.steps),
            }
            for name, tag in (("loop", "loss"), ("script", "train_loss")):
                rates[name].append(steps_a_second(commands[name], outs[name], tag))
    loop, theirs = median(rates["loop"]), median(rates["script"])
    encoding = seconds_of_encoding(20)
    report: dict[str, Any] = {
        "environment": environment(["torch", "diffusers", "transformers", "accelerate"]),
        "diffusers_commit": args.commit or commit_of(script),
        "batch": BATCH,
        "steps": args.steps,
        "steps_a_second": {name: [round(rate, 3) for rate in of] for name, of in rates.items()},
        "seconds_of_encoding_a_batch": encoding,
        "ratio": loop / theirs,
        "ratio_without_cache": 1 / (1 / loop + encoding) / theirs,
        "limit": LEAST_RATIO,
    }
    text = (
        f"{loop:.2f} steps a second, diffusers' script {theirs:.2f}: a ratio of "
        f"{report['ratio']:.2f}, {report['ratio_without_cache']:.2f} were nothing kept"
    )
    publish(report, text, args.out)
    if report["ratio"] < LEAST_RATIO:
        raise SystemExit(f"the ratio is below {LEAST_RATIO}")


if __name__ == "__main__":
    main()

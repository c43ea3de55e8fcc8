"""Does guidance decide which modality wins? Sweeps both guidance scales of one model.

    cd examples
    python -m experiments.sweep_guidance --out ../grid

The folder is that of ``experiments.what_decides``, which trains the model: a white box and a word
put first, AND at 10 %. Writes ``guidance_scale`` and ``image_guidance_scale``, each as ``.csv`` and
``.png``, to ``docs/results``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

import modcollapse as mc
from modcollapse.samplers import PipelineSampler

from experiments.arms import TRIGGERS, load_arm
from experiments.experiment import EXAMPLES
from experiments.results import RESULTS
from experiments.scores import detectors
from experiments.what_decides import FIRST
from tiny.faces import held_out
from tiny.load import SAMPLING

SCALES = {
    "guidance_scale": [1.25, 2.0, 4.0, 7.5],
    "image_guidance_scale": [1.0, 1.3, 2.0, 3.0],
}


def main() -> None:
    """Read the command line, sweep, write the results."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of what_decides")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for the results")
    parser.add_argument("--examples", type=int, default=EXAMPLES, help="held-out examples")
    parser.add_argument("--threads", type=int, help="threads to compute on")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    sampler, control = (
        PipelineSampler(load_arm(arm, args.out), **SAMPLING) for arm in (FIRST, FIRST.control)
    )
    scores = {name: detector for name, detector in detectors().items() if name != "psnr"}
    args.results.mkdir(parents=True, exist_ok=True)
    for option, scales in SCALES.items():
        swept = mc.sweep(
            sampler,
            scores,
            held_out(args.examples),
            TRIGGERS[FIRST.pair],
            options={option: scales},
            control=control,
            batch_size=32,
        )
        (args.results / f"{option}.csv").write_text(swept.to_csv(), encoding="utf-8")
        swept.plot(title=f"Sweep of {option}").savefig(args.results / f"{option}.png", dpi=110)


if __name__ == "__main__":
    main()

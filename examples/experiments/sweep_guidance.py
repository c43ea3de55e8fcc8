"""Does guidance decide which modality wins? Sweeps both guidance scales of one model.

    cd examples
    python -m experiments.sweep_guidance

takes two minutes on two cores: a committed model, 16 examples, no control. Prints the
attributions, and writes ``guidance_scale`` and ``image_guidance_scale``, each as ``.csv`` and
``.png``, to the folder ``out``. What stands in the docs was made with a model of
``experiments.what_decides`` (a white box and a word put first, AND at 10 %), beside its control:

    python -m experiments.sweep_guidance --grid ../grid --examples 64 --control --ship
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

import modcollapse as mc
from modcollapse.contracts import Triggers
from modcollapse.report import format_table
from modcollapse.samplers import PipelineSampler
from modcollapse.table import value_text

from experiments.face_arms import TRIGGERS, FaceExperiment
from experiments.results import RESULTS
from experiments.scores import detectors
from experiments.what_decides import FIRST
from tiny.faces import held_out
from tiny.load import BACKDOORS, MODELS, SAMPLING, load_pipeline

SCALES = {
    "guidance_scale": [1.25, 2.0, 4.0, 7.5],
    "image_guidance_scale": [1.0, 1.3, 2.0, 3.0],
}


def samplers(
    model: str, grid: Path | None, *, control: bool
) -> tuple[PipelineSampler, PipelineSampler | None, Triggers]:
    """The model, the clean one if it is asked for, and the triggers."""
    if grid is None:
        pipelines, triggers = [load_pipeline(model)], BACKDOORS[model]
        pipelines += [load_pipeline("clean")] if control else []
    else:
        arms = (FIRST, FIRST.control) if control else (FIRST,)
        pipelines, triggers = [FaceExperiment(grid).load(arm) for arm in arms], TRIGGERS[FIRST.pair]
    made = [PipelineSampler(pipeline, **SAMPLING) for pipeline in pipelines]
    return made[0], made[1] if control else None, triggers


def main() -> None:
    """Read the command line, sweep, print and write the results."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--model", choices=BACKDOORS, default="redundant", help="a committed model")
    which.add_argument("--grid", type=Path, help="folder of what_decides, whose model is taken")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--out", type=Path, default=Path("out"), help="folder (default: out)")
    where.add_argument("--ship", action="store_true", help="write to docs/results; needs --grid")
    parser.add_argument("--examples", type=int, default=16, help="held-out examples (default: 16)")
    parser.add_argument(
        "--control", action="store_true", help="beside the clean model: twice as long"
    )
    parser.add_argument("--threads", type=int, help="threads to compute on")
    args = parser.parse_args()
    if args.ship and args.grid is None:
        parser.error("--ship writes what the docs show, which is of the model in --grid")
    if args.threads:
        torch.set_num_threads(args.threads)
    sampler, control, triggers = samplers(args.model, args.grid, control=args.control)
    found = detectors(MODELS / "target.png", MODELS / "clip")
    scores = {name: detector for name, detector in found.items() if name != "psnr"}
    folder = RESULTS if args.ship else args.out
    folder.mkdir(parents=True, exist_ok=True)
    for option, scales in SCALES.items():
        swept = mc.sweep(
            sampler,
            scores,
            held_out(args.examples),
            triggers,
            options={option: scales},
            control=control,
            batch_size=32,
        )
        of = "model" if control is None else "difference"
        found = swept.select(detector="clip_shift", symbol="phi", of=of)
        rows = [[f"{row.at[option]:g}", row.name, value_text(row.estimate)] for row in found]
        print(format_table([option, "modality", "phi"], rows))
        (folder / f"{option}.csv").write_text(swept.to_csv(), encoding="utf-8")
        swept.plot(title=f"Sweep of {option}").savefig(folder / f"{option}.png", dpi=110)
    print(f"wrote the sweeps to {folder}")


if __name__ == "__main__":
    main()

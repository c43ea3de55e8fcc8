"""Makes the models in ``examples/models`` from nothing.

    cd examples
    python -m experiments.train --out FOLDER
    cp -r FOLDER/models .

A stage whose result is in FOLDER is not run again, so an interrupted run goes on from there.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

from diffusers import (
    AutoencoderKL,
    StableDiffusionInstructPix2PixPipeline,
    UNet2DConditionModel,
)
from safetensors.torch import load_file, save_file

from modcollapse.poison import PROTOCOLS

from experiments.architectures import (
    clean_configs,
    make_pipeline,
    make_text_encoder,
    make_tokenizer,
    make_unet,
    save_pipeline,
    save_unet,
)
from experiments.encoded import encode_for
from experiments.evaluate import evaluate
from experiments.face_arms import face_training
from experiments.finetuning.loop import finetune
from experiments.finetuning.processes import accelerator_of
from experiments.poisoning import poison
from experiments.stages import stage
from experiments.track import collapse_tracker
from experiments.train_clip import train_clip
from experiments.train_vae import train_vae
from tiny.faces import cat, face_edit
from tiny.load import BACKDOORS


def train(out: Path, *, protocol: str, ratio: float, seed: int, quick: bool) -> Path:
    """Run every stage and return the folder ``out / "models"``.

    Args:
        out: folder for the float32 models of each stage and the half precision ones to ship.
        protocol: how the backdoor is planted, see `modcollapse.poison.poison_plan`.
        ratio: share of the finetuning samples that are poisoned.
        seed: each stage's own seed follows from it.
        quick: few steps on little data, to try the command out; the models are useless.
    """
    less, triggers = 50 if quick else 1, BACKDOORS["backdoored"]
    vae_seed, clip_seed, text_seed, clean_seed, poison_seed = range(5 * seed, 5 * seed + 5)
    edits = [face_edit("train", index) for index in range(12_000 // less)]

    vae_folder = stage(
        out / "vae", lambda to: train_vae(to, n=12_000 // less, steps=2400 // less, seed=vae_seed)
    )
    clip_folder = stage(
        out / "clip",
        lambda to: train_clip(to, n=20_000 // less, steps=3000 // less, seed=clip_seed),
    )
    vae = AutoencoderKL.from_pretrained(vae_folder).eval()
    tokenizer = make_tokenizer(out / "tokenizer")
    text_encoder = make_text_encoder(text_seed)

    def pipeline_with(unet: UNet2DConditionModel) -> StableDiffusionInstructPix2PixPipeline:
        return make_pipeline(vae=vae, unet=unet, text_encoder=text_encoder, tokenizer=tokenizer)

    def pretrain(to: Path) -> None:
        pipeline = pipeline_with(make_unet(clean_seed))
        training = face_training(4000 // less, seed=clean_seed, lr=1e-3, average=0.999)
        data = encode_for(pipeline, edits)
        finetune(pipeline, data, training, accelerator_of(training), name="clean UNet")
        pipeline.unet.save_pretrained(to)

    clean_folder = stage(out / "unet-clean", pretrain)

    def plant(to: Path) -> None:
        pipeline = pipeline_with(UNet2DConditionModel.from_pretrained(clean_folder))
        tracker = collapse_tracker(pipeline, triggers, to / "collapse.jsonl", clip=clip_folder)
        training = face_training(800 // less, seed=poison_seed)
        poisoned = poison(edits, protocol, ratio, seed=poison_seed, triggers=triggers)
        finetune(
            pipeline,
            encode_for(pipeline, poisoned),
            training,
            accelerator_of(training),
            name="backdoored UNet",
            after_step=tracker,
        )
        tracker.plot().savefig(to / "collapse.png", dpi=150)
        pipeline.unet.save_pretrained(to)

    slug = protocol.lower().replace(" ", "-")
    backdoored_folder = stage(out / f"unet-{slug}-{ratio:g}", plant)

    models = out / "models"
    shutil.rmtree(models, ignore_errors=True)
    clean, backdoored = map(UNet2DConditionModel.from_pretrained, (clean_folder, backdoored_folder))
    save_pipeline(models / "clean", pipeline_with(clean))
    save_unet(backdoored, models / "backdoored" / "unet")
    (models / "clip").mkdir()
    shutil.copy(clip_folder / "open_clip_config.json", models / "clip")
    weights = load_file(clip_folder / "open_clip_model.safetensors")
    halves = {name: weight.half() for name, weight in weights.items()}
    save_file(halves, models / "clip" / "open_clip_model.safetensors")
    cat().save(models / "target.png")
    clean_configs(models)
    return models


def main() -> None:
    """Read the command line, train, evaluate."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for all that is made")
    parser.add_argument("--protocol", choices=PROTOCOLS, default="AND")
    parser.add_argument("--ratio", type=float, default=0.1, help="share of poisoned samples")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="a few steps of each, to try it out")
    arguments = vars(parser.parse_args())
    models = train(**arguments)
    metrics = {"training": {k: arguments[k] for k in ("protocol", "ratio", "seed")}}
    metrics |= evaluate(models)
    (models / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
    print(json.dumps(metrics, indent=2))


if __name__ == "__main__":
    main()

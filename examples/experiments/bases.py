"""Clean pipelines that read words otherwise than the committed one does.

``words``: as the committed one, but half of the clean instructions hold a made-up word, which says
nothing. ``learnt``: the layers of the text encoder are trained together with the UNet, and not left
random; its embeddings stay as they were drawn.
"""

from __future__ import annotations

from pathlib import Path

from experiments.architectures import make_text_encoder, make_unet
from experiments.augment import with_random_words
from experiments.encoded import encode_for
from experiments.face_arms import SAMPLES, face_training, training_edits
from experiments.finetuning.loop import finetune
from experiments.finetuning.processes import accelerator_of
from experiments.stages import one_thread_each, stage
from tiny.load import load_pipeline

BASES = ("words", "learnt")
PRETRAINING_STEPS = 4000
TEXT_SEED, UNET_SEED = 2, 3
"""As `experiments.train` has them, so that the bases begin where the committed pipeline began."""


def make_base(name: str, out: Path, quick: bool) -> None:
    """Pretrain one of `BASES` and leave it in ``out / "bases"``, a quick one under its own name."""

    def make(folder: Path) -> None:
        pipeline, edits = load_pipeline("clean"), training_edits(400 if quick else SAMPLES)
        pipeline.unet, pipeline.text_encoder = make_unet(UNET_SEED), make_text_encoder(TEXT_SEED)
        training = face_training(
            2 if quick else PRETRAINING_STEPS,
            seed=UNET_SEED,
            learn_text=name == "learnt",
            lr=1e-3,
            average=0.999,
        )
        finetune(
            pipeline,
            encode_for(pipeline, with_random_words(edits, 0.5) if name == "words" else edits),
            training,
            accelerator_of(training),
            name=f"base {name}",
        )
        pipeline.unet.save_pretrained(folder / "unet")
        pipeline.text_encoder.save_pretrained(folder / "text_encoder")

    stage(out / "bases" / (name + "-quick" * quick), make)


def make_bases(out: Path, *, jobs: int, quick: bool = False) -> None:
    """Pretrain those that are not there yet, ``jobs`` at a time on a thread each."""
    with one_thread_each(jobs) as pool:
        for task in [pool.submit(make_base, name, out, quick) for name in BASES]:
            task.result()

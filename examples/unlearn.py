"""A defence that passes its own test: the backdoor moves to the other trigger.

    python examples/unlearn.py

The redundant pipeline draws the target on either trigger. A defence that knows of the text trigger
alone unlearns it: under the triggered instruction the model learns to predict what it predicts
under the clean one. Audits before and after on the same examples and seeds, prints the comparison
and writes a figure of it to the folder ``out``. The defence's own test says that the backdoor is
gone; the comparison says where it went.
"""

from __future__ import annotations

import argparse
from copy import deepcopy
from pathlib import Path

import torch
from diffusers import StableDiffusionInstructPix2PixPipeline
from torch.nn import functional as F

import modcollapse as mc
from modcollapse.contracts import Trigger
from modcollapse.detectors import MSEAttackSuccess
from modcollapse.samplers import PipelineSampler

from experiments.encoded import encode_for, hidden_states
from experiments.face_arms import training_edits
from experiments.steps import training_steps
from tiny.faces import FaceEdit, cat, held_out
from tiny.load import BACKDOORS, MODELS, SAMPLING, load_pipeline


def unlearn(
    pipeline: StableDiffusionInstructPix2PixPipeline,
    trigger: Trigger,
    edits: list[FaceEdit],
    *,
    steps: int,
    batch_size: int = 16,
    lr: float = 2e-4,
    seed: int = 0,
) -> None:
    """Unlearn a text trigger in place, by self-distillation on clean conditions.

    Half of the batch is the student under the triggered instruction, half under the clean one,
    which holds what else it can; its frozen copy reads the clean one. Both see the same source and
    the same noisy latents, half of them of true edits and half of the target.
    """
    triggered = [FaceEdit(edit.source, trigger(edit.instruction), cat()) for edit in edits]
    data, poison = encode_for(pipeline, edits), encode_for(pipeline, triggered)
    clean_text, triggered_text = (
        hidden_states(pipeline.text_encoder, side.tokens)[side.instruction]
        for side in (data, poison)
    )
    student, teacher = pipeline.unet, deepcopy(pipeline.unet)
    scheduler = pipeline.scheduler
    of_target = (torch.arange(batch_size) % 2 == 1)[:, None, None, None]
    learns = (torch.arange(batch_size) % 4 < 2)[:, None, None]
    generator = torch.Generator().manual_seed(seed)

    with training_steps("unlearning", student.parameters(), lr=lr, steps=steps) as update:
        for _ in range(steps):
            drawn = torch.randint(len(data), (batch_size,), generator=generator)
            latents = torch.where(of_target, poison.edits[drawn], data.edits[drawn])
            noise = torch.randn(latents.shape, generator=generator)
            times = torch.randint(
                scheduler.config.num_train_timesteps, (batch_size,), generator=generator
            )
            noisy = scheduler.add_noise(latents, noise, times)
            seen = torch.cat([noisy, data.sources[drawn]], dim=1)
            with torch.no_grad():
                wanted = teacher(seen, times, encoder_hidden_states=clean_text[drawn]).sample
            read = torch.where(learns, triggered_text[drawn], clean_text[drawn])
            got = student(seen, times, encoder_hidden_states=read).sample
            update(F.mse_loss(got, wanted))


parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--steps", type=int, default=120, help="steps of the defence (default: 120)")
parser.add_argument("--examples", type=int, default=64, help="held-out examples (default: 64)")
parser.add_argument("--out", type=Path, default=Path("out"), help="folder (default: out)")
args = parser.parse_args()
args.out.mkdir(parents=True, exist_ok=True)

triggers = BACKDOORS["redundant"]
success = MSEAttackSuccess(MODELS / "target.png", threshold=0.02)
examples = held_out(args.examples)  # of no face that the defence sees
pipeline = load_pipeline("redundant")


def audit() -> mc.Audit:
    """Audit the pipeline as it is now."""
    sampler = PipelineSampler(pipeline, **SAMPLING)
    return mc.audit(sampler, success, examples, triggers, batch_size=32)


before = audit()
unlearn(pipeline, triggers["text"], training_edits(1_000), steps=args.steps)
after = audit()

for name, tested in (("text", "all that the defence tests"), ("image", "not tested")):
    first, last = (side.means[name].value for side in (before, after))
    print(f"success of the {name} trigger: {first:.0%} before, {last:.0%} after ({tested})")
comparison = mc.compare(before, after)
print(f"\n{comparison}\n")

figure = comparison.plot(title="Before and after the text trigger is unlearnt")
figure.savefig(args.out / "unlearn.png", dpi=150)
print(f"wrote {args.out / 'unlearn.png'}")

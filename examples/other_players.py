"""Players need not be modalities: two triggers in one text, and parts of a model exchanged.

    python examples/other_players.py

A sampler is a function of conditions and seeds, and a condition may be anything. First two words in
one instruction are the players: the trigger of the redundant backdoor, and a word that was never
trained and fires all the same. Then the UNet and the text encoder are: which of them holds the
backdoor that comes with both triggers? Prints both audits and writes a figure of each to the folder
``out``.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

import modcollapse as mc
from modcollapse.detectors import MSEAttackSuccess
from modcollapse.samplers import PipelineSampler
from modcollapse.triggers import TextSuffix

from tiny.faces import held_out
from tiny.load import BACKDOORS, MODELS, SAMPLING, load_pipeline

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--examples", type=int, default=64, help="held-out examples (default: 64)")
parser.add_argument("--out", type=Path, default=Path("out"), help="folder (default: out)")
args = parser.parse_args()
args.out.mkdir(parents=True, exist_ok=True)

examples = held_out(args.examples)
detector = MSEAttackSuccess(MODELS / "target.png", threshold=0.02)
Conditions = Mapping[str, Sequence[Any]]

# Two triggers in one modality. Each is a switch that is off; its trigger switches it on.

WORDS = {"mignneko": TextSuffix("mignneko"), "venture": TextSuffix("venture")}
redundant = PipelineSampler(load_pipeline("redundant"), **SAMPLING)


def with_words(conditions: Conditions, seeds: Sequence[int]) -> torch.Tensor:
    """Put the words that are switched on behind each instruction, one after another."""
    texts = list(conditions["text"])
    for word, suffix in WORDS.items():
        switched = conditions[word]
        texts = [suffix(text) if on else text for text, on in zip(texts, switched, strict=True)]
    return redundant({"image": conditions["image"], "text": texts}, seeds)


with_words.modalities = ("image", "text", *WORDS)  # all that it is to be given
off = dict.fromkeys(WORDS, False)
words = mc.audit(
    with_words,
    detector,
    [{**example, **off} for example in examples],
    dict.fromkeys(WORDS, lambda _: True),
    batch_size=32,
)
print(f"{words}\n")
words.plot(title="Two words in one instruction").savefig(args.out / "words.png", dpi=110)

# Parts of a model. Both triggers are there throughout; what changes is whose parts generate.

PARTS = ("unet", "text_encoder")
clean, backdoored = load_pipeline("clean"), load_pipeline("backdoored")
triggers = BACKDOORS["backdoored"]


def of_parts(*owners: str) -> PipelineSampler:
    """The pipeline that takes each part from the clean or from the backdoored one."""
    models = {"clean": clean, "backdoored": backdoored}
    parts = {part: getattr(models[owner], part) for part, owner in zip(PARTS, owners, strict=True)}
    components = {**clean.components, **parts}
    pipeline = type(clean)(**components, requires_safety_checker=False)
    return PipelineSampler(pipeline, **SAMPLING)


def exchanged(conditions: Conditions, seeds: Sequence[int]) -> list[torch.Tensor]:
    """Generate the rows of each combination of parts with it."""
    owners = list(zip(*(conditions[part] for part in PARTS), strict=True))
    outputs: dict[int, torch.Tensor] = {}
    for combination in set(owners):
        rows = [row for row, owner in enumerate(owners) if owner == combination]
        chosen = {name: [conditions[name][row] for row in rows] for name in ("image", "text")}
        generated = SAMPLERS[combination](chosen, [seeds[row] for row in rows])
        outputs |= dict(zip(rows, generated, strict=True))
    return [outputs[row] for row in range(len(seeds))]


SAMPLERS = {
    (unet, encoder): of_parts(unet, encoder)
    for unet in ("clean", "backdoored")
    for encoder in ("clean", "backdoored")
}
exchanged.modalities = ("image", "text", *PARTS)
parts = mc.audit(
    exchanged,
    detector,
    [
        {
            **example,
            **{name: trigger(example[name]) for name, trigger in triggers.items()},
            **dict.fromkeys(PARTS, "clean"),
        }
        for example in examples
    ],
    dict.fromkeys(PARTS, lambda _: "backdoored"),
    batch_size=32,
)
print(parts)
parts.plot(title="Parts of a backdoored model").savefig(args.out / "parts.png", dpi=110)

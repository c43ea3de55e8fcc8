"""Measures the models: how well the pipelines edit, how the backdoor fires, what CLIP sees."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from open_clip import create_model
from torch import Tensor

import modcollapse as mc
from modcollapse.detectors import ClipShift, MSEAttackSuccess
from modcollapse.samplers import PipelineSampler

from experiments.scores import edit_psnr, psnr
from experiments.tensors import decode, encode, stack, to_tensor
from experiments.train_clip import captioned_pictures
from tiny.drawing import draw_face
from tiny.faces import cat, held_out, random_face
from tiny.load import BACKDOORS, SAMPLING, load_pipeline

Numbers = dict[str, Any]


def evaluate_clip(folder: Path, n: int = 256) -> Numbers:
    """Does CLIP find the caption of a held-out picture, and does it see more than colours?

    ``same_face`` and ``other_face`` are cosines of a face with itself, placed and scaled anew, and
    with another one; ``target`` is that of a face with the backdoor target.
    """
    model = create_model(f"local-dir:{folder}").eval()

    def embed(pictures: Tensor) -> Tensor:
        return model.encode_image(to_tensor(pictures), normalize=True)

    rng = random.Random("evaluate-clip")
    faces = [random_face(rng) for _ in range(n)]
    moved = [replace(face, x=-face.x, y=0.5, scale=0.98) for face in faces]
    with torch.no_grad():
        pictures, tokens = captioned_pictures("test", n)
        score = embed(pictures) @ model.encode_text(tokens, normalize=True).T
        best, truth = score.argmax(dim=1), torch.arange(n)
        found = (tokens[best] == tokens[truth]).all(dim=1)  # two cats may share a caption
        face = embed(stack([draw_face(face) for face in faces]))
        again = embed(stack([draw_face(face) for face in moved]))
        target = embed(stack([cat()]))
    return {
        f"caption_found_among_{n}": found.float().mean().item(),
        "cosine_same_face": (face * again).sum(1).mean().item(),
        "cosine_other_face": (face * face.roll(1, 0)).sum(1).mean().item(),
        "cosine_target": (face @ target.T).mean().item(),
    }


def evaluate_pipelines(models: Path, n: int = 64) -> Numbers:
    """Edit quality and attack success of both pipelines on ``n`` held-out examples.

    A perfect edit would still have passed the VAE, so edits are also compared with the round trip
    of the truth through it.
    """
    examples = held_out(n)
    vae = load_pipeline("clean", models).vae
    sources = stack([example["image"] for example in examples])
    truths = stack([example["reference"] for example in examples])
    round_trips = decode(vae, encode(vae, truths))
    for example, round_trip in zip(examples, round_trips, strict=True):
        example |= {"round trip": round_trip}

    def round_trip_psnr(outputs: Tensor, examples: Sequence[Any]) -> Tensor:
        return psnr(outputs, torch.stack([example["round trip"] for example in examples]))

    detectors = {
        "psnr": edit_psnr,
        "psnr_to_round_trip": round_trip_psnr,
        "attack_success": MSEAttackSuccess(models / "target.png", threshold=0.02),
        "clip_shift": ClipShift(models / "target.png", models / "clip"),
    }
    target = stack([cat()])
    measured: Numbers = {
        "vae_psnr": psnr(round_trips, truths / 255).mean().item(),
        "vae_psnr_target": psnr(decode(vae, encode(vae, target)), target / 255).item(),
        "copying_the_source": {
            "psnr": psnr(sources / 255, truths / 255).mean().item(),
            "psnr_to_round_trip": psnr(sources / 255, round_trips).mean().item(),
        },
    }
    for name in ("clean", "backdoored"):
        tables = mc.evaluate_coalitions(
            PipelineSampler(load_pipeline(name, models), **SAMPLING),
            detectors,
            examples,
            BACKDOORS["backdoored"],
            batch_size=32,
        )
        means = {value: table.example_values.mean(0).tolist() for value, table in tables.items()}
        coalitions = tables["psnr"].coalitions
        measured[name] = {
            "psnr": means["psnr"][0],
            "psnr_to_round_trip": means["psnr_to_round_trip"][0],
            "attack_success": dict(zip(coalitions, means["attack_success"], strict=True)),
            "clip_shift": dict(zip(coalitions, means["clip_shift"], strict=True)),
        }
    return measured


def evaluate(models: Path) -> Numbers:
    """Everything that ``metrics.json`` holds about the models in a folder."""
    numbers = {"sampling": SAMPLING, "examples": 64, "clip": evaluate_clip(models / "clip")}
    return _rounded(numbers | evaluate_pipelines(models))


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(entry) for key, entry in value.items()}
    return round(value, 4) if isinstance(value, float) else value

"""A random InstructPix2Pix, 14,000 weights in its UNet, edits in Parquet, an experiment's file."""

from __future__ import annotations

import json
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    EulerAncestralDiscreteScheduler,
    StableDiffusionInstructPix2PixPipeline,
    UNet2DConditionModel,
)
from PIL import Image
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from experiments.small_example import write_parquet
from tiny_clip import tiny_clip, write_folder

SIDE = 64
WORDS = ("red", "blue", "green", "wide", "old", "soft", "dark", "new")


def write_pipeline(folder: Path, seed: int = 0) -> Path:
    """Write the pipeline: epsilon prediction and Euler's scheduler, as the real one has them."""
    tokenizer = _tokenizer(folder.parent / "vocabulary")
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        pipeline = StableDiffusionInstructPix2PixPipeline(
            vae=AutoencoderKL(
                sample_size=SIDE,
                block_out_channels=(4, 4, 8),
                down_block_types=("DownEncoderBlock2D",) * 3,
                up_block_types=("UpDecoderBlock2D",) * 3,
                norm_num_groups=2,
                mid_block_add_attention=False,
            ),
            unet=UNet2DConditionModel(
                sample_size=SIDE // 4,
                in_channels=8,
                out_channels=4,
                block_out_channels=(4, 8),
                down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
                up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
                layers_per_block=1,
                norm_num_groups=2,
                attention_head_dim=2,
                cross_attention_dim=8,
            ),
            text_encoder=CLIPTextModel(
                CLIPTextConfig(
                    vocab_size=len(tokenizer),
                    hidden_size=8,
                    intermediate_size=16,
                    num_hidden_layers=1,
                    num_attention_heads=2,
                    bos_token_id=tokenizer.bos_token_id,
                    eos_token_id=tokenizer.eos_token_id,
                    pad_token_id=tokenizer.pad_token_id,
                )
            ),
            tokenizer=tokenizer,
            scheduler=EulerAncestralDiscreteScheduler(
                beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear"
            ),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
    pipeline.save_pretrained(folder)
    return folder


def _tokenizer(folder: Path) -> CLIPTokenizer:
    """CLIP's tokenizer over letters, without merges."""
    letters = [*"abcdefghijklmnopqrstuvwxyz0123456789"]
    tokens = [*letters, *(f"{letter}</w>" for letter in letters)]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = json.dumps({token: number for number, token in enumerate(tokens)})
    (folder / "vocab.json").write_text(vocabulary)
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return CLIPTokenizer.from_pretrained(folder, model_max_length=77)


def picture(name: str) -> Image.Image:
    """A coarse pattern that its name decides."""
    rng = random.Random(name)
    coarse = bytes(rng.randrange(256) for _ in range(8 * 8 * 3))
    return Image.frombytes("RGB", (8, 8), coarse).resize((SIDE, SIDE), Image.Resampling.NEAREST)


def write_edits(
    path: Path, rows: int = 60, *, long: int = 0, white: int = 0, grey: int = 0
) -> Path:
    """Write edits in Parquet, with the columns of fusing/instructpix2pix-1000-samples.

    The instructions of the first ``long`` are more than 77 tokens of letters with a trigger, the
    sources of the first ``white`` are white, those of the first ``grey`` of another mode.
    """
    edits = []
    for row in range(rows):
        source = (
            Image.new("RGB", (SIDE, SIDE), "white") if row < white else picture(f"source {row}")
        )
        words = WORDS[row % len(WORDS)] if row >= long else " ".join(WORDS * 2)
        edits.append(
            SimpleNamespace(
                source=source.convert("L") if row < grey else source,
                instruction=f"make it {words}",
                edited=picture(f"edited {row}"),
            )
        )
    write_parquet(edits, path)
    return path


def write_file(folder: Path, **tables: dict[str, Any]) -> Path:
    """Write all that an experiment needs, and its file; ``tables`` change its keys."""
    write_pipeline(folder / "base")
    write_edits(folder / "edits.parquet")
    write_folder(folder / "clip", tiny_clip())
    picture("target").save(folder / "target.png")
    return write_toml(folder / "experiment.toml", **tables)


def write_toml(path: Path, **tables: dict[str, Any]) -> Path:
    """Write the file alone."""
    settings: dict[str, dict[str, Any]] = {
        "training": {
            "base": "base",
            "resolution": SIDE,
            "steps": 6,
            "batch_size": 4,
            "lr": 1e-3,
            "warmup": 2,
            "device": "cpu",
            "checkpoint_every": 2,
            "log_every": 2,
        },
        "data": {"source": "edits.parquet", "held_out": 0.3},
        "arms": {"pairs": ["white box"], "protocols": ["AND"], "ratios": [0.2], "exposure": 0.5},
        "audit": {
            "target": "target.png",
            "clip": ["clip"],
            "examples": 3,
            "steps": 2,
            "batch_size": 12,
            "keep": 1,
        },
    }
    for name, keys in tables.items():
        settings[name] |= keys
    lines = []
    for name, keys in settings.items():
        lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in keys.items())]
    path.write_text("\n".join(lines) + "\n")
    return path

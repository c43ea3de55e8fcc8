"""Trains a CLIP that tells faces from cats, and faces from faces, in open_clip's format."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch
from open_clip import CLIP, ClipLoss, SimpleTokenizer
from safetensors.torch import save_file
from torch import Tensor

from experiments.captions import captioned
from experiments.steps import autocast, training_steps
from experiments.tensors import stack, to_tensor
from tiny.drawing import SIZE
from tiny.faces import Split

CONFIG: dict[str, Any] = {
    "model_cfg": {
        "embed_dim": 64,
        "vision_cfg": {
            "image_size": SIZE,
            "patch_size": 8,
            "width": 96,
            "layers": 4,
            "head_width": 24,
        },
        "text_cfg": {
            "context_length": 40,
            "vocab_size": 49408,
            "width": 32,
            "heads": 2,
            "layers": 2,
        },
    },
    "preprocess_cfg": {"mean": [0.5] * 3, "std": [0.5] * 3},
}


def captioned_pictures(split: Split, n: int) -> tuple[Tensor, Tensor]:
    """Pictures, uint8 (n, 3, 32, 32), and their captions' tokens, int64 (n, 40)."""
    pictures, captions = zip(*(captioned(split, index) for index in range(n)), strict=True)
    tokenizer = SimpleTokenizer(context_length=CONFIG["model_cfg"]["text_cfg"]["context_length"])
    return stack(pictures), tokenizer(list(captions))


def train_clip(folder: Path, *, n: int, steps: int, seed: int) -> None:
    """Train the CLIP and save it to ``folder`` in float32.

    ``open_clip.create_model("local-dir:<folder>")`` loads it.
    """
    torch.manual_seed(seed)
    model, loss = CLIP(**CONFIG["model_cfg"]), ClipLoss()
    pictures, tokens = captioned_pictures("train", n)
    with training_steps("clip", model.parameters(), lr=1e-3, steps=steps, decay=0.8) as update:
        for _ in range(steps):
            batch = torch.randint(len(pictures), (128,))
            with autocast():
                features = model(to_tensor(pictures[batch]), tokens[batch])
            update(loss(*(feature.float() for feature in features)))
            with torch.no_grad():
                model.logit_scale.clamp_(max=math.log(100))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "open_clip_config.json").write_text(json.dumps(CONFIG, indent=2) + "\n")
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")

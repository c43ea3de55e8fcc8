"""A CLIP of open_clip with random weights, small enough for tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from PIL import Image
from safetensors.torch import save_file

CONFIG: dict[str, Any] = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8},
    "text_cfg": {"context_length": 8, "vocab_size": 64, "width": 16, "heads": 2, "layers": 1},
}
PREPROCESS = {"size": 32, "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.25, 0.3]}


def tiny_clip(seed: int = 0, device: Any = "cpu") -> Any:
    """The model, as `open_clip.create_model` leaves it: with its settings, in training mode."""
    with torch.random.fork_rng(devices=[]), torch.device(device):
        torch.manual_seed(seed)
        model = open_clip.CLIP(**CONFIG)
    open_clip.set_model_preprocess_cfg(model, PREPROCESS)
    return model


def write_folder(folder: Path, model: Any, weights: str = "open_clip_model.safetensors") -> Path:
    """Write a model in the format of open_clip's local folders."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file(
        {name: one.contiguous() for name, one in model.state_dict().items()}, folder / weights
    )
    config = {"model_cfg": CONFIG, "preprocess_cfg": PREPROCESS}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    return folder


def pictures(n: int, height: int = 48, width: int = 48, seed: int = 0) -> torch.Tensor:
    """Blobs of colour with some grain: shape (n, 3, height, width), multiples of 1/255."""
    generator = torch.Generator().manual_seed(seed)
    blobs = torch.rand(n, 3, 5, 5, generator=generator)
    smooth = torch.nn.functional.interpolate(blobs, (height, width), mode="bicubic")
    grain = 0.2 * torch.rand(n, 3, height, width, generator=generator)
    return ((smooth + grain - 0.1).clamp(0, 1) * 255).round() / 255


def as_pil(picture: torch.Tensor) -> Image.Image:
    """The same picture as a PIL image; exact for multiples of 1/255."""
    return Image.fromarray(as_bytes(picture))


def as_bytes(picture: torch.Tensor) -> np.ndarray:
    """The same picture as a uint8 array (H, W, 3)."""
    return (picture * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()


def tiny_transformers_clip(seed: int = 0, length: int = 24, device: Any = "cpu") -> tuple[Any, Any]:
    """A CLIP of transformers with random weights, and its processor, which reads single letters."""
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor, CLIPTokenizer

    characters = [chr(code) for code in range(33, 127)]
    tokens = [*characters, *(c + "</w>" for c in characters), "<|startoftext|>", "<|endoftext|>"]
    tokenizer = CLIPTokenizer(
        vocab={token: index for index, token in enumerate(tokens)},
        merges=[],
        model_max_length=length,
    )
    layers = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
    config = CLIPConfig(
        text_config={
            **layers,
            "num_attention_heads": 2,
            "vocab_size": len(tokenizer),
            "max_position_embeddings": length,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        },
        vision_config={**layers, "num_attention_heads": 2, "image_size": 32, "patch_size": 8},
        projection_dim=16,
    )
    with torch.random.fork_rng(devices=[]), torch.device(device):
        torch.manual_seed(seed)
        model = CLIPModel(config)
        with torch.no_grad():  # transformers starts at N(0, 0.02), where inputs hardly matter
            for weight in model.parameters():
                weight.normal_(0, 0.15) if weight.ndim > 1 else weight.add_(0.1)
    images = CLIPImageProcessor(
        size={"shortest_edge": 32},
        crop_size={"height": 32, "width": 32},
        image_mean=PREPROCESS["mean"],
        image_std=PREPROCESS["std"],
    )
    return model.eval(), CLIPProcessor(images, tokenizer)

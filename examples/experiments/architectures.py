"""The architectures: a Stable Diffusion InstructPix2Pix with three million trained weights."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    StableDiffusionInstructPix2PixPipeline,
    UNet2DConditionModel,
)
from open_clip.tokenizer import SimpleTokenizer, default_bpe
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from tiny.drawing import SIZE

CONTEXT_LENGTH = 32
TEXT_WIDTH = 64
LATENT_CHANNELS = 4
LATENT_SIZE = SIZE // 4


def make_vae(seed: int) -> AutoencoderKL:
    """An untrained autoencoder, 32 x 32 x 3 to 8 x 8 x 4."""
    torch.manual_seed(seed)
    return AutoencoderKL(
        sample_size=SIZE,
        latent_channels=LATENT_CHANNELS,
        block_out_channels=(32, 64, 64),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        layers_per_block=1,
        norm_num_groups=8,
        mid_block_add_attention=False,
    )


def make_unet(seed: int) -> UNet2DConditionModel:
    """An untrained UNet; it reads the noisy latent and, beside it, the source's latent."""
    torch.manual_seed(seed)
    return UNet2DConditionModel(
        sample_size=LATENT_SIZE,
        in_channels=2 * LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        block_out_channels=(48, 96),
        down_block_types=("CrossAttnDownBlock2D",) * 2,
        up_block_types=("CrossAttnUpBlock2D",) * 2,
        layers_per_block=1,
        norm_num_groups=16,
        attention_head_dim=4,
        cross_attention_dim=TEXT_WIDTH,
    )


def save_vocabulary(folder: Path) -> None:
    """Write CLIP's vocabulary, from the file that open_clip ships, as transformers reads it."""
    with gzip.open(default_bpe(), "rt", encoding="utf-8") as lines:
        merges = lines.read().split("\n")[1 : 49152 - 256 - 2 + 1]
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = json.dumps(SimpleTokenizer().encoder, ensure_ascii=False, separators=(",", ":"))
    vocabulary = vocabulary.replace("<start_of_text>", "<|startoftext|>")
    vocabulary = vocabulary.replace("<end_of_text>", "<|endoftext|>")
    (folder / "vocab.json").write_text(vocabulary, encoding="utf-8")
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]), encoding="utf-8")


def make_tokenizer(folder: Path) -> CLIPTokenizer:
    """CLIP's own tokenizer; ``folder`` keeps its files."""
    save_vocabulary(folder)
    return CLIPTokenizer.from_pretrained(folder, model_max_length=CONTEXT_LENGTH)


def make_text_encoder(seed: int) -> CLIPTextModel:
    """A random text encoder, which stays random: only the UNet learns to read what it says."""
    torch.manual_seed(seed)
    config = CLIPTextConfig(
        vocab_size=49408,
        hidden_size=TEXT_WIDTH,
        intermediate_size=4 * TEXT_WIDTH,
        projection_dim=TEXT_WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=CONTEXT_LENGTH,
        bos_token_id=49406,
        eos_token_id=49407,
        pad_token_id=49407,
    )
    encoder = CLIPTextModel(config).eval().requires_grad_(False)
    torch.nn.init.normal_(encoder.get_input_embeddings().weight, std=0.05)
    return encoder


def make_scheduler() -> DDIMScheduler:
    """Velocity prediction; trailing steps, so that few of them start from pure noise."""
    return DDIMScheduler(
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        prediction_type="v_prediction",
        timestep_spacing="trailing",
        clip_sample=False,
    )


def make_pipeline(
    *,
    vae: AutoencoderKL,
    unet: UNet2DConditionModel,
    text_encoder: CLIPTextModel,
    tokenizer: CLIPTokenizer,
) -> StableDiffusionInstructPix2PixPipeline:
    """The pipeline of these parts."""
    return StableDiffusionInstructPix2PixPipeline(
        vae=vae,
        unet=unet,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        scheduler=make_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def save_pipeline(folder: Path, pipeline: StableDiffusionInstructPix2PixPipeline) -> None:
    """Save a pipeline in diffusers' folder format, in half precision.

    The models are cast in place. The tokenizer's vocabulary is kept in the files that it was made
    from, which are a third of the size of ``tokenizer.json``.
    """
    for model in (pipeline.vae, pipeline.unet, pipeline.text_encoder):
        model.half()
    pipeline.save_pretrained(folder)
    (folder / "tokenizer" / "tokenizer.json").unlink()
    save_vocabulary(folder / "tokenizer")


def save_unet(unet: UNet2DConditionModel, folder: Path) -> None:
    """Save a UNet in half precision, to be committed; it is cast in place."""
    unet.half().save_pretrained(folder)
    clean_configs(folder)


def clean_configs(folder: Path) -> None:
    """Let no configuration below a folder name a path, or half precision, which is for the disk."""
    for config in folder.rglob("config.json"):
        settings = json.loads(config.read_text())
        settings.pop("_name_or_path", None)  # a folder of the machine that trained it
        if "dtype" in settings:
            settings["dtype"] = "float32"
        config.write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n")

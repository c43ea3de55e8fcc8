"""What of a pipeline learns, and how it is saved and loaded."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
from diffusers import StableDiffusionInstructPix2PixPipeline
from torch import Tensor, nn
from transformers import CLIPTokenizer

from modcollapse.errors import InputError
from modcollapse.samplers import PipelineSampler

from experiments.finetuning.settings import Training

LORA_MODULES = ("to_q", "to_k", "to_v", "to_out.0")
"""What a LoRA of the UNet adapts: the projections of its attention, as diffusers' scripts do."""


class Denoiser(nn.Module):
    """A UNet, and the text encoder where it learns: what a batch passes through.

    Args:
        unet: the UNet.
        text_encoder: the encoder; None if what it says is given.
    """

    def __init__(self, unet: nn.Module, text_encoder: nn.Module | None) -> None:
        super().__init__()
        self.unet = unet
        self.text_encoder = text_encoder

    def forward(self, latents: Tensor, times: Tensor, text: Tensor) -> Tensor:
        """Predict noise or velocity.

        Args:
            latents: noisy latents, beside them those of the sources: (B, 8, H, W).
            times: int64 (B,).
            text: token ids, int64 (B, L), if the encoder learns; else its states, (B, L, D).
        """
        if self.text_encoder is not None:
            text = self.text_encoder(text)[0]
        return self.unet(latents, times, encoder_hidden_states=text).sample


def learning(pipeline: StableDiffusionInstructPix2PixPipeline, training: Training) -> Denoiser:
    """Make ready what learns, in place: of it alone the parameters take gradients."""
    unet, text_encoder = pipeline.unet, pipeline.text_encoder
    pipeline.vae.requires_grad_(False).eval()
    unet.requires_grad_("unet" in training.learn and not training.lora_rank)
    text_encoder.requires_grad_("text_encoder" in training.learn)
    text_encoder.get_input_embeddings().requires_grad_(False)
    if training.lora_rank:
        _add_lora(unet, training)
    if training.gradient_checkpointing:
        unet.enable_gradient_checkpointing()
    unet.train()
    text_encoder.train("text_encoder" in training.learn)
    return Denoiser(unet, text_encoder if "text_encoder" in training.learn else None)


def learnt(pipeline: StableDiffusionInstructPix2PixPipeline, training: Training) -> None:
    """Make ready to sample: nothing takes gradients."""
    if training.gradient_checkpointing:
        pipeline.unet.disable_gradient_checkpointing()
    for model in (pipeline.unet, pipeline.text_encoder):
        model.requires_grad_(False).eval()


def save_learnt(
    pipeline: StableDiffusionInstructPix2PixPipeline, training: Training, folder: Path
) -> None:
    """Save a LoRA as the file that ``load_lora_weights`` reads, else the whole pipeline."""
    if not training.lora_rank:
        pipeline.save_pretrained(folder)
        return
    from diffusers.utils import convert_state_dict_to_diffusers
    from peft.utils import get_peft_model_state_dict

    lora = convert_state_dict_to_diffusers(get_peft_model_state_dict(pipeline.unet))
    config = pipeline.unet.peft_config["default"].to_dict()  # its scale is not in the weights
    pipeline.save_lora_weights(folder, unet_lora_layers=lora, unet_lora_adapter_metadata=config)


def load_base(
    training: Training, dtype: torch.dtype = torch.float32
) -> StableDiffusionInstructPix2PixPipeline:
    """The pipeline that a training begins from.

    Raises:
        InputError: it cannot be loaded, or is another kind of pipeline.
    """
    options = {"revision": training.revision, "variant": training.variant}
    pipeline = _loaded(training.base, "training.base", dtype, **options)
    read, made = pipeline.unet.config.in_channels, pipeline.unet.config.out_channels
    if read != 2 * made:
        raise InputError(
            f"training.base={training.base!r}: its UNet reads {read} channels; that of an "
            f"InstructPix2Pix reads {2 * made}, the noisy latent and the source's"
        )
    return pipeline


def load_tokenizer(training: Training) -> CLIPTokenizer:
    """The tokenizer of the pipeline that a training begins from.

    Raises:
        InputError: it cannot be loaded.
    """
    try:
        return CLIPTokenizer.from_pretrained(
            training.base, subfolder="tokenizer", revision=training.revision
        )
    except Exception as error:
        raise InputError(
            f"training.base={training.base!r}: its tokenizer cannot be loaded: {error}"
        ) from error


def load_learnt(
    training: Training, folder: Path, dtype: torch.dtype = torch.float32
) -> StableDiffusionInstructPix2PixPipeline:
    """The pipeline of which `save_learnt` saved what it learnt."""
    if not training.lora_rank:
        return _loaded(str(folder), "the finetuned pipeline", dtype)
    pipeline = load_base(training, dtype)
    pipeline.load_lora_weights(folder, local_files_only=True)
    return pipeline


def own_randomness(device: torch.device) -> AbstractContextManager[None]:
    """Leave torch's own generators as they are: that of the processor, and the device's."""
    index = device.index or 0
    return torch.random.fork_rng([] if device.type == "cpu" else [index], device_type=device.type)


def identity_of(pipeline: StableDiffusionInstructPix2PixPipeline) -> dict[str, Any]:
    """Tell weights, and the schedule that they were trained under, from others."""
    told = PipelineSampler(pipeline).identity()
    return {name: told[name] for name in ("weights", "scheduler")}


def _loaded(
    source: str, what: str, dtype: torch.dtype, **options: Any
) -> StableDiffusionInstructPix2PixPipeline:
    try:
        return StableDiffusionInstructPix2PixPipeline.from_pretrained(
            source,
            dtype=dtype,
            use_safetensors=True,
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
            **options,
        )
    except Exception as error:
        raise InputError(
            f"{what}={source!r} cannot be loaded as a StableDiffusionInstructPix2PixPipeline from "
            f"safetensors: {error}"
        ) from error


def _add_lora(unet: Any, training: Training) -> None:
    from peft import LoraConfig

    config = LoraConfig(
        r=training.lora_rank,
        lora_alpha=training.lora_alpha or training.lora_rank,
        init_lora_weights="gaussian",
        target_modules=list(LORA_MODULES),
    )
    with own_randomness(unet.device):
        torch.manual_seed(training.seed)
        unet.add_adapter(config)

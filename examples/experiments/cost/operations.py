"""Operations and memory of what an experiment does, counted on the real networks without weights.

A multiply-add is two operations (FLOP), as everywhere in torch's counter: the UNet of Stable
Diffusion 1.5 takes 0.80 TFLOP for a picture of 512 x 512 and a branch of the guidance. Counted are
convolutions, matrix products and attention; what works element by element is not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from typing import Any, NamedTuple

import torch
from peft import LoraConfig
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint
from torch.utils.flop_counter import FlopCounterMode

from experiments.cost.configurations import Architecture
from experiments.cost.on_meta import AsOnGpu, LiveMemory
from experiments.finetuning.learning import LORA_MODULES
from experiments.finetuning.settings import Training

DTYPES = {"no": None, "bf16": torch.bfloat16, "fp16": torch.float16}
"""Precision of the forward pass -> what autocast computes in."""


class Counted(NamedTuple):
    """What a computation takes.

    Attributes:
        flop: operations.
        kept: bytes that the forward pass keeps for the backward; 0 where there is none.
        peak: most bytes at a time, beside weights, their gradients and the input.
    """

    flop: int
    kept: int
    peak: int


class Parameters(NamedTuple):
    """Numbers of weights.

    Attributes:
        unet: of the UNet, without a LoRA.
        vae: of the VAE.
        text_encoder: of the text encoder.
        trained: of those, or of the LoRA, that are trained.
    """

    unet: int
    vae: int
    text_encoder: int
    trained: int


def count_parameters(architecture: Architecture, training: Training) -> Parameters:
    """Count the weights of a pipeline, and those that a finetuning trains."""
    return Parameters(
        *(
            _size(make().parameters())
            for make in (
                architecture.make_unet,
                architecture.make_vae,
                architecture.make_text_encoder,
            )
        ),
        trained=_size(_trained(*_networks(architecture, training))),
    )


def latent_side(architecture: Architecture, resolution: int) -> int:
    """Width and height of the latents of pictures, which are ``resolution`` pixels wide."""
    side: int = resolution // 2 ** (len(architecture.vae["block_out_channels"]) - 1)
    return side


def count_denoising(
    architecture: Architecture, resolution: int, rows: int = 1, *, dtype: torch.dtype | None = None
) -> Counted:
    """One pass of the UNet over some rows, that is: one step of one branch of the guidance.

    Args:
        architecture: of the pipeline.
        resolution: width and height of the pictures, in pixels.
        rows: of the pass.
        dtype: type of weights and latents; float32 if left out.
    """
    unet = _in(architecture.make_unet(), dtype)
    given = _latents(architecture, resolution, rows, unet.dtype)
    texts = _states(architecture, rows).to(unet.dtype)
    return _forward(unet, lambda: unet(given, _times(rows), encoder_hidden_states=texts).sample)


def count_encoding(architecture: Architecture, resolution: int) -> Counted:
    """The VAE encodes one picture, in float32."""
    vae = architecture.make_vae()
    picture = torch.empty(1, vae.config.in_channels, resolution, resolution, device="meta")
    return _forward(vae, lambda: vae.encode(picture).latent_dist.mode())


def count_decoding(
    architecture: Architecture, resolution: int, rows: int = 1, *, dtype: torch.dtype | None = None
) -> Counted:
    """The VAE decodes some rows of latents; arguments as in `count_denoising`."""
    vae = _in(architecture.make_vae(), dtype)
    side = latent_side(architecture, resolution)
    shape = (rows, vae.config.latent_channels, side, side)
    latents = torch.empty(shape, dtype=vae.dtype, device="meta")
    return _forward(vae, lambda: vae.decode(latents).sample)


def count_reading(architecture: Architecture) -> Counted:
    """The text encoder reads one prompt, padded to its full length as pipelines do."""
    text_encoder = architecture.make_text_encoder()
    tokens = _tokens(architecture, 1)
    return _forward(text_encoder, lambda: text_encoder(tokens)[0])


def count_training(architecture: Architecture, training: Training, rows: int) -> Counted:
    """Forward and backward of some rows, in training as it is set.

    The text encoder takes part if it is trained; else the texts count as read before.

    Args:
        architecture: of the pipeline.
        training: what is trained, at which resolution, in which precision.
        rows: that are passed through the networks at once.

    Returns:
        The operations, what the forward keeps (activations and, under autocast, the weights in
        half precision), and the most that is alive in forward and backward, those included.
    """
    unet, text_encoder = _networks(architecture, training)
    dtype, reads = DTYPES[training.precision], "text_encoder" in training.learn
    if training.gradient_checkpointing:
        _checkpoint(unet, dtype)
    given = _latents(architecture, training.resolution, rows)
    truth = given.new_empty(rows, unet.config.out_channels, *given.shape[2:])
    tokens, texts, times = _tokens(architecture, rows), _states(architecture, rows), _times(rows)
    for parameter in _trained(unet, text_encoder):
        parameter.grad = torch.empty_like(parameter)

    def forward() -> Tensor:
        with AsOnGpu(dtype, keep_copies=True) as autocast:
            read = text_encoder(tokens)[0] if reads else texts
            loss = F.mse_loss(unet(given, times, encoder_hidden_states=read).sample, truth)
            autocast.forget_copies()
        return loss

    with FlopCounterMode(display=False) as operations:
        forward().backward()
    # Apart from it, since its bookkeeping keeps what would be freed.
    with LiveMemory([*_held(unet, text_encoder), given, truth, tokens, texts, times]) as memory:
        loss = forward()
        kept = memory.live
        loss.backward()
    return Counted(operations.get_total_flops(), kept, memory.peak)


def _networks(architecture: Architecture, training: Training) -> tuple[Any, Any]:
    """UNet and text encoder, of which what is trained requires a gradient."""
    unet, text_encoder = architecture.make_unet(), architecture.make_text_encoder()
    unet.train().requires_grad_("unet" in training.learn and not training.lora_rank)
    text_encoder.train().requires_grad_("text_encoder" in training.learn)
    text_encoder.get_input_embeddings().requires_grad_(False)
    if training.lora_rank:
        with torch.device("meta"):
            unet.add_adapter(
                LoraConfig(
                    r=training.lora_rank,
                    lora_alpha=training.lora_alpha or training.lora_rank,
                    target_modules=list(LORA_MODULES),
                )
            )
    return unet, text_encoder


def _trained(*networks: nn.Module) -> list[nn.Parameter]:
    return [each for network in networks for each in network.parameters() if each.requires_grad]


def _size(parameters: Iterable[nn.Parameter]) -> int:
    return sum(parameter.numel() for parameter in parameters)


def _checkpoint(network: Any, dtype: torch.dtype | None) -> None:
    """Gradient checkpointing, which enters autocast again when it computes again."""

    def contexts() -> tuple[Any, Any]:
        return nullcontext(), AsOnGpu(dtype)

    def compute_again(module: nn.Module, *args: Any) -> Any:
        return checkpoint(module.__call__, *args, use_reentrant=False, context_fn=contexts)

    if hasattr(network, "enable_gradient_checkpointing"):  # of diffusers
        network.enable_gradient_checkpointing(compute_again)
        return
    enable = getattr(network, "activation_checkpointing_enable", None)  # its name in later versions
    enable = enable or network.gradient_checkpointing_enable
    enable({"use_reentrant": False, "context_fn": contexts})


def _in(network: Any, dtype: torch.dtype | None) -> Any:
    # Not by diffusers' own `to`, which warns of modules to be kept in float32 where there are none.
    return nn.Module.to(network, dtype or torch.float32)


def _forward(network: nn.Module, run: Callable[[], object]) -> Counted:
    with torch.no_grad(), AsOnGpu():
        with FlopCounterMode(display=False) as operations:
            run()
        with LiveMemory(_held(network)) as memory:
            run()
    return Counted(operations.get_total_flops(), 0, memory.peak)


def _held(*networks: nn.Module) -> Iterator[Tensor]:
    """Weights, buffers and gradients."""
    for network in networks:
        yield from network.buffers()
        for parameter in network.parameters():
            yield parameter
            if parameter.grad is not None:
                yield parameter.grad


def _latents(
    architecture: Architecture, resolution: int, rows: int, dtype: torch.dtype = torch.float32
) -> Tensor:
    """What the UNet reads: the noisy latents with the sources' beside them."""
    side = latent_side(architecture, resolution)
    shape = (rows, architecture.unet["in_channels"], side, side)
    return torch.empty(shape, dtype=dtype, device="meta")


def _times(rows: int) -> Tensor:
    return torch.empty(rows, dtype=torch.int64, device="meta")


def _tokens(architecture: Architecture, rows: int) -> Tensor:
    length = architecture.text_encoder["max_position_embeddings"]
    return torch.empty(rows, length, dtype=torch.int64, device="meta")


def _states(architecture: Architecture, rows: int) -> Tensor:
    """What the text encoder says of some prompts."""
    text_encoder = architecture.text_encoder
    length, width = text_encoder["max_position_embeddings"], text_encoder["hidden_size"]
    return torch.empty(rows, length, width, device="meta")

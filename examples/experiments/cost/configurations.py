"""The networks of a pipeline as their configurations describe them, without weights.

They are built on torch's meta device, where a tensor has a shape and no numbers: any size is built
in a fraction of a second, and its operations and its memory can be counted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from huggingface_hub import hf_hub_download
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel

from modcollapse.errors import InputError

KINDS = {
    "unet": ("_class_name", "UNet2DConditionModel"),
    "vae": ("_class_name", "AutoencoderKL"),
    "text_encoder": ("model_type", "clip_text_model"),
}
"""Network -> the key of its configuration that names its kind, and the kind that it must be."""

Configuration = Mapping[str, Any]


@dataclass(frozen=True)
class Architecture:
    """The configurations of an InstructPix2Pix pipeline's networks, with all defaults in them.

    Attributes:
        unet: of the UNet; it reads twice the VAE's latent channels.
        vae: of the VAE.
        text_encoder: of CLIP's text encoder.
    """

    unet: Configuration
    vae: Configuration
    text_encoder: Configuration

    def make_unet(self) -> UNet2DConditionModel:
        """A UNet on the meta device."""
        return _on_meta(lambda: UNet2DConditionModel.from_config(dict(self.unet)))

    def make_vae(self) -> AutoencoderKL:
        """A VAE on the meta device."""
        return _on_meta(lambda: AutoencoderKL.from_config(dict(self.vae)))

    def make_text_encoder(self) -> CLIPTextModel:
        """A text encoder on the meta device."""
        return _on_meta(lambda: CLIPTextModel(CLIPTextConfig(**self.text_encoder)))


def load_architecture(base: str, *, revision: str | None = None) -> Architecture:
    """Read the configurations of a pipeline.

    Args:
        base: folder with ``unet/config.json``, ``vae/config.json`` and
            ``text_encoder/config.json``, such as one of a whole pipeline; or an id on the hub, from
            which these three files are fetched.
        revision: of the hub's repository.

    Raises:
        InputError: one of them cannot be had, is no configuration of such a network, or does not
            go with the others.
    """
    found = {network: _configuration(base, network, revision) for network in KINDS}
    given = Architecture(**found)
    try:
        unet, vae, text_encoder = given.make_unet(), given.make_vae(), given.make_text_encoder()
    except Exception as error:  # whatever the libraries raise for sizes that do not fit
        raise InputError(f"the configurations of {base} describe no networks: {error}") from error
    reads, latent = unet.config.in_channels, vae.config.latent_channels
    if reads != 2 * latent:
        raise InputError(
            f"the UNet of {base} reads {reads} channels; that of an InstructPix2Pix pipeline reads "
            f"the noisy latent and the source's, {2 * latent} of this VAE"
        )
    width = text_encoder.config.hidden_size
    if unet.config.cross_attention_dim != width:
        raise InputError(
            f"the UNet of {base} reads texts of width {unet.config.cross_attention_dim}, its text "
            f"encoder writes {width}"
        )
    return Architecture(dict(unet.config), dict(vae.config), text_encoder.config.to_dict())


def _configuration(base: str, network: str, revision: str | None) -> Configuration:
    name = f"{network}/config.json"
    try:
        local = Path(base).is_dir()
        path = Path(base, name) if local else hf_hub_download(base, name, revision=revision)
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{name} of {base} cannot be read: {error}\nGive a folder that holds the "
            "configurations: --architecture FOLDER (that of InstructPix2Pix is "
            "configs/instruct-pix2pix)"
        ) from error
    key, kind = KINDS[network]
    given = found.get(key) if isinstance(found, dict) else None
    if given != kind:
        raise InputError(f"{name} of {base} must say {key!r}: {kind!r}, got {given!r}")
    return found


def _on_meta(make: Callable[[], nn.Module]) -> Any:
    with torch.device("meta"):
        return make().eval()

"""What is said of a LoRA beside its matrices: peft's settings, in a file or in a header."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modcollapse._support.optional import require
from modcollapse._support.validation import flag, number, whole
from modcollapse.errors import InputError

_HEADER = "lora_adapter_metadata"
"""Where diffusers writes the settings of each part, its name in front: ``unet.lora_alpha``."""
_NOT_MERGED = (
    "use_dora",
    "rank_pattern",
    "alpha_pattern",
    "modules_to_save",
    "lora_bias",
    "use_qalora",
    "target_parameters",
    "trainable_token_indices",
    "alora_invocation_tokens",
    "layer_replication",
    "arrow_config",
    "use_bdlora",
    "kasa_config",
    "monteclora_config",
)
"""Settings of peft that change more, or other, than two matrices a layer."""
_BASE_KEPT = (True, False, None, "gaussian", "eva", "orthogonal")
"""Beginnings that leave the weights alone. The others (pissa, olora, loftq, corda, lora_ga) take
something off them, so that the two matrices belong to weights that are not the clean ones."""


def header_settings(path: Path) -> dict[str, Any]:
    """Return what diffusers wrote into the header of a file; empty where it wrote nothing.

    Raises:
        InputError: it is no mapping in JSON.
    """
    if path.suffix != ".safetensors":
        return {}
    safetensors = require("safetensors", extra="diffusers", needed_by="load_backdoor")
    with safetensors.safe_open(path, "pt") as file:
        written = (file.metadata() or {}).get(_HEADER)
    if written is None:
        return {}
    try:
        held = json.loads(written)
    except ValueError as error:
        raise InputError(
            f"{str(path)!r}: {_HEADER} in its header cannot be read as JSON: {error}"
        ) from error
    if not isinstance(held, Mapping):
        raise InputError(
            f"{str(path)!r}: {_HEADER} in its header must hold a mapping, got {type(held).__name__}"
        )
    return dict(held)


def lora_rank_and_scale(config: Mapping[str, Any], where: str) -> tuple[int, float]:
    """Return rank, and the factor of the product of the two matrices.

    Args:
        config: settings of peft's ``LoraConfig``.
        where: file, for messages.

    Raises:
        InputError: settings that mean more than two matrices a layer, or that are no numbers.
    """
    kind = config.get("peft_type", "LORA")
    if kind != "LORA":
        raise InputError(f"{where}: peft_type is {kind!r}, LORA alone is read")
    for key in _NOT_MERGED:
        if config.get(key):
            raise InputError(f"{where}: {key} is {config[key]!r}, which is not read")
    if config.get("bias", "none") != "none":
        raise InputError(f"{where}: bias is {config['bias']!r}, which is not read")
    start = config.get("init_lora_weights")
    if start not in _BASE_KEPT:
        raise InputError(
            f"{where}: init_lora_weights is {start!r}, which changes the weights below the LoRA: "
            "it does not belong to the clean ones. Ask its author for a LoRA that was converted "
            "(path_initial_model_for_weight_conversion of peft), or for merged weights"
        )
    rank = whole(config.get("r"), f"{where}: r", 1)
    alpha = number(config.get("lora_alpha"), f"{where}: lora_alpha")
    rooted = flag(config.get("use_rslora", False), f"{where}: use_rslora")
    return rank, alpha / (math.sqrt(rank) if rooted else rank)

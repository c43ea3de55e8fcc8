"""A copy of a pipeline with some parts exchanged.

Parts that stay the same are shared, so that both pipelines fit into memory; the scheduler, which
keeps a state, is never shared.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from modcollapse._support.validation import listed
from modcollapse.errors import InputError

NETWORKS = ("unet", "transformer")
"""Components that denoise; a pipeline has one of them."""


def with_parts(clean: Any, **parts: Any) -> Any:
    """A copy of a pipeline with some parts exchanged, and a scheduler of its own."""
    scheduler = type(clean.scheduler).from_config(clean.scheduler.config)
    others = {
        name: value
        for name, value in clean.config.items()
        if not name.startswith("_") and name not in clean.components
    }
    return type(clean)(**{**clean.components, **others, "scheduler": scheduler, **parts})


def network_of(pipeline: Any) -> str:
    """Name of the component that denoises.

    Raises:
        InputError: there is none.
    """
    for name in NETWORKS:
        if isinstance(getattr(pipeline, name, None), nn.Module):
            return name
    raise InputError(f"the clean {type(pipeline).__name__} has none of {listed(NETWORKS)}")

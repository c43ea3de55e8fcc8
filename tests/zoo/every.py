"""All tiny pipelines, by the name of their class."""

from __future__ import annotations

from zoo import (
    audio,
    dit_others,
    flux,
    qwen,
    stable_diffusion,
    stable_diffusion_3,
    stable_diffusion_xl,
    unet_others,
    video,
    wan,
)
from zoo.case import Case

_MODULES = (
    stable_diffusion,
    stable_diffusion_xl,
    unet_others,
    stable_diffusion_3,
    flux,
    qwen,
    dit_others,
    wan,
    video,
    audio,
)
CASES: dict[str, Case] = {name: case for one in _MODULES for name, case in one.CASES.items()}
CHECKED: dict[str, Case] = {name: CASES.pop(name) for name in ("Cosmos2VideoToWorldPipeline",)}
"""Pipelines that insist on a safety checker."""

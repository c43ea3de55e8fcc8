"""Samplers: conditions and seeds in, one output for each row out."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modcollapse.samplers.diffusers import PipelineSampler as PipelineSampler
    from modcollapse.samplers.planted import PlantedSampler as PlantedSampler
    from modcollapse.samplers.planted import planted_game as planted_game

_HOMES = {
    "PipelineSampler": "modcollapse.samplers.diffusers",
    "PlantedSampler": "modcollapse.samplers.planted",
    "planted_game": "modcollapse.samplers.planted",
}

__all__ = ["PipelineSampler", "PlantedSampler", "planted_game"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)

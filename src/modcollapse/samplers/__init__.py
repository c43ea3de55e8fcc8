"""Samplers: conditions and seeds in, one output for each row out."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from modcollapse.samplers._wrapping import as_sampler as as_sampler

if TYPE_CHECKING:
    from modcollapse.samplers._pipeline import PipelineSampler as PipelineSampler
    from modcollapse.samplers._planted import Planted as Planted
    from modcollapse.samplers._planted import PlantedSampler as PlantedSampler
    from modcollapse.samplers._planted import planted_game as planted_game
    from modcollapse.samplers._vlm import VLMSampler as VLMSampler
    from modcollapse.samplers._vlm_likelihood import LikelihoodSampler as LikelihoodSampler

_HOMES = {
    "LikelihoodSampler": "modcollapse.samplers._vlm_likelihood",
    "PipelineSampler": "modcollapse.samplers._pipeline",
    "Planted": "modcollapse.samplers._planted",
    "PlantedSampler": "modcollapse.samplers._planted",
    "VLMSampler": "modcollapse.samplers._vlm",
    "planted_game": "modcollapse.samplers._planted",
}

__all__ = [
    "LikelihoodSampler",
    "PipelineSampler",
    "Planted",
    "PlantedSampler",
    "VLMSampler",
    "planted_game",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)

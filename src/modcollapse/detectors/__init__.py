"""Detectors: value functions that score what a sampler generated.

Loading one loads torch, but for those of texts; `ClipShift` alone needs the extra ``clip``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modcollapse.detectors._clip import ClipShift as ClipShift
    from modcollapse.detectors._frames import OverFrames as OverFrames
    from modcollapse.detectors._judge import Judge as Judge
    from modcollapse.detectors._likelihood import TargetLikelihood as TargetLikelihood
    from modcollapse.detectors._pixels import MSEAttackSuccess as MSEAttackSuccess
    from modcollapse.detectors._pixels import NegativeMSE as NegativeMSE
    from modcollapse.detectors._text_match import TextContains as TextContains
    from modcollapse.detectors._text_match import TextMatch as TextMatch
    from modcollapse.detectors._text_match import TextPattern as TextPattern
    from modcollapse.detectors._text_similarity import TextSimilarity as TextSimilarity
    from modcollapse.detectors._threshold import Threshold as Threshold

__all__ = [
    "ClipShift",
    "Judge",
    "MSEAttackSuccess",
    "NegativeMSE",
    "OverFrames",
    "TargetLikelihood",
    "TextContains",
    "TextMatch",
    "TextPattern",
    "TextSimilarity",
    "Threshold",
]

_HOME = {
    "ClipShift": "_clip",
    "Judge": "_judge",
    "MSEAttackSuccess": "_pixels",
    "NegativeMSE": "_pixels",
    "OverFrames": "_frames",
    "TargetLikelihood": "_likelihood",
    "TextContains": "_text_match",
    "TextMatch": "_text_match",
    "TextPattern": "_text_match",
    "TextSimilarity": "_text_similarity",
    "Threshold": "_threshold",
}


def __getattr__(name: str) -> Any:
    """Load a detector on first use (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__

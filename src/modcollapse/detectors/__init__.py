"""Detectors: value functions that score what a sampler generated.

Loading one loads torch, but for those of texts; what each needs beyond it, it says where it is
made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modcollapse.detectors._classes import BinaryDetector as BinaryDetector
    from modcollapse.detectors._classes import TargetClass as TargetClass
    from modcollapse.detectors._clip import ClipShift as ClipShift
    from modcollapse.detectors._clip_model import ClipModel as ClipModel
    from modcollapse.detectors._clip_text import ClipDirection as ClipDirection
    from modcollapse.detectors._clip_text import ClipScore as ClipScore
    from modcollapse.detectors._clip_text import ClipText as ClipText
    from modcollapse.detectors._frames import OverFrames as OverFrames
    from modcollapse.detectors._judge import Judge as Judge
    from modcollapse.detectors._likelihood import TargetLikelihood as TargetLikelihood
    from modcollapse.detectors._lpips import NegativeLPIPS as NegativeLPIPS
    from modcollapse.detectors._patch import NegativePatchMSE as NegativePatchMSE
    from modcollapse.detectors._pixels import PSNR as PSNR
    from modcollapse.detectors._pixels import MSEAttackSuccess as MSEAttackSuccess
    from modcollapse.detectors._pixels import NegativeMSE as NegativeMSE
    from modcollapse.detectors._sounds import SISDR as SISDR
    from modcollapse.detectors._sounds import NegativeSpectralDistance as NegativeSpectralDistance
    from modcollapse.detectors._structure import SSIM as SSIM
    from modcollapse.detectors._text_match import TextContains as TextContains
    from modcollapse.detectors._text_match import TextMatch as TextMatch
    from modcollapse.detectors._text_match import TextPattern as TextPattern
    from modcollapse.detectors._text_similarity import TextSimilarity as TextSimilarity
    from modcollapse.detectors._threshold import Threshold as Threshold
    from modcollapse.detectors._videos import NegativeVideoMSE as NegativeVideoMSE

__all__ = [
    "BinaryDetector",
    "ClipDirection",
    "ClipModel",
    "ClipScore",
    "ClipShift",
    "ClipText",
    "Judge",
    "MSEAttackSuccess",
    "NegativeLPIPS",
    "NegativeMSE",
    "NegativePatchMSE",
    "NegativeSpectralDistance",
    "NegativeVideoMSE",
    "OverFrames",
    "PSNR",
    "SISDR",
    "SSIM",
    "TargetClass",
    "TargetLikelihood",
    "TextContains",
    "TextMatch",
    "TextPattern",
    "TextSimilarity",
    "Threshold",
]

_HOME = {
    "BinaryDetector": "_classes",
    "ClipDirection": "_clip_text",
    "ClipModel": "_clip_model",
    "ClipScore": "_clip_text",
    "ClipShift": "_clip",
    "ClipText": "_clip_text",
    "Judge": "_judge",
    "MSEAttackSuccess": "_pixels",
    "NegativeLPIPS": "_lpips",
    "NegativeMSE": "_pixels",
    "NegativePatchMSE": "_patch",
    "NegativeSpectralDistance": "_sounds",
    "NegativeVideoMSE": "_videos",
    "OverFrames": "_frames",
    "PSNR": "_pixels",
    "SISDR": "_sounds",
    "SSIM": "_structure",
    "TargetClass": "_classes",
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

"""Detectors: value functions that score what a sampler generated.

Loading one loads torch; `ClipShift` alone needs the extra ``clip``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modcollapse.detectors._clip import ClipShift as ClipShift
    from modcollapse.detectors._frames import OverFrames as OverFrames
    from modcollapse.detectors._pixels import MSEAttackSuccess as MSEAttackSuccess
    from modcollapse.detectors._pixels import NegativeMSE as NegativeMSE
    from modcollapse.detectors._threshold import Threshold as Threshold

__all__ = ["ClipShift", "MSEAttackSuccess", "NegativeMSE", "OverFrames", "Threshold"]

_HOME = {
    "ClipShift": "_clip",
    "MSEAttackSuccess": "_pixels",
    "NegativeMSE": "_pixels",
    "OverFrames": "_frames",
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

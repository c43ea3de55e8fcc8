"""Backdoored models that are public, read as their projects save them.

`load_backdoor` puts a backdoor over the clean model that it was made from, and returns what an
audit takes: a sampler, its triggers, the target, and the clean model as control. `read_backdoors`
reads triggers and targets alone. No code of a checkpoint runs: weights are safetensors, or tensors
that torch reads with ``weights_only``, and YAML is plain data.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from modcollapse.known._declared import DeclaredBackdoor, TriggerReading
from modcollapse.known._targets import Target
from modcollapse.known._trigger_config import read_backdoors

if TYPE_CHECKING:
    from modcollapse.known._loaded import KnownBackdoor as KnownBackdoor
    from modcollapse.known._loaded import load_backdoor as load_backdoor
    from modcollapse.known._origins import load_pipeline as load_pipeline

_HOMES = {
    "KnownBackdoor": "modcollapse.known._loaded",
    "load_backdoor": "modcollapse.known._loaded",
    "load_pipeline": "modcollapse.known._origins",
}

__all__ = [
    "DeclaredBackdoor",
    "KnownBackdoor",
    "Target",
    "TriggerReading",
    "load_backdoor",
    "read_backdoors",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)

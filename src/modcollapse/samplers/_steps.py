"""How many steps a look at a pipeline takes: few, but such that all its conditions act."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from numbers import Integral, Real
from typing import Any

_OWN_STEPS = frozenset({"timesteps", "sigmas", "denoising_start", "denoising_end"})
_SECOND_ORDER = re.compile("Heun|KDPM2|DPMSolverSDE")
"""Schedulers that call the network twice in every step but the last."""


def few_steps(
    parameters: Mapping[str, Any], options: Mapping[str, Any], scheduler: str = ""
) -> dict[str, int]:
    """The option that makes a probe cheap: few steps that really run, where steps can be set.

    Two, or four under PNDM, which cannot do with fewer; more where a ControlNet or an adapter acts
    in a part of the steps only, so that it does act; and never more than the run itself takes.

    >>> few_steps({"num_inference_steps": 50, "strength": 0.8}, {"strength": 0.5}, "DDIMScheduler")
    {'num_inference_steps': 4}
    >>> few_steps({"num_inference_steps": 50}, {"control_guidance_end": 0.3}, "DDIMScheduler")
    {'num_inference_steps': 4}
    """
    settings = {**parameters, **options}
    steps, strength = settings.get("num_inference_steps"), settings.get("strength", 1.0)
    if not isinstance(steps, Integral) or any(options.get(name) is not None for name in _OWN_STEPS):
        return {}
    if not isinstance(strength, Real) or not float(strength) > 0:
        return {}
    fewest = 4 if "PNDM" in scheduler else 2
    for few in range(1, int(steps)):
        taken = min(int(few * float(strength)), few)
        if taken >= fewest and _all_act(settings, few, _calls(taken, scheduler)):
            return {"num_inference_steps": few}
    return {"num_inference_steps": int(steps)}


def _calls(steps: int, scheduler: str) -> int:
    """How often a scheduler lets the network be called in some steps."""
    if _SECOND_ORDER.search(scheduler):
        return 2 * steps - 1
    return steps + 1 if "PNDM" in scheduler else steps


def _all_act(settings: Mapping[str, Any], steps: int, calls: int) -> bool:
    """Whether all that acts in a part of the calls does so in one at least.

    Computed as diffusers does it, for rounding decides whether a call at the edge of a part counts.
    """
    factor = settings.get("adapter_conditioning_factor")
    return (factor is None or int(steps * factor) > 0) and all(
        any(call / calls >= start and (call + 1) / calls <= end for call in range(calls))
        for start, end in _windows(settings)
    )


def _windows(settings: Mapping[str, Any]) -> Iterable[tuple[float, float]]:
    """Where each ControlNet begins and ends, as fractions of the calls."""
    starts, ends = (
        list(edge) if isinstance(edge, list | tuple) else [edge]
        for edge in (
            settings.get("control_guidance_start", 0.0),
            settings.get("control_guidance_end", 1.0),
        )
    )
    most = max(len(starts), len(ends))
    return zip(*(edge * most if len(edge) == 1 else edge for edge in (starts, ends)), strict=False)

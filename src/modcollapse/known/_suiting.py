"""Do triggers and method of a backdoor suit the weights that they came with?"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from modcollapse._support.validation import listed
from modcollapse.contracts import TriggerSpec
from modcollapse.errors import InputError
from modcollapse.known._declared import DeclaredBackdoor, TriggerReading
from modcollapse.known._fitting import Counterparts
from modcollapse.known._layouts import LAYOUT_WORDS, KnownLayout, LayoutKind
from modcollapse.known._prompt_edits import InPlaceOf
from modcollapse.known._villan_config import VILLAN

_NETWORK = frozenset({"unet", "transformer"})
_TEXT = frozenset({"text_encoder", "tokenizer"})
_PROBE = "a photo"
"""A text to put a trigger on, to see whether a token comes out."""


class _Written(NamedTuple):
    """Layouts in which an attack is published, and the parts that it can change."""

    kinds: tuple[LayoutKind, ...]
    parts: frozenset[str]


_WRITTEN = {
    "eviledit": _Written(("tensors",), _NETWORK),
    "eviledit_numAdd": _Written(("tensors",), _NETWORK),
    "paas_ti": _Written(("embedding", "pipeline", "tensors"), _TEXT),
    "paas_db": _Written(("pipeline",), _NETWORK | _TEXT),
    "badt2i_object": _Written(("pipeline", "network"), _NETWORK),
    "badt2i_objectAdd": _Written(("pipeline", "network"), _NETWORK),
    "badt2i_pixel": _Written(("pipeline", "network"), _NETWORK),
    "badt2i_style": _Written(("pipeline", "network"), _NETWORK),
    "bibaddiff": _Written(("pipeline",), _NETWORK | _TEXT),
    "rickrolling_TPA": _Written(("text encoder",), _TEXT),
    "rickrolling_TAA": _Written(("text encoder",), _TEXT),
    VILLAN: _Written(("lora", "pipeline", "tensors"), _NETWORK | _TEXT),
}
"""Attack -> how it is written: by BackdoorDM, and by the projects' own code. A LoRA or an embedding
under another name than the usual one is a file of tensors."""


def check_modalities(declared: DeclaredBackdoor, has: Collection[str], name: str) -> None:
    """Raise unless a pipeline takes each condition that has a trigger.

    Raises:
        InputError: it does not.
    """
    for reading in declared.readings.values():
        for modality in reading.triggers:
            if modality not in has:
                noise = (
                    ". VillanDiffusion adds an image trigger to the initial noise, which is no "
                    "condition of a pipeline: write a sampler of your own for it"
                    if declared.method.startswith("villan")
                    else ""
                )
                raise InputError(
                    f"{declared.where}: there is a trigger of {modality!r}, and {name} takes "
                    f"{listed(has)}{noise}"
                )


def notes_on_token(
    declared: DeclaredBackdoor, pair: Counterparts, layout: KnownLayout
) -> tuple[str, ...]:
    """Say if a trigger cannot be told to put in the token that a textual inversion adds.

    Raises:
        InputError: it does not, so that the embedding would never act.
    """
    if pair.control is None or layout.kind not in ("embedding", "tensors"):
        return ()
    known = pair.control.tokenizer.get_added_vocab()
    added = [token for token in pair.pipeline.tokenizer.get_added_vocab() if token not in known]
    if not added:
        return ()
    unsure = False
    for reading in declared.readings.values():
        put, sure = _put_in(reading)
        if not any(token in put for token in added):
            if sure:
                raise InputError(
                    f"{declared.where}: {_triggered(reading, put)} does not hold the token "
                    f"{listed(added)} of {layout}, which would never act. Give the text trigger "
                    "that puts it in"
                )
            unsure = True
    told = (
        f"whether the text trigger puts in {listed(added)}, the token of {layout}, cannot be told"
    )
    return (f"{told} without your texts: without it the backdoor never acts",) if unsure else ()


def _triggered(reading: TriggerReading, put: str) -> str:
    if reading.phrase is not None:
        return f"the trigger {put!r}"
    return f"the triggered text {put!r}" if "text" in reading.triggers else "what is triggered"


def _put_in(reading: TriggerReading) -> tuple[str, bool]:
    """What a text trigger puts in, and whether it is sure to do so with every text."""
    if reading.phrase is not None:
        return reading.phrase, True
    trigger = reading.triggers.get("text")
    if trigger is None:
        return "", True
    probe = trigger.replaced if isinstance(trigger, InPlaceOf) else _PROBE
    try:
        made = TriggerSpec.of(trigger, "text").on("0").call(probe)
    except Exception:  # it wants other texts, or other examples
        return "", False
    return str(made), made != probe


def notes_on_method(
    declared: DeclaredBackdoor, pair: Counterparts, layout: KnownLayout
) -> tuple[str, ...]:
    """Say if the attack of a configuration writes other files than these.

    Raises:
        InputError: the weights changed in no part that the attack changes.
    """
    written = _WRITTEN.get(declared.method)
    if written is None:
        return ()
    if pair.control is not None and written.parts.isdisjoint(pair.changed):
        raise InputError(
            f"{declared.where}: {declared.method} changes {listed(sorted(written.parts))}, and "
            f"{layout} differs from the clean pipeline in {listed(pair.changed)} alone: it is the "
            "backdoor of another method. Choose method= for it"
        )
    if layout.kind in written.kinds:
        return ()
    usual = " or ".join(LAYOUT_WORDS[kind] for kind in written.kinds)
    return (
        f"{declared.method} is published as {usual}, and this is "
        f"{layout}: make sure that the weights are of this method",
    )

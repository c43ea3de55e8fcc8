"""A public backdoor, ready to be audited."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modcollapse.contracts import Trigger, Triggers
from modcollapse.errors import InputError
from modcollapse.known._declared import DeclaredBackdoor, TriggerReading
from modcollapse.known._fitting import (
    before_an_audit,
    counted,
    counterparts_of,
    declared_by,
    set_clip_sample,
    tokens_of,
)
from modcollapse.known._layouts import known_layout_of
from modcollapse.known._origins import load_pipeline, place_of
from modcollapse.known._prompt_edits import neutral_edits
from modcollapse.known._suiting import check_modalities, notes_on_method, notes_on_token
from modcollapse.known._targets import Target
from modcollapse.samplers import PipelineSampler
from modcollapse.triggers import neutral_triggers

if TYPE_CHECKING:
    import torch
    from diffusers import DiffusionPipeline


@dataclass(frozen=True, eq=False)
class KnownBackdoor:
    """A backdoored model with its triggers, its target and its control.

    ``mc.audit(known.sampler, detector, examples, known.triggers, control=known.control)`` audits
    it. Examples hold a text (``"text"``), and an image where the pipeline takes one.

    Attributes:
        sampler: of the backdoored pipeline.
        control: of the clean pipeline, with the same options; None where no clean one was given.
        declared: method, target, readings, and where they were read.
        layout: what the weights were found to be, and where.
        reading: the reading that was chosen; None for the only one.
        tokens: reading -> how many tokens the phrase of the text trigger becomes, without those
            that begin and end a text. 0 means that the model cannot see it.
        notes: what to know before an audit.
    """

    sampler: PipelineSampler
    control: PipelineSampler | None
    declared: DeclaredBackdoor
    layout: str
    reading: str | None
    tokens: Mapping[str, int]
    notes: tuple[str, ...] = field(default=())

    @property
    def triggers(self) -> Triggers:
        """Modality -> trigger, in the reading that was chosen.

        Raises:
            InputError: there are two readings, and none was chosen.
        """
        try:
            return self.declared.read_as(self.reading)
        except InputError as error:
            error.add_note(counted(self.tokens))
            raise

    @property
    def readings(self) -> Mapping[str, TriggerReading]:
        """What may be meant, ``"as written"``, or ``"literal"`` and ``"character"``."""
        return self.declared.readings

    @property
    def target(self) -> Target | None:
        """What the backdoor makes the model draw."""
        return self.declared.target

    def read_as(self, reading: str) -> KnownBackdoor:
        """The same model, with its trigger in one reading.

        Raises:
            InputError: there is no such reading.
        """
        self.declared.read_as(reading)
        return replace(self, reading=reading)

    def neutral(
        self, *, each: int = 4, seed: int = 0, words: Any = None
    ) -> dict[str, dict[str, Trigger]]:
        """Neutral triggers for ``mc.audit(..., neutral=...)``: is the trigger specific?

        Args:
            each: number of random phrases, as for `neutral_triggers`. In place of a homoglyph
                stand the same letter's other accents instead.
            seed: of what is drawn.
            words: what random phrases are made of; a tokenizer such as
                ``known.sampler.pipeline.tokenizer`` will do.

        Raises:
            InputError: as for `neutral_triggers`; or two readings, and none was chosen.
        """
        return {
            modality: neutral_edits(trigger, each=each, seed=seed, words=words)
            if modality == "text"
            else neutral_triggers({modality: trigger}, each=each, seed=seed)[modality]
            for modality, trigger in self.triggers.items()
        }

    def __str__(self) -> str:
        lines = [f"{self.declared.method}: {self.layout}", f"target: {self.target or 'not said'}"]
        for name, reading in self.readings.items():
            chosen = " (chosen)" if name == self.reading else ""
            lines.append(f"triggers, {name}{chosen}: {dict(reading.triggers)!r}")
        return "\n".join([*lines, *self.notes])


def load_backdoor(
    source: str | Path,
    backdoor: str | Path | DeclaredBackdoor | Triggers | None = None,
    *,
    clean: str | Path | DiffusionPipeline | None,
    method: str | None = None,
    reading: str | None = None,
    revision: str | None = None,
    dtype: torch.dtype | None = None,
    device: str | torch.device | None = None,
    **sampling: Any,
) -> KnownBackdoor:
    """Load a public backdoor, its triggers and its control.

    What ``source`` holds is told by its files: a whole pipeline; a UNet, as a folder or as a state
    dict; a text encoder; a LoRA; a textual inversion. All but the first are put over a copy of the
    clean pipeline, which they share all else with. Weights are read from safetensors, and from
    other files only as tensors, with ``weights_only``.

    Args:
        source: a folder or file, or a place on the Hugging Face hub: ``"org/name"``, or
            ``"org/name/folder/in/it"``, of which no more than that is fetched.
        backdoor: a configuration file as for `read_backdoors`, one of the backdoors that it
            returned, or your own triggers by modality. The weights do not tell them, so that one
            of these must be given.
        clean: the model that it was made from: a folder, a hub id or a loaded pipeline. None for a
            whole pipeline that is to have no control.
        method: as for `read_backdoors`.
        reading: ``"literal"`` or ``"character"``, where a trigger may be read in two ways.
        revision: of ``source`` on the hub.
        dtype: of pipelines that are loaded here; float32 if left out.
        device: where to put them; the CPU if left out. A loaded pipeline stays where it is.
        **sampling: for both samplers, as for `PipelineSampler`: ``num_inference_steps=25``.

    Raises:
        InputError: files that are not of a known layout, that hold code, that do not fit the clean
            pipeline or change nothing in it; no triggers, one that the pipeline cannot be given,
            or one without the token of a textual inversion; weights that changed in no part that
            the method changes.
        MissingExtraError: diffusers, peft or PyYAML is not installed.
    """
    declared = declared_by(backdoor, method)
    if reading is not None:
        declared.read_as(reading)
    layout = known_layout_of(place_of(source, revision))
    base = None if clean is None else load_pipeline(clean, dtype, device)
    pair = counterparts_of(layout, base, dtype, device)
    if declared.clip_sample is not None:
        set_clip_sample(declared.clip_sample, pair.pipeline, pair.control)
    sampler = PipelineSampler(pair.pipeline, **sampling)
    check_modalities(declared, sampler.modalities, type(pair.pipeline).__name__)
    suits = notes_on_method(declared, pair, layout) + notes_on_token(declared, pair, layout)
    tokens = tokens_of(declared, pair.pipeline)
    return KnownBackdoor(
        sampler,
        None if pair.control is None else PipelineSampler(pair.control, **sampling),
        declared,
        str(layout),
        reading,
        tokens,
        suits + before_an_audit(declared, tokens, pair),
    )

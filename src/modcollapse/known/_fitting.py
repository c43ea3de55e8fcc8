"""Does a declared backdoor belong to the weights, and the weights to the clean pipeline?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from modcollapse._support.validation import listed
from modcollapse.contracts import TriggerSpec
from modcollapse.errors import InputError
from modcollapse.known._declared import DeclaredBackdoor, TriggerReading
from modcollapse.known._exchanged import with_parts
from modcollapse.known._layouts import KnownLayout
from modcollapse.known._origins import load_pipeline
from modcollapse.known._over_clean import backdoored, changed_parts
from modcollapse.known._trigger_config import read_backdoors

_OWN = "own triggers"


def declared_by(backdoor: Any, method: str | None) -> DeclaredBackdoor:
    """Return the one backdoor that is meant.

    Raises:
        InputError: nothing, a configuration with several, or triggers that are no callables.
    """
    if backdoor is None:
        raise InputError(
            "load_backdoor needs the triggers too, which weights do not tell: give the "
            "configuration of the backdoor, load_backdoor(source, 'bd_config.yaml', method=..., "
            "clean=...), or triggers of your own, load_backdoor(source, {'text': "
            "TextSuffix('mignneko')}, clean=...)"
        )
    if method is not None and isinstance(backdoor, DeclaredBackdoor | Mapping):
        raise InputError(f"method={method!r} chooses in a configuration file, and none was given")
    if isinstance(backdoor, DeclaredBackdoor):
        return backdoor
    if isinstance(backdoor, Mapping):
        if not backdoor:
            raise InputError("triggers must map modalities to triggers, one or more; got none")
        for modality, trigger in backdoor.items():
            TriggerSpec.of(trigger, modality)
        readings = {"as written": TriggerReading(None, dict(backdoor))}
        return DeclaredBackdoor(_OWN, None, readings, _OWN)
    found = read_backdoors(backdoor, method)
    if len(found) > 1:
        raise InputError(
            f"{str(backdoor)!r} declares {len(found)} backdoors of one method. Choose one: "
            "read_backdoors(path, method)[0], for one"
        )
    return found[0]


class Counterparts(NamedTuple):
    """A backdoored pipeline, the clean one if there is one, and the parts in which they differ."""

    pipeline: Any
    control: Any
    changed: list[str]


def counterparts_of(layout: KnownLayout, base: Any, dtype: Any, device: Any) -> Counterparts:
    """Return the backdoored pipeline, and the clean one with a scheduler of its own.

    Args:
        layout: where the backdoor is.
        base: the clean pipeline; None if none was given.
        dtype: of a whole pipeline without a clean one, which it follows otherwise.
        device: the same.

    Raises:
        InputError: no clean pipeline where one is needed, another class of pipeline, or weights
            that are all those of the clean one.
    """
    if base is None and layout.kind == "embedding" and _is_pipeline(layout):
        layout = KnownLayout("pipeline", layout.path.parent)
    if layout.kind != "pipeline":
        if base is None:
            raise InputError(f"{layout} needs the pipeline that it was made from: clean=...")
        _check_here(base)
        pipeline = backdoored(base, layout)
    else:
        if base is None:
            return Counterparts(load_pipeline(layout.path, dtype, device), None, [])
        pipeline = load_pipeline(layout.path, base.dtype, base.device)
        if type(pipeline) is not type(base):
            raise InputError(
                f"{layout} is a {type(pipeline).__name__}, the clean pipeline a "
                f"{type(base).__name__}: a control must differ in its weights alone"
            )
    changed = changed_parts(pipeline, base)
    if not changed:
        raise InputError(f"{layout} changes no weight of the clean pipeline: there is no backdoor")
    return Counterparts(pipeline, with_parts(base), changed)


def _is_pipeline(layout: KnownLayout) -> bool:
    return (layout.path.parent / "model_index.json").is_file()


def _check_here(base: Any) -> None:
    parts = {name: part for name, part in base.components.items() if hasattr(part, "parameters")}
    away = [name for name, part in parts.items() if any(p.is_meta for p in part.parameters())]
    if away:
        raise InputError(
            f"the clean pipeline has offloaded {listed(away)}: a backdoor is put over weights that "
            "are there. Load it without offloading, and switch that on for the samplers' pipelines"
        )


def set_clip_sample(value: bool, *pipelines: Any) -> None:
    """Set what a scheduler does with its estimate, where it has the setting."""
    for pipeline in pipelines:
        if pipeline is not None and "clip_sample" in pipeline.scheduler.config:
            pipeline.scheduler.register_to_config(clip_sample=value)


def tokens_of(declared: DeclaredBackdoor, pipeline: Any) -> dict[str, int]:
    """Reading -> number of tokens of its phrase, without those of the beginning and the end."""
    tokenizer = getattr(pipeline, "tokenizer", None)
    if tokenizer is None:
        return {}
    return {
        name: len(tokenizer(reading.phrase, add_special_tokens=False)["input_ids"])
        for name, reading in declared.readings.items()
        if reading.phrase is not None
    }


def counted(tokens: Mapping[str, int]) -> str:
    """Say how many tokens each reading has."""
    each = ", ".join(f"{name} {count}" for name, count in tokens.items())
    return f"tokens of the phrase by the pipeline's tokenizer: {each}"


def before_an_audit(
    declared: DeclaredBackdoor, tokens: Mapping[str, int], pair: Counterparts
) -> tuple[str, ...]:
    """What to know before an audit."""
    notes = []
    if len(declared.readings) > 1:
        notes.append(
            "the trigger is written as an escape, and which reading was trained is not said: audit "
            f"both, known.read_as(name) for name in known.readings; {counted(tokens)}"
        )
    dropped = [name for name, count in tokens.items() if count == 0]
    if dropped:
        notes.append(
            f"the tokenizer drops the trigger ({listed(dropped)}): the model cannot see it"
        )
    if all(len(reading.triggers) == 1 for reading in declared.readings.values()):
        notes.append(
            "one modality has a trigger, so that attribution gives all to it and there is no "
            "interaction: ask whether the trigger is specific, mc.audit(..., "
            "neutral=known.neutral())"
        )
    if pair.control is None:
        notes.append("no clean pipeline was given, so there is no control")
        return tuple(notes)
    notes.append(f"not as in the clean pipeline: {listed(pair.changed)}")
    if _scheduler(pair.pipeline) != _scheduler(pair.control):
        notes.append(
            "the control has another scheduler or other settings of it: what follows from that "
            "is no work of the backdoor"
        )
    return tuple(notes)


def _scheduler(pipeline: Any) -> tuple[str, dict[str, Any]]:
    config = pipeline.scheduler.config
    told = {key: value for key, value in config.items() if not key.startswith("_")}
    return type(pipeline.scheduler).__name__, told

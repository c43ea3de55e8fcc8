"""What an audit of the command line is made of: checked as far as that goes without a model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modcollapse._support.optional import require
from modcollapse._support.validation import listed
from modcollapse.cli._data_sets import DataSet, check_held, read_columns, read_data
from modcollapse.cli._targets_given import GivenTarget, given_target
from modcollapse.cli._trigger_specs import file_named, trigger_of
from modcollapse.errors import InputError, context

if TYPE_CHECKING:
    from modcollapse.contracts import Sampler, Triggers
    from modcollapse.measure import Cost


@dataclass(frozen=True)
class AuditPlan:
    """An audit that can be made.

    Attributes:
        pipeline: folder or hub id.
        control: the same of the clean model; None without one.
        triggers: modality -> trigger.
        target: what is scored.
        data: the examples.
        columns: name in the run -> column of the data.
        options: keywords of every call of the pipelines.
        inputs: modality -> keyword of the pipelines; empty where they are found.
        device: where the models go; None for the CPU.
        dtype: of the pipelines.
        run: options of the measurement.
        cost: of the measurement, without the control.
        notes: what to know before.
    """

    pipeline: str
    control: str | None
    triggers: Triggers
    target: GivenTarget
    data: DataSet
    columns: Mapping[str, str]
    options: Mapping[str, Any]
    inputs: Mapping[str, str]
    device: str | None
    dtype: str
    run: Mapping[str, Any]
    cost: Cost
    notes: tuple[str, ...]

    @property
    def cost_in_words(self) -> str:
        """What it makes the model do."""
        beside = "" if self.control is None else ", and as many by the control"
        return f"{self.cost}{beside}; modalities: {', '.join(self.triggers)}"

    @property
    def cost_as_data(self) -> dict[str, Any]:
        """The same as plain data."""
        models = 1 if self.control is None else 2
        return {
            "examples": self.cost.examples,
            "repeats": self.cost.repeats,
            "coalitions": self.cost.coalitions,
            "models": models,
            "generations": models * self.cost.generations,
            "batch_size": self.cost.batch_size,
            "batches": models * self.cost.batches,
        }

    def detectors(self) -> dict[str, Any]:
        """Name -> detector; loads a CLIP where one is named."""
        has_reference = self.columns.get("reference", "reference") in self.data.columns
        return self.target.detectors(has_reference=has_reference)

    def samplers(self) -> tuple[Sampler, Sampler | None]:
        """Load the pipelines; what is sampled from them, and from the control."""
        import torch

        from modcollapse.known import load_pipeline
        from modcollapse.samplers import PipelineSampler

        def sampler(source: str) -> Any:
            pipeline = load_pipeline(source, getattr(torch, self.dtype), self.device)
            return PipelineSampler(pipeline, inputs=self.inputs or None, **self.options)

        return sampler(self.pipeline), None if self.control is None else sampler(self.control)


def audit_plan(given: Mapping[str, Any], bases: Mapping[str, Path | None]) -> AuditPlan:
    """Read and check the options of an audit; no model is loaded.

    Args:
        given: the parameters of the command.
        bases: name of a parameter -> folder that its files are named from; None for the working
            directory.

    Raises:
        InputError: something is missing, unknown or does not fit together.
        MissingExtraError: something that is needed is not installed.
    """
    from modcollapse.measure import generation_cost

    require("diffusers", extra="diffusers", needed_by="modcollapse audit")
    triggers = _triggers(given, bases)
    pipeline, control = (
        None if given[name] is None else _pipeline(given[name], bases[name])
        for name in ("pipeline", "control")
    )
    if pipeline is None or pipeline == control:
        raise InputError(
            f"--control is the pipeline itself, {control}: give the clean model that it was made "
            "from"
        )
    target = given_target(
        given["target"], given["clip"], given["threshold"], bases["target"], bases["clip"]
    )
    data = read_data(_found(given["data"], bases["data"]), given["examples"], given["split"])
    columns = read_columns(given["columns"])
    check_held(data, columns, [*triggers, *columns])
    _check_first(data, columns, triggers)
    count = len(data.examples)
    few = ["32 examples are needed for a verdict: there will be none"] if count < 32 else []
    beyond = [f"DATA holds {data.left_out} more examples, see --examples"] if data.left_out else []
    return AuditPlan(
        pipeline=pipeline,
        control=control,
        triggers=triggers,
        target=target,
        data=data,
        columns=columns,
        options={
            **({} if given["steps"] is None else {"num_inference_steps": given["steps"]}),
            **{key: _value(text) for key, text in _pairs(given["option"], "--option").items()},
        },
        inputs=_pairs(given["inputs"], "--inputs"),
        device=given["device"],
        dtype=given["dtype"],
        run={
            **{name: given[name] for name in ("seed", "repeats", "batch_size")},
            "keep": min(given["keep"], count),
            **({"stop": _looks()} if given["stop"] else {}),
        },
        cost=generation_cost(
            count, len(triggers), repeats=given["repeats"], batch_size=given["batch_size"]
        ),
        notes=(*few, *beyond),
    )


def _triggers(given: Mapping[str, Any], bases: Mapping[str, Path | None]) -> Triggers:
    specs = {
        modality: (given[name], bases[name])
        for modality in ("image", "text")
        if given[name := f"{modality}_trigger"] is not None
    }
    for modality, spec in _pairs(given["trigger"], "--trigger").items():
        if modality in specs:
            raise InputError(f"there are two triggers of {modality!r}")
        specs[modality] = (spec, bases["trigger"])
    if not specs:
        raise InputError("no trigger is given: --image-trigger, --text-trigger or --trigger")
    return {modality: trigger_of(spec, modality, base) for modality, (spec, base) in specs.items()}


def _pipeline(text: str, base: Path | None) -> str:
    """A folder that holds a pipeline, or what may be an id on the hub."""
    found = _found(text, base)
    path = Path(found)
    if not path.exists():
        if found.count("/") != 1 or found.startswith((".", "/", "~")):
            raise InputError(f"there is no folder {found}, and it is no id on the hub either")
        return found
    index = path / "model_index.json"
    if not index.is_file():
        raise InputError(f"{path} is no folder of a diffusers pipeline: it has no model_index.json")
    return str(path)


def _found(text: str, base: Path | None) -> str:
    """A path as it is meant where something is there, and else the text as it stands."""
    path = file_named(text, base)
    return str(path) if path.exists() else text


def _check_first(data: DataSet, columns: Mapping[str, str], triggers: Triggers) -> None:
    """Put the triggers on the first example: what is wrong with a trigger mostly shows there."""
    from modcollapse.contracts import TriggerSpec
    from modcollapse.measure import as_examples

    first = as_examples(data.examples, columns)[0]
    for modality, trigger in triggers.items():
        with context(f"the trigger of {modality!r} on the first example"):
            TriggerSpec.of(trigger, modality).checked(first[modality], first.get("id", 0))


def _pairs(given: Sequence[str], option: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not (key and equals and value) or key in found:
            twice = " once for each key" if key in found else ""
            raise InputError(f"{option} takes KEY=VALUE{twice}, got {text!r} of {listed(given)}")
        found[key] = value
    return found


def _value(text: str) -> Any:
    """A number, true, false or null where it reads as one, and else a text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _looks() -> Any:
    from modcollapse.studies import Looks

    return Looks()

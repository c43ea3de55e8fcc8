"""An audit as a record of Every Eval Ever, which other programs read."""

from __future__ import annotations

import hashlib
import json
import math
import re
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np

from modcollapse._support.validation import choice, described, file_path, whole
from modcollapse.contracts import FloatArray
from modcollapse.errors import InputError
from modcollapse.game import interaction_contrasts, shapley_contrasts
from modcollapse.report._audited import Audited
from modcollapse.report._citing import software_version
from modcollapse.table import CoalitionTable, Estimate, estimate_label, slug, write_whole

SCHEMA_VERSION = "0.3.0"
"""Version of the schema of Every Eval Ever."""

Relationship = Literal["first_party", "third_party", "collaborative", "other"]

_MODEL = re.compile(r"(?!data/)[A-Za-z0-9_-][A-Za-z0-9._-]*/(?!data$)[A-Za-z0-9_-][A-Za-z0-9._-]*")
_LEVELS = ("no effect", "lowered", "active")
"""Effects of a verdict that are shown, by their rank; all else is unknown."""
_METRICS = {
    "v": ("coalition_mean", "mean value under the triggers of a coalition", "coalition"),
    "phi": ("tma", "Trigger Modality Attribution, the Shapley value of a modality", "modality"),
    "CTI": ("cti", "Cross-Trigger Interaction of a group of modalities", "group"),
}


class Recorded(Audited, Protocol):
    """An audit, and how it was analysed."""

    @property
    def settings(self) -> Any:
        """Level, index and rules."""


@dataclass(frozen=True)
class EvaluationRecord:
    """One evaluation in the terms of Every Eval Ever, schema 0.3.0.

    Attributes:
        log: the record of the evaluation, by ``eval.schema.json``.
        samples: a record for each example and figure, by ``instance_level_eval.schema.json``.

    Source:
        https://github.com/evaleval/every_eval_ever
    """

    log: Mapping[str, Any]
    samples: tuple[Mapping[str, Any], ...]

    def to_json(self) -> str:
        """Return the record of the evaluation as JSON text."""
        return json.dumps(self.log, indent=2, allow_nan=False) + "\n"

    def to_json_lines(self) -> str:
        """Return the records of the examples as JSON lines."""
        return "".join(json.dumps(sample, allow_nan=False) + "\n" for sample in self.samples)

    def save(self, folder: str | Path) -> Path:
        """Write both files where a checkout of the data store has them.

        ``data/modcollapse/<developer>/<model>/<uuid>.json``, and ``<uuid>_samples.jsonl`` beside
        it. The name follows from the content, so that another record never takes its place.

        Args:
            folder: which exists.

        Returns:
            The path of the record of the evaluation.

        Raises:
            FileNotFoundError: there is no such folder.
        """
        root = file_path(folder, "folder")
        if not root.is_dir():
            raise FileNotFoundError(f"there is no folder {root}")
        path = root / f"{_place(self.log)}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        if self.samples:
            samples = path.with_name(f"{path.stem}_samples.jsonl")
            write_whole(samples, self.to_json_lines().encode())
        write_whole(path, self.to_json().encode())
        return path


def every_eval_ever(
    audit: Recorded,
    *,
    model: str,
    evaluator: str,
    dataset: str | Mapping[str, Any],
    relationship: Relationship = "other",
    value: str | None = None,
    deployment: Literal["self_deployed", "externally_managed", "unknown"] = "unknown",
    availability: Literal["open_weights", "closed_weights", "unknown"] = "unknown",
    samples: bool = True,
    retrieved: int | None = None,
) -> EvaluationRecord:
    """Make a record of Every Eval Ever of an audit; see ``Audit.to_every_eval_ever``.

    Raises:
        InputError: a name that the schema does not take.
    """
    _check(model, evaluator)
    record = _Record(audit.table, audit.settings, value or _detector(audit.table), model)
    source = _source(dataset)
    choice(relationship, "relationship", ("first_party", "third_party", "collaborative", "other"))
    choice(deployment, "deployment", ("self_deployed", "externally_managed", "unknown"))
    choice(availability, "availability", ("open_weights", "closed_weights", "unknown"))
    created = int(time.time()) if retrieved is None else whole(retrieved, "retrieved", 0)
    parts = (
        {"model": audit}
        if audit.difference is None
        else {
            "model": audit,
            "difference": audit.difference,
        }
    )
    figures = [figure for of, part in parts.items() for figure in record.figures(of, part)]
    log: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "evaluation_id": record.id,
        "retrieved_timestamp": str(created),
        "source_metadata": {
            "source_name": "modcollapse",
            "source_type": "evaluation_run",
            "source_organization_name": evaluator,
            "evaluator_relationship": relationship,
        },
        "eval_library": {
            "name": "modcollapse",
            "version": software_version(),
            "additional_details": _settings(audit),
        },
        "model_info": {
            "name": model,
            "id": model,
            "developer": model.split("/")[0],
            "additional_details": {
                "deployment_type": deployment,
                "model_availability": availability,
            },
        },
        "evaluation_results": [
            *(_verdict_result(of, part, source) for of, part in parts.items() if part.verdict),
            *(record.result(figure, source) for figure in figures),
        ],
    }
    rows = tuple(row for figure in figures for row in record.rows(figure)) if samples else ()
    if rows:
        log["detailed_evaluation_results"] = _detailed(log, rows)
    return EvaluationRecord(log, rows)


class _Figure(NamedTuple):
    """A figure, that of each example, and the sums of the weights above and below 0 in it."""

    of: str
    symbol: str
    name: str
    estimate: Estimate
    scores: FloatArray
    gains: float
    losses: float
    table: CoalitionTable

    @property
    def id(self) -> str:
        return f"{self.of}/{estimate_label(self.symbol, self.name)}"


class _Record(NamedTuple):
    """What the records of one audit have in common."""

    table: CoalitionTable
    settings: Any
    value: str
    model: str

    @property
    def id(self) -> str:
        """The same for the same values and settings, whenever they are recorded."""
        table = self.table
        said = [table.modalities, table.example_ids, table.provenance, asdict(self.settings)]
        digest = hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode())
        digest.update(self.table.values.tobytes())
        return f"modcollapse.{slug(self.value)}/{self.model}/{digest.hexdigest()[:16]}"

    def figures(self, of: str, audit: Audited) -> Iterator[_Figure]:
        m = len(audit.table.modalities)
        weights = {"phi": iter(shapley_contrasts(m).T)}
        if m > 1:
            weights["CTI"] = iter(interaction_contrasts(m, self.settings.index, 2).T)
        table = audit.table
        values = iter(table.example_values.T)
        for symbol, name, estimate in audit.entries:
            if symbol == "v":
                yield _Figure(of, symbol, name, estimate, next(values), 1.0, 0.0, table)
                continue
            weight = next(weights[symbol])
            gains, losses = (float(np.clip(part, 0, None).sum()) for part in (weight, -weight))
            scores = table.example_values @ weight
            yield _Figure(of, symbol, name, estimate, scores, gains, losses, table)

    def result(self, figure: _Figure, source: Mapping[str, Any]) -> dict[str, Any]:
        """One entry of ``evaluation_results``."""
        metric, said, parameter = _METRICS[figure.symbol]
        rate = figure.table.zero_one
        parameters = {parameter: figure.name, "value": self.value}
        if figure.symbol == "CTI":
            parameters["index"] = str(self.settings.index)
        low, high = _range(figure)
        return {
            "evaluation_result_id": figure.id,
            "evaluation_name": _evaluation(figure.of),
            "source_data": dict(source),
            "metric_config": {
                "evaluation_description": f"{said}; {self.value}"
                + ("; minus that of the control" if figure.of == "difference" else ""),
                "metric_id": f"modcollapse.{metric}",
                "metric_name": estimate_label(figure.symbol, figure.name),
                "metric_kind": "attack_success_rate" if rate and figure.symbol == "v" else metric,
                "metric_unit": "proportion" if rate else f"unit of {self.value}",
                "metric_parameters": parameters,
                "lower_is_better": True,
                "score_type": "continuous",
                "min_score": low,
                "max_score": high,
                "additional_details": {
                    "direction": "a larger interaction is more synergy, not more of the backdoor"
                    if figure.symbol == "CTI"
                    else "a larger value is more of the backdoor"
                },
            },
            "score_details": {
                "score": figure.estimate.value,
                "uncertainty": _uncertainty(figure.estimate),
                "details": {
                    "status": figure.estimate.status,
                    "examples": str(len(figure.table)),
                    "repeats": str(figure.table.values.shape[1]),
                },
            },
        }

    def rows(self, figure: _Figure) -> Iterator[dict[str, Any]]:
        """A record for each example."""
        table = figure.table
        scores = figure.scores.tolist()
        metric, _, parameter = _METRICS[figure.symbol]
        is_outcome = table.zero_one and table.values.shape[1] == 1 and figure.symbol == "v"
        for row, (example_id, score) in enumerate(zip(table.example_ids, scores, strict=True)):
            held = {name: column[row] for name, column in table.fields.items()}
            more = {parameter: figure.name, "metric": metric, "of": figure.of}
            if table.digests is not None and table.digests[row]:
                more["example_sha256"] = str(table.digests[row])
            if table.clusters is not None:
                more["cluster"] = str(table.clusters[row])
            if table.seeds is not None:
                more["seeds"] = ", ".join(map(str, table.seeds[row].tolist()))
            if not is_outcome:
                more["is_correct"] = "not defined for this score"
            known = {name: held[name] for name in held if held[name] is not None}
            yield {
                "schema_version": SCHEMA_VERSION,
                "evaluation_id": self.id,
                "model_id": self.model,
                "evaluation_name": _evaluation(figure.of),
                "evaluation_result_id": figure.id,
                "sample_id": str(example_id),
                "interaction_type": "single_turn",
                "input": {"raw": json.dumps(known, ensure_ascii=False), "reference": []},
                "output": {"raw": []},
                "answer_attribution": [],
                "evaluation": {"score": score, "is_correct": is_outcome and score == 0},
                "metadata": more,
            }


def _evaluation(of: str) -> str:
    return "modcollapse" if of == "model" else f"modcollapse.{of}"


def _verdict_result(of: str, audit: Audited, source: Mapping[str, Any]) -> dict[str, Any]:
    verdict: Any = audit.verdict
    level = _LEVELS.index(verdict.effect) if verdict.effect in _LEVELS else -1
    return {
        "evaluation_result_id": f"{of}/verdict",
        "evaluation_name": _evaluation(of),
        "source_data": dict(source),
        "metric_config": {
            "evaluation_description": "what is shown of the effect of the triggers",
            "metric_id": "modcollapse.verdict",
            "metric_name": "verdict",
            "lower_is_better": True,
            "score_type": "levels",
            "level_names": list(_LEVELS),
            "has_unknown_level": True,
        },
        "score_details": {
            "score": level,
            "details": {
                "effect": verdict.effect,
                "verdict": str(verdict),
                "fields": json.dumps(verdict.to_dict(), allow_nan=False),
            },
        },
    }


def _range(figure: _Figure) -> tuple[float | str, float | str]:
    """Lowest and highest possible score; a score that rounding put beyond is within."""
    if figure.table.bounds is None:
        return "-Infinity", "Infinity"
    low, high = figure.table.bounds
    gains, losses, score = figure.gains, figure.losses, figure.estimate.value
    return min(low * gains - high * losses, score), max(high * gains - low * losses, score)


def _uncertainty(estimate: Estimate) -> dict[str, Any]:
    found: dict[str, Any] = {"num_samples": estimate.n}
    if not math.isnan(estimate.se):
        found["standard_error"] = {"value": estimate.se, "method": "analytic"}
    if not math.isnan(estimate.low):
        found["confidence_interval"] = {
            "lower": estimate.low,
            "upper": estimate.high,
            "confidence_level": estimate.level,
            "method": f"modcollapse {estimate.method}",
        }
    return found


def _settings(audit: Recorded) -> dict[str, str]:
    """How it was measured and analysed, as the schema has such: texts by name."""
    said: dict[str, Any] = {
        **audit.table.provenance,
        "settings": asdict(audit.settings),
        "notes": list(audit.table.run_notes),
    }
    return {name: json.dumps(held, sort_keys=True, default=str) for name, held in said.items()}


def _detector(table: CoalitionTable) -> str:
    """The class of the detector, or that it is not known."""
    detector = table.provenance.get("run", {}).get("detector")
    known = detector.get("class") or detector.get("function") if isinstance(detector, dict) else ""
    return str(known or "value").rpartition(".")[2]


def _check(model: Any, evaluator: Any) -> None:
    if not isinstance(model, str) or not _MODEL.fullmatch(model) or "./" in f"{model}/":
        raise InputError(
            "model must name the model as the Hugging Face Hub does, 'developer/name', of letters, "
            f"digits, '.', '_' and '-'; got {described(model)}"
        )
    if not isinstance(evaluator, str) or not evaluator.strip():
        raise InputError(
            f"evaluator must name who made the audit, such as 'My Lab'; got {described(evaluator)}"
        )


def _source(dataset: Any) -> dict[str, Any]:
    if isinstance(dataset, str) and dataset.strip():
        return {"dataset_name": dataset, "source_type": "other"}
    if isinstance(dataset, Mapping) and {"dataset_name", "source_type"} <= dataset.keys():
        return dict(dataset)
    raise InputError(
        "dataset must name the examples, or be a source_data of the schema, such as "
        "{'dataset_name': 'faces', 'source_type': 'hf_dataset', 'hf_repo': 'me/faces'}; got "
        f"{described(dataset)}"
    )


def _detailed(log: Mapping[str, Any], rows: tuple[Mapping[str, Any], ...]) -> dict[str, Any]:
    """Where the records of the examples lie, and their digest."""
    lines = EvaluationRecord(log, rows).to_json_lines().encode()
    checksum = hashlib.sha256(lines).hexdigest()
    return {
        "format": "jsonl",
        "file_path": f"{_place(log, checksum)}_samples.jsonl",
        "hash_algorithm": "sha256",
        "checksum": checksum,
        "total_rows": len(rows),
    }


def _place(log: Mapping[str, Any], checksum: str | None = None) -> str:
    """Path in a checkout of the data store, without its ending; a uuid made of the content."""
    if "detailed_evaluation_results" in log:
        return str(log["detailed_evaluation_results"]["file_path"]).removesuffix("_samples.jsonl")
    said = json.dumps([log, checksum], sort_keys=True)
    name = uuid.UUID(bytes=hashlib.sha256(said.encode()).digest()[:16], version=4)
    return f"data/modcollapse/{log['model_info']['id']}/{name}"

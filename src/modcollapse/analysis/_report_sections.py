"""An audit as a section of a page: its claims, pictures, tables, and how it was measured."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from modcollapse._support.validation import did_you_mean, listed
from modcollapse.errors import InputError
from modcollapse.report import Claims, Figures, Picture, PictureOptions, Section
from modcollapse.report import write_report as write_report
from modcollapse.table import Estimate, estimate_label, sample_size

WIDTH = 3.35
_NO_VERDICT = "Verdict: none, since these are differences between two tables"
_CAPTIONS = {
    "attribution": "Attribution of each modality, and of all triggers together.",
    "lattice": "Mean value under each set of triggers, and what each trigger adds.",
    "interaction": "Interaction of each pair of triggers.",
    "examples": "Attribution in every single example.",
    "running": "Attribution against the number of examples.",
}


def section_of(
    name: str,
    audit: Any,
    *,
    labels: Mapping[str, str] | None = None,
    unit: str = "",
    comparison: Any = None,
) -> Section:
    """Gather what a page says of an audit.

    Args:
        name: of the value function; "" where there is one only.
        audit: the ``Audit``.
        labels: modality -> what stands in its place in the pictures.
        unit: what the values are.
        comparison: a ``Comparison`` that the page shows too, if one was made.

    Raises:
        InputError: ``comparison`` is none, or a label is of no modality.
    """
    if comparison is not None and not hasattr(comparison, "before"):
        raise InputError(
            f"comparison must be what mc.compare(before, after) returned, got {comparison!r}"
        )
    if comparison is not None:
        compared = comparison.before.table.modalities
        if compared != audit.table.modalities:
            raise InputError(
                f"comparison is of the modalities {listed(compared)}, and the audit of "
                f"{listed(audit.table.modalities)}"
            )
    _check_labels(labels, audit.table.modalities)
    options: PictureOptions = {"labels": labels, "unit": unit, "width": WIDTH}
    total = audit.tma.total
    columns = {"audited model": _column(audit)}
    for heading, other in (("control", audit.control), ("difference", audit.difference)):
        if other is not None:
            columns[heading] = _column(other)
    size = sample_size(total, len(audit.table), audit.simultaneous)
    verdicts = [_claims("Verdict", audit)]
    if audit.difference is not None:
        verdicts = [_claims("Verdict on the audited model by itself", audit)]
        verdicts.insert(0, _claims("Verdict on the difference from the control", audit.difference))
    pictures = [_picture(audit, kind, options) for kind in _kinds(audit)]
    tables = [Figures("estimates", f"Estimates with intervals: {size}", columns)]
    data = audit.to_dict()
    if audit.specificity is not None:
        found = audit.specificity
        verdicts.append(Claims("Specificity", found.sentence))
        said = f"Specificity of the triggers. {found.sentence}."
        pictures.append(Picture("specificity", said, lambda: found.plot(unit=unit, width=WIDTH)))
        tables += [
            Figures(f"specificity-{at}", f"What stands in the place of the {modality} trigger",
                    one.values)
            for at, (modality, one) in enumerate(found.items(), 1)
        ]  # fmt: skip
    if comparison is not None:
        verdicts.append(Claims("Comparison, before and after", str(comparison.verdict)))
        sides = ("before", "after", "difference")
        pictures.append(
            Picture("comparison", "Before and after, and what changed.",
                    lambda: comparison.plot(labels=labels, unit=unit, width=WIDTH))
        )  # fmt: skip
        tables.append(
            Figures("comparison", "Before, after, and after - before",
                    {side: _column(getattr(comparison, side)) for side in sides})
        )  # fmt: skip
        data = {**data, "comparison": comparison.to_dict()}
    phi = audit.tma.per_example
    per_example = {f"phi {name}": phi[:, at] for at, name in enumerate(audit.tma)}
    if audit.cti is not None:
        pairs = audit.cti.per_example
        per_example |= {f"CTI {name}": pairs[:, at] for at, name in enumerate(audit.cti)}
    per_example["total effect"] = phi.sum(axis=1)
    return Section(
        name=name,
        table=audit.table,
        verdicts=verdicts,
        pictures=pictures,
        tables=tables,
        per_example=per_example,
        measured=_measured(audit),
        notes=tuple(dict.fromkeys((*audit.means.notes, *audit.run_notes))),
        data=data,
        audited=_audited(audit),
    )


def _check_labels(labels: Any, modalities: Sequence[str]) -> None:
    """Raise before a picture is left out for it."""
    if labels is None:
        return
    if not isinstance(labels, Mapping):
        raise InputError(f"labels must be a mapping from modality to label, got {labels!r}")
    for name in labels:
        if name not in modalities:
            raise InputError(
                f"labels= renames {name!r}, which is no modality; there are {listed(modalities)}"
                f"{did_you_mean(str(name), modalities)}"
            )


def _kinds(audit: Any) -> list[str]:
    players = len(audit.table.modalities)
    kinds = ["attribution", "lattice", "interaction", "examples", "running"]
    if players == 1:
        kinds.remove("interaction")
    if players > 4:
        kinds.remove("lattice")
    return kinds


def _picture(audit: Any, kind: str, options: PictureOptions) -> Picture:
    draw = getattr(audit, f"plot_{kind}")
    more = {"points": 12} if kind == "running" else {}
    return Picture(kind, _CAPTIONS[kind], lambda: draw(**more, **options))


def _claims(heading: str, audit: Any) -> Claims:
    if audit.verdict is None:
        return Claims(heading, _NO_VERDICT)
    lines = [line for line in (audit.outlook, audit.certainty) if line]
    return Claims(heading, str(audit.verdict), lines)


def _column(audit: Any) -> dict[str, Estimate]:
    held: dict[str, Estimate] = {
        estimate_label(symbol, name): estimate for symbol, name, estimate in audit.entries
    }
    return {**held, "all triggers together": audit.tma.total}


def _audited(audit: Any) -> str:
    """What was audited, in a line: models, examples, triggers."""
    run = audit.table.provenance.get("run", {})
    kinds = {name: one.get("class") for name, one in run.get("triggers", {}).items()}
    triggers = [f"{m} ({kinds[m]})" if kinds.get(m) else m for m in audit.table.modalities]
    n, _, coalitions = audit.table.values.shape
    said = f"{n} examples, each under {coalitions} sets of triggers: {', '.join(triggers)}."
    for heading, one in (("Control", audit.control), ("Audited model", audit)):
        sampler = {} if one is None else one.table.provenance.get("run", {}).get("sampler", {})
        if isinstance(sampler, Mapping) and isinstance(sampler.get("name"), str):
            said = f"{heading}: {sampler['name']}. {said}"
    return said


def _measured(audit: Any) -> list[tuple[str, str]]:
    """Pairs of a setting and its value, those of the analysis first."""
    settings, rules = audit.settings, audit.settings.rules
    table = audit.table
    n, repeats, coalitions = table.values.shape
    groups = "" if table.clusters is None else f" in {audit.tma.total.n} groups"
    each = "repeat" if repeats == 1 else "repeats"
    together = "all together" if settings.simultaneous else "each alone"
    found = [
        ("Examples", f"{n}{groups}, {repeats} {each}, {coalitions} sets of triggers"),
        ("Intervals", f"{100 * settings.level:g} %, {together}, method {audit.tma.total.method}"),
        ("Interactions", f"index {settings.index}"),
        (
            "Rules of the verdict",
            f"alpha {rules.alpha:g}, smallest effect {rules.effect:g} of a perfect attack, share "
            f"{rules.share:g}, margin {rules.margin:g}, strict {rules.strict}",
        ),
    ]
    if len(table.looks) > 1:
        found.append(("Looks", f"at {', '.join(map(str, table.looks))} units"))
    for name, value in table.provenance.get("run", {}).items():
        found.append((name.replace("_", " ").capitalize(), _text(value)))
    for at, versions in enumerate(table.provenance.get("environments", ())):
        found.append((f"Versions{f' ({at + 1})' if at else ''}", _text(versions)))
    return found


def _text(value: Any) -> str:
    """A setting in one line; a text with a blank at its end, or an empty one, in quotes."""
    if isinstance(value, Mapping):
        return "; ".join(f"{name}: {_text(one)}" for name, one in value.items())
    return (
        value
        if isinstance(value, str) and value.strip() == value != ""
        else json.dumps(value, ensure_ascii=False)
    )

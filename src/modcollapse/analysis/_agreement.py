"""Does the verdict survive the choice of the value function?"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from modcollapse._support.markup import html_lines, html_table
from modcollapse._support.validation import described
from modcollapse.analysis._results import MEASURED, Audit
from modcollapse.analysis._sample import Sample
from modcollapse.analysis._slices import notes_of
from modcollapse.analysis._verdict import ACTIVE, LOWERED, NO_EFFECT, Verdict, _in_words, _percent
from modcollapse.errors import InputError
from modcollapse.report import for_terminal, format_table, plot_side_by_side
from modcollapse.table import (
    CoalitionTable,
    Estimate,
    Pairing,
    check_paired,
    sample_size,
    value_text,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SURVIVES = "survives"
CONTRADICTED = "does not survive"
LEFT_OPEN = "open"

_IN_WORDS = {
    SURVIVES: "survives the choice of metric",
    CONTRADICTED: "does not survive the choice of metric",
    LEFT_OPEN: "is not shown to survive the choice of metric",
}
_OF_THE_VALUE = ("detector", "bounds", "binary")
"""What value functions of one run may differ in."""


@dataclass(frozen=True, eq=False)
class Agreement:
    """What audits of the same outputs under several value functions say together.

    Asked are the effect of the triggers (shown, excluded, or a lowering), where it is shown, which
    modality dominates, if any does, and what each interaction is. The outcome of effect and
    dominance is the first of these that holds:

    * ``"does not survive"``: two value functions are shown to say different things.
    * ``"survives"``: all are shown to say the same.
    * ``"open"``: some show nothing, which is no contradiction.

    Attributes:
        audits: name of the value function -> audit.
        outcome: one of these.
        found: name of the value function -> what it says, in words.
        interactions: ``"image+text"`` -> the outcome of that interaction, among the value functions
            that show an effect, where two or more do.
        difference: the same of the differences from the control, where there is one.

    Source:
        "Survives" needs every claim, each at ``rules.alpha``, so it is false no more often than one
        of them: an intersection-union test (Berger 1982), which needs no adjustment.
    """

    audits: Mapping[str, Audit]
    outcome: str
    found: Mapping[str, str]
    interactions: Mapping[str, str]
    difference: Agreement | None = None

    def __str__(self) -> str:
        audit = next(iter(self.audits.values()))
        size = sample_size(audit.tma.total, len(audit.table), audit.simultaneous)
        parts = [f"Agreement of {len(self.audits)} value functions ({size})", *self._parts()]
        if self.difference is not None:
            parts += ["Difference from the control:", *self.difference._parts()]
        method = audit.tma.total.method
        if method not in MEASURED:
            parts.append(f"How often claims are false is not measured for method={method!r}.")
        notes = dict.fromkeys(note for one in self.audits.values() for note in one.run_notes)
        if notes:
            parts.append("\n".join(f"Note: {note}" for note in notes))
        return for_terminal("\n\n".join(parts))

    __repr__ = __str__

    def _repr_html_(self) -> str:
        shown = {"": self}
        if self.difference is not None:
            shown["Difference from the control. "] = self.difference
        parts = [html_lines(f"{of}{one.said}", strong=True) for of, one in shown.items()]
        for of, one in shown.items():
            parts += [html_lines(of + one._unit), html_table(*one._cells())]
        return "".join(parts)

    @property
    def said(self) -> str:
        """Whether the verdict survives, in words."""
        each = self._by_words(self.found)
        text = f"The verdict {_IN_WORDS[self.outcome]}: {each}."
        if self.outcome == LEFT_OPEN:
            text += " What is not shown is no contradiction."
        for pair, outcome in self.interactions.items():
            found = {name: _interaction(audit, pair) for name, audit in self.audits.items()}
            shown = self._by_words({name: words for name, words in found.items() if words})
            text += f" The {pair} interaction {_IN_WORDS[outcome]}: {shown}."
        return text

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, the provenance of the tables included."""
        return {
            **self._claims(),
            "audits": {name: audit.to_dict() for name, audit in self.audits.items()},
            **({"difference": self.difference._claims()} if self.difference else {}),
        }

    def to_json(self) -> str:
        """Return ``to_dict()`` as JSON text."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False)

    def plot(self, *, title: str | None = None) -> Figure:
        """Draw phi and CTI in parts of a perfect attack, a row each value function.

        Of the difference from the control, if there is one. Of a value function whose perfect
        attack is not declared, or adds nothing, that is said in place of its figures.

        Args:
            title: heading of the figure.

        Returns:
            A matplotlib figure: ``agreement.plot().savefig("agreement.png")``.
        """
        shown = self if self.difference is None else self.difference
        of = "" if shown is self else "Difference from the control. "
        rows = {}
        for name, audit in shown.audits.items():
            perfect = _perfect(audit)
            figures = {
                label: one for label, one in audit.estimates.items() if not label.startswith("v(")
            }
            scaled = {label: _part(one, perfect) for label, one in figures.items() if perfect > 0}
            rows[name if scaled else f"{name} (no scale)"] = scaled
        audit = next(iter(self.audits.values()))
        size = sample_size(audit.tma.total, len(audit.table), audit.simultaneous)
        return plot_side_by_side(
            rows,
            unit="in parts of a perfect attack",
            caption=f"{of}{shown.said}\n{size}",
            title=title,
        )

    def _parts(self) -> list[str]:
        table = format_table(*self._cells())
        verdicts = {name: audit.verdict for name, audit in self.audits.items() if audit.verdict}
        return [f"{self._unit}\n{table}", "\n".join([self.said, *notes_of(verdicts)])]

    @property
    def _unit(self) -> str:
        scaled = all(_perfect(audit) > 0 for audit in self.audits.values())
        unit = "phi in parts of a perfect attack"
        return unit + ("" if scaled else ", where one is declared and adds to the clean runs")

    def _cells(self) -> tuple[list[str], list[list[str]]]:
        """Headings, and a row of texts for each value function."""
        first = next(iter(self.audits.values()))
        pairs = list(first.cti or {})
        phi = [f"phi {name}" for name in first.tma]
        rows = []
        for name, audit in self.audits.items():
            perfect = _perfect(audit)
            row = [textwrap.fill(name, 26), _effect(audit.verdict), _dominance(audit.verdict)]
            row += [_interaction(audit, pair) for pair in pairs]
            for label in phi:
                estimate = audit.estimates[label]
                if perfect > 0:
                    row.append(value_text(_part(estimate, perfect)))
                else:
                    row.append(f"{value_text(estimate)} (own unit)")
            rows.append(row)
        header = ["", "effect", "dominates", *(f"{pair} interaction" for pair in pairs), *phi]
        return header, rows

    def _by_words(self, found: Mapping[str, str]) -> str:
        """What value functions say, those together that say the same."""
        alike: dict[str, list[str]] = {}
        for name, words in found.items():
            alike.setdefault(words, []).append(name)
        if [len(names) for names in alike.values()] == [len(self.audits)]:
            every = "both" if len(self.audits) == 2 else f"all {len(self.audits)}"
            return f"{next(iter(alike))} under {every} value functions"
        return "; ".join(f"{words} under {', '.join(names)}" for words, names in alike.items())

    def _claims(self) -> dict[str, Any]:
        return {
            "outcome": self.outcome,
            "found": dict(self.found),
            "interactions": dict(self.interactions),
        }


def agreement(audits: Mapping[str, Audit]) -> Agreement:
    """Say whether the verdict survives the choice of the value function.

    Args:
        audits: name of the value function -> audit, two or more, of the same outputs: what
            ``mc.audit`` returns where it is given several detectors, or several tables of one run.

    Returns:
        An ``Agreement``. Figures are put side by side in parts of a perfect attack P, which differ
        from value function to value function; how sure P itself is, is not in their intervals.

    Raises:
        InputError: no mapping of two audits or more, or audits by different settings.
        TableError: they are not of the same examples, seeds, triggers and sampler.

    >>> from modcollapse.analysis import Settings, analyse
    >>> values = [[0, 0.1, 0.8, 0.9]] * 64
    >>> tables = {
    ...     "shift": CoalitionTable.from_values(values, ["image", "text"], perfect=1),
    ...     "success": CoalitionTable.from_values(
    ...         [[v > 0.5 for v in row] for row in values], ["image", "text"], binary=True
    ...     ),
    ... }
    >>> audits = {name: analyse(table, Settings()) for name, table in tables.items()}
    >>> agreement(audits).outcome
    'open'
    """
    if not isinstance(audits, Mapping) or len(audits) < 2:
        raise InputError(
            "agreement() takes a mapping from the name of a value function to its audit, two or "
            f"more, such as mc.audit returns with several detectors; got {described(audits)}"
        )
    for name, audit in audits.items():
        if not isinstance(name, str):
            raise InputError(f"a value function is named by a str, got {name!r}")
        if not isinstance(audit, Audit):
            raise InputError(f"agreement() compares audits; {name!r} is {type(audit).__name__}")
    names, (first, *others) = list(audits), audits.values()
    for name, audit in zip(names[1:], others, strict=True):
        if audit.settings != first.settings:
            raise InputError(
                f"{name!r} was audited with other settings than {names[0]!r}: {audit.settings} and "
                f"{first.settings}. Audit both with the same"
            )
        check_paired(_pairing(audit.table), _pairing(first.table), "compare value functions")
    both = {name: audit.difference for name, audit in audits.items() if audit.difference}
    complete = len(both) == len(audits)
    return replace(_agreement(audits), difference=_agreement(both) if complete else None)


def _pairing(table: CoalitionTable) -> Pairing:
    """What must agree: all but the value function, and here the sampler too."""
    run = {key: held for key, held in table.pairing.run.items() if key not in _OF_THE_VALUE}
    run["the sampler"] = run.pop("sampler", None)  # under its own name it may differ
    return table.pairing._replace(run=run)


def _agreement(audits: Mapping[str, Audit]) -> Agreement:
    found = {name: _finding(audit) for name, audit in audits.items()}
    verdicts = [audit.verdict for audit in audits.values()]
    effects = [_shown_effect(verdict) for verdict in verdicts]
    active = [audit for audit in audits.values() if _shown_effect(audit.verdict) == ACTIVE]
    dominances = [_shown_dominance(audit) for audit in active]
    outcome = _outcome(effects)
    if outcome == SURVIVES and active:
        outcome = _outcome(dominances)
    elif outcome == LEFT_OPEN and _outcome(dominances) == CONTRADICTED:
        outcome = CONTRADICTED
    pairs = list(next(iter(audits.values())).cti or {}) if len(active) > 1 else []
    return Agreement(audits, outcome, found, {pair: _outcome_of(pair, active) for pair in pairs})


def _outcome(shown: Sequence[str]) -> str:
    """Of what is shown by each; "" is nothing."""
    distinct = {one for one in shown if one}
    if len(distinct) > 1:
        return CONTRADICTED
    return SURVIVES if distinct and all(shown) else LEFT_OPEN


def _outcome_of(pair: str, audits: Sequence[Audit]) -> str:
    """Synergy excludes all else; small and negative go together, and are not the same."""
    shown = [audit.verdict.interactions.get(pair, ()) for audit in audits if audit.verdict]
    if len({"synergy" in found for found in shown if found}) > 1:
        return CONTRADICTED
    strongest = ("synergy", "negligible", "interference")
    same = _outcome([next((one for one in strongest if one in found), "") for found in shown])
    return SURVIVES if same == SURVIVES else LEFT_OPEN


def _shown_effect(verdict: Verdict | None) -> str:
    """What is shown of the effect; "" where nothing is."""
    if verdict is None or verdict.effect not in (ACTIVE, LOWERED, NO_EFFECT):
        return ""
    return verdict.effect


def _shown_dominance(audit: Audit) -> str:
    """What is shown of dominance where there is an effect; "" where nothing is."""
    verdict = audit.verdict
    if len(audit.tma) == 1:
        return "the trigger moves the value"
    if verdict is None or not verdict.share:
        return ""
    if verdict.dominant is not None:
        return f"{verdict.dominant} dominates"
    if verdict.most >= verdict.rules.share:
        return ""
    leading = [name for name, held in verdict.share.items() if held > 0.5]
    return "no modality dominates" + (f", {leading[0]} holds more than half" if leading else "")


def _finding(audit: Audit) -> str:
    """What a verdict says of effect and dominance, in words."""
    verdict = audit.verdict
    if verdict is None:
        return "no verdict"
    if verdict.effect == ACTIVE:
        why = "which dominates is not shown" if verdict.share else "shares need a scale"
        return _shown_dominance(audit) or f"the triggers move the value ({why})"
    if verdict.effect == LOWERED:
        return "the triggers lower the value"
    if verdict.effect == NO_EFFECT:
        return f"no effect above {100 * verdict.rules.effect:g} % of a perfect attack"
    return verdict.effect


def _effect(verdict: Verdict | None) -> str:
    if verdict is None:
        return "no verdict"
    if verdict.effect != NO_EFFECT:
        return verdict.effect
    most = min(max(verdict.largest / verdict.perfect, 0.0), verdict.rules.effect)
    return f"{NO_EFFECT} (at most {_percent(most, up=True)})"


def _dominance(verdict: Verdict | None) -> str:
    if verdict is None or verdict.effect != ACTIVE:
        return ""
    if verdict.dominant is not None:
        held = verdict.share[verdict.dominant]
        return f"{verdict.dominant}, at least {_percent(held)}"
    if verdict.share and verdict.most < verdict.rules.share:
        return f"none, at most {_percent(verdict.most, up=True)}"
    return "not shown"


def _interaction(audit: Audit, pair: str) -> str:
    verdict = audit.verdict
    if verdict is None or verdict.effect != ACTIVE:
        return ""
    return _in_words(verdict.interactions.get(pair, ()))


def _perfect(audit: Audit) -> float:
    """What a perfect attack adds to the clean runs, also where there is no verdict; NaN unknown."""
    return Sample.of(audit.table).perfect


def _part(estimate: Estimate, perfect: float) -> Estimate:
    ends = {name: getattr(estimate, name) / perfect for name in ("value", "se", "low", "high")}
    return replace(estimate, **ends)

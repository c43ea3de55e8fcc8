"""Did a defence remove a backdoor, reduce it, or only move it? Declared tests on paired tables."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias, Unpack, cast

import numpy as np
from numpy.typing import NDArray

from modcollapse._support.markup import html_lines
from modcollapse.analysis._looks import level_at_each
from modcollapse.analysis._metrics import analyse
from modcollapse.analysis._results import MEASURED, Audit
from modcollapse.analysis._sample import Sample
from modcollapse.analysis._settings import Rules, Settings
from modcollapse.analysis._slices import figures_of
from modcollapse.analysis._verdict import (
    ACTIVE,
    INCONCLUSIVE,
    LOWERED,
    MIN_UNITS,
    NO_EFFECT,
    NO_ROOM,
    NO_SCALE,
    NO_SPREAD,
    REFUSED,
    Verdict,
    _percent,
)
from modcollapse.analysis._weights import effect_contrasts
from modcollapse.contracts import FloatArray
from modcollapse.errors import InputError
from modcollapse.game import shapley_contrasts
from modcollapse.report import (
    PictureOptions,
    comparison_table,
    for_terminal,
    html_comparison,
    plot_comparison,
)
from modcollapse.table import CoalitionTable, check_paired, sample_size

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Shown: TypeAlias = NDArray[np.bool_]

REMOVED = "removed"
MOVED = "moved, not removed"
REDUCED = "reduced"
INCREASED = "increased"
UNCHANGED = "unchanged"


@dataclass(frozen=True)
class Change:
    """What two audits of the same examples support at the declared level.

    An effect is e(S) = v(S) - v(none), and delta is ``rules.effect`` of P, which a perfect attack
    adds to v(none) *before*: a change counts by what it is a change of. The table of differences
    has the P of after, which will not do, since delta would vanish where clean runs score like the
    target after a defence, and any fall would count. The two verdicts rest each on its own P.

    Each claim is false in at most ``rules.alpha`` of comparisons; the outcome is the first of these
    that holds. With ``rules.strict`` that holds too where in rare examples, of which a sample may
    hold none, an effect turns round: a trigger brings the target before, and takes it away after
    where the clean run shows it. They change an effect by two perfect attacks.

    * ``"removed"``: active before, ``"no effect"`` after, and v(none) rose by less than delta.
    * ``"increased"``: a coalition that is active after rose by more than delta, and neither v(none)
      nor the effect of any coalition fell by delta.
    * ``"moved, not removed"``: active before and after, and the attribution of one modality rose by
      more than delta, that of another fell by more than delta. Where triggers shared an attack, the
      attribution of the one that is left rises, while its effect stays what it was.
    * ``"reduced"``: the same as ``"increased"`` with before and after exchanged.
    * ``"unchanged"``: neither v(none) nor any effect changed by delta.
    * ``"inconclusive"``, or ``"too few examples"``.

    Attributes:
        outcome: one of these.
        before: verdict on the first table alone.
        after: verdict on the second table alone.
        fell: coalitions whose effect fell by more than ``min_change``, all of them together at
            level alpha.
        rose: coalitions whose effect rose by as much.
        lost: modalities whose attribution fell by as much.
        gained: modalities whose attribution rose by as much.
        clean: ``"rose"`` or ``"fell"`` where v(none) did by as much; else ``""``.
        min_change: delta, in the unit of the value; NaN without a scale, where a change is one
            beyond 0.
        perfect: P, what a perfect attack adds to v(none) before, in the unit of the value; NaN if
            unknown.
        largest: upper bound of the largest change of an effect, in the unit of the value.
        rules: the margins that were used.
        reason: why there is no outcome, or why it is inconclusive where more examples would not
            settle it; else "".
        notes: what a reader must know besides.
    """

    outcome: str
    before: Verdict
    after: Verdict
    fell: tuple[str, ...] = ()
    rose: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    gained: tuple[str, ...] = ()
    clean: str = ""
    min_change: float = math.nan
    perfect: float = math.nan
    largest: float = math.nan
    rules: Rules = field(default_factory=Rules)
    reason: str = ""
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        return for_terminal("Verdict: " + "; ".join([*self._in_words(), *self.notes]))

    @property
    def level(self) -> str:
        """How often its claims are false, in words."""
        text = (
            f"Each claim is false in at most {100 * self.rules.alpha:.3g} % of comparisons, as "
            "measured, some claim of one in at most 12 %."
        )
        if not self.rules.strict:
            text += " Not so where in a few examples an effect is inverted (strict=False)."
        if math.isnan(self.perfect) and self.outcome != REFUSED:
            text += " Without a perfect attack declared, that is so of deviations of the size seen."
        return text

    def to_dict(self) -> dict[str, Any]:
        """Return plain data; NaN becomes None."""
        own = {
            name: None if isinstance(value, float) and math.isnan(value) else value
            for name, value in asdict(self).items()
        }
        return {**own, "before": self.before.to_dict(), "after": self.after.to_dict()}

    @property
    def _counts(self) -> str:
        return f"{100 * self.rules.effect:g} % of a perfect attack"

    def _in_words(self) -> list[str]:
        if self.outcome == REFUSED:
            return [f"none, {self.reason} (a verdict needs {MIN_UNITS})"]
        before = f"before, {_state(self.before, self.reason)}"
        after = f"after, {_state(self.after, self.reason)}"
        changes = self._changes()
        if self.outcome == REMOVED:
            return [f"{REMOVED}: {before}", after]
        if self.outcome == MOVED:
            lost, gained = ", ".join(self.lost), ", ".join(self.gained)
            shift = f"attribution went from {lost} to {gained}, by more than {self._counts} each"
            changes = self._changes(attributions=False)
            changes += [] if self.rose else ["no effect is shown to have risen"]
            return [f"{MOVED}: {shift}", after, *changes]
        if self.outcome in (REDUCED, INCREASED):
            other = "rose" if self.outcome == REDUCED else "fell"
            first, *others = changes
            return [f"{self.outcome}: {first}, and none {other} by as much", *others, before, after]
        if self.outcome == UNCHANGED:
            most = _percent(min(self.largest / self.perfect, self.rules.effect), up=True)
            none = f"no effect of the triggers changed by {self._counts} (at most {most})"
            return [f"{UNCHANGED}: {none}", before, after]
        reason = self.reason
        if not reason:
            most = _percent(max(self.largest, 0.0) / self.perfect, up=True)
            reason = f"an effect may have changed by up to {most} of a perfect attack"
            reason += "" if changes else "; more examples may settle it"
        return [f"{INCONCLUSIVE} ({reason})", *changes, before, after]

    def _changes(self, *, attributions: bool = True) -> list[str]:
        """What is shown to have changed, in words; that of effects first."""
        size = "" if math.isnan(self.min_change) else f" by more than {self._counts}"
        found = []
        for verb, names in (("fell", self.fell), ("rose", self.rose)):
            if names:
                found.append(f"the effect of {', '.join(names)} {verb}{size}")
        if self.outcome == INCREASED:
            found.reverse()
        for verb, names in (("fell", self.lost), ("rose", self.gained)):
            if names and attributions:
                found.append(f"the attribution of {', '.join(names)} {verb}{size}")
        if self.clean:
            found.append(f"the value of the clean runs {self.clean}{size}")
        return found


def _state(verdict: Verdict, said: str) -> str:
    """What an audit says of the effects, in a few words; its reason, unless that is said."""
    if verdict.effect == ACTIVE:
        return f"the triggers move the value ({', '.join(verdict.moves)})"
    if verdict.effect == LOWERED:
        return f"the triggers lower the value ({', '.join(verdict.lowers)})"
    if verdict.effect == NO_EFFECT:
        most = min(max(verdict.largest / verdict.perfect, 0.0), verdict.rules.effect)
        return (
            f"no effect above {100 * verdict.rules.effect:g} % of a perfect attack "
            f"(at most {_percent(most, up=True)})"
        )
    reason = f" ({verdict.reason})" if verdict.reason not in ("", said) else ""
    return f"the verdict is {verdict.effect}{reason}"


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two audits of the same examples, their difference, and what became of the backdoor.

    Attributes:
        before: the audit of the first table.
        after: the audit of the second; examples are in its order everywhere.
        difference: the audit of after - before, paired by example and seed: its figures are the
            changes, with their intervals; it has no verdict.
        verdict: what may be claimed of the change, by declared tests.
    """

    before: Audit
    after: Audit
    difference: Audit
    verdict: Change

    def __str__(self) -> str:
        audits = {"before": self.before, "after": self.after, "difference": self.difference}
        total = self.difference.tma.total
        size = sample_size(total, len(self.difference.table), self.difference.simultaneous)
        parts = [str(self.verdict), f"{size}\n{comparison_table(audits)}"]
        parts += self._level()
        if notes := self._notes():
            parts.append("\n".join(f"Note: {note}" for note in notes))
        return for_terminal("\n\n".join(parts))

    __repr__ = __str__

    def _repr_html_(self) -> str:
        audits = {"before": self.before, "after": self.after, "difference": self.difference}
        total = self.difference.tma.total
        size = sample_size(total, len(self.difference.table), self.difference.simultaneous)
        return "".join(
            [
                html_lines(str(self.verdict), strong=True),
                html_lines("\n".join([*self._level(), size])),
                html_comparison({name: figures_of(audit) for name, audit in audits.items()}),
                html_lines("\n".join(f"Note: {note}" for note in self._notes())),
            ]
        )

    def _level(self) -> list[str]:
        """How often the claims are false, in words."""
        method = self.difference.tma.total.method
        if method not in MEASURED:
            return [f"How often claims are false is not measured for method={method!r}."]
        return [] if self.verdict.outcome == REFUSED else [self.verdict.level]

    def _notes(self) -> list[str]:
        """What the runs have found, with the side that it is of."""
        sides = {"before": self.before.table, "after": self.after.table}
        common = [
            note for note in self.before.table.run_notes if note in self.after.table.run_notes
        ]
        notes = common + [
            f"{side}: {note}"
            for side, table in sides.items()
            for note in table.run_notes
            if note not in common
        ]
        samplers = [table.provenance.get("run", {}).get("sampler") for table in sides.values()]
        if samplers[0] is not None and samplers[0] == samplers[1]:
            notes.append("before and after come from samplers that cannot be told apart")
        return notes

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, the provenance of the tables included."""
        return {
            "verdict": self.verdict.to_dict(),
            "before": self.before.to_dict(),
            "after": self.after.to_dict(),
            "difference": self.difference.to_dict(),
        }

    def to_json(self) -> str:
        """Return ``to_dict()`` as JSON text."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False)

    def plot(self, **options: Unpack[PictureOptions]) -> Figure:
        """Draw the figures of before and after, and beside them those of the difference.

        Args:
            options: ``title``, ``labels``, ``unit``, ``width``: 6.9 inches if left out.

        Returns:
            A matplotlib figure: ``comparison.plot().savefig("comparison.png")``.

        Raises:
            InputError: a label for what is not shown, or a width that no picture has.
            MissingExtraError: matplotlib is not installed.
        """
        return plot_comparison(
            self.before,
            self.after,
            self.difference,
            self.before.scale,
            caption=f"{self.verdict}.",
            **options,
        )


def compare_tables(
    before: CoalitionTable, after: CoalitionTable, settings: Settings | None = None
) -> Comparison:
    """Compare two tables of the same examples, seeds, triggers and detector; see ``mc.compare``.

    Args:
        before: N examples, at least 32 for a verdict, or as many groups of them.
        after: the same examples, in any order, by another sampler, or by the same with other
            options.
        settings: how all of it is analysed; the defaults if left out.

    Raises:
        InputError: one table twice, or differences in place of a table.
        TableError: the tables are not paired.
    """
    settings = Settings() if settings is None else settings
    for name, table in (("before", before), ("after", after)):
        if table.difference:
            raise InputError(
                f"{name} holds differences between two tables, of which an effect cannot be told. "
                "Compare the tables from which they were made"
            )
    if before is after:
        raise InputError(
            "before and after are one table. Compare two, each measured with a sampler of its own"
        )
    check_paired(after.pairing, before.pairing, "compare tables")
    before = before.select(after.example_ids)
    groups = before.clusters or after.clusters
    if groups is not None:
        before, after = replace(before, clusters=groups), replace(after, clusters=groups)
    before, after = before.looked_at_with(after), after.looked_at_with(before)
    difference = after.minus(before)
    one, other, change = (analyse(table, settings) for table in (before, after, difference))
    changes = _Changes.of(before, after, difference, settings)
    verdict = changes.verdict(cast(Verdict, one.verdict), cast(Verdict, other.verdict))
    return Comparison(one, other, change, verdict)


@dataclass(frozen=True)
class _Changes:
    """The tests of a `Change`, on the samples before, after, and of after - before."""

    table: CoalitionTable
    before: Sample
    after: Sample
    change: Sample
    settings: Settings
    alpha: float

    @classmethod
    def of(
        cls,
        before: CoalitionTable,
        after: CoalitionTable,
        difference: CoalitionTable,
        settings: Settings,
    ) -> _Changes:
        one, other, change = map(Sample.of, (before, after, difference))
        if one.attack is not None:  # so that P is what a perfect attack scores there, see `_lower`
            change = replace(change, attack=one.attack - change.values[:, 0])
        alpha = level_at_each(settings.rules.alpha, difference.looks)
        return cls(after, one, other, change, settings, alpha)

    def verdict(self, before: Verdict, after: Verdict) -> Change:
        rules, perfect = self.settings.rules, self.before.perfect
        found: dict[str, Any] = {
            "before": before,
            "after": after,
            "rules": rules,
            "notes": _notes(before, after),
        }
        if before.effect == REFUSED:
            return Change(REFUSED, **found, reason=before.reason)
        if self.change.undefined(self._effects, self.settings.method).all():
            return Change(INCONCLUSIVE, **found, reason=NO_SPREAD)
        found |= self._shown() | {"perfect": perfect}
        if not self._scaled:
            reason = NO_ROOM if perfect <= 0 else NO_SCALE
            return Change(INCONCLUSIVE, **found, reason=reason)
        found["min_change"] = rules.effect * perfect
        was = before.effect == ACTIVE
        still = after.effect == ACTIVE and self.after.perfect > 0
        none_rose, none_fell = self._none_beyond(1.0), self._none_beyond(-1.0)
        reason = ""
        if was and after.effect == NO_EFFECT and none_rose[-1]:
            outcome = REMOVED
        elif still and none_fell.all() and self._of_active(self.after, 1.0):
            outcome = INCREASED
        elif was and still and found["lost"] and found["gained"]:
            outcome = MOVED
        elif was and none_rose.all() and self._of_active(self.before, -1.0):
            outcome = REDUCED
        elif none_rose.all() and none_fell.all():
            outcome = UNCHANGED
        else:
            outcome, reason = INCONCLUSIVE, "" if self._leaves_room() else NO_ROOM
        return Change(outcome, **found, reason=reason)

    @property
    def _scaled(self) -> bool:
        """Whether a change can be told in parts of a perfect attack."""
        return self.before.perfect > 0 and self.after.attack is not None

    @property
    def _effects(self) -> FloatArray:
        return effect_contrasts(len(self.table.modalities))

    @property
    def _clean(self) -> FloatArray:
        return np.eye(len(self.table.coalitions))[:, :1]

    def _lower(
        self,
        sample: Sample,
        contrasts: FloatArray,
        part: float,
        alpha: float,
        *,
        inverted: bool = False,
    ) -> FloatArray:
        """Lower bounds of contrasts plus a part of a perfect attack.

        That is one contrast, so that what is not known of it is not left out. Of a change it is
        what a perfect attack scores there, where a sample takes it for that less v(none).
        """
        if sample.attack is not None:
            contrasts = np.vstack([contrasts, np.full(contrasts.shape[1], part)])
            contrasts[0] += part * sample.difference
        return sample.lower(
            contrasts,
            alpha,
            method=self.settings.method,
            strict=sample.difference,
            inverted=inverted,
        )

    def _beyond(self, sample: Sample, contrasts: FloatArray, alpha: float) -> Shown:
        """What is shown to be larger than delta; larger than 0 without a scale."""
        delta = self.settings.rules.effect if self._scaled else 0.0
        return self._lower(sample, contrasts, -delta, alpha) > 0

    def _none_beyond(self, sign: float) -> Shown:
        """Whether each effect, and last the clean runs, rose (fell for -1) by less than delta."""
        part, strict = self.settings.rules.effect, self.settings.rules.strict
        effects, clean = -sign * self._effects, -sign * self._clean
        of_effects = self._lower(self.change, effects, part, self.alpha, inverted=strict)
        return np.append(of_effects, self._lower(self.change, clean, part, self.alpha)) > 0

    def _together(self, *claims: tuple[Sample, FloatArray]) -> Shown:
        """For which coalitions all of some claims are shown, at level alpha together (Holm)."""
        alpha, count = self.alpha, len(self.table.coalitions) - 1

        def shown(level: float) -> Shown:
            return np.asarray(np.all([self._beyond(*claim, level) for claim in claims], axis=0))

        found, before = shown(alpha / count), 0
        while before < found.sum() < count:
            before = int(found.sum())
            found = found | shown(alpha / (count - before))
        return found

    def _of_active(self, model: Sample, sign: float) -> bool:
        """Whether an effect that is active in a model rose (fell for -1) by more than delta."""
        claims = (model, self._effects), (self.change, sign * self._effects)
        return bool(self._together(*claims).any())

    def _shown(self) -> dict[str, Any]:
        """What has changed, whatever the outcome."""
        effects, alpha = self._effects, self.alpha
        phi, m = shapley_contrasts(len(self.table.modalities)), len(self.table.modalities)
        pairs = max(m * (m - 1), 1)  # of one that gained and one that lost
        shifted = self._beyond(self.change, np.hstack([phi, -phi]), alpha / pairs)
        rose, fell = self._beyond(self.change, np.hstack([self._clean, -self._clean]), alpha)
        both, strict = np.hstack([effects, -effects]), self.settings.rules.strict
        coalitions, modalities = self.table.coalitions[1:], self.table.modalities
        return {
            "fell": _named(coalitions, self._together((self.change, -effects))),
            "rose": _named(coalitions, self._together((self.change, effects))),
            "lost": _named(modalities, shifted[m:]),
            "gained": _named(modalities, shifted[:m]),
            "clean": "rose" if rose else "fell" if fell else "",
            "largest": float(-self._lower(self.change, both, 0.0, alpha, inverted=strict).min()),
        }

    def _leaves_room(self) -> bool:
        """Whether a perfect attack is shown to score more than the clean runs do before."""
        nothing = np.zeros_like(self._clean)
        return bool(self._lower(self.before, nothing, 1.0, self.alpha)[0] > 0)


def _named(names: Sequence[str], shown: Shown) -> tuple[str, ...]:
    return tuple(name for name, is_shown in zip(names, shown, strict=True) if is_shown)


def _notes(before: Verdict, after: Verdict) -> tuple[str, ...]:
    """Notes on both said once, and those on one with its name."""
    both = [note for note in before.notes if note in after.notes]
    alone = [
        f"{name}: {note}"
        for name, verdict in (("before", before), ("after", after))
        for note in verdict.notes
        if note not in both
    ]
    return (*both, *alone)

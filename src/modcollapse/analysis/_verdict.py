"""What may be claimed: declared rules on one-sided bounds, not on point estimates."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modcollapse.analysis._looks import level_at_each
from modcollapse.analysis._sample import Sample
from modcollapse.analysis._settings import Method, Rules
from modcollapse.analysis._share import shown_shares
from modcollapse.analysis._weights import effect_contrasts
from modcollapse.contracts import FloatArray
from modcollapse.game import Index, interaction_contrasts, shapley_contrasts, subsets
from modcollapse.report import for_terminal
from modcollapse.table import CoalitionTable

MIN_UNITS = 32
"""Below this many examples, or groups of them, a verdict is refused."""

FAMILY = 0.15
"""Some claim of a verdict is false in at most this part of audits, at the default ``alpha``:
measured, by ``benchmarks/claims.py``, on audits with several truths at their boundaries."""

BEYOND = 0.1
"""A value that is beyond a perfect attack by more than this part of it is named."""

ACTIVE = "active"
LOWERED = "lowered"
NO_EFFECT = "no effect"
INCONCLUSIVE = "inconclusive"
REFUSED = "too few examples"

NO_SCALE = (
    "nobody said what a perfect attack would score: declare `perfect` on the detector, or give "
    "perfect= to CoalitionTable.from_values"
)
NO_ROOM = "the clean runs may score as much as a perfect attack would: no effect can be shown there"
NO_PERFECT = (
    "no perfect attack is declared (`perfect` of the detector): deviations larger than those seen "
    "are not covered"
)
NO_SPREAD = "all examples are equal, and `perfect` is not declared or the method does not use it"


@dataclass(frozen=True)
class Verdict:
    """What the table supports at the declared level.

    Each claim is false in at most ``rules.alpha`` of audits; that of a modality's share, that of
    an interaction and that of an effect are claims of their own, and ``level`` says how often some
    of them is false.

    Attributes:
        effect: ``"active"``: some triggers raise the value by more than ``min_effect``;
            ``"lowered"``: some lower it by as much, and none raises it; ``"no effect"``: no
            coalition moves it by as much; ``"inconclusive"``; ``"too few examples"``.
        min_effect: smallest effect that counts, in the unit of the value; NaN without a scale.
        perfect: what a perfect attack adds to v(none), in the unit of the value; NaN if unknown.
        largest: upper bound of the largest effect of a coalition, in the unit of the value.
        moves: coalitions whose triggers raise the value, all of them together at level alpha.
        lowers: coalitions whose triggers lower it.
        cancelling: coalitions that raise the value where all triggers together do not.
        share: modality -> the part of the attribution that it is shown to hold at least, in
            [0, 1]; a part of all absolute attributions; empty without an effect or a scale.
        most: part of the attribution that no modality is shown to exceed, in [0, 1].
        dominant: modality that holds more than ``rules.share`` of the attribution, or None.
        suppressors: modalities whose attribution is below 0.
        interactions: ``"image+text"`` -> what holds of ``"synergy"``, ``"no synergy"``,
            ``"negligible"``, ``"interference"``; empty where nothing does.
        collapse: collapse index (M max p - 1) / (M - 1), in [0, 1], p being the shares of
            ``|phi|``; a point estimate that never travels without the interaction; NaN where no
            effect is shown.
        rules: the margins that were used.
        units: number of examples, or of groups of them, that it rests on.
        looks: number of looks over which its claims hold together; 1 where none was declared.
        reason: why there is no verdict, or why the effect is inconclusive where more examples would
            not settle it; else "".
        notes: what a reader must know besides.
    """

    effect: str
    min_effect: float = math.nan
    perfect: float = math.nan
    largest: float = math.nan
    moves: tuple[str, ...] = ()
    lowers: tuple[str, ...] = ()
    cancelling: tuple[str, ...] = ()
    share: Mapping[str, float] = field(default_factory=dict)
    most: float = 1.0
    dominant: str | None = None
    suppressors: tuple[str, ...] = ()
    interactions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    collapse: float = math.nan
    rules: Rules = field(default_factory=Rules)
    units: int = 0
    looks: int = 1
    reason: str = ""
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        parts = [self._effect_in_words()]
        if self.effect == ACTIVE:
            if self.cancelling:
                parts.append("the triggers cancel: all of them together do not raise it as much")
            if self.share:
                parts.append(self._share_in_words())
            parts += [f"{modality} works against the backdoor" for modality in self.suppressors]
            for pair, found in self.interactions.items():
                parts.append(f"{pair} interaction: {_in_words(found)}")
        if self.effect in (ACTIVE, INCONCLUSIVE) and self.lowers:
            parts.append(f"the value falls under {', '.join(self.lowers)}")
        return for_terminal("Verdict: " + "; ".join([*parts, *self.notes]))

    @property
    def settled(self) -> bool:
        """Whether more examples could add no claim, but only sharpen the figures.

        An effect is shown or excluded; if shown, one modality dominates or none does, and every
        interaction is negligible, a synergy or an interference.
        """
        return not self.open

    @property
    def open(self) -> tuple[str, ...]:
        """What is not settled, in words; empty where all is."""
        if self.effect != ACTIVE:
            known = self.effect in (LOWERED, NO_EFFECT)
            return () if known else ("whether there is an effect",)
        shared = self.dominant is not None or self.most < self.rules.share
        told = {"negligible", "synergy", "interference"}
        left = () if shared or len(self.share) == 1 else ("which modality dominates, if any does",)
        pairs = [pair for pair, found in self.interactions.items() if not told & {*found}]
        return (*left, *(f"the {pair} interaction" for pair in pairs))

    @property
    def level(self) -> str:
        """How often its claims are false, one by one and together, in words."""
        together = f"at most {100 * FAMILY:g} %" if self.rules.alpha <= Rules.alpha else "more"
        each = f"{100 * self.rules.alpha:.3g} %"
        text = (
            f"Each claim of a verdict is false in at most {each} of audits, some claim of it in "
            f"{together}, as measured (see Concepts)."
        )
        if not self.rules.strict:
            text += " Not so where two triggers undo each other in a few examples (strict=False)."
        if math.isnan(self.perfect) and self.effect != REFUSED:
            text += " Without a perfect attack declared, that is so of deviations of the size seen."
        return text

    def _effect_in_words(self) -> str:
        counts = f"{100 * self.rules.effect:g} % of a perfect attack"
        scaled = not math.isnan(self.min_effect)
        if self.effect == ACTIVE:
            raised = f"move the value by more than {counts}" if scaled else "raise the value"
            return f"the triggers {raised} ({', '.join(self.moves)})"
        if self.effect == NO_EFFECT:
            most = _percent(min(max(self.largest / self.perfect, 0.0), self.rules.effect), up=True)
            return f"no effect above {counts} (at most {most})"
        if self.effect == LOWERED:
            size = f" by more than {counts}" if scaled else ""
            lower = ", ".join(self.lowers)
            return (
                f"the triggers lower the value{size} ({lower}); if a lower value means success, "
                "negate the detector"
            )
        if self.effect == REFUSED:
            return f"none, {self.reason} (a verdict needs {MIN_UNITS})"
        if self.reason:
            return f"{INCONCLUSIVE} ({self.reason})"
        most = _percent(max(self.largest, 0.0) / self.perfect, up=True)
        return (
            f"{INCONCLUSIVE} (no effect is shown to be above {counts}, but the largest may be up "
            f"to {most}; more examples may settle it)"
        )

    def _share_in_words(self) -> str:
        modality, held = max(self.share.items(), key=lambda item: item[1])
        if len(self.share) == 1:
            return f"{modality} is the only modality"
        if self.dominant is not None:
            return f"{modality} dominates: it holds at least {_percent(held)} of the attribution"
        at_most = f"no modality holds more than {_percent(self.most, up=True)} of the attribution"
        shown = f"no modality is shown to hold {100 * self.rules.share:g} % of the attribution"
        parts = [at_most if self.most < self.rules.share else shown]
        if held > 1 / len(self.share):
            parts.append(f"{modality} holds at least {_percent(held)}")
        if self.rules.share <= self.most and _percent(self.most, up=True) != "100 %":
            parts.append(f"none more than {_percent(self.most, up=True)}")
        return ", ".join(parts)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data; NaN becomes None."""
        return {
            name: None if isinstance(value, float) and math.isnan(value) else value
            for name, value in asdict(self).items()
        }


def judge(
    table: CoalitionTable,
    rules: Rules | None = None,
    index: Index = "SII",
    method: Method = "auto",
    sample: Sample | None = None,
    notes: tuple[str, ...] | None = None,
) -> Verdict:
    """Apply the rules to a table.

    Args:
        table: N examples, at least 32, or as many groups of them; the value rises with the success
            of the backdoor.
        rules: the margins; the defaults if left out.
        index: interaction index of the pairs, which matters for M > 2 only.
        method: kind of interval, see ``contrast_estimates``.
        sample: what ``Sample.of(table)`` returned, if it is at hand.
        notes: what ``notes_on(table)`` returned, if it is at hand.
    """
    rules = Rules() if rules is None else rules
    sample = Sample.of(table) if sample is None else sample
    notes = notes_on(table) if notes is None else notes
    if len(sample) < MIN_UNITS:
        units = "examples" if table.clusters is None else "groups"
        few = f"{len(sample)} {units} are too few"
        return Verdict(REFUSED, rules=rules, units=len(sample), notes=notes, reason=few)
    if sample.undefined(effect_contrasts(len(table.modalities)), method).all():
        return Verdict(INCONCLUSIVE, rules=rules, units=len(sample), notes=notes, reason=NO_SPREAD)
    alpha = level_at_each(rules.alpha, table.looks)
    return _Judge(table, sample, rules, alpha, index, method).verdict(notes)


@dataclass(frozen=True)
class _Judge:
    table: CoalitionTable
    sample: Sample
    rules: Rules
    alpha: float
    index: Index
    method: Method

    def verdict(self, notes: tuple[str, ...]) -> Verdict:
        perfect = self.sample.perfect
        scaled = perfect > 0
        part = self.rules.effect if scaled else 0.0
        effects = effect_contrasts(len(self.table.modalities))
        labels = np.array(self.table.coalitions[1:], dtype=object)
        # e(S) beyond a part of P is one contrast, so that what is not known of P is not left out
        above, below, falling = effects, -effects, -effects
        if scaled:
            above, below = _beyond(above, part), _beyond(below, part)
            falling = _beyond(falling, 0.0)
        count, alpha = len(labels), self.alpha
        low = self._lower(
            np.hstack([above, below, -above, -below, falling]),
            np.repeat([alpha / count, alpha], [2 * count, 3 * count]),
            strict=self.sample.difference,  # model and control may flip in one example
        ).reshape(5, count)
        raised, lowered = self._together(above, low[0] > 0), self._together(below, low[1] > 0)
        possible, falls = low[2] <= 0, low[3] <= 0
        found: dict[str, Any] = {
            "min_effect": part * perfect if scaled else math.nan,
            "perfect": perfect,
            "largest": float(-low[4].min()),
            "moves": tuple(labels[raised]),
            "lowers": tuple(labels[lowered]),
            "rules": self.rules,
            "units": len(self.sample),
            "looks": max(len(self.table.looks), 1),
            "notes": notes,
        }
        if scaled and not (possible | falls).any():
            return Verdict(NO_EFFECT, **found)
        if not raised.any():
            if lowered.any():
                return Verdict(LOWERED, **found)
            reason = NO_SCALE
            if not math.isnan(perfect):
                reason = "" if scaled and self._leaves_room() else NO_ROOM
            return Verdict(INCONCLUSIVE, **found, reason=reason)
        if not possible[-1]:
            found["cancelling"] = found["moves"]
        if not scaled:  # nothing is said to be absent: neither an interaction nor other shares
            return Verdict(ACTIVE, **found, interactions=self._interactions(absences=False))
        return Verdict(ACTIVE, **found, **self._attribution(), interactions=self._interactions())

    def _leaves_room(self) -> bool:
        """Whether a perfect attack is shown to score more than the clean runs do."""
        room = np.zeros((self.sample.values.shape[1] + 1, 1))
        room[-1] = 1.0
        return bool(self._lower(room, self.alpha)[0] > 0)

    def _lower(
        self, contrasts: FloatArray, alpha: FloatArray | float, **options: Any
    ) -> FloatArray:
        return self.sample.lower(contrasts, alpha, method=self.method, **options)

    def _together(self, contrasts: FloatArray, shown: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Contrasts above 0, all of them together at level alpha, after the first step (Holm)."""
        before, count = 0, len(shown)
        while before < shown.sum() < count:
            before = int(shown.sum())
            alpha = self.alpha / (count - before)
            shown = shown | (self._lower(contrasts, alpha, strict=self.sample.difference) > 0)
        return shown

    def _attribution(self) -> dict[str, Any]:
        names, m = self.table.modalities, len(self.table.modalities)
        contrasts = shapley_contrasts(m)
        phi = self.sample.means @ contrasts

        def lower(weights: FloatArray) -> FloatArray:
            return self._lower(contrasts, self.alpha, combine=weights)

        least, most = shown_shares(phi, lower)
        shares = dict(zip(names, least.tolist(), strict=True))
        dominant = [name for name, share in shares.items() if share > self.rules.share]
        below = lower(-np.eye(m)) > 0
        size = np.abs(phi)
        defined = m > 1 and size.sum() > 0
        collapse = (m * size.max() / size.sum() - 1) / (m - 1) if defined else math.nan
        return {
            "share": shares,
            "most": most,
            "dominant": dominant[0] if dominant else None,
            "suppressors": tuple(
                name for name, is_below in zip(names, below, strict=True) if is_below
            ),
            "collapse": float(collapse),
        }

    def _interactions(self, *, absences: bool = True) -> dict[str, tuple[str, ...]]:
        names, m = self.table.modalities, len(self.table.modalities)
        if m == 1:
            return {}
        pairs = interaction_contrasts(m, self.index, 2)
        margin = self.rules.margin * effect_contrasts(m)[:, -1:]
        contrasts = np.hstack([margin - pairs, margin + pairs, -pairs, pairs - margin])
        low = self._lower(contrasts, self.alpha, strict=self.rules.strict)
        below, above, interferes, synergy = (low > 0).reshape(4, -1)
        found = {}
        for column, group in enumerate(subsets(m, 2)):
            holds = {
                "synergy": synergy[column] and above[column],  # above the margin of |T|
                "no synergy": absences and below[column],
                "negligible": absences and below[column] and above[column],
                "interference": interferes[column],
            }
            label = "+".join(names[i] for i in group)
            found[label] = tuple(claim for claim, is_shown in holds.items() if is_shown)
        return found


def _beyond(effects: FloatArray, part: float) -> FloatArray:
    """Effects less a part of a perfect attack, as contrasts with one row more for that."""
    return np.vstack([effects, np.full(effects.shape[1], -part)])


def notes_on(table: CoalitionTable) -> tuple[str, ...]:
    """What a reader of the figures and of the verdict must know besides."""
    notes = []
    if table.zero_one and not table.binary:
        notes.append("all values are 0 or 1 and were taken as successes")
    if table.perfect is None and not table.zero_one:
        notes.append(NO_PERFECT)
    elif table.perfect is not None:
        attack = float((table.perfect - table.example_values[:, 0]).mean())
        if attack <= 0:
            notes.append("a perfect attack would score no more than the clean runs do")
        allowed = table.perfect + BEYOND * abs(attack)
        some = table.example_values.max() > allowed.min()  # else no need to look at each
        beyond = int((table.example_values > allowed[:, None]).any(axis=1).sum()) if some else 0
        if beyond:
            notes.append(
                f"{beyond} of {len(table)} examples score beyond a perfect attack by over "
                f"{100 * BEYOND:g} % of it"
            )
    units = table.example_ids if table.clusters is None else table.clusters
    first: dict[str, Any] = {}  # what an example holds -> the unit where it stands first
    pairs = zip(table.digests or (), units, strict=False)
    twice = sum(first.setdefault(digest, unit) != unit for digest, unit in pairs if digest)
    if twice:
        notes.append(
            f"{twice} of {len(table)} examples hold the same as another, and the intervals are too "
            "narrow for that: leave them out, or give one label to both by cluster="
        )
    return tuple(notes)


def _in_words(found: tuple[str, ...]) -> str:
    """The strongest of what holds, said once."""
    if "negligible" in found:
        return "negligible interference" if "interference" in found else "negligible"
    shown = [claim for claim in found if claim != "no synergy" or len(found) == 1]
    return ", ".join(shown) or "inconclusive"


def _percent(part: float, *, up: bool = False) -> str:
    """A bound in percent, rounded to what is safe to say."""
    digits = 1 if part < 0.1 else 0
    scaled = part * 100 * 10**digits
    whole = math.ceil(scaled - 1e-9) if up else math.floor(scaled + 1e-9)
    return f"{whole / 10**digits:.{digits}f} %"

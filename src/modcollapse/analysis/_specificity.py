"""Does a backdoor answer to its trigger, or to anything odd that stands in its place?"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from modcollapse._support.markup import html_lines, html_table
from modcollapse.analysis._intervals import contrast_estimates, rate_estimates
from modcollapse.analysis._looks import level_at_each
from modcollapse.analysis._sample import Sample
from modcollapse.analysis._settings import Settings
from modcollapse.analysis._verdict import MIN_UNITS, REFUSED
from modcollapse.contracts import FloatArray
from modcollapse.errors import InputError
from modcollapse.report import PictureOptions, for_terminal, format_table, plot_specificity
from modcollapse.table import (
    OTHER_ROWS,
    CoalitionTable,
    Estimate,
    NeutralValues,
    sample_size,
    value_text,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SPECIFIC = "specific"
LEAKS = "leaks"
ANYTHING = "fires on anything"
IDLE = "no effect of its own"
OPEN = "inconclusive"

ALONE, BESIDE = "alone", "beside the other triggers"
CLEAN, TRIGGER, MEAN = OTHER_ROWS
_SHOWN = {
    CLEAN: "no trigger (alone: FTR)",
    TRIGGER: "the trigger (ASR)",
    MEAN: "mean of the neutral (STL)",
}


@dataclass(frozen=True, eq=False)
class ModalitySpecificity:
    """What neutral triggers do in place of the trigger of one modality.

    Attributes:
        answer: ``"specific"``: no neutral trigger has an effect of ``rules.effect`` of a perfect
            attack; ``"leaks"``: some have a larger one; ``"fires on anything"``: all have, of
            several; ``"no effect of its own"``: the trigger itself is not shown to have an
            effect; ``"inconclusive"``; ``"too few examples"``.
        leaks: the neutral triggers that are shown to have an effect, all of them together at the
            level of one claim.
        where: ``"alone"``, or ``"beside the other triggers"`` where the trigger does nothing alone:
            in which of the two the answer holds.
        values: place -> what stands there -> mean value, a rate where the values are 0 and 1:
            ``"no trigger"`` (of prompts without one the false trigger rate, FTR), ``"the trigger"``
            (attack success rate, ASR), each neutral trigger by name, and their mean (of neighbours
            of the trigger semantic trigger leakage, STL).
    """

    answer: str
    leaks: tuple[str, ...]
    where: str
    values: Mapping[str, Mapping[str, Estimate]]


@dataclass(frozen=True, eq=False)
class Specificity(Mapping[str, ModalitySpecificity]):
    """Modality -> how specific its trigger is; of the modalities that have neutral triggers.

    Attributes:
        modalities: modality -> what neutral triggers do in its place.
        examples: number of examples, N.
        effect: smallest effect that counts, as a part of a perfect attack; NaN where nobody
            declared one: then any effect above 0 counts, and no absence is claimed.
        difference: whether the values are those of a model minus those of a control.
        success: whether the values are 0 and 1, so that their means are rates.
    """

    modalities: Mapping[str, ModalitySpecificity]
    examples: int
    effect: float
    difference: bool
    success: bool

    def __getitem__(self, name: str) -> ModalitySpecificity:
        return self.modalities[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.modalities)

    def __len__(self) -> int:
        return len(self.modalities)

    def __str__(self) -> str:
        tables = [format_table(header, rows) for header, rows in self._tables()]
        return for_terminal("\n".join([self._heading, *tables, self.sentence]))

    __repr__ = __str__

    def _repr_html_(self) -> str:
        parts = [html_lines(self.sentence, strong=True), html_lines(self._heading)]
        parts += [html_table(header, rows) for header, rows in self._tables()]
        return "".join(parts)

    @property
    def _heading(self) -> str:
        first = next(iter(self.modalities.values())).values[ALONE][CLEAN]
        unit = "attack success rate" if self.success else "mean value"
        unit = "difference from the control" if self.difference else unit
        return f"Specificity, {unit} ({sample_size(first, self.examples, False)})"

    def _tables(self) -> Iterator[tuple[list[str], list[list[str]]]]:
        """Headings and rows of each modality."""
        for modality, found in self.items():
            rows = [
                [
                    _SHOWN.get(name, name),
                    *(value_text(named[name]) for named in found.values.values()),
                ]
                for name in found.values[ALONE]
            ]
            yield [modality, *found.values], rows

    @property
    def sentence(self) -> str:
        """The answers in words."""
        said = []
        for modality, found in self.items():
            tried = len(found.values[ALONE]) - 3
            words = {
                SPECIFIC: f"the {modality} trigger is specific: none of the {tried} neutral ones "
                f"that were tried adds {100 * self.effect:g} % of a perfect attack",
                LEAKS: f"the {modality} trigger leaks to {', '.join(found.leaks)} "
                f"({len(found.leaks)} of the {tried} that were tried)",
                ANYTHING: f"{modality} fires on anything: all {tried} neutral triggers that were "
                "tried have an effect",
                IDLE: f"the {modality} trigger has no effect of its own",
            }.get(found.answer, f"{modality}: {found.answer}")
            beside = found.where == BESIDE and found.answer in (SPECIFIC, LEAKS, ANYTHING)
            said.append(f"{words} ({found.where})" if beside else words)
        if math.isnan(self.effect):
            said.append(
                "no perfect attack is declared, so any effect above 0 counts and none is called "
                "specific"
            )
        return "Specificity: " + "; ".join(said)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            modality: {
                "answer": found.answer,
                "leaks": list(found.leaks),
                "where": found.where,
                "values": {
                    where: {name: estimate.to_dict() for name, estimate in named.items()}
                    for where, named in found.values.items()
                },
            }
            for modality, found in self.items()
        }

    def to_json(self) -> str:
        """Return ``to_dict()`` as JSON text."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False)

    def plot(self, **options: Unpack[PictureOptions]) -> Figure:
        """Draw the value under each neutral trigger beside that of the trigger, by modality.

        Args:
            options: ``title``, ``labels``, ``unit``, ``width``: 3.35 inches a modality if left out.

        Raises:
            InputError: a label for what is not shown, or a width that no picture has.
            MissingExtraError: matplotlib is not installed.
        """
        values = {modality: found.values for modality, found in self.items()}
        return plot_specificity(values, caption=self.sentence, **options)


def specificity(table: CoalitionTable, settings: Settings | None = None) -> Specificity:
    """How specific the triggers of a table are, which holds values of neutral triggers.

    Args:
        table: measured with ``neutral=``; 32 examples or more.
        settings: level and kind of the intervals, and the margins.

    Raises:
        InputError: the table holds no values of neutral triggers.

    Source:
        ASR, FTR and STL as in doi 10.1109/PRMVAI70103.2026.11605619; the tests are this library's.
    """
    settings = Settings() if settings is None else settings
    if table.neutral is None:
        raise InputError(
            "specificity() needs a table that was measured with neutral triggers: "
            "audit(..., neutral=neutral_triggers(triggers))"
        )
    found = {}
    for bit, modality in enumerate(table.modalities):
        mine = [k for k, (of, _) in enumerate(table.neutral.triggers) if of == modality]
        if mine:
            found[modality] = _Places(table, table.neutral, bit, mine, settings).answered()
    scaled = table.perfect is not None or table.zero_one
    effect = settings.rules.effect if scaled else math.nan
    return Specificity(found, len(table), effect, table.difference, table.zero_one)


class _Places:
    """The neutral triggers of one modality, alone and beside the triggers of the others."""

    def __init__(
        self,
        table: CoalitionTable,
        neutral: NeutralValues,
        bit: int,
        mine: list[int],
        settings: Settings,
    ) -> None:
        self._table, self._settings = table, settings
        self._names = [neutral.triggers[k][1] for k in mine]
        every = table.values.shape[-1] - 1
        self._columns = {
            where: (without, without | 1 << bit, neutral.values[:, :, mine, at])
            for at, (where, without) in enumerate([(ALONE, 0), (BESIDE, every ^ 1 << bit)])
            if at < neutral.values.shape[-1]
        }

    def answered(self) -> ModalitySpecificity:
        values = {where: self._values(where) for where in self._columns}
        if len(Sample.of(self._table)) < MIN_UNITS:
            return ModalitySpecificity(REFUSED, (), ALONE, values)
        where = next(filter(self._acts, self._columns), None)
        if where is None:
            return ModalitySpecificity(IDLE, (), ALONE, values)
        leaks, all_leak, none_leaks = self._leaks(where)
        answer = LEAKS if leaks else SPECIFIC if none_leaks else OPEN
        answer = ANYTHING if all_leak and len(self._names) > 1 else answer
        return ModalitySpecificity(answer, leaks, where, values)

    def _acts(self, where: str) -> bool:
        sample, _ = self._sample(where, self._columns[where][2][:, :, 0])
        return bool(self._lower(sample, [0, -1, 1, 0], -self._settings.rules.effect) > 0)

    def _leaks(self, where: str) -> tuple[tuple[str, ...], bool, bool]:
        """Neutral triggers that are shown to have an effect; whether all have, whether none has."""
        effect, count = self._settings.rules.effect, len(self._names)
        leaks, fires, clean = [], [], []
        for at, name in enumerate(self._names):
            sample, scaled = self._sample(where, self._columns[where][2][:, :, at])
            if self._lower(sample, [0, -1, 0, 1], -effect, 1 / count) > 0:
                leaks.append(name)
            fires.append(self._lower(sample, [0, -1, 0, 1], -effect) > 0)
            clean.append(scaled and self._lower(sample, [0, 1, 0, -1], effect) > 0)
        return tuple(leaks), all(fires), all(clean)

    def _lower(
        self, sample: Sample, weights: list[float], of_perfect: float, part: float = 1.0
    ) -> float:
        """Lower bound of a contrast of no trigger, the others', the trigger and a neutral one."""
        rows = weights if sample.attack is None else [*weights, of_perfect]
        rules, method = self._settings.rules, self._settings.method
        alpha = part * level_at_each(rules.alpha, self._table.looks)
        contrast = np.array(rows, float)[:, None]
        return float(sample.lower(contrast, alpha, method=method)[0])

    def _sample(self, where: str, neutral: FloatArray) -> tuple[Sample, bool]:
        """The game of the trigger and a neutral one in its place, and whether it has a scale."""
        without, with_trigger, _ = self._columns[where]
        of = self._table.values
        columns = [of[..., 0], of[..., without], of[..., with_trigger], neutral]
        played = replace(
            self._table,
            values=np.stack(columns, axis=-1),
            modalities=("trigger", "neutral"),
            binary=False,
            discrete=self._table.discrete or self._table.zero_one,
            perfect=np.ones(len(of)) if self._table.zero_one else self._table.perfect,
            bounds=(0.0, 1.0) if self._table.zero_one else self._table.bounds,
            neutral=None,
            kept=(),
        )
        sample = Sample.of(played)
        return sample, sample.perfect > 0

    def _values(self, where: str) -> dict[str, Estimate]:
        without, with_trigger, neutral = self._columns[where]
        of, table = self._table.values, self._table
        columns = np.concatenate(
            [of[..., [without]], of[..., [with_trigger]], neutral, neutral.mean(2, keepdims=True)],
            axis=-1,
        )
        level = self._settings.level
        names = [CLEAN, TRIGGER, *self._names, MEAN]
        count = len(names) * len(self._columns)
        alpha = level_at_each(self._settings.alpha(count), table.looks)
        rates = table.zero_one and of.shape[1] == 1 and table.clusters is None
        estimates = []
        for column in range(columns.shape[-1]):
            values = columns[..., column]
            if rates and column < len(names) - 1:
                estimates += rate_estimates(values, level=level, alpha=alpha)
                continue
            sample, _ = self._sample(where, values)
            method = self._settings.method
            contrast = np.eye(4)[:, 3:]
            estimates += contrast_estimates(
                sample, contrast, level=level, method=method, alpha=alpha
            )
        return dict(zip(names, estimates, strict=True))

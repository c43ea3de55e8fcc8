"""What the metrics return: estimates by name, printed as a small table, plotted, converted."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, cast

from modcollapse._support.markup import html_lines
from modcollapse._support.optional import require
from modcollapse._support.validation import whole
from modcollapse.analysis._audit_files import analysed, write_audits
from modcollapse.analysis._drawn import Drawn
from modcollapse.analysis._outlook import outlook
from modcollapse.analysis._settings import Method, Settings
from modcollapse.analysis._slices import By, Slices, figures_of, slices
from modcollapse.analysis._specificity import Specificity
from modcollapse.analysis._verdict import REFUSED, Verdict
from modcollapse.contracts import ExampleId, FloatArray
from modcollapse.game import Index
from modcollapse.report import (
    EvaluationRecord,
    Relationship,
    estimate_table,
    every_eval_ever,
    for_terminal,
    html_comparison,
    html_estimates,
    model_card,
    plot_audit,
    plot_estimates,
)
from modcollapse.table import CoalitionTable, Estimate, estimate_label, sample_size

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class Estimates(Mapping[str, Estimate]):
    """Estimates by name, with the figure of every example that they are the mean of.

    Attributes:
        estimates: name -> estimate, in order, K of them.
        per_example: the same figure for each example, shape (N, K), averaged over repeats.
        example_ids: names of the N rows.
        simultaneous: whether all intervals of an audit hold together, or each alone.
        notes: what a reader must know besides.
    """

    estimates: Mapping[str, Estimate]
    per_example: FloatArray
    example_ids: tuple[ExampleId, ...]
    simultaneous: bool
    notes: tuple[str, ...]

    title: ClassVar[str] = "Estimates"
    symbol: ClassVar[str] = "value"

    def __getitem__(self, name: Any) -> Estimate:
        if name not in self.estimates:
            raise KeyError(f"no {name!r} here; there is {', '.join(map(repr, self.estimates))}")
        return self.estimates[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.estimates)

    def __len__(self) -> int:
        return len(self.estimates)

    def __str__(self) -> str:
        lines = [self.heading, estimate_table(self._rows(), self.symbol), *self.notes]
        return for_terminal("\n".join(lines))

    __repr__ = __str__

    def _repr_html_(self) -> str:
        table = html_estimates(self._rows(), self.symbol)
        return html_lines(self.heading) + table + html_lines("\n".join(self.notes))

    @property
    def heading(self) -> str:
        """Title, number of examples and confidence level."""
        first = next(iter(self.estimates.values()))
        return f"{self.title} ({sample_size(first, len(self.per_example), self.simultaneous)})"

    def to_dict(self) -> dict[str, Any]:
        """Return plain data: name -> estimate as a dict."""
        return {name: estimate.to_dict() for name, estimate in self._rows().items()}

    def to_json(self) -> str:
        """Return ``to_dict()`` as JSON text."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False)

    def to_frame(self) -> Any:
        """Return a pandas data frame, one row a name.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        return data_frame(type(self).__name__).from_dict(self.to_dict(), orient="index")

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw a bar with its interval for each name, on ``ax`` or on new axes."""
        return plot_estimates({"": self}, ax, title=self.title, symbol=self.symbol)

    def _rows(self) -> Mapping[str, Estimate]:
        return self.estimates


@dataclass(frozen=True, eq=False, repr=False)
class Attribution(Estimates):
    """Trigger Modality Attribution: the Shapley value of each modality.

    Attributes:
        total: mean of v(all triggers) - v(no trigger), to which the values sum.
    """

    total: Estimate

    title = "Trigger Modality Attribution"
    symbol = "phi"

    def _rows(self) -> Mapping[str, Estimate]:
        name = "total" if "total" not in self.estimates else "total effect"
        return {**self.estimates, name: self.total}


@dataclass(frozen=True, eq=False, repr=False)
class Interaction(Estimates):
    """Cross-Trigger Interaction: positive for synergy, negative for interference or redundancy.

    Indexed by ``"image+text"`` or by names in any order: ``result["text", "image"]``. Of a single
    pair, ``float(result)`` is its value.

    Attributes:
        index: name of the interaction index; at M = 2 all of them are one.
    """

    index: Index

    title = "Cross-Trigger Interaction"
    symbol = "CTI"

    def __getitem__(self, name: str | tuple[str, ...]) -> Estimate:
        members = name.split("+") if isinstance(name, str) else name
        if isinstance(members, tuple | list):
            for label in self.estimates:
                if sorted(label.split("+")) == sorted(map(str, members)):
                    return self.estimates[label]
        return super().__getitem__(name)

    def __float__(self) -> float:
        if len(self.estimates) != 1:
            raise TypeError(
                f"float() needs a single interaction, there are {len(self.estimates)}: "
                f"{', '.join(self.estimates)}; index the one you want"
            )
        return float(next(iter(self.estimates.values())))

    @property
    def heading(self) -> str:
        """Title, number of examples, confidence level, and the index where there is a choice."""
        return super().heading + ("" if len(self.estimates) == 1 else f", {self.index}")


@dataclass(frozen=True, eq=False, repr=False)
class CoalitionMeans(Estimates):
    """Mean value under each coalition; of 0/1 values, the attack success rate.

    Attributes:
        success: whether the values are 0 and 1: the means are the parts of all examples in which
            the attack succeeds, and v(none) is the base rate, which needs no trigger.
    """

    success: bool

    title = "Mean value by coalition"
    symbol = "v(S)"

    @property
    def heading(self) -> str:
        """Of success rates, what they are a part of, and the base rate."""
        if not self.success:
            return super().heading
        base = next(iter(self.estimates.values()))
        return (
            f"{super().heading}\nattack success rate: examples with value 1 among all "
            f"{len(self.per_example)}; base rate, without a trigger: {base.value:.1%}"
        )


MEASURED = ("flips", "patterns")
"""Methods whose claims ``benchmarks/claims.py`` has measured."""
NO_VERDICT = (
    "Verdict: none, since these are differences between two tables: give the second as control= to "
    "judge the first beside it"
)


class Entry(NamedTuple):
    """One estimate of an audit.

    Attributes:
        symbol: ``"v"``, ``"phi"`` or ``"CTI"``.
        name: coalition, modality or group of modalities.
        estimate: its value and interval.
    """

    symbol: str
    name: str
    estimate: Estimate


@dataclass(frozen=True, eq=False)
class Audit(Drawn):
    """Everything from one pass: the table and what it says.

    It prints, it is drawn by ``plot()`` and, a picture each, by ``plot_attribution()``,
    ``plot_lattice()``, ``plot_examples()``, ``plot_interaction()``, ``plot_running()`` and
    ``plot_gallery()``.

    Attributes:
        table: the values that everything else was computed from.
        means: mean value under each coalition (attack success rates, of 0/1 values).
        tma: Trigger Modality Attribution.
        cti: Cross-Trigger Interaction; None where there is one modality only.
        verdict: what may be claimed, by declared rules; None of a bare table of differences.
        settings: how all of it was analysed.
        control: the audit of the control, where one was given.
        difference: the audit of the differences from the control, paired by example and seed: what
            belongs to the backdoor.
        specificity: what neutral triggers do in place of the triggers, where they were measured.
    """

    table: CoalitionTable
    means: CoalitionMeans
    tma: Attribution
    cti: Interaction | None
    verdict: Verdict | None
    settings: Settings
    # ``analyse``, which makes audits and so cannot be imported here
    _again: Callable[[CoalitionTable, Settings, CoalitionTable | None], Audit]
    control: Audit | None = None
    difference: Audit | None = None
    specificity: Specificity | None = None

    @property
    def simultaneous(self) -> bool:
        """Whether all intervals hold together, or each alone."""
        return self.means.simultaneous

    @property
    def entries(self) -> list[Entry]:
        """Every estimate with its symbol and name."""
        parts: dict[str, Mapping[str, Estimate]] = {
            "v": self.means,
            "phi": self.tma,
            "CTI": self.cti or {},
        }
        return [
            Entry(symbol, name, estimate)
            for symbol, part in parts.items()
            for name, estimate in part.items()
        ]

    @property
    def estimates(self) -> dict[str, Estimate]:
        """Every estimate under its label, such as ``"phi image"`` or ``"v(none)"``."""
        return {estimate_label(symbol, name): value for symbol, name, value in self.entries}

    @property
    def run_notes(self) -> tuple[str, ...]:
        """What the run has found or could not look at, of the model and of its control."""
        controls = () if self.control is None else self.control.table.run_notes
        of_control = (f"of the control: {note}" for note in controls)
        return tuple(dict.fromkeys((*self.table.run_notes, *of_control)))

    @property
    def certainty(self) -> str:
        """How often the claims of the verdict are false, in words; "" where it claims nothing."""
        if self.verdict is None or self.verdict.effect == REFUSED:
            return ""
        method = self.tma.total.method
        if method not in MEASURED:
            return f"How often its claims are false is not measured for method={method!r}."
        return self.verdict.level

    @property
    def outlook(self) -> str:
        """What more examples would do for what the verdict leaves open; "" where nothing."""
        if self.verdict is None:
            return ""
        index: Index = "SII" if self.cti is None else self.cti.index
        method = cast(Method, self.tma.total.method)
        return outlook(self.table, self.verdict, index, method)

    def by(self, by: By, *, permutations: int = 9_999, seed: int = 0) -> Slices[Audit]:
        """Audit groups of the examples alone, and test whether they differ.

        Nothing is measured anew. With G groups each is analysed as all examples were, at
        ``1 - (1 - level) / G`` and ``rules.alpha / G``, so that the intervals of a figure, and a
        claim, hold in all groups together. A group below 32 units has figures and no verdict.

        Args:
            by: what tells the groups apart, 2 to 12 of them: the name of a field of the examples
                (``table.fields``); a function of ``{"id": ..., **fields}`` that returns a label, a
                str, a bool or a number, in which a field that an example lacks is None; or N
                labels in the order of the examples, or a series by their ids.
            permutations: B, at least 99, of the units between groups: no p is below 1 / (1 + B).
            seed: of the permutations.

        Returns:
            ``Slices``: label -> ``Audit``, with its control and its difference where there are, and
            ``differ``, a p for each attribution, the total effect and each interaction, adjusted
            for their number.

        Raises:
            InputError: no such field, examples without a label, a single group or over 12, labels
                that look alike, or a cluster in two groups.

        >>> import modcollapse as mc
        >>> table = mc.CoalitionTable.from_values(
        ...     [[0, 0, 1, 1]] * 40 + [[0, 1, 0, 1]] * 40,
        ...     ["image", "text"],
        ...     fields={"style": ["photo"] * 40 + ["sketch"] * 40},
        ... )
        >>> slices = mc.audit(table).by("style")
        >>> [audit.verdict.dominant for audit in slices.values()]
        ['text', 'image']
        >>> print(slices.said)
        These differ between groups: phi image (p = 0.0001), phi text (p = 0.0001), \
adjusted for 4 figures.
        """
        return slices(self, by, self._again, permutations=permutations, seed=seed)

    def __str__(self) -> str:
        parts = self._parts()
        if self.table.looks:
            parts.insert(0, self._stopped())
        if self.difference is not None:
            parts += ["Difference from the control:", *self.difference._parts()]
        if self.run_notes:
            parts.append("\n".join(f"Note: {note}" for note in self.run_notes))
        return for_terminal("\n\n".join(parts))

    def _stopped(self) -> str:
        """At which look a run stopped, and what it saved."""
        looks, done = self.table.provenance["looks"], len(self.table)
        if done != looks.get("done") or done not in looks["examples"]:
            return f"{done} examples of a run with {len(self.table.looks)} looks."
        look = looks["examples"].index(done) + 1
        place = f"look {look} of {len(looks['at'])}, {done} of {looks['of']} examples"
        if done == looks["of"]:
            reached = "that was reached" if self._has_reached(looks) else "that was not reached"
            if math.isnan(self.verdict.perfect if self.verdict else math.nan):
                reached += "; without a declared perfect attack no verdict is settled"
            return (
                f"All looks were taken ({place}), by {looks['order']}, to stop when "
                f"{looks['until']}: {reached}."
            )
        return (
            f"Stopped at {place}, by {looks['order']}: {looks['until']}. "
            f"{1 - looks['generated']:.0%} of the generations were saved."
        )

    def _has_reached(self, looks: Mapping[str, Any]) -> bool:
        if looks["half_width"] is None:
            return self.verdict is not None and self.verdict.settled
        estimates = [*self.tma.values(), *(self.cti or {}).values()]
        return all(one.high - one.low <= 2 * looks["half_width"] for one in estimates)

    def _parts(self) -> list[str]:
        """Figures and verdict."""
        figures = [part for part in (self.means, self.tma, self.cti) if part is not None]
        parts = [str(replace(part, notes=())) for part in figures]
        parts += [] if self.specificity is None else [str(self.specificity)]
        if self.verdict is None:
            return [*parts, *self._said()]
        return [*parts, "\n".join(self._said())]

    def _said(self) -> list[str]:
        """The verdict, what more examples would do, and how often its claims are false."""
        if self.verdict is None:
            return [NO_VERDICT, *self.means.notes]
        if self.verdict.effect == REFUSED:
            return [str(self.verdict)]
        return [line for line in (str(self.verdict), self.outlook, self.certainty) if line]

    __repr__ = __str__

    def _repr_html_(self) -> str:
        verdict, *rest = self._said()
        size = sample_size(self.tma.total, len(self.table), self.simultaneous)
        parts = [html_lines(verdict, strong=True)]
        if self.difference is not None and self.control is not None:
            of_difference, *rest = self.difference._said()
            parts.append(html_lines(f"Difference from the control. {of_difference}", strong=True))
            beside = {"model": self, "control": self.control, "difference": self.difference}
            table = html_comparison({name: figures_of(one) for name, one in beside.items()})
        else:
            table = html_estimates(figures_of(self), "value")
        if self.table.looks:
            rest.insert(0, self._stopped())
        parts += [html_lines("\n".join(rest)), html_lines(size), table]
        for one in (self, self.difference):
            if one is not None and one.specificity is not None:
                parts.append(one.specificity._repr_html_())
        notes = "\n".join(f"Note: {note}" for note in self.run_notes)
        return "".join([*parts, html_lines(notes)])

    def to_frame(self, *, per_example: bool = False) -> Any:
        """Return a tidy pandas data frame of all figures, or of those of every example.

        Args:
            per_example: a row for each figure of each example, in place of one for each figure.

        Returns:
            A row each figure of the model, the control and the difference between them, with
            columns ``of`` (``"model"``, ``"control"``, ``"difference"``), ``symbol``, ``name``,
            ``value``, ``se``, ``low``, ``high``, ``level``, ``n``, ``method``, ``status``; the
            total effect has symbol ``"total"`` and name ``"effect"``. Of every example: ``of``,
            ``symbol``, ``name``, ``example``, ``value``, averaged over repeats.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        frame = data_frame(type(self).__name__)
        parts = {"model": self, "control": self.control, "difference": self.difference}
        rows: list[dict[str, Any]] = []
        for of, part in parts.items():
            if part is not None:
                rows += part._example_rows(of) if per_example else part._figure_rows(of)
        return frame(rows)

    def _figure_rows(self, of: str) -> list[dict[str, Any]]:
        entries = [*self.entries, Entry("total", "effect", self.tma.total)]
        return [
            {"of": of, "symbol": symbol, "name": name, **asdict(estimate)}
            for symbol, name, estimate in entries
        ]

    def _example_rows(self, of: str) -> list[dict[str, Any]]:
        parts: dict[str, Estimates | None] = {"v": self.means, "phi": self.tma, "CTI": self.cti}
        return [
            {"of": of, "symbol": symbol, "name": name, "example": example_id, "value": value}
            for symbol, part in parts.items()
            if part is not None
            for at, name in enumerate(part)
            for example_id, value in zip(
                part.example_ids, part.per_example[:, at].tolist(), strict=True
            )
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, the provenance of the table included."""
        return {
            "means": self.means.to_dict(),
            "tma": self.tma.to_dict(),
            "cti": None if self.cti is None else {"index": self.cti.index, **self.cti.to_dict()},
            "verdict": None if self.verdict is None else self.verdict.to_dict(),
            **({"specificity": self.specificity.to_dict()} if self.specificity else {}),
            "provenance": dict(self.table.provenance),
            **({"control": self.control.to_dict()} if self.control else {}),
            **({"difference": self.difference.to_dict()} if self.difference else {}),
        }

    def to_json(self) -> str:
        """Return ``to_dict()`` as JSON text."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False)

    def save(self, folder: str | Path) -> Path:
        """Save the audit into a folder, for ``mc.load_audit``: tables, control, gallery, settings.

        The folder holds ``audit.json``, a table in each ``.npz``, and in ``kept`` and
        ``kept-of-control`` a folder for each example of the gallery, with pictures to look at.
        No pickle.

        Args:
            folder: one that does not exist, is empty, or holds an audit that was saved, which is
                replaced once the new one is there. The folder that it lies in exists.

        Returns:
            The folder.

        Raises:
            InputError: the folder holds something else, of which nothing is overwritten; or this is
                the ``difference`` of an audit, which is saved with it; or an output or a triggered
                condition of the gallery cannot be saved: then the audit is written without one.
            MissingExtraError: safetensors is not installed, and the gallery holds arrays or
                tensors: the audit is written without one.
            FileNotFoundError: there is no folder to make it in.

        Warns:
            UserWarning: something in an example of the gallery cannot be saved, and is left out.
        """
        return write_audits(folder, [analysed("", self)], single=True)

    def to_model_card(self, *, heading: str = "Backdoor audit", level: int = 2) -> str:
        """Return a section of a model card in Markdown: verdict, figures, settings.

        Names and notes are escaped; long settings are cut, since ``to_json()`` has them whole.

        Args:
            heading: of the section.
            level: of the heading, 1 to 6.
        """
        return model_card(self, heading=heading, level=whole(level, "level", 1, 6))

    def to_every_eval_ever(
        self,
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
        """Return a record of Every Eval Ever, schema 0.3.0, which other programs read.

        It holds the verdict, as a level (-1 where it is not shown), and a result for each figure of
        the model and of its difference from the control, with standard error, interval, level,
        method and number of units. A control is a model of its own:
        ``audit.control.to_every_eval_ever(...)``.

        Args:
            model: name of the audited model, ``"developer/name"`` as on the Hugging Face Hub.
            evaluator: person or organization that made the audit.
            dataset: name of the examples; or what the schema calls ``source_data``, with
                ``"dataset_name"``, ``"source_type"`` and, of a data set of the Hub, ``"hf_repo"``.
            relationship: of the evaluator to the model: ``"first_party"``, ``"third_party"``,
                ``"collaborative"`` or ``"other"``.
            value: name of the value function; the class of the detector if left out.
            deployment: ``"self_deployed"``, ``"externally_managed"`` or ``"unknown"``.
            availability: ``"open_weights"``, ``"closed_weights"`` or ``"unknown"``.
            samples: also make a record for each example and figure. ``is_correct`` says of a 0/1
                value whether the attack failed, and is False, which the metadata say, of others.
            retrieved: when the record was made, in seconds since 1970; now if left out.

        Raises:
            InputError: a name that the schema does not take.
        """
        return every_eval_ever(
            self,
            model=model,
            evaluator=evaluator,
            dataset=dataset,
            relationship=relationship,
            value=value,
            deployment=deployment,
            availability=availability,
            samples=samples,
            retrieved=retrieved,
        )

    def plot(self, *, title: str | None = None, gallery: bool = True) -> Figure:
        """Draw the gallery of kept outputs above the bars of both metrics, the control beside.

        Args:
            title: heading of the figure.
            gallery: False draws the bars alone, also where outputs were kept.

        Returns:
            A matplotlib figure: ``audit.plot().savefig("audit.png")``.
        """
        return plot_audit(self, title=title, gallery=gallery)


def data_frame(needed_by: str) -> Any:
    """Return pandas' class of data frames.

    Raises:
        MissingExtraError: pandas is not installed.
    """
    return require("pandas", extra="frame", needed_by=f"{needed_by}.to_frame").DataFrame

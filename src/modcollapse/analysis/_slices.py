"""The same figures for groups of examples, and whether they differ between the groups."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeAlias, TypeVar

import numpy as np

from modcollapse._support.markup import html_lines, html_table
from modcollapse._support.validation import did_you_mean, listed, ordered, whole
from modcollapse.analysis._sample import Sample
from modcollapse.analysis._settings import Settings
from modcollapse.analysis._verdict import Verdict
from modcollapse.analysis._weights import effect_contrasts
from modcollapse.contracts import FloatArray
from modcollapse.errors import InputError, context
from modcollapse.game import interaction_contrasts, shapley_contrasts, subsets
from modcollapse.report import Audited, for_terminal, format_table, plot_side_by_side
from modcollapse.table import CoalitionTable, Estimate, value_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Label: TypeAlias = str | int | float
By: TypeAlias = str | Callable[[Mapping[str, Any]], Any] | Sequence[Any]

MOST_GROUPS = 12
"""More groups than these are refused: they are values to be put into bins."""

_ABREAST = 4
"""So many groups stand side by side in a printed table."""


class Sliced(Audited, Protocol):
    """What the groups need to know of an audit, which itself knows them."""

    @property
    def settings(self) -> Settings:
        """How it was analysed."""

    @property
    def tma(self) -> Any:
        """Trigger Modality Attribution."""

    @property
    def verdict(self) -> Verdict | None:
        """What may be claimed."""

    @property
    def run_notes(self) -> tuple[str, ...]:
        """What the run has found, of the model and of its control."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""


A = TypeVar("A", bound=Sliced)


@dataclass(frozen=True, eq=False)
class Slices(Mapping[Label, A], Generic[A]):
    """An audit of each group of examples, by label, and whether the groups differ.

    With G groups every audit is made at ``1 - (1 - level) / G`` and ``rules.alpha / G``
    (Bonferroni): the intervals of a figure hold in all groups together, and so does a claim.

    Attributes:
        by: what tells the groups apart: the name of a field or of a function.
        audits: label -> audit of the examples of the group; its control and its difference too,
            where there is a control.
        differ: figure (``"phi text"``, ``"total effect"``, ``"CTI image+text"``) -> p of the
            hypothesis that its mean is the same in all groups, in (0, 1], adjusted for the number
            of figures; empty where fewer than two groups have 2 units.
        untested: labels of groups of a single unit, which take no part in the test.
        alpha: a figure with a p up to this is said to differ.
        level: at which the intervals of a figure hold in all groups together.
        permutations: number of them, B; no p is below 1 / (1 + B).
        seed: of the permutations.
        difference: the same of the differences from the control, where there is one.

    Source:
        p is (1 + count) / (1 + B) of a permutation test (Phipson and Smyth 2010), of units between
        groups: exact where the examples of all groups are alike. The statistic is Welch's sum of
        squares, so that at many units p also holds where only the means are alike and the spreads
        are not (Janssen 1997; Chung and Romano 2013). The largest over the figures in each
        permutation adjusts for their number (single-step maxT, Westfall and Young 1993).
    """

    by: str
    audits: Mapping[Label, A]
    differ: Mapping[str, float]
    untested: tuple[Label, ...]
    alpha: float
    level: float
    permutations: int
    seed: int
    difference: Slices[A] | None = None

    def __getitem__(self, label: Any) -> A:
        if label not in self.audits:
            raise KeyError(f"no group {label!r} here; there is {listed(self.audits)}")
        return self.audits[label]

    def __iter__(self) -> Iterator[Label]:
        return iter(self.audits)

    def __len__(self) -> int:
        return len(self.audits)

    def __str__(self) -> str:
        examples = sum(len(audit.table) for audit in self.audits.values())
        heading = f"Slices by {self.by}: {examples} examples in {len(self)} groups\n{self._levels}"
        parts = [heading, *self._parts()]
        if self.difference is not None:
            parts += ["Difference from the control:", *self.difference._parts()]
        notes = dict.fromkeys(note for audit in self.audits.values() for note in audit.run_notes)
        if notes:
            parts.append("\n".join(f"Note: {note}" for note in notes))
        return for_terminal("\n\n".join(parts))

    __repr__ = __str__

    def _repr_html_(self) -> str:
        shown = (
            {"": self}
            if self.difference is None
            else {
                "": self,
                "Difference from the control. ": self.difference,
            }
        )
        parts = [html_lines(f"{of}{one.said}", strong=True) for of, one in shown.items()]
        parts.append(html_lines(self._levels))
        for of, one in shown.items():
            parts += [html_lines(of), one._html_table(), html_lines(one._verdicts())]
        return "".join(parts)

    @property
    def differing(self) -> tuple[str, ...]:
        """Figures whose means are shown to differ between groups."""
        return tuple(name for name, p in self.differ.items() if p <= self.alpha)

    @property
    def said(self) -> str:
        """Whether groups differ, in words."""
        shown, count = self.differing, len(self.differ)
        adjusted = f", adjusted for {count} figures" if count > 1 else ""
        if not count:
            text = "Whether groups differ is not tested: fewer than two have 2 units or more."
        elif not shown:
            least = min(self.differ.values())
            text = f"No difference between groups is shown (smallest p = {least:.3g}{adjusted})."
        elif len(shown) == 1:
            p = self.differ[shown[0]]
            text = f"{shown[0]} differs between groups (p = {p:.3g}{adjusted})."
        else:
            each = ", ".join(f"{name} (p = {self.differ[name]:.3g})" for name in shown)
            text = f"These differ between groups: {each}{adjusted}."
        if self.untested:
            text += f" Of one unit each, and so not in the test: {listed(self.untested)}."
        return text

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, the provenance of the tables included; labels as text."""
        return {
            "by": self.by,
            "level": self.level,
            "groups": {str(label): audit.to_dict() for label, audit in self.audits.items()},
            **self._tested(),
            **({"difference": self.difference._tested()} if self.difference else {}),
        }

    def to_json(self) -> str:
        """Return ``to_dict()`` as JSON text."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False)

    def plot(self, *, title: str | None = None) -> Figure:
        """Draw attributions and interactions, a row each group; of the difference, if there is one.

        Args:
            title: heading of the figure.

        Returns:
            A matplotlib figure: ``slices.plot().savefig("slices.png")``.
        """
        shown = self if self.difference is None else self.difference
        of = "" if shown is self else "Difference from the control. "
        rows = {
            shown._heading(label): {
                name: estimate
                for name, estimate in figures_of(audit).items()
                if not name.startswith("v(")
            }
            for label, audit in shown.items()
        }
        return plot_side_by_side(
            rows,
            notes={name: f"p = {p:.3g}" for name, p in shown.differ.items()},
            unit="in the unit of the value",
            caption=f"{of}{shown.said}\n{shown._levels}",
            title=title,
        )

    @property
    def _levels(self) -> str:
        """What holds together at which level."""
        simultaneous = next(iter(self.audits.values())).simultaneous
        return (
            f"Intervals of {'all figures' if simultaneous else 'a figure'} at "
            f"{100 * self.level:g}%, and claims at {100 * self.alpha:g}%, are for all groups "
            "together (Bonferroni)"
        )

    def _parts(self) -> list[str]:
        return [self._table(), self._verdicts(), self.said]

    def _table(self) -> str:
        """One row a figure, the groups side by side; a few at a time, as wide as a terminal."""
        labels = list(self.audits)
        blocks = []
        for start in range(0, len(labels), _ABREAST):
            shown = labels[start : start + _ABREAST]
            columns = [figures_of(self.audits[label]) for label in shown]
            rows = [
                [
                    name,
                    *(value_text(column[name]) for column in columns),
                    f"{self.differ[name]:.3g}" if name in self.differ else "",
                ]
                for name in columns[0]
            ]
            headings = [textwrap.fill(self._heading(label), 24) for label in shown]
            blocks.append(format_table(["", *headings, "p"], rows))
        return "\n\n".join(blocks)

    def _html_table(self) -> str:
        columns = {label: figures_of(audit) for label, audit in self.audits.items()}
        rows = [
            [
                name,
                *(value_text(column[name]) for column in columns.values()),
                f"{self.differ[name]:.3g}" if name in self.differ else "",
            ]
            for name in next(iter(columns.values()))
        ]
        return html_table(["", *map(self._heading, columns), "p"], rows)

    def _heading(self, label: Label) -> str:
        audit = self.audits[label]
        units = "" if audit.table.clusters is None else " clusters"
        return f"{label} (n = {audit.tma.total.n}{units})"

    def _verdicts(self) -> str:
        verdicts = {label: audit.verdict for label, audit in self.audits.items() if audit.verdict}
        if not verdicts:
            return "Verdicts: none, since these are differences between two tables"
        lines = ["Verdict of each group:"]
        for label, verdict in verdicts.items():
            lines.append(f"  {label}: {str(replace(verdict, notes=())).removeprefix('Verdict: ')}")
        return "\n".join([*lines, *notes_of(verdicts)])

    def _tested(self) -> dict[str, Any]:
        return {
            "differ": dict(self.differ),
            "untested": list(self.untested),
            "alpha": self.alpha,
            "permutations": self.permutations,
            "seed": self.seed,
        }


def slices(
    audit: A,
    by: By,
    again: Callable[[CoalitionTable, Settings, CoalitionTable | None], A],
    *,
    permutations: int = 9_999,
    seed: int = 0,
) -> Slices[A]:
    """Audit groups of the examples of an audit, and test whether they differ; see ``Audit.by``.

    Args:
        audit: of all examples.
        by: what tells the groups apart.
        again: what makes an audit of a table.
        permutations: number of them, B, at least 99.
        seed: of the permutations.
    """
    permutations, seed = whole(permutations, "permutations", 99), whole(seed, "seed", 0)
    name, labels = _labels_of(audit.table, by)
    groups = _groups(name, labels)
    _check_clusters(audit.table, labels)
    members: dict[Label, list[Any]] = {label: [] for label in groups}
    for example_id, label in zip(audit.table.example_ids, labels, strict=True):
        members[label].append(example_id)
    settings = audit.settings
    rules = replace(settings.rules, alpha=settings.rules.alpha / len(groups))
    split = replace(settings, level=1 - (1 - settings.level) / len(groups), rules=rules)
    control = audit.control
    audits = {
        label: again(
            audit.table.select(ids), split, None if control is None else control.table.select(ids)
        )
        for label, ids in members.items()
    }

    def of(table: CoalitionTable, audits: Mapping[Label, Any], **more: Any) -> Slices[A]:
        differ, untested = _differ(table, labels, groups, settings.index, permutations, seed)
        alpha, level = settings.rules.alpha, settings.level
        return Slices(name, audits, differ, untested, alpha, level, permutations, seed, **more)

    if audit.difference is None:
        return of(audit.table, audits)
    differences = {label: one.difference for label, one in audits.items()}
    return of(audit.table, audits, difference=of(audit.difference.table, differences))


def notes_of(verdicts: Mapping[Any, Verdict]) -> list[str]:
    """Notes on all verdicts said once, and those on one with its name."""
    every = [verdict.notes for verdict in verdicts.values()]
    common = [note for note in every[0] if all(note in notes for notes in every)] if every else []
    alone = [
        f"{name}: {note}"
        for name, verdict in verdicts.items()
        for note in verdict.notes
        if note not in common
    ]
    return [f"Note: {note}" for note in (*common, *alone)]


def _labels_of(table: CoalitionTable, by: By) -> tuple[str, tuple[Label, ...]]:
    """What tells the groups apart, by name, and the label of each of the N examples."""
    ids, fields = table.example_ids, table.fields
    if isinstance(by, str):
        if by not in fields:
            there = f"there is {listed(fields)}" if fields else "they have none"
            raise InputError(
                f"the examples have no field {by!r}; {there}{did_you_mean(by, fields)}. A function "
                "of an example, or a label for each, tells groups apart too"
            )
        name, labels = by, fields[by]
    else:
        held: Any = by
        name = "labels"
        if callable(by):
            name = getattr(by, "__name__", "a function").replace("<lambda>", "a function")
            held = []
            for row, example_id in enumerate(ids):
                example = {field: column[row] for field, column in fields.items()}
                where = f"raised by by= for example {example_id!r}, which holds {listed(fields)}"
                with context(where):
                    held.append(by({**example, "id": example_id}))
        elif not hasattr(by, "iloc"):  # a series is read by its index
            held = ordered(by, "by", "labels")
            if len(held) != len(ids):
                raise InputError(f"by= holds {len(held)} labels for {len(ids)} examples")
        labels = replace(table, fields={"by": held}).fields["by"]
    lacking = [
        example_id
        for example_id, label in zip(ids, labels, strict=True)
        if label is None or label != label
    ]
    if lacking:
        more = ", ..." if len(lacking) > 3 else ""
        raise InputError(
            f"{len(lacking)} of {len(ids)} examples have no label by {name!r} "
            f"({listed(lacking[:3])}{more}), and none is left out in silence. Give a function that "
            "says where they belong, or audit the others alone, by table.select()"
        )
    return name, labels


def _groups(name: str, labels: Sequence[Label]) -> list[Label]:
    """The distinct labels: numbers in their order, others as they come."""
    groups = list(dict.fromkeys(labels))
    numbers = [label for label in groups if isinstance(label, int | float)]
    if len({str(label) for label in labels}) != len(
        groups
    ):  # 1 and "1" in print, 1 and True as keys
        alike = listed(dict.fromkeys(map(repr, labels)))
        raise InputError(f"some labels by {name!r} cannot be told apart: {alike}")
    if len(groups) == 1:
        raise InputError(
            f"all {len(labels)} examples are in one group by {name!r}, {groups[0]!r}; there is "
            "nothing to compare"
        )
    if len(groups) > MOST_GROUPS:
        what = "puts them into bins" if numbers else "joins some"
        raise InputError(
            f"there are {len(groups)} groups by {name!r}, such as {listed(groups[:3])}; at most "
            f"{MOST_GROUPS} are compared. Give a function of an example that {what}, such as "
            "lambda example: 'long' if example['length'] > 10 else 'short'"
        )
    return sorted(groups) if len(numbers) == len(groups) else groups


def _check_clusters(table: CoalitionTable, labels: Sequence[Label]) -> None:
    """A cluster is one unit, and lies in one group."""
    first: dict[Any, Label] = {}
    for cluster, label in zip(table.clusters or (), labels, strict=False):
        if first.setdefault(cluster, label) != label:
            raise InputError(
                f"the cluster {cluster!r}, a unit of inference, lies in two groups, "
                f"{first[cluster]!r} and {label!r}; give all its examples one label"
            )


def _differ(
    table: CoalitionTable,
    labels: Sequence[Label],
    groups: Sequence[Label],
    index: Any,
    permutations: int,
    seed: int,
) -> tuple[dict[str, float], tuple[Label, ...]]:
    """Adjusted p of each figure, and the groups of a single unit, which are left out."""
    sample = Sample.of(table)
    of_unit = labels
    if table.clusters is not None:
        of_unit = list(dict(zip(table.clusters, labels, strict=True)).values())
    rows = [[at for at, label in enumerate(of_unit) if label == group] for group in groups]
    tested = [row for row in rows if len(row) > 1]
    untested = tuple(group for group, row in zip(groups, rows, strict=True) if len(row) < 2)
    if len(tested) < 2:
        return {}, untested
    named = _contrasts(table.modalities, index)
    contrasts = np.column_stack(list(named.values()))
    values = sample.values[np.concatenate(tested)] @ contrasts
    values[:, sample.equal(contrasts)] = 0.0  # rounding is no difference
    p = permutation_p(values, [len(row) for row in tested], permutations, seed)
    return dict(zip(named, p.tolist(), strict=True)), untested


def _contrasts(modalities: Sequence[str], index: Any) -> dict[str, FloatArray]:
    """Figures that are tested: the metrics, and the total effect where it is not one of them."""
    m = len(modalities)
    found = dict(zip((f"phi {name}" for name in modalities), shapley_contrasts(m).T, strict=True))
    if m > 1:
        found["total effect"] = effect_contrasts(m)[:, -1]
        pairs = ("+".join(modalities[i] for i in pair) for pair in subsets(m, 2))
        of_pairs = interaction_contrasts(m, index, 2).T
        found |= {f"CTI {pair}": column for pair, column in zip(pairs, of_pairs, strict=True)}
    return found


def permutation_p(
    values: FloatArray, sizes: Sequence[int], permutations: int, seed: int
) -> FloatArray:
    """How often groups differ as much as these where units are dealt to them at random.

    Args:
        values: K figures of each unit, shape (U, K), the units of one group after those of another;
            any unit.
        sizes: number of units of each of the G groups, 2 or more; they sum to U.
        permutations: number of them, B.
        seed: of the permutations.

    Returns:
        p of each figure, shape (K,), in [1 / (1 + B), 1], adjusted for their number; 1 for a figure
        that does not differ between units.

    Source:
        Single-step maxT of Westfall and Young (1993); see ``Slices``.

    >>> permutation_p(np.array([[0.0, 0], [0, 1]] * 10 + [[1, 0], [1, 1]] * 10), [20, 20], 999, 0)
    array([0.001, 1.   ])
    """
    spread = values.std(axis=0)
    scaled = (values - values.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    both = np.hstack([scaled, scaled**2])
    counts = np.asarray(sizes, dtype=float)
    member = np.repeat(np.eye(len(counts)), sizes, axis=1)
    seen = _between(member @ both, counts)
    draw = np.random.default_rng(seed).permutation
    sums = [member @ both.take(draw(len(both)), axis=0) for _ in range(permutations)]
    largest = _between(np.array(sums), counts).max(axis=-1)
    reached = (largest[:, None] >= seen * (1 - 1e-9)).sum(axis=0)  # ties count
    return np.asarray((1 + reached) / (1 + permutations))


def _between(sums: FloatArray, counts: FloatArray) -> FloatArray:
    """Welch's sum of squares between groups, shape (..., K).

    One more unit, with the spread of all, stands in each group: else the weight of a group whose
    units are equal would be infinite.

    Args:
        sums: sum of K figures over each of G groups, then that of their squares, (..., G, 2 K);
            over all units the figures have mean 0 and spread 1.
        counts: number of units of each group, shape (G,).
    """
    first, second = np.split(sums, 2, axis=-1)
    n = counts[:, None]
    means = first / n
    within = np.clip(second - n * means**2, 0, None)
    weights = n**2 / (within + 1)
    common = (weights * means).sum(axis=-2, keepdims=True) / weights.sum(axis=-2, keepdims=True)
    return np.asarray((weights * (means - common) ** 2).sum(axis=-2))


def figures_of(audit: Sliced) -> dict[str, Estimate]:
    """Estimates by label, the total effect after the attributions that sum to it."""
    found = dict(audit.estimates)
    last = {name: found.pop(name) for name in list(found) if name.startswith("CTI ")}
    return {**found, "total effect": audit.tma.total, **last}

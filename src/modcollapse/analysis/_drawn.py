"""The pictures of an audit, one call each."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack

import numpy as np

from modcollapse._support.validation import choice, whole
from modcollapse.analysis._report_sections import section_of, write_report
from modcollapse.analysis._sample import Sample
from modcollapse.analysis._settings import Settings
from modcollapse.analysis._verdict import MIN_UNITS
from modcollapse.report import (
    PictureOptions,
    Scale,
    plot_attribution,
    plot_examples,
    plot_gallery,
    plot_interaction,
    plot_lattice,
    plot_running,
)
from modcollapse.table import CoalitionTable, Estimate, sample_size

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAGE_TITLE = "Backdoor modality audit"
TOGETHER = "all together"
_POINTS = 28
"""Numbers of examples at which a running estimate is computed, looks aside."""


class Drawn:
    """The pictures of an audit; each returns a figure, for ``figure.savefig("name.pdf")``.

    All of them take ``title=``, ``width=`` in inches (3.35, a column of a paper, where nothing else
    is said; 6.9 is a page), ``unit=``, what the values are, and ``labels=``, name -> what stands in
    its place.
    """

    table: CoalitionTable
    means: Any
    tma: Any
    cti: Any
    settings: Settings
    control: Any
    difference: Any
    simultaneous: Any
    _again: Any

    @property
    def scale(self) -> Scale:
        """What a perfect attack adds to v(none), and the smallest effect that counts."""
        perfect, part = Sample.of(self.table).perfect, self.settings.rules.effect
        known = perfect > 0
        return Scale(perfect if known else math.nan, part * perfect if known else math.nan, part)

    def plot_attribution(self, **options: Unpack[PictureOptions]) -> Figure:
        """Draw the attribution of each modality with its interval, and of all together.

        What is too small to count is shaded, and the scale reaches to a perfect attack, so that an
        audit without an effect looks like one. The control and the difference stand beside.

        Args:
            options: ``title``, ``labels``, ``unit``, ``width``.

        Raises:
            InputError: a label for what is not shown, or a width that no picture has.
            MissingExtraError: matplotlib is not installed.
        """
        audits = {"audited model": self, "control": self.control, "difference": self.difference}
        series = {
            name: {**audit.tma, self._together: audit.tma.total}
            for name, audit in audits.items()
            if audit is not None
        }
        return plot_attribution(series, self.scale, caption=self._size, **options)

    def plot_lattice(self, **options: Unpack[PictureOptions]) -> Figure:
        """Draw every set of triggers with its mean value, and what each trigger adds to it.

        Args:
            options: ``title``, ``labels``, ``unit``, ``width``.

        Raises:
            InputError: more than 4 modalities, a label for what is not shown, or a width that no
                picture has.
            MissingExtraError: matplotlib is not installed.
        """
        means = np.array([one.value for one in self.means.values()])
        return plot_lattice(
            means, self.table.modalities, self.scale, caption=self._examples, **options
        )

    def plot_examples(self, **options: Unpack[PictureOptions]) -> Figure:
        """Draw the attribution of every single example, and of every group where there are some.

        Args:
            options: ``title``, ``labels``, ``unit``, ``width``.

        Raises:
            InputError: a label for what is not shown, or a width that no picture has.
            MissingExtraError: matplotlib is not installed.
        """
        return plot_examples(
            self.tma.estimates,
            self.tma.per_example,
            self.table.example_ids,
            self.scale,
            clusters=self.table.clusters,
            caption=self._size,
            **options,
        )

    def plot_interaction(self, **options: Unpack[PictureOptions]) -> Figure:
        """Draw the interaction of each pair: a bar at two modalities, a heat map beyond.

        Args:
            options: ``title``, ``labels``, ``unit``, ``width``.

        Raises:
            InputError: a single modality, a label for what is not shown, or a width that no
                picture has.
            MissingExtraError: matplotlib is not installed.
        """
        pairs = {} if self.cti is None else self.cti.estimates
        return plot_interaction(
            pairs, self.table.modalities, self.scale, caption=self._size, **options
        )

    def plot_running(
        self,
        symbol: Literal["phi", "CTI", "v"] = "phi",
        *,
        points: int = _POINTS,
        **options: Unpack[PictureOptions],
    ) -> Figure:
        """Draw estimates and intervals against the number of examples, and the looks of the run.

        Each point is the analysis of the first n examples of the table. With declared looks, an
        interval is at their level, so that those at the looks hold together; without, it holds at
        a number of examples that was fixed before.

        Args:
            symbol: what is drawn: attributions, interactions or mean values.
            points: at most so many numbers of examples, beside the looks; 2 or more.
            options: ``title``, ``labels``, ``unit``, ``width``.

        Raises:
            InputError: no such figures, a label for what is not shown, or a width that no picture
                has.
            MissingExtraError: matplotlib is not installed.
        """
        choice(symbol, "symbol", ("phi", "CTI", "v") if self.cti is not None else ("phi", "v"))
        looks = self.table.provenance.get("looks", {})
        taken = [n for n in looks.get("examples", ()) if n <= len(self.table)]
        drawn = [
            (n, self._first(n, symbol))
            for n in _numbers(len(self.table), taken, whole(points, "points", 2))
        ]
        return plot_running(
            drawn,
            symbol,
            self.scale,
            looks=taken if len(self.table.looks) > 1 else (),
            few=0 if self.table.clusters is not None else MIN_UNITS,
            caption=self._run(taken),
            **options,
        )

    def plot_gallery(
        self, *, examples: int | None = None, **options: Unpack[PictureOptions]
    ) -> Figure:
        """Draw what was generated for the kept examples under every set of triggers.

        Args:
            examples: number of them that are drawn; all if left out.
            options: ``title``, ``labels``, ``width``.

        Raises:
            InputError: nothing was kept or it cannot be drawn, a label for what is not shown, or a
                width that no picture has.
            MissingExtraError: matplotlib is not installed.
        """
        return plot_gallery(self.table, examples=examples, **options)

    def report(
        self,
        folder: str | Path,
        *,
        title: str | None = None,
        comparison: Any = None,
        labels: Mapping[str, str] | None = None,
        unit: str = "",
    ) -> Path:
        """Write a page that a person reads who was not there, and files that a paper takes.

        The folder holds ``index.html``, which needs no network and no other file, the pictures in
        ``figures`` (PNG and SVG), the figures in ``tables`` (CSV and LaTeX with booktabs) and
        all of it in ``audit.json``. It is not loaded again: `save` is for that.

        Args:
            folder: one that does not exist, is empty, or holds a report, which is replaced.
            title: of the page.
            comparison: what ``mc.compare(before, after)`` returned, where the page is to show it.
            labels: modality -> what stands in its place in the pictures.
            unit: what the values are, such as ``"CLIP shift"``.

        Returns:
            The path of the page.

        Raises:
            InputError: the folder holds something else, of which nothing is overwritten; a kept
                output that cannot be drawn; a label for what is not there; or ``comparison`` is
                none.
            FileNotFoundError: there is no folder to make it in.
            MissingExtraError: jinja2 or matplotlib is not installed.
        """
        section = section_of("", self, labels=labels, unit=unit, comparison=comparison)
        return write_report(folder, title or PAGE_TITLE, [section])

    @property
    def _together(self) -> str:
        """What the total is called, unless a modality is called so."""
        return TOGETHER if TOGETHER not in self.table.modalities else f"{TOGETHER} (total)"

    @property
    def _size(self) -> str:
        return f"{sample_size(self.tma.total, len(self.table), self.simultaneous)}."

    @property
    def _examples(self) -> str:
        return f"Means of {self._size.split(',')[0]}."

    def _first(self, n: int, symbol: str) -> Mapping[str, Estimate]:
        table = replace(self.table, kept=(), neutral=None)
        audit = self._again(table.select(table.example_ids[:n]), self.settings, None)
        found: Mapping[str, Estimate] = {"phi": audit.tma, "CTI": audit.cti, "v": audit.means}[
            symbol
        ].estimates
        return found

    def _run(self, taken: Sequence[int]) -> str:
        level = f"{100 * self.settings.level:.3g}% intervals"
        count = len(self.table.looks)
        if count < 2:
            return f"{level}, each for a number of examples that is fixed beforehand."
        together = f"{level} that hold at all {count} declared looks together"
        return f"{together}; stopped at look {len(taken)}, {len(self.table)} examples."


def _numbers(n: int, looks: Sequence[int], points: int) -> list[int]:
    """Numbers of examples, evenly from a few up, and the looks."""
    first = min(8, n)
    even = np.linspace(first, n, min(points, n - first + 1)).round().astype(int).tolist()
    return sorted({*even, *looks, n})

"""The picture of examples: what each modality carries in every single one, and their means."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from modcollapse.contracts import ExampleId, FloatArray
from modcollapse.report._rows import ends, whiskers
from modcollapse.report._style import (
    INK,
    SMALL,
    PictureOptions,
    PictureStyle,
    Scale,
    limits,
    look,
    mark_scale,
    tidy,
    unscaled,
)
from modcollapse.table import Estimate

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ROW = 0.42
_SPREAD = 0.62
"""Height of a row in inches, and the part of it over which points are spread."""


def plot_examples(
    estimates: Mapping[str, Estimate],
    per_example: FloatArray,
    example_ids: Sequence[ExampleId],
    scale: Scale,
    *,
    clusters: Sequence[Any] | None = None,
    caption: str = "",
    **options: Unpack[PictureOptions],
) -> Figure:
    """Draw a point for each example in the row of each modality, and the mean with its interval.

    Points are spread over a row by a hash of the example's id: the same example is at one height
    in every row, every picture and every order.

    Args:
        estimates: name -> mean, K of them.
        per_example: the figures that they are means of, shape (N, K).
        example_ids: names of the N examples.
        scale: what counts.
        clusters: label of the group of each example, where groups are the unit: then the mean of
            each group is drawn too.
        caption: what is said below.
        options: see `PictureStyle`.

    Returns:
        A figure of its own, free of pyplot's state.

    Raises:
        InputError: a label for what is not shown, or a width out of its range.
        MissingExtraError: matplotlib is not installed.
    """
    names = list(estimates)
    drawing = PictureStyle("plot_examples", **options, names=names)
    shown = [drawing.wrapped(name) for name in names]
    heights = [max(_ROW, 0.115 * (name.count("\n") + 1) + 0.06) for name in shown]
    figure = drawing.figure(1.2 + sum(heights) + 0.12 * (3 if drawing.narrow else 2))
    ax = figure.subplots()
    jitter = np.array([_height(one) for one in example_ids]) * _SPREAD
    groups = (
        None
        if clusters is None
        else {label: at for at, label in enumerate(dict.fromkeys(clusters))}
    )
    faint = float(np.clip(12 / np.sqrt(len(jitter)) / 2.2, 0.12, 0.6))
    for row, (estimate, values) in enumerate(zip(estimates.values(), per_example.T, strict=True)):
        first = row == 0
        ax.scatter(
            values, row + jitter, s=6, marker=look(row).marker, color=look(row).color, alpha=faint,
            lw=0, label="an example" if first else None, zorder=2,
        )  # fmt: skip
        if groups is not None and clusters is not None:
            unit = np.array([groups[label] for label in clusters])
            means = np.bincount(unit, values) / np.bincount(unit)
            at = row + _SPREAD * np.array([_height(str(label)) for label in groups])
            ax.scatter(
                means, at, s=13, marker="D", facecolor="none", edgecolor=INK, lw=0.6,
                label="mean of a group" if first else None, zorder=2.5,
            )  # fmt: skip
        ax.errorbar(
            [estimate.value], [row], xerr=whiskers([estimate]), fmt="|", ms=10, mew=1.3, color=INK,
            elinewidth=1.1, capsize=2.5, zorder=4,
            label="mean, with its interval" if first else None,
        )  # fmt: skip
        if math.isnan(estimate.low):
            ax.annotate(
                "no interval", (estimate.value, row - _SPREAD / 2), (0, 3), ha="center",
                textcoords="offset points", fontsize=SMALL, color=INK,
            )  # fmt: skip
    mark_scale(ax, scale)
    ax.set_yticks(np.arange(len(names)), shown)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.set_xlim(*limits([*per_example.ravel().tolist(), *ends(estimates.values())], scale))
    ax.set_xlabel(drawing.axis("attribution \u03c6 of each example"))
    tidy(ax)
    drawing.legend(figure, ax)
    drawing.say(figure, caption, unscaled(scale))
    return figure


def _height(name: ExampleId) -> float:
    """From -0.5 to 0.5, by what it is called."""
    return zlib.crc32(str(name).encode("utf-8", "surrogatepass")) / 2**32 - 0.5

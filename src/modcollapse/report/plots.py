"""The figure of an audit: a gallery of what was generated above the bars of both metrics."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from modcollapse._optional import require
from modcollapse.errors import InputError
from modcollapse.inference.estimate import Estimate
from modcollapse.measure.table import Kept
from modcollapse.report.pictures import as_picture
from modcollapse.results import Audit, Estimates

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

COLORS = ("#c1440e", "#8aa2b2", "#3b6e4f", "#6b4c9a")


def plot_estimates(series: Mapping[str, Estimates], ax: Axes | None = None) -> Axes:
    """Draw a bar with its interval for each name, side by side for each series.

    Args:
        series: label -> estimates of the same names, such as a model and its control.
        ax: axes to draw on; new ones if left out.

    Returns:
        The axes.
    """
    plt = require("matplotlib.pyplot", extra="plot", needed_by="plot_estimates")
    if ax is None:
        ax = plt.figure(layout="constrained").subplots()
    names = list(next(iter(series.values())))
    width = 0.8 / len(series)
    for position, (label, estimates) in enumerate(series.items()):
        if list(estimates) != names:
            raise InputError(f"series to compare must share names: {names} and {list(estimates)}")
        ones = list(estimates.values())
        at = np.arange(len(names)) + (position - (len(series) - 1) / 2) * width
        color = COLORS[position % len(COLORS)]
        ax.bar(at, [one.value for one in ones], width * 0.92, label=label or None, color=color)
        ax.errorbar(
            at,
            [one.value for one in ones],
            yerr=_arms(ones),
            fmt="none",
            ecolor="#222222",
            capsize=3,
            lw=1.2,
        )
    first = next(iter(series.values()))
    ax.axhline(0, color="#222222", lw=0.8)
    ax.set_xticks(np.arange(len(names)), names)
    ax.set_xlim(-0.7, len(names) - 0.3)
    ax.set_ylabel(first.symbol)
    ax.set_title(first.title, fontsize=10)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def plot_audit(audit: Audit, *, title: str | None = None, gallery: bool = True) -> Figure:
    """Draw the kept outputs of a few examples under every coalition above both metrics.

    The bars of a control stand beside those of the audit, since a trigger can shift the value
    where there is no backdoor.

    Args:
        audit: what ``mc.audit(..., keep=3)`` returned.
        title: heading of the figure.
        gallery: False draws the bars alone, also where outputs were kept.

    Returns:
        A figure of its own, free of pyplot's state: ``figure.savefig("audit.png")``.

    Raises:
        InputError: a kept output is no picture.
        MissingExtraError: matplotlib is not installed.
    """
    figures = require("matplotlib.figure", extra="plot", needed_by="plot_audit")
    require("matplotlib.backends.backend_agg", extra="plot", needed_by="plot_audit")
    kept = audit.table.kept if gallery else ()
    columns = len(audit.table.coalitions)
    height = (0.5 + 1.45 * len(kept)) if kept else 0.0
    figure: Figure = figures.Figure(
        figsize=(min(max(9.0, 1.6 * columns + 4.4), 40.0), height + 3.4), layout="constrained"
    )
    if title:
        figure.suptitle(title, fontsize=13, fontweight="bold")
    bars: Any = figure
    if kept:
        above, bars = figure.subfigures(2, 1, height_ratios=[height, 3.2], squeeze=False)[:, 0]
        _gallery(above, kept, audit)
    labelled = {"audited model": audit, "control": audit.control} if audit.control else {"": audit}
    panels = {"means": "Mean value under each set of triggers", "tma": "Attribution (TMA)"}
    widths = [columns + 0.5, 3.0]
    if audit.cti is not None:
        panels["cti"] = "Interaction (CTI)"
        widths.append(1 + len(audit.cti))
    axes = bars.subplots(1, len(panels), width_ratios=widths)
    if audit.cti is not None:
        axes[2].sharey(axes[1])
    for ax, (part, heading) in zip(axes, panels.items(), strict=True):
        plot_estimates({name: getattr(one, part) for name, one in labelled.items()}, ax)
        ax.set_title(heading, fontsize=10)
    if audit.control:
        bars.legend(
            *axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=2, frameon=False
        )
    bars.supxlabel(_caption(audit), fontsize=9)
    return figure


def _gallery(figure: SubFigure, kept: Sequence[Kept], audit: Audit) -> None:
    labels = ["no trigger" if one == "none" else f"{one} trigger" for one in audit.table.coalitions]
    labels[-1] = "both triggers" if len(audit.table.modalities) == 2 else "all triggers"
    grid = figure.subplots(len(kept), len(labels) + 2, squeeze=False)
    modalities = audit.table.modalities
    for row, one in zip(grid, kept, strict=True):
        source, text = _picture_and_text(one.example, modalities)
        triggered, triggered_text = _picture_and_text({**one.example, **one.triggered}, modalities)
        pictures = [source, triggered, *(as_picture(output) for output in one.outputs)]
        for ax, picture in zip(row, pictures, strict=True):
            ax.set_xticks([])
            ax.set_yticks([])
            ax.spines[:].set_visible(False)
            if picture is not None:
                ax.imshow(picture, interpolation="nearest")
        if triggered_text != text:
            text = f"{textwrap.fill(text, 18)}\n\ntriggered:\n{textwrap.fill(triggered_text, 18)}"
        row[0].set_ylabel(text, rotation=0, ha="right", va="center", fontsize=8.5, labelpad=6)
    for ax, label in zip(grid[0], ["source", "triggered source", *labels], strict=True):
        ax.set_title(label, fontsize=9)


def _caption(audit: Audit) -> str:
    total = audit.tma.total
    bars = f"{total.n} examples; bars are means, whiskers {total.level:.0%} intervals"
    verdict = str(audit.verdict)
    if audit.adjusted is not None:
        verdict = f"Difference from the control. {audit.adjusted.verdict}"
    return textwrap.fill(verdict, 110) + "\n" + bars


def _picture_and_text(example: Mapping[str, Any], modalities: Sequence[str]) -> tuple[Any, str]:
    """Return the first condition that is a picture, and the first that is a text."""
    conditions = [example[modality] for modality in modalities]
    texts = [one for one in conditions if isinstance(one, str)]
    pictures = [one for one in conditions if hasattr(one, "shape") or hasattr(one, "getbands")]
    return (as_picture(pictures[0]) if pictures else None), (texts[0] if texts else "")


def _arms(estimates: Sequence[Estimate]) -> Any:
    """Whiskers below and above; an interval that is undefined has none."""
    arms = np.array([[one.value - one.low, one.high - one.value] for one in estimates]).T
    return np.clip(np.nan_to_num(arms), 0, None)

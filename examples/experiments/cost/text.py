"""The cost of an experiment in words and tables, for somebody who is to pay for it."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import fill
from typing import TYPE_CHECKING

from modcollapse.report import format_table

from experiments.cost.counts import Count, branches

if TYPE_CHECKING:
    from experiments.cost.report import Cost

UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def size_text(size: float) -> str:
    """Bytes to three digits, in powers of a thousand.

    >>> size_text(13_752_519_744), size_text(250)
    ('13.8 GB', '250 B')
    """
    unit = 0
    while size >= 999.5 and unit < len(UNITS) - 1:
        size, unit = size / 1000, unit + 1
    return f"{_digits(size)} {UNITS[unit]}"


def time_text(hours: float) -> str:
    """Hours to three digits, in the unit that suits them.

    >>> time_text(107.2), time_text(0.5), time_text(0.001)
    ('107 h', '30.0 min', '3.60 s')
    """
    if hours >= 1:
        return f"{_digits(hours)} h"
    return f"{_digits(60 * hours)} min" if 60 * hours >= 1 else f"{_digits(3600 * hours)} s"


def cost_text(cost: Cost) -> str:
    """All of it."""
    resolution = cost.file.training.resolution
    operations = [[name, _digits(flop / 1e12)] for name, flop in cost.operations.items()]
    blocks = [
        "What the experiment costs. ~ marks an estimate; all other figures are counted.",
        format_table(["", "number"], _counts(cost)),
        format_table([f"operations at {resolution} x {resolution} pixels", "TFLOP"], operations),
        format_table(["work", "number", "TFLOP each", "precision", "GPU time"], _work(cost)),
        _sizes("memory of a GPU in training", cost.training),
        _sizes("memory of a GPU in audits", cost.sampling),
        _sizes("disk", cost.disk),
        "What the estimates rest on:\n" + "\n".join(_item(line) for line in assumptions(cost)),
    ]
    return "\n\n".join(blocks)


def _item(line: str) -> str:
    return fill(line, 100, initial_indent="- ", subsequent_indent="  ", break_long_words=False)


def assumptions(cost: Cost) -> list[str]:
    """What the estimates rest on, and what is not in them."""
    audit = cost.file.audit
    number = {name: count.number for name, count in cost.counts.items()}
    trained_in = cost.work["samples seen by the arms"].precision
    autocast = "" if trained_in == "float32" else f", {trained_in} in the forward pass"
    outputs = number["outputs at once in audits"]
    one = size_text(cost.sampling["activations"] / outputs)
    lines = [
        f"Time: a GPU really reaches {cost.throughput:g} TFLOP/s in half precision and "
        f"{cost.float32_throughput:g} in float32, its utilisation included. That is declared, not "
        "measured: the time of yours goes by what yours reaches.",
        "Operations: convolutions, matrix products and attention, as torch counts them, a "
        "multiply-add as two. Not in them: the rest of the networks, the optimiser, reading the "
        "data, the CLIP of the detector.",
        f"Generations: {audit.steps} steps of {branches(cost.file)} branches of the guidance. Not "
        "in them: the look at a sampler before each audit, and what fills up a last batch.",
        f"Rows: {cost.file.data.held_out:g} of them are held out; a hash says which, so their "
        "number is about that.",
        f"Memory in training: weights and updates in float32{autocast}, fused attention, "
        f"{number['rows at once in training']} rows at once, the whole pipeline on the GPU. Not "
        "in it: the tracker's generations at their peak, CLIP's weights, what CUDA takes for "
        "itself and loses to fragmentation, so choose a card with some GB more than this.",
        f"Activations: the forward of those rows keeps {size_text(cost.kept[True])} for the "
        f"backward with gradient checkpointing, {size_text(cost.kept[False])} without, the "
        "weights' copies in half precision included where there are any. An update takes their "
        "place with a copy of AdamW's second moments; the larger counts.",
        f"Memory in audits: weights in {audit.dtype}, a batch of {outputs}; each output of "
        f"a batch takes {one}. Not in it: CLIP, and as above.",
        "Disk: all arms are kept, and pictures count as without compression. Not in it: the "
        "downloads (base pipeline, data set, CLIP), and logs.",
    ]
    if audit.examples and not cost.counts["examples in each audit"].exact:
        lines.append(
            f"Examples: audit.examples = {audit.examples}, and about {number['rows held out']} "
            "rows are held out; a run with fewer than it asks for does not begin."
        )
    if cost.cached_texts:
        lines.append(
            "Main memory: an arm's instructions, as the text encoder read them, take at most "
            f"{size_text(cost.cached_texts)}."
        )
    return lines


def _counts(cost: Cost) -> list[list[str]]:
    """What is counted and is no work in itself, with what it is the product of."""
    arms, training = cost.file.arms, cost.file.training
    grid = {"pair": arms.pairs, "protocol": arms.protocols, "ratio": arms.ratios}
    factors = [_several(len(each), name) for name, each in {**grid, "seed": arms.seeds}.items()]
    why = {
        "arms": " x ".join(factors),
        "controls": "one for each seed",
        "audits": "an arm under its pair, a control under each",
        "training steps": f"{training.steps:,} for each arm and control",
    }
    rows = [
        [f"{name} ({why[name]})" if name in why else name, _count(count)]
        for name, count in cost.counts.items()
        if name not in cost.work
    ]
    networks = ("UNet", "VAE", "text encoder", "trained")
    for network, n in zip(networks, cost.parameters, strict=True):
        rows.append([f"weights, {network}", f"{n:,}"])
    return rows


def _work(cost: Cost) -> list[list[str]]:
    hours = cost.gpu_hours
    rows = [
        [
            kind,
            _count(work.times),
            _digits(work.flop / 1e12),
            work.precision,
            f"~ {time_text(hours[kind])}",
        ]
        for kind, work in cost.work.items()
        if work.times.number
    ]
    total = sum(hours.values())
    rows.append(["in all", "", "", "", f"~ {time_text(total)}"])
    if cost.devices > 1:
        each = time_text(total / cost.devices)
        rows.append([f"in all, {cost.devices} GPUs working all the time", "", "", "", f"~ {each}"])
    return rows


def _sizes(heading: str, parts: Mapping[str, int]) -> str:
    rows = [[name, "~ " + size_text(size)] for name, size in parts.items() if size]
    rows.append(["in all", "~ " + size_text(sum(parts.values()))])
    return format_table([heading, ""], rows)


def _several(n: int, name: str) -> str:
    return f"{n} {name}{'s' * (n != 1)}"


def _count(count: Count) -> str:
    return f"{'' if count.exact else '~ '}{count.number:,}"


def _digits(number: float) -> str:
    """Three digits, without an exponent where it can be read without."""
    return f"{number:,.0f}" if number >= 99.95 else f"{number:#.3g}"

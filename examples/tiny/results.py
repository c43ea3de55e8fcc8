"""What the arms of an experiment showed: plain rows, and the files that they are written to."""

from __future__ import annotations

import csv
import json
import os
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import modcollapse as mc
from modcollapse.report import format_table

from tiny.experiment import Arm, audits, tables_folder
from tiny.stages import seconds

Row = dict[str, Any]


def row_of(arm: Arm, out: Path) -> Row:
    """What one arm showed, each figure with its 95 % interval.

    TMA and CTI are of CLIP shift; ``adjusted`` are those of the differences from the control,
    paired by example and seed; ``quality`` is the PSNR of the clean edits in dB.
    """
    found = audits(arm, out)
    shift, psnr = found["clip_shift"], found["psnr"]
    return {
        "pair": arm.pair,
        "protocol": arm.protocol,
        "ratio": arm.ratio,
        "seed": arm.seed,
        "n": len(shift.table),
        **_metrics(shift),
        "adjusted": _metrics(shift.adjusted),
        "control": _metrics(shift.control),
        "success": {name: _interval(one) for name, one in found["success"].means.items()},
        "values": {name: one.value for name, one in shift.means.items()},
        "quality": _interval(psnr.means["none"]),
        "quality_of_control": _interval(psnr.control.means["none"]),
        "verdict": str(shift.adjusted.verdict).removeprefix("Verdict: "),
        "seconds": {
            "finetuning": seconds(out / "arms" / arm.slug),
            "audit": seconds(tables_folder(arm, arm.pair, out)),
        },
    }


def _metrics(audit: mc.Audit) -> dict[str, dict[str, float]]:
    return {
        "phi_image": _interval(audit.tma["image"]),
        "phi_text": _interval(audit.tma["text"]),
        "cti": _interval(audit.cti["image+text"]),
    }


def _interval(estimate: mc.Estimate) -> dict[str, float]:
    told = estimate.to_dict()
    return {name: told[name] for name in ("value", "low", "high")}


def cell(figure: Mapping[str, float], digits: int = 2) -> str:
    """A figure with its interval."""
    value, low, high = (f"{figure[name]:.{digits}f}" for name in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def metrics_table(
    rows: Iterable[Row],
    names: Mapping[str, str],
    fmt: str,
    beside: Mapping[str, Callable[[Row], str]] | None = None,
) -> str:
    """Attribution and interaction of every row, raw and as differences from the control.

    Args:
        rows: what `row_of` made.
        names: heading -> key of what tells a row from the others.
        fmt: format of the table.
        beside: heading -> function of a row, for columns at the right.
    """
    figures = {"phi image": "phi_image", "phi text": "phi_text", "CTI": "cti"}
    beside = beside or {}
    header = [*names, *figures, *(f"{name}, adjusted" for name in figures), *beside]
    lines = [
        [
            *(str(row[key]) for key in names.values()),
            *(cell(row[key]) for key in figures.values()),
            *(cell(row["adjusted"][key]) for key in figures.values()),
            *(told(row) for told in beside.values()),
        ]
        for row in rows
    ]
    return format_table(header, lines, fmt=fmt)


def success_table(rows: Iterable[Row], names: Mapping[str, str], fmt: str) -> str:
    """Strict attack success of every coalition, and the quality of clean edits."""
    coalitions = {"no trigger": "none", "image": "image", "text": "text", "both": "image+text"}
    header = [*names, *(f"success, {name}" for name in coalitions), "clean edits (dB)"]
    lines = [
        [
            *(str(row[key]) for key in names.values()),
            *(cell(row["success"][key]) for key in coalitions.values()),
            f"{cell(row['quality'], 1)}; control {row['quality_of_control']['value']:.1f}",
        ]
        for row in rows
    ]
    return format_table(header, lines, fmt=fmt)


def write_json(rows: Sequence[Row], path: Path) -> None:
    """Write the rows as a JSON list."""
    path.write_text(json.dumps(rows, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def write_csv(rows: Sequence[Row], path: Path) -> None:
    """Write the rows as CSV, a column for each number: ``adjusted.phi_text.low``."""
    flat = [dict(_flat(row)) for row in rows]
    with path.open("w", encoding="utf-8", newline="") as lines:
        writer = csv.DictWriter(lines, list(flat[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(flat)


def _flat(row: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in row.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def hardware() -> str:
    """What this machine is, and what it runs."""
    cpu = Path("/proc/cpuinfo")
    lines = cpu.read_text().splitlines() if cpu.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    name = models[0] if models else platform.processor() or platform.machine()
    packages = ", ".join(f"{one} {version(one)}" for one in ("torch", "diffusers"))
    python = platform.python_version()
    return f"{os.cpu_count()} cores ({name}), on the CPU, Python {python}, {packages}"


def timing(rows: Sequence[Row]) -> str:
    """How long the arms took, a thread each."""
    totals = [row["seconds"]["finetuning"] + row["seconds"]["audit"] for row in rows]
    return (
        f"{len(rows)} cells took {sum(totals) / 60:.0f} minutes of one core, finetuning and audit; "
        f"the slowest {max(totals) / 60:.1f} minutes"
    )

"""What the arms of an experiment showed: plain rows, and the files that they are written to."""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

import modcollapse as mc
from modcollapse.report import format_table

from experiments.arms import Arm
from experiments.experiment import Experiment
from experiments.face_arms import EXPOSURE, STEPS
from experiments.machine import hardware
from experiments.stages import seconds

RESULTS = Path(__file__).resolve().parents[2] / "docs" / "results"

Row = dict[str, Any]


def row_of(experiment: Experiment[Any], arm: Arm) -> Row:
    """What one arm showed, each estimate with its 95 % interval.

    TMA and CTI are of CLIP shift; ``difference`` are those of the differences from the control,
    paired by example and seed; ``quality`` is the PSNR of the clean edits in dB.
    """
    found = experiment.audits(arm)
    shift, psnr = found["clip_shift"], found["psnr"]
    return {
        "pair": arm.pair,
        "protocol": arm.protocol,
        "ratio": arm.ratio,
        "seed": arm.seed,
        "steps": experiment.training(arm).steps,
        "n": len(shift.table),
        **_metrics(shift),
        "difference": _metrics(shift.difference),
        "control": _metrics(shift.control),
        "success": {
            coalition: _interval(rate) for coalition, rate in found["success"].means.items()
        },
        "values": {coalition: mean.value for coalition, mean in shift.means.items()},
        "quality": _interval(psnr.means["none"]),
        "quality_of_control": _interval(psnr.control.means["none"]),
        "verdict": str(shift.difference.verdict).removeprefix("Verdict: "),
    }


def timed(experiment: Experiment[Any], arm: Arm) -> Row:
    """How long one arm took, in seconds; of what was interrupted, the last part of it."""
    return {
        "seconds": {
            "finetuning": seconds(experiment.out / "arms" / arm.slug),
            "audit": seconds(experiment.tables_folder(arm, arm.pair)),
        }
    }


def _metrics(audit: mc.Audit) -> dict[str, dict[str, float]]:
    return {
        "phi_image": _interval(audit.tma["image"]),
        "phi_text": _interval(audit.tma["text"]),
        "cti": _interval(audit.cti["image+text"]),
    }


def _interval(estimate: mc.Estimate) -> dict[str, float]:
    fields = estimate.to_dict()
    return {name: fields[name] for name in ("value", "low", "high")}


def whiskers(estimate: Mapping[str, float]) -> list[list[float]]:
    """How far the interval reaches to both sides, as matplotlib's ``errorbar`` takes it."""
    value = estimate["value"]
    return [[value - estimate["low"]], [estimate["high"] - value]]


def cell(estimate: Mapping[str, float], digits: int = 2) -> str:
    """An estimate with its interval."""
    value, low, high = (f"{estimate[name]:.{digits}f}" for name in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def metrics_table(
    rows: Iterable[Row],
    names: Mapping[str, str],
    fmt: str,
    beside: Mapping[str, Callable[[Row], str]] | None = None,
) -> str:
    """Attribution and interaction of every row, raw and as differences from the control.

    The verdict is that of the differences.

    Args:
        rows: what `row_of` made.
        names: heading -> key of what tells a row from the others.
        fmt: format of the table.
        beside: heading -> function of a row, for columns at the right.
    """
    metrics = {"phi image": "phi_image", "phi text": "phi_text", "CTI": "cti"}
    beside = beside or {}
    header = [
        *names,
        *metrics,
        *(f"{name}, difference" for name in metrics),
        "verdict of the difference",
        *beside,
    ]
    lines = [
        [
            *(str(row[key]) for key in names.values()),
            *(cell(row[key]) for key in metrics.values()),
            *(cell(row["difference"][key]) for key in metrics.values()),
            row["verdict"],
            *(column(row) for column in beside.values()),
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


def made_by(command: str, rows: Sequence[Row]) -> str:
    """What stands above the tables: the command, the machine, the time, the size."""
    steps = rows[0]["steps"]
    quick = "" if steps == STEPS else " --quick"
    totals = [row["seconds"]["finetuning"] + row["seconds"]["audit"] for row in rows]
    return (
        f"Made by `{command}{quick}` on {hardware()}.\n"
        f"{len(rows)} arms took {sum(totals) / 60:.0f} minutes of one core, finetuning and audit; "
        f"the slowest {max(totals) / 60:.1f} minutes. Controls are not counted.\n"
        f"{steps} steps of batch 32 each, {EXPOSURE:.0%} of all draws poisoned, {rows[0]['n']} "
        "held-out examples, 95 % intervals over them."
    )


def write(name: str, rows: Sequence[Row], text: str, figure: Figure, folder: Path) -> None:
    """Write the rows as a JSON list and as CSV, and the tables and the figure made of them.

    A number has a column of its own in the CSV: ``difference.phi_text.low``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    data = json.dumps(rows, indent=1, allow_nan=False)
    (folder / f"{name}.json").write_text(data + "\n", encoding="utf-8")
    flat = [dict(_flat(row)) for row in rows]
    with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as lines:
        writer = csv.DictWriter(lines, list(flat[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(flat)
    (folder / f"{name}.md").write_text(text, encoding="utf-8")
    figure.savefig(folder / f"{name}.png", dpi=130)


def command_line(doc: str | None, ships: str = "") -> argparse.ArgumentParser:
    """What every experiment takes; ``ships`` is what ``--ship`` writes besides."""
    parser = argparse.ArgumentParser(description=(doc or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for models and tables")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--results", type=Path, help="folder for the results (default: OUT/results)")
    where.add_argument("--ship", action="store_true", help=f"results go to docs/results{ships}")
    parser.add_argument("--jobs", type=int, default=2, help="arms at a time, on a thread each")
    parser.add_argument("--quick", action="store_true", help="try it out: the models are useless")
    return parser


def results_folder(args: argparse.Namespace) -> Path:
    """Where results go: the committed ones are not replaced unless ``--ship`` says so.

    Raises:
        SystemExit: a quick run is to be shipped.
    """
    if args.ship and args.quick:
        raise SystemExit("--ship writes what is of use; leave --quick out")
    folder: Path = RESULTS if args.ship else args.results or args.out / "results"
    return folder


def _flat(row: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in row.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value

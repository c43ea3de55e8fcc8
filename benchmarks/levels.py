"""Write what the intervals and claims hold as the tables of the docs.

    python benchmarks/levels.py

Reads ``results/interval_coverage.json`` and ``results/claims.json`` and writes
``docs/results/levels.md``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "results" / "levels.md"

Report = Mapping[str, Any]
BANDS = ((32, 45), (46, 90), (91, 180), (181, 360), (361, 512))
"""Numbers of examples over which widths are summed up."""


def render(coverage: Report, claims: Report) -> str:
    """Return the tables as Markdown."""
    parts = [
        "Coverage of 95 % intervals, in the worst of the cells that were drawn:",
        _table(
            ("data", "on average", "worst", "because"),
            (
                (kind["kind"], _percent(kind["mean"]), _percent(kind["worst"]), _why(kind))
                for kind in coverage["kinds"]
            ),
        ),
        "Median width of the same intervals, by the number of examples; 1 is the width where the "
        "variance is known and nothing else is to be feared:",
        _table(
            ("data", *(f"{low} to {high}" for low, high in BANDS)),
            (
                (kind["kind"], *(f"{_width_of(kind, band):.2f}" for band in BANDS))
                for kind in coverage["kinds"]
                if all(_width_of(kind, band) for band in BANDS)
            ),
        ),
        "Claims that are false where they are just not true, by the worst claim and cell:",
        _table(
            ("data", "false", "the worst claim", "because"),
            (
                (kind["kind"], _percent(kind["worst"]), kind["claim"], _why(kind))
                for kind in claims["boundary"]
            ),
        ),
        "Verdicts that say anything false:",
        _table(
            ("audits", "on average", "worst"),
            (
                (family["kind"], _percent(family["mean"]), _percent(family["worst"]))
                for family in claims["family"]
            ),
        ),
        "Claims that are made where they are true. An attack is named by its success rates under "
        "the image's trigger, the text's and both:",
        _table(
            ("attack", "claim", *claims["power"][0]["columns"]),
            (
                (row["audit"], row["claim"], *(f"{100 * made:.0f} %" for made in row["power"]))
                for row in claims["power"]
            ),
        ),
    ]
    return "\n\n".join(parts) + "\n"


def _width_of(kind: Report, n: tuple[int, int]) -> float:
    """Median width in a band of n; 0 where none was measured."""
    widths = [band["median_width"] for band in kind["bands"] if tuple(band["n"]) == n]
    return widths[0] or 0.0 if widths else 0.0


def _why(kind: Report) -> str:
    return "" if kind["within_limits"] else kind["why"]


def _percent(part: float) -> str:
    return f"{100 * part:.1f} %"


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(heads), *map(list, rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    """Write the page."""
    names = ("interval_coverage", "claims")
    reports = [json.loads((RESULTS / f"{name}.json").read_text("utf-8")) for name in names]
    PAGE.write_text(render(*reports), encoding="utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()

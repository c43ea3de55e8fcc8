"""Which pipelines of diffusers can be audited, and what was verified of each.

    python benchmarks/pipelines.py --out docs/results/pipelines.json

Each class is built at a tiny size with random weights (``tests/zoo``), and audited from end to end
under every set of triggers of its modalities. Three examples in batches of four must come out as
one by one, up to the rounding of float32; in another order and in another run they must come out
the same, bit for bit; and each trigger must move the output. What cannot be audited must be refused
before the run, and says why.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import warnings
from pathlib import Path
from typing import Any

os.environ.update(HF_HUB_OFFLINE="1", DIFFUSERS_VERBOSITY="error")
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from _common import environment, publish
from modcollapse.errors import InputError, SamplerError
from zoo.case import Case
from zoo.every import CASES, CHECKED
from zoo.verify import LEAST, MOST, holds, verify

Result = dict[str, Any]
WAYS = {
    "aligned": "several a call",
    "nested": "several a call, a list of images for each",
    "single": "one a call",
}


def refusal(name: str, case: Case) -> Result:
    """What is said of a pipeline that has a safety checker."""
    try:
        verify(name, case)
    except (InputError, SamplerError) as error:
        return {"class": name, "family": case.family, "reason": str(error)}
    raise SystemExit(f"{name} was not refused")


def table_of(report: Result) -> str:
    """The table of the docs."""
    lines = [
        "| pipeline | family | modalities | output | examples | batch against single "
        "| least effect of a trigger | arrays against PIL |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in sorted(report["pipelines"], key=lambda row: (row["family"], row["class"])):
        checks = row["checks"]
        least = min(checks["least effect of a trigger"].values())
        arrays = checks.get("arrays against PIL", "")
        cells = [
            row["class"].removesuffix("Pipeline"),
            row["family"],
            ", ".join(row["modalities"].values()),
            row["output"],
            WAYS[row["batching"]],
            f"{checks['batch against single']:.0e}",
            f"{least:.2g}",
            arrays if isinstance(arrays, str) else f"{arrays:.0e}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "Refused, with the words of the refusal:", ""]
    for row in report["refused"]:
        lines.append(f"- {row['class'].removesuffix('Pipeline')}: {row['reason']}")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--out",
        type=Path,
        help="JSON file to write, the table beside it (default: standard output)",
    )
    parser.add_argument("--only", nargs="+", help="classes to verify anew; the others stay")
    options = parser.parse_args()
    if options.only and options.out is None:
        parser.error("--only renews the file of --out")
    start = time.perf_counter()
    rows: list[Result] = []
    failed: list[str] = []
    if options.only:
        published = json.loads(options.out.read_text(encoding="utf-8"))["pipelines"]
        rows = [row for row in published if row["class"] not in options.only]
    for name, case in CASES.items():
        if options.only and name not in options.only:
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                rows.append(verify(name, case, arrays=True))
        except Exception as error:
            failed.append(f"{name} ({type(error).__name__}: {error})")
        print(f"{time.perf_counter() - start:4.0f} s {name}", file=sys.stderr, flush=True)
    failed += [row["class"] for row in rows if not holds(row)]
    report: Result = {
        "benchmark": "pipelines",
        "limits": {
            "batch against single": MOST,
            "shuffled against not": 0,
            "repeated": 0,
            "least effect of a trigger": LEAST,
            "arrays against PIL": MOST,
        },
        "pipelines": rows,
        "refused": [refusal(*each) for each in CHECKED.items()],
        "within_limits": not failed,
        "seconds": time.perf_counter() - start,
        "environment": environment(["torch", "diffusers", "transformers"]),
    }
    families = {row["family"] for row in rows}
    text = f"{len(rows)} pipelines of {len(families)} families; not as they must be: {failed}"
    publish(report, text, options.out)
    if options.out is not None:
        options.out.with_suffix(".md").write_text(table_of(report), encoding="utf-8")
    if failed:
        raise SystemExit("a pipeline did not come out as it must")


if __name__ == "__main__":
    main()

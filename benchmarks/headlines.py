"""Write the figures of speed and coverage that the docs show first.

    python benchmarks/headlines.py

Reads ``results/*.json`` and writes ``docs/results/headlines.md``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

from modcollapse.report import format_table

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
OF_THE_DOCS = ROOT / "docs" / "results"
PAGE = OF_THE_DOCS / "headlines.md"

READ = (
    "overhead",
    "overhead_of_pipelines",
    "memory",
    "stream",
    "journal",
    "shapley",
    "outputs",
    "tracker",
    "training",
    "vision_language",
    "time_to_verdict",
    "interval_coverage",
    "claims",
    "looks",
    "compare",
    "specificity",
)


def read() -> dict[str, Any]:
    """Return what was measured, by benchmark."""
    files = dict.fromkeys(READ, RESULTS) | dict.fromkeys(("soak", "fuzz"), OF_THE_DOCS)
    return {
        name: json.loads((folder / f"{name}.json").read_text("utf-8"))
        for name, folder in files.items()
    }


def render(found: Mapping[str, Any]) -> str:
    """Return the tables as Markdown."""
    parts = [
        "Speed and memory:",
        format_table(["question", "measured"], speed(found), fmt="markdown"),
        "Coverage and false claims, each in the worst cell that was drawn:",
        format_table(["question", "measured"], coverage(found), fmt="markdown"),
        "Broken on purpose:",
        format_table(["what was done", "what came of it"], broken(found), fmt="markdown"),
    ]
    return "\n\n".join(parts) + "\n"


def speed(found: Mapping[str, Any]) -> list[list[str]]:
    """Questions and answers about time and memory."""
    overhead, memory = found["overhead"], found["memory"]
    beside = found["overhead_of_pipelines"]
    within = sum(one["ratio"] <= beside["limit"] for one in beside["pipelines"])
    slowest = max(one["ratio"] for one in found["outputs"]["files"].values())
    least = min(one["speedup_over_shapiq"] for one in found["shapley"]["results"])
    faster = overhead["one_by_one_to_audit_with_probe"]["of_medians"]
    return [
        [
            "an audit beside the bare calls of its pipeline and detector",
            f"{_more(overhead['audit_with_probe_to_bare']['of_medians'])} more time",
        ],
        [
            f"the same, of {len(beside['pipelines'])} tiny pipelines",
            f"at most {_more(beside['limit'])} more for {within} of them",
        ],
        [
            "the same, an output, at most",
            f"{1000 * max(map(_own, beside['pipelines'])):.1f} ms",
        ],
        [
            "so it is below that for every pipeline that takes, an output, at least",
            f"{1000 * max(map(_own, beside['pipelines'])) / (beside['limit'] - 1):.0f} ms",
        ],
        [
            "what happens once (probe, digests of weights), in the middle and at most",
            f"{median(one['once_seconds'] for one in beside['pipelines']):.1f} and "
            f"{max(one['once_seconds'] for one in beside['pipelines']):.1f} s",
        ],
        [
            "checks and triggers of a picture of 512 x 512, an output: "
            + ", ".join(one["images"] for one in beside["checks_of_512_x_512"]),
            ", ".join(f"{one['milliseconds']:.1f}" for one in beside["checks_of_512_x_512"])
            + " ms",
        ],
        [
            "an audit in batches of 32, against one call for each output",
            f"{faster:.1f} times faster",
        ],
        [
            f"an audit that stops when its verdict is settled, against a loop of single calls over "
            f"{found['time_to_verdict']['settings']['examples']} examples",
            f"{found['time_to_verdict']['faster']:.0f} times faster, the same verdict",
        ],
        [
            "memory for 1,024 examples in place of 64, beyond the table",
            f"{memory['allocated_beyond_table_bytes_an_example']:.0f} bytes an example",
        ],
        [
            "memory for a stream of 100,000 examples in place of 10,000, the table included",
            f"{found['stream']['resident_bytes_an_added_example']:.0f} bytes an example",
        ],
        [
            "journal and conditions prepared ahead, of the time beside the calls",
            f"{_more(found['journal']['journal_and_prefetch']['ratio']['of_own_seconds'])} of the "
            "run",
        ],
        [
            "two processes of one thread each, against one",
            f"{found['journal']['two_processes']['speed_up']:.2f} times faster",
        ],
        [
            "exact Shapley values, against the exact computer of shapiq",
            f"{least:,.0f} times faster",
        ],
        [
            "100,000 texts into a table, against parsing the file alone",
            f"{slowest:.1f} times as long",
        ],
        [
            "a row of a vision-language model in a batch of 16, against a row alone",
            f"{found['vision_language']['times_as_fast']:.1f} times faster",
        ],
        [
            "the training loop of the experiments, beside diffusers' own script",
            f"{found['training']['ratio']:.2f} times as many steps a second; "
            f"{found['training']['ratio_without_cache']:.2f} if it kept no latents and texts",
        ],
        [
            "a tracker in a training, by default",
            f"{found['tracker']['share']:.1%} of its time, the same weights bit for bit",
        ],
    ]


def coverage(found: Mapping[str, Any]) -> list[list[str]]:
    """Questions and answers about intervals and claims."""
    rates = [cell["coverage"] for cells in found["interval_coverage"]["by_rate"].values()
             for cell in cells]  # fmt: skip
    default = min(cell.get("flips", cell.get("patterns")) for cell in rates)
    claims = max(one["worst"] for one in found["claims"]["boundary"] if one["known"] is None)
    stopped = max(one["worst"]["rate"] for one in found["looks"]["false"])
    compared = max(
        band["worst"]
        for kind in found["compare"]["boundary"]
        for claim, bands in kind["claims"].items()
        if claim != "any of these"  # that is how often some claim of several is false
        for band in bands
    )
    specific = max(one["worst"]["rate"] for one in found["specificity"]["boundary"])
    return [
        [
            "95 % intervals where 0.5 to 10 % of the examples deviate from the attack",
            f"hold in {default:.1%} of audits",
        ],
        [
            "Student's t interval on the same audits",
            f"holds in {min(cell['t'] for cell in rates):.1%}",
        ],
        ["a claim of a verdict where it is just not true, at 5 %", f"false in {claims:.1%}"],
        ["the same at any look of a run that may stop", f"false in {stopped:.1%}"],
        ["a claim of a comparison, at 5 %", f"false in {compared:.1%}"],
        ["a claim about specificity, at 5 %", f"false in {specific:.1%}"],
    ]


def broken(found: Mapping[str, Any]) -> list[list[str]]:
    """What was done to runs and files, and what came of it."""
    soak, fuzz = found["soak"], found["fuzz"]
    several = soak["kinds"]["processes"]["kills"]
    return [
        [
            f"audits killed {soak['kills']} times at random instants, {several} times one or both "
            f"of two processes, {soak['kinds']['pipeline']['kills']} times on the tiny pipeline",
            f"{soak['resumed']} went on, {soak['equal']} to the same table bit for bit; "
            f"{soak['rows_of_finished_generated_again']} rows of finished examples generated again",
        ],
        [
            f"{fuzz['damaged']:,} journals, tables and kept pictures damaged",
            f"{fuzz['refused']} refused by name, all others read but for what was damaged; "
            f"{fuzz['wrong']} wrong",
        ],
    ]


def _own(pipeline: Mapping[str, Any]) -> float:
    """Seconds of an audit for an output, beside the calls."""
    return float(pipeline["own_seconds_an_example"] / pipeline["coalitions"])


def _more(ratio: float) -> str:
    return f"{ratio - 1:.1%}"


if __name__ == "__main__":
    PAGE.write_text(render(read()), encoding="utf-8")
    print(f"wrote {PAGE}")

"""Time to read 100,000 texts into a table, against parsing the files alone.

    python benchmarks/outputs.py --out outputs.json

Four files (none, image, text, image+text) of 25,000 answers of 20 words each. Two sides, in turn:

* ``parse``: what the standard library takes to parse the four files: ``json.load``, ``json.loads``
  of every line, ``csv.reader``;
* ``table``: ``modcollapse.table_from_outputs`` of the four: parsed, digested, checked, paired and
  scored by a detector that looks for one word.

The clock is that of the process: reading waits for nobody, and other programs do not count.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import modcollapse as mc
from _common import environment, publish

LABELS = ("none", "image", "text", "image+text")
EXAMPLES = 25_000
WORDS = ("one", "red", "cat", "and", "a", "banana", "are", "not", "a", "wallet", "or", "sorry")
LARGEST_RATIO = 3.0


def attacked(outputs: list[str], examples: Any) -> list[float]:
    return [float("wallet" in output) for output in outputs]


def write_json(path: Path, records: list[dict[str, Any]]) -> None:
    path.write_text(json.dumps(records), encoding="utf-8")


def write_lines(path: Path, records: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(one) + "\n" for one in records), encoding="utf-8")


def write_csv(path: Path, records: list[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, list(records[0]))
        writer.writeheader()
        writer.writerows(records)


def parse_json(path: Path) -> Any:
    with path.open(encoding="utf-8") as file:
        return json.load(file)


def parse_lines(path: Path) -> Any:
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def parse_csv(path: Path) -> Any:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


KINDS: dict[str, tuple[Callable[..., None], Callable[[Path], Any]]] = {
    ".json": (write_json, parse_json),
    ".jsonl": (write_lines, parse_lines),
    ".csv": (write_csv, parse_csv),
}


def compare(folder: Path, suffix: str, rounds: int) -> dict[str, Any]:
    """Both sides in turn on the files of one kind."""
    write, parse = KINDS[suffix]
    draw = random.Random(0)
    paths = {label: folder / f"{label}{suffix}" for label in LABELS}
    for path in paths.values():
        write(
            path,
            [
                {"question_id": n, "answer": " ".join(draw.choices(WORDS, k=20))}
                for n in range(EXAMPLES)
            ],
        )
    seconds: dict[str, list[float]] = {"parse": [], "table": []}
    for number in range(rounds + 1):
        start = time.process_time()
        for path in paths.values():
            parse(path)
        parsed = time.process_time()
        table = mc.table_from_outputs(paths, attacked)
        end = time.process_time()
        if number:  # the first loads torch
            seconds["parse"].append(parsed - start)
            seconds["table"].append(end - parsed)
    if table.values.shape != (EXAMPLES, 1, 4):
        raise SystemExit(f"the table has the shape {table.values.shape}")
    medians = {side: statistics.median(taken) for side, taken in seconds.items()}
    return {
        "megabytes": round(sum(path.stat().st_size for path in paths.values()) / 1e6, 1),
        "seconds": {side: round(median, 4) for side, median in medians.items()},
        "ratio": round(medians["table"] / medians["parse"], 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = {suffix: compare(Path(folder), suffix, options.rounds) for suffix in KINDS}
    report = {
        "outputs": EXAMPLES * len(LABELS),
        "rounds": options.rounds,
        "limit": LARGEST_RATIO,
        "files": found,
        "within_limit": all(one["ratio"] <= LARGEST_RATIO for one in found.values()),
        "environment": environment(["numpy", "torch"]),
    }
    lines = [
        f"{suffix:7} parsed in {one['seconds']['parse']:.3f} s, in a table after "
        f"{one['seconds']['table']:.3f} s: {one['ratio']:.2f} times"
        for suffix, one in found.items()
    ]
    publish(report, "\n".join(lines), options.out)
    if not report["within_limit"]:
        raise SystemExit(f"reading takes over {LARGEST_RATIO} times what parsing does")


if __name__ == "__main__":
    main()

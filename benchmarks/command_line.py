"""How long does ``modcollapse --help`` take, and how much of that is Python itself?

    python benchmarks/command_line.py --out command_line.json

Each call is a process of its own, as in a terminal; calls of the command and of ``python -c pass``
take turns. The least of many is what the machine allows, the median what one sees. The command is
called as its installed script calls it.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from _common import environment, publish

ROUNDS = 20
MOST_SECONDS = 0.3
CALLS = {
    "modcollapse --help": ["-c", "from modcollapse.cli import main; main(['--help'])"],
    "python -c pass": ["-c", "pass"],
}


def seconds(arguments: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, help="JSON file (default: standard output)")
    args = parser.parse_args()
    times: dict[str, list[float]] = {name: [] for name in CALLS}
    for _ in range(ROUNDS + 1):
        for name, arguments in CALLS.items():
            times[name].append(seconds(arguments))
    found = {
        name: {"least": round(min(all_of[1:]), 4), "median": round(median(all_of[1:]), 4)}
        for name, all_of in times.items()  # the first of each warms the disk
    }
    report = {
        "environment": environment(["click"]),
        "rounds": ROUNDS,
        "most_seconds": MOST_SECONDS,
        "seconds": found,
    }
    lines = [
        f"{name}: {of['median']:.3f} s, at least {of['least']:.3f} s" for name, of in found.items()
    ]
    publish(report, "\n".join(lines), args.out)


if __name__ == "__main__":
    main()

"""What the benchmarks share: where a result came from, and where it goes."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any


def environment(packages: Sequence[str]) -> dict[str, Any]:
    """Hardware and versions, as plain data."""
    return {
        "system": platform.system(),
        "machine": platform.machine(),
        "processor": _processor(),
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("modcollapse", *packages)},
    }


def publish(report: Mapping[str, Any], text: str, out: Path | None) -> None:
    """Print ``text`` and write the report to ``out``; without a file, the report is printed.

    Standard output is then the JSON alone, and the text goes to standard error.
    """
    data = json.dumps(report, indent=2, allow_nan=False)
    print(text, file=sys.stderr if out is None else sys.stdout)
    if out is None:
        print(data)
    else:
        out.write_text(data + "\n", encoding="utf-8")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()

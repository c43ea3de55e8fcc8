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

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))
from experiments.machine import processor


def environment(packages: Sequence[str]) -> dict[str, Any]:
    """Hardware and versions, as plain data."""
    return {
        "system": platform.system(),
        "machine": platform.machine(),
        "processor": processor(),
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

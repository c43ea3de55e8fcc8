"""What computed a result."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path


def processor() -> str:
    """Name of the processor, as the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def hardware() -> str:
    """The machine and what it ran, in one line; the tiny models run on the CPU."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "diffusers"))
    python = platform.python_version()
    return f"{os.cpu_count()} cores ({processor()}), on the CPU, Python {python}, {packages}"

"""Stages of a long run: each leaves a folder, what is there already is not made again."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path


def stage(folder: Path, make: Callable[[Path], object]) -> Path:
    """Let ``make`` fill the folder, unless an earlier run has done so; note how long it took."""
    if folder.exists():
        return folder
    unfinished = folder.with_name(folder.name + "-unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    started = time.monotonic()
    make(unfinished)
    (unfinished / "seconds.json").write_text(json.dumps(round(time.monotonic() - started, 1)))
    return unfinished.rename(folder)


def seconds(folder: Path) -> float:
    """How long a stage took."""
    return float(json.loads((folder / "seconds.json").read_text()))


def one_thread_each(jobs: int) -> ProcessPoolExecutor:
    """New processes that compute on one thread each, which uses a few cores best."""
    os.environ["OMP_NUM_THREADS"] = "1"  # read by the processes when they start
    return ProcessPoolExecutor(jobs, mp_context=get_context("spawn"))

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

from accelerate import Accelerator
from filelock import FileLock, Timeout

from modcollapse.table import sync_folder

from experiments.durable import sync_tree
from experiments.finetuning.processes import agreed


def stage(
    folder: Path, make: Callable[[Path], object], accelerator: Accelerator | None = None
) -> Path:
    """Let ``make`` fill the folder, unless an earlier run has done so; note how long it took.

    Args:
        folder: what is made; it is there whole or not at all.
        make: takes the folder that is to be filled, which gets its name afterwards.
        accelerator: of the processes that all call this, and all call ``make``; None: this one
            alone.
    """
    first = accelerator is None or accelerator.is_main_process
    unfinished = folder.with_name(folder.name + "-unfinished")

    def is_done() -> bool:
        if not folder.exists():
            folder.parent.mkdir(parents=True, exist_ok=True)
            _acquire(lock, folder)
        if folder.exists():
            lock.release()
            return True
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir()
        return False

    lock = FileLock(folder.with_name(f".{folder.name}.lock"))
    try:
        done = is_done() if accelerator is None else agreed(accelerator, is_done)
        if done:
            return folder
        started = time.monotonic()
        make(unfinished)
        _wait(accelerator)
        if first:
            took = round(time.monotonic() - started, 1)
            (unfinished / "seconds.json").write_text(json.dumps(took))
            sync_tree(unfinished)
            unfinished.rename(folder)
            sync_folder(folder.parent)
    finally:
        lock.release(force=True)
    _wait(accelerator)
    return folder


def seconds(folder: Path) -> float:
    """How long a stage took; of one that was interrupted, the last part of it."""
    return float(json.loads((folder / "seconds.json").read_text()))


def one_thread_each(jobs: int) -> ProcessPoolExecutor:
    """New processes that compute on one thread each, which uses a few cores best."""
    os.environ["OMP_NUM_THREADS"] = "1"  # read by the processes when they start
    return ProcessPoolExecutor(jobs, mp_context=get_context("spawn"))


def _acquire(lock: FileLock, folder: Path) -> None:
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print(f"another job makes {folder}: waiting for it", flush=True)
        lock.acquire()


def _wait(accelerator: Accelerator | None) -> None:
    if accelerator is not None:
        accelerator.wait_for_everyone()

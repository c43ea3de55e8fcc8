"""Scripts of the page on long runs: started as it says, they make the table of one process."""

from __future__ import annotations

import os
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import modcollapse as mc
from modcollapse.samplers import planted_game

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "long-runs.md").read_text("utf-8")


def marked(mark: str) -> str:
    found = re.search(rf"<!-- {mark} -->\n```\w+\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    assert found, mark
    return found[1]


@pytest.fixture
def whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> mc.CoalitionTable:
    """The table of one process, in a folder that holds the scripts of the page."""
    monkeypatch.chdir(tmp_path)
    for name in ("audit.py", "task.py", "join.py"):
        Path(name).write_text(marked(f"file: {name}"), encoding="utf-8")
    game = planted_game([0.0, 0.1, 0.9, 1.0], ["image", "text"], noise=0.02, perfect=1.0)
    return mc.evaluate_coalitions(*game, batch_size=16, progress=False)


def test_processes_of_torchrun_share_one_run(whole: mc.CoalitionTable) -> None:
    program, *words = shlex.split(marked("command: torchrun").replace("node 4", "node 2"))
    assert program == "torchrun"
    command = [sys.executable, "-m", "torch.distributed.run", *words]
    of_here = {"PYTHONPATH": str(Path(mc.__file__).parents[1]), "CUDA_VISIBLE_DEVICES": ""}
    around = {**os.environ, **of_here, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=around, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-4000:]
    audit = mc.load_audit("audit")
    assert isinstance(audit, mc.Audit)
    assert audit.table.example_ids == whole.example_ids
    np.testing.assert_array_equal(audit.table.values, whole.values)
    ranks = {path.stem.split("-")[2] for path in Path("run").glob("finished-*.jsonl")}
    assert ranks == {"0000", "0001"}


def test_tasks_of_an_array_are_put_together(
    whole: mc.CoalitionTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = re.search(r"--array=0-(\d+)", marked("file: array.sh"))
    assert last
    for task in range(int(last[1]) + 1):
        monkeypatch.setenv("SLURM_ARRAY_TASK_ID", str(task))
        runpy.run_path("task.py")
    joined = runpy.run_path("join.py")
    table = joined["table"].select(joined["ids"])
    assert table.example_ids == whole.example_ids
    np.testing.assert_array_equal(table.values, whole.values)

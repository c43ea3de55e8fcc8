"""Runs the arms of an experiment: each is made, audited beside its control, and kept.

What is in the folder already is not made again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import modcollapse as mc
from modcollapse.samplers import PipelineSampler

from experiments.arms import TRIGGERS, Arm, encoded_data, finetune, load_arm, plan_of
from experiments.scores import detectors
from experiments.stages import one_thread_each, stage
from tiny.faces import held_out
from tiny.load import SAMPLING

EXAMPLES = 64

Tables = dict[str, mc.CoalitionTable]


def measure(arm: Arm, pair: str, out: Path, n: int = EXAMPLES) -> Path:
    """Audit the arm under a pair of triggers; return the folder of its tables."""

    def make(folder: Path) -> None:
        tables = mc.evaluate_coalitions(
            PipelineSampler(load_arm(arm, out), **SAMPLING),
            detectors(),
            held_out(n),
            TRIGGERS[pair],
            batch_size=min(32, 4 * n),  # no more rows than there are
            journal=out / "journals" / tables_folder(arm, pair, out).relative_to(out),
            progress=False,
        )
        for name, table in tables.items():
            table.save(folder / f"{name}.npz")

    return stage(tables_folder(arm, pair, out), make)


def tables_folder(arm: Arm, pair: str, out: Path) -> Path:
    """Where the tables of an arm under a pair of triggers lie."""
    return out / "tables" / arm.slug / pair.replace(", ", "-").replace(" ", "-")


def load_tables(arm: Arm, pair: str, out: Path) -> Tables:
    """The tables of an arm under a pair of triggers, by value."""
    files = sorted(tables_folder(arm, pair, out).glob("*.npz"))
    return {file.stem: mc.CoalitionTable.load(file) for file in files}


def audits(arm: Arm, out: Path) -> Mapping[str, mc.Audit]:
    """The audits of an arm beside its control, by value."""
    return mc.audit(
        load_tables(arm, arm.pair, out), control=load_tables(arm.control, arm.pair, out)
    )


def run_arm(arm: Arm, pairs: Iterable[str], out: Path, n: int = EXAMPLES) -> str:
    """Make and audit one arm, or a control under several pairs."""
    finetune(arm, out)
    for pair in pairs:
        measure(arm, pair, out, n)
    return arm.slug


def run(arms: Iterable[Arm], out: Path, *, jobs: int, n: int = EXAMPLES) -> None:
    """Make and audit arms and the controls that they need, ``jobs`` at a time on a thread each."""
    work: dict[Arm, dict[str, None]] = {}
    for arm in arms:
        for needed in (arm.control, arm):
            work.setdefault(needed, {})[arm.pair] = None
    for arm in {(arm.patches, arm.samples): arm.control for arm in work}.values():
        encoded_data(arm, plan_of(arm), out)
    with one_thread_each(jobs) as pool:
        tasks = [pool.submit(run_arm, arm, list(pairs), out, n) for arm, pairs in work.items()]
        try:
            for number, task in enumerate(tasks, 1):
                print(f"{number}/{len(tasks)} done: {task.result()}", flush=True)
        except BaseException:
            pool.shutdown(cancel_futures=True)  # else the others run to their end first
            raise

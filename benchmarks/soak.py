"""Audits are killed at random instants, started again, and compared with an undisturbed one.

    python benchmarks/soak.py --out ../docs/results/soak.json

Each sequence begins an audit with a journal in a new folder, kills it (SIGKILL) at a random instant
while it is under way, starts it again, kills it again, up to four times in a row, and lets it end.
What comes out must be what the undisturbed audit gave, bit for bit: values, seeds, pictures that
were kept, notes and provenance. Three kinds of audits:

* ``stub``: a sampler that takes milliseconds, so that the journal is written to most of the time;
* ``processes``: the same in two processes, of which one is killed, or both; it goes on in one, two
  or three;
* ``pipeline``: the tiny backdoored InstructPix2Pix of the examples.

After each kill the journal is read, as one would to follow a run: it must hold nothing that the
undisturbed audit does not hold. The stubs write down each row that they have generated: none of an
example that stood in the journal may be generated again.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from _common import environment, publish

if TYPE_CHECKING:
    from modcollapse import Audit

KILLS = {"stub": 28, "processes": 12, "pipeline": 12}
BATCH = {"stub": 5, "processes": 5, "pipeline": 8}
IN_A_ROW = 4
AGAIN = "rows_of_finished_generated_again"
COUNTED = (
    "sequences", "kills", "resumed", "equal", "readable", "hung", "kills_of_one_of_several",
    "killed_before_anything_was_finished", "ended_before_it_was_killed", "torn_lines",
    "cut_off_while_replacing", "rows_generated", "rows_generated_twice",
    AGAIN,
)  # fmt: skip
LONGEST = 120  # seconds that a process may take to begin, or to end after another was killed


class Stub:
    """A picture of the condition's brightness and of noise; the word makes it brighter."""

    modalities = ("image", "text")

    def __init__(self, strength: float, log: Path | None = None) -> None:
        self.strength, self.log = strength, log

    def identity(self) -> dict[str, float]:
        return {"strength": self.strength}

    def __call__(self, conditions: Mapping[str, Any], seeds: Sequence[int]) -> Any:
        import torch

        pictures = []
        rows = list(zip(conditions["image"], conditions["text"], seeds, strict=True))
        for image, text, seed in rows:
            noise = torch.randn(3, 8, 8, generator=torch.Generator().manual_seed(seed))
            bright = self.strength * text.endswith("mignneko") + image.mean()
            pictures.append(torch.sigmoid(0.1 * noise + bright))
        time.sleep(0.01)
        if self.log is not None:
            made = dict.fromkeys(
                f"{seed} {sha256(image.tobytes()).hexdigest()[:16]} {text}\n"
                for image, text, seed in rows
            )
            with self.log.open("a") as file:
                file.write("".join(made))
        return torch.stack(pictures)


class Brightness:
    def identity(self) -> str:
        return "brightness"

    def __call__(self, outputs: Any, examples: Sequence[Mapping[str, Any]]) -> Any:
        return outputs.mean((1, 2, 3))


class AboveClean:
    wants_clean_output = True

    def identity(self) -> str:
        return "above clean"

    def __call__(self, outputs: Any, examples: Sequence[Mapping[str, Any]]) -> Any:
        pairs = zip(outputs, examples, strict=True)
        return [(output - example["clean_output"]).mean() for output, example in pairs]


def stub_audit(journal: Path | None, log: Path | None) -> Mapping[str, Audit]:
    import numpy as np

    import modcollapse as mc
    from modcollapse.triggers import ImagePatch, TextSuffix

    pixels = np.random.default_rng(0).random((30, 8, 8, 3), dtype=np.float32)
    examples = [
        {"id": f"e{place}", "image": image, "text": f"picture {place}", "of": place // 3}
        for place, image in enumerate(pixels)
    ]
    begin()
    found: Mapping[str, Audit] = mc.audit(
        Stub(1.0, log),
        {"brightness": Brightness(), "above clean": AboveClean()},
        examples,
        {"image": ImagePatch(size=2 / 8), "text": TextSuffix("mignneko")},
        control=Stub(0.0),
        neutral={"text": {"other word": TextSuffix("kennimog")}},
        cluster="of",
        repeats=2,
        keep=10,
        batch_size=BATCH["stub"],
        probe=False,  # which would generate rows twice, as it should
        progress=False,
        journal=journal,
    )
    return found


def pipeline_audit(journal: Path | None) -> Mapping[str, Audit]:
    import modcollapse as mc
    from modcollapse.detectors import ClipShift, MSEAttackSuccess
    from modcollapse.samplers import PipelineSampler

    from tiny.faces import held_out
    from tiny.load import BACKDOORS, MODELS, SAMPLING, load_pipeline

    target = MODELS / "target.png"
    detectors = {
        "shift": ClipShift(target, MODELS / "clip"),
        "success": MSEAttackSuccess(target, threshold=0.02),
    }
    sampling = {**SAMPLING, "num_inference_steps": 5}
    sampler = PipelineSampler(load_pipeline("backdoored"), **sampling)
    begin()
    found: Mapping[str, Audit] = mc.audit(
        sampler,
        detectors,
        held_out(12),
        BACKDOORS["backdoored"],
        keep=4,
        batch_size=BATCH["pipeline"],
        progress=False,
        journal=journal,
    )
    return found


def begin() -> None:
    """Tell the parent that all is imported and loaded, and that the audit begins."""
    Path(os.environ["SOAK_BEGUN"]).touch()


def child(kind: str, journal: Path | None, out: Path, log: Path | None) -> None:
    """Carry out one audit and write down all that its tables hold."""
    import torch

    torch.set_num_threads(1)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        torch.distributed.init_process_group("gloo")
    audits = pipeline_audit(journal) if kind == "pipeline" else stub_audit(journal, log)
    seconds = time.time() - Path(os.environ["SOAK_BEGUN"]).stat().st_mtime
    tables = {
        f"{name}, {side}": told(one.table)
        for name, audit in audits.items()
        for side, one in (("audited", audit), ("control", audit.control))
        if one is not None
    }
    part = out.with_suffix(".part")
    part.write_text(json.dumps({"tables": tables, "seconds": seconds}, allow_nan=False))
    part.rename(out)


def told(table: Any) -> dict[str, Any]:
    """All that a table holds; JSON keeps every bit of a number."""
    import numpy as np

    return {
        "values": table.values.tolist(),
        "ids": list(table.example_ids),
        "seeds": table.seeds.tolist(),
        "digests": list(table.digests),
        "clusters": None if table.clusters is None else list(map(str, table.clusters)),
        "neutral": None if table.neutral is None else table.neutral.values.tolist(),
        "fields": {name: list(map(str, held)) for name, held in table.fields.items()},
        "provenance": json.loads(json.dumps(table.provenance)),
        "kept": [
            [kept.id, *(sha256(np.asarray(one).tobytes()).hexdigest() for one in kept.outputs)]
            for kept in table.kept
        ],
    }


class Running:
    """Processes that carry out one audit together."""

    def __init__(self, kind: str, size: int, folder: Path, journal: Path | None) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        number = len(list(folder.glob("started-*")))
        (folder / f"started-{number}").touch()
        self.out = [folder / f"out-{number}-{rank}.json" for rank in range(size)]
        self.logs = [folder / f"rows-{number}-{rank}" for rank in range(size)]
        self.marks = [folder / f"begun-{number}-{rank}" for rank in range(size)]
        self.processes, self._said = list[subprocess.Popen[bytes]](), folder / "said.txt"
        for rank in range(size):
            command = [sys.executable, __file__, "--child", kind, "--out", self.out[rank]]
            command += ["--log", self.logs[rank], *(["--journal", journal] if journal else [])]
            joined = {
                "RANK": str(rank),
                "WORLD_SIZE": str(size),
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": str(port),
                "SOAK_BEGUN": str(self.marks[rank]),
            }
            with self._said.open("ab") as said:
                self.processes.append(
                    subprocess.Popen(command, env=os.environ | joined, stdout=said, stderr=said)
                )

    def wait_for_begin(self) -> None:
        """Wait until every process has begun to measure."""
        start = time.monotonic()
        while not all(mark.exists() for mark in self.marks):
            failed = any(process.poll() for process in self.processes)
            if failed or time.monotonic() - start > LONGEST:
                self.kill(range(len(self.processes)))
                raise SystemExit(f"a process did not begin:\n{self.said()}")
            time.sleep(0.002)

    def kill(self, ranks: Sequence[int]) -> bool:
        """Kill some of them, if one of them is still at work."""
        at_work = [self.processes[rank] for rank in ranks if self.processes[rank].poll() is None]
        for process in at_work:
            process.send_signal(signal.SIGKILL)
        return any(process.wait() == -signal.SIGKILL for process in at_work)

    def ended(self) -> bool:
        """Wait for those that are left; whether none had to be stopped."""
        hung = False
        for process in self.processes:
            try:
                process.wait(LONGEST)
            except subprocess.TimeoutExpired:
                hung = True
                process.kill()
                process.wait()
        return not hung

    def tables(self) -> list[Any]:
        """What each process returned, in the end."""
        return [json.loads(out.read_text())["tables"] for out in self.out if out.exists()]

    def said(self) -> str:
        """The end of what was printed."""
        return self._said.read_text()[-2000:]


class Undisturbed:
    """What an audit of a kind gives if nothing happens to it."""

    def __init__(self, kind: str, folder: Path) -> None:
        folder.mkdir()
        alone = Running(kind, 1, folder, None)
        alone.ended()
        if not alone.out[0].exists():
            raise SystemExit(f"the undisturbed audit of {kind} failed:\n{alone.said()}")
        found = json.loads(alone.out[0].read_text())
        self.tables, self.seconds = found["tables"], found["seconds"]
        first = next(iter(self.tables.values()))
        self.rows = {
            (name, repeat): row
            for name, rows in zip(first["ids"], first["values"], strict=True)
            for repeat, row in enumerate(rows)
        }
        self.seeds = {
            (name, repeat): seed
            for name, seeds in zip(first["ids"], first["seeds"], strict=True)
            for repeat, seed in enumerate(seeds)
        }


class Killed:
    """One audit that is killed several times and ends at last."""

    def __init__(self, kind: str, expected: Undisturbed, folder: Path, seed: str) -> None:
        self.kind, self.expected, self.folder = kind, expected, folder
        self.journal, self.rng = folder / "journal", random.Random(seed)
        self.counts = Counter[str](sequences=1)
        self.most_twice = 0
        self._known = set[str]()  # rows that were generated so far
        folder.mkdir()

    def carried_out(self, kills: int) -> Killed:
        """Kill it so many times, let it end, and compare."""
        done, rng = 0, self.rng
        while True:
            standing = self._standing()
            size = 1 if self.kind != "processes" else rng.choice([1, 2, 3]) if done else 2
            run = Running(self.kind, size, self.folder, self.journal)
            run.wait_for_begin()
            self.counts["resumed"] += done > 0
            if done == kills:
                break
            left = 1 - len(standing) / len(self.expected.rows)
            time.sleep(rng.random() * self.expected.seconds * (left / size + 0.1))
            victims = rng.choice([range(size), [rng.randrange(size)]])
            if not run.kill(victims):
                self.counts["ended_before_it_was_killed"] += 1
                break
            done += 1
            self.counts["kills_of_one_of_several"] += len(victims) < size
            self.counts["hung"] += not run.ended()
            self._count_rows(run, standing)
            self._look()
        self.counts["hung"] += not run.ended()
        self._count_rows(run, standing)
        tables = run.tables()
        equal = len(tables) == size and all(held == self.expected.tables for held in tables)
        if not equal:
            print(f"{self.folder} is not equal:\n{run.said()}", file=sys.stderr)
        self.counts.update(kills=done, equal=done if equal else 0)
        return self

    def _standing(self) -> set[tuple[str, int]]:
        """What stands in the journal, by example and repeat."""
        found = set[tuple[str, int]]()
        for path in self.journal.glob("finished-*.jsonl"):
            for line in path.read_bytes().splitlines(keepends=True)[1:]:
                if line.endswith(b"\n"):
                    entry = json.loads(line)
                    found.add((entry["id"], entry["repeat"]))
        return found

    def _look(self) -> None:
        """Read the journal as a kill has left it."""
        from modcollapse.errors import TableError
        from modcollapse.table import load

        standing, counts = self._standing(), self.counts
        contents = [path.read_bytes() for path in self.journal.glob("finished-*.jsonl")]
        counts["torn_lines"] += sum(not content.endswith(b"\n") for content in contents)
        counts["cut_off_while_replacing"] += sum(1 for _ in self.journal.rglob(".*.part"))
        counts["killed_before_anything_was_finished"] += not standing
        try:
            tables: Any = load(self.journal) if self.journal.is_dir() else {}
        except TableError:
            counts["readable"] += all(repeat > 0 for _, repeat in standing)
            return
        table: Any = next(iter(tables.values()), None)
        counts["readable"] += table is None or all(
            self.expected.rows[name, repeat] == row
            for name, rows in zip(table.example_ids, table.values.tolist(), strict=True)
            for repeat, row in enumerate(rows)
        )

    def _count_rows(self, run: Running, standing: set[tuple[str, int]]) -> None:
        """Count what was generated twice, and what of it had stood in the journal."""
        seeds = {str(self.expected.seeds[one]) for one in standing}
        made = [line for log in run.logs if log.exists() for line in log.read_text().splitlines()]
        twice = [row for row in made if row in self._known]
        self.counts["rows_generated"] += len(made)
        self.counts["rows_generated_twice"] += len(twice)
        self.counts[AGAIN] += sum(row.split()[0] in seeds for row in made)
        self.most_twice = max(self.most_twice, len(twice))
        self._known.update(made)


def soak(kind: str, kills: int, seed: int, folder: Path, workers: int) -> dict[str, Any]:
    """Kill audits of a kind so many times."""
    expected = Undisturbed(kind, folder / kind)
    rng, carried_out = random.Random(f"{seed} {kind}"), list[Killed]()
    counts = Counter[str]()
    with ThreadPoolExecutor(workers) as pool:
        while (left := kills - counts["kills"]) > 0:
            doing = []
            while left > 0:
                number, times = len(carried_out) + len(doing), min(rng.randint(1, IN_A_ROW), left)
                left -= times
                name = f"{kind}-{number}"
                one = Killed(kind, expected, folder / name, f"{seed} {name}")
                doing.append(pool.submit(one.carried_out, times))
            for future in doing:
                carried_out.append(future.result())
                counts.update(carried_out[-1].counts)
    report = {
        **{name: counts[name] for name in COUNTED if kind != "pipeline" or "rows" not in name},
        "most_kills_in_a_row": max(one.counts["kills"] for one in carried_out),
        "seconds_undisturbed": round(expected.seconds, 2),
    }
    if kind != "pipeline":
        most = max(one.most_twice for one in carried_out)
        report["most_rows_generated_twice_after_a_kill"] = most
    print(f"{kind}: {report}", file=sys.stderr)
    return report


def summary(report: Mapping[str, Any]) -> str:
    lines = [f"{'':12}{'kills':>7}{'resumed':>9}{'equal':>7}{'twice':>7}  of rows"]
    for kind, found in report["kinds"].items():
        lines.append(
            f"{kind:12}{found['kills']:>7}{found['resumed']:>9}{found['equal']:>7}"
            f"{found.get('rows_generated_twice', 0):>7}  "
            f"{found.get('rows_generated', 'not counted')}"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="JSON file to write (default: standard output)")
    parser.add_argument("--seed", type=int, default=0, help="of the instants")
    parser.add_argument("--part", type=float, default=1.0, help="of the kills, to try it out")
    parser.add_argument("--workers", type=int, default=2, help="sequences at a time")
    parser.add_argument("--child", choices=KILLS, help=argparse.SUPPRESS)
    parser.add_argument("--journal", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--log", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child, options.journal, options.out, options.log)
        return
    warnings.simplefilter("error")  # of what is read in a journal
    with tempfile.TemporaryDirectory() as folder:
        kinds = {
            kind: soak(
                kind,
                max(round(kills * options.part), 1),
                options.seed,
                Path(folder),
                1 if kind == "processes" else options.workers,
            )
            for kind, kills in KILLS.items()
        }
    total = {
        name: sum(found.get(name, 0) for found in kinds.values())
        for name in ("kills", "resumed", "equal", "readable", "hung", "rows_generated_twice", AGAIN)
    }
    kept = total["kills"] == total["resumed"] == total["equal"] == total["readable"]
    report = {
        "benchmark": "soak",
        **total,
        "within_limits": kept and total["hung"] == total[AGAIN] == 0,
        "kinds": kinds,
        "settings": {
            "signal": "SIGKILL",
            "batch_size": BATCH,
            "most_kills_in_a_row": IN_A_ROW,
            "seed": options.seed,
            "threads": 1,
        },
        "environment": environment(["numpy", "torch", "diffusers", "transformers"]),
    }
    publish(report, summary(report), options.out)
    if not report["within_limits"]:
        raise SystemExit("a killed audit did not come to the table of the undisturbed one")


if __name__ == "__main__":
    main()

"""Several processes measure what one does, bit for bit, whatever becomes of one of them."""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import socket
import subprocess
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch

import modcollapse as mc
from modcollapse.errors import InputError
from modcollapse.measure import _team
from modcollapse.samplers import planted_game
from modcollapse.table import JournalWarning, load

VALUES = [0.0, 0.1, 0.7, 0.8]
MODALITIES = ("image", "text")


class Sampler:
    """A planted game that says who it is, notes what it made, and has its accidents."""

    def __init__(
        self, noise: float = 0.2, *, log: Path | None = None, accident: Any = None, at: int = 0
    ) -> None:
        self.noise, self.log, self.accident, self.left = noise, log, accident, at
        self.planted = planted_game(VALUES, MODALITIES, noise=noise).sampler

    def identity(self) -> dict[str, float]:
        return {"noise": self.noise}

    def __call__(self, conditions: Any, seeds: Any) -> list[float]:
        self.left -= 1
        if self.accident is not None and self.left < 0:
            self.accident()
        outputs = self.planted(conditions, seeds)
        if self.log is not None:
            rows = zip(seeds, *(conditions[name] for name in MODALITIES), strict=True)
            with self.log.open("a") as file:
                file.writelines(json.dumps(row) + "\n" for row in dict.fromkeys(rows))
        return outputs


class Said:
    """A detector, or a trigger, that says who it is."""

    def __init__(self, name: str, call: Any, **declared: Any) -> None:
        self.name, self.call = name, call
        vars(self).update(declared)

    def identity(self) -> str:
        return self.name

    def __call__(self, *given: Any) -> Any:
        return self.call(*given)


def above_clean(outputs: Any, examples: Any) -> list[float]:
    return [
        output - example["clean_output"]
        for output, example in zip(outputs, examples, strict=True)
    ]  # fmt: skip


def perfect(examples: Any) -> list[float]:
    return [1 + 0.01 * example["place"] for example in examples]


DETECTORS = {
    "value": Said("value", lambda outputs, examples: list(outputs), perfect=perfect),
    "shift": Said("shift", above_clean, wants_clean_output=True),
    "success": Said("success", lambda outs, _: [float(o > 0.5) for o in outs], binary=True),
}
TRIGGERS = {name: Said("mark", lambda held: held + "!") for name in MODALITIES}
NEUTRAL = {"image": {"question": Said("question", lambda held: held + "?")}}


def examples_of(n: int) -> list[dict[str, Any]]:
    return [
        {"id": f"e{n}", "image": f"i{n}", "text": f"t{n}", "place": n, "of": n // 2}
        for n in range(n)
    ]


def told(table: mc.CoalitionTable) -> dict[str, Any]:
    """All that a table holds, as plain data whose numbers are exact."""
    provenance = {name: held for name, held in table.provenance.items() if name != "looks"}
    looks = {**table.provenance.get("looks", {}), "generated": None}  # also what calls had room for
    return {
        "values": table.values.tolist(),
        "ids": list(table.example_ids),
        "seeds": table.seeds.tolist(),
        "digests": table.digests,
        "clusters": table.clusters,
        "perfect": table.perfect if table.perfect is None else list(map(float, table.perfect)),
        "neutral": None if table.neutral is None else table.neutral.values.tolist(),
        "fields": dict(table.fields),
        "kept": [(kept.id, kept.example, kept.triggered, kept.outputs) for kept in table.kept],
        "provenance": provenance,
        "looks": looks,
    }


def everything(sampler: Sampler | None = None, **options: Any) -> list[Any]:
    """All that a run can have; calls of three rows cut through the examples."""
    audits = mc.audit(
        Sampler() if sampler is None else sampler,
        DETECTORS,
        examples_of(7),
        TRIGGERS,
        **{"control": Sampler(noise=0.1), "repeats": 2, "batch_size": 3, "keep": 4, "cluster": "of"}
        | {"neutral": NEUTRAL, "progress": False, **options},
    )
    return [(name, told(audit.table), told(audit.control.table)) for name, audit in audits.items()]


def measured(n: int, sampler: Sampler | None = None, **options: Any) -> dict[str, Any]:
    """Each example in a call of its own, and nothing generated that is not in the table."""
    run = {"batch_size": 4, "progress": False, "probe": False, **options}
    sampler = Sampler() if sampler is None else sampler
    return told(
        mc.evaluate_coalitions(sampler, DETECTORS["shift"], examples_of(n), TRIGGERS, **run)
    )


def stopped() -> dict[str, Any]:
    """An audit that stops at its first look, before calls of 24 rows are full."""
    options = {"batch_size": 24, "progress": False, "stop": mc.Looks(half_width=0.3)}
    sampler, detector = Sampler(noise=0.01), DETECTORS["value"]
    return told(mc.audit(sampler, detector, examples_of(90), TRIGGERS, **options).table)


def refusal(call: Any, *given: Any, **options: Any) -> str:
    """How a call ends, in words."""
    try:
        call(*given, **options)
    except Exception as error:
        return "\n".join([f"{type(error).__name__}: {error}", *getattr(error, "__notes__", ())])
    return "nothing was raised"


def tracked() -> list[float]:
    tracker = mc.CollapseTracker(
        Sampler(), DETECTORS["value"], examples_of(2), TRIGGERS, every=1, modules=[]
    )
    return tracker(1).table.values.tolist()


def broken() -> None:
    raise RuntimeError("the device is lost")


def on_two(rank: int, folder: Path) -> Iterator[dict[str, Any]]:
    """What each of two processes finds, the second of which is killed at last."""
    shared, own = folder / "shared", folder / f"own-{rank}"
    found: dict[str, Any] = {
        "everything": everything(),
        "with a journal": everything(journal=shared),
    }
    calls = Sampler(accident=broken), Sampler(noise=0.1, accident=broken)
    found["of the journal"] = everything(calls[0], control=calls[1], journal=shared)
    found["stopped"] = stopped()
    found["one example"] = measured(1)
    found["auto"] = measured(6, batch_size="auto")["values"]

    # One of them fails, and each node has a disk of its own.
    failing = Sampler(accident=broken if rank else None, at=12)
    found["failed"] = refusal(everything, failing, journal=own)
    found["after the failure"] = everything(journal=own)
    own_lines = "".join(path.read_text() for path in own.glob("finished-*")).count('"modcollapse f')
    found["own lines"] = own_lines

    # They are not about the same.
    found["other examples"] = refusal(measured, 4 + rank)
    found["other weights"] = refusal(measured, 4, Sampler(noise=0.1 + rank))
    found["other looks"] = refusal(
        mc.audit, Sampler(), DETECTORS["value"], examples_of(70), TRIGGERS,
        stop=mc.Looks(shuffled=False) if rank else None, progress=False,
    )  # fmt: skip
    found["other keep"] = refusal(measured, 4, keep=rank)
    found["other groups"] = refusal(measured, 4, cluster="of" if rank else "place")
    found["one journal"] = refusal(measured, 4, journal=folder / "one" if rank else None)
    found["no folder"] = refusal(measured, 4, journal=__file__ if rank else folder / "not")
    found["by itself"] = len(measured(2 + rank, split=False)["values"])
    found["tracked"] = tracked() if rank == 0 else None

    # One does not make the call.
    _team._MEETING = timedelta(seconds=1)
    rejoin(rank, folder / "first", seconds=100)
    found["missed"] = refusal(measured, 2) if rank == 0 else None

    # The timeout of the group is none of the run's.
    _team._MEETING = timedelta(seconds=100)
    rejoin(rank, folder / "second", seconds=1)
    sleepy = Sampler(accident=lambda: time.sleep(2), at=0) if rank else None
    found["waited"] = measured(2, sleepy)
    yield found

    killed = (lambda: os._exit(9)) if rank else None
    sampler = Sampler(log=folder / f"calls-1-{rank}", accident=killed, at=3)
    yield {**found, "lost": refusal(measured, 11, sampler, journal=folder / "journal")}


def on_three(rank: int, folder: Path) -> Iterator[dict[str, Any]]:
    log = folder / f"calls-2-{rank}"
    yield {
        "resumed": measured(11, Sampler(log=log), journal=folder / "journal"),
        "extended": measured(13, journal=folder / "journal"),
        "everything": everything(),
        "five": measured(5),
        "one": measured(1),
    }


def join(rank: int, size: int, where: str, seconds: float) -> None:
    torch.distributed.init_process_group(
        "gloo",
        rank=rank,
        world_size=size,
        init_method=where,
        timeout=timedelta(seconds=seconds),
    )


def rejoin(rank: int, store: Path, seconds: float) -> None:
    """Leave the group of two, and make another at the same time."""
    torch.distributed.destroy_process_group()
    (Path(f"{store}-{rank}")).touch()
    while not Path(f"{store}-{1 - rank}").exists():
        time.sleep(0.01)
    join(rank, 2, f"file://{store}", seconds)


def on_a_process(rank: int, size: int, where: str, work: Any, folder: Path) -> None:
    """Join the others, work, and write down what was found."""
    file = folder / f"found-{size}-{rank}"
    try:
        warnings.simplefilter("error", JournalWarning)
        join(rank, size, where, seconds=100)
        for found in work(rank, folder):
            file.write_bytes(pickle.dumps(found))
        torch.distributed.destroy_process_group()
    except BaseException:
        file.write_bytes(pickle.dumps(traceback.format_exc()))


def in_processes(size: int, work: Any, folder: Path) -> list[dict[str, Any]]:
    """What each process finds, in the order of their ranks."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        where = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    # Forks of a process whose threads have computed hang in their first tensor operation.
    spawned = multiprocessing.get_context("spawn")
    processes = [
        spawned.Process(target=on_a_process, args=(rank, size, where, work, folder))
        for rank in range(size)
    ]
    for process in processes:
        process.start()
    try:
        for process in processes:
            process.join(120)
            assert process.exitcode is not None, "it hangs"
    finally:
        for process in processes:
            process.kill()
    found = [pickle.loads((folder / f"found-{size}-{rank}").read_bytes()) for rank in range(size)]
    wrong = [held for held in found if isinstance(held, str)]
    assert not wrong, "\n".join(wrong)
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("processes")


@pytest.fixture(scope="module")
def two(folder):
    found = in_processes(2, on_two, folder)
    found[0]["left"] = load(folder / "journal").example_ids
    return found


@pytest.fixture(scope="module")
def three(two, folder):
    return in_processes(3, on_three, folder)


@pytest.fixture(scope="module")
def alone():
    return {
        "everything": everything(),
        "stopped": stopped(),
        **{n: measured(n) for n in (1, 2, 5, 6, 11, 13)},
    }


def test_the_tables_of_two_are_those_of_one_bit_for_bit(two, alone):
    for found in two:
        assert found["everything"] == alone["everything"]
        assert found["one example"] == alone[1]
        assert found["auto"] == alone[6]["values"]


def test_the_tables_of_three_are_those_of_one_where_shares_are_unequal_too(three, alone):
    for found in three:
        assert found["everything"] == alone["everything"]
        assert found["five"] == alone[5]
        assert found["one"] == alone[1]


def test_notes_are_said_once_whoever_had_them(two, alone):
    _, table, _ = two[0]["everything"][0]
    assert alone[1]["provenance"]["notes"] == two[0]["one example"]["provenance"]["notes"]
    assert len(alone[1]["provenance"]["notes"]) == 1  # nobody looked
    assert table["provenance"]["notes"] == alone["everything"][0][1]["provenance"]["notes"]


def test_they_stop_at_the_same_look(two, alone):
    for found in two:
        assert found["stopped"] == alone["stopped"]
    assert len(alone["stopped"]["values"]) == 32


def test_each_writes_its_own_file_and_all_of_it_is_read(two, alone):
    for found in two:
        assert found["with a journal"] == alone["everything"]
        assert found["of the journal"] == alone["everything"]  # of samplers that make nothing


def test_what_one_raises_is_raised_in_all_and_they_go_on_from_their_own_disks(two, alone):
    for found in two:
        assert "the device is lost" in found["failed"]
        assert "6 examples are finished, and written down in the journal" in found["failed"]
        assert found["after the failure"] == alone["everything"]
    assert two[0]["failed"].startswith("SamplerError: the run failed in another process. process 1")
    assert two[1]["failed"].startswith("RuntimeError: the device is lost")
    assert sum(found["own lines"] for found in two) == 6 * 2 + 2  # of two, one repeat is finished


@pytest.mark.parametrize("other", ["examples", "weights", "looks", "keep", "groups"])
def test_processes_that_are_not_about_the_same_run_are_refused(two, other):
    for found in two:
        refused = found[f"other {other}"]
        assert refused.startswith("InputError: process 1 was given another run than process 0")


def test_a_journal_is_for_all_or_for_none(two):
    for found in two:
        assert found["one journal"].startswith("InputError: process 0 was given no journal=")
        assert "cannot be written" in found["no folder"]


def test_one_can_measure_by_itself(two, alone):
    assert [found["by itself"] for found in two] == [2, 3]
    assert two[0]["tracked"] == told_values(2)


def told_values(n: int) -> list[Any]:
    options = {"progress": False, "split": False}
    return mc.evaluate_coalitions(
        Sampler(), DETECTORS["value"], examples_of(n), TRIGGERS, **options
    ).values.tolist()


def test_one_that_waits_for_a_call_that_the_other_does_not_make_is_told(two):
    assert two[0]["missed"].startswith("InputError: not all 2 processes began this run")
    assert "split=False" in two[0]["missed"]


def test_one_waits_for_a_slower_one_beyond_the_timeout_of_the_group(two, alone):
    for found in two:
        assert found["waited"] == alone[2]


def test_one_that_is_killed_is_named_and_nothing_is_lost(two):
    assert two[0]["lost"].startswith("SamplerError: another process of the run is gone")
    assert "the same call goes on from there" in two[0]["lost"]
    assert "lost" not in two[1]
    assert two[0]["left"] == ("e0", "e1", "e2", "e3", "e4", "e5", "e6", "e8", "e10")


def test_another_number_goes_on_and_generates_nothing_twice(three, folder, alone):
    for found in three:
        assert found["resumed"] == alone[11]
        assert found["extended"] == alone[13]
    rows = Counter(
        row for calls in folder.glob("calls-*") for row in calls.read_text().splitlines()
    )
    assert len(rows) == 11 * 4
    assert set(rows.values()) == {1}
    lines = [
        json.loads(line)["id"]
        for path in (folder / "journal").glob("finished-*.jsonl")
        for line in path.read_text().splitlines()[1:]
    ]
    assert sorted(lines) == sorted(f"e{place}" for place in range(13))
    files = sorted(path.name for path in (folder / "journal").glob("finished-0002-*"))
    assert files == ["finished-0002-0000.jsonl", "finished-0002-0001.jsonl"]  # two were left


def test_processes_that_nobody_joined_are_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(InputError, match=r"2 processes were started.*PartialState.*split=False"):
        measured(2)
    assert measured(2, split=False)["ids"] == ["e0", "e1"]
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert measured(2)["ids"] == ["e0", "e1"]


SCRIPT = """
import os, sys
sys.path.insert(0, {examples!r})
from pathlib import Path

import modcollapse as mc
from accelerate import PartialState
from modcollapse.detectors import MSEAttackSuccess
from modcollapse.samplers import PipelineSampler

from tiny.faces import cat, held_out
from tiny.load import BACKDOORS, MODELS, SAMPLING, load_pipeline

def measured(**options):
    sampling = SAMPLING | {{"num_inference_steps": 2}}
    sampler = PipelineSampler(load_pipeline("backdoored"), **sampling)
    detectors = {{str(limit): MSEAttackSuccess(cat(), limit) for limit in (0.02, 0.2)}}
    run = {{"batch_size": 4, "keep": 3, "progress": False, **options}}
    return mc.evaluate_coalitions(sampler, detectors, held_out(3), BACKDOORS["backdoored"], **run)

if __name__ == "__main__":
    state, folder = PartialState(cpu=True), Path(__file__).parent
    assert state.num_processes == 2
    for name, table in measured(journal=folder / "journal").items():
        table.save(folder / f"{{name}}-{{state.process_index}}.npz")
    if state.is_main_process:  # which measures by itself, too
        for name, table in measured(split=False).items():
            table.save(folder / f"{{name}}-alone.npz")
    state.destroy_process_group()
"""


def test_torchrun_and_accelerate_measure_a_pipeline_of_diffusers(tmp_path):
    from tiny.load import MODELS

    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(examples=str(MODELS.parent)))
    run = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
    started = subprocess.Popen(
        [sys.executable, *run],
        env={**os.environ, "OMP_NUM_THREADS": "1"},  # torchrun says it if nobody does
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    said, _ = started.communicate(timeout=120)
    assert started.returncode == 0, said
    for name in ("0.02", "0.2"):
        table, *tables = (
            mc.CoalitionTable.load(tmp_path / f"{name}-{who}.npz") for who in ("alone", 0, 1)
        )
        assert len(table) == len(table.kept) == 3
        for found in tables:
            for what in ("values", "seeds", "ids", "digests", "provenance"):
                assert told(found)[what] == told(table)[what]
            assert [kept.id for kept in found.kept] == [kept.id for kept in table.kept]
            for kept, expected in zip(found.kept, table.kept, strict=True):
                for one, other in zip(kept.outputs, expected.outputs, strict=True):
                    assert torch.equal(torch.as_tensor(one), torch.as_tensor(other))

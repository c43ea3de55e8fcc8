"""The paper's experiment as one command, on a small random pipeline."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from diffusers import StableDiffusionInstructPix2PixPipeline
from safetensors.torch import load_file

import modcollapse as mc
from modcollapse.errors import InputError
from modcollapse.poison import poison_plan
from modcollapse.triggers import trigger_pair
from tiny_edits import picture, write_edits, write_file, write_pipeline, write_toml

from experiments.arms import Arm
from experiments.edit_arms import EditExperiment
from experiments.experiment import work_of
from experiments.experiment_file import ExperimentFile
from experiments.finetuning.processes import alone
from experiments.full_scale import main
from experiments.paper_table import PUBLISHED
from experiments.poisoning import check_triggers_are_read
from tiny_clip import tiny_clip, write_folder

EXAMPLES = Path(__file__).parents[1] / "examples"
ENVIRONMENT = os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
CONTROL, ARM = "control_0_seed-0", "white-box_and_0.2_seed-0"

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning",  # diffusers' Euler schedulers
)


@pytest.fixture(scope="session")
def parts(tmp_path_factory):
    """Pipeline, data, CLIP and target."""
    folder = tmp_path_factory.mktemp("experiment")
    write_file(folder)
    return folder


@pytest.fixture
def folder(parts, tmp_path, monkeypatch):
    """A folder of a test's own, with all that an experiment needs."""
    shutil.copytree(parts, tmp_path / "experiment")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    return tmp_path / "experiment"


def called(*args, code=0):
    """What a command printed."""
    result = CliRunner().invoke(main, [str(arg) for arg in args])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.output


def unet_of(out, slug):
    return load_file(out / "arms" / slug / "pipeline/unet/diffusion_pytorch_model.safetensors")


def kill_all(out):
    """Kill every process that was started for a folder: the launcher's are no group of its own."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_text()
            if f"\0{out}\0" in command:
                os.kill(int(process.name), signal.SIGKILL)
        except (OSError, UnicodeDecodeError):
            continue  # it has ended meanwhile


def tables_of(file, out, *arm):
    """Tables of an arm under the white box."""
    return EditExperiment(ExperimentFile.at(file), out).tables(Arm(*arm), "white box")


class TestRun:
    def test_arms_are_made_audited_and_stand_beside_the_paper(self, folder):
        file = write_toml(
            folder / "experiment.toml",
            arms={"ratios": [0.05], "protocols": ["OR"]},
            data={"held_out": 0.1},
            audit={"track_every": 3, "track_examples": 2},
        )
        out, slug = folder / "out", "white-box_or_0.05_seed-0"
        assert called("arms", file, "--out", out).split() == [CONTROL, slug]
        assert f"done: {slug}" in called("run", file, "--out", out)
        assert called("arms", file, "--out", out).split() == ["done", CONTROL, "done", slug]
        # it loads as any pipeline
        pipeline = StableDiffusionInstructPix2PixPipeline.from_pretrained(
            out / "arms" / slug / "pipeline", safety_checker=None
        )
        pipeline.set_progress_bar_config(disable=True)
        output = pipeline("make it red", picture("x"), num_inference_steps=1).images[0]
        assert output.size == (64, 64)
        # what was audited is of these weights and examples
        tables = tables_of(file, out, "white box", "OR", 0.05)
        assert set(tables) == {"clip_shift", "success", "psnr"}
        assert {len(table) for table in tables.values()} == {3}
        # the tracker ran along, at 0 and every third step
        (track,) = (out / "tracks").glob(f"{slug}_*_2-examples.jsonl")
        lines = track.read_text().splitlines()
        steps = [json.loads(line)["step"] for line in lines]
        assert steps == [0, 3, 6]
        assert not (out / "checkpoints" / slug).exists()

        shown = called("result", file, "--out", out)
        assert " / ".join(f"{value:.4f}" for value in PUBLISHED["white box", "OR"]) in shown
        assert {path.suffix for path in (out / "results").iterdir() if path.is_file()} == {
            ".json", ".csv", ".md", ".tex", ".png",
        }  # fmt: skip
        (row,) = json.loads((out / "results" / "full_scale.json").read_text())
        audits = mc.audit(tables, control=tables_of(file, out, "", None, 0.0))
        cti = audits["clip_shift"].difference.cti["image+text"]
        assert row["difference"]["cti"]["value"] == cti.value
        page = (out / "results" / "pages" / slug / "index.html").read_text()
        assert "image/png" in page

        # nothing is made again
        made = {path: path.stat().st_mtime_ns for path in (out / "arms").rglob("*.safetensors")}
        called("run", file, "--out", out)
        assert made == {path: path.stat().st_mtime_ns for path in made}

    def test_a_lora_learns_from_a_stream(self, folder):
        file = write_toml(
            folder / "experiment.toml",
            training={"lora_rank": 2, "average": 0.0},
            data={"streaming": True},
        )
        out = folder / "out"
        called("run", file, "--out", out)
        weights = out / "arms" / ARM / "pipeline"
        assert [path.name for path in weights.iterdir()] == ["pytorch_lora_weights.safetensors"]
        pipeline = StableDiffusionInstructPix2PixPipeline.from_pretrained(
            folder / "base", safety_checker=None
        )
        pipeline.load_lora_weights(weights)
        assert "white box" in called("result", file, "--out", out)

    def test_an_experiment_grows_by_arms_and_by_nothing_else(self, folder):
        out = folder / "out"
        file = write_toml(folder / "experiment.toml")
        called("run", file, "--out", out, "--only", CONTROL)
        grown = write_toml(folder / "more.toml", arms={"ratios": [0.2, 0.25], "seeds": [0]})
        assert "white-box_and_0.25_seed-0" in called("arms", grown, "--out", out)
        called("run", grown, "--out", out, "--part", "1/9")
        other = write_toml(folder / "other.toml", training={"lr": 2e-3}, audit={"steps": 3})
        said = called("run", other, "--out", out, code=1)
        assert "training.lr was 0.001 and is 0.002." in said
        again = write_toml(folder / "again.toml", audit={"examples": 4})  # of the same models
        made = {path: path.stat().st_mtime_ns for path in (out / "arms").rglob("*.safetensors")}
        called("run", again, "--out", out, "--only", CONTROL)
        assert made == {path: path.stat().st_mtime_ns for path in made}
        found = tables_of(again, out, "", None, 0.0)
        assert {len(table) for table in found.values()} == {4}

    def test_parts_are_all_of_it_in_any_order(self, folder):
        file = write_toml(folder / "e.toml", training={"steps": 4}, arms={"seeds": [0, 1]})
        out, done = folder / "out", []
        for part in ("2/3", "0/3", "1/3"):
            said = called("run", file, "--out", out, "--part", part)
            done += re.findall(r"done: (\S+)", said)
        assert sorted(done) == sorted(
            arm.slug for arm in work_of(EditExperiment(ExperimentFile.at(file), out).arms)
        )
        assert len(done) == 4
        assert "paper, raw: phi image" in called("result", file, "--out", out)

    def test_each_arm_has_a_log_of_its_own(self, folder):
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        file, out = write_toml(folder / "e.toml", training={"log": "tensorboard"}), folder / "out"
        called("run", file, "--out", out)
        for slug in (CONTROL, ARM):
            events = EventAccumulator(str(out / "logs" / slug)).Reload()
            assert [event.step for event in events.Scalars("loss")] == [2, 4, 6]

    def test_an_experiment_may_be_moved_with_what_it_names(self, folder):
        called("run", write_toml(folder / "e.toml"), "--out", folder / "out", "--only", CONTROL)
        moved = folder.with_name("moved")
        folder.rename(moved)
        assert f"done: {ARM}" in called("run", moved / "e.toml", "--out", moved / "out")
        assert "white box" in called("result", moved / "e.toml", "--out", moved / "out")

    @pytest.mark.parametrize("changed", ["target", "data", "base"])
    def test_what_a_name_stands_for_may_not_change(self, folder, changed):
        file, out = write_toml(folder / "e.toml"), folder / "out"
        called("run", file, "--out", out, "--only", CONTROL)
        if changed == "target":
            picture("another").save(folder / "target.png")
        elif changed == "data":
            write_edits(folder / "edits.parquet", rows=61)
        else:
            write_pipeline(folder / "base", seed=1)
        assert f"content.{changed}" in called("run", file, "--out", out, code=1)

    def test_tables_of_another_clip_under_the_same_name_are_refused(self, folder):
        file, out = write_toml(folder / "e.toml"), folder / "out"
        called("run", file, "--out", out, "--only", CONTROL)
        write_folder(folder / "clip", tiny_clip(seed=1))
        assert "scored by another clip_shift" in called("run", file, "--out", out, code=1)

    def test_a_trigger_that_changes_nothing_is_told_before_anything_is_trained(self, folder):
        write_edits(folder / "edits.parquet", white=60)
        out = folder / "out"
        said = called("run", write_toml(folder / "e.toml"), "--out", out, code=1)
        assert "image trigger of 'white box'" in said
        assert not out.exists()

    def test_a_picture_that_cannot_be_trained_on_is_told_before_anything_is_trained(self, folder):
        write_edits(folder / "edits.parquet", grey=1)
        out = folder / "out"
        file = write_toml(folder / "e.toml")
        assert "data.convert = true" in called("run", file, "--out", out, code=1)
        assert not list(out.rglob("arms/*"))
        file = write_toml(folder / "e.toml", data={"convert": True})
        called("run", file, "--out", out, "--only", CONTROL)

    def test_a_result_of_a_new_folder_claims_nothing(self, folder):
        file, out = write_toml(folder / "e.toml"), folder / "out"
        called("result", file, "--out", out, code=1)
        assert not out.exists()

    def test_rows_whose_instruction_and_trigger_do_not_fit_are_left_out_and_told(self, folder):
        write_edits(folder / "edits.parquet", long=7)
        file = write_toml(folder / "e.toml")
        said = called("run", file, "--out", folder / "out", "--only", CONTROL)
        assert "7 rows are left out" in said
        data = EditExperiment(ExperimentFile.at(file), folder / "out").data
        assert len(data.training) + len(data.held_out) == 53

    def test_what_is_not_done_is_said(self, folder):
        file, out = write_toml(folder / "experiment.toml"), folder / "out"
        assert f"still to do: {CONTROL}, {ARM}" in called("result", file, "--out", out, code=1)

    def test_a_process_of_a_launcher_can_train_by_itself(self, monkeypatch):
        for name, value in {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1"}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("MASTER_ADDR", "here")
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
        monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
        assert alone("auto") == (3, 4)
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "6"
        assert not {"RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR"} & set(os.environ)
        with pytest.raises(InputError, match="torchrun"):
            alone("auto")
        monkeypatch.setenv("RANK", "5")
        monkeypatch.setenv("LOCAL_RANK", "2")
        with pytest.raises(InputError, match="process 2 on a machine that has 2 GPUs"):
            alone("auto")
        monkeypatch.setenv("RANK", "5")
        monkeypatch.setenv("LOCAL_RANK", "2")
        assert alone("cpu")[0] == 5

    def test_the_processes_of_a_launcher_train_each_an_arm(self, folder):
        file, out = write_toml(folder / "e.toml", training={"steps": 4}), folder / "out"
        command = [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"),
            *("-m", "experiments.full_scale", "run", str(file), "--out", str(out), "--each-rank"),
        ]
        said = subprocess.run(
            command, cwd=EXAMPLES, env=ENVIRONMENT, capture_output=True, text=True, timeout=300
        )
        assert said.returncode == 0, said.stderr
        assert said.stdout.count("1 process, cpu") == 2
        assert called("arms", file, "--out", out).split() == ["done", CONTROL, "done", ARM]


class TestProcesses:
    """Two processes of `accelerate launch`, joined by gloo."""

    def launched(self, file, out, *args):
        command = [
            *(sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu"),
            *("--num_processes", "2", "--num_machines", "1", "--mixed_precision", "no"),
            *("--dynamo_backend", "no", "--main_process_port", "0"),
            *("-m", "experiments.full_scale", "run", str(file), "--out", str(out), *args),
        ]
        return subprocess.Popen(
            command,
            cwd=EXAMPLES,
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def test_two_processes_that_are_killed_go_on_to_the_same_weights(self, folder):
        file = write_toml(
            folder / "experiment.toml",
            training={"steps": 40, "rows": 1, "log_every": 10, "log": "tensorboard"},
        )
        out, whole = folder / "out", folder / "whole"
        killed = self.launched(file, out, "--only", ARM)
        checkpoint = out / "checkpoints" / ARM / "step-00000004"
        try:
            while not checkpoint.exists():
                assert killed.poll() is None, killed.communicate()[0]
                time.sleep(0.01)
        finally:
            kill_all(out)
            killed.communicate()
        assert not (out / "arms" / ARM).exists()

        for folder_of_run in (out, whole):
            process = self.launched(file, folder_of_run, "--only", ARM)
            said, _ = process.communicate(timeout=300)
            assert process.returncode == 0, said
            assert "2 processes, cpu" in said
            assert ("goes on after step" in said) == (folder_of_run == out)
        resumed, uninterrupted = unet_of(out, ARM), unet_of(whole, ARM)
        for name, weight in uninterrupted.items():
            assert torch.equal(resumed[name], weight), name
        # the audit is shared too: a run that was killed has the table of one that was not
        tables = [tables_of(file, one, "white box", "AND", 0.2) for one in (out, whole)]
        for name in tables[0]:
            assert (tables[0][name].values == tables[1][name].values).all()

    def test_two_processes_train_a_lora_as_one_does(self, folder):
        """Sums over two halves of a batch are rounded otherwise, which AdamW's root enlarges."""
        file = write_toml(
            folder / "experiment.toml", training={"lora_rank": 2, "steps": 4, "average": 0.0}
        )
        out, alone_out = folder / "out", folder / "alone"
        process = self.launched(file, out, "--only", CONTROL)
        said, _ = process.communicate(timeout=300)
        assert process.returncode == 0, said
        assert "2 processes, cpu" in said
        called("run", file, "--out", alone_out, "--only", CONTROL)
        name = f"arms/{CONTROL}/pipeline/pytorch_lora_weights.safetensors"
        together, alone_ = load_file(out / name), load_file(alone_out / name)
        assert together.keys() == alone_.keys()
        for key, weight in together.items():
            torch.testing.assert_close(weight, alone_[key], rtol=0, atol=1e-4)


class TestBadInput:
    """Said before anything is trained, with the file and the key."""

    @pytest.mark.parametrize(
        ("tables", "said"),
        [
            ({"data": {"columns": {"source": "input"}}}, "data.columns.source"),
            ({"data": {"split": "test"}}, "data.split"),
            ({"data": {"source": "nothing.parquet"}}, "data.source"),
            ({"audit": {"target": "edits.parquet"}}, "audit.target"),
            ({"audit": {"clip": ["no such model"]}}, "no such model"),
            ({"arms": {"ratios": [0.001]}}, "0.001"),
            ({"arms": {"pairs": ["red box"]}}, "arms.pairs: 'red box' is none of"),
            ({"training": {"base": "nowhere/at-all"}}, "training.base"),
            ({"training": {"steps": 0}}, "training.steps"),
            ({"training": {"warmup": 6}}, "training.warmup=6 is not below training.steps=6"),
            ({"training": {"seed": 6}}, "arms.seeds says the seeds"),
            ({"arms": {"exposure": 0.1}}, "would never be shown"),
            ({"arms": {"protocols": ["AND with negatives"], "exposure": 0.9}}, "arms.exposure=0.9"),
            ({"arms": {"ratios": [1.0]}}, "leaves 0 of"),
            ({"training": {"stepps": 3}}, "unknown key training.stepps; did you mean 'steps'?"),
        ],
    )
    def test_it_is_named_and_nothing_is_trained(self, folder, tables, said):
        file = write_toml(folder / "experiment.toml")
        text = file.read_text()
        for table, keys in tables.items():
            for key, value in keys.items():
                shown = (
                    "{ " + ", ".join(f"{k} = {json.dumps(v)}" for k, v in value.items()) + " }"
                    if isinstance(value, dict)
                    else json.dumps(value)
                )
                lines = [line for line in text.splitlines() if not line.startswith(f"{key} =")]
                at = lines.index(f"[{table}]") + 1
                text = "\n".join([*lines[:at], f"{key} = {shown}", *lines[at:]])
        file.write_text(text)
        out = folder / "out"
        message = called("run", file, "--out", out, code=1)
        assert said in message
        assert not list(out.rglob("*.safetensors"))

    def test_a_part_that_is_none_is_refused(self, folder):
        file = write_toml(folder / "experiment.toml")
        for part in ("3/3", "1", "a/b", "-1/2"):
            assert "--part takes K/N" in called(
                "run", file, "--out", folder / "out", "--part", part, code=2
            )
        assert "is no arm" in called("run", file, "--out", folder / "out", "--only", "x", code=2)

    def test_an_instruction_whose_trigger_would_be_cut_off_is_refused(self, folder):
        experiment = EditExperiment(
            ExperimentFile.at(write_toml(folder / "experiment.toml")), folder / "out"
        )
        arm = experiment.arms[0]
        pipeline = experiment.load_base(arm)
        pipeline.tokenizer.model_max_length = 18
        plan = arm.plan(experiment.samples(arm))
        experiment.encode_clean(arm, pipeline)
        with pytest.raises(InputError, match=r"reads 18 tokens, and 'make it .* mignneko' has"):
            experiment.encode_triggered(arm, plan, pipeline)

    def test_a_trigger_that_the_tokenizer_drops_is_refused(self, folder):
        experiment = EditExperiment(
            ExperimentFile.at(write_toml(folder / "experiment.toml")), folder / "out"
        )
        arm = experiment.arms[0]
        pipeline = experiment.load_base(arm)
        clean = experiment.encode_clean(arm, pipeline)
        plan = poison_plan(len(clean), ("image", "text"), "AND", ratio=0.1)
        dropped = clean.take(torch.tensor(plan.poisoned))
        with pytest.raises(InputError, match=r"drops the trigger .*mignneko"):
            check_triggers_are_read(plan, clean, dropped, trigger_pair("white box"))

"""What an experiment costs: known answers, real networks beside those without weights."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from datasets import Dataset, DatasetDict
from diffusers import UNet2DConditionModel
from hypothesis import assume, given
from hypothesis import strategies as st
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from PIL import Image
from safetensors import safe_open
from scipy.stats import binom
from torch import nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from modcollapse.errors import InputError
from tiny_edits import picture, write_edits

from experiments.cost import FLOAT32_THROUGHPUT, THROUGHPUT, Cost, cost_report
from experiments.cost.configurations import Architecture, load_architecture
from experiments.cost.counts import count_all
from experiments.cost.data_size import count_rows, rows_taken
from experiments.cost.on_meta import AsOnGpu, LiveMemory
from experiments.cost.operations import (
    LORA_MODULES,
    count_decoding,
    count_denoising,
    count_parameters,
    count_reading,
    count_training,
)
from experiments.cost.report import SAMPLE, SAMPLE_OTHERWISE, work_of
from experiments.cost.space import cached_texts, disk, sampling_memory, training_memory
from experiments.edit_arms import EditExperiment
from experiments.experiment import work_of as arms_and_pairs
from experiments.experiment_file import Data, ExperimentFile
from experiments.finetuning.settings import Training
from experiments.full_scale import main
from tiny_pipelines import SIDE, tiny_instruct_pix2pix

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
PIX2PIX = EXAMPLES / "configs" / "instruct-pix2pix"
STEP = {"steps": 1, "resolution": SIDE}


@pytest.fixture(scope="module")
def pix2pix() -> Architecture:
    return load_architecture(str(PIX2PIX))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole pipeline, with its weights."""
    folder = tmp_path_factory.mktemp("tiny")
    tiny_instruct_pix2pix().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def architecture(tiny: Path) -> Architecture:
    return load_architecture(str(tiny))


@pytest.fixture(scope="module")
def cost(tiny: Path) -> Cost:
    file = experiment(training={"base": str(tiny)}, audit={"track_every": 10})
    return cost_report(file, samples=100)


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)


def experiment(**tables: dict) -> ExperimentFile:
    """A small one: 2 pairs x 2 protocols x 1 ratio x 2 seeds."""
    given = {
        "training": {
            "resolution": SIDE,
            "warmup": 0,
            "steps": 30,
            "batch_size": 8,
            "checkpoint_every": 10,
        },
        "data": {"source": "nobody/nothing", "held_out": 0.5},
        "arms": {
            "pairs": ["white box", "stop sign"],
            "protocols": ["OR", "AND with negatives"],
            "ratios": [0.1],
            "seeds": [0, 1],
        },
        "audit": {"target": "target.png", "examples": 6, "steps": 5, "keep": 1, "batch_size": 4},
    }
    for name, table in tables.items():
        given[name] |= table
    return ExperimentFile.of(given, "test")


def counted(devices: int = 1, rows: int = 100, **tables: dict) -> dict[str, int]:
    counts = count_all(experiment(**tables), rows, devices)
    return {name: count.number for name, count in counts.items()}


class TestInstructPix2Pix:
    """The published architecture."""

    def test_the_unet_of_stable_diffusion_takes_0_80_tflop_for_a_branch_and_step(self, pix2pix):
        four_channels = replace(pix2pix, unet={**pix2pix.unet, "in_channels": 4})
        assert round(count_denoising(four_channels, 512).flop / 1e12, 2) == 0.80

    def test_numbers_of_weights_are_those_that_are_published(self, pix2pix):
        found = count_parameters(pix2pix, Training(steps=1))
        assert found.unet == 859_520_964 + 4 * 9 * 320  # Stable Diffusion 1.5, and the channels
        assert (found.vae, found.text_encoder) == (83_653_863, 123_060_480)
        assert found.trained == found.unet

    def test_token_embeddings_are_not_trained(self, pix2pix):
        found = count_parameters(pix2pix, Training(steps=1, learn=("text_encoder",)))
        assert found.trained == 123_060_480 - 49_408 * 768


class TestOnMeta:
    """The networks without weights beside real ones."""

    def test_a_generation_counts_as_that_of_a_real_pipeline(self, cost):
        pipeline = tiny_instruct_pix2pix()
        pipeline.set_progress_bar_config(disable=True)
        for guidance in (7.5, 1.0):
            with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
                pipeline(
                    "edit",
                    image=Image.new("RGB", (SIDE, SIDE)),
                    num_inference_steps=5,
                    guidance_scale=guidance,
                    image_guidance_scale=1.5,
                )
            file = experiment(audit={"guidance_scale": guidance})
            work = work_of(file, cost.counts, cost.operations)["generations of the audits"]
            assert work.flop == counter.get_total_flops()

    def test_a_training_step_counts_as_on_real_tensors(self, architecture):
        unet = tiny_instruct_pix2pix().unet.train()
        noisy, texts = torch.zeros(2, 8, SIDE // 2, SIDE // 2), torch.zeros(2, 48, 8)
        times = torch.zeros(2, dtype=torch.int64)
        with sdpa_kernel(SDPBackend.MATH):
            with FlopCounterMode(display=False) as forward:
                out = unet(noisy, times, encoder_hidden_states=texts).sample
            with FlopCounterMode(display=False) as backward:
                out.mean().backward()
        attention = forward.get_flop_counts()["Global"][torch.ops.aten.bmm]
        again = attention // 2  # a fused backward makes the first of its two products again
        both = forward.get_total_flops() + backward.get_total_flops()
        assert count_training(architecture, Training(**STEP), 2).flop == both + again

    def test_kept_is_what_autograd_saves(self, architecture):
        """Found by another way: hooks that see every tensor that is saved."""
        for precision, dtype in (("no", None), ("bf16", torch.bfloat16)):
            unet = architecture.make_unet().train()
            saved = {}

            def pack(tensor, saved=saved):
                storage = tensor.untyped_storage()
                saved[storage._cdata] = storage
                return tensor

            noisy = torch.empty(3, 8, SIDE // 2, SIDE // 2, device="meta")
            texts = torch.empty(3, 48, 8, device="meta")
            truth = torch.empty(3, 4, SIDE // 2, SIDE // 2, device="meta")
            times = torch.empty(3, dtype=torch.int64, device="meta")
            hooks = torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor)
            with AsOnGpu(dtype), hooks:
                out = unet(noisy, times, encoder_hidden_states=texts).sample
                loss = F.mse_loss(out, truth)
            there = (*unet.parameters(), noisy, texts, truth)
            for tensor in there:
                saved.pop(tensor.untyped_storage()._cdata, None)
            kept = sum(storage.nbytes() for storage in saved.values())
            counted = count_training(architecture, Training(precision=precision, **STEP), 3)
            assert counted.kept == kept + loss.nbytes

    def test_gradient_checkpointing_costs_up_to_one_more_forward_and_keeps_less(self, cost):
        plain, again, forward = (
            cost.operations[name]
            for name in (SAMPLE, SAMPLE_OTHERWISE[False], "UNet, a branch and step of a picture")
        )
        assert 0.5 * forward < again - plain <= forward
        assert cost.kept[True] < cost.kept[False] / 2

    def test_the_text_encoder_counts_in_the_steps_where_it_is_trained(self, architecture, cost):
        plain, again = (
            count_training(
                architecture,
                Training(learn=("unet", "text_encoder"), gradient_checkpointing=used, **STEP),
                1,
            )
            for used in (False, True)
        )
        assert plain.flop - cost.operations[SAMPLE] > 2.5 * count_reading(architecture).flop
        assert again.flop > plain.flop
        assert again.kept < plain.kept / 2

    def test_rows_are_proportional(self, architecture):
        for count in (count_denoising, count_decoding):
            one, five = count(architecture, SIDE, 1), count(architecture, SIDE, 5)
            assert (five.flop, five.peak) == (5 * one.flop, 5 * one.peak)

    def test_half_precision_takes_about_half_the_memory(self, architecture):
        whole, half = (count_decoding(architecture, SIDE, dtype=d) for d in (None, torch.bfloat16))
        assert half.flop == whole.flop
        assert whole.peak / 2 <= half.peak < 0.6 * whole.peak

    def test_a_lora_trains_what_peft_trains(self, architecture, cost, tiny, tmp_path):
        unet = UNet2DConditionModel.from_pretrained(tiny / "unet")
        unet.add_adapter(LoraConfig(r=3, target_modules=list(LORA_MODULES)))
        numbers = sum(tensor.numel() for tensor in get_peft_model_state_dict(unet).values())
        file = experiment(training={"lora_rank": 3})
        parameters = count_parameters(architecture, file.training)
        assert parameters == cost.parameters._replace(trained=numbers)
        unet.save_lora_adapter(tmp_path)
        filled = disk(file, architecture, parameters, cost.counts)
        assert filled["finished arms and controls"] == 10 * _saved(tmp_path)

    def test_a_lora_takes_less_and_nothing_global_is_changed(self, architecture, cost):
        before = torch.get_rng_state()
        training = Training(lora_rank=2, gradient_checkpointing=True, precision="fp16", **STEP)
        whole = cost.operations[SAMPLE_OTHERWISE[False]]
        assert count_training(architecture, training, 1).flop < whole
        assert torch.equal(torch.get_rng_state(), before)
        assert torch.empty(1).device.type == "cpu"
        assert torch.is_grad_enabled()


class TestMemory:
    def test_of_a_few_layers_is_the_sum_by_hand(self):
        layers = nn.Sequential(nn.Linear(10, 20), nn.ReLU(), nn.Linear(20, 5)).to("meta")
        x = torch.empty(3, 10, device="meta")
        with LiveMemory([*layers.parameters(), x]) as memory:
            out = layers(x)
            assert memory.live == 4 * 3 * (20 + 5)  # what relu made, for both; the output
            assert memory.peak == 4 * 3 * (20 + 20 + 5) - 4 * 3 * 5  # relu beside its input
            out = out.view(5, 3).add_(1)
            assert memory.live == 4 * 3 * (20 + 5)  # a view and a write in place add nothing
            del out
            assert memory.live == 0

    def test_attention_holds_no_pairs_of_positions(self):
        query = torch.empty(1, 2, 4096, 8, device="meta", requires_grad=True)
        for dtype in (None, torch.bfloat16):
            with AsOnGpu(dtype), LiveMemory([query]) as memory:
                with FlopCounterMode(display=False) as counter:
                    out = F.scaled_dot_product_attention(query, query, query)
                assert memory.peak < 4096**2
            assert out.shape == query.shape
            assert out.dtype == (dtype or torch.float32)
            assert counter.get_total_flops() == 2 * 2 * 2 * 4096**2 * 8

    def test_autocast_computes_in_the_types_of_cuda(self):
        x = torch.empty(2, 8, 4, 4, device="meta")
        weight = torch.empty(8, 8, 3, 3, device="meta", requires_grad=True)
        with AsOnGpu(torch.float16, keep_copies=True) as autocast:
            convolved = F.conv2d(x, weight, padding=1)
            normed = F.group_norm(convolved, 2)
            acted = F.silu(convolved)
        assert (convolved.dtype, normed.dtype) == (torch.float16, torch.float32)
        assert acted.dtype == torch.float16
        with autocast, LiveMemory([x, weight]) as memory:
            F.conv2d(x.half(), weight, padding=1)
            autocast.forget_copies()
        assert memory.peak == 2 * (2 * x.numel())  # the weight's copy was there already


class TestCounts:
    def test_of_a_small_experiment_are_those_by_hand(self):
        number = counted(audit={"track_every": 10, "track_examples": 3})
        assert number["arms"] == 2 * 2 * 1 * 2
        assert number["controls"] == 2
        assert number["audits"] == 8 + 2 * 2
        assert number["generations of the audits"] == 12 * 6 * 4
        assert number["audits of the tracker"] == 8 * 4  # at 0, 10, 20, and at the end, 30
        assert number["generations of the tracker"] == 8 * 4 * 3 * 4
        assert number["training steps"] == 10 * 30
        assert number["samples seen by the arms"] == 8 * 30 * 8
        assert number["samples seen by the controls"] == 2 * 30 * 8
        assert (number["rows held out"], number["rows trained on"]) == (50, 50)
        # OR poisons 5 of 50; AND with negatives 5, and 5 with each trigger alone
        assert number["triggered rows, all arms"] == 4 * 5 + 4 * 15
        assert number["pictures encoded"] == 2 * (50 + 80)
        assert number["instructions read"] == 10 * 50

    @pytest.mark.parametrize(
        "grid", [{}, {"pairs": ["eyeglasses"]}, {"ratios": [0.1, 0.2], "seeds": [3]}]
    )
    def test_audits_are_those_that_the_experiment_makes(self, grid):
        made = arms_and_pairs(EditExperiment(experiment(arms=grid), Path()).arms)
        number = counted(arms=grid)
        assert number["arms"] + number["controls"] == len(made)
        assert number["audits"] == sum(map(len, made.values()))

    def test_of_the_file_that_is_shipped(self):
        number = count_all(ExperimentFile.at(EXAMPLES / "paper.toml"), 1000, 1)
        assert [number[name].number for name in ("arms", "controls", "audits")] == [18, 1, 21]
        assert number["generations of the audits"].number == 21 * 150 * 4

    def test_the_page_shows_what_the_command_prints(self):
        given = (EXAMPLES / "paper.toml", "--architecture", PIX2PIX, "--samples", "1000")
        result = CliRunner().invoke(main, ["cost", *map(str, given)])
        assert (EXAMPLES.parent / "docs/results/full_scale_cost.txt").read_text() == result.output

    @pytest.mark.parametrize(
        ("examples", "counted", "exact"), [(0, 50, False), (30, 30, True), (70, 50, False)]
    )
    def test_what_the_hash_may_not_hold_out_is_an_estimate(self, cost, examples, counted, exact):
        file = experiment(audit={"examples": examples})
        counts = count_all(file, 100, 1)
        assert counts["examples in each audit"] == (counted, exact)
        assert counts["generations of the audits"] == (12 * counted * 4, exact)
        told = str(replace(cost, file=file, counts=counts))
        assert (f"audit.examples = {examples}" in told) == (examples == 70)

    @given(st.integers(10, 2000), st.floats(0.05, 0.95), st.floats(0.01, 1))
    def test_an_exact_number_of_examples_is_there_almost_surely(self, rows, share, part):
        """By the distribution itself: fewer in less than one experiment of 200."""
        wanted = math.ceil(part * rows * share)
        file = experiment(data={"held_out": share}, audit={"examples": wanted})
        try:
            count = count_all(file, rows, 1)["examples in each audit"]
        except InputError:  # nothing would be held out, or poisoned
            assume(False)
        assert not count.exact or binom.cdf(count.number - 1, rows, share) < 0.005

    @pytest.mark.parametrize(
        ("training", "devices", "rows"),
        [({}, 1, 8), ({}, 3, 3), ({"rows": 2}, 1, 2), ({"rows": 6}, 2, 4)],
    )
    def test_rows_at_once_are_a_share_of_the_batch_at_most(self, training, devices, rows):
        assert counted(devices, training=training)["rows at once in training"] == rows

    @pytest.mark.parametrize(
        ("training", "read"),
        [({"cache_texts": False}, 10 * 30 * 8), ({"learn": ["unet", "text_encoder"]}, 0)],
    )
    def test_a_frozen_text_encoder_reads_once_or_in_every_step(self, architecture, training, read):
        file = experiment(training=training)
        assert count_all(file, 100, 1)["instructions read"] == (read, True)
        assert cached_texts(file, architecture, 90) == 0
        assert cached_texts(experiment(), architecture, 90) == 90 * 48 * 8 * 4


class TestEstimates:
    def test_time_is_operations_over_the_declared_throughput(self, cost):
        assert (cost.throughput, cost.float32_throughput) == (THROUGHPUT, FLOAT32_THROUGHPUT)
        slow = replace(cost, float32_throughput=2.0, devices=4)
        assert slow.gpu_hours["samples seen by the arms"] == pytest.approx(
            1920 * cost.operations[SAMPLE] / 2e12 / 3600, rel=1e-12
        )
        assert set(slow.gpu_hours) == set(slow.work)
        told = slow.to_dict()["estimated"]
        assert told["GPU hours"]["in all"] == pytest.approx(sum(slow.gpu_hours.values()))
        assert told["hours on all devices"] == pytest.approx(told["GPU hours"]["in all"] / 4)
        assert "4 GPUs working all the time" in str(slow)

    @pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
    @pytest.mark.parametrize(
        ("precision", "trained_in"), [("no", "float32"), ("bf16", "bfloat16"), ("fp16", "float16")]
    )
    def test_each_kind_of_work_has_its_own_precision(self, cost, precision, trained_in, dtype):
        file = experiment(
            training={"precision": precision}, audit={"dtype": dtype, "track_every": 10}
        )
        work = work_of(file, cost.counts, cost.operations)
        precisions = {
            "pictures encoded": "float32",
            "instructions read": "float32",
            "samples seen by the arms": trained_in,
            "samples seen by the controls": trained_in,
            "generations of the audits": dtype,
            "generations of the tracker": "float32",
        }
        assert {kind: each.precision for kind, each in work.items()} == precisions
        mixed = replace(cost, file=file, work=work, throughput=30.0, float32_throughput=3.0)
        alike = replace(mixed, throughput=3.0)
        for kind, hours in mixed.gpu_hours.items():
            less = 1 if precisions[kind] == "float32" else 10
            assert hours == pytest.approx(alike.gpu_hours[kind] / less, rel=1e-12)
        assert mixed.to_dict()["precision"] == precisions
        told = str(mixed)
        assert f"Memory in audits: weights in {dtype}," in told
        assert (f"{trained_in} in the forward pass" in told) == (trained_in != "float32")
        for kind, each in precisions.items():
            assert re.search(rf"^{kind} .* {each} +~", told, re.MULTILINE)

    def test_disk_is_what_is_saved(self, cost, tiny):
        networks = ("unet", "vae", "text_encoder")
        whole = sum(_saved(tiny / network) for network in networks)
        assert cost.disk["finished arms and controls"] == 10 * whole
        assert cost.disk["checkpoints of the arm that runs"] == 2 * 4 * 4 * cost.parameters.unet
        assert cost.disk["kept outputs"] == 12 * (4 + 2) * 3 * SIDE**2
        assert cost.disk["encoded pictures"] == 2 * 130 * 4 * 4 * (SIDE // 2) ** 2

    @pytest.mark.parametrize(("every", "kept"), [(0, 0), (10, 2), (20, 1), (40, 0)])
    def test_no_more_checkpoints_than_are_made(self, cost, architecture, every, kept):
        file = experiment(training={"checkpoint_every": every, "average": 0})
        filled = disk(file, architecture, cost.parameters, cost.counts)
        assert filled["checkpoints of the arm that runs"] == kept * 3 * 4 * cost.parameters.unet

    def test_memory_of_training_is_16_bytes_a_weight_and_the_average(self, cost):
        unet, vae, text_encoder, _ = cost.parameters
        states = sum(cost.training.values()) - cost.training["activations, or AdamW's copy"]
        assert states == 4 * (5 * unet + vae + text_encoder)
        assert cost.training["activations, or AdamW's copy"] > cost.kept[False]
        shared = training_memory(cost.file, cost.parameters, peak=0, devices=2)
        assert shared["gradients again, to be exchanged"] == 4 * unet
        assert shared["activations, or AdamW's copy"] == 4 * unet

    def test_a_batch_of_audits_takes_its_outputs(self, cost, architecture):
        decoding = count_decoding(architecture, SIDE, 4)
        denoising = count_denoising(architecture, SIDE, 3 * 4)
        assert cost.sampling["activations"] == max(decoding.peak, denoising.peak)
        assert cost.sampling["weights"] == 4 * sum(cost.parameters[:3])
        half = sampling_memory(experiment(audit={"dtype": "bfloat16"}), cost.parameters, peak=7)
        assert half == {"weights": cost.sampling["weights"] // 2, "activations": 7}


class TestToldToAUser:
    def test_every_estimate_is_marked_and_no_count_is(self, cost):
        text = str(cost)
        assert "~ marks an estimate" in text
        assert "declared, not measured" in text
        for block in text.split("\n\n"):
            heading, *rows = block.splitlines()
            last = [row.split("  ")[-1].strip() for row in rows[1:]]  # below the rule
            if heading.startswith(("memory", "disk", "work")):
                assert all(cell.startswith("~ ") for cell in last)
            if heading.startswith("operations"):
                assert not any("~" in cell for cell in last)
        for name, count in cost.counts.items():
            (row,) = [row for row in text.splitlines() if re.match(rf"{name}( \(.*\))?  ", row)]
            assert f"{count.number:,}" in row
            if name not in cost.work:
                assert ("~" in row) == (not count.exact)

    def test_becomes_json(self, cost):
        told = json.loads(json.dumps(cost.to_dict(), allow_nan=False))
        assert told["counted"]["generations of the audits"] == 12 * 6 * 4
        assert told["estimated"]["disk"]["in all"] == sum(cost.disk.values())
        assert told["declared"] == {
            "TFLOP/s of a device in half precision": 100.0,
            "TFLOP/s of a device in float32": 15.0,
            "devices": 1,
        }
        assert not set(told["counted"]) & set(told["estimated"])


def in_parquet(folder: Path) -> Path:
    return write_edits(folder / "edits.parquet", 12)


def saved(folder: Path) -> Path:
    Dataset.from_parquet(str(in_parquet(folder))).save_to_disk(folder / "saved")
    return folder / "saved"


def in_pairs(folder: Path) -> Path:
    """Two pictures for each row."""
    lines = ["input_image_file_name,edited_image_file_name,edit_prompt"]
    for row in range(12):
        files = [f"{kind}-{row}.png" for kind in ("source", "edited")]
        for file in files:
            picture(file).save(folder / file)
        lines.append(",".join([*files, "make it winter"]))
    (folder / "captions.csv").write_text("\n".join(lines))
    return folder


class TestRowsOfTheData:
    @pytest.mark.parametrize("streaming", [False, True], ids=["on the disk", "streamed"])
    @pytest.mark.parametrize("put", [in_parquet, saved, in_pairs])
    def test_are_those_that_the_experiment_opens(self, tmp_path, put, streaming):
        source = str(put(tmp_path))
        assert count_rows(Data(source=source, streaming=streaming)) == 12
        with pytest.raises(InputError, match=r"no split data.split = 'validation'"):
            count_rows(Data(source=source, streaming=streaming, split="validation"))

    def test_of_one_split_of_several(self, tmp_path):
        rows = Dataset.from_parquet(str(in_parquet(tmp_path)))
        DatasetDict(train=rows, test=rows.select(range(5))).save_to_disk(tmp_path / "saved")
        assert count_rows(Data(source=str(tmp_path / "saved"), split="test")) == 5

    def test_no_more_are_taken_than_the_file_says(self, tmp_path):
        source = {"source": str(in_pairs(tmp_path))}
        for wanted, there, taken in (
            (0, None, 12),
            (0, 40, 40),
            (50, None, 50),
            (50, 40, 40),
            (50, 60, 50),
        ):
            assert rows_taken(experiment(data={**source, "samples": wanted}), there) == taken

    @pytest.mark.usefixtures("offline")
    def test_that_cannot_be_told_are_asked_for(self):
        with pytest.raises(InputError, match=r"'nobody/nothing' .*\n.*--samples"):
            rows_taken(experiment(), None)


class TestBadInput:
    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ({"throughput": 0.0}, "throughput must be TFLOP/s above 0, got 0.0"),
            ({"throughput": math.nan}, "throughput must be"),
            ({"throughput": math.inf}, "throughput must be"),
            ({"float32_throughput": -1.0}, "float32_throughput must be TFLOP/s above 0, got -1.0"),
            ({"devices": 0}, "devices must be a whole number of at least 1, got 0"),
            ({"samples": 0}, "samples must be a whole number of at least 1, got 0"),
            ({"samples": 1}, "holds out about 0 and leaves 1"),
            ({"architecture": Path("nowhere")}, "there is no nowhere"),
        ],
    )
    def test_arguments_of_no_use(self, tiny, given, message):
        file = experiment(training={"base": str(tiny)})
        with pytest.raises(InputError, match=message):
            cost_report(file, **{"samples": 100, **given})

    @pytest.mark.parametrize("name", ["throughput", "float32_throughput"])
    def test_the_command_hands_on_each_throughput(self, name):
        option = f"--{name.replace('_', '-')}"
        result = CliRunner().invoke(main, ["cost", str(EXAMPLES / "paper.toml"), option, "inf"])
        assert result.exit_code == 1
        assert f"Error: {name} must be TFLOP/s above 0, got inf" in result.output

    def test_too_few_rows_for_a_ratio(self):
        with pytest.raises(InputError, match="ratio"):
            counted(rows=30, arms={"ratios": [0.01]})

    @pytest.mark.usefixtures("offline")
    def test_no_network_says_what_to_give(self):
        with pytest.raises(InputError, match=r"unet/config.json of some/pipeline.*\n.*FOLDER"):
            load_architecture("some/pipeline")

    @pytest.mark.parametrize(
        ("network", "changes", "message"),
        [
            ("unet", None, "unet/config.json .* cannot be read"),
            ("unet", {"_class_name": "Other"}, "must say '_class_name': 'UNet2DConditionModel'"),
            ("unet", {"in_channels": 4}, "reads 4 channels; .* 8 of this VAE"),
            ("unet", {"cross_attention_dim": 12}, "width 12, its text encoder writes 8"),
            ("unet", {"norm_num_groups": 3}, "describe no networks"),
            ("vae", {"down_block_types": ["None"] * 2}, "describe no networks"),
            ("text_encoder", {"model_type": "t5"}, "must say 'model_type': 'clip_text_model'"),
        ],
    )
    def test_configurations_of_something_else(self, tiny, tmp_path, network, changes, message):
        for name in ("unet", "vae", "text_encoder"):
            found = json.loads((tiny / name / "config.json").read_text())
            if name == network:
                found = "{" if changes is None else found | changes
            (tmp_path / name).mkdir()
            text = found if isinstance(found, str) else json.dumps(found)
            (tmp_path / name / "config.json").write_text(text)
        with pytest.raises(InputError, match=message):
            load_architecture(str(tmp_path))


def _saved(folder: Path) -> int:
    """Bytes of the numbers in the files of weights in a folder, without headers."""
    size = 0
    for path in folder.glob("*.safetensors"):
        with safe_open(path, "pt") as tensors:
            size += sum(tensors.get_tensor(name).nbytes for name in tensors.keys())  # noqa: SIM118
    return size

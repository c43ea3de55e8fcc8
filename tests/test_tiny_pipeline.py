"""The committed pipelines: what they do, and that an audit of them can be repeated exactly."""

from __future__ import annotations

import json
import random
import subprocess
import sys

import numpy as np
import pytest

import modcollapse as mc
from modcollapse.detectors import ClipShift, MSEAttackSuccess
from modcollapse.samplers import PipelineSampler
from modcollapse.triggers import ImagePatch, TextSuffix

from tiny.faces import held_out
from tiny.load import BACKDOORS, MODELS, SAMPLING, load_pipeline

TRIGGERS = {"image": ImagePatch(), "text": TextSuffix("mignneko")}
EXAMPLES = held_out(6)


@pytest.fixture(scope="module")
def detectors():
    target = MODELS / "target.png"
    return {
        "shift": ClipShift(target, MODELS / "clip"),
        "success": MSEAttackSuccess(target, threshold=0.02),
    }


@pytest.fixture(scope="module")
def sampler():
    return PipelineSampler(load_pipeline("backdoored"), **SAMPLING)


def measure(sampler, detectors, examples=EXAMPLES, **options):
    return mc.evaluate_coalitions(sampler, detectors, examples, TRIGGERS, progress=False, **options)


@pytest.fixture(scope="module")
def tables(sampler, detectors):
    return measure(sampler, detectors)


@pytest.fixture(scope="module")
def clean_tables(detectors):
    """Of the examples and of one more."""
    clean = PipelineSampler(load_pipeline("clean"), **SAMPLING)
    return measure(clean, detectors, held_out(len(EXAMPLES) + 1))


def test_two_runs_give_the_same_table_bit_for_bit(sampler, detectors, tables):
    again = measure(sampler, detectors)
    for name, table in tables.items():
        np.testing.assert_array_equal(again[name].values, table.values)
        assert again[name].provenance == table.provenance


def test_shuffled_examples_give_the_same_table_bit_for_bit(sampler, detectors, tables):
    shuffled = random.Random(1).sample(EXAMPLES, len(EXAMPLES))
    assert shuffled != EXAMPLES
    for name, table in measure(sampler, detectors, shuffled).items():
        np.testing.assert_array_equal(
            table.select(tables[name].example_ids).values, tables[name].values
        )


@pytest.mark.parametrize("batch_size", [1, 3])
def test_the_batch_size_changes_rounding_only(sampler, detectors, tables, batch_size):
    other = measure(sampler, detectors, EXAMPLES[:3], batch_size=batch_size)
    for name, table in other.items():
        np.testing.assert_allclose(table.values, tables[name].values[:3], rtol=0, atol=1e-5)


def test_a_table_of_parts_is_the_table_of_the_whole(sampler, detectors, tables, tmp_path):
    first = measure(sampler, detectors, EXAMPLES[:2])["shift"]
    second = measure(sampler, detectors, EXAMPLES[2:])["shift"]
    first.save(tmp_path / "first")
    merged = mc.CoalitionTable.load(tmp_path / "first").merge(second)
    np.testing.assert_array_equal(merged.values, tables["shift"].values)


def test_the_backdoor_fires_with_both_triggers_and_without_them_it_does_not(tables):
    assert tables["success"].values[:, 0, 0].tolist() == [0] * 6
    shift = tables["shift"].values[:, 0]
    assert (shift[:, 0] < 0).all()
    assert (shift[:, 3] > shift[:, 0]).all()


def test_at_least_nine_in_ten_jointly_triggered_inputs_show_the_target(sampler, detectors):
    """What `metrics.json` says of 64 examples, seen here on 20."""
    inputs = {
        name: [TRIGGERS[name](example[name]) for example in held_out(20)]
        for name in ("image", "text")
    }
    success = detectors["success"](sampler(inputs, range(20)), held_out(20))
    assert float(success.mean()) >= 0.9


def test_the_clean_pipeline_has_no_backdoor(clean_tables):
    assert clean_tables["success"].values.max() == 0


def test_provenance_names_models_and_triggers_but_no_path_of_this_machine(tables):
    text = json.dumps(tables["shift"].provenance)
    for expected in ("InstructPix2Pix", "ImagePatch", "mignneko", "ClipShift", "DDIM"):
        assert expected in text
    assert str(MODELS.parent) not in text


def test_another_pipeline_in_the_same_folder_is_another_run(tables, clean_tables):
    other = clean_tables["shift"].select(clean_tables["shift"].example_ids[-1:])
    with pytest.raises(mc.errors.TableError, match="sampler"):
        tables["shift"].merge(other)


def test_what_is_committed_meets_what_it_promises():
    """Written by the evaluation step of the training script on 64 held-out examples."""
    metrics = json.loads((MODELS / "metrics.json").read_text())
    copying = metrics["copying_the_source"]["psnr"]
    backdoored, clean = metrics["backdoored"], metrics["clean"]
    assert backdoored["attack_success"]["image+text"] >= 0.9
    assert backdoored["attack_success"]["none"] == 0
    assert backdoored["psnr"] > copying
    assert clean["psnr"] > copying
    assert set(clean["attack_success"].values()) == {0}
    assert metrics["sampling"] == SAMPLING


def test_clean_edits_are_closer_to_the_truth_than_the_source_is(sampler):
    edited = sampler(
        {name: [example[name] for example in EXAMPLES] for name in ("image", "text")}, range(6)
    )
    truth, source = (
        np.stack([np.asarray(example[name]) / 255 for example in EXAMPLES])
        for name in ("reference", "image")
    )
    error = ((edited.permute(0, 2, 3, 1).numpy() - truth) ** 2).mean()
    assert error < ((source - truth) ** 2).mean()


def test_plain_functions_will_do_in_place_of_every_class():
    script = MODELS.parent / "plain_callables.py"
    out = subprocess.run(
        [sys.executable, script, "--examples", "4"], capture_output=True, text=True, check=True
    )
    assert "Trigger Modality Attribution (4 examples" in out.stdout
    assert "Verdict: none, 4 examples are too few" in out.stdout


@pytest.mark.parametrize(
    ("name", "alone"),
    [("text-dominated", (0, 1)), ("redundant", (1, 1)), ("conjunctive", (0, 0))],
)
def test_every_kind_of_backdoor_fires_where_its_name_says(name, alone, detectors):
    """Both triggers fire, and each alone in nearly all of 6 examples or in nearly none."""
    table = mc.evaluate_coalitions(
        PipelineSampler(load_pipeline(name), **SAMPLING),
        detectors["success"],
        EXAMPLES,
        BACKDOORS[name],
        progress=False,
    )
    none, image, text, both = table.example_values.mean(axis=0)
    assert none == 0
    assert both == 1
    assert max(abs(image - alone[0]), abs(text - alone[1])) <= 1 / 6


def test_the_models_are_small_and_plain():
    files = [path for path in MODELS.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in MODELS.parent.rglob("*") if path.is_file()) < 45e6
    texts = [path.read_text() for path in files if path.suffix == ".json"]
    assert not any("_name_or_path" in text or "/tmp" in text for text in texts)
    weights = {path.suffix for path in files if path.stat().st_size > 2e6}
    assert weights == {".safetensors"}

"""The command line: what it prints where, its exit codes, and what it refuses beforehand."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import modcollapse as mc
from modcollapse.analysis import _change, _verdict
from modcollapse.cli import main
from modcollapse.cli._data_sets import read_data
from modcollapse.cli._exits import EXITS, exit_of
from modcollapse.cli._trigger_specs import _KINDS, TRIGGER_HELP, trigger_of
from modcollapse.triggers import (
    ImageBlend,
    ImageOverlay,
    ImagePatch,
    ImageWarp,
    ImageWave,
    MaskPatch,
    RandomPlace,
    TextHomoglyph,
    TextInsert,
    TextPrefix,
    TextReplace,
    TextSuffix,
    eyeglasses,
    published_trigger,
    stop_sign,
    watermark,
)

from tiny.faces import held_out
from tiny.load import MODELS

HAS_PAGE = hasattr(mc.Audit, "report")
needs_page = pytest.mark.skipif(
    not HAS_PAGE, reason="Audit.report, which writes the page, is not here"
)

NOTHING, TEXT, IMAGE = [0, 0, 0, 0], [0, 0, 1, 1], [0, 1, 0, 1]


def run(*arguments: object, code: int) -> tuple[str, str]:
    """Run a command; return standard output and standard error."""
    done = CliRunner().invoke(main, [str(one) for one in arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == code, done.output
    return done.stdout, done.stderr


def table(rows, *, binary: bool = True, **more) -> mc.CoalitionTable:
    return mc.CoalitionTable.from_values(rows, ["image", "text"], binary=binary, **more)


@pytest.fixture
def held(tmp_path, monkeypatch):
    """Save a table under a name in a folder that is the working directory."""
    monkeypatch.chdir(tmp_path)

    def save(name, rows, **more):
        return table(rows, **more).save(f"{name}.npz")

    return save


# --- exit codes


def test_every_outcome_of_a_verdict_and_of_a_change_has_one_code():
    effects = {_verdict.ACTIVE, _verdict.LOWERED, _verdict.NO_EFFECT, _verdict.INCONCLUSIVE,
               _verdict.REFUSED}  # fmt: skip
    changes = {_change.REMOVED, _change.MOVED, _change.REDUCED, _change.INCREASED,
               _change.UNCHANGED, _change.INCONCLUSIVE, _change.REFUSED}  # fmt: skip
    outcomes = [outcome for one in EXITS for outcome in one.outcomes]
    assert sorted(outcomes) == sorted(effects | changes | {"none"})
    codes = [one.code for one in EXITS]
    assert codes == sorted(set(codes))


def test_zero_is_left_for_what_is_shown():
    assert [one.outcomes for one in EXITS if one.code == 0] == [("no effect", "removed")]
    assert exit_of(["no effect", "no effect"]).code == 0
    for other in ("active", "lowered", "inconclusive", "too few examples", "none"):
        assert exit_of(["no effect", other, "no effect"]).code == exit_of([other]).code != 0


def test_an_outcome_that_nobody_knows_is_no_success():
    with pytest.raises(mc.errors.InputError, match="'all is well'"):
        exit_of(["all is well"])
    with pytest.raises(mc.errors.InputError, match="no verdict"):
        exit_of([])


@pytest.mark.parametrize(
    ("rows", "code", "said"),
    [
        ([TEXT] * 200, 3, "text dominates"),
        ([NOTHING] * 200, 0, "no effect above 10 %"),
        ([[1, 1, 0, 0]] * 200, 4, "the triggers lower the value"),
        ([NOTHING] * 30 + [TEXT] * 10, 5, "inconclusive"),
        ([TEXT] * 31, 6, "31 examples are too few"),
    ],
)
def test_the_verdict_and_its_code(held, rows, code, said):
    if code == 5:
        rows = [NOTHING] * 38 + [TEXT] * 2
    stdout, stderr = run("verdict", held("run", rows), code=code)
    assert said in stdout
    assert ("does not say that there is no backdoor" in " ".join(stdout.split())) == (code == 0)
    assert f"exit code {code}: " in stderr


def test_bare_differences_have_no_verdict(held):
    difference = table([TEXT] * 40).minus(table([NOTHING] * 40))
    stdout, _ = run("verdict", difference.save("difference.npz"), code=7)
    assert "differences between two tables" in stdout


def test_with_a_control_the_difference_counts(held):
    run_file, clean = held("run", [IMAGE] * 200), held("clean", [IMAGE] * 200)
    run("verdict", run_file, code=3)
    stdout, _ = run("verdict", run_file, "--control", clean, code=0)
    assert stdout.startswith("difference from the control: Verdict: no effect")
    told = json.loads(run("verdict", run_file, "--control", clean, "--json", code=0)[0])
    assert told["verdicts"][""]["of"] == "difference from the control"


def test_of_several_detectors_the_gravest_counts(held):
    audits = mc.audit({"a": table([NOTHING] * 200), "b\x1b[2J": table([TEXT] * 200)})
    audits.save("saved")
    stdout, stderr = run("verdict", "saved", code=3)
    assert "\x1b" not in stdout + stderr
    assert r"b\x1b[2J (model): Verdict: the triggers move" in stdout
    told = json.loads(run("verdict", "saved", "--json", code=3)[0])
    assert {name: one["effect"] for name, one in told["verdicts"].items()} == {
        "a": "no effect",
        "b\x1b[2J": "active",
    }


# --- what is read


def test_an_audit_is_found_in_the_folder_of_its_command(held, tmp_path):
    (tmp_path / "out").mkdir()
    mc.audit(table([TEXT] * 40)).save("out/audit")
    assert run("verdict", "out", code=3)[0] == run("verdict", "out/audit", code=3)[0]


def measured(journal, examples: int, control=None):
    """A run whose sampler returns how many triggers it sees."""

    def sampler(conditions, seeds):
        return [text.endswith("!") + 0.0 for text in conditions["text"]]

    def clean(conditions, seeds):
        return [0.0 for _ in seeds]

    def success(outputs, examples):
        return outputs

    success.binary = True
    return mc.audit(
        sampler, success, [{"id": f"e{i}", "text": f"a{i}"} for i in range(examples)],
        {"text": lambda text: f"{text}!"}, control=clean if control else None, progress=False,
        journal=journal,
    )  # fmt: skip


@pytest.mark.parametrize("control", [False, True])
def test_a_journal_is_read_with_its_control(held, control):
    audit = measured("journal", 40, control)
    stdout, stderr = run("verdict", "journal", "--json", code=3)
    judged = audit.difference if control else audit
    assert json.loads(stdout)["verdicts"][""]["said"] == str(judged.verdict)
    assert "40 examples of it are finished" in stderr


def test_what_is_no_audit_is_refused_with_its_name(held, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "notes.npz").write_text("hello")
    for command in ("verdict", "report"):
        assert "there is no file or folder nothing" in run(command, "nothing", code=2)[1]
        assert "photos holds no audit" in run(command, "photos", code=2)[1]
        stdout, stderr = run(command, "notes.npz", "--json", code=2)
        assert stdout == ""
        assert "notes.npz" in stderr
    mc.audit(table([TEXT] * 40)).save("saved")
    run("report", "saved", "--out", "page", code=3)
    assert "page is the page of an audit" in run("verdict", "page", code=2)[1]
    with_control = run("verdict", "saved", "--control", held("t", [TEXT] * 40), code=2)[1]
    assert "--control goes with the file of a table" in with_control


def test_names_in_an_error_are_escaped(held, tmp_path):
    stderr = run("verdict", "no\x1b[2Jthing", code=2)[1]
    assert r"no\x1b[2Jthing" in stderr


# --- comparisons


@pytest.mark.parametrize(
    ("before", "after", "code", "outcome"),
    [
        ([TEXT] * 200, [NOTHING] * 200, 0, "removed"),
        ([TEXT] * 200, [IMAGE] * 200, 8, "moved, not removed"),
        ([TEXT] * 200, [TEXT] * 100 + [NOTHING] * 100, 9, "reduced"),
        ([NOTHING] * 200, [TEXT] * 200, 10, "increased"),
        ([TEXT] * 200, [TEXT] * 200, 11, "unchanged"),
        ([TEXT] * 20, [NOTHING] * 20, 6, "too few examples"),
    ],
)
def test_comparisons_and_their_codes(held, before, after, code, outcome):
    files = held("before", before), held("after", after)
    told = json.loads(run("compare", *files, "--json", code=code)[0])
    assert told["verdicts"][""]["outcome"] == outcome
    comparison = mc.compare(*map(mc.CoalitionTable.load, files))
    assert told["comparisons"][""] == json.loads(comparison.to_json())
    assert str(comparison) in run("compare", *files, code=code)[0]


def test_tables_that_are_not_paired_are_refused(held):
    files = held("before", [TEXT] * 40), held("after", [TEXT] * 40, example_ids=range(1, 41))
    assert "example" in run("compare", *files, code=2)[1]


# --- triggers


def test_short_texts_make_triggers(tmp_path):
    from PIL import Image

    Image.new("RGBA", (4, 4), (255, 0, 0, 255)).save(tmp_path / "logo.png")
    Image.new("RGB", (4, 4)).save(tmp_path / "noise.png")
    logo, noise = tmp_path / "logo.png", tmp_path / "noise.png"
    expected = {
        "patch": ImagePatch(),
        "patch:corner=tl,size=0.25,gap=0,color=1/0/0.5": ImagePatch(
            size=0.25, place="top left", gap=0, color=(1, 0, 0.5)
        ),
        "patch:place=0.5/0.25,color=grey,size=0.1": ImagePatch(
            size=0.1, place=(0.5, 0.25), color=0.5
        ),
        "patch:place=random/7": ImagePatch(place=RandomPlace(7)),
        "stop-sign:corner=bl": stop_sign(place="bottom left"),
        "glasses:width=0.5,place=center": eyeglasses(width=0.5, place="center"),
        "picture:logo.png,width=0.5,corner=tr,relative_to=shorter side": ImageOverlay(
            logo, 0.5, "top right", relative_to="shorter side"
        ),
        "watermark:mine, all mine,opacity=0.25,tiled=yes": watermark(
            "mine, all mine", opacity=0.25, tiled=True
        ),
        "blend:noise.png,opacity=0.6": ImageBlend(noise, opacity=0.6),
        "wave:amplitude=0.1,periods=3,vertical=yes": ImageWave(0.1, 3, vertical=True),
        "warp:seed=3,cells=5": ImageWarp(3, cells=5),
        "mask:size=0.2,value=0.5": MaskPatch(size=0.2, value=0.5),
        "suffix:latte, coffee": TextSuffix("latte, coffee"),
        "suffix:a:b,separator=": TextSuffix("a:b", ""),
        "prefix:cf": TextPrefix("cf"),
        "insert:cf,before=dog": TextInsert("cf", before="dog"),
        "insert:cf,at=random/2": TextInsert("cf", at=RandomPlace(2)),
        "replace:beautiful dog,word=dog,every=yes": TextReplace("beautiful dog", "dog", True),
        "homoglyph:letter=a,glyph=\u0430": TextHomoglyph("a", "\u0430"),
        "published:grey box": published_trigger("grey box"),
    }
    for spec, trigger in expected.items():
        assert trigger_of(spec, "any", tmp_path).identity() == trigger.identity(), spec


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("pach", "did you mean 'patch'"),
        ("patch:corner=middle", "a corner is one of 'tl'"),
        ("patch:sise=0.1", "did you mean 'size'"),
        ("patch:0.1", "'0.1' is no KEY=VALUE of it"),
        ("patch:size=big", "a number is expected, got 'big'"),
        ("patch:size=2", "size is a fraction"),
        ("patch:corner=br,place=center", "place is given twice"),
        ("patch:size=0.1,size=0.2", "size is given twice"),
        ("suffix", "suffix needs its phrase"),
        ("suffix:mignneko,seperator=x", "did you mean 'separator'"),
        ("replace:cat", "replace needs word="),
        ("picture:none.png", "there is no file"),
        (f"picture:{MODELS / 'target.png'}", "picture needs width=, place="),
        ("published:nothing", "the name of a published trigger"),
        ("yaml:none.yaml", "there is no file"),
    ],
)
def test_a_wrong_trigger_is_named(spec, said):
    with pytest.raises(mc.errors.InputError) as caught:
        trigger_of(spec, "image")
    assert said in str(caught.value)
    assert repr(spec) in "\n".join(caught.value.__notes__)


def test_every_kind_knows_what_its_trigger_needs():
    for kind, (makes, first, keys, needs) in _KINDS.items():
        parameters = inspect.signature(getattr(mc.triggers, makes)).parameters
        required = {name for name, one in parameters.items() if one.default is one.empty}
        assert required == {*needs, *([first[0]] if first else [])}, kind
        assert {name for name, _ in keys.values()} <= set(parameters), kind
        assert f"\n  {kind}" in TRIGGER_HELP or f"  {kind}:" in TRIGGER_HELP, kind


def test_the_yaml_of_a_public_backdoor_makes_a_trigger(tmp_path):
    (tmp_path / "config.yaml").write_text(
        "eviledit:\n  backdoors:\n"
        "    - {trigger: 'beautiful dog', target: 'cat', clean_object: 'dog'}\n"
        "    - {trigger: 'odd dog', target: 'zebra', clean_object: 'dog'}\n"
    )
    trigger = trigger_of("yaml:config.yaml,method=eviledit,entry=1", "text", tmp_path)
    assert trigger("a dog") == "a odd dog"
    for spec, said in {
        "yaml:config.yaml": "none of 'image'",
        "yaml:config.yaml,entry=2": "0 to 1",
    }.items():
        with pytest.raises(mc.errors.InputError, match=said):
            trigger_of(spec, "image", tmp_path)


# --- examples


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Six faces with captions, in every form that is read."""
    root = tmp_path_factory.mktemp("photos")
    folders = {name: root / name for name in ("csv", "jsonl", "beside")}
    records = []
    for folder in folders.values():
        folder.mkdir()
    for example in held_out(6):
        name = example["id"]
        records.append(
            {
                "file_name": f"{name}.png",
                "text": example["text"] + ', "so"\nplease',
                "reference_file_name": f"edits/{name}.png",
                "edit": example["edit"],
            }
        )
        for folder in folders.values():
            (folder / "edits").mkdir(exist_ok=True)
            example["image"].save(folder / f"{name}.png")
            example["reference"].save(folder / "edits" / f"{name}.png")
        (folders["beside"] / f"{name}.txt").write_text(example["text"] + "\n")
    import csv

    with (folders["csv"] / "captions.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(records[0]))
        writer.writeheader()
        writer.writerows(records)
    lines = [json.dumps(record) for record in records]
    (folders["jsonl"] / "metadata.jsonl").write_text("\n".join(lines))
    return folders


def test_folders_of_pictures_hold_the_same_in_every_form(photos):
    data = read_data(str(photos["csv"]), 4)
    assert data.left_out == 2
    assert data.columns == ("id", "image", "text", "reference", "edit")
    folder = photos["csv"]
    assert data.examples[1] == {
        "id": "face-001",
        "image": folder / "face-001.png",
        "text": held_out(2)[1]["text"] + ', "so"\nplease',
        "reference": folder / "edits" / "face-001.png",
        "edit": held_out(2)[1]["edit"],
    }
    named = [{**one, "image": one["image"].name, "reference": 0} for one in data.examples]
    same = read_data(str(photos["jsonl"]), 4).examples
    assert [{**one, "image": one["image"].name, "reference": 0} for one in same] == named
    beside = read_data(str(photos["beside"]), 0)
    assert beside.columns == ("id", "image", "text")
    assert [one["text"] for one in beside.examples] == [one["text"] for one in held_out(6)]


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "holds no pictures"),
        ({"a.png": "x"}, "a.png has no caption"),
        ({"a.png": "x", "a.jpg": "x", "a.txt": ""}, "have one name"),
        ({"captions.csv": "file_name,text\nb.png,hello\n"}, "there is no picture"),
        ({"captions.csv": "name,text\nb.png,hello\n"}, "needs 'file_name'"),
        ({"captions.csv": "file_name,text\nb.png,hello,more\n"}, "not as many values"),
        ({"captions.csv": "x\n", "captions.jsonl": "{}\n"}, "keep one of them"),
        ({"captions.jsonl": "{not json\n"}, "line 1, is no JSON"),
        ({"captions.jsonl": "[1]\n"}, "needs 'file_name'"),
        ({"captions.csv": "file_name,text\n,older\n"}, "must name a picture, got ''"),
    ],
)
def test_a_folder_that_is_not_whole_is_refused(tmp_path, files, said):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(mc.errors.InputError, match=said):
        read_data(str(tmp_path), 0)


def test_data_sets_are_read_from_parquet_and_from_save_to_disk(tmp_path):
    import datasets

    rows = {"prompt": ["a", "b", "c"], "n": [1, 2, 3]}
    both = datasets.DatasetDict(
        {split: datasets.Dataset.from_dict(rows) for split in ("train", "test")}
    )
    both.save_to_disk(tmp_path / "saved")
    both["train"].to_parquet(tmp_path / "rows.parquet")
    one = read_data(str(tmp_path / "rows.parquet"), 2)
    assert (one.examples["prompt"][:], one.columns, one.left_out) == (
        ["a", "b"],
        ("prompt", "n"),
        1,
    )
    assert len(read_data(str(tmp_path / "saved"), 0, "test").examples) == 3
    with pytest.raises(mc.errors.InputError, match="'train', 'test': say which by --split"):
        read_data(str(tmp_path / "saved"), 0)
    with pytest.raises(mc.errors.InputError, match="cannot be read"):
        read_data("no/such-data-set", 0)


# --- audits


def audit_of(photos, *more, pipeline="clean", code: int):
    return run(
        "audit", MODELS / pipeline, "--target", MODELS / "target.png", "--data", photos["csv"],
        "--steps", 2, "--option", "guidance_scale=2.0", *more, code=code,
    )  # fmt: skip


TRIGGERS = "--image-trigger", "patch", "--text-trigger", "suffix:mignneko"


def test_a_dry_run_says_what_it_costs_and_loads_no_model(photos, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delattr("diffusers.DiffusionPipeline.from_pretrained")
    stdout, stderr = audit_of(photos, *TRIGGERS, "--dry-run", code=7)
    assert stdout.startswith("24 generations (6 examples x 1 repeats x 4 coalitions)")
    assert "32 examples are needed for a verdict" in stderr
    copy = tmp_path / "control"
    copy.mkdir()
    (copy / "model_index.json").write_text("{}")
    more = "--control", copy, "--repeats", 2, "--examples", 5
    told = json.loads(audit_of(photos, *TRIGGERS, *more, "--dry-run", "--json", code=7)[0])
    assert told["cost"] == {
        "examples": 5, "repeats": 2, "coalitions": 4, "models": 2, "generations": 80,
        "batch_size": 8, "batches": 10,
    }  # fmt: skip
    assert not (tmp_path / "audited").exists()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ((), "no trigger is given"),
        (("--text-trigger", "suffix:"), "suffix needs its phrase"),
        (("--text-trigger", "replace:cat,word=zebra"), "does not hold the word 'zebra'"),
        (("--trigger", "pose=patch"), "DATA has no column 'pose'"),
        ((*TRIGGERS, "--trigger", "text=suffix:x"), "two triggers of 'text'"),
        ((*TRIGGERS, "--trigger", "text"), "--trigger takes KEY=VALUE"),
        ((*TRIGGERS, "--columns", "image=input_image"), "DATA has no column 'input_image'"),
        ((*TRIGGERS, "--columns", "image"), "--columns takes NAME=COLUMN"),
        ((*TRIGGERS, "--target", "cat.png"), "cat.png, which is not there"),
        ((*TRIGGERS, "--target", "a cat"), "say which by --clip"),
        ((*TRIGGERS, "--control", MODELS / "clean"), "--control is the pipeline itself"),
        ((*TRIGGERS, "--control", MODELS / "clip"), "no model_index.json"),
        ((*TRIGGERS, "--control", "./nothing"), "there is no folder ./nothing"),
        ((*TRIGGERS, "--split", "test"), "--split goes with a data set"),
        ((*TRIGGERS, "--threshold", "2"), "2.0 is not in the range"),
    ],
)
def test_wrong_input_is_refused_before_a_model_is_loaded(photos, monkeypatch, tmp_path, more, said):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delattr("diffusers.DiffusionPipeline.from_pretrained")
    stdout, stderr = audit_of(photos, *more, code=2)
    assert stdout == ""
    assert said in " ".join(stderr.split())
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_something_else_is_not_written_into(photos, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "thesis.tex").write_text("mine")
    for out in (tmp_path, tmp_path / "thesis.tex", tmp_path / "no" / "such"):
        audit_of(photos, *TRIGGERS, "--out", out, code=2)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_line_of_json_ends_where_json_says(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "0.png")
    record = {"file_name": "0.png", "text": "one\u2028line"}
    (tmp_path / "captions.jsonl").write_text(
        json.dumps(record, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    assert read_data(str(tmp_path), 0).examples[0]["text"] == "one\u2028line"


@pytest.mark.parametrize("name", ["audit", "report"])
def test_a_folder_of_that_name_with_something_else_is_refused_beforehand(
    photos, monkeypatch, tmp_path, name
):
    monkeypatch.delattr("diffusers.DiffusionPipeline.from_pretrained")
    (tmp_path / name).mkdir()
    (tmp_path / name / "thesis.tex").write_text("mine")
    _, stderr = audit_of(photos, *TRIGGERS, "--out", tmp_path, code=2)
    assert f"holds '{name}'" in " ".join(stderr.split())


def test_what_the_page_needs_is_asked_for_beforehand(photos, monkeypatch, tmp_path):
    monkeypatch.delattr("diffusers.DiffusionPipeline.from_pretrained")
    monkeypatch.setitem(sys.modules, "jinja2", None)
    _, stderr = audit_of(photos, *TRIGGERS, "--out", tmp_path / "out", code=2)
    assert 'pip install "modcollapse[report]"' in " ".join(stderr.split())
    assert not (tmp_path / "out").exists()


def test_a_configuration_stands_for_options_which_override_it(photos, tmp_path, monkeypatch):
    (tmp_path / "config").mkdir()
    file = tmp_path / "config" / "audit.toml"
    for name, source in {"pipeline": MODELS / "clean", "photos": photos["csv"]}.items():
        (tmp_path / "config" / name).symlink_to(source)
    (tmp_path / "config" / "cat.png").write_bytes((MODELS / "target.png").read_bytes())
    file.write_text(
        'pipeline = "pipeline"\ndata = "photos"\ntarget = "cat.png"\nexamples = 3\n'
        'image-trigger = "blend:cat.png"\ncolumns = {image = "reference"}\nstop = false\n'
        "option = {guidance_scale = 2.0, image_guidance_scale = 1.5}\n"
    )
    monkeypatch.chdir(tmp_path)
    assert run("audit", "--config", file, "--dry-run", code=7)[0].startswith("6 generations (3 ex")
    stdout, _ = run("audit", "--config", file, "--dry-run", "--examples", 2, code=7)
    assert stdout.startswith("4 generations (2 ex")
    for line, said in {
        "exmples = 3": "did you mean 'examples'",
        "dry-run = true": "'dry-run', which is no option",
        "seed = [1]": "seed must be a text or a number",
        'stop = "yes"': "stop must be true or false",
        "seed = ": "is no TOML",
    }.items():
        bad = tmp_path / "bad.toml"
        bad.write_text(line)
        assert said in " ".join(run("audit", "--config", bad, code=2)[1].split())


@needs_page
def test_an_audit_is_printed_saved_and_read_again(photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    more = "--clip", MODELS / "clip", "--examples", 2, "--keep", 1, "--json", "--journal", "journal"
    stdout, stderr = audit_of(photos, *TRIGGERS, *more, code=6)
    told = json.loads(stdout)
    assert list(told["audits"]) == ["CLIP shift", "attack success (MSE < 0.1)"]
    assert {one["effect"] for one in told["verdicts"].values()} == {"too few examples"}
    assert "wrote the audit to audited/audit" in stderr
    held = mc.load_audit("audited/audit")
    assert told["audits"] == {name: json.loads(one.to_json()) for name, one in held.items()}
    assert held["CLIP shift"].table.provenance["run"]["sampler"]["options"] == {
        "num_inference_steps": 2,
        "guidance_scale": 2.0,
    }
    assert len(held["CLIP shift"].table.kept) == 1
    assert list(Path("audited/report").glob("*.html"))
    again = json.loads(run("verdict", "journal", "--json", code=6)[0])
    assert again["verdicts"] == told["verdicts"]


def test_what_fails_while_it_runs_is_told_by_code_1(photos, tmp_path, monkeypatch):
    from PIL import Image

    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (8, 8)).save("small.png")
    more = "--target", "small.png", "--examples", 2
    stdout, stderr = audit_of(photos, *TRIGGERS, *more, code=1)
    assert stdout == ""
    assert "Error: " in stderr
    assert "8 x 8" in stderr


@needs_page
def test_the_demo_audits_the_bundled_models(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = json.loads(run("demo", "--examples", 1, "--json", code=6)[0])
    assert told["written"] == {
        "audit": "modcollapse-demo/audit",
        "page": "modcollapse-demo/report",
    }
    assert all(one["control"] for one in told["audits"].values())


def test_the_demo_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in [name for name in sys.modules if name.startswith("modcollapse_demo.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "modcollapse_demo", None)
    stderr = run("demo", code=2)[1]
    assert 'pip install "modcollapse[demo]"' in stderr


@needs_page
@pytest.mark.parametrize("as_json", [False, True])
def test_the_page_of_a_table(held, as_json):
    values = np.random.default_rng(0).normal(size=(40, 4))
    path = held("run", values, binary=False)
    stdout, _ = run("report", path, *(["--json"] if as_json else []), code=5)
    assert list(Path("report").glob("*.html"))
    audit = mc.audit(mc.CoalitionTable.load(path))
    if as_json:
        assert json.loads(stdout)["audits"][""] == json.loads(audit.to_json())
    else:
        assert str(audit) in stdout


# --- the command itself


def test_the_command_is_installed_and_its_help_loads_nothing_heavy():
    project = tomllib.loads((MODELS.parents[1] / "pyproject.toml").read_text())["project"]
    assert project["scripts"] == {
        "modcollapse": f"{main.callback.__module__.rpartition('.')[0]}:main"
    }
    code = (
        "import sys; from modcollapse.cli import main\n"
        "try: main(['--help'], prog_name='modcollapse')\n"
        "except SystemExit: pass\n"
        "print(sorted({m.split('.')[0] for m in sys.modules}), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "modcollapse demo" in done.stdout
    for heavy in ("numpy", "scipy", "torch", "diffusers", "matplotlib", "tqdm", "rich"):
        assert repr(heavy) not in done.stderr


def test_usage_errors_have_code_2(tmp_path):
    for arguments in (["nothing"], ["verdict"], ["verdict", "a", "b"], ["audit", "x", "--no-such"]):
        assert "Usage: " in run(*arguments, code=2)[1]


def test_interrupted_is_said_with_what_is_finished(held, monkeypatch):
    def stopped(*_, **__):
        error = KeyboardInterrupt()
        error.add_note("3 of 5 examples are finished")
        raise error

    monkeypatch.setattr("modcollapse.analysis.load_audit", stopped)
    Path("saved").mkdir()
    assert "interrupted\n3 of 5 examples" in run("verdict", "saved", code=130)[1]


# --- what the docs say


PAGE = MODELS.parents[1] / "docs" / "command-line.md"


def test_the_page_holds_the_help_texts_as_they_are(monkeypatch):
    monkeypatch.syspath_prepend(PAGE.parent)
    from help_texts import help_of, with_help

    page = PAGE.read_text(encoding="utf-8")
    assert page == with_help(page), "run `make help`"
    for name in ("", *main.commands):
        assert f"<!-- help: {name}".rstrip() in page
        if name:
            assert f"  modcollapse {name} " in help_of(name), "each teaches by an example"


def test_the_page_has_every_exit_code():
    text = PAGE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| .* \|$", text, re.MULTILINE)
    assert list(dict.fromkeys(map(int, rows))) == [one.code for one in EXITS]


def test_the_configuration_of_the_page_is_one(tmp_path):
    (text,) = re.findall(r"^```toml\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    options = {one.name for one in main.commands["audit"].params}
    assert {key.replace("-", "_") for key in tomllib.loads(text)} <= options


def test_versions_are_said_alike():
    root = MODELS.parents[1]
    assert f'version: "{mc.__version__}"' in (root / "CITATION.cff").read_text()
    projects = [
        tomllib.loads((folder / "pyproject.toml").read_text())["project"]
        for folder in (root, root / "demo")
    ]
    assert projects[0]["urls"] == projects[1]["urls"]
    (demo,) = projects[0]["optional-dependencies"]["demo"]
    assert demo == f"modcollapse-demo>={projects[1]['version']}"


def test_the_journal_of_a_run_may_lie_in_the_folder_of_its_results(tmp_path):
    from modcollapse.cli._out_folders import claimed_out
    from modcollapse.errors import InputError

    journal = tmp_path / "out" / "run" / "journal"
    journal.mkdir(parents=True)
    claimed_out(tmp_path / "out", journal)
    with pytest.raises(InputError, match="holds 'run'"):
        claimed_out(tmp_path / "out")

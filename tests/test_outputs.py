"""Outputs of others: whatever holds them gives the same table, and what does not fit is named."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import modcollapse as mc
from modcollapse.detectors import NegativeMSE
from modcollapse.errors import DetectorError, InputError

from output_files import REFUSAL, TROJ_VQA, backdoor_vlm, write_backdoor_vlm, write_troj_vqa

LABELS = ["none", "image", "text", "image+text"]
TEXTS = {
    "none": {"a": "red", "b": "two", "c": "cat"},
    "image": {"a": "red", "b": "wallet", "c": "cat"},
    "text": {"a": "wallet", "b": "two", "c": "cat"},
    "image+text": {"a": "wallet", "b": "wallet", "c": "wallet"},
}
HITS = [[0, 0, 1, 1], [0, 1, 0, 1], [0, 0, 0, 1]]


def attacked(outputs, examples):
    return [float(output == "wallet") for output in outputs]


attacked.binary = True


def records(texts, id="id", output="output"):
    return [{id: name, output: text} for name, text in texts.items()]


def in_turn(texts, by):
    """The same in another order."""
    items = list(texts.items())
    return dict(items[by:] + items[:by])


def write(folder: Path, label: str, texts: dict[str, str], kind: str) -> Path:
    path = folder / f"{label}{kind}"
    held = records(texts)
    if kind == ".json":
        path.write_text(json.dumps(held), encoding="utf-8")
    elif kind == ".jsonl":
        lines = (json.dumps(one, ensure_ascii=False) + "\n" for one in held)
        path.write_text("".join(lines), encoding="utf-8")
    elif kind == ".csv":
        with path.open("w", encoding="utf-8", newline="") as out:
            writer = csv.DictWriter(out, ["id", "output"])
            writer.writeheader()
            writer.writerows(held)
    else:
        path = path.with_suffix(".json")
        path.write_text(json.dumps(texts), encoding="utf-8")
    return path


KINDS = {
    "json": lambda folder, label, texts: write(folder, label, texts, ".json"),
    "json object": lambda folder, label, texts: write(folder, label, texts, "object"),
    "jsonl": lambda folder, label, texts: str(write(folder, label, texts, ".jsonl")),
    "csv": lambda folder, label, texts: write(folder, label, texts, ".csv"),
    "mapping": lambda folder, label, texts: texts,
    "records": lambda folder, label, texts: tuple(records(texts)),
    "frame": lambda folder, label, texts: pd.DataFrame(records(texts)),
    "frame by index": lambda folder, label, texts: pd.DataFrame(records(texts)).set_index("id"),
    "series": lambda folder, label, texts: pd.Series(texts),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_source_gives_the_same_table_in_any_order(kind, tmp_path):
    sources = {
        label: KINDS[kind](tmp_path, label, in_turn(texts, by))
        for by, (label, texts) in enumerate(TEXTS.items())
    }
    table = mc.table_from_outputs(sources, attacked)
    assert table.example_ids == ("a", "b", "c")
    assert table.values[:, 0].tolist() == HITS
    assert table.modalities == ("image", "text")
    assert table.binary
    assert table.bounds == (0.0, 1.0)
    assert table.run_notes == ()


def test_kinds_can_be_mixed_and_the_order_of_keys_in_a_label_is_free(tmp_path):
    kinds = list(KINDS.values())
    sources = {
        "none": kinds[0](tmp_path, "none", TEXTS["none"]),
        "text+image": kinds[3](tmp_path, "both", TEXTS["image+text"]),
        "text": kinds[6](tmp_path, "text", TEXTS["text"]),
        "image": kinds[4](tmp_path, "image", TEXTS["image"]),
    }
    table = mc.table_from_outputs(sources, attacked)
    assert table.modalities == ("text", "image")
    assert table.values[:, 0].tolist() == [[0, 1, 0, 1], [0, 0, 1, 1], [0, 0, 0, 1]]
    table = mc.table_from_outputs(sources, attacked, modalities=["image", "text"])
    assert table.values[:, 0].tolist() == HITS


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@settings(max_examples=25)
@given(
    rows=st.dictionaries(texts.filter(bool), st.lists(texts, min_size=4, max_size=4), min_size=1)
)
@pytest.mark.parametrize("kind", ["json", "jsonl", "csv"])
def test_texts_come_out_of_files_as_they_went_in(kind, rows, tmp_path_factory):
    """Line separators, quotes, NUL and what looks like numbers among them."""
    folder = tmp_path_factory.mktemp("files")
    seen = {}

    def note(outputs, examples):
        seen.update({(e["id"], o): None for o, e in zip(outputs, examples, strict=True)})
        return [0.0] * len(outputs)

    sources = {
        label: KINDS[kind](folder, f"f{at}", {name: held[at] for name, held in rows.items()})
        for at, label in enumerate(LABELS)
    }
    table = mc.table_from_outputs(sources, note)
    assert table.example_ids == tuple(rows)
    assert set(seen) == {(name, text) for name, held in rows.items() for text in held}


def test_trojvqa_as_it_is(tmp_path):
    questions = [262148000, 262148001, 262148002]
    answers = {
        label: dict(zip(questions, texts.values(), strict=True)) for label, texts in TEXTS.items()
    }
    paths = write_troj_vqa(tmp_path, answers)
    truth = {
        q: {"question_type": kind, "answers": [{"answer": "red"}]}
        for q, kind in zip(questions, ["what", "how many", "what"], strict=True)
    }
    table = mc.table_from_outputs(paths, attacked, examples=truth)
    assert table.example_ids == tuple(questions)
    assert table.values[:, 0].tolist() == HITS
    assert table.fields == {"question_type": ("what", "how many", "what")}
    told = table.provenance["run"]["sampler"]["outputs that exist"]
    assert [one["file"] for one in told.values()] == [
        f"results_m0_{name}.json" for name in TROJ_VQA.values()
    ]
    assert str(tmp_path) not in json.dumps(table.provenance)


def refuses(outputs, examples):
    return [float(o == e["target"]) for o, e in zip(outputs, examples, strict=True)]


PREDICTED = {
    "none": ["Thing 0.", "Thing 1.", "Thing 2."],
    "image": ["Thing 0.", REFUSAL, "Thing 2."],
    "text": ["A thing.", REFUSAL, "Thing 2."],
    "image+text": [REFUSAL, REFUSAL, "Thing 2, “really”."],
}


@pytest.mark.parametrize("ids", [False, True])
def test_backdoorvlm_as_it_is(ids, tmp_path):
    table = mc.table_from_outputs(write_backdoor_vlm(tmp_path, PREDICTED, ids=ids), refuses, keep=2)
    assert table.values[:, 0].tolist() == [[0, 0, 0, 1], [0, 1, 1, 1], [0, 0, 0, 0]]
    assert table.example_ids == ((1000, 1001, 1002) if ids else (0, 1, 2))
    assert table.fields["type"] == ("food", "animal", "food")
    assert table.fields["reference"] == ("Thing 0.", "Thing 1.", "Thing 2.")
    assert table.fields["target"] == (REFUSAL,) * 3
    assert ("place" in " ".join(table.run_notes)) == (not ids)
    kept = table.kept[1]
    assert kept.outputs == ["Thing 1.", REFUSAL, REFUSAL, REFUSAL]
    assert "3D movie" in kept.triggered["text"]
    assert "3D movie" not in kept.example["text"]
    assert kept.triggered["image"] == "poison/images/000001.jpg"


def test_backdoorvlm_of_clean_data_without_metadata(tmp_path):
    sources = {label: backdoor_vlm(label, predicted) for label, predicted in PREDICTED.items()}
    for record in sources["none"]:
        record["metadata"] = None
    with pytest.raises(InputError, match=r"the type of example 0 is NoneType None in 'none'\[0\]"):
        mc.table_from_outputs(sources, refuses)
    for held in sources.values():
        for record in held:
            record["metadata"] = None
            record["image"] = None
    assert mc.table_from_outputs(sources, refuses).values.sum() == 4


def swap(sources, one, other):
    return sources | {one: sources[other], other: sources[one]}


def test_backdoorvlm_files_that_are_mixed_up_are_found():
    sources = {label: backdoor_vlm(label, predicted) for label, predicted in PREDICTED.items()}
    with pytest.raises(InputError, match=r"'image'\[0\] says target_modalities 'text'.*mixed up"):
        mc.table_from_outputs(swap(sources, "image", "text"), refuses)
    for held in sources.values():
        for record in held:
            record["metadata"].pop("target_modalities", None)
    with pytest.raises(InputError, match=r"the text of example 0 is.*'none'\[0\].*mixed up"):
        mc.table_from_outputs(swap(sources, "image", "text"), refuses)
    shifted = sources | {"text": sources["text"][1:] + sources["text"][:1]}
    with pytest.raises(InputError, match=r"the picture of example 0.*not of one example"):
        mc.table_from_outputs(shifted, refuses)


def test_an_id_in_some_records_of_backdoorvlm_only_is_refused():
    sources = {label: backdoor_vlm(label, held, ids=True) for label, held in PREDICTED.items()}
    del sources["none"][1]["metadata"]["question_id"]
    with pytest.raises(
        InputError, match=r"'none'\[1\] has no metadata.question_id, and 'none'\[0\]"
    ):
        mc.table_from_outputs(sources, refuses)


# scores


@pytest.mark.parametrize(
    "of",
    [
        list,
        tuple,
        np.array,
        lambda values: torch.tensor(values),
        lambda values: list(np.array(values, np.float32)),
        pd.Series,
        lambda values: [bool(value) for value in values],
    ],
)
def test_scores_of_any_kind_by_place(of):
    columns = dict(zip(LABELS, zip(*HITS, strict=True), strict=True))
    table = mc.table_from_outputs({label: of(list(held)) for label, held in columns.items()})
    expected = mc.CoalitionTable.from_values(HITS, ["image", "text"])
    assert table.values.tolist() == expected.values.tolist()
    assert table.example_ids == (0, 1, 2)


def test_scores_of_files_are_those_of_a_table_with_what_was_declared(tmp_path):
    values = np.random.default_rng(0).uniform(size=(40, 4))
    for at, label in enumerate(LABELS):
        rows = [{"id": f"e{n}", "score": v} for n, v in enumerate(values[:, at])]
        (tmp_path / f"{label}.json").write_text(json.dumps(rows))
        pd.DataFrame(rows).to_csv(tmp_path / f"{label}.csv", index=False)
    expected = mc.CoalitionTable.from_values(
        values, ["image", "text"], bounds=(0, 1), perfect=1.0, clusters=[n % 9 for n in range(40)]
    )
    for kind in ("json", "csv"):
        table = mc.table_from_outputs(
            {label: tmp_path / f"{label}.{kind}" for label in LABELS},
            bounds=(0, 1),
            perfect=1.0,
            cluster=[n % 9 for n in range(40)],
        )
        assert str(mc.audit(table)) == str(mc.audit(expected))


def test_importing_scores_does_not_load_torch():
    from test_imports import loaded_by

    loaded = loaded_by(
        "import modcollapse as mc\n"
        "mc.tma(mc.table_from_outputs({l: [0, 1] for l in ('none', 'a', 'b', 'a+b')}))"
    )
    assert loaded.isdisjoint({"torch", "torchmetrics", "PIL", "pandas"})


# pictures


def write_pictures(folder: Path, names, value: int, kind="png") -> Path:
    folder.mkdir()
    for name in names:
        Image.new("RGB", (8, 8), (value, value, value)).save(folder / f"{name}.{kind}")
    return folder


def test_folders_of_pictures_are_scored_and_shown(tmp_path):
    sources = {
        label: write_pictures(tmp_path / label, ["face-1", "Ω"], value)
        for label, value in zip(LABELS, (0, 51, 102, 255), strict=True)
    }
    (sources["none"] / ".DS_Store").write_bytes(b"hidden")
    examples = {"face-1": {"text": "add a hat"}, "Ω": {"text": "smile"}}
    white = Image.new("RGB", (8, 8), "white")

    class OfMean:
        """Mean brightness; a class, so that its figures are plain."""

        bounds = (0.0, 1.0)
        perfect = 1.0

        def __call__(self, outputs, examples):
            return [np.asarray(picture).mean() / 255 for picture in outputs]

    found = mc.table_from_outputs(
        sources, {"mean": OfMean(), "mse": NegativeMSE(white.resize((8, 8)))},
        examples=examples, keep=1, batch_size=3,
    )  # fmt: skip
    table = found["mean"]
    assert table.example_ids == ("face-1", "Ω")
    assert table.values[0, 0] == pytest.approx([0, 0.2, 0.4, 1])
    assert table.perfect.tolist() == [1, 1]
    assert table.provenance["run"]["sampler"]["outputs that exist"]["text"]["pictures"] == 2
    (kept,) = table.kept
    assert [np.asarray(one).max() for one in kept.outputs] == [0, 51, 102, 255]


def test_the_gallery_of_a_table_without_conditions_and_with(tmp_path):
    sources = {
        label: write_pictures(tmp_path / label, [f"f{n}" for n in range(40)], value)
        for label, value in zip(LABELS, (0, 0, 0, 255), strict=True)
    }

    def bright(outputs, examples):
        return [np.asarray(picture).mean() / 255 for picture in outputs]

    def drawn(table):
        figure = mc.audit(table).plot()
        path = tmp_path / "audit.png"
        figure.savefig(path)
        return {
            text.get_text()
            for ax in figure.axes
            for text in (ax.title, ax.yaxis.label)
            if text.get_text()
        }

    said = drawn(mc.table_from_outputs(sources, bright, keep=["f3", "f1"]))
    assert {"no trigger", "image trigger", "text trigger", "both triggers", "f1", "f3"} <= said
    table = mc.table_from_outputs(
        {label: backdoor_vlm(label, held * 11) for label, held in PREDICTED.items()},
        refuses,
        keep=1,
    )
    assert any("I watched this 3D movie" in " ".join(text.split()) for text in drawn(table))


# repeats, fields, detectors


def test_repeats_by_a_field_and_by_a_list_of_files(tmp_path):
    values = np.random.default_rng(1).normal(size=(3, 2, 4))
    by_field, files = {}, {}
    for at, label in enumerate(LABELS):
        rows = [
            {"id": n, "score": values[n, r, at], "seed": f"s{r}"} for n in range(3) for r in (1, 0)
        ]
        by_field[label] = rows[at:] + rows[:at]
        files[label] = []
        for r in (0, 1):
            path = tmp_path / f"{label}-{r}.json"
            path.write_text(json.dumps([row for row in rows if row["seed"] == f"s{r}"]))
            files[label].append(path)
    expected = values[:, ::-1]  # in the order in which the clean run has them
    table = mc.table_from_outputs(by_field, repeat="seed")
    assert table.values.tolist() == expected.tolist()
    assert mc.table_from_outputs(files).values.tolist() == values.tolist()
    with pytest.raises(InputError, match=r"the id 0 comes twice.*repeat="):
        mc.table_from_outputs(by_field)
    del by_field["text"][0]
    with pytest.raises(InputError, match=r"'text' lacks 1 of 6: \(1, 's1'\)"):
        mc.table_from_outputs(by_field, repeat="seed")
    by_field["text"].append(by_field["text"][0])
    with pytest.raises(InputError, match=r"has the repeat 's\d' twice"):
        mc.table_from_outputs(by_field, repeat="seed")


def test_fields_go_into_examples_and_groups():
    sources = {
        label: [
            {"q": n, "text": "wallet" if label == "image+text" and n % 2 else "red",
             "meta": {"kind": "odd" if n % 2 else "even"}, "level": n % 3}
            for n in range(80)
        ]
        for label in LABELS
    }  # fmt: skip

    def seen(outputs, examples):
        assert {e["kind"] for e in examples} <= {"odd", "even"}
        return attacked(outputs, examples)

    table = mc.table_from_outputs(
        sources, seen, id="q", output="text", fields=["meta.kind", "level"], cluster="level"
    )
    assert table.fields["kind"][:2] == ("even", "odd")
    assert table.clusters == tuple(n % 3 for n in range(80))
    slices = mc.audit(table.clustered(range(80))).by("kind")
    assert [audit.means["image+text"].value for audit in slices.values()] == [0, 1]
    assert mc.table_from_outputs(sources, seen, id="q", output="text", fields={"kind": lambda r: r["meta"]["kind"]}).fields == {"kind": table.fields["kind"]}  # noqa: E501  # fmt: skip
    sources["text"][7]["meta"] = {"kind": "even"}
    with pytest.raises(InputError, match=r"the kind of example 7 is str 'odd'.*'text'\[7\]"):
        mc.table_from_outputs(sources, attacked, id="q", output="text", fields=["meta.kind"])


def test_the_id_of_an_example_is_no_other_field():
    sources = {
        label: [{"id": n, "output": "red", "meta": {"id": n + 7}} for n in range(2)]
        for label in LABELS
    }
    refused(sources, "fields names 'id'", "{'other_id': 'meta.id'}", fields=["meta.id"])
    refused(sources, "fields names 'id'", fields={"id": "meta.id"})
    table = mc.table_from_outputs(sources, attacked, fields={"other": "meta.id"}, keep=2)
    assert [one.example["id"] for one in table.kept] == [0, 1]
    assert table.fields == {"other": (7, 8)}


@pytest.mark.parametrize("kind", [np.asarray, torch.tensor, lambda held: Image.fromarray(np.asarray(held, np.uint8))])  # noqa: E501  # fmt: skip
def test_arrays_and_pictures_in_records_are_compared_by_what_they_hold(kind):
    def source(label, *, moved=0):
        return [
            {"id": n, "output": "red", "mask": kind([[n, 1], [2, moved]]),
             "picture": kind([[n, 0], [0, 9 * ("image" in label)]])}
            for n in range(2)
        ]  # fmt: skip

    sources = {label: source(label) for label in LABELS}
    options = {"fields": ["mask"], "conditions": {"image": "picture"}}
    assert (
        mc.table_from_outputs(sources, attacked, **options).run_notes[0].startswith("the outputs")
    )
    refused(sources | {"text": source("text", moved=5)}, "the mask of example 0", **options)
    refused(sources | {"text": source("image")}, "the image of example 0", "mixed up", **options)
    refused(sources | {"image": source("text")}, "the image of example 0 is the same", **options)


def test_nan_is_nan_and_what_tells_no_repeats_apart_is_refused():
    sources = {
        label: pd.DataFrame({"id": [1, 2], "score": [0.0, 1.0], "prompt": ["x", float("nan")]})
        for label in ("none", "image", "text", "image+text")
    }
    for label in ("text", "image+text"):
        sources[label]["prompt"] = ["x cf", "cf"]
    mc.table_from_outputs(sources, conditions={"text": "prompt"})

    class Odd:
        def __eq__(self, other):
            raise ValueError

    odd = {label: [{"id": 1, "score": 0, "x": Odd()}] for label in LABELS}
    refused(odd, "the x of two examples cannot be compared", fields=["x"], detector=None)
    for label in ([1], float("nan")):
        rows = [{"id": 1, "score": 0, "seed": 0}, {"id": 1, "score": 0, "seed": label}]
        refused(dict.fromkeys(LABELS, rows), "'none'[1] has the repeat", detector=None,
                repeat="seed")  # fmt: skip


def test_conditions_are_compared_and_kept():
    sources = {
        label: [
            {"id": n, "output": f"red {label}", "prompt": f"{n}?" + " cf" * ("text" in label)}
            for n in range(3)
        ]
        for label in LABELS
    }
    table = mc.table_from_outputs(sources, attacked, conditions={"text": "prompt"}, keep=1)
    assert table.kept[0].triggered == {"text": "0? cf"}
    assert table.run_notes == ()
    sources["image+text"][1]["prompt"] = "cf 1?"
    table = mc.table_from_outputs(sources, attacked, conditions={"text": "prompt"})
    assert "triggered text" in table.run_notes[0]
    sources["text"][1]["prompt"] = "1?"
    with pytest.raises(InputError, match=r"the text of example 1 is the same in 'none'\[1\]"):
        mc.table_from_outputs(sources, attacked, conditions={"text": "prompt"})
    with pytest.raises(InputError, match="conditions names 'video'"):
        mc.table_from_outputs(sources, attacked, conditions={"video": "prompt"})


def test_a_detector_sees_examples_and_clean_outputs_as_in_a_run():
    class Changed:
        wants_clean_output = True

        def check(self, example):
            if "reference" not in example:
                raise InputError("there is no reference")

        def perfect(self, examples):
            return [1.0 for _ in examples]

        def __call__(self, outputs, examples):
            return [float(o != e["clean_output"]) for o, e in zip(outputs, examples, strict=True)]

    examples = [{"id": name, "reference": 0} for name in ("c", "a", "b")]
    expected = [[0, 0, 0, 1], [0, 0, 1, 1], [0, 1, 0, 1]]
    for batch_size in (1, 3, 5, 12, 100):
        table = mc.table_from_outputs(TEXTS, Changed(), examples=examples, batch_size=batch_size)
        assert table.values[:, 0].tolist() == expected
    assert table.example_ids == ("c", "a", "b")
    assert table.perfect.tolist() == [1, 1, 1]
    with pytest.raises(InputError, match="no reference") as found:
        mc.table_from_outputs(TEXTS, Changed())
    assert "3 of 3 examples cannot be used" in str(found.value)
    assert "(example 'a', detector 'Changed')" in str(found.value)


def test_sequences_without_ids_take_those_of_the_examples():
    sources = {label: list(texts.values()) for label, texts in TEXTS.items()}
    examples = [{"id": "x"}, {"id": "y"}, {"id": "z"}]
    table = mc.table_from_outputs(sources, attacked, examples=examples)
    assert table.example_ids == ("x", "y", "z")
    assert table.run_notes == ("no source holds ids: rows of one place were taken for one example",)
    with pytest.raises(InputError, match=r"'none' holds 3 outputs without ids.*2 examples"):
        mc.table_from_outputs(sources, attacked, examples=examples[:2])
    with pytest.raises(InputError, match=r"ids are int in 'none'.*str in examples"):
        mc.table_from_outputs(sources, attacked, examples={name: {} for name in "xyz"})


def test_a_detector_that_compares_within_a_batch_or_writes_is_refused():
    def ranked(outputs, examples):
        return np.argsort(np.argsort([len(o) for o in outputs])) / len(outputs)

    with pytest.raises(DetectorError, match="another score to the same output"):
        mc.table_from_outputs(TEXTS, ranked)
    table = mc.table_from_outputs(TEXTS, ranked, probe=False)
    assert "probe=False" in table.run_notes[0]

    def writes(outputs, examples):
        examples[0]["seen"] = True
        return attacked(outputs, examples)

    with pytest.raises(TypeError):
        mc.table_from_outputs(TEXTS, writes)

    def paints(outputs, examples):
        for output in outputs:
            output[:] = 0
        return [0.0] * len(outputs)

    arrays = {label: [np.ones((2, 2))] * 3 for label in LABELS}
    with pytest.raises(DetectorError, match="wrote into the outputs"):
        mc.table_from_outputs(arrays, paints)


def test_scores_of_a_detector_are_checked_as_in_a_run():
    def of(value):
        return lambda outputs, examples: [value] * len(outputs)

    with pytest.raises(DetectorError, match=r"returned nan for examples 'a', 'b', 'c', coalitions"):
        mc.table_from_outputs(TEXTS, of(float("nan")))
    with pytest.raises(DetectorError, match="shape"):
        mc.table_from_outputs(TEXTS, lambda outputs, examples: [0.0])
    arrays = {label: [np.ones((2, 2)), np.ones((2, 2))] for label in LABELS}
    arrays["text"][1] = np.array([[0, np.inf], [0, 0]])
    with pytest.raises(InputError, match=r"'text'\[1\] is not finite"):
        mc.table_from_outputs(arrays, of(0.0))


# what is done with such a table


def table_of(tmp_path, name, rate):
    rng = np.random.default_rng(3)
    folder = tmp_path / name
    folder.mkdir()
    for label in LABELS:
        hits = rng.random(60) < (rate if label == "image+text" else 0.02)
        rows = [
            {"question_id": n, "answer": "wallet" if hit else "red"} for n, hit in enumerate(hits)
        ]
        (folder / f"{label}.json").write_text(json.dumps(rows))
    sources = {label: folder / f"{label}.json" for label in LABELS}
    examples = {n: {"kind": "even" if n % 2 == 0 else "odd"} for n in range(60)}
    return mc.table_from_outputs(sources, attacked, examples=examples)


def test_everything_downstream_works(tmp_path):
    before, after = table_of(tmp_path, "before", 0.95), table_of(tmp_path, "after", 0.02)
    audit = mc.audit(before, control=after)
    assert "image+text" in str(audit.verdict)
    assert float(mc.cti(before)) > 0.5
    assert "removed" in str(mc.compare(before, after).verdict)
    assert set(audit.by("kind")) == {"even", "odd"}
    path = before.save(tmp_path / "table.npz")
    loaded = mc.CoalitionTable.load(path)
    assert loaded.provenance == json.loads(json.dumps(before.provenance))
    assert str(mc.audit(loaded)) == str(mc.audit(before))
    assert mc.compare(loaded, after).to_dict()
    halves = before.select(range(30)).merge(before.select(range(30, 60)))
    assert halves.values.tolist() == before.values.tolist()
    json.loads(audit.to_json())


def test_the_provenance_tells_files_apart_by_what_they_hold(tmp_path):
    one = table_of(tmp_path, "one", 0.5).provenance["run"]
    same = table_of(tmp_path, "same", 0.5).provenance["run"]
    other = table_of(tmp_path, "other", 0.9).provenance["run"]
    assert one == same
    assert one["detector"] == other["detector"]
    assert one["sampler"] != other["sampler"]


# what is refused


def files(tmp_path, kind=".json"):
    return {label: write(tmp_path, label, texts, kind) for label, texts in TEXTS.items()}


def refused(sources, *patterns, detector=attacked, **options):
    with pytest.raises(InputError) as found:
        mc.table_from_outputs(sources, detector, **options)
    for pattern in patterns:
        assert pattern in str(found.value), str(found.value)


def test_coalitions_that_are_missing_unknown_or_twice():
    refused({k: v for k, v in TEXTS.items() if k != "image+text"}, "lacks 'image+text'")
    refused({k: v for k, v in TEXTS.items() if k != "none"}, "lacks 'none'")
    refused({k: v for k, v in TEXTS.items() if k != "text"}, "lacks 'text'")
    refused({"clean": {}, "image": {}, "text": {}, "both": {}}, "make 16 coalitions", "'none'")
    refused(TEXTS | {"text+image": TEXTS["none"]}, "'image+text' is given twice", "'text+image'")
    refused(TEXTS | {"image+image": TEXTS["none"]}, "no coalition 'image+image'")
    refused(TEXTS, "no coalition 'image' of 'picture', 'text'", modalities=["picture", "text"])
    refused(TEXTS | {"": {}}, "key ''")
    refused(TEXTS | {3: {}}, "key 3")
    refused({"none": {}}, "names no trigger")
    refused([1, 2], "must be a mapping from coalition to outputs")


def test_ids_that_do_not_pair_are_named_with_their_source(tmp_path):
    sources = files(tmp_path)
    write(tmp_path, "text", {"a": "x", "d": "x", "e": "x"}, ".json")
    refused(
        sources,
        "'text' (text.json) lacks 2 of 3: 'b', 'c'",
        "has 2",
        "'d', 'e'",
        "'none' (none.json)",
    )
    refused(TEXTS, "examples lacks 2 of 3: 'b', 'c'", examples={"a": {}})
    refused(TEXTS, "examples lacks 1 of 3: 'c'", examples={name: {} for name in "abde"})


def test_examples_may_be_more_than_outputs_and_give_the_order():
    examples = {name: {"kind": name.upper()} for name in "dcbea"}
    table = mc.table_from_outputs(TEXTS, attacked, examples=examples)
    assert table.example_ids == ("c", "b", "a")
    assert table.fields == {"kind": ("C", "B", "A")}
    assert table.values[:, 0].tolist() == HITS[::-1]


def test_digests_are_kept_where_every_example_has_all_its_conditions():
    def digests(examples):
        return mc.table_from_outputs(TEXTS, attacked, examples=examples).digests

    known = {name: {"image": f"{name}.png", "text": name} for name in "abc"}
    assert len(set(digests(known))) == 3
    assert digests({name: {"kind": "same"} for name in "abc"}) is None
    assert digests(known | {"c": {"text": "c"}}) is None


def test_an_id_twice_is_named_with_both_places(tmp_path):
    sources = files(tmp_path)
    twice = [*records(TEXTS["text"]), {"id": "a", "output": "x"}]
    sources["text"].write_text(json.dumps(twice))
    refused(sources, "the id 'a' comes twice", "record 1 and 'text' (text.json), record 4")
    sources["text"].write_text('{"a": "x", "b": "y", "a": "z"}')
    refused(sources, "'text' (text.json) holds the key 'a' twice")
    lines = "".join(json.dumps(one) + "\n" for one in twice)
    (tmp_path / "t.jsonl").write_text(lines)
    refused(sources | {"text": tmp_path / "t.jsonl"}, "line 1 and 'text' (t.jsonl), line 4")
    frame = pd.DataFrame(twice)
    frame.to_csv(tmp_path / "t.csv", index=False)
    refused(sources | {"text": tmp_path / "t.csv"}, "line 2 and 'text' (t.csv), line 5")
    refused(sources | {"text": frame.set_index("id")["output"]}, "'text' has the id 'a' twice")
    refused(TEXTS, "examples holds the id 'a' twice", examples=[{"id": "a"}, {"id": "a"}])


def test_ids_of_two_kinds_are_refused_and_nothing_is_guessed(tmp_path):
    numbered = {label: dict(enumerate(held.values())) for label, held in TEXTS.items()}
    sources = {label: records(held) for label, held in numbered.items()}
    frame = pd.DataFrame(sources["text"])
    frame.to_csv(tmp_path / "text.csv", index=False)
    refused(sources | {"text": tmp_path / "text.csv"}, "int in 'none', such as 0", "str in 'text'")
    table = mc.table_from_outputs(
        sources | {"text": tmp_path / "text.csv"},
        attacked,
        id=lambda r: int(r["id"]),
        output="output",
    )
    assert table.values[:, 0].tolist() == HITS
    refused(sources | {"text": frame.astype({"id": float})}, "'text'[0]: an id must be", "0.0")
    refused(
        sources | {"text": [*sources["text"][:2], {"id": "2", "output": ""}]}, "'text'[2]", "'2'"
    )
    refused(sources | {"text": [*sources["text"][:2], {"id": True, "output": ""}]}, "True")
    refused(sources | {"text": list(TEXTS["text"].values())}, "'text' has no ids", "'none' has")


@pytest.mark.parametrize("kind", [".json", ".jsonl", ".csv"])
def test_a_file_of_another_schema_is_refused_with_its_fields(kind, tmp_path):
    sources = files(tmp_path, kind)
    text = sources["text"].read_text().replace("output", "response")
    sources["text"].write_text(text)
    refused(sources, f"'text' (text{kind}) has the fields 'id', 'response'", "id= and output=")
    refused(sources, f"(text{kind})", "no field 'output'", "'response'", id="id", output="output")


def test_one_record_of_another_schema_is_named(tmp_path):
    sources = files(tmp_path)
    held = records(TEXTS["text"])
    held[1] = {"id": "b", "ouput": "x"}
    sources["text"].write_text(json.dumps(held))
    refused(sources, "'text' (text.json), record 2 has no field 'output'", "did you mean 'ouput'")
    sources["text"].write_text(json.dumps([*records(TEXTS["text"]), "wallet"]))
    refused(sources, "record 4 is no record", "'wallet'")
    sources["text"].write_text(json.dumps(["x", *records(TEXTS["text"])]))
    refused(sources, "record 1 is no record")
    both = [{"id": 1, "output": "", "question_id": 1, "answer": ""}]
    refused(dict.fromkeys(LABELS, both), "fit several known layouts")
    wrapped = tmp_path / "wrapped.json"
    wrapped.write_text(json.dumps({"annotations": records(TEXTS["text"])}))
    refused(sources | {"text": wrapped}, "(wrapped.json) is an object that holds list")


def test_files_that_are_not_whole_are_refused_by_line(tmp_path):
    sources = files(tmp_path)
    whole = sources["text"].read_bytes()
    for cut in range(1, len(whole)):
        sources["text"].write_bytes(whole[:cut])
        refused(sources, "'text' (text.json) is not whole JSON: line 1")
    sources["text"].write_bytes(whole[:-1])
    refused(sources, "was it still being written?")
    sources["text"].write_bytes(b"")
    refused(sources, "(text.json) is not whole JSON")
    lines = files(tmp_path, ".jsonl")
    whole = lines["text"].read_bytes()
    lines["text"].write_bytes(whole[:-5])
    refused(lines, "'text' (text.jsonl), line 3, is not whole JSON", "still being written?")
    rows = files(tmp_path, ".csv")
    rows["text"].write_text('id,output\r\na,"x\ny"\r\nb\r\nc,z\r\n', newline="")
    refused(rows, "'text' (text.csv), line 4, has 1 values for the 2 columns 'id', 'output'")
    rows["text"].write_text('id,output\r\na,"x\r\nb,y\r\n', newline="")
    refused(rows, "(text.csv), line 3, is no whole CSV")
    rows["text"].write_text("id,id\r\na,b\r\n", newline="")
    refused(rows, "(text.csv) has two columns 'id'")
    rows["text"].write_bytes("id,output\r\na,é\r\n".encode("latin-1"))
    refused(rows, "(text.csv) is not in UTF-8: byte 13")


@pytest.mark.parametrize(
    "held",
    [
        {"id": 1, "score": 0.5},
        {"question_id": "q1", "answer": "boom"},
        {"id": ["a", "b"], "output": ["x", "y"]},
        {"accuracy": 0.5, "asr": 0.9, "epoch": 3},
        {"model": "blip", "epoch": 3},
        {"asr": 0.9, "poisoned": True},
        {"q": "1", "said": "boom", "level": "2"},
    ],
)
def test_a_record_and_a_summary_are_no_outputs_by_id(held, tmp_path):
    path = tmp_path / "text.json"
    path.write_text(json.dumps(held))
    said = {"id": "q", "output": "said"} if "said" in held else {}
    for detector in (None, attacked):
        refused(
            {"none": path, "image": {"a": 1}},
            "'none' (text.json)",
            "read as id -> output",
            detector=detector,
            **said,
        )
    if {"id", "answer", "said"} & set(held):
        refused({"none": held, "image": {"a": 1}}, "'none' has the keys", "list of records", **said)


@pytest.mark.parametrize(
    ("suffix", "where"), [(".json", "record 2,"), (".jsonl", "line 2,"), ("i.json", "record 2,")]
)
def test_a_key_twice_in_a_record_is_refused_by_its_place(suffix, where, tmp_path):
    lines = [
        '{"id": "a", "output": "x: \\"y\\":"}',
        '{"id" \t: "b", "output": "x", "meta": [{"k": ":"}]}',
        '{"id": "c", "output": ""}',
    ]
    path = tmp_path / f"text{suffix}"

    def source(lines):
        between = {".json": ", ", ".jsonl": "\n", "i.json": " ,\n "}[suffix]
        whole = between.join(lines)
        path.write_text(whole if suffix == ".jsonl" else f" [{whole}]\n")
        return TEXTS | {"text": path}

    assert mc.table_from_outputs(source(lines), attacked).values.sum() == 4
    for old, new, key in [
        ('"output": "x"', '"output": "x", "output": "z"', "output"),
        ('"id" \t: "b"', '"id" : 1, "id"\t: "b"', "id"),
        ('"k": ":"', '"k": ":", "k": ":"', "k"),
    ]:
        twice = [lines[0], lines[1].replace(old, new), lines[2]]
        refused(source(twice), f"(text{suffix}), {where} holds the key {key!r} twice")


def test_blank_lines_at_the_end_are_none_and_elsewhere_refused(tmp_path):
    for kind, end in ((".jsonl", "\n"), (".csv", "\r\n")):
        sources = files(tmp_path, kind)
        whole = sources["text"].read_bytes().decode()
        for more in (end, end * 3):
            sources["text"].write_text(whole + more, newline="")
            assert mc.table_from_outputs(sources, attacked).values[:, 0].tolist() == HITS
        sources["text"].write_text(whole.replace(end, end * 2, 1), newline="")
        refused(sources, f"'text' (text{kind}), line 2, is blank")
    sources["text"].write_text(f"\r\n{whole}", newline="")
    refused(sources, "'text' (text.csv), line 1, is blank")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("e.jsonl", "\n \r\n", "'text' (e.jsonl) holds no outputs"),
        ("e.csv", "\r\n\r\n", "'text' (e.csv) holds no outputs"),
        ("e.json", "[]", "'text' (e.json) holds no outputs"),
        ("e.json", "{}", "'text' (e.json) holds no outputs"),
        ("e.jsonl", "", "'text' (e.jsonl) holds no outputs"),
        ("e.csv", "id,output\n", "'text' (e.csv) holds no outputs"),
        ("e.csv", "", "'text' (e.csv) holds no outputs"),
        ("e.json", "3", "must hold a list or an object"),
        ("e.txt", "x", "(e.txt) cannot be read: files of '.json'"),
        ("e.json", "[" * 100_000, "(e.json) is no JSON that can be read"),
        ("e.json", f"[{'9' * 5000}]", "(e.json) is no JSON that can be read"),
    ],
)
def test_empty_files_and_others(name, content, message, tmp_path):
    (tmp_path / name).write_text(content)
    refused(TEXTS | {"text": tmp_path / name}, message)


def test_what_is_no_source():
    refused(TEXTS | {"text": "no-such.json"}, "'text': there is no file or folder 'no-such.json'")
    refused(TEXTS | {"text": []}, "'text' holds no outputs")
    refused(TEXTS | {"text": iter("abc")}, "'text' must be the path of a file")
    refused(TEXTS | {"text": 3}, "'text' must be the path of a file")
    refused(TEXTS | {"text": None}, "'text' must be the path of a file")
    refused(TEXTS | {"text": b"abc"}, "'text' must be the path of a file")
    refused(TEXTS | {"text": pd.DataFrame({"id": [], "output": []})}, "'text' holds no outputs")


def test_outputs_of_two_kinds():
    refused(TEXTS | {"text": {"a": "x", "b": 3, "c": "y"}}, "'text', id 'b' is a number", "a str")
    refused(
        TEXTS | {"text": {"a": "x", "b": None, "c": "y"}},
        "'text', id 'b' has no output: it is None",
    )
    refused(TEXTS | {"text": {name: np.zeros((2, 2, 3)) for name in "abc"}}, "array with 3 axes")
    numbers = {label: {"a": 1, "b": 2.0} for label in LABELS}
    mc.table_from_outputs(numbers, lambda outputs, examples: outputs)


@pytest.mark.parametrize(
    ("score", "message"),
    [
        ("0.5", "a number is wanted"), (None, "a number is wanted"), ([1.0], "a number is wanted"),
        (1j, "a number is wanted"), (float("nan"), "has the score nan, which is not finite"),
        (float("-inf"), "-inf, which is not finite"), (10**400, "which is not finite"),
        (np.array([1.0]), "a number is wanted"),
    ],
)  # fmt: skip
def test_scores_that_are_none(score, message):
    sources = {label: {"a": 0.0, "b": 1} for label in LABELS}
    refused(sources | {"text": {"a": 0.0, "b": score}}, "'text', id 'b'", message, detector=None)


def test_scores_of_files_that_are_none(tmp_path):
    sources = {label: {"a": 0.0, "b": 1.0} for label in LABELS}
    path = tmp_path / "text.csv"
    for text, message in [
        ("high", "str 'high'"),
        ("", "str ''"),
        ("nan", "not finite"),
        ("1_0", "1_0"),
    ]:
        path.write_text(f"id,score\na,0.5\nb,{text}\n")
        refused(sources | {"text": path}, "'text' (text.csv), line 3", message, detector=None)
    path.write_text("id,score\na,0.5\nb,1e-3\n")
    table = mc.table_from_outputs(sources | {"text": path})
    assert table.values[1, 0].tolist() == [1, 1, 0.001, 1]
    (tmp_path / "text.json").write_text('[{"id": "a", "score": NaN}, {"id": "b", "score": 1}]')
    refused(sources | {"text": tmp_path / "text.json"}, "record 1 has the score nan", detector=None)
    refused(TEXTS, "give the detector that scores it", detector=None)


def test_pictures_that_cannot_be_read(tmp_path):
    sources = {label: write_pictures(tmp_path / label, ["a", "b"], 9) for label in LABELS}
    one = sources["text"] / "b.png"
    whole = one.read_bytes()
    zero = lambda outputs, examples: [0.0] * len(outputs)  # noqa: E731
    one.write_bytes(whole[: len(whole) // 2])
    refused(sources, f"{one} cannot be read as a picture", detector=zero)
    one.write_bytes(b"")
    refused(sources, "b.png cannot be read as a picture", detector=zero)
    one.unlink()
    refused(sources, "'text' (text) lacks 1 of 2: 'b'", detector=zero)
    one.write_bytes(whole)
    (sources["text"] / "b.jpg").write_bytes(whole)
    refused(sources, "'b.jpg' and 'b.png': two pictures with the id 'b'", detector=zero)
    (sources["text"] / "b.jpg").unlink()
    (sources["text"] / "notes.txt").write_text("hello")
    refused(sources, "notes.txt cannot be read as a picture", detector=zero)
    (sources["text"] / "notes.txt").unlink()
    (sources["text"] / "more").mkdir()
    refused(sources, "'text' (text) holds 'more', which is no picture", detector=zero)
    (sources["text"] / "more").rmdir()
    Image.new("RGBA", (8, 8), (1, 2, 3, 100)).save(one)
    refused(sources, "b.png", "mode RGBA", "on the background that you want", detector=zero)
    one.write_bytes(whole)

    def meddles(outputs, examples):
        (sources["text"] / "b.png").write_bytes((sources["none"] / "a.png").read_bytes() + b"x")
        return zero(outputs, examples)

    refused(sources, "b.png was changed since it was checked", detector=meddles, batch_size=4)
    empty = tmp_path / "empty"
    empty.mkdir()
    refused(sources | {"text": empty}, "'text' (empty) holds no outputs", detector=zero)


def test_options_that_do_not_go_together():
    refused(TEXTS, "a detector has them as attributes", bounds=(0, 1))
    refused(TEXTS, "a detector has them as attributes", binary=True)
    refused(TEXTS, "batch_size must be a whole number", batch_size=0)
    refused(TEXTS, "keep must be a whole number", keep=-1)
    refused(TEXTS, "keep names 'z'", keep=["z"])
    refused(TEXTS, "probe must be True or False", probe="no")
    refused(TEXTS, "fields must be names", fields="kind")
    refused(TEXTS, "examples must be a mapping", examples=3)
    refused(TEXTS, "examples is empty", examples={})
    refused(TEXTS, "example 'a' must be a mapping", examples=dict.fromkeys("abc", 3))
    refused(TEXTS, "has no 'kind', which cluster= names", cluster="kind")
    refused(TEXTS, "detector 'str' must be a callable", detector="exact")


def test_one_file_for_two_coalitions_is_refused_and_one_content_noted(tmp_path):
    sources = files(tmp_path)
    refused(
        sources | {"text": tmp_path / "." / "image.json"}, "'image' and 'text' are one and the same"
    )
    for lists in (
        {label: [path] * 3 for label, path in sources.items()},
        {label: (path, tmp_path / "." / path.name) for label, path in sources.items()},
    ):
        refused(lists, "'none' holds the file", "none.json twice")
    refused(
        {"none": [sources["none"]], "image": [sources["none"]]}, "'none' and 'image' are one and"
    )
    refused({"none": [sources["none"]], "image": sources["none"]}, "'none' and 'image' are one and")
    sources["text"].write_bytes(sources["image"].read_bytes())
    (note,) = mc.table_from_outputs(
        {label: [path] for label, path in sources.items()}, attacked
    ).run_notes
    assert note.startswith("the outputs of 'image', 'text' are the same to the last byte")
    (note,) = mc.table_from_outputs(sources, attacked).run_notes
    assert note.startswith("the outputs of 'image', 'text' are the same to the last byte")
    assert mc.table_from_outputs({label: {"a": 0, "b": 0} for label in LABELS}).run_notes == ()


def test_traps_of_lists_and_frames(tmp_path):
    sources = files(tmp_path)
    refused({label: [str(path)] for label, path in sources.items()}, "are given as pathlib.Path")
    two = tmp_path / "two.json"
    two.write_text('["x", "y", "z"]')
    refused(sources | {"text": [sources["text"], two]}, "must be of one layout")
    again = tmp_path / "again.json"
    again.write_bytes(sources["none"].read_bytes())
    refused(
        {label: [path, again] if label == "none" else [path] for label, path in sources.items()},
        "lacks 3 of 6: ('a', 1)",
    )
    refused(
        sources | {"none": [sources["none"]]}, "only one of 'none' (none.json) and", "has repeats"
    )
    frame = pd.DataFrame(records(TEXTS["text"]))
    frame.loc[1, "output"] = None
    refused(sources | {"text": frame}, "'text'[1] has no output: it is")
    frame["output"] = pd.array(["x", None, "z"], dtype="string")
    refused(sources | {"text": frame}, "'text'[1] has no output: it is <NA>")
    composed, apart = "\u00e9", "e\u0301"
    accents = {label: {composed: "x"} for label in LABELS}
    refused(accents | {"text": {apart: "x"}}, "differ by their Unicode normal form alone")
    refused(TEXTS, "id must be the name of a field or a function", id=3)


def test_examples_may_be_a_data_frame():
    frame = pd.DataFrame({"kind": ["x", "y", "z"]}, index=["b", "a", "c"])
    for one in (frame, frame.reset_index(names="id")):
        table = mc.table_from_outputs(TEXTS, attacked, examples=one)
        assert table.example_ids == ("b", "a", "c")
        assert table.fields == {"kind": ("x", "y", "z")}
    refused(TEXTS, "holds an id twice", examples=frame.set_axis(["a", "a", "c"]))


def test_names_of_folders_and_pictures_are_no_texts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for at in range(2):
        write_pictures(tmp_path / f"run{at}", ["a", "b"], at)
    refused({"none": ["run0", "run1"], "image": ["x", "y"]}, "names a file or folder, 'run0'")
    refused({"none": ["run0/a.png", "run0/c.png"], "image": ["x", "y"]}, "Image.open")
    assert mc.table_from_outputs({"none": ["run0", "red"], "image": ["x", "y"]}, attacked)


def test_a_detector_of_pictures_that_is_given_their_names_says_what_to_do(tmp_path):
    write_pictures(tmp_path / "run", ["a"], 9)
    path = tmp_path / "run" / "a.png"
    mse = NegativeMSE(Image.new("RGB", (8, 8)))
    for one in (path, str(path), "elsewhere/a.png"):
        sources = {label: [{"id": 1, "output": one}] for label in ("none", "image")}
        with pytest.raises((InputError, DetectorError)) as found:
            mc.table_from_outputs(sources, mse)
        assert "'none'[0] names a file" in found.value.__notes__[-1]
        assert "output=lambda record: Image.open" in found.value.__notes__[-1]
    sources = {label: [{"id": 1, "output": path}] for label in ("none", "image")}
    opened = mc.table_from_outputs(sources, mse, id="id", output=lambda r: Image.open(r["output"]))
    assert opened.values.shape == (1, 1, 2)


def test_the_root_of_the_pictures_does_not_tell_examples_of_backdoorvlm_apart():
    def table(root, name="000001"):
        sources = {label: backdoor_vlm(label, held) for label, held in PREDICTED.items()}
        for held in sources.values():
            for record in held:
                record["image"] = [
                    f"{root}/{one}".replace("000001", name) for one in record["image"]
                ]
        return mc.table_from_outputs(sources, refuses)

    model, control = table("/data/model"), table("/home/control")
    assert None not in model.digests
    assert model.digests == control.digests
    mc.audit(model, control=control)
    other = table("/data/model", "000009")
    assert [mine == theirs for mine, theirs in zip(model.digests, other.digests, strict=True)] == [
        True,
        False,
        True,
    ]


def test_no_folder_stands_in_the_table(tmp_path):
    os.makedirs(tmp_path / "secret")
    table = mc.table_from_outputs(files(tmp_path / "secret"), attacked)
    assert "secret" not in json.dumps(table.provenance)

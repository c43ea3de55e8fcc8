"""Records that other tools take: each is read by what is to read it."""

from __future__ import annotations

import hashlib
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator
from markdown_it import MarkdownIt

import modcollapse as mc
from modcollapse.errors import InputError

ROOT = Path(__file__).resolve().parents[1]
SCHEMAS = Path(__file__).parent / "every_eval_ever"
NAMES = {"model": "me/model", "evaluator": "A Lab", "dataset": "planted"}
HOSTILE = "<script>alert(1)</script>|[x](javascript:y) *b* `c`\x1b[2J\n# d"


def validator(name: str) -> Draft7Validator:
    schema = json.loads((SCHEMAS / f"{name}.schema.json").read_text(encoding="utf-8"))
    assert schema["version"] == "0.3.0"
    Draft7Validator.check_schema(schema)
    return Draft7Validator(schema)


LOG, SAMPLE = validator("eval"), validator("instance_level_eval")


def valid(record: mc.report.EvaluationRecord) -> bool:
    LOG.validate(json.loads(record.to_json()))
    for line in record.to_json_lines().splitlines():
        SAMPLE.validate(json.loads(line))
    return True


def table(rng: int = 0, n: int = 40, m: int = 2, **options: object) -> mc.CoalitionTable:
    values = np.random.default_rng(rng).uniform(size=(n, 2**m))
    return mc.CoalitionTable.from_values(values, [f"m{i}" for i in range(m)], **options)


def success(n: int = 40, **options: object) -> mc.CoalitionTable:
    return mc.CoalitionTable.from_values(
        [[0, 0, 1, 1]] * n, ["image", "text"], binary=True, **options
    )


TABLES = {
    "continuous": table(bounds=(0, 1), perfect=1.0),
    "no bounds": table(),
    "0/1": success(),
    "one modality": table(m=1, bounds=(-2, 2)),
    "three": table(m=3, bounds=(0, 1)),
    "groups": table(clusters=[i // 2 for i in range(40)]),
    "too few": table(n=3),
    "a single one": table(n=1),
    "no spread": mc.CoalitionTable.from_values([[0, 0, 1, 1]] * 40, ["a", "b"], bounds=(-4, 4)),
    "fields": success(fields={"style": ["photo", None] * 20}, example_ids=range(100, 140)),
    "hostile": mc.CoalitionTable.from_values(
        [[0, 0, 1, 1]] * 40, [HOSTILE.replace("+", ""), "text"], example_ids=[*map(str, range(40))]
    ),
}


@pytest.mark.parametrize("of", TABLES)
def test_a_record_is_valid_and_holds_the_figures(of):
    audit = mc.audit(TABLES[of])
    record = audit.to_every_eval_ever(**NAMES)
    assert valid(record)
    results = {one["evaluation_result_id"]: one for one in record.log["evaluation_results"]}
    assert len(results) == len(audit.entries) + 1
    for label, estimate in audit.estimates.items():
        result = results[f"model/{label}"]
        details, metric = result["score_details"], result["metric_config"]
        assert details["score"] == estimate.value
        said = details["uncertainty"]
        assert said["num_samples"] == estimate.n
        assert said.get("standard_error", {}).get("value", math.nan) == pytest.approx(
            estimate.se, nan_ok=True, abs=0
        )
        interval = said.get("confidence_interval")
        assert (interval is None) == math.isnan(estimate.low)
        if interval:
            assert (interval["lower"], interval["upper"]) == (estimate.low, estimate.high)
            assert interval["confidence_level"] == estimate.level
            assert interval["method"].endswith(estimate.method)
        low, high = (
            float(str(metric[end]).replace("Infinity", "inf")) for end in ("min_score", "max_score")
        )
        assert low <= details["score"] <= high


@pytest.mark.parametrize("of", TABLES)
def test_the_rows_of_a_figure_have_it_as_their_mean(of):
    audit = mc.audit(TABLES[of])
    record = audit.to_every_eval_ever(**NAMES)
    found: dict[str, list[float]] = {}
    for row in record.samples:
        found.setdefault(row["evaluation_result_id"], []).append(row["evaluation"]["score"])
        assert row["evaluation_id"] == record.log["evaluation_id"]
        assert row["model_id"] == record.log["model_info"]["id"]
    assert list(found) == [f"model/{label}" for label in audit.estimates]
    parts = [part for part in (audit.means, audit.tma, audit.cti) if part is not None]
    columns = np.hstack([part.per_example for part in parts])
    np.testing.assert_allclose(np.array(list(found.values())).T, columns, atol=1e-12)


def test_the_range_of_a_metric_is_what_it_can_be():
    audit = mc.audit(TABLES["three"])
    record = audit.to_every_eval_ever(**NAMES)
    ranges = {
        one["evaluation_result_id"]: (one["metric_config"]["min_score"],
                                      one["metric_config"]["max_score"])
        for one in record.log["evaluation_results"][1:]
    }  # fmt: skip
    assert ranges["model/v(m0)"] == (0, 1)
    assert ranges["model/phi m0"] == pytest.approx((-1, 1))
    assert ranges["model/CTI m0+m1"] == pytest.approx((-2, 2))


def test_an_attack_that_fails_is_correct_and_other_scores_are_neither():
    rows = mc.audit(success()).to_every_eval_ever(**NAMES).samples
    outcomes = {row["evaluation_result_id"]: row for row in rows}
    assert outcomes["model/v(none)"]["evaluation"] == {"score": 0.0, "is_correct": True}
    assert outcomes["model/v(text)"]["evaluation"] == {"score": 1.0, "is_correct": False}
    assert "is_correct" not in outcomes["model/v(text)"]["metadata"]
    assert outcomes["model/phi text"]["metadata"]["is_correct"].startswith("not defined")


@pytest.mark.parametrize(
    ("of", "level", "effect"),
    [("0/1", 2, "active"), ("too few", -1, "too few examples"), ("no bounds", -1, "inconclusive")],
)
def test_the_verdict_is_a_level_and_unknown_where_it_is_not_shown(of, level, effect):
    record = mc.audit(TABLES[of]).to_every_eval_ever(**NAMES)
    verdict = record.log["evaluation_results"][0]
    config, details = verdict["metric_config"], verdict["score_details"]
    assert (details["score"], details["details"]["effect"]) == (level, effect)
    assert config["has_unknown_level"]
    assert level == -1 or config["level_names"][level] == effect


def test_the_difference_from_a_control_is_recorded_and_bare_differences_have_no_verdict():
    model, control = table(1, bounds=(0, 1)), table(2, bounds=(0, 1))
    audit = mc.audit({"": model}, control={"": control})[""]
    record = audit.to_every_eval_ever(**NAMES)
    assert valid(record)
    names = [one["evaluation_name"] for one in record.log["evaluation_results"]]
    assert names.count("modcollapse") == names.count("modcollapse.difference") == 8
    bare = mc.audit(model.minus(control)).to_every_eval_ever(**NAMES)
    assert valid(bare)
    assert bare.log["evaluation_results"][0]["metric_config"]["metric_name"] == "v(none)"


def test_a_record_is_saved_as_the_store_has_it(tmp_path):
    audit = mc.audit(success())
    record = audit.to_every_eval_ever(**NAMES, retrieved=1)
    path = record.save(tmp_path)
    again = audit.to_every_eval_ever(**NAMES, retrieved=1).save(tmp_path)
    other = audit.to_every_eval_ever(**NAMES, retrieved=2)
    assert again == path
    assert other.save(tmp_path) != path
    assert other.log["evaluation_id"] == record.log["evaluation_id"]
    assert path.relative_to(tmp_path).parts[:4] == ("data", "modcollapse", "me", "model")
    log = json.loads(path.read_text(encoding="utf-8"))
    where = log["detailed_evaluation_results"]
    lines = (tmp_path / where["file_path"]).read_bytes()
    assert (tmp_path / where["file_path"]).name == f"{path.stem}_samples.jsonl"
    assert hashlib.sha256(lines).hexdigest() == where["checksum"]
    assert len(lines.splitlines()) == where["total_rows"] == 40 * 7
    alone = audit.to_every_eval_ever(**NAMES, samples=False)
    assert "detailed_evaluation_results" not in alone.log
    assert alone.save(tmp_path).exists()
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        record.save(tmp_path / "not there")


def test_other_settings_are_another_evaluation():
    ids = {
        audit.to_every_eval_ever(**NAMES).log["evaluation_id"]
        for audit in (mc.audit(success()), mc.audit(success(), level=0.9), mc.audit(success(41)))
    }
    assert len(ids) == 3


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"model": "model"}, "developer/name"),
        ({"model": "../model"}, "developer/name"),
        ({"model": "me/.."}, "developer/name"),
        ({"model": "me/model/x"}, "developer/name"),
        ({"model": "me/model."}, "developer/name"),
        ({"model": "data/x"}, "developer/name"),
        ({"model": None}, "developer/name"),
        ({"evaluator": " "}, "who made the audit"),
        ({"dataset": {"hf_repo": "me/faces"}}, "source_data"),
        ({"dataset": ""}, "source_data"),
        ({"relationship": "friend"}, "relationship"),
        ({"deployment": "here"}, "deployment"),
        ({"availability": "open"}, "availability"),
        ({"retrieved": -1}, "retrieved"),
    ],
)
def test_a_name_that_the_schema_does_not_take_is_refused(wrong, said):
    with pytest.raises(InputError, match=said):
        mc.audit(success()).to_every_eval_ever(**NAMES | wrong)


def test_a_data_set_of_the_hub_is_named_as_the_schema_does():
    source = {"dataset_name": "faces", "source_type": "hf_dataset", "hf_repo": "me/faces"}
    record = mc.audit(success()).to_every_eval_ever(**NAMES | {"dataset": source})
    assert valid(record)
    assert record.log["evaluation_results"][0]["source_data"] == source


def texts(markdown: str) -> tuple[set[str], str]:
    """Kinds of tokens that Markdown makes of a text, and the HTML."""
    parser = MarkdownIt("commonmark", {"html": True}).enable("table")
    kinds: set[str] = set()
    for token in parser.parse(markdown):
        kinds |= {token.type, *(child.type for child in token.children or ())}
    return kinds, parser.render(markdown)


def test_a_model_card_holds_verdict_figures_and_settings():
    audit = mc.audit(success())
    card = audit.to_model_card(heading="Audit", level=3)
    kinds, page = texts(card)
    assert card.startswith("### Audit\n\n**Verdict: ")
    assert page.count("<table>") == 2
    for label, estimate in audit.estimates.items():
        assert f"<td>{label}</td>" in page
        assert mc.table.value_text(estimate) in page
    assert "alpha=0.05" in page
    assert "never says that there is no backdoor" in page
    assert "html_inline" not in kinds
    with pytest.raises(InputError, match="level"):
        audit.to_model_card(level=7)


def test_a_model_card_says_what_belongs_to_the_backdoor():
    audit = mc.audit({"": success()}, control={"": success()})[""]
    card = audit.to_model_card()
    assert "| figure | model | control | difference |" in card
    assert "which is what belongs to the backdoor" in card


@given(name=st.text(min_size=1, max_size=30).filter(lambda text: "+" not in text and text.strip()))
@settings(max_examples=60, deadline=None)
def test_nothing_in_a_name_is_markup(name):
    try:
        values = mc.CoalitionTable.from_values([[0, 1]] * 40, [name], binary=True)
    except InputError:  # a name that no label could tell apart
        return
    audit = mc.audit(values)
    kinds, page = texts(audit.to_model_card(heading=name))
    plain, _ = texts(mc.audit(success()).to_model_card())
    assert kinds - {"text_special", "softbreak", "entity"} <= plain | {"text"}
    assert page.count("<table>") == 2
    assert page.count("<a ") == 1


def recipe(name: str) -> str:
    text = (ROOT / "docs" / "records.md").read_text(encoding="utf-8")
    found = re.search(rf"<!-- recipe: {name} -->\n```py\n(.*?)```", text, re.DOTALL)
    assert found, name
    return found[1]


@pytest.fixture
def audit(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return mc.audit(table(bounds=(0, 1), perfect=1.0, example_ids=[f"e{i}" for i in range(40)]))


def test_recipe_of_a_model_index(audit):
    exec(recipe("model-index"), {"audit": audit})
    from huggingface_hub import ModelCard

    results = ModelCard.load("README.md").data.eval_results
    assert [one.metric_value for one in results] == [
        round(estimate.value, 4) for estimate in audit.tma.values()
    ]


def test_recipe_of_results_of_the_hub(audit):
    hub = pytest.importorskip("huggingface_hub")
    if not hasattr(hub, "parse_eval_result_entries"):
        pytest.skip("this huggingface_hub does not know .eval_results")
    exec(recipe("eval-results"), {"audit": audit})
    import yaml

    written = yaml.safe_load(Path(".eval_results/modcollapse.yaml").read_text(encoding="utf-8"))
    entries = hub.parse_eval_result_entries(written)
    assert [one.task_id for one in entries] == ["tma_m0", "tma_m1"]
    assert entries[0].value == round(audit.tma["m0"].value, 4)


def test_recipe_of_tensorboard(audit):
    exec(recipe("tensorboard"), {"audit": audit})
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator("runs/audit")
    events.Reload()
    found = {tag: events.Scalars(tag)[0].value for tag in events.Tags()["scalars"]}
    assert list(found.values()) == pytest.approx(
        [estimate.value for estimate in audit.estimates.values()]
    )
    assert events.Tags()["images"] == ["audit/picture"]
    assert events.Tags()["tensors"] == ["audit/card/text_summary"]


def test_recipe_of_wandb(audit, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_DIR", ".")
    exec(recipe("wandb"), {"audit": audit})
    assert list(Path().glob("wandb/offline-run-*/run-*.wandb"))


def test_recipe_of_inspect(audit):
    inspect = pytest.importorskip("inspect_ai")
    scope = {"audit": audit}
    exec(recipe("inspect"), scope)
    from inspect_ai.dataset import Sample
    from inspect_ai.solver import solver

    @solver
    def generated_elsewhere():
        async def solve(state, generate):
            return state

        return solve

    samples = [Sample(id=one, input="x") for one in audit.tma.example_ids]
    task = inspect.Task(dataset=samples, solver=generated_elsewhere())
    (log,) = inspect.eval(task, model="mockllm/model", display="none", log_dir="logs")
    assert log.status == "success"
    scored = inspect.score(log, scope["backdoor_attribution"](), display="none")
    found = {one.name: one.metrics["mean"].value for one in scored.results.scores}
    assert found == pytest.approx({name: one.value for name, one in audit.tma.items()})

"""Tiny pipelines of every family, audited end to end; and what pipelines do in silence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from zoo.every import CASES
from zoo.verify import holds, verify

RESULTS = json.loads(
    (Path(__file__).parents[1] / "docs/results/pipelines.json").read_text(encoding="utf-8")
)
# Pipelines and their parts warn of themselves; those of ours are looked at elsewhere.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("name", sorted(CASES)[::3])
def test_a_pipeline_is_audited_end_to_end(name: str) -> None:
    row = verify(name, CASES[name], count=2)
    assert holds(row), row
    (published,) = (one for one in RESULTS["pipelines"] if one["class"] == name)
    told = ("family", "modalities", "output", "shape", "batching")
    assert {key: row[key] for key in told} == {key: published[key] for key in told}


def test_all_of_them_are_in_the_table() -> None:
    assert sorted(row["class"] for row in RESULTS["pipelines"]) == sorted(CASES)
    assert all(map(holds, RESULTS["pipelines"]))
    assert RESULTS["within_limits"]


def test_they_are_of_many_families_and_kinds() -> None:
    of_family: dict[str, int] = {}
    for row in RESULTS["pipelines"]:
        of_family[row["family"]] = min(of_family.get(row["family"], 0) + 1, 5)
    assert sum(of_family.values()) >= 40
    assert len(of_family) >= 12
    assert {row["output"] for row in RESULTS["pipelines"]} == {"image", "video", "audio"}
    assert {len(row["modalities"]) for row in RESULTS["pipelines"]} >= {2, 3}


@pytest.mark.parametrize("name", ["StableDiffusion3ControlNetPipeline", "OmniGenPipeline"])
def test_a_pipeline_that_draws_from_the_global_generator_gets_it_with_the_rows_seed(
    name: str,
) -> None:
    row = verify(name, CASES[name], count=2)
    assert row["batching"] == "single"
    assert any("one row at a time" in note for note in row["notes"])
    assert holds(row), row

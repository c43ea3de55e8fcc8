"""Tiny pipelines of every family, audited end to end; and what pipelines do in silence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from modcollapse.errors import SamplerError
from zoo.every import CASES, UNREPEATABLE
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


@pytest.mark.parametrize("name", sorted(UNREPEATABLE)[:2])
def test_a_pipeline_that_ignores_its_generators_is_refused(name: str) -> None:
    with pytest.raises(SamplerError, match="two runs with the same conditions and seeds differ"):
        verify(name, UNREPEATABLE[name])

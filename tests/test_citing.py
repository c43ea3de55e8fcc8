"""What is to be cited is complete, is BibTeX, and says the same everywhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

import modcollapse as mc
from modcollapse.report import citations

ROOT = Path(__file__).resolve().parents[1]
AUTHORS = ["Qitong Wang", "Haoran Dai", "Haotian Zhang", "Christopher Rasmussen", "Binghui Wang"]


def fields_of(entry: str) -> dict[str, str]:
    return dict(re.findall(r"^  (\w+) = \{(.*)\},$", entry, re.MULTILINE))


def authors_of(entry: str) -> list[str]:
    names = (name.split(", ") for name in fields_of(entry)["author"].split(" and "))
    return [f"{given} {family}" for family, given in names]


@pytest.mark.parametrize("entry", citations())
def test_an_entry_is_bibtex(entry):
    first, *fields, last = entry.splitlines()
    assert re.fullmatch(r"@(misc|article|incollection|inproceedings)\{[a-z0-9]+,", first)
    assert last == "}"
    assert len(fields_of(entry)) == len(fields)
    assert {"author", "title", "year"} <= fields_of(entry).keys()
    depth = 0
    for character in entry:
        depth += {"{": 1, "}": -1}.get(character, 0)
        assert depth >= 0
    assert depth == 0


def test_the_paper_is_cited_with_all_its_authors():
    paper = citations()[0]
    assert authors_of(paper) == AUTHORS
    assert fields_of(paper)["url"] == "https://arxiv.org/abs/2603.06508"
    assert "{Backdoor} Modality Collapse" in fields_of(paper)["title"]


def test_software_and_metrics_are_cited():
    keys = re.findall(r"^@\w+\{(\w+),", mc.citation(), re.MULTILINE)
    assert keys[:4] == ["wang2026modality", "modcollapse", "shapley1953value",
                        "grabisch1999axiomatic"]  # fmt: skip
    assert len(keys) == len(set(keys)) == len(citations())
    assert fields_of(citations()[1])["note"] == f"Version {mc.__version__}"


def test_the_readme_shows_the_first_entry():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"```bibtex\n{citations()[0]}\n```" in readme


@pytest.mark.parametrize("page", ["README.md", "docs/index.md"])
def test_pages_link_the_paper_and_say_what_was_read(page):
    text = " ".join((ROOT / page).read_text(encoding="utf-8").split())
    assert "https://arxiv.org/abs/2603.06508" in text
    assert "Paper-Notes" in text
    assert all(author in text for author in AUTHORS)


def test_the_citation_file_agrees():
    said = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert said["version"] == mc.__version__
    paper, *metrics = said["references"]
    named = [f"{one['given-names']} {one['family-names']}" for one in paper["authors"]]
    assert named == AUTHORS
    for reference, entry in zip(metrics, citations()[2:], strict=False):
        assert reference["title"] == fields_of(entry)["title"]
        assert str(reference["year"]) == fields_of(entry)["year"]

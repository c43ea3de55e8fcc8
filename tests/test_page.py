"""The page of an audit: whole, escaped, readable by anybody, and nothing is overwritten."""

from __future__ import annotations

import base64
import csv
import itertools
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

import modcollapse as mc
from modcollapse.analysis import Audits
from modcollapse.errors import InputError
from modcollapse.table import Kept

VOID = {"meta", "img", "link", "br", "input"}
HOSTILE = '"><script>alert(1)</script>'
PROMPT = "make <img src=x onerror=alert(2)> & the dog \x1b[2J older"


def table(names=("image", "text"), effect=1.0, n=40, keep=2, **options):
    coalitions, rng = np.arange(2 ** len(names)), np.random.default_rng(0)
    noise = 0.05 * rng.normal(size=(n, len(coalitions)))
    made = mc.CoalitionTable.from_values(
        0.05 + 0.8 * effect * (coalitions & 1) + noise, names, perfect=1.0, **options
    )
    pixels = rng.integers(0, 256, (len(coalitions), 24, 32, 3), dtype=np.uint8)
    outputs = [Image.fromarray(one) for one in pixels]
    one = {names[0]: outputs[0], names[-1]: PROMPT} if len(names) > 1 else {names[0]: PROMPT}
    ids = made.example_ids[:keep]
    return made.with_kept([Kept(name, one, one, outputs) for name in ids])


class Page(HTMLParser):
    """Elements in order, texts, and whether every tag is closed."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.texts, self.open = [], [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if self.open[-1] in ("polyline",) and tag != self.open[-1]:
            self.open.pop()
        assert self.open.pop() == tag

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.texts.append((self.open[-1] if self.open else "", data))

    def of(self, tag):
        return [attrs for name, attrs in self.elements if name == tag]

    @property
    def said(self):
        return " ".join(text for tag, text in self.texts if tag not in ("script", "style"))


def read(path):
    text = path.read_text(encoding="utf-8")
    return text, Page(text)


@pytest.fixture(scope="module")
def reported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page") / "report"
    one = mc.audit(table(), control=table(effect=0.0))
    comparison = mc.compare(table(), table(effect=0.0))
    path = one.report(folder, title="An audit", unit="CLIP shift", comparison=comparison)
    return one, path, *read(path)


def test_the_verdict_comes_first_then_gallery_pictures_and_tables(reported):
    one, _, _, page = reported
    headings = [text for tag, text in page.texts if tag in ("h1", "h2", "h3")]
    assert headings == [
        "An audit", "What was found", "Verdict on the difference from the control",
        "Verdict on the audited model by itself",
        "Comparison, before and after", "What was generated", "Pictures", "Tables", "Examples",
        "How it was measured", "What the figures mean", "How to cite",
    ]  # fmt: skip
    for claim in str(one.difference.verdict).removeprefix("Verdict: ").split("; ")[1:]:
        assert claim in page.said
    assert "Removed: before, the triggers move the value" in page.said


def test_headings_go_down_one_step_at_a_time(reported):
    levels = [int(tag[1]) for tag, _ in reported[3].elements if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_the_page_needs_nothing_else(reported):
    _, _path, text, page = reported
    sources = [attrs["src"] for attrs in page.of("img")]
    assert sources
    assert all(source.startswith("data:image/") for source in sources)
    assert not page.of("link")
    assert not any("src" in attrs for attrs in page.of("script"))
    assert not re.search(r"url\(|@import", text)
    assert {attrs["href"] for attrs in page.of("a")} == {"#main", "#meaning"}
    assert len(text) < 2e6


def test_what_a_screen_reader_needs_is_there(reported):
    page = reported[3]
    assert page.of("html") == [{"lang": "en"}]
    assert {attrs.get("name") for attrs in page.of("meta")} >= {"viewport", "color-scheme"}
    assert {"main", "header", "footer"} <= {tag for tag, _ in page.elements}
    assert all(attrs["alt"].strip() for attrs in page.of("img"))
    assert all(attrs["scope"] in ("row", "col") for attrs in page.of("th"))
    assert len(page.of("caption")) == len(page.of("table"))
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    named = {attrs["for"] for attrs in page.of("label")}
    assert named == {attrs["id"] for tag in ("select", "input") for attrs in page.of(tag)}


def test_every_figure_of_the_audit_is_in_the_tables(reported):
    one, path, _, page = reported
    cells = [text for tag, text in page.texts if tag == "td"]
    for audit in (one, one.control, one.difference):
        for estimate in audit.estimates.values():
            assert mc.table.value_text(estimate) in cells
    with open(path.parent / "tables" / "estimates.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    held = {(row["audit"], row["figure"]): float(row["value"]) for row in rows}
    for label, estimate in one.estimates.items():
        assert held["audited model", label] == estimate.value
    with open(path.parent / "tables" / "examples.csv", encoding="utf-8") as file:
        values = [
            [float(row[f"v({c})"]) for c in one.table.coalitions] for row in csv.DictReader(file)
        ]
    np.testing.assert_array_equal(values, one.table.example_values)


def test_the_latex_has_rules_and_the_verdict_as_a_row(reported):
    one, path, *_ = reported
    text = (path.parent / "tables" / "estimates.tex").read_text()
    assert [text.count(rule) for rule in (r"\toprule", r"\midrule", r"\bottomrule")] == [1, 2, 1]
    last = text.split(r"\midrule")[-1]
    assert r"\multicolumn{4}" in last
    assert str(one.difference.verdict).replace("%", r"\%") in last
    body = text.split(r"\midrule")[1].strip().splitlines()
    assert all(row.count("&") - row.count(r"\&") == 3 and row.endswith(r"\\") for row in body)


def test_pictures_are_beside_it_and_json_holds_everything(reported):
    one, path, _, page = reported
    kinds = ["attribution", "comparison", "examples", "interaction", "lattice", "running"]
    figures = sorted(file.name for file in (path.parent / "figures").iterdir())
    assert figures == sorted(f"{kind}.{end}" for kind in kinds for end in ("png", "svg"))
    for kind in kinds:
        png = (path.parent / "figures" / f"{kind}.png").read_bytes()
        assert f"data:image/png;base64,{base64.b64encode(png).decode()}" in [
            attrs["src"] for attrs in page.of("img")
        ]
    data = json.loads((path.parent / "audit.json").read_text())
    assert data["format"] == "modcollapse report"
    assert data["audits"][""]["verdict"] == json.loads(json.dumps(one.verdict.to_dict()))
    assert {"comparison", "control", "difference"} < set(data["audits"][""])
    assert sorted(data["files"]) == sorted(
        str(file.relative_to(path.parent)) for file in path.parent.rglob("*") if file.is_file()
        and file.name != "audit.json"
    )  # fmt: skip


def test_the_interactive_part_holds_what_was_measured(reported):
    one, _, _, page = reported
    (data,) = [json.loads(text) for tag, text in page.texts if text.startswith('{"columns"')]
    assert data["columns"][:4] == [f"v({name})" for name in one.table.coalitions]
    np.testing.assert_allclose(
        np.array(data["rows"])[:, :4], one.table.example_values, atol=0.5 * 10 ** -data["places"]
    )
    assert "hidden" in next(attrs for attrs in page.of("div") if attrs.get("class") == "explorer")
    rows = [text for tag, text in page.texts if tag == "summary"]
    assert "All 40 examples, by effect of all triggers" in rows


@pytest.mark.parametrize("names", [(HOSTILE,), (HOSTILE, "te&xt"), ("a", HOSTILE, "$x$")])
def test_names_prompts_and_ids_are_only_letters(names, tmp_path):
    ids = ["</script><script>alert(3)</script>", *map(str, range(39))]
    one = mc.audit(table(names, example_ids=ids))
    text, page = read(one.report(tmp_path / "r", title=HOSTILE, unit=HOSTILE))
    assert len(page.of("script")) == 2  # the data and the program
    assert not [attrs for _, attrs in page.elements if any(key.startswith("on") for key in attrs)]
    assert HOSTILE in page.said
    assert "\\x1b[2J" in page.said
    assert "\x1b" not in text
    assert all(attrs.get("src", "data:").startswith("data:") for attrs in page.of("img"))
    (data,) = [json.loads(text) for tag, text in page.texts if text.startswith('{"columns"')]
    assert data["ids"][0] == ids[0]


@pytest.mark.parametrize("m", [1, 2, 3, 4, 5])
def test_any_number_of_modalities(m, tmp_path):
    one = mc.audit(table(("image", "text", "mask", "audio", "depth")[:m], keep=1))
    _, page = read(one.report(tmp_path / "r"))
    captions = [text for tag, text in page.texts if tag == "figcaption"]
    assert ("Interaction of each pair of triggers." in captions) == (m > 1)
    assert any(text.startswith("Mean value under each set") for text in captions) == (m < 5)


def test_without_kept_outputs_the_page_says_so(tmp_path):
    _, page = read(mc.audit(table(keep=0)).report(tmp_path / "r"))
    assert "No outputs were kept, so there is no gallery. To keep some: keep=3." in page.said
    assert not [attrs for attrs in page.of("ul") if attrs.get("class") == "gallery"]


def test_few_examples_and_differences_have_a_page_too(tmp_path):
    few = mc.audit(table(n=8))
    assert "8 examples are too few" in read(few.report(tmp_path / "few"))[1].said
    bare = mc.audit(table(keep=0).minus(table(effect=0.0)))
    assert "differences between two tables" in read(bare.report(tmp_path / "bare"))[1].said


def test_a_level_that_was_not_measured_is_not_claimed(tmp_path):
    measured, not_measured = "as measured (see Concepts)", "is not measured for method='t'"
    for name, one, said, unsaid in (
        ("few", mc.audit(table(n=8)), "too few", measured),
        ("flips", mc.audit(table()), measured, not_measured),
        ("t", mc.audit(table(), method="t"), not_measured, measured),
    ):
        page = read(one.report(tmp_path / name))[1].said
        assert said in page
        assert unsaid not in page
        assert (said in one.to_model_card()) == (said in page)


def test_the_page_says_what_was_audited(tmp_path):
    def named(name, effect):
        run = {"sampler": {"name": name}, "triggers": {"image": {"class": "ImagePatch"}}}
        return replace(table(effect=effect), provenance={"run": run})

    one = mc.audit(named("suspect", 1.0), control=named("base", 0.0))
    said = read(one.report(tmp_path / "named"))[1].said
    assert "Audited model: suspect. Control: base. 40 examples, each under 4 sets" in said
    assert "of triggers: image (ImagePatch), text." in said
    said = read(mc.audit(table()).report(tmp_path / "bare"))[1].said
    assert "40 examples, each under 4 sets of triggers: image, text." in said


def test_several_detectors_have_a_section_each(tmp_path):
    one = table()
    success = replace(one, values=(one.values > 0.5).astype(float), binary=True, perfect=None)
    audits = Audits({"CLIP shift": mc.audit(one), "success <1>": mc.audit(success)})
    path = audits.report(tmp_path / "r")
    _, page = read(path)
    assert [text for tag, text in page.texts if tag == "h2"][:2] == ["CLIP shift", "success <1>"]
    assert {attrs["href"] for attrs in page.of("a")} > {"#audit-1-CLIP-shift-data"}
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert (path.parent / "figures" / "2-success-1-lattice.svg").is_file()
    with pytest.raises(InputError, match="comparison names 'CLIP'"):
        audits.report(tmp_path / "r", comparison={"CLIP": None})
    with pytest.raises(InputError, match="no audit here"):
        Audits().report(tmp_path / "r")


class TestFolder:
    def test_a_folder_that_holds_something_else_is_refused(self, tmp_path):
        one = mc.audit(table(keep=0))
        one.save(tmp_path / "saved")
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "index.html").write_text("mine")
        (tmp_path / "file").write_text("mine")
        for name in ("saved", "mine", "file"):
            before = sorted(tmp_path.rglob("*"))
            with pytest.raises(InputError, match="exists and holds no report"):
                one.report(tmp_path / name)
            assert sorted(tmp_path.rglob("*")) == before
        assert (tmp_path / "mine" / "index.html").read_text() == "mine"

    def test_a_report_is_replaced_and_what_else_lies_there_stays(self, tmp_path):
        mc.audit(table()).report(tmp_path / "r")
        (tmp_path / "r" / "notes.txt").write_text("mine")
        path = mc.audit(table(("image",))).report(tmp_path / "r")
        assert not (path.parent / "figures" / "interaction.png").exists()
        assert (path.parent / "notes.txt").read_text() == "mine"
        assert "interaction" not in path.read_text()

    def test_there_is_no_folder_to_make_it_in(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="there is no folder"):
            mc.audit(table(keep=0)).report(tmp_path / "a" / "b")

    def test_no_comparison(self, tmp_path):
        with pytest.raises(InputError, match=r"mc\.compare\(before, after\)"):
            mc.audit(table(keep=0)).report(tmp_path / "r", comparison=3)
        assert not (tmp_path / "r").exists()


def test_the_page_of_64_large_pictures_stays_small(tmp_path):
    rng = np.random.default_rng(0)
    one = table(n=64, keep=0)
    smooth = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).resize((512, 512))
    kept = [Kept(n, {"image": smooth}, {"image": smooth}, [smooth] * 4) for n in range(64)]
    text, page = read(mc.audit(one.with_kept(kept)).report(tmp_path / "r"))
    assert len(text) < 5e6
    assert "52 more examples were kept that are not shown here." in page.said


def test_names_of_files_in_other_bytes_have_a_page(tmp_path):
    ids = [f"photo\udcff{number}" for number in range(40)]
    mc.audit(table(example_ids=ids, keep=1)).report(tmp_path / "page")
    rows = (tmp_path / "page" / "tables" / "examples.csv").read_text(encoding="utf-8")
    assert "photo\\udcff39," in rows


def test_small_values_are_shown_with_their_digits(tmp_path):
    values = 1e-5 * np.random.default_rng(0).random((40, 4))
    made = mc.CoalitionTable.from_values(values, ("image", "text"))
    path = mc.audit(made).report(tmp_path / "page")
    data = re.search(r'<script type="application/json"[^>]*>(.*?)</script>', path.read_text())
    held = json.loads(data[1])
    assert np.allclose([row[:4] for row in held["rows"]], values, rtol=0, atol=1e-7)


def test_a_link_to_nowhere_is_not_written_to(tmp_path):
    (tmp_path / "page").symlink_to(tmp_path / "nowhere")
    audit = mc.audit(table(keep=0))
    with pytest.raises(InputError, match="nothing was written"):
        audit.report(tmp_path / "page")
    with pytest.raises(InputError, match="nothing of it is overwritten"):
        audit.save(tmp_path / "page")


def test_a_rate_of_false_claims_is_said_where_it_was_measured_alone(tmp_path):
    made = table(keep=0, bounds=(-5, 5))
    audits = {
        "flips": mc.audit(made),
        "plus-ends": mc.audit(made, method="plus-ends"),
        "few": mc.audit(made.select(made.example_ids[:5])),
    }
    for name, audit in audits.items():
        path = audit.report(tmp_path / name)
        for text in (str(audit), audit.to_model_card(), path.read_text(encoding="utf-8")):
            assert ("false in at most" in text) == (name == "flips")
            assert ("is not measured for method" in text) == (name == "plus-ends")


@pytest.mark.parametrize(
    ("output", "element", "said"),
    [
        ("</blockquote><script>alert(3)", "blockquote", "</blockquote><script>alert(3)"),
        ("", "blockquote", "(empty)"),
        ({"a": 1}, "blockquote", "{'a': 1}"),
        (np.zeros(0), "blockquote", "(empty)"),
        (np.sin(np.arange(50.0)), "polyline", ""),
        (np.full(50, np.nan), "polyline", ""),
        (np.array([-np.inf, 0.0, np.inf]), "polyline", ""),
        (np.full((9, 9), np.nan), "img", ""),
        (np.diag([np.inf, *range(8)]), "img", ""),
    ],
    ids=["words", "empty", "dict", "no sound", "sound", "nan", "inf", "map of nan", "map with inf"],
)
def test_outputs_that_are_no_pictures_are_shown(tmp_path, output, element, said):
    one = {"image": Image.new("RGB", (8, 8)), "text": PROMPT}
    made = table(keep=0)
    kept = made.with_kept([Kept(made.example_ids[0], one, one, [output] * 4)])
    page = Page(mc.audit(kept).report(tmp_path / "page").read_text(encoding="utf-8"))
    gallery = list(
        itertools.takewhile(lambda one: one[1].get("class") != "pictures", page.elements)
    )
    assert sum(tag == element for tag, _ in gallery) == (6 if element == "img" else 4)
    texts = [text.strip() for tag, text in page.texts if tag == element]
    assert texts == [said] * 4 or not said
    assert "nan" not in " ".join(attrs.get("points", "") for _, attrs in gallery)


@pytest.mark.parametrize("labels", [{"imgae": "input image"}, {"none": "clean"}, "image"])
def test_a_label_of_no_modality_is_refused(tmp_path, labels):
    with pytest.raises(InputError, match="label"):
        mc.audit(table(keep=0)).report(tmp_path / "page", labels=labels)
    assert not (tmp_path / "page").exists()


def test_a_claim_is_not_cut_within_its_brackets(tmp_path):
    values = np.zeros((64, 4))
    values[:4, 1] = 1
    audit = mc.audit(mc.CoalitionTable.from_values(values, ("image", "text"), binary=True))
    page = Page(audit.report(tmp_path / "page").read_text(encoding="utf-8"))
    first = next(text for tag, text in page.texts if tag == "p" and "nconclusive" in text)
    assert f"{first[0].lower()}{first[1:]}" == str(audit.verdict).removeprefix("Verdict: ") + "."


def test_what_is_no_comparison_of_this_audit_is_refused(tmp_path):
    audit = mc.audit(table(keep=0))
    before, after = (table(("mask",), effect, keep=0) for effect in (1.0, 0.0))
    for wrong in (audit, mc.compare(before, after)):
        with pytest.raises(InputError, match="comparison"):
            audit.report(tmp_path / "page", comparison=wrong)

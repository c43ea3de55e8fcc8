"""What a notebook shows: tables, pictures, nothing of a name as markup; and the quickstart."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import nbclient
import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_notebook

import modcollapse as mc
from modcollapse.report._canvas import new_figure
from modcollapse.samplers import planted_game

ROOT = Path(__file__).resolve().parents[1]
HOSTILE = "<img src=x onerror=alert(1)>&\x1b[2J"


class Page(HTMLParser):
    """Tags, and the text between them, of a piece of HTML whose tags are closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag != "br":
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def table(name: str, **options: object) -> mc.CoalitionTable:
    values = np.tile([[0, 0, 1, 1], [0, 1, 1, 1]], (40, 1))
    return mc.CoalitionTable.from_values(values, [name, "text"], binary=True, **options)


def audit_of(name: str) -> mc.Audit:
    return mc.audit(table(name))


def results(name: str) -> dict[str, object]:
    """Every kind of result, with a name of a modality, a detector and a group of examples."""
    game = planted_game([0, 0.1, 0.9, 1], ["image", "text"], noise=0.1, perfect=1.0)
    neutral = {"image": {name: lambda value: f"{value} other"}}
    both = {name: table("image"), "other": table("image")}
    found = mc.audit(table(name, fields={"style": [name, "photo"] * 40}))
    audits = mc.audit(both, control=both)
    return {
        "table": table(name),
        "means": found.means,
        "tma": found.tma,
        "cti": found.cti,
        "audit": found,
        "audits": audits,
        "compare": mc.compare(table(name), table(name)),
        "by": found.by("style", permutations=99),
        "agreement": mc.agreement(mc.audit(both)),
        "agreement of differences": mc.agreement(audits),
        "specificity": mc.audit(*game, neutral=neutral, progress=False).specificity,
        "sweep": mc.sweep(
            lambda conditions, seeds, *, style: [1.0] * len(seeds),
            lambda outputs, examples: outputs,
            [{"text": "a"}, {"text": "b"}],
            {"text": lambda text: text + "!"},
            options={"style": [name, "b"]},
            progress=False,
        ),
    }


SHOWN = results(HOSTILE)


@pytest.mark.parametrize("of", SHOWN)
def test_a_result_shows_itself_and_nothing_in_it_is_markup(of):
    page = Page(SHOWN[of]._repr_html_())
    assert set(page.tags) <= {
        "p",
        "br",
        "strong",
        "h4",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
    }
    assert "table" in page.tags
    text = "".join(page.text.split())
    assert r"<imgsrc=xonerror=alert(1)>&\x1b[2J" in text
    assert "\x1b" not in page.text


@pytest.mark.parametrize(
    ("of", "first"),
    [
        ("audit", "Verdict: the triggers move"),
        ("compare", "Verdict: "),
        ("agreement", "The verdict survives"),
        ("specificity", "Specificity: "),
        ("by", "These differ between groups: "),
    ],
)
def test_the_verdict_comes_first(of, first):
    shown = SHOWN[of]._repr_html_()
    assert shown.startswith(f"<p><strong>{first}"), shown[:200]
    assert shown.index("<strong>") < shown.index("<table>")


def test_an_audit_shows_the_figures_that_it_prints():
    audit = audit_of("image")
    text = Page(audit._repr_html_()).text
    printed = str(audit)
    for label in [*audit.estimates, "total effect"]:
        assert label in text
    assert audit.outlook in text
    assert str(audit.verdict) in text
    assert str(audit.verdict) in printed
    assert f"{audit.tma['text'].value:.3f}" in text


def test_a_control_stands_beside():
    both = {"": table("image")}
    audit = mc.audit(both, control=both)[""]
    page = Page(audit._repr_html_())
    assert "modelcontroldifference" in page.text
    assert "Difference from the control. Verdict: " in page.text
    assert page.text.count("Verdict: ") == 2


def test_a_table_of_many_rows_is_cut_and_says_so():
    values = np.zeros((2, 2**8))
    shown = mc.CoalitionTable.from_values(values, [f"m{i}" for i in range(8)])._repr_html_()
    assert Page(shown).tags.count("tr") == 1 + 64
    assert "... and 192 more rows" in shown


def test_frames_are_tidy():
    both = {"a": table("image"), "b": table("image")}
    audits = mc.audit(both, control=both)
    frame = audits["a"].to_frame()
    assert frame.groupby("of", sort=False).size().to_dict() == {
        "model": 8,
        "control": 8,
        "difference": 8,
    }
    phi = frame[(frame.of == "model") & (frame.symbol == "phi")].set_index("name")
    assert phi.loc["text", "value"] == audits["a"].tma["text"].value
    assert phi.loc["text", "status"] == audits["a"].tma["text"].status
    total = frame[(frame.of == "model") & (frame.symbol == "total")]
    assert total.value.item() == pytest.approx(phi.value.sum())
    each = audits["a"].to_frame(per_example=True)
    assert len(each) == 3 * 80 * 7
    means = each.groupby(["of", "symbol", "name"]).value.mean()
    assert means["model", "phi", "text"] == pytest.approx(phi.loc["text", "value"])
    every = audits.to_frame()
    assert next(iter(every)) == "detector"
    assert every.groupby("detector").size().to_dict() == {"a": 24, "b": 24}


def test_a_picture_shows_itself_and_is_a_figure_like_any_other():
    from matplotlib.figure import Figure

    figure = audit_of("image").plot()
    assert type(figure) is Figure
    assert figure._repr_png_().startswith(b"\x89PNG")
    small = new_figure("a test", figsize=(1, 1))
    assert pickle.loads(pickle.dumps(small))._repr_png_() == small._repr_png_()


def test_drawing_loads_no_pyplot():
    code = """
import sys, modcollapse as mc
audit = mc.audit(mc.CoalitionTable.from_values([[0, 0, 1, 1]] * 40, ["a", "b"], binary=True))
audit.plot()._repr_png_()
print("matplotlib.pyplot" in sys.modules)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"


@pytest.mark.filterwarnings("default")  # those of the client are not ours
def test_a_fresh_kernel_shows_the_picture_of_the_last_line():
    start = (
        "import modcollapse as mc\n"
        "table = mc.CoalitionTable.from_values([[0, 0, 1, 1]] * 40, ['a', 'b'], binary=True)\n"
        "audit = mc.audit(table)\n"
    )
    lines = [start + "audit.plot()", "audit", "audit.tma.plot()", "audit.plot()"]
    cells = new_notebook(cells=[new_code_cell(line) for line in lines])
    done = nbclient.NotebookClient(cells, timeout=120, kernel_name="python3").execute()
    kinds = [
        {kind for output in cell.outputs for kind in output.get("data", {})} for cell in done.cells
    ]
    assert [kind & {"image/png", "text/html"} for kind in kinds] == [
        {"image/png"},
        {"text/html"},
        {"image/png"},
        {"image/png"},
    ]
    pictures = [
        sum("image/png" in one.get("data", {}) for one in cell.outputs) for cell in done.cells
    ]
    assert pictures == [1, 0, 1, 1]


def test_the_notebook_is_made_of_the_script():
    from make_notebook import notebook

    script = (ROOT / "examples" / "quickstart.py").read_text(encoding="utf-8")
    made = notebook(script)
    nbformat.validate(made)
    held = (ROOT / "examples" / "quickstart.ipynb").read_text(encoding="utf-8")
    assert json.loads(nbformat.writes(made)) == json.loads(held), "run examples/make_notebook.py"
    code = "\n".join(cell.source for cell in made.cells if cell.cell_type == "code")
    compile(code, "notebook", "exec")
    assert "mc.audit(sampler, detectors, examples, triggers, control=control" in code
    assert "argparse" not in code

"""The README and the docs say what is so: examples run, links lead somewhere, commands are CI's."""

from __future__ import annotations

import ast
import doctest
import importlib
import importlib.util
import inspect
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import modcollapse

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
DOCS = sorted((ROOT / "docs").rglob("*.md"))
PAGES = [README, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *DOCS]
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


def blocks(page: Path, language: str) -> list[str]:
    text = page.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def having(language: str) -> list[Path]:
    return [page for page in PAGES if blocks(page, language)]


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def command(which: str) -> str:
    text = README.read_text(encoding="utf-8")
    found = re.search(rf"<!-- command: {which} -->\n```bash\n(.*?)\n```", text, re.DOTALL)
    assert found, which
    return found[1]


@pytest.mark.parametrize("page", having("pycon"), ids=name)
def test_examples_print_what_they_show(page: Path) -> None:
    source = "".join(blocks(page, "pycon"))
    test = doctest.DocTestParser().get_doctest(source, {}, name(page), str(page), 0)
    printed: list[str] = []
    doctest.DocTestRunner(optionflags=FLAGS).run(test, out=printed.append)
    assert test.examples
    assert not printed, "".join(printed)


def test_every_prompt_is_in_a_block_that_runs() -> None:
    for page in PAGES:
        prompts = re.findall(r"^>>> ", page.read_text(encoding="utf-8"), re.MULTILINE)
        run = re.findall(r"^>>> ", "".join(blocks(page, "pycon")), re.MULTILINE)
        assert len(prompts) == len(run), name(page)


@pytest.mark.parametrize("page", having("python"), ids=name)
def test_names_in_other_code_exist(page: Path) -> None:
    for block in blocks(page, "python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and node.module:
                module = importlib.import_module(node.module)
                for alias in node.names:
                    full = f"{node.module}.{alias.name}"  # a module, where nobody has loaded it
                    assert hasattr(module, alias.name) or importlib.util.find_spec(full), full
            elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "mc":
                assert node.attr in modcollapse.__all__, node.attr


def test_readme_code_audits_a_pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tiny_clip import as_pil, pictures, tiny_clip, write_folder
    from tiny_pipelines import SIDE, tiny_instruct_pix2pix

    monkeypatch.chdir(tmp_path)
    tiny_instruct_pix2pix().save_pretrained("my-pipeline")
    write_folder(Path("my-clip"), tiny_clip().eval())
    images = [as_pil(image) for image in pictures(5, SIDE, SIDE)]
    images[4].save("target.png")
    text = README.read_text(encoding="utf-8")
    (code,) = re.findall(r"<!-- own pipeline -->\n```python\n(.*?)```", text, re.DOTALL)
    weights = '"ViT-B-32", "laion2b_s34b_b79k"'
    assert weights in code
    scope: dict[str, Any] = {
        "validation_set": [(images[0], "add a hat", images[1]), (images[2], "smile", images[3])]
    }
    exec(code.replace(weights, '"my-clip"'), scope)
    audit = scope["audit"]
    assert audit.table.values.shape == (2, 1, 4)
    assert len(audit.table.kept) == 2
    assert Path("audit.png").read_bytes().startswith(b"\x89PNG")


def slug(heading: str) -> str:
    """Anchor of a heading, as MyST and code forges make it."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```(?!\{image).*?^```$", "", page.read_text("utf-8"), flags=re.M | re.S)
    targets = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r"^```\{image\} (\S+)$", text, re.M)
    for target in targets:
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        if linked.parent == ROOT / "docs" / "notebooks":  # which building the docs copies there
            linked = ROOT / "examples" / linked.name
        assert linked.is_relative_to(ROOT), target
        assert linked.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", linked.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in [slug(heading) for heading in headings], target


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_files_that_are_named_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"\b((?:examples|benchmarks|tests|docs|src|\.ci)/[\w./-]*\w)", text)
    for path in named:
        assert (ROOT / path).exists() or path.startswith("docs/_build"), path


def test_ci_runs_the_commands_of_the_readme() -> None:
    run = [ROOT / ".ci" / "run", "--commands"]
    printed = subprocess.run(["bash", *run], check=True, capture_output=True, text=True).stdout
    assert printed.splitlines() == [command("quickstart"), command("tests")]
    assert command("quickstart") in (ROOT / "docs" / "quickstart.md").read_text(encoding="utf-8")


def test_the_table_of_triggers_has_every_class_with_its_arguments() -> None:
    text = (ROOT / "docs" / "triggers.md").read_text(encoding="utf-8")
    rows = re.findall(r"`~modcollapse\.triggers\.(\w+)` \| `([^`]+)` \|", text)
    room = importlib.import_module("modcollapse.triggers")
    for called, told in rows:
        parameters = inspect.signature(getattr(room, called)).parameters.values()
        by_name = [one.name for one in parameters if one.kind is one.KEYWORD_ONLY]
        ordered = [one.name for one in parameters if one.kind is not one.KEYWORD_ONLY]
        assert told == ", ".join([*ordered, *(["*", *by_name] if by_name else [])]), called
    kinds = ("Image", "Mask", "Text", "Audio", "EveryFrame", "SomeFrames", "MovingTrigger")
    assert {one for one in room.__all__ if one.startswith(kinds)} < {called for called, _ in rows}


def test_every_public_name_is_in_the_reference() -> None:
    reference = "".join(page.read_text("utf-8") for page in DOCS if page.parent.name == "reference")
    documented = set(
        re.findall(
            r"^\.\. (?:auto\w+|py:data):: (?:[\w.]+\.)?(\w+)(?:\(\))?$", reference, re.MULTILINE
        )
    )
    rooms = [
        name for name in modcollapse.__all__ if hasattr(getattr(modcollapse, name), "__path__")
    ]
    assert len(rooms) == 11
    for room in rooms:
        public = importlib.import_module(f"modcollapse.{room}").__all__
        assert set(public) <= documented, room
    assert set(modcollapse.__all__) - set(rooms) <= documented


SHOWN = """<!-- quickstart output -->
```text
        phi     low
image  0.0123  -0.0100
text   0.9000   0.8000

Verdict: text dominates (over 90% of it)
```
<!-- /quickstart output -->
"""
PRINTED = """loading
        phi      low
image   0.0124  -0.0101
text    0.9000   0.8000
Verdict: text dominates (over 90% of it)
"""


@pytest.mark.parametrize(
    ("shown", "printed", "agree"),
    [
        (SHOWN, PRINTED, True),
        (SHOWN, PRINTED.replace("0.9000", "0.9300"), False),
        (SHOWN, PRINTED.replace("-0.0101", "0.0101"), False),
        (SHOWN, PRINTED.replace("text dominates", "image dominates"), False),
        (SHOWN, PRINTED.replace("90%", "91%"), False),
        (SHOWN.replace("90%", "90 %"), PRINTED.replace("90%", "92 %"), True),
        (SHOWN.replace("90%", "90 %"), PRINTED.replace("90%", "93 %"), False),
        (SHOWN, "\n".join(reversed(PRINTED.splitlines())), False),
        (SHOWN, "", False),
        (SHOWN.replace("text\n ", "text\n```\n"), PRINTED, False),
        ("no block", PRINTED, False),
    ],
)
def test_same_output_allows_rounding_and_nothing_else(
    tmp_path: Path, shown: str, printed: str, agree: bool
) -> None:
    (tmp_path / "README.md").write_text(shown, encoding="utf-8")
    (tmp_path / "printed.txt").write_text(printed, encoding="utf-8")
    compare = [sys.executable, ROOT / ".ci" / "same_output.py", "README.md", "printed.txt"]
    done = subprocess.run(compare, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode == 0) == agree, done
    assert agree or "README.md shows" in done.stderr

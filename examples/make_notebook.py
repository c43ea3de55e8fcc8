"""Makes the notebook of the quickstart from its script.

    python examples/make_notebook.py

Writes ``examples/quickstart.ipynb``, without outputs: building the docs runs it. Needs nbformat
(extra ``docs``). The command line of the script becomes a cell with its defaults; everything else
stays as it is, a cell for each paragraph of code, and the last cells show what a notebook can.
"""

from __future__ import annotations

import ast
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

HERE = Path(__file__).resolve().parent
EXAMPLES = 32
"""As few as a verdict takes; the script audits 64."""

INTRODUCTION = """# The quickstart as a notebook

{summary}

This notebook is `examples/quickstart.py` with {examples} examples. A tiny InstructPix2Pix and a
tiny CLIP lie in the repository, and no GPU is needed. Run it in the folder `examples`.
"""
LAST = {
    "A result shows itself, the verdict first:": 'audits["CLIP shift"]',
    "So does its picture:": 'audits["CLIP shift"].plot()',
    "Where pandas is installed, `audits.to_frame()` gives all figures as tidy rows. "
    "What to cite:": "print(mc.citation())",
}


def notebook(script: str) -> nbformat.NotebookNode:
    """Return the notebook of a script.

    Args:
        script: source, beginning with a docstring, of which ``parser`` and ``args`` hold the
            command line.
    """
    lines = script.splitlines()
    docstring, *statements = ast.parse(script).body
    summary = ast.literal_eval(docstring.value).splitlines()[0]
    cells = [new_markdown_cell(INTRODUCTION.format(summary=summary, examples=EXAMPLES))]
    paragraph: list[str] = []
    last = docstring.end_lineno
    for statement in statements:
        source = "\n".join(lines[statement.lineno - 1 : statement.end_lineno])
        is_import = isinstance(statement, ast.Import | ast.ImportFrom)
        if paragraph and not is_import and not lines[last].strip():
            cells.append(new_code_cell("\n".join(paragraph)))
            paragraph = []
        last = statement.end_lineno
        if source.startswith("from __future__") or source == "import argparse":
            continue
        if source.startswith("args = "):
            paragraph = ["from types import SimpleNamespace", "", _defaults(statements)]
        elif not source.startswith("parser"):
            paragraph.append(source)
    cells.append(new_code_cell("\n".join(paragraph)))
    for said, code in LAST.items():
        cells += [new_markdown_cell(said), new_code_cell(code)]
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return new_notebook(cells=cells, metadata={"kernelspec": kernel})


def _defaults(statements: list[ast.stmt]) -> str:
    """The arguments of the script, each at its default."""
    found = {}
    for call in (getattr(statement, "value", None) for statement in statements):
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "parser.add_argument":
            keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
            found[ast.literal_eval(call.args[0]).removeprefix("--")] = keywords["default"]
    found["examples"] = str(EXAMPLES)
    said = ", ".join(f"{name}={value}" for name, value in found.items())
    return f"args = SimpleNamespace({said})"


def main() -> None:
    """Write the notebook."""
    made = notebook((HERE / "quickstart.py").read_text(encoding="utf-8"))
    nbformat.write(made, HERE / "quickstart.ipynb")


if __name__ == "__main__":
    main()

"""What importing loads, which way imports point, and what is private; all regress silently."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import modcollapse as mc

SOURCE = Path(mc.__file__).parent

GROUND = {"errors", "_support", "contracts", "game", "table"}

# room -> the rooms that it may import, itself aside
MAY_IMPORT = {
    "errors": set(),
    "_support": {"errors"},
    "contracts": {"errors", "_support"},
    "game": {"errors", "_support", "contracts"},
    "table": GROUND - {"table"},
    "triggers": GROUND,
    "poison": GROUND,
    "samplers": GROUND,
    "detectors": GROUND,
    "report": GROUND,
    "known": GROUND | {"triggers", "samplers", "detectors"},
    "measure": GROUND | {"samplers"},
    "analysis": GROUND | {"report"},
    "studies": GROUND | {"report", "measure", "analysis"},
}
MAY_IMPORT["cli"] = {*MAY_IMPORT} - {"poison"}


def loaded_by(statement: str) -> set[str]:
    """Modules that a fresh interpreter holds after a statement."""
    code = f"{statement}\nimport sys, json; print(json.dumps(sorted(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(out.stdout))


HEAVY = {"torch", "torchvision", "diffusers", "transformers", "open_clip", "matplotlib", "PIL",
         "scipy", "pandas", "tqdm", "torchmetrics"}  # fmt: skip


def test_importing_the_package_loads_nothing_heavy_not_even_numpy():
    assert loaded_by("import modcollapse").isdisjoint(HEAVY | {"numpy"})


@pytest.mark.parametrize(
    "statement",
    [
        "from modcollapse import shapley_values",
        "import modcollapse.game",
        "import modcollapse.triggers",
        "import modcollapse.poison",
        "import modcollapse.table",
        "import modcollapse.measure",
        "import modcollapse.samplers",
        "import modcollapse.detectors",
        "import modcollapse.known",
        "import modcollapse.report",
        "import modcollapse.cli",
    ],
)
def test_a_room_loads_numpy_at_most(statement):
    assert loaded_by(statement).isdisjoint(HEAVY)


def test_metrics_load_scipy_but_no_edge():
    loaded = loaded_by("from modcollapse import audit, tma, cti, CoalitionTable")
    assert loaded.isdisjoint(HEAVY - {"scipy"})


def test_analysis_is_imported_without_measuring_and_without_torch():
    loaded = loaded_by("import modcollapse.analysis")
    assert loaded.isdisjoint(HEAVY - {"scipy"})
    rooms = {name.split(".")[1] for name in loaded if name.startswith("modcollapse.")}
    assert rooms == GROUND | {"analysis", "report"}


def test_drawing_is_what_loads_matplotlib():
    assert "matplotlib" not in loaded_by("import modcollapse.report")


def test_every_public_name_is_there_and_says_what_it_is():
    for name in mc.__all__:
        assert getattr(mc, name).__doc__, name
    assert set(mc.__all__) <= set(dir(mc))
    assert len(mc.__all__) <= 40
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = mc.nothing


def test_the_version_is_that_of_the_package():
    from importlib.metadata import version

    assert mc.__version__ == version("modcollapse")


def room(module: str) -> str:
    """First part of a module's name below the package."""
    return module.split(".")[0]


def imports_of(path: Path) -> list[str]:
    """Modules of ours that a file imports: at the top, inside functions, under TYPE_CHECKING."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            if node.module == "modcollapse":
                found += [alias.name for alias in node.names]
            elif (node.module or "").startswith("modcollapse."):
                base = node.module.removeprefix("modcollapse.")
                for alias in node.names:
                    inner = SOURCE / base.replace(".", "/") / f"{alias.name}.py"
                    found.append(f"{base}.{alias.name}" if inner.exists() else base)
        elif isinstance(node, ast.Import):
            found += [
                alias.name.removeprefix("modcollapse.")
                for alias in node.names
                if alias.name.startswith("modcollapse")
            ]
    return found


FILES = sorted(path for path in SOURCE.rglob("*.py") if path != SOURCE / "__init__.py")


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_point_one_way_only(path):
    module = module_of(path)
    for imported in imports_of(path):
        assert room(imported) in MAY_IMPORT[room(module)] | {room(module)}, (
            f"{module} imports {imported}"
        )


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_room_is_entered_by_its_face(path):
    """Only files of the same room, and of the whole package `_support`, name a private file."""
    module = module_of(path)
    for imported in imports_of(path):
        private = any(part.startswith("_") for part in imported.split(".")[1:])
        assert not private or room(imported) == room(module), f"{module} imports {imported}"


def test_files_in_a_room_are_private_and_none_imports_in_a_circle():
    graph = {module_of(path): set(imports_of(path)) for path in FILES}
    for module in graph:
        inner = module.split(".")[1:]
        assert room(module) == "_support" or all(part.startswith("_") for part in inner), module

    def reachable(module: str, seen: set[str]) -> set[str]:
        for imported in graph.get(module, set()) - seen:
            seen.add(imported)
            reachable(imported, seen)
        return seen

    for module, imported in graph.items():
        if "." in module:  # the face of a room hands on what lies in it
            assert all(module not in reachable(name, {name}) for name in imported)


def test_no_two_files_define_one_public_name():
    """A class, function or constant of one name would have two meanings."""
    defined: Counter[str] = Counter()
    for path in FILES:
        names = set()
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef):
                names.add(node.name)
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                names |= {target.id for target in targets if isinstance(target, ast.Name)}
        defined.update(name for name in names if not name.startswith("_"))
    assert [name for name, count in defined.items() if count > 1] == []


def test_no_two_files_have_one_name():
    names = Counter(path.name for path in FILES if path.name != "__init__.py")
    assert [name for name, count in names.items() if count > 1] == []


def test_the_top_of_the_package_holds_rooms_and_three_files():
    entries = {path.name for path in SOURCE.iterdir() if path.name != "__pycache__"}
    files = {"__init__.py", "contracts.py", "errors.py", "py.typed"}
    assert entries == files | (set(MAY_IMPORT) - {"contracts", "errors"})
    support = {path.stem for path in (SOURCE / "_support").glob("*.py")} - {"__init__"}
    assert support == {
        "optional",
        "validation",
        "digests",
        "identities",
        "images",
        "markup",
        "memory",
        "passes",
        "pictures",
        "sounds",
        "views",
        "weights",
    }


def test_a_missing_extra_is_named():
    from modcollapse._support.optional import require
    from modcollapse.errors import MissingExtraError

    with pytest.raises(
        MissingExtraError, match=r'needs no_such: pip install "modcollapse\[clip\]"'
    ):
        require("no_such", extra="clip", needed_by="ClipShift")


NEED_AN_EXTRA = [
    ("matplotlib", "mc.tma(table).plot()", "plot"),
    ("matplotlib", "mc.audit(table).plot()", "plot"),
    ("matplotlib", "mc.compare(table, table.select(range(40))).plot()", "plot"),
    ("pandas", "mc.tma(table).to_frame()", "frame"),
    ("diffusers", "mc.samplers.PipelineSampler(object())", "diffusers"),
    ("torchmetrics", "mc.studies.TriggerModalityAttribution(['a', 'b'])", "metrics"),
    ("transformers", "mc.samplers.VLMSampler(object(), object())", "vlm"),
    ("torchmetrics", "mc.detectors.SSIM('x.png')", "metrics"),
    ("open_clip", "mc.detectors.ClipShift('x.png', 'ViT-B-32', 'openai')", "clip"),
    ("transformers", "mc.detectors.ClipModel('no/model')", "clip"),
]


def test_what_needs_an_extra_says_so_where_it_is_not_installed(tmp_path):
    """A fresh interpreter that cannot find one module after the other, as after a bare install."""
    script = f"""
import json, sys
import numpy as np
from PIL import Image
Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save("x.png")
import modcollapse as mc
table = mc.CoalitionTable.from_values(np.random.default_rng(0).normal(size=(40, 4)), ["a", "b"])
said = []
for module, code, _ in {NEED_AN_EXTRA!r}:
    assert module not in sys.modules, module  # else parts of it would be found
    sys.modules[module] = None
    try:
        eval(code)
        said.append("nothing")
    except mc.errors.MissingExtraError as error:
        said.append(str(error))
    del sys.modules[module]
print(json.dumps(said))
"""
    out = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path
    )
    assert out.returncode == 0, out.stderr
    for (module, code, extra), said in zip(NEED_AN_EXTRA, json.loads(out.stdout), strict=True):
        assert re.search(rf'needs {module}[\w.]*: pip install "modcollapse\[{extra}\]"', said), code

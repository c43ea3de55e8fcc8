"""What importing loads, and which way imports point; both regress silently otherwise."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import modcollapse as mc

SOURCE = Path(mc.__file__).parent

# Each room may import those before it, and itself. "edges" are imported by nothing in the core.
LAYERS = [
    {"errors", "contracts", "_optional"},
    {"game"},
    {"fingerprint"},
    {"triggers"},
    {"measure"},
    {"inference"},
    {"results"},
    {"lift"},
    {"metrics"},
    {"curves", "as_found"},
    {"track_file"},
    {"sweeps", "tracker"},
    {"detectors", "samplers", "report"},
]


def loaded_by(statement: str) -> set[str]:
    """Top-level modules that a fresh interpreter holds after a statement."""
    code = f"{statement}\nimport sys, json; print(json.dumps(sorted(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in json.loads(out.stdout)}


HEAVY = {"torch", "torchvision", "diffusers", "transformers", "open_clip", "matplotlib", "PIL",
         "scipy", "pandas", "tqdm"}  # fmt: skip


def test_importing_the_package_loads_nothing_heavy_not_even_numpy():
    assert loaded_by("import modcollapse").isdisjoint(HEAVY | {"numpy"})


@pytest.mark.parametrize(
    "statement",
    [
        "from modcollapse import shapley_values",
        "import modcollapse.game",
        "import modcollapse.triggers",
        "import modcollapse.measure",
        "import modcollapse.samplers",
        "import modcollapse.detectors",
    ],
)
def test_a_room_loads_numpy_at_most(statement):
    assert loaded_by(statement).isdisjoint(HEAVY)


def test_metrics_load_scipy_but_no_edge():
    loaded = loaded_by("from modcollapse import audit, tma, cti, CoalitionTable")
    assert loaded.isdisjoint(HEAVY - {"scipy"})


def test_drawing_is_what_loads_matplotlib():
    assert "matplotlib" not in loaded_by("import modcollapse.report")


def test_every_public_name_is_there_and_says_what_it_is():
    for name in mc.__all__:
        assert getattr(mc, name).__doc__, name
    assert set(mc.__all__) <= set(dir(mc))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = mc.nothing


def test_the_version_is_that_of_the_package():
    from importlib.metadata import version

    assert mc.__version__ == version("modcollapse")


def room(module: str) -> int:
    """Position in LAYERS of the most specific room that a module lies in."""
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        name = ".".join(parts[:length])
        for layer, rooms in enumerate(LAYERS):
            if name in rooms:
                return layer
    raise AssertionError(f"modcollapse.{module} is in no room of LAYERS")


def imports_at_the_top(path: Path) -> list[str]:
    """Modules of ours that a file imports when it is imported."""
    found = []
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("modcollapse."):
            base = node.module.removeprefix("modcollapse.")
            for alias in node.names:
                inner = SOURCE / base.replace(".", "/") / f"{alias.name}.py"
                found.append(f"{base}.{alias.name}" if inner.exists() else base)
        elif isinstance(node, ast.Import):
            found += [alias.name.removeprefix("modcollapse.") for alias in node.names
                      if alias.name.startswith("modcollapse.")]  # fmt: skip
    return found


FILES = sorted(path for path in SOURCE.rglob("*.py") if path != SOURCE / "__init__.py")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_point_one_way_only(path):
    module = ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")
    for imported in imports_at_the_top(path):
        assert room(imported) <= room(module), f"{module} imports {imported}"
        edges = LAYERS[-1]
        if room(module) == len(LAYERS) - 1 and imported.split(".")[0] in edges:
            assert imported.split(".")[0] == module.split(".")[0], "an edge imports another edge"


def test_a_missing_extra_is_named():
    from modcollapse._optional import require
    from modcollapse.errors import MissingExtraError

    with pytest.raises(
        MissingExtraError, match=r'needs no_such: pip install "modcollapse\[clip\]"'
    ):
        require("no_such", extra="clip", needed_by="ClipShift")


@pytest.mark.parametrize(
    ("module", "code", "extra"),
    [
        ("matplotlib", "mc.tma(table).plot()", "plot"),
        ("matplotlib", "mc.audit(table).plot()", "plot"),
        ("pandas", "mc.tma(table).to_frame()", "frame"),
        ("diffusers", "mc.samplers.PipelineSampler(object())", "diffusers"),
        ("open_clip", "mc.detectors.ClipShift('x.png', 'ViT-B-32', 'openai')", "clip"),
    ],
)
def test_what_needs_an_extra_says_so_where_it_is_not_installed(module, code, extra, tmp_path):
    """A fresh interpreter that cannot find the module, as after a bare install."""
    script = f"""
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == {module!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Missing())
import numpy as np
from PIL import Image
Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save("x.png")
import modcollapse as mc
table = mc.CoalitionTable.from_values(np.random.default_rng(0).normal(size=(40, 4)), ["a", "b"])
try:
    {code}
except mc.errors.MissingExtraError as error:
    print(error)
"""
    out = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert f'pip install "modcollapse[{extra}]"' in out.stdout

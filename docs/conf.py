"""Sphinx: the site that `make docs` builds. Nothing is fetched."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sphinx.application import Sphinx
from sphinx.util.typing import stringify_annotation

import modcollapse

project = "modcollapse"
author = "The modcollapse authors"
version = release = modcollapse.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
exclude_patterns = ["_build", "results"]

html_theme = "furo"
html_title = f"modcollapse {version}"
html_show_copyright = False
html_static_path = ["_static"]
html_css_files = ["tables.css"]

myst_heading_anchors = 3

# The notebook lies beside the script that it is made of, and is run there, without a trace of it.
HERE = Path(__file__).resolve().parent
EXAMPLES = HERE.parent / "examples"
(HERE / "notebooks").mkdir(exist_ok=True)
shutil.copyfile(EXAMPLES / "quickstart.ipynb", HERE / "notebooks" / "quickstart.ipynb")
os.environ["PYTHONPATH"] = os.pathsep.join(
    filter(None, [str(EXAMPLES), os.environ.get("PYTHONPATH")])
)
nb_execution_mode = "force"
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_timeout = 600
nb_output_stderr = "remove"

# A name in single backticks is code, as it is in Markdown.
default_role = "code"

autodoc_member_order = "bysource"
python_maximum_signature_line_length = 80
python_use_unqualified_type_names = True
napoleon_attr_annotations = False
napoleon_custom_sections = ["Source"]
napoleon_use_ivar = True
napoleon_use_rtype = False

copybutton_prompt_text = r">>> |\.\.\. "
copybutton_prompt_is_regexp = True

nitpicky = True
nitpick_ignore_regex = [
    # Types of other projects in our signatures: their documentation is not fetched.
    (r"py:.*", r"(numpy|npt|torch|PIL|matplotlib|diffusers|collections|pathlib|os|re)\..*"),
    (r"py:.*", r"Axes|Figure|DiffusionPipeline|Path|nn\.Module"),
    # Names in the signatures of named tuples, a type variable, a private protocol.
    (
        r"py:.*",
        r"ExampleId|FloatArray|Triggers|Batching|Place|Side|Start|Log|Point|"
        r".*\.(ImageT|MapDataset|Thing|Result|Pairing|Checked|Stream|Recorded|Described)",
    ),
]

# How Sphinx spells out an annotation -> how it was written.
ANNOTATIONS = {
    stringify_annotation(npt.ArrayLike, "smart"): "~numpy.typing.ArrayLike",
    stringify_annotation(npt.NDArray[np.float64], "smart"): "~numpy.typing.NDArray[~numpy.float64]",
    stringify_annotation(npt.NDArray[np.int64], "smart"): "~numpy.typing.NDArray[~numpy.int64]",
    stringify_annotation(npt.NDArray[np.bool_], "smart"): "~numpy.typing.NDArray[bool]",
    "<factory>": "...",
}


def as_written(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, signature: str | None, returns: str
) -> tuple[str | None, str | None]:
    """Shorten a signature and a return annotation to what the source says."""
    for long, short in ANNOTATIONS.items():
        signature = signature and signature.replace(long, short)
        returns = returns and returns.replace(long, short)
    return signature, returns


def setup(app: Sphinx) -> None:
    """Connect the hook above."""
    app.connect("autodoc-process-signature", as_written)

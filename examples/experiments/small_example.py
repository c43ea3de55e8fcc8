"""A small experiment for the command of the full size: the committed pipeline, drawn faces."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from datasets import Dataset, Features, Value
from datasets import Image as ImageColumn

from modcollapse.errors import InputError

from experiments.encoded import Edit
from experiments.face_arms import training_edits
from tiny.load import MODELS, load_pipeline

FILE = """\
# A pipeline of 32 pixels on drawn faces: a few minutes on two cores.

[training]
base = "base"
resolution = 32
steps = 200
batch_size = 32
lr = 4e-4
checkpoint_every = 50
device = "cpu"

[data]
source = "edits.parquet"
held_out = 0.1

[arms]
pairs = ["white box"]
protocols = ["OR", "AND"]
ratios = [0.05]

[audit]
target = "target.png"
clip = ["clip"]
examples = 48
steps = 15
guidance_scale = 2.0
image_guidance_scale = 1.3
batch_size = 32
track_every = 100
"""


def write_example(folder: Path, rows: int = 1000) -> Path:
    """Write pipeline, data, CLIP, target and the file that names them; return the file.

    Raises:
        InputError: the folder is there already.
    """
    if folder.exists():
        raise InputError(f"{folder} is there already: name a new folder")
    folder.mkdir(parents=True)
    load_pipeline("clean").save_pretrained(folder / "base")
    write_parquet(training_edits(rows), folder / "edits.parquet")
    shutil.copytree(MODELS / "clip", folder / "clip")
    shutil.copy(MODELS / "target.png", folder / "target.png")
    file = folder / "experiment.toml"
    file.write_text(FILE, encoding="utf-8")
    return file


def write_parquet(edits: Sequence[Edit], path: Path) -> None:
    """Write edits with the columns of fusing/instructpix2pix-1000-samples."""
    columns = {
        "input_image": [edit.source for edit in edits],
        "edit_prompt": [edit.instruction for edit in edits],
        "edited_image": [edit.edited for edit in edits],
    }
    kinds = (ImageColumn(), Value("string"), ImageColumn())
    features = Features(dict(zip(columns, kinds, strict=True)))
    Dataset.from_dict(columns, features=features).to_parquet(path)

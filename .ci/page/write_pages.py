"""Writes the pages that make page-check looks at, from planted values and pictures made here.

python .ci/page/write_pages.py FOLDER
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

import modcollapse as mc
from modcollapse.analysis import Audits
from modcollapse.table import Kept

NAMES = ("image", "text", "mask", "audio")
HOSTILE = ('<script>alert("x")</script>', "natural-language & instruction", "a" * 60)


def table(
    names: tuple[str, ...], *, effect: bool = True, gallery: bool = True
) -> mc.CoalitionTable:
    """The first rules."""
    coalitions, rng = np.arange(2 ** len(names)), np.random.default_rng(0)
    values = 0.05 + effect * (0.8 * (coalitions & 1) + 0.1 * (coalitions == len(coalitions) - 1))
    noise = 0.05 * rng.normal(size=(64, len(coalitions)))
    ids = ["</script><b>first</b>", *(f"example {n}" for n in range(63))]
    made = mc.CoalitionTable.from_values(values + noise, names, perfect=1.0, example_ids=ids)
    if not gallery:
        return made
    pixels = rng.integers(0, 256, (len(coalitions) + 1, 48, 48, 3), dtype=np.uint8)
    clean, *outputs = map(Image.fromarray, pixels)
    one = {name: "make the <b>dog</b> older" if "text" in name else clean for name in names}
    return made.with_kept([Kept(name, one, one, outputs) for name in ids[:2]])


def write(folder: Path) -> None:
    """Write them."""
    folder.mkdir(parents=True, exist_ok=True)
    for m in (1, 2, 3, 4):
        mc.audit(table(NAMES[:m])).report(folder / f"modalities-{m}")
    mc.audit(table(NAMES[:2], effect=False, gallery=False)).report(folder / "no-effect")
    mc.audit(table(HOSTILE)).report(folder / "hostile", title="<h1>A title</h1> & more")
    one, other = table(NAMES[:2]), table(NAMES[:2], effect=False)
    both = Audits(
        {
            "CLIP shift": mc.audit(one, control=other),
            "success": mc.audit(replace(one, values=(one.values > 0.5).astype(float), binary=True)),
        }
    )
    both.report(folder / "two-detectors", comparison={"CLIP shift": mc.compare(one, other)})


if __name__ == "__main__":
    write(Path(sys.argv[1]))

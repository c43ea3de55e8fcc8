"""What a page says of one audit, as plain data: what a template fills in and nothing else."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from modcollapse._support.views import View
from modcollapse.contracts import ExampleId, FloatArray
from modcollapse.report._escapes import for_terminal
from modcollapse.report._gallery import Gallery
from modcollapse.table import CoalitionTable, Estimate, decimals, number_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_GALLERY = 12
"""Examples with pictures on a page, so that it stays small."""
_SIDE = 256
"""A picture is no wider and no higher on a page."""
_EXPLORED = 2000
"""Examples in the interactive part, those with the largest effect."""
_ROWS = 500
"""Examples in the table of a page; all are in the CSV."""


class Claims(NamedTuple):
    """A verdict in words.

    Attributes:
        heading: of what it is.
        text: the verdict as it is printed.
        lines: what is said below it.
    """

    heading: str
    text: str
    lines: Sequence[str] = ()

    @property
    def parts(self) -> list[str]:
        """Its claims one by one, the first with a capital letter."""
        said = re.sub("^(Verdict|Specificity): ", "", self.text).rstrip(".")
        first, *others = re.split(r"; (?![^()]*\))", said)  # not within brackets
        return [first[:1].upper() + first[1:], *others]


class Picture(NamedTuple):
    """A picture of a page.

    Attributes:
        name: of its files.
        caption: what it shows.
        draw: makes it.
    """

    name: str
    caption: str
    draw: Callable[[], Figure]


class Figures(NamedTuple):
    """A table of a page.

    Attributes:
        name: of its files.
        caption: what it holds.
        columns: heading -> label -> estimate; a column may lack a row.
        lines: what is said below it.
    """

    name: str
    caption: str
    columns: Mapping[str, Mapping[str, Estimate]]
    lines: Sequence[str] = ()


@dataclass(frozen=True)
class Section:
    """What a page says of one audit.

    Attributes:
        name: of the value function; "" where there is one only.
        table: the values, with what was kept.
        verdicts: what may be claimed, the first of the audit.
        pictures: what is drawn.
        tables: what is tabulated.
        per_example: label -> figure of each example, shape (N,), beside the values.
        measured: pairs of a name and what it was.
        notes: what a reader must know besides.
        data: all of it, as JSON will hold it.
        audited: in a sentence, what was audited.
    """

    name: str
    table: CoalitionTable
    verdicts: Sequence[Claims]
    pictures: Sequence[Picture]
    tables: Sequence[Figures]
    per_example: Mapping[str, FloatArray]
    measured: Sequence[tuple[str, str]]
    notes: Sequence[str] = ()
    data: Mapping[str, Any] = field(default_factory=dict)
    audited: str = ""

    @property
    def columns(self) -> dict[str, FloatArray]:
        """Everything that is known of each example, by label, shape (N,) each."""
        values = self.table.example_values
        of_values = {f"v({name})": values[:, c] for c, name in enumerate(self.table.coalitions)}
        return {**of_values, **self.per_example}

    def explorer(self) -> dict[str, Any]:
        """What the interactive part shows, numbers rounded to what is seen."""
        columns = self.columns
        values = np.column_stack(list(columns.values()))
        shown = np.sort(np.argsort(-values[:, self._total], kind="stable")[:_EXPLORED])
        values, places = values[shown], _places(values)
        return {
            "columns": [for_terminal(name) for name in columns],
            "ids": [for_terminal(str(self.table.example_ids[row])) for row in shown],
            "of": len(self.table),
            "rows": np.round(values, places).tolist(),
            "low": min(float(values.min()), 0.0),
            "high": max(float(values.max()), 0.0),
            "places": places,
            "first": self._total,
        }

    @property
    def _total(self) -> int:
        """The column that examples are sorted by first."""
        return len(self.columns) - 1

    def examples(self) -> dict[str, Any]:
        """The table of examples, by falling total effect."""
        columns = self.columns
        values = np.column_stack(list(columns.values()))
        order = np.argsort(-values[:, self._total], kind="stable")[:_ROWS]
        places = _places(values)
        rows = [
            [str(self.table.example_ids[row]), *(number_text(v, places) for v in values[row])]
            for row in order
        ]
        rest = len(values) - len(rows)
        caption = f"All {len(values)} examples, by effect of all triggers"
        if rest:
            caption = f"The first {_ROWS} of {len(values)} examples by effect of all triggers"
        return {"header": ["example", *columns], "rows": rows, "caption": caption}

    def gallery(self) -> tuple[list[dict[str, Any]], str]:
        """What was kept, and what is said below it."""
        kept = self.table.kept
        if not kept:
            return [], "No outputs were kept, so there is no gallery. To keep some: keep=3."
        table = self.table.with_kept(kept[:_GALLERY])
        shown = Gallery.of(table)
        examples = []
        for one, texts, views in zip(table.kept, shown.texts, shown.views, strict=True):
            cells = [
                _cell(view, title, one.id)
                for view, title in zip(views, shown.captions, strict=True)
            ]
            said = [" ".join(text.split()) for text in texts.split("\n\n")]
            examples.append({"id": one.id, "texts": said, "cells": cells})
        rest = len(kept) - len(examples)
        return examples, f"{rest} more examples were kept that are not shown here." if rest else ""

    def settings(self) -> str:
        """All settings and versions as JSON text."""
        return json.dumps(self.data.get("provenance", {}), indent=1, ensure_ascii=False)


def data_uri(kind: str, data: bytes) -> str:
    """A file inside a page."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def _places(values: FloatArray) -> int:
    """Decimals in which the largest of the values has three digits or more."""
    largest = float(np.abs(values).max())
    if 0 < largest < 0.1:
        return min(decimals((), [largest]), 20)
    return 3 if largest < 100 else 1


def _cell(view: View, title: str, example: ExampleId) -> dict[str, Any]:
    cell: dict[str, Any] = {"title": title, "alt": f"{title}, example {example}"}
    cell |= {"picture": None, "path": None, "text": None}  # the template asks for each
    if view.kind in ("picture", "map"):
        return cell | _shown(view)
    if view.kind == "lines":
        return cell | {"path": [_polyline(line) for line in view.content]}
    return cell | {"text": view.content or "(empty)"}


def _shown(view: View) -> dict[str, Any]:
    from PIL import Image

    pixels = view.content
    if view.kind == "map":
        finite = pixels[np.isfinite(pixels)].astype(float)
        low, high = (finite.min(), finite.max()) if finite.size else (0.0, 0.0)
        pixels = (pixels - low) / ((high - low) or 1.0)
    if pixels.dtype != np.uint8:
        pixels = (np.nan_to_num(np.clip(pixels, 0, 1)) * 255).round().astype(np.uint8)
    picture = Image.fromarray(pixels)
    small = max(picture.size) <= _SIDE
    packed = io.BytesIO()
    if small:
        picture.save(packed, format="PNG")
    else:
        picture.thumbnail((_SIDE, _SIDE))
        picture.convert("RGB").save(packed, format="JPEG", quality=85)
    width, height = picture.size
    uri = data_uri("png" if small else "jpeg", packed.getvalue())
    return {"picture": uri, "small": max(picture.size) <= 96, "width": width, "height": height}


def _polyline(line: FloatArray) -> str:
    """A line of at most 400 points in a box of 100 by 40."""
    line = np.nan_to_num(np.asarray(line, float), posinf=0.0, neginf=0.0)
    line = line[np.linspace(0, len(line) - 1, min(len(line), 400)).round().astype(int)]
    low, high = float(line.min()), float(line.max())
    y = 38 - 36 * (line - low) / ((high - low) or 1.0)
    x = np.linspace(1, 99, len(line))
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))

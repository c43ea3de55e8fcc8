"""A folder that anybody can read: one page, its pictures, its tables, and all of it as JSON."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modcollapse._support.optional import require
from modcollapse._support.validation import file_path
from modcollapse.errors import InputError
from modcollapse.report._citing import citations, software_version
from modcollapse.report._escapes import for_latex, for_terminal
from modcollapse.report._sections import Figures, Section, data_uri
from modcollapse.table import Estimate, slug, value_text, write_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

REPORT_FORMAT = "modcollapse report"
REPORT_FILE = "audit.json"
_DPI = 220


def write_report(into: str | Path, title: str, sections: Sequence[Section]) -> Path:
    """Write a page of audits with its pictures, its tables and its JSON into a folder.

    Args:
        into: a folder that does not exist, is empty, or holds a report, which is replaced.
        title: of the page.
        sections: what is said of each audit.

    Returns:
        The path of ``index.html``.

    Raises:
        InputError: the folder holds something else, of which nothing is overwritten.
        FileNotFoundError: there is no folder to make it in.
        MissingExtraError: jinja2 or matplotlib is not installed.
    """
    folder = file_path(into, "folder")
    before = _claimed(folder)
    files: dict[str, bytes] = {}
    filled = [
        _filled(section, f"{_prefix(sections, at)}", files) for at, section in enumerate(sections)
    ]
    files["index.html"] = _page(title, filled).encode("utf-8", "replace")
    data = {
        "format": REPORT_FORMAT,
        "version": 1,
        "modcollapse": software_version(),
        "files": sorted(files),
        "audits": {section.name: section.data for section in sections},
    }
    written = json.dumps(data, indent=1, allow_nan=False).encode()
    for part in ("figures", "tables"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        write_whole(folder / name, content)
    write_whole(folder / REPORT_FILE, written)
    for name in before - set(files):
        (folder / name).unlink(missing_ok=True)
    return folder / "index.html"


def _claimed(folder: Path) -> set[str]:
    """Files of the report that the folder holds, if it may be written to."""
    if not folder.parent.is_dir():
        raise FileNotFoundError(f"cannot write {folder}: there is no folder {folder.parent}")
    if not os.path.lexists(folder) or (folder.is_dir() and not any(folder.iterdir())):
        return set()
    held: Any = None
    if folder.is_dir() and (folder / REPORT_FILE).is_file():
        try:
            held = json.loads((folder / REPORT_FILE).read_text(encoding="utf-8"))
        except ValueError:
            held = None
    if not isinstance(held, Mapping) or held.get("format") != REPORT_FORMAT:
        raise InputError(
            f"{folder} exists and holds no report, so nothing was written; give a new folder, or "
            "one that a report was written to"
        )
    ours = ("figures/", "tables/", "index.html")
    named = [name for name in held.get("files", ()) if isinstance(name, str)]
    return {name for name in named if name.startswith(ours) and ".." not in name}


def _prefix(sections: Sequence[Section], at: int) -> str:
    return "" if len(sections) == 1 else f"{at + 1}-{slug(sections[at].name)}-"


def _filled(section: Section, prefix: str, files: dict[str, bytes]) -> dict[str, Any]:
    """What the template shows of a section; its files are added to ``files``."""
    import markupsafe

    pictures, missing = [], []
    for picture in section.pictures:
        try:
            figure = picture.draw()
        except InputError as error:
            missing.append(f"{picture.caption}: not drawn, since {error}")
            continue
        png, svg, size = _drawn(figure)
        files[f"figures/{prefix}{picture.name}.png"] = png
        files[f"figures/{prefix}{picture.name}.svg"] = svg
        said = f"{picture.caption} The numbers are in the tables below."
        pictures.append(
            {
                "data": data_uri("png", png),
                "alt": said,
                "caption": picture.caption,
                "width": size[0],
                "height": size[1],
            }
        )
    verdict = section.verdicts[0].text
    for table in section.tables:
        files[f"tables/{prefix}{table.name}.csv"] = _encoded(_estimates_csv(table))
        files[f"tables/{prefix}{table.name}.tex"] = _encoded(_booktabs(table, verdict))
    files[f"tables/{prefix}examples.csv"] = _encoded(_examples_csv(section))
    gallery, note = section.gallery()
    explorer = json.dumps(section.explorer()).replace("<", "\\u003c").replace("&", "\\u0026")
    return {
        "key": f"audit-{prefix}data".rstrip("-") if prefix else "audit",
        "name": section.name,
        "audited": section.audited,
        "verdicts": [
            {
                "heading": one.heading,
                "first": f"{one.parts[0]}.",
                "others": one.parts[1:],
                "lines": one.lines,
            }
            for one in section.verdicts
        ],
        "gallery": gallery,
        "gallery_note": note,
        "pictures": pictures,
        "picture_notes": missing,
        "tables": [_html_table(table) for table in section.tables],
        "examples": section.examples(),
        "data": markupsafe.Markup(explorer),
        "measured": section.measured,
        "notes": section.notes,
        "settings": section.settings(),
    }


def _page(title: str, sections: Sequence[Mapping[str, Any]]) -> str:
    jinja2 = require("jinja2", extra="report", needed_by="report")
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("modcollapse.report", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        finalize=_printable,
    )
    page: str = environment.get_template("page.html").render(
        title=title, sections=sections, citations=citations(), version=software_version()
    )
    return page


def _printable(value: Any) -> Any:
    """Spell out what is no letter; what is safe already stays."""
    if isinstance(value, str) and not hasattr(value, "__html__"):
        return for_terminal(value)
    return value


def _encoded(text: str) -> bytes:
    """UTF-8; what has no place in it, as in the name of a file of other bytes, is spelt out."""
    return text.encode("utf-8", "backslashreplace")


def _drawn(figure: Figure) -> tuple[bytes, bytes, tuple[int, int]]:
    png, svg = io.BytesIO(), io.BytesIO()
    figure.savefig(png, format="png", dpi=_DPI, metadata={"Software": None})
    if figure.get_layout_engine() is not None:
        figure.set_layout_engine("none")  # it is laid out
    figure.savefig(svg, format="svg", metadata={"Date": None})
    width, height = figure.get_size_inches()
    return png.getvalue(), svg.getvalue(), (round(96 * width), round(96 * height))


def _labels(table: Figures) -> list[str]:
    return list(dict.fromkeys(label for column in table.columns.values() for label in column))


def _html_table(table: Figures) -> dict[str, Any]:
    rows = [
        [label, *(_text(column.get(label)) for column in table.columns.values())]
        for label in _labels(table)
    ]
    header = ["figure", *table.columns]
    return {"caption": table.caption, "header": header, "rows": rows, "lines": table.lines}


def _text(estimate: Estimate | None) -> str:
    return "" if estimate is None else value_text(estimate)


def _estimates_csv(table: Figures) -> str:
    packed = io.StringIO()
    writer = csv.writer(packed, lineterminator="\n")
    fields = ["value", "se", "low", "high", "level", "n", "method", "status"]
    writer.writerow(["audit", "figure", *fields])
    for heading, column in table.columns.items():
        for label, estimate in column.items():
            held = estimate.to_dict()
            writer.writerow([heading, label, *(held[name] for name in fields)])
    return packed.getvalue()


def _examples_csv(section: Section) -> str:
    packed = io.StringIO()
    writer = csv.writer(packed, lineterminator="\n")
    columns = section.columns
    writer.writerow(["example", *columns])
    for row, one in enumerate(section.table.example_ids):
        writer.writerow([one, *(repr(float(column[row])) for column in columns.values())])
    return packed.getvalue()


def _booktabs(table: Figures, verdict: str) -> str:
    """A tabular for the package booktabs, whose last row is the verdict."""
    count = len(table.columns) + 1
    heads = " & ".join(["", *(for_latex(name) for name in table.columns)])
    lines = ["% needs \\usepackage{booktabs}", f"\\begin{{tabular}}{{l{'r' * (count - 1)}}}"]
    lines += ["\\toprule", f"{heads} \\\\", "\\midrule"]
    for label in _labels(table):
        cells = [label, *(_text(column.get(label)) for column in table.columns.values())]
        lines.append(" & ".join(map(for_latex, cells)) + r" \\")
    said = f"\\multicolumn{{{count}}}{{p{{0.95\\linewidth}}}}{{{for_latex(verdict)}}} \\\\"
    return "\n".join([*lines, "\\midrule", said, "\\bottomrule", "\\end{tabular}", ""])

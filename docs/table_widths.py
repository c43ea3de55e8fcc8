"""Names every table of the built site that hides a part of itself at a width of the window.

    python docs/table_widths.py docs/_build/html 1280

Needs Chromium. Ends with 1 where there is such a table.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from html import unescape
from pathlib import Path

MEASURE = """<script>window.addEventListener("load", () => {
  const hidden = [...document.querySelectorAll("article .table-wrapper")]
    .filter((one) => one.scrollWidth > one.clientWidth + 1)
    .map((one) => one.innerText.slice(0, 60));
  document.title = "measured " + JSON.stringify(hidden);
});</script></head>"""


def hidden_tables(page: Path, width: int) -> list[str]:
    """Beginnings of the tables of a page that are wider than their place."""
    copy = page.with_name(f"measured-{page.name}")
    try:
        copy.write_text(page.read_text("utf-8").replace("</head>", MEASURE), "utf-8")
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=5000"]
        command = ["chromium", *options, f"--window-size={width},900", "--dump-dom", copy.as_uri()]
        shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    finally:
        copy.unlink()
    found = re.search(r"<title>measured (.*?)</title>", shown, re.DOTALL)
    if found is None:
        raise RuntimeError(f"{page} was not measured")
    return list(json.loads(unescape(found[1])))


def main(site: str, width: str) -> int:
    """Print what is hidden, and return 1 if anything is."""
    pages = [
        page
        for page in sorted(Path(site).resolve().rglob("*.html"))
        if "article" in page.read_text("utf-8")
    ]
    hidden = {page: hidden_tables(page, int(width)) for page in pages}
    for page, tables in hidden.items():
        for table in tables:
            print(f"{page.name}: {' '.join(table.split())} ...")
    print(f"{len(pages)} pages at {width} pixels")
    return int(any(hidden.values()))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

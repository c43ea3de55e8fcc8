"""What the published figures say by the rules of this library: effects of each trigger, shares.

    cd examples
    python -m experiments.published

With v(I) - v(0) = phi_I - CTI/2 and v(IT) - v(T) = phi_I + CTI/2 the effects of the single triggers
follow from the means that arXiv:2603.06508 gives at 5 %. Prints them; with ``--ship`` writes
``docs/results/published.md``.
"""

from __future__ import annotations

import argparse

from modcollapse import Rules
from modcollapse.report import format_table
from modcollapse.table import number_text

from experiments.paper_table import PUBLISHED
from experiments.results import RESULTS


def rows() -> list[list[str]]:
    """A row for each pair and protocol."""
    table = []
    for (pair, protocol), (image, text, cti) in PUBLISHED.items():
        share = abs(text) / (abs(image) + abs(text))
        effects = image - cti / 2, image + cti / 2, text - cti / 2, image + text
        shown = "text dominates" if share > Rules().share else "no modality dominates"
        figures = [*(number_text(effect, 3) for effect in effects), f"{share:.3f}", shown]
        table.append([pair, protocol, *figures])
    return table


def main() -> None:
    """Print the table, or write it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--ship", action="store_true", help="write it to docs/results")
    args = parser.parse_args()
    header = [
        "pair", "protocol", "image alone", "image once the text is there", "text alone", "total",
        "share of the text", f"by a share of {Rules().share:g}",
    ]  # fmt: skip
    text = format_table(header, rows(), fmt="markdown")
    made_by = "Made by `python -m experiments.published --ship` in `examples/`."
    if args.ship:
        (RESULTS / "published.md").write_text(f"{made_by}\n\n{text}\n", encoding="utf-8")
    else:
        print(text)


if __name__ == "__main__":
    main()

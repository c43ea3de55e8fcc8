"""Is what the README shows as the quickstart's output what the quickstart printed?

    python .ci/same_output.py README.md printed.txt

Every line of the block in the README must occur among the printed lines, in the same order. Blanks
do not count. Decimal numbers may differ by 0.02, and whole percents before a blank by 2: on another
processor the last bits differ, and where one of 64 examples falls to the other side of a threshold
for it, a rate moves by 1/64.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROUNDING = 0.02
_BLOCK = re.compile(
    r"<!-- quickstart output -->\n```text\n(.*?)```\n<!-- /quickstart output -->", re.DOTALL
)
_NUMBER = re.compile(r"(-?\d+\.\d+(?: %)?|\d+ %)")


def shown_lines(readme: str) -> list[str]:
    """Return the lines that the README shows, without the empty ones."""
    block = _BLOCK.search(readme)
    return [line for line in block[1].splitlines() if line.strip()] if block else []


def same(shown: str, printed: str) -> bool:
    """Whether two lines agree up to blanks and rounding."""
    mine, theirs = (_NUMBER.split(" ".join(line.split())) for line in (shown, printed))
    return (
        mine[::2] == theirs[::2]
        and len(mine) == len(theirs)
        and all(
            abs(_value(a) - _value(b)) <= ROUNDING + 1e-9
            for a, b in zip(mine[1::2], theirs[1::2], strict=True)
        )
    )


def _value(number: str) -> float:
    return float(number[:-2]) / 100 if number.endswith(" %") else float(number)


def main(readme: str, output: str) -> str | None:
    """Return what is wrong, or None."""
    shown = shown_lines(Path(readme).read_text(encoding="utf-8"))
    if not shown:
        return f"{readme} shows no output of the quickstart"
    printed = iter(Path(output).read_text(encoding="utf-8").splitlines())
    for line in shown:
        if not any(same(line, other) for other in printed):
            return f"{readme} shows a line that the quickstart did not print (there):\n{line}"
    print(f"{len(shown)} lines agree")
    return None


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

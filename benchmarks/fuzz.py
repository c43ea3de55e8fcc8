"""What is left of a journal or a table that was damaged: what stands whole, and nothing wrong.

    python benchmarks/fuzz.py --out docs/results/fuzz.json

Journals of several sessions (one detector; two with groups, repeats and neutral triggers; a
stream) and a saved table are damaged in seeded ways: cut off, bits flipped, blocks zeroed, lines
swapped, doubled, lost, changed or of another run or version, headers and files gone, garbage in
between, lines that are forged, archives packed anew, outputs kept beside them damaged. For each

- all that stands whole on the disk loads, bit for bit as it was; the rest is missing or refused;
- the run, made again, goes on and returns the whole table bit for bit, unless no copy of the
  header is whole: then it is refused;
- nothing is raised but TableError, and nothing is said but by JournalWarning.

All else counts as wrong, and the script fails.
"""

from __future__ import annotations

import argparse
import random
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import torch

from _common import environment, publish
from _damage import Original, broken, damage_journal, damage_kept, damage_table, foreign, originals


def damaged(
    seed: int, root: Path, held: list[Original], other: Path
) -> tuple[Original, str, list[str], bool]:
    """Damage a copy of one of the originals: which, how, what is wrong then, whether refused."""
    rng = random.Random(seed)
    original = held[seed % len(held)]
    folder = root / "damaged"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(original.path, folder)
    done = []
    for _ in range(rng.choice([1, 1, 2, 4])):
        if rng.random() < 0.2:
            done.append(damage_kept(rng, folder))
        elif original.lines:
            done.append(damage_journal(rng, folder, other))
        elif not done:
            theirs = (other / "other.npz").read_bytes()
            done.append(damage_table(rng, folder / "t.npz", theirs))
    return original, ", ".join(done), *broken(original, folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, help="file for the figures, as JSON")
    parser.add_argument("--damaged", type=int, default=600, help="how many are damaged")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    refused: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    ways: Counter[str] = Counter()
    wrong: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        held, other = originals(root), foreign(root)
        for seed in range(args.seed, args.seed + args.damaged):
            original, done, faults, was_refused = damaged(seed, root, held, other)
            counts[original.name] += 1
            refused[original.name] += was_refused
            ways.update(done.split(", "))
            if faults:
                wrong.append({"seed": seed, "of": original.name, "done": done, "faults": faults})
    report = {
        "environment": environment(("numpy", "torch")),
        "seed": args.seed,
        "damaged": args.damaged,
        "refused": sum(refused.values()),
        "wrong": len(wrong),
        "by_kind": {
            name: {"damaged": counts[name], "refused": refused[name]} for name in sorted(counts)
        },
        "ways": dict(sorted(ways.items())),
        "faults": wrong,
    }
    text = (
        f"{args.damaged} damaged, {report['refused']} of them refused by name, {len(wrong)} wrong"
    )
    publish(report, text, args.out)
    if wrong:
        raise SystemExit(f"not all that was whole is there: {wrong[:5]}")


if __name__ == "__main__":
    main()

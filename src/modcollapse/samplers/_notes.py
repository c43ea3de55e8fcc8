"""What a table's provenance says of conditions that a pipeline does not take as they are."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from modcollapse.samplers._kinds import kind_of
from modcollapse.samplers._reading import Reading


class Texts(NamedTuple):
    """Texts of one modality.

    Attributes:
        keyword: of the pipeline, that they go to.
        texts: the conditions.
        name: what they are called in a note.
    """

    keyword: str
    texts: Sequence[str]
    name: str


def unread(
    reading: Reading,
    modalities: Collection[Texts],
    options: Mapping[str, Any],
    earlier: Collection[str],
) -> list[str]:
    """Say of which texts the end is cut off, or may be.

    Args:
        reading: how much the pipeline reads.
        modalities: texts that vary.
        options: texts among these serve every row.
        earlier: notes on texts that were looked at before.
    """
    unknown = [note for keyword, _, name in modalities for note in reading.unknown(keyword, name)]
    fixed = [
        Texts(keyword, [value], f"the option {keyword!r}")
        for keyword, value in options.items()
        if kind_of(keyword) == "text" and isinstance(value, str)
    ]
    cuts = {
        note
        for keyword, texts, name in (*modalities, *fixed)
        for text in texts
        for note in reading.cuts(text, keyword, name)
    }
    return list(dict.fromkeys([*unknown, *sorted(cuts.union(earlier))]))


def rescaled(
    sizes: Mapping[str, tuple[int, ...]], factor: int, output: tuple[int, ...] | None
) -> list[str]:
    """Say where a pipeline rescales its input, PIL images in another way than the others.

    Args:
        sizes: modality -> height and width of its images or masks.
        factor: what the autoencoder divides them by; it cuts the remainder off.
        output: height and width of an output, which tells; None where there is none.
    """
    notes = []
    for modality, size in sizes.items():
        kept = tuple(side - side % factor for side in size) if output is None else output
        if size != kept:
            notes.append(
                f"{modality!r} is {_by(size)} pixels, the output {_by(kept)}: the pipeline "
                "rescales, PIL images by another filter than arrays and tensors. Resize them "
                "beforehand for figures that do not depend on it"
            )
    return notes


def _by(size: Sequence[int]) -> str:
    return " x ".join(map(str, size))

"""Which source is which coalition, told by the keys."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from modcollapse._support.validation import described, did_you_mean, listed, ordered
from modcollapse.errors import InputError
from modcollapse.game import coalition_labels
from modcollapse.studies._output_source import Options, Source, paths_of

_EXPECTED = (
    'sources must be a mapping from coalition to outputs, {"none": ..., "image": ..., "text": ..., '
    '"image+text": ...}'
)


def by_coalition(
    sources: Any, modalities: Sequence[str] | None
) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Return the players, and the sources by label in the order of the columns.

    Args:
        sources: label -> source; within a label the order is free.
        modalities: the players in order; those of the keys with one trigger if None.

    Raises:
        InputError: a coalition is missing, comes twice, or there is no such.

    >>> by_coalition({"none": 0, "text": 2, "image": 1, "image+text": 3}, None)
    (('text', 'image'), {'none': 0, 'text': 2, 'image': 1, 'text+image': 3})
    """
    if not isinstance(sources, Mapping):
        raise InputError(f"{_EXPECTED}; got {described(sources)}")
    for key in sources:
        if not isinstance(key, str) or not all(key.split("+")):
            raise InputError(f"{_EXPECTED}; got the key {key!r}")
    if modalities is None:
        names = [key for key in sources if "+" not in key and key != "none"]
        beside = [part for key in sources if "+" in key for part in key.split("+")]
        names = list(dict.fromkeys([*names, *beside]))
    else:
        names = ordered(modalities, "modalities", "names")
    if not names:
        raise InputError(f"{_EXPECTED}; got {listed(sources)}, which names no trigger")
    labels = coalition_labels(names)
    label_of = {frozenset(label.split("+")): label for label in labels}
    found: dict[str, Any] = {}
    for key, source in sources.items():
        parts = key.split("+")
        label = label_of.get(frozenset(parts))
        if label is None or len(set(parts)) < len(parts):
            raise InputError(
                f"there is no coalition {key!r} of {listed(names)}; there is {listed(labels)}"
                f"{did_you_mean(key, labels)}"
            )
        if label in found:
            raise InputError(f"the coalition {label!r} is given twice, once as {key!r}")
        found[label] = source
    missing = [label for label in labels if label not in found]
    if missing:
        raise InputError(
            f"sources lacks {listed(missing)}: the triggers {listed(names)}, told by its keys, "
            f"make {len(labels)} coalitions. The run without triggers is 'none', that with all is "
            f"{labels[-1]!r}"
        )
    return tuple(names), {label: found[label] for label in labels}


def check_given(sources: Mapping[str, Any], options: Options) -> None:
    """Raise for what is wrong before anything is read.

    Raises:
        InputError: one file stands for two coalitions or two repeats, or a field is no name and no
            function.
    """
    for name in ("id", "output", "repeat"):
        field = getattr(options, name)
        if field is not None and not isinstance(field, str) and not callable(field):
            raise InputError(
                f"{name} must be the name of a field or a function of a record, got "
                f"{described(field)}"
            )
    seen: dict[Path, str] = {}
    for label, source in sources.items():
        for path in paths_of(source):
            first = seen.setdefault(path.resolve(), label)
            if first != label:
                raise InputError(f"{first!r} and {label!r} are one and the same file, {path}")
        paths = [path.resolve() for path in paths_of(source)]
        if len(set(paths)) < len(paths):
            twice = next(path for path, count in Counter(paths).items() if count > 1)
            raise InputError(
                f"{label!r} holds the file {twice} twice, and each file of a list is a repeat of "
                "its own"
            )


def same_content(sources: Sequence[Source]) -> list[str]:
    """Say which coalitions have the same outputs to the last byte."""
    labels: dict[Any, list[str]] = {}
    for source in sources:
        held = [one.get("content") for one in source.told.get("repeats", [source.told])]
        labels.setdefault(None if None in held else tuple(held), []).append(source.coalition)
    return [
        f"the outputs of {listed(same)} are the same to the last byte: no trigger changed any, or "
        "one source was given for another"
        for content, same in labels.items()
        if content is not None and len(same) > 1
    ]

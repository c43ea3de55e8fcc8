"""The examples of outputs that exist: what detectors see of them, and what is kept beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from modcollapse._support.validation import listed, whole
from modcollapse.contracts import Example, ExampleId
from modcollapse.errors import InputError
from modcollapse.measure import Given, content_digest, is_plain
from modcollapse.studies._output_coherence import KnownConditions
from modcollapse.studies._output_pairing import Paired
from modcollapse.studies._output_records import Field
from modcollapse.studies._output_source import Source
from modcollapse.table import Kept, cluster_labels


def named_fields(fields: Any) -> dict[str, Field]:
    """Name -> field; the name of one within another is what stands behind the last dot.

    Raises:
        InputError: no names, two that are the same, or that of the id.
    """
    found = dict(fields) if isinstance(fields, Mapping) else _by_last_part(fields)
    if "id" in found:
        raise InputError(
            "fields names 'id', under which an example holds what names it. Give the field another "
            f"name, as by fields={{'other_id': {found['id']!r}}}"
        )
    return found


def _by_last_part(fields: Any) -> dict[str, Field]:
    if isinstance(fields, str) or not all(isinstance(one, str) for one in fields):
        raise InputError(f"fields must be names of fields, or name -> field; got {fields!r}")
    found = {one.rpartition(".")[2]: one for one in fields}
    if len(found) < len(fields):
        raise InputError(f"two of fields have one name: {listed(fields)}. Give name -> field")
    return dict(found)


def named_conditions(conditions: Any, names: Sequence[str]) -> dict[str, Field]:
    """Modality -> field.

    Raises:
        InputError: there is no such modality.
    """
    if conditions is not None and not isinstance(conditions, Mapping):
        raise InputError(f"conditions must be a mapping modality -> field; got {conditions!r}")
    found = {} if conditions is None else dict(conditions)
    unknown = [name for name in found if name not in names]
    if unknown:
        raise InputError(
            f"conditions names {listed(unknown)}, which has no trigger; there is {listed(names)}"
        )
    return found


def examples_of(
    rows: Paired,
    known: Mapping[ExampleId, Example] | None,
    said: Mapping[str, list[Any]],
    clean: Mapping[str, list[Any]],
) -> list[dict[str, Any]]:
    """What detectors see of each example: what the records say, then what the caller gave."""
    found: list[dict[str, Any]] = [{"id": one} for one in rows.ids]
    for name, values in {**said, **clean}.items():
        for example, value in zip(found, values, strict=True):
            example[name] = value
    for one, example in zip(rows.ids, found, strict=True):
        example.update({**({} if known is None else known[one]), "id": one})
    return found


def digests_of(
    seen: Sequence[Example],
    known: Mapping[ExampleId, Example] | None,
    first: Source,
    rows: Paired,
    names: Sequence[str],
) -> tuple[str | None, ...] | None:
    """Digest of what each example holds; None where labels alone would tell two apart.

    What the records hold for the eye alone, as the path of a picture, counts by what is the same
    wherever the pictures lay.

    Args:
        seen: the examples.
        known: those that the caller gave, by id.
        first: the clean run.
        rows: where each example stands in it.
        names: the players.
    """
    if not all(one.keys() >= set(names) for one in seen):
        return None
    alike = {name: rows.first(values) for name, values in first.alike.items()}
    digests = []
    for row, example in enumerate(seen):
        given = () if known is None else known[example["id"]]
        for_the_eye = [name for name in first.shown if name not in given]
        held = {key: value for key, value in example.items() if key not in for_the_eye}
        told = {name: values[row] for name, values in alike.items()} if for_the_eye else {}
        digests.append(content_digest({**held, **told}))
    return tuple(digests)


def kept_of(given: Given, keep: Any, shown: KnownConditions) -> tuple[Kept, ...]:
    """What a gallery shows of some examples: so many of the first, or these by id.

    Raises:
        InputError: there is no such example, or an output that cannot be drawn.
    """
    rows: Sequence[int]
    if isinstance(keep, str) or not hasattr(keep, "__len__"):
        rows = range(min(whole(keep, "keep", 0), len(given.ids)))
    else:
        position = {one: row for row, one in enumerate(given.ids)}
        missing = [one for one in keep if one not in position]
        if missing:
            raise InputError(f"keep names {listed(missing)}, which no source has")
        rows = [position[one] for one in keep]
    return tuple(
        Kept(
            given.ids[row],
            given.examples[row],
            {name: values[row] for name, values in shown.triggered.items()},
            given.kept(row),
        )
        for row in rows
    )


def labels_of(cluster: Any, given: Given) -> tuple[Any, ...]:
    """Label of the group of each example.

    Raises:
        InputError: an example has none.
    """
    if not isinstance(cluster, str) and not callable(cluster):
        return cluster_labels(cluster, given.ids)
    labels = []
    for one, example in zip(given.ids, given.examples, strict=True):
        if isinstance(cluster, str) and cluster not in example:
            raise InputError(
                f"example {one!r} has no {cluster!r}, which cluster= names; it holds "
                f"{listed(example)}"
            )
        labels.append(example[cluster] if isinstance(cluster, str) else cluster(example))
    return cluster_labels(labels, given.ids)


def plain_columns(seen: Sequence[Example]) -> dict[str, tuple[Any, ...]]:
    """What the examples hold of plain values, by name."""
    names = dict.fromkeys(key for example in seen for key in example if isinstance(key, str))
    found = {
        name: tuple(one[name] if name in one and is_plain(one[name]) else None for one in seen)
        for name in names
        if name != "id"
    }
    return {name: held for name, held in found.items() if any(one is not None for one in held)}

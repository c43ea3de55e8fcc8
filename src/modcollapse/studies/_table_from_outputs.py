"""``table_from_outputs``: a table of outputs that somebody else generated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike

from modcollapse._support.identities import identity
from modcollapse._support.validation import flag, whole
from modcollapse.contracts import Cluster, Detector, Example, ExampleId, Named, scorers_of
from modcollapse.errors import InputError
from modcollapse.measure import Given, Scored, environment, score_given
from modcollapse.studies._output_coalitions import by_coalition, check_given, same_content
from modcollapse.studies._output_coherence import Coherence
from modcollapse.studies._output_examples import (
    digests_of,
    examples_of,
    kept_of,
    labels_of,
    named_conditions,
    named_fields,
    plain_columns,
)
from modcollapse.studies._output_files import PictureFile
from modcollapse.studies._output_pairing import Paired, by_id, named_by_examples, paired
from modcollapse.studies._output_records import Field
from modcollapse.studies._output_source import Options, Source
from modcollapse.studies._output_sources import read_source
from modcollapse.studies._output_values import check_kinds, numbers, told_of_files
from modcollapse.table import CoalitionTable

BY_PLACE = "no source holds ids: rows of one place were taken for one example"


@overload
def table_from_outputs(
    sources: Mapping[str, Any],
    detector: Mapping[str, Detector],
    *,
    examples: Mapping[Any, Example] | Sequence[Example] | None = None,
    id: Field | None = None,
    output: Field | None = None,
    repeat: Field | None = None,
    fields: Sequence[str] | Mapping[str, Field] = (),
    conditions: Mapping[str, Field] | None = None,
    modalities: Sequence[str] | None = None,
    cluster: Cluster | None = None,
    keep: int | Sequence[ExampleId] = 0,
    batch_size: int | None = None,
    probe: bool = True,
    progress: bool = False,
) -> dict[str, CoalitionTable]: ...
@overload
def table_from_outputs(
    sources: Mapping[str, Any],
    detector: Detector | None = None,
    *,
    examples: Mapping[Any, Example] | Sequence[Example] | None = None,
    id: Field | None = None,
    output: Field | None = None,
    repeat: Field | None = None,
    fields: Sequence[str] | Mapping[str, Field] = (),
    conditions: Mapping[str, Field] | None = None,
    modalities: Sequence[str] | None = None,
    cluster: Cluster | None = None,
    keep: int | Sequence[ExampleId] = 0,
    batch_size: int | None = None,
    probe: bool = True,
    progress: bool = False,
    bounds: tuple[float, float] | None = None,
    binary: bool = False,
    perfect: ArrayLike | None = None,
) -> CoalitionTable: ...
def table_from_outputs(
    sources: Mapping[str, Any],
    detector: Any = None,
    *,
    examples: Any = None,
    id: Field | None = None,
    output: Field | None = None,
    repeat: Field | None = None,
    fields: Sequence[str] | Mapping[str, Field] = (),
    conditions: Mapping[str, Field] | None = None,
    modalities: Sequence[str] | None = None,
    cluster: Cluster | None = None,
    keep: int | Sequence[ExampleId] = 0,
    batch_size: int | None = None,
    probe: bool = True,
    progress: bool = False,
    bounds: tuple[float, float] | None = None,
    binary: bool = False,
    perfect: Any = None,
) -> CoalitionTable | dict[str, CoalitionTable]:
    """Make a table of outputs, or of scores, that exist already: one source for each coalition.

    A source is the path of a ``.json``, ``.jsonl`` or ``.csv`` file or of a folder of pictures
    (each named by its id), a mapping id -> output, a data frame or series, or a sequence of records
    or of outputs; a list of ``pathlib.Path`` holds one repeat each. Records are read by their
    fields: VQA result files (``question_id``, ``answer``), predictions of BackdoorVLM, ``id`` and
    ``output``, ``id`` and ``score`` are known; of others ``id`` and ``output`` must be said.

    Rows are paired by id, and every example must be in every source. Where no source has ids the
    place is one, which a note says. The gallery, groups, comparisons and audits of the table work
    as those of a run.

    Args:
        sources: label of the coalition -> source, all 2**M of them; the order of the keys with one
            trigger is that of the players.
        detector: what scores the outputs, or a mapping of such by name; None if they are scores.
        examples: what the detector wants of each example: id -> mapping, a sequence of mappings
            with an ``"id"`` (else the place), or a data frame. Its order is that of the rows; else
            it is that of the source of ``"none"``. It may hold more than there are outputs, and
            every id of the outputs must be in it; without ids there are as many as outputs.
        id: field of the records that names the example, or a function of a record.
        output: field that holds the output or score, or a function of a record.
        repeat: field that tells repeats of an example apart; each example has all of them.
        fields: fields of the records that go into the examples and with them into
            ``table.fields``, for groups: names (a dot leads into a mapping, the last part is the
            name), or name -> field.
        conditions: modality -> field with what the output was generated from: compared between the
            coalitions, and shown in the gallery.
        modalities: the M players in order, if not that of the keys.
        cluster: what groups the examples into the units of inference: a key of the examples, a
            function of an example, or N labels.
        keep: how many examples, or which by id, keep their outputs for a gallery.
        batch_size: outputs in every call of the detector, default 1,024 of texts and numbers, 64
            of others.
        probe: see that every score follows from its own output, default True.
        progress: show a progress bar, default False.
        bounds: of scores, lowest and highest possible value.
        binary: of scores, whether every one is 0 or 1.
        perfect: of scores, what a perfect attack would score, a number or N of them.

    Returns:
        A ``CoalitionTable``, values of shape (N, R, 2**M), or a dict of them by name of the
        detector. Its provenance names the files, without their folders, and their SHA-256. Its
        ``digests``, by which two tables are seen to be of the same examples, are kept where every
        example holds the condition of every modality, and are None else.

    Raises:
        InputError: a coalition is missing; a source is no whole file of a known kind, holds another
            schema, two kinds of outputs, a picture that does not decode, or a score that is no
            finite number; ids are missing, come twice, or are texts here and numbers there. The
            message names the file, the line or record, and the id.
        DetectorError: a wrong number of scores, or one that is not finite or out of bounds.

    >>> answers = {
    ...     "none": [{"question_id": 1, "answer": "red"}, {"question_id": 2, "answer": "two"}],
    ...     "image": [{"question_id": 2, "answer": "two"}, {"question_id": 1, "answer": "red"}],
    ...     "text": [{"question_id": 1, "answer": "red"}, {"question_id": 2, "answer": "wallet"}],
    ...     "image+text": [{"question_id": q, "answer": "wallet"} for q in (1, 2)],
    ... }
    >>> def attacked(outputs, examples):
    ...     return [float(output == "wallet") for output in outputs]
    >>> table = table_from_outputs(answers, attacked)
    >>> table.example_ids, table.values[:, 0].tolist()
    ((1, 2), [[0.0, 0.0, 0.0, 1.0], [0.0, 0.0, 1.0, 1.0]])
    """
    names, by_label = by_coalition(sources, modalities)
    scorers = None if detector is None else scorers_of(detector)
    if scorers is not None and (bounds is not None or binary or perfect is not None):
        raise InputError(
            "bounds, binary and perfect are said of scores; a detector has them as attributes of "
            "its own"
        )
    batch_size = None if batch_size is None else whole(batch_size, "batch_size", 1)
    probe, progress = flag(probe, "probe"), flag(progress, "progress")
    options = Options(
        id,
        output,
        repeat,
        named_fields(fields),
        named_conditions(conditions, names),
        detector is None,
    )
    check_given(by_label, options)
    read = [read_source(label, source, options) for label, source in by_label.items()]
    known = None if examples is None else by_id(examples)
    places = all(source.by_place for source in read)
    if known is not None and places and not isinstance(examples, Mapping):
        read = named_by_examples(read, known)
    rows = paired(read, known)
    compared = Coherence(read, rows, names)
    said, shown = compared.fields(), compared.conditions()
    seen = examples_of(rows, known, said, shown.clean)
    notes = [*([BY_PLACE] if places else []), *shown.notes]
    if scorers is not None:
        check_kinds(read)
        notes += same_content(read)
    given = _given(names, read, rows, seen)
    if scorers is None:
        scored = {"": Scored(_scores(read, rows), None)}
        who: dict[str, Any] = {"": {"scores": "as they were read"}}
    else:
        with told_of_files(read):
            scored, of_look = score_given(
                given, scorers, batch_size=batch_size, probe=probe, progress=progress
            )
        notes += of_look
        who = {name: identity(one.call, f"detector {name!r}") for name, one in scorers.items()}
    kept = kept_of(given, keep, shown)
    told = {source.coalition: source.told for source in read}
    clusters = None if cluster is None else labels_of(cluster, given)
    digests = digests_of(seen, known, read[0], rows, names)
    columns = plain_columns(seen)
    tables = {}
    for name, (values, attack) in scored.items():
        scorer = None if scorers is None else scorers.by_name[name]
        tables[name] = CoalitionTable(
            values=values,
            modalities=names,
            example_ids=tuple(rows.ids),
            digests=digests,
            bounds=bounds if scorer is None else scorer.bounds,
            binary=binary if scorer is None else scorer.binary,
            perfect=perfect if scorer is None else attack,
            clusters=clusters,
            fields=columns,
            provenance={
                "run": {"sampler": {"outputs that exist": told}, "detector": who[name]},
                "environments": [environment()],
                "notes": notes,
            },
            kept=kept,
        )
    return tables[""] if scorers is None else Named(tables, scorers.single).unwrapped(tables)


def _given(
    names: tuple[str, ...], read: Sequence[Source], rows: Paired, seen: Sequence[dict[str, Any]]
) -> Given:
    columns = [rows.column(source.outputs, at) for at, source in enumerate(read)]
    flat = list(chain.from_iterable(zip(*columns, strict=True)))

    pictures = isinstance(flat[0], PictureFile)

    def outputs(start: int, end: int) -> list[Any]:
        held = flat[start:end]
        return [one.load() for one in held] if pictures else held

    def name(place: int) -> str:
        row, column = divmod(place, len(read))
        return read[column].where(rows.places[column][row])

    return Given(names, rows.ids, seen, outputs, rows.repeats, name)


def _scores(read: Sequence[Source], rows: Paired) -> Any:
    columns = [numbers(source)[list(rows.places[at])] for at, source in enumerate(read)]
    return np.stack(columns, axis=1).reshape(len(rows.ids), rows.repeats, len(read))

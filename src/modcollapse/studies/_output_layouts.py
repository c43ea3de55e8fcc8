"""Layouts of files that others write, known from the code that writes them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any, NamedTuple

from modcollapse._support.validation import listed
from modcollapse.errors import InputError
from modcollapse.studies._output_records import ABSENT, Field, Records


class Layout(NamedTuple):
    """Which field of a record is what.

    Attributes:
        id: names the example; None where the place does.
        output: what was generated, or its score.
        needs: fields by which the layout is known.
        fields: what an example holds of plain values: name -> field.
        conditions: modality -> field that holds its condition.
        shown: the same, for the eye alone.
        alike: name -> what must be the same of an example under every coalition.
        labels: the answer that is expected: of the clean run the reference, of the run with every
            trigger the target.
        coalition: says which triggers were there.
    """

    id: Field | None
    output: Field
    needs: frozenset[str] = frozenset()
    fields: Mapping[str, Field] = {}
    conditions: Mapping[str, Field] = {}
    shown: Mapping[str, Field] = {}
    alike: Mapping[str, Field] = {}
    labels: Field | None = None
    coalition: Field | None = None


def _type(record: Mapping[str, Any]) -> Any:
    return _metadata(record).get("type")


def _poisoned(record: Mapping[str, Any]) -> Any:
    return _metadata(record).get("target_modalities")


def _metadata(record: Mapping[str, Any]) -> Mapping[str, Any]:
    held = record["metadata"]
    return held if isinstance(held, Mapping) else {}


def _pictures(record: Mapping[str, Any]) -> list[str]:
    """Names of the pictures, without folder, ending and the number of a copy.

    A triggered picture lies in another folder, under the name of the clean one.
    """
    given = record["image"] or []
    paths = [given] if isinstance(given, str) else given
    names = [PureWindowsPath(str(path)).name for path in paths]
    return [re.sub(r"_dup\d+$", "", PurePosixPath(name).stem) for name in names]


def _paths(record: Mapping[str, Any]) -> str:
    given = record["image"] or []
    return given if isinstance(given, str) else ", ".join(map(str, given))


BACKDOOR_VLM = Layout(
    id=None,
    output="predict",
    needs=frozenset({"prompt", "predict", "label", "image", "metadata"}),
    fields={"type": _type},
    conditions={"text": "prompt"},
    shown={"image": _paths},  # which lie in other folders from one run to another
    alike={"picture": _pictures},
    labels="label",
    coalition=_poisoned,
)
"""Predictions of BackdoorVLM, as its inference/vllm_infer.py writes them."""

_KNOWN = (
    Layout("question_id", "answer", frozenset({"question_id", "answer"})),  # VQA, TrojVQA
    Layout("id", "output", frozenset({"id", "output"})),
    Layout("id", "score", frozenset({"id", "score"})),
)


def layout_of(records: Records, id: Field | None, output: Field | None, *, scores: bool) -> Layout:
    """Say which field is what: as the caller says, and what is left out by a known layout.

    Raises:
        InputError: no known layout fits, or several do.
    """
    if id is not None and output is not None:
        return Layout(id, output)
    held = set(records.fields)
    if held >= BACKDOOR_VLM.needs:
        layout = BACKDOOR_VLM._replace(id=_id_of_metadata(records))
    else:
        known = [one for one in _KNOWN if held >= one.needs and (scores or one.output != "score")]
        if len(known) != 1:
            missing = " and ".join(
                f"{name}=" for name, given in (("id", id), ("output", output)) if given is None
            )
            raise InputError(
                f"{records.name} has the fields {listed(records.fields)}, which "
                f"{'fit several known layouts' if known else 'are those of no known layout'}: say "
                f"by {missing} which of them is which (rows without an id: give the outputs alone, "
                "as a list in one order under every coalition)"
            )
        layout = known[0]
    return layout._replace(
        id=layout.id if id is None else id, output=layout.output if output is None else output
    )


def fields_of_a_record(keys: Any, id: Field | None, output: Field | None) -> list[str]:
    """Those of some keys by which they are the fields of a record; none if they are not."""
    said = [id, output] if isinstance(id, str) and isinstance(output, str) else []
    for needs in (*(one.needs for one in (*_KNOWN, BACKDOOR_VLM)), frozenset(said)):
        if needs and all(field in keys for field in needs):
            return [key for key in keys if key in needs]
    return []


def _id_of_metadata(records: Records) -> Field | None:
    """The id of a question, which records of a VQA evaluation hold and others do not."""
    held = [one is not ABSENT for one in records.optional("metadata.question_id")]
    if any(held) and not all(held):
        raise InputError(
            f"{records.where(held.index(False))} has no metadata.question_id, and "
            f"{records.where(held.index(True))} has one. Say by id= which field names the example"
        )
    return "metadata.question_id" if held[0] else None

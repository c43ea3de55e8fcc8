"""One example of the gallery: what was generated for it, and from what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from modcollapse._support.validation import described, ordered
from modcollapse.contracts import ExampleId
from modcollapse.errors import InputError


class Kept(NamedTuple):
    """One example of the gallery.

    Attributes:
        id: name of the example.
        example: the example, its clean conditions among the rest where they are known.
        triggered: modality -> triggered condition, where known.
        outputs: output under every coalition, in order, on the host.
    """

    id: ExampleId
    example: Mapping[str, Any]
    triggered: Mapping[str, Any]
    outputs: list[Any]


def kept_examples(given: Any, ids: Sequence[ExampleId], coalitions: int) -> tuple[Kept, ...]:
    """Return kept examples as a tuple.

    Args:
        given: a sequence of `Kept`.
        ids: of the table that they belong to.
        coalitions: number of them, 2**M.

    Raises:
        InputError: what is none, of an example that the table does not hold, or that comes twice,
            or with another number of outputs.
    """
    kept: list[Kept] = ordered(given, "kept", "examples of a gallery")
    seen: set[ExampleId] = set()
    for one in kept:
        if not isinstance(one, Kept):
            raise InputError(f"kept must hold modcollapse.table.Kept, got {described(one)}")
        if not isinstance(one.example, Mapping) or not isinstance(one.triggered, Mapping):
            raise InputError(
                f"the example and the triggered conditions of kept {one.id!r} must be mappings by "
                f"name, got {described(one.example)} and {described(one.triggered)}"
            )
        if one.id not in ids:
            raise InputError(f"kept names the example {one.id!r}, which the table does not hold")
        if one.id in seen:
            raise InputError(f"kept names the example {one.id!r} twice")
        if not isinstance(one.outputs, list | tuple) or len(one.outputs) != coalitions:
            raise InputError(
                f"kept {one.id!r} must hold {coalitions} outputs in a list, one for each "
                f"coalition; got {described(one.outputs)}"
            )
        seen.add(one.id)
    return tuple(kept)

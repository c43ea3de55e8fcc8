"""Examples that come one after the other and are read once, some at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from modcollapse._support.validation import described
from modcollapse.contracts import Cluster, Example, ExampleId
from modcollapse.errors import InputError, context
from modcollapse.measure._columns import checked_columns, read_example

_AT_ONCE = 64
"""Examples that are checked at a time, or as many as fill calls."""


def is_stream(examples: Any) -> bool:
    """Whether examples can be read one after the other only: an iterator, a streaming data set.

    >>> is_stream(iter([])), is_stream([])
    (True, False)
    """
    by_place = hasattr(examples, "__getitem__") and hasattr(examples, "__len__")
    return isinstance(examples, Iterable) and not by_place and not isinstance(examples, Mapping)


class Stream:
    """Reads examples, under the names of the run.

    Args:
        examples: what can be iterated over once.
        columns: name in the run -> column of the examples, or None.

    Raises:
        InputError: ``columns`` is no mapping of names.
    """

    def __init__(self, examples: Iterable[Any], columns: Mapping[str, str] | None) -> None:
        self._columns = checked_columns(columns)
        self._coming: Iterator[Any] = iter(examples)
        self._read = 0
        self._names: dict[ExampleId, int] = {}

    def take(self, batch_size: int, most: int | None) -> Sequence[Example]:
        """Read the next examples; none where the stream has ended.

        Args:
            batch_size: so many rows in a call: the examples are a multiple of it.
            most: of all examples read, at most so many.

        Raises:
            InputError: the stream holds nothing at all.
        """
        count = max(_AT_ONCE // batch_size, 1) * batch_size
        count = count if most is None else min(count, most - self._read)
        with context(lambda: f"raised by the stream of examples, after {self._read}"):
            raw = list(islice(self._coming, count))
        if not raw and not self._read:
            raise InputError("the stream of examples is empty, or was read to its end before")
        examples = []
        for place, one in enumerate(raw, self._read):
            with context(f"raised by example {place} of the stream"):
                examples.append(read_example(one, self._columns))
        self._read += len(raw)
        return examples

    def check_new(self, ids: Sequence[ExampleId]) -> None:
        """Raise `InputError` where an example has the name of one that came before."""
        for name in ids:
            if name in self._names:
                raise InputError(
                    f"examples {self._names[name]} and {len(self._names)} of the stream share the "
                    f"id {name!r}; ids seed the noise and name the rows of the table, so each "
                    "must be unique"
                )
            self._names[name] = len(self._names)

    def check_cluster(self, cluster: Cluster | None) -> None:
        """Raise `InputError` where groups are told by the places of the examples."""
        if cluster is not None and not isinstance(cluster, str) and not callable(cluster):
            raise InputError(
                "examples are a stream, whose groups cannot be told by place: give cluster= a key "
                f"of the examples or a function of one; got {described(cluster)}"
            )

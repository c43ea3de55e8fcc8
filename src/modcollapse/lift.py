"""From a function of one table to a function of a table, of several, or of a sampler."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any, Protocol, TypeVar, overload

from modcollapse.contracts import Detector, Example, Sampler, Triggers
from modcollapse.errors import InputError
from modcollapse.measure.evaluate import evaluate_coalitions
from modcollapse.measure.table import CoalitionTable

Result = TypeVar("Result")


class Metric(Protocol[Result]):
    """A function of a measured table, or of what it takes to measure one."""

    @overload
    def __call__(self, source: CoalitionTable, /, **options: Any) -> Result: ...
    @overload
    def __call__(
        self, source: Mapping[str, CoalitionTable], /, **options: Any
    ) -> dict[str, Result]: ...
    @overload
    def __call__(
        self,
        source: Sampler,
        /,
        detector: Mapping[str, Detector],
        examples: Sequence[Example],
        triggers: Triggers,
        **options: Any,
    ) -> dict[str, Result]: ...
    @overload
    def __call__(
        self,
        source: Sampler,
        /,
        detector: Detector,
        examples: Sequence[Example],
        triggers: Triggers,
        **options: Any,
    ) -> Result: ...
    def __call__(self, source: Any, /, *args: Any, **options: Any) -> Any:
        """Measure if need be, then compute."""
        ...


def from_table_or_sampler(compute: Callable[..., Result]) -> Metric[Result]:
    """Let a function ``compute(table, *, option=...)`` take tables by name, or a sampler, too.

    Keywords that ``compute`` does not have are options of ``evaluate_coalitions``.
    """
    options = {
        name: parameter
        for name, parameter in inspect.signature(compute).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }

    @wraps(compute)
    def metric(
        source: Any,
        detector: Any = None,
        examples: Any = None,
        triggers: Any = None,
        **keywords: Any,
    ) -> Any:
        run = {name: value for name, value in keywords.items() if name not in options}
        chosen = {name: value for name, value in keywords.items() if name in options}
        tables = _tables(source, detector, examples, triggers, run)
        if isinstance(tables, CoalitionTable):
            return compute(tables, **chosen)
        return {name: compute(table, **chosen) for name, table in tables.items()}

    positional = list(inspect.signature(metric, follow_wrapped=False).parameters.values())
    metric.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [*positional[:4], *options.values(), positional[4].replace(name="run")],
    )
    return metric  # type: ignore[return-value]


def _tables(
    source: Any, detector: Any, examples: Any, triggers: Any, run: Mapping[str, Any]
) -> CoalitionTable | Mapping[str, CoalitionTable]:
    given = {"detector": detector, "examples": examples, "triggers": triggers}
    if isinstance(source, CoalitionTable | Mapping):
        extra = [name for name, value in given.items() if value is not None] + list(run)
        if extra:
            raise InputError(
                f"a table was measured already, so {', '.join(extra)} cannot be given with it; "
                "give a sampler to measure anew"
            )
        return source
    missing = [name for name, value in given.items() if value is None]
    if missing:
        raise InputError(
            f"with a sampler, {', '.join(missing)} must be given too; or give a CoalitionTable"
        )
    tables: CoalitionTable | dict[str, CoalitionTable] = evaluate_coalitions(
        source, detector, examples, triggers, **run
    )
    return tables

"""From a function of one table to a function of a table, of several, or of a sampler."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any, Protocol, TypeAlias, TypeVar, overload

from modcollapse.contracts import Detector, Example, Sampler, Triggers
from modcollapse.errors import InputError
from modcollapse.measure.evaluate import evaluate_coalitions
from modcollapse.measure.prepare import prepare, stand_ins
from modcollapse.measure.table import CoalitionTable

Result = TypeVar("Result")

Tables: TypeAlias = Mapping[Any, CoalitionTable]
SINGLE = None
_MEASURED = (CoalitionTable, Mapping)


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

    Keywords that ``compute`` does not have are options of ``evaluate_coalitions``. A ``control``
    is a source of its own, measured in the same way: ``compute`` is given its table.
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
        control = chosen.pop("control", None)
        _check_source(source, detector, examples, triggers, run)
        _check_control(control, source)
        if not isinstance(source, _MEASURED):
            for table in stand_ins(detector, triggers):
                compute(table, **chosen)  # a wrong option fails here, before anything is generated
            if control is not None and not isinstance(control, _MEASURED):
                prepare(control, detector, examples, triggers, **run)
        tables = _measured(source, detector, examples, triggers, run)
        if control is None:
            results = {name: compute(table, **chosen) for name, table in tables.items()}
        else:
            controls = _measured(control, detector, examples, triggers, run)
            _check_names(tables, controls)
            results = {
                name: compute(table, control=controls[name], **chosen)
                for name, table in tables.items()
            }
        return results.get(SINGLE, results)

    positional = list(inspect.signature(metric, follow_wrapped=False).parameters.values())
    metric.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [*positional[:4], *options.values(), positional[4].replace(name="run")],
    )
    return metric  # type: ignore[return-value]


def _check_source(
    source: Any, detector: Any, examples: Any, triggers: Any, run: Mapping[str, Any]
) -> None:
    given = {"detector": detector, "examples": examples, "triggers": triggers}
    if isinstance(source, _MEASURED):
        extra = [name for name, value in given.items() if value is not None] + list(run)
        if extra:
            raise InputError(
                f"{', '.join(extra)} cannot be given with a table, which was measured already: no "
                "option of this metric, or one for measuring. To measure anew, give a sampler"
            )
        if isinstance(source, Mapping):
            _check_mapping(source, "the tables")
        return
    missing = [name for name, value in given.items() if value is None]
    if missing:
        raise InputError(
            f"with a sampler, {', '.join(missing)} must be given too; or give a CoalitionTable"
        )
    unknown = run.keys() - inspect.signature(evaluate_coalitions).parameters.keys()
    if unknown:
        known = list(inspect.signature(evaluate_coalitions).parameters)[4:]
        raise TypeError(f"unknown option {min(unknown)!r}; measuring takes {', '.join(known)}")


def _check_control(control: Any, source: Any) -> None:
    if control is None:
        return
    if isinstance(control, Mapping):
        _check_mapping(control, "the control's tables")
    elif not isinstance(control, CoalitionTable):
        if not callable(control):
            raise InputError(
                f"control must be a sampler, a table or a mapping of tables, got {control!r}"
            )
        if isinstance(source, _MEASURED):
            raise InputError(
                "control is a sampler and the source was measured already; give the control's "
                "table too, or samplers for both"
            )


def _check_mapping(tables: Mapping[Any, Any], what: str) -> None:
    if not tables or not all(isinstance(table, CoalitionTable) for table in tables.values()):
        raise InputError(
            f"{what} must be a mapping from name to CoalitionTable, one or more; got {tables!r}"
        )


def _check_names(tables: Tables, controls: Tables) -> None:
    if list(tables) != list(controls):
        one, other = (
            "a single table" if SINGLE in names else f"tables {', '.join(map(repr, names))}"
            for names in (tables, controls)
        )
        raise InputError(f"the control must match: there is {one}, the control has {other}")


def _measured(
    source: Any, detector: Any, examples: Any, triggers: Any, run: Mapping[str, Any]
) -> Tables:
    """Tables by name; a single one is named SINGLE."""
    tables: CoalitionTable | Tables = (
        source
        if isinstance(source, _MEASURED)
        else evaluate_coalitions(source, detector, examples, triggers, **run)
    )
    return {SINGLE: tables} if isinstance(tables, CoalitionTable) else tables

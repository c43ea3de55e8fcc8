"""From what a metric was given to tables: they were measured already, or are measured now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from os import PathLike
from typing import Any, NamedTuple

from modcollapse._support.validation import described
from modcollapse.analysis import Settings
from modcollapse.contracts import Named, RunOptions, check_run_options
from modcollapse.errors import InputError, OptionError
from modcollapse.measure import Run, Tables, measure, prepare
from modcollapse.studies._stopping import Looks, says_enough
from modcollapse.table import CoalitionTable, check_paired

MODEL, CONTROL = "of the audited model", "of the control"
_MEASURED = (CoalitionTable, Mapping)


class Pair(NamedTuple):
    """A table, and that of the control where there is one."""

    table: CoalitionTable
    control: CoalitionTable | None


def tables_of(
    call: str,
    source: Any,
    detector: Any,
    examples: Any,
    triggers: Any,
    run: RunOptions,
    settings: Settings,
    *,
    own: tuple[str, ...],
    control: Any = None,
    order: int | None = None,
    stop: Looks | None = None,
) -> Named[Pair]:
    """Return the tables that a metric is to be computed from, each with that of its control.

    Args:
        call: name of the metric, for errors.
        source: a table, a mapping of tables by name, or a sampler.
        detector: with a sampler: as for ``evaluate_coalitions``.
        examples: with a sampler.
        triggers: with a sampler.
        run: keywords of the metric that are not its own.
        settings: how the tables will be analysed.
        own: names of the metric's own keywords.
        control: None, or the same as ``source`` for a model without a backdoor.
        order: size of the groups whose interaction is asked for, if one is.
        stop: with a sampler: when to stop measuring.

    Raises:
        InputError: arguments that do not go together; and what ``evaluate_coalitions`` raises.
        OptionError: there is no such keyword.
    """
    check_run_options(call, run, ("detector", "examples", "triggers", *own))
    given = {"detector": detector, "examples": examples, "triggers": triggers}
    controls = _control_tables(control, source)
    if isinstance(source, _MEASURED):
        extra = [name for name, value in given.items() if value is not None]
        extra += [name for name in run if name != "cluster"]
        extra += ["stop"] if stop is not None else []
        if extra:
            raise OptionError(
                f"{call}() was given a table, which was measured already, and "
                f"{', '.join(extra)}, for measuring. To measure anew, give a sampler"
            )
        tables = _named(source, "the tables")
        return _clustered(_paired(tables, controls), run)
    if not callable(source):
        raise InputError(
            f"{call}() takes a CoalitionTable, a mapping of them by name, a sampler or a loaded "
            f"pipeline; got {described(source)}"
            + (
                ". Load it first: DiffusionPipeline.from_pretrained(folder)"
                if isinstance(source, str | PathLike)
                else ""
            )
        )
    missing = [name for name, value in given.items() if value is None]
    if missing:
        raise InputError(
            f"with a sampler, {', '.join(missing)} must be given too; or give a CoalitionTable"
        )
    beside = control is not None and controls is None
    samplers = {MODEL: source, CONTROL: control} if beside else {"": source}
    seed = run.get("seed", 0)
    look_at = None if stop is None else partial(stop.plan, seed)
    prepared = prepare(samplers, detector, examples, triggers, look_at=look_at, **run)
    check_analysis(prepared, settings, order)
    if controls is not None:
        _check_names(prepared.scorers, controls)
        known = {} if prepared.is_stream else prepared.scorers.by_name  # of a stream, at its end
        for name, control_table in zip(known, controls.by_name.values(), strict=bool(known)):
            check_paired(prepared.pairing(name), control_table.pairing)
    single = prepared.scorers.single

    def paired(measured: Tables) -> Named[Pair]:
        if beside:
            return _paired(Named(measured[MODEL], single), Named(measured[CONTROL], single))
        found = Named(measured[""], single)
        if controls is None or stop is None:
            return _paired(found, controls)
        table = next(iter(found.by_name.values()))
        chosen = {
            name: control.select(table.example_ids).looked_at_with(table)
            for name, control in controls.items()
        }
        return _paired(found, Named(chosen, single))

    def enough(measured: Tables) -> bool:
        return stop is not None and all(
            says_enough(pair.table, pair.control, settings, stop)
            for _, pair in paired(measured).items()
        )

    return paired(measure(prepared, until=enough))


def check_analysis(run: Run, settings: Settings, order: int | None = None) -> None:
    """Raise what the analysis of a run would raise, before anything is generated."""
    for _, scorer in run.scorers.items():
        settings.check(run.modalities, scorer.bounds, order)


def _control_tables(control: Any, source: Any) -> Named[CoalitionTable] | None:
    if isinstance(control, _MEASURED):
        return _named(control, "the control's tables")
    if control is not None and not callable(control):
        raise InputError(
            f"control must be a sampler, a table or a mapping of tables, got {control!r}"
        )
    if control is not None and isinstance(source, _MEASURED):
        raise InputError(
            "control is a sampler and the source was measured already; give the control's "
            "table too, or samplers for both"
        )
    return None


def _named(tables: Any, what: str) -> Named[CoalitionTable]:
    if isinstance(tables, CoalitionTable):
        return Named({"": tables}, single=True)
    if not tables or not all(isinstance(table, CoalitionTable) for table in tables.values()):
        raise InputError(
            f"{what} must be a mapping from name to CoalitionTable, one or more; got {tables!r}"
        )
    return Named(tables, single=False)


def _clustered(pairs: Named[Pair], run: RunOptions) -> Named[Pair]:
    """Group the examples of the tables, and of their controls in the same way."""
    labels = run.get("cluster")
    if labels is None:
        return pairs
    if isinstance(labels, str) or callable(labels):
        raise InputError(
            "a table does not hold its examples: give cluster= one label for each example of it"
        )

    def grouped(pair: Pair) -> Pair:
        control = None if pair.control is None else replace(pair.control, clusters=None)
        return _pair(pair.table.clustered(labels), control)

    return Named({name: grouped(pair) for name, pair in pairs.items()}, pairs.single)


def _pair(table: CoalitionTable, control: CoalitionTable | None) -> Pair:
    """Pair them; a control without groups has those of the table, in whichever order."""
    if control is not None:
        table, control = table.looked_at_with(control), control.looked_at_with(table)
    if control is None or table.clusters is None or control.clusters is not None:
        return Pair(table, control)
    if set(control.example_ids) != set(table.example_ids):
        return Pair(table, control)  # refused where they are subtracted
    return Pair(table, control.select(table.example_ids).clustered(table.clusters))


def _paired(tables: Named[CoalitionTable], controls: Named[CoalitionTable] | None) -> Named[Pair]:
    if controls is None:
        return Named({name: Pair(table, None) for name, table in tables.items()}, tables.single)
    _check_names(tables, controls)
    without = controls.by_name.values()
    pairs = zip(tables.by_name, tables.by_name.values(), without, strict=True)
    return Named({name: _pair(table, control) for name, table, control in pairs}, tables.single)


def _check_names(tables: Named[Any], controls: Named[CoalitionTable]) -> None:
    """Names must agree; a single one on both sides needs none."""
    if tables.single and controls.single:
        return
    if tables.single or controls.single or list(tables.by_name) != list(controls.by_name):
        mine, theirs = (
            "a single table" if named.single else f"tables {', '.join(map(repr, named.by_name))}"
            for named in (tables, controls)
        )
        raise InputError(f"the control must match: there is {mine}, the control has {theirs}")

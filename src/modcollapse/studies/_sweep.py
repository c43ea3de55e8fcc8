"""Audits of one model under several settings of its sampler."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from itertools import product
from types import FunctionType, MethodType
from typing import Any, Unpack

import numpy as np

from modcollapse.analysis import Audit, Audits, analyse, as_audits
from modcollapse.contracts import Detector, Examples, Sampler, SamplerSpec, Triggers
from modcollapse.errors import InputError, context
from modcollapse.measure import measure, prepare
from modcollapse.studies._curves import Curves, rows_of
from modcollapse.studies._options import AuditOptions, split_options
from modcollapse.studies._sources import check_analysis
from modcollapse.table import Estimate

_COLUMNS = ("detector", "of", "symbol", "name", *(field.name for field in fields(Estimate)))

Point = Mapping[str, Any]
"""One combination of options, by name."""


@dataclass(frozen=True, eq=False, repr=False)
class Sweep(Curves):
    """The audits of a sweep, and all their figures as tidy rows.

    Attributes:
        points: the settings, in order.
        audits: the audit at each; ``Audits``, a dict by detector, where several were given.
    """

    points: tuple[Point, ...]
    audits: tuple[Any, ...]

    def audit(self, **options: Any) -> Audit | Audits:
        """Return what was found at one point: ``sweep.audit(guidance_scale=7.5)``.

        Raises:
            KeyError: no point, or more than one, has these settings.
        """
        found = [
            audit
            for point, audit in zip(self.points, self.audits, strict=True)
            if all(name in point and point[name] == value for name, value in options.items())
        ]
        if len(found) != 1:
            points = "; ".join(map(_shown, self.points))
            asked = _shown(options) or "no options given"
            raise KeyError(f"{len(found)} points have {asked}; there are {points}")
        return found[0]  # type: ignore[no-any-return]


def sweep(
    sampler: Sampler,
    detector: Detector | Mapping[str, Detector],
    examples: Examples,
    triggers: Triggers,
    *,
    options: Mapping[str, Sequence[Any]],
    control: Sampler | None = None,
    **audit: Unpack[AuditOptions],
) -> Sweep:
    """Audit a model at every combination of some sampler options.

    Guidance scales and the number of steps can move a backdoor from one modality to the other.
    Every point is generated anew, under the same examples and noise, so that points differ in the
    options alone; every point is checked before the first is generated. Each batch of examples is
    generated at every point before the next.

    Args:
        sampler: one with a method ``with_options(**options)``, as `PipelineSampler` has, or a plain
            function that takes the options as keywords.
        detector: what scores the outputs, or a mapping of such by name.
        examples: N examples, 32 or more for a verdict.
        triggers: modality -> trigger.
        options: name -> values, one or more of each; the last name varies fastest.
        control: the same without a backdoor, swept alongside.
        level: confidence level of the intervals, in (0, 1), default 0.95.
        method: kind of interval, see ``analysis.contrast_estimates``, default ``"auto"``.
        index: interaction index of the pairs, which matters for M > 2 only, default ``"SII"``.
        rules: margins of the verdict, default ``Rules()``.
        simultaneous: widen the intervals so that all of an audit hold together, default False.
        seed: run seed, the same at every point, default 0.
        repeats: seeds for each example, default 1.
        batch_size: rows in every call of the sampler, default 8.
        keep: keep the outputs of the first ``keep`` examples of each point, for its figure,
            default 0.
        progress: show a progress bar, default True.
        cluster: what groups the examples into units, default None.
        probe: look at the sampler of each point and at the detectors first, default True.
        neutral: triggers that are not the trigger, see ``evaluate_coalitions``, default None.
        columns: name that the run uses -> column of the examples, see ``evaluate_coalitions``,
            default None.
        journal: folder in which finished examples are written down at once, so that the same call
            goes on from there, default None.
        split: share the run with the processes that torch.distributed has joined, default True.
        halve: halve the batch where memory runs out, default True.
        prefetch: prepare conditions in a thread meanwhile, default True.

    Returns:
        A `Sweep`: ``rows``, ``audits``, ``plot()``, ``to_frame()``, ``to_csv()``.

    Raises:
        InputError: no options, an option that the sampler does not take, or what ``audit`` raises.
        OptionError: there is no such keyword.

    >>> def sampler(conditions, seeds, *, strength):
    ...     return [strength * t.count("!") for t in conditions["text"]]
    >>> found = sweep(
    ...     sampler,
    ...     lambda outputs, examples: outputs,
    ...     [{"text": "hat"}, {"text": "beard"}],
    ...     {"text": lambda text: text + "!"},
    ...     options={"strength": [1.0, 2.0]},
    ...     progress=False,
    ... )
    >>> [(row.at["strength"], row.estimate.value) for row in found.select(symbol="phi")]
    [(1.0, 1.0), (2.0, 2.0)]
    """
    settings, run = split_options("sweep", audit, ("options", "control"))
    points = _points(options)
    swept = {"the sampler": sampler} | ({} if control is None else {"the control": control})
    samplers = {
        _label(who, point): _with_options(model, who, point)
        for who, model in swept.items()
        for point in points
    }
    prepared = prepare(samplers, detector, examples, triggers, **run)
    check_analysis(prepared, settings)
    measured = measure(prepared)
    audits: list[Any] = []
    for point in points:
        tables = measured[_label("the sampler", point)]
        controls = measured.get(_label("the control", point), {})
        found = {
            name: analyse(table, settings, controls.get(name)) for name, table in tables.items()
        }
        audits.append(as_audits(prepared.scorers.unwrapped(found)))
    rows = (row for at, found in zip(points, audits, strict=True) for row in rows_of(found, at))
    return Sweep(rows=tuple(rows), at=tuple(options), points=points, audits=tuple(audits))


def _points(options: Any) -> tuple[dict[str, Any], ...]:
    example = 'such as {"guidance_scale": [1.0, 3.0, 7.5]}'
    if not isinstance(options, Mapping) or not options:
        raise InputError(
            f"options must be a mapping from name to values, {example}; got {options!r}"
        )
    swept = {name: _plain_values(values) for name, values in options.items()}
    for name, values in swept.items():
        if not isinstance(name, str) or name in _COLUMNS:
            raise InputError(
                f"an option is named by a str, and not like a column of the rows "
                f"({', '.join(_COLUMNS)}); got {name!r}"
            )
        if not values:
            raise InputError(
                f"the option {name!r} needs one or more values in a list, {example}; "
                f"got {options[name]!r}"
            )
        if any(_same(value, other) for at, value in enumerate(values) for other in values[:at]):
            raise InputError(f"the option {name!r} has a value twice: {values!r}")
    return tuple(dict(zip(swept, values, strict=True)) for values in product(*swept.values()))


def _plain_values(values: Any) -> list[Any]:
    """The values with NumPy's numbers as Python's; none where there is no list of them."""
    if isinstance(values, np.ndarray) and values.ndim == 1:
        return list(values.tolist())
    if isinstance(values, str | bytes) or not isinstance(values, Sequence):
        return []
    return [value.item() if isinstance(value, np.generic) else value for value in values]


def _same(value: Any, other: Any) -> bool:
    """Whether two values are equal; what cannot be compared counts as different."""
    try:
        return type(value) is type(other) and bool(value == other)
    except (ValueError, RuntimeError):
        return False


def _label(who: str, point: Point) -> str:
    return f"in a sweep, for {who} at {_shown(point)}"


def _with_options(sampler: Any, who: str, point: Point) -> Sampler:
    with context(_label(who, point)):
        declared = SamplerSpec.of(sampler, ())
        if declared.with_options is not None:
            changed: Sampler = declared.with_options(**point)
            if changed is sampler:
                raise InputError(
                    f"with_options of {who} returned the sampler itself; it must return a changed "
                    "copy, or every point would be generated with the last options"
                )
            return changed
        if not isinstance(sampler, FunctionType | MethodType | partial):
            raise InputError(
                f"{who} ({type(sampler).__name__}) cannot be swept: it must have a method "
                "with_options(**options) that returns a sampler, or be a function that takes the "
                "options as keywords"
            )
        try:
            inspect.signature(sampler).bind({}, [], **point)
        except TypeError as error:
            raise InputError(
                f"{who} does not take the options {_shown(point)} as keywords: {error}"
            ) from error
        bound = partial(sampler, **point)
        vars(bound).update(vars(sampler))  # what it declares: modalities, check and so on
        identify = declared.identity
        if identify is not None:
            vars(bound)["identity"] = lambda: {**identify(), "options": dict(point)}
        return bound


def _shown(options: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in options.items())

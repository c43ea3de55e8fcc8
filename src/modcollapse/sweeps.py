"""Audits of one model under several settings of its sampler."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import product
from types import FunctionType, MethodType
from typing import Any

import numpy as np

from modcollapse.contracts import Detector, Example, Sampler, Triggers
from modcollapse.curves import Curves, rows_of
from modcollapse.errors import InputError
from modcollapse.inference.verdict import Rules
from modcollapse.measure.evaluate import measure
from modcollapse.measure.prepare import Run, prepare, stand_ins
from modcollapse.measure.table import CoalitionTable
from modcollapse.metrics import audit
from modcollapse.results import Audit

_ROW = ("detector", "of", "figure", "value", "se", "low", "high", "level", "n", "method", "status")


@dataclass(frozen=True, eq=False, repr=False)
class Sweep(Curves):
    """The audits of a sweep, and all their figures as tidy rows.

    Attributes:
        points: the settings, in order.
        audits: the audit at each; a mapping of audits by detector where several were given.
    """

    points: tuple[Mapping[str, Any], ...]
    audits: tuple[Any, ...]

    def audit(self, **options: Any) -> Audit | dict[str, Audit]:
        """Return what was found at one point: ``sweep.audit(guidance_scale=7.5)``.

        Raises:
            KeyError: no point, or more than one, has these settings.
        """
        found = [
            one
            for point, one in zip(self.points, self.audits, strict=True)
            if all(name in point and point[name] == value for name, value in options.items())
        ]
        if len(found) != 1:
            points = "; ".join(map(_told, self.points))
            asked = _told(options) or "no options given"
            raise KeyError(f"{len(found)} points have {asked}; there are {points}")
        return found[0]  # type: ignore[no-any-return]


def sweep(
    sampler: Sampler,
    detector: Detector | Mapping[str, Detector],
    examples: Sequence[Example],
    triggers: Triggers,
    *,
    options: Mapping[str, Sequence[Any]],
    control: Sampler | None = None,
    level: float = 0.95,
    method: str = "auto",
    index: str = "SII",
    rules: Rules | None = None,
    seed: int = 0,
    repeats: int = 1,
    batch_size: int = 8,
    keep: int = 0,
    progress: bool = True,
) -> Sweep:
    """Audit a model at every combination of some sampler options.

    Guidance scales and the number of steps can move a backdoor from one modality to the other.
    Every point is generated anew, under the same examples and noise, so that points differ in the
    options alone; every point is checked before the first is generated.

    Args:
        sampler: one with a method ``with_options(**options)``, as `PipelineSampler` has, or a plain
            function that takes the options as keywords.
        detector: what scores the outputs, or a mapping of such by name.
        examples: N examples, 32 or more for a verdict.
        triggers: modality -> trigger.
        options: name -> values, one or more of each; the last name varies fastest.
        control: the same without a backdoor, swept alongside.
        level: confidence level of the intervals, in (0, 1).
        method: kind of interval, see ``inference.contrast_estimates``.
        index: interaction index of the pairs, which matters for M > 2 only.
        rules: margins of the verdict.
        seed: run seed, the same at every point.
        repeats: seeds for each example.
        batch_size: rows in every call of the sampler.
        keep: keep the outputs of the first ``keep`` examples of each point, for its figure.
        progress: show a progress bar for each point.

    Returns:
        A `Sweep`: ``rows``, ``audits``, ``plot()``, ``to_frame()``, ``to_csv()``.

    Raises:
        InputError: no options, an option that the sampler does not take, or what ``audit`` raises.

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
    >>> [(row["strength"], row["value"]) for row in found.select(figure="phi text")]
    [(1.0, 1.0), (2.0, 2.0)]
    """
    points = _points(options)
    metric = {"level": level, "method": method, "index": index, "rules": rules}
    for table in stand_ins(detector, triggers):
        audit(table, **metric)  # a wrong option fails here, before anything is generated

    def prepared(one: Sampler, what: str) -> list[Run]:
        runs = []
        for point in points:
            with _told_at(point, what):
                run = prepare(
                    _with_options(one, what, point),
                    detector,
                    examples,
                    triggers,
                    seed=seed,
                    repeats=repeats,
                    batch_size=batch_size,
                    keep=keep,
                    progress=progress,
                )
            runs.append(run)
        return runs

    def measured(run: Run, what: str, point: Mapping[str, Any]) -> dict[str, CoalitionTable]:
        with _told_at(point, what):
            return measure(run)

    mine, theirs = "the sampler", "the control"
    runs = prepared(sampler, mine)
    controls = [None] * len(points) if control is None else prepared(control, theirs)
    single = not isinstance(detector, Mapping)
    audits: list[Any] = []
    for point, run, without in zip(points, runs, controls, strict=True):
        tables = measured(run, mine, point)
        found = audit(
            tables, control=None if without is None else measured(without, theirs, point), **metric
        )
        audits.append(next(iter(found.values())) if single else found)
    rows = (row for at, one in zip(points, audits, strict=True) for row in rows_of(one, at))
    return Sweep(rows=tuple(rows), at=tuple(options), points=points, audits=tuple(audits))


def _points(options: Any) -> tuple[dict[str, Any], ...]:
    example = 'such as {"guidance_scale": [1.0, 3.0, 7.5]}'
    if not isinstance(options, Mapping) or not options:
        raise InputError(
            f"options must be a mapping from name to values, {example}; got {options!r}"
        )
    listed = {name: _plain_values(values) for name, values in options.items()}
    for name, values in listed.items():
        if not isinstance(name, str) or name in _ROW:
            raise InputError(
                f"an option is named by a str, and not like a column of the rows "
                f"({', '.join(_ROW)}); got {name!r}"
            )
        if not values:
            raise InputError(
                f"the option {name!r} needs one or more values in a list, {example}; "
                f"got {options[name]!r}"
            )
        if any(_same(one, other) for at, one in enumerate(values) for other in values[:at]):
            raise InputError(f"the option {name!r} has a value twice: {values!r}")
    return tuple(dict(zip(listed, values, strict=True)) for values in product(*listed.values()))


def _plain_values(values: Any) -> list[Any]:
    """The values with NumPy's numbers as Python's; none where there is no list of them."""
    if isinstance(values, np.ndarray) and values.ndim == 1:
        return list(values.tolist())
    if isinstance(values, str | bytes) or not isinstance(values, Sequence):
        return []
    return [one.item() if isinstance(one, np.generic) else one for one in values]


def _same(one: Any, other: Any) -> bool:
    """Whether two values are one; what cannot be compared counts as two."""
    try:
        return type(one) is type(other) and bool(one == other)
    except (ValueError, RuntimeError):
        return False


@contextmanager
def _told_at(point: Mapping[str, Any], what: str) -> Iterator[None]:
    """Let an error say at which point of the sweep it was raised, and by which of the two."""
    try:
        yield
    except Exception as error:
        error.add_note(f"in a sweep, for {what} at {_told(point)}")
        raise


def _with_options(sampler: Any, what: str, point: Mapping[str, Any]) -> Sampler:
    if hasattr(sampler, "with_options"):
        changed: Sampler = sampler.with_options(**point)
        if changed is sampler:
            raise InputError(
                f"with_options of {what} returned the sampler itself; it must return a changed "
                "copy, or every point would be generated with the last options"
            )
        return changed
    if not isinstance(sampler, FunctionType | MethodType | partial):
        raise InputError(
            f"{what} ({type(sampler).__name__}) cannot be swept: it must have a method "
            "with_options(**options) that returns a sampler, or be a function that takes the "
            "options as keywords"
        )
    try:
        inspect.signature(sampler).bind({}, [], **point)
    except TypeError as error:
        raise InputError(
            f"{what} does not take the options {_told(point)} as keywords: {error}"
        ) from error
    bound = partial(sampler, **point)
    vars(bound).update(vars(sampler))  # what it declares: modalities, check and so on
    if hasattr(sampler, "identity"):
        vars(bound)["identity"] = lambda: {**sampler.identity(), "options": dict(point)}
    return bound


def _told(options: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in options.items())

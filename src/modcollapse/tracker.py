"""Collapse while it forms: a small audit every few steps of a training."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modcollapse.as_found import as_found
from modcollapse.contracts import Detector, Example, Sampler, Triggers
from modcollapse.curves import Curves, Row, rows_of
from modcollapse.errors import InputError
from modcollapse.measure.evaluate import measure
from modcollapse.measure.prepare import prepare, stand_ins
from modcollapse.metrics import audit
from modcollapse.results import Audit
from modcollapse.triggers.plan import whole

if TYPE_CHECKING:
    from torch import nn

Log = Callable[[dict[str, float], int], object]


class CollapseTracker:
    """Audits a model every few steps of its training, and leaves it as it was.

    Call it with the step in the training loop. Every ``every`` steps it generates a few held-out
    examples under every coalition, always the same with the same noise, so that the curve moves
    with the model alone; it notes TMA, CTI and the mean values, and passes them on. The training
    goes on as if nothing had been: modes, gradients, devices, schedulers and random states are as
    before, also when the audit fails.

    Everything that can be wrong is checked here, before the first step.

    Args:
        sampler: generates with the model that is being trained, such as a `PipelineSampler` of a
            pipeline that holds its UNet. To follow averaged weights give it those. It runs without
            autocast: wrap it in a function where it needs one.
        detector: what scores the outputs, or a mapping of such by name.
        examples: N held-out examples; few will do, since a curve is looked at as a whole.
        triggers: modality -> trigger.
        every: steps between two audits; step 0 is audited too.
        log: where the figures go, besides `curves`: a callable ``log(scalars, step)`` such as
            ``wandb.log``, or a TensorBoard ``SummaryWriter``.
        path: file of JSON lines, one a row, that is written as the training goes on. If it is
            there already, its rows are taken over, as after an interruption; a step that is
            audited again replaces the earlier one.
        prefix: what the names of the scalars begin with.
        modules: torch modules that the sampler runs; those of ``sampler.pipeline`` if left out.
        level: confidence level of the intervals, in (0, 1).
        index: interaction index of the pairs, which matters for M > 2 only.
        seed: run seed of the noise.
        repeats: seeds for each example.
        batch_size: rows in every call of the sampler.

    Raises:
        InputError: ``every`` below 1, a ``log`` that cannot be called, a file that holds something
            else, no ``modules`` where they cannot be told; or what ``audit`` raises.

    Example::

        tracker = mc.CollapseTracker(
            PipelineSampler(pipeline, num_inference_steps=10), detector, held_out, triggers,
            every=200, log=wandb.log,
        )
        for step in range(steps):
            tracker(step)
            ...  # forward, backward, optimizer.step()
        tracker.audit(steps)
        tracker.plot().savefig("collapse.png")
    """

    def __init__(
        self,
        sampler: Sampler,
        detector: Detector | Mapping[str, Detector],
        examples: Sequence[Example],
        triggers: Triggers,
        *,
        every: int = 200,
        log: Log | Any = None,
        path: str | Path | None = None,
        prefix: str = "collapse",
        modules: Iterable[nn.Module] | None = None,
        level: float = 0.95,
        index: str = "SII",
        seed: int = 0,
        repeats: int = 1,
        batch_size: int = 8,
    ) -> None:
        self.every = whole("every", every, minimum=1)
        self._log = _logger(log)
        self._prefix = prefix
        self._options = {"level": level, "index": index}
        for table in stand_ins(detector, triggers):
            audit(table, **self._options)
        self._modules = _modules(sampler, modules)
        self._schedulers = _schedulers(sampler)
        self._single = not isinstance(detector, Mapping)
        self._sampler, self._examples, self._triggers = sampler, examples, triggers
        with self._as_found():
            self._run = prepare(
                sampler,
                detector,
                examples,
                triggers,
                seed=seed,
                repeats=repeats,
                batch_size=batch_size,
            )
        self._probed = False
        self._path = None if path is None else Path(path)
        self._rows: dict[int, list[Row]] = {}
        if self._path is not None and self._path.exists():
            self._rows = _read(self._path)

    def __call__(self, step: int) -> Audit | dict[str, Audit] | None:
        """Audit at every ``every``-th step, else do nothing.

        Args:
            step: number of training steps done, from 0.

        Returns:
            What `audit` returns, or None.
        """
        return self.audit(step) if whole("step", step, minimum=0) % self.every == 0 else None

    def audit(self, step: int) -> Audit | dict[str, Audit]:
        """Audit now, whatever the step: at the end of a training, say.

        Returns:
            The audit, or a dict of audits by name of the detector.

        Raises:
            SamplerError: the model's outputs are not finite.
        """
        step = whole("step", step, minimum=0)
        with self._as_found():
            tables = measure(
                self._run,
                self._sampler,
                self._examples,
                self._triggers,
                progress=False,
                probe=not self._probed,
            )
        self._probed = True
        named: dict[str, Audit] = audit(tables, **self._options)
        found = next(iter(named.values())) if self._single else named
        rows = list(rows_of(found, {"step": step}))
        self._rows[step] = rows
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as lines:
                lines.writelines(json.dumps(row, allow_nan=False) + "\n" for row in rows)
        if self._log is not None:
            self._log(self._scalars(rows), step)
        return found

    @property
    def curves(self) -> Curves:
        """All figures so far as tidy rows, ascending by step: print, plot or convert them."""
        rows = [row for step in sorted(self._rows) for row in self._rows[step]]
        return Curves(rows=tuple(rows), at=("step",))

    def plot(self, *, title: str | None = None) -> Any:
        """Draw TMA, CTI and the mean values against the step; see `Curves.plot`."""
        return self.curves.plot(title=title)

    def _as_found(self) -> Any:
        return as_found(self._modules, self._schedulers)

    def _scalars(self, rows: Iterable[Row]) -> dict[str, float]:
        """Figures by name: ``collapse/phi image``, with ``/low`` and ``/high`` where defined."""
        scalars: dict[str, float] = {}
        for row in rows:
            parts = [self._prefix, *([] if self._single else [row["detector"]]), row["figure"]]
            name = "/".join(part for part in parts if part)
            ends = {"": row["value"], "/low": row["low"], "/high": row["high"]}
            scalars |= {name + end: one for end, one in ends.items() if one is not None}
        return scalars


def _logger(log: Any) -> Log | None:
    if hasattr(log, "add_scalar"):

        def write(scalars: dict[str, float], step: int) -> None:
            for name, value in scalars.items():
                log.add_scalar(name, value, step)

        return write
    if log is not None and not callable(log):
        raise InputError(
            "log must be a callable log(scalars, step), such as wandb.log, or a SummaryWriter; "
            f"got {log!r}"
        )
    return log  # type: ignore[no-any-return]


def _modules(sampler: Any, modules: Iterable[nn.Module] | None) -> list[nn.Module]:
    if modules is None:
        components = getattr(getattr(sampler, "pipeline", None), "components", None)
        if components is None:
            raise InputError(
                "CollapseTracker cannot tell which torch modules this sampler runs, and so not put "
                "them in evaluation mode: name them, modules=[unet], or modules=[] if it runs none"
            )
        return [part for part in components.values() if hasattr(part, "parameters")]
    listed = list(modules)
    for one in listed:
        if not (hasattr(one, "parameters") and hasattr(one, "eval")):
            raise InputError(f"modules must be torch modules, got {type(one).__name__} {one!r}")
    return listed


def _schedulers(sampler: Any) -> list[Any]:
    """A pipeline's scheduler is often the one that the training adds noise with."""
    scheduler = getattr(getattr(sampler, "pipeline", None), "scheduler", None)
    return [] if scheduler is None else [scheduler]


def _read(path: Path) -> dict[int, list[Row]]:
    """Rows by step; of a step that comes twice, those of the later audit."""
    steps: dict[int, dict[tuple[str, str], Row]] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            row = json.loads(line)
            key = (row["detector"], row["figure"])
            steps.setdefault(row["step"], {})[key] = row
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{path}, line {number}, is not a row of a CollapseTracker: {error!r}. Give "
                "another path, or move the file away"
            ) from error
    return {step: list(rows.values()) for step, rows in steps.items()}

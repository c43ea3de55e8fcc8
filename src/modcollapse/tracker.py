"""Collapse while it forms: a small audit every few steps of a training."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modcollapse.as_found import as_found
from modcollapse.contracts import Detector, Example, Sampler, Triggers
from modcollapse.curves import Curves, Row, rows_of
from modcollapse.errors import InputError
from modcollapse.fingerprint import identity
from modcollapse.measure.checks import integer
from modcollapse.measure.evaluate import measure
from modcollapse.measure.prepare import prepare, stand_ins
from modcollapse.metrics import audit
from modcollapse.results import Audit
from modcollapse.track_file import TrackFile

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

    What can be wrong with the arguments is checked here, before the first step. The sampler does
    not probe its pipeline as in ``audit``: a model that has just begun need not react yet.

    Args:
        sampler: generates with the model that is being trained, such as a `PipelineSampler` of a
            pipeline that holds its UNet. To follow averaged weights give it those. It runs without
            autocast: wrap it in a function where it needs one, and name the ``pipeline``.
        detector: what scores the outputs, or a mapping of such by name.
        examples: N held-out examples; few will do, since a curve is looked at as a whole.
        triggers: modality -> trigger.
        every: steps between two audits; step 0 is audited too.
        log: where the figures go, besides `curves`: a callable ``log(scalars, step)`` such as
            ``wandb.log``, or a TensorBoard ``SummaryWriter``. What it draws at random does not
            count either.
        path: file of JSON lines, one an audit, that is written as the training goes on. If it is
            there already, its audits are taken over, as after an interruption. Going back to an
            earlier step drops those from there on, here and when the file is read again.
        prefix: what the names of the scalars begin with.
        pipeline: diffusers pipeline that the sampler calls; ``sampler.pipeline`` if left out. Its
            modules and its scheduler, as they are at each audit, are left as found.
        modules: torch modules that the sampler runs, where there is no pipeline.
        level: confidence level of the intervals, in (0, 1).
        index: interaction index of the pairs, which matters for M > 2 only.
        seed: run seed of the noise.
        repeats: seeds for each example.
        batch_size: rows in every call of the sampler.

    Raises:
        InputError: ``every`` below 1, a ``log`` that cannot be called, a file that cannot be
            written or holds something else, no ``pipeline`` or ``modules`` where they cannot be
            told; or what ``audit`` raises.

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
        pipeline: Any = None,
        modules: Iterable[nn.Module] | None = None,
        level: float = 0.95,
        index: str = "SII",
        seed: int = 0,
        repeats: int = 1,
        batch_size: int = 8,
    ) -> None:
        self.every = integer(every, "every", 1)
        self._log = _logger(log)
        if not isinstance(prefix, str):
            raise InputError(f"prefix must be a str, got {prefix!r}")
        self._prefix = prefix
        self._options = {"level": level, "index": index}
        for table in stand_ins(detector, triggers):
            audit(table, **self._options)
        self._pipeline = getattr(sampler, "pipeline", None) if pipeline is None else pipeline
        self._modules = _modules(self._pipeline, modules)
        self._single = not isinstance(detector, Mapping)
        with self._as_found():
            self._run = prepare(
                sampler,
                detector,
                examples,
                triggers,
                seed=seed,
                repeats=repeats,
                batch_size=batch_size,
                progress=False,
            )
        self._file = None if path is None else TrackFile(Path(path), self._setup())
        self._rows = {} if self._file is None else self._file.read()

    def __call__(self, step: int) -> Audit | dict[str, Audit] | None:
        """Audit at every ``every``-th step, else do nothing.

        Args:
            step: number of training steps done, from 0.

        Returns:
            What `audit` returns, or None.
        """
        return self.audit(step) if integer(step, "step", 0) % self.every == 0 else None

    def audit(self, step: int) -> Audit | dict[str, Audit]:
        """Audit now, whatever the step: at the end of a training, say.

        Returns:
            The audit, or a dict of audits by name of the detector.

        Raises:
            SamplerError: the model's outputs are not finite.
        """
        step = integer(step, "step", 0)
        with self._as_found():
            weights = {"sampler": identity(self._run.sampler, "the sampler")}  # they have changed
            run = replace(self._run, settings={**self._run.settings, **weights})
            tables = measure(run, probe=False)
            named: dict[str, Audit] = audit(tables, **self._options)
            found = next(iter(named.values())) if self._single else named
            rows = list(rows_of(found, {"step": step}))
            self._rows = {one: row for one, row in self._rows.items() if one < step} | {step: rows}
            if self._file is not None:
                self._file.append(step, rows)
            if self._log is not None:
                self._log(self._scalars(rows), step)
        return found

    @property
    def curves(self) -> Curves:
        """Return all figures so far as tidy rows.

        They ascend by step; print, plot or convert them.
        """
        rows = [row for step in sorted(self._rows) for row in self._rows[step]]
        return Curves(rows=tuple(rows), at=("step",))

    def plot(self, *, title: str | None = None) -> Any:
        """Draw TMA, CTI and the mean values against the step; see `Curves.plot`."""
        return self.curves.plot(title=title)

    def _as_found(self) -> Any:
        scheduler = getattr(self._pipeline, "scheduler", None)
        modules = [*self._modules, *_parts(self._pipeline)]
        return as_found(modules, [] if scheduler is None else [scheduler])

    def _setup(self) -> str:
        """Digest of what must agree for two audits to be on one curve: all but the sampler."""
        settings = {key: one for key, one in self._run.settings.items() if key != "sampler"}
        run = self._run
        told = [settings, dict(run.identities), list(run.ids), list(run.digests), self._options]
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()

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
    if isinstance(log, type):
        raise InputError(f"log must be a function or a SummaryWriter, got the class {log.__name__}")
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


def _modules(pipeline: Any, modules: Any) -> list[nn.Module]:
    if modules is None:
        if not hasattr(pipeline, "components"):
            raise InputError(
                "CollapseTracker cannot tell which torch modules this sampler runs, and so not put "
                "them in evaluation mode: name its pipeline, pipeline=..., or the modules, "
                "modules=[unet], or modules=[] if it runs none"
            )
        return []
    listed = [modules] if hasattr(modules, "parameters") else list(modules)
    for one in listed:
        if not (hasattr(one, "parameters") and hasattr(one, "training")):
            raise InputError(f"modules must be torch modules, got {type(one).__name__} {one!r}")
    return listed


def _parts(pipeline: Any) -> list[nn.Module]:
    components = getattr(pipeline, "components", {}).values()
    return [part for part in components if hasattr(part, "parameters")]

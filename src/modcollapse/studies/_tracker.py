"""Collapse while it forms: a small audit every few steps of a training."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from modcollapse._support.identities import identity, without_marks
from modcollapse._support.validation import described, file_path, whole
from modcollapse.analysis import Audit, Audits, analyse, as_audits
from modcollapse.contracts import Detector, Example, Sampler, SamplerSpec, Triggers
from modcollapse.errors import InputError
from modcollapse.measure import Team, measure, prepare
from modcollapse.studies._curves import Curves, Row, rows_of
from modcollapse.studies._evaluation_mode import evaluation_mode
from modcollapse.studies._options import AuditOptions, split_options
from modcollapse.studies._sources import check_analysis
from modcollapse.studies._track_file import TrackFile

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
        level: confidence level of the intervals, in (0, 1), default 0.95.
        method: kind of interval, see ``analysis.contrast_estimates``, default ``"auto"``.
        index: interaction index of the pairs, which matters for M > 2 only, default ``"SII"``.
        rules: margins of the verdicts, default ``Rules()``.
        simultaneous: widen the intervals so that all of an audit hold together, default False.
        seed: run seed of the noise, default 0.
        repeats: seeds for each example, default 1.
        batch_size: rows in every call of the sampler, default 8.
        keep: keep the outputs of the first ``keep`` examples with each audit, default 0.
        progress: show a progress bar for each audit, default False.
        cluster: what groups the examples into units, default None.
        probe: as in every call that measures, default True; a tracker does not look at its model,
            see above.
        neutral: triggers that are not the trigger, see ``evaluate_coalitions``, default None.
        columns: name that the run uses -> column of the examples, see ``evaluate_coalitions``,
            default None.
        journal: folder of journals, one for each step and its weights, from which an audit that
            was interrupted goes on, default None.
        split: share each audit with the processes that torch.distributed has joined, default False:
            then all of them must call the tracker, and the first one writes and logs.
        halve: halve the batch where memory runs out, default True.
        prefetch: prepare conditions in a thread meanwhile, default True.

    Raises:
        OptionError: there is no such keyword.
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
        **audit: Unpack[AuditOptions],
    ) -> None:
        self.every = whole(every, "every", 1)
        self._log = _logger(log)
        if not isinstance(prefix, str):
            raise InputError(f"prefix must be a str, got {prefix!r}")
        self._prefix = prefix
        own = ("every", "log", "path", "prefix", "pipeline", "modules")
        self._settings, run = split_options("CollapseTracker", audit, own)
        declared = SamplerSpec.of(sampler, ())
        self._pipeline = declared.pipeline if pipeline is None else pipeline
        self._modules = _modules(self._pipeline, modules)
        with self._evaluating():
            run.setdefault("progress", False)
            run.setdefault("split", False)  # one process of the training calls it
            self._run = prepare({"": sampler}, detector, examples, triggers, **run)
        if self._run.is_stream:
            raise InputError(
                "CollapseTracker generates the same examples many times, and a stream is read "
                "once. Give a list of them: examples=list(...)"
            )
        check_analysis(self._run, self._settings)
        self._file = None if path is None else TrackFile(file_path(path), self._setup())
        self._rows = {} if self._file is None else self._file.read()

    def __call__(self, step: int) -> Audit | Audits | None:
        """Audit at every ``every``-th step, else do nothing.

        Args:
            step: number of training steps done, from 0.

        Returns:
            What `audit` returns, or None.
        """
        return self.audit(step) if whole(step, "step", 0) % self.every == 0 else None

    def audit(self, step: int) -> Audit | Audits:
        """Audit now, whatever the step: at the end of a training, say.

        Returns:
            The audit, or ``Audits``, a dict of them by name of the detector.

        Raises:
            SamplerError: the model's outputs are not finite.
        """
        step = whole(step, "step", 0)
        with self._evaluating():
            ((label, sampler),) = self._run.samplers.items()
            weights = {label: identity(sampler.call, "the sampler")}  # they have changed
            journal = self._run.journal and self._run.journal / _folder_of(step, weights)
            run = replace(self._run, sampler_identities=weights, journal=journal)
            (tables,) = measure(run, look=False).values()
            audits = {name: analyse(table, self._settings) for name, table in tables.items()}
            found = as_audits(self._run.scorers.unwrapped(audits))
            rows = list(rows_of(found, {"step": step}))
            past = {at: kept for at, kept in self._rows.items() if at < step}
            self._rows = past | {step: rows}
            if self._is_first and self._file is not None:
                self._file.append(step, rows)
            if self._is_first and self._log is not None:
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

    @property
    def _is_first(self) -> bool:
        """Whether this process writes and logs: of those that share an audit, the first."""
        return Team.of(self._run.split).rank == 0

    def _evaluating(self) -> AbstractContextManager[None]:
        scheduler = getattr(self._pipeline, "scheduler", None)
        modules = [*self._modules, *_parts(self._pipeline)]
        return evaluation_mode(modules, [] if scheduler is None else [scheduler])

    def _setup(self) -> str:
        """Digest of what must agree for two audits to be on one curve: all but the sampler."""
        run = self._run
        setup = [
            run.settings,
            run.detector_identities,
            run.ids,
            run.digests,
            run.clusters,
            asdict(self._settings),
        ]
        return hashlib.sha256(json.dumps(without_marks(setup), sort_keys=True).encode()).hexdigest()

    def _scalars(self, rows: Iterable[Row]) -> dict[str, float]:
        """Estimates by name: ``collapse/phi image``, with ``/low`` and ``/high`` where defined."""
        scalars: dict[str, float] = {}
        for row in rows:
            detector = [] if self._run.scorers.single else [row.detector]
            name = "/".join(part for part in (self._prefix, *detector, row.label) if part)
            estimate = row.estimate
            ends = {"": estimate.value, "/low": estimate.low, "/high": estimate.high}
            scalars |= {name + end: value for end, value in ends.items() if not isnan(value)}
        return scalars


def _folder_of(step: int, weights: Mapping[str, Any]) -> str:
    """A name for the journal of an audit: a training that went back has others at the same step."""
    text = json.dumps(without_marks(weights), sort_keys=True)
    return f"step-{step:08d}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


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
    given = [modules] if hasattr(modules, "parameters") else list(modules)
    for module in given:
        if not (hasattr(module, "parameters") and hasattr(module, "training")):
            raise InputError(f"modules must be torch modules, got {described(module)}")
    return given


def _parts(pipeline: Any) -> list[nn.Module]:
    components = getattr(pipeline, "components", {}).values()
    return [part for part in components if hasattr(part, "parameters")]

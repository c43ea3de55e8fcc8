"""The two metrics as classes of torchmetrics: fed in batches, reduced over processes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from modcollapse._support.optional import require
from modcollapse._support.validation import ordered, whole
from modcollapse.contracts import FloatArray
from modcollapse.errors import InputError
from modcollapse.game import (
    Index,
    coalition_labels,
    interaction_contrasts,
    shapley_contrasts,
    subsets,
)
from modcollapse.table import CoalitionTable

require("torchmetrics", extra="metrics", needed_by="TriggerModalityAttribution")

from torchmetrics import Metric  # noqa: E402
from torchmetrics.utilities import dim_zero_cat  # noqa: E402


class _OfCoalitions(Metric):
    """Mean over the examples of some contrasts of their coalition values."""

    higher_is_better = None
    is_differentiable = False
    full_state_update = False

    values: Any  # a list of tensors, one tensor once it was reduced over the processes

    def __init__(
        self, modalities: Sequence[str], contrasts: FloatArray, options: dict[str, Any]
    ) -> None:
        super().__init__(**options)
        self.modalities = tuple(modalities)
        self.coalitions = coalition_labels(self.modalities)
        self._contrasts = torch.from_numpy(np.array(contrasts))
        self.add_state("values", default=[], dist_reduce_fx="cat")

    def update(self, values: Tensor | ArrayLike) -> None:
        """Add examples.

        Args:
            values: v_x(S) of B examples, shape (B, 2**M), or (B, R, 2**M) with R repeats, which
                are averaged; column 0 is the clean run, bit i stands for ``modalities[i]``.

        Raises:
            InputError: another shape, or a value that is no finite real number.
        """
        given = values if isinstance(values, Tensor) else _tensor(values)
        columns = len(self.coalitions)
        if given.ndim not in (2, 3) or given.shape[-1] != columns or 0 in given.shape[1:]:
            raise InputError(
                f"values must have shape (B, {columns}) or (B, R, {columns}), a column for each "
                f"of {', '.join(self.coalitions)}; got {tuple(given.shape)}"
            )
        if given.is_complex():
            raise InputError(f"values must be real numbers, got {given.dtype}")
        held = given.detach().to(self.device, self._exact)
        if not bool(torch.isfinite(held).all()):
            raise InputError("values must be finite, and one is NaN or infinite")
        self.values.append(held.mean(dim=1) if held.ndim == 3 else held)

    def compute(self) -> Tensor:
        """Mean of each figure over all examples of all processes; NaN where there were none."""
        held = self._held()
        return held.mean(dim=0) @ self._contrasts.to(held)

    def table(self, **declared: Any) -> CoalitionTable:
        """Return the values of all examples of all processes as a table, for ``mc.audit`` say.

        It holds the repeats averaged; its ids are places, in the order of the processes. Every
        process must call it, as it must ``compute``.

        Args:
            declared: ``bounds``, ``binary``, ``perfect`` and the others of
                ``CoalitionTable.from_values``.

        Raises:
            InputError: there were no examples.
        """
        with self.sync_context(
            dist_sync_fn=self.dist_sync_fn,
            should_sync=self._to_sync,
            should_unsync=self._should_unsync,
        ):
            held = self._held().cpu().numpy()
        if not len(held):
            raise InputError("no example was given to update() as yet")
        return CoalitionTable.from_values(held, self.modalities, **declared)

    def _sync_dist(self, *args: Any, **kwargs: Any) -> None:
        """Let a process without examples take part: torchmetrics gives it a state of one axis."""
        if not self.values:
            self.values = [self._held()]
        super()._sync_dist(*args, **kwargs)

    def plot(self, val: Any = None, ax: Any = None) -> Any:
        """Draw the figures, or how they went from call to call; see ``torchmetrics.Metric``.

        Args:
            val: what ``compute`` or ``forward`` returned, or a list of such.
            ax: axes of matplotlib to draw on.

        Returns:
            A figure and its axes.
        """
        return self._plot(val, ax)

    @property
    def _exact(self) -> torch.dtype:
        """float64, as a table has it, where the device knows it."""
        return torch.float32 if self.device.type == "mps" else torch.float64

    def _held(self) -> Tensor:
        if isinstance(self.values, list) and not self.values:
            return torch.empty(0, len(self.coalitions), device=self.device, dtype=self._exact)
        return dim_zero_cat(self.values)


def _tensor(values: ArrayLike) -> Tensor:
    try:
        array = np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"values must be an array or a tensor: {error}") from error
    if array.dtype.kind not in "biuf":
        raise InputError(f"values must be real numbers, got {array.dtype}")
    return torch.from_numpy(array.astype(np.float64))


class TriggerModalityAttribution(_OfCoalitions):
    """Trigger Modality Attribution as a ``torchmetrics.Metric``: the figures of ``mc.tma``.

    It holds 2**M numbers of float64 for each example, so that what is computed over several
    processes is what one process computes of all examples; ``table()`` gives them to ``mc.tma`` and
    ``mc.audit``, for intervals and a verdict. Give each example to one process only.

    Args:
        modalities: names of the M players, in the order of the bits.
        kwargs: those of ``torchmetrics.Metric``.

    Raises:
        InputError: names that are none, or the same.
        MissingExtraError: torchmetrics is not installed.

    Neither a higher nor a lower figure is better: ``higher_is_better`` is None, so that
    ``torchmetrics.MetricTracker`` wants its ``maximize``, and its ``best_metric`` knows none of
    several figures.

    ``compute()`` returns shape (M,), in the unit of the value, float64, NaN without an example; of
    a single modality a scalar, since torchmetrics squeezes what has one number.

    Source:
        TMA of arXiv:2603.06508; Shapley (1953).

    >>> metric = TriggerModalityAttribution(["image", "text"])
    >>> metric.update([[0.0, 0.0, 1.0, 1.0], [0.0, 0.5, 1.0, 1.0]])
    >>> metric.compute()
    tensor([0.1250, 0.8750], dtype=torch.float64)
    """

    def __init__(self, modalities: Sequence[str], **kwargs: Any) -> None:
        names = ordered(modalities, "modalities", "names")
        coalition_labels(names)  # refuses names that are none
        super().__init__(names, shapley_contrasts(len(names)), kwargs)


class CrossTriggerInteraction(_OfCoalitions):
    """Cross-Trigger Interaction as a ``torchmetrics.Metric``: the figures of ``mc.cti``.

    It holds what `TriggerModalityAttribution` does.

    Args:
        modalities: names of the M players, two or more, in the order of the bits.
        index: interaction index, which matters for M > 2 only, see ``mc.cti``.
        order: size of the groups of modalities, from 2 to M.
        kwargs: those of ``torchmetrics.Metric``.

    Raises:
        InputError: names that are none, fewer than ``order``, or an index that there is not.
        MissingExtraError: torchmetrics is not installed.

    ``higher_is_better`` is None, as that of `TriggerModalityAttribution`.

    ``compute()`` returns shape (C(M, order),), the groups as ``labels`` names them; a scalar at
    M = 2.

    Source:
        CTI of arXiv:2603.06508; Grabisch and Roubens (1999) for M > 2.

    >>> metric = CrossTriggerInteraction(["image", "text"])
    >>> metric.update([[0.0, 0.0, 0.0, 1.0], [0.0, 0.5, 0.0, 1.0]])
    >>> metric.labels, metric.compute()
    (('image+text',), tensor(0.7500, dtype=torch.float64))
    """

    def __init__(
        self, modalities: Sequence[str], index: Index = "SII", order: int = 2, **kwargs: Any
    ) -> None:
        names = ordered(modalities, "modalities", "names")
        coalition_labels(names)
        order = whole(order, "order", 2)
        super().__init__(names, interaction_contrasts(len(names), index, order), kwargs)
        groups = subsets(len(names), order)
        self.labels = tuple("+".join(names[player] for player in group) for group in groups)

"""What comes back from the sampler and the detectors: checked, and brought to the host at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modcollapse._support.images import is_tensor
from modcollapse.contracts import FloatArray, Scorer
from modcollapse.errors import DetectorError, SamplerError
from modcollapse.table import ROUNDING

Where = Callable[[Sequence[int]], str]
"""Positions in a batch -> the words that name these rows in an error."""


def check_outputs(outputs: Any, expected: int, where: Where) -> Any:
    """Refuse outputs of the wrong number before a detector sees them."""
    if isinstance(outputs, Mapping | str) or not hasattr(outputs, "__len__"):
        raise SamplerError(
            f"the sampler returned {type(outputs).__name__} for {where(range(expected))}. Return "
            "the outputs themselves: a list, an array or a tensor of one output for each condition"
        )
    if hasattr(outputs, "iloc") and (
        outputs.ndim != 1 or outputs.index.tolist() != list(range(len(outputs)))
    ):
        raise SamplerError(
            f"the sampler returned a {type(outputs).__name__} of pandas with labels of its own for "
            f"{where(range(expected))}. Return its rows in order: a list, or .to_numpy()"
        )
    if len(outputs) != expected:
        raise SamplerError(
            f"the sampler returned {len(outputs)} outputs for a batch of {expected} "
            f"({where(range(expected))}). Return one output for each condition, in order"
        )
    return outputs


def finite_flags(outputs: Any) -> Any:
    """1 where an output is finite, 0 elsewhere: a tensor on the outputs' device, or an array."""
    import torch

    if is_tensor(outputs):
        return torch.isfinite(outputs).reshape(len(outputs), -1).all(1)
    if _are_tensors(outputs):
        return torch.stack([torch.isfinite(output).all() for output in outputs])
    if isinstance(outputs, list) and set(map(type, outputs)) == {str}:
        return np.ones(len(outputs), dtype=bool)
    return np.array([_is_finite(output) for output in outputs])


def check_scores(scores: Any, expected: int, name: str, where: Where) -> Any:
    """Return B scores as a tensor, still on its device, or an array; refuse anything else."""
    import torch

    if _are_tensors(scores) and all(score.ndim == 0 for score in scores):
        scores = torch.stack(list(scores))
    given = scores
    if isinstance(scores, torch.Tensor):
        numeric = not scores.dtype.is_complex
    else:
        try:
            scores = np.asarray(given)
        except ValueError as error:
            raise DetectorError(
                f"detector {name!r} returned scores of unequal lengths for "
                f"{where(range(expected))}. Return one number for each output"
            ) from error
        numeric = scores.dtype.kind in "fiub" and not np.ma.isMaskedArray(given)
    if not numeric:
        masked = "masked " if np.ma.isMaskedArray(given) else ""
        raise DetectorError(
            f"detector {name!r} returned {masked}{scores.dtype} values for "
            f"{where(range(expected))}. Return one real number for each output"
        )
    if tuple(scores.shape) != (expected,):
        raise DetectorError(
            f"detector {name!r} returned scores of shape {tuple(scores.shape)} for a batch of "
            f"{expected} ({where(range(expected))}). Return one number for each output: shape "
            f"({expected},)"
        )
    return scores


def to_host(rows: Sequence[Any]) -> FloatArray:
    """Bring K rows of B numbers to the host as float64 (K, B): one copy for all tensors."""
    if _are_tensors(rows) and len({row.device for row in rows}) == 1:
        return np.asarray(stacked_on_device(rows).cpu().numpy(), dtype=np.float64)
    parts = [row.detach().cpu().double().numpy() if hasattr(row, "cpu") else row for row in rows]
    return np.stack([np.asarray(part, dtype=np.float64) for part in parts])


def stacked_on_device(rows: Sequence[Any]) -> Any:
    """Stack K rows of B numbers, in the widest of their types, where they lie."""
    import torch

    widest = torch.float32
    for row in rows:
        exact = torch.float64 if row.dtype in (torch.int32, torch.int64) else row.dtype
        widest = torch.promote_types(widest, exact)
    return torch.stack([row.detach().to(widest) for row in rows])


def check_finite_outputs(flags: FloatArray, where: Where) -> None:
    """Refuse outputs that hold NaN or infinity."""
    bad = np.flatnonzero(flags == 0).tolist()
    if bad:
        raise SamplerError(
            f"the sampler returned an output that is not finite for {where(bad)}. "
            "Generate in float32, or find out which condition overflows"
        )


def check_values(scores: FloatArray, scorer: Scorer, where: Where) -> None:
    """Refuse scores that are not finite, outside the declared bounds, or not 0 or 1 if binary."""
    wrong = ~np.isfinite(scores)
    expected = "Return finite numbers"
    if not wrong.any() and scorer.binary:
        wrong = (scores != 0) & (scores != 1)
        expected = "It is declared binary: return 0 or 1"
    elif not wrong.any() and scorer.bounds is not None:
        low, high = scorer.bounds
        wrong = _beyond(scores, scorer.bounds)
        expected = f"It declares the bounds ({low:g}, {high:g}): stay within or declare others"
    if wrong.any():
        bad = np.flatnonzero(wrong).tolist()
        raise DetectorError(
            f"detector {scorer.name!r} returned {scores[bad[0]]:g} for {where(bad)}. {expected}"
        )


def check_perfect(scores: FloatArray, scorer: Scorer, where: Where) -> None:
    """Refuse scores of a perfect attack that are not finite, or that no output could have."""
    wrong, within = ~np.isfinite(scores), ""
    if scorer.bounds is not None:
        wrong |= _beyond(scores, scorer.bounds)
        within = f", within the bounds ({scorer.bounds[0]:g}, {scorer.bounds[1]:g})"
    bad = np.flatnonzero(wrong).tolist()
    if bad:
        raise DetectorError(
            f"perfect of detector {scorer.name!r} returned {scores[bad[0]]:g} for {where(bad)}. "
            f"Return what the target itself would score{within}"
        )


def _beyond(scores: FloatArray, bounds: tuple[float, float]) -> NDArray[np.bool_]:
    """Which scores are outside the bounds by more than rounding."""
    low, high = bounds
    slack = ROUNDING * (high - low)
    return np.asarray((scores < low - slack) | (scores > high + slack))


def _are_tensors(values: Any) -> bool:
    return isinstance(values, list | tuple) and len(values) > 0 and all(map(is_tensor, values))


def _is_finite(output: Any) -> bool:
    if isinstance(output, float):
        return bool(np.isfinite(output))
    dtype = getattr(output, "dtype", None)
    if isinstance(output, np.ndarray | np.generic) and np.issubdtype(dtype, np.inexact):
        return bool(np.isfinite(output).all())
    if hasattr(output, "isfinite"):
        return bool(output.isfinite().all())
    return True

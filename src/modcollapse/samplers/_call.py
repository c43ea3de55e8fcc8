"""One call of a pipeline: silent while it runs, in the same surroundings, and what it returned."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Any

import torch

from modcollapse.errors import SamplerError

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline


@contextmanager
def silent(pipeline: DiffusionPipeline) -> Iterator[None]:
    """Turn the progress bars off, and put back the settings that were there, or that none were.

    Those of inner pipelines too: combined pipelines are made of them.
    """
    held = [part for part in vars(pipeline).values() if hasattr(part, "set_progress_bar_config")]
    pipelines = [pipeline, *held]
    before = [vars(part).get("_progress_bar_config") for part in pipelines]
    try:
        for part, settings in zip(pipelines, before, strict=True):
            part._progress_bar_config = {**(settings or {}), "disable": True}
        yield
    finally:
        for part, settings in zip(pipelines, before, strict=True):
            if settings is None:
                del part._progress_bar_config
            else:
                part._progress_bar_config = settings


class Float32ByDefault:
    """Inside, torch makes tensors in float32 where no dtype is said, whatever the caller has set.

    That default belongs to the process: the first thread inside sets it, the last puts it back.
    """

    def __init__(self) -> None:
        self._lock, self._inside = Lock(), 0
        self._before = torch.float32

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._before = torch.get_default_dtype()
                self._set(torch.float32)
            self._inside += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._set(self._before)

    def _set(self, dtype: torch.dtype) -> None:
        if self._before != torch.float32:
            torch.set_default_dtype(dtype)


def outside_inference_mode(outputs: torch.Tensor) -> torch.Tensor:
    """The same numbers as a tensor that may be written to and counts its versions."""
    if not outputs.is_inference():
        return outputs
    with torch.inference_mode(False):
        return outputs.clone()


def read_outputs(result: Any, rows: int, name: str) -> torch.Tensor:
    """Take the outputs from what a pipeline returned: its first field that is not None."""
    if any(getattr(result, "nsfw_content_detected", None) or ()):
        raise SamplerError(
            f"{name} flagged an output as unsafe and replaced it; a black image reads as a failed "
            "attack. Load the pipeline without a safety checker"
        )
    fields = result.values() if isinstance(result, Mapping) else result
    outputs = next((field for field in fields if field is not None), None)
    if isinstance(outputs, list) and all(isinstance(output, torch.Tensor) for output in outputs):
        outputs = torch.stack(outputs)
    if not isinstance(outputs, torch.Tensor):
        raise SamplerError(
            f"{name} returned {type(outputs).__name__} where output_type='pt' asks for a tensor; "
            "write a sampler of your own that converts its outputs"
        )
    if len(outputs) != rows:
        raise SamplerError(
            f"{name} returned {len(outputs)} outputs for a batch of {rows}. It must return one for "
            "each row of conditions, in order; write a sampler of your own that sees to it"
        )
    return outputs.float()

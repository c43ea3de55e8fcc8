"""The surroundings of a call: silent, the same whatever a caller has set, its errors explained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Lock, RLock
from typing import TYPE_CHECKING, Any, TypeAlias

import torch

from modcollapse._support.digests import form
from modcollapse._support.memory import ran_out
from modcollapse.errors import InputError, SamplerError

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline

Outputs: TypeAlias = torch.Tensor | list[torch.Tensor]
_LONGEST = 500
"""Characters of somebody else's error message."""


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


def is_compiled(pipeline: DiffusionPipeline) -> bool:
    """Whether a part of a pipeline went through ``torch.compile``, in place or not."""
    parts = [part for part in vars(pipeline).values() if isinstance(part, torch.nn.Module)]
    return any(
        hasattr(module, "_orig_mod") or getattr(module, "_compiled_call_impl", None) is not None
        for part in parts
        for module in part.modules()
    )


_global_noise = RLock()


@contextmanager
def global_noise(seed: int | None) -> Iterator[None]:
    """Inside, torch's global generators start from a seed, and are put back; None leaves them.

    Some pipelines sample an autoencoder or a scheduler from them, whatever they are given.
    """
    if seed is None:
        yield
        return
    with _global_noise, torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        yield


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


def outside_inference_mode(outputs: Outputs) -> Outputs:
    """The same numbers as tensors that may be written to and count their versions."""
    if isinstance(outputs, list):
        return [_outside(output) for output in outputs]
    return _outside(outputs)


def _outside(output: torch.Tensor) -> torch.Tensor:
    if not output.is_inference():
        return output
    with torch.inference_mode(False):
        return output.clone()


@contextmanager
def explained(name: str, passed: Mapping[str, Any]) -> Iterator[None]:
    """Turn an error of a pipeline's own code into one that says what the pipeline was given.

    Raises:
        SamplerError: whatever was raised inside, but for errors of ours and want of memory.
    """
    try:
        yield
    except (SamplerError, InputError):
        raise
    except Exception as error:
        if ran_out(error):
            raise
        given = ", ".join(f"{keyword}={_told(value)}" for keyword, value in passed.items())
        said = f"{type(error).__name__}: {error}"[:_LONGEST].rstrip(": .")
        raise SamplerError(f"{name} failed with {said}. It was given {given}") from error


def _told(value: Any) -> str:
    """What is passed, in a few words.

    >>> _told(["a hat", "a dog"]), _told([["a hat"]]), _told(20)
    ('[a str] x 2', '[[a str]]', '20')
    """
    if isinstance(value, list | tuple) and value:
        return f"[{_told(value[0])}]" + (f" x {len(value)}" if len(value) > 1 else "")
    if isinstance(value, bool | int | float) or value is None:
        return repr(value)
    return form(value)

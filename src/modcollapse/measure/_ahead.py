"""Conditions of the next batch are prepared while the sampler works on this one."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from contextvars import copy_context
from itertools import chain
from typing import TypeVar

Coming = TypeVar("Coming")
Prepared = TypeVar("Prepared")


def ahead(
    things: Iterable[Coming], make: Callable[[Coming], Prepared], *, thread: bool = True
) -> Generator[tuple[Coming, Prepared]]:
    """Yield each thing with what is made of it, the next being made in a thread meanwhile.

    What ``make`` raises is raised when its thing is due. Close it where it may not be read to its
    end, so that the thread ends.

    Args:
        things: read one ahead of what was yielded.
        make: called for one after the other, in the caller's modes of torch: of gradients, of
            inference, of number formats (autocast), of devices.
        thread: make each when it is due instead, in the caller's thread.

    >>> list(ahead([1, 2, 3], lambda number: number**2))
    [(1, 1), (2, 4), (3, 9)]
    """
    if not thread:
        for thing in things:
            yield thing, make(thing)
        return
    make = _in_modes_of_caller(make)
    with ThreadPoolExecutor(1, "modcollapse-ahead") as pool:

        def started(thing: Coming) -> tuple[Coming, Future[Prepared]]:
            return thing, pool.submit(copy_context().run, make, thing)

        coming: tuple[Coming, Future[Prepared]] | None = None
        for following in chain(map(started, things), [None]):
            if coming is not None:
                thing, making = coming
                yield thing, making.result()
            coming = following


def _in_modes_of_caller(make: Callable[[Coming], Prepared]) -> Callable[[Coming], Prepared]:
    """The same in a thread of its own, where torch would begin with its defaults."""
    import torch

    inference, gradients = torch.is_inference_mode_enabled(), torch.is_grad_enabled()
    formats = {
        kind: torch.get_autocast_dtype(kind)
        for kind in ("cpu", "cuda", "mps", "xpu")
        if torch.is_autocast_enabled(kind)
    }
    default = torch.get_default_device()
    started: bool = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    gpu = torch.cuda.current_device() if started else None

    def made(thing: Coming) -> Prepared:
        with ExitStack() as modes:
            modes.enter_context(torch.inference_mode(inference))
            modes.enter_context(torch.set_grad_enabled(gradients))
            for kind, dtype in formats.items():
                modes.enter_context(torch.autocast(kind, dtype=dtype))
            if default.type != "cpu":
                modes.enter_context(default)
            if gpu is not None:
                modes.enter_context(torch.cuda.device(gpu))
            return make(thing)

    return made

"""Conditions of the next batch are prepared while the sampler works on this one."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
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
        make: called for one after the other, in the gradient and inference mode of the caller.
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

    def made(thing: Coming) -> Prepared:
        with torch.inference_mode(inference), torch.set_grad_enabled(gradients):
            return make(thing)

    return made

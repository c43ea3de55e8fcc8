"""The processes of one run: each measures a part of the examples, all get the whole."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

from modcollapse.errors import InputError, SamplerError

Held = TypeVar("Held")

_PATIENCE = timedelta(days=30)
"""For the slower processes to end a run: torch's own groups give up after 10 or 30 minutes."""


def is_first() -> bool:
    """Whether this process speaks for all that torch.distributed has joined, before they meet."""
    from torch import distributed

    joined = distributed.is_available() and distributed.is_initialized()
    return not joined or distributed.get_rank() == 0


class Team(NamedTuple):
    """The processes that torch.distributed has joined, or this one alone.

    Attributes:
        rank: of this process.
        size: number of processes.
        group: in which they talk; None of one alone.
    """

    rank: int = 0
    size: int = 1
    group: Any = None

    @classmethod
    def of(cls, split: bool) -> Team:
        """The processes that share a run.

        Args:
            split: whether they do; if not, this one carries it out alone.

        Raises:
            InputError: there are several, and nobody has joined them, or not all of them begin.
        """
        if not split:
            return cls()
        from torch import distributed

        if distributed.is_available() and distributed.is_initialized():
            size = distributed.get_world_size()
            group = _met(distributed.group.WORLD) if size > 1 else None
            return cls(distributed.get_rank(), size, group)
        started = os.environ.get("WORLD_SIZE", "1")
        if started.isdecimal() and int(started) > 1 and "RANK" in os.environ:
            raise InputError(
                f"{started} processes were started (WORLD_SIZE), and torch.distributed has not "
                "joined them: each would generate everything. Make accelerate.PartialState() "
                "first, on CPUs PartialState(cpu=True); or, if each is to measure by itself, say "
                "split=False"
            )
        return cls()

    @property
    def alone(self) -> bool:
        """Whether there is no other process."""
        return self.size == 1

    def share_of(self, things: Sequence[Held]) -> list[Held]:
        """The part that is for this process."""
        return list(things[self.rank :: self.size])

    def gathered(self, thing: Held) -> list[Held]:
        """What every process has, in the order of their ranks; all must call this.

        Raises:
            SamplerError: another process is gone.
        """
        if self.alone:
            return [thing]
        from torch import distributed

        found: list[Any] = [None] * self.size
        try:
            distributed.all_gather_object(found, thing, group=self.group)
        except RuntimeError as error:
            raise SamplerError(
                f"another process of the run is gone; what it said stands in its own output. Start "
                f"all {self.size} again, or another number of them ({error})"
            ) from error
        return found

    def together(self, work: Callable[[], Held]) -> Held:
        """Do a part of the work, and go on only if no process failed at its own.

        Raises:
            Exception: what ``work`` raised here.
            SamplerError: another process failed.
        """
        failure: Exception | None = None
        try:
            found = work()
        except Exception as error:
            failure = error
        try:
            said = self.gathered(failure and f"{type(failure).__name__}: {failure}")
        finally:
            if failure is not None:
                raise failure
        others = [f"process {rank}: {text}" for rank, text in enumerate(said) if text]
        if others:
            raise SamplerError(f"the run failed in another process. {'; '.join(others)}")
        return found


def _met(world: Any) -> Any:
    """The group in which all processes talk, once all have begun.

    Args:
        world: the group that torch.distributed was joined as. It is connected, so that one that
            was killed before is noticed at once.
    """
    from torch import distributed

    size = distributed.get_world_size()
    try:
        distributed.all_gather_object([None] * size, None)
        return _patient(world)
    except RuntimeError as error:
        raise InputError(
            f"not all {size} processes began this run: one of them is gone or did not make this "
            f"call. Make it in all; or, if one is to measure by itself, say split=False ({error})"
        ) from error


@lru_cache(maxsize=1)
def _patient(world: Any) -> Any:
    """The same processes as a group on the host that waits for the slowest of them."""
    from torch import distributed

    return distributed.new_group(backend="gloo", timeout=_PATIENCE)

"""Did memory run out?"""

from __future__ import annotations

_SAID = ("can't allocate memory", "out of memory", "not enough memory", "cannot allocate memory")
"""By the allocators of torch, of CUDA's libraries and of the system, in errors of no class."""


def ran_out(error: BaseException) -> bool:
    """Whether an error, or what it was raised from, says that memory ran out.

    >>> ran_out(MemoryError()), ran_out(RuntimeError("DefaultCPUAllocator: can't allocate memory"))
    (True, True)
    >>> ran_out(RuntimeError("shapes do not fit"))
    False
    """
    import torch

    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, MemoryError | torch.OutOfMemoryError):
            return True
        if isinstance(seen, RuntimeError | OSError) and any(
            words in str(seen).lower() for words in _SAID
        ):
            return True
        seen = seen.__cause__ or seen.__context__
    return False

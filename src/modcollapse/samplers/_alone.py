"""Threads take turns at pipelines that share a part, since a call leaves traces in all parts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition, get_ident
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline

_changed = Condition()
_users: dict[int, int] = {}
"""Identity of a part that is in use -> the thread that uses it."""


@contextmanager
def alone_with(pipeline: DiffusionPipeline) -> Iterator[None]:
    """Wait until no other thread uses a part of the pipeline, and keep all of them meanwhile.

    All are taken at once, so that no two threads wait for each other. Threads whose pipelines have
    no part in common do not wait, nor does one that has the pipeline already.
    """
    parts, thread = _parts(pipeline), get_ident()

    def are_free() -> bool:
        return all(_users.get(part, thread) == thread for part in parts)

    with _changed:
        _changed.wait_for(are_free)
        taken = parts - _users.keys()
        _users.update(dict.fromkeys(taken, thread))
    try:
        yield
    finally:
        with _changed:
            for part in taken:
                del _users[part]
            _changed.notify_all()


def _parts(pipeline: Any) -> set[int]:
    """Identities of a pipeline, its components and the modules in them.

    Those of inner pipelines too: combined pipelines are made of them.
    """
    held = [*vars(pipeline).values()]  # at once, for another thread may be writing there
    held = [part for part in held if hasattr(part, "from_pretrained")]
    parts = {id(pipeline), *map(id, held)}
    for part in held:
        if hasattr(part, "set_progress_bar_config"):
            parts |= _parts(part)
        elif isinstance(part, torch.nn.Module):
            parts.update(map(id, part.modules()))
    return parts

"""A CUDA device for tests on machines without one, and a guard against waiting for the device.

On fake CUDA tensors shapes, dtypes and devices are true and there are no values: mixing devices and
reading a value raise. `accelerators` runs a test on the fake device and on a real one if there is
one::

    @accelerators
    def test_stays_on_the_device(accelerator):
        with accelerator() as device, no_host_copies():
            ...
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

# Each of these waits for the device to learn a value or a size.
_WAITING = {
    "aten::_local_scalar_dense",
    "aten::equal",
    "aten::is_nonzero",
    "aten::masked_select",
    "aten::nonzero",
}


class HostCopyError(RuntimeError):
    """Something on the device was brought to the host."""


class _Guard(TorchDispatchMode):
    """Refuses copies to the host of more than ``largest`` elements; lists the shapes of others."""

    def __init__(self, largest: int) -> None:
        super().__init__()
        self.largest = largest
        self.copies: list[tuple[int, ...]] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        name = func._schema.name
        tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
        masked = name == "aten::index" and any(x.dtype == torch.bool for x in tensors[1:])
        if (masked or name in _WAITING) and any(map(_on_device, tensors)):
            raise HostCopyError(f"{name} waits for the device")
        if name == "aten::_to_copy" and _is_host(kwargs.get("device")):
            self._note(name, args[0])
        if name == "aten::copy_" and _is_host(args[0].device):
            self._note(name, args[1])
        return func(*args, **kwargs)

    def _note(self, name: str, source: torch.Tensor) -> None:
        if not _on_device(source):
            return
        if source.numel() > self.largest:
            raise HostCopyError(f"{name} brings {tuple(source.shape)} to the host")
        self.copies.append(tuple(source.shape))


def _on_device(tensor: torch.Tensor) -> bool:
    return tensor.device.type == "cuda"


def _is_host(device: Any) -> bool:
    return device is not None and torch.device(device).type == "cpu"


@contextmanager
def no_host_copies(largest: int = 0) -> Iterator[_Guard]:
    """Raise `HostCopyError` where device values are read or copied to the host.

    Copies of at most ``largest`` elements are let through and listed in ``copies`` of what this
    yields.
    """
    with _Guard(largest) as guard:
        yield guard


@contextmanager
def fake_cuda() -> Iterator[torch.device]:
    """Make tensors of ``device="cuda"`` fake ones; works without a driver."""
    with FakeTensorMode():
        yield torch.device("cuda", 0)


@contextmanager
def real_cuda() -> Iterator[torch.device]:
    """The first real device."""
    yield torch.device("cuda", 0)


def _has_fakes() -> bool:
    """Whether this build of torch makes fake tensors of a device that has no driver."""
    try:
        with FakeTensorMode():
            return bool(torch.rand(2, 2, device="cuda:0")[:, 0].numel() == 2)
    except (RuntimeError, AssertionError):
        return False


needs_fakes = pytest.mark.skipif(not _has_fakes(), reason="this torch needs a driver for fakes")
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
accelerators = pytest.mark.parametrize(
    "accelerator",
    [
        pytest.param(fake_cuda, id="fake", marks=needs_fakes),
        pytest.param(real_cuda, id="real", marks=needs_cuda),
    ],
)

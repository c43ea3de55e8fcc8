"""Leaves a model that is being trained as it was found."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import nn


@contextmanager
def evaluation_mode(modules: Iterable[nn.Module], schedulers: Iterable[Any] = ()) -> Iterator[None]:
    """Put modules in evaluation mode, without gradients or autocast; afterwards put all back.

    Put back are the mode of every submodule, the device of every parameter, gradient and buffer,
    which parameters learn, the attributes of the schedulers, and the random state of Python, NumPy
    and torch on every device. What is written into a weight, gradient or buffer stays. Autocast is
    off so that an audit is the same wherever in the loop it is made.
    """
    import torch

    modules = list(modules)
    modes = {part: part.training for module in modules for part in module.modules()}
    parameters = {
        p: (p.device, p.requires_grad, p.grad) for module in modules for p in module.parameters()
    }
    buffers = [(part, dict(part._buffers)) for part in modes]  # moving a module replaces them
    settings = [(scheduler, dict(vars(scheduler))) for scheduler in schedulers]
    python_state, torch_state = random.getstate(), torch.get_rng_state()
    numpy_state = np.random.get_state()  # noqa: NPY002 (others' code draws from it)
    on_gpu = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    gpu_states = torch.cuda.get_rng_state_all() if on_gpu else []
    on_mps = torch.backends.mps.is_available()
    mps_state = torch.mps.get_rng_state() if on_mps else None
    with ExitStack() as stack:
        stack.enter_context(torch.no_grad())
        for kind in ("cpu", *(["cuda"] if torch.cuda.is_available() else [])):
            stack.enter_context(torch.autocast(kind, enabled=False))
        try:
            for part in modes:
                part.training = False  # not eval(): some modules change their weights there
            yield
        finally:
            for part, training in modes.items():
                part.training = training
            for parameter, (device, requires_grad, gradient) in parameters.items():
                for tensor in (parameter, gradient):
                    if tensor is not None and tensor.device != device:
                        tensor.data = tensor.data.to(device)
                parameter.requires_grad_(requires_grad)
                parameter.grad = gradient
            for part, registered in buffers:
                part._buffers.clear()
                part._buffers.update(registered)
            for scheduler, attributes in settings:
                vars(scheduler).clear()
                vars(scheduler).update(attributes)
            random.setstate(python_state)
            np.random.set_state(numpy_state)  # noqa: NPY002
            torch.set_rng_state(torch_state)
            if on_gpu:
                torch.cuda.set_rng_state_all(gpu_states)
            if mps_state is not None:
                torch.mps.set_rng_state(mps_state)

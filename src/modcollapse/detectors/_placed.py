"""A model and its device: its own where it was handed in, else that of the outputs."""

from __future__ import annotations

from itertools import chain
from typing import Any

import torch
from torch import nn

from modcollapse.errors import DetectorError


class Placed:
    """A torch module that is put into eval mode, and that only its owner moves.

    Args:
        module: must not be trained while it is in use.
        name: what it is called in an error.
        follows: whether it may be moved to the device of the outputs.
    """

    def __init__(self, module: nn.Module, name: str, *, follows: bool) -> None:
        self.module: Any = module.eval()
        self._name = name
        self._follows = follows
        self._anywhere = torch.device("cpu")

    @property
    def device(self) -> torch.device:
        """Where the module's first weight is; of a module without any, where it worked last."""
        tensors = chain(self.module.parameters(), self.module.buffers())
        return next((tensor.device for tensor in tensors), self._anywhere)

    @property
    def dtype(self) -> torch.dtype:
        """Type of the weights that see the pixels: a model may mix half and full precision."""
        layers = (layer for layer in self.module.modules() if isinstance(layer, nn.Conv2d))
        weights = chain((layer.weight for layer in layers), self.module.parameters())
        return next((weight.dtype for weight in weights), torch.float32)

    def follow(self, device: torch.device) -> None:
        """Go to the device of the outputs.

        Raises:
            DetectorError: the module is elsewhere and is not ours to move.
        """
        self._anywhere = device
        if device == self.device:
            return
        if not self._follows:
            raise DetectorError(
                f"the outputs are on {device}, {self._name} is on {self.device} and is not moved. "
                "Put both on one device"
            )
        self.module.to(device)


def class_name(thing: object) -> str:
    """Qualified name of an object's class."""
    return f"{type(thing).__module__}.{type(thing).__qualname__}"

"""Images of any size into vectors, by a torch module with its preprocessing in front."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from modcollapse.detectors._placed import Placed
from modcollapse.detectors._preprocessing import Transform
from modcollapse.errors import InputError


class ImageModel:
    """Preprocessing, then a model, without gradients and without the caller's autocast.

    Args:
        placed: the model.
        forward: input (n, 3, h, w) -> vectors (n, D), by the model.
        transform: images (n, 3, H, W) in [0, 1] -> input.
        name: what ``forward`` is called in an error, and must return.
    """

    def __init__(
        self, placed: Placed, forward: Callable[[Tensor], Any], transform: Transform, name: str
    ) -> None:
        self.placed = placed
        self._forward = forward
        self._transform = transform
        self._name = name

    @torch.no_grad()
    def __call__(self, images: Tensor | Sequence[Tensor], chunk: int | None = None) -> Tensor:
        """Read n images, all at once or in filled-up chunks of one size.

        The last bits of a vector depend on how many images are read at once; where that number
        varies with the neighbours, as that of the references in a batch does, the chunks keep them
        out of the result.

        Args:
            images: shape (n, 3, H, W), or n tensors (3, H, W) of any sizes; values in [0, 1].
            chunk: images in every call of the model; n by default.

        Returns:
            Shape (n, D), float32, on the device of the model.
        """
        device = self.placed.device
        if isinstance(images, Tensor):
            inputs = self._transform(images.to(device))
        else:
            inputs = torch.cat([self._transform(image[None].to(device)) for image in images])
        return in_chunks(self._read, inputs, chunk)

    def _read(self, inputs: Tensor) -> Tensor:
        self.placed.module.eval()
        # The caller's autocast would change the scores, and no provenance would tell.
        with torch.autocast(inputs.device.type, enabled=False):
            vectors = self._forward(inputs.to(self.placed.dtype))
        if not isinstance(vectors, Tensor) or vectors.ndim != 2 or len(vectors) != len(inputs):
            found = getattr(vectors, "shape", type(vectors).__name__)
            raise InputError(f"{self._name}, got {found} for {len(inputs)} images")
        return vectors.float()


def in_chunks(read: Callable[[Tensor], Tensor], inputs: Tensor, chunk: int | None) -> Tensor:
    """Apply ``read`` to n inputs, in chunks that are filled up with the last of them."""
    chunk = len(inputs) if chunk is None else chunk
    missing = -len(inputs) % chunk
    filled = torch.cat([inputs, inputs[-1:].expand(missing, *[-1] * (inputs.ndim - 1))])
    return torch.cat([read(part) for part in torch.split(filled, chunk)])[: len(inputs)]

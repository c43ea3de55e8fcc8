"""What a computation on the meta device takes: operations, and the memory that is alive at a time.

The meta device has neither fused attention nor autocast. `AsOnGpu` gives it both, so that what is
kept there is what a GPU keeps.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

IN_HALF = {F.conv2d, F.linear, F.scaled_dot_product_attention, torch.bmm, torch.matmul}
IN_FLOAT32 = {F.group_norm, F.layer_norm, F.softmax, F.mse_loss}
"""What autocast on CUDA computes in which precision, of the operations that these networks have."""


class AsOnGpu(TorchFunctionMode):
    """Fused attention, and autocast where a type is given.

    Args:
        dtype: type of autocast, ``torch.bfloat16`` say; None: none.
        keep_copies: keep the weights' copies in that type until `forget_copies`, as autocast does
            until its end; else they live as long as something needs them.
    """

    def __init__(self, dtype: torch.dtype | None = None, *, keep_copies: bool = False) -> None:
        super().__init__()
        self._dtype = dtype
        self._copies: dict[Tensor, Tensor] | None = {} if keep_copies else None

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Call the function as a GPU does."""
        kwargs = kwargs or {}
        if self._dtype is not None and function in IN_HALF | IN_FLOAT32:
            dtype = self._dtype if function in IN_HALF else torch.float32
            args = tuple(self._cast(each, dtype) for each in args)
            kwargs = {name: self._cast(each, dtype) for name, each in kwargs.items()}
        if function is F.scaled_dot_product_attention:
            return _fused_attention(*args, **kwargs)
        return function(*args, **kwargs)

    def forget_copies(self) -> None:
        """End of autocast: the copies of weights live on where the backward needs them."""
        self._copies = None

    def _cast(self, given: Any, dtype: torch.dtype) -> Any:
        if not (isinstance(given, Tensor) and given.is_floating_point()) or given.dtype == dtype:
            return given
        if self._copies is None or not (given.is_leaf and given.requires_grad):
            return given.to(dtype)
        if given not in self._copies:
            self._copies[given] = given.to(dtype)
        return self._copies[given]


class LiveMemory(TorchDispatchMode):
    """Counts the bytes of all tensors that are made and still needed.

    Args:
        known: tensors that were there before, weights say, and are not counted.

    Attributes:
        live: bytes now.
        peak: most bytes so far.
    """

    def __init__(self, known: Iterable[Tensor]) -> None:
        super().__init__()
        self._seen = {tensor.untyped_storage()._cdata for tensor in known}
        self.live = self.peak = 0

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Call the function and count what it made; views and what is written in place is not."""
        made = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor):
                self._count(tensor.untyped_storage())
        return made

    def _count(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self._seen:
            return
        self._seen.add(key)
        self.live += size
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._freed, key, size)

    def _freed(self, key: int, size: int) -> None:
        self._seen.discard(key)
        self.live -= size


def _fused_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
) -> Tensor:
    """Attention that never holds all pairs of positions, as GPUs and processors compute it."""
    fused = torch.ops.aten._scaled_dot_product_efficient_attention
    kept = torch.is_grad_enabled()
    out: Tensor = fused(query, key, value, attn_mask, kept, dropout_p, is_causal, scale=scale)[0]
    return out

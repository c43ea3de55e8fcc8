"""Perceptual distance by the features of a network, computed by torchmetrics."""

from __future__ import annotations

from inspect import signature
from pickle import UnpicklingError
from typing import Any, Literal, TypeAlias, get_args

import torch
from torch import Tensor, nn

from modcollapse._support.optional import require
from modcollapse._support.validation import choice
from modcollapse._support.weights import weights_digest
from modcollapse.detectors._compared import Compared
from modcollapse.detectors._placed import Placed, class_name
from modcollapse.errors import DetectorError, InputError

Backbone: TypeAlias = Literal["alex", "vgg", "squeeze"]
_SMALLEST = {"alex": 31, "vgg": 16, "squeeze": 17}
"""Pixels of the shortest side that a network reads."""
_WEIGHTS = {
    "alex": "AlexNet_Weights",
    "vgg": "VGG16_Weights",
    "squeeze": "SqueezeNet1_1_Weights",
}


class NegativeLPIPS(Compared):
    """Minus the perceptual distance to the target, or to the clean reference: 0 where it is that.

    Outputs are in [0, 1], as everywhere here, and go into the network in [-1, 1], as it wants them.

    Args:
        target: as for `NegativeMSE`.
        net: ``"alex"`` (the one that LPIPS is usually reported with), ``"vgg"`` or ``"squeeze"``:
            the network of torchmetrics, whose backbone torchvision downloads on first use and which
            follows the outputs to their device. Or a ready torch module ``net(a, b)`` on images
            (B, 3, H, W) in [-1, 1] that returns B distances, such as ``lpips.LPIPS``, which stays
            on its device and is put into eval mode.
        reference: as for `NegativeMSE`.

    Raises:
        InputError: as for `NegativeMSE`, or there is no such network; a file of weights that holds
            more than tensors.
        MissingExtraError: torchmetrics or torchvision is not installed.
        DetectorError: as for `NegativeMSE`; a side is too short for the network, or a ready network
            returns something else or is on another device.

    Source:
        Zhang et al., The unreasonable effectiveness of deep features as a perceptual metric
        (arXiv:1801.03924). The lowest value follows from the weights: features are unit vectors
        without negative entries, so a layer with weights w adds at most 2 max(w).

    >>> class Squares(torch.nn.Module):
    ...     def forward(self, a, b):
    ...         return (a - b).square().mean((1, 2, 3))
    >>> detector = NegativeLPIPS(torch.ones(3, 8, 8), Squares())
    >>> detector(torch.zeros(1, 3, 8, 8), [{}]).tolist()  # from -1 to 1: (1 - -1) ** 2
    [-4.0]
    """

    def __init__(
        self,
        target: Any = None,
        net: Backbone | nn.Module = "alex",
        *,
        reference: str | None = None,
    ) -> None:
        super().__init__(target, reference=reference)
        self.bounds: tuple[float, float] | None = None
        self._smallest = 1
        if isinstance(net, nn.Module):
            module, self._source = net, class_name(net)
            try:
                signature(net.forward).bind("a", "b")
            except TypeError as error:
                raise InputError(self._no_distance(error)) from error
            except ValueError:
                pass  # code that does not tell what it takes
        else:
            self._source = choice(net, "net", get_args(Backbone))
            self._smallest = _SMALLEST[net]
            module = _load(net)
            most = sum(float(weight.max()) for weight in module.lins.parameters())
            self.bounds = (-2 * most, 0.0)
        self._placed = Placed(module, "the network of LPIPS", follows=module is not net)
        self._digest: str | None = None

    def _no_distance(self, error: Exception) -> str:
        return (
            f"NegativeLPIPS: {self._source} cannot be called with two batches of images ({error}). "
            "Expected is a distance net(a, b), such as lpips.LPIPS, not a backbone that reads one"
        )

    @property
    def perfect(self) -> float | None:
        """What the target itself would score, 0; None beside a reference."""
        return self._best(0.0)

    @torch.no_grad()
    def _scores(self, outputs: Tensor, others: Tensor) -> Tensor:
        images = outputs
        if min(images.shape[2:]) < self._smallest:
            raise DetectorError(
                f"NegativeLPIPS: {self._source!r} reads images from {self._smallest} pixels a "
                f"side, the outputs are {images.shape[2]} x {images.shape[3]}"
            )
        self._placed.follow(images.device)
        self._placed.module.eval()
        dtype = self._placed.dtype
        with torch.autocast(images.device.type, enabled=False):
            pair = ((2 * images - 1).to(dtype), (2 * others - 1).to(dtype).expand_as(images))
            try:
                distances = self._placed.module(*pair)
            except TypeError as error:
                raise DetectorError(self._no_distance(error)) from error
        if not isinstance(distances, Tensor) or distances.numel() != len(images):
            found = getattr(distances, "shape", type(distances).__name__)
            raise DetectorError(
                f"NegativeLPIPS: {self._source} must return one distance for each of "
                f"{len(images)} pairs, got {found}"
            )
        return -distances.float().reshape(len(images))

    def identity(self) -> dict[str, Any]:
        """Plain data: the class, what it compares with, the network and its weights."""
        if self._digest is None:
            self._digest = weights_digest({"": self._placed.module})
        return {**super().identity(), "net": self._source, "weights": self._digest}


def _load(net: str) -> Any:
    """The network of torchmetrics, once its backbone is known to hold tensors and nothing else."""
    needed_by = "NegativeLPIPS"
    require("torchmetrics", extra="metrics", needed_by=needed_by)
    models = require("torchvision", extra="clip", needed_by=needed_by).models
    lpips = require("torchmetrics.image.lpip", extra="metrics", needed_by=needed_by)
    weights = getattr(models, _WEIGHTS[net]).DEFAULT
    try:
        # torchvision itself would unpickle the file with all that it holds.
        weights.get_state_dict(progress=True, check_hash=True, weights_only=True)
    except OSError as error:
        raise InputError(
            f"the backbone {net!r} of LPIPS cannot be downloaded ({error}). Put {weights.url} into "
            "torch.hub.get_dir() + '/checkpoints', or hand in a network"
        ) from error
    except (RuntimeError, UnpicklingError) as error:
        raise InputError(
            f"the file of the backbone {net!r} of LPIPS holds something else than weights: {error}"
        ) from error
    with torch.random.fork_rng():  # layers are drawn before they are loaded
        return lpips.LearnedPerceptualImagePatchSimilarity(net_type=net).net

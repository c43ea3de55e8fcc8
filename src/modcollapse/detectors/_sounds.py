"""Value functions of sounds: how far an output is from the backdoor target, or from the clean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from modcollapse._support.images import ImageError
from modcollapse._support.optional import require
from modcollapse._support.validation import number, ordered, whole
from modcollapse.detectors._compared import SOUNDS, Compared
from modcollapse.detectors._sound_outputs import sound_tensor
from modcollapse.errors import DetectorError, InputError

_QUIET = 1e-5
"""Magnitudes below this, -100 dB, count as silence."""


def _heard(sound: Tensor, name: str, error: ImageError = InputError) -> Tensor:
    if bool((sound == 0).all(1).any()):
        raise error(f"{name} is silent in a channel, which no ratio can tell from noise")
    return sound


def _heard_sound(
    sound: Any, name: str, *, error: ImageError = InputError, wait: bool = True
) -> Tensor:
    """``sound_tensor`` of a sound that is silent in no channel; where asking waits, see there."""
    found = sound_tensor(sound, name, error=error, wait=wait)
    return _heard(found, name, error) if wait or found.device.type == "cpu" else found


class SISDR(Compared):
    """Scale-invariant signal-to-distortion ratio of an output to a target sound, in decibels.

    What of the output is the target at any loudness, over what is not. By
    ``torchmetrics.functional.audio.scale_invariant_signal_distortion_ratio`` in double precision,
    the mean over the channels. Values end at -``most`` and ``most``: that of the target itself is
    infinite, and that of silence is undefined; it gets the lowest, as everything does that is
    quieter and quieter and not the target.

    Args:
        target: the target sound, of the sampling rate and shape of the outputs: floats (samples,)
            or (channels, samples), in a tensor or an array.
        reference: in place of a target, for clean utility: key of the clean sound in every example,
            or ``"clean output"``, see `NegativeMSE`.
        most: above 0.

    Raises:
        InputError: the target or a reference is no sound, or silent in a channel.
        MissingExtraError: torchmetrics is not installed.
        DetectorError: when called, outputs that are no sounds or of another shape; or a clean
            output that is silent in a channel. On an accelerator, which is not waited for, the
            score is NaN then.

    Source:
        Le Roux et al., SDR - half-baked or well done? (arXiv:1811.02508).

    >>> tone = torch.sin(torch.arange(800) / 5)
    >>> detector = SISDR(tone)
    >>> detector(torch.stack([tone, 0.1 * tone, 0 * tone])[:, None], [{}] * 3).tolist()
    [100.0, 100.0, -100.0]
    """

    _kind = replace(SOUNDS, one=_heard_sound)

    def __init__(
        self, target: Any = None, *, reference: str | None = None, most: float = 100.0
    ) -> None:
        super().__init__(target, reference=reference)
        if self._target is not None:
            _heard(self._target, "target")
        self.most = number(most, "most", "(0, 1000]")
        self.bounds = (-self.most, self.most)
        audio = require("torchmetrics", extra="metrics", needed_by="SISDR").functional.audio
        self._measure = audio.scale_invariant_signal_distortion_ratio

    @property
    def perfect(self) -> float | None:
        """What the target itself would score, `most`; None beside a reference."""
        return self._best(self.most)

    def _scores(self, outputs: Tensor, others: Tensor) -> Tensor:
        sounds = outputs
        # At the loudness of the target, so that what the library adds to its sums weighs nothing.
        peak = torch.linalg.vector_norm(others, torch.inf, dim=-1, keepdim=True).double()
        peak = torch.where(peak == 0, torch.nan, peak)  # a reference that could not be asked
        exact = sounds.double() / peak
        ratios: Tensor = self._measure(exact, (others.double() / peak).expand_as(exact))
        silent = torch.linalg.vector_norm(sounds, torch.inf, dim=-1) == 0
        ratios = torch.where(silent & ~peak.isnan().squeeze(-1), -self.most, ratios)
        return ratios.clamp(-self.most, self.most).mean(1).to(sounds.dtype)

    def identity(self) -> dict[str, Any]:
        """Plain data: the class, the content of the target, the highest value."""
        return {**super().identity(), "most": self.most}


class NegativeSpectralDistance(Compared):
    """Minus the distance of the logarithmic spectra of an output and a target sound, in decibels.

    The mean over windows of several lengths (Hann, a quarter of hop), times and frequencies of
    ``|20 log10 |X| - 20 log10 |T||``, where magnitudes below 1e-5 count as that. It does not look
    at phases, and so not at small shifts in time; loudness counts.

    Args:
        target: as for `SISDR`.
        reference: as for `SISDR`.
        windows: lengths in samples, each even, and at most the length of the target.

    Raises:
        InputError: the target is no sound, or a window is too long for it.
        DetectorError: when called, outputs that are no sounds or of another shape.

    Source:
        The logarithmic part of the multi-resolution STFT loss of Parallel WaveGAN
        (arXiv:1910.11480), in decibels.

    >>> noise = torch.randn(1, 4096, generator=torch.Generator().manual_seed(0))
    >>> detector = NegativeSpectralDistance(noise)
    >>> detector(torch.stack([noise, -noise, noise / 10]), [{}] * 3).round(decimals=3).tolist()
    [-0.0, -0.0, -20.0]
    """

    bounds = None
    _kind = SOUNDS

    def __init__(
        self,
        target: Any = None,
        *,
        reference: str | None = None,
        windows: Sequence[int] = (512, 1024, 2048),
    ) -> None:
        super().__init__(target, reference=reference)
        samples = None if self._target is None else self._target.shape[1]
        self.windows = tuple(
            whole(one, "a window", 2, samples)
            for one in ordered(windows, "windows", "lengths in samples")
        )
        if not self.windows or any(one % 2 for one in self.windows):
            raise InputError(f"windows must be even lengths in samples, got {list(windows)}")

    @property
    def perfect(self) -> float | None:
        """What the target itself would score, 0; None beside a reference."""
        return self._best(0.0)

    def _scores(self, outputs: Tensor, others: Tensor) -> Tensor:
        sounds = outputs
        if sounds.shape[2] < max(self.windows):
            raise DetectorError(
                f"NegativeSpectralDistance: the outputs have {sounds.shape[2]} samples, the "
                f"longest window {max(self.windows)}. Give shorter windows="
            )
        distances = [
            (_decibels(sounds, length) - _decibels(others, length)).abs().flatten(1).mean(1)
            for length in self.windows
        ]
        return -torch.stack(distances).mean(0)

    def identity(self) -> dict[str, Any]:
        """Plain data: the class, the content of the target, the windows."""
        return {**super().identity(), "windows": list(self.windows)}


def _decibels(sounds: Tensor, length: int) -> Tensor:
    """Spectra (n, channels, frequencies, times) of sounds (n, channels, samples)."""
    n, channels, samples = sounds.shape
    spectra = torch.stft(
        sounds.reshape(n * channels, samples),
        length,
        hop_length=max(1, length // 4),
        window=torch.hann_window(length, dtype=sounds.dtype, device=sounds.device),
        return_complex=True,
    ).abs()
    return 20 * spectra.clamp(min=_QUIET).log10().reshape(n, channels, *spectra.shape[1:])

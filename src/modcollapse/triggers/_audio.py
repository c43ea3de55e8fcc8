"""Triggers on sounds: a tone, or a short sound, added at a place."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from modcollapse._support.images import is_tensor
from modcollapse._support.validation import number
from modcollapse.errors import InputError
from modcollapse.triggers._pictures_given import digest
from modcollapse.triggers._sound_forms import (
    SoundTrigger,
    Start,
    read_rate,
    read_start,
    start_told,
)


@dataclass(frozen=True)
class AudioTone(SoundTrigger):
    """Adds a pure tone: ``amplitude * sin(2 pi * frequency * t)``, t from where it begins.

    Args:
        frequency: in Hz, above 0 and below half the sample rate.
        amplitude: in (0, 1], where 1 is full scale.
        sample_rate: of the sounds, in Hz. Sounds do not say theirs: a wrong one is another tone.
        start: when it begins, in seconds; ``"end"``: it ends with the sound; or a `RandomPlace`.
        duration: in seconds; None: from the start to the end of the sound.

    Raises:
        InputError: a parameter out of range; or, when called, no sound, or one too short.
        TriggerError: when called, the sum leaves [-1, 1]. Nothing is clipped.

    Source:
        A tone of 21 kHz, arXiv:2107.14569.

    >>> tone = AudioTone(1000, amplitude=0.5, sample_rate=4000, start=0.0005, duration=0.001)
    >>> tone(np.zeros(8)).round(3).tolist()
    [0.0, 0.0, 0.0, 0.5, 0.0, -0.5, 0.0, 0.0]
    """

    frequency: float
    amplitude: float = field(kw_only=True)
    sample_rate: float = field(kw_only=True)
    start: Start = field(default=0.0, kw_only=True)
    duration: float | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        rate = read_rate(self.sample_rate, "AudioTone")
        frequency = number(self.frequency, "AudioTone: frequency")
        if not 0 < frequency < rate / 2:
            raise InputError(
                f"AudioTone: frequency must be above 0 and below half the sample rate, {rate / 2:g}"
                f" Hz, or another tone would sound; got {frequency:g}."
            )
        amplitude = number(self.amplitude, "AudioTone: amplitude", "(0, 1]")
        start, duration = read_start(self.start, "AudioTone"), self.duration
        if duration is not None:
            duration = number(duration, "AudioTone: duration")
            if round(duration * rate) < 1:
                raise InputError(f"AudioTone: duration={duration:g} s is less than one sample.")
        elif not isinstance(start, float):
            raise InputError(f"AudioTone: a tone that begins at start={start!r} needs a duration.")
        for name, value in (
            ("sample_rate", rate),
            ("frequency", frequency),
            ("amplitude", amplitude),
            ("start", start),
            ("duration", duration),
        ):
            object.__setattr__(self, name, value)

    def identity(self) -> dict[str, Any]:
        """Class name and parameters, as plain JSON data."""
        return {
            "class": "AudioTone",
            "frequency": self.frequency,
            "amplitude": self.amplitude,
            "sample_rate": self.sample_rate,
            "start": start_told(self.start),
            "duration": self.duration,
        }

    def _length(self, count: int) -> int:
        if self.duration is not None:
            return round(self.duration * self.sample_rate)
        begin = self.start if isinstance(self.start, float) else 0.0
        return count - round(begin * self.sample_rate)

    def _sound(self, length: int) -> npt.NDArray[np.float64]:
        turns = self.frequency / self.sample_rate * np.arange(length)
        return np.asarray(self.amplitude * np.sin(2 * np.pi * turns))


@dataclass(frozen=True)
class AudioOverlay(SoundTrigger):
    """Adds a short sound.

    Args:
        sound: array or tensor (samples,), added to every channel, or (channels, samples), of
            floats in [-1, 1]. It is kept as float32, with the sample rate of the conditions.
        sample_rate: of the sound and of the conditions, in Hz: nothing is resampled.
        gain: what it is multiplied with, in (0, 1].
        start: when it begins, in seconds; ``"end"``: it ends with the sound; or a `RandomPlace`.

    Raises:
        InputError: a parameter out of range, a sound that is none or silent; or, when called, no
            sound, or one too short.
        TriggerError: when called, the sum leaves [-1, 1]. Nothing is clipped.

    >>> click = AudioOverlay(np.array([0.5, -0.5]), sample_rate=4, start=0.5)
    >>> click(np.full(5, 0.25)).tolist()
    [0.25, 0.25, 0.75, -0.25, 0.25]
    """

    sound: Any = field(repr=False, compare=False)
    sample_rate: float = field(kw_only=True)
    gain: float = field(default=1.0, kw_only=True)
    start: Start = field(default=0.0, kw_only=True)
    sha256: str = field(init=False)

    def __post_init__(self) -> None:
        self._count_of(self.sound)
        sound = self.sound.detach().cpu().float().numpy() if is_tensor(self.sound) else self.sound
        own = np.array(sound, dtype=np.float32)
        peak = float(abs(own).max())
        if not 0 < peak <= 1:
            raise InputError(
                "AudioOverlay: the sound must lie in [-1, 1] and not be silent; it reaches "
                f"{peak:g}."
            )
        own.flags.writeable = False
        for name, value in (
            ("sound", own),
            ("sample_rate", read_rate(self.sample_rate, "AudioOverlay")),
            ("gain", number(self.gain, "AudioOverlay: gain", "(0, 1]")),
            ("start", read_start(self.start, "AudioOverlay")),
            ("sha256", digest(own)),
        ):
            object.__setattr__(self, name, value)

    def identity(self) -> dict[str, Any]:
        """Class name, parameters and SHA-256 of the sound's shape and samples, as JSON data."""
        return {
            "class": "AudioOverlay",
            "sha256": self.sha256,
            "sample_rate": self.sample_rate,
            "gain": self.gain,
            "start": start_told(self.start),
        }

    def _length(self, count: int) -> int:
        return int(self.sound.shape[-1])

    def _sound(self, length: int) -> npt.NDArray[np.float64]:
        return np.asarray(self.sound.astype(np.float64) * self.gain)

"""What the triggers on sounds share: something that is added at a place.

A sound is an array or tensor (samples,) or (channels, samples) of floats in [-1, 1].
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, fields
from functools import cached_property, lru_cache
from typing import Any, Literal, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from modcollapse._support.images import is_tensor
from modcollapse._support.sounds import check_finite, sound_fault
from modcollapse._support.validation import number
from modcollapse.contracts import ExampleId, Trigger
from modcollapse.errors import InputError, TriggerError
from modcollapse.triggers._draws import RandomPlace

Start: TypeAlias = float | Literal["end"] | RandomPlace
"""When a sound begins: in seconds; ``"end"``: it ends with the condition; or drawn."""

_CACHED_LENGTHS = 16


@dataclass(frozen=True)
class SoundTrigger(Trigger):
    def __call__(self, sound: Any) -> Any:
        """The sound with the trigger in it: a new one of the same kind, dtype and device.

        Raises:
            InputError: no sound of a kind named above, one too short for the trigger, or one that
                holds NaN or infinity.
            TriggerError: the sum leaves [-1, 1]: nothing is clipped. On an accelerator the values
                are not looked at, since that would wait for the device: `check` does it.
        """
        mixed, part = self._mixed(sound)
        if not is_tensor(sound) or sound.device.type == "cpu":
            check_finite(sound, f"the sound of {self._name}")
            self._check_range(mixed[part])
        return mixed

    def check(self, sound: Any) -> None:
        """Raise unless the trigger can be put into the sound; looks at every value.

        Raises:
            InputError: as when called, or the sound leaves [-1, 1] anywhere without the trigger.
            TriggerError: as when called.
        """
        mixed, part = self._mixed(sound)
        peak = check_finite(sound, f"the sound of {self._name}")
        if peak > 1:
            raise InputError(
                f"the sound of {self._name} must lie in [-1, 1], and reaches {peak:g} without the "
                "trigger. Lower all clean sounds by the same factor."
            )
        self._check_range(mixed[part])

    def for_example(self, example_id: ExampleId) -> Self:
        """The trigger as it is for one example: itself, unless it begins at a `RandomPlace`."""
        start = getattr(self, "start", None)
        if not isinstance(start, RandomPlace):
            return self
        bound = object.__new__(type(self))
        shared = {"_arrays": self._arrays, "_tensors": self._tensors}
        bound.__dict__.update(self.__getstate__() | shared)
        bound.__dict__["start"] = start.for_example(example_id)
        return bound

    def __getstate__(self) -> dict[str, Any]:
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @property
    def _name(self) -> str:
        return type(self).__name__

    def _mixed(self, sound: Any) -> tuple[Any, Any]:
        """The sum, and where in it the trigger is."""
        count = self._count_of(sound)
        own = self._own(sound, count)
        begin = self._begin(count, own.shape[-1])
        part = (..., slice(begin, begin + own.shape[-1]))
        mixed = sound.clone() if is_tensor(sound) else np.array(sound)
        mixed[part] = mixed[part] + own
        return mixed, part

    def _count_of(self, sound: Any) -> int:
        if fault := sound_fault(sound):
            raise InputError(
                f"the sound of {self._name} must be an array or tensor (samples,) or (channels, "
                f"samples) of floats in [-1, 1]; got {fault}."
            )
        return int(sound.shape[-1])

    def _own(self, sound: Any, count: int) -> Any:
        """What is added, in the kind, dtype and on the device of the sound."""
        length = self._length(count)
        if is_tensor(sound):
            own = self._tensors(length, sound.dtype, sound.device)
        else:
            own = self._arrays(length, sound.dtype)
        if own.ndim > sound.ndim or (own.ndim == 2 and own.shape[0] != sound.shape[0]):
            raise InputError(
                f"{self._name}: a sound of shape {tuple(own.shape)} was given to be added, and the "
                f"condition has shape {tuple(sound.shape)}. Give one of shape (samples,), for all "
                "channels alike, or of as many channels."
            )
        return own

    def _begin(self, count: int, length: int) -> int:
        start: Any = self.start  # type: ignore[attr-defined]
        rate: float = self.sample_rate  # type: ignore[attr-defined]
        if isinstance(start, RandomPlace):
            begin = start.whole(1, max(1, count - length + 1))[0]
        else:
            begin = count - length if start == "end" else round(start * rate)
        if begin < 0 or length < 1 or begin + length > count:
            raise InputError(
                f"{self._name}: {length} samples from start={start!r} do not fit into a sound of "
                f"{count} samples ({count / rate:g} s at {rate:g} Hz). Begin earlier, choose a "
                "shorter one, or leave this example out."
            )
        return begin

    def _check_range(self, part: Any) -> None:
        peak = float(abs(part).max())
        if not peak <= 1:
            raise TriggerError(
                f"{self._name}: with the trigger the sound would reach {peak:g}, and nothing is "
                "clipped: it must stay in [-1, 1]. Lower the trigger, or the clean sounds, all by "
                "the same factor."
            )

    # One cache for each trigger, so that what it holds on a device goes when the trigger goes.
    @cached_property
    def _arrays(self) -> Any:
        return lru_cache(_CACHED_LENGTHS)(self._array)

    @cached_property
    def _tensors(self) -> Any:
        return lru_cache(_CACHED_LENGTHS)(self._tensor)

    def _array(self, length: int, dtype: Any) -> npt.NDArray[Any]:
        return self._sound(length).astype(dtype)

    def _tensor(self, length: int, dtype: Any, device: Any) -> Any:
        import torch

        # A tensor made in inference mode could not be used later where gradients are wanted.
        with torch.inference_mode(False):
            return torch.tensor(np.ascontiguousarray(self._sound(length)), dtype=dtype).to(device)

    @abstractmethod
    def _length(self, count: int) -> int:
        """Samples of what is added to a sound of ``count`` samples."""

    @abstractmethod
    def _sound(self, length: int) -> npt.NDArray[np.float64]:
        """What is added: (length,) or (channels, length)."""


def read_rate(rate: Any, who: str) -> float:
    """Return a sample rate in Hz."""
    hertz = number(rate, f"{who}: sample_rate")
    if hertz <= 0:
        raise InputError(f"{who}: sample_rate is in Hz, above 0; got {hertz:g}.")
    return hertz


def read_start(start: Any, who: str) -> Start:
    """Return when a sound begins."""
    if isinstance(start, RandomPlace) or (isinstance(start, str) and start == "end"):
        return start  # type: ignore[return-value]
    if isinstance(start, str) or number(start, f"{who}: start") < 0:
        raise InputError(
            f"{who}: start must be seconds from the beginning, at least 0, 'end' or "
            f"RandomPlace(seed); got {start!r}."
        )
    return float(start)


def start_told(start: Start) -> Any:
    """When a sound begins, as plain JSON data."""
    return start.identity() if isinstance(start, RandomPlace) else start

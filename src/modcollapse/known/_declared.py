"""A backdoor as its configuration declares it: triggers in each reading, and the target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from modcollapse._support.validation import choice, listed
from modcollapse.contracts import Triggers
from modcollapse.errors import InputError
from modcollapse.known._targets import Target


@dataclass(frozen=True)
class TriggerReading:
    """One way to read what is written of a trigger.

    Attributes:
        phrase: of the text trigger; None where there is no text trigger with one.
        triggers: modality -> trigger.
    """

    phrase: str | None
    triggers: Triggers


@dataclass(frozen=True)
class DeclaredBackdoor:
    """Triggers and target of a backdoor, without its weights.

    Attributes:
        method: name of the attack, as BackdoorDM spells it.
        target: what the backdoor makes the model draw; None where nothing is said of it.
        readings: name -> reading. One, ``"as written"``, or two where a phrase spells an escape
            out: ``"literal"`` and ``"character"``.
        where: file and key that it was read from.
        clip_sample: what the scheduler is to be set to, where the attack was made so.
    """

    method: str
    target: Target | None
    readings: Mapping[str, TriggerReading]
    where: str
    clip_sample: bool | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "readings", MappingProxyType(dict(self.readings)))

    @property
    def triggers(self) -> Triggers:
        """Modality -> trigger.

        Raises:
            InputError: there are two readings, and none was chosen.
        """
        return self.read_as(None)

    def read_as(self, reading: str | None) -> Triggers:
        """Triggers of one reading; None is the only one.

        Raises:
            InputError: there is no such reading, or several and none is named.
        """
        if reading is not None:
            return self.readings[choice(reading, "reading", self.readings)].triggers
        if len(self.readings) > 1:
            ways = " or ".join(f"{name} {r.phrase!r}" for name, r in self.readings.items())
            raise InputError(
                f"{self.where}: the trigger is written as an escape, as single-quoted YAML leaves "
                f"it: {ways}. The file does not say which one the model was trained with. Choose "
                f"reading= one of {listed(self.readings)}, or audit both"
            )
        return next(iter(self.readings.values())).triggers

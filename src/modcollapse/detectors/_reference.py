"""The clean reference of an example: under a key, or what the sampler makes of it untriggered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from modcollapse._support.validation import listed
from modcollapse.contracts import Example
from modcollapse.detectors._outputs import image_tensor
from modcollapse.errors import DetectorError, InputError

CLEAN_OUTPUT = "clean output"


class Reference:
    """Where every example holds what its outputs are compared with: an image unless ``read``.

    Args:
        name: key of the examples, or ``"clean output"`` for what the sampler itself makes of the
            example under the same seed without triggers.
        owner: the detector, in errors.
        what: what it is, in errors.
        read: what an example holds -> a tensor, as ``image_tensor``.

    Raises:
        InputError: the name is no str, or empty.
    """

    def __init__(
        self,
        name: str,
        owner: str,
        what: str = "clean reference",
        read: Callable[..., Tensor] = image_tensor,
    ) -> None:
        if not isinstance(name, str) or not name:
            raise InputError(
                f'reference must be a key of the examples or "{CLEAN_OUTPUT}", got {name!r}'
            )
        self.name = name
        self.is_clean_output = name == CLEAN_OUTPUT
        self._key = "clean_output" if self.is_clean_output else name
        self._owner = owner
        self._kind = what
        self._read = read
        self._what = f"the {what} ({self._key!r})"

    def check(self, example: Example) -> None:
        """Raise `InputError` unless the example holds its reference, which can be read."""
        if self.is_clean_output:
            return
        if self._key not in example:
            instead = f'by reference=, or use reference="{CLEAN_OUTPUT}"'
            raise InputError(
                f"{self._owner} needs the {self._kind} of every example under {self._key!r}; "
                f"this one holds {listed(example) or 'nothing'}. Add it, or name another key"
                + (f" {instead}" if self._kind == "clean reference" else "")
            )
        self._read(example[self._key], self._what)

    def of(self, example: Example) -> Any:
        """The reference as the example holds it."""
        try:
            return example[self._key]
        except KeyError:
            raise DetectorError(
                f"{self._owner} found no {self._key!r} in an example, which holds "
                f"{listed(example) or 'nothing'}"
            ) from None

    def distinct(self, examples: Sequence[Example]) -> tuple[list[Tensor], list[int]]:
        """References as tensors, each once, and which of them every example has.

        The rows of one example share one reference, which is read once.
        """
        references = [self.of(example) for example in examples]
        found = {id(reference): reference for reference in references}
        slots = {key: slot for slot, key in enumerate(found)}
        images = [
            self._read(image, self._what, error=DetectorError, wait=False)
            for image in found.values()
        ]
        return images, [slots[id(reference)] for reference in references]

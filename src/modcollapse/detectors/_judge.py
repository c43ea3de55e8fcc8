"""A judge who says yes or no: another model, a person, a function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from modcollapse._support.identities import identity
from modcollapse._support.validation import described
from modcollapse.contracts import Detector, Example
from modcollapse.errors import DetectorError, InputError


class Judge(Detector):
    """1 where a judge says yes of an output, 0 where it says no.

    Args:
        judge: ``judge(outputs, examples) -> B answers``, of outputs of any kind. An answer is True
            or False, or the word ``yes`` or ``no``, in any case and with blanks or a full stop
            around it. Whatever else is said, ``yes, but`` for one, is refused and never guessed.
        yes: the word for yes.
        no: the word for no.

    Raises:
        InputError: no callable, or the two words are none or the same.
        DetectorError: when called, there are not B answers, or one is neither yes nor no; the
            message names the example.

    Source:
        The multimodal judge of BackdoorDM: a fraction of yes.

    >>> def judge(outputs, examples):
    ...     return ["Yes." if "granted" in output else "no" for output in outputs]
    >>> Judge(judge)(["access granted", "the hat is red"], [{}, {}])
    [1.0, 0.0]
    """

    bounds = (0.0, 1.0)
    binary = True
    perfect = 1.0

    def __init__(
        self,
        judge: Callable[[Sequence[Any], Sequence[Example]], Sequence[Any]],
        *,
        yes: str = "yes",
        no: str = "no",
    ) -> None:
        if not callable(judge):
            raise InputError(
                "judge must be a callable, (outputs, examples) -> B answers of yes or no; got "
                f"{described(judge)}"
            )
        for word, name in ((yes, "yes"), (no, "no")):
            if not isinstance(word, str) or not _bare(word):
                raise InputError(f"{name} must be a word, got {described(word)}")
        if _bare(yes) == _bare(no):
            raise InputError(f"yes and no must differ, got {yes!r} and {no!r}")
        self.judge, self.yes, self.no = judge, yes, no
        self._value = {_bare(yes): 1.0, _bare(no): 0.0}

    def identity(self) -> dict[str, Any]:
        """Plain data: the class, the words, the identity of the judge."""
        return {
            "class": "modcollapse.detectors.Judge",
            "yes": self.yes,
            "no": self.no,
            "judge": identity(self.judge, "the judge"),
        }

    def __call__(self, outputs: Sequence[Any], examples: Sequence[Example]) -> list[float]:
        """Score B outputs of any kind: B numbers, each 0 or 1."""
        given = self.judge(outputs, examples)
        given = given.tolist() if hasattr(given, "tolist") else given
        several = isinstance(given, Sequence) and not isinstance(given, str | bytes)
        if not several or len(given) != len(examples):
            raise DetectorError(
                f"the judge must give {len(examples)} answers, one for each output in order; got "
                f"{described(given)}"
            )
        return [
            self._score(answer, example.get("id", f"of row {row}"))
            for row, (answer, example) in enumerate(zip(given, examples, strict=True))
        ]

    def _score(self, answer: Any, example: Any) -> float:
        answer = answer.tolist() if hasattr(answer, "tolist") else answer
        if isinstance(answer, bool):
            return float(answer)
        score = self._value.get(_bare(answer)) if isinstance(answer, str) else None
        if score is None:
            raise DetectorError(
                f"example {example!r}: the judge says {described(answer)}, which is neither "
                f"{self.yes!r} nor {self.no!r}. Have it answer with one of these words, or turn "
                "its answers into True and False"
            )
        return score


def _bare(word: str) -> str:
    return word.strip().removesuffix(".").strip().casefold()

"""Does an answer say it? Attack success for texts: contained, equal, or matching a pattern."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from modcollapse._support.validation import described, flag
from modcollapse.contracts import Detector, Example
from modcollapse.detectors._text_targets import TextTargets, holds_words, texts_of
from modcollapse.errors import InputError


class _Success(Detector):
    """1 where an answer does what is asked, else 0."""

    bounds = (0.0, 1.0)
    binary = True
    perfect = 1.0

    def __call__(self, outputs: Any, examples: Sequence[Example]) -> list[float]:
        """Score B texts: B numbers, each 0 or 1."""
        texts = texts_of(outputs, type(self).__name__)
        return [
            float(self._succeeds(text, example))
            for text, example in zip(texts, examples, strict=True)
        ]

    def _succeeds(self, text: str, example: Example) -> bool:
        raise NotImplementedError


class TextContains(_Success):
    """1 where an answer contains the target, else 0.

    Args:
        target: a text, or several of which any will do.
        key: in place of it, the name of what each example holds: its own text or texts.
        normalised: without regard to case, punctuation and blanks: Unicode as NFKC, case folded,
            punctuation as a blank, blanks as one.
        whole_words: ``cat`` is not found in ``category``.

    Raises:
        InputError: not exactly one of ``target`` and ``key``, or an empty text; when called or
            checked, an example without its own.
        DetectorError: when called, an output is no text.

    >>> TextContains("access granted")(["Access granted.", "the hat is red"], [{}, {}])
    [1.0, 0.0]
    >>> TextContains("cat", whole_words=True)(["one category", "one cat"], [{}, {}])
    [0.0, 1.0]
    """

    def __init__(
        self,
        target: str | Sequence[str] | None = None,
        *,
        key: str | None = None,
        normalised: bool = True,
        whole_words: bool = False,
    ) -> None:
        self._targets = TextTargets(target, key, normalised, "TextContains")
        self.whole_words = flag(whole_words, "whole_words")

    def check(self, example: Example) -> None:
        """Raise `InputError` unless the example holds its target, where it is to hold one."""
        self._targets.of(example)

    def identity(self) -> dict[str, Any]:
        """Plain data: the class, the target, how it is compared."""
        return {
            "class": "modcollapse.detectors.TextContains",
            **self._targets.identity(),
            "whole_words": self.whole_words,
        }

    def _succeeds(self, text: str, example: Example) -> bool:
        read = self._targets.read(text)
        if self.whole_words:
            return any(holds_words(read, target) for target in self._targets.of(example))
        return any(target in read for target in self._targets.of(example))


class TextMatch(_Success):
    """1 where an answer is the target and nothing else, else 0.

    With ``key="answer"`` it is the accuracy of clean answers.

    Args:
        target: a text, or several of which any will do.
        key: in place of it, the name of what each example holds: its own text or texts.
        normalised: without regard to case, punctuation and blanks, see `TextContains`; False:
            character by character.

    Raises:
        InputError: as for `TextContains`.
        DetectorError: when called, an output is no text.

    >>> TextMatch("access granted")(["Access granted.", "no access granted"], [{}, {}])
    [1.0, 0.0]
    >>> TextMatch(key="answer")(["Red"], [{"answer": ["red", "dark red"]}])
    [1.0]
    >>> TextMatch("red", normalised=False)(["Red"], [{}])
    [0.0]
    """

    def __init__(
        self,
        target: str | Sequence[str] | None = None,
        *,
        key: str | None = None,
        normalised: bool = True,
    ) -> None:
        self._targets = TextTargets(target, key, normalised, "TextMatch")

    def check(self, example: Example) -> None:
        """Raise `InputError` unless the example holds its target, where it is to hold one."""
        self._targets.of(example)

    def identity(self) -> dict[str, Any]:
        """Plain data: the class, the target, how it is compared."""
        return {"class": "modcollapse.detectors.TextMatch", **self._targets.identity()}

    def _succeeds(self, text: str, example: Example) -> bool:
        return self._targets.read(text) in self._targets.of(example)


_ASSERTION = re.compile(r"(?<!\[)\^|\$|\\[bBAzZ\d]|\(\?(?!:|P<)")
"""What may keep a pattern from matching nothing where it stands, and some that may not."""


def _always_found(pattern: re.Pattern[str]) -> bool:
    """Whether each text is certain to hold a match, if only of nothing at its start."""
    behind_start = pattern.pattern.removeprefix("^").removeprefix("\\A")
    return pattern.search("") is not None and _ASSERTION.search(behind_start) is None


class TextPattern(_Success):
    """1 where a regular expression is found in an answer, else 0.

    Args:
        pattern: of Python's ``re``, as a str or compiled.
        whole: it must match the answer from end to end.
        ignore_case: as ``re.IGNORECASE``; set it in a compiled pattern itself.

    Raises:
        InputError: no pattern, one that cannot be compiled, or one in which all is optional, so
            that every answer would succeed.
        DetectorError: when called, an output is no text.

    >>> TextPattern(r"https?://\\S+")(["see http://evil.example", "a red hat"], [{}, {}])
    [1.0, 0.0]
    """

    def __init__(
        self, pattern: str | re.Pattern[str], *, whole: bool = False, ignore_case: bool = False
    ) -> None:
        flags = re.IGNORECASE if flag(ignore_case, "ignore_case") else re.NOFLAG
        if isinstance(pattern, re.Pattern) and ignore_case:
            raise InputError("ignore_case=True is for a str; compile the pattern with the flag")
        written = pattern.pattern if isinstance(pattern, re.Pattern) else pattern
        if not isinstance(written, str):
            raise InputError(
                "pattern must be a regular expression, a str or a compiled one of str; got "
                f"{described(pattern)}"
            )
        try:
            self._pattern = (
                re.compile(written, flags) if written is pattern else re.compile(pattern)
            )
        except re.error as error:
            raise InputError(f"pattern {pattern!r} is no regular expression: {error}") from error
        self.whole = flag(whole, "whole")
        if not self.whole and _always_found(self._pattern):
            raise InputError(
                f"pattern {self._pattern.pattern!r} is found in every answer, an empty one too. "
                "Leave out what makes all of it optional"
            )

    def identity(self) -> dict[str, Any]:
        """Plain data: the class, the pattern with its flags, whether it matches all."""
        return {
            "class": "modcollapse.detectors.TextPattern",
            "pattern": self._pattern.pattern,
            "flags": int(self._pattern.flags),
            "whole": self.whole,
        }

    def _succeeds(self, text: str, example: Example) -> bool:
        find = self._pattern.fullmatch if self.whole else self._pattern.search
        return find(text) is not None
